//! What only Unix has: its own sockets, and descriptors that somebody else made.
//!
//! This file is the one place that is left out on other platforms.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use mio::event::Source as Pollable;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::net::io::{Registered, descriptor};
use crate::observe::event::{Direction, SourceKind};

/// A connection over a Unix socket. Works as [`TcpStream`](crate::net::TcpStream) does.
pub struct UnixStream {
    io: Registered<mio::net::UnixStream>,
}

impl UnixStream {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the system says: no such file, refused, the listener's queue is full.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let stream = UnixStream::register(mio::net::UnixStream::connect(path)?)?;
        loop {
            if let Some(error) = stream.io.get().take_error()? {
                return Err(error);
            }
            match stream.io.get().peer_addr() {
                Ok(_) => return Ok(stream),
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => return Err(error),
            }
            stream.io.expect_wait(Direction::Write);
            stream.io.ready(Direction::Write).await;
        }
    }

    /// Two connected sockets.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = mio::net::UnixStream::pair()?;
        Ok((UnixStream::register(a)?, UnixStream::register(b)?))
    }

    #[track_caller]
    fn register(socket: mio::net::UnixStream) -> io::Result<UnixStream> {
        Ok(UnixStream { io: Registered::new(socket, SourceKind::Stream, descriptor)? })
    }

    /// As [`TcpStream::is_readable`](crate::net::TcpStream::is_readable).
    pub fn is_readable(&self) -> bool {
        self.io.is_ready(Direction::Read)
    }

    /// As [`TcpStream::poll_readable`](crate::net::TcpStream::poll_readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_ready(cx, Direction::Read)
    }

    /// As [`TcpStream::poll_read`](crate::net::TcpStream::poll_read).
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = buffer.len();
        self.io.poll_transfer(cx, Direction::Read, len, |mut io| io.read(buffer))
    }

    /// As [`TcpStream::poll_write`](crate::net::TcpStream::poll_write).
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len();
        self.io.poll_transfer(cx, Direction::Write, len, |mut io| io.write(bytes))
    }

    /// Reads without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if nothing is there, and what else the system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.get().read(buffer)
    }

    /// Closes one direction or both.
    ///
    /// # Errors
    /// What the system says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get().shutdown(how)
    }
}

impl AsyncRead for &UnixStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        UnixStream::poll_read(*self, cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.io.poll_transfer(cx, Direction::Read, len, |mut io| io.read_vectored(buffers))
    }
}

impl AsyncWrite for &UnixStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        UnixStream::poll_write(*self, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.io.poll_transfer(cx, Direction::Write, len, |mut io| io.write_vectored(parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

crate::net::split::by_shared_reference!(UnixStream);

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// A Unix socket that accepts connections.
pub struct UnixListener {
    io: Registered<mio::net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`, where nothing may be yet. The file stays when the listener is dropped.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let listener = mio::net::UnixListener::bind(path)?;
        Ok(UnixListener { io: Registered::new(listener, SourceKind::Listener, descriptor)? })
    }

    /// Accepts a connection. Cancel-safe.
    ///
    /// # Errors
    /// What the system says.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        let accept = |cx: &mut Context<'_>| {
            self.io.poll_try(cx, Direction::Read, mio::net::UnixListener::accept, |_| 1)
        };
        let (socket, _) = poll_fn(accept).await?;
        UnixStream::register(socket)
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// Waits for the readiness of a descriptor that somebody else made: a pipe, an inotify, a device.
///
/// The descriptor must be non-blocking, and must be one that the poller accepts (not a file on disk).
pub struct AsyncFd<T: AsFd> {
    io: Registered<Foreign<T>>,
}

struct Foreign<T>(T);

impl<T: AsFd> AsRawFd for Foreign<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Pollable for Foreign<T> {
    fn register(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).register(registry, token, i)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).reregister(registry, token, i)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).deregister(registry)
    }
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `inner`, for both directions. It is deregistered, then dropped, with the `AsyncFd`.
    ///
    /// # Errors
    /// If the poller does not take such a descriptor, or has it already.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        let io = Registered::new(Foreign(inner), SourceKind::Foreign, descriptor)?;
        Ok(AsyncFd { io })
    }

    /// What was registered.
    pub fn get_ref(&self) -> &T {
        &self.io.get().0
    }

    /// Tries `operation`, and again whenever the descriptor becomes readable, until it answers something
    /// else than [`ErrorKind::WouldBlock`]. Cancel-safe if the operation is.
    ///
    /// # Errors
    /// What the operation says.
    pub async fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Read, operation).await
    }

    /// As [`read_with`](AsyncFd::read_with), for writing.
    ///
    /// # Errors
    /// What the operation says.
    pub async fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Write, operation).await
    }

    async fn with<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|cx| self.io.poll_try(cx, direction, |io| operation(&io.0), |_| 1)).await
    }

    /// Waits until reading may be worth trying. If a try then answers [`ErrorKind::WouldBlock`], say so
    /// with [`clear_readable`](AsyncFd::clear_readable) before waiting again.
    pub async fn readable(&self) {
        self.io.ready(Direction::Read).await;
    }

    /// Waits until writing may be worth trying: see [`readable`](AsyncFd::readable).
    pub async fn writable(&self) {
        self.io.ready(Direction::Write).await;
    }

    /// Reading would have blocked: `readable` waits for the next event.
    pub fn clear_readable(&self) {
        self.io.would_block(Direction::Read);
    }

    /// Writing would have blocked: `writable` waits for the next event.
    pub fn clear_writable(&self) {
        self.io.would_block(Direction::Write);
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get().0.as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.io.get().0).finish()
    }
}
