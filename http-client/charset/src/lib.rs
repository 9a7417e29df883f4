#![forbid(unsafe_code)]
//! From bytes to text: which encoding a text of the web is in, and decoding it.
//!
//! The order is that of the HTML standard (§13.2.3.2): a byte order mark wins over what the header says,
//! the header over what the page says of itself, and where nothing is said the text itself is looked at,
//! as browsers do. Unlike browsers this can find that it is UTF-8: they must not let new pages depend
//! on that, a client has to take pages as they are.

mod prescan;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
pub use encoding_rs;
pub use prescan::prescan;

use encoding_rs::{EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memmem::find;
use std::borrow::Cow;
use url::{ParseError, Url};

/// The bytes at the beginning of a text that its encoding is decided by, 64 KiB: what comes behind
/// them changes nothing any more, so that a reader need not keep more.
pub const ENCODING_BYTES: usize = 64 * 1024;

/// The first byte of the sequences that change the letters of ISO-2022-JP.
const ESCAPE: u8 = 0x1b;

/// The encoding of a text that begins with `start` and came with this `Content-Type`.
///
/// In this order: a byte order mark; the `charset` of the field; what an HTML page says in a `<meta>` or
/// an XML document in its declaration (WHATWG HTML §13.2.3.2, XML 1.0 appendix F); what the text looks
/// like, if it is HTML, plain text or of no known type; UTF-8. Decode with
/// [`Encoding::decode`](encoding_rs::Encoding::decode), which takes a byte order mark off.
///
/// Only the first [`ENCODING_BYTES`] are looked at, so these are enough where a text comes piece by piece.
///
/// ```
/// # use mainspring_charset::text_encoding;
/// assert_eq!(text_encoding(b"<meta charset=gb2312>", Some(b"text/html")).name(), "GBK");
/// assert_eq!(text_encoding(b"caf\xe9 au lait", None).name(), "windows-1252");
/// ```
#[must_use]
pub fn text_encoding(start: &[u8], content_type: Option<&[u8]>) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return encoding;
    }
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let start = &start[..start.len().min(ENCODING_BYTES)];
    let ends = |byte: &u8| matches!(byte, b';' | b',') || byte.is_ascii_whitespace();
    let kind = content_type.trim_ascii_start().split(ends).next().unwrap_or_default();
    let is = |part: &str| kind.windows(part.len()).any(|window| window == part.as_bytes());
    let (is_html, is_xml) = (is("html") || kind.is_empty(), is("xml"));
    let charset = declared(&content_type);
    let said = if is_xml { xml_encoding(start, charset) } else { charset };
    let said = said.or_else(|| if is_html { prescan::html(start) } else { None });
    // Formats whose own rule is that they are UTF-8 unless they say otherwise.
    let is_known = || is_xml || is("json") || is("css") || is("javascript") || is("ecmascript");
    match said {
        Some(encoding) => encoding,
        None if is_html || (kind.starts_with(b"text/") && !is_known()) => detect(start),
        None => UTF_8,
    }
}

/// The encoding of an XML document that begins with `start`; `None` if it says none, and so is in UTF-8.
///
/// In this order: a byte order mark; first bytes as only UTF-16 has them (XML 1.0, appendix F); `charset`,
/// which is what came with it (RFC 7303 §3); its declaration, also behind blank lines.
///
/// ```
/// # use mainspring_charset::{encoding_rs::GBK, xml_encoding};
/// assert_eq!(xml_encoding(b"<?xml version='1.0' encoding='gb2312'?>", None), Some(GBK));
/// ```
#[must_use]
pub fn xml_encoding(start: &[u8], charset: Option<&'static Encoding>) -> Option<&'static Encoding> {
    let by_pattern = match start {
        [b'<', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        [0, b'<', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        _ => None,
    };
    let mark = Encoding::for_bom(start).map(|(encoding, _)| encoding);
    mark.or(by_pattern).or(charset).or_else(|| prescan::xml(start.trim_ascii_start()))
}

/// The text of a body that came with this `Content-Type`, in the encoding that [`text_encoding`] finds.
///
/// What is no text of its encoding becomes U+FFFD.
#[must_use]
pub fn decode(body: &[u8], content_type: Option<&str>) -> String {
    to_text(body.to_vec(), content_type.unwrap_or_default().as_bytes())
}

/// As [`decode`], for bytes that are not needed any more: what is UTF-8 is not copied.
#[inline]
#[must_use]
pub fn to_text(body: Vec<u8>, content_type: &[u8]) -> String {
    let body = match String::from_utf8(body) {
        Ok(text) if is_utf8(&text, content_type) => return text,
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    text_encoding(&body, Some(content_type)).decode(&body).0.into_owned()
}

/// Whether a quick look is enough to know that a text which can be read as UTF-8 is in it, or is the same
/// in the encoding that [`text_encoding`] would find.
fn is_utf8(text: &str, content_type: &[u8]) -> bool {
    // A byte order mark is to be taken off; zeros are those of UTF-16.
    if matches!(text.as_bytes(), [0xef, 0xbb, 0xbf, ..] | [0, ..] | [_, 0, ..]) {
        return false;
    }
    // Plain text says nothing of itself.
    let is_plain = content_type == b"text/plain";
    if !is_plain && let Some(at) = content_type.iter().position(|byte| *byte == b'=') {
        // Any other parameter is for `text_encoding` to judge.
        return content_type[at + 1..].eq_ignore_ascii_case(b"utf-8");
    }
    (is_plain || text.is_ascii()) && memchr::memchr(ESCAPE, text.as_bytes()).is_none()
}

/// The URL that a link leads to on a page at `base` in this encoding: its query is written in that
/// (WHATWG URL §4.4, query state; §1.3 for what the encoding does not have), all else in UTF-8.
///
/// # Errors
/// The parser's.
///
/// ```
/// # use mainspring_charset::{encoding_rs::GBK, join_url};
/// # use url::Url;
/// let base = Url::parse("http://a.test/b").unwrap();
/// assert_eq!(join_url(&base, "/é?q=中文", GBK).unwrap().as_str(), "http://a.test/%C3%A9?q=%D6%D0%CE%C4");
/// ```
pub fn join_url(base: &Url, link: &str, encoding: &'static Encoding) -> Result<Url, ParseError> {
    Url::options()
        .base_url(Some(base))
        .encoding_override(Some(&|query| Cow::Owned(encode_query(query, encoding))))
        .parse(link)
}

fn encode_query(query: &str, encoding: &'static Encoding) -> Vec<u8> {
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(query.len());
    let mut rest = query;
    loop {
        let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
        out.reserve(room.unwrap_or(0) + 32);
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return out,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(letter) => {
                out.extend_from_slice(format!("%26%23{}%3B", u32::from(letter)).as_bytes());
            }
        }
    }
}

/// The `charset` parameter of a `Content-Type` in small letters; the first whose encoding is known. What
/// stands between parameters may be a semicolon, or, as servers have it, a comma or a blank.
#[must_use]
pub fn declared(content_type: &[u8]) -> Option<&'static Encoding> {
    let mut rest = content_type;
    while let Some(at) = rest.iter().position(|byte| b";, \t\"".contains(byte)) {
        let (separator, after) = (rest[at], &rest[at + 1..]);
        if separator == b'"' {
            // The value of another parameter.
            rest = &after[find(after, b"\"").map_or(after.len(), |end| end + 1)..];
            continue;
        }
        rest = after;
        let Some(value) = after.strip_prefix(b"charset") else { continue };
        let Some(value) = value.trim_ascii_start().strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let label = match value.first() {
            Some(quote @ (b'"' | b'\'')) => value[1..].split(|byte| byte == quote).next(),
            _ => value.split(|byte| b";, \t".contains(byte)).next(),
        };
        if let Some(encoding) = Encoding::for_label(label.unwrap_or_default()) {
            return Some(encoding);
        }
    }
    None
}

/// What the text looks like.
fn detect(start: &[u8]) -> &'static Encoding {
    // Most text can be told in one quick look. An escape may begin ISO-2022-JP.
    let rest = &start[Encoding::utf8_valid_up_to(start)..];
    let is_cut = || std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
    if (rest.is_empty() || is_cut()) && memchr::memchr(ESCAPE, start).is_none() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    // Its end is not told, as it may be cut within a character.
    detector.feed(start, false);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests;
