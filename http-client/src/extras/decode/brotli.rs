//! Brotli (RFC 7932).

use super::{Coding, PIECE_BYTES};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

pub(super) struct Brotli {
    /// Large: tables and a window that grows with the stream.
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    scratch: Box<[u8]>,
    over: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        // "Strict" is the format of the RFC, without windows of up to 1 GiB.
        let state = Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()));
        Self { state, scratch: vec![0; PIECE_BYTES / 4].into(), over: false }
    }
}

impl Coding for Brotli {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        if self.over {
            return Ok(input.len());
        }
        let (mut left, mut taken) = (input.len(), 0);
        while out.len() < PIECE_BYTES {
            let (mut room, mut given, mut total) = (self.scratch.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut taken,
                input,
                &mut room,
                &mut given,
                &mut self.scratch,
                &mut total,
                &mut self.state,
            );
            out.extend_from_slice(&self.scratch[..given]);
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => break,
                BrotliResult::ResultSuccess => {
                    self.over = true;
                    break;
                }
                BrotliResult::ResultFailure => return Err("corrupt".to_owned()),
            }
        }
        Ok(taken)
    }

    fn is_at_end(&self) -> bool {
        self.over
    }
}
