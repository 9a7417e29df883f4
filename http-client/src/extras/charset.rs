//! From bytes to text: which encoding a body is in, and decoding it.
//!
//! The order is that of the HTML standard: a byte order mark wins over what the header says, the
//! header over what the page says of itself in its first kilobyte, and if nobody says anything it
//! is UTF-8. Nothing is guessed from the text: guessing is slow, and often wrong.

use encoding_rs::{Encoding, UTF_8};

/// How far a page is searched for what it says of its encoding (WHATWG HTML §13.2.3.2).
pub(crate) const PRESCAN_BYTES: usize = 1024;

/// The text of a body that came with this `Content-Type`, as
/// [`Response::text`](crate::Response::text) reads it: for whoever needs the bytes as well.
///
/// What is no text of its encoding becomes U+FFFD.
#[must_use]
pub fn decode(body: &[u8], content_type: Option<&str>) -> String {
    // Takes a byte order mark off.
    let (text, ..) = text_encoding(body, content_type.map(str::as_bytes)).decode(body);
    text.into_owned()
}

/// The encoding of a text that begins with `start`.
pub(crate) fn text_encoding(start: &[u8], content_type: Option<&[u8]>) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return encoding;
    }
    let content_type = content_type.unwrap_or_default();
    let encoding = declared(content_type).or_else(|| {
        // Only markup has a place to say it.
        let has = |part: &[u8]| find(content_type, part).is_some();
        let markup = content_type.is_empty() || has(b"html") || has(b"xml");
        markup.then(|| prescan(&start[..start.len().min(PRESCAN_BYTES)])).flatten()
    });
    encoding.unwrap_or(UTF_8)
}

/// The `charset` parameter of a `Content-Type`.
pub(crate) fn declared(content_type: &[u8]) -> Option<&'static Encoding> {
    let content_type = str::from_utf8(content_type).unwrap_or_default();
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| Encoding::for_label(value.as_bytes()))?
    })
}

/// What the beginning of a page says: `<meta charset=…>`, `<meta … content="…charset=…">`, or
/// `<?xml … encoding="…"?>`.
fn prescan(start: &[u8]) -> Option<&'static Encoding> {
    let start = start.to_ascii_lowercase();
    if start.starts_with(b"<?xml") {
        let end = find(&start, b"?>")?;
        return meant(value_after(&start[..end], b"encoding")?);
    }
    let mut rest = &start[..];
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at..];
        if rest.starts_with(b"<!--") {
            rest = &rest[find(rest, b"-->")?..];
        } else if rest.starts_with(b"<meta") {
            let end = rest.iter().position(|byte| *byte == b'>').unwrap_or(rest.len());
            if let Some(encoding) = value_after(&rest[..end], b"charset").and_then(meant) {
                return Some(encoding);
            }
        }
        rest = &rest[1..];
    }
    None
}

/// A page that can be read so far is in no encoding of two bytes for each character, whatever it
/// says; browsers take it for UTF-8.
fn meant(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label(label).map(|encoding| encoding.output_encoding())
}

/// What stands behind `name` and an equals sign, quoted or not.
fn value_after<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        rest = rest[find(rest, name)? + name.len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let quote = value.first().filter(|byte| matches!(byte, b'"' | b'\''));
        let value = if quote.is_some() { &value[1..] } else { value };
        let ends = |byte: &u8| match quote {
            Some(quote) => byte == quote,
            None => byte.is_ascii_whitespace() || matches!(byte, b';' | b'"' | b'\'' | b'/' | b'?'),
        };
        let end = value.iter().position(ends).unwrap_or(value.len());
        return Some(&value[..end]);
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "你好，世界";

    fn encoded(label: &str, text: &str) -> Vec<u8> {
        Encoding::for_label(label.as_bytes()).unwrap().encode(text).0.into_owned()
    }

    #[test]
    fn who_says_it_and_who_wins() {
        let page = |label: &str, head: &str| encoded(label, &format!("{head}{HELLO}"));
        let rows: [(Option<&str>, Vec<u8>, String); 18] = [
            (None, HELLO.into(), HELLO.into()),
            (Some("text/plain"), HELLO.into(), HELLO.into()),
            (Some("text/html; charset=gbk"), page("gbk", ""), HELLO.into()),
            (Some("text/html; Charset=\"GB18030\""), page("gb18030", ""), HELLO.into()),
            (Some("text/html;charset=gb2312"), page("gbk", ""), HELLO.into()),
            (Some("text/html; a=b; charset='big5'"), encoded("big5", "世界"), "世界".into()),
            (Some("text/plain; charset=shift_jis"), encoded("shift_jis", "世界"), "世界".into()),
            (Some("text/plain; charset=iso-8859-1"), b"caf\xe9".to_vec(), "café".into()),
            (Some("text/html; charset=nonsense"), HELLO.into(), HELLO.into()),
            // A mark wins, and is taken off.
            (Some("text/html; charset=gbk"), format!("\u{feff}{HELLO}").into(), HELLO.into()),
            (None, b"\xff\xfeh\0i\0".to_vec(), "hi".into()),
            // The page itself, if the header does not say.
            (
                Some("text/html"),
                page("gbk", "<meta charset=gbk>"),
                format!("<meta charset=gbk>{HELLO}"),
            ),
            (
                None,
                page("gbk", "<META CHARSET = 'GBK' />"),
                format!("<META CHARSET = 'GBK' />{HELLO}"),
            ),
            (
                Some("text/html"),
                page("gbk", "<meta content='text/html; charset=gb2312'>"),
                format!("<meta content='text/html; charset=gb2312'>{HELLO}"),
            ),
            (
                Some("text/html; charset=utf-8"),
                page("utf-8", "<meta charset=gbk>"),
                format!("<meta charset=gbk>{HELLO}"),
            ),
            (
                Some("text/html"),
                page("utf-8", "<!-- <meta charset=gbk> -->"),
                format!("<!-- <meta charset=gbk> -->{HELLO}"),
            ),
            (
                Some("text/xml"),
                page("gbk", "<?xml version='1.0' encoding='gbk'?>"),
                format!("<?xml version='1.0' encoding='gbk'?>{HELLO}"),
            ),
            (
                Some("text/html"),
                page("utf-8", "<meta charset=utf-16>"),
                format!("<meta charset=utf-16>{HELLO}"),
            ),
        ];
        for (content_type, body, expected) in rows {
            assert_eq!(decode(&body, content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn only_the_first_kilobyte_counts_and_only_in_markup() {
        let meta = b"<meta charset=gbk>";
        let at = |offset: usize| [&vec![b' '; offset][..], meta, b"\xc4\xe3"].concat();
        assert!(decode(&at(900), Some("text/html")).ends_with('你'));
        assert!(decode(&at(1020), Some("text/html")).ends_with("\u{fffd}\u{fffd}"));
        assert!(decode(&at(0), Some("application/json")).ends_with("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn malformed_bytes_are_replaced() {
        assert_eq!(decode(b"a\xffb", None), "a\u{fffd}b");
        assert_eq!(decode(b"<meta charset", None), "<meta charset");
        assert_eq!(decode(b"<?xml encoding=", None), "<?xml encoding=");
        assert_eq!(decode(b"", None), "");
    }
}
