//! The frontier: pages known of and not yet fetched, each of them once, and when each may begin.
//!
//! Pages wait in one queue per host, since politeness is towards hosts: so many pages of it at once,
//! so long between two of them, and none before its robots.txt has been read.
//!
//! ```text
//!            ┌── begin ◄── ready: has a page, a free place, and its time has come
//!   host ────┼── waits for a moment: pause between pages, Retry-After
//!            └── rests: no page, no free place, or its robots.txt is being read
//! ```
//!
//! Of the ready hosts, the one whose first page was found first is next. Every operation is
//! logarithmic in the number of hosts and independent of the number of pages.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use url::Url;

use super::job::{Counts, Job, Left, WorkItem};
use super::redirect::{Hop, MAX_REDIRECTS, shown};
use super::scope::{Scope, Verdict};
use crate::canonical::canonical;
use crate::polite::pace::Pace;
use crate::polite::robots::Robots;

/// How far a crawl may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Links away from the beginning; pages at this depth are fetched, their links are not.
    pub depth: u32,
    /// Pages in all.
    pub pages: usize,
}

/// What is known of a host's robots.txt.
enum RobotsState {
    /// It has been tried so often.
    Unknown(u32),
    Requested,
    Known(Robots),
    /// It cannot be had, for this reason: nothing is fetched (RFC 9309 §2.3.1.4).
    Failed(String),
}

struct Host {
    robots_txt: Url,
    queue: VecDeque<Job>,
    in_flight: usize,
    not_before: Instant,
    robots_state: RobotsState,
}

/// Pages known of, in the order in which they were found.
pub struct Frontier {
    hosts: Vec<Host>,
    by_origin: HashMap<String, usize>,
    /// Hosts that may begin a page, by the place of its first page.
    ready: BTreeSet<(usize, usize)>,
    /// Hosts that may once a moment has come.
    waiting: BTreeSet<(Instant, usize)>,
    seen: HashSet<String>,
    /// Pages found, which is what places count.
    found: usize,
    queued: usize,
    bounds: Bounds,
    pace: Pace,
    scope: Scope,
    /// How many links were not followed, and why.
    pub counts: Counts,
    left: Vec<(Job, Left)>,
    /// What a person should know of how the crawl went on: by what its scope was widened.
    pub notes: Vec<String>,
}

impl Frontier {
    /// An empty frontier; links that are not in scope are not followed.
    pub fn new(bounds: Bounds, pace: Pace, scope: Scope) -> Frontier {
        Frontier {
            hosts: Vec::new(),
            by_origin: HashMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            seen: HashSet::new(),
            found: 0,
            queued: 0,
            bounds,
            pace,
            scope,
            counts: Counts::default(),
            left: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes a page for found and fetched, in an earlier run.
    pub fn restore(&mut self, url: &Url) {
        if self.seen.insert(canonical(url)) {
            self.found += 1;
        }
    }

    /// Takes an address for another one of a page that is known: a redirect has led there.
    pub fn alias(&mut self, url: &Url) {
        self.seen.insert(canonical(url));
    }

    /// Adds a page to begin with, in scope or not, unless it is known already.
    pub fn seed(&mut self, url: Url) {
        self.add(url, 0, 0);
    }

    /// Adds the links of a page that is `depth` links away from the beginning and over after a
    /// chain of `chain` fetches.
    pub fn follow(&mut self, depth: u32, chain: u32, links: Vec<Url>) {
        if depth >= self.bounds.depth {
            return;
        }
        for link in links {
            if self.scope.judge(&link) == Verdict::In {
                self.add(link, depth + 1, chain);
            }
        }
    }

    fn add(&mut self, url: Url, depth: u32, after: u32) {
        let key = canonical(&url);
        if self.found >= self.bounds.pages {
            self.counts.left_out += usize::from(!self.seen.contains(&key));
        } else if !self.seen.contains(&key) {
            let host = self.host(&url);
            // What will not be fetched takes no page's place, and is not even remembered: there may
            // be any number.
            match &self.hosts[host].robots_state {
                RobotsState::Known(robots) if !robots.allows(&url) => {
                    self.counts.refused += 1;
                    return;
                }
                RobotsState::Failed(_) if depth > 0 => {
                    self.counts.unasked += 1;
                    return;
                }
                _ => {}
            }
            self.seen.insert(key);
            let item = WorkItem::Page(self.found);
            self.found += 1;
            self.queued += 1;
            let job = Job { url, item, depth, after, tries: 0, via: Vec::new(), host };
            self.change(host, |host| host.queue.push_back(job));
        }
    }

    /// Takes a page on to where an answer with this status redirects it, after a chain of `chain`
    /// fetches. The target is judged as a link is, and waits for its own host.
    ///
    /// # Errors
    /// The page, with why it goes no further.
    pub fn redirect(
        &mut self,
        mut job: Job,
        status: u16,
        to: Url,
        chain: u32,
    ) -> Result<(), (Box<Job>, Left)> {
        let from = std::mem::replace(&mut job.url, to);
        job.via.push(Hop { url: from, status });
        match self.judge(&job) {
            Some(left) => Err((Box::new(job), left)),
            None => {
                self.seen.insert(canonical(&job.url));
                let id = self.host(&job.url);
                (job.host, job.tries, job.after) = (id, 0, chain);
                self.queued += 1;
                self.change(id, |host| host.queue.push_front(job));
                Ok(())
            }
        }
    }

    /// Why a page that was redirected to `job.url` goes no further, if it does not.
    fn judge(&mut self, job: &Job) -> Option<Left> {
        let (to, from) = (&job.url, job.found_at());
        let key = canonical(to);
        // A site may send a visitor in a circle once, to set a cookie on the way.
        let times = job.via.iter().filter(|hop| canonical(&hop.url) == key).count();
        if times > 1 {
            let reason = format!("it redirects in a circle, back to {}", shown(to));
            return Some(Left::Failed(reason));
        }
        if job.via.len() > MAX_REDIRECTS {
            return Some(Left::Failed(format!("it redirects more than {MAX_REDIRECTS} times")));
        }
        match self.scope.judge(to) {
            Verdict::OtherHost if job.is_beginning() && self.scope.widen(from, to) => {
                let (from, to) = (shown(from), shown(to));
                self.notes.push(format!("{from} redirects to {to}: links to both are followed"));
                if self.scope.judge(&job.url) == Verdict::Excluded {
                    return Some(Left::Excluded);
                }
            }
            Verdict::OtherHost if job.is_beginning() => {
                return Some(Left::Failed(self.scope.left(to)));
            }
            Verdict::OtherHost => return Some(Left::OtherHost),
            Verdict::Excluded => return Some(Left::Excluded),
            Verdict::In => {}
        }
        if times == 0 && self.seen.contains(&key) {
            return Some(Left::Known);
        }
        let host = self.host(&job.url);
        match &self.hosts[host].robots_state {
            RobotsState::Known(robots) if !robots.allows(to) => Some(Left::Forbidden),
            RobotsState::Failed(reason) => Some(Left::Failed(reason.clone())),
            _ => None,
        }
    }

    /// The host of a URL; a new one if it was not met before.
    fn host(&mut self, url: &Url) -> usize {
        let origin = url.origin().ascii_serialization();
        *self.by_origin.entry(origin).or_insert_with(|| {
            let robots_txt = url.join("/robots.txt").unwrap_or_else(|_| url.clone());
            let robots_state = match self.pace.obey_robots {
                true => RobotsState::Unknown(0),
                false => RobotsState::Known(Robots::allow_all()),
            };
            let not_before = mainspring::time::now();
            let queue = VecDeque::new();
            self.hosts.push(Host { robots_txt, queue, in_flight: 0, not_before, robots_state });
            self.hosts.len() - 1
        })
    }

    /// Begins what may begin now and was found first; [`Frontier::ended`] must follow.
    pub fn begin(&mut self, now: Instant) -> Option<Job> {
        loop {
            while let Some(&(at, id)) = self.waiting.first()
                && at <= now
            {
                self.waiting.pop_first();
                self.ready.insert((self.hosts[id].first(), id));
            }
            let (_, id) = self.ready.pop_first()?;
            let host = &mut self.hosts[id];
            let job = match &host.robots_state {
                RobotsState::Unknown(tries) => {
                    let tries = *tries;
                    host.robots_state = RobotsState::Requested;
                    let (url, item) = (host.robots_txt.clone(), WorkItem::Robots);
                    Some(Job { url, item, depth: 0, after: 0, tries, via: Vec::new(), host: id })
                }
                RobotsState::Requested => None,
                robots_state => {
                    let job = host.queue.pop_front().expect("a ready host has a page");
                    self.queued -= 1;
                    match robots_state {
                        RobotsState::Known(robots) if robots.allows(&job.url) => {
                            host.not_before = now + self.pace.pause(robots.delay);
                            Some(job)
                        }
                        RobotsState::Failed(reason) => {
                            self.left.push((job, Left::Failed(reason.clone())));
                            None
                        }
                        _ => {
                            self.left.push((job, Left::Forbidden));
                            None
                        }
                    }
                }
            };
            host.in_flight += usize::from(job.is_some());
            self.list(id);
            if job.is_some() {
                return job;
            }
        }
    }

    /// Gives back the place that `job` held with its host.
    pub fn ended(&mut self, job: &Job) {
        self.change(job.host, |host| host.in_flight -= 1);
    }

    /// Takes note of what the host of `job` asks of crawlers, or of why that cannot be had.
    pub fn take_robots(&mut self, job: &Job, robots: Result<Robots, String>) {
        let robots_state = match robots {
            Ok(robots) => RobotsState::Known(robots),
            Err(reason) => RobotsState::Failed(format!("its {} cannot be had: {reason}", job.url)),
        };
        self.change(job.host, |host| host.robots_state = robots_state);
    }

    /// Has `job` tried again, and nothing of its host begun, before `at`.
    pub fn put_back(&mut self, mut job: Job, at: Instant) {
        job.tries += 1;
        self.queued += usize::from(job.item != WorkItem::Robots);
        self.change(job.host, |host| {
            host.not_before = host.not_before.max(at);
            match job.item {
                WorkItem::Robots => host.robots_state = RobotsState::Unknown(job.tries),
                WorkItem::Page(_) => host.queue.push_front(job),
            }
        });
    }

    /// Changes a host, of which it may be what the lists are sorted by.
    fn change(&mut self, id: usize, change: impl FnOnce(&mut Host)) {
        let host = &mut self.hosts[id];
        self.ready.remove(&(host.first(), id));
        self.waiting.remove(&(host.not_before, id));
        change(host);
        self.list(id);
    }

    /// Puts a host on the list where it belongs, if on any. A host whose time has come stays on the
    /// list of those that wait until the next [`Frontier::begin`] looks.
    fn list(&mut self, id: usize) {
        let host = &self.hosts[id];
        let rests = host.queue.is_empty()
            || host.in_flight >= self.pace.per_host
            || matches!(host.robots_state, RobotsState::Requested);
        if !rests {
            self.waiting.insert((host.not_before, id));
        }
    }

    /// When something may begin that may not yet; `None` if nothing will before a fetch ends.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Pages not yet begun.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Whether there is nothing left to begin.
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// The pages that were left alone when they could have begun, since this was asked last.
    pub fn left(&mut self) -> Vec<(Job, Left)> {
        std::mem::take(&mut self.left)
    }

    /// Which links are followed.
    pub fn scope(&self) -> Scope {
        self.scope.clone()
    }
}

impl Host {
    /// The place of the page that is next; hosts without one are on no list.
    fn first(&self) -> usize {
        match self.queue.front().map(|job| job.item) {
            Some(WorkItem::Page(place)) => place,
            _ => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crawl::scope::Reach;
    use std::time::Duration;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn frontier(depth: u32, pages: usize, pace: Pace) -> Frontier {
        Frontier::new(Bounds { depth, pages }, pace, Scope::new(Reach::Any, &[]))
    }

    fn urls(frontier: &mut Frontier, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| frontier.begin(now)).map(|job| job.url.to_string()).collect()
    }

    /// Lets `test` run where there is a clock.
    fn on_a_loop(test: impl FnOnce(Instant)) {
        mainspring::run(async { test(mainspring::time::now() + Duration::from_secs(60)) });
    }

    #[test]
    fn a_page_is_fetched_once_however_it_is_written() {
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, Pace::unlimited());
            frontier.seed(url("http://h"));
            assert_eq!(urls(&mut frontier, now), ["http://h/"]);
            let links = ["http://h/#top", "http://H:80/%61", "http://h/a", "http://h/b"];
            frontier.follow(0, 1, links.map(url).to_vec());
            assert_eq!(urls(&mut frontier, now), ["http://h/%61", "http://h/b"]);
        });
    }

    #[test]
    fn depth_place_and_chain_count_from_the_seeds() {
        on_a_loop(|now| {
            let mut frontier = frontier(1, 9, Pace::unlimited());
            frontier.restore(&url("http://h/earlier"));
            frontier.alias(&url("http://h/b"));
            frontier.seed(url("http://h/"));
            let front = frontier.begin(now).expect("the seed");
            assert_eq!((front.depth, front.item, front.after), (0, WorkItem::Page(1), 0));
            frontier.follow(
                0,
                1,
                ["http://h/b", "http://h/a", "http://h/earlier"].map(url).to_vec(),
            );
            let a = frontier.begin(now).expect("the link");
            assert_eq!((a.depth, a.item, a.after), (1, WorkItem::Page(2), 1));
            frontier.follow(1, 2, vec![url("http://h/too/deep")]);
            assert!(frontier.is_empty());
        });
    }

    #[test]
    fn the_bound_on_pages_is_kept_and_what_it_left_out_is_counted() {
        on_a_loop(|now| {
            let mut frontier = frontier(9, 2, Pace::unlimited());
            frontier.seed(url("http://h/"));
            let links = ["http://h/a", "http://h/b", "http://h/"];
            frontier.follow(0, 1, links.map(url).to_vec());
            assert_eq!(urls(&mut frontier, now), ["http://h/", "http://h/a"]);
            assert_eq!(frontier.counts.left_out, 1);
        });
    }

    #[test]
    fn a_host_is_given_so_many_places_and_such_pauses_and_others_go_on() {
        let second = Duration::from_secs(1);
        let pace = Pace { per_host: 1, pause: second, ..Pace::unlimited() };
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, pace);
            for text in ["http://g/1", "http://g/2", "http://h/1", "http://h/2"] {
                frontier.seed(url(text));
            }
            let first = frontier.begin(now).expect("g's first");
            assert_eq!(first.url.as_str(), "http://g/1");
            assert_eq!(urls(&mut frontier, now), ["http://h/1"]);
            assert_eq!(frontier.next_at(), None, "both hosts rest until a fetch ends");
            frontier.ended(&first);
            assert_eq!(frontier.begin(now), None);
            assert_eq!(frontier.next_at(), Some(now + second));
            assert_eq!(urls(&mut frontier, now + second), ["http://g/2"]);
        });
    }

    #[test]
    fn a_host_that_is_busy_is_left_alone_and_its_page_stays_first() {
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, Pace::unlimited());
            for text in ["http://g/1", "http://g/2", "http://h/1"] {
                frontier.seed(url(text));
            }
            let first = frontier.begin(now).expect("g's first");
            let later = now + Duration::from_secs(7);
            frontier.ended(&first);
            frontier.put_back(first, later);
            assert_eq!(urls(&mut frontier, now), ["http://h/1"]);
            assert_eq!(frontier.next_at(), Some(later));
            let again = frontier.begin(later).expect("g's first again");
            assert_eq!((again.url.as_str(), again.tries), ("http://g/1", 1));
            assert_eq!(urls(&mut frontier, later), ["http://g/2"]);
        });
    }

    #[test]
    fn nothing_of_a_host_begins_before_its_robots_txt_is_read() {
        let pace = Pace { obey_robots: true, ..Pace::unlimited() };
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, pace);
            for text in ["http://h/a", "http://h/b", "http://h/c"] {
                frontier.seed(url(text));
            }
            let asking = frontier.begin(now).expect("the robots.txt");
            assert_eq!(
                (asking.url.as_str(), asking.item),
                ("http://h/robots.txt", WorkItem::Robots)
            );
            assert_eq!((frontier.begin(now), frontier.next_at()), (None, None));
            frontier.ended(&asking);
            let robots = Robots::parse("user-agent: *\ndisallow: /a\ncrawl-delay: 2");
            frontier.take_robots(&asking, Ok(robots));
            assert_eq!(urls(&mut frontier, now), ["http://h/b"]);
            let left = frontier.left();
            assert_eq!((left[0].0.url.as_str(), &left[0].1), ("http://h/a", &Left::Forbidden));
            assert_eq!(left.len(), 1);
            assert_eq!(frontier.next_at(), Some(now + Duration::from_secs(2)));
        });
    }

    #[test]
    fn a_link_that_is_known_to_be_forbidden_takes_no_place() {
        let pace = Pace { obey_robots: true, ..Pace::unlimited() };
        on_a_loop(|now| {
            let mut frontier = frontier(9, 3, pace);
            frontier.seed(url("http://h/"));
            let asking = frontier.begin(now).expect("the robots.txt");
            frontier.ended(&asking);
            frontier.take_robots(&asking, Ok(Robots::parse("user-agent: *\ndisallow: /no")));
            assert_eq!(urls(&mut frontier, now), ["http://h/"]);
            let links = ["http://h/no/1", "http://h/no/2", "http://h/a", "http://h/b"];
            frontier.follow(0, 1, links.map(url).to_vec());
            assert_eq!(urls(&mut frontier, now), ["http://h/a", "http://h/b"]);
            let counts = Counts { refused: 2, ..Counts::default() };
            assert_eq!(frontier.counts, counts);
            assert!(frontier.left().is_empty(), "none of them was to begin");
        });
    }

    #[test]
    fn a_robots_txt_that_could_not_be_had_is_asked_for_again() {
        let pace = Pace { obey_robots: true, ..Pace::unlimited() };
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, pace);
            frontier.seed(url("http://h/a"));
            let asking = frontier.begin(now).expect("the robots.txt");
            frontier.ended(&asking);
            frontier.put_back(asking, now + Duration::from_secs(1));
            assert_eq!(frontier.begin(now), None);
            let again = frontier.begin(now + Duration::from_secs(1)).expect("again");
            assert_eq!((again.item, again.tries), (WorkItem::Robots, 1));
        });
    }

    #[test]
    fn a_redirect_goes_on_in_the_queue_of_the_host_that_it_leads_to() {
        let pace = Pace { per_host: 1, obey_robots: true, ..Pace::unlimited() };
        on_a_loop(|now| {
            let mut frontier = frontier(9, 9, pace);
            frontier.seed(url("http://g/old"));
            frontier.seed(url("http://h/busy"));
            for asking in [frontier.begin(now), frontier.begin(now)] {
                let asking = asking.expect("a robots.txt");
                frontier.ended(&asking);
                frontier.take_robots(&asking, Ok(Robots::allow_all()));
            }
            let old = frontier.begin(now).expect("g's page");
            let busy = frontier.begin(now).expect("h's page");
            frontier.ended(&old);
            frontier.redirect(old, 301, url("http://h/new"), 1).expect("it is followed");
            assert_eq!(frontier.begin(now), None, "h has one place, and it is taken");
            frontier.ended(&busy);
            let new = frontier.begin(now).expect("the target");
            assert_eq!(
                (new.url.as_str(), new.found_at().as_str()),
                ("http://h/new", "http://g/old")
            );
            assert_eq!((new.depth, new.item, new.after), (0, WorkItem::Page(0), 1));
            assert_eq!(new.via, [Hop { url: url("http://g/old"), status: 301 }]);
            frontier.follow(0, 1, vec![url("http://h/new"), url("http://g/old")]);
            assert!(frontier.is_empty(), "both addresses are known");
        });
    }

    #[test]
    fn why_a_redirect_goes_no_further() {
        let scope = Scope::new(Reach::Host, &[url("http://h/")]);
        let scope = scope.narrowed(None, regex_lite::Regex::new("/no$").ok());
        for (depth, to, expected) in [
            (1, "http://h/seen", Left::Known),
            (1, "http://h/SEEN/..//seen#x", Left::Known),
            (1, "http://g/", Left::OtherHost),
            (1, "https://h/", Left::OtherHost),
            (1, "http://h/no", Left::Excluded),
            (0, "http://h/no", Left::Excluded),
            (0, "http://h/seen", Left::Known),
            (1, "http://h/forbidden", Left::Forbidden),
        ] {
            let pace = Pace { obey_robots: true, ..Pace::unlimited() };
            on_a_loop(|now| {
                let bounds = Bounds { depth: 9, pages: 9 };
                let mut frontier = Frontier::new(bounds, pace, scope.clone());
                frontier.seed(url("http://h/from"));
                let asking = frontier.begin(now).expect("the robots.txt");
                frontier.ended(&asking);
                frontier
                    .take_robots(&asking, Ok(Robots::parse("user-agent: *\ndisallow: /forbidden")));
                frontier.seed(url("http://h/seen"));
                let mut job = frontier.begin(now).expect("a page");
                job.depth = depth;
                frontier.ended(&job);
                let to = to.replace("SEEN/..//", "x/../");
                let (job, left) = frontier.redirect(job, 302, url(&to), 1).expect_err("judged");
                assert_eq!(left, expected, "{to}");
                assert_eq!((job.url, job.via.len()), (url(&to), 1));
            });
        }
    }
}
