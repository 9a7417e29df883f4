//! The raw stream that is left after `101 Switching Protocols`, or after CONNECT.

use crate::transport::Transport;
use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection that speaks another protocol now. The pool knows nothing of it any more.
#[derive(derive_more::Debug)]
#[debug("Upgraded {{ buffered: {}, .. }}", first.len())]
pub struct Upgraded {
    transport: Transport,
    /// What came right behind the head.
    first: Bytes,
}

impl Upgraded {
    pub(crate) fn new(transport: Transport, first: Bytes) -> Self {
        Self { transport, first }
    }
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

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_close(cx)
    }
}
