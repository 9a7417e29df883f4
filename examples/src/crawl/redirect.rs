//! Redirects: where one leads, and the chain that a page was reached by.

use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use mainspring_http::{redact, redact_url, take_userinfo};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::percent_encoded;
use crate::links::MAX_URL;
use crate::text::shortened;

/// How many redirects one page may take, as with aiohttp.
pub const MAX_REDIRECTS: usize = 10;

/// How many a robots.txt may take: "at least five" (RFC 9309 §2.3.1.2).
pub const MAX_ROBOTS_REDIRECTS: usize = 5;

/// The most characters of a redirect's target that an error shows.
const SHOWN: usize = 200;

/// An address as a message shows it: without secrets, and bounded.
pub fn shown(url: &Url) -> String {
    shortened(&redact_url(url), SHOWN)
}

/// One redirect on the way to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// What was asked for.
    pub url: Url,
    /// The status that sent elsewhere.
    pub status: u16,
}

/// Where an answer to a request for `from` sends its reader; `None` if it does not: an empty
/// `Location` leads nowhere (as curl and aiohttp have it).
///
/// Bytes that are not ASCII travel as they are, percent-encoded. Name and password in a target are
/// dropped: they are not ours.
///
/// # Errors
/// Half a sentence on why the target is none.
pub fn target(status: StatusCode, headers: &HeaderMap, from: &Url) -> Option<Result<Url, String>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = percent_encoded(headers.get(LOCATION)?);
    let location = location.trim_ascii();
    if location.is_empty() {
        return None;
    }
    let refused = |why: &str| {
        let shown = shortened(&redact(location), SHOWN);
        Err(format!("{status} leads to {shown:?}: {why}"))
    };
    let Ok(mut to) = from.join(location) else { return Some(refused("it is no URL")) };
    if !matches!(to.scheme(), "http" | "https") {
        return Some(refused("it is not http or https"));
    }
    if to.as_str().len() > MAX_URL {
        return Some(refused("it is too long"));
    }
    take_userinfo(&mut to);
    to.set_fragment(None);
    Some(Ok(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_location_is_resolved_as_browsers_do() {
        for (location, to) in [
            (&b"/b"[..], Some("http://h/b")),
            (b"b?c#d", Some("http://h/dir/b?c")),
            (b"//g:81/x", Some("http://g:81/x")),
            (b" https://g/ ", Some("https://g/")),
            // `/caf\xe9` as curl and browsers ask for it.
            (b"/caf\xe9", Some("http://h/caf%E9")),
            ("/café".as_bytes(), Some("http://h/caf%C3%A9")),
            (b"?q=a b", Some("http://h/dir/a?q=a%20b")),
            // The URL standard drops tabs.
            (b"\t/a\tb", Some("http://h/ab")),
            (b"http://me:secret@g/x", Some("http://g/x")),
            (b"", None),
            (b"  ", None),
        ] {
            let value = HeaderValue::from_bytes(location).expect("a value");
            let headers = HeaderMap::from_iter([(LOCATION, value)]);
            let from = Url::parse("http://h/dir/a").expect("a URL");
            for status in [301, 302, 303, 307, 308] {
                let status = StatusCode::from_u16(status).expect("a status");
                let found = target(status, &headers, &from).map(|to| to.map(String::from));
                assert_eq!(found, to.map(|to| Ok(to.to_owned())), "{location:?}");
            }
            for status in [200, 300, 304, 404] {
                let status = StatusCode::from_u16(status).expect("a status");
                assert_eq!(target(status, &headers, &from), None);
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_told_in_few_words() {
        let long = format!("/{}", "x".repeat(30_000));
        for (location, why) in [
            ("ftp://h/", "it is not http or https"),
            ("javascript:alert(1)", "it is not http or https"),
            ("http://[", "it is no URL"),
            ("http://me:secret@[", "it is no URL"),
            (&*format!("http://me:{}@[", "secret".repeat(99)), "it is no URL"),
            (&*long, "it is too long"),
        ] {
            let value = HeaderValue::from_str(location).expect("a value");
            let headers = HeaderMap::from_iter([(LOCATION, value)]);
            let from = Url::parse("http://h/").expect("a URL");
            let told = target(StatusCode::FOUND, &headers, &from).expect("it is one");
            let told = told.expect_err("it cannot be followed");
            assert!(told.ends_with(why) && told.len() < 300, "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
