//! Which links a crawl follows.

use std::collections::HashSet;

use regex_lite::Regex;
use url::{Host, Url};

/// A place on the network: a host and a port.
type Place = (Option<Host<String>>, Option<u16>);

fn place(url: &Url) -> Place {
    (url.host().map(|host| host.to_owned()), url.port_or_known_default())
}

/// The hosts, with their ports, of some URLs.
pub fn same_hosts(seeds: &[Url]) -> impl Fn(&Url) -> bool + 'static {
    let places: HashSet<Place> = seeds.iter().map(place).collect();
    move |url| places.contains(&place(url))
}

/// The hosts of some URLs and all names below them, on any port. An address has none below it.
pub fn subdomains(seeds: &[Url]) -> impl Fn(&Url) -> bool + 'static {
    let hosts: HashSet<Host<String>> = seeds.iter().filter_map(|url| place(url).0).collect();
    move |url| match url.host() {
        Some(Host::Domain(name)) => {
            let above =
                name.char_indices().filter(|(_, c)| *c == '.').map(|(at, _)| &name[at + 1..]);
            std::iter::once(name)
                .chain(above)
                .any(|name| hosts.contains(&Host::Domain(name.to_owned())))
        }
        Some(address) => hosts.contains(&address.to_owned()),
        None => false,
    }
}

/// Narrows a scope to what one expression matches and another does not.
pub fn narrowed(
    scope: Box<dyn Fn(&Url) -> bool>,
    include: Option<Regex>,
    exclude: Option<Regex>,
) -> Box<dyn Fn(&Url) -> bool> {
    Box::new(move |url| {
        scope(url)
            && include.as_ref().is_none_or(|regex| regex.is_match(url.as_str()))
            && !exclude.as_ref().is_some_and(|regex| regex.is_match(url.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn a_host_is_name_and_port() {
        let in_scope = same_hosts(&[url("http://h:81/"), url("https://g/")]);
        for (text, expected) in [
            ("http://h:81/x", true),
            ("http://h/", false),
            ("http://g/", false),
            ("https://g:443/", true),
            ("http://sub.h:81/", false),
        ] {
            assert_eq!(in_scope(&url(text)), expected, "{text}");
        }
    }

    #[test]
    fn subdomains_are_whole_labels_below() {
        let in_scope = subdomains(&[url("http://example.org/"), url("http://10.0.0.1/")]);
        for (text, expected) in [
            ("http://example.org/x", true),
            ("https://a.b.example.org:8080/", true),
            ("http://notexample.org/", false),
            ("http://org/", false),
            ("http://example.org.evil/", false),
            ("http://10.0.0.1:81/", true),
            ("http://10.0.0.2/", false),
        ] {
            assert_eq!(in_scope(&url(text)), expected, "{text}");
        }
    }

    #[test]
    fn expressions_narrow() {
        let regex = |text| Some(Regex::new(text).expect(text));
        let all: Box<dyn Fn(&Url) -> bool> = Box::new(|_| true);
        let in_scope = narrowed(all, regex("/docs/"), regex(r"\?print=|\.pdf$"));
        for (text, expected) in [
            ("http://h/docs/a", true),
            ("http://h/a", false),
            ("http://h/docs/a?print=1", false),
            ("http://h/docs/a.pdf", false),
            ("http://h/docs/a.pdf?x", true),
        ] {
            assert_eq!(in_scope(&url(text)), expected, "{text}");
        }
    }
}
