//! A recorded stretch of a run: the state before it, its events, and the texts they name.

use mainspring::observe::{Detail, Event, Kind, WakeEffect};

use crate::model::{Model, Reason, Why};
use crate::schema;
use crate::text::{Nanos, Texts};

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

    /// Why a task is not running in this state of the trace, in words and with what came of it: what a lock
    /// or a channel of another crate does is unknown to a loop until the wake comes.
    pub fn why(&self, model: &Model, task: u64) -> String {
        let words = model.why_in_words(task, &self.texts);
        let unknown = match model.why(task).why {
            Why::Waiting(reasons) => matches!(reasons[0], Reason::Outside { .. }),
            _ => false,
        };
        if !unknown {
            return words;
        }
        let passed = usize::try_from(model.next.saturating_sub(self.first())).unwrap_or(usize::MAX);
        let of_it = |event: &&Event| event.task == task;
        let rest = self.events.iter().skip(passed).filter(of_it);
        let mut wakes = rest.filter_map(|event| match event.kind {
            Kind::Woken { effect: WakeEffect::Scheduled, by, id } => Some((event.at, by, id)),
            _ => None,
        });
        match (wakes.next(), model.task(task)) {
            (Some((at, by, id)), Some(waiting)) => {
                let after = Nanos(at.saturating_sub(waiting.since));
                format!("{words}: woken {after} later by {}", self.texts.cause(by, id))
            }
            _ => words,
        }
    }

    /// A number that is the same for two runs which did the same.
    ///
    /// Covers what happened to which task, in which order; under a virtual clock also when. Whatever the
    /// operating system numbers (file descriptors, threads) is left out.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut fields = Vec::new();
        let of_the_program = |event: &&Event| !matches!(event.kind, Kind::ObserverPaused { .. });
        for event in self.events.iter().filter(of_the_program) {
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

/// A kind without what the operating system numbers as it likes, and without what other threads still hold.
pub(crate) fn comparable(kind: &Kind) -> Kind {
    match *kind {
        Kind::SourceRegistered { source_kind, source, .. } => {
            Kind::SourceRegistered { source_kind, source, fd: 0 }
        }
        Kind::JobEnded { job, .. } => Kind::JobEnded { job, ran: 0 },
        Kind::PollStarted { .. } => Kind::PollStarted { holders: 0 },
        kind => kind,
    }
}
