//! What `crawl fetch` and `crawl site` share: fetching pages, reading them, printing and keeping
//! what was found.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::time::now;
use mainspring::{Runtime, spawn_blocking};
use mainspring_microscope::Recorder;
use serde::de::IgnoredAny;
use url::Url;

use super::result_writer::{Found, ResultWriter};
use crate::cli::Asking;
use crate::crawl::account::{Budget, End, Totals, Watch};
use crate::crawl::engine::{Fetched, Over, crawl};
use crate::crawl::frontier::{Frontier, Job, WorkItem};
use crate::crawl::journal::Journal;
use crate::crawl::record::Record;
use crate::crawl::scope::Scope;
use crate::credentials::Credentials;
use crate::extract::MAX_STEPS;
use crate::failure::Failure;
use crate::live;
use crate::output::{OutDir, check, names};
use crate::reader::Reader;
use crate::report::progress;
use crate::stop::Stop;
use crate::text::{STDERR, Text};
use crate::trace;
use crate::value::millis;
use crate::web::{Answer, Connections, Miss, Options, Web, trusting};

/// Bodies up to this size, in bytes, are parsed on the loop: it takes less time than handing them
/// to another thread is worth. Larger ones would hold the loop for milliseconds.
const PARSED_ON_THE_LOOP: usize = 64 * 1024;

/// How many steps that may take; a small page that is nested deep takes more.
const STEPS_ON_THE_LOOP: usize = 1_000_000;

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
    /// What could not be had before the crawl began: one sentence each.
    pub failures: Vec<String>,
    /// What limits have cut before the crawl began: one sentence each.
    pub cuts: Vec<String>,
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
    /// Whether there are to be pages at all: there are none where no time was given for them.
    pub expects_pages: bool,
    /// Links that were not followed because the robots.txt of their host could not be had.
    pub unasked: usize,
    /// What else failed: one sentence each.
    pub failures: Vec<String>,
    /// What limits have cut that is no page: one sentence each.
    pub cuts: Vec<String>,
    /// What a person should know of how it went on: one sentence each.
    pub notes: Vec<String>,
    /// How connections were used.
    pub connections: Connections,
}

impl Gathered {
    /// What a script wants to know: 130 after a stop, 1 after a failure and where nothing was had of
    /// what was asked for, else 0.
    #[must_use]
    pub fn exit_code(&self, stop: &Stop) -> ExitCode {
        let failed = self.totals.failures > 0 || !self.failures.is_empty();
        match (stop.is_asked(), failed || !self.has_any()) {
            (true, _) => ExitCode::from(130),
            (false, true) => ExitCode::FAILURE,
            (false, false) => ExitCode::SUCCESS,
        }
    }

    /// Whether any page was had, in this run or an earlier one, or none was expected.
    fn has_any(&self) -> bool {
        !self.expects_pages || self.records.iter().any(Record::is_had)
    }

    /// Says on stderr which pages failed and why, what was left alone, and what a limit has cut.
    pub fn tell(&self) {
        let mut said = String::new();
        let mut say = |what: &str, url: &Url, why: &str| {
            let (url, why) = (Text(url.as_str(), STDERR), Text(why, STDERR));
            writeln!(said, "{what}: {url}: {why}").expect("a String takes any text");
        };
        for record in &self.records[self.earlier..] {
            let is_told = record.depth == 0 || record.redirects.is_empty();
            for (what, why) in [
                ("failed", &record.error),
                ("not read", if is_told { &record.skipped } else { &None }),
                ("cut", &record.cut),
            ] {
                why.iter().for_each(|why| say(what, &record.url, why));
            }
        }
        for (what, told) in [("failed", &self.failures), ("cut", &self.cuts), ("note", &self.notes)]
        {
            for line in told {
                writeln!(said, "{what}: {}", Text(line, STDERR)).expect("a String takes any text");
            }
        }
        if !self.has_any() && self.totals.end != End::Asked {
            said.push_str("crawl: nothing was fetched of what was asked for\n");
        }
        std::io::stderr().write_all(said.as_bytes()).unwrap_or_default();
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
    credentials: Credentials,
    title: &'static str,
    concurrency: usize,
    stop: &Stop,
    plan: impl AsyncFnOnce(&Web) -> Result<Plan, Failure>,
) -> Result<Gathered, Failure> {
    check(asking.trace.iter().chain(&asking.har))?;
    let web = web(asking, credentials, concurrency)?;
    let recorder = Recorder::default();
    let live = live::watch(&recorder, asking.live, title, stop)?;
    let mut runtime = trace::runtime(Runtime::builder().name(title).observer(live.observer()))?;
    let harvest = runtime.block_on(async {
        let plan = plan(&web).await?;
        Ok::<_, Failure>(carry_out(plan, asking, &web, stop).await)
    });
    // The view gives the terminal back before anything is printed to it.
    drop((runtime, live));
    let (writer, gathered) = harvest?;
    let records = writer.finish()?;
    web.write_archive(asking.har.as_deref())?;
    if let Some(path) = &asking.trace {
        trace::write(path, &[recorder.trace().titled(title)])?;
    }
    Ok(Gathered { records, connections: web.connections(), ..gathered })
}

/// The client that a command line asks for.
fn web(asking: &Asking, credentials: Credentials, connections: usize) -> Result<Web, Failure> {
    let removed = asking.header.iter().filter(|(_, value)| value.is_none());
    let options = Options {
        connections,
        timeout: Some(asking.timeout).filter(|timeout| !timeout.is_zero()),
        max_size: asking.max_size,
        user_agent: asking.user_agent.clone(),
        removed: removed.map(|(name, _)| name.clone()).collect(),
        credentials,
        proxy: asking.proxy.as_ref().map(|via| via.proxy.clone()),
        archive: asking.har.is_some(),
        timed: true,
        cookies: asking.cookies,
        accept_invalid_certs: asking.danger_accept_invalid_certs,
    };
    Ok(Web::with(trusting(asking.cacert.as_deref())?, &options))
}

/// Carries a plan out; the results are still to be finished.
async fn carry_out(
    mut plan: Plan,
    asking: &Asking,
    web: &Web,
    stop: &Stop,
) -> (ResultWriter, Gathered) {
    let taken = plan.earlier.iter().filter_map(|record| record.file.clone()).collect();
    let shelf = plan.out.clone().filter(|_| asking.bodies || asking.json).map(|dir| Shelf {
        dir,
        json: asking.json,
        taken: RefCell::new(taken),
        trouble: RefCell::default(),
    });
    let reader = Reader {
        select: asking.select.clone(),
        attribute: asking.attr.clone(),
        assets: plan.assets,
        nofollow: asking.nofollow,
    };
    let fetcher = Rc::new(Fetcher {
        web: web.clone(),
        scope: plan.frontier.scope(),
        reader: Arc::new(reader),
        shelf,
    });
    let watch = Watch::default();
    let progress = (!asking.live).then(|| progress::show(watch.clone()));
    let fetch = |job: &Job| (format!("fetch {}", job.url), fetcher.clone().fetch(job.clone()));
    let earlier = plan.earlier.len();
    let mut writer = ResultWriter::new(asking, plan.out, plan.journal, plan.earlier);
    let mut keep = |over| {
        match over {
            Over::Page(page) => {
                let timings = web.timings(&page.job.url);
                writer.take(page, timings);
            }
            Over::Left { job, place, why } => writer.leave(&job, place, &why),
        }
        let full = fetcher.shelf.as_ref().and_then(|shelf| shelf.trouble.take());
        full.into_iter().for_each(|reason| writer.give_up(reason));
        if writer.is_in_trouble() {
            stop.abort();
        }
    };
    let over = |over| match &progress {
        Some(progress) => progress.print(|| keep(over)),
        None => keep(over),
    };
    let totals = crawl(&mut plan.frontier, plan.budget, stop, &watch, fetch, over).await;
    if let Some(progress) = progress {
        progress.end().await;
    }
    let gathered = Gathered {
        totals,
        records: Vec::new(),
        earlier,
        left_out: plan.frontier.left_out(),
        expects_pages: true,
        unasked: plan.frontier.unasked(),
        failures: plan.failures,
        cuts: plan.cuts,
        notes: plan.frontier.notes().to_vec(),
        connections: Connections::default(),
    };
    (writer, gathered)
}

/// Fetches pages and reads them.
struct Fetcher {
    web: Web,
    scope: Scope,
    reader: Arc<Reader>,
    shelf: Option<Shelf>,
}

impl Fetcher {
    async fn fetch(self: Rc<Self>, job: Job) -> Fetched<Found> {
        if job.item == WorkItem::Robots {
            return self.web.robots(&job.url, &self.scope).await;
        }
        let start = now();
        let is_wanted = |content_type: &str| {
            job.is_beginning() || self.shelf.is_some() || self.reader.is_for(content_type)
        };
        let answer = match self.web.get_if(&job.url, is_wanted).await {
            Ok(answer) => Arc::new(answer),
            Err(Miss::Unread { status, content_type, reason }) => {
                let (status, skipped) = (Some(status.as_u16()), Some(reason));
                let took_ms = millis(now().duration_since(start));
                let record = Record { status, content_type, skipped, took_ms, ..Record::of(&job) };
                let found = Found { record, leads_to: Vec::new() };
                return Fetched::Page { found, links: Vec::new(), bytes: 0 };
            }
            Err(miss) => {
                if let Miss::Moved { .. } = miss {
                    // What is told of the page is how long it takes where it is.
                    let _timings = self.web.timings(&job.url);
                }
                return miss.into();
            }
        };
        let took = now().duration_since(start);
        let reader = self.reader.clone();
        let is_small = answer.body.len() <= PARSED_ON_THE_LOOP;
        let read = is_small.then(|| reader.read(&answer, STEPS_ON_THE_LOOP));
        let read = match read.filter(|read| read.left == 0) {
            Some(read) => read,
            None => {
                let answer = answer.clone();
                match spawn_blocking(move || reader.read(&answer, MAX_STEPS)).await {
                    Ok(read) => read,
                    Err(error) => return Fetched::Failed(error.to_string()),
                }
            }
        };
        let mut file = None;
        if let Some(shelf) = &self.shelf {
            match shelf.put(job.found_at(), answer.clone()).await {
                Ok(name) => file = Some(name),
                Err(reason) => return Fetched::Failed(reason),
            }
        }
        let bytes = answer.body.len() as u64;
        let record = Record {
            status: Some(answer.status.as_u16()),
            content_type: answer.content_type.clone(),
            bytes,
            took_ms: millis(took),
            links: read.links.len(),
            nofollow: read.nofollow,
            file,
            selected: read.selected,
            cut: read.cut,
            ..Record::of(&job)
        };
        let found = Found { record, leads_to: read.links.clone() };
        Fetched::Page { found, links: read.links, bytes }
    }
}

/// Where bodies are kept.
struct Shelf {
    dir: OutDir,
    /// Whether they are to be JSON, and named after the last part of their address.
    json: bool,
    taken: RefCell<HashSet<String>>,
    /// Why nothing more can be kept.
    trouble: RefCell<Option<String>>,
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
        let written = match written {
            Ok(written) => written.map_err(|error| format!("cannot write to {at}: {error}")),
            Err(error) => Err(error.to_string()),
        };
        // A disk that is full stays so: to fetch on would be for nothing.
        written.inspect_err(|reason| drop(self.trouble.replace(Some(reason.clone()))))?;
        Ok(name)
    }
}
