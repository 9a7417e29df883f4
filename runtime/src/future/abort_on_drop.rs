//! A handle for the other wish: its drop cancels the task.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observe::event::CancelOrigin;
use crate::{JoinError, JoinHandle};

impl<T> JoinHandle<T> {
    /// Turns the handle into one that cancels its task when it is dropped.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop { handle: self }
    }
}

/// A [`JoinHandle`] that cancels its task when it is dropped. Made by
/// [`JoinHandle::abort_on_drop`].
#[must_use = "dropping it cancels the task"]
pub struct AbortOnDrop<T> {
    handle: JoinHandle<T>,
}

impl<T> Deref for AbortOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        &self.handle
    }
}

impl<T: 'static> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        if !self.handle.is_finished() {
            self.handle.task.request_cancel(None, CancelOrigin::HandleDropped);
        }
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for AbortOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
