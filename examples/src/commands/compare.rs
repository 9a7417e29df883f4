//! `crawl compare`: the same pages, waited for in five ways.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use mainspring::{JoinHandle, Runtime, spawn_blocking, spawn_named};
use mainspring_microscope::{Recorder, from_env};
use url::Url;

use crate::cli::Compare;
use crate::failure::{Failure, print, success_if};
use crate::machine::raise_descriptor_limit;
use crate::options::Options;
use crate::report::bars::bar;
use crate::report::table::Table;
use crate::site::host::{Host, check_room};
use crate::site::server::Site;
use crate::trace;
use crate::value::{Count, Took};
use crate::web::Web;

/// One way of waiting.
struct Way {
    name: String,
    /// Why it takes as long as it does.
    why: String,
    /// Fetches all pages; returns how many failed.
    fetch: fn(&Work<'_>) -> Result<usize, Failure>,
    /// Whether its loop is on the page of the run. The page has room for three: the loop of the
    /// pool does nothing but wait for its threads, and one of several looks like one alone.
    shown: bool,
}

/// What each way is to fetch, and what records how it does.
struct Work<'a> {
    site: SocketAddr,
    args: &'a Compare,
    recorder: Option<&'a Recorder>,
}

impl Work<'_> {
    fn runtime(&self, name: &'static str) -> Result<Runtime, Failure> {
        let builder = Runtime::builder().name(name).blocking_threads(self.args.threads);
        trace::runtime(match self.recorder {
            Some(recorder) => builder.observer(recorder.observer()),
            None => from_env(builder),
        })
    }

    fn urls(&self) -> impl Iterator<Item = Url> {
        urls(self.site, self.args.pages as usize)
    }
}

/// Fetches the same pages in each way and prints a table with bars.
///
/// # Errors
/// One sentence: no port or thread for the site, no loop.
pub fn run(args: &Compare) -> Result<ExitCode, Failure> {
    let limit = raise_descriptor_limit()?;
    check_room(args.pages as usize, limit)?;
    let site = Site { count: args.pages, delay: args.delay };
    let site = Host::start(site, args.pages as usize, limit)?;
    let (mut measured, mut runs) = (Vec::new(), Vec::new());
    for way in ways(args) {
        // Progress, since the slow ways take a while.
        writeln!(io::stderr(), "{}: {} pages …", way.name, args.pages).unwrap_or_default();
        let recorder = (way.shown && args.trace.is_some()).then(Recorder::default);
        let start = Instant::now();
        let work = Work { site: site.address(), args, recorder: recorder.as_ref() };
        let failures = (way.fetch)(&work)?;
        runs.extend(recorder.map(|recorder| recorder.trace().titled(&*way.name)));
        measured.push((way, start.elapsed(), failures));
    }
    print(&report(args, &measured))?;
    if let Some(path) = &args.trace {
        trace::write(path, &runs)?;
        print(&format!("\n  three of these loops side by side: {}\n", path.display()))?;
    }
    Ok(success_if(measured.iter().all(|(_, _, failures)| *failures == 0)))
}

fn report(args: &Compare, measured: &[(Way, Duration, usize)]) -> String {
    let longest = measured.iter().map(|(_, took, _)| *took).max().unwrap_or_default();
    let mut table = Table::new(["way of waiting", "time", "pages/s", "failed", ""], 1);
    let mut reasons = String::new();
    for (Way { name, why, .. }, took, failures) in measured {
        let per_second = format!("{:.0}", f64::from(args.pages) / took.as_secs_f64());
        let bar = bar(took.as_secs_f64(), longest.as_secs_f64());
        table.row([name, &Took(*took), &per_second, &Count(*failures as u64), &bar]);
        reasons += &format!("  {name}: {why}.\n");
    }
    let (pages, delay) = (Count(u64::from(args.pages)), Took(args.delay));
    format!("  {pages} pages, {delay} before each answer\n\n{table}\n{reasons}")
}

fn ways(args: &Compare) -> Vec<Way> {
    let Compare { pages, threads, .. } = *args;
    let (delay, loops) = (Took(args.delay), loops());
    let rounds = pages.div_ceil(u32::try_from(threads).unwrap_or(u32::MAX));
    vec![
        Way {
            name: "sequential".to_owned(),
            why: format!(
                "each page waits for the one before: {pages} delays of {delay}, end to end"
            ),
            fetch: sequential,
            shown: true,
        },
        Way {
            name: "fake async".to_owned(),
            why:
                "every page has a task, but a blocking call holds the loop's one thread until its \
                  answer comes: no other task can run"
                    .to_owned(),
            fetch: fake_async,
            shown: true,
        },
        Way {
            name: format!("{threads} threads"),
            why: format!("{threads} pages wait at once, each on a thread: {rounds} × {delay}"),
            fetch: pool,
            shown: false,
        },
        Way {
            name: "concurrent".to_owned(),
            why: format!("all {pages} wait at once on one thread, asleep until an answer comes"),
            fetch: concurrent,
            shown: true,
        },
        Way {
            name: "loop per core".to_owned(),
            why: format!(
                "as concurrent, on {loops} threads with a loop each: it pays once there is more \
                 work than waiting"
            ),
            fetch: one_loop_per_core,
            shown: false,
        },
    ]
}

/// A loop for each core.
fn loops() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn sequential(work: &Work<'_>) -> Result<usize, Failure> {
    work.runtime("sequential")?.block_on(async {
        let web = Web::new(&Options::new(1));
        let mut failures = 0;
        for url in work.urls() {
            failures += usize::from(web.get(&url).await.is_err());
        }
        Ok(failures)
    })
}

fn fake_async(work: &Work<'_>) -> Result<usize, Failure> {
    let site = work.site;
    work.runtime("fake async")?.block_on(async {
        let fetch = |url: Url| {
            // What makes it fake: the body of this task never awaits anything.
            spawn_named(url.path().to_owned(), async move { blocking_get(site, url.path()) })
        };
        Ok(failed(work.urls().map(fetch).collect()).await)
    })
}

fn pool(work: &Work<'_>) -> Result<usize, Failure> {
    let site = work.site;
    work.runtime("threads")?.block_on(async {
        let fetch = |url: Url| spawn_blocking(move || blocking_get(site, url.path()));
        Ok(failed(work.urls().map(fetch).collect()).await)
    })
}

fn concurrent(work: &Work<'_>) -> Result<usize, Failure> {
    Ok(work.runtime("concurrent")?.block_on(all_at_once(work.urls().collect())))
}

fn one_loop_per_core(work: &Work<'_>) -> Result<usize, Failure> {
    let (site, pages) = (work.site, work.args.pages as usize);
    let fetch_share = |core: usize| {
        let mut runtime = trace::runtime(Runtime::builder().name(format!("core {core}")))?;
        let share = urls(site, pages).skip(core).step_by(loops());
        Ok(runtime.block_on(all_at_once(share.collect())))
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..loops()).map(|core| scope.spawn(move || fetch_share(core))).collect();
        let panicked = |_| Err(Failure::Said("a loop's thread panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).sum()
    })
}

/// Fetches pages in a task each; returns how many failed.
pub(super) async fn all_at_once(pages: Vec<Url>) -> usize {
    let web = Web::new(&Options::new(pages.len().max(1)));
    let fetch = |url: Url| {
        let (web, name) = (web.clone(), format!("fetch {}", url.path()));
        spawn_named(name, async move { web.get(&url).await.map(|_| ()) })
    };
    failed(pages.into_iter().map(fetch).collect()).await
}

/// Awaits all; returns how many failed. The order of awaiting does not matter: all are running.
async fn failed<E: 'static>(handles: Vec<JoinHandle<Result<(), E>>>) -> usize {
    let mut failures = 0;
    for handle in handles {
        failures += usize::from(!matches!(handle.await, Ok(Ok(()))));
    }
    failures
}

/// So many pages of the site.
pub(super) fn urls(site: SocketAddr, pages: usize) -> impl Iterator<Item = Url> {
    let url = move |id| Url::parse(&format!("http://{site}/detail/{id}"));
    (1..=pages).map(move |id| url(id).expect("an address is a host"))
}

/// A GET by the standard library: the whole thread waits.
fn blocking_get(site: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(site)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {site}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other("the answer is not 200 OK"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_whole() {
        let args =
            Compare { pages: 100, delay: Duration::from_millis(100), threads: 10, trace: None };
        let way = |name: &str, millis, failures| {
            let (name, why) = (name.to_owned(), "because".to_owned());
            let way = Way { name, why, fetch: sequential, shown: false };
            (way, Duration::from_millis(millis), failures)
        };
        assert_eq!(
            report(&args, &[way("slow", 10_000, 0), way("fast", 125, 2)]),
            "  100 pages, 100 ms before each answer\n\n\
             \x20 way of waiting      time  pages/s  failed\n\
             \x20 slow            10.000 s       10       0  \
             ████████████████████████████████████████\n\
             \x20 fast              125 ms      800       2  ▌\n\n\
             \x20 slow: because.\n  fast: because.\n"
        );
    }
}
