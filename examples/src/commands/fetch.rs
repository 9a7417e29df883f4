//! `crawl fetch`: pages of any site, their links, and what a selector finds in them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;

use mainspring::Runtime;
use scraper::{Html, Selector};
use url::Url;

use crate::cli::Fetch;
use crate::crawl::engine::{Budget, Fetched, Page, Totals, Watch, crawl};
use crate::crawl::frontier::{Bounds, Frontier, Job, same_hosts};
use crate::extract;
use crate::failure::{Failure, print};
use crate::machine::raise_descriptor_limit;
use crate::polite::pace::Pace;
use crate::report::progress;
use crate::stop::Stop;
use crate::text::Printable;
use crate::value::{Count, Size, Took};
use crate::web::{Options, Web};

/// Fetches what was asked for and prints it in the order in which it was found.
///
/// # Errors
/// One sentence: no loop, or standard output cannot be written to.
pub fn run(args: &Fetch) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let runtime = Runtime::builder().name("fetch").build();
    let mut runtime = runtime.map_err(|error| format!("cannot start a loop: {error}"))?;
    let mut lines = InOrder::default();
    let totals = runtime.block_on(gather(args, &stop, &mut lines))?;
    lines.finish()?;
    let mut stderr = std::io::stderr().lock();
    let mut say = |line: String| writeln!(stderr, "{line}").unwrap_or_default();
    for (url, reason) in &lines.failures {
        say(format!("failed: {}: {}", Printable(url.as_str()), Printable(reason)));
    }
    let abandoned = match totals.abandoned {
        0 => String::new(),
        n => format!(", {} known of and not fetched", Count(n)),
    };
    say(format!(
        "{} pages, {} failed, {}, {}{abandoned}",
        Count(totals.pages),
        Count(totals.failures),
        Size(totals.bytes),
        Took(totals.wall),
    ));
    Ok(match (stop.is_asked(), totals.failures) {
        (true, _) => ExitCode::from(130),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

async fn gather(args: &Fetch, stop: &Stop, lines: &mut InOrder) -> Result<Totals, Failure> {
    let web = Web::new(&Options {
        connections: args.concurrency,
        timeout: Some(args.timeout),
        max_size: args.max_size,
        user_agent: args.user_agent.clone(),
        headers: args.header.clone(),
    });
    let wanted = Rc::new(Wanted { select: args.select.clone(), attribute: args.attr.clone() });
    let in_scope = same_hosts(&args.urls);
    let any_host = args.any_host;
    let bounds = Bounds { depth: args.depth, pages: args.pages };
    let pace = Pace::unlimited();
    let mut frontier = Frontier::new(bounds, pace, move |url| any_host || in_scope(url));
    for url in &args.urls {
        frontier.seed(url.clone());
    }
    let watch = Watch::default();
    let progress = progress::show(watch.clone());
    let fetch = |job: &Job| {
        let name = format!("fetch {}", job.url);
        (name, fetch(web.clone(), wanted.clone(), job.url.clone()))
    };
    let over = |page| lines.take(page, stop);
    let budget = Budget::unlimited(args.concurrency);
    let totals = crawl(&mut frontier, budget, stop, &watch, fetch, over).await;
    progress.end().await;
    Ok(totals)
}

/// What to print of a page.
struct Wanted {
    select: Option<Selector>,
    attribute: Option<String>,
}

/// Fetches one page; what comes of it are lines to print.
async fn fetch(web: Web, wanted: Rc<Wanted>, url: Url) -> Fetched<Vec<String>> {
    let start = mainspring::time::now();
    let answer = match web.get(&url).await {
        Ok(answer) => answer,
        Err(miss) => return miss.into(),
    };
    let html = answer.is_html().then(|| Html::parse_document(&answer.text));
    // Links are relative to where redirects have led, not to where the link pointed.
    let links = html.as_ref().map(|html| extract::links(html, &answer.url)).unwrap_or_default();
    let lines = match (&wanted.select, &html) {
        (Some(selector), Some(html)) => {
            extract::select(html, selector, wanted.attribute.as_deref())
        }
        (Some(_), None) => Vec::new(),
        (None, _) => vec![format!(
            "{}  {:>9}  {:>8}  {url}",
            answer.status.as_u16(),
            Size(answer.bytes),
            Took(mainspring::time::now().duration_since(start)),
        )],
    };
    Fetched::Page { found: lines, links, bytes: answer.bytes }
}

/// Prints pages in the order in which they were found, each as soon as all before it are over.
#[derive(Default)]
struct InOrder {
    next: usize,
    waiting: BTreeMap<usize, Vec<String>>,
    failures: Vec<(Url, String)>,
    trouble: Option<Failure>,
}

impl InOrder {
    fn take(&mut self, page: Page<Vec<String>>, stop: &Stop) {
        let lines = page.result.unwrap_or_else(|reason| {
            self.failures.push((page.job.url, reason));
            Vec::new()
        });
        self.waiting.insert(page.place, lines);
        while let Some(lines) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.print(&lines);
        }
        if self.trouble.is_some() {
            // Nobody can be told any more: fetching on would be for nothing.
            stop.ask();
        }
    }

    fn print(&mut self, lines: &[String]) {
        if self.trouble.is_none() && !lines.is_empty() {
            let text: String = lines.iter().map(|line| format!("{}\n", Printable(line))).collect();
            self.trouble = print(&text).err();
        }
    }

    /// Prints what waited for pages that a stop has kept from being fetched.
    fn finish(&mut self) -> Result<(), Failure> {
        for lines in std::mem::take(&mut self.waiting).into_values() {
            self.print(&lines);
        }
        self.failures.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.trouble.take().map_or(Ok(()), Err)
    }
}
