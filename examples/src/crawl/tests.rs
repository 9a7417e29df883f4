//! What must hold for every crawl, checked on made-up webs: thousands of small ones, each from a
//! seed, on the virtual clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mainspring::time::{Clock, now, sleep};
use url::Url;

use super::account::{Budget, Watch};
use super::engine::{Fetched, Over, crawl};
use super::frontier::{Bounds, Frontier};
use super::job::{FetchError, Job, WorkItem};
use super::scope::{Reach, Scope};
use crate::polite::pace::{MAX_TRIES, Pace};
use crate::polite::robots::Robots;
use crate::stop::Stop;

/// A web, and how it is to be crawled.
struct Web {
    /// Each page with its links.
    pages: BTreeMap<String, Vec<Url>>,
    /// Pages that are elsewhere.
    moved: HashMap<String, Url>,
    /// How long each answer takes, in milliseconds, and how many tries find its host busy.
    moods: HashMap<String, (u64, u32)>,
    /// What each host asks of crawlers: the prefix of a path, and a delay in seconds.
    wishes: HashMap<String, (String, u64)>,
    concurrency: usize,
    pace: Pace,
}

fn url(host: usize, page: usize) -> Url {
    Url::parse(&format!("http://h{host}/{page}")).expect("a URL")
}

fn host_of(url: &Url) -> String {
    url.host_str().expect("a host").to_owned()
}

impl Web {
    fn from_seed(seed: u64) -> Web {
        let mut dice = fastrand::Rng::with_seed(seed);
        let hosts = dice.usize(1..4);
        let all: Vec<Url> = (0..hosts)
            .flat_map(|host| (0..dice.usize(1..12)).map(move |page| url(host, page)))
            .collect();
        let link = |dice: &mut fastrand::Rng| all[dice.usize(..all.len())].clone();
        let pages = all
            .iter()
            .map(|page| {
                let links = (0..dice.usize(..6)).map(|_| link(&mut dice)).collect();
                (page.to_string(), links)
            })
            .collect();
        let moved = |page: &Url, dice: &mut fastrand::Rng| {
            (dice.u8(..) < 50).then(|| (page.to_string(), all[dice.usize(..all.len())].clone()))
        };
        let moved = all.iter().filter_map(|page| moved(page, &mut dice)).collect();
        let mood = |dice: &mut fastrand::Rng| {
            let busy = if dice.u8(..) < 40 { dice.u32(..MAX_TRIES + 1) } else { 0 };
            (dice.u64(..3_000), busy)
        };
        let moods = all.iter().map(|page| (page.to_string(), mood(&mut dice))).collect();
        let wish = |host| (format!("h{host}"), (format!("/{}", dice.usize(1..9)), dice.u64(..3)));
        let wishes = (0..hosts).map(wish).collect();
        Web {
            pages,
            moved,
            moods,
            wishes,
            concurrency: dice.usize(1..8),
            pace: Pace {
                per_host: dice.usize(1..4),
                pause: Duration::from_millis(dice.u64(..2_000)),
                jitter: 0.0,
                obey_robots: dice.bool(),
            },
        }
    }

    fn robots(&self, host: &str) -> Robots {
        let (prefix, delay) = &self.wishes[host];
        Robots::parse(&format!("user-agent: *\ndisallow: {prefix}\ncrawl-delay: {delay}"))
    }

    fn allows(&self, page: &Url) -> bool {
        !self.pace.obey_robots || self.robots(&host_of(page)).allows(page)
    }

    /// The pages that a crawl from the first one must have asked for: each once, unless a redirect in a
    /// circle has it asked for once more.
    fn expected(&self) -> BTreeSet<String> {
        let mut expected = BTreeSet::new();
        let mut seen = BTreeSet::from([url(0, 0).to_string()]);
        let mut to_visit = vec![url(0, 0)];
        while let Some(page) = to_visit.pop() {
            if !self.allows(&page) {
                continue;
            }
            expected.insert(page.to_string());
            if self.moods[page.as_str()].1 >= MAX_TRIES {
                continue;
            }
            let links = match self.moved.get(page.as_str()) {
                Some(to) => std::slice::from_ref(to),
                None => &self.pages[page.as_str()],
            };
            for link in links {
                if seen.insert(link.to_string()) {
                    to_visit.push(link.clone());
                }
            }
        }
        expected
    }
}

/// What was seen of a crawl while it ran.
#[derive(Default)]
struct Seen {
    in_flight: HashMap<String, usize>,
    last_begun: HashMap<String, Instant>,
    asked_robots: BTreeSet<String>,
    asked: BTreeMap<String, usize>,
}

impl Seen {
    fn begins(&mut self, web: &Web, job: &Job) {
        let host = host_of(&job.url);
        *self.in_flight.entry(host.clone()).or_default() += 1;
        assert!(self.in_flight[&host] <= web.pace.per_host, "{host} has its places");
        assert!(self.in_flight.values().sum::<usize>() <= web.concurrency);
        if job.item == WorkItem::Robots {
            assert!(web.pace.obey_robots);
            assert!(self.asked_robots.insert(host), "once is enough");
            return;
        }
        assert!(web.allows(&job.url), "{} is forbidden", job.url);
        let circle = job.via.iter().any(|hop| hop.url == job.url);
        let times = self.asked.entry(job.url.to_string()).or_default();
        *times += usize::from(job.tries == 0 && !circle);
        assert_eq!(*times, 1, "{} is asked for once", job.url);
        assert!(!web.pace.obey_robots || self.asked_robots.contains(&host));
        let asked = Duration::from_secs(web.wishes[&host].1);
        let pause = if web.pace.obey_robots { web.pace.pause.max(asked) } else { web.pace.pause };
        if let Some(last) = self.last_begun.insert(host, now()) {
            assert!(now() - last >= pause, "{} comes too early", job.url);
        }
    }
}

async fn fetch(web: Rc<Web>, seen: Rc<RefCell<Seen>>, job: Job) -> Fetched<()> {
    let host = host_of(&job.url);
    let (millis, busy) = web.moods.get(job.url.as_str()).copied().unwrap_or((500, 0));
    sleep(Duration::from_millis(millis)).await;
    *seen.borrow_mut().in_flight.get_mut(&host).expect("it has begun") -= 1;
    match job.item {
        WorkItem::Robots => Fetched::Robots(web.robots(&host)),
        WorkItem::Page(_) if job.tries < busy => Fetched::Not(FetchError::Busy {
            status: http::StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(Duration::from_secs(1)),
        }),
        WorkItem::Page(_) if web.moved.contains_key(job.url.as_str()) => {
            Fetched::Not(FetchError::Moved {
                status: http::StatusCode::FOUND,
                to: web.moved[job.url.as_str()].clone(),
            })
        }
        WorkItem::Page(_) => {
            Fetched::Page { found: (), links: web.pages[job.url.as_str()].clone(), bytes: 1 }
        }
    }
}

#[test]
fn every_page_is_fetched_once_and_every_host_is_treated_well() {
    for seed in 0..2_000 {
        let web = Rc::new(Web::from_seed(seed));
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut ended = BTreeSet::new();
        let mut runtime =
            mainspring::Runtime::builder().clock(Clock::Virtual).build().expect("a runtime");
        let totals = runtime.block_on(async {
            let bounds = Bounds { depth: u32::MAX, pages: usize::MAX };
            let mut frontier = Frontier::new(bounds, web.pace.clone(), Scope::new(Reach::Any, &[]));
            frontier.seed(url(0, 0));
            let fetch = |job: &Job| {
                seen.borrow_mut().begins(&web, job);
                (job.url.to_string(), fetch(web.clone(), seen.clone(), job.clone()))
            };
            let over = |over: Over<()>| {
                let place = match over {
                    Over::Page(page) => page.place,
                    Over::Left { place, .. } => place,
                };
                assert!(ended.insert(place), "{place} is over twice");
            };
            let budget = Budget::unlimited(web.concurrency);
            crawl(&mut frontier, budget, &Stop::new(), &Watch::default(), fetch, over).await
        });
        let asked: BTreeSet<String> = seen.take().asked.into_keys().collect();
        assert_eq!(asked, web.expected(), "seed {seed}");
        assert_eq!(ended, (0..ended.len()).collect(), "seed {seed}: every place is over");
        assert_eq!(totals.abandoned, 0, "seed {seed}");
    }
}
