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
pub(super) struct Gzip {
    member: Option<Decompress>,
    members: usize,
    padding: bool,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { member: None, members: 0, padding: false }
    }
}

impl Coding for Gzip {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        if input.is_empty() {
            // What zlib has inflated but not given out is asked for with nothing.
            if let Some(member) = &mut self.member {
                let (_, ended) = inflate(member, input, out)?;
                if ended {
                    self.member = None;
                }
            }
            return Ok(0);
        }
        if self.padding {
            return Ok(input.len());
        }
        let member = match &mut self.member {
            Some(member) => member,
            slot => {
                if self.members > 0 {
                    let start = &input[..input.len().min(2)];
                    if start != &GZIP_MAGIC[..start.len()] {
                        self.padding = true;
                        return Ok(input.len());
                    }
                    if start.len() < 2 {
                        return Ok(0);
                    }
                }
                self.members += 1;
                slot.insert(Decompress::new_gzip(WINDOW_BITS))
            }
        };
        let (taken, ended) = inflate(member, input, out)?;
        if ended {
            self.member = None;
        }
        Ok(taken)
    }

    fn is_at_end(&self) -> bool {
        self.members > 0 && self.member.is_none()
    }
}

/// zlib, or a raw deflate stream, which some servers send under that name.
pub(super) enum Deflate {
    Unknown,
    Inflating(Decompress),
    Over,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self::Unknown
    }
}

impl Coding for Deflate {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        if let (Self::Unknown, [first, second, ..]) = (&self, input) {
            // RFC 1950 §2.2: the method is 8, and the first two bytes are a multiple of 31.
            let header = u16::from_be_bytes([*first, *second]);
            let zlib = first & 0x0f == 8 && header % 31 == 0;
            *self = Self::Inflating(Decompress::new(zlib));
        }
        match self {
            Self::Unknown => Ok(0),
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
