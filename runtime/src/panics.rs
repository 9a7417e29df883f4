//! Panics of wakers: all else is done before one goes on.

use std::any::Any;
use std::panic::resume_unwind;
use std::task::Waker;

use crate::context::catch;

/// The first panic of several calls, to go on with once all of them have been made.
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    #[inline]
    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        if let Err(payload) = catch(f) {
            self.keep(payload);
        }
    }

    #[cold]
    fn keep(&mut self, payload: Box<dyn Any + Send>) {
        if self.0.is_none() {
            self.0 = Some(payload);
        } else {
            // To drop it may panic as well, and so on.
            std::mem::forget(catch(|| drop(payload)));
        }
    }

    /// Goes on with the panic, unless the thread is unwinding already.
    pub(crate) fn resume(self) {
        if let Some(payload) = self.0.filter(|_| !std::thread::panicking()) {
            resume_unwind(payload);
        }
    }
}

/// Wakes all of them, also if one panics.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    let mut panic = FirstPanic::default();
    wakers.into_iter().for_each(|waker| panic.catch(|| waker.wake()));
    panic.resume();
}
