//! Tasks: what is spawned, and what a program holds of it.
//!
//! A task is four small things:
//!
//! | thing | is in | holds |
//! |---|---|---|
//! | slot ([`table`]) | the loop's table | the header, and the cell while it is not polled |
//! | [`cell`] | the slot; the loop's stack during a poll | the future, then the result |
//! | header ([`waker`]) | the slot, the cell, and every clone of the waker | the [`state`], and the loop's inbox |
//! | join ([`join`]) | the table, beside the slot | the waker of what waits for it, and what its errors say |
//!
//! A [`handle`] has a reference to the slot: until it is dropped, the slot and the result in it stay.

pub(crate) mod cell;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod join;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod waker;

pub use error::{JoinError, StillPending};
pub use handle::JoinHandle;
pub use join::CallbackId;
pub use state::{Pending, TaskState};

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

/// Names a task. Never used for another one: not by its runtime, nor by any other in this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    number: u64,
    /// The number of the runtime and, above it, the slot. In two fields they would be written in pieces where a poll
    /// begins and read back as a whole, which the processor waits for: a third of a yield.
    place: NonZeroU64,
}

impl TaskId {
    pub(crate) fn new(number: u64, slot: u32, runtime: NonZeroU32) -> TaskId {
        TaskId { number, place: NonZeroU64::from(runtime) | u64::from(slot) << 32 }
    }

    /// The task's number in its runtime, counted from 1 in the order of spawning.
    pub fn get(self) -> u64 {
        self.number
    }

    /// Its place in the table, while it lives.
    pub(crate) fn slot(self) -> u32 {
        (self.place.get() >> 32) as u32
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
