//! Text without secrets. All text that leaves the crate for a person, a record or a trace goes through
//! here: errors, `Debug`, and what archives are made of. What is a secret, its name tells.

use crate::proto::{RequestHead, ResponseHead, is_secret};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";

/// The text with `***` for each secret in it: passwords of URLs, a user name that stands alone there,
/// since that is how tokens are given, and parameters that [`is_secret`] names.
///
/// The text may be a URL, or hold some, also such as no parser takes: without a scheme
/// (`me:secret@host`), or with a slash in the password.
///
/// ```
/// # use mainspring_http::redact;
/// assert_eq!(redact("http://me:secret@a.test/?page=2&token=x"), "http://me:***@a.test/?page=2&token=***");
/// ```
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([':', '?', '&', '#', ';']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if before.ends_with(':') {
            // Parsers take any number of slashes, and backslashes for slashes (WHATWG URL §4.4).
            let authority = rest.trim_start_matches(['/', '\\']);
            if !before.ends_with("mailto:") {
                out.push_str(&rest[..rest.len() - authority.len()]);
                rest = without_login(authority, &mut out);
            }
            continue;
        }
        // A parameter of a path ends with it; one of a query may hold what separates those.
        let separators = if before.ends_with(';') { "?#;" } else { "&#" };
        let ends = |c: char| c.is_whitespace() || "\"<>".contains(c) || separators.contains(c);
        let end = rest.find(ends).unwrap_or(rest.len());
        if let Some((name, value)) = rest[..end].split_once('=')
            && !value.is_empty()
            && (is_secret(name) || hides_one(value))
        {
            out.extend([name, "=", HIDDEN]);
            rest = &rest[end..];
        }
    }
    out + rest
}

/// Whether there is a secret in what a value stands for, which may be a URL of its own.
fn hides_one(value: &str) -> bool {
    let plain = percent_decode_str(value).decode_utf8_lossy();
    plain != value && redact(&plain) != plain
}

/// What follows the user's name and password in `authority`; both go to `out`, the latter hidden.
fn without_login<'a>(authority: &'a str, out: &mut String) -> &'a str {
    let until = |ends: &str| {
        let end = authority.find(|c: char| c.is_whitespace() || ends.contains(c));
        &authority[..end.unwrap_or(authority.len())]
    };
    let host = until("/\\?#\"<>");
    // What is no port behind a colon is the beginning of a password that holds a slash.
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let is_login = port.bytes().any(|byte| !byte.is_ascii_digit()) && !port.contains(']');
    let whole = if is_login { until("\"<>") } else { host };
    let Some(at) = whole.rfind('@') else { return authority };
    if let Some((user, password)) = authority[..at].split_once(':')
        && !password.is_empty()
    {
        out.extend([user, ":"]);
    }
    out.push_str(HIDDEN);
    &authority[at..]
}

/// A URL as [`redact`] shows it, without its fragment, which is never sent.
#[must_use]
pub fn redact_url(url: &Url) -> String {
    redact(url.as_str().split('#').next().unwrap_or_default())
}

/// The value of a header field, or `***` if it is a secret by its name, or was marked as one.
#[must_use]
pub fn redact_field(name: &HeaderName, value: &HeaderValue) -> String {
    if value.is_sensitive() || is_secret(name.as_str()) {
        return HIDDEN.to_owned();
    }
    redact(&String::from_utf8_lossy(value.as_bytes()))
}

/// Text for a person, of at most some `limit` bytes: without secrets, and with nothing in it that
/// could steer a terminal.
pub(crate) fn for_person(text: &str, limit: usize) -> String {
    let text = redact(text);
    let mut out = String::with_capacity(text.len().min(limit));
    for letter in text.chars() {
        if out.len() >= limit {
            out.push('…');
            break;
        }
        // Control characters, and those that turn the direction of what follows.
        let steers = matches!(
            letter,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if steers || letter.is_control() {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

/// Header fields as `Debug` may show them.
pub(crate) struct Fields<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().map(|(name, value)| (name.as_str(), redact_field(name, value)));
        f.debug_map().entries(fields).finish()
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, target, headers, .. } = self;
        write!(f, "RequestHead({method} {} {:?})", redact(target), Fields(headers))
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, status, .. } = self;
        write!(f, "ResponseHead({version:?} {} {:?})", status.as_u16(), Fields(self.headers()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_secrets() {
        for (text, expected) in [
            ("", ""),
            ("nothing: to hide", "nothing: to hide"),
            ("http://a.test/@b:c?d=e#f", "http://a.test/@b:c?d=e#f"),
            ("http://me:secret@a.test/", "http://me:***@a.test/"),
            ("http://secret@a.test/", "http://***@a.test/"),
            ("http://secret:@a.test/", "http://***@a.test/"),
            ("http://:secret@a.test/", "http://:***@a.test/"),
            ("http://me:se@cr:et@a.test", "http://me:***@a.test"),
            ("socks5h://me:secret@[::1]:1080", "socks5h://me:***@[::1]:1080"),
            ("http:\\\\me:secret@a.test\\b", "http:\\\\me:***@a.test\\b"),
            ("https:me:secret@a.test", "https:me:***@a.test"),
            ("http:///me:secret@a.test", "http:///me:***@a.test"),
            ("http://me:secret@[bad", "http://me:***@[bad"),
            (
                "from http://me:secret@a to ftp://b:secret@c.",
                "from http://me:***@a to ftp://b:***@c.",
            ),
            ("me:secret@a.test:81", "me:***@a.test:81"),
            ("cannot use 'me:secret@a'", "cannot use 'me:***@a'"),
            ("socks5://me:se/cr@et@a:x", "socks5://me:***@a:x"),
            ("http://me:secret@[", "http://me:***@["),
            ("http://a.test:81/@b http://[::1]/@b", "http://a.test:81/@b http://[::1]/@b"),
            ("mailto:me@a.test", "mailto:me@a.test"),
            ("/a?x=1&access_token=secret&y=2", "/a?x=1&access_token=***&y=2"),
            ("/a;jsessionid=secret;v=1?x", "/a;jsessionid=***;v=1?x"),
            ("/a?token=secret;more?of=it&c", "/a?token=***&c"),
            ("/a#id_token=secret&x=1", "/a#id_token=***&x=1"),
            ("/a?token=&b", "/a?token=&b"),
            ("\"/a?sig=secret\" is", "\"/a?sig=***\" is"),
            ("/a?sig=sécret é", "/a?sig=*** é"),
            ("/a?user%5Bpassword%5D=secret&b=1", "/a?user%5Bpassword%5D=***&b=1"),
            ("/a?user[password]=secret", "/a?user[password]=***"),
            ("/a?p%61ssword=secret", "/a?p%61ssword=***"),
            ("/a?token%5B%5D=secret#b", "/a?token%5B%5D=***#b"),
            ("/a?next=%2Fb%3Ftoken%3Dsecret&c", "/a?next=***&c"),
            ("/a?next=http%3A%2F%2Fme%3Asecret%40b%2F", "/a?next=***"),
            ("/a?next=%2Fb%3Fpage%3D2&c=100%", "/a?next=%2Fb%3Fpage%3D2&c=100%"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn text_for_a_person_is_bounded_and_steers_nothing() {
        assert_eq!(for_person("a\u{1b}[2J\u{202e}b\n", 99), "a\\u{1b}[2J\\u{202e}b\\n");
        assert_eq!(for_person(&"é".repeat(30_000), 9), "ééééé…");
        // What is cut is cut after it was hidden.
        assert_eq!(for_person("http://me:secret@a.test/", 12), "http://me:**…");
    }
}
