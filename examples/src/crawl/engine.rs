//! The engine: keeps a number of fetches in flight until there is nothing left to fetch.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use mainspring::{JoinError, JoinHandle};
use url::Url;

use super::frontier::{Frontier, Job};
use crate::report::progress::Standing;
use crate::stop::Stop;

/// What a fetch brings home.
#[derive(Debug)]
pub struct Fetched<T> {
    /// What the caller wanted of the page, or why it could not be had.
    pub result: Result<T, String>,
    /// The pages it links to.
    pub links: Vec<Url>,
    /// Bytes of its body.
    pub bytes: u64,
}

impl<T> Fetched<T> {
    /// A fetch that failed.
    #[must_use]
    pub fn failed(reason: impl fmt::Display) -> Fetched<T> {
        Fetched { result: Err(reason.to_string()), links: Vec::new(), bytes: 0 }
    }
}

/// A page that is over.
#[derive(Debug)]
pub struct Page<T> {
    /// Which page.
    pub job: Job,
    /// What came of it.
    pub result: Result<T, String>,
    /// Bytes of its body.
    pub bytes: u64,
    /// From the start of the crawl to the start of this fetch.
    pub began: Duration,
    /// From the start of the crawl to the end of this fetch.
    pub ended: Duration,
}

/// What a crawl amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pages fetched, failures included.
    pub pages: u64,
    /// Pages that failed.
    pub failures: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From first to last.
    pub wall: Duration,
    /// The most fetches that were in flight at once.
    pub most_in_flight: u64,
    /// The longest chain of fetches of which each had to wait for the one before: for its link,
    /// or for its place among those in flight. No crawl can be faster than this many answers.
    pub longest_chain: u32,
    /// Pages that were known of and not begun, because of a stop.
    pub abandoned: u64,
}

/// Where a crawl stands, for whoever shows it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Rc<Cell<Standing>>);

impl Watch {
    /// Where the crawl stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.get()
    }
}

/// Fetches what is in `frontier` and whatever it leads to, up to `concurrency` pages at once, each
/// in a task of its own, until nothing is left or `stop` is asked for; then the fetches in flight
/// are waited for and no new ones begun.
///
/// `fetch` makes the future for a page and the name of its task; `over` is given every page as it
/// ends. Each page costs the engine a constant number of polls, whatever the concurrency.
///
/// Dropping the returned future leaves the fetches in flight running to their end, unobserved.
pub async fn crawl<T: 'static, F: Future<Output = Fetched<T>> + 'static>(
    mut frontier: Frontier,
    concurrency: usize,
    stop: &Stop,
    watch: &Watch,
    fetch: impl Fn(&Job) -> (String, F),
    mut over: impl FnMut(Page<T>),
) -> Totals {
    let start = mainspring::time::now();
    let mut totals = Totals::default();
    let mut flights: FuturesUnordered<Flight<T>> = FuturesUnordered::new();
    let mut places = Places::new(concurrency);
    let mut asked = stop.asked();
    let mut stopped = false;
    loop {
        while !stopped
            && let Some(place) = places.peek()
            && let Some(mut job) = frontier.begin()
        {
            places.take();
            job.after = job.after.max(place);
            let (name, future) = fetch(&job);
            let began = mainspring::time::now();
            let handle = mainspring::spawn_named(name, future);
            flights.push(Flight { job: Some(job), began, handle });
        }
        totals.most_in_flight = totals.most_in_flight.max(flights.len() as u64);
        watch.0.set(Standing {
            over: totals.pages,
            failed: totals.failures,
            in_flight: flights.len() as u64,
            queued: frontier.len() as u64,
            bytes: totals.bytes,
        });
        let landed = if stopped {
            flights.next().await
        } else {
            match select(flights.next(), &mut asked).await {
                Either::Left((landed, _)) => landed,
                Either::Right(((), _)) => {
                    stopped = true;
                    continue;
                }
            }
        };
        let Some((job, began, ended)) = landed else { break };
        let fetched = ended.unwrap_or_else(Fetched::failed);
        let chain = job.after + 1;
        places.give_back(chain);
        totals.longest_chain = totals.longest_chain.max(chain);
        totals.pages += 1;
        totals.failures += u64::from(fetched.result.is_err());
        totals.bytes += fetched.bytes;
        frontier.follow(&job, fetched.links);
        over(Page {
            job,
            result: fetched.result,
            bytes: fetched.bytes,
            began: began.duration_since(start),
            ended: mainspring::time::now().duration_since(start),
        });
    }
    totals.abandoned = frontier.len() as u64;
    totals.wall = mainspring::time::now().duration_since(start);
    totals
}

/// A fetch in flight.
struct Flight<T> {
    job: Option<Job>,
    began: Instant,
    handle: JoinHandle<Fetched<T>>,
}

impl<T> Future for Flight<T> {
    type Output = (Job, Instant, Result<Fetched<T>, JoinError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx).map(|ended| {
            let job = self.job.take().expect("a flight lands once");
            (job, self.began, ended)
        })
    }
}

/// The places that fetches in flight take up, each with the length of the chain of fetches that
/// held it so far. Free ones are handed out shortest chain first.
struct Places {
    fresh: usize,
    used: BinaryHeap<Reverse<u32>>,
}

impl Places {
    fn new(count: usize) -> Places {
        Places { fresh: count, used: BinaryHeap::new() }
    }

    fn peek(&self) -> Option<u32> {
        if self.fresh > 0 { Some(0) } else { self.used.peek().map(|Reverse(chain)| *chain) }
    }

    fn take(&mut self) {
        if self.fresh > 0 {
            self.fresh -= 1;
        } else {
            self.used.pop();
        }
    }

    fn give_back(&mut self, chain: u32) {
        self.used.push(Reverse(chain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crawl::frontier::Bounds;
    use mainspring::time::{Clock, sleep};

    const DELAY: Duration = Duration::from_secs(1);

    fn url(path: &str) -> Url {
        Url::parse("http://h").and_then(|base| base.join(path)).expect(path)
    }

    /// A site without a network: `/` links to four lists, each list to five pages, and every
    /// answer takes a second.
    fn answer(job: &Job) -> Fetched<()> {
        let links = match job.url.path() {
            "/" => (0..4).map(|list| url(&format!("/list{list}"))).collect(),
            path => match path.strip_prefix("/list") {
                Some(list) => (0..5).map(|page| url(&format!("/page{list}{page}"))).collect(),
                None => Vec::new(),
            },
        };
        let result = if job.url.path() == "/page23" { Err("gone".to_owned()) } else { Ok(()) };
        Fetched { result, links, bytes: 10 }
    }

    fn run(concurrency: usize, stop_after: Option<Duration>) -> (Totals, Vec<String>) {
        let mut runtime =
            mainspring::Runtime::builder().clock(Clock::Virtual).build().expect("a runtime");
        runtime.block_on(async move {
            let mut frontier = Frontier::new(Bounds { depth: 9, pages: 99 }, |_| true);
            frontier.seed(url("/"));
            let stop = Stop::new();
            if let Some(after) = stop_after {
                let stop = stop.clone();
                drop(mainspring::spawn(async move {
                    sleep(after).await;
                    stop.ask();
                }));
            }
            let mut pages = Vec::new();
            let fetch = |job: &Job| {
                let job = job.clone();
                (format!("fetch {}", job.url.path()), async move {
                    sleep(DELAY).await;
                    answer(&job)
                })
            };
            let over = |page: Page<()>| pages.push(page.job.url.path().to_owned());
            let watch = Watch::default();
            let totals = crawl(frontier, concurrency, &stop, &watch, fetch, over).await;
            (totals, pages)
        })
    }

    #[test]
    fn with_room_for_all_a_crawl_takes_its_longest_chain_of_links() {
        let (totals, pages) = run(100, None);
        assert_eq!(
            totals,
            Totals {
                pages: 25,
                failures: 1,
                bytes: 250,
                wall: 3 * DELAY,
                most_in_flight: 20,
                longest_chain: 3,
                abandoned: 0,
            }
        );
        assert_eq!(pages[..6], ["/", "/list0", "/list1", "/list2", "/list3", "/page00"]);
    }

    #[test]
    fn with_less_room_the_chain_through_the_places_is_the_wall_time() {
        for concurrency in 1..=25 {
            let (totals, pages) = run(concurrency, None);
            assert_eq!(pages.len(), 25);
            assert_eq!(totals.wall, totals.longest_chain * DELAY, "{concurrency} at once");
            assert!(totals.most_in_flight <= concurrency as u64);
        }
        assert_eq!(run(1, None).0.longest_chain, 25);
    }

    #[test]
    fn a_stop_lets_what_is_in_flight_land_and_begins_nothing_new() {
        let (totals, pages) = run(2, Some(DELAY * 3 / 2));
        assert_eq!(pages, ["/", "/list0", "/list1"]);
        assert_eq!((totals.pages, totals.wall, totals.abandoned), (3, 2 * DELAY, 12));
    }

    #[test]
    fn a_fetch_that_panics_is_a_page_that_failed() {
        let failed = mainspring::run(async {
            let mut frontier = Frontier::new(Bounds { depth: 0, pages: 1 }, |_| true);
            frontier.seed(url("/"));
            let mut failures = Vec::new();
            let fetch = |_: &Job| ("fetch".to_owned(), async { panic!("a bug") });
            let over = |page: Page<()>| failures.extend(page.result.err());
            crawl(frontier, 1, &Stop::new(), &Watch::default(), fetch, over).await;
            failures
        });
        assert_eq!(failed.len(), 1);
        assert!(failed[0].contains("a bug"), "{failed:?}");
    }
}
