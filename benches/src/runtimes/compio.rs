//! compio, on io_uring where the kernel allows it.

use super::{Blocks, Connects, Duplex, Sleeps, Spawns, Unwrapped};
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime as CompioRuntime;
use std::future::Future;
use std::time::Duration;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "compio";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        CompioRuntime::new().unwrap().block_on(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        Unwrapped(compio::runtime::spawn(future))
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        compio::runtime::spawn(future).detach();
    }

    fn unavailable() -> Option<String> {
        CompioRuntime::new().err().map(|error| format!("its driver does not start: {error}"))
    }
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        compio::time::sleep(duration)
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        compio::time::timeout(duration, future).await.ok()
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
    fn read(&mut self, buffer: Vec<u8>) -> impl Future<Output = (usize, Vec<u8>)> {
        async move {
            let (result, buffer) = AsyncRead::read(self, buffer).await.into();
            (result.unwrap(), buffer)
        }
    }

    fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>> {
        async move {
            let (result, buffer) = AsyncWriteExt::write_all(self, buffer).await.into();
            result.unwrap();
            buffer
        }
    }
}

impl Blocks for Runtime {
    async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        compio::runtime::spawn_blocking(work).await.unwrap()
    }
}
