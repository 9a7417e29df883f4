//! Where the loop's events leave it.
//!
//! Whoever listens is foreign code behind a pointer and may panic, with one exception: the crate's own
//! recorder. Its store into reserved memory is called by name, so that the compiler writes an event
//! where it is to stay instead of handing it on twice; an event costs a third of that then.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Event, Kind, Observer, RecorderObserver, TaskInfo, WakeEffect};
use crate::task::error::message_of;
use crate::task::state::OnWake;

/// The observer of one runtime, the time of its latest event, and what it has been told in words.
pub(crate) struct Tap {
    listener: RefCell<Listener>,
    stamp: Cell<u64>,
    labels: RefCell<HashMap<Box<str>, u32>>,
    pub(crate) last_span: Cell<u32>,
    /// The innermost traced future that is being polled.
    pub(crate) span: Cell<u32>,
}

enum Listener {
    Recorder(RecorderObserver),
    Other(Box<dyn Observer>),
    /// It panicked.
    Nobody,
}

impl Listener {
    fn new<O: Observer + 'static>(observer: O) -> Listener {
        let mut place = Some(observer);
        match (&mut place as &mut dyn Any).downcast_mut::<Option<RecorderObserver>>() {
            Some(recorder) => recorder.take().map_or(Listener::Nobody, Listener::Recorder),
            None => place.map_or(Listener::Nobody, |other| Listener::Other(Box::new(other))),
        }
    }
}

impl Tap {
    pub(crate) fn new(observer: impl Observer + 'static) -> Tap {
        Tap {
            listener: RefCell::new(Listener::new(observer)),
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
        if let Ok(mut listener) = self.listener.try_borrow_mut()
            && let Listener::Recorder(recorder) = &mut *listener
            && recorder.store(&event)
        {
            return;
        }
        self.tell(event);
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
        let Ok(mut place) = self.listener.try_borrow_mut() else { return };
        let observer: &mut dyn Observer = match &mut *place {
            Listener::Recorder(recorder) => recorder,
            Listener::Other(other) => other.as_mut(),
            Listener::Nobody => return,
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(observer))) {
            let message = message_of(&*payload);
            eprintln!("mainspring: the observer panicked and is told no more: {message}");
            *place = Listener::Nobody;
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
