//! What a page says of its own encoding, found before it is parsed: "prescan a byte stream to determine
//! its encoding" (WHATWG HTML §13.2.3.2), with its parts under the standard's own names.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use memchr::memmem::find;

/// How far a page is looked at that way.
const PRESCAN_BYTES: usize = 1024;

/// Elements within which a parser finds no tags (§13.2.6.4, for a page that is read without scripts).
const RAW_TEXT: [&[u8]; 8] =
    [b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes"];

/// What the beginning of an HTML page says.
///
/// A `<meta>` that a parser would come upon changes what the prescan found, also one behind the first
/// kilobyte ("change the encoding", §13.2.3.4); so it is looked for first.
pub(super) fn html(start: &[u8]) -> Option<&'static Encoding> {
    if !has_meta(start) {
        return xml(&start[..start.len().min(PRESCAN_BYTES)]);
    }
    meta(start, true).or_else(|| prescan(start))
}

/// A quick look at whether there may be one at all.
fn has_meta(bytes: &[u8]) -> bool {
    [b"<m", b"<M"].iter().any(|start| find(bytes, *start).is_some())
}

/// The prescan itself.
pub fn prescan(start: &[u8]) -> Option<&'static Encoding> {
    let first = &start[..start.len().min(PRESCAN_BYTES)];
    meta(first, false).or_else(|| xml(first))
}

/// "Get an XML encoding", and before it the two beginnings that are UTF-16 (XML 1.0, appendix F).
pub(super) fn xml(start: &[u8]) -> Option<&'static Encoding> {
    if start.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if start.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    let declaration = start.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..find(declaration, b">")?];
    let rest = &declaration[find(declaration, b"encoding")? + b"encoding".len()..];
    let rest = without_controls(without_controls(rest).strip_prefix(b"=")?);
    let quote = rest.first().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let label = &rest[1..][..find(&rest[1..], &[*quote])?];
    if label.iter().any(|byte| *byte <= b' ') {
        return None;
    }
    Encoding::for_label(label).map(ascii_compatible)
}

fn without_controls(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte > b' ');
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Who can read that it says UTF-16 has read that it is not.
fn ascii_compatible(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding }
}

/// The first encoding that a `<meta>` names. `raw_text`: those in scripts and the like are passed over.
fn meta(bytes: &[u8], raw_text: bool) -> Option<&'static Encoding> {
    let mut scan = Scan { bytes, at: 0 };
    loop {
        scan.at += find(scan.rest(), b"<")?;
        let [_, second, ..] = *scan.rest() else { return None };
        let is_end = second == b'/';
        let name_at = scan.at + 1 + usize::from(is_end);
        if scan.rest().starts_with(b"<!--") {
            // The hyphens of the end may be those of the beginning.
            scan.at += 2 + find(&scan.rest()[2..], b"-->")? + 2;
        } else if bytes.get(name_at).is_some_and(u8::is_ascii_alphabetic) {
            scan.at = name_at;
            scan.skip(|byte| !is_blank(byte) && !matches!(byte, b'/' | b'>'))?;
            let name = &bytes[name_at..scan.at];
            let is = |known: &[u8]| !is_end && name.eq_ignore_ascii_case(known);
            if is(b"meta") {
                if let Some(encoding) = scan.meta()? {
                    return Some(encoding);
                }
            } else {
                if !raw_text {
                    // To the prescan, unlike a parser, a slash does not end a name.
                    scan.skip(|byte| !is_blank(byte) && byte != b'>')?;
                }
                while scan.attribute()?.is_some() {}
                if raw_text && RAW_TEXT.iter().any(|known| is(known)) {
                    scan.skip_to_end_tag(name)?;
                    continue;
                }
                if raw_text && is(b"plaintext") {
                    return None;
                }
            }
        } else if matches!(second, b'!' | b'/' | b'?') {
            scan.at += find(scan.rest(), b">")?;
        }
        scan.at += 1;
    }
}

/// A place in the bytes. What runs out of them ends the prescan, which is a `None` all the way up.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    /// Goes on while the bytes are such, and gives the first that is not.
    fn skip(&mut self, such: impl Fn(u8) -> bool) -> Option<u8> {
        while such(*self.bytes.get(self.at)?) {
            self.at += 1;
        }
        Some(self.bytes[self.at])
    }

    /// What the `<meta>` says whose name has been read, if it says it in a way that counts.
    fn meta(&mut self) -> Option<Option<&'static Encoding>> {
        let mut seen: Vec<&[u8]> = Vec::new();
        let (mut got_pragma, mut need_pragma) = (false, None);
        // Within: of a label that is none.
        let mut charset: Option<Option<&'static Encoding>> = None;
        while let Some((name, value)) = self.attribute()? {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if seen.iter().any(|seen| is(seen)) {
                continue;
            }
            seen.push(name);
            if is(b"http-equiv") {
                got_pragma = value.eq_ignore_ascii_case(b"content-type");
            } else if is(b"charset") {
                charset = Some(Encoding::for_label(value));
                need_pragma = Some(false);
            } else if is(b"content")
                && charset.is_none()
                && let Some(encoding) = from_content(&value.to_ascii_lowercase())
            {
                charset = Some(Some(encoding));
                need_pragma = Some(true);
            }
        }
        let counts = need_pragma.is_some_and(|need| !need || got_pragma);
        Some(charset.flatten().filter(|_| counts).map(|encoding| {
            match ascii_compatible(encoding) {
                encoding if encoding == X_USER_DEFINED => WINDOWS_1252,
                encoding => encoding,
            }
        }))
    }

    /// "Get an attribute": its name and value; or that there is no more in this tag.
    fn attribute(&mut self) -> Option<Option<(&'a [u8], &'a [u8])>> {
        if self.skip(|byte| is_blank(byte) || byte == b'/')? == b'>' {
            return Some(None);
        }
        let bytes = self.bytes;
        let start = self.at;
        // An equals sign at the very beginning belongs to the name.
        self.at += 1;
        self.skip(|byte| !is_blank(byte) && !matches!(byte, b'=' | b'/' | b'>'))?;
        let name = &bytes[start..self.at];
        if self.skip(is_blank)? != b'=' {
            return Some(Some((name, b"")));
        }
        self.at += 1;
        let quote = self.skip(is_blank)?;
        let is_quoted = matches!(quote, b'"' | b'\'');
        let start = self.at + usize::from(is_quoted);
        self.at = start;
        self.skip(|byte| if is_quoted { byte != quote } else { !is_blank(byte) && byte != b'>' })?;
        let value = &bytes[start..self.at];
        self.at += usize::from(is_quoted);
        Some(Some((name, value)))
    }

    /// Goes to the tag that ends this element.
    fn skip_to_end_tag(&mut self, name: &[u8]) -> Option<()> {
        loop {
            self.at += find(self.rest(), b"</")?;
            let rest = &self.rest()[2..];
            let (found, after) = (rest.get(..name.len())?, *rest.get(name.len())?);
            if found.eq_ignore_ascii_case(name) && (is_blank(after) || matches!(after, b'/' | b'>'))
            {
                return Some(());
            }
            self.at += 2;
        }
    }
}

/// "Extracting a character encoding from a `meta` element" (§4.2.5.5), of text in small letters.
fn from_content(mut rest: &[u8]) -> Option<&'static Encoding> {
    loop {
        rest = rest[find(rest, b"charset")? + b"charset".len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let label = match value.first()? {
            quote @ (b'"' | b'\'') => &value[1..][..find(&value[1..], &[*quote])?],
            _ => value.split(|byte| is_blank(*byte) || *byte == b';').next()?,
        };
        return Encoding::for_label(label);
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}
