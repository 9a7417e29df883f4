//! Which links a crawl follows, and where a redirect may lead it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use clap::ValueEnum;
use mainspring_suffix::is_public_suffix;
use regex_lite::Regex;
use url::{Host, Url};

use super::redirect::shown;

/// A place on the network: a host and a port.
type Place = (Option<Host<String>>, Option<u16>);

fn place(url: &Url) -> Place {
    (url.host().map(|host| host.to_owned()), url.port_or_known_default())
}

/// Which links to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reach {
    /// Those to the hosts and ports of the beginning
    Host,
    /// Those to the hosts of the beginning and to whatever is below them, on any port
    Subdomains,
    /// All
    Any,
}

/// What a scope says of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in scope.
    In,
    /// Its host is not.
    OtherHost,
    /// Its host is, and `--include` or `--exclude` leaves it out.
    Excluded,
}

/// Which links are followed. Clones share what the scope was widened by.
#[derive(Clone, Debug)]
pub struct Scope {
    reach: Reach,
    beginnings: Rc<RefCell<Beginnings>>,
    include: Option<Regex>,
    exclude: Option<Regex>,
    /// The option that takes hosts of all kinds in, for the person who reads the error.
    flag: &'static str,
    /// Whether a sitemap is followed to where robots.txt forbids it.
    pub ignores_robots: bool,
}

/// Where a crawl begins.
#[derive(Debug, Default)]
struct Beginnings {
    places: HashSet<Place>,
    hosts: HashSet<Host<String>>,
}

impl Beginnings {
    fn add(&mut self, url: &Url) {
        self.places.insert(place(url));
        self.hosts.extend(url.host().map(|host| host.to_owned()));
    }
}

impl Scope {
    /// What begins at some URLs and reaches so far. An address has no names below it.
    pub fn new(reach: Reach, seeds: &[Url]) -> Scope {
        let mut beginnings = Beginnings::default();
        seeds.iter().for_each(|seed| beginnings.add(seed));
        let beginnings = Rc::new(RefCell::new(beginnings));
        let (include, exclude, flag, ignores_robots) = (None, None, "--scope any", false);
        Scope { reach, beginnings, include, exclude, flag, ignores_robots }
    }

    /// Narrows the scope to what one expression matches and another does not.
    pub fn narrowed(self, include: Option<Regex>, exclude: Option<Regex>) -> Scope {
        Scope { include, exclude, ..self }
    }

    /// Has errors name this option as the one that takes every host in.
    pub fn widened_by(self, flag: &'static str) -> Scope {
        Scope { flag, ..self }
    }

    /// What becomes of a link to this URL.
    pub fn judge(&self, url: &Url) -> Verdict {
        let included = self.include.as_ref().is_none_or(|regex| regex.is_match(url.as_str()))
            && !self.exclude.as_ref().is_some_and(|regex| regex.is_match(url.as_str()));
        match self.has_host(url) {
            false => Verdict::OtherHost,
            true if included => Verdict::In,
            true => Verdict::Excluded,
        }
    }

    fn has_host(&self, url: &Url) -> bool {
        let Beginnings { places, hosts } = &*self.beginnings.borrow();
        match (self.reach, url.host()) {
            (Reach::Any, _) => true,
            (Reach::Host, _) => places.contains(&place(url)),
            (Reach::Subdomains, Some(Host::Domain(name))) => {
                upwards(name).any(|name| hosts.contains(&Host::Domain(name.to_owned())))
            }
            (Reach::Subdomains, Some(address)) => hosts.contains(&address.to_owned()),
            (Reach::Subdomains, None) => false,
        }
    }

    /// Takes the host of `to` in, where a beginning at `from` was redirected, if it is still the
    /// same site; returns whether it is.
    pub fn widen(&self, from: &Url, to: &Url) -> bool {
        let widens = same_site(from, to);
        if widens {
            self.beginnings.borrow_mut().add(to);
        }
        widens
    }

    /// Whether what is not a page (robots.txt, a sitemap) may be redirected there.
    ///
    /// # Errors
    /// Half a sentence on where it leads, and the option that allows it.
    pub fn allows_redirect(&self, from: &Url, to: &Url) -> Result<(), String> {
        if self.has_host(to) || same_site(from, to) {
            return Ok(());
        }
        Err(self.left(to))
    }

    /// What is said of a redirect that leaves the site.
    pub fn left(&self, to: &Url) -> String {
        let (to, flag) = (shown(to), self.flag);
        format!("it redirects to {to}, which is another site; {flag} allows it")
    }
}

/// Whether a redirect stays on one site: on its origin, within one registrable domain, or from http
/// to https on one host. An address has no registrable domain, and a name without dots none either.
pub fn same_site(from: &Url, to: &Url) -> bool {
    let to_https = from.host() == to.host() && (from.scheme(), to.scheme()) == ("http", "https");
    let domain = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => registrable(name).map(str::to_owned),
        _ => None,
    };
    from.origin() == to.origin() || to_https || domain(from).is_some_and(|d| Some(d) == domain(to))
}

/// The part of a name that can be registered: one label below a public suffix, by the list of
/// <https://publicsuffix.org>.
fn registrable(name: &str) -> Option<&str> {
    let mut below = None;
    for name in upwards(name.trim_end_matches('.')) {
        if is_public_suffix(name) {
            return below;
        }
        below = Some(name);
    }
    None
}

/// A name, and every one that it is below: without its first label, without its first two, and so on.
fn upwards(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn is_in(scope: &Scope, text: &str) -> bool {
        scope.judge(&url(text)) == Verdict::In
    }

    #[test]
    fn a_host_is_name_and_port() {
        let scope = Scope::new(Reach::Host, &[url("http://h:81/"), url("https://g/")]);
        for (text, expected) in [
            ("http://h:81/x", true),
            ("http://h/", false),
            ("http://g/", false),
            ("https://g:443/", true),
            ("http://sub.h:81/", false),
        ] {
            assert_eq!(is_in(&scope, text), expected, "{text}");
        }
    }

    #[test]
    fn subdomains_are_whole_labels_below() {
        let scope =
            Scope::new(Reach::Subdomains, &[url("http://example.org/"), url("http://10.0.0.1/")]);
        for (text, expected) in [
            ("http://example.org/x", true),
            ("https://a.b.example.org:8080/", true),
            ("http://notexample.org/", false),
            ("http://org/", false),
            ("http://example.org.evil/", false),
            ("http://10.0.0.1:81/", true),
            ("http://10.0.0.2/", false),
        ] {
            assert_eq!(is_in(&scope, text), expected, "{text}");
        }
    }

    #[test]
    fn expressions_narrow() {
        let regex = |text| Some(Regex::new(text).expect(text));
        let scope =
            Scope::new(Reach::Any, &[]).narrowed(regex("/docs/"), regex(r"\?print=|\.pdf$"));
        for (text, expected) in [
            ("http://h/docs/a", true),
            ("http://h/a", false),
            ("http://h/docs/a?print=1", false),
            ("http://h/docs/a.pdf", false),
            ("http://h/docs/a.pdf?x", true),
        ] {
            assert_eq!(is_in(&scope, text), expected, "{text}");
        }
    }

    #[test]
    fn a_site_is_a_registrable_domain() {
        // The registrable domains are those that the test data of publicsuffix.org names.
        for (from, to, expected) in [
            ("http://example.com/", "http://www.example.com/", true),
            ("http://www.example.com/", "https://shop.example.com:8443/", true),
            ("https://example.com/", "http://example.com/", true),
            ("http://a.example.co.uk/", "http://b.example.co.uk/", true),
            ("http://a.co.uk/", "http://b.co.uk/", false),
            ("http://one.github.io/", "http://two.github.io/", false),
            ("http://example.com/", "http://example.org/", false),
            ("http://example.com/", "http://example.com.evil.net/", false),
            ("http://example.com/", "http://notexample.com/", false),
            ("http://localhost/", "https://localhost:8443/", true),
            ("https://localhost/", "http://localhost/", false),
            ("http://localhost:1/", "http://localhost:2/", false),
            ("http://127.0.0.1:1/", "http://127.0.0.1:2/", false),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/x", true),
            ("http://10.0.0.1/", "http://11.0.0.1/", false),
            ("http://[::1]/", "https://[::1]/", true),
            ("http://a.example.test/", "http://b.example.test/", true),
        ] {
            assert_eq!(same_site(&url(from), &url(to)), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_beginning_widens_the_scope_within_its_site() {
        let scope = Scope::new(Reach::Host, &[url("http://example.com/")]);
        assert!(!is_in(&scope, "https://www.example.com/x"));
        assert!(scope.widen(&url("http://example.com/"), &url("https://www.example.com/")));
        assert!(is_in(&scope, "https://www.example.com/x"));
        assert!(!is_in(&scope, "http://www.example.com/x"), "another port");
        assert!(!scope.widen(&url("http://example.com/"), &url("http://other.org/")));
        assert!(!is_in(&scope, "http://other.org/"));
    }
}
