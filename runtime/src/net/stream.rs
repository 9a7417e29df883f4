//! A connection, whatever it runs over: transfers are written here once, for TCP and for Unix sockets.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::ops::{Deref, Range};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use mio::event::Source as Pollable;
use socket2::SockRef;

use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::observe::event::{Direction, SourceKind};
use crate::reactor::Waiter;
use crate::reactor::registered::{Registered, descriptor};

/// Parts of a vectored call that the system looks at (`IOV_MAX` on Linux, macOS and the BSDs).
const MAX_PARTS: usize = 1024;
/// Bytes that one call moves at most: Linux rounds `i32::MAX` down to a page, of 64 KiB at most.
const MAX_BYTES: usize = 0x7fff_0000;

/// A family of sockets: [`Tcp`](crate::net::Tcp) or [`Unix`](crate::net::Unix).
pub trait Family: fmt::Debug + Sized + 'static {
    #[doc(hidden)]
    type Socket: Socket;
    #[doc(hidden)]
    type Listener: Pollable + fmt::Debug + Unpin;
    /// What accepting a connection gives.
    type Accepted;
    #[doc(hidden)]
    fn accept(listener: &Self::Listener) -> io::Result<Self::Accepted>;
}

/// What a connection needs of its system socket.
pub trait Socket: Pollable + fmt::Debug + Unpin {
    fn io(&self) -> impl Read + Write;
    fn options(&self) -> SockRef<'_>;
}

macro_rules! socket {
    ($socket:ty) => {
        impl Socket for $socket {
            fn io(&self) -> impl Read + Write {
                self
            }

            fn options(&self) -> SockRef<'_> {
                SockRef::from(self)
            }
        }
    };
}

socket!(mio::net::TcpStream);
#[cfg(unix)]
socket!(mio::net::UnixStream);

/// A connection: [`TcpStream`](crate::net::TcpStream) or [`UnixStream`](crate::net::UnixStream).
///
/// It reads and writes by shared reference, so one task may read while another writes. It is also an
/// [`AsyncRead`] and [`AsyncWrite`], and so is a reference to it. Dropping it closes the connection.
///
/// Each future that reads or writes waits by itself. All callers of a `poll_*` method of one direction are one
/// waiter: the last of them is woken.
///
/// # Errors
/// Every operation may fail with an error of the system, among them
/// [`ConnectionReset`](ErrorKind::ConnectionReset) and [`BrokenPipe`](ErrorKind::BrokenPipe) when the peer is
/// gone. On another runtime than the one it was made on, or after that was dropped, every operation fails at
/// once, with an error that names that runtime.
#[derive(Debug)]
pub struct Stream<F: Family> {
    pub(super) io: Registered<F::Socket>,
}

/// One try to move bytes: in which direction, how many the system is asked for at most, and the call.
struct Transfer<F> {
    direction: Direction,
    offered: usize,
    call: F,
}

fn read<S: Socket>(buffer: &mut [u8]) -> Transfer<impl FnMut(&S) -> io::Result<usize>> {
    let offered = buffer.len().min(MAX_BYTES);
    Transfer { direction: Direction::Read, offered, call: |socket: &S| socket.io().read(buffer) }
}

fn read_vectored<S: Socket>(
    buffers: &mut [IoSliceMut<'_>],
) -> Transfer<impl FnMut(&S) -> io::Result<usize>> {
    let (range, offered) = offer(buffers);
    let buffers = &mut buffers[range];
    let call = |socket: &S| socket.io().read_vectored(buffers);
    Transfer { direction: Direction::Read, offered, call }
}

fn write<S: Socket>(bytes: &[u8]) -> Transfer<impl FnMut(&S) -> io::Result<usize>> {
    let offered = bytes.len().min(MAX_BYTES);
    Transfer { direction: Direction::Write, offered, call: |socket: &S| socket.io().write(bytes) }
}

fn write_vectored<S: Socket>(
    parts: &[IoSlice<'_>],
) -> Transfer<impl FnMut(&S) -> io::Result<usize>> {
    let (range, offered) = offer(parts);
    let parts = &parts[range];
    let call = |socket: &S| socket.io().write_vectored(parts);
    Transfer { direction: Direction::Write, offered, call }
}

/// Those of the parts that one call can take, and how many bytes it may move. Empty ones at the front are
/// left out: if the system saw nothing else, it would answer 0, which means the end.
fn offer(parts: &[impl Deref<Target = [u8]>]) -> (Range<usize>, usize) {
    let start = parts.iter().position(|part| !part.is_empty()).unwrap_or(parts.len());
    let end = parts.len().min(start + MAX_PARTS);
    let bytes: usize = parts[start..end].iter().map(|part| part.len()).sum();
    (start..end, bytes.min(MAX_BYTES))
}

impl<S: Socket> Registered<S> {
    fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        waiter: &Waiter,
        transfer: Transfer<impl FnMut(&S) -> io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Transfer { direction, offered, call } = transfer;
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_try(cx, waiter, direction, offered, call, |moved| *moved)
    }

    fn try_transfer(
        &self,
        transfer: Transfer<impl FnMut(&S) -> io::Result<usize>>,
    ) -> io::Result<usize> {
        let Transfer { direction, offered, call } = transfer;
        if offered == 0 { Ok(0) } else { self.try_now(direction, offered, call, |moved| *moved) }
    }
}

/// Whether the socket has a peer. Writable does not mean connected; if there is none, the socket's error says
/// why, or that it is too early to say.
fn check_connected(socket: &impl Socket) -> io::Result<()> {
    let Err(no_peer) = socket.options().peer_addr() else { return Ok(()) };
    match socket.options().take_error()? {
        Some(error) => Err(error),
        None if no_peer.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        None => Err(no_peer),
    }
}

impl<F: Family> Stream<F> {
    #[track_caller]
    pub(super) fn new(socket: F::Socket) -> io::Result<Stream<F>> {
        let fd = descriptor(&*socket.options());
        Ok(Stream { io: Registered::new(socket, SourceKind::Stream, fd)? })
    }

    /// Waits until a socket that connects is connected.
    pub(super) async fn connected(socket: F::Socket) -> io::Result<Stream<F>> {
        let stream = Stream::<F>::new(socket)?;
        // Nothing has come before there is a connection, and what comes is told by an event.
        stream.io.expect_wait(Direction::Read);
        // To a near peer the connection is often there by now: the first try saves a trip around the loop.
        let connecting = stream.io.operation(Direction::Write, |io, cx, waiter| {
            io.poll_try(cx, waiter, Direction::Write, 0, check_connected, |()| 0)
        });
        connecting.await?;
        Ok(stream)
    }

    /// Reads into `buffer`. 0 means that the peer has closed its side, or that `buffer` is empty.
    ///
    /// Cancel-safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.io
            .operation(Direction::Read, |io, cx, waiter| io.poll_transfer(cx, waiter, read(buffer)))
    }

    /// Writes some of `bytes`, and says how many.
    ///
    /// Cancel-safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        self.io.operation(Direction::Write, move |io, cx, waiter| {
            io.poll_transfer(cx, waiter, write(bytes))
        })
    }

    /// Writes all of `bytes`.
    ///
    /// Not cancel-safe: dropped midway, it has written a part of them, and nothing says how much.
    ///
    /// # Errors
    /// As every operation of a [`Stream`]; and [`WriteZero`](ErrorKind::WriteZero) if the system takes no
    /// more.
    pub fn write_all(&self, mut bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.io.operation(Direction::Write, move |io, cx, waiter| {
            while !bytes.is_empty() {
                match ready!(io.poll_transfer(cx, waiter, write(bytes)))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    n => bytes = &bytes[n..],
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Writes some of `parts`, in order, and says how many bytes: at most those of 1,024 parts.
    ///
    /// Cancel-safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn write_vectored(&self, parts: &[IoSlice<'_>]) -> impl Future<Output = io::Result<usize>> {
        self.io.operation(Direction::Write, move |io, cx, waiter| {
            io.poll_transfer(cx, waiter, write_vectored(parts))
        })
    }

    readiness!(Read, is_readable, poll_readable, readable);
    readiness!(Write, is_writable, poll_writable, writable);

    fn poll(
        &self,
        cx: &mut Context<'_>,
        transfer: Transfer<impl FnMut(&F::Socket) -> io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_transfer(cx, self.io.own(transfer.direction), transfer)
    }

    /// As [`read`](Stream::read), for a future of your own.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, read(buffer))
    }

    /// Reads into several buffers, in order, of which the system fills 1,024 at most.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, read_vectored(buffers))
    }

    /// As [`write`](Stream::write), for a future of your own.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, write(bytes))
    }

    /// As [`write_vectored`](Stream::write_vectored), for a future of your own.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, write_vectored(parts))
    }

    /// As [`read`](Stream::read), without waiting.
    ///
    /// # Errors
    /// As every operation of a [`Stream`]; and [`WouldBlock`](ErrorKind::WouldBlock) if nothing has come:
    /// [`readable`](Stream::readable) then waits for more.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.try_transfer(read(buffer))
    }

    /// As [`poll_read_vectored`](Stream::poll_read_vectored), without waiting.
    ///
    /// # Errors
    /// As [`try_read`](Stream::try_read).
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.io.try_transfer(read_vectored(buffers))
    }

    /// As [`write`](Stream::write), without waiting.
    ///
    /// # Errors
    /// As every operation of a [`Stream`]; and [`WouldBlock`](ErrorKind::WouldBlock) if the system has no
    /// room: [`writable`](Stream::writable) then waits for some.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.try_transfer(write(bytes))
    }

    /// As [`write_vectored`](Stream::write_vectored), without waiting.
    ///
    /// # Errors
    /// As [`try_write`](Stream::try_write).
    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.io.try_transfer(write_vectored(parts))
    }

    /// Closes one direction or both. A connection that the peer has reset is closed already, which is no
    /// error.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.io.get().options().shutdown(how) {
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Two halves that borrow the connection.
    pub fn split(&mut self) -> (ReadHalf<'_, F>, WriteHalf<'_, F>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Two halves that share the connection, for two tasks.
    pub fn into_split(self) -> (OwnedReadHalf<F>, OwnedWriteHalf<F>) {
        let stream = Rc::new(self);
        (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, reunited: false })
    }
}

reads!(Stream<F>, self => self);
writes!(Stream<F>, self => self);
reads!(&Stream<F>, self => self);
writes!(&Stream<F>, self => self);
