//! `crawl compare`: the same pages, waited for in five ways.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use mainspring::{JoinHandle, Runtime, spawn_blocking, spawn_named};
use mainspring_microscope::Recorder;
use url::Url;

use crate::cli::Compare;
use crate::failure::{Failure, print};
use crate::machine::raise_descriptor_limit;
use crate::options::Options;
use crate::report::bars::bar;
use crate::report::table::Table;
use crate::site::host::{Host, check_room};
use crate::site::server::Site;
use crate::trace;
use crate::value::{Count, Took};
use crate::web::Web;

/// One way of waiting, measured.
struct Measured {
    name: String,
    took: Duration,
    failures: usize,
    why: String,
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
    let (address, pages) = (site.address(), args.pages);
    let (mut measured, mut runs) = (Vec::new(), Vec::new());
    for Way { name, why, fetch, shown } in ways(args) {
        // Progress, since the slow ways take a while.
        writeln!(io::stderr(), "{name}: {pages} pages …").unwrap_or_default();
        let recorder = (shown && args.trace.is_some()).then(Recorder::default);
        let start = Instant::now();
        let failures = fetch(address, args, recorder.as_ref())?;
        runs.extend(recorder.map(|recorder| recorder.trace().titled(name.as_str())));
        measured.push(Measured { name, took: start.elapsed(), failures, why });
    }
    print(&report(args, &measured))?;
    if let Some(path) = &args.trace {
        trace::write(path, &runs)?;
        print(&format!("\n  three of these loops side by side: {}\n", path.display()))?;
    }
    let failed = measured.iter().any(|way| way.failures > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(args: &Compare, measured: &[Measured]) -> String {
    let longest = measured.iter().map(|way| way.took).max().unwrap_or_default().as_secs_f64();
    let pages = Count(u64::from(args.pages));
    let mut table = Table::new(["way of waiting", "time", "pages/s", "failed", ""], 1);
    for way in measured {
        let seconds = way.took.as_secs_f64();
        table.row([
            way.name.clone(),
            Took(way.took).to_string(),
            format!("{:.0}", f64::from(args.pages) / seconds),
            Count(way.failures as u64).to_string(),
            bar(seconds, longest),
        ]);
    }
    let why: String =
        measured.iter().map(|way| format!("  {}: {}.\n", way.name, way.why)).collect();
    format!("  {pages} pages, {} before each answer\n\n{table}\n{why}", Took(args.delay))
}

/// One way of waiting.
struct Way {
    name: String,
    /// Why it takes as long as it does.
    why: String,
    /// Fetches all pages; returns how many failed.
    fetch: fn(SocketAddr, &Compare, Option<&Recorder>) -> Result<usize, Failure>,
    /// Whether its loop is on the page of the run. The page has room for three: the loop of the
    /// pool does nothing but wait for its threads, and one of several looks like one alone.
    shown: bool,
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

fn sequential(
    site: SocketAddr,
    args: &Compare,
    recorder: Option<&Recorder>,
) -> Result<usize, Failure> {
    let pages = args.pages;
    let builder = Runtime::builder().name("sequential");
    trace::runtime(trace::recorded(builder, recorder))?.block_on(async {
        let web = Web::new(&Options { connections: 1, ..Options::default() });
        let mut failures = 0;
        for url in urls(site, pages) {
            failures += usize::from(web.get(&url).await.is_err());
        }
        Ok(failures)
    })
}

fn fake_async(
    site: SocketAddr,
    args: &Compare,
    recorder: Option<&Recorder>,
) -> Result<usize, Failure> {
    let pages = args.pages;
    let builder = Runtime::builder().name("fake async");
    trace::runtime(trace::recorded(builder, recorder))?.block_on(async {
        let fetch = |url: Url| {
            // What makes it fake: the body of this task never awaits anything.
            spawn_named(url.path().to_owned(), async move { blocking_get(site, url.path()) })
        };
        Ok(failed(urls(site, pages).map(fetch).collect()).await)
    })
}

fn pool(site: SocketAddr, args: &Compare, recorder: Option<&Recorder>) -> Result<usize, Failure> {
    let pages = args.pages;
    let builder = Runtime::builder().name("threads").blocking_threads(args.threads);
    trace::runtime(trace::recorded(builder, recorder))?.block_on(async {
        let fetch = |url: Url| spawn_blocking(move || blocking_get(site, url.path()));
        Ok(failed(urls(site, pages).map(fetch).collect()).await)
    })
}

fn concurrent(
    site: SocketAddr,
    args: &Compare,
    recorder: Option<&Recorder>,
) -> Result<usize, Failure> {
    let builder = Runtime::builder().name("concurrent");
    let mut runtime = trace::runtime(trace::recorded(builder, recorder))?;
    Ok(runtime.block_on(all_at_once(urls(site, args.pages).collect())))
}

fn one_loop_per_core(
    site: SocketAddr,
    args: &Compare,
    _recorder: Option<&Recorder>,
) -> Result<usize, Failure> {
    let share = |core: usize| urls(site, args.pages).skip(core).step_by(loops()).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..loops())
            .map(|core| {
                scope.spawn(move || {
                    let builder = Runtime::builder().name(format!("core {core}"));
                    let mut runtime = trace::runtime(builder)?;
                    Ok(runtime.block_on(all_at_once(share(core))))
                })
            })
            .collect();
        let panicked = |_| Err(Failure::Said("a loop's thread panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).sum()
    })
}

/// Fetches pages in a task each; returns how many failed.
async fn all_at_once(pages: Vec<Url>) -> usize {
    let web = Web::new(&Options { connections: pages.len().max(1), ..Options::default() });
    let fetch = |url: Url| {
        let web = web.clone();
        spawn_named(url.path().to_owned(), async move { web.get(&url).await.map(|_| ()) })
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

fn urls(site: SocketAddr, pages: u32) -> impl Iterator<Item = Url> {
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
        let way = |name: &str, millis, failures| Measured {
            name: name.to_owned(),
            took: Duration::from_millis(millis),
            failures,
            why: "because".to_owned(),
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
