//! A file as a stream: read piece by piece on the blocking pool, since no file is ever not ready.

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream;
use mainspring::spawn_blocking;
use std::fs::File;
use std::io::{self, Read, Seek};

/// Bytes read at once. A trip to the pool and back takes some ten microseconds, in which a disk reads
/// about as much.
const PIECE_BYTES: u64 = 64 * 1024;

/// What a file holds from its position on, and the length of that where the file has one: a pipe has
/// not.
pub(crate) fn pieces(
    mut file: File,
) -> io::Result<(impl Stream<Item = io::Result<Bytes>>, Option<u64>)> {
    let metadata = file.metadata()?;
    let length = match metadata.is_file() {
        true => Some(metadata.len().saturating_sub(file.stream_position()?)),
        false => None,
    };
    let whole = (file, length.unwrap_or(u64::MAX));
    let pieces = stream::try_unfold(whole, |(file, left)| async move {
        // The file comes back with what was read of it.
        let read = move || read(&file, left.min(PIECE_BYTES)).map(|piece| (piece, file));
        let (piece, file) = spawn_blocking(read).await.map_err(io::Error::other)??;
        let left = left - piece.len() as u64;
        Ok((!piece.is_empty()).then_some((piece, (file, left))))
    });
    Ok((pieces, length))
}

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
