//! What a connection runs over: a socket, or a layer over one, such as TLS.

use futures_io::{AsyncRead, AsyncWrite};
use mainspring::net::{Family, Stream, TcpStream};
use std::any::Any;
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

    fn set_nodelay(&self) {
        if let Some(tcp) = (self as &dyn Any).downcast_ref::<TcpStream>() {
            // A system that refuses it is slower, and not wrong.
            tcp.set_nodelay(true).unwrap_or_default();
        }
    }
}
