//! Which encoding a page is in: what the standard's algorithm finds, taken here word for word and byte by
//! byte, and what must hold of text and of links, whatever it is.

use mainspring_http::encoding_rs::{
    Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED,
};
use mainspring_http::{Url, decode_text, fuzzing, join_url, text_encoding};

/// The input is a page, and a link on it.
pub fn encoding(data: &[u8]) {
    let first = &data[..data.len().min(1024)];
    assert_eq!(fuzzing::prescan(data), prescan(first).unwrap_or_else(|| xml_encoding(first)));
    for kind in [None, Some("text/html"), Some("application/xhtml+xml"), Some("text/plain")] {
        let encoding = text_encoding(data, kind.map(str::as_bytes));
        if let Some((marked, _)) = Encoding::for_bom(data) {
            assert_eq!(encoding, marked);
        } else if encoding == UTF_16LE || encoding == UTF_16BE {
            // XML needs no declaration to be known by its first bytes.
            let is_xml = kind.is_some_and(|kind| kind.contains("xml"));
            let is_wide = matches!(data, [b'<', 0, x, 0, ..] | [0, b'<', 0, x, ..] if *x != 0);
            let is_declared = data.starts_with(b"<\0?") || data.starts_with(b"\0<\0?");
            assert!(is_declared || is_xml && is_wide);
        }
        assert_eq!(decode_text(data, kind), encoding.decode(data).0);
        link(&encoding.decode(data).0, encoding);
    }
}

fn link(link: &str, encoding: &'static Encoding) {
    let base = Url::parse("http://a.test/b?c").expect("a URL");
    let Ok(url) = join_url(&base, link, encoding) else {
        assert!(base.join(link).is_err(), "the encoding concerns the query alone");
        return;
    };
    assert!(url.as_str().is_ascii());
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url), "it means the same when read again");
    let mut plain = base.join(link).expect("the encoding concerns the query alone");
    if encoding == UTF_8 {
        assert_eq!(url, plain);
    }
    plain.set_query(url.query());
    assert_eq!(url, plain);
}

/// `None`: it ran out of bytes (WHATWG HTML §13.2.3.2, "prescan a byte stream to determine its encoding").
fn prescan(bytes: &[u8]) -> Option<Option<&'static Encoding>> {
    let at = |position: usize| bytes.get(position).copied();
    let mut position = 0;
    if bytes.starts_with(b"\x3c\0\x3f\0\x78\0") {
        return Some(Some(UTF_16LE));
    }
    if bytes.starts_with(b"\0\x3c\0\x3f\0\x78") {
        return Some(Some(UTF_16BE));
    }
    loop {
        let rest = bytes.get(position..)?;
        let is_meta = rest.len() > 5
            && rest[..5].eq_ignore_ascii_case(b"<meta")
            && matches!(rest[5], 9 | 10 | 12 | 13 | 32 | 47);
        let tag = rest.strip_prefix(b"</").or(rest.strip_prefix(b"<"));
        if rest.starts_with(b"<!--") {
            position += 4;
            while !(at(position)? == b'>' && bytes[position - 2..].starts_with(b"--")) {
                position += 1;
            }
        } else if is_meta {
            position += 5;
            let (mut names, mut got_pragma, mut need_pragma) = (Vec::new(), false, None);
            // `Some(None)` is "failure".
            let mut charset: Option<Option<&'static Encoding>> = None;
            while let Some((name, value)) = attribute(bytes, &mut position)? {
                if names.contains(&name) {
                    continue;
                }
                names.push(name.clone());
                match name.as_slice() {
                    b"http-equiv" if value == b"content-type" => got_pragma = true,
                    b"content" => {
                        let found = from_content(&value);
                        if found.is_some() && charset.is_none() {
                            (charset, need_pragma) = (Some(found), Some(true));
                        }
                    }
                    b"charset" => {
                        (charset, need_pragma) = (Some(Encoding::for_label(&value)), Some(false));
                    }
                    _ => {}
                }
            }
            let counts = need_pragma == Some(false) || (need_pragma == Some(true) && got_pragma);
            if let (true, Some(Some(encoding))) = (counts, charset) {
                return Some(Some(if encoding == UTF_16BE || encoding == UTF_16LE {
                    UTF_8
                } else if encoding == X_USER_DEFINED {
                    WINDOWS_1252
                } else {
                    encoding
                }));
            }
        } else if tag.is_some_and(|tag| tag.first().is_some_and(u8::is_ascii_alphabetic)) {
            while !matches!(at(position)?, 9 | 10 | 12 | 13 | 32 | 62) {
                position += 1;
            }
            while attribute(bytes, &mut position)?.is_some() {}
        } else if [b"<!", b"</", b"<?"].iter().any(|start| rest.starts_with(*start)) {
            while at(position)? != b'>' {
                position += 1;
            }
        }
        position += 1;
    }
}

type Attribute = (Vec<u8>, Vec<u8>);

/// "Get an attribute".
fn attribute(bytes: &[u8], position: &mut usize) -> Option<Option<Attribute>> {
    let is_space = |byte: u8| matches!(byte, 9 | 10 | 12 | 13 | 32);
    let at = |position: usize| bytes.get(position).copied();
    while is_space(at(*position)?) || at(*position)? == b'/' {
        *position += 1;
    }
    if at(*position)? == b'>' {
        return Some(None);
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    loop {
        match at(*position)? {
            b'=' if !name.is_empty() => break,
            byte if is_space(byte) => {
                while is_space(at(*position)?) {
                    *position += 1;
                }
                if at(*position)? != b'=' {
                    return Some(Some((name, value)));
                }
                break;
            }
            b'/' | b'>' => return Some(Some((name, value))),
            byte => name.push(byte.to_ascii_lowercase()),
        }
        *position += 1;
    }
    *position += 1;
    while is_space(at(*position)?) {
        *position += 1;
    }
    match at(*position)? {
        quote @ (b'"' | b'\'') => loop {
            *position += 1;
            let byte = at(*position)?;
            if byte == quote {
                *position += 1;
                // It points at a byte, or it ran out of them.
                return Some(Some((name, value)));
            }
            value.push(byte.to_ascii_lowercase());
        },
        b'>' => return Some(Some((name, value))),
        byte => value.push(byte.to_ascii_lowercase()),
    }
    loop {
        *position += 1;
        match at(*position)? {
            byte if is_space(byte) || byte == b'>' => return Some(Some((name, value))),
            byte => value.push(byte.to_ascii_lowercase()),
        }
    }
}

/// "Algorithm for extracting a character encoding from a meta element" (§2.5.5).
fn from_content(text: &[u8]) -> Option<&'static Encoding> {
    let is_space = |byte: u8| matches!(byte, 9 | 10 | 12 | 13 | 32);
    let mut position = 0;
    loop {
        while !text.get(position..)?.starts_with(b"charset") {
            position += 1;
        }
        position += 7;
        while is_space(*text.get(position)?) {
            position += 1;
        }
        if text[position] == b'=' {
            break;
        }
    }
    position += 1;
    while is_space(*text.get(position)?) {
        position += 1;
    }
    let rest = &text[position..];
    let label = match rest[0] {
        quote @ (b'"' | b'\'') => {
            let end = rest[1..].iter().position(|byte| *byte == quote)?;
            &rest[1..=end]
        }
        _ => {
            let end = rest.iter().position(|byte| is_space(*byte) || *byte == b';');
            &rest[..end.unwrap_or(rest.len())]
        }
    };
    Encoding::for_label(label)
}

/// "Get an XML encoding", within the declaration.
fn xml_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let end = bytes.iter().position(|byte| *byte == b'>')?;
    let declaration = bytes[..end].strip_prefix(b"<?xml")?;
    let mut position = declaration.windows(8).position(|window| window == b"encoding")? + 8;
    while *declaration.get(position)? <= 32 {
        position += 1;
    }
    if declaration[position] != b'=' {
        return None;
    }
    position += 1;
    while *declaration.get(position)? <= 32 {
        position += 1;
    }
    let quote = declaration[position];
    let rest = &declaration[position + 1..];
    let end = rest.iter().position(|byte| *byte == quote)?;
    if !matches!(quote, b'"' | b'\'') || rest[..end].iter().any(|byte| *byte <= 32) {
        return None;
    }
    match Encoding::for_label(&rest[..end])? {
        encoding if encoding == UTF_16BE || encoding == UTF_16LE => Some(UTF_8),
        encoding => Some(encoding),
    }
}
