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

/// Does the same with whichever socket it is.
macro_rules! on {
    ($socket:expr, $stream:ident => $do:expr) => {
        match $socket {
            Socket::Tcp($stream) => $do,
            #[cfg(unix)]
            Socket::Unix($stream) => $do,
        }
    };
}

impl Socket {
    pub(crate) fn is_readable(&self) -> bool {
        on!(self, stream => stream.is_readable())
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        on!(self, stream => stream.poll_readable(cx))
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => stream.poll_read(cx, buffer))
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => stream.poll_write(cx, bytes))
    }

    /// Sends each write at once. Needed where one message takes several: the rest of it would
    /// wait for the word that its beginning has arrived.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(stream) = self {
            // A system that refuses it is slower, and not wrong.
            stream.set_nodelay(true).unwrap_or_default();
        }
    }

    /// Says that no more will be sent. A peer that is gone needs no telling.
    pub(crate) fn shutdown_write(&mut self) {
        on!(self, stream => stream.shutdown(Shutdown::Write)).unwrap_or_default();
    }
}
