//! From the loop's thread to the one that watches: events in bounded batches, and back: hold, go on.
//!
//! The loop's side never waits for the other. The watcher holds the lock only to change places
//! with a batch; should the loop find it taken, it keeps its events for the next one. A watcher that
//! falls behind by [`MAX_BATCH`] events loses the whole batch, which is counted, and what it then
//! knows is void: it asks for a copy of the recorder, whose trace begins in an exact state, and goes
//! on from there. Nothing is allocated per event but its texts: both batches keep their memory.
//!
//! Only a loop that is to be held, or looks out for a breakpoint, waits for the lock: it must not run
//! past the place at which it is to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use mainspring::observe::{Event, Kind, Label, Observer, TaskInfo};

use super::gate::{Break, Gate};
use crate::pauses::Pauses;
use crate::recorder::{Recorder, RecorderObserver};
use crate::text::{LabelText, TaskText};
use crate::trace::Trace;

/// Events that wait for the watcher at most: 2 MiB.
pub(super) const MAX_BATCH: usize = 1 << 16;

/// Events on their way, with the texts that they are the first to need.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) tasks: Vec<(u64, TaskText)>,
    pub(super) labels: Vec<(u32, LabelText)>,
}

impl Batch {
    fn clear(&mut self) {
        self.events.clear();
        self.tasks.clear();
        self.labels.clear();
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.tasks.is_empty() && self.labels.is_empty()
    }

    /// Takes over what is in `other`.
    fn append(&mut self, other: &mut Batch) {
        self.events.append(&mut other.events);
        self.tasks.append(&mut other.tasks);
        self.labels.append(&mut other.labels);
    }
}

/// What both threads share.
#[derive(Debug, Default)]
pub(super) struct Channel {
    inner: Mutex<Inner>,
    /// Told when the loop may go on, or is asked for something while it is held.
    go: Condvar,
    /// Told when the loop is held or has left.
    held: Condvar,
    /// The loop must wait for the lock: see the top of the file.
    exact: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    batch: Batch,
    gate: Gate,
    /// Since when the loop is held.
    held_since: Option<Instant>,
    /// What else the watcher learns, as far as it is not read from the gate.
    told: Told,
    /// The watcher wants the recorder's trace to go on from.
    wants_trace: bool,
    trace: Option<Trace>,
}

/// What the watcher learns besides the events.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Events told so far.
    pub(super) told: u64,
    /// The task that is being polled, or 0.
    pub(super) running: u64,
    /// Polls begun.
    pub(super) polls: u64,
    /// Events that the watcher has never seen.
    pub(super) dropped: u64,
    /// Events are missing: the batch does not join on to what the watcher knows.
    pub(super) gap: bool,
    /// Where the thread of the loop is found in procfs.
    pub(super) thread: Option<String>,
    /// The loop's side is gone.
    pub(super) left: bool,
    pub(super) held: Option<Duration>,
    pub(super) stopping: bool,
    pub(super) breakpoint: Option<Break>,
    pub(super) hit: Option<Event>,
}

impl Inner {
    fn note(&mut self, event: &Event) {
        let told = &mut self.told;
        told.told += 1;
        match event.kind {
            Kind::PollStarted { .. } => {
                told.running = event.task;
                told.polls += 1;
            }
            Kind::PollEnded { .. } => told.running = 0,
            _ => {}
        }
    }

    fn drop_batch(&mut self) {
        self.told.dropped += self.batch.events.len() as u64;
        self.told.gap = true;
        self.batch.clear();
    }
}

impl Channel {
    /// A thread that panicked while it had the lock was the watcher's, in the middle of nothing.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has been told into `batch`, whose content is thrown away; a trace to begin anew from
    /// is returned, and comes before the batch. If events are missing, `ask` asks for such a trace.
    pub(super) fn take(&self, batch: &mut Batch, ask: bool) -> (Option<Trace>, Told) {
        batch.clear();
        let mut inner = self.lock();
        std::mem::swap(&mut inner.batch, batch);
        let trace = inner.trace.take();
        inner.wants_trace |= inner.told.gap && ask;
        let told = Told {
            held: inner.held_since.map(|since| since.elapsed()),
            stopping: inner.gate.is_stopping(),
            breakpoint: inner.gate.breakpoint(),
            hit: inner.gate.hit().copied(),
            ..inner.told.clone()
        };
        let serve = inner.wants_trace && inner.gate.is_held();
        drop(inner);
        if serve {
            self.go.notify_all();
        }
        (trace, told)
    }

    /// Changes where the loop is held.
    pub(super) fn steer(&self, change: impl FnOnce(&mut Gate)) {
        let mut inner = self.lock();
        change(&mut inner.gate);
        self.exact.store(inner.gate.is_armed(), Ordering::Relaxed);
        drop(inner);
        self.go.notify_all();
    }

    /// Waits until the loop is held; false if it has left instead.
    pub(super) fn wait_until_held(&self) -> bool {
        let moving = |inner: &mut Inner| !inner.gate.is_held() && !inner.told.left;
        let inner = self.held.wait_while(self.lock(), moving);
        inner.unwrap_or_else(PoisonError::into_inner).gate.is_held()
    }
}

/// The loop's end: records, and tells the watcher. Made by [`Live::observer`](super::Live::observer).
#[derive(derive_more::Debug)]
#[debug("LiveObserver {{ .. }}")]
pub struct LiveObserver {
    channel: Arc<Channel>,
    to_recorder: RecorderObserver,
    recorder: Recorder,
    virtual_clock: bool,
    /// What was told while the watcher had the lock.
    kept: Batch,
    /// Events of it that were dropped, being too many.
    lost: u64,
    /// No event is told to have happened before this: see [`LiveObserver::hold`].
    floor: u64,
    pauses: Pauses,
}

impl LiveObserver {
    pub(super) fn new(channel: Arc<Channel>, recorder: &Recorder, virtual_clock: bool) -> Self {
        // The only way to a thread's number without unsafe code of ours; nothing where there is none.
        let thread = std::fs::read_link("/proc/thread-self").ok();
        let thread = thread.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let mut inner = channel.lock();
        inner.told.thread = thread;
        inner.batch.events.reserve(1 << 12);
        drop(inner);
        LiveObserver {
            channel,
            to_recorder: recorder.observer(),
            recorder: recorder.clone(),
            virtual_clock,
            kept: Batch::default(),
            lost: 0,
            floor: 0,
            pauses: Pauses::default(),
        }
    }

    /// Has `put` write into the batch, with what was kept before it.
    fn tell(&mut self, put: impl FnOnce(&mut Batch), event: Option<&Event>) {
        let channel = Arc::clone(&self.channel);
        let inner = if channel.exact.load(Ordering::Relaxed) {
            Some(channel.lock())
        } else {
            match channel.inner.try_lock() {
                Ok(inner) => Some(inner),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        };
        let Some(mut inner) = inner else {
            put(&mut self.kept);
            if self.kept.events.len() > MAX_BATCH {
                self.lost += self.kept.events.len() as u64;
                self.kept.clear();
            }
            return;
        };
        self.deliver(&mut inner);
        put(&mut inner.batch);
        let Some(event) = event else { return };
        inner.note(event);
        if inner.told.gap || inner.batch.events.len() > MAX_BATCH {
            inner.drop_batch();
        }
        if inner.wants_trace {
            // Copying the trace takes the loop's time, and not the program's.
            let before = Instant::now();
            self.hand_over(&mut inner);
            self.pauses.made(event.at, before);
        }
        if inner.gate.pass(event) {
            self.hold(inner, event.at);
        }
    }

    /// Puts what was kept into the batch.
    fn deliver(&mut self, inner: &mut Inner) {
        if self.lost > 0 {
            inner.told.told += self.lost;
            inner.told.dropped += std::mem::take(&mut self.lost);
            inner.told.gap = true;
        }
        if !self.kept.is_empty() {
            for event in &self.kept.events {
                inner.note(event);
            }
            inner.batch.append(&mut self.kept);
        }
    }

    /// Gives the watcher a trace of all up to here.
    fn hand_over(&self, inner: &mut Inner) {
        inner.wants_trace = false;
        inner.told.gap = false;
        inner.batch.clear();
        inner.trace = Some(self.recorder.trace());
    }

    /// Keeps the loop here until it may go on.
    ///
    /// The runtime does not know that time has passed: the next poll would be told to have begun
    /// before the loop was held. Hence the floor under what is told from now on. A virtual clock
    /// stands still meanwhile, and so does the floor.
    fn hold(&mut self, mut inner: MutexGuard<'_, Inner>, at: u64) {
        let since = Instant::now();
        inner.held_since = Some(since);
        self.channel.held.notify_all();
        while inner.gate.is_held() {
            if inner.wants_trace {
                self.hand_over(&mut inner);
            }
            inner = self.channel.go.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.held_since = None;
        if !self.virtual_clock {
            let held = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.floor = at.saturating_add(held);
        }
    }
}

impl Observer for LiveObserver {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.to_recorder.on_task(task);
        self.tell(|batch| batch.tasks.push((task.id, TaskText::of(task))), None);
    }

    fn on_label(&mut self, label: &Label<'_>) {
        self.to_recorder.on_label(label);
        self.tell(|batch| batch.labels.push((label.number, LabelText::of(label))), None);
    }

    fn on_event(&mut self, event: &Event) {
        let event = Event { at: event.at.max(self.floor), ..*event };
        let pause = self.pauses.felt_before(&event);
        for event in pause.into_iter().chain([event]) {
            self.to_recorder.on_event(&event);
            self.tell(|batch| batch.events.push(event), Some(&event));
        }
    }
}

impl Drop for LiveObserver {
    fn drop(&mut self) {
        let channel = Arc::clone(&self.channel);
        let mut inner = channel.lock();
        self.deliver(&mut inner);
        inner.told.left = true;
        inner.told.running = 0;
        drop(inner);
        channel.held.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::follow::Follow;
    use mainspring::observe::PollOutcome;
    use std::panic::Location;

    fn observed() -> (Arc<Channel>, LiveObserver, Recorder) {
        let channel = Arc::new(Channel::default());
        let recorder = Recorder::ring(64);
        let observer = LiveObserver::new(channel.clone(), &recorder, false);
        (channel, observer, recorder)
    }

    fn spawn(observer: &mut LiveObserver, id: u64, name: &str) {
        let spawned_at = Location::caller();
        observer.on_task(&TaskInfo { id, name: Some(name), spawned_at, size: 8 });
        observer.on_event(&Event { at: id, task: id, kind: Kind::Spawned { parent: 0 } });
    }

    fn poll(observer: &mut LiveObserver, id: u64, at: u64) {
        let over = Kind::PollEnded { outcome: PollOutcome::Pending, requeued: true, holders: 1 };
        observer.on_event(&Event { at, task: id, kind: Kind::PollStarted { holders: 0 } });
        observer.on_event(&Event { at: at + 1, task: id, kind: over });
    }

    #[test]
    fn what_is_told_while_the_lock_is_taken_comes_with_the_next() {
        let (channel, mut observer, _) = observed();
        spawn(&mut observer, 1, "first");
        let taken = channel.lock();
        spawn(&mut observer, 2, "second");
        let written_at = Location::caller();
        observer.on_label(&Label { number: 1, text: "label", written_at });
        drop(taken);
        spawn(&mut observer, 3, "third");
        let mut follow = Follow::default();
        follow.take(&channel, Duration::ZERO);
        let names = [1, 2, 3].map(|id| follow.texts().task(id));
        assert_eq!(names, ["task 1 \"first\"", "task 2 \"second\"", "task 3 \"third\""]);
        assert_eq!(follow.texts().label(1), "label");
        assert_eq!((follow.model().next, follow.model().totals.illegal), (3, 0));
    }

    #[test]
    fn a_watcher_that_is_left_behind_begins_anew_from_an_exact_state() {
        let (channel, mut observer, recorder) = observed();
        let mut follow = Follow::default();
        spawn(&mut observer, 1, "early");
        follow.take(&channel, Duration::ZERO);
        for at in 0..MAX_BATCH as u64 {
            poll(&mut observer, 1, at);
        }
        // It learns of the gap, and asks; the loop answers with its next event.
        follow.take(&channel, Duration::ZERO);
        assert!(follow.told().gap && follow.told().dropped > MAX_BATCH as u64);
        assert_eq!(follow.model().next, 1);
        poll(&mut observer, 1, 1 << 20);
        spawn(&mut observer, 2, "late");
        follow.take(&channel, Duration::ZERO);
        assert!(!follow.told().gap);
        assert_eq!(*follow.model(), recorder.trace().model());
        assert_eq!(follow.texts().task(2), "task 2 \"late\"");
        assert_eq!(follow.told().told, recorder.told());
        assert!(follow.trace().events.len() as u64 <= follow.model().next);
    }

    #[test]
    fn a_poll_after_a_hold_is_not_told_to_have_lasted_through_it() {
        let (channel, mut observer, recorder) = observed();
        channel.steer(Gate::pause);
        let watcher = channel.clone();
        let lets_go = std::thread::spawn(move || {
            assert!(watcher.wait_until_held());
            let (_, told) = watcher.take(&mut Batch::default(), true);
            watcher.steer(Gate::go_on);
            told.held
        });
        poll(&mut observer, 1, 5);
        // The runtime's stamp of the next poll's start is that of the last one's end.
        observer.on_event(&Event { at: 6, task: 1, kind: Kind::PollStarted { holders: 0 } });
        assert!(lets_go.join().unwrap().is_some(), "it knows for how long");
        let events = recorder.trace().events;
        assert_eq!(events[1].at, 6);
        assert!(events[2].at > 6, "raised to when the loop went on");
        drop(observer);
        channel.steer(Gate::pause);
        assert!(!channel.wait_until_held(), "a loop that has left is never held");
    }
}
