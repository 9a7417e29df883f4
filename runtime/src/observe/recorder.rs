//! Keeping events: a flight recorder that the loop writes and the program reads.
//!
//! One writer, the loop's own thread, so there is neither lock nor atomic: an event is one store
//! into memory that was reserved when the recorder was made. What happens when that memory is full
//! is the recorder's mode:
//!
//! - **ring** forgets the oldest [chunk](Recorder::chunk) to make room: the flight recorder;
//! - **full** keeps the beginning, and counts what came after its limit as lost;
//! - **stream** keeps nothing: it hands everything on, whenever the loop is about to sleep.
//!
//! A ring alone would be undecodable: it shows that task 7 is polled, but not that it waits for
//! task 3 since long before. Hence the [`Sink`]: events that leave the recorder are handed to it,
//! oldest first and none left out, so that it can keep what they amount to. This file knows nothing
//! of how that is done; the microscope's model is such a sink, and a file may be one too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::event::{Event, Kind, TaskInfo};
use super::recording::{Part, Recording, Sink, TaskText, cut};
use super::{Detail, Observer};

/// Events kept by [`Recorder::default`]: 2 MiB, a few seconds of a busy loop.
pub const DEFAULT_EVENTS: usize = 1 << 16;

/// Different labels kept; the texts of further ones are dropped.
pub const MAX_LABELS: usize = 1 << 16;

/// Events in the buffer of a streaming recorder, and by which a full one's memory is put to use.
const STREAM_BUFFER: usize = 1 << 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Ring,
    Full,
    Stream,
}

/// Records the events of one runtime. Cloning it gives another handle to the same recording.
///
/// ```
/// use mainspring::observe::{Event, Kind, Observer, Recorder};
///
/// let recorder = Recorder::ring(1024);
/// let mut observer = recorder.observer(); // what a runtime is given
/// observer.on_event(&Event { at: 5, task: 0, kind: Kind::LoopEntered });
/// assert_eq!(recorder.recording().events.len(), 1);
/// ```
#[derive(Clone)]
pub struct Recorder {
    tape: Rc<RefCell<Tape>>,
}

/// The loop's end of a [`Recorder`].
pub struct RecorderObserver {
    tape: Rc<RefCell<Tape>>,
}

struct Tape {
    mode: Mode,
    detail: Detail,
    /// The reserved memory, filled with blanks as far as it is used, so that an event is one store.
    /// In a ring, `slots[next..end]` is about to be overwritten.
    slots: Vec<Event>,
    capacity: usize,
    chunk: usize,
    next: usize,
    /// Where writing ends until [`Tape::make_room`] has been asked.
    end: usize,
    first: u64,
    lost: u64,
    /// With the number of the event that tells of the spawn.
    tasks: VecDeque<(u64, TaskText)>,
    labels: Vec<Box<str>>,
    /// How many labels the sink has been given.
    labels_given: usize,
    sink: Option<Box<dyn Sink>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::ring(DEFAULT_EVENTS)
    }
}

impl Recorder {
    /// A flight recorder: keeps about the last `events` events, 32 bytes each.
    ///
    /// The memory is reserved at once: `events` is rounded up to a multiple of 16, and at least 16.
    pub fn ring(events: usize) -> Recorder {
        let chunk = events.div_ceil(16).max(1);
        Recorder::new(Mode::Ring, chunk * 16, chunk, None)
    }

    /// Keeps the first `limit` events and counts the rest as lost.
    pub fn full(limit: usize) -> Recorder {
        Recorder::new(Mode::Full, limit, limit, None)
    }

    /// Keeps nothing, hands everything to `sink`: when the loop is about to wait, when a buffer of
    /// 8,192 events is full, at [`Recorder::flush`] and when the last handle is dropped.
    pub fn stream(sink: impl Sink + 'static) -> Recorder {
        Recorder::new(Mode::Stream, STREAM_BUFFER, STREAM_BUFFER, Some(Box::new(sink)))
    }

    fn new(mode: Mode, capacity: usize, chunk: usize, sink: Option<Box<dyn Sink>>) -> Recorder {
        let tape = Tape {
            mode,
            detail: Detail::Full,
            slots: Vec::with_capacity(capacity),
            capacity,
            chunk,
            next: 0,
            end: 0,
            first: 0,
            lost: 0,
            tasks: VecDeque::new(),
            labels: Vec::new(),
            labels_given: 0,
            sink,
        };
        Recorder { tape: Rc::new(RefCell::new(tape)) }
    }

    /// Gives a ring somebody to hand its evicted events to.
    ///
    /// # Panics
    /// If events have been recorded already: the sink would miss some.
    #[must_use]
    pub fn evicting_to(self, sink: impl Sink + 'static) -> Recorder {
        {
            let mut tape = self.tape.borrow_mut();
            assert!(tape.first == 0 && tape.next == 0, "a sink is given before the first event");
            tape.sink = Some(Box::new(sink));
        }
        self
    }

    /// Records this much: everything, unless set. [`Detail::Basic`] costs less, and a ring reaches back
    /// about twice as far with it.
    ///
    /// Said before the observer is given to a runtime.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Recorder {
        self.tape.borrow_mut().detail = detail;
        self
    }

    /// How much is recorded.
    pub fn detail(&self) -> Detail {
        self.tape.borrow().detail
    }

    /// What to give to the runtime's builder.
    pub fn observer(&self) -> RecorderObserver {
        RecorderObserver { tape: Rc::clone(&self.tape) }
    }

    /// A copy of what is held now. May be taken while the loop runs, from one of its tasks.
    pub fn recording(&self) -> Recording {
        let tape = self.tape.borrow();
        Recording {
            first: tape.first,
            events: tape.kept().0.iter().chain(tape.kept().1).copied().collect(),
            tasks: tape.tasks.iter().map(|(_, text)| text.clone()).collect(),
            labels: tape.labels.clone(),
            lost: tape.lost,
        }
    }

    /// Events told so far: kept, handed on, and lost.
    pub fn told(&self) -> u64 {
        let tape = self.tape.borrow();
        tape.number() + tape.lost
    }

    /// Events that came after a full recorder's limit and are gone.
    pub fn lost(&self) -> u64 {
        self.tape.borrow().lost
    }

    /// Events that a ring evicts together: between this many less than its size and its size are
    /// held at any time once it has filled up.
    pub fn chunk(&self) -> usize {
        self.tape.borrow().chunk
    }

    /// Hands what a streaming recorder holds to its sink now. Nothing to do in other modes.
    pub fn flush(&self) {
        self.tape.borrow_mut().flush();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tape = self.tape.borrow();
        f.debug_struct("Recorder")
            .field("mode", &tape.mode)
            .field("capacity", &tape.capacity)
            .field("first", &tape.first)
            .field("lost", &tape.lost)
            .finish_non_exhaustive()
    }
}

impl RecorderObserver {
    pub(super) fn another(&self) -> RecorderObserver {
        RecorderObserver { tape: Rc::clone(&self.tape) }
    }

    /// Stores an event, if that is all there is to do: false if it must be told by `on_event`.
    #[inline]
    pub(super) fn store(&self, event: &Event) -> bool {
        // A recorder that streams writes its file then.
        if matches!(event.kind, Kind::Parked { .. }) {
            return false;
        }
        // Borrowed already: its sink has set something in motion, which is not recorded.
        self.tape.try_borrow_mut().is_ok_and(|mut tape| tape.store(event))
    }

    /// Makes every further `store` fail: the sink has panicked.
    pub(super) fn stop(&self) {
        let mut tape = self.tape.borrow_mut();
        tape.end = tape.next;
    }
}

impl Observer for RecorderObserver {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        let mut tape = self.tape.borrow_mut();
        if tape.mode == Mode::Full && tape.next == tape.capacity {
            return;
        }
        let number = tape.number();
        let text = TaskText {
            id: task.id,
            name: task.name.map(cut),
            spawned_at: task.spawned_at,
            size: task.size,
        };
        tape.tasks.push_back((number, text));
    }

    fn on_label(&mut self, label: u32, text: &str) {
        let mut tape = self.tape.borrow_mut();
        let at = label as usize;
        if at >= MAX_LABELS {
            return;
        }
        if at >= tape.labels.len() {
            tape.labels.resize(at + 1, Box::from(""));
        }
        tape.labels[at] = cut(text);
    }

    fn detail(&self) -> Detail {
        self.tape.borrow().detail
    }

    fn on_event(&mut self, event: &Event) {
        self.tape.borrow_mut().push(event);
    }
}

impl Tape {
    fn push(&mut self, event: &Event) {
        let stored = self.store(event) || (self.make_room() && self.store(event));
        if !stored {
            self.lost += 1;
            return;
        }
        // The time to write a file is when the loop has nothing better to do.
        if self.mode == Mode::Stream && matches!(event.kind, Kind::Parked { timeout: 1.. }) {
            self.flush();
        }
    }

    #[inline]
    fn store(&mut self, event: &Event) -> bool {
        let Some(slot) = self.slots[..self.end].get_mut(self.next) else { return false };
        *slot = *event;
        self.next += 1;
        true
    }

    /// Called when there is no room. False if there will be none.
    #[cold]
    fn make_room(&mut self) -> bool {
        match self.mode {
            Mode::Full => self.open(self.capacity.min(self.next + STREAM_BUFFER)),
            Mode::Stream => {
                self.flush();
                self.open(self.capacity);
            }
            Mode::Ring => {
                let from = self.next % self.capacity;
                let to = from + self.chunk;
                if self.slots.len() == self.capacity {
                    self.hand_on(from, to);
                }
                self.next = from;
                self.open(to);
            }
        }
        self.next < self.end
    }

    /// Lets events be written up to `end`.
    fn open(&mut self, end: usize) {
        let blank = Event { at: 0, task: 0, kind: Kind::LoopEntered };
        self.slots.resize(end.max(self.slots.len()), blank);
        self.end = end;
    }

    fn flush(&mut self) {
        if self.mode == Mode::Stream && self.next > 0 {
            self.hand_on(0, self.next);
            self.next = 0;
        }
    }

    /// Hands `slots[from..to]`, the oldest events held, to the sink, and forgets their texts.
    fn hand_on(&mut self, from: usize, to: usize) {
        let leaving = &self.slots[from..to];
        let end = self.first + leaving.len() as u64;
        let texts = self.tasks.partition_point(|(spawn, _)| *spawn < end);
        let texts: Vec<TaskText> = self.tasks.drain(..texts).map(|(_, text)| text).collect();
        if let Some(sink) = &mut self.sink {
            sink.take(Part {
                first: self.first,
                events: leaving,
                tasks: &texts,
                labels: &self.labels[self.labels_given..],
            });
            self.labels_given = self.labels.len();
        }
        self.first = end;
    }

    /// The number of the next event.
    fn number(&self) -> u64 {
        let (older, newer) = self.kept();
        self.first + (older.len() + newer.len()) as u64
    }

    /// The events held, in order, in two pieces.
    fn kept(&self) -> (&[Event], &[Event]) {
        let wrapped = self.mode == Mode::Ring && self.first > 0;
        let older = if wrapped { &self.slots[self.end..] } else { &[] };
        (older, &self.slots[..self.next])
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::observe::MAX_TEXT;

    #[derive(Clone, Default)]
    struct Bin(Rc<RefCell<Vec<(u64, Event)>>>, Rc<RefCell<Vec<TaskText>>>);

    impl Sink for Bin {
        fn take(&mut self, part: Part<'_>) {
            let numbered = (part.first..).zip(part.events.iter().copied());
            self.0.borrow_mut().extend(numbered);
            self.1.borrow_mut().extend_from_slice(part.tasks);
        }
    }

    fn event(at: u64, kind: Kind) -> Event {
        Event { at, task: at, kind }
    }

    fn tell(recorder: &Recorder, count: u64) {
        let mut observer = recorder.observer();
        for at in 0..count {
            observer.on_event(&event(at, Kind::PollStarted));
        }
    }

    #[test]
    fn a_ring_keeps_the_newest_and_hands_on_each_older_event_once() {
        for count in 0..200 {
            let bin = Bin::default();
            let recorder = Recorder::ring(32).evicting_to(bin.clone());
            tell(&recorder, count);
            let recording = recorder.recording();
            let mut all: Vec<u64> = bin.0.borrow().iter().map(|(_, e)| e.at).collect();
            assert_eq!(all, (0..recording.first).collect::<Vec<_>>());
            assert!(bin.0.borrow().iter().all(|(number, e)| *number == e.at));
            all.extend(recording.events.iter().map(|e| e.at));
            assert_eq!(all, (0..count).collect::<Vec<_>>());
            assert!(count < 32 || recording.events.len() > 32 - recorder.chunk());
            assert_eq!(recorder.told(), count);
        }
    }

    #[test]
    fn a_full_recorder_keeps_the_oldest_and_counts_the_rest() {
        let recorder = Recorder::full(10);
        tell(&recorder, 25);
        let recording = recorder.recording();
        assert_eq!(
            recording.events.iter().map(|e| e.at).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        );
        assert_eq!((recording.lost, recorder.told()), (15, 25));
    }

    #[test]
    fn a_stream_hands_on_when_the_loop_is_about_to_sleep() {
        let bin = Bin::default();
        let recorder = Recorder::stream(bin.clone());
        let mut observer = recorder.observer();
        observer.on_event(&event(1, Kind::PollStarted));
        observer.on_event(&event(2, Kind::Parked { timeout: 0 }));
        assert!(bin.0.borrow().is_empty());
        observer.on_event(&event(3, Kind::Parked { timeout: 7 }));
        assert_eq!(bin.0.borrow().len(), 3);
        observer.on_event(&event(4, Kind::PollStarted));
        drop(observer);
        drop(recorder);
        assert_eq!(bin.0.borrow().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn texts_leave_with_the_event_that_needs_them_first() {
        let bin = Bin::default();
        let recorder = Recorder::ring(16).evicting_to(bin.clone());
        let mut observer = recorder.observer();
        for id in 1..=40 {
            observer.on_task(&TaskInfo {
                id,
                name: Some(&format!("task {}", "é".repeat(400))),
                spawned_at: Location::caller(),
                size: 8,
            });
            observer.on_event(&event(id, Kind::Spawned { parent: 0 }));
        }
        let recording = recorder.recording();
        let mut ids: Vec<u64> = bin.1.borrow().iter().map(|text| text.id).collect();
        assert_eq!(ids.len() as u64, recording.first);
        ids.extend(recording.tasks.iter().map(|text| text.id));
        assert_eq!(ids, (1..=40).collect::<Vec<_>>());
        let name = recording.tasks[0].name.as_deref().unwrap();
        assert!(name.len() <= MAX_TEXT && name.ends_with('é'));
    }
}
