//! One connection to one server: the only module that touches both a socket and the protocol.
//!
//! A connection carries one exchange at a time. [`Connection::begin`] puts a request head in its
//! outgoing side, [`Connection::poll_send`] moves that and the body out, [`Connection::poll_reply`]
//! waits for the head of the answer and [`Connection::poll_body`] for what follows it. While it
//! waits it holds no buffer; what has come in has been decoded, so there is nothing to hold.

mod buffer;
mod exchange;
mod outgoing;
mod response_start;
mod sending;

pub(crate) use buffer::take_write_buffer;
pub(crate) use exchange::exchange;
pub(crate) use response_start::{Piece, ResponseStart, Sent};

use crate::body::Body;
use crate::error::{Error, ErrorKind, Phase, Progress, Result};
use crate::proto::{
    BodyFraming, CloseReason, Event, Limits, RequestKind, ResponseDecoder, ResponseHead,
};
use crate::transport::Transport;
use buffer::ReadBuffer;
use bytes::Bytes;
use futures_io::AsyncRead;
use outgoing::Outgoing;
use response_start::Reply;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// How much of an unread response is read, so as to keep its connection, when it is dropped.
const DRAIN_BYTES: usize = 64 * 1024;

/// A connection, idle or with one exchange on it.
///
/// Laid out as it stands here: what every exchange touches comes first, so that it is in few cache
/// lines. With many connections, each of them is a wait for memory.
#[repr(C)]
pub(crate) struct Connection {
    transport: Transport,
    /// Bytes of this exchange, out and in.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Exchanges begun.
    served: u32,
    nodelay: bool,
    replied: bool,
    outgoing: Outgoing,
    decoder: ResponseDecoder,
    /// From when on it has been idle for too long; set by the pool.
    pub(crate) idle_until: Option<Instant>,
    /// From when on it is too old for another request; set by the pool.
    pub(crate) expires: Option<Instant>,
    /// How long the server said it keeps an idle connection.
    pub(crate) keep_alive: Option<Duration>,
    surplus: Bytes,
    pub(crate) peer: Option<SocketAddr>,
    /// A violation found behind bytes that were still good: told after them.
    late_error: Option<Error>,
}

impl Connection {
    /// Boxed, since it is large, and passed on from future to future.
    pub(crate) fn new(transport: Transport, peer: Option<SocketAddr>) -> Box<Self> {
        Box::new(Self {
            transport,
            peer,
            decoder: ResponseDecoder::new(RequestKind::default(), Limits::default()),
            outgoing: Outgoing::default(),
            sent: 0,
            received: 0,
            served: 0,
            nodelay: false,
            replied: false,
            surplus: Bytes::new(),
            late_error: None,
            expires: None,
            idle_until: None,
            keep_alive: None,
        })
    }

    /// Whether the exchange on it is not its first.
    pub(crate) fn is_reused(&self) -> bool {
        self.served > 1
    }

    /// Says of an error where it happened.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let Self { peer: address, sent, received, .. } = *self;
        error.on_connection(Progress { address, reused: self.is_reused(), sent, received })
    }

    /// Begins an exchange. `head` comes from, and goes back to, the thread's write buffer.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        head: Vec<u8>,
        body: Body,
        kind: RequestKind,
        limits: Limits,
        held: bool,
    ) {
        if !body.is_empty() && !self.nodelay {
            // A head alone goes out in one write, which nothing holds back.
            self.transport.set_nodelay();
            self.nodelay = true;
        }
        self.outgoing = Outgoing::new(head, body, held);
        self.decoder = ResponseDecoder::new(kind, limits);
        self.sent = 0;
        self.received = 0;
        self.served += 1;
        self.replied = false;
    }

    /// Waits for the head of an answer.
    pub(crate) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply>> {
        loop {
            let (buffer, count) = ready!(self.poll_read(cx, Phase::Head))?;
            if count == 0 {
                let kind = match self.decoder.eof() {
                    Err(_) if self.received == 0 => ErrorKind::NoResponse,
                    Err(error) => ErrorKind::Protocol(error),
                    Ok(()) => unreachable!("no head has come, so the decoder is not done"),
                };
                return Poll::Ready(Err(Error::new(kind)));
            }
            if let Some(reply) = self.decode_reply(buffer, 0, count)? {
                return Poll::Ready(Ok(reply));
            }
        }
    }

    fn decode_reply(&mut self, buffer: ReadBuffer, at: usize, end: usize) -> Result<Option<Reply>> {
        match self.decoder.decode(buffer.bytes(at..end))? {
            (taken, Event::Head(head)) => Ok(Some(Some(self.start(head, buffer, at + taken, end)))),
            (taken, Event::Interim(_)) if at + taken == end => Ok(Some(None)),
            (taken, Event::Interim(_)) => self.decode_reply(buffer, at + taken, end),
            _ => Ok(None),
        }
    }

    /// The response that begins with `head`, and what of its body came along with that.
    fn start(
        &mut self,
        head: ResponseHead,
        buffer: ReadBuffer,
        at: usize,
        end: usize,
    ) -> Box<ResponseStart> {
        self.replied = true;
        if let Some(timeout) = head.facts.keep_alive_timeout {
            self.keep_alive = Some(timeout);
        }
        let (address, reused) = (self.peer, self.is_reused());
        let mut start = Box::new(ResponseStart { head, first: Piece::default(), address, reused });
        if self.decoder.is_done() {
            self.keep_surplus(buffer.bytes(at..end));
            start.first.last = true;
        } else if at < end {
            match self.decode_body(buffer, at, end) {
                Ok(first) => start.first = first,
                // An error in the body is told when the body is read: what came before must not
                // depend on how much came along with the head.
                Err(error) => self.late_error = Some(error),
            }
        }
        start
    }

    /// Waits for more of the body. Where nothing else ends it, the connection's end does (RFC 9112 §6.3).
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        loop {
            self.late_error.take().map_or(Ok(()), Err)?;
            let (buffer, count) = ready!(self.poll_read(cx, Phase::Body))?;
            if count == 0 {
                self.decoder.eof()?;
                return Poll::Ready(Ok(Piece { last: true, ..Piece::default() }));
            }
            let piece = self.decode_body(buffer, 0, count)?;
            if !piece.data.is_empty() || piece.last {
                return Poll::Ready(Ok(piece));
            }
        }
    }

    /// Decodes what stands in the buffer. One long run of body bytes is not copied.
    fn decode_body(&mut self, buffer: ReadBuffer, at: usize, end: usize) -> Result<Piece> {
        let (taken, event) = self.decoder.decode(buffer.bytes(at..end))?;
        let Event::Data(data) = event else {
            return Ok(self.end_of(event, &buffer, at + taken, end));
        };
        if at + taken == end {
            let length = data.len();
            let data = buffer.into_bytes(end - length..end);
            return Ok(Piece { data, last: self.decoder.is_done(), trailers: None });
        }
        let mut collected = Vec::with_capacity(end - at);
        collected.extend_from_slice(data);
        let collect = &mut |data: &[u8]| collected.extend_from_slice(data);
        let rest = self.decode_with(&buffer, at + taken, end, collect);
        // What came before the error is given out before it is told.
        let rest = rest.map_err(|error| self.late_error = Some(error)).unwrap_or_default();
        Ok(Piece { data: collected.into(), ..rest })
    }

    /// Shows each run of body bytes in the buffer to `sink`. The piece that is given has none.
    fn decode_with(
        &mut self,
        buffer: &ReadBuffer,
        mut at: usize,
        end: usize,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Piece> {
        loop {
            let (taken, event) = self.decoder.decode(buffer.bytes(at..end))?;
            at += taken;
            let Event::Data(data) = event else { return Ok(self.end_of(event, buffer, at, end)) };
            sink(data);
            if at == end && !self.decoder.is_done() {
                return Ok(Piece::default());
            }
        }
    }

    /// What an event is that brings no bytes of the body. What is left of the buffer belongs to no body.
    fn end_of(&mut self, event: Event<'_>, buffer: &ReadBuffer, at: usize, end: usize) -> Piece {
        let Event::End(trailers) = event else { return Piece::default() };
        self.keep_surplus(buffer.bytes(at..end));
        let trailers = (!trailers.is_empty()).then(|| Box::new(trailers));
        Piece { data: Bytes::new(), last: true, trailers }
    }

    /// Bytes after the end. Over a tunnel they are the first of the other protocol; else they belong to
    /// no response, and one of them is enough to tell that the peer and we disagree.
    fn keep_surplus(&mut self, bytes: &[u8]) {
        let kept = if self.is_tunnel() { bytes } else { &bytes[..bytes.len().min(1)] };
        self.surplus = Bytes::copy_from_slice(kept);
    }

    // Into each of its callers: what it gives would else go through memory, twice for each answer.
    #[inline(always)]
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        phase: Phase,
    ) -> Poll<Result<(ReadBuffer, usize)>> {
        ready!(self.transport.poll_readable(cx));
        let mut buffer = ReadBuffer::take();
        let outcome = match self.transport.try_read(buffer.space()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(Pin::new(&mut self.transport).poll_read(cx, buffer.space()))
            }
            outcome => outcome,
        };
        let count = outcome.or_else(|error| self.read_failed(phase, error))?;
        self.received += count as u64;
        Poll::Ready(Ok((buffer, count)))
    }

    /// An end that TLS did not declare is an end as any other, but for a body that ends nowhere else
    /// (RFC 9112 §9.8).
    #[cold]
    fn read_failed(&self, phase: Phase, error: io::Error) -> Result<usize> {
        let ends_by_itself =
            phase != Phase::Body || self.decoder.framing() != BodyFraming::UntilClose;
        if error.kind() == io::ErrorKind::UnexpectedEof && ends_by_itself {
            return Ok(0);
        }
        Err(Error::io(phase, error))
    }

    /// Whether the response has been read to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.replied && self.decoder.is_done()
    }

    /// Bytes of the body still to come, where the framing tells.
    pub(crate) fn body_left(&self) -> Option<u64> {
        self.decoder.body_left()
    }

    /// Why it cannot carry another exchange, if it cannot. To be asked once this one is over.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        if !self.replied {
            return Some(CloseReason::RequestAbandoned);
        }
        if !self.decoder.is_done() {
            return Some(CloseReason::ResponseUnread);
        }
        if let Some(reason) = self.decoder.close_reason() {
            return Some(reason);
        }
        if !self.outgoing.is_sent() {
            return Some(CloseReason::RequestUnfinished);
        }
        (!self.surplus.is_empty()).then_some(CloseReason::SurplusBytes)
    }

    /// Reads what has already come of a response that is not wanted, so that the connection may be
    /// kept. Never waits, and reads no more than 64 KiB.
    pub(crate) fn drain(&mut self) {
        let too_long = self.body_left().is_some_and(|left| left > DRAIN_BYTES as u64);
        if !self.replied || too_long || self.late_error.is_some() {
            return;
        }
        let mut budget = DRAIN_BYTES;
        let mut cx = Context::from_waker(Waker::noop());
        while !self.decoder.is_done() && budget > 0 {
            let mut buffer = ReadBuffer::take();
            let read =
                Pin::new(&mut self.transport).poll_read(&mut cx, &mut buffer.space()[..budget]);
            let Poll::Ready(Ok(count @ 1..)) = read else { return };
            if self.decode_with(&buffer, 0, count, &mut |_| ()).is_err() {
                return;
            }
            budget -= count;
        }
    }

    /// Looks, without waiting, at what an idle connection has been told meanwhile.
    #[inline]
    pub(crate) fn check_idle(&mut self, cx: &mut Context<'_>) -> Option<CloseReason> {
        if !self.transport.is_readable() {
            return None;
        }
        let mut byte = [0];
        match Pin::new(&mut self.transport).poll_read(cx, &mut byte) {
            Poll::Pending => None,
            Poll::Ready(Ok(1..)) => Some(CloseReason::BytesWhileIdle),
            Poll::Ready(Ok(0) | Err(_)) => Some(CloseReason::ClosedWhileIdle),
        }
    }

    /// Whether the connection now speaks another protocol.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.replied && self.decoder.framing() == BodyFraming::Tunnel
    }

    /// The raw stream and what came over it behind the head, after 101 or CONNECT.
    pub(crate) fn into_tunnel(self: Box<Self>) -> Option<(Transport, Bytes)> {
        self.transport.set_nodelay();
        self.is_tunnel().then_some((self.transport, self.surplus))
    }
}
