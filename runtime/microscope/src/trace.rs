//! A recorded stretch of a run: the state before it, its events, and the texts they name.

use std::fmt;
use std::io;
use std::path::Path;

use mainspring::observe::{Detail, Event, Kind};

use crate::findings::{self, Finding};
use crate::model::Model;
use crate::text::Texts;
use crate::{dump, json, schema};

/// A recorded stretch of a run.
///
/// Complete in itself: with the [snapshot](Trace::snapshot) of the state before its first event, a
/// trace of the last seconds decodes as exactly as one of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What the reader of a page sees first.
    pub title: String,
    /// The seed of the scheduler, where one drew lots.
    pub seed: Option<u64>,
    /// The clock was virtual: times are exact and no thread really slept.
    pub virtual_clock: bool,
    /// How much was recorded.
    pub detail: Detail,
    /// The state before the first of the events. Its `next` is the number of that event.
    pub snapshot: Model,
    /// The events.
    pub events: Vec<Event>,
    /// Names, places and labels.
    pub texts: Texts,
    /// Events after the last one that a bounded recorder had no room for.
    pub lost: u64,
}

impl Trace {
    /// A trace of these events, which begin in this state.
    pub fn new(snapshot: Model, events: Vec<Event>, texts: Texts, lost: u64) -> Trace {
        let jumped = |event: &Event| matches!(event.kind, Kind::ClockJumped { .. });
        let virtual_clock = events.iter().any(jumped);
        let title = String::from("mainspring run");
        let detail = Detail::Full;
        Trace { title, seed: None, virtual_clock, detail, snapshot, events, texts, lost }
    }

    /// The same trace under a title.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Trace {
        self.title = title.into();
        self
    }

    /// The same trace, said to come from a scheduler that drew lots from this seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Trace {
        self.seed = Some(seed);
        self
    }

    /// Number of the first of the events: how many came before it.
    pub fn first(&self) -> u64 {
        self.snapshot.next
    }

    /// The state after the first `count` of the events.
    pub fn model_after(&self, count: usize) -> Model {
        let mut model = self.snapshot.clone();
        for event in self.events.iter().take(count) {
            model.apply(event);
        }
        model
    }

    /// The state at the end.
    pub fn model(&self) -> Model {
        self.model_after(self.events.len())
    }

    /// What is wrong with the program, with the events that prove it; worst first.
    pub fn findings(&self) -> Vec<Finding> {
        findings::find(self, &findings::Limits::default())
    }

    /// A number that is the same for two runs which did the same.
    ///
    /// Covers what happened to whom, in which order; under a virtual clock also when. Whatever the
    /// operating system numbers (file descriptors, threads) is left out.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut fields = Vec::new();
        for event in &self.events {
            fields.clear();
            let kind = comparable(&event.kind);
            let number = schema::encode(&kind, &mut fields).unwrap_or(0);
            let at = if self.virtual_clock { event.at } else { 0 };
            let head = [u64::from(number), event.task, at];
            let words = head.into_iter().chain(fields.iter().map(|field| field.cast_unsigned()));
            // FNV-1a, by whole words.
            for word in words {
                hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
                hash ^= hash >> 29;
            }
        }
        hash
    }

    /// The trace as JSON: one line per event, so that it can be looked at with plain tools.
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    /// Reads a trace from JSON, or from the lines that a streaming recorder wrote.
    ///
    /// # Errors
    /// If the text is no trace, is cut off, or needs a newer reader than this one.
    pub fn from_json(text: &str) -> Result<Trace, json::TraceError> {
        json::from_json(text)
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no trace.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Trace> {
        let path = path.as_ref();
        let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|error| io::Error::new(error.kind(), named(&error)))?;
        Trace::from_json(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, named(&error)))
    }

    /// Writes the trace as JSON. The file is whole or not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_json(&self, path: impl AsRef<Path>) -> io::Result<()> {
        write_whole(path.as_ref(), self.to_json().as_bytes())
    }

    /// Writes a page that shows the run: one file that opens in any browser and loads nothing. The
    /// file is whole or not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> io::Result<()> {
        crate::page::write(path, &[self])
    }

    /// Writes the trace for Perfetto (<https://ui.perfetto.dev>), as protobuf. The file is whole or
    /// not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_perfetto(&self, path: impl AsRef<Path>) -> io::Result<()> {
        write_whole(path.as_ref(), &crate::perfetto::encode(self))
    }

    /// Writes the trace in Chrome's JSON format, which many viewers read. The file is whole or not
    /// there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_chrome(&self, path: impl AsRef<Path>) -> io::Result<()> {
        write_whole(path.as_ref(), crate::chrome::encode(self).as_bytes())
    }

    /// The state at the end as text: every task that has not ended, in the tree of spawns, and why
    /// it is not running.
    pub fn dump(&self) -> String {
        dump::dump(&self.model(), &self.texts)
    }

    /// One line for each of the events numbered `numbers`: number, time, sentence.
    pub fn lines(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
        let event = |number: u64| {
            let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
            let event = self.events.get(index)?;
            let at = crate::text::Nanos(event.at).to_string();
            Some(format!("{number:>7}  {at:>9}  {}", self.texts.sentence(event)))
        };
        numbers.into_iter().filter_map(event).collect()
    }
}

/// A kind without what the operating system numbers as it likes.
pub(crate) fn comparable(kind: &Kind) -> Kind {
    match *kind {
        Kind::SourceRegistered { source_kind, source, .. } => {
            Kind::SourceRegistered { source_kind, source, fd: 0 }
        }
        Kind::JobEnded { job, .. } => Kind::JobEnded { job, ran: 0 },
        kind => kind,
    }
}

/// Writes a file beside its place and moves it there: a reader never sees half of it. A device or a
/// pipe in that place is written to, not replaced.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    };
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return std::fs::write(path, bytes).map_err(named);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // The first error is the one to report; that the remains stay is a consequence.
        drop(std::fs::remove_file(&beside));
        named(error)
    })
}
