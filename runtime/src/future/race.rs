//! Whichever of two futures is ready first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Waits for whichever of two futures is ready first, and gives its output. If both are, `first`
/// wins.
///
/// Both are polled within the calling task, `first` before `second`, at every wake; they may borrow
/// from it. The loser is dropped with the race: a plain future ends there, a
/// [`JoinHandle`](crate::JoinHandle) detaches its task, an [`AbortOnDrop`](crate::AbortOnDrop)
/// cancels it. Races nest for three or four; for many, let tasks run and
/// [`wait`](crate::future::wait) for the first of them.
///
/// ```
/// use std::time::Duration;
/// use mainspring::{future::race, time::sleep};
///
/// let winner = mainspring::run(race(
///     async {
///         sleep(Duration::from_secs(60)).await;
///         "tortoise"
///     },
///     async {
///         sleep(Duration::from_millis(1)).await;
///         "hare"
///     },
/// ));
/// assert_eq!(winner, "hare");
/// ```
pub fn race<A: Future, B: Future<Output = A::Output>>(first: A, second: B) -> Race<A, B> {
    Race { first, second }
}

pin_project! {
    /// See [`race`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Race<A, B> {
        #[pin]
        first: A,
        #[pin]
        second: B,
    }
}

impl<A: Future, B: Future<Output = A::Output>> Future for Race<A, B> {
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        let this = self.project();
        match this.first.poll(cx) {
            Poll::Pending => this.second.poll(cx),
            ready => ready,
        }
    }
}
