//! Loops that can never go on, and loops that only look so.

mod support;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::time::sleep;
use mainspring::{JoinHandle, Runtime, Turn, spawn, spawn_blocking, spawn_named};
use support::{AtFirstSleep, Gate, observed_runtime, panic_text, virtual_runtime};

/// The text of a stall, with this file's places cut down to their line.
fn lines_of(text: &str) -> Vec<String> {
    let here = "runtime/tests/stall.rs:";
    text.lines()
        .map(|line| {
            let mut out = String::new();
            let mut parts = line.split(here);
            out += parts.next().unwrap();
            for part in parts {
                let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
                let rest = rest.strip_prefix(':').unwrap();
                out += &format!("line {}", part.split(':').next().unwrap());
                out += rest.trim_start_matches(|c: char| c.is_ascii_digit());
            }
            out
        })
        .collect()
}

#[test]
fn a_stall_names_every_task_and_what_it_waits_for() {
    let (mut runtime, log) = observed_runtime();
    let line = line!() + 1;
    let stalled = runtime.try_block_on(async {
        let lonely = spawn(pending::<()>());
        let fetch = spawn_named("fetch", async { lonely.await.is_ok() });
        fetch.await.is_ok()
    });
    let stalled = stalled.unwrap_err();
    let expected = [
        format!(
            "the loop entered at line {line} can never go on: nothing is ready, no timer is armed, \
             no source registered, no blocking job under way. Pending for ever:"
        ),
        format!("  task 1 \"main\" spawned at line {line}: awaits task 3"),
        format!("  task 2 spawned at line {}: no waker of it is left", line + 1),
        format!("  task 3 \"fetch\" spawned at line {}: awaits task 2", line + 2),
    ];
    assert_eq!(lines_of(&stalled.to_string()), expected);
    let tasks: Vec<_> =
        stalled.tasks().iter().map(|t| (t.id.get(), t.awaits.map(|other| other.get()))).collect();
    assert_eq!(tasks, [(1, Some(3)), (2, None), (3, Some(2))]);
    assert!(log.take().contains(&"== left: Stalled".to_owned()));

    // The tasks stay as they are: the next block_on finds them, and is no worse for them.
    assert_eq!(runtime.stats().alive, 2);
    assert_eq!(runtime.block_on(async { 1 }), 1);
    let text = panic_text(|| runtime.block_on(pending::<()>()));
    let again = lines_of(&text);
    assert_eq!(again[1..3], expected[2..4]);
    assert!(again[3].starts_with("  task 5 \"main\" spawned at line "), "{again:?}");
}

#[test]
fn tasks_that_await_each_other_are_a_stall() {
    let mut runtime = virtual_runtime();
    let stalled = runtime.try_block_on(async {
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let inner = place.clone();
        let first = spawn(async move {
            let second = inner.take().expect("put there before the first poll");
            assert!(second.await.is_err());
        });
        *place.borrow_mut() = Some(spawn(async move { assert!(first.await.is_err()) }));
        pending::<()>().await;
    });
    let tasks: Vec<_> = stalled
        .unwrap_err()
        .tasks()
        .iter()
        .map(|task| (task.id.get(), task.awaits.map(|other| other.get())))
        .collect();
    assert_eq!(tasks, [(1, None), (2, Some(3)), (3, Some(2))]);
}

#[test]
fn a_turn_by_hand_returns_where_nothing_can_happen() {
    let mut runtime = virtual_runtime();
    drop(runtime.spawn(pending::<()>()));
    assert_eq!(runtime.turn().polled, 1);
    assert_eq!(runtime.turn(), Turn::default());
}

/// What main's own drop wakes comes too late, also for the next main, which takes its place.
#[test]
fn a_stalled_main_leaves_nothing_behind() {
    struct WakesInDrop(Gate);
    impl Drop for WakesInDrop {
        fn drop(&mut self) {
            self.0.open();
        }
    }
    let mut runtime = virtual_runtime();
    for _ in 0..2 {
        let mut main = Box::pin(async {
            let gate = WakesInDrop(Gate::new());
            let mut inner = gate.0.clone();
            // Registers, then forgets the registration of all but its own frame.
            poll_fn(|cx| {
                assert!(Pin::new(&mut inner).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            pending::<()>().await;
        });
        // The waker is held, by main itself: this one would wait for ever. So it is polled by hand.
        let step = runtime.block_on(poll_fn(|cx| {
            assert!(main.as_mut().poll(cx).is_pending());
            Poll::Ready(3)
        }));
        assert_eq!(step, 3);
        drop(main);
    }
    assert!(runtime.try_block_on(pending::<()>()).is_err());
    assert_eq!(runtime.turn(), Turn::default());
}

/// Each of these is all that keeps a loop from having stalled; each does go on.
#[test]
fn a_loop_that_may_go_on_is_never_called_stalled() {
    // A timer.
    virtual_runtime().block_on(sleep(Duration::from_secs(3600)));

    // A blocking job, also one whose handle is gone: its task awaits it.
    let (send, receive) = mpsc::channel::<()>();
    Runtime::new().block_on(async {
        let job = spawn_blocking(move || receive.recv().is_ok());
        yield_now().await;
        send.send(()).unwrap();
        assert!(job.await.unwrap());
    });

    // A thread that holds a waker.
    let mut runtime = Runtime::new();
    let mut woken = None;
    runtime.block_on(poll_fn(|cx| match woken {
        None => {
            let waker = cx.waker().clone();
            woken = Some(thread::spawn(move || waker.wake()));
            Poll::Pending
        }
        Some(_) => Poll::Ready(()),
    }));
    woken.unwrap().join().unwrap();

    // A thread that holds a `Remote`, and uses it to cancel what main waits for.
    let mut runtime = Runtime::new();
    let remote = runtime.remote();
    let lonely = runtime.spawn(pending::<()>());
    let id = lonely.id();
    let thread = thread::spawn(move || remote.cancel(id).unwrap());
    assert!(runtime.block_on(lonely).unwrap_err().is_cancelled());
    thread.join().unwrap();

    // A registered source: a listener that another thread connects to.
    let listener = Runtime::new().block_on(async {
        let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = mainspring::net::TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(client.join().unwrap().local_addr().unwrap(), peer);
        listener
    });
    drop(listener);
}

/// The last word of a `Remote` may come at the very moment at which the loop counts its holders.
#[test]
fn the_last_letter_of_a_remote_is_read_before_a_stall_is_called() {
    for _ in 0..500 {
        let mut runtime = Runtime::new();
        let lonely = runtime.spawn(pending::<()>());
        let (remote, id) = (runtime.remote(), lonely.id());
        let (ready, go) = mpsc::channel();
        let thread = thread::spawn(move || {
            go.recv().unwrap();
            remote.cancel(id).unwrap();
        });
        let ended = runtime.try_block_on(async {
            ready.send(()).unwrap();
            lonely.await
        });
        assert!(ended.expect("not stalled").unwrap_err().is_cancelled());
        thread.join().unwrap();
    }
}

/// A `Remote` that goes while the loop sleeps takes the loop's last hope with it.
#[test]
fn a_loop_that_slept_only_because_of_a_remote_wakes_when_it_goes() {
    let mut runtime = Runtime::new();
    let remote = runtime.remote();
    let (asleep, hears) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        hears.recv().unwrap();
        drop(remote);
    });
    let stalled = runtime.try_block_on(async {
        asleep.send(()).unwrap();
        pending::<()>().await;
    });
    assert_eq!(stalled.unwrap_err().tasks().len(), 1);
    thread.join().unwrap();
}

/// Nobody tells the loop of it, so this takes as long as it waits before it looks by itself: a second.
#[test]
fn a_waker_that_another_thread_drops_unused_during_the_sleep_leaves_a_stall_and_no_hang() {
    let (sender, wakers) = mpsc::channel::<Waker>();
    let (asleep, hears) = mpsc::channel();
    let thread = thread::spawn(move || {
        let waker = wakers.recv().unwrap();
        hears.recv().unwrap();
        drop(waker);
    });
    let observer = AtFirstSleep(Some(move || asleep.send(()).unwrap()));
    let mut runtime = Runtime::builder().observer(observer).build().unwrap();
    let lost = poll_fn(|cx| {
        sender.send(cx.waker().clone()).unwrap();
        Poll::<()>::Pending
    });
    let stalled = runtime.try_block_on(lost).unwrap_err();
    assert_eq!(stalled.tasks().len(), 1);
    assert_eq!(runtime.stats().parks, 1);
    thread.join().unwrap();
}
