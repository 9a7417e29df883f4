//! A request on its way out: gathered into as few writes as can be, sent by the connection.

use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::{BodyLength, encode_chunk, encode_chunk_size, encode_last_chunk};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use std::task::{Context, Poll};

/// Pieces of a body up to this length are gathered, so that they go out in one write.
const GATHER_BYTES: usize = 8 * 1024;

/// What is still to be sent: bytes, then the body.
#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    at: usize,
    /// Boxed, as most requests have none.
    body: Option<Box<OutgoingBody>>,
}

/// What is still to be sent of a body: a piece, then the rest.
struct OutgoingBody {
    piece: Bytes,
    rest: Body,
    chunked: bool,
    /// It waits for `100 Continue`.
    held: bool,
    /// It has given all that it has.
    ended: bool,
}

impl Outgoing {
    /// A head and its body. `held`: the body waits for `100 Continue`.
    #[inline]
    pub(crate) fn new(head: Vec<u8>, body: Body, held: bool) -> Self {
        let body = (!body.is_empty()).then(|| {
            let chunked = body.length() == BodyLength::Unknown;
            Box::new(OutgoingBody { piece: Bytes::new(), rest: body, chunked, held, ended: false })
        });
        Self { bytes: head, at: 0, body }
    }

    /// What is to be written next, if anything is.
    #[inline]
    pub(crate) fn next(&self) -> Option<&[u8]> {
        match &self.bytes[self.at..] {
            [] => self.body.as_ref().map(|body| &body.piece[..]).filter(|piece| !piece.is_empty()),
            bytes => Some(bytes),
        }
    }

    /// So many bytes of that have been written.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        if self.at < self.bytes.len() {
            self.at += count;
            if self.at == self.bytes.len() {
                self.at = 0;
                self.bytes.clear();
            }
        } else if let Some(body) = &mut self.body {
            body.piece.advance(count);
            if body.piece.is_empty() && body.chunked {
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The buffer, once all in it has been written.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.bytes.is_empty()
            && self.body.as_ref().is_none_or(|body| body.ended && body.piece.is_empty())
    }

    /// Whether the body waits for `100 Continue`.
    pub(crate) fn is_held(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.held)
    }

    /// The body need not wait any longer.
    pub(crate) fn release(&mut self) {
        if let Some(body) = &mut self.body {
            body.held = false;
        }
    }

    /// The body, if it still waits. What is left in its place counts as not sent.
    pub(crate) fn take_held_body(&mut self) -> Option<Body> {
        let body = self.body.as_mut().filter(|body| body.held)?;
        Some(std::mem::take(&mut body.rest))
    }

    /// Gathers what the body has to give. Pending if it has nothing more at the moment.
    #[inline]
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>> {
        match &mut self.body {
            Some(body) => body.poll_fill(&mut self.bytes, cx),
            None => Ok(Poll::Ready(())),
        }
    }
}

impl OutgoingBody {
    fn poll_fill(&mut self, bytes: &mut Vec<u8>, cx: &mut Context<'_>) -> Result<Poll<()>> {
        while !self.held && !self.ended && self.piece.is_empty() && bytes.len() < GATHER_BYTES {
            match self.rest.poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => self.append(piece, bytes),
                Poll::Ready(Some(Err(error))) => {
                    return Err(Error::new(ErrorKind::RequestBody(error)));
                }
                Poll::Ready(None) => {
                    if self.chunked {
                        encode_last_chunk(bytes, &HeaderMap::new());
                    }
                    self.ended = true;
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    fn append(&mut self, piece: Bytes, bytes: &mut Vec<u8>) {
        match (piece.len() <= GATHER_BYTES, self.chunked) {
            (true, true) => encode_chunk(bytes, &piece),
            (true, false) => bytes.extend_from_slice(&piece),
            (false, chunked) => {
                // A long piece is not copied: its frame is written around it.
                if chunked {
                    encode_chunk_size(bytes, piece.len());
                }
                self.piece = piece;
            }
        }
    }
}
