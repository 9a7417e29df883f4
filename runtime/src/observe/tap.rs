//! Where the loop's events leave it: to code behind a pointer, which may panic.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use super::{Detail, Event, Kind, Label, Observer, TaskInfo, WakeEffect};
use crate::task::error::message_of;
use crate::task::state::OnWake;

/// The observer of one runtime, the time of its latest event, and the numbers given so far.
pub(crate) struct Tap {
    observer: RefCell<Option<Box<dyn Observer>>>,
    /// Turns are told, and wakes that change nothing.
    pub(crate) all: bool,
    stamp: Cell<u64>,
    last_label: Cell<u32>,
    pub(crate) last_span: Cell<u32>,
    /// The innermost traced future that is being polled.
    pub(crate) span: Cell<u32>,
}

impl Tap {
    pub(crate) fn new(observer: impl Observer + 'static) -> Tap {
        Tap {
            all: observer.detail() == Detail::Full,
            observer: RefCell::new(Some(Box::new(observer))),
            stamp: Cell::new(0),
            last_label: Cell::new(0),
            last_span: Cell::new(0),
            span: Cell::new(0),
        }
    }

    pub(crate) fn set_stamp(&self, at: u64) {
        self.stamp.set(at);
    }

    pub(crate) fn event(&self, task: u64, kind: Kind) {
        let event = Event { at: self.stamp.get(), task, kind };
        self.call(|observer| observer.on_event(&event));
    }

    pub(crate) fn task(&self, info: &TaskInfo<'_>) {
        self.call(|observer| observer.on_task(info));
    }

    /// Tells a text and gives its number, for the event that comes next. No text is kept here, so that a
    /// program may leave any number of marks.
    pub(crate) fn label(&self, text: &str, written_at: &'static Location<'static>) -> u32 {
        let number = self.last_label.get().wrapping_add(1);
        self.last_label.set(number);
        self.call(|observer| observer.on_label(&Label { number, text, written_at }));
        number
    }

    fn call(&self, f: impl FnOnce(&mut dyn Observer)) {
        // What an observer sets in motion while it is being told (it must not, but may drop something)
        // is not told to it again.
        let Ok(mut place) = self.observer.try_borrow_mut() else { return };
        let Some(observer) = place.as_mut() else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(observer.as_mut()))) {
            give_up(&mut place, &*payload);
        }
    }
}

/// Apart from the call, whose registers it would take.
#[cold]
#[inline(never)]
fn give_up(place: &mut Option<Box<dyn Observer>>, payload: &(dyn Any + Send)) {
    let message = message_of(payload);
    eprintln!("mainspring: the observer panicked and is told no more: {message}");
    *place = None;
}

impl From<OnWake> for WakeEffect {
    fn from(action: OnWake) -> WakeEffect {
        match action {
            OnWake::Enqueue => WakeEffect::Scheduled,
            OnWake::Coalesced => WakeEffect::Coalesced,
            OnWake::Deferred => WakeEffect::Deferred,
            OnWake::Stale => WakeEffect::Stale,
        }
    }
}
