//! A recorder whose traces are always exact: the core's, with a model of all that it has forgotten.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use mainspring::observe::{self, Detail, Kind, Part, RecorderObserver, Sink};

use crate::model::Model;
use crate::stream::Stream;
use crate::text::{TaskText, Texts};
use crate::trace::Trace;

/// Ended tasks that the model of what was forgotten still knows by name.
const ENDED_KEPT: usize = 1024;

/// Records what a runtime does, for a [`Trace`] of it.
///
/// Cloning it gives another handle to the same recording, so that a trace can be taken from inside
/// the program while it runs, as well as afterwards.
#[derive(Clone)]
pub struct Recorder {
    core: observe::Recorder,
    tail: Rc<RefCell<Tail>>,
    stream: Option<Rc<RefCell<Stream>>>,
}

/// The state of the loop just before the oldest event that is still held.
#[derive(Default)]
struct Tail {
    model: Model,
    texts: Texts,
    taken: u64,
    /// A virtual clock jumped: the real one never does.
    jumped: bool,
}

struct ToTail(Rc<RefCell<Tail>>);

impl Default for Recorder {
    fn default() -> Self {
        Recorder::ring(observe::DEFAULT_EVENTS)
    }
}

impl Recorder {
    /// A flight recorder: keeps about the last `events` events, 32 bytes each, and the state of the
    /// loop before the first of them.
    pub fn ring(events: usize) -> Recorder {
        let tail = Rc::new(RefCell::new(Tail::default()));
        let core = observe::Recorder::ring(events).evicting_to(ToTail(Rc::clone(&tail)));
        Recorder { core, tail, stream: None }
    }

    /// Keeps the first `limit` events and counts the rest as lost.
    pub fn full(limit: usize) -> Recorder {
        Recorder { core: observe::Recorder::full(limit), tail: Rc::default(), stream: None }
    }

    /// Writes every event to a file while the loop is about to sleep, one line of JSON each, to be
    /// read by [`Trace::read`].
    ///
    /// If writing fails later, recording stops and the program goes on: see
    /// [`Recorder::stream_error`].
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn stream(path: impl AsRef<Path>) -> std::io::Result<Recorder> {
        let stream = Rc::new(RefCell::new(Stream::create(path.as_ref())?));
        let core = observe::Recorder::stream(ToFile(Rc::clone(&stream)));
        Ok(Recorder { core, tail: Rc::default(), stream: Some(stream) })
    }

    /// Records this much: everything, unless set. [`Detail::Basic`] costs less and lets a ring reach back
    /// about twice as far; its traces tell states and verdicts as exactly, but not every finding: see
    /// [`findings`](crate::findings).
    ///
    /// Said before the observer is given to a runtime.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Recorder {
        if let Some(stream) = &self.stream {
            stream.borrow_mut().say_detail(detail);
        }
        Recorder { core: self.core.with_detail(detail), ..self }
    }

    /// What to give to the runtime's builder.
    pub fn observer(&self) -> RecorderObserver {
        self.core.observer()
    }

    /// Hands what a streaming recorder holds to its file now.
    pub fn flush(&self) {
        self.core.flush();
    }

    /// Why a streaming recorder has stopped writing, if it has.
    pub fn stream_error(&self) -> Option<String> {
        self.stream.as_ref()?.borrow().error()
    }

    /// Events told so far: kept, forgotten, and lost.
    pub fn told(&self) -> u64 {
        self.core.told()
    }

    /// The recording so far, as a trace.
    pub fn trace(&self) -> Trace {
        let recording = self.core.recording();
        let tail = self.tail.borrow();
        let mut texts = tail.texts.clone();
        texts.tasks.extend(recording.tasks.iter().map(|text| (text.id, task_text(text))));
        texts.labels = recording.labels.iter().map(|label| label.to_string()).collect();
        // A streaming recorder has handed on what is not here: the trace begins in the middle.
        let snapshot = Model { next: recording.first, ..tail.model.clone() };
        let mut trace = Trace::new(snapshot, recording.events, texts, recording.lost);
        trace.virtual_clock |= tail.jumped;
        trace.detail = self.core.detail();
        trace
    }
}

impl From<&Recorder> for Trace {
    fn from(recorder: &Recorder) -> Trace {
        recorder.trace()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl Sink for ToTail {
    fn take(&mut self, part: Part<'_>) {
        let mut tail = self.0.borrow_mut();
        let Tail { model, texts, taken, jumped } = &mut *tail;
        for event in part.events {
            model.apply(event);
            *jumped |= matches!(event.kind, Kind::ClockJumped { .. });
        }
        texts.tasks.extend(part.tasks.iter().map(|text| (text.id, task_text(text))));
        // Forgetting looks at every task: rarely enough to cost next to nothing per event.
        *taken += part.events.len() as u64;
        if model.tasks.len() > 2 * ENDED_KEPT && *taken > model.tasks.len() as u64 {
            *taken = 0;
            model.forget_ended(ENDED_KEPT);
            texts.tasks.retain(|id, _| model.tasks.contains_key(id));
        }
    }
}

/// Hands what a streaming recorder gives it to a file.
pub(crate) struct ToFile(pub(crate) Rc<RefCell<Stream>>);

impl Sink for ToFile {
    fn take(&mut self, part: Part<'_>) {
        self.0.borrow_mut().take(part);
    }
}

pub(crate) fn task_text(text: &observe::TaskText) -> TaskText {
    TaskText {
        name: text.name.as_deref().map(String::from),
        file: text.spawned_at.file().to_owned(),
        line: text.spawned_at.line(),
        column: text.spawned_at.column(),
        size: text.size,
    }
}
