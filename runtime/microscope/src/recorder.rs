//! What a program holds of a recording, and what it gives to its runtime.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use mainspring::observe::{Detail, Event, Label, Observer, TaskInfo};

use crate::stream::Stream;
use crate::tape::{DEFAULT_EVENTS, Tape};
use crate::text::{LabelText, TaskText};
use crate::trace::Trace;

/// Records what a runtime does, for a [`Trace`] of it.
///
/// Cloning it gives another handle to the same recording, so that a trace can be taken from inside
/// the program while it runs, as well as afterwards.
#[derive(Clone, derive_more::Debug)]
#[debug("Recorder {{ told: {}, .. }}", self.told())]
pub struct Recorder {
    pub(crate) tape: Rc<RefCell<Tape>>,
}

/// The loop's end of a [`Recorder`]: see [`Recorder::observer`].
#[derive(derive_more::Debug)]
#[debug("RecorderObserver {{ .. }}")]
pub struct RecorderObserver {
    tape: Rc<RefCell<Tape>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::ring(DEFAULT_EVENTS)
    }
}

impl Recorder {
    /// A flight recorder: keeps about the last `events` events, 32 bytes each, and the state of the
    /// loop before the first of them.
    ///
    /// The memory is reserved at once: `events` is rounded up to a multiple of 16, and at least 16. A
    /// sixteenth of it is forgotten at a time.
    pub fn ring(events: usize) -> Recorder {
        Recorder::with(Tape::ring(events))
    }

    /// Keeps the first `limit` events and counts the rest as lost.
    pub fn full(limit: usize) -> Recorder {
        Recorder::with(Tape::full(limit))
    }

    /// Writes every event to a file, one line of JSON each, to be read by [`Trace::read`]: when the
    /// loop is about to sleep, when 8,192 events wait to be written, at [`Recorder::flush`] and when the
    /// last handle is dropped.
    ///
    /// If writing fails later, recording stops and the program goes on: see
    /// [`Recorder::stream_error`].
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn stream(path: impl AsRef<Path>) -> io::Result<Recorder> {
        Ok(Recorder::with(Tape::stream(Stream::create(path.as_ref())?)))
    }

    fn with(tape: Tape) -> Recorder {
        Recorder { tape: Rc::new(RefCell::new(tape)) }
    }

    /// Records this much: everything, unless set. [`Detail::Basic`] costs less and lets a ring reach back
    /// about twice as far; its traces tell states and verdicts as exactly, but not every finding: see
    /// [`findings`](crate::findings).
    ///
    /// Said before the observer is given to a runtime.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Recorder {
        let mut tape = self.tape.borrow_mut();
        tape.detail = detail;
        if let Some(stream) = tape.stream_behind() {
            stream.say_detail(detail);
        }
        drop(tape);
        self
    }

    /// What to give to the runtime's builder.
    pub fn observer(&self) -> RecorderObserver {
        RecorderObserver { tape: Rc::clone(&self.tape) }
    }

    /// Hands what a streaming recorder holds to its file now. Nothing to do for others.
    pub fn flush(&self) {
        self.tape.borrow_mut().flush();
    }

    /// Why a streaming recorder has stopped writing, if it has.
    pub fn stream_error(&self) -> Option<String> {
        self.tape.borrow_mut().stream_behind()?.error()
    }

    /// Events told so far: kept, forgotten, and lost.
    pub fn told(&self) -> u64 {
        self.tape.borrow().told()
    }

    /// The recording so far, as a trace. May be taken while the loop runs, from one of its tasks.
    pub fn trace(&self) -> Trace {
        self.tape.borrow().trace()
    }
}

impl From<&Recorder> for Trace {
    fn from(recorder: &Recorder) -> Trace {
        recorder.trace()
    }
}

impl Observer for RecorderObserver {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.tape.borrow_mut().task(task.id, TaskText::of(task));
    }

    fn on_label(&mut self, label: &Label<'_>) {
        self.tape.borrow_mut().label(label.number, LabelText::of(label));
    }

    fn detail(&self) -> Detail {
        self.tape.borrow().detail
    }

    fn on_event(&mut self, event: &Event) {
        self.tape.borrow_mut().push(event);
    }
}
