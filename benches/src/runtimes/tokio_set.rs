//! tokio, a `LocalSet` in its current-thread runtime: the older of its two ways to run tasks that are
//! not `Send`. It spawns faster than a `LocalRuntime`, and yields more slowly.

use super::tokio as local;
use super::{Blocks, Connects, Sleeps, Spawns};
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "tokio (LocalSet)";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        local::Runtime::spawn(future)
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        local::Runtime::spawn_detached(future);
    }
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        local::Runtime::sleep(duration)
    }

    fn timeout<F: Future + 'static>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>>
    where
        F::Output: 'static,
    {
        local::Runtime::timeout(duration, future)
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    fn pairs(count: usize) -> impl Future<Output = Vec<(TcpStream, TcpStream)>> {
        local::Runtime::pairs(count)
    }
}

impl Blocks for Runtime {
    fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> {
        local::Runtime::spawn_blocking(work)
    }
}
