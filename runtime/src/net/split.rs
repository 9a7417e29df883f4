//! The two directions of a connection, for two owners.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use crate::net::tcp::Tcp;
use crate::net::{Kind, Stream};

/// Makes `$half` an `AsyncRead`, by way of the stream that `$stream` finds in it.
macro_rules! reads {
    ($half:ty, $self:ident => $stream:expr) => {
        impl<K: $crate::net::Kind> futures_io::AsyncRead for $half {
            fn poll_read(
                $self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::Stream::poll_read(&$stream, cx, buffer)
            }

            fn poll_read_vectored(
                $self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::Stream::poll_read_vectored(&$stream, cx, buffers)
            }
        }
    };
}

/// As `reads!`, for `AsyncWrite`.
macro_rules! writes {
    ($half:ty, $self:ident => $stream:expr) => {
        impl<K: $crate::net::Kind> futures_io::AsyncWrite for $half {
            fn poll_write(
                $self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::Stream::poll_write(&$stream, cx, bytes)
            }

            fn poll_write_vectored(
                $self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                parts: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::net::Stream::poll_write_vectored(&$stream, cx, parts)
            }

            fn poll_flush(
                $self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                $self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready($stream.shutdown(std::net::Shutdown::Write))
            }
        }
    };
}

/// The reading half of a borrowed connection: see [`Stream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a, K: Kind = Tcp>(&'a Stream<K>);

/// The writing half of a borrowed connection: see [`Stream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a, K: Kind = Tcp>(&'a Stream<K>);

/// The reading half of a shared connection: see [`Stream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf<K: Kind = Tcp>(Rc<Stream<K>>);

/// The writing half of a shared connection: see [`Stream::into_split`]. Dropping it closes the writing
/// direction, so that the peer sees the end.
#[derive(Debug)]
pub struct OwnedWriteHalf<K: Kind = Tcp> {
    stream: Rc<Stream<K>>,
    reunited: bool,
}

pub(crate) fn borrowed<K: Kind>(stream: &Stream<K>) -> (ReadHalf<'_, K>, WriteHalf<'_, K>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(crate) fn owned<K: Kind>(stream: Stream<K>) -> (OwnedReadHalf<K>, OwnedWriteHalf<K>) {
    let stream = Rc::new(stream);
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, reunited: false })
}

impl<K: Kind> ReadHalf<'_, K> {
    /// As [`Stream::read`]. Cancel-safe.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read(buffer)
    }
}

impl<K: Kind> WriteHalf<'_, K> {
    /// As [`Stream::write_all`]. Not cancel-safe.
    ///
    /// # Errors
    /// As [`Stream::write_all`].
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.0.write_all(bytes)
    }
}

impl<K: Kind> OwnedReadHalf<K> {
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
    pub fn reunite(self, mut write: OwnedWriteHalf<K>) -> Result<Stream<K>, ReuniteError<K>> {
        if !Rc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.reunited = true;
        drop(write);
        Ok(Rc::into_inner(self.0).expect("the two halves are the only owners"))
    }
}

impl<K: Kind> OwnedWriteHalf<K> {
    /// As [`Stream::write_all`]. Not cancel-safe.
    ///
    /// # Errors
    /// As [`Stream::write_all`].
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.write_all(bytes)
    }
}

impl<K: Kind> Drop for OwnedWriteHalf<K> {
    fn drop(&mut self) {
        if !self.reunited {
            // An error means that the connection is gone, which is as closed as can be.
            drop(self.stream.shutdown(Shutdown::Write));
        }
    }
}

reads!(ReadHalf<'_, K>, self => self.0);
writes!(WriteHalf<'_, K>, self => self.0);
reads!(OwnedReadHalf<K>, self => self.0);
writes!(OwnedWriteHalf<K>, self => self.stream);

/// The halves are not of the same connection.
pub struct ReuniteError<K: Kind = Tcp>(pub OwnedReadHalf<K>, pub OwnedWriteHalf<K>);

impl<K: Kind> fmt::Debug for ReuniteError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError")
    }
}

impl<K: Kind> fmt::Display for ReuniteError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same connection")
    }
}

impl<K: Kind> Error for ReuniteError<K> {}
