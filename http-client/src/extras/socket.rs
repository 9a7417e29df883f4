//! A connected socket, of one kind or the other.

use mainspring::net::TcpStream;
#[cfg(unix)]
use mainspring::net::UnixStream;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

/// A connected socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn is_readable(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_readable(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_readable(),
        }
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => stream.poll_readable(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_readable(cx),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_read(cx, buffer),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Sends each write at once. Needed where one message takes several: the rest of it would
    /// wait for the word that its beginning has arrived.
    pub(crate) fn set_nodelay(&self) {
        match self {
            // A system that refuses it is slower, and not wrong.
            Self::Tcp(stream) => stream.set_nodelay(true).unwrap_or_default(),
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    /// Says that no more will be sent. A peer that is gone needs no telling.
    pub(crate) fn shutdown_write(&mut self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .unwrap_or_default();
    }
}
