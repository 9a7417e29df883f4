//! What `crawl fetch` and `crawl site` share: fetching pages, reading them, printing and keeping
//! what was found.

use std::cell::RefCell;
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::Runtime;
use mainspring_http::{Client, CookieJar, Stats, redact_url};
use mainspring_microscope::Recorder;
use scraper::selector::ToCss;
use serde_json::json;

use super::fetcher::{BodyStore, Fetcher};
use super::result_writer::ResultWriter;
use crate::celery::Workers;
use crate::cli::Asking;
use crate::crawl::account::{Budget, End, Told, Totals, Watch};
use crate::crawl::engine::{Over, crawl};
use crate::crawl::frontier::Frontier;
use crate::crawl::job::{Counts, Job};
use crate::crawl::journal::Journal;
use crate::crawl::record::Record;
use crate::credentials::Credentials;
use crate::failure::{Failure, exit_code};
use crate::har::HarRecorder;
use crate::live;
use crate::machine::raise_descriptor_limit;
use crate::options::Options;
use crate::output::{OutDir, check};
use crate::reader::Reader;
use crate::report::progress;
use crate::stop::Stop;
use crate::text::{STDERR, Text};
use crate::timings::RequestTimer;
use crate::trace;
use crate::web::{Notes, Web};

/// What to do, once the command line has been understood.
pub struct Plan {
    /// Where to begin and how far to go.
    pub frontier: Frontier,
    /// What may be spent.
    pub budget: Budget,
    /// Whether there are to be pages at all: there are none where no time was given for them.
    pub expects_pages: bool,
    /// Whether images, scripts and style sheets are links too.
    pub assets: bool,
    /// Where pages that are over are told.
    pub journal: Option<Journal>,
    /// Pages of earlier runs.
    pub earlier: Vec<Record>,
    /// What there is to tell before the crawl begins.
    pub told: Told,
}

impl Plan {
    /// To fetch what is in `frontier`, and to keep nothing.
    pub fn new(frontier: Frontier, budget: Budget) -> Plan {
        let (earlier, told) = (Vec::new(), Told::default());
        Plan { frontier, budget, expects_pages: true, assets: false, journal: None, earlier, told }
    }
}

/// What came of it.
pub struct Gathered {
    /// In numbers.
    pub totals: Totals,
    /// Every page, those of earlier runs first, in the order in which they were found.
    pub records: Vec<Record>,
    /// How many of them are of earlier runs.
    pub earlier: usize,
    /// Links that were not followed.
    pub counts: Counts,
    /// How connections were used.
    pub connections: Stats,
    /// Besides pages.
    pub told: Told,
    expects_pages: bool,
    stopped: bool,
}

impl Gathered {
    /// What a script wants to know: 130 after a stop, 1 after a failure and where nothing was had of
    /// what was asked for, else 0.
    pub fn exit_code(&self) -> ExitCode {
        let failed = self.totals.failures > 0 || !self.told.failures.is_empty();
        exit_code(self.stopped, !failed && self.has_any())
    }

    /// Whether any page was had, in this run or an earlier one, or none was expected.
    fn has_any(&self) -> bool {
        !self.expects_pages || self.records.iter().any(Record::is_had)
    }

    /// Says on stderr which pages failed and why, what was left alone, and what a limit has cut.
    pub fn tell(&self) {
        let mut said = String::new();
        for record in &self.records[self.earlier..] {
            let is_told = record.depth == 0 || record.redirects.is_empty();
            for (what, why) in [
                ("failed", record.error.as_ref()),
                ("not read", record.skipped.as_ref().filter(|_| is_told)),
                ("cut", record.cut.as_ref()),
            ] {
                let Some(why) = why else { continue };
                let (url, why) = (redact_url(&record.url), Text(why, &STDERR));
                said += &format!("{what}: {}: {why}\n", Text(&url, &STDERR));
            }
        }
        let Told { failures, cuts, notes } = &self.told;
        for (what, told) in [("failed", failures), ("cut", cuts), ("note", notes)] {
            for line in told {
                said += &format!("{what}: {}\n", Text(line, &STDERR));
            }
        }
        if !self.has_any() && self.totals.end != End::Asked {
            said += "crawl: nothing was fetched of what was asked for\n";
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
    plan: impl AsyncFnOnce(&Web, &Stop) -> Result<Plan, Failure>,
) -> Result<Gathered, Failure> {
    raise_descriptor_limit()?;
    let trace = asking.trace.clone().or_else(trace::asked);
    check(trace.iter().chain(&asking.sending.har))?;
    let out = asking.out.as_deref().map(OutDir::open).transpose()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let sending = &asking.sending;
    let options = Options {
        connections: concurrency,
        timeout: Some(asking.timeout).filter(|timeout| !timeout.is_zero()),
        max_size: asking.max_size,
        user_agent: sending.user_agent.clone(),
        credentials,
        cookies: asking.cookies.then(CookieJar::new),
    };
    let archive = sending.har.as_ref().map(|_| HarRecorder::default());
    let notes = Notes { timer: Some(RequestTimer::default()), archive: archive.clone() };
    let client = sending.set_up(Client::builder())?;
    let client = client.danger_accept_invalid_certs(asking.danger_accept_invalid_certs);
    let web = Web::with(client, &options, notes);
    // Read by now: it is a file with certificates.
    let cacert = sending.cacert.as_ref().and_then(|path| std::fs::read(path).ok());
    let cacert = cacert.map(|pem| String::from_utf8_lossy(&pem).into_owned());
    let recorder = Recorder::default();
    let live = live::watch(&recorder, asking.watches(), title, &stop)?;
    let mut runtime = trace::runtime(Runtime::builder().name(title).observer(live.observer()))?;
    let outcome = runtime.block_on(async {
        let producer = asking.sharing.producer(&stop).await?;
        let mut plan = plan(&web, &stop).await?;
        let workers = producer.map(|producer| {
            let body = out.is_some() && (asking.bodies || asking.json);
            let without: Vec<String> = sending.removed().iter().map(ToString::to_string).collect();
            let more = json!({"assets": plan.assets, "attr": asking.attr, "body": body,
                "cacert": cacert, "har": archive.is_some(), "nofollow": asking.nofollow,
                "insecure": asking.danger_accept_invalid_certs, "without": without,
                "proxy": sending.proxies.named(),
                "select": asking.select.as_ref().map(ToCss::to_css_string)});
            Workers::new(producer, &options, &more, &stop)
        });
        let earlier = std::mem::take(&mut plan.earlier);
        let taken = earlier.iter().filter_map(|record| record.file.clone()).collect();
        let bodies = out.clone().filter(|_| asking.bodies || asking.json).map(|dir| BodyStore {
            dir,
            json: asking.json,
            taken: RefCell::new(taken),
            trouble: RefCell::default(),
        });
        let reader = Arc::new(Reader {
            select: asking.select.clone(),
            attribute: asking.attr.clone(),
            assets: plan.assets,
            nofollow: asking.nofollow,
        });
        let scope = plan.frontier.scope();
        let fetcher = Fetcher { web: web.clone(), scope, reader, bodies, workers };
        let writer = ResultWriter::new(asking, out, plan.journal.take(), earlier)?;
        Ok::<_, Failure>(carry_out(plan, fetcher.into(), writer, !asking.watches(), &stop).await)
    });
    // The view gives the terminal back before anything is printed to it.
    drop((runtime, live));
    let (writer, gathered) = outcome?;
    let records = writer.finish()?;
    if let (Some(path), Some(archive)) = (&sending.har, &archive) {
        archive.write(path)?;
    }
    if let Some(path) = &trace {
        trace::write(path, &[recorder.trace().titled(title)])?;
    }
    let mut told = gathered.told;
    told.notes.extend(sending.proxies.ignored());
    Ok(Gathered { records, connections: web.stats(), told, ..gathered })
}

/// Carries a plan out; the results are still to be finished.
async fn carry_out(
    mut plan: Plan,
    fetcher: Rc<Fetcher>,
    mut writer: ResultWriter,
    shows_progress: bool,
    stop: &Stop,
) -> (ResultWriter, Gathered) {
    let watch = Watch::default();
    let progress = shows_progress.then(|| progress::show(watch.clone()));
    let fetch =
        |job: &Job| (format!("fetch {}", redact_url(&job.url)), fetcher.clone().fetch(job.clone()));
    let earlier = writer.earlier.len();
    let mut keep = |over| {
        match over {
            Over::Page(page) => {
                let timings = fetcher.web.timings(&page.job.url);
                writer.take(page, timings);
            }
            Over::Left { job, place, why } => writer.leave(&job, place, &why),
        }
        let full = fetcher.bodies.as_ref().and_then(|bodies| bodies.trouble.take());
        let useless = fetcher.workers.as_ref().and_then(|workers| workers.trouble.take());
        full.into_iter().chain(useless).for_each(|reason| writer.give_up(reason));
        if writer.trouble.is_some() {
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
    plan.told.notes.append(&mut plan.frontier.notes);
    let gathered = Gathered {
        totals,
        records: Vec::new(),
        earlier,
        counts: plan.frontier.counts,
        connections: Stats::default(),
        told: plan.told,
        expects_pages: plan.expects_pages,
        stopped: stop.is_asked(),
    };
    (writer, gathered)
}
