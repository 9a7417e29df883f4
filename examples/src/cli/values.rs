//! Readers of single values: each says in half a sentence what is wrong with a text.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mainspring_http::{is_secret, redact};
use regex_lite::Regex;
use scraper::Selector;
use url::Url;

use crate::credentials::Field;
use crate::text::shortened;
use crate::value::duration;

/// More of anything than one run can have.
const MOST: u64 = 1_000_000;

/// A whole number from `LEAST` to [`MOST`].
pub(super) fn whole<const LEAST: u64, N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number: Option<u64> = text.parse().ok().filter(|n| (LEAST..=MOST).contains(n));
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("needs a whole number from {LEAST} to {MOST}"))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    whole::<1, usize>(text)
}

/// An http or https URL; without a scheme it is taken for http.
///
/// # Errors
/// Half a sentence on what is wrong with it.
pub fn seed(text: &str) -> Result<Url, String> {
    match meant(text) {
        None if text.starts_with('/') && !text.starts_with("//") => {
            return Err("it names no host".to_owned());
        }
        Some(meant) if meant.ends_with("://") => return Err("it names no host".to_owned()),
        Some(meant) => {
            let meant = shortened(&redact(&meant), 200);
            return Err(format!("its scheme is misspelt; did you mean {meant}?"));
        }
        None => {}
    }
    // What stands in a path or a query is no scheme of the whole.
    let has_scheme =
        text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    let whole = if has_scheme { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| error.to_string())?;
    match url.scheme() {
        // By the name and the colon it authenticates (RFC 7617 §2).
        "http" | "https" if url.username().to_ascii_uppercase().contains("%3A") => {
            Err("its user name holds a colon".to_owned())
        }
        "http" | "https" => Ok(url),
        other => Err(format!("{other} is not http or https")),
    }
}

/// The URL that is meant by a text whose scheme is misspelt, or not set off as one is: `htps://h`,
/// `http:/h`, `https//h`, `http://http://h`. A name with a port (`htp:81`) and one with a password
/// are none.
fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    let (word, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic())?);
    let target = rest.trim_start_matches([':', ';', '/', '\\', '.', ',', ' ']);
    let marks = &rest[..rest.len() - target.len()];
    let word = word.to_ascii_lowercase();
    let scheme = if word.contains('s') { "https" } else { "http" };
    let authority = target.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_digit());
    if marks == ":" && (is_port || authority.contains('@')) {
        return None;
    }
    let is_meant = match strsim::damerau_levenshtein(&word, scheme) {
        0 if marks.starts_with("://") => return doubled(target),
        0 => marks.contains([':', ';', '/', '\\']),
        1 => marks.contains([':', ';']) || marks.contains("//"),
        _ => word.is_empty() && marks.starts_with(':'),
    };
    is_meant.then(|| format!("{scheme}://{target}"))
}

/// The URL that stands where the host of another should.
fn doubled(target: &str) -> Option<String> {
    let (scheme, rest) = target.split_at(target.find(|c: char| !c.is_ascii_alphabetic())?);
    let is_doubled =
        ["http", "https"].contains(&scheme) && rest.trim_start_matches(':').starts_with("//");
    is_doubled.then(|| format!("{scheme}://{}", rest.trim_start_matches([':', '/'])))
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
