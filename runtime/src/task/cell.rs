//! One task's future, with its type erased, and the way its result takes.
//!
//! The order is fixed: the future is dropped first, in place, and its result put where it was; then the
//! loop changes the state and puts the cell back into its slot, and only then is anybody told. Whoever
//! learns that a task is over can rely on everything it held being released.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context;
use crate::observe::Kind;
use crate::task::error::JoinError;

/// A task as the loop sees it.
pub(crate) trait Task {
    /// Polls the future. When it is ready, it is dropped and its value stored.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// Drops the future before its time. What it holds may panic; it is gone all the same.
    fn drop_future(self: Pin<&mut Self>);
    /// Stores why there is no value.
    fn fail(self: Pin<&mut Self>, error: JoinError);
    /// Where the result is until it is read: see [`place`]. `None` if the task is not over.
    fn result(self: Pin<&mut Self>) -> Option<&mut dyn Any>;
    /// Drops a result that nobody will read, if it is there. The last chance to tell of a panic.
    fn discard(self: Pin<&mut Self>);
    /// Lets a new task have the memory of this one, which is empty, if `future` is an `Option` of a
    /// future of the same type: takes it out.
    fn renew(self: Pin<&mut Self>, future: &mut dyn Any);
}

pin_project! {
    /// The future, then in its place the result, until it is read.
    #[project = Projection]
    pub(crate) enum TaskCell<F: Future> {
        Running { #[pin] future: F },
        Over { result: Option<Result<F::Output, JoinError>> },
    }
}

impl<F> TaskCell<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    pub(crate) fn boxed(future: F) -> Pin<Box<dyn Task>> {
        Box::pin(TaskCell::Running { future })
    }
}

/// The place for a result, behind what [`Task::result`] gives.
#[inline]
pub(super) fn place<T: 'static>(any: &mut dyn Any) -> &mut Option<Result<T, JoinError>> {
    any.downcast_mut().expect("a handle is of the type of its task")
}

impl<F> Task for TaskCell<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Projection::Running { future } = self.as_mut().project() else {
            unreachable!("the loop polls no task that is over")
        };
        let Poll::Ready(value) = future.poll(cx) else { return Poll::Pending };
        // Drops the future in place before it writes the result.
        self.set(TaskCell::Over { result: Some(Ok(value)) });
        Poll::Ready(())
    }

    fn drop_future(mut self: Pin<&mut Self>) {
        self.set(TaskCell::Over { result: None });
    }

    fn fail(mut self: Pin<&mut Self>, error: JoinError) {
        self.set(TaskCell::Over { result: Some(Err(error)) });
    }

    fn result(self: Pin<&mut Self>) -> Option<&mut dyn Any> {
        match self.project() {
            Projection::Over { result } => Some(result),
            Projection::Running { .. } => None,
        }
    }

    fn discard(self: Pin<&mut Self>) {
        if let Projection::Over { result } = self.project()
            && let Some(Err(error)) = result.take()
            && error.is_panic()
        {
            eprintln!("mainspring: nobody looked at the result of this task: {error}");
            context::note(error.task().get(), Kind::PanicUnseen);
        }
    }

    fn renew(mut self: Pin<&mut Self>, future: &mut dyn Any) {
        if let Some(future) = future.downcast_mut::<Option<F>>().and_then(Option::take) {
            self.set(TaskCell::Running { future });
        }
    }
}
