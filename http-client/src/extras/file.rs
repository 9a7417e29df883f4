//! A file as a stream: read piece by piece on the blocking pool, since no file is ever not ready.

use bytes::Bytes;
use futures_core::Stream;
use mainspring::{JoinHandle, spawn_blocking};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes read at once. A trip to the pool and back takes some ten microseconds, in which a disk reads
/// about as much.
const PIECE_BYTES: u64 = 64 * 1024;

/// The file comes back with what was read of it.
type Reading = JoinHandle<(File, io::Result<Bytes>)>;

/// What a file holds from its position on.
pub(crate) enum FileStream {
    /// Nothing is being read; so many bytes are left to be.
    Idle(File, u64),
    Reading(Reading, u64),
    Done,
}

impl FileStream {
    /// The stream, and its length where the file has one: a pipe has not.
    pub(crate) fn new(mut file: File) -> io::Result<(Self, Option<u64>)> {
        let metadata = file.metadata()?;
        let length = match metadata.is_file() {
            true => Some(metadata.len().saturating_sub(file.stream_position()?)),
            false => None,
        };
        Ok((Self::Idle(file, length.unwrap_or(u64::MAX)), length))
    }
}

impl Stream for FileStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut *self {
                Self::Idle(_, 0) | Self::Done => return Poll::Ready(None),
                Self::Idle(..) => {
                    let Self::Idle(file, left) = std::mem::replace(&mut *self, Self::Done) else {
                        unreachable!("it was idle a moment ago");
                    };
                    let reading = spawn_blocking(move || {
                        let piece = read(&file, left.min(PIECE_BYTES));
                        (file, piece)
                    });
                    *self = Self::Reading(reading, left);
                }
                Self::Reading(reading, left) => {
                    let left = *left;
                    let read = ready!(Pin::new(reading).poll(cx));
                    *self = Self::Done;
                    let (file, piece) = read.map_err(io::Error::other)?;
                    let piece = piece?;
                    if !piece.is_empty() {
                        *self = Self::Idle(file, left - piece.len() as u64);
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
            }
        }
    }
}

/// One read's worth: a pipe gives what it has.
fn read(mut file: &File, most: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(most).unwrap_or(usize::MAX)];
    loop {
        match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece.into());
            }
        }
    }
}
