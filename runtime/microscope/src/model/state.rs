//! What a model is made of: plain data, and how it is written into a trace's snapshot.

use std::collections::BTreeSet;

use mainspring::observe::{CancelOrigin, CauseKind, Direction, SourceKind};
use serde::{Deserialize, Serialize};

use super::waits::{Waits, pairs};
use crate::schema::wire;

/// What the loop is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Phase {
    /// It does not have the thread.
    #[default]
    Outside,
    /// It has the thread, and no turn has begun.
    Between,
    /// In a turn.
    Turning,
    /// Asking the operating system for readiness, and perhaps asleep.
    Parked {
        /// Since when.
        since: u64,
        /// For how long at most.
        #[serde(with = "wire")]
        timeout: u64,
    },
    /// Handing out what the operating system answered.
    Dispatching,
}

/// The state of a task.
///
/// ```text
///  spawned ─► Scheduled ─poll_started─► Running ─poll_ended─► Ending ─done─► Done
///              ▲   │                       │
///        woken │   │ cancelled             │ poll_ended{pending}: Idle, or Scheduled if requeued
///              │   ▼                       ▼
///            Idle ─cancelled─► Cancelled
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Pending, and waiting for a wake.
    Idle,
    /// Pending, in the ready queue.
    #[default]
    Scheduled,
    /// Its future is being polled.
    Running,
    /// Its last poll has returned; its future is being dropped.
    Ending {
        /// The poll panicked.
        panicked: bool,
    },
    /// It returned or panicked.
    Done {
        /// It panicked.
        panicked: bool,
        /// A cancel came too late.
        beat_cancel: bool,
    },
    /// Its future was dropped before it was ready.
    Cancelled {
        /// Who wanted it.
        #[serde(with = "wire")]
        origin: CancelOrigin,
        /// The task that asked, or 0.
        by: u64,
    },
}

impl State {
    /// Done or cancelled: nothing changes it any more.
    pub fn is_ended(self) -> bool {
        matches!(self, State::Done { .. } | State::Cancelled { .. })
    }

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Scheduled => "scheduled",
            State::Running => "running",
            State::Ending { .. } => "ending",
            State::Done { panicked: false, .. } => "done",
            State::Done { panicked: true, .. } => "panicked",
            State::Cancelled { .. } => "cancelled",
        }
    }
}

/// A wake, and the event that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Number of the event.
    pub event: u64,
    /// When.
    pub at: u64,
    /// What kind of thing did it.
    #[serde(with = "wire")]
    pub by: CauseKind,
    /// Which one.
    pub id: u64,
}

/// A cancel request, and the event that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Number of the event.
    pub event: u64,
    /// The task that asked, or 0.
    pub by: u64,
}

/// A task. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: u64,
    /// The task that spawned it, or 0.
    pub parent: u64,
    /// Its state.
    pub state: State,
    /// When it entered its state.
    pub since: u64,
    /// Number of the event that brought it into its state.
    pub since_event: u64,
    /// When it was spawned.
    pub spawned: u64,
    /// Number of the event of its spawn.
    pub spawned_event: u64,
    /// Polls begun.
    pub polls: u64,
    /// Number of the event that began the latest.
    pub poll_event: u64,
    /// Time spent in ended polls.
    pub busy: u64,
    /// Time spent in the ready queue before each begun poll.
    pub queued: u64,
    /// Longest ended poll.
    pub longest_poll: u64,
    /// Number of the event that ended it.
    pub longest_poll_event: u64,
    /// Longest stay in the ready queue.
    pub longest_queued: u64,
    /// Wakes, with and without effect.
    pub wakes: u64,
    /// Wakes by the task itself.
    pub self_wakes: u64,
    /// The wake that last scheduled it.
    pub woken: Option<Wake>,
    /// Wakers of it that were held when last counted, at the beginning and the end of its polls: by what it
    /// waits on, and outside of the loop.
    pub holders: u32,
    /// How many more they were than at the count before, summed up: at least so many clones were made.
    pub waker_clones: u64,
    /// How many fewer they were, summed up: at least so many were dropped. One that was made and dropped
    /// between two counts is in neither.
    pub waker_drops: u64,
    /// How many of them were held by nothing that the loop knows.
    pub outside: u32,
    /// The first cancel request that was not ignored.
    pub cancel: Option<Cancel>,
    /// Its handle has been dropped.
    pub detached: bool,
    /// Its result has been read.
    pub output_taken: bool,
    /// It panicked, and its result was dropped unread.
    pub panic_unseen: bool,
    /// What it waits on.
    #[serde(with = "pairs")]
    pub waits: Waits,
    /// The task that waits for this one, or 0.
    pub joiner: u64,
    /// Open spans in it: the latest is the innermost, or one arm beside others.
    pub spans: BTreeSet<u64>,
}

impl Task {
    pub(super) fn spawned(id: u64, parent: u64, at: u64, event: u64) -> Task {
        let mut task = Task { id, parent, spawned: at, spawned_event: event, ..Task::default() };
        task.enter(State::Scheduled, at, event);
        task
    }

    /// So many of its wakers are held now; `u32::MAX` if they were not counted.
    pub(super) fn hold(&mut self, holders: u32) {
        if holders != u32::MAX {
            self.waker_clones += u64::from(holders.saturating_sub(self.holders));
            self.waker_drops += u64::from(self.holders.saturating_sub(holders));
            self.holders = holders;
        }
    }

    pub(super) fn enter(&mut self, state: State, at: u64, event: u64) {
        self.state = state;
        self.since = at;
        self.since_event = event;
    }
}

/// An armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its id.
    pub id: u64,
    /// The task that waits for it, or 0.
    pub task: u64,
    /// When it is due.
    #[serde(with = "wire")]
    pub deadline: u64,
    /// Number of the event that armed it.
    pub event: u64,
    /// When it was armed.
    pub at: u64,
}

/// A registered source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its id.
    pub id: u64,
    /// What it is.
    #[serde(with = "wire")]
    pub kind: SourceKind,
    /// Its file descriptor, or -1.
    pub fd: i32,
    /// The task that registered it.
    pub task: u64,
    /// Number of the event that registered it.
    pub event: u64,
    /// 1 + number of the event that made it readable, or 0 once an attempt would have blocked.
    pub readable: u64,
    /// The same for writing.
    pub writable: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Tasks that wait to read.
    pub readers: BTreeSet<u64>,
    /// Tasks that wait to write.
    pub writers: BTreeSet<u64>,
}

impl Source {
    pub(super) fn side(&mut self, direction: Direction) -> (&mut u64, &mut u64) {
        match direction {
            Direction::Read => (&mut self.readable, &mut self.read),
            Direction::Write => (&mut self.writable, &mut self.written),
        }
    }

    pub(super) fn waiting(&mut self, direction: Direction) -> &mut BTreeSet<u64> {
        match direction {
            Direction::Read => &mut self.readers,
            Direction::Write => &mut self.writers,
        }
    }
}

/// A blocking job that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// The task that waits for it: the one that queued it, until another is told to.
    pub task: u64,
    /// Number of the event that queued it.
    pub event: u64,
    /// When it was queued.
    pub at: u64,
}

/// An open span: a labelled future inside a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its id.
    pub id: u64,
    /// The task it is in.
    pub task: u64,
    /// The span around it, or 0.
    pub parent: u64,
    /// Its label.
    pub label: u32,
    /// Number of the event that opened it.
    pub event: u64,
}

/// Sums over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Turns begun.
    pub turns: u64,
    /// Polls begun.
    pub polls: u64,
    /// Wakes.
    pub wakes: u64,
    /// Tasks spawned.
    pub spawned: u64,
    /// Tasks done.
    pub done: u64,
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Timers fired.
    pub timers_fired: u64,
    /// Latest that a timer fired after its deadline, in nanoseconds.
    pub latest_timer: u64,
    /// Readiness told by the poller.
    pub readiness: u64,
    /// Nanoseconds in polls.
    pub busy: u64,
    /// Nanoseconds parked.
    pub parked: u64,
    /// Nanoseconds for which the observer kept the loop: in nothing else.
    pub paused: u64,
    /// Events that the state did not allow.
    pub illegal: u64,
}

/// An event that the state did not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Illegal {
    /// Number of the event.
    pub event: u64,
    /// What is wrong with it.
    pub what: String,
}
