//! glommio, which needs io_uring and 512 KiB of lockable memory.

use super::{Blocks, Connects, Duplex, Sleeps, Spawns};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use std::future::Future;
use std::time::Duration;

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "glommio";

fn executor() -> Result<LocalExecutor, GlommioError<()>> {
    LocalExecutorBuilder::new(Placement::Unbound).make()
}

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        executor().unwrap().run(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        glommio::spawn_local(future)
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        glommio::spawn_local(future).detach();
    }

    fn unavailable() -> Option<String> {
        executor().err().map(|error| format!("its executor does not start: {error}"))
    }
}

impl Sleeps for Runtime {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        glommio::timer::sleep(duration)
    }

    async fn timeout<F: Future + 'static>(duration: Duration, future: F) -> Option<F::Output>
    where
        F::Output: 'static,
    {
        glommio::timer::timeout(duration, async { Ok(future.await) }).await.ok()
    }
}

impl Connects for Runtime {
    type Stream = TcpStream;

    async fn pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
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
        glommio::executor().spawn_blocking(work).await
    }
}
