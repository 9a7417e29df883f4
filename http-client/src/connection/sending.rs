//! How a connection sends a request, and looks meanwhile for an early answer.

use super::{Connection, Sent, buffer};
use crate::body::Body;
use crate::error::{Error, ErrorKind, Phase, Result};
use futures_io::AsyncWrite;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl Connection {
    /// Sends as much as the socket takes. If it takes no more, looks for an early answer.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sent>> {
        let before = self.sent;
        match self.poll_send_all(cx) {
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(Sent::All)),
            Poll::Ready(Ok(false)) => Poll::Ready(Ok(Sent::Held)),
            Poll::Ready(Err(failed)) if matches!(failed.kind(), ErrorKind::Io { .. }) => {
                // A server that refuses a body answers and closes; its answer says more than the
                // broken pipe does.
                match self.poll_reply(cx) {
                    Poll::Ready(Ok(reply)) => Poll::Ready(Ok(Sent::Reply(reply))),
                    Poll::Ready(Err(error)) if matches!(error.kind(), ErrorKind::Tls(_)) => {
                        Poll::Ready(Err(error))
                    }
                    _ => Poll::Ready(Err(failed)),
                }
            }
            Poll::Ready(Err(failed)) => Poll::Ready(Err(failed)),
            Poll::Pending => match self.poll_reply(cx) {
                Poll::Ready(reply) => Poll::Ready(reply.map(Sent::Reply)),
                Poll::Pending if self.sent > before => Poll::Ready(Ok(Sent::Some)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// `100 Continue` has come, or nothing has for long enough.
    pub(crate) fn release_body(&mut self) {
        self.outgoing.release();
    }

    /// The body that waits for `100 Continue`, of which nothing has been sent.
    pub(crate) fn take_held_body(&mut self) -> Option<Body> {
        self.outgoing.take_held_body()
    }

    /// `true` once all is sent, `false` once all but a held body is.
    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let failed = |error| Error::io(Phase::Write, error);
        loop {
            // The body's first piece goes out with the head, in one write, if it can be had at once.
            let filled = self.outgoing.poll_fill(cx)?;
            ready!(self.poll_drain(cx)).map_err(failed)?;
            let held = self.outgoing.is_held();
            if held || self.outgoing.is_sent() || filled.is_pending() {
                ready!(Pin::new(&mut self.transport).poll_flush(cx)).map_err(failed)?;
                ready!(filled);
                return Poll::Ready(Ok(!held));
            }
        }
    }

    /// Writes what has been gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = &mut self.outgoing;
        while let Some(next) = out.next() {
            let count = ready!(Pin::new(&mut self.transport).poll_write(cx, next))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count as u64;
            out.advance(count);
        }
        buffer::keep_write_buffer(out.take_buffer());
        Poll::Ready(Ok(()))
    }
}
