//! What only Unix has: its own sockets, and descriptors that were made elsewhere.
//!
//! This file is the one place that is left out on other platforms.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::task::{Context, Poll};

use mio::event::Source as Pollable;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::net::{Family, Listener, Stream};
use crate::observe::event::{Direction, SourceKind};
use crate::reactor::registered::{Registered, descriptor};

/// The family of Unix sockets.
#[derive(Debug)]
pub enum Unix {}

impl Family for Unix {
    type Socket = mio::net::UnixStream;
    type Listener = mio::net::UnixListener;
    /// The connection: most peers have no address.
    type Accepted = UnixStream;

    fn accept(listener: &mio::net::UnixListener) -> io::Result<UnixStream> {
        Stream::new(listener.accept()?.0)
    }
}

/// A connection over a Unix socket.
///
/// ```
/// use mainspring::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// mainspring::run(async {
///     let (near, far) = UnixStream::pair()?;
///     near.write_all(b"hello").await?;
///     let mut buffer = [0; 16];
///     assert_eq!(far.read(&mut buffer).await?, 5);
///     Ok(())
/// })
/// # }
/// ```
pub type UnixStream = Stream<Unix>;

/// A Unix socket that accepts connections.
///
/// ```no_run
/// use mainspring::net::UnixListener;
///
/// # fn main() -> std::io::Result<()> {
/// mainspring::run(async {
///     let listener = UnixListener::bind("/tmp/service.sock")?;
///     let stream = listener.accept().await?;
///     stream.write_all(b"hello\n").await
/// })
/// # }
/// ```
pub type UnixListener = Listener<Unix>;

impl Stream<Unix> {
    /// Connects to the socket at `path`.
    ///
    /// Cancel-safe: dropping the future closes the socket.
    ///
    /// # Errors
    /// If there is no such file or no listener at it, if its queue is full, or for want of descriptors.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        Stream::connected(mio::net::UnixStream::connect(path)?).await
    }

    /// Two connected sockets.
    ///
    /// # Errors
    /// For want of descriptors.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = mio::net::UnixStream::pair()?;
        Ok((Stream::new(a)?, Stream::new(b)?))
    }

    /// Takes over a connection of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// If the system refuses that, or to register it.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        Stream::new(mio::net::UnixStream::from_std(stream))
    }
}

impl Listener<Unix> {
    /// Listens at `path`, where nothing may be yet. The file stays when the listener is dropped.
    ///
    /// # Errors
    /// If there is a file already, the directory can't be written to, or the path is too long (108 bytes on
    /// Linux).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::from_std(std::os::unix::net::UnixListener::bind(path)?)
    }

    /// Takes over a listener of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// If the system refuses that, or to register it.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        let fd = descriptor(&listener);
        Listener::new(mio::net::UnixListener::from_std(listener), fd)
    }
}

/// Waits for the readiness of a descriptor that was made elsewhere: a pipe, an inotify, a device.
///
/// The descriptor must be non-blocking, and must be one that the poller accepts (not a file on disk). What is
/// registered is the one that [`AsFd::as_fd`] tells when the `AsyncFd` is made.
///
/// ```
/// use std::io::{Read, Write};
/// use mainspring::net::AsyncFd;
///
/// # fn main() -> std::io::Result<()> {
/// mainspring::run(async {
///     let (near, mut far) = std::os::unix::net::UnixStream::pair()?;
///     near.set_nonblocking(true)?;
///     let near = AsyncFd::new(near)?;
///     far.write_all(b"hello")?;
///     let mut buffer = [0; 16];
///     assert_eq!(near.read_with(|mut io| io.read(&mut buffer)).await?, 5);
///     Ok(())
/// })
/// # }
/// ```
pub struct AsyncFd<T: AsFd> {
    io: Registered<Foreign<T>>,
}

/// The number is kept so that code of a user is called before the descriptor is registered, and not within.
struct Foreign<T> {
    fd: RawFd,
    inner: T,
}

impl<T> Pollable for Foreign<T> {
    fn register(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        SourceFd(&self.fd).register(registry, token, i)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        SourceFd(&self.fd).reregister(registry, token, i)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.fd).deregister(registry)
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
        let fd = inner.as_fd().as_raw_fd();
        let io = Registered::new(Foreign { fd, inner }, SourceKind::Foreign, fd)?;
        Ok(AsyncFd { io })
    }

    /// What was registered.
    pub fn get_ref(&self) -> &T {
        &self.io.get().inner
    }

    /// Tries `operation`, and again whenever the descriptor becomes readable, until it answers something
    /// else than [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// Cancel-safe if the operation is.
    ///
    /// # Errors
    /// Those of the operation; and on another runtime than its own, or after that was dropped, an error that
    /// names it, without a try.
    pub fn read_with<R>(
        &self,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.with(Direction::Read, operation)
    }

    /// As [`read_with`](AsyncFd::read_with), for writing.
    ///
    /// Cancel-safe if the operation is.
    ///
    /// # Errors
    /// As [`read_with`](AsyncFd::read_with).
    pub fn write_with<R>(
        &self,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.with(Direction::Write, operation)
    }

    fn with<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io.operation(direction, move |io, cx, waiter| {
            io.poll_try(cx, waiter, direction, 0, |io| operation(&io.inner), |_| 1)
        })
    }

    /// As [`read_with`](AsyncFd::read_with), without waiting.
    ///
    /// # Errors
    /// As [`read_with`](AsyncFd::read_with); and [`WouldBlock`](io::ErrorKind::WouldBlock) if the operation says
    /// so: [`readable`](AsyncFd::readable) then waits for the next event.
    pub fn try_read_with<R>(&self, mut read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.io.try_now(Direction::Read, 0, |io| read(&io.inner), |_| 1)
    }

    /// As [`try_read_with`](AsyncFd::try_read_with), for writing.
    ///
    /// # Errors
    /// As [`try_read_with`](AsyncFd::try_read_with).
    pub fn try_write_with<R>(&self, mut write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.io.try_now(Direction::Write, 0, |io| write(&io.inner), |_| 1)
    }

    readiness!(Read, is_readable, poll_readable, readable);
    readiness!(Write, is_writable, poll_writable, writable);

    /// Reading, tried by other means than `read_with` and `try_read_with`, would have blocked:
    /// [`readable`](AsyncFd::readable) waits for the next event.
    ///
    /// # Panics
    /// On another runtime than its own, or after that was dropped: no event would come.
    pub fn clear_readable(&self) {
        self.io.clear(Direction::Read);
    }

    /// As [`clear_readable`](AsyncFd::clear_readable), for writing.
    ///
    /// # Panics
    /// As [`clear_readable`](AsyncFd::clear_readable).
    pub fn clear_writable(&self) {
        self.io.clear(Direction::Write);
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(self.get_ref()).finish()
    }
}
