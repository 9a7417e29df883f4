//! Zstandard (RFC 8878): frames, one after another, of blocks of at most 128 KiB.
//!
//! The decoder below wants whole blocks, so this collects one at a time, by the three bytes at its
//! beginning that tell its length.

use super::Coding;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What RFC 8878 §3.1.1.1.2 asks a decoder to support, and RFC 9659 §3 forbids an HTTP server to
/// exceed.
const MAX_WINDOW: u64 = 8 * 1024 * 1024;

/// Bytes of a frame's header, at most (§3.1.1.1), and of one that is to be skipped (§3.1.2).
const LONGEST_HEADER: usize = 18;
const SKIPPABLE_HEADER: usize = 8;

pub(super) struct Zstd {
    decoder: Box<FrameDecoder>,
    state: State,
    frames: usize,
}

enum State {
    /// Before the header of a frame.
    Start,
    /// Within a frame, before a block. `checksum` follows the last one.
    Block {
        checksum: bool,
    },
    Skip(u32),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(MAX_WINDOW);
        Self { decoder, state: State::Start, frames: 0 }
    }

    fn start(&mut self, input: &[u8]) -> Result<usize, String> {
        use ReadFrameHeaderError::{BadMagicNumber, SkipFrame};
        let mut rest = input;
        match self.decoder.reset(&mut rest) {
            Ok(()) => {
                self.frames += 1;
                // A flag of the fifth byte (§3.1.1.1.1).
                self.state = State::Block { checksum: input[4] & 4 != 0 };
                Ok(input.len() - rest.len())
            }
            Err(FrameDecoderError::ReadFrameHeaderError(SkipFrame { length, .. })) => {
                self.state = State::Skip(length);
                Ok(SKIPPABLE_HEADER)
            }
            Err(FrameDecoderError::ReadFrameHeaderError(BadMagicNumber(_))) => {
                Err("this is no frame".to_owned())
            }
            // It may not be whole yet.
            Err(_) if input.len() < LONGEST_HEADER => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    fn block(&mut self, checksum: bool, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        let Some(&[a, b, c]) = input.first_chunk::<3>() else { return Ok(0) };
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, header >> 3);
        // A run is one byte, whatever it becomes (§3.1.1.2.2).
        let content = if kind == 1 { 1 } else { size as usize };
        let length = 3 + content + if last && checksum { 4 } else { 0 };
        let Some(block) = input.get(..length) else { return Ok(0) };
        self.decoder
            .decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| error.to_string())?;
        self.decoder.collect_to_writer(&mut *out).map_err(|error| error.to_string())?;
        if last {
            let stated = self.decoder.get_checksum_from_data();
            if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
                return Err("the checksum is wrong".to_owned());
            }
            self.state = State::Start;
        }
        Ok(length)
    }
}

impl Coding for Zstd {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        match self.state {
            State::Start => self.start(input),
            State::Block { checksum } => self.block(checksum, input, out),
            State::Skip(left) => {
                let taken = input.len().min(left as usize);
                self.state = match left - taken as u32 {
                    0 => State::Start,
                    left => State::Skip(left),
                };
                Ok(taken)
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.frames > 0 && matches!(self.state, State::Start)
    }
}
