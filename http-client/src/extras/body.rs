//! The body of a request: bytes at hand, or a stream of known or unknown length.

use crate::proto::BodyLength;
use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use futures_util::{AsyncReadExt, stream};
use mainspring::spawn_blocking;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes asked of a reader at once.
const READER_BYTES: usize = 32 * 1024;

/// Bytes of a file read at once. A trip to the pool and back takes some ten microseconds, in which a disk reads
/// about as much.
const FILE_BYTES: u64 = 64 * 1024;

type BoxStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// The body of a request: bytes, a stream, a reader or a file.
///
/// Bytes can be sent again, after a redirect that asks for it or when a kept connection turns out
/// to be dead; a stream cannot.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Stream {
        stream: BoxStream,
        /// What is left of the length that was promised, if one was.
        left: Option<u64>,
    },
    /// A stream that has been taken to be sent.
    Spent,
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A stream of unknown length, sent with the chunked coding.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + 'static) -> Self {
        Self(Kind::Stream { stream: Box::pin(stream), left: None })
    }

    /// A stream of exactly `length` bytes, sent with `Content-Length`. If the stream turns out to
    /// be of another length, the request fails and its connection is closed.
    pub fn sized_stream(
        length: u64,
        stream: impl Stream<Item = io::Result<Bytes>> + 'static,
    ) -> Self {
        Self(Kind::Stream { stream: Box::pin(stream), left: Some(length) })
    }

    /// What `reader` gives, of `length` bytes if that is known.
    pub fn reader(reader: impl AsyncRead + 'static, length: Option<u64>) -> Self {
        let whole = (Box::pin(reader), vec![0; READER_BYTES]);
        let pieces = stream::try_unfold(whole, |(mut reader, mut buffer)| async move {
            let count = reader.read(&mut buffer).await?;
            let piece = Bytes::copy_from_slice(&buffer[..count]);
            Ok((count > 0).then_some((piece, (reader, buffer))))
        });
        Self(Kind::Stream { stream: Box::pin(pieces), left: length })
    }

    /// What `file` holds from its position on: of a known length if it is a regular file, which is the
    /// one that it has now, else in chunks. It is read on the blocking pool, up to 64 KiB at a time.
    ///
    /// # Errors
    /// What the system says about the file.
    pub fn file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let length = match metadata.is_file() {
            true => Some(metadata.len().saturating_sub(file.stream_position()?)),
            false => None,
        };
        let whole = (file, length.unwrap_or(u64::MAX));
        let pieces = stream::try_unfold(whole, |(file, left)| async move {
            // The file comes back with what was read of it.
            let read = move || read(&file, left.min(FILE_BYTES)).map(|piece| (piece, file));
            let (piece, file) = spawn_blocking(read).await.map_err(io::Error::other)??;
            let left = left - piece.len() as u64;
            Ok((!piece.is_empty()).then_some((piece, (file, left))))
        });
        Ok(Self(Kind::Stream { stream: Box::pin(pieces), left: length }))
    }

    /// Its bytes, unless it is a stream.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Stream { .. } | Kind::Spent => None,
        }
    }

    /// A second body with the same bytes; `None` for a stream.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Self::empty()),
            Kind::Bytes(bytes) => Some(Self(Kind::Bytes(bytes.clone()))),
            Kind::Stream { .. } | Kind::Spent => None,
        }
    }

    /// The body for one sending of its request. If it cannot be sent again, it is spent.
    #[inline]
    pub(crate) fn for_sending(&mut self) -> Self {
        if self.is_empty() {
            return Self::empty();
        }
        self.try_clone().unwrap_or_else(|| Self(std::mem::replace(&mut self.0, Kind::Spent)))
    }

    /// Whether it was a stream, and has been sent.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self.0, Kind::Spent)
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Kind::Empty)
    }

    pub(crate) fn length(&self) -> BodyLength {
        match &self.0 {
            Kind::Empty | Kind::Spent => BodyLength::Empty,
            Kind::Bytes(bytes) => BodyLength::Known(bytes.len() as u64),
            Kind::Stream { left: Some(length), .. } => BodyLength::Known(*length),
            Kind::Stream { left: None, .. } => BodyLength::Unknown,
        }
    }

    /// The next piece to send. Pieces are never empty.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.0 {
            Kind::Empty | Kind::Spent => Poll::Ready(None),
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
            Kind::Stream { stream, left } => loop {
                let piece = ready!(stream.as_mut().poll_next(cx));
                let wrong = |text| Poll::Ready(Some(Err(io::Error::other(text))));
                return match (piece, left.as_mut()) {
                    (Some(Ok(bytes)), _) if bytes.is_empty() => continue,
                    (Some(Ok(bytes)), Some(left)) => {
                        let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                            return wrong("the stream is longer than it promised to be");
                        };
                        *left = rest;
                        Poll::Ready(Some(Ok(bytes)))
                    }
                    (None, Some(left)) if *left > 0 => {
                        wrong("the stream is shorter than it promised to be")
                    }
                    (None, _) => {
                        self.0 = Kind::Empty;
                        Poll::Ready(None)
                    }
                    (piece, _) => Poll::Ready(piece),
                };
            },
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length() {
            BodyLength::Empty => f.write_str("Body(empty)"),
            BodyLength::Known(length) => write!(f, "Body({length} bytes)"),
            BodyLength::Unknown => f.write_str("Body(stream)"),
        }
    }
}

macro_rules! from_bytes {
    ($($kind:ty),+) => {$(
        impl From<$kind> for Body {
            fn from(bytes: $kind) -> Self {
                Self(Kind::Bytes(bytes.into()))
            }
        }
    )+};
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

/// One read's worth: a pipe gives what it has.
fn read(mut file: &File, most: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(most).unwrap_or(usize::MAX)];
    loop {
        match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            count => {
                piece.truncate(count?);
                return Ok(piece.into());
            }
        }
    }
}
