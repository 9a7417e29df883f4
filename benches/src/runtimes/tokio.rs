//! tokio, its `LocalRuntime`: the newer of its two ways to run tasks that are not `Send`. For the other
//! one see [`tokio_set`](super::tokio_set).

use super::{Blocks, Connects, Duplex, Sleeps, Spawns, Unwrapped};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;
use tokio::task;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "tokio";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        LocalRuntime::new().unwrap().block_on(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        Unwrapped(task::spawn_local(future))
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        task::spawn_local(future);
    }
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        tokio::time::timeout(duration, future).await.ok()
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    async fn pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            pairs.push((client, server));
        }
        pairs
    }
}

#[expect(clippy::manual_async_fn, reason = "see Duplex")]
impl Duplex for TcpStream {
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
        task::spawn_blocking(work).await.unwrap()
    }
}
