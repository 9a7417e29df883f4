//! What `crawl fetch` and `crawl site` share: fetching pages, reading them, printing and keeping
//! what was found.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::time::now;
use mainspring::{Runtime, spawn_blocking};
use mainspring_microscope::Recorder;
use scraper::Selector;
use serde::de::IgnoredAny;
use url::Url;

use super::keeper::{Found, Keeper};
use crate::cli::Asking;
use crate::crawl::account::{Budget, Totals, Watch};
use crate::crawl::engine::{Fetched, Over, crawl};
use crate::crawl::frontier::{Errand, Frontier, Job};
use crate::crawl::journal::Journal;
use crate::crawl::record::Record;
use crate::extract;
use crate::failure::Failure;
use crate::live;
use crate::output::{OutDir, check, names};
use crate::report::progress;
use crate::stop::Stop;
use crate::text::Printable;
use crate::trace;
use crate::value::millis;
use crate::web::{Answer, Connections, Options, Web, trusting};

/// Bodies up to this size, in bytes, are parsed on the loop: it takes less time than handing them
/// to another thread is worth. Larger ones would hold the loop for milliseconds.
const PARSED_ON_THE_LOOP: usize = 64 * 1024;

/// What to do, once the command line has been understood.
pub struct Plan {
    /// Where to begin and how far to go.
    pub frontier: Frontier,
    /// What may be spent.
    pub budget: Budget,
    /// Whether images, scripts and style sheets are links too.
    pub assets: bool,
    /// Where results are kept.
    pub out: Option<OutDir>,
    /// Where pages that are over are told.
    pub journal: Option<Journal>,
    /// Pages of earlier runs.
    pub earlier: Vec<Record>,
}

/// What came of it.
#[derive(Debug)]
pub struct Gathered {
    /// In numbers.
    pub totals: Totals,
    /// Every page, those of earlier runs first, in the order in which they were found.
    pub records: Vec<Record>,
    /// How many of them are of earlier runs.
    pub earlier: usize,
    /// Links that were not followed because of the bound on pages.
    pub left_out: usize,
    /// How connections were used.
    pub connections: Connections,
}

impl Gathered {
    /// What a script wants to know: 130 after a stop, 1 after a failure, else 0.
    #[must_use]
    pub fn exit_code(&self, stop: &Stop) -> ExitCode {
        match (stop.is_asked(), self.totals.failures) {
            (true, _) => ExitCode::from(130),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        }
    }

    /// Says on stderr which pages failed and why.
    pub fn tell_failures(&self) {
        let mut stderr = std::io::stderr().lock();
        for record in &self.records {
            if let Some(error) = &record.error {
                let url = Printable(record.url.as_str());
                writeln!(stderr, "failed: {url}: {}", Printable(error)).unwrap_or_default();
            }
        }
    }
}

/// Has a crawl planned and carries it out, on a loop of its own that is watched as the command line
/// asks. What is written at the end is written once the loop is over: it would hold it up.
///
/// # Errors
/// One sentence: no loop, no client, no plan; or results cannot be printed or kept. What was fetched
/// until then is kept as far as it can be.
pub fn gather(
    asking: &Asking,
    title: &'static str,
    concurrency: usize,
    stop: &Stop,
    plan: impl AsyncFnOnce(&Web) -> Result<Plan, Failure>,
) -> Result<Gathered, Failure> {
    check(asking.trace.iter().chain(&asking.har))?;
    let web = web(asking, concurrency)?;
    let recorder = Recorder::default();
    let live = live::watch(&recorder, asking.live, title, stop)?;
    let mut runtime = trace::runtime(Runtime::builder().name(title).observer(live.observer()))?;
    let harvest = runtime.block_on(async {
        let plan = plan(&web).await?;
        Ok::<_, Failure>(carry_out(plan, asking, &web, stop).await)
    });
    // The view gives the terminal back before anything is printed to it.
    drop((runtime, live));
    let Harvest { totals, keeper, earlier, left_out } = harvest?;
    let records = keeper.finish()?;
    web.write_archive(asking.har.as_deref())?;
    if let Some(path) = &asking.trace {
        trace::write(path, &[recorder.trace().titled(title)])?;
    }
    Ok(Gathered { totals, records, earlier, left_out, connections: web.connections() })
}

/// The client that a command line asks for.
fn web(asking: &Asking, connections: usize) -> Result<Web, Failure> {
    let options = Options {
        connections,
        timeout: Some(asking.timeout),
        max_size: asking.max_size,
        user_agent: asking.user_agent.clone(),
        headers: asking.header.clone(),
        proxy: asking.proxy.clone(),
        archive: asking.har.is_some(),
        timed: true,
        cookies: asking.cookies,
        accept_invalid_certs: asking.danger_accept_invalid_certs,
    };
    Ok(Web::with(trusting(asking.cacert.as_deref())?, &options))
}

/// What a crawl has brought home.
struct Harvest {
    totals: Totals,
    keeper: Keeper,
    earlier: usize,
    left_out: usize,
}

async fn carry_out(mut plan: Plan, asking: &Asking, web: &Web, stop: &Stop) -> Harvest {
    let reader = Arc::new(Reader {
        select: asking.select.clone(),
        attribute: asking.attr.clone(),
        assets: plan.assets,
    });
    let taken = plan.earlier.iter().filter_map(|record| record.file.clone()).collect();
    let shelf = plan
        .out
        .clone()
        .filter(|_| asking.bodies || asking.json)
        .map(|dir| Rc::new(Shelf { dir, json: asking.json, taken: RefCell::new(taken) }));
    let watch = Watch::default();
    let progress = (!asking.live).then(|| progress::show(watch.clone()));
    let fetch = |job: &Job| {
        let name = format!("fetch {}", job.url);
        (name, fetch(web.clone(), reader.clone(), shelf.clone(), job.clone()))
    };
    let earlier = plan.earlier.len();
    let mut keeper = Keeper::new(asking, plan.out, plan.journal, plan.earlier);
    let mut keep = |over| match over {
        Over::Page(page) => {
            let laps = web.laps(&page.job.url);
            keeper.take(page, laps);
            if keeper.is_in_trouble() {
                stop.ask();
            }
        }
        Over::Forbidden { place } => keeper.pass_over(place),
    };
    let over = |over| match &progress {
        Some(progress) => progress.print(|| keep(over)),
        None => keep(over),
    };
    let totals = crawl(&mut plan.frontier, plan.budget, stop, &watch, fetch, over).await;
    if let Some(progress) = progress {
        progress.end().await;
    }
    Harvest { totals, keeper, earlier, left_out: plan.frontier.left_out() }
}

async fn fetch(
    web: Web,
    reader: Arc<Reader>,
    shelf: Option<Rc<Shelf>>,
    job: Job,
) -> Fetched<Found> {
    if job.errand == Errand::Robots {
        return web.robots(&job.url).await;
    }
    let start = now();
    let answer = match web.get(&job.url).await {
        Ok(answer) => Arc::new(answer),
        Err(miss) => return miss.into(),
    };
    let took = now().duration_since(start);
    let reading = reader.clone();
    let (links, selected) = if answer.body.len() <= PARSED_ON_THE_LOOP {
        reading.read(&answer)
    } else {
        let answer = answer.clone();
        match spawn_blocking(move || reading.read(&answer)).await {
            Ok(read) => read,
            Err(error) => return Fetched::Failed(error.to_string()),
        }
    };
    let mut file = None;
    if let Some(shelf) = shelf {
        match shelf.put(&job.url, answer.clone()).await {
            Ok(name) => file = Some(name),
            Err(reason) => return Fetched::Failed(reason),
        }
    }
    let bytes = answer.body.len() as u64;
    let moved_to = Some(answer.url.clone()).filter(|url| *url != job.url);
    let record = Record {
        moved_to: moved_to.clone(),
        status: Some(answer.status.as_u16()),
        depth: job.depth,
        content_type: answer.content_type.clone(),
        bytes,
        took_ms: millis(took),
        links: links.len(),
        file,
        selected,
        ..Record::new(job.url)
    };
    let found = Found { record, leads_to: links.clone() };
    Fetched::Page { found, moved_to, links, bytes }
}

/// Where bodies are kept.
struct Shelf {
    dir: OutDir,
    /// Whether they are to be JSON, and named after the last part of their address.
    json: bool,
    taken: RefCell<HashSet<String>>,
}

impl Shelf {
    /// Writes a body where it is not yet in its place; returns the name that it will have.
    async fn put(&self, url: &Url, answer: Arc<Answer>) -> Result<String, String> {
        let name = if self.json {
            serde_json::from_slice::<IgnoredAny>(&answer.body)
                .map_err(|error| format!("the answer is not JSON: {error}"))?;
            format!("{}.json", names::last_part(url))
        } else {
            names::file_name(url, &answer.content_type)
        };
        if !self.taken.borrow_mut().insert(name.clone()) {
            return Err(format!("another page is kept as {name}"));
        }
        let (dir, file) = (self.dir.clone(), name.clone());
        // The file system may keep a thread waiting: not the loop's.
        let written =
            spawn_blocking(move || dir.prepare(&file, |file| file.write_all(&answer.body))).await;
        let at = self.dir.path().display();
        match written {
            Ok(Ok(())) => Ok(name),
            Ok(Err(error)) => Err(format!("cannot write to {at}: {error}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads pages: on the loop or off it.
struct Reader {
    select: Option<Selector>,
    attribute: Option<String>,
    assets: bool,
}

impl Reader {
    /// The links of a page, and what was selected from it.
    fn read(&self, answer: &Answer) -> (Vec<Url>, Vec<String>) {
        if !answer.is_html() {
            return (Vec::new(), Vec::new());
        }
        let html = extract::html(&answer.text());
        // Links are relative to where redirects have led, not to where the link pointed.
        let mut links = extract::links(&html, &answer.url);
        if self.assets {
            links.extend(extract::assets(&html, &answer.url));
        }
        let selected = self
            .select
            .as_ref()
            .map(|selector| extract::select(&html, selector, self.attribute.as_deref()));
        (links, selected.unwrap_or_default())
    }
}
