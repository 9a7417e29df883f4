//! smol: `async-executor`'s `StaticLocalExecutor`, the fastest of its executors for one thread,
//! driven by `async-io`'s reactor; `blocking` is its thread pool.

use super::{Blocks, Connects, Duplex, Sleeps, Spawns};
use async_executor::{LocalExecutor, StaticLocalExecutor};
use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

thread_local! {
    static EXECUTOR: &'static StaticLocalExecutor = LocalExecutor::new().leak();
}

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "smol";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        async_io::block_on(EXECUTOR.with(|executor| executor.run(main)))
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        EXECUTOR.with(|executor| executor.spawn(future))
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        EXECUTOR.with(|executor| executor.spawn(future).detach());
    }
}

impl Sleeps for Runtime {
    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        // The way smol's own documentation gives.
        future::or(async { Some(future.await) }, async {
            Timer::after(duration).await;
            None
        })
        .await
    }
}

impl Connects for Runtime {
    type Stream = Async<TcpStream>;

    async fn pairs(count: usize) -> Vec<(Self::Stream, Self::Stream)> {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let client = Async::<TcpStream>::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.get_ref().set_nodelay(true).unwrap();
            server.get_ref().set_nodelay(true).unwrap();
            pairs.push((client, server));
        }
        pairs
    }
}

#[expect(clippy::manual_async_fn, reason = "see Duplex")]
impl Duplex for Async<TcpStream> {
    fn read(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (usize, Vec<u8>)> {
        async move {
            let n = AsyncReadExt::read(self, &mut buffer).await.unwrap();
            (n, buffer)
        }
    }

    fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>> {
        async move {
            AsyncWriteExt::write_all(self, &buffer).await.unwrap();
            buffer
        }
    }
}

impl Blocks for Runtime {
    async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        blocking::unblock(work).await
    }
}
