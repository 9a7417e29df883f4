//! What a recorder holds and hands on: events, with the texts that they need.

use std::panic::Location;

use super::event::Event;

/// Bytes kept of a task's name or of a label; what is longer is cut at a character's border.
pub const MAX_TEXT: usize = 256;

/// What is known of a task beside its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskText {
    /// Its id.
    pub id: u64,
    /// The name it was given, cut to [`MAX_TEXT`] bytes.
    pub name: Option<Box<str>>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// Size of its future, in bytes.
    pub size: u32,
}

/// Events that leave a recorder, with the texts that they are the first to need.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Number of the first of the events, counted from 0 for the first ever recorded.
    pub first: u64,
    /// The events, in order.
    pub events: &'a [Event],
    /// The tasks spawned in them.
    pub tasks: &'a [TaskText],
    /// Labels told since the last part; the first of them has the number `first_label`.
    pub labels: &'a [Box<str>],
}

/// Takes what leaves a recorder.
///
/// Called on the loop's thread in the middle of the loop's work, with the recorder borrowed: it must
/// touch neither the runtime nor the recorder.
pub trait Sink {
    /// Takes events: each exactly once, oldest first.
    fn take(&mut self, part: Part<'_>);
}

/// A copy of what a recorder holds.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Number of the first of the events, counted from 0 for the first ever recorded.
    pub first: u64,
    /// The events held, in order.
    pub events: Vec<Event>,
    /// The tasks spawned in them.
    pub tasks: Vec<TaskText>,
    /// All labels, by number.
    pub labels: Vec<Box<str>>,
    /// Events that came after a full recorder's limit and are gone.
    pub lost: u64,
}

/// A copy of `text` of at most [`MAX_TEXT`] bytes.
pub(super) fn cut(text: &str) -> Box<str> {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    Box::from(&text[..end.unwrap_or(0)])
}
