//! What a connection runs over: TCP, or TLS over it.

use mainspring::net::TcpStream;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

/// The byte stream of one connection.
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
}

impl Transport {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_read(cx, buffer),
        }
    }

    /// Writes at least one byte, or fails.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = match self {
            Self::Tcp(stream) => stream.poll_write(cx, bytes),
        };
        match count {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => count,
        }
    }

    /// Says that no more will be sent.
    pub(crate) fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Poll::Ready(stream.shutdown(Shutdown::Write)),
        }
    }

    /// Sends what a layer between has kept back; TCP keeps nothing.
    pub(crate) fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
        }
    }
}
