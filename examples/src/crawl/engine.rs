//! The engine: keeps a number of fetches in flight until there is nothing left to fetch.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mainspring::future::{race, yield_now};
use mainspring::time::{now, sleep_until};
use mainspring::{JoinError, JoinHandle};
use url::Url;

use super::account::{Budget, End, Standing, Totals, Watch};
use super::frontier::Frontier;
use super::job::{FetchError, Job, Left, WorkItem};
use crate::polite::pace::{MAX_TRIES, back_off};
use crate::polite::robots::Robots;
use crate::stop::{Asked, Stop};

/// How many fetches that have landed are dealt with before others have a turn. When thousands land
/// at once, dealing with all of them would hold the loop up.
const BATCH: u64 = 64;

/// What comes of a fetch.
#[derive(Debug)]
pub enum Fetched<T> {
    /// The page.
    Page {
        /// What the caller wanted of it.
        found: T,
        /// The pages it links to.
        links: Vec<Url>,
        /// Bytes of its body.
        bytes: u64,
    },
    /// Nothing: why.
    Not(FetchError),
    /// What a host asks of crawlers.
    Robots(Robots),
}

/// A page that is over.
#[derive(Debug)]
pub struct Page<T> {
    /// Which page.
    pub job: Job,
    /// Its place among all pages, in the order in which they were found.
    pub place: usize,
    /// What came of it.
    pub result: Result<T, String>,
    /// From the start of the crawl to the start of this fetch.
    pub began: Duration,
    /// From the start of the crawl to the end of this fetch.
    pub ended: Duration,
}

/// What becomes of a page that was found.
#[derive(Debug)]
pub enum Over<T> {
    /// It was fetched, or could not be.
    Page(Page<T>),
    /// It was left alone; [`Left::Failed`] becomes a page that failed instead.
    Left {
        /// Which page, with the redirects that led to it.
        job: Job,
        /// Its place among all pages.
        place: usize,
        /// Why.
        why: Left,
    },
}

/// Fetches what is in `frontier` and whatever it leads to, each page in a task of its own, until
/// nothing is left, the budget is spent or `stop` is asked for; then the pages in flight are
/// waited for and no new ones begun. Once a stop is at once ([`Stop::abort`]), they are not waited
/// for.
///
/// `fetch` makes the future for a page and the name of its task; `over` is told what becomes of
/// every page that does not stay behind. Each page costs the engine a constant number of polls,
/// whatever the concurrency.
///
/// Dropping the returned future leaves the fetches in flight running to their end, unobserved.
pub async fn crawl<T: 'static, F: Future<Output = Fetched<T>> + 'static>(
    frontier: &mut Frontier,
    budget: Budget,
    stop: &Stop,
    watch: &Watch,
    fetch: impl Fn(&Job) -> (String, F),
    mut over: impl FnMut(Over<T>),
) -> Totals {
    let start = now();
    let mut totals = Totals::default();
    let mut flights: FuturesUnordered<Flight<T>> = FuturesUnordered::new();
    // The places that fetches in flight take up, each with the length of the chain of fetches that held
    // it so far. Free ones are handed out shortest chain first.
    let mut places = BinaryHeap::from(vec![Reverse(0); budget.concurrency]);
    let mut asked = stop.asked();
    let mut landings = 0;
    let time_is_over = start.checked_add(budget.time);
    // The time may have been spent, or a stop asked for, while the frontier was made.
    totals.end = match stop.is_asked() {
        true => End::Asked,
        false if budget.time.is_zero() => End::Time,
        false => End::Nothing,
    };
    loop {
        while totals.end == End::Nothing
            && let Some(&Reverse(place)) = places.peek()
            && let Some(mut job) = frontier.begin(now())
        {
            places.pop();
            job.after = job.after.max(place);
            let (name, future) = fetch(&job);
            let began = now();
            flights.push(Flight {
                job: Some(job),
                began,
                handle: mainspring::spawn_named(name, future),
            });
        }
        for (job, why) in frontier.left() {
            let moment = now().duration_since(start);
            over(leave(job, why, (moment, moment), &mut totals));
        }
        if stop.is_abort() {
            totals.end = End::Asked;
            flights.iter().for_each(|flight| flight.handle.cancel());
            break;
        }
        let (in_flight, queued) = (flights.len() as u64, frontier.len() as u64);
        totals.most_in_flight = totals.most_in_flight.max(in_flight);
        watch.set(Standing { totals, in_flight, queued });
        // With a free place, a page may also begin because its host's pause is over.
        let pause_is_over = places.peek().and_then(|_| frontier.next_at());
        if flights.is_empty() && (pause_is_over.is_none() || totals.end != End::Nothing) {
            break;
        }
        let landed = if totals.end == End::Nothing {
            match next(&mut flights, &mut asked, pause_is_over, time_is_over).await {
                Ok(landed) => landed,
                Err(End::Nothing) => continue,
                Err(end) => {
                    totals.end = end;
                    call_off_robots(&flights);
                    continue;
                }
            }
        } else {
            flights.next().await.expect("some are in flight")
        };
        landings += 1;
        if landings % BATCH == 0 {
            yield_now().await;
        }
        places.push(Reverse(landed.job.after + 1));
        if let Some(page) = land(landed, start, frontier, &mut totals) {
            over(page);
        }
        if totals.end == End::Nothing && totals.bytes >= budget.bytes && !frontier.is_empty() {
            totals.end = End::Bytes;
            call_off_robots(&flights);
        }
    }
    totals.abandoned = frontier.len() as u64;
    totals.forbidden += frontier.counts.refused as u64;
    totals.wall = now().duration_since(start);
    totals
}

/// Once no more pages begin, what a host asks of crawlers is of no use: only pages are waited for.
fn call_off_robots<T>(flights: &FuturesUnordered<Flight<T>>) {
    let is_robots =
        |flight: &&Flight<T>| flight.job.as_ref().is_some_and(|job| job.item == WorkItem::Robots);
    flights.iter().filter(is_robots).for_each(|flight| flight.handle.cancel());
}

/// Books a fetch that is over; returns what became of the page, if it was one and goes no further.
fn land<T>(
    landed: Landed<T>,
    start: Instant,
    frontier: &mut Frontier,
    totals: &mut Totals,
) -> Option<Over<T>> {
    let Landed { job, began, ended } = landed;
    let chain = job.after + 1;
    frontier.ended(&job);
    totals.longest_chain = totals.longest_chain.max(chain);
    let fetched = ended.unwrap_or_else(|error| Fetched::Not(FetchError::Failed(error.to_string())));
    let moments = (began.duration_since(start), now().duration_since(start));
    let (result, bytes) = match fetched {
        Fetched::Page { found, links, bytes } => {
            frontier.follow(job.depth, chain, links);
            (Ok(found), bytes)
        }
        Fetched::Not(FetchError::Moved { status, to }) if job.item != WorkItem::Robots => {
            let (job, why) = frontier.redirect(job, status.as_u16(), to, chain).err()?;
            return Some(leave(*job, why, moments, totals));
        }
        Fetched::Robots(robots) => {
            frontier.take_robots(&job, Ok(robots));
            return None;
        }
        Fetched::Not(FetchError::Busy { retry_after, .. }) if job.tries + 1 < MAX_TRIES => {
            let wait = back_off(job.tries, retry_after);
            frontier.put_back(job, now() + wait);
            totals.retries += 1;
            return None;
        }
        Fetched::Not(error) => (Err(error.to_string()), 0),
    };
    match (job.item, result) {
        (WorkItem::Page(place), result) => {
            let (began, ended) = moments;
            Some(finish(Page { job, place, result, began, ended }, bytes, totals))
        }
        (WorkItem::Robots, result) => {
            let reason = result.err().unwrap_or_else(|| "it is a page".to_owned());
            frontier.take_robots(&job, Err(reason));
            None
        }
    }
}

/// Books a page that is fetched, or cannot be.
fn finish<T>(page: Page<T>, bytes: u64, totals: &mut Totals) -> Over<T> {
    totals.pages += 1;
    totals.failures += u64::from(page.result.is_err());
    totals.bytes += bytes;
    Over::Page(page)
}

/// Books a page that is left alone.
fn leave<T>(job: Job, why: Left, moments: (Duration, Duration), totals: &mut Totals) -> Over<T> {
    let WorkItem::Page(place) = job.item else { unreachable!("robots.txt is no link") };
    let (began, ended) = moments;
    match why {
        Left::Failed(reason) => {
            return finish(Page { job, place, result: Err(reason), began, ended }, 0, totals);
        }
        Left::Forbidden => totals.forbidden += 1,
        Left::Known | Left::OtherHost | Left::Excluded => totals.led_away += 1,
    }
    Over::Left { job, place, why }
}

/// Waits for whatever comes first: a fetch that has landed is told before a stop or a clock.
///
/// # Errors
/// Why no more pages begin; [`End::Nothing`] where a pause is over, and one may.
async fn next<T: 'static>(
    flights: &mut FuturesUnordered<Flight<T>>,
    asked: &mut Asked,
    pause_is_over: Option<Instant>,
    time_is_over: Option<Instant>,
) -> Result<Landed<T>, End> {
    let clock = match (pause_is_over, time_is_over) {
        (Some(pause), Some(end)) if end <= pause => Some((end, End::Time)),
        (Some(pause), _) => Some((pause, End::Nothing)),
        (None, end) => end.map(|end| (end, End::Time)),
    };
    let landing = async {
        match flights.next().await {
            Some(landed) => Ok(landed),
            // With nothing in flight the stream is over: that is no event, a clock will be.
            None => pending().await,
        }
    };
    let stopping = async {
        asked.await;
        Err(End::Asked)
    };
    let ringing = async {
        let Some((at, end)) = clock else { return pending().await };
        sleep_until(at).await;
        Err(end)
    };
    race(landing, race(stopping, ringing)).await
}

/// A fetch in flight.
struct Flight<T> {
    job: Option<Job>,
    began: Instant,
    handle: JoinHandle<Fetched<T>>,
}

/// A fetch that is over.
struct Landed<T> {
    job: Job,
    began: Instant,
    ended: Result<Fetched<T>, JoinError>,
}

impl<T: 'static> Future for Flight<T> {
    type Output = Landed<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx).map(|ended| {
            let job = self.job.take().expect("a flight lands once");
            Landed { job, began: self.began, ended }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crawl::frontier::Bounds;
    use crate::crawl::scope::{Reach, Scope};
    use crate::polite::pace::Pace;
    use mainspring::time::{Clock, sleep};
    use std::cell::Cell;
    use std::rc::Rc;

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
        match job.url.path() {
            "/page23" => Fetched::Not(FetchError::Failed("gone".to_owned())),
            _ => Fetched::Page { found: (), links, bytes: 10 },
        }
    }

    fn run(concurrency: usize, stop_after: Option<Duration>) -> (Totals, Vec<String>) {
        let mut runtime =
            mainspring::Runtime::builder().clock(Clock::Virtual).build().expect("a runtime");
        runtime.block_on(async move {
            let bounds = Bounds { depth: 9, pages: 99 };
            let mut frontier =
                Frontier::new(bounds, Pace::unlimited(), Scope::new(Reach::Any, &[]));
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
            let over = |over: Over<()>| {
                if let Over::Page(page) = over {
                    pages.push(page.job.url.path().to_owned());
                }
            };
            let watch = Watch::default();
            let totals =
                crawl(&mut frontier, Budget::unlimited(concurrency), &stop, &watch, fetch, over)
                    .await;
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
                bytes: 240,
                wall: 3 * DELAY,
                most_in_flight: 20,
                longest_chain: 3,
                ..Totals::default()
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
        assert_eq!(totals.end, End::Asked);
    }

    /// Crawls `/` and `/a` to `/e`, all of them seeds, one at a time, with answers made by
    /// `answer`.
    fn visit(
        pace: Pace,
        budget: Budget,
        answer: impl Fn(&Job) -> Fetched<()> + 'static,
    ) -> (Totals, Vec<String>) {
        let mut runtime =
            mainspring::Runtime::builder().clock(Clock::Virtual).build().expect("a runtime");
        runtime.block_on(async move {
            let bounds = Bounds { depth: 0, pages: 99 };
            let mut frontier = Frontier::new(bounds, pace, Scope::new(Reach::Any, &[]));
            for path in ["/a", "/b", "/c"] {
                frontier.seed(url(path));
            }
            let mut told = Vec::new();
            let fetch = |job: &Job| {
                let answer = answer(job);
                (job.url.path().to_owned(), async move {
                    sleep(DELAY).await;
                    answer
                })
            };
            let over = |over: Over<()>| {
                told.push(match over {
                    Over::Left { place, why, .. } => format!("page {place} is left: {why:?}"),
                    Over::Page(page) => {
                        let (path, seconds) = (page.job.url.path(), page.ended.as_secs());
                        match page.result {
                            Ok(()) => format!("{seconds} s {path}"),
                            Err(reason) => format!("{seconds} s {path}: {reason}"),
                        }
                    }
                });
            };
            let (stop, watch) = (Stop::new(), Watch::default());
            (crawl(&mut frontier, budget, &stop, &watch, fetch, over).await, told)
        })
    }

    fn page() -> Fetched<()> {
        Fetched::Page { found: (), links: Vec::new(), bytes: 10 }
    }

    fn busy() -> Fetched<()> {
        Fetched::Not(FetchError::Busy {
            status: http::StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(5 * DELAY),
        })
    }

    #[test]
    fn a_busy_host_is_left_alone_for_as_long_as_it_asks_and_not_for_ever() {
        let answer = |job: &Job| match (job.url.path(), job.tries) {
            ("/a", 0) => busy(),
            ("/c", _) => busy(),
            _ => page(),
        };
        let (totals, told) = visit(Pace::unlimited(), Budget::unlimited(1), answer);
        assert_eq!(told, ["7 s /a", "8 s /b", "27 s /c: 503 Service Unavailable"]);
        assert_eq!((totals.pages, totals.failures, totals.retries), (3, 1, 4));
    }

    #[test]
    fn pauses_between_pages_are_kept() {
        let pace = Pace { pause: 3 * DELAY, ..Pace::unlimited() };
        let (_, told) = visit(pace, Budget::unlimited(9), |_| page());
        assert_eq!(told, ["1 s /a", "4 s /b", "7 s /c"]);
    }

    #[test]
    fn robots_txt_comes_first_and_is_obeyed_and_is_no_page() {
        let pace = Pace { obey_robots: true, ..Pace::unlimited() };
        let answer = |job: &Job| match job.item {
            WorkItem::Robots => Fetched::Robots(Robots::parse("user-agent: *\ndisallow: /b")),
            WorkItem::Page(_) => page(),
        };
        let (totals, told) = visit(pace.clone(), Budget::unlimited(9), answer);
        assert_eq!(told, ["page 1 is left: Forbidden", "2 s /a", "2 s /c"]);
        assert_eq!((totals.pages, totals.bytes, totals.forbidden), (2, 20, 1));
        let (totals, told) = visit(pace, Budget::unlimited(9), |job| match job.item {
            WorkItem::Robots => Fetched::Not(FetchError::Failed("500".to_owned())),
            WorkItem::Page(_) => page(),
        });
        let why = "its http://h/robots.txt cannot be had: 500";
        let pages = ["/a", "/b", "/c"].map(|path| format!("1 s {path}: {why}"));
        assert_eq!(told, pages, "a host that cannot say is left alone, and that is a failure");
        assert_eq!((totals.pages, totals.failures, totals.forbidden), (3, 3, 0));
    }

    #[test]
    fn when_many_land_at_once_others_have_their_turns() {
        let pages = 10 * BATCH as u32;
        let turns = mainspring::run(async {
            let bounds = Bounds { depth: 0, pages: pages as usize };
            let mut frontier =
                Frontier::new(bounds, Pace::unlimited(), Scope::new(Reach::Any, &[]));
            (0..pages).for_each(|n| frontier.seed(url(&format!("/{n}"))));
            // Another task, which is polled once in each turn.
            let turns = Rc::new(Cell::new(0));
            let counted = turns.clone();
            let other = mainspring::spawn(async move {
                loop {
                    counted.set(counted.get() + 1);
                    yield_now().await;
                }
            });
            let mut dealt_with = Vec::new();
            let over = |_| dealt_with.push(turns.get());
            let fetch = |_: &Job| ("page".to_owned(), async { page() });
            let (budget, stop) = (Budget::unlimited(pages as usize), Stop::new());
            crawl(&mut frontier, budget, &stop, &Watch::default(), fetch, over).await;
            other.cancel();
            dealt_with
        });
        assert_eq!(turns.len(), pages as usize);
        let turns: std::collections::BTreeSet<i32> = turns.into_iter().collect();
        assert_eq!(turns.len(), 11, "one for each stretch, and the last fetch: {turns:?}");
    }

    #[test]
    fn a_stop_waits_for_no_robots_txt() {
        let mut runtime =
            mainspring::Runtime::builder().clock(Clock::Virtual).build().expect("a runtime");
        let totals = runtime.block_on(async {
            let pace = Pace { obey_robots: true, ..Pace::unlimited() };
            let bounds = Bounds { depth: 0, pages: 99 };
            let mut frontier = Frontier::new(bounds, pace, Scope::new(Reach::Any, &[]));
            frontier.seed(url("/"));
            let fetch = |_: &Job| {
                ("robots.txt".to_owned(), async {
                    sleep(100 * DELAY).await;
                    page()
                })
            };
            let budget = Budget { time: DELAY, ..Budget::unlimited(1) };
            crawl(&mut frontier, budget, &Stop::new(), &Watch::default(), fetch, |_| ()).await
        });
        assert_eq!((totals.end, totals.wall, totals.abandoned), (End::Time, DELAY, 1));
    }

    #[test]
    fn a_crawl_ends_when_its_bytes_or_its_time_are_spent() {
        let budget = Budget { bytes: 20, ..Budget::unlimited(1) };
        let (totals, told) = visit(Pace::unlimited(), budget, |_| page());
        assert_eq!((totals.end, totals.abandoned), (End::Bytes, 1));
        assert_eq!(told, ["1 s /a", "2 s /b"]);
        let budget = Budget { time: DELAY * 3 / 2, ..Budget::unlimited(1) };
        let (totals, told) = visit(Pace::unlimited(), budget, |_| page());
        assert_eq!((totals.end, totals.abandoned), (End::Time, 1));
        assert_eq!(told, ["1 s /a", "2 s /b"]);
    }

    #[test]
    fn a_fetch_that_panics_is_a_page_that_failed() {
        let failed = mainspring::run(async {
            let bounds = Bounds { depth: 0, pages: 1 };
            let mut frontier =
                Frontier::new(bounds, Pace::unlimited(), Scope::new(Reach::Any, &[]));
            frontier.seed(url("/"));
            let mut failures = Vec::new();
            let fetch = |_: &Job| ("fetch".to_owned(), async { panic!("a bug") });
            let over = |over: Over<()>| {
                if let Over::Page(page) = over {
                    failures.extend(page.result.err());
                }
            };
            let budget = Budget::unlimited(1);
            crawl(&mut frontier, budget, &Stop::new(), &Watch::default(), fetch, over).await;
            failures
        });
        assert_eq!(failed.len(), 1);
        assert!(failed[0].contains("a bug"), "{failed:?}");
    }
}
