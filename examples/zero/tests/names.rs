//! What is built here has the names that it has in the real core, so that a reader finds it there.

use std::fs;
use std::path::Path;

/// A name of step 8, and the file of `runtime/src` that has it, too.
const NAMES: &[(&str, &str)] = &[
    ("Core", "event_loop/mod.rs"),
    ("EventLoop", "event_loop/turn.rs"),
    ("turn", "event_loop/turn.rs"),
    ("read_inbox", "event_loop/turn.rs"),
    ("fire_timers", "event_loop/turn.rs"),
    ("poll_batch", "event_loop/turn.rs"),
    ("park", "event_loop/turn.rs"),
    ("wait", "event_loop/turn.rs"),
    ("dispatch", "event_loop/turn.rs"),
    ("poll_task", "event_loop/poll.rs"),
    ("finish", "event_loop/poll.rs"),
    ("shut_down", "event_loop/poll.rs"),
    ("ready", "event_loop/mod.rs"),
    ("Inbox", "event_loop/inbox.rs"),
    ("send", "event_loop/inbox.rs"),
    ("fall_asleep", "event_loop/inbox.rs"),
    ("State", "task/state.rs"),
    ("OnWake", "task/state.rs"),
    ("Enqueue", "task/state.rs"),
    ("Coalesced", "task/state.rs"),
    ("Deferred", "task/state.rs"),
    ("wake", "task/state.rs"),
    ("end_poll", "task/state.rs"),
    ("Header", "task/waker.rs"),
    ("take", "task/table.rs"),
    ("insert", "task/table.rs"),
    ("TaskCell", "task/cell.rs"),
    ("JoinHandle", "task/handle.rs"),
    ("cancel", "task/handle.rs"),
    ("JoinError", "task/error.rs"),
    ("TimerQueue", "time/queue.rs"),
    ("arm", "time/queue.rs"),
    ("next_deadline", "time/queue.rs"),
    ("Sleep", "time/sleep.rs"),
    ("timeout", "time/timeout.rs"),
    ("Reactor", "reactor/mod.rs"),
    ("PollerWaker", "reactor/mod.rs"),
    ("Direction", "reactor/mod.rs"),
    ("Registered", "reactor/registered.rs"),
    ("spawn_blocking", "blocking.rs"),
];

/// The steps of a turn, in their order.
const TURN: &[&str] = &["read_inbox(", "fire_timers(", "poll_batch(", "park("];

fn read(path: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).map_err(|error| error.to_string())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[test]
fn names_are_those_of_the_real_core() {
    let ours = read("examples/zero/src/step8.rs").unwrap();
    let mut wrong = Vec::new();
    for (name, file) in NAMES {
        assert!(has_word(&ours, name), "step 8 has no {name}");
        match read(&format!("runtime/src/{file}")) {
            Ok(theirs) if has_word(&theirs, name) => {}
            Ok(_) => wrong.push(format!("{name} is not in {file}")),
            Err(error) => wrong.push(format!("{name}: {file}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "the core has other names:\n{}", wrong.join("\n"));
}

#[test]
fn a_turn_has_the_steps_of_the_real_one_in_their_order() {
    for file in ["examples/zero/src/step8.rs", "runtime/src/event_loop/turn.rs"] {
        let text = read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let turn = text.split("fn turn(").nth(1).expect("a function named turn");
        let places: Vec<_> = TURN.iter().map(|step| turn.find(step).expect(step)).collect();
        assert!(places.is_sorted(), "{file}: {TURN:?} stand at {places:?}");
    }
}

#[test]
fn the_files_that_the_text_names_are_there() {
    let pages = (1..=8).map(|step| format!("text/step{step}.md"));
    let pages = pages.chain(["README.md", "text/trace.md", "text/refine.md"].map(String::from));
    let mut wrong = Vec::new();
    for page in pages {
        let text = read(&format!("examples/zero/{page}")).unwrap();
        let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        let rooms = ["event_loop/", "task/", "time/", "reactor/"];
        for path in quoted {
            let inner = rooms.iter().any(|room| path.starts_with(room));
            let full = if inner { format!("runtime/src/{path}") } else { path.to_owned() };
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            if full.starts_with("runtime/") && !root.join(&full).exists() {
                wrong.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "the text names files that are not there:\n{}", wrong.join("\n"));
}
