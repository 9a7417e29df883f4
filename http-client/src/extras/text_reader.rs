//! The body of a response as text, piece by piece.

use crate::error::Result;
use crate::response::Response;
use bytes::Bytes;
use futures_core::Stream;
use mainspring_charset as charset;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl Response {
    /// The rest of the body as text, piece by piece, in the encoding that [`Response::text`] finds; where
    /// the `Content-Type` does not say it, the first 64 KiB are waited for.
    #[must_use]
    pub fn text_reader(self) -> TextReader {
        TextReader { response: self, held: Vec::new(), decoder: None, ended: false }
    }
}

/// A body as text, piece by piece: see [`Response::text_reader`]. Also a [`Stream`].
#[derive(Debug)]
pub struct TextReader {
    response: Response,
    /// What has come before the encoding is known.
    held: Vec<u8>,
    decoder: Option<charset::encoding_rs::Decoder>,
    ended: bool,
}

impl TextReader {
    /// The next piece of the text, never empty; `None` at its end. A character is never cut.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn chunk(&mut self) -> Result<Option<String>> {
        poll_fn(|cx| self.poll_text(cx)).await
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<String>>> {
        while !self.ended {
            let piece = ready!(self.response.poll_chunk(cx))?;
            self.ended = piece.is_none();
            let text = self.decode(piece.unwrap_or_default());
            if !text.is_empty() {
                return Poll::Ready(Ok(Some(text)));
            }
        }
        Poll::Ready(Ok(None))
    }

    fn decode(&mut self, mut piece: Bytes) -> String {
        if self.decoder.is_none() {
            self.held.extend_from_slice(&piece);
            let content_type = self.response.start.head.content_type();
            let letters = content_type.to_ascii_lowercase();
            // JSON is UTF-8, whatever it looks like (RFC 8259 §8.1).
            let is_said = charset::declared(&letters).is_some() || letters.ends_with(b"json");
            if !is_said && !self.ended && self.held.len() < charset::ENCODING_BYTES {
                return String::new();
            }
            let encoding = charset::text_encoding(&self.held, Some(content_type));
            self.decoder = Some(encoding.new_decoder());
            piece = std::mem::take(&mut self.held).into();
        }
        let Some(decoder) = &mut self.decoder else { return String::new() };
        let most = decoder.max_utf8_buffer_length(piece.len()).unwrap_or(piece.len());
        let mut text = String::with_capacity(most);
        let (_result, _taken, _malformed) = decoder.decode_to_string(&piece, &mut text, self.ended);
        text
    }
}

impl Stream for TextReader {
    type Item = Result<String>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_text(cx).map(Result::transpose)
    }
}
