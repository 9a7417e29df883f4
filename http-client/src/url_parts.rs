//! What a request is made of, within the text of its URL.

use url::{Position, Url};

/// A URL, and where its host and its path begin: found once for a request, which needs both more
/// than once, and for which `url` would look each time.
#[derive(Clone, Copy)]
pub(crate) struct UrlParts<'a> {
    url: &'a Url,
    host_at: usize,
    path_at: usize,
}

impl<'a> UrlParts<'a> {
    #[inline]
    pub(crate) fn of(url: &'a Url) -> Self {
        let host_at = url[..Position::BeforeHost].len();
        Self { url, host_at, path_at: url[..Position::BeforePath].len() }
    }

    pub(crate) fn url(self) -> &'a Url {
        self.url
    }

    /// Whether it names a user or a password: they stand before the host.
    #[inline]
    pub(crate) fn has_credentials(self) -> bool {
        self.host_at > self.url.scheme().len() + "://".len()
    }

    /// All before the path.
    #[inline]
    pub(crate) fn start(self) -> &'a str {
        &self.url.as_str()[..self.path_at]
    }

    /// The host, and the port if it is not the one of the scheme.
    pub(crate) fn host(self) -> &'a str {
        &self.url.as_str()[self.host_at..self.path_at]
    }

    /// Path and query.
    pub(crate) fn target(self) -> &'a str {
        let rest = &self.url.as_str()[self.path_at..];
        match self.url.fragment() {
            None => rest,
            Some(fragment) => &rest[..rest.len() - fragment.len() - "#".len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_those_of_the_url() {
        for (text, credentials) in [
            ("http://h.test", false),
            ("http://h.test:81/a/b?c#d", false),
            ("https://h.test:443/?#", false),
            ("https://me@[::1]/a#b", true),
            ("http://:secret@h.test:81?c", true),
            ("data:text/plain,a@b", false),
        ] {
            let url = Url::parse(text).unwrap();
            let parts = UrlParts::of(&url);
            assert_eq!(parts.has_credentials(), credentials, "{text}");
            assert_eq!(parts.start(), &url[..Position::BeforePath], "{text}");
            assert_eq!(parts.host(), &url[Position::BeforeHost..Position::AfterPort], "{text}");
            assert_eq!(parts.target(), &url[Position::BeforePath..Position::AfterQuery], "{text}");
        }
    }
}
