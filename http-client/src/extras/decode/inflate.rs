//! gzip (RFC 1952) and deflate, which is zlib (RFC 1950) by the book, and often not.

use super::{Coding, PIECE_BYTES};
use flate2::{Decompress, FlushDecompress, Status};

/// The largest window, 32 KiB, as any encoder may use it.
const WINDOW_BITS: u8 = 15;

/// The first two bytes of a gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One step of inflation: bytes taken, and whether the stream is over.
fn inflate(
    state: &mut Decompress,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(usize, bool), String> {
    let before = state.total_in();
    // Room for a usual ratio; if it is not enough, there is another step.
    out.reserve((8 * input.len()).clamp(1024, PIECE_BYTES));
    let status = state.decompress_vec(input, out, FlushDecompress::None);
    let ended = match status {
        Ok(status) => status == Status::StreamEnd,
        Err(error) => return Err(error.message().unwrap_or("corrupt").to_owned()),
    };
    let taken = state.total_in() - before;
    Ok((usize::try_from(taken).unwrap_or(usize::MAX), ended))
}

/// One or more gzip members in a row. What follows the last of them, if it is not the beginning
/// of another, is padding, and passed over.
pub(super) enum Gzip {
    Start,
    Member(Decompress),
    /// After a member.
    Between,
    Padding,
}

impl Coding for Gzip {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        match self {
            // What zlib has inflated but not given out is asked for with nothing.
            Self::Member(state) => {
                let (taken, ended) = inflate(state, input, out)?;
                if ended {
                    *self = Self::Between;
                }
                Ok(taken)
            }
            _ if input.is_empty() => Ok(0),
            Self::Padding => Ok(input.len()),
            Self::Between if !input.starts_with(&GZIP_MAGIC[..input.len().min(2)]) => {
                *self = Self::Padding;
                Ok(input.len())
            }
            Self::Between if input.len() < GZIP_MAGIC.len() => Ok(0),
            Self::Start | Self::Between => {
                *self = Self::Member(Decompress::new_gzip(WINDOW_BITS));
                self.decode(input, out)
            }
        }
    }

    fn is_at_end(&self) -> bool {
        matches!(self, Self::Between | Self::Padding)
    }
}

/// zlib, or a raw deflate stream, which some servers send under that name.
pub(super) enum Deflate {
    Start,
    Inflating(Decompress),
    Over,
}

impl Coding for Deflate {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        if let (Self::Start, [first, second, ..]) = (&self, input) {
            // RFC 1950 §2.2: the method is 8, and the first two bytes are a multiple of 31.
            let header = u16::from_be_bytes([*first, *second]);
            let zlib = first & 0x0f == 8 && header % 31 == 0;
            *self = Self::Inflating(Decompress::new(zlib));
        }
        match self {
            Self::Start => Ok(0),
            Self::Over => Ok(input.len()),
            Self::Inflating(state) => {
                let (taken, ended) = inflate(state, input, out)?;
                if ended {
                    *self = Self::Over;
                }
                Ok(taken)
            }
        }
    }

    fn is_at_end(&self) -> bool {
        matches!(self, Self::Over)
    }
}
