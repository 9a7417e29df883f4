//! What the URL of a request says: which host is asked for what, and with which credentials.

use crate::error::{Error, ErrorKind, Result};
use crate::url_text;
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

macro_rules! into_url_from_text {
    ($($text:ty),+) => {$(
        impl IntoUrl for $text {
            fn into_url(self) -> Result<Url> {
                let parsed = url_text::parse(&self);
                parsed.map_err(|error| Error::new(ErrorKind::InvalidUrl(error.to_string())))
            }
        }
    )+};
}

into_url_from_text!(&str, String, &String);

/// The parts of a URL, in its order.
pub(crate) type Parts<'a> = (&'a str, &'a str, &'a str);

/// A URL in parts: all before the host; the host, and the port if it is not the one of the scheme; path
/// and query. A user name or password stands in the first, which then ends with `@`.
#[inline]
pub(crate) fn split(url: &Url) -> Parts<'_> {
    let text = url.as_str();
    let (host, path) = (url[..Position::BeforeHost].len(), url[..Position::BeforePath].len());
    let fragment = url.fragment().map_or(0, |fragment| fragment.len() + "#".len());
    (&text[..host], &text[host..path], &text[path..text.len() - fragment])
}

/// Scheme, host and port: the name under which the pool knows the host of a URL.
#[inline]
pub(crate) fn origin<'a>(url: &'a Url, (before, host, _): Parts<'a>) -> Result<Cow<'a, str>> {
    let scheme = url.scheme();
    let known = scheme == "http" || (cfg!(feature = "tls") && scheme == "https");
    if !known || !url.has_host() {
        return Err(not_for_us(url, known));
    }
    if before.ends_with('@') {
        return Ok(Cow::Owned(format!("{scheme}://{host}")));
    }
    Ok(Cow::Borrowed(&url.as_str()[..before.len() + host.len()]))
}

#[cold]
fn not_for_us(url: &Url, known: bool) -> Error {
    Error::new(if known {
        ErrorKind::InvalidUrl("it has no host".to_owned())
    } else {
        ErrorKind::UnsupportedScheme(url.scheme().to_owned())
    })
}

/// The target of CONNECT, in which the port is always named (RFC 9112 §3.2.3).
#[cold]
pub(crate) fn authority_form(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or(80);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// A host without the brackets that a URL has around an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// A user name and password of a URL, without their percent-encoding.
pub(crate) fn credentials(url: &Url) -> (String, String) {
    let decoded =
        |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    (decoded(url.username()), decoded(url.password().unwrap_or_default()))
}

/// Takes the user name and the password out of a URL, and gives them without their percent-encoding;
/// `None` if it names neither. What is left can be shown, kept and sent anywhere.
pub fn take_userinfo(url: &mut Url) -> Option<(String, String)> {
    let (user, password) = credentials(url);
    // Only a URL without a host refuses, and it has neither.
    url.set_username("").and_then(|()| url.set_password(None)).unwrap_or_default();
    (!user.is_empty() || !password.is_empty()).then_some((user, password))
}

/// The value of an `Authorization` field for the user that a URL names, if it does.
pub(crate) fn authorization(url: &Url) -> Result<Option<HeaderValue>> {
    if !split(url).0.ends_with('@') {
        return Ok(None);
    }
    let (user, password) = credentials(url);
    basic_auth(&user, &password).map(Some)
}

/// The value of an `Authorization` field that authenticates with a user name and a password (Basic,
/// RFC 7617). It is marked as sensitive.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if the user name holds a colon (RFC 7617 §2).
pub fn basic_auth(user: &str, password: &str) -> Result<HeaderValue> {
    use base64::Engine;
    if user.contains(':') {
        let reason = "a user name for Basic authentication holds no colon (RFC 7617 §2)";
        return Err(Error::invalid_request(reason));
    }
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret_value(format!("Basic {token}"))
}

/// The value of a field that is a secret.
pub(crate) fn secret_value(text: String) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| Error::invalid_request("invalid credentials"))?;
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
            assert_eq!(origin(&url, split(&url)).unwrap(), name, "{text}");
            let (before, host, target) = split(&url);
            assert_eq!((host, target), (host_field, path), "{text}");
            let secret = !url.username().is_empty() || url.password().is_some();
            assert_eq!(before.ends_with('@'), secret, "{text}");
        }
        for text in ["data:text/plain,a@b", "ftp://h.test/", "mailto:me@h.test"] {
            let url = Url::parse(text).unwrap();
            assert!(origin(&url, split(&url)).is_err(), "{text}");
        }
    }
}
