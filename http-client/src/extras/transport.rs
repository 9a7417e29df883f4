//! What a connection runs over: a socket, or a layer over one, such as TLS; and the raw stream that is
//! left after `101 Switching Protocols`, or after CONNECT.

use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use mainspring::net::{Family, Stream, TcpStream};
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The byte stream of one connection.
pub(crate) type Transport = Box<dyn ByteStream>;

/// What a connection asks of its byte stream. What is not said here is as a layer has it that does its
/// own waiting.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin {
    /// Whether a read may find something. Of a layer that is known by trying alone.
    fn is_readable(&self) -> bool {
        true
    }

    /// Waits until it may.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Reads what may be there, as far as that can be known before.
    fn try_read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Sends each write at once. Needed where one message takes several: the rest of it would wait for
    /// the word that its beginning has arrived.
    fn set_nodelay(&self) {}
}

impl<F: Family> ByteStream for Stream<F> {
    fn is_readable(&self) -> bool {
        self.is_readable()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_readable(cx)
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }

    fn set_nodelay(&self) {
        if let Some(tcp) = (self as &dyn Any).downcast_ref::<TcpStream>() {
            // A system that refuses it is slower, and not wrong.
            tcp.set_nodelay(true).unwrap_or_default();
        }
    }
}

/// Writes of a layer that go to one of its fields as they are.
macro_rules! writes_to_field {
    ($layer:ty, $field:tt) => {
        impl AsyncWrite for $layer {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$field).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$field).poll_write_vectored(cx, parts)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_flush(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_close(cx)
            }
        }
    };
}
#[cfg(feature = "tls")]
pub(crate) use writes_to_field;

/// A connection that speaks another protocol now. The pool knows nothing of it any more.
#[derive(derive_more::Debug)]
#[debug("Upgraded {{ buffered: {}, .. }}", first.len())]
pub struct Upgraded {
    pub(crate) transport: Transport,
    /// What came right behind the head.
    pub(crate) first: Bytes,
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buffer);
        }
        let count = buffer.len().min(self.first.len());
        self.first.copy_to_slice(&mut buffer[..count]);
        Poll::Ready(Ok(count))
    }
}

writes_to_field!(Upgraded, transport);
