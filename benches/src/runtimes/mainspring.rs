//! mainspring.

use super::{Blocks, Connects, Duplex, Sleeps, Spawns, Unwrapped};
use mainspring::net::{TcpListener, TcpStream};
use std::future::Future;
use std::time::Duration;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = crate::scenario::OURS;

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        mainspring::run(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        Unwrapped(mainspring::spawn(future))
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        drop(mainspring::spawn(future));
    }
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        mainspring::time::sleep(duration)
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        mainspring::time::timeout(duration, future).await.ok()
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    async fn pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0)).unwrap();
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
            let n = TcpStream::read(self, &mut buffer).await.unwrap();
            (n, buffer)
        }
    }

    fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>> {
        async move {
            TcpStream::write_all(self, &buffer).await.unwrap();
            buffer
        }
    }
}

impl Blocks for Runtime {
    async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        mainspring::spawn_blocking(work).await.unwrap()
    }
}
