//! A loop that is watched, asked and held from another thread, while it runs and while it is blocked.

use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::{Runtime, spawn_named};
use mainspring_microscope::Recorder;
use mainspring_microscope::live::{Break, Handle, Live, Options, Show};

/// Watches without saying anything.
fn quiet() -> Options {
    Options { slow_poll: None, ..Options::default() }
}

/// A loop on a thread of its own, watched from here.
struct Elsewhere<T> {
    handle: Handle,
    start: Sender<()>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Elsewhere<T> {
    /// `program` runs once [`Elsewhere::start`] is told to.
    fn new(program: impl FnOnce(&mut Runtime) -> T + Send + 'static) -> Elsewhere<T> {
        let (give, take) = channel();
        let (start, may_start) = channel();
        let thread = std::thread::spawn(move || {
            let live = Live::start(&Recorder::default(), Show::Nothing, quiet()).unwrap();
            let mut runtime = Runtime::builder().observer(live.observer()).build().unwrap();
            give.send(live.handle()).unwrap();
            may_start.recv().unwrap();
            program(&mut runtime)
        });
        Elsewhere { handle: take.recv().unwrap(), start, thread }
    }
}

/// Three tasks that yield twice each, one after another.
fn three_tasks(runtime: &mut Runtime) {
    runtime.block_on(async {
        let yields = || async {
            yield_now().await;
            yield_now().await;
        };
        let tasks = ["a", "b", "c"].map(|name| spawn_named(name, yields()));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// `name: state; polls` of each line of a dump that tells of a task.
fn states(dump: &str) -> Vec<String> {
    let tasks = dump.lines().take_while(|line| !line.starts_with("the loop goes on"));
    let lines = tasks.filter(|line| line.trim_start().starts_with("task "));
    let words = |line: &str| {
        let mut parts = line.trim_start().splitn(2, ": ");
        let name = parts.next().unwrap().split('"').nth(1).unwrap_or("?").to_owned();
        let rest = parts.next().unwrap();
        let state = rest.split(" for ").next().unwrap();
        let polls = rest.split("; ").find(|part| part.contains(" poll")).unwrap();
        let polls = polls.split(", ").find(|part| part.contains("poll")).unwrap();
        format!("{name} {state}, {polls}")
    };
    lines.map(words).collect()
}

#[test]
fn a_loop_is_paused_and_stepped_poll_by_poll_and_turn_by_turn() {
    let there = Elsewhere::new(three_tasks);
    let handle = &there.handle;
    handle.pause();
    there.start.send(()).unwrap();
    // The first place to hold is the first turn, before main was ever polled.
    assert!(handle.wait_until_held());
    assert_eq!(states(&handle.dump()), ["main pending, scheduled, 0 polls"]);
    handle.step_poll();
    assert!(handle.wait_until_held());
    let spawned = ["a", "b", "c"].map(|name| format!("{name} pending, scheduled, 0 polls"));
    let main = [String::from("main pending, idle, 1 poll")];
    assert_eq!(states(&handle.dump()), [&main[..], &spawned].concat());
    // When a step by a turn is over, the next turn has begun and nothing has been polled in it.
    handle.step_turn();
    assert!(handle.wait_until_held());
    handle.step_poll();
    assert!(handle.wait_until_held());
    let mut after = [&main[..], &spawned].concat();
    after[1] = "a pending, scheduled, 1 poll".into();
    assert_eq!(states(&handle.dump()), after);
    handle.step_turn();
    assert!(handle.wait_until_held());
    let once = ["a", "b", "c"].map(|name| format!("{name} pending, scheduled, 1 poll"));
    assert_eq!(states(&handle.dump()), [&main[..], &once].concat());
    handle.go_on();
    there.thread.join().unwrap();
    assert!(!handle.wait_until_held(), "it has left");
}

#[test]
fn a_breakpoint_holds_the_loop_each_time_until_it_is_taken_away() {
    let there = Elsewhere::new(three_tasks);
    let handle = &there.handle;
    handle.break_on(Some(Break::parse("done").unwrap()));
    there.start.send(()).unwrap();
    for left in [&["main", "b", "c"][..], &["main", "c"]] {
        assert!(handle.wait_until_held());
        let alive = states(&handle.dump());
        let names: Vec<_> = alive.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, left);
        handle.go_on();
    }
    assert!(handle.wait_until_held());
    handle.break_on(None);
    handle.go_on();
    there.thread.join().unwrap();
    assert_eq!(handle.trace().model().totals.done, 4);
}

/// Blocks its thread from inside a poll until told otherwise.
fn blocked(runtime: &mut Runtime, entered: &Sender<()>, leave: &Receiver<()>) {
    runtime.block_on(async {
        drop(spawn_named("waits for ever", pending::<()>()));
        yield_now().await;
        entered.send(()).unwrap();
        leave.recv().unwrap();
    });
}

#[test]
fn a_dump_shows_a_blocked_loop_as_it_is() {
    let (entered, has_entered) = channel();
    let (leave, may_leave) = channel();
    let there = Elsewhere::new(move |runtime| blocked(runtime, &entered, &may_leave));
    there.start.send(()).unwrap();
    has_entered.recv().unwrap();
    let dump = there.handle.dump();
    // Nothing but the model is asked: the loop could not answer.
    assert_eq!(states(&dump), ["main running, 2 polls", "waits for ever pending, idle, 1 poll"]);
    assert!(dump.contains("stuck for ever: no waker of it is left"), "{dump}");
    leave.send(()).unwrap();
    there.thread.join().unwrap();
}

#[test]
fn names_cannot_command_the_terminal_that_a_dump_is_printed_to() {
    let live = Live::start(&Recorder::default(), Show::Nothing, quiet()).unwrap();
    let mut runtime = Runtime::builder().observer(live.observer()).build().unwrap();
    let dump = runtime.block_on(async {
        let task = spawn_named("\u{1b}]0;owned\u{7}\u{9b}2J\r\n\u{202e}", pending::<()>());
        yield_now().await;
        drop(task);
        live.handle().dump()
    });
    assert!(dump.contains("\u{fffd}]0;owned\u{fffd}\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}"), "{dump}");
    assert!(dump.chars().all(|c| c == '\n' || !c.is_control()), "{dump}");
}

#[test]
fn the_watchdog_is_on_in_debug_builds_alone_unless_asked_for() {
    let slow_poll = Options::default().slow_poll;
    assert_eq!(slow_poll, cfg!(debug_assertions).then_some(Duration::from_millis(10)));
}

/// Runs this test again in a child process, up to `body`, and gives the child. In the child it runs
/// `body` and does not return.
fn child(test: &str, body: impl FnOnce()) -> Child {
    const CHILD: &str = "MAINSPRING_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(0);
    }
    Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child process")
}

#[test]
fn a_slow_poll_is_told_of_on_stderr_while_it_lasts_and_when_it_is_over() {
    let mut child =
        child("a_slow_poll_is_told_of_on_stderr_while_it_lasts_and_when_it_is_over", || {
            let options =
                Options { slow_poll: Some(Duration::from_millis(1)), ..Options::default() };
            let live = Live::start(&Recorder::default(), Show::Nothing, options).unwrap();
            let mut runtime = Runtime::builder().observer(live.observer()).build().unwrap();
            runtime.block_on(async {
                let asks = async { std::io::stdin().read_line(&mut String::new()).unwrap() };
                spawn_named("asks a person", asks).await.unwrap()
            });
        });
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The poll lasts until this line has been read: it is told of while it lasts, or never.
    let lasts = lines.find(|line| line.starts_with("!! task 2")).expect("a line about it");
    assert!(lasts.starts_with("!! task 2 \"asks a person\" has been polling for "), "{lasts}");
    assert!(lasts.contains("spawned runtime/microscope/tests/live.rs:"), "{lasts}");
    stdin.write_all(b"\n").unwrap();
    let over = "   task 2 \"asks a person\" is over with its poll, after ";
    assert!(lines.any(|line| line.starts_with(over)));
    assert!(child.wait().unwrap().success());
}
