//! monoio on its legacy driver, which is epoll; on io_uring it is `monoio_uring`.

use super::{Blocks, Connects, Duplex, Sleeps, Spawns};
use monoio::blocking::DefaultThreadPool;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{LegacyDriver, RuntimeBuilder};
use std::future::Future;
use std::time::Duration;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "monoio";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        RuntimeBuilder::<LegacyDriver>::new()
            .attach_thread_pool(Box::new(DefaultThreadPool::new(1)))
            .enable_timer()
            .build()
            .unwrap()
            .block_on(main)
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
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::time::sleep(duration)
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        monoio::time::timeout(duration, future).await.ok()
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    fn pairs(count: usize) -> impl Future<Output = Vec<(TcpStream, TcpStream)>> {
        pairs(count)
    }
}

pub(super) async fn pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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

#[expect(clippy::manual_async_fn, reason = "see Duplex")]
impl Duplex for TcpStream {
    fn read(&mut self, buffer: Vec<u8>) -> impl Future<Output = (usize, Vec<u8>)> {
        async move {
            let (result, buffer) = AsyncReadRent::read(self, buffer).await;
            (result.unwrap(), buffer)
        }
    }

    fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>> {
        async move {
            let (result, buffer) = AsyncWriteRentExt::write_all(self, buffer).await;
            result.unwrap();
            buffer
        }
    }
}

impl Blocks for Runtime {
    async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        monoio::spawn_blocking(work).await.unwrap()
    }
}
