//! Seeing the loop at work: the events it tells, and who may listen.
//!
//! The loop calls one optional [`Observer`] at every transition, saying what happened and why. With
//! none, each hook is one test of an `Option`. Nothing here interprets or draws: that is the
//! microscope's part, in a crate that this one does not know.

mod event;
mod recorder;
mod span;
pub(crate) mod tap;

pub use event::{
    CancelEffect, CancelOrigin, CauseKind, Direction, Event, Kind, Left, PollOutcome, SourceKind,
    TaskInfo, TryOutcome, WakeEffect,
};
pub use recorder::{
    DEFAULT_EVENTS, MAX_LABELS, MAX_TEXT, Part, Recorder, RecorderObserver, Recording, Sink,
    TaskText,
};
pub use span::{Traced, mark, traced};

/// Somebody who is told of every transition, on the loop's thread, while it happens.
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

    /// A text that later events name by number. Called once for each, before the first of them.
    fn on_label(&mut self, label: u32, text: &str) {
        let _ = (label, text);
    }

    /// Something happened.
    fn on_event(&mut self, event: &Event);
}
