//! The body of a response in other forms: whole, as text, as JSON, as a stream, as a reader.

use crate::error::{Error, ErrorKind, Result};
use crate::proto::ProtocolError;
use crate::response::Response;
use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_io::{AsyncBufRead, AsyncRead};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most that is set aside for a body on the word of its `Content-Length` alone.
const TRUSTED_LENGTH: u64 = 1024 * 1024;

impl Response {
    /// The response itself, or [`ErrorKind::Status`] if its status is 400 or more.
    ///
    /// # Errors
    /// That.
    pub fn error_for_status(mut self) -> Result<Self> {
        let status = self.status();
        match status.as_u16() {
            ..400 => Ok(self),
            _ => Err(self.fail(Error::new(ErrorKind::Status(status)))),
        }
    }

    /// The rest of the body, in one piece.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`ErrorKind::BodyTooLarge`] past the limit of the client or request.
    pub async fn bytes(mut self) -> Result<Bytes> {
        self.read_body().await
    }

    /// The same, and the response stays: for its trailers, history and head.
    ///
    /// # Errors
    /// As [`Response::bytes`].
    pub async fn read_body(&mut self) -> Result<Bytes> {
        let limit = self.limit;
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() as u64 > limit {
            return Err(self.fail(Error::new(ErrorKind::BodyTooLarge { limit })));
        }
        if self.is_over() {
            return Ok(first);
        }
        let expected = self.content_length().unwrap_or(0).min(TRUSTED_LENGTH).min(limit);
        let capacity = usize::try_from(expected).unwrap_or(0).max(2 * first.len());
        let mut body = BytesMut::with_capacity(capacity);
        body.extend_from_slice(&first);
        drop(first);
        while let Some(piece) = self.chunk().await? {
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
        let bytes = self.read_body().await?;
        #[cfg(feature = "charset")]
        return Ok(mainspring_charset::to_text(bytes.into(), self.start.head.content_type()));
        #[cfg(not(feature = "charset"))]
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }

    /// The rest of the body, read as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`], and [`ErrorKind::Json`] if it is not the JSON of a `T`: with the status, the
    /// `Content-Type` and the first words of the body, which often say why.
    #[cfg(feature = "json")]
    pub async fn json<T: serde_core::de::DeserializeOwned>(mut self) -> Result<T> {
        let bytes = self.read_body().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let (status, kind) = (self.status(), first_words(self.start.head.content_type()));
            let words = first_words(&bytes);
            let reason = format!("{error} (status {status}, type \"{kind}\", \"{words}\")");
            self.fail(Error::new(ErrorKind::Json(reason)))
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
}

/// The beginning of what a peer sent, for an error.
#[cfg(feature = "json")]
fn first_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let words: String = text.trim().chars().take(50).collect();
    let more = if words.len() < bytes.trim_ascii().len() { "…" } else { "" };
    format!("{}{more}", words.escape_debug())
}

/// Of the kind that says most: a timeout, an end too early, what the socket said.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Timeout { .. } => io::ErrorKind::TimedOut,
            ErrorKind::Io { source, .. } => source.kind(),
            ErrorKind::Protocol(ProtocolError::BodyTruncated { .. }) => {
                io::ErrorKind::UnexpectedEof
            }
            ErrorKind::Protocol(_) | ErrorKind::Decode(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The pieces of the body, as [`Response::chunk`] gives them.
impl Stream for Response {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx).map(Result::transpose)
    }
}

/// The body, content coding taken off. Errors are [`Error`]s within an [`io::Error`].
impl AsyncBufRead for Response {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if let Some(piece) = ready!(this.poll_chunk(cx))? {
            this.unread = piece;
        }
        Poll::Ready(Ok(&this.unread))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.unread.advance(count);
    }
}

impl AsyncRead for Response {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let unread = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}
