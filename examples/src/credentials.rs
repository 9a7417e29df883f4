//! Credentials: which origins they are for. What is one, the client decides ([`is_secret`]), also for
//! what may be shown.
//!
//! What `-H`, `-u` or a URL of the command line gives goes to the origins of the command line and
//! to those that `--credentials-for` names. A redirect, a link or a sitemap cannot change that:
//! what is sent is decided anew for every request, by where it goes. Another scheme or another port
//! is another origin (RFC 6454 §4), as in the Fetch standard.

use std::collections::{HashMap, HashSet};

use http::header::{AUTHORIZATION, HOST, HeaderMap};
use http::{HeaderName, HeaderValue};
use mainspring_http::{basic_auth, is_secret, take_userinfo};
use url::{Host, Origin, Url};

use crate::cli::seed;

/// A header field of the command line; without a value, a field that is not to be sent.
pub type Field = (HeaderName, Option<HeaderValue>);

/// The command line refuses a URL whose user name holds one, and `-u` ends the name with it.
const NO_COLON: &str = "a user name without a colon";

/// Where credentials may go besides the origins of the command line: what is not said is not
/// compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    scheme: Option<String>,
    host: Host<String>,
    port: Option<u16>,
}

impl Audience {
    /// Reads `HOST`, `HOST:PORT` or `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// Half a sentence on what is wrong with it.
    pub fn parse(text: &str) -> Result<Audience, String> {
        let (url, with_scheme) = (seed(text)?, text.contains("://"));
        let host = url.host().ok_or("it names no host")?.to_owned();
        // A default port is dropped when a URL is parsed, and yet was said.
        let said_80 = !with_scheme && text.ends_with(":80");
        let port = url.port().or(said_80.then_some(80));
        let port = if with_scheme { url.port_or_known_default() } else { port };
        Ok(Audience { scheme: with_scheme.then(|| url.scheme().to_owned()), host, port })
    }

    fn has(&self, url: &Url) -> bool {
        url.host().is_some_and(|host| host.to_owned() == self.host)
            && self.scheme.as_ref().is_none_or(|scheme| scheme == url.scheme())
            && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// The header fields that a command line asks for, and where each may go.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// What may go anywhere.
    open: HeaderMap,
    /// What goes to the origins of the command line.
    fields: HeaderMap,
    origins: HashSet<Origin>,
    audiences: Vec<Audience>,
    /// Of URLs: each for its own origin.
    of_urls: HashMap<Origin, HeaderValue>,
}

impl Credentials {
    /// Sorts header fields into those that are credentials and those that may go anywhere. A name
    /// and a password authenticate where no field does.
    pub fn new(
        fields: &[Field],
        user: Option<&(String, String)>,
        audiences: &[Audience],
    ) -> Credentials {
        let mut credentials =
            Credentials { audiences: audiences.to_vec(), ..Credentials::default() };
        for (name, value) in fields {
            let Some(value) = value.clone() else { continue };
            let own = is_secret(name.as_str()) || *name == HOST;
            let map = if own { &mut credentials.fields } else { &mut credentials.open };
            map.append(name.clone(), value);
        }
        if let Some((name, password)) = user {
            let value = || basic_auth(name, password).expect(NO_COLON);
            credentials.fields.entry(AUTHORIZATION).or_insert_with(value);
        }
        credentials
    }

    /// Takes a URL of the command line for one that credentials are meant for, and its own name
    /// and password out of it.
    pub fn meant_for(&mut self, url: &mut Url) {
        self.origins.insert(url.origin());
        self.take_from(url);
    }

    /// Takes name and password out of a URL that the command line does not hold: they are for its
    /// origin, and the other credentials are not.
    pub fn take_from(&mut self, url: &mut Url) {
        if let Some((name, password)) = take_userinfo(url) {
            let value = || basic_auth(&name, &password).expect(NO_COLON);
            self.of_urls.entry(url.origin()).or_insert_with(value);
        }
    }

    /// The fields that go with a request to this URL.
    pub fn fields_for(&self, url: &Url) -> HeaderMap {
        let mut fields = self.open.clone();
        if self.is_for(url) {
            fields.extend(self.fields.clone());
        }
        if !self.of_urls.is_empty()
            && let Some(value) = self.of_urls.get(&url.origin())
        {
            fields.entry(AUTHORIZATION).or_insert_with(|| value.clone());
        }
        fields
    }

    /// Whether there are credentials that a request to this URL goes without.
    pub fn are_kept_from(&self, url: &Url) -> bool {
        !self.fields.is_empty() && !self.is_for(url)
    }

    fn is_for(&self, url: &Url) -> bool {
        !self.fields.is_empty()
            && (self.origins.contains(&url.origin())
                || self.audiences.iter().any(|audience| audience.has(url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn credentials_go_to_the_origins_of_the_command_line_and_no_others() {
        let fields = ["Authorization: Bearer t", "Cookie: a=b", "X-Api-Key: k", "Accept: */*"];
        let fields = fields.map(|text| {
            let (name, value) = text.split_once(": ").expect(text);
            (name.parse().expect(name), Some(HeaderValue::from_static(value)))
        });
        let audiences = ["b", "c:81", "https://d", "[::1]:80"].map(Audience::parse);
        let audiences: Vec<_> =
            audiences.into_iter().map(|read| read.expect("it is one")).collect();
        let mut credentials = Credentials::new(&fields, None, &audiences);
        credentials.meant_for(&mut url("http://a/"));
        for (to, expected) in [
            ("http://a/x", 3),
            ("http://a:80/", 3),
            ("http://A/", 3),
            ("http://a:81/", 0),
            ("https://a/", 0),
            ("http://sub.a/", 0),
            ("http://b/", 3),
            ("https://b:444/", 3),
            ("http://c/", 0),
            ("http://c:81/", 3),
            ("https://c:81/", 3),
            ("https://d/", 3),
            ("http://d/", 0),
            ("https://d:444/", 0),
            ("http://[::1]/", 3),
            ("http://[::1]:81/", 0),
        ] {
            let sent = credentials.fields_for(&url(to)).len();
            assert_eq!(sent, expected + 1, "{to}: and what may go anywhere");
            assert_eq!(credentials.are_kept_from(&url(to)), expected == 0, "{to}");
        }
    }

    #[test]
    fn the_password_of_a_url_is_for_its_origin_and_leaves_the_url() {
        let mut credentials = Credentials::new(&[], None, &[]);
        let (mut first, mut listed) = (url("http://me:s%40crt@a/x?y#z"), url("http://you@b/"));
        credentials.meant_for(&mut first);
        credentials.take_from(&mut listed);
        assert_eq!((first.as_str(), listed.as_str()), ("http://a/x?y#z", "http://b/"));
        let sent = |to: &str| {
            let fields = credentials.fields_for(&url(to));
            fields.get(AUTHORIZATION).map(|value| value.to_str().expect("ASCII").to_owned())
        };
        // As curl sends them.
        assert_eq!(sent("http://a/other").as_deref(), Some("Basic bWU6c0BjcnQ="));
        assert_eq!(sent("http://b/").as_deref(), Some("Basic eW91Og=="));
        assert_eq!(
            (sent("https://a/"), sent("http://a:81/"), sent("http://c/")),
            (None, None, None)
        );
        assert!(!format!("{credentials:?}").contains("Basic"), "{credentials:?}");
    }
}
