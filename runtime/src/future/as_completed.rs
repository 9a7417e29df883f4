//! The results of many tasks, as they come.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::future::group::Group;
use crate::{JoinError, JoinHandle};

/// Gives the results of tasks in the order in which they end.
///
/// Results of tasks that were over before the call come first, in the order of the arguments.
/// Dropping it drops the handles that are left, which detaches their tasks. O(n) for n tasks in
/// all, plus O(1) for each that ends.
///
/// As Python's [`asyncio.as_completed`][1].
///
/// [1]: https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed
///
/// ```
/// use std::time::Duration;
/// use mainspring::{future::as_completed, spawn, time::sleep};
///
/// mainspring::run(async {
///     let tasks = [3, 1, 2].map(|n| {
///         spawn(async move {
///             sleep(Duration::from_millis(5 * n)).await;
///             n
///         })
///     });
///     let mut results = as_completed(tasks);
///     while let Some(n) = results.next().await {
///         println!("{}", n.unwrap());
///     }
/// });
/// ```
pub fn as_completed<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    AsCompleted { group: Group::new(handles) }
}

/// See [`as_completed`].
#[must_use = "it gives results when next() is awaited"]
pub struct AsCompleted<T> {
    group: Group<T>,
}

impl<T: 'static> AsCompleted<T> {
    /// Waits for the next result; `None` once there have been all. Cancel-safe: a result that was
    /// not received is not lost.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](AsCompleted::next), for hand-written futures; with `futures::stream::poll_fn` it
    /// makes a stream.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.group.poll_result(cx).map(|next| next.map(|(_, result)| result))
    }

    /// How many results are still to be received.
    pub fn remaining(&self) -> usize {
        self.group.left()
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("remaining", &self.group.left()).finish_non_exhaustive()
    }
}
