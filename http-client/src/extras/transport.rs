//! What a connection runs over: a socket, or TLS over one.

use crate::socket::Socket;
use crate::tls::TlsStream;
use std::io;
use std::task::{Context, Poll};

/// The byte stream of one connection.
pub(crate) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Whether a read may find something. Of TLS that is known by trying alone.
    pub(crate) fn is_readable(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_readable(),
            Self::Tls(_) => true,
        }
    }

    /// Waits until it may.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_readable(cx),
            Self::Tls(_) => Poll::Ready(()),
        }
    }

    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read(cx, buffer),
            Self::Tls(stream) => stream.poll_read(cx, buffer),
        }
    }

    /// Sends each write at once. TLS does so from its handshake on.
    pub(crate) fn set_nodelay(&self) {
        match self {
            Self::Plain(socket) => socket.set_nodelay(),
            Self::Tls(_) => {}
        }
    }

    /// Writes at least one byte, or fails.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = match self {
            Self::Plain(socket) => socket.poll_write(cx, bytes),
            Self::Tls(stream) => stream.poll_write(cx, bytes),
        };
        match count {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => count,
        }
    }

    /// Sends what a layer between has kept back; a socket keeps nothing.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_flush(cx),
        }
    }

    /// Says that no more will be sent.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => {
                socket.shutdown_write();
                Poll::Ready(Ok(()))
            }
            Self::Tls(stream) => stream.poll_close(cx),
        }
    }
}
