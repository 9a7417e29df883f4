//! The results of many tasks, in the order of the arguments.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::future::group::Group;
use crate::{JoinError, JoinHandle};

/// Why the tasks of a gather were cancelled, as their join errors tell it.
const DROPPED: &str = "the gather that waited for it was dropped";

/// Waits for tasks and gives their values in the order of the arguments, whichever ends first.
///
/// - The first task that ends without a value, by a panic or by being cancelled, ends the gather at
///   once with its error. The others go on, detached: their values are dropped, and a panic of
///   theirs is reported on stderr as one that nobody looked at.
/// - Dropping the gather, or cancelling the task that awaits it, cancels every task in it that is
///   not over.
/// - A task in it that is cancelled by others does not cancel the gather, nor the rest: it is an
///   error.
///
/// O(n) for n tasks in all, plus O(1) for each that ends. No tasks give no values, at once.
///
/// An `Err` that a task *returns* is a value to `gather`; to [`gather_ok`] it is an error.
///
/// The rules are those of Python's
/// [`asyncio.gather`](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather).
///
/// ```
/// use mainspring::{future::gather, spawn};
///
/// let squares = mainspring::run(async {
///     gather((0..10).map(|i| spawn(async move { i * i }))).await
/// });
/// assert_eq!(squares.unwrap(), [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
/// ```
pub fn gather<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Gather<T> {
    Gather::new(handles, |result| result)
}

/// As [`gather`], for tasks that return a `Result`: an `Err` ends it as a panic does.
///
/// ```
/// use mainspring::{future::{TaskError, gather_ok}, spawn};
///
/// let numbers = mainspring::run(async {
///     gather_ok(["1", "two"].map(|text| spawn(async move { text.parse::<u32>() }))).await
/// });
/// assert!(matches!(numbers, Err(TaskError::Returned(_))));
/// ```
pub fn gather_ok<T, E>(
    handles: impl IntoIterator<Item = JoinHandle<Result<T, E>>>,
) -> Gather<Result<T, E>, T, TaskError<E>> {
    Gather::new(handles, |result| match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(TaskError::Returned(error)),
        Err(error) => Err(TaskError::Join(error)),
    })
}

/// Waits for all of the tasks, whatever becomes of them, and gives each one's value or error, in
/// the order of the arguments.
///
/// Dropping it cancels every task in it that is not over, as with [`gather`]. O(n) for n tasks in all, plus
/// O(1) for each that ends.
///
/// As `asyncio.gather(…, return_exceptions=True)`.
pub fn gather_all<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> GatherAll<T> {
    GatherAll(Gather::new(handles, Ok))
}

/// See [`gather`] and [`gather_ok`].
#[must_use = "a gather that is dropped cancels its tasks; await it"]
pub struct Gather<T, V = T, E = JoinError> {
    group: Group<T>,
    values: Vec<Option<V>>,
    judge: fn(Result<T, JoinError>) -> Result<V, E>,
}

impl<T, V, E> Gather<T, V, E> {
    fn new(
        handles: impl IntoIterator<Item = JoinHandle<T>>,
        judge: fn(Result<T, JoinError>) -> Result<V, E>,
    ) -> Self {
        let group = Group::new(handles);
        let values = std::iter::repeat_with(|| None).take(group.left()).collect();
        Gather { group, values, judge }
    }
}

// Nothing in it is pinned: the futures are in their tasks.
impl<T, V, E> Unpin for Gather<T, V, E> {}

impl<T: 'static, V, E> Future for Gather<T, V, E> {
    type Output = Result<Vec<V>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        while let Some((place, result)) = ready!(this.group.poll_result(cx)) {
            match (this.judge)(result) {
                Ok(value) => this.values[place] = Some(value),
                Err(error) => {
                    // Dropping the handles detaches the tasks.
                    drop(this.group.release());
                    return Poll::Ready(Err(error));
                }
            }
        }
        drop(this.group.release());
        Poll::Ready(Ok(std::mem::take(&mut this.values).into_iter().flatten().collect()))
    }
}

impl<T, V, E> Drop for Gather<T, V, E> {
    fn drop(&mut self) {
        self.group.members().for_each(|task| task.cancel_with(DROPPED));
    }
}

impl<T, V, E> fmt::Debug for Gather<T, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("waits_for", &self.group.left()).finish_non_exhaustive()
    }
}

/// See [`gather_all`].
#[derive(Debug)]
#[must_use = "a gather that is dropped cancels its tasks; await it"]
pub struct GatherAll<T>(Gather<T, Result<T, JoinError>, Infallible>);

impl<T: 'static> Future for GatherAll<T> {
    type Output = Vec<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|Ok(results)| results)
    }
}

/// Why a task that returns a `Result` has no value to give.
#[derive(Debug)]
pub enum TaskError<E> {
    /// The task returned this error.
    Returned(E),
    /// The task was cancelled or panicked.
    Join(JoinError),
}

impl<E: fmt::Display> fmt::Display for TaskError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Returned(error) => error.fmt(f),
            TaskError::Join(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for TaskError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // Its text is this error's own, so what comes next is what lies below it.
        match self {
            TaskError::Returned(error) => error.source(),
            TaskError::Join(error) => error.source(),
        }
    }
}
