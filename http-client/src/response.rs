//! A response: its head, and the body as it comes.

use crate::answer::{Answer, Trailers};
#[cfg(feature = "charset")]
use crate::charset;
use crate::client::Config;
use crate::decode::Decoder;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::hooks::SignalKind;
use crate::pool::Lease;
use crate::request::Request;
use crate::secret::{Fields, redact_url};
use crate::timeout::{Deadline, Timer};
use crate::upgrade::Upgraded;
use bytes::{Bytes, BytesMut};
#[cfg(feature = "charset")]
use http::HeaderValue;
use http::{HeaderMap, StatusCode, Version};
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use url::Url;

/// The most that is set aside for a body on the word of its `Content-Length` alone.
const TRUSTED_LENGTH: u64 = 1024 * 1024;

/// A response whose head has come. Its body is read by one of the methods that take it.
///
/// The connection goes back to the pool as soon as the body has been read. If a response is
/// dropped before, what has already come of the body is read, up to 64 KiB; if that was not all,
/// the connection is closed. Bytes are read from the socket only when they are asked for: a reader
/// that is slow slows the server down.
pub struct Response {
    request: Box<Request>,
    /// What came along with the head is taken out of it when it is read.
    answer: Box<Answer>,
    history: Vec<Url>,
    /// Where the rest of the body comes from, unless all of it came along.
    stream: Option<Box<Stream>>,
    decoder: Option<Box<Decoder>>,
    config: Rc<Config>,
}

struct Stream {
    lease: Lease,
    timer: Timer,
    /// Of the wait for the next piece.
    deadline: Deadline,
}

impl Stream {
    /// Takes a step, unless more has not come for too long.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Lease, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let outcome = match step(&mut self.lease, cx) {
            Poll::Ready(outcome) => outcome,
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
        answer: Box<Answer>,
        lease: Lease,
        timer: Timer,
        patience: Option<Duration>,
        history: Vec<Url>,
        config: Rc<Config>,
    ) -> Result<Self> {
        let head = &answer.head;
        let decoder = if head.facts.content_encoding && config.decompress {
            let decoder = Decoder::new(head.headers(), config.max_ratio);
            decoder.map_err(|error| error.for_request(&request.method, &request.url))?.map(Box::new)
        } else {
            None
        };
        let first = &answer.first;
        let stream = if first.last && !lease.is_tunnel() {
            // The connection is free for the next request before this one's body is looked at.
            drop(lease);
            timer.tell(SignalKind::ResponseChunkReceived { bytes: first.data.len() });
            timer.tell(SignalKind::ResponseEnd);
            None
        } else {
            let deadline = Deadline::new(Phase::Body, patience);
            Some(Box::new(Stream { lease, timer, deadline }))
        };
        Ok(Self { request, answer, history, stream, decoder, config })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.head.status
    }

    /// The reason phrase: for people, never for decisions. Escaped where it is not ASCII.
    #[must_use]
    pub fn reason(&self) -> String {
        self.answer.head.reason()
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.answer.head.version
    }

    /// The header fields. The map is built at the first call.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.answer.head.headers()
    }

    /// The URL that answered: the last one, if redirects were followed.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.request.url
    }

    /// The URLs that redirected, in order.
    #[must_use]
    pub fn history(&self) -> &[Url] {
        &self.history
    }

    /// The address of the peer.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.answer.address
    }

    /// The length of the body as the server stated it, content coding still on.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.answer.head.facts.content_length
    }

    /// The trailer fields of a chunked body, if it had any, once it has been read to its end.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.answer.first.trailers.as_deref()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// Pieces are as long as what the socket had, up to 512 KiB; one of 32 KiB or more keeps all of
    /// its read buffer until it is dropped. Cancel-safe: a piece that was not returned has not been
    /// taken.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for a body that was cut short, after all that came of it; a timeout
    /// if nothing came for too long.
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|cx| self.poll_chunk(cx)).await.transpose()
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
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
        Poll::Ready(match ready!(stream.poll(cx, |lease, cx| lease.poll_body(cx))) {
            Ok(piece) => {
                stream.timer.tell(SignalKind::ResponseChunkReceived { bytes: piece.data.len() });
                if piece.last {
                    self.end(piece.trailers);
                }
                Ok(Some(piece.data))
            }
            Err(error) => Err(self.fail(error)),
        })
    }

    /// Shows each run of bytes of the rest of the body to `sink`, without a copy where there is no
    /// content coding to be taken off.
    ///
    /// # Errors
    /// As [`Response::chunk`]; what came before the error has been shown.
    pub fn read_with(mut self, mut sink: impl FnMut(&[u8])) -> impl Future<Output = Result<()>> {
        poll_fn(move |cx| self.poll_with(cx, &mut sink))
    }

    fn poll_with(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<()>> {
        loop {
            if self.decoder.is_some() || self.is_tunnel() {
                match ready!(self.poll_chunk(cx))? {
                    Some(bytes) => sink(&bytes),
                    None => return Poll::Ready(Ok(())),
                }
                continue;
            }
            if let Some(first) = self.take_first() {
                sink(&first);
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
            let mut bytes = 0;
            let mut count = |run: &[u8]| {
                bytes += run.len();
                sink(run);
            };
            let step = stream.poll(cx, |lease, cx| lease.poll_body_with(cx, &mut count));
            let step = ready!(step);
            stream.timer.tell(SignalKind::ResponseChunkReceived { bytes });
            match step {
                Ok(Some(trailers)) => self.end(trailers),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.fail(error))),
            }
        }
    }

    /// The rest of the body, in one piece.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`ErrorKind::BodyTooLarge`] past the client's limit.
    pub async fn bytes(mut self) -> Result<Bytes> {
        self.collect().await
    }

    async fn collect(&mut self) -> Result<Bytes> {
        let limit = self.config.max_body_bytes;
        let first = match self.chunk().await {
            None => return Ok(Bytes::new()),
            Some(first) => first?,
        };
        if first.len() as u64 > limit {
            return Err(self.fail(Error::new(ErrorKind::BodyTooLarge { limit })));
        }
        let over = self.stream.is_none() && self.answer.first.data.is_empty();
        if over && self.decoder.is_none() {
            return Ok(first);
        }
        let expected = self.content_length().unwrap_or(0).min(TRUSTED_LENGTH).min(limit);
        let capacity = usize::try_from(expected).unwrap_or(0).max(2 * first.len());
        let mut body = BytesMut::with_capacity(capacity);
        body.extend_from_slice(&first);
        drop(first);
        while let Some(piece) = self.chunk().await {
            let piece = piece?;
            if (body.len() + piece.len()) as u64 > limit {
                return Err(self.fail(Error::new(ErrorKind::BodyTooLarge { limit })));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The rest of the body as text.
    ///
    /// Its encoding is what a byte order mark says, else the `charset` of the `Content-Type`, else what
    /// a page says of itself (`<meta charset>`), else what the text looks like;
    /// [`text_encoding`](crate::text_encoding) has the details, and says which it was. Without the
    /// feature `charset` it is UTF-8. Bytes that are no text of it become U+FFFD.
    ///
    /// # Errors
    /// As [`Response::bytes`].
    pub async fn text(mut self) -> Result<String> {
        let bytes = self.collect().await?;
        #[cfg(feature = "charset")]
        {
            let content_type = self.headers().get(http::header::CONTENT_TYPE);
            Ok(charset::decode_bytes(&bytes, content_type.map(HeaderValue::as_bytes)))
        }
        #[cfg(not(feature = "charset"))]
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The rest of the body, read as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`], and [`ErrorKind::Json`] if it is not the JSON of a `T`.
    #[cfg(feature = "json")]
    pub async fn json<T: serde_core::de::DeserializeOwned>(mut self) -> Result<T> {
        let bytes = self.collect().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Json(error.to_string()))
                .for_request(&self.request.method, &self.request.url)
        })
    }

    /// Reads the rest of the body and throws it away, so that the connection can be kept.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn discard(mut self) -> Result<()> {
        self.decoder = None;
        self.read_with(|_| ()).await
    }

    /// The raw stream, if the server has switched protocols (101), or opened a tunnel.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it has not.
    pub fn upgrade(self) -> Result<Upgraded> {
        let tunnel = match self.stream {
            Some(stream) if stream.lease.is_tunnel() => stream.lease.into_connection(),
            _ => None,
        };
        let Some((transport, first)) = tunnel.and_then(|connection| connection.into_tunnel())
        else {
            let reason =
                format!("status {} switches no protocol", self.answer.head.status.as_u16());
            let error = Error::new(ErrorKind::InvalidRequest(reason));
            return Err(error.for_request(&self.request.method, &self.request.url));
        };
        Ok(Upgraded::new(transport, first))
    }

    fn is_tunnel(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.lease.is_tunnel())
    }

    /// What came of the body along with the head, unless that has been read.
    fn take_first(&mut self) -> Option<Bytes> {
        if self.answer.first.data.is_empty() {
            return None;
        }
        let first = std::mem::take(&mut self.answer.first.data);
        if let Some(stream) = &self.stream {
            stream.timer.tell(SignalKind::ResponseChunkReceived { bytes: first.len() });
        }
        Some(first)
    }

    fn end(&mut self, trailers: Trailers) {
        self.answer.first.trailers = trailers;
        // Gives the connection back.
        if let Some(stream) = self.stream.take() {
            stream.timer.tell(SignalKind::ResponseEnd);
        }
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        let stream = self.stream.take();
        let error = match &stream {
            Some(stream) => stream.lease.locate(error),
            None => error,
        };
        let error = error.for_request(&self.request.method, &self.request.url);
        if let Some(stream) = &stream {
            stream.timer.tell(SignalKind::RequestException { error: &error });
        }
        self.answer.first.data = Bytes::new();
        self.decoder = None;
        error
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("url", &redact_url(&self.request.url))
            .field("status", &self.status())
            .field("headers", &Fields(self.headers()))
            .finish_non_exhaustive()
    }
}
