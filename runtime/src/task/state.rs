//! 4 of 14. Which states has a task, and who changes them? Next: `task/waker.rs`, what a wake does.
//!
//! ```text
//!  spawn ─1─► SCHEDULED ──2──► RUNNING ──3──► DONE
//!              ▲   │            │ │ └────4──► CANCELLED
//!            6 │   │ 7          │ └──────5──► SCHEDULED
//!              │   ▼            │ 5
//!              │ CANCELLED      ▼
//!              └────────────── IDLE               8: IDLE, SCHEDULED ─► CANCELLED
//! ```
//!
//! 1. [`State::spawned`], [`State::respawn`]: a new task enters the ready queue.
//! 2. [`State::take`]: the loop takes it from there, to poll it.
//! 3. [`State::complete`]: its poll returned a value, or panicked.
//! 4. [`State::end_poll`]: its poll returned pending, and a cancel was requested.
//! 5. [`State::end_poll`]: its poll returned pending; it was woken meanwhile, or was not.
//! 6. [`State::wake`], [`State::request_cancel`]: it enters the ready queue again.
//! 7. [`State::take`]: a cancel was requested, so it is not polled any more.
//! 8. [`State::shut_down`]: the runtime is being dropped.
//!
//! Idle and scheduled are the two kinds of *pending*. A scheduled task has exactly one entry in the ready queue,
//! every other task has none. Each edge is a verb that returns what its caller must do next; one that is not
//! in the picture panics, in every build, since a loop that went on would lie about its tasks.
//!
//! Nothing outside of this file changes a state, and this file knows nothing of futures, queues or
//! wakers. Only the loop's thread calls the verbs. The byte is an atomic because it is beside what other threads
//! may touch (a waker is `Send`), not because they touch it: relaxed loads and stores compile to plain moves.
//!
//! The verbs of a poll compare the whole byte with what it mostly is and store a constant. A state computed
//! from the last one would make each of the four steps of a poll wait for the one before.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The state of a task, as its [`JoinHandle`](crate::JoinHandle) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waiting, for a wake or for its turn.
    Pending(Pending),
    /// Being polled at this moment.
    Running,
    /// Finished: it returned a value or panicked.
    Done,
    /// Finished: it was cancelled, and its future dropped.
    Cancelled,
}

/// The two kinds of pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// It waits for a wake.
    Idle,
    /// It is in the ready queue and waits for its turn.
    Scheduled,
}

impl TaskState {
    /// Whether the task is done or cancelled.
    pub fn is_finished(self) -> bool {
        matches!(self, TaskState::Done | TaskState::Cancelled)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskState::Pending(_) => "pending",
            TaskState::Running => "running",
            TaskState::Done => "done",
            TaskState::Cancelled => "cancelled",
        })
    }
}

/// What a wake asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnWake {
    /// It was idle: put it into the ready queue.
    Enqueue,
    /// It is in the ready queue already.
    Coalesced,
    /// It is running: the end of its poll will requeue it.
    Deferred,
    /// It is finished: nothing to do.
    Stale,
}

/// What taking a task from the ready queue asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnTake {
    /// Poll its future.
    Poll,
    /// Drop its future unpolled: it is cancelled.
    Drop,
}

/// What a poll that returned pending asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnPending {
    /// Keep it until it is woken.
    Keep,
    /// It was woken while it ran: put it into the ready queue.
    Requeue,
    /// A cancel was requested while it ran: drop its future.
    Drop,
}

/// What a cancel request asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnCancel {
    /// It was idle: put it into the ready queue, where the loop will find the request.
    Enqueue,
    /// It is in the ready queue already.
    Queued,
    /// It is running: the end of its poll will find the request.
    Deferred,
    /// It is finished, or a cancel was requested before: nothing changes.
    Ignored,
}

/// The task waits for a wake, and is not in the ready queue.
///
/// Set by `end_poll`. Cleared by `wake`, `request_cancel` and `shut_down`. Excludes both flags.
const IDLE: u8 = 0;
/// The task is in the ready queue, once.
///
/// Set by `spawned`, `respawn`, `wake`, `request_cancel` and `end_poll`. Cleared by `take` and `shut_down`.
/// Excludes [`WOKEN`]: a second wake changes nothing.
const SCHEDULED: u8 = 1;
/// The task is out of the ready queue and being polled.
///
/// Set by `take`. Cleared by `end_poll` and `complete`. Both flags may join it.
const RUNNING: u8 = 2;
/// The task returned a value or panicked. Its future is gone; the result may be there still.
///
/// Set by `complete`. Cleared by `respawn`, when the next task gets the slot. Excludes both flags.
const DONE: u8 = 3;
/// The task was cancelled. Its future is gone, or is being dropped at this moment.
///
/// Set by `take`, `end_poll` and `shut_down`. Cleared by `respawn`. Excludes both flags.
const CANCELLED: u8 = 4;
/// The bits of the five states.
const STATE: u8 = 0b0111;
/// Flag: the running task was woken, so the end of its poll puts it into the ready queue.
///
/// Set by `wake`, only while [`RUNNING`]. Cleared by `end_poll` and `complete`.
const WOKEN: u8 = 0b0000_1000;
/// Flag: a cancel was requested, and takes effect when the loop next holds the task.
///
/// Set by `request_cancel`, in [`SCHEDULED`] and [`RUNNING`]. Cleared by `take`, `end_poll`, `complete` (which
/// beats it) and `shut_down`.
const CANCEL: u8 = 0b0001_0000;

/// One task's place in the machine.
pub(crate) struct State(AtomicU8);

impl State {
    /// A task that was just spawned.
    pub(crate) fn spawned() -> State {
        State(AtomicU8::new(SCHEDULED))
    }

    /// The next task in this slot; the last one must be finished.
    #[inline]
    pub(crate) fn respawn(&self) {
        let old = self.bits();
        assert!(old & STATE >= DONE, "a {} task's slot was given away", name(old));
        self.set(SCHEDULED);
    }

    /// Idle → scheduled; a running task is marked as woken. In every other state a wake changes nothing.
    #[inline]
    pub(crate) fn wake(&self) -> OnWake {
        let old = self.bits();
        // Idle and running differ in one bit: one comparison tells them from all else.
        if old & !RUNNING == IDLE {
            if old == IDLE {
                self.set(SCHEDULED);
                return OnWake::Enqueue;
            }
            self.set(RUNNING | WOKEN);
            return OnWake::Deferred;
        }
        match old & STATE {
            SCHEDULED => OnWake::Coalesced,
            // Woken before, or to be dropped at the end of its poll.
            RUNNING => OnWake::Deferred,
            _ => OnWake::Stale,
        }
    }

    /// Scheduled → running, or → cancelled if that was requested.
    pub(crate) fn take(&self) -> OnTake {
        let old = self.bits();
        if old == SCHEDULED {
            self.set(RUNNING);
            return OnTake::Poll;
        }
        assert!(old == SCHEDULED | CANCEL, "a {} task was taken", name(old));
        self.set(CANCELLED);
        OnTake::Drop
    }

    /// Running → idle, scheduled or cancelled: its poll returned pending.
    pub(crate) fn end_poll(&self) -> OnPending {
        let old = self.bits();
        if old == RUNNING {
            self.set(IDLE);
            return OnPending::Keep;
        }
        if old == RUNNING | WOKEN {
            self.set(SCHEDULED);
            return OnPending::Requeue;
        }
        assert!(old & STATE == RUNNING, "a {} task's poll ended", name(old));
        self.set(CANCELLED);
        OnPending::Drop
    }

    /// Running → done: its poll returned a value or panicked. Completion beats a late cancel; says
    /// whether there was one to beat.
    pub(crate) fn complete(&self) -> bool {
        let old = self.bits();
        assert!(old & STATE == RUNNING, "a {} task completed", name(old));
        self.set(DONE);
        old & CANCEL != 0
    }

    /// Asks for a cancel. It takes effect when the loop next holds the task.
    pub(crate) fn request_cancel(&self) -> OnCancel {
        let old = self.bits();
        if old & CANCEL != 0 {
            return OnCancel::Ignored;
        }
        match old & STATE {
            IDLE => {
                self.set(CANCEL | SCHEDULED);
                OnCancel::Enqueue
            }
            SCHEDULED => {
                self.set(old | CANCEL);
                OnCancel::Queued
            }
            RUNNING => {
                self.set(old | CANCEL);
                OnCancel::Deferred
            }
            _ => OnCancel::Ignored,
        }
    }

    /// Pending → cancelled: the runtime goes away.
    pub(crate) fn shut_down(&self) {
        let old = self.bits();
        assert!(matches!(old & STATE, IDLE | SCHEDULED), "a {} task was shut down", name(old));
        self.set(CANCELLED);
    }

    /// Where the task is now.
    pub(crate) fn get(&self) -> TaskState {
        match self.bits() & STATE {
            IDLE => TaskState::Pending(Pending::Idle),
            SCHEDULED => TaskState::Pending(Pending::Scheduled),
            RUNNING => TaskState::Running,
            DONE => TaskState::Done,
            _ => TaskState::Cancelled,
        }
    }

    /// Whether a cancel was requested that has not taken effect yet.
    pub(crate) fn is_cancel_requested(&self) -> bool {
        self.bits() & CANCEL != 0
    }

    #[inline]
    fn bits(&self) -> u8 {
        self.0.load(Relaxed)
    }

    #[inline]
    fn set(&self, bits: u8) {
        self.0.store(bits, Relaxed);
    }
}

fn name(bits: u8) -> &'static str {
    ["idle", "scheduled", "running", "done", "cancelled"][usize::from(bits & STATE)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const ALL: [u8; 9] = [
        IDLE,
        SCHEDULED,
        SCHEDULED | CANCEL,
        RUNNING,
        RUNNING | WOKEN,
        RUNNING | CANCEL,
        RUNNING | WOKEN | CANCEL,
        DONE,
        CANCELLED,
    ];

    /// Walks one verb from every state there is and writes down what came of it.
    fn walk<T: fmt::Debug>(verb: impl Fn(&State) -> T) -> Vec<String> {
        ALL.iter()
            .map(|&bits| {
                let state = State(AtomicU8::new(bits));
                let flags = |b: u8| {
                    let woken = if b & WOKEN != 0 { "+woken" } else { "" };
                    let cancel = if b & CANCEL != 0 { "+cancel" } else { "" };
                    format!("{}{woken}{cancel}", name(b))
                };
                match catch_unwind(AssertUnwindSafe(|| verb(&state))) {
                    Ok(answer) => {
                        format!("{} → {}: {answer:?}", flags(bits), flags(state.bits()))
                    }
                    Err(_) => {
                        assert_eq!(state.bits(), bits, "a refused transition changes nothing");
                        format!("{}: refused", flags(bits))
                    }
                }
            })
            .collect()
    }

    #[test]
    fn wake_from_every_state() {
        assert_eq!(
            walk(State::wake),
            [
                "idle → scheduled: Enqueue",
                "scheduled → scheduled: Coalesced",
                "scheduled+cancel → scheduled+cancel: Coalesced",
                "running → running+woken: Deferred",
                "running+woken → running+woken: Deferred",
                "running+cancel → running+cancel: Deferred",
                "running+woken+cancel → running+woken+cancel: Deferred",
                "done → done: Stale",
                "cancelled → cancelled: Stale",
            ]
        );
    }

    #[test]
    fn take_from_every_state() {
        assert_eq!(
            walk(State::take),
            [
                "idle: refused",
                "scheduled → running: Poll",
                "scheduled+cancel → cancelled: Drop",
                "running: refused",
                "running+woken: refused",
                "running+cancel: refused",
                "running+woken+cancel: refused",
                "done: refused",
                "cancelled: refused",
            ]
        );
    }

    #[test]
    fn end_poll_from_every_state() {
        assert_eq!(
            walk(State::end_poll),
            [
                "idle: refused",
                "scheduled: refused",
                "scheduled+cancel: refused",
                "running → idle: Keep",
                "running+woken → scheduled: Requeue",
                "running+cancel → cancelled: Drop",
                "running+woken+cancel → cancelled: Drop",
                "done: refused",
                "cancelled: refused",
            ]
        );
    }

    #[test]
    fn complete_from_every_state() {
        assert_eq!(
            walk(State::complete),
            [
                "idle: refused",
                "scheduled: refused",
                "scheduled+cancel: refused",
                "running → done: false",
                "running+woken → done: false",
                "running+cancel → done: true",
                "running+woken+cancel → done: true",
                "done: refused",
                "cancelled: refused",
            ]
        );
    }

    #[test]
    fn request_cancel_from_every_state() {
        assert_eq!(
            walk(State::request_cancel),
            [
                "idle → scheduled+cancel: Enqueue",
                "scheduled → scheduled+cancel: Queued",
                "scheduled+cancel → scheduled+cancel: Ignored",
                "running → running+cancel: Deferred",
                "running+woken → running+woken+cancel: Deferred",
                "running+cancel → running+cancel: Ignored",
                "running+woken+cancel → running+woken+cancel: Ignored",
                "done → done: Ignored",
                "cancelled → cancelled: Ignored",
            ]
        );
    }

    #[test]
    fn shut_down_from_every_state() {
        assert_eq!(
            walk(State::shut_down),
            [
                "idle → cancelled: ()",
                "scheduled → cancelled: ()",
                "scheduled+cancel → cancelled: ()",
                "running: refused",
                "running+woken: refused",
                "running+cancel: refused",
                "running+woken+cancel: refused",
                "done: refused",
                "cancelled: refused",
            ]
        );
    }

    #[test]
    fn respawn_from_every_state() {
        assert_eq!(
            walk(State::respawn),
            [
                "idle: refused",
                "scheduled: refused",
                "scheduled+cancel: refused",
                "running: refused",
                "running+woken: refused",
                "running+cancel: refused",
                "running+woken+cancel: refused",
                "done → scheduled: ()",
                "cancelled → scheduled: ()",
            ]
        );
    }
}
