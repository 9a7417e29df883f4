//! 9 of 14. Where is a task's future, and where its result? Next: `task/join.rs`, who may ask for the result.
//!
//! Both are in one allocation, first the future, then in its place the result. The order at a task's end is fixed:
//! the future is dropped, the result stored, the state changed, the cell put back into its slot, and only then
//! is anything told. Code that learns that a task is finished can rely on everything it held being released.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_task::waker_ref;
use pin_project_lite::pin_project;

use crate::event_loop::catch;
use crate::task::error::JoinError;
use crate::task::waker::Header;

/// A task as the loop sees it, without the type of its future.
pub(crate) trait Task {
    /// Polls the future with the task's own waker. When it is ready, it is dropped and its value stored. If it
    /// panics, it is dropped while the thread unwinds, so that a lock guard in it poisons its lock.
    fn poll(self: Pin<&mut Self>) -> Poll<()>;
    /// Drops the future, or the result, and stores why there is no value. What is dropped may panic; it is gone
    /// all the same.
    fn clear(self: Pin<&mut Self>, error: Option<JoinError>);
    /// Where the result is until it is read: see [`slot_of`]. `None` if the task is not finished.
    fn result(self: Pin<&mut Self>) -> Option<&mut dyn Any>;
    /// Why there is no value, if the result says so and has not been read.
    fn error(self: Pin<&mut Self>) -> Option<&JoinError>;
    /// Lets a new task have the memory of this one, which is empty, if `future` is an `Option` of a
    /// future of the same type: takes it out.
    fn renew(self: Pin<&mut Self>, future: &mut dyn Any);
}

pin_project! {
    /// A future, then its result, with the header that its waker is made of.
    pub(crate) struct TaskCell<F: Future> {
        header: Arc<Header>,
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = Projection]
    enum Stage<F: Future> {
        Unfinished { #[pin] future: F },
        Finished { result: Option<Result<F::Output, JoinError>> },
    }
}

impl<F: Future + 'static> TaskCell<F> {
    pub(crate) fn boxed(header: Arc<Header>, future: F) -> Pin<Box<dyn Task>> {
        Box::pin(TaskCell { header, stage: Stage::Unfinished { future } })
    }
}

/// The slot for a result, behind what [`Task::result`] gives.
pub(super) fn slot_of<T: 'static>(any: &mut dyn Any) -> &mut Option<Result<T, JoinError>> {
    any.downcast_mut().expect("a handle is of the type of its task")
}

/// Drops the future that it was made for if that panics, before the thread has unwound any further. The drop may
/// panic, too: the first panic is the one that explains.
struct ClearOnUnwind<'a, F: Future>(Pin<&'a mut Stage<F>>);

impl<F: Future> Drop for ClearOnUnwind<'_, F> {
    fn drop(&mut self) {
        drop(catch(|| self.0.set(Stage::Finished { result: None })));
    }
}

impl<F: Future + 'static> Task for TaskCell<F> {
    fn poll(self: Pin<&mut Self>) -> Poll<()> {
        let mut this = self.project();
        let waker = waker_ref(this.header);
        let mut guard = ClearOnUnwind(this.stage.as_mut());
        let Projection::Unfinished { future } = guard.0.as_mut().project() else {
            unreachable!("the loop polls no task that is finished")
        };
        let polled = future.poll(&mut Context::from_waker(&waker));
        std::mem::forget(guard);
        // Drops the future in place before it writes the result.
        polled.map(|value| this.stage.set(Stage::Finished { result: Some(Ok(value)) }))
    }

    fn clear(self: Pin<&mut Self>, error: Option<JoinError>) {
        self.project().stage.set(Stage::Finished { result: error.map(Err) });
    }

    fn result(self: Pin<&mut Self>) -> Option<&mut dyn Any> {
        match self.project().stage.project() {
            Projection::Finished { result } => Some(result),
            Projection::Unfinished { .. } => None,
        }
    }

    fn error(self: Pin<&mut Self>) -> Option<&JoinError> {
        match self.project().stage.project() {
            Projection::Finished { result: Some(Err(error)) } => Some(error),
            _ => None,
        }
    }

    fn renew(self: Pin<&mut Self>, future: &mut dyn Any) {
        if let Some(future) = future.downcast_mut::<Option<F>>().and_then(Option::take) {
            self.project().stage.set(Stage::Unfinished { future });
        }
    }
}
