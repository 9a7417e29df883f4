//! Every combination of what a future does, what becomes of its handle, when it is cancelled and when
//! its runtime goes: 630 short lives of one task, each compared with a plain account of how it should
//! have gone. Each is lived four times: in a fresh place and in one that an earlier task has left, with
//! an observer and without, since the loop takes other paths then.
//!
//! Checked in each: the state, result and origin that the handle tells; how often the body ran; that
//! the future was dropped exactly once, on the loop's thread, before anybody was told; and that an
//! output was dropped exactly once if there was one.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use mainspring::future::yield_now;
use mainspring::observe::CancelOrigin;
use mainspring::{AbortOnDrop, JoinError, JoinHandle, Remote, Runtime, TaskId, TaskState};
use support::{Gate, Log, observed_runtime, virtual_runtime};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    ReadyAtOnce,
    PendingThenReady,
    PanicsInPoll,
    PanicsInPollAndInDrop,
    ReadyThenPanicsInDrop,
    PendingForEver,
    PendingThenPanicsInDrop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handle {
    Kept,
    DroppedBefore,
    DroppedAfter,
    AwaitedByATask,
    AbortOnDrop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cancel {
    Never,
    BeforeTheFirstPoll,
    DuringThePoll,
    WhileIdle,
    AfterTheEnd,
    FromAnotherThread,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Loop {
    RunsToTheEnd,
    DroppedBeforeTheFirstPoll,
    DroppedBeforeTheEnd,
}

use Does::*;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Case {
    does: Does,
    handle: Handle,
    cancel: Cancel,
    runtime: Loop,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value,
    Panic,
    Cancelled(CancelOrigin),
}

/// What was seen of one life.
#[derive(Debug, PartialEq)]
struct Account {
    /// Nobody holds the handle: nobody knows.
    end: Option<End>,
    /// What the task that awaited it was given.
    awaited: Option<End>,
    ran: bool,
    outputs_made: u32,
    outputs_dropped: u32,
    futures_dropped: Vec<ThreadId>,
    /// Futures dropped by the time a callback ran, if one did.
    told_after: Option<usize>,
}

/// What the case should look like, told as simply as possible.
fn expected(case: Case) -> Account {
    let Case { does, handle, cancel, runtime } = case;
    // A request goes through the handle where there is one, and through a remote otherwise. One that
    // comes by message is lost if the loop goes away before it reads it.
    let asked = match (cancel, handle) {
        (Cancel::FromAnotherThread, _) | (_, Handle::DroppedBefore) => CancelOrigin::Remote,
        _ => CancelOrigin::Handle,
    };
    let unread = if asked == CancelOrigin::Remote { CancelOrigin::Shutdown } else { asked };
    let dropped_early = runtime == Loop::DroppedBeforeTheFirstPoll;
    let asked_first = cancel == Cancel::BeforeTheFirstPoll;
    let ran = !dropped_early && !asked_first;
    let end = if dropped_early {
        End::Cancelled(if asked_first { unread } else { CancelOrigin::Shutdown })
    } else if asked_first {
        End::Cancelled(asked)
    } else if does == ReadyAtOnce {
        End::Value
    } else if panics(does) {
        End::Panic
    } else if cancel == Cancel::DuringThePoll {
        // The request is made on the loop's thread, but a message is read after the poll.
        End::Cancelled(asked)
    } else if matches!(cancel, Cancel::WhileIdle | Cancel::FromAnotherThread) {
        let read = runtime == Loop::RunsToTheEnd;
        let first = if handle == Handle::AbortOnDrop && asked == CancelOrigin::Remote {
            // The message waits for the loop to read it; the handle is dropped before that.
            CancelOrigin::HandleDropped
        } else if read {
            asked
        } else {
            unread
        };
        End::Cancelled(first)
    } else if handle == Handle::AbortOnDrop {
        End::Cancelled(CancelOrigin::HandleDropped)
    } else if runtime == Loop::DroppedBeforeTheEnd {
        End::Cancelled(CancelOrigin::Shutdown)
    } else if does == PendingThenReady {
        End::Value
    } else if cancel == Cancel::AfterTheEnd {
        // It has no end but this.
        End::Cancelled(asked)
    } else {
        End::Cancelled(CancelOrigin::Shutdown)
    };
    let made = ran && (end == End::Value || does == ReadyThenPanicsInDrop);
    // A loop that is dropped runs no callbacks and polls no awaiting task.
    let over_in_the_loop = match runtime {
        Loop::DroppedBeforeTheFirstPoll => false,
        Loop::DroppedBeforeTheEnd => {
            asked_first || cancel == Cancel::DuringThePoll || does == ReadyAtOnce || panics(does)
        }
        Loop::RunsToTheEnd => end != End::Cancelled(CancelOrigin::Shutdown),
    };
    let awaited = handle == Handle::AwaitedByATask && over_in_the_loop;
    Account {
        end: matches!(handle, Handle::Kept | Handle::AwaitedByATask).then_some(end),
        awaited: awaited.then_some(end),
        ran,
        outputs_made: u32::from(made),
        outputs_dropped: u32::from(made),
        futures_dropped: vec![thread::current().id()],
        told_after: over_in_the_loop.then_some(1),
    }
}

/// Whether its first poll ends in a panic; which of two panics it was, the test of tasks tells.
fn panics(does: Does) -> bool {
    matches!(does, PanicsInPoll | PanicsInPollAndInDrop | ReadyThenPanicsInDrop)
}

#[derive(Default)]
struct Seen {
    ran: Cell<bool>,
    made: Cell<u32>,
    outputs_dropped: Cell<u32>,
    futures_dropped: RefCell<Vec<ThreadId>>,
    told_after: Cell<Option<usize>>,
    awaited: Cell<Option<End>>,
}

struct Output(Rc<Seen>);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.outputs_dropped.set(self.0.outputs_dropped.get() + 1);
    }
}

/// The future whose life is looked at.
struct Subject {
    does: Does,
    gate: Gate,
    cancel_in_poll: Option<Canceller>,
    seen: Rc<Seen>,
}

impl Future for Subject {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.seen.ran.set(true);
        if let Some(cancel) = self.cancel_in_poll.take() {
            cancel.now();
        }
        let ready = match self.does {
            ReadyAtOnce | ReadyThenPanicsInDrop => true,
            // As `panic!` does, without the hook that prints.
            PanicsInPoll | PanicsInPollAndInDrop => resume_unwind(Box::new("in poll")),
            PendingThenReady | PendingForEver | PendingThenPanicsInDrop => {
                Pin::new(&mut self.gate).poll(cx).is_ready()
            }
        };
        if !ready {
            return Poll::Pending;
        }
        self.seen.made.set(self.seen.made.get() + 1);
        Poll::Ready(Output(self.seen.clone()))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.seen.futures_dropped.borrow_mut().push(thread::current().id());
        if matches!(
            self.does,
            PanicsInPollAndInDrop | ReadyThenPanicsInDrop | PendingThenPanicsInDrop
        ) {
            resume_unwind(Box::new("in drop"));
        }
    }
}

enum Held {
    Plain(JoinHandle<Output>),
    Aborting(AbortOnDrop<Output>),
}

impl Held {
    fn handle(&self) -> &JoinHandle<Output> {
        match self {
            Held::Plain(handle) => handle,
            Held::Aborting(handle) => handle,
        }
    }
}

type Shared = Rc<RefCell<Option<Held>>>;

#[derive(Clone)]
struct Canceller {
    held: Shared,
    id: Rc<Cell<Option<TaskId>>>,
    remote: Remote,
}

impl Canceller {
    fn now(&self) {
        match &*self.held.borrow() {
            Some(held) => held.handle().cancel(),
            None => self.remote.cancel(self.id.get().unwrap()).unwrap_or(()),
        }
    }
}

fn end_of(result: &Result<Output, JoinError>) -> End {
    match result {
        Ok(_) => End::Value,
        Err(error) if error.is_panic() => End::Panic,
        Err(error) => End::Cancelled(error.cancelled_by().expect("cancelled").0),
    }
}

/// Lets everything that can happen happen.
fn settle(runtime: &mut Runtime) {
    runtime.block_on(async {
        for _ in 0..5 {
            yield_now().await;
        }
    });
}

/// A task of the same type that lived before, and leaves its place and its memory.
fn live_before(runtime: &mut Runtime) {
    let (seen, gate) = (Rc::new(Seen::default()), Gate::new());
    let before = Subject { does: ReadyAtOnce, gate, cancel_in_poll: None, seen: seen.clone() };
    drop(runtime.spawn(before));
    settle(runtime);
    assert_eq!((seen.outputs_dropped.get(), seen.futures_dropped.borrow().len()), (1, 1));
}

fn live(case: Case, reused: bool, observed: bool) -> Account {
    let Case { does, handle, cancel, runtime: fate } = case;
    let seen = Rc::new(Seen::default());
    let gate = Gate::new();
    let held = Shared::default();
    let (mut runtime, log) =
        if observed { observed_runtime() } else { (virtual_runtime(), Log::new()) };
    if reused {
        live_before(&mut runtime);
    }
    let id = Rc::new(Cell::new(None));
    let canceller = Canceller { held: held.clone(), id: id.clone(), remote: runtime.remote() };
    let cancel_in_poll = (cancel == Cancel::DuringThePoll).then(|| canceller.clone());
    let subject = Subject { does, gate: gate.clone(), cancel_in_poll, seen: seen.clone() };
    let spawned = runtime.spawn(subject);
    id.set(Some(spawned.id()));
    let told = seen.clone();
    spawned.add_done_callback(move |handle| {
        assert!(handle.is_finished());
        told.told_after.set(Some(told.futures_dropped.borrow().len()));
    });
    match handle {
        Handle::DroppedBefore => drop(spawned),
        Handle::AbortOnDrop => *held.borrow_mut() = Some(Held::Aborting(spawned.abort_on_drop())),
        _ => *held.borrow_mut() = Some(Held::Plain(spawned)),
    }
    if handle == Handle::AwaitedByATask {
        let (shared, seen) = (held.clone(), seen.clone());
        drop(runtime.spawn(async move {
            let result = poll_fn(|cx| match shared.borrow_mut().as_mut() {
                Some(Held::Plain(handle)) => Pin::new(handle).poll(cx),
                _ => unreachable!("it stays there"),
            })
            .await;
            assert_eq!(seen.futures_dropped.borrow().len(), 1, "dropped before it was told");
            seen.awaited.set(Some(end_of(&result)));
        }));
    }

    let mut runtime = Some(runtime);
    if cancel == Cancel::BeforeTheFirstPoll {
        canceller.now();
    }
    if fate == Loop::DroppedBeforeTheFirstPoll {
        runtime = None;
    }
    if let Some(runtime) = &mut runtime {
        settle(runtime);
    }
    if cancel == Cancel::WhileIdle {
        canceller.now();
    }
    if cancel == Cancel::FromAnotherThread {
        let (remote, id) = (canceller.remote.clone(), id.get().unwrap());
        let sent = thread::spawn(move || remote.cancel(id)).join().unwrap();
        assert_eq!(sent.is_ok(), runtime.is_some());
    }
    if handle == Handle::AbortOnDrop {
        let aborting = held.take();
        drop(aborting);
    }
    if fate == Loop::DroppedBeforeTheEnd {
        runtime = None;
    }
    if does == PendingThenReady {
        gate.open();
    }
    if let Some(runtime) = &mut runtime {
        settle(runtime);
    }
    if cancel == Cancel::AfterTheEnd {
        canceller.now();
    }
    if let Some(runtime) = &mut runtime {
        settle(runtime);
    }
    if handle == Handle::DroppedAfter {
        let kept = held.take();
        drop(kept);
    }
    drop(runtime);
    assert_eq!(log.take().is_empty(), !observed);
    Account {
        end: look_at(&held, &seen),
        awaited: seen.awaited.get(),
        ran: seen.ran.get(),
        outputs_made: seen.made.get(),
        outputs_dropped: seen.outputs_dropped.get(),
        futures_dropped: seen.futures_dropped.take(),
        told_after: seen.told_after.get(),
    }
}

/// What the handle says in the end, and whether all that it says agrees.
fn look_at(held: &Shared, seen: &Seen) -> Option<End> {
    let Some(Held::Plain(mut handle)) = held.take() else { return None };
    let end = match seen.awaited.get() {
        Some(end) => end,
        None => end_of(&handle.try_result().expect("it is over")),
    };
    let state =
        if matches!(end, End::Cancelled(_)) { TaskState::Cancelled } else { TaskState::Done };
    assert_eq!(handle.state(), state);
    Some(end)
}

#[test]
fn every_life_of_a_task_goes_as_it_should() {
    let mut lives = 0;
    for does in [
        ReadyAtOnce,
        PendingThenReady,
        PanicsInPoll,
        PanicsInPollAndInDrop,
        ReadyThenPanicsInDrop,
        PendingForEver,
        PendingThenPanicsInDrop,
    ] {
        for handle in [
            Handle::Kept,
            Handle::DroppedBefore,
            Handle::DroppedAfter,
            Handle::AwaitedByATask,
            Handle::AbortOnDrop,
        ] {
            for cancel in [
                Cancel::Never,
                Cancel::BeforeTheFirstPoll,
                Cancel::DuringThePoll,
                Cancel::WhileIdle,
                Cancel::AfterTheEnd,
                Cancel::FromAnotherThread,
            ] {
                for runtime in
                    [Loop::RunsToTheEnd, Loop::DroppedBeforeTheFirstPoll, Loop::DroppedBeforeTheEnd]
                {
                    let case = Case { does, handle, cancel, runtime };
                    for (reused, observed) in
                        [(false, false), (false, true), (true, false), (true, true)]
                    {
                        let account = live(case, reused, observed);
                        let told = format!("{case:?}, reused: {reused}, observed: {observed}");
                        assert_eq!(account, expected(case), "{told}");
                    }
                    lives += 1;
                }
            }
        }
    }
    assert_eq!(lives, 630);
}
