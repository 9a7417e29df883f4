//! A bell: rung by one task, heard by every other that listens for it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who listens hears that it rang, however often, since it listened last.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.rung.set(self.rung.get() + 1);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until it has rung more often than `heard` says, and sets that. Dropping it midway loses
    /// nothing.
    pub async fn heard(&self, heard: &mut u64) {
        poll_fn(|cx| {
            if self.rung.get() == *heard {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            *heard = self.rung.get();
            Poll::Ready(())
        })
        .await;
    }
}
