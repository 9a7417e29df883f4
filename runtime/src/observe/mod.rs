//! Seeing the loop at work: the events it tells, and who may listen.
//!
//! The loop calls one optional [`Observer`] at every transition, saying what happened and why. With
//! none, each hook is one test of an `Option`. Nothing here keeps, interprets or draws: that is the
//! microscope's part, in a crate that this one does not know.
//!
//! ```
//! use std::{cell::Cell, rc::Rc};
//! use mainspring::{Runtime, observe::{Event, Kind, Observer}};
//!
//! struct CountsPolls(Rc<Cell<u32>>);
//!
//! impl Observer for CountsPolls {
//!     fn on_event(&mut self, event: &Event) {
//!         if matches!(event.kind, Kind::PollStarted { .. }) {
//!             self.0.set(self.0.get() + 1);
//!         }
//!     }
//! }
//!
//! let polls = Rc::new(Cell::new(0));
//! let mut runtime = Runtime::builder().observer(CountsPolls(polls.clone())).build().unwrap();
//! runtime.block_on(mainspring::future::yield_now());
//! assert_eq!(polls.get(), 2);
//! ```

use std::panic::Location;

pub(crate) mod event;
pub(crate) mod slot;
mod span;

pub use event::{
    CancelEffect, CancelOrigin, CauseKind, Direction, Event, Kind, LoopExit, PollOutcome,
    SourceKind, TryOutcome, WakeEffect,
};
pub use span::{Traced, mark, traced};

/// How much of what happens an observer is told.
///
/// What a task waits for and why it is not running can be told from either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Detail {
    /// What changes where a task, a timer, a source or a job stands. It leaves out the beginnings and
    /// ends of turns, and wakes that change nothing at once: of a task that is in the ready queue
    /// ([`WakeEffect::Coalesced`]), that runs ([`WakeEffect::Deferred`]; the end of its poll tells that it
    /// was woken, though not by what) or that is finished ([`WakeEffect::Stale`]).
    Basic,
    /// Everything.
    #[default]
    Full,
}

/// What is told of every transition, on the loop's thread, while it happens.
///
/// The loop is in the middle of something whenever it calls: an observer must not spawn, wake,
/// cancel or block. It cannot stop the loop by panicking either: a panic is reported once on stderr
/// and the observer is called no more.
pub trait Observer {
    /// A task came to be. Called just before its [`Kind::Spawned`]; the only call that tells its
    /// name and where it was spawned.
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        let _ = task;
    }

    /// A text of the program. Called just before the one event that names it by its number.
    fn on_label(&mut self, label: &Label<'_>) {
        let _ = label;
    }

    /// How much it wants to be told. Asked once, when it is given to a runtime's builder.
    fn detail(&self) -> Detail {
        Detail::Full
    }

    /// Something happened.
    fn on_event(&mut self, event: &Event);
}

/// What is known of a task when it is spawned.
#[derive(Clone, Copy, Debug)]
pub struct TaskInfo<'a> {
    /// Its id.
    pub id: u64,
    /// The name it was given.
    pub name: Option<&'a str>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// Size of its future, in bytes.
    pub size: u32,
}

/// What a program calls one of its futures, or a moment.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Its number: that of one span or mark.
    pub number: u32,
    /// The text, of any length.
    pub text: &'a str,
    /// Where [`traced`] or [`mark`] was called.
    pub written_at: &'static Location<'static>,
}
