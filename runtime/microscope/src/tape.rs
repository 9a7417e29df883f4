//! A recorder's memory: a flight recorder that the loop writes and the program reads.
//!
//! One writer, the loop's own thread, so there is neither lock nor atomic: an event is one store
//! into memory that was reserved when the recorder was made. What happens when that memory is full
//! is the tape's kind:
//!
//! - **ring** forgets the oldest chunk to make room, and applies it to a model first: without the
//!   state before it, what is left would show that task 7 is polled, but not that it waits for task
//!   3 since long before;
//! - **full** keeps the beginning, and counts what came after its limit as lost;
//! - **stream** keeps nothing: it writes everything to a file, whenever the loop is about to sleep.

use std::time::Instant;

use mainspring::observe::{Detail, Event, Kind};

use crate::model::Model;
use crate::pauses::Pauses;
use crate::stream::Stream;
use crate::text::{LabelText, TaskText, Texts};
use crate::trace::Trace;

/// Events kept by [`Recorder::default`](crate::Recorder): 2 MiB, a few seconds of a busy loop.
pub const DEFAULT_EVENTS: usize = 1 << 16;

/// Ended tasks that the model of what was forgotten still knows by name.
const ENDED_KEPT: usize = 1024;

/// Events in the buffer of a streaming recorder, and by which a full one's memory is put to use.
const STREAM_BUFFER: usize = 1 << 13;

/// Chunks of a ring: one of them is empty or being filled.
const CHUNKS: usize = 16;

pub(crate) struct Tape {
    old: Old,
    pub(crate) detail: Detail,
    /// The reserved memory, filled with blanks as far as it is used, so that an event is one store.
    /// In a ring, `slots[next..end]` is about to be overwritten.
    slots: Vec<Event>,
    capacity: usize,
    next: usize,
    /// Where writing ends until [`Tape::make_room`] has been asked.
    end: usize,
    /// Where it ends for events with which there is nothing else to do.
    plain: usize,
    first: u64,
    lost: u64,
    pauses: Pauses,
    /// What the events held, and the model of those forgotten, may name.
    texts: Texts,
}

/// What becomes of events when there is no room for them.
enum Old {
    Modelled(Box<Tail>),
    /// They stay, and newer ones are lost.
    Kept,
    Streamed(Stream),
    /// It panicked: nothing is recorded any more.
    Broken,
}

/// The state of the loop just before the oldest event that is held.
#[derive(Default)]
struct Tail {
    model: Model,
    /// Events since ended tasks were last forgotten.
    taken: u64,
    /// The youngest task spawned.
    youngest: u64,
    /// A virtual clock jumped: the real one never does.
    jumped: bool,
}

impl Tape {
    pub(crate) fn ring(events: usize) -> Tape {
        let chunk = events.div_ceil(CHUNKS).max(1);
        Tape::new(Old::Modelled(Box::default()), chunk * CHUNKS)
    }

    /// A ring that goes on where a trace ends.
    pub(crate) fn resumed(events: usize, trace: Trace) -> Tape {
        let mut tape = Tape::ring(events);
        tape.first = trace.first();
        tape.detail = trace.detail;
        tape.texts = trace.texts;
        let youngest = trace.snapshot.tasks.keys().copied().max().unwrap_or(0);
        let jumped = trace.virtual_clock;
        let tail = Tail { model: trace.snapshot, taken: 0, youngest, jumped };
        tape.old = Old::Modelled(Box::new(tail));
        trace.events.iter().for_each(|event| tape.push(event));
        tape
    }

    pub(crate) fn full(limit: usize) -> Tape {
        Tape::new(Old::Kept, limit)
    }

    pub(crate) fn stream(stream: Stream) -> Tape {
        Tape::new(Old::Streamed(stream), STREAM_BUFFER)
    }

    fn new(old: Old, capacity: usize) -> Tape {
        Tape {
            old,
            detail: Detail::Full,
            slots: Vec::with_capacity(capacity),
            capacity,
            next: 0,
            end: 0,
            plain: 0,
            first: 0,
            lost: 0,
            pauses: Pauses::default(),
            texts: Texts::default(),
        }
    }

    /// The stream behind it, if there is one.
    pub(crate) fn stream_behind(&mut self) -> Option<&mut Stream> {
        match &mut self.old {
            Old::Streamed(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn task(&mut self, id: u64, text: TaskText) {
        match &mut self.old {
            Old::Streamed(stream) => stream.task(id, &text),
            Old::Kept if self.next == self.capacity => {}
            _ => drop(self.texts.tasks.insert(id, text)),
        }
    }

    pub(crate) fn label(&mut self, number: u32, text: LabelText) {
        match &mut self.old {
            Old::Streamed(stream) => stream.label(number, &text),
            Old::Kept if self.next == self.capacity => {}
            _ => drop(self.texts.labels.insert(number, text)),
        }
    }

    /// Keeps an event: one store and one comparison, unless there is more to do.
    #[inline]
    pub(crate) fn push(&mut self, event: &Event) {
        match self.slots[..self.plain].get_mut(self.next) {
            Some(slot) => {
                *slot = *event;
                self.next += 1;
            }
            None => self.push_with_care(event),
        }
    }

    #[cold]
    fn push_with_care(&mut self, event: &Event) {
        for event in self.pauses.felt_before(event).into_iter().chain([*event]) {
            if !self.store(&event) {
                let before = Instant::now();
                if !(self.make_room() && self.store(&event)) {
                    self.lost += 1;
                }
                self.pauses.made(event.at, before);
            }
        }
        // The time to write a file is when the loop has nothing better to do.
        if matches!(event.kind, Kind::Parked { timeout: 1.. }) {
            let before = Instant::now();
            self.flush();
            self.pauses.made(event.at, before);
        }
        let careful = self.pauses.is_one_to_come() || matches!(self.old, Old::Streamed(_));
        self.plain = if careful { 0 } else { self.end };
    }

    fn store(&mut self, event: &Event) -> bool {
        let Some(slot) = self.slots[..self.end].get_mut(self.next) else { return false };
        *slot = *event;
        self.next += 1;
        true
    }

    /// Called when there is no room. False if there will be none.
    fn make_room(&mut self) -> bool {
        match self.old {
            Old::Kept => self.open(self.capacity.min(self.next + STREAM_BUFFER)),
            Old::Streamed(_) => {
                self.flush();
                self.open(self.capacity);
            }
            Old::Modelled(_) => {
                let from = self.next % self.capacity;
                let to = from + self.chunk();
                if self.slots.len() == self.capacity {
                    self.hand_on(from, to);
                }
                self.next = from;
                self.open(to);
            }
            Old::Broken => {}
        }
        self.next < self.end
    }

    /// Lets events be written up to `end`.
    fn open(&mut self, end: usize) {
        let blank = Event { at: 0, task: 0, kind: Kind::LoopEntered };
        self.slots.resize(end.max(self.slots.len()), blank);
        self.end = end;
    }

    /// Events that a ring forgets together.
    fn chunk(&self) -> usize {
        self.capacity / CHUNKS
    }

    pub(crate) fn flush(&mut self) {
        if self.next > 0 && matches!(self.old, Old::Streamed(_)) {
            self.hand_on(0, self.next);
            self.next = 0;
        }
    }

    /// Hands on `slots[from..to]`, the oldest events held. What panics meanwhile is not called again.
    fn hand_on(&mut self, from: usize, to: usize) {
        let leaving = &self.slots[from..to];
        self.first += leaving.len() as u64;
        let mut old = std::mem::replace(&mut self.old, Old::Broken);
        match &mut old {
            Old::Modelled(tail) => tail.take(leaving, &mut self.texts),
            Old::Streamed(stream) => stream.take(leaving),
            Old::Kept | Old::Broken => {}
        }
        self.old = old;
    }

    /// Events told so far: kept, forgotten, and lost.
    pub(crate) fn told(&self) -> u64 {
        self.first + self.held() as u64 + self.lost
    }

    /// The events held, in order, in two pieces.
    fn kept(&self) -> (&[Event], &[Event]) {
        let wrapped = matches!(self.old, Old::Modelled(_)) && self.slots.len() == self.capacity;
        let older = if wrapped { &self.slots[self.end..] } else { &[] };
        (older, &self.slots[..self.next])
    }

    /// The numbers and texts of what is held, and the state before it.
    pub(crate) fn trace(&self) -> Trace {
        let (older, newer) = self.kept();
        let events = older.iter().chain(newer).copied().collect();
        // A streaming recorder has handed on what is not here: the trace begins in the middle.
        let (snapshot, jumped) = match &self.old {
            Old::Modelled(tail) => (tail.model.clone(), tail.jumped),
            _ => (Model { next: self.first, ..Model::default() }, false),
        };
        let mut trace = Trace::new(snapshot, events, self.texts.clone(), self.lost);
        trace.virtual_clock |= jumped;
        trace.detail = self.detail;
        trace
    }

    /// The texts that what is held may name.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// How many events are held.
    pub(crate) fn held(&self) -> usize {
        let (older, newer) = self.kept();
        older.len() + newer.len()
    }

    /// The latest events, newest first.
    #[cfg(feature = "live")]
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Event> {
        let (older, newer) = self.kept();
        newer.iter().rev().chain(older.iter().rev())
    }
}

impl Default for Tape {
    fn default() -> Self {
        Tape::ring(DEFAULT_EVENTS)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Tail {
    /// Applies events that are forgotten, and forgets the texts that they were the last to need.
    fn take(&mut self, events: &[Event], texts: &mut Texts) {
        for event in events {
            match event.kind {
                Kind::Spawned { .. } => self.youngest = self.youngest.max(event.task),
                Kind::ClockJumped { .. } => self.jumped = true,
                Kind::Marked { label } => drop(texts.labels.remove(&label)),
                Kind::SpanClosed { span, .. } => {
                    if let Some(span) = self.model.spans.get(&u64::from(span)) {
                        texts.labels.remove(&span.label);
                    }
                }
                _ => {}
            }
            self.model.apply(event);
        }
        // Forgetting looks at every task: rarely enough to cost next to nothing per event.
        self.taken += events.len() as u64;
        let known = self.model.tasks.len();
        if known > 2 * ENDED_KEPT && self.taken > known as u64 {
            self.taken = 0;
            self.model.forget_ended(ENDED_KEPT);
            let (model, youngest) = (&self.model, self.youngest);
            texts.tasks.retain(|id, _| *id > youngest || model.tasks.contains_key(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(at: u64, kind: Kind) -> Event {
        Event { at, task: at, kind }
    }

    fn tell(tape: &mut Tape, count: u64) {
        for at in 0..count {
            tape.push(&event(at, Kind::Spawned { parent: 0 }));
        }
    }

    fn times(trace: &Trace) -> Vec<u64> {
        trace.events.iter().map(|event| event.at).collect()
    }

    #[test]
    fn a_ring_keeps_the_newest_and_models_each_older_event_once() {
        for count in 0..200 {
            let mut tape = Tape::ring(32);
            tell(&mut tape, count);
            let trace = tape.trace();
            let first = trace.snapshot.next;
            assert_eq!(trace.snapshot.totals.spawned, first);
            assert_eq!((trace.snapshot.totals.illegal, tape.told()), (0, count));
            assert_eq!(times(&trace), (first..count).collect::<Vec<_>>());
            assert!(count < 32 || trace.events.len() > 32 - tape.chunk());
            // A ring that goes on from a trace is the same ring, from wherever it does.
            let mut resumed = Tape::resumed(32, trace.clone());
            assert_eq!((resumed.trace(), resumed.told()), (trace, count));
            for at in count..count + 40 {
                tape.push(&event(at, Kind::Spawned { parent: 0 }));
                resumed.push(&event(at, Kind::Spawned { parent: 0 }));
                assert_eq!(resumed.trace().model(), tape.trace().model());
            }
        }
    }

    #[test]
    fn a_full_tape_keeps_the_oldest_and_counts_the_rest() {
        let mut tape = Tape::full(10);
        tell(&mut tape, 25);
        let trace = tape.trace();
        assert_eq!(times(&trace), (0..10).collect::<Vec<_>>());
        assert_eq!((trace.lost, tape.told()), (15, 25));
    }

    /// What is told of joins of tasks, one after another.
    fn joins(count: u64) -> impl Iterator<Item = Event> {
        use mainspring::observe::{CauseKind, PollOutcome, WakeEffect};
        let poll = |task, outcome| {
            let ends = Kind::PollEnded { outcome, requeued: false, holders: 1 };
            [(task, Kind::PollStarted { holders: 0 }), (task, ends)]
        };
        let main = [(1, Kind::Spawned { parent: 0 }), (1, Kind::PollStarted { holders: 0 })];
        let join = move |id| {
            let [starts, pending] = poll(1, PollOutcome::Pending);
            let [child_starts, child_ends] = poll(id, PollOutcome::Ready);
            [
                (id, Kind::Spawned { parent: 1 }),
                (1, Kind::WaitsForTask { on: id }),
                pending,
                child_starts,
                child_ends,
                (id, Kind::Done { panicked: false, beat_cancel: false }),
                (1, Kind::Woken { effect: WakeEffect::Scheduled, by: CauseKind::Join, id }),
                starts,
                (id, Kind::OutputTaken),
            ]
        };
        let events = main.into_iter().chain((2..2 + count).flat_map(join));
        events.map(|(task, kind)| Event { at: 0, task, kind })
    }

    #[test]
    fn three_hundred_thousand_joins_leave_no_more_than_three_thousand() {
        let (mut most, mut sizes) = (0, Vec::new());
        for count in [30_000, 300_000] {
            let mut tape = Tape::ring(DEFAULT_EVENTS);
            for event in joins(count) {
                if let Kind::Spawned { .. } = event.kind {
                    let name = Some(format!("child {}", event.task));
                    tape.task(event.task, TaskText { name, ..TaskText::default() });
                }
                tape.push(&event);
            }
            let Old::Modelled(tail) = &tape.old else { panic!("a ring has a model") };
            // A chunk's worth of tasks at most, besides those that are kept for their names.
            most = most.max(tail.model.tasks.len()).max(tape.texts.tasks.len());
            assert!(tail.model.tasks.values().all(|task| task.waits.len() <= 1));
            let trace = tape.trace();
            assert_eq!((trace.model().illegal, trace.model().totals.spawned), (vec![], count + 1));
            sizes.push(crate::page::html(&[&trace]).len());
        }
        assert!(most < 2 * ENDED_KEPT + DEFAULT_EVENTS / 9, "{most} tasks are known");
        assert!(sizes[1] < 5_000_000 && sizes[1] < sizes[0] * 11 / 10, "{sizes:?}");
    }

    #[test]
    fn a_pause_of_the_recorder_is_told_and_not_taken_for_a_poll() {
        let poll = |holders| Kind::PollEnded {
            outcome: mainspring::observe::PollOutcome::Pending,
            requeued: false,
            holders,
        };
        let mut tape = Tape::full(100);
        let ms = 1_000_000;
        for (at, kind) in [(0, Kind::Spawned { parent: 0 }), (0, Kind::PollStarted { holders: 0 })]
        {
            tape.push(&Event { at, task: 1, kind });
        }
        let long_ago = || Instant::now().checked_sub(Duration::from_millis(30)).unwrap();
        tape.pauses.made(0, long_ago());
        tape.plain = 0;
        // The clock is read at the end of the poll: only then is it known that it is a real one.
        tape.push(&Event { at: 0, task: 1, kind: Kind::Marked { label: 1 } });
        tape.push(&Event { at: 60 * ms, task: 1, kind: poll(1) });
        let trace = tape.trace();
        let Kind::ObserverPaused { took } = trace.events[3].kind else { panic!("{trace:?}") };
        assert!(took >= 30 * ms && trace.events[3].at == took);
        assert_eq!(trace.model().task(1).unwrap().longest_poll, 60 * ms - took);
        assert_eq!(trace.model().totals.paused, took);
        // A virtual clock stands still meanwhile, and then jumps; and a short pause is nothing.
        let told = tape.told();
        let jump = Kind::ClockJumped { to: 900 * ms };
        tape.pauses.made(60 * ms, long_ago());
        tape.plain = 0;
        for (at, kind) in
            [(60 * ms, Kind::TurnEnded), (900 * ms, jump), (900 * ms, Kind::TurnEnded)]
        {
            tape.push(&Event { at, task: 0, kind });
        }
        tape.pauses.made(900 * ms, Instant::now());
        tape.plain = 0;
        tape.push(&Event { at: 2000 * ms, task: 0, kind: Kind::TurnEnded });
        assert_eq!(tape.told(), told + 4);
    }

    #[test]
    fn texts_are_kept_as_long_as_something_held_may_name_them() {
        let text = |n: u64| LabelText { text: format!("label {n}"), ..LabelText::default() };
        let mut tape = Tape::ring(16);
        // One span stays open while 900,000 marks are made, and 900 spans come and go in it.
        tape.label(1, text(1));
        tape.push(&event(1, Kind::SpanOpened { span: 1, parent: 0, label: 1 }));
        for n in 2..900_000 {
            tape.label(n, text(n.into()));
            if n % 1000 == 0 {
                tape.push(&event(1, Kind::SpanOpened { span: n, parent: 1, label: n }));
                tape.push(&event(1, Kind::SpanClosed { span: n, completed: true, polls: 1 }));
            } else {
                tape.push(&event(1, Kind::Marked { label: n }));
            }
            assert!(tape.texts.labels.len() <= 18, "{}", tape.texts.labels.len());
        }
        let trace = tape.trace();
        assert_eq!(trace.texts.label(1), "label 1");
        for event in &trace.events {
            if let Kind::Marked { label } | Kind::SpanOpened { label, .. } = event.kind {
                assert_eq!(trace.texts.label(label), format!("label {label}"));
            }
        }
        let long = mainspring::observe::Label {
            number: 1,
            text: &"é".repeat(400),
            written_at: std::panic::Location::caller(),
        };
        let long = LabelText::of(&long).text;
        assert!(long.len() <= crate::MAX_TEXT && long.ends_with('é'));
    }
}
