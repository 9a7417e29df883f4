//! A response: its head, and the body as it comes.

use crate::connection::{Piece, ResponseStart};
use crate::decode::Decoder;
use crate::error::{Error, Phase, Result};
use crate::hooks::SignalKind;
use crate::pool::Lease;
use crate::request::{Hop, Request, Settings};
use crate::secret::{Fields, redact_url};
use crate::timeout::{Deadline, Timer};
use crate::transport::Upgraded;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use url::Url;

/// A response whose head has come. Its body is read piece by piece, or whole.
///
/// The connection goes back to the pool as soon as the body has been read. If a response is
/// dropped before, what has already come of the body is read, up to 64 KiB; if that was not all,
/// the connection is closed. Bytes are read from the socket only when they are asked for: a reader
/// that is slow slows the server down.
#[derive(derive_more::Debug)]
#[debug(
    "Response {{ url: {:?}, status: {}, headers: {:?}, .. }}",
    redact_url(&request.url),
    self.status(),
    Fields(self.headers())
)]
pub struct Response {
    pub(crate) request: Box<Request>,
    /// What came along with the head is taken out of it when it is read.
    pub(crate) start: Box<ResponseStart>,
    history: Vec<Hop>,
    /// Where the rest of the body comes from, unless all of it came along.
    stream: Option<Box<Stream>>,
    pub(crate) decoder: Option<Box<Decoder>>,
    /// What is left of a piece that a reader took only a part of.
    pub(crate) unread: Bytes,
    /// The most that is collected of the body, in bytes.
    pub(crate) limit: u64,
}

struct Stream {
    lease: Lease,
    timer: Timer,
    /// Of the wait for the next piece.
    deadline: Deadline,
}

impl Stream {
    /// The next piece, unless it has not come for too long.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        let outcome = match self.lease.poll_body(cx) {
            Poll::Ready(Ok(piece)) => self.timer.check_total().map(|()| piece),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ready!(self.timer.poll_elapsed(cx, &mut self.deadline))),
        };
        self.deadline.restart();
        Poll::Ready(outcome)
    }
}

impl Response {
    // Inlined, so that the lease and the timer are moved only if they are needed further.
    #[inline]
    pub(crate) fn new(
        request: Box<Request>,
        start: Box<ResponseStart>,
        lease: Lease,
        timer: Timer,
        settings: &Settings,
        history: Vec<Hop>,
    ) -> Result<Self> {
        let head = &start.head;
        let partial = head.status == StatusCode::PARTIAL_CONTENT;
        let limit = settings.max_body_bytes;
        let decoder = match settings.decompress && head.facts.content_encoding && !partial {
            true => Decoder::new(head.values("content-encoding"), limit, settings.max_ratio)
                .map_err(|error| error.for_request(&request.method, &request.url))?
                .map(Box::new),
            false => None,
        };
        let first = &start.first;
        let stream = if first.last && !lease.is_tunnel() {
            // The connection is free for the next request before this one's body is looked at.
            drop(lease);
            timer.tell(SignalKind::ResponseChunkReceived { bytes: first.data.len() });
            timer.tell(SignalKind::ResponseEnd);
            None
        } else {
            let deadline = Deadline::new(Phase::Body, settings.timeouts.read);
            Some(Box::new(Stream { lease, timer, deadline }))
        };
        Ok(Self { request, start, history, stream, decoder, unread: Bytes::new(), limit })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.start.head.status
    }

    /// The reason phrase: for people, never for decisions. Escaped where it is not ASCII.
    #[must_use]
    pub fn reason(&self) -> String {
        self.start.head.reason()
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.start.head.version
    }

    /// The header fields. The map is built at the first call.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.start.head.headers()
    }

    /// The value of the first header field of this name: without the map, where one is all that is wanted.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.start.head.values(name).next()
    }

    /// The URL that answered: the last one, if redirects were followed.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.request.url
    }

    /// The responses that redirected, in order.
    #[must_use]
    pub fn history(&self) -> &[Hop] {
        &self.history
    }

    /// The address of the peer.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.start.address
    }

    /// Whether the connection had served another request before.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.start.reused
    }

    /// The length of the body as the server stated it, content coding still on.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.start.head.facts.content_length
    }

    /// The trailer fields of a chunked body, if it had any, once it has been read to its end.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.start.first.trailers.as_deref()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// After an error there are no more. Pieces are as long as what the socket had, up to 512 KiB; one of 32 KiB or more keeps all of
    /// its read buffer until it is dropped. Cancel-safe: a piece that was not returned has not been
    /// taken.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) for a body that was cut short, after all that came of it; a timeout
    /// if nothing came for too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.unread))));
        }
        loop {
            if let Some(decoder) = &mut self.decoder {
                match decoder.next() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Poll::Ready(Ok(Some(bytes))),
                    Err(error) => return Poll::Ready(Err(self.fail(error))),
                }
            }
            let Some(bytes) = ready!(self.poll_raw_chunk(cx))? else {
                let end = self.decoder.take().map_or(Ok(()), |decoder| decoder.finish());
                return Poll::Ready(end.map(|()| None).map_err(|error| self.fail(error)));
            };
            match &mut self.decoder {
                Some(decoder) => decoder.push(&bytes),
                None if bytes.is_empty() => {}
                None => return Poll::Ready(Ok(Some(bytes))),
            }
        }
    }

    fn poll_raw_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if self.is_tunnel() {
            // What comes now is no body: `upgrade` hands it over.
            return Poll::Ready(Ok(None));
        }
        if let Some(first) = self.take_first() {
            return Poll::Ready(Ok(Some(first)));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(None)) };
        Poll::Ready(match ready!(stream.poll_piece(cx)) {
            Ok(piece) => {
                stream.timer.tell(SignalKind::ResponseChunkReceived { bytes: piece.data.len() });
                if piece.last {
                    stream.timer.tell(SignalKind::ResponseEnd);
                    self.start.first.trailers = piece.trailers;
                    // Gives the connection back.
                    self.stream = None;
                }
                Ok(Some(piece.data))
            }
            Err(error) => Err(self.fail(error)),
        })
    }

    /// Shows each piece of the rest of the body to `sink`.
    ///
    /// # Errors
    /// As [`Response::chunk`]; what came before the error has been shown.
    pub async fn read_with(mut self, mut sink: impl FnMut(&[u8])) -> Result<()> {
        while let Some(piece) = self.chunk().await? {
            sink(&piece);
        }
        Ok(())
    }

    /// The raw stream, if the server has switched protocols (101), or opened a tunnel.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if it has not.
    pub fn upgrade(self) -> Result<Upgraded> {
        let tunnel = match self.stream {
            Some(stream) if stream.lease.is_tunnel() => stream.lease.into_connection(),
            _ => None,
        };
        let Some((transport, first)) = tunnel.and_then(|connection| connection.into_tunnel())
        else {
            let reason = format!("status {} switches no protocol", self.start.head.status.as_u16());
            let error = Error::invalid_request(reason);
            return Err(error.for_request(&self.request.method, &self.request.url));
        };
        Ok(Upgraded { transport, first })
    }

    fn is_tunnel(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.lease.is_tunnel())
    }

    /// What came of the body along with the head, unless that has been read.
    fn take_first(&mut self) -> Option<Bytes> {
        if self.start.first.data.is_empty() {
            return None;
        }
        let first = std::mem::take(&mut self.start.first.data);
        if let Some(stream) = &self.stream {
            stream.timer.tell(SignalKind::ResponseChunkReceived { bytes: first.len() });
        }
        Some(first)
    }

    /// Whether all of the body has been read.
    pub(crate) fn is_over(&self) -> bool {
        let came = self.stream.is_none() && self.start.first.data.is_empty();
        came && self.decoder.is_none() && self.unread.is_empty()
    }

    #[cold]
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        let stream = self.stream.take();
        let error = match &stream {
            Some(stream) => stream.lease.locate(error),
            None => error,
        };
        let error = error.for_request(&self.request.method, &self.request.url);
        let error = error.of_response(self.status());
        if let Some(stream) = &stream {
            stream.timer.tell(SignalKind::RequestException { error: &error });
        }
        self.start.first.data = Bytes::new();
        self.decoder = None;
        error
    }
}
