//! Where a response body ends (RFC 9112 §6.3), and whether the connection may live on (§9.3).
//!
//! Works on the fields as `httparse` found them, before any map is built: the few fields that
//! steer the connection are picked out in one pass over the head.

use super::close_reason::CloseReason;
use super::error::{ProtocolError, Result, excerpt};
use http::{StatusCode, Version};
use std::time::Duration;

/// What the decoder must know of the request to understand its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestKind {
    /// HEAD: the response has the fields of a body, but no body.
    pub head: bool,
    /// CONNECT: a 2xx response turns the connection into a tunnel.
    pub connect: bool,
    /// The request carried `Upgrade`: a 101 hands the connection over.
    pub upgrade: bool,
    /// The request carried `Connection: close`.
    pub close: bool,
}

/// How the end of a response body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    Empty,
    /// Exactly so many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// All that comes until the peer closes the connection.
    UntilClose,
    /// No body: the connection now speaks another protocol.
    Tunnel,
}

/// The fields that steer the connection, picked out of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFacts {
    /// The agreed value of all `Content-Length` fields.
    pub content_length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Keep-Alive: timeout=`: how long the server means to keep an idle connection.
    pub keep_alive_timeout: Option<Duration>,
    /// The head holds a `Content-Encoding`.
    pub content_encoding: bool,
    /// The head holds a `Set-Cookie`.
    pub set_cookie: bool,
    /// Where in the head the value of the first `Content-Type` begins and ends: text is not read
    /// without it.
    pub(super) content_type: Option<(u32, u32)>,
    /// Something legal but odd was seen: read this response, then close.
    pub odd: bool,
}

impl HeadFacts {
    /// Reads the steering fields of `head`.
    pub(super) fn collect(
        &mut self,
        version: Version,
        fields: &[httparse::Header<'_>],
        head: &[u8],
    ) -> Result<()> {
        for field in fields {
            let name = field.name;
            // The length alone rules out nearly every field, at the cost of one comparison.
            match name.len() {
                14 if is(name, "Content-Length") => {
                    self.add_content_length(field.value)?;
                }
                17 if is(name, "Transfer-Encoding") => {
                    self.add_transfer_encoding(version, field.value)?;
                }
                10 if is(name, "Connection") => self.add_connection(field.value),
                10 if is(name, "Keep-Alive") => {
                    self.keep_alive_timeout = keep_alive_timeout(field.value);
                }
                10 if is(name, "Set-Cookie") => self.set_cookie = true,
                12 if self.content_type.is_none() && is(name, "Content-Type") => {
                    let at = field.value.as_ptr().addr().wrapping_sub(head.as_ptr().addr()) as u32;
                    let length = field.value.len() as u32;
                    self.content_type = (length > 0).then_some((at, at + length));
                }
                16 if is(name, "Content-Encoding") => {
                    self.content_encoding = true;
                }
                _ => {}
            }
        }
        // RFC 9112 §6.3, rule 3: the transfer coding wins, but such a message "ought to be
        // handled as an error": nothing that follows it on this connection is trusted.
        self.odd |= self.chunked && self.content_length.is_some();
        Ok(())
    }

    /// `Content-Length = 1*DIGIT` (RFC 9110 §8.6); a list of the same value is taken as one,
    /// as RFC 9112 §6.3 rule 5 permits.
    fn add_content_length(&mut self, value: &[u8]) -> Result<()> {
        let is_first = self.content_length.is_none();
        if is_first && let Some(length) = parse_decimal(value) {
            // Nearly always it is one number.
            self.content_length = Some(length);
            return Ok(());
        }
        for item in value.split(|byte| *byte == b',') {
            let length = parse_decimal(item.trim_ascii())
                .ok_or_else(|| ProtocolError::ContentLength { value: excerpt(value) })?;
            let first = *self.content_length.get_or_insert(length);
            if first != length {
                return Err(ProtocolError::ConflictingContentLengths { first, second: length });
            }
        }
        self.odd |= !is_first || value.contains(&b',');
        Ok(())
    }

    /// Only `chunked` is understood: no other coding was asked for by a `TE` field, and one that
    /// cannot be decoded would leave the body's bytes without a meaning (RFC 9112 §6.1).
    ///
    /// `identity`, empty elements of the list, `chunked` said twice and HTTP/1.0 are odd, but leave one
    /// reading, which is that of curl and aiohttp: the body is chunked once, or not at all.
    fn add_transfer_encoding(&mut self, version: Version, value: &[u8]) -> Result<()> {
        let plain = !self.chunked && version == Version::HTTP_11;
        self.odd |= !(plain && value.eq_ignore_ascii_case(b"chunked"));
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
                return Err(ProtocolError::TransferEncoding { value: excerpt(value) });
            }
        }
        Ok(())
    }

    fn add_connection(&mut self, value: &[u8]) {
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// The eight rules of RFC 9112 §6.3, in their order.
    #[must_use]
    pub fn framing(&self, status: StatusCode, request: RequestKind) -> BodyFraming {
        let code = status.as_u16();
        // Rule 2 before rule 1, as "any 2xx" answer to CONNECT includes 204.
        if code == 101 || (request.connect && status.is_success()) {
            BodyFraming::Tunnel
        } else if request.head || code < 200 || code == 204 || code == 304 {
            BodyFraming::Empty
        } else if self.chunked {
            BodyFraming::Chunked
        } else if let Some(length) = self.content_length {
            if length == 0 { BodyFraming::Empty } else { BodyFraming::Length(length) }
        } else {
            BodyFraming::UntilClose
        }
    }

    /// Why the connection cannot be used again after this response, if it cannot (RFC 9112 §9.3).
    #[must_use]
    pub fn close_reason(
        &self,
        version: Version,
        status: StatusCode,
        framing: BodyFraming,
        request: RequestKind,
    ) -> Option<CloseReason> {
        // RFC 9112 §6.1: these must not carry a transfer coding; a server that sends one may also
        // send the chunks, and they would be read as the next response.
        let chunks_may_follow = self.chunked && matches!(status.as_u16(), 204 | 304);
        match framing {
            BodyFraming::Tunnel => Some(CloseReason::Upgraded),
            BodyFraming::UntilClose => Some(CloseReason::BodyUntilClose),
            _ if self.odd || chunks_may_follow => Some(CloseReason::OddFraming),
            _ if self.close => Some(CloseReason::ServerAsked),
            _ if request.close => Some(CloseReason::ClientAsked),
            _ if version == Version::HTTP_10 && !self.keep_alive => Some(CloseReason::Http10),
            _ => None,
        }
    }
}

/// Whether a field has this name. Most servers write it just so, and one comparison tells.
#[inline(always)]
fn is(name: &str, known: &str) -> bool {
    name == known || name.eq_ignore_ascii_case(known)
}

/// `timeout=` of a `Keep-Alive` field; anything else in it is ignored.
fn keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .find_map(|item| {
            let (name, seconds) = item.split_at_checked(8)?;
            name.eq_ignore_ascii_case(b"timeout=").then(|| parse_decimal(seconds))?
        })
        // A century is as good as for ever, and leaves clock arithmetic far from its ends.
        .map(|seconds| Duration::from_secs(seconds.min(100 * 365 * 24 * 3600)))
}

/// `1*DIGIT` below 2^64. Not `str::parse`, which takes a leading `+`.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}
