//! What the URL of a request says: which host is asked for what, and with which credentials.

use crate::error::{Error, ErrorKind, Result};
use crate::url_text::{self, has_credentials};
use http::HeaderValue;
use std::borrow::Cow;
use url::{Position, Url};

/// What can be taken for a URL: a [`Url`], or text that parses as one.
pub trait IntoUrl {
    /// The URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`] with the parser's reason.
    fn into_url(self) -> Result<Url>;
}

impl IntoUrl for Url {
    fn into_url(self) -> Result<Url> {
        Ok(self)
    }
}

impl IntoUrl for &Url {
    fn into_url(self) -> Result<Url> {
        Ok(self.clone())
    }
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Url> {
        url_text::parse(self).map_err(|error| Error::new(ErrorKind::InvalidUrl(error.to_string())))
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Url> {
        self.as_str().into_url()
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Url> {
        self.as_str().into_url()
    }
}

/// The value of the `Host` field: the host, and the port if it is not the one of the scheme.
pub(crate) fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Path and query.
pub(crate) fn path_and_query(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// Scheme, host and port: the name under which the pool knows the host of a URL.
#[inline]
pub(crate) fn origin(url: &Url) -> Result<Cow<'_, str>> {
    let scheme = url.scheme();
    let known = scheme == "http" || (cfg!(feature = "tls") && scheme == "https");
    if !known || !url.has_host() {
        return Err(not_for_us(url, known));
    }
    if has_credentials(url) {
        return Ok(Cow::Owned(format!("{scheme}://{}", host(url))));
    }
    Ok(Cow::Borrowed(&url[..Position::BeforePath]))
}

#[cold]
fn not_for_us(url: &Url, known: bool) -> Error {
    Error::new(if known {
        ErrorKind::InvalidUrl("it has no host".to_owned())
    } else {
        ErrorKind::UnsupportedScheme(url.scheme().to_owned())
    })
}

/// A user name and password of a URL, without their percent-encoding.
pub(crate) fn credentials(url: &Url) -> (String, String) {
    let decoded =
        |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    (decoded(url.username()), decoded(url.password().unwrap_or_default()))
}

/// The value of an `Authorization` field for the user that a URL names, if it does.
pub(crate) fn authorization(url: &Url) -> Result<Option<HeaderValue>> {
    if !has_credentials(url) {
        return Ok(None);
    }
    let (user, password) = credentials(url);
    basic(&user, &password).map(Some)
}

/// The value of an `Authorization` field for Basic authentication.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    use base64::Engine;
    if user.contains(':') {
        let reason = "a user name for Basic authentication holds no colon (RFC 7617 §2)";
        return Err(Error::new(ErrorKind::InvalidRequest(reason.to_owned())));
    }
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {token}"))
        .map_err(|_| Error::new(ErrorKind::InvalidRequest("invalid credentials".to_owned())))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        for (text, name, host_field, path) in [
            ("http://h.test", "http://h.test", "h.test", "/"),
            ("http://h.test:81/a/b?c#d", "http://h.test:81", "h.test:81", "/a/b?c"),
            ("http://h.test:80/?#", "http://h.test", "h.test", "/?"),
            ("http://me@[::1]/a#b", "http://[::1]", "[::1]", "/a"),
            ("http://:secret@h.test:81?c", "http://h.test:81", "h.test:81", "/?c"),
            ("http://@h.test/", "http://h.test", "h.test", "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(origin(&url).unwrap(), name, "{text}");
            assert_eq!((host(&url), path_and_query(&url)), (host_field, path), "{text}");
        }
        for text in ["data:text/plain,a@b", "ftp://h.test/", "mailto:me@h.test"] {
            assert!(origin(&Url::parse(text).unwrap()).is_err(), "{text}");
        }
    }
}
