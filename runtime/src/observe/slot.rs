//! The observer of one runtime: what it is told, and with what time.
//!
//! The loop says `emit` at each transition and knows no more. Here it is decided what is a detail, and at which events
//! the clock is read: at the end of a poll, around a park, and where something enters the ready queue.
//! What happens in between has the time of the latest of these readings.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use super::event::{CauseKind, Event, Kind, WakeEffect};
pub(crate) use super::{Detail, Label, Observer, TaskInfo};
use crate::event_loop::{Payload, catch, report};
use crate::time::clock::Time;

/// The observer, the time of the latest event, and the numbers of labels and spans.
pub(crate) struct ObserverSlot {
    observer: RefCell<Option<Box<dyn Observer>>>,
    /// It wants to be told of turns, and of wakes that change nothing.
    pub(crate) wants_all: bool,
    /// The time of the events that follow, until the clock is read again.
    pub(crate) latest: Cell<u64>,
    last_label: Cell<u32>,
    last_span: Cell<u32>,
    /// The innermost traced future that is being polled.
    pub(crate) span: Cell<u32>,
}

impl ObserverSlot {
    pub(crate) fn new(observer: impl Observer + 'static) -> ObserverSlot {
        ObserverSlot {
            wants_all: observer.detail() == Detail::Full,
            observer: RefCell::new(Some(Box::new(observer))),
            latest: Cell::new(0),
            last_label: Cell::new(0),
            last_span: Cell::new(0),
            span: Cell::new(0),
        }
    }

    /// Completes an event by its time and tells it. Given a whole one, so that its kind is not read back before all
    /// of it is written.
    #[inline(never)]
    pub(crate) fn emit(&self, time: &Time, mut event: Event) {
        if is_detail(&event.kind) && !self.wants_all {
            return;
        }
        if has_own_time(&event.kind) {
            self.latest.set(time.now());
        }
        if matches!(event.kind, Kind::PollEnded { .. }) {
            // A traced future that panicked has not put back the one around it.
            self.span.set(0);
        }
        event.at = self.latest.get();
        self.call(|observer| observer.on_event(&event));
    }

    /// Tells a text and gives its number, for the event that comes next. No text is kept here, so that a
    /// program may leave any number of marks.
    pub(crate) fn label(&self, text: &str, written_at: &'static Location<'static>) -> u32 {
        let number = self.last_label.get().wrapping_add(1);
        self.last_label.set(number);
        self.call(|observer| observer.on_label(&Label { number, text, written_at }));
        number
    }

    /// A number for a traced future.
    pub(crate) fn next_span(&self) -> u32 {
        self.last_span.set(self.last_span.get() + 1);
        self.last_span.get()
    }

    pub(crate) fn call(&self, f: impl FnOnce(&mut dyn Observer)) {
        // What an observer causes while it is being told (it must not, but may drop something) is not told to
        // it again.
        let Ok(mut place) = self.observer.try_borrow_mut() else { return };
        let Some(observer) = place.as_mut() else { return };
        if let Err(payload) = catch(|| f(observer.as_mut())) {
            give_up(&mut place, &payload);
        }
    }
}

/// Apart from the call, whose registers it would take.
#[cold]
#[inline(never)]
fn give_up(place: &mut Option<Box<dyn Observer>>, payload: &Payload) {
    report(format_args!("the observer panicked and is told no more: {}", payload.message()));
    // Its drop may panic, too.
    let observer = place.take();
    drop(catch(|| drop(observer)));
}

/// What [`Detail::Basic`] leaves out.
fn is_detail(kind: &Kind) -> bool {
    match kind {
        Kind::TurnStarted { .. } | Kind::TurnEnded => true,
        Kind::Woken { effect, .. } => *effect != WakeEffect::Scheduled,
        _ => false,
    }
}

/// Whether the clock is read for an event. It costs more than all the rest, so not where it was read just before:
/// by the poll that ended, the park that ended or the timers that were fired.
fn has_own_time(kind: &Kind) -> bool {
    match kind {
        Kind::LoopEntered
        | Kind::LoopLeft { .. }
        | Kind::Parked { .. }
        | Kind::Unparked { .. }
        | Kind::ClockJumped { .. }
        | Kind::Spawned { .. }
        | Kind::PollEnded { .. }
        | Kind::Cancelled { .. }
        | Kind::CancelRequested { .. } => true,
        Kind::Woken { effect: WakeEffect::Scheduled, by, .. } => !matches!(
            by,
            CauseKind::Timer
                | CauseKind::Source
                | CauseKind::Join
                | CauseKind::Spawn
                | CauseKind::Cancel
        ),
        _ => false,
    }
}

static LAST_THREAD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: u64 = LAST_THREAD.fetch_add(1, Ordering::Relaxed) + 1;
    /// The blocking job whose end this thread is reporting, or 0.
    static JOB: Cell<u32> = const { Cell::new(0) };
}

/// A number for the calling thread, counted from 1 in the order of asking.
pub(crate) fn thread_number() -> u64 {
    THREAD.with(|number| *number)
}

/// The cause of a wake that this thread sends.
pub(crate) fn cause_of_this_thread() -> (CauseKind, u64) {
    match JOB.get() {
        0 => (CauseKind::Thread, thread_number()),
        job => (CauseKind::Job, u64::from(job)),
    }
}

/// Runs `f` with the end of a blocking job as the cause of every wake in it.
pub(crate) fn caused_by_job(job: u32, f: impl FnOnce()) {
    JOB.set(job);
    f();
    JOB.set(0);
}
