//! The chunked transfer coding, both ways (RFC 9112 §7.1).
//!
//! ```text
//! chunked-body = *chunk last-chunk trailer-section CRLF
//! chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! chunk-size   = 1*HEXDIG            last-chunk = 1*("0") [ chunk-ext ] CRLF
//! ```
//!
//! Written by hand: `httparse::parse_chunk_size` reads a size without any digit as 0, and lets
//! every octet pass in an extension, for as long as the peer likes. Here a size has 1 to 16
//! digits, lines end with CRLF and nothing else, an extension holds no control character, and all
//! the extensions of a body share one limit. Blanks after the size are let pass, as some servers
//! pad it.

use super::decoder::Event;
use super::error::{ProtocolError, Result};
use super::head::{self, Collector, Limits, MAX_HEADER_COUNT};
use super::request::write_field;
use http::{HeaderMap, HeaderValue};

/// 16 hexadecimal digits are a `u64`.
const MAX_SIZE_DIGITS: u8 = 16;

/// Takes the chunked coding off a body.
///
/// ```text
///  Size ──CR──► SizeLf ──LF──► Data ──► DataCr ──► DataLf ──► Size
///   │ ▲digit      ▲  └─LF, size 0─► Trailers ──empty line──► Done
///   └─; or blank─► Extension
/// ```
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Size of the chunk being read; bytes of it still to come.
    size: u64,
    digits: u8,
    extension_bytes: usize,
}

#[derive(Debug)]
enum State {
    Size,
    /// Blanks after the size: only these, `;` or the end of the line may follow.
    SizeEnd,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers(Box<Collector>),
    Done,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// A decoder at the first byte of a body.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, extension_bytes: 0 }
    }

    /// Takes input up to the next event. Returns how much it took.
    ///
    /// # Errors
    /// The first violation of the grammar or of a limit; the decoder is of no use after it.
    pub fn decode<'a>(&mut self, input: &'a [u8], limits: &Limits) -> Result<(usize, Event<'a>)> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match &mut self.state {
                State::Data => {
                    let rest = &input[at..];
                    let take = usize::try_from(self.size).unwrap_or(usize::MAX).min(rest.len());
                    self.size -= take as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + take, Event::Data(&rest[..take])));
                }
                State::Trailers(collector) => {
                    let (taken, whole) = collector.take(&input[at..], limits.head_bytes);
                    at += taken;
                    if whole {
                        let trailers = parse_trailers(collector.bytes(), limits)?;
                        self.state = State::Done;
                        return Ok((at, Event::End(trailers)));
                    }
                    if collector.bytes().len() == limits.head_bytes {
                        return Err(ProtocolError::HeadTooLarge { limit: limits.head_bytes });
                    }
                }
                State::Done => return Ok((at, Event::End(HeaderMap::new()))),
                _ => {
                    self.line_byte(byte, limits)?;
                    at += 1;
                }
            }
        }
        Ok((at, Event::NeedMore))
    }

    /// One byte of the framing between two runs of data.
    fn line_byte(&mut self, byte: u8, limits: &Limits) -> Result<()> {
        self.state = match (&self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.digits == MAX_SIZE_DIGITS {
                    return Err(ProtocolError::ChunkSizeTooLarge);
                }
                let digit = char::from(byte).to_digit(16).expect("matched as a hex digit");
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, _) if self.digits == 0 => return Err(ProtocolError::ChunkSize { byte }),
            (State::Size | State::SizeEnd, b' ' | b'\t') => {
                self.count_extension_byte(limits)?;
                State::SizeEnd
            }
            (State::Size | State::SizeEnd, b';') => State::Extension,
            (State::Size | State::SizeEnd | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::SizeEnd, _) => return Err(ProtocolError::ChunkSize { byte }),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_extension_byte(limits)?;
                State::Extension
            }
            (State::Extension, _) => return Err(ProtocolError::ChunkExtension { byte }),
            (State::SizeLf, b'\n') if self.size == 0 => {
                State::Trailers(Box::new(Collector::at_line_start()))
            }
            (State::SizeLf, b'\n') => State::Data,
            (State::SizeLf, _) => return Err(ProtocolError::ChunkSize { byte }),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.digits = 0;
                State::Size
            }
            _ => return Err(ProtocolError::ChunkEnd { byte }),
        };
        Ok(())
    }

    fn count_extension_byte(&mut self, limits: &Limits) -> Result<()> {
        self.extension_bytes += 1;
        if self.extension_bytes > limits.chunk_extension_bytes {
            let limit = limits.chunk_extension_bytes;
            return Err(ProtocolError::ChunkExtensionsTooLarge { limit });
        }
        Ok(())
    }

    /// Whether the connection may end here without anything missing: after the last chunk, and
    /// before any trailer. RFC 9112 §8 calls a body incomplete only if its zero-sized chunk has
    /// not been received, and some servers close right after it.
    #[must_use]
    pub fn may_end_here(&self) -> bool {
        match &self.state {
            State::Trailers(collector) => matches!(collector.bytes(), b"" | b"\r"),
            State::Done => true,
            _ => false,
        }
    }
}

fn parse_trailers(block: &[u8], limits: &Limits) -> Result<HeaderMap> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_COUNT];
    let limit = limits.header_count.min(MAX_HEADER_COUNT);
    let fields = match httparse::parse_headers(block, &mut fields[..limit]) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(ProtocolError::TooManyHeaders { limit });
        }
        _ => return Err(head::diagnose_fields(block, false)),
    };
    let fields = fields.iter().map(|field| (field.name.as_bytes(), field.value));
    Ok(head::map(fields, HeaderValue::from_bytes))
}

/// Appends one chunk. An empty `data` appends nothing: a chunk of size zero would end the body.
pub fn encode_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    encode_chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line in front of a chunk.
pub(crate) fn encode_chunk_size(out: &mut Vec<u8>, size: usize) {
    out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
}

/// Appends the chunk that ends a body, with its trailers.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    trailers.iter().for_each(|(name, value)| write_field(out, name, value));
    out.extend_from_slice(b"\r\n");
}
