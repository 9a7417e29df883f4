//! Readers of single values: each says in half a sentence what is wrong with a text.

use http::{HeaderName, HeaderValue};
use regex_lite::Regex;
use scraper::Selector;
use url::Url;

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    within(text, 1_000_000)
}

pub(super) fn page_count(text: &str) -> Result<u32, String> {
    within(text, 1_000_000)
}

/// A whole number from 1 to `most`.
pub(super) fn within<N: TryFrom<u64>>(text: &str, most: u64) -> Result<N, String> {
    let number: Option<u64> = text.parse().ok().filter(|n| (1..=most).contains(n));
    number
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| format!("needs a whole number from 1 to {most}"))
}

/// An http or https URL; without a scheme it is taken for http.
///
/// # Errors
/// Half a sentence on what is wrong with it.
pub fn seed(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other} is not http or https")),
    }
}

pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("no CSS selector: {error}"))
}

/// A header field, written as on the wire.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it like 'Name: value'")?;
    let bad_name = |_| format!("{name:?} is no name of a header");
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(bad_name)?;
    Ok((name, header_value(value.trim())?))
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "holds a character that no header may".to_owned())
}

pub(super) fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("no regular expression: {error}"))
}

/// A share, from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "needs a number from 0 to 1".to_owned())
}

/// `name:password`; the password may hold colons and may be missing.
pub(super) fn user(text: &str) -> Result<(String, String), String> {
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    Ok((name.to_owned(), password.to_owned()))
}
