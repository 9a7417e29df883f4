//! What a connection runs over: a socket, or TLS over one.

#[cfg(feature = "tls")]
use crate::tls::TlsStream;
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
    fn is_readable(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_readable(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_readable(),
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
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

/// The byte stream of one connection.
pub(crate) enum Transport {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Whether a read may find something. Of TLS that is known by trying alone.
    pub(crate) fn is_readable(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_readable(),
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }

    /// Waits until it may.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(socket) => socket.poll_readable(cx),
            #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_read(cx, buffer),
        }
    }

    /// Sends each write at once. TLS does so from its handshake on.
    pub(crate) fn set_nodelay(&self) {
        match self {
            Self::Plain(socket) => socket.set_nodelay(),
            #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_write(cx, bytes),
        };
        match count {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => count,
        }
    }

    /// Sends what a layer between has kept back; a socket keeps nothing.
    pub(crate) fn poll_flush(
        &mut self,
        #[cfg_attr(not(feature = "tls"), expect(unused_variables))] cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_flush(cx),
        }
    }

    /// Says that no more will be sent.
    pub(crate) fn poll_close(
        &mut self,
        #[cfg_attr(not(feature = "tls"), expect(unused_variables))] cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => {
                socket.shutdown_write();
                Poll::Ready(Ok(()))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_close(cx),
        }
    }
}
