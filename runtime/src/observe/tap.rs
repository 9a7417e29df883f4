//! Where the loop's events leave it.
//!
//! Whoever listens is foreign code behind a pointer and may panic, with one exception: the crate's own
//! recorder. Its store into reserved memory is called by name, so that the compiler writes an event
//! where it is to stay instead of handing it on twice.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Detail, Event, Kind, Observer, RecorderObserver, TaskInfo, WakeEffect};
use crate::task::error::message_of;
use crate::task::state::OnWake;

/// The observer of one runtime, the time of its latest event, and what it has been told in words.
pub(crate) struct Tap {
    observer: RefCell<Option<Box<dyn Observer>>>,
    /// The observer's own memory, if it is the crate's recorder.
    recorder: Option<RecorderObserver>,
    /// Turns are told, and wakes that change nothing.
    pub(crate) all: bool,
    stamp: Cell<u64>,
    labels: RefCell<HashMap<Box<str>, u32>>,
    pub(crate) last_span: Cell<u32>,
    /// The innermost traced future that is being polled.
    pub(crate) span: Cell<u32>,
}

impl Tap {
    pub(crate) fn new(observer: impl Observer + 'static) -> Tap {
        let known = (&observer as &dyn Any).downcast_ref::<RecorderObserver>();
        Tap {
            recorder: known.map(RecorderObserver::another),
            all: observer.detail() == Detail::Full,
            observer: RefCell::new(Some(Box::new(observer))),
            stamp: Cell::new(0),
            labels: RefCell::default(),
            last_span: Cell::new(0),
            span: Cell::new(0),
        }
    }

    pub(crate) fn set_stamp(&self, at: u64) {
        self.stamp.set(at);
    }

    #[inline]
    pub(crate) fn event(&self, task: u64, kind: Kind) {
        let event = Event { at: self.stamp.get(), task, kind };
        if !self.recorder.as_ref().is_some_and(|recorder| recorder.store(&event)) {
            self.tell(event);
        }
    }

    #[inline(never)]
    fn tell(&self, event: Event) {
        self.call(|observer| observer.on_event(&event));
    }

    pub(crate) fn task(&self, info: &TaskInfo<'_>) {
        self.call(|observer| observer.on_task(info));
    }

    /// The number of a text, told to the observer when it is new.
    pub(crate) fn label(&self, text: &str) -> u32 {
        let known = self.labels.borrow().get(text).copied();
        known.unwrap_or_else(|| {
            let mut labels = self.labels.borrow_mut();
            let label = labels.len() as u32 + 1;
            labels.insert(text.into(), label);
            drop(labels);
            self.call(|observer| observer.on_label(label, text));
            label
        })
    }

    fn call(&self, f: impl FnOnce(&mut dyn Observer)) {
        // What an observer sets in motion while it is being told (it must not, but may drop something)
        // is not told to it again.
        let Ok(mut place) = self.observer.try_borrow_mut() else { return };
        let Some(observer) = place.as_mut() else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(observer.as_mut()))) {
            let message = message_of(&*payload);
            eprintln!("mainspring: the observer panicked and is told no more: {message}");
            *place = None;
            if let Some(recorder) = &self.recorder {
                recorder.stop();
            }
        }
    }
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
