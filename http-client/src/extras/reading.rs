//! The body of a response in other forms: whole, as text, as JSON.

use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use bytes::{Bytes, BytesMut};

/// The most that is set aside for a body on the word of its `Content-Length` alone.
const TRUSTED_LENGTH: u64 = 1024 * 1024;

impl Response {
    /// The rest of the body, in one piece.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`ErrorKind::BodyTooLarge`] past the client's limit.
    pub async fn bytes(mut self) -> Result<Bytes> {
        self.collect().await
    }

    async fn collect(&mut self) -> Result<Bytes> {
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
        let bytes = self.collect().await?;
        #[cfg(feature = "charset")]
        {
            let content_type = self.start.head.values("content-type").next();
            Ok(crate::extras::charset::decode_bytes(&bytes, content_type))
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
}
