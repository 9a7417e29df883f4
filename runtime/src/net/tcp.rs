//! A TCP connection.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

use crate::net::io::{Registered, descriptor};
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::observe::event::{Direction, SourceKind};
use crate::time::timeout;

/// A TCP connection.
///
/// Reads and writes by shared reference; also an [`AsyncRead`] and [`AsyncWrite`] of futures-io, as is
/// `&TcpStream`. Dropping it closes the connection.
pub struct TcpStream {
    io: Registered<mio::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `addr`.
    ///
    /// Cancel-safe: dropping the future closes the half-open socket.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, out of descriptors. There is no limit on the time but
    /// the system's, which is minutes; see [`connect_timeout`](TcpStream::connect_timeout).
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(addr: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let socket = mio::net::TcpStream::connect(addr.into())?;
        let stream = TcpStream::register(socket)?;
        // Nothing has come before there is a connection, and what comes is told by an event.
        stream.io.expect_wait(Direction::Read);
        // To a near peer the connection is often there by now, which saves a trip around the loop.
        while !stream.is_connected()? {
            stream.io.expect_wait(Direction::Write);
            stream.io.ready(Direction::Write).await;
        }
        Ok(stream)
    }

    /// Connects to `addr` within `limit`.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), and [`ErrorKind::TimedOut`] when time is up.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect_timeout(
        addr: impl Into<SocketAddr>,
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let addr = addr.into();
        match timeout(limit, TcpStream::connect(addr)).await {
            Ok(connected) => connected,
            Err(_) => {
                let text = format!("no connection to {addr} within {limit:?}");
                Err(io::Error::new(ErrorKind::TimedOut, text))
            }
        }
    }

    /// Takes over a connection of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// If the system refuses that, or to register it.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        TcpStream::register(mio::net::TcpStream::from_std(stream))
    }

    #[track_caller]
    pub(crate) fn register(socket: mio::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { io: Registered::new(socket, SourceKind::Stream, descriptor)? })
    }

    /// Writable does not mean connected: whether it has a peer says that, and if not, the socket's error why.
    fn is_connected(&self) -> io::Result<bool> {
        let socket = self.io.get();
        let Err(no_peer) = socket.peer_addr() else { return Ok(true) };
        match socket.take_error()? {
            Some(error) => Err(error),
            None if no_peer.kind() == ErrorKind::NotConnected => Ok(false),
            None => Err(no_peer),
        }
    }

    /// Reads into `buffer`. 0 means that the peer has closed its side (or that `buffer` is empty).
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_read(cx, buffer))
    }

    /// Writes some of `bytes`, and says how many.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_write(cx, bytes))
    }

    /// Writes all of `bytes`. Not cancel-safe: dropped midway, a part of them has been written.
    ///
    /// # Errors
    /// What the system says; [`ErrorKind::WriteZero`] if it takes no more.
    pub fn write_all(&self, mut bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        poll_fn(move |cx| {
            while !bytes.is_empty() {
                match ready!(self.poll_write(cx, bytes))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    n => bytes = &bytes[n..],
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Writes some of `parts`, in order, and says how many bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_vectored(&self, parts: &[IoSlice<'_>]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_write_vectored(cx, parts))
    }

    /// Reads into `buffer` and leaves the bytes to be read again.
    ///
    /// # Errors
    /// What the system says.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let weigh = |_: &usize| 0;
        poll_fn(|cx| self.io.poll_try(cx, Direction::Read, |io| io.peek(buffer), weigh)).await
    }

    /// Whether a read is worth a try. If not, no event has come since the last one found nothing more.
    pub fn is_readable(&self) -> bool {
        self.io.is_ready(Direction::Read)
    }

    /// Waits until a read is worth a try, and a buffer. It may still find nothing.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_ready(cx, Direction::Read)
    }

    /// As [`read`](TcpStream::read), for a future of your own.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = buffer.len();
        self.io.poll_transfer(cx, Direction::Read, len, |mut io| io.read(buffer))
    }

    /// Reads into several buffers, in order.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.io.poll_transfer(cx, Direction::Read, len, |mut io| io.read_vectored(buffers))
    }

    /// As [`write`](TcpStream::write), for a future of your own.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len();
        self.io.poll_transfer(cx, Direction::Write, len, |mut io| io.write(bytes))
    }

    /// As [`write_vectored`](TcpStream::write_vectored), for a future of your own.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.io.poll_transfer(cx, Direction::Write, len, |mut io| io.write_vectored(parts))
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

    /// The peer's address.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get().set_nodelay(nodelay)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get().nodelay()
    }

    /// How long the system tries to send what is left when the socket is closed (`SO_LINGER`). Zero
    /// resets the connection instead.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self.io.get()).set_linger(linger)
    }

    /// How long the system tries to send what is left when the socket is closed.
    ///
    /// # Errors
    /// What the system says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self.io.get()).linger()
    }

    /// The underlying socket, for options that are not offered here.
    pub fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.io.get())
    }

    /// Two halves that borrow the connection.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(self)
    }

    /// Two halves that share the connection, for two tasks.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(self)
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        TcpStream::poll_read(*self, cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        TcpStream::poll_read_vectored(*self, cx, buffers)
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        TcpStream::poll_write(*self, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TcpStream::poll_write_vectored(*self, cx, parts)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

crate::net::split::by_shared_reference!(TcpStream);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
