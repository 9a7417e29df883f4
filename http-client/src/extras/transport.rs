//! What a connection runs over: a socket, or a layer over one, such as TLS.

use mainspring::net::{Family, Stream, TcpStream};
use std::any::Any;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

/// The byte stream of one connection.
pub(crate) type Transport = Box<dyn ByteStream>;

/// What a connection asks of its byte stream. What is not said here is as a layer has it that does its
/// own waiting.
pub(crate) trait ByteStream {
    /// Whether a read may find something. Of a layer that is known by trying alone.
    fn is_readable(&self) -> bool {
        true
    }

    /// Waits until it may.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes at least one byte, or fails.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what has been kept back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that no more will be sent.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

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

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Stream::poll_read(self, cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Stream::poll_write(self, cx, bytes) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => count,
        }
    }

    /// A socket keeps nothing back.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that is gone needs no telling.
        self.shutdown(Shutdown::Write).unwrap_or_default();
        Poll::Ready(Ok(()))
    }

    fn set_nodelay(&self) {
        if let Some(tcp) = (self as &dyn Any).downcast_ref::<TcpStream>() {
            // A system that refuses it is slower, and not wrong.
            tcp.set_nodelay(true).unwrap_or_default();
        }
    }
}
