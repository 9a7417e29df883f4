//! Readers of single values: each says in half a sentence what is wrong with a text.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mainspring_http::{Proxy, is_secret};
use regex_lite::Regex;
use scraper::Selector;
use url::Url;

use crate::credentials::Field;
use crate::value::duration;

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    from(1, text)
}

pub(super) fn page_count(text: &str) -> Result<u32, String> {
    from(1, text)
}

pub(super) fn depth(text: &str) -> Result<u32, String> {
    from(0, text)
}

/// More of anything than one run can have.
const MOST: u64 = 1_000_000;

/// A whole number from `least` to [`MOST`].
fn from<N: TryFrom<u64>>(least: u64, text: &str) -> Result<N, String> {
    let number: Option<u64> = text.parse().ok().filter(|n| (least..=MOST).contains(n));
    number
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| format!("needs a whole number from {least} to {MOST}"))
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

/// The most URLs that one range may stand for.
const MAX_RANGE: u32 = 1_000_000;

/// One URL, or those that one with a range stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<Url>);

/// A URL in which `[1-100]` stands for each of these numbers, as with curl. One range is enough;
/// the brackets of an IPv6 address are none.
pub(super) fn seeds(text: &str) -> Result<Seeds, String> {
    let Some((before, first, last, after)) = range(text) else {
        return Ok(Seeds(vec![seed(text)?]));
    };
    if last < first || last - first >= MAX_RANGE {
        return Err(format!("a range goes up, by at most {MAX_RANGE} numbers"));
    }
    let urls = (first..=last).map(|number| seed(&format!("{before}{number}{after}")));
    Ok(Seeds(urls.collect::<Result<_, _>>()?))
}

/// The first `[m-n]` of a text, with what stands before and after it.
fn range(text: &str) -> Option<(&str, u32, u32, &str)> {
    text.match_indices('[').find_map(|(at, _)| {
        let (inside, after) = text[at + 1..].split_once(']')?;
        let (first, last) = inside.split_once('-')?;
        Some((&text[..at], first.parse().ok()?, last.parse().ok()?, after))
    })
}

pub(super) fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("no CSS selector: {error}"))
}

/// A header field, written as on the wire. As with curl, `Name:` has none of that name sent, and
/// `Name;` an empty one.
pub(super) fn header(text: &str) -> Result<Field, String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
        None => (text.strip_suffix(';').ok_or("write it like 'Name: value'")?, Some("")),
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes());
    // What stands there may be a secret without its name.
    let name = name.map_err(|_| "what stands before the colon is no name of a header")?;
    let Some(value) = value else { return Ok((name, None)) };
    let mut value = header_value(value)?;
    value.set_sensitive(is_secret(name.as_str()));
    Ok((name, Some(value)))
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "holds a character that no header may".to_owned())
}

/// A proxy of the command line.
#[derive(Clone)]
pub struct Via {
    /// The proxy.
    pub proxy: Proxy,
    /// Its URL, name and password in it.
    pub url: String,
    /// Whether it is given whole requests for `http`, and not asked for a tunnel.
    pub takes_requests: bool,
    /// Whether it is given a name and a password.
    pub with_password: bool,
}

/// A proxy; without a scheme it is one for HTTP, and then without a port at 1080, as with curl.
pub(super) fn proxy(text: &str) -> Result<Via, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&whole).map_err(|error| error.to_string())?;
    if url.port().is_none() && !whole.trim_end_matches('/').ends_with(":80") && whole != text {
        url.set_port(Some(1080)).map_err(|()| "it names no host")?;
    }
    let takes_requests = url.scheme() == "http";
    let with_password = !url.username().is_empty() || url.password().is_some();
    let proxy = Proxy::new(&url).map_err(|error| error.to_string())?.named_by("--proxy");
    Ok(Via { proxy, url: url.into(), takes_requests, with_password })
}

/// A limit of time as curl takes it: seconds, or with a unit; 0 is none.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    match seconds.map(Duration::try_from_secs_f64) {
        Some(Ok(seconds)) => duration(&format!("{}ns", seconds.as_nanos())),
        _ => duration(text),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_stands_for_each_of_its_numbers() {
        let urls = |text: &str| {
            seeds(text).map(|seeds| seeds.0.iter().map(Url::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            urls("h/api/[8-10].json"),
            Ok(["8", "9", "10"].map(|n| format!("http://h/api/{n}.json")).to_vec())
        );
        assert_eq!(urls("http://[::1]/[5-5]"), Ok(vec!["http://[::1]/5".to_owned()]));
        assert_eq!(urls("http://h/[a-b]"), Ok(vec!["http://h/[a-b]".to_owned()]));
        assert!(urls("http://h/[2-1]").is_err() && urls("http://h/[1-4000000000]").is_err());
    }
}
