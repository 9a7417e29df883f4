//! One form for every URL that means the same page, so that no page is fetched twice.
//!
//! The canonical form is a key for comparing; what is fetched is the URL as the page wrote it,
//! since a signature in a query may depend on every byte of it.

use std::fmt::Write as _;

use url::Url;

/// The canonical form of a URL: two URLs with the same one are the same page.
///
/// Parsing has already lower-cased scheme and host, dropped a default port and resolved dots. On
/// top of this the fragment, credentials and an empty query are dropped, and percent-encoding is
/// brought to one form (RFC 3986 §6.2.2: capital digits, and none where it is not needed).
#[must_use]
pub fn canonical(url: &Url) -> String {
    let mut key = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        write!(key, ":{port}").expect("a String takes any text");
    }
    key.push_str(&normal_encoding(url.path()));
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        key.push('?');
        key.push_str(&normal_encoding(query));
    }
    key
}

/// Brings percent-encoding to one form, by RFC 3986 §6.2.2: what needs no encoding is
/// decoded, what is encoded is so in capital digits; what is not ASCII becomes encoded.
#[must_use]
pub fn normal_encoding(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let two = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        // `from_str_radix` would take a sign for a digit.
        let hex = two.filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) => {
                normal.push(char::from(decoded));
                at += 3;
            }
            Some(encoded) => {
                normal.push_str(&format!("%{encoded:02X}"));
                at += 3;
            }
            None if byte.is_ascii() => {
                normal.push(char::from(byte));
                at += 1;
            }
            None => {
                normal.push_str(&format!("%{byte:02X}"));
                at += 1;
            }
        }
    }
    normal
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
