//! A limit on how long a future may take.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::time::sleep::{Sleep, sleep, sleep_until};

/// Gives `future` at most `duration`, counted from the first poll that leaves it pending.
///
/// The future is polled first, so a value that is ready when the deadline passes wins. When time is
/// up, the future is dropped with the `Timeout`, at the latest when that is. A future that is ready at
/// once costs neither a timer nor a look at the clock. As cancel-safe as the future is.
///
/// ```
/// use std::{future::pending, time::Duration};
/// use mainspring::time::timeout;
///
/// let late = mainspring::run(timeout(Duration::from_millis(1), pending::<()>()));
/// assert!(late.is_err());
/// ```
///
/// # Errors
/// [`Elapsed`] if time was up first.
///
/// # Panics
/// When polled outside of a runtime and not ready at once; and as a [`Sleep`] that was started, when polled
/// again on another runtime.
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future, limit: sleep(duration) }
}

/// Gives `future` until `deadline`, otherwise as [`timeout`].
///
/// # Errors
/// [`Elapsed`] if time was up first.
///
/// # Panics
/// As [`timeout`].
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future, limit: sleep_until(deadline) }
}

pin_project! {
    /// A future with a limit: see [`timeout`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limit: Sleep,
    }
}

impl<F> Timeout<F> {
    /// Starts the limit again, with a deadline `duration` after the next poll.
    pub fn reset(self: Pin<&mut Self>, duration: Duration) {
        self.project().limit.reset(duration);
    }

    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.limit).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// Time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time was up before the future was ready")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}
