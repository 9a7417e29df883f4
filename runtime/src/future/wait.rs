//! Waiting until enough of several tasks are finished, without losing hold of any.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::future::group::Group;
use crate::time::{Sleep, sleep};
use crate::{JoinError, JoinHandle};

/// When a [`wait`] is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as one task is finished, in whichever way.
    FirstCompleted,
    /// As soon as one task has panicked, or else when all are finished. A cancelled task is no error
    /// here. With [`Wait::count_err`], an `Err` that a task returned is one.
    FirstError,
    /// When all are finished.
    AllCompleted,
}

/// Waits for tasks, and gives all handles back: of those that are finished, and of those that are not.
///
/// It cancels nothing and reads no result: await a handle that is done, or call
/// [`try_result`](JoinHandle::try_result) on it, and have its result without waiting. What is done
/// when the wait is polled counts, so more than one task may be done after
/// [`When::FirstCompleted`]. No tasks at all are waited for no time at all.
///
/// Dropping a wait drops its handles, which detaches the tasks; to limit the time and keep the
/// handles, use [`Wait::timeout`]. O(n) for n tasks in all, plus O(1) for each that ends.
///
/// The rules are those of Python's
/// [`asyncio.wait`](https://docs.python.org/3/library/asyncio-task.html#asyncio.wait).
///
/// ```
/// use std::time::Duration;
/// use mainspring::{future::{When, wait}, spawn, time::sleep};
///
/// mainspring::run(async {
///     let tasks = [1, 50].map(|ms| spawn(sleep(Duration::from_millis(ms))));
///     let waited = wait(tasks, When::FirstCompleted).await;
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
/// });
/// ```
pub fn wait<T>(handles: impl IntoIterator<Item = JoinHandle<T>>, when: When) -> Wait<T> {
    let is_error = |result: &Result<T, JoinError>| result.as_ref().is_err_and(JoinError::is_panic);
    Wait { group: Group::new(handles), done: Vec::new(), when, is_error, limit: None }
}

/// What a [`wait`] came to.
#[derive(Debug)]
pub struct Waited<T: 'static> {
    /// The tasks that are finished, in the order in which they ended; those that were finished before the
    /// wait come first, in the order of the arguments.
    pub done: Vec<JoinHandle<T>>,
    /// The other tasks, in the order of the arguments.
    pub pending: Vec<JoinHandle<T>>,
}

/// See [`wait`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Wait<T> {
    group: Group<T>,
    done: Vec<JoinHandle<T>>,
    when: When,
    is_error: fn(&Result<T, JoinError>) -> bool,
    limit: Option<Sleep>,
}

impl<T> Wait<T> {
    /// Waits no longer than `limit`, counted from the first poll. That time is up is no error: the
    /// tasks that are not finished are among the pending ones.
    pub fn timeout(mut self, limit: Duration) -> Wait<T> {
        self.limit = Some(sleep(limit));
        self
    }
}

impl<T, E> Wait<Result<T, E>> {
    /// Has an `Err` that a task returned count as an error too.
    pub fn count_err(mut self) -> Wait<Result<T, E>> {
        self.is_error = |result| match result {
            Ok(value) => value.is_err(),
            Err(error) => error.is_panic(),
        };
        self
    }
}

// Nothing in it is pinned: the futures are in their tasks.
impl<T> Unpin for Wait<T> {}

impl<T: 'static> Future for Wait<T> {
    type Output = Waited<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited<T>> {
        let this = self.get_mut();
        let mut enough = false;
        while let Poll::Ready(Some((_, task))) = this.group.poll_next(cx) {
            enough |= match this.when {
                When::FirstCompleted => true,
                When::FirstError => task.result_is(this.is_error),
                When::AllCompleted => false,
            };
            this.done.push(task);
        }
        // Looked at last, so that what is done when time is up counts.
        let mut time_up =
            || this.limit.as_mut().is_some_and(|limit| Pin::new(limit).poll(cx).is_ready());
        if enough || this.group.left() == 0 || time_up() {
            let (done, pending) = (std::mem::take(&mut this.done), this.group.release());
            return Poll::Ready(Waited { done, pending });
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Wait");
        debug.field("when", &self.when).field("done", &self.done.len());
        debug.field("pending", &self.group.left()).finish_non_exhaustive()
    }
}
