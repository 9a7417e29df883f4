//! monoio on its io_uring driver, for the scenarios in which the kernel's work counts.

use super::{Connects, Spawns, monoio as legacy};
use monoio::net::TcpStream;
use monoio::{IoUringDriver, RuntimeBuilder};
use std::future::Future;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "monoio (uring)";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        RuntimeBuilder::<IoUringDriver>::new().build().unwrap().block_on(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        monoio::spawn(future)
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        monoio::spawn(future);
    }

    fn unavailable() -> Option<String> {
        RuntimeBuilder::<IoUringDriver>::new()
            .build()
            .err()
            .map(|error| format!("the kernel does not allow io_uring: {error}"))
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    fn pairs(count: usize) -> impl Future<Output = Vec<(TcpStream, TcpStream)>> {
        legacy::pairs(count)
    }
}
