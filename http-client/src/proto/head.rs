//! The response head: found, limited, parsed.
//!
//! A head that arrives in one piece, as nearly all do, is parsed where it lies. One that drips in
//! is collected, and only scanned for its end, byte by byte once, until it is whole: parsing it
//! again from the start at each arrival would let a slow peer cost us quadratic time.

use super::error::{ProtocolError, Result, excerpt};
use super::framing::HeadFacts;
use super::secret_name::redact_line;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use std::cell::OnceCell;
use std::mem::MaybeUninit;

/// The most header fields that [`Limits::header_count`] can allow.
pub const MAX_HEADER_COUNT: usize = 256;

/// The most that [`Limits::head_bytes`] can allow: places in a head are kept as `u32`.
const MAX_HEAD_BYTES: usize = u32::MAX as usize;

/// `HeaderName` accepts no more; a head limit above this could otherwise let one through.
const MAX_NAME_BYTES: usize = 65_535;

/// What the client accepts of a head and of the framing around a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a response head, and in a block of trailers. Default 64 KiB.
    pub head_bytes: usize,
    /// Fields in a response head, and in a block of trailers; at most 256, which is the default.
    pub header_count: usize,
    /// Interim (1xx) responses before the final one. Default 16.
    pub interim_responses: u8,
    /// Bytes of chunk extensions in one body. Default 16 KiB.
    pub chunk_extension_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            header_count: MAX_HEADER_COUNT,
            interim_responses: 16,
            chunk_extension_bytes: 16 * 1024,
        }
    }
}

/// Version, status and fields of a response.
///
/// A head is parsed once: what steers the connection is picked out then, and the map of the fields is
/// built when it is first asked for, without parsing them again.
/// `Debug` shows it without secrets.
#[derive(Clone)]
pub struct ResponseHead {
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// 100 to 999.
    pub status: StatusCode,
    /// The fields that steer the connection.
    pub facts: HeadFacts,
    /// The head as it came, folds taken out.
    raw: Bytes,
    map: OnceCell<Box<HeaderMap>>,
}

impl ResponseHead {
    /// The header fields, in order of arrival within each name. Built at the first call.
    pub fn headers(&self) -> &HeaderMap {
        self.map.get_or_init(|| {
            // Slices of the one shared head: no allocation for a value.
            let shared = |value| HeaderValue::from_maybe_shared(self.raw.slice_ref(value));
            Box::new(map(self.fields(), shared))
        })
    }

    /// The values of the fields of this name, without the map.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let is_named = move |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        self.fields().filter(move |(field, _)| is_named(field)).map(|(_, value)| value)
    }

    /// The value of the first `Content-Type`, empty if there is none.
    #[must_use]
    pub fn content_type(&self) -> &[u8] {
        self.facts.content_type.map_or(&[], |(from, to)| &self.raw[from as usize..to as usize])
    }

    /// Names and values, by the ends of their lines: what the parser has passed is not looked at again.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.raw.split(|byte| *byte == b'\n').skip(1).map_while(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii()))
        })
    }

    /// The reason phrase: for people, never for decisions (RFC 9112 §4). Escaped if not ASCII.
    #[must_use]
    pub fn reason(&self) -> String {
        let line = self.raw.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.get(13..).unwrap_or_default().escape_ascii().to_string()
    }

    /// Length of the head in bytes, as it came over the wire.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.raw.len()
    }
}

/// A map of fields that the parser has passed.
pub(super) fn map<'a, E>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    to_value: impl Fn(&'a [u8]) -> std::result::Result<HeaderValue, E>,
) -> HeaderMap {
    let parsed = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, to_value(value).ok()?));
    let mut map = HeaderMap::new();
    for (name, value) in fields.filter_map(parsed) {
        map.append(name, value);
    }
    map
}

/// A head and its length; `None` if what came ends before the head does.
type Parsed = Option<(ResponseHead, usize)>;

/// Parses a head that begins at the first byte of `input`.
///
/// What is odd but can be read in one way alone is let pass, where browsers, curl and aiohttp do:
/// obsolete line folding, as RFC 9112 §5.2 obliges a user agent to; blanks between a name and its
/// colon (§5.1 forbids them in requests, and has proxies take them out of responses); and a control
/// character in a value, which becomes a blank (RFC 9110 §5.5). As all of these are errors to a parser
/// that does not know of them, a head is parsed for them only after that error.
pub(super) fn parse(input: &[u8], limits: &Limits) -> Result<Parsed> {
    check_start(input)?;
    let limit = limits.head_bytes.min(MAX_HEAD_BYTES);
    parse_lines(&input[..input.len().min(limit)], limits, false)
}

fn parse_lines(window: &[u8], limits: &Limits, odd: bool) -> Result<Parsed> {
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(odd);
    config.allow_spaces_after_header_name_in_responses(odd);
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADER_COUNT];
    let allowed = &mut fields[..limits.header_count.min(MAX_HEADER_COUNT)];
    let mut response = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut response, window, allowed) {
        Ok(httparse::Status::Complete(length)) => build(&response, &window[..length], odd),
        Ok(httparse::Status::Partial) if window.len() < limits.head_bytes => Ok(None),
        Ok(httparse::Status::Partial) => {
            Err(ProtocolError::HeadTooLarge { limit: limits.head_bytes })
        }
        Err(error) => refused(error, window, limits, odd),
    }
}

#[cold]
fn refused(error: httparse::Error, window: &[u8], limits: &Limits, odd: bool) -> Result<Parsed> {
    let line = || excerpt(first_line(window));
    Err(match error {
        httparse::Error::Version => ProtocolError::Version { line: line() },
        httparse::Error::Status => ProtocolError::StatusLine { line: line() },
        httparse::Error::TooManyHeaders => {
            ProtocolError::TooManyHeaders { limit: limits.header_count.min(MAX_HEADER_COUNT) }
        }
        _ if !odd => {
            let cleaned = without_controls(window);
            return parse_lines(&cleaned, limits, true).map_err(|error| match error {
                ProtocolError::HeaderName { .. } => diagnose_fields(window, true),
                error => error,
            });
        }
        _ => diagnose_fields(window, true),
    })
}

/// The same head with a blank for each control character in a value, but for tabs, CR, LF and NUL.
fn without_controls(head: &[u8]) -> Vec<u8> {
    let mut cleaned = head.to_vec();
    let (mut line, mut in_value, mut at_start) = (0, false, false);
    for byte in &mut cleaned {
        match *byte {
            b'\n' => (line, in_value) = (line + 1, false),
            b':' if line > 0 => in_value = true,
            // A fold: the value goes on.
            b' ' | b'\t' if at_start && line > 1 => in_value = true,
            control @ (..=0x08 | 0x0b..=0x1f | 0x7f) if in_value && !is_forbidden(control) => {
                *byte = b' '
            }
            _ => {}
        }
        at_start = *byte == b'\n';
    }
    cleaned
}

/// What makes a value "invalid and dangerous" (RFC 9110 §5.5).
fn is_forbidden(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\0')
}

/// Tells at once, from the first few bytes, what can never become a response: a peer that speaks
/// something else should not be able to make us wait for the end of a head.
pub(super) fn check_start(input: &[u8]) -> Result<()> {
    let magic = b"HTTP/";
    // The second comparison is for an input that ends within it.
    if input.starts_with(magic) || magic.starts_with(input) {
        Ok(())
    } else {
        Err(ProtocolError::NotHttp { start: excerpt(input) })
    }
}

/// The head whose lines are `raw`, and its length.
fn build(response: &httparse::Response<'_, '_>, raw: &[u8], odd: bool) -> Result<Parsed> {
    let version = match response.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| ProtocolError::StatusLine { line: excerpt(first_line(raw)) })?;
    let mut facts = HeadFacts::default();
    facts.collect(version, response.headers, raw)?;
    if raw.len() > MAX_NAME_BYTES
        && let Some(field) = response.headers.iter().find(|f| f.name.len() > MAX_NAME_BYTES)
    {
        let line = excerpt(field.name.as_bytes());
        return Err(ProtocolError::HeaderName { line, position: MAX_NAME_BYTES });
    }
    facts.odd |= odd;
    let length = raw.len();
    let raw = if odd { unfold(raw) } else { Bytes::copy_from_slice(raw) };
    Ok(Some((ResponseHead { version, status, facts, raw, map: OnceCell::new() }, length)))
}

/// "A user agent that receives an obs-fold … MUST replace each received obs-fold with one or more
/// SP octets" (RFC 9112 §5.2). The head keeps its length, and has no folds any more.
fn unfold(raw: &[u8]) -> Bytes {
    let mut head = raw.to_vec();
    for at in 1..head.len() {
        if head[at - 1] == b'\n' && matches!(head[at], b' ' | b'\t') {
            head[at - 1] = b' ';
            if at >= 2 && head[at - 2] == b'\r' {
                head[at - 2] = b' ';
            }
        }
    }
    head.into()
}

/// The first field line that breaks a rule, for an error that names it. `odd`: what [`parse`] lets pass
/// breaks none.
pub(super) fn diagnose_fields(head: &[u8], odd: bool) -> ProtocolError {
    // A status line among them is passed over by its own rule: it holds no colon before a space.
    let skip = usize::from(head.starts_with(b"HTTP/"));
    let mut name = String::new();
    for line in head.split(|byte| *byte == b'\n').skip(skip) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let folded = odd && matches!(line.first(), Some(b' ' | b'\t')) && !name.is_empty();
        let value_at = if folded {
            0
        } else {
            let end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
            let blanks = line[end..].iter().take_while(|byte| odd && matches!(byte, b' ' | b'\t'));
            let colon = end + blanks.count();
            if end == 0 || line.get(colon) != Some(&b':') {
                return ProtocolError::HeaderName {
                    line: excerpt(redact_line(line)),
                    position: end,
                };
            }
            name = excerpt(&line[..end]);
            colon + 1
        };
        let bad = |byte: &u8| match odd {
            true => is_forbidden(*byte),
            false => (*byte < b' ' && *byte != b'\t') || *byte == 0x7f,
        };
        if let Some(offset) = line[value_at..].iter().position(bad) {
            return ProtocolError::HeaderValue { name, position: value_at + offset };
        }
    }
    ProtocolError::HeaderName { line: excerpt(first_line(head)), position: 0 }
}

fn first_line(head: &[u8]) -> &[u8] {
    let end = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    &head[..end]
}

/// `tchar` (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Collects a head, or a block of trailers, that comes in pieces, and finds its end: an empty
/// line. CRLF ends a line, and so does LF alone (RFC 9112 §2.2).
#[derive(Debug, Default)]
pub(super) struct Collector {
    bytes: Vec<u8>,
    /// Where its first line begins to count: one that is empty ends a block of trailers, but no head.
    is_block: bool,
}

impl Collector {
    /// One that expects the first line of a block, so that an empty line ends it at once.
    pub(super) fn at_line_start() -> Self {
        Self { bytes: Vec::new(), is_block: true }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes bytes up to and including the empty line, at most to `limit` bytes in all. Returns
    /// how many it took and whether the block is whole.
    pub(super) fn take(&mut self, input: &[u8], limit: usize) -> (usize, bool) {
        let room = limit.saturating_sub(self.bytes.len());
        let window = &input[..input.len().min(room)];
        for (index, byte) in window.iter().enumerate() {
            self.bytes.push(*byte);
            if *byte == b'\n' && self.ends_with_empty_line() {
                return (index + 1, true);
            }
        }
        (window.len(), false)
    }

    fn ends_with_empty_line(&self) -> bool {
        let is_start = |before: &[u8]| before.last().map_or(self.is_block, |last| *last == b'\n');
        let end = self.bytes.strip_suffix(b"\n").unwrap_or_default();
        is_start(end) || end.strip_suffix(b"\r").is_some_and(is_start)
    }
}
