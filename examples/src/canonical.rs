//! One form for every URL that means the same page, so that no page is fetched twice.
//!
//! The canonical form is a key for comparing; what is fetched is the URL as the page wrote it,
//! since a signature in a query may depend on every byte of it.

use percent_encoding::{AsciiSet, percent_encode};
use url::{Position, Url};

/// No character of ASCII; all others are always encoded.
const BEYOND_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// The canonical form of a URL: two URLs with the same one are the same page.
///
/// Parsing has already lower-cased scheme and host, dropped a default port and resolved dots. On
/// top of this the fragment, credentials and an empty query are dropped, and percent-encoding is
/// brought to one form (RFC 3986 §6.2.2: capital digits, and none where it is not needed).
pub fn canonical(url: &Url) -> String {
    let place = &url[Position::BeforeHost..Position::AfterPort];
    let mut key = format!("{}://{place}", url.scheme());
    key.push_str(&normal_encoding(url.path()));
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        key.push('?');
        key.push_str(&normal_encoding(query));
    }
    key
}

/// Brings percent-encoding to one form, by RFC 3986 §6.2.2: what needs no encoding is
/// decoded, what is encoded is so in capital digits; what is not ASCII becomes encoded.
pub fn normal_encoding(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut normal = in_ascii(pieces.next().unwrap_or_default());
    for piece in pieces {
        // `from_str_radix` would take a sign for a digit.
        let digits = piece.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let (decoded, rest) = match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                (char::from(byte).to_string(), &piece[2..])
            }
            Some(byte) => (format!("%{byte:02X}"), &piece[2..]),
            None => ("%".to_owned(), piece),
        };
        normal += &(decoded + &in_ascii(rest));
    }
    normal
}

/// A text with what is not ASCII percent-encoded.
fn in_ascii(text: &str) -> String {
    percent_encode(text.as_bytes(), BEYOND_ASCII).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_page_has_one_form() {
        for (url, form) in [
            ("HTTP://Example.COM:80", "http://example.com/"),
            ("http://example.com:8080/a/../b#top", "http://example.com:8080/b"),
            ("http://me:secret@example.com/?", "http://example.com/"),
            ("http://example.com/%7euser/%e4%2F?q=%41+b", "http://example.com/~user/%E4%2F?q=A+b"),
            ("http://example.com/100%", "http://example.com/100%"),
            ("http://example.com/%zz%é", "http://example.com/%zz%%C3%A9"),
            ("http://[::1]:81/", "http://[::1]:81/"),
            ("http://example.com/%+1%-1", "http://example.com/%+1%-1"),
        ] {
            assert_eq!(canonical(&Url::parse(url).expect(url)), form, "{url}");
        }
    }

    #[test]
    fn different_pages_keep_different_forms() {
        for (one, other) in [
            ("http://a/x", "http://a/x/"),
            ("http://a/x", "https://a/x"),
            ("http://a/?a=1&b=2", "http://a/?b=2&a=1"),
            ("http://a/a%2Fb", "http://a/a/b"),
            ("http://a/%41%25", "http://a/A%"),
        ] {
            let form = |url| canonical(&Url::parse(url).expect(url));
            assert_ne!(form(one), form(other));
        }
    }
}
