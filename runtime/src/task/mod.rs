//! Tasks: what is spawned, and what is left of it in the hands of others.
//!
//! A task is four small things with three owners:
//!
//! | thing | owner | holds |
//! |---|---|---|
//! | slot ([`table`]) | the loop | the boxed cell and the header, kept for the next tenant |
//! | [`cell`] | the slot; the loop's stack while it runs | the future, then the result |
//! | [`waker`] header | the slot and every clone of the waker | the [`state`], and the way home |
//! | [`join`] | the table, beside the slot | who waits for it, and what its errors tell |
//!
//! A [`handle`] is a claim on the slot: until it is dropped, the slot and the result in it stay.
//!
//! The future is moved out of its slot to be polled, so that nothing is borrowed while a user's code
//! runs: it may spawn, wake, cancel and drop whatever it likes. A waker holds no future, so that one
//! that outlives its task, or the runtime, keeps nothing alive but forty bytes.

pub(crate) mod cell;
mod end;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod join;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod waker;

pub use error::{JoinError, StillPending};
pub use handle::{AbortOnDrop, JoinHandle};
pub use join::{CallbackId, MOST_CALLBACKS};
pub use state::{Pending, TaskState};

use std::fmt;

/// Names a task. Never used for another one in the life of its runtime.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    number: u64,
    slot: u32,
}

impl TaskId {
    pub(crate) fn new(number: u64, slot: u32) -> TaskId {
        TaskId { number, slot }
    }

    /// The task's number, counted from 1 in the order of spawning.
    pub fn get(self) -> u64 {
        self.number
    }

    /// Its place in the table, while it lives.
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.number)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
