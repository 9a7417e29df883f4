//! Taking content codings off a body as it comes (RFC 9110 §8.4).
//!
//! A body may have been coded several times; there is one [`Stage`] for each coding, the last one
//! applied being taken off first. Every stage is pushed compressed bytes and gives decoded ones in
//! pieces of at most [`PIECE_BYTES`] and a bit, however much a few bytes may grow to. A body that
//! ends before its coding does is an error: what is missing cannot be told from what was never
//! there. So is one that grows to more than a client collects and beyond all proportion to what came.

#[cfg(feature = "br")]
mod brotli;
#[cfg(feature = "gzip")]
mod inflate;
#[cfg(feature = "zstd")]
mod zstd;

use crate::error::{Error, ErrorKind, Result};
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderValue;

/// Decoded bytes given out at once. A stage may pass it by what one step of its coding gives.
const PIECE_BYTES: usize = 64 * 1024;

/// Codings on one body; more are not for any reader's good.
const MAX_CODINGS: usize = 5;

/// What can be decoded, for `Accept-Encoding`.
pub(crate) fn accepted() -> HeaderValue {
    let known = ["gzip", "deflate", "br", "zstd"].into_iter().filter(|name| coding(name).is_some());
    let names = known.collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "identity".to_owned() } else { names };
    HeaderValue::try_from(names).expect("names of codings are tokens")
}

/// Takes one coding off.
trait Coding {
    /// Decodes from the beginning of `input` until that is used up or `out` has grown by about
    /// [`PIECE_BYTES`]. Returns how much of `input` it took: 0 if it needs more of it.
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String>;

    /// Whether the input may end here.
    fn is_at_end(&self) -> bool;
}

struct Stage {
    name: &'static str,
    coding: Box<dyn Coding>,
    /// What is still to be decoded.
    input: BytesMut,
}

/// Takes all codings off a body.
pub(crate) struct Decoder {
    /// In the order in which they are taken off.
    stages: Vec<Stage>,
    /// Decoded bytes that are always let pass: what a client collects is no bomb, however it repeats.
    free: u64,
    /// Decoded bytes that are let pass beyond, for each coded one.
    max_ratio: u64,
    coded: u64,
    decoded: u64,
}

impl Decoder {
    /// A decoder for the codings that these values of `Content-Encoding` name; `None` if there are none, or one that is
    /// not known: then the body is handed on as it is.
    pub(crate) fn new<'a>(
        codings: impl Iterator<Item = &'a [u8]>,
        free: u64,
        max_ratio: u64,
    ) -> Result<Option<Self>> {
        let mut stages = Vec::new();
        for value in codings {
            let value = str::from_utf8(value).unwrap_or("unknown");
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                if name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let Some((name, coding)) = coding(&name.to_ascii_lowercase()) else {
                    return Ok(None);
                };
                if stages.len() == MAX_CODINGS {
                    let reason = format!("more than {MAX_CODINGS} content codings");
                    return Err(Error::new(ErrorKind::Decode(reason)));
                }
                stages.push(Stage { name, coding, input: BytesMut::new() });
            }
        }
        stages.reverse();
        Ok((!stages.is_empty()).then_some(Self { stages, free, max_ratio, coded: 0, decoded: 0 }))
    }

    /// Adds coded bytes. To be called only when [`Decoder::next`] has nothing more to give.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.coded += bytes.len() as u64;
        self.stages[0].input.extend_from_slice(bytes);
    }

    /// The next decoded bytes, empty if more coded ones are needed.
    pub(crate) fn next(&mut self) -> Result<Bytes> {
        let last = self.stages.len() - 1;
        let mut index = last;
        let mut out = Vec::new();
        loop {
            self.stages[index].decode(&mut out)?;
            self.count(out.len() as u64)?;
            match (out.is_empty(), index) {
                (true, 0) => return Ok(Bytes::new()),
                (true, _) => index -= 1,
                (false, _) if index == last => return Ok(out.into()),
                (false, _) => {
                    index += 1;
                    self.stages[index].input.extend_from_slice(&out);
                    out.clear();
                }
            }
        }
    }

    /// What the stages between give counts as well: it costs as much to make.
    fn count(&mut self, decoded: u64) -> Result<()> {
        self.decoded += decoded;
        let limit = self.free.saturating_add(self.coded.saturating_mul(self.max_ratio));
        match self.decoded <= limit {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::BodyTooLarge { limit })),
        }
    }

    /// The body has ended: is it whole?
    pub(crate) fn finish(&self) -> Result<()> {
        // A response to say that there is nothing to say often names a coding all the same.
        if self.coded == 0 {
            return Ok(());
        }
        match self.stages.iter().find(|stage| !stage.coding.is_at_end()) {
            None => Ok(()),
            Some(Stage { name, .. }) => {
                let coded = self.coded;
                let reason = format!("the {name} data is cut short, after {coded} bytes");
                Err(Error::new(ErrorKind::Decode(reason)))
            }
        }
    }
}

/// The coding of this name, and the name to use for it.
fn coding(name: &str) -> Option<(&'static str, Box<dyn Coding>)> {
    match name {
        #[cfg(feature = "gzip")]
        "gzip" | "x-gzip" => Some(("gzip", Box::new(inflate::Gzip::Start))),
        #[cfg(feature = "gzip")]
        "deflate" => Some(("deflate", Box::new(inflate::Deflate::Start))),
        #[cfg(feature = "br")]
        "br" => Some(("br", Box::new(brotli::Brotli::new()))),
        #[cfg(feature = "zstd")]
        "zstd" => Some(("zstd", Box::new(zstd::Zstd::new()))),
        _ => None,
    }
}

impl Stage {
    fn decode(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while out.len() < PIECE_BYTES {
            let taken = self.coding.decode(&self.input, out).map_err(|reason| {
                Error::new(ErrorKind::Decode(format!("invalid {} data: {reason}", self.name)))
            })?;
            self.input.advance(taken);
            if taken == 0 {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "gzip"))]
mod tests;
