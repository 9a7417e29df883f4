//! The two directions of a connection, for two owners.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::net::tcp::Tcp;
use crate::net::{Family, Stream};

/// Makes `$half` an [`AsyncRead`], by way of the stream that `$stream` finds in it.
macro_rules! reads {
    ($half:ty, $self:ident => $stream:expr) => {
        impl<F: Family> AsyncRead for $half {
            fn poll_read(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Stream::poll_read(&$stream, cx, buffer)
            }

            fn poll_read_vectored(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Stream::poll_read_vectored(&$stream, cx, buffers)
            }
        }
    };
}

/// As `reads!`, for [`AsyncWrite`].
macro_rules! writes {
    ($half:ty, $self:ident => $stream:expr) => {
        impl<F: Family> AsyncWrite for $half {
            fn poll_write(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Stream::poll_write(&$stream, cx, bytes)
            }

            fn poll_write_vectored(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Stream::poll_write_vectored(&$stream, cx, parts)
            }

            fn poll_flush($self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close($self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready($stream.shutdown(Shutdown::Write))
            }
        }
    };
}

/// The reading half of a borrowed connection: see [`Stream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a, F: Family = Tcp>(pub(super) &'a Stream<F>);

/// The writing half of a borrowed connection: see [`Stream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a, F: Family = Tcp>(pub(super) &'a Stream<F>);

/// The reading half of a shared connection: see [`Stream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf<F: Family = Tcp>(pub(super) Rc<Stream<F>>);

/// The writing half of a shared connection: see [`Stream::into_split`]. Dropping it closes the writing
/// direction, so that the peer sees the end.
#[derive(Debug)]
pub struct OwnedWriteHalf<F: Family = Tcp> {
    pub(super) stream: Rc<Stream<F>>,
    pub(super) reunited: bool,
}

impl<F: Family> ReadHalf<'_, F> {
    /// As [`Stream::read`]. Cancel-safe.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read(buffer)
    }
}

impl<F: Family> WriteHalf<'_, F> {
    /// As [`Stream::write_all`]. Not cancel-safe.
    ///
    /// # Errors
    /// As [`Stream::write_all`].
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.0.write_all(bytes)
    }
}

impl<F: Family> OwnedReadHalf<F> {
    /// As [`Stream::read`]. Cancel-safe.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read(buffer)
    }

    /// Puts the connection together again.
    ///
    /// # Errors
    /// If the halves are not of the same connection; they come back.
    pub fn reunite(self, mut write: OwnedWriteHalf<F>) -> Result<Stream<F>, ReuniteError<F>> {
        if !Rc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.reunited = true;
        drop(write);
        Ok(Rc::into_inner(self.0).expect("the two halves are the only owners"))
    }
}

impl<F: Family> OwnedWriteHalf<F> {
    /// As [`Stream::write_all`]. Not cancel-safe.
    ///
    /// # Errors
    /// As [`Stream::write_all`].
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.write_all(bytes)
    }
}

impl<F: Family> Drop for OwnedWriteHalf<F> {
    fn drop(&mut self) {
        if !self.reunited {
            // An error means that the connection is gone, which is as closed as can be.
            drop(self.stream.shutdown(Shutdown::Write));
        }
    }
}

reads!(ReadHalf<'_, F>, self => self.0);
writes!(WriteHalf<'_, F>, self => self.0);
reads!(OwnedReadHalf<F>, self => self.0);
writes!(OwnedWriteHalf<F>, self => self.stream);

/// The halves are not of the same connection.
#[derive(Debug)]
pub struct ReuniteError<F: Family = Tcp>(pub OwnedReadHalf<F>, pub OwnedWriteHalf<F>);

impl<F: Family> fmt::Display for ReuniteError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same connection")
    }
}

impl<F: Family> Error for ReuniteError<F> {}
