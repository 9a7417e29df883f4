//! The frontier: pages known of and not yet fetched, each of them once.

use std::collections::{HashSet, VecDeque};

use url::Url;

use crate::canonical::canonical;

/// How far a crawl may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Links away from the beginning; pages at this depth are fetched, their links are not.
    pub depth: u32,
    /// Pages in all.
    pub pages: usize,
}

/// A page to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where it is.
    pub url: Url,
    /// How many links it is away from the beginning.
    pub depth: u32,
    /// Its place among all pages, in the order in which they were found, from 0.
    pub order: usize,
    /// How many fetches, one after another, had to end before this one could begin.
    pub after: u32,
}

/// Pages known of, in the order in which they were found.
pub struct Frontier {
    queue: VecDeque<Job>,
    seen: HashSet<String>,
    bounds: Bounds,
    in_scope: Box<dyn Fn(&Url) -> bool>,
    left_out: usize,
}

impl Frontier {
    /// An empty frontier; links for which `in_scope` is false are not followed.
    #[must_use]
    pub fn new(bounds: Bounds, in_scope: impl Fn(&Url) -> bool + 'static) -> Frontier {
        Frontier {
            queue: VecDeque::new(),
            seen: HashSet::new(),
            bounds,
            in_scope: Box::new(in_scope),
            left_out: 0,
        }
    }

    /// Adds a page to begin with, in scope or not, unless it is known already.
    pub fn seed(&mut self, url: Url) {
        self.add(url, 0, 0);
    }

    /// Adds the links of a page that was fetched as `job`.
    pub fn follow(&mut self, job: &Job, links: Vec<Url>) {
        if job.depth == self.bounds.depth {
            return;
        }
        for link in links {
            if (self.in_scope)(&link) {
                self.add(link, job.depth + 1, job.after + 1);
            }
        }
    }

    fn add(&mut self, url: Url, depth: u32, after: u32) {
        let key = canonical(&url);
        if self.seen.len() == self.bounds.pages {
            self.left_out += usize::from(!self.seen.contains(&key));
        } else if self.seen.insert(key) {
            let order = self.seen.len() - 1;
            self.queue.push_back(Job { url, depth, order, after });
        }
    }

    /// Begins the page that was found first among those not yet begun.
    pub fn begin(&mut self) -> Option<Job> {
        self.queue.pop_front()
    }

    /// Pages not yet begun.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is nothing left to begin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many links were not followed because the bound on pages was reached. A link found on
    /// several pages counts each time.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

impl std::fmt::Debug for Frontier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frontier {{ {} known, {} to begin }}", self.seen.len(), self.queue.len())
    }
}

/// A scope: the hosts, with their ports, that a crawl began with.
pub fn same_hosts(seeds: &[Url]) -> impl Fn(&Url) -> bool + 'static {
    let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let places: HashSet<_> = seeds.iter().map(place).collect();
    move |url| places.contains(&place(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn urls(frontier: &mut Frontier) -> Vec<String> {
        std::iter::from_fn(|| frontier.begin()).map(|job| job.url.to_string()).collect()
    }

    #[test]
    fn a_page_is_fetched_once_however_it_is_written() {
        let mut frontier = Frontier::new(Bounds { depth: 9, pages: 9 }, |_| true);
        frontier.seed(url("http://h"));
        let front = frontier.begin().expect("the seed");
        frontier.follow(
            &front,
            vec![
                url("http://h/#top"),
                url("http://H:80/%61"),
                url("http://h/a"),
                url("http://h/b"),
            ],
        );
        assert_eq!(urls(&mut frontier), ["http://h/%61", "http://h/b"]);
    }

    #[test]
    fn depth_order_and_chain_count_from_the_seeds() {
        let mut frontier = Frontier::new(Bounds { depth: 1, pages: 9 }, |_| true);
        frontier.seed(url("http://h/"));
        let front = frontier.begin().expect("the seed");
        assert_eq!((front.depth, front.order, front.after), (0, 0, 0));
        frontier.follow(&front, vec![url("http://h/a")]);
        let a = frontier.begin().expect("the link");
        assert_eq!((a.depth, a.order, a.after), (1, 1, 1));
        frontier.follow(&a, vec![url("http://h/too/deep")]);
        assert!(frontier.is_empty());
    }

    #[test]
    fn the_bound_on_pages_is_kept_and_what_it_left_out_is_counted() {
        let mut frontier = Frontier::new(Bounds { depth: 9, pages: 2 }, |_| true);
        frontier.seed(url("http://h/"));
        let front = frontier.begin().expect("the seed");
        frontier.follow(&front, vec![url("http://h/a"), url("http://h/b"), url("http://h/")]);
        assert_eq!(urls(&mut frontier), ["http://h/a"]);
        assert_eq!(frontier.left_out(), 1);
    }

    #[test]
    fn the_scope_is_host_and_port() {
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
}
