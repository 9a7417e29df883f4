//! What `crawl fetch` and `crawl site` share: fetching pages, reading them, printing and keeping
//! what was found.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::Runtime;
use mainspring_http::CookieJar;
use mainspring_microscope::Recorder;
use scraper::selector::ToCss;
use serde_json::json;
use url::Url;

use super::fetcher::{BodyStore, Fetcher};
use super::result_writer::ResultWriter;
use crate::celery::Workers;
use crate::cli::Asking;
use crate::crawl::account::{Budget, End, Totals, Watch};
use crate::crawl::engine::{Over, crawl};
use crate::crawl::frontier::Frontier;
use crate::crawl::job::{Counts, Job};
use crate::crawl::journal::Journal;
use crate::crawl::record::Record;
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::live;
use crate::options::{Options, trusting};
use crate::output::{OutDir, check};
use crate::reader::Reader;
use crate::report::progress;
use crate::stop::Stop;
use crate::text::{STDERR, Text};
use crate::trace;
use crate::web::{Connections, Web};

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
    /// Links that were not followed.
    pub counts: Counts,
    /// Whether there are to be pages at all: there are none where no time was given for them.
    pub expects_pages: bool,
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
    let options = options(asking, credentials, concurrency);
    let web = Web::with(trusting(asking.cacert.as_deref())?, &options);
    // Read by now: it is a file with certificates.
    let cacert = asking.cacert.as_ref().and_then(|path| std::fs::read(path).ok());
    let cacert = cacert.map(|pem| String::from_utf8_lossy(&pem).into_owned());
    let recorder = Recorder::default();
    let live = live::watch(&recorder, asking.live, title, stop)?;
    let mut runtime = trace::runtime(Runtime::builder().name(title).observer(live.observer()))?;
    let outcome = runtime.block_on(async {
        let producer = asking.sharing.producer(stop).await?;
        let plan = plan(&web).await?;
        let workers = producer.map(|producer| {
            let body = plan.out.is_some() && (asking.bodies || asking.json);
            let more = json!({"assets": plan.assets, "attr": asking.attr, "body": body,
                "cacert": cacert, "nofollow": asking.nofollow,
                "proxy": asking.proxy.as_ref().map(|via| &via.url),
                "select": asking.select.as_ref().map(ToCss::to_css_string)});
            Workers::new(producer, &options, &more)
        });
        Ok::<_, Failure>(carry_out(plan, asking, &web, workers, stop).await)
    });
    // The view gives the terminal back before anything is printed to it.
    drop((runtime, live));
    let (writer, gathered) = outcome?;
    let records = writer.finish()?;
    web.write_archive(asking.har.as_deref())?;
    if let Some(path) = &asking.trace {
        trace::write(path, &[recorder.trace().titled(title)])?;
    }
    Ok(Gathered { records, connections: web.connections(), ..gathered })
}

/// The client that a command line asks for.
fn options(asking: &Asking, credentials: Credentials, connections: usize) -> Options {
    let removed = asking.header.iter().filter(|(_, value)| value.is_none());
    Options {
        connections,
        timeout: Some(asking.timeout).filter(|timeout| !timeout.is_zero()),
        max_size: asking.max_size,
        user_agent: asking.user_agent.clone(),
        removed: removed.map(|(name, _)| name.clone()).collect(),
        credentials,
        proxy: asking.proxy.as_ref().map(|via| via.proxy.clone()),
        archive: asking.har.is_some(),
        timed: true,
        cookies: asking.cookies.then(CookieJar::new),
        accept_invalid_certs: asking.danger_accept_invalid_certs,
    }
}

/// Carries a plan out; the results are still to be finished.
async fn carry_out(
    mut plan: Plan,
    asking: &Asking,
    web: &Web,
    workers: Option<Workers>,
    stop: &Stop,
) -> (ResultWriter, Gathered) {
    let taken = plan.earlier.iter().filter_map(|record| record.file.clone()).collect();
    let bodies = plan.out.clone().filter(|_| asking.bodies || asking.json).map(|dir| BodyStore {
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
        bodies,
        workers,
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
        let full = fetcher.bodies.as_ref().and_then(|bodies| bodies.trouble.take());
        let useless = fetcher.workers.as_ref().and_then(|workers| workers.trouble.take());
        full.into_iter().chain(useless).for_each(|reason| writer.give_up(reason));
        if writer.is_in_trouble() {
            stop.abort();
        }
    };
    let over = |over| match &progress {
        Some(progress) => progress.print(|| keep(over)),
        None => keep(over),
    };
    let totals = crawl(&mut plan.frontier, plan.budget, stop, &watch, fetch, over).await;
    if let Some(workers) = &fetcher.workers {
        workers.settled().await;
    }
    if let Some(progress) = progress {
        progress.end().await;
    }
    let gathered = Gathered {
        totals,
        records: Vec::new(),
        earlier,
        counts: plan.frontier.counts(),
        expects_pages: true,
        failures: plan.failures,
        cuts: plan.cuts,
        notes: plan.frontier.notes().to_vec(),
        connections: Connections::default(),
    };
    (writer, gathered)
}
