//! What the runtime's tests share: a log of everything the loop does, a future that is opened by hand,
//! counters of drops, and child processes.

#![allow(dead_code, reason = "each test file is a crate of its own and uses its own part of this")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use mainspring::observe::{Detail, Event, Kind, Observer, PollOutcome, TaskInfo, WakeEffect};
use mainspring::time::Clock;
use mainspring::{Builder, Runtime};

/// Lines written by tests, tasks and the loop itself, in the order in which things happened.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn new() -> Log {
        Log::default()
    }

    pub fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    /// Everything since the last call.
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// An observer that writes into this log.
    pub fn observer(&self) -> impl Observer + 'static {
        Scribe(self.clone())
    }
}

/// Keeps every event it is told, at its level of detail.
#[derive(Clone)]
pub struct Events(pub Rc<RefCell<Vec<Event>>>, pub Detail);

impl Observer for Events {
    fn detail(&self) -> Detail {
        self.1
    }

    fn on_event(&mut self, event: &Event) {
        self.0.borrow_mut().push(*event);
    }
}

struct Scribe(Log);

impl Observer for Scribe {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        if let Some(name) = task.name {
            self.0.add(format!("task {} is {name:?}", task.id));
        }
    }

    fn on_event(&mut self, event: &Event) {
        let text = describe(event.kind);
        self.0.add(match event.task {
            0 => text,
            task => format!("task {task} {text}"),
        });
    }
}

/// One event in a few words; times in milliseconds.
fn describe(kind: Kind) -> String {
    let or_nobody = |id: u64| if id == 0 { "nobody".to_owned() } else { format!("task {id}") };
    match kind {
        Kind::TurnStarted { ready, turn } => format!("-- turn {turn}, {ready} ready"),
        Kind::TurnEnded => "-- turn ended".to_owned(),
        Kind::LoopEntered => "== entered".to_owned(),
        Kind::LoopLeft { why } => format!("== left: {why:?}"),
        Kind::Spawned { parent } => format!("spawned by {}", or_nobody(parent)),
        Kind::Woken { effect, by, id } => {
            let effect = match effect {
                WakeEffect::Scheduled => "scheduled",
                WakeEffect::Coalesced => "woken again",
                WakeEffect::Deferred => "woken while running",
                WakeEffect::Stale => "woken too late",
            };
            format!("{effect} by {by:?} {id}")
        }
        Kind::PollStarted { .. } => "runs".to_owned(),
        Kind::PollEnded { outcome: PollOutcome::Pending, requeued: true, .. } => "requeued".into(),
        Kind::PollEnded { outcome: PollOutcome::Pending, holders, .. } => {
            format!("pending, {holders} wakers")
        }
        Kind::PollEnded { outcome, .. } => format!("{outcome:?}").to_lowercase(),
        Kind::Done { panicked, beat_cancel } => {
            let how = if panicked { " by panic" } else { "" };
            let beat = if beat_cancel { ", before its cancel" } else { "" };
            format!("done{how}{beat}")
        }
        Kind::Cancelled { origin, by } => format!("cancelled by {origin:?} of {}", or_nobody(by)),
        Kind::CancelRequested { effect, by } => {
            format!("cancel {effect:?} by {}", or_nobody(by))
        }
        Kind::WaitsForTask { on } => format!("waits for task {on}"),
        Kind::ClockJumped { to } => format!("clock jumps to {} ms", to / 1_000_000),
        Kind::TimerArmed { timer, deadline } => {
            format!("timer {timer} armed for {} ms", deadline / 1_000_000)
        }
        Kind::TimerFired { timer, late } => {
            format!("timer {timer} fired {} ms late", late / 1_000_000)
        }
        other => format!("{other:?}"),
    }
}

/// A runtime on a virtual clock.
pub fn virtual_runtime() -> Runtime {
    virtual_builder().build().expect("a poller")
}

pub fn virtual_builder() -> Builder {
    Runtime::builder().clock(Clock::Virtual)
}

/// A virtual runtime and the log of all it does.
pub fn observed_runtime() -> (Runtime, Log) {
    let log = Log::new();
    (virtual_builder().observer(log.observer()).build().expect("a poller"), log)
}

/// Counts its drops.
#[derive(Clone, Default)]
pub struct Drops(Rc<Cell<u32>>);

impl Drops {
    pub fn count(&self) -> u32 {
        self.0.get()
    }

    pub fn guard(&self) -> DropGuard {
        DropGuard(self.clone())
    }
}

/// Adds one to its counter when it is dropped.
pub struct DropGuard(Drops);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.0.set(self.0.count() + 1);
    }
}

/// Ready once it is opened; until then its waker lies where others find it.
#[derive(Clone, Default)]
pub struct Gate(Rc<RefCell<(bool, Option<Waker>)>>);

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Makes it ready and wakes whoever waits.
    pub fn open(&self) {
        let waker = {
            let mut place = self.0.borrow_mut();
            place.0 = true;
            place.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The waker of whoever waits.
    pub fn waker(&self) -> Option<Waker> {
        self.0.borrow().1.clone()
    }
}

impl Future for Gate {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut place = self.0.borrow_mut();
        if place.0 {
            return Poll::Ready(());
        }
        place.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Runs `f`, which must panic, and returns the panic's text.
pub fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// Runs `body` in a child process of this test binary, and returns what the runtime wrote to stderr
/// there: its own lines alone, without those of the standard panic hook. `test` is the name of the
/// calling test, which the child runs again, up to this very place.
pub fn stderr_of_child(test: &str, body: impl FnOnce()) -> Vec<String> {
    const CHILD: &str = "MAINSPRING_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("a child process");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "the child failed:\n{stderr}");
    stderr.lines().filter(|line| line.starts_with("mainspring: ")).map(str::to_owned).collect()
}

/// Calls `f` once, at the moment when the loop has announced its sleep and before it sleeps.
pub struct AtFirstSleep<F>(pub Option<F>);

impl<F: FnOnce()> Observer for AtFirstSleep<F> {
    fn on_event(&mut self, event: &Event) {
        if matches!(event.kind, Kind::Parked { timeout: u64::MAX })
            && let Some(f) = self.0.take()
        {
            f();
        }
    }
}
