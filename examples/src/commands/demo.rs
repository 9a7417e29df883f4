//! `crawl` without a subcommand: the site, the crawl, and what it took.

use std::process::ExitCode;
use std::time::Duration;

use mainspring::{Runtime, Stats};
use mainspring_microscope::Recorder;
use scraper::Html;
use url::Url;

use crate::cli::Demo;
use crate::crawl::account::{Budget, Totals, Watch};
use crate::crawl::engine::{Fetched, Over, crawl};
use crate::crawl::frontier::{Bounds, Frontier};
use crate::crawl::job::{FetchError, Job};
use crate::crawl::scope::{Reach, Scope};
use crate::extract;
use crate::failure::{Failure, exit_code, print};
use crate::live;
use crate::machine::raise_descriptor_limit;
use crate::options::Options;
use crate::output::{OutDir, check, movies};
use crate::polite::pace::Pace;
use crate::report::progress;
use crate::report::table::Table;
use crate::site::host::{Host, check_room};
use crate::site::movies::Movie;
use crate::site::server::Site;
use crate::states::States;
use crate::stop::Stop;
use crate::text::Printable;
use crate::trace::{self, Both};
use crate::value::{Count, Size, Took};
use crate::web::Web;

/// Failures that are listed one by one; a site that is down should not fill the screen.
const LISTED: usize = 20;

/// Starts the site, crawls it, prints what came of it.
///
/// # Errors
/// One sentence: no place to write to, no port or thread for the site.
pub fn run(args: &Demo) -> Result<ExitCode, Failure> {
    let limit = raise_descriptor_limit()?;
    check_room(args.concurrency, limit)?;
    let out = args.out.as_deref().map(OutDir::open).transpose()?;
    check(&args.trace)?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let site = Site { count: args.site.pages, delay: args.site.delay };
    let site = Host::start(site, args.concurrency.min(args.site.pages as usize), limit)?;
    let recorder = (!args.no_trace).then(Recorder::default);
    let watched = |recorder: &Recorder| {
        live::watch(recorder, args.live || trace::asks_live(), "crawl", &stop)
    };
    let live = recorder.as_ref().map(watched).transpose()?;
    let builder = Runtime::builder().name("crawl");
    let states = || States::new(std::io::stdout());
    let mut runtime = trace::runtime(match (&live, args.states) {
        (Some(live), true) => builder.observer(Both(live.observer(), states())),
        (Some(live), false) => builder.observer(live.observer()),
        (None, true) => builder.observer(states()),
        (None, false) => builder,
    })?;
    let front = Url::parse(&format!("http://{}/", site.address())).expect("an address is a host");
    // It outlives the loop: closing thousands of connections would be a long poll.
    let web = Web::new(&Options::new(args.concurrency));
    let outcome = runtime.block_on(gather(front, args, &web, &stop));
    let stats = runtime.stats();
    // The view gives the terminal back before anything is printed to it.
    drop((runtime, live, site));

    print(&outcome.report(args, &stats))?;
    if let Some(out) = out {
        let at = out.path().display().to_string();
        movies::write(&out, &outcome.movies)
            .map_err(|error| format!("cannot write to {at}: {error}"))?;
        print(&format!("\n  {} movies written to {at}\n", Count(outcome.movies.len() as u64)))?;
    }
    if let Some(recorder) = recorder {
        leave_page(args, &recorder)?;
    }
    Ok(exit_code(stop.is_asked(), outcome.failures.is_empty()))
}

/// Writes the page of the run and says where it is. One that was not asked for is no reason to fail.
fn leave_page(args: &Demo, recorder: &Recorder) -> Result<(), Failure> {
    let path = args.trace.clone().unwrap_or_else(trace::default_page);
    let run = [recorder.trace().titled("crawl")];
    match trace::write(&path, &run) {
        Ok(()) => print(&format!("\n  every step of this run: {}\n", path.display())),
        Err(failure) if args.trace.is_some() => Err(failure),
        Err(_) => Ok(()),
    }
}

/// What came of the crawl.
#[derive(Debug, Default)]
struct Outcome {
    movies: Vec<Movie>,
    failures: Vec<String>,
    fronts: u64,
    lists: u64,
    /// From the first detail page begun to the last one over.
    details: Option<(Duration, Duration)>,
    totals: Totals,
    connections: mainspring_http::Stats,
}

/// Crawls the site from its front page on.
async fn gather(front: Url, args: &Demo, web: &Web, stop: &Stop) -> Outcome {
    let bounds = Bounds { depth: u32::MAX, pages: usize::MAX };
    let seeds = [front.clone()];
    let mut frontier = Frontier::new(bounds, Pace::unlimited(), Scope::new(Reach::Host, &seeds));
    frontier.seed(front);
    let watch = Watch::default();
    let progress = (!args.states && !args.live).then(|| progress::show(watch.clone()));
    let mut outcome = Outcome::default();
    let fetch = |job: &Job| {
        let name = format!("fetch {}", path_of(&job.url));
        (name, fetch(web.clone(), job.url.clone()))
    };
    let budget = Budget::unlimited(args.concurrency);
    let over = |over| outcome.take(over);
    outcome.totals = crawl(&mut frontier, budget, stop, &watch, fetch, over).await;
    if let Some(progress) = progress {
        progress.end().await;
    }
    outcome.connections = web.stats();
    outcome.movies.sort_by_key(|movie| movie.id);
    outcome
}

/// Fetches one page and reads from it what the crawl is after: a movie, or where to find more.
async fn fetch(web: Web, url: Url) -> Fetched<Option<Movie>> {
    let answer = match web.get(&url).await {
        Ok(answer) => answer,
        Err(error) => return Fetched::Not(error),
    };
    let bytes = answer.body.len() as u64;
    let html = Html::parse_document(&answer.text());
    let (found, links) = match url.path() {
        "/" | "/list" => (None, extract::demo_links(&html, &url)),
        _ => match extract::movie(&html) {
            Ok(movie) => (Some(movie), Vec::new()),
            Err(reason) => return Fetched::Not(FetchError::Failed(reason)),
        },
    };
    Fetched::Page { found, links, bytes }
}

/// Path and query: what tells the pages of one site apart.
fn path_of(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

impl Outcome {
    fn take(&mut self, over: Over<Option<Movie>>) {
        // The demo reads no robots.txt and follows no redirects: nothing is left alone.
        let Over::Page(page) = over else { return };
        if page.job.url.path().starts_with("/detail/") {
            let (first, last) = self.details.unwrap_or((page.began, page.ended));
            self.details = Some((first.min(page.began), last.max(page.ended)));
        }
        match page.result {
            Ok(Some(movie)) => self.movies.push(movie),
            Ok(None) if page.job.url.path() == "/" => self.fronts += 1,
            Ok(None) => self.lists += 1,
            Err(reason) => self.failures.push(format!("{}: {reason}", path_of(&page.job.url))),
        }
    }

    fn report(&self, args: &Demo, stats: &Stats) -> String {
        let Outcome { totals, connections, fronts, .. } = self;
        let (movies, lists) = (Count(self.movies.len() as u64), Count(self.lists));
        let delay = Took(args.site.delay);
        let ideal = args.site.delay * totals.longest_chain;
        let overhead = Took(totals.wall.saturating_sub(ideal));
        let chain = format!("longest chain of delays: {} × {delay}", totals.longest_chain);
        let kinds = format!("{fronts} front, {lists} lists, {movies} movies");
        let reused = format!("opened; reused {} times", Count(connections.reused));
        let mut table = Table::new(["", "", ""], 1);
        table.row([&"pages", &Count(totals.pages), &kinds]);
        table.row([&"failures", &Count(totals.failures), &""]);
        table.row([&"bytes", &Size(totals.bytes), &""]);
        table.row([&"wall time", &Took(totals.wall), &""]);
        table.row([&"ideal", &Took(ideal), &chain]);
        table.row([&"overhead", &overhead, &"wall − ideal"]);
        if let Some((first, last)) = self.details {
            table.row([&"movies alone", &Took(last - first), &format!("all {movies} of them")]);
        }
        table.row([&"in flight", &Count(totals.most_in_flight), &"the most at once"]);
        table.row([&"connections", &Count(connections.opened), &reused]);
        table.row([&"tasks", &Count(stats.spawned), &final_states(stats)]);
        table.row([&"turns", &Count(stats.turns), &"of the loop"]);
        table.row([&"polls", &Count(stats.polls), &"of a future"]);
        table.row([&"parked", &Took(stats.parked), &"asleep until something happens"]);

        let (pages, at_once) = (Count(args.site.pages.into()), Count(args.concurrency as u64));
        let mut report = format!(
            "  {pages} movies, {delay} before each answer, up to {at_once} pages at once, \
             one thread\n\n{table}"
        );
        if totals.abandoned > 0 {
            let left = Count(totals.abandoned);
            report += &format!("\n  stopped: {left} pages were known of and not fetched\n");
        }
        if !self.failures.is_empty() {
            report += "\n  failed:\n";
        }
        for failure in self.failures.iter().take(LISTED) {
            report += &format!("    {}\n", Printable(failure));
        }
        if let Some(more @ 1..) = self.failures.len().checked_sub(LISTED) {
            report += &format!("    and {more} more\n");
        }
        report
    }
}

/// How many tasks ended how. What is pending yet belongs to the client, which keeps idle
/// connections for later requests.
fn final_states(stats: &Stats) -> String {
    let mut states = format!("{} done", Count(stats.done - stats.panicked));
    for (count, state) in
        [(stats.panicked, "panicked"), (stats.cancelled, "cancelled"), (stats.alive, "pending")]
    {
        if count > 0 {
            states += &format!(", {} {state}", Count(count));
        }
    }
    states
}
