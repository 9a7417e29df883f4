//! What a scenario may ask of a runtime, and one short adaptor per runtime.
//!
//! Every scenario is written once, generic over these traits, so the work is the same for all by
//! construction. What differs between the runtimes is in the adaptors, and an adaptor does
//! nothing but call the runtime's own function for the purpose: that is what to check for
//! fairness. The ones that spawn are inlined, all of them, since a call between would copy the future once
//! more. Buffers travel by value because the io_uring runtimes need to own them while the
//! kernel writes; for the others moving three words costs nothing that could be measured.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub mod mainspring;
pub mod zero;

#[cfg(feature = "peers")]
pub mod compio;
#[cfg(feature = "peers")]
pub mod futures;
#[cfg(feature = "peers")]
pub mod glommio;
#[cfg(feature = "peers")]
pub mod monoio;
#[cfg(feature = "peers")]
pub mod monoio_uring;
#[cfg(feature = "peers")]
pub mod smol;
#[cfg(feature = "peers")]
pub mod tokio;
#[cfg(feature = "peers")]
pub mod tokio_set;

/// A runtime that runs a future to its end on this thread, and local tasks beside it.
pub trait Spawns: 'static {
    /// Starts a fresh runtime, runs `main` to its end, drops the runtime.
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static;

    /// Spawns a task that need not be `Send`. Awaiting what is returned joins it; a panic in the
    /// task is a panic in the one who waits.
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static;

    /// Spawns a task that nobody joins.
    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F);

    /// Why this machine cannot run it, if it cannot.
    fn unavailable() -> Option<String> {
        None
    }
}

/// A runtime with timers.
pub trait Sleeps: Spawns {
    /// Waits for `duration`.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Waits for `future`, `duration` at most.
    fn timeout<F: Future + 'static>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>>
    where
        F::Output: 'static;
}

/// A runtime with TCP.
pub trait Connects: Spawns {
    /// One end of a connection.
    type Stream: Duplex;

    /// Connections over loopback, both ends of each, without delay by Nagle's algorithm.
    fn pairs(count: usize) -> impl Future<Output = Vec<(Self::Stream, Self::Stream)>>;
}

/// One end of a connection.
///
/// Its adaptors return `async` blocks: an `async fn` would keep each argument twice, as what it was given
/// and as the variable of that name, and every runtime would seem to need the more memory.
pub trait Duplex: 'static {
    /// Reads once into the whole of `buffer`; returns how much came.
    fn read(&mut self, buffer: Vec<u8>) -> impl Future<Output = (usize, Vec<u8>)>;

    /// Writes all of `buffer`.
    fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>>;
}

/// A runtime with a pool of threads for work that blocks.
pub trait Blocks: Spawns {
    /// Runs `work` on the pool and waits for its result.
    fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T>;
}

/// A handle whose result is unwrapped, for the runtimes whose handles tell of panics in a result.
/// An `async` block would do the same, but would first move the handle into itself.
struct Unwrapped<H>(H);

impl<H, T, E> Future for Unwrapped<H>
where
    H: Future<Output = Result<T, E>> + Unpin,
    E: Debug,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(Result::unwrap)
    }
}
