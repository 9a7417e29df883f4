//! A request on its way out: gathered into as few writes as can be, sent by the connection.

use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::{BodyLength, encode_chunk, encode_last_chunk};
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};

/// Pieces of a body up to this length are gathered, so that they go out in one write.
const GATHER_BYTES: usize = 8 * 1024;

/// What is still to be sent: bytes, then a piece of the body, then the rest of the body.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) piece: Bytes,
    pub(crate) body: Body,
    pub(crate) chunked: bool,
    /// The body waits for `100 Continue`.
    pub(crate) held: bool,
    /// The body has given all that it has.
    pub(crate) ended: bool,
}

impl Outgoing {
    /// A head and its body. `held`: the body waits for `100 Continue`.
    pub(crate) fn new(head: Vec<u8>, body: Body, held: bool) -> Self {
        let chunked = body.length() == BodyLength::Unknown;
        let ended = body.is_empty();
        Self { bytes: head, at: 0, piece: Bytes::new(), body, chunked, held, ended }
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.ended && self.bytes.is_empty() && self.piece.is_empty()
    }

    /// Gathers what the body has to give. Pending if it has nothing more at the moment.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>> {
        while !self.held && !self.ended && self.piece.is_empty() && self.bytes.len() < GATHER_BYTES
        {
            match self.body.poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => self.append(piece),
                Poll::Ready(Some(Err(error))) => {
                    return Err(Error::new(ErrorKind::RequestBody(error)));
                }
                Poll::Ready(None) => {
                    if self.chunked {
                        encode_last_chunk(&mut self.bytes, &HeaderMap::new());
                    }
                    self.ended = true;
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    fn append(&mut self, piece: Bytes) {
        match (piece.len() <= GATHER_BYTES, self.chunked) {
            (true, true) => encode_chunk(&mut self.bytes, &piece),
            (true, false) => self.bytes.extend_from_slice(&piece),
            (false, chunked) => {
                // A long piece is not copied: its frame is written around it.
                if chunked {
                    self.bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                }
                self.piece = piece;
            }
        }
    }
}
