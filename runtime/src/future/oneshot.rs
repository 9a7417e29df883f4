//! A future whose result is set from elsewhere.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Makes a future, and what sets its result. Both stay on this thread; for a value from another
/// one, any channel of the ecosystem does.
///
/// ```
/// use mainspring::{future::oneshot, spawn};
///
/// mainspring::run(async {
///     let (sender, receiver) = oneshot();
///     let waiting = spawn(receiver);
///     sender.set("now").unwrap();
///     assert_eq!(waiting.await.unwrap(), Ok("now"));
/// });
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let stage = Rc::new(Cell::new(Stage::Empty(None)));
    (Sender { stage: stage.clone() }, Receiver { stage })
}

enum Stage<T> {
    /// Neither set nor closed; the receiver may wait.
    Empty(Option<Waker>),
    Set(T),
    /// The sender is gone without a value, the value has been received, or the receiver is gone.
    Closed,
}

/// Sets the result of a [`Receiver`]. Dropping it unused tells the receiver that none will come.
#[must_use = "dropping the sender closes the oneshot"]
pub struct Sender<T> {
    stage: Rc<Cell<Stage<T>>>,
}

impl<T> Sender<T> {
    /// Sets the result and wakes whoever awaits it.
    ///
    /// # Errors
    /// Gives the value back if the receiver is gone.
    pub fn set(self, value: T) -> Result<(), T> {
        match self.stage.replace(Stage::Closed) {
            Stage::Empty(waiting) => {
                self.stage.set(Stage::Set(value));
                // Not under the cell: a foreign waker may run anything.
                waiting.into_iter().for_each(Waker::wake);
                Ok(())
            }
            _ => Err(value),
        }
    }

    /// Whether the receiver is gone, so that nobody wants a result any more.
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.stage) == 1
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        match self.stage.replace(Stage::Closed) {
            Stage::Empty(waiting) => waiting.into_iter().for_each(Waker::wake),
            other => self.stage.set(other),
        }
    }
}

/// Waits for the result that a [`Sender`] sets. Cancel-safe, and `Unpin`: it may be awaited by
/// reference, again and again, until it was ready.
///
/// # Errors
/// [`Closed`] if the sender was dropped without setting one; also if the value has been received
/// before.
#[must_use = "a future does nothing until it is awaited"]
pub struct Receiver<T> {
    stage: Rc<Cell<Stage<T>>>,
}

impl<T> Receiver<T> {
    /// Takes the result if it has been set, without waiting.
    pub fn try_receive(&mut self) -> Option<Result<T, Closed>> {
        match self.stage.replace(Stage::Closed) {
            Stage::Set(value) => Some(Ok(value)),
            Stage::Closed => Some(Err(Closed)),
            empty => {
                self.stage.set(empty);
                None
            }
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        if let Some(result) = self.try_receive() {
            return Poll::Ready(result);
        }
        // The waker of an earlier poll, if there was one, is dropped here.
        drop(self.stage.replace(Stage::Empty(Some(cx.waker().clone()))));
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // With its waker, which nobody shall be seen to hold for a task that waits no longer.
        drop(self.stage.replace(Stage::Closed));
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The sender was dropped without setting a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without setting a result")
    }
}

impl Error for Closed {}
