//! From text to a URL, with a short way from one page of a host to the next.
//!
//! Most of what it takes to parse a URL is its host: names become lower case and Punycode, numbers
//! become addresses. A request by text is mostly to the host that was asked before. So the URL that was
//! last parsed is kept, and text that begins as it does, up to the path, is parsed as a reference to
//! it, which gives the same URL. Text that is all of it is not parsed at all. Of a GET by text that
//! saves a third (`benches/WHY.md`).

use std::cell::RefCell;
use url::{ParseError, Position, Url};

thread_local! {
    /// The one that was last parsed in full; none that names a user, as a password is not to be
    /// kept for longer than it is needed.
    static LAST: RefCell<Option<Url>> = const { RefCell::new(None) };
}

/// What [`Url::parse`] gives.
pub(crate) fn parse(text: &str) -> Result<Url, ParseError> {
    LAST.with_borrow_mut(|last| {
        if let Some(base) = last {
            if base.as_str() == text {
                return Ok(base.clone());
            }
            if let Some(reference) = reference(base, text) {
                return base.join(reference);
            }
        }
        let url = Url::parse(text)?;
        if matches!(url.scheme(), "http" | "https") && !url[..Position::BeforeHost].ends_with('@') {
            *last = Some(url.clone());
        }
        Ok(url)
    })
}

/// What stands in `text` from the path on, if all before is as in `base`.
fn reference<'a>(base: &Url, text: &'a str) -> Option<&'a str> {
    let rest = text.strip_prefix(&base[..Position::BeforePath])?;
    let mut bytes = rest.bytes();
    // A second slash would begin another host; what else is unusual there is not worth a thought.
    let is_path =
        bytes.next() == Some(b'/') && bytes.next().is_none_or(|b| b.is_ascii_alphanumeric());
    is_path.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that can be asked of a URL.
    fn parts(url: &Url) -> String {
        let (scheme, user, password) = (url.scheme(), url.username(), url.password());
        let (host, port, path) = (url.host(), url.port(), url.path());
        let (query, fragment) = (url.query(), url.fragment());
        format!(
            "{url} {scheme:?} {user:?} {password:?} {host:?} {port:?} {path:?} {query:?} {fragment:?}"
        )
    }

    /// Of the text, and of how its URL is written.
    fn assert_same(text: &str) {
        let expected = Url::parse(text);
        let written = expected.as_ref().map_or("", Url::as_str);
        for text in [text, written] {
            let expected = Url::parse(text).map(|url| parts(&url));
            assert_eq!(parse(text).map(|url| parts(&url)), expected, "{text:?}");
        }
    }

    #[test]
    fn what_follows_the_host_is_parsed_as_before() {
        for first in ["http://h.test", "http://127.0.0.1:81/a/b?c#d", "https://[::1]", "http://é/x"]
        {
            let start = Url::parse(first).unwrap()[..Position::BeforePath].to_owned();
            for rest in [
                "", "/", "/a", "/a/../b", "//b/", "/\\b", "/\t/b", "\\b", "?q", "#f", "/a?b#c",
                "/a b ", "/a\n/b", "/%41", "/é", "/.", "/..", "/a:b@c", ":82/", "@b/", ".b/",
                "/a\\b/..", "0/",
            ] {
                assert_same(first);
                assert_same(&format!("{start}{rest}"));
            }
        }
    }

    #[test]
    fn a_url_with_a_password_is_not_kept() {
        assert_same("http://h.test/");
        assert_same("http://me:secret@h.test/");
        LAST.with_borrow(|last| assert_eq!(last.as_ref().unwrap().as_str(), "http://h.test/"));
    }

    proptest! {
        #[test]
        fn one_text_after_another_gives_what_each_gives_alone(
            starts in prop::collection::vec(
                "(http|https|HTTP|ftp|data|file):/{0,3}([ab]{1,3}|[aB0.:@%é\\[\\]]{0,6})(:81?)?",
                1..3,
            ),
            rests in prop::collection::vec((0..2_usize, "[/\\\\\t]{0,3}[?#@:.%ab0é \n/]{0,6}"), 1..12),
        ) {
            for (start, rest) in rests {
                assert_same(&format!("{}{rest}", starts[start % starts.len()]));
            }
        }
    }
}
