//! What `crawl fetch` and `crawl site` share: fetching pages, reading them, printing and keeping
//! what was found.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mainspring::spawn_blocking;
use mainspring::time::now;
use scraper::{Html, Selector};
use serde::de::IgnoredAny;
use url::Url;

use crate::cli::Asking;
use crate::crawl::engine::{Budget, Fetched, Over, Page, Totals, Watch, crawl};
use crate::crawl::frontier::{Errand, Frontier, Job};
use crate::crawl::journal::{Entry, Journal};
use crate::crawl::record::Record;
use crate::extract;
use crate::failure::{Failure, print};
use crate::output::{OutDir, names, records};
use crate::report::progress;
use crate::stop::Stop;
use crate::text::Printable;
use crate::value::{Size, Took};
use crate::web::{Answer, Options, Web};

/// Bodies up to this size, in bytes, are parsed on the loop: it takes less time than handing them
/// to another thread is worth. Larger ones would hold the loop for milliseconds.
const PARSED_ON_THE_LOOP: usize = 64 * 1024;

/// What to do, once the command line has been understood.
pub struct Plan<'a> {
    /// How to ask for pages, and what to do with them.
    pub asking: &'a Asking,
    /// Whom to ask.
    pub web: Web,
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

/// The client that a command line asks for.
#[must_use]
pub fn web(asking: &Asking, connections: usize) -> Web {
    Web::new(&Options {
        connections,
        timeout: Some(asking.timeout),
        max_size: asking.max_size,
        user_agent: asking.user_agent.clone(),
        headers: asking.header.clone(),
        proxy: asking.proxy.clone(),
        archive: asking.har.is_some(),
        accept_invalid_certs: asking.danger_accept_invalid_certs,
    })
}

/// Carries a plan out.
///
/// # Errors
/// One sentence: results cannot be printed or kept. What was fetched until then is kept as far as
/// it can be.
pub async fn gather(mut plan: Plan<'_>, stop: &Stop) -> Result<Gathered, Failure> {
    let reader = Arc::new(Reader {
        select: plan.asking.select.clone(),
        attribute: plan.asking.attr.clone(),
        assets: plan.assets,
    });
    let taken = plan.earlier.iter().filter_map(|record| record.file.clone()).collect();
    let shelf = plan
        .out
        .clone()
        .filter(|_| plan.asking.bodies || plan.asking.json)
        .map(|dir| Rc::new(Shelf { dir, json: plan.asking.json, taken: RefCell::new(taken) }));
    let watch = Watch::default();
    let progress = progress::show(watch.clone());
    let web = plan.web;
    let fetch = |job: &Job| {
        let name = format!("fetch {}", job.url);
        (name, fetch(web.clone(), reader.clone(), shelf.clone(), job.clone()))
    };
    let mut keeper = Keeper {
        out: plan.out,
        journal: plan.journal,
        select: plan.asking.select.is_some(),
        first: plan.earlier.len(),
        lines: InOrder { next: plan.earlier.len(), waiting: BTreeMap::new() },
        records: BTreeMap::new(),
        trouble: None,
    };
    let over = |over| match over {
        Over::Page(page) => keeper.take(page, stop),
        Over::Forbidden { place } => keeper.pass_over(place),
    };
    let totals = crawl(&mut plan.frontier, plan.budget, stop, &watch, fetch, over).await;
    progress.end().await;
    web.write_archive(plan.asking.har.as_deref())?;
    let earlier = plan.earlier.len();
    let mut records = plan.earlier;
    keeper.finish(&mut records)?;
    Ok(Gathered { totals, records, earlier, left_out: plan.frontier.left_out() })
}

/// What a fetch finds.
struct Found {
    record: Record,
    leads_to: Vec<Url>,
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

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
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
        let html = Html::parse_document(&answer.text());
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

/// Keeps and prints pages as they come.
struct Keeper {
    out: Option<OutDir>,
    journal: Option<Journal>,
    select: bool,
    first: usize,
    lines: InOrder,
    records: BTreeMap<usize, Record>,
    trouble: Option<Failure>,
}

impl Keeper {
    fn take(&mut self, page: Page<Found>, stop: &Stop) {
        let (record, leads_to) = match page.result {
            Ok(found) => (found.record, found.leads_to),
            Err(reason) => {
                let error = Some(reason);
                let depth = page.job.depth;
                (Record { error, depth, ..Record::new(page.job.url) }, Vec::new())
            }
        };
        let mut entry =
            Entry { record: Record { began_ms: millis(page.began), ..record }, leads_to };
        if entry.record.error.is_some() {
            entry.record.took_ms = millis(page.ended.saturating_sub(page.began));
        }
        if self.trouble.is_none() {
            self.trouble = self.keep(&entry).err();
        }
        let lines = self.lines_of(&entry.record);
        self.print(page.place, lines);
        self.records.insert(page.place, entry.record);
        if self.trouble.is_some() {
            // Nothing more can be kept or told: fetching on would be for nothing.
            stop.ask();
        }
    }

    /// Takes note that a page will not come, so that nobody waits for it.
    fn pass_over(&mut self, place: usize) {
        self.print(place, String::new());
    }

    fn print(&mut self, place: usize, lines: String) {
        let lines = self.lines.ready(place, lines);
        if self.trouble.is_none() && !lines.is_empty() {
            self.trouble = print(&lines).err();
        }
    }

    /// Tells the journal, then puts the body in its place: in this order, so that the line in the
    /// journal decides whether the page is stored.
    fn keep(&mut self, entry: &Entry) -> Result<(), Failure> {
        if entry.record.error.is_some() {
            return Ok(());
        }
        if let Some(journal) = &mut self.journal {
            let told = journal.tell(entry);
            told.map_err(|error| format!("cannot write to the journal: {error}"))?;
        }
        if let (Some(out), Some(file)) = (&self.out, &entry.record.file) {
            let revealed = out.reveal(file);
            revealed.map_err(|error| format!("cannot write {file}: {error}"))?;
        }
        Ok(())
    }

    fn lines_of(&self, record: &Record) -> String {
        if record.error.is_some() {
            return String::new();
        }
        if self.select {
            return record.selected.iter().map(|line| format!("{}\n", Printable(line))).collect();
        }
        format!(
            "{}  {:>9}  {:>8}  {}\n",
            record.status.unwrap_or_default(),
            Size(record.bytes),
            Took(Duration::from_secs_f64(record.took_ms / 1e3)),
            Printable(record.url.as_str()),
        )
    }

    /// Prints what still waits for pages that never came, and writes the files.
    fn finish(mut self, records: &mut Vec<Record>) -> Result<(), Failure> {
        let rest: String = std::mem::take(&mut self.lines.waiting).into_values().collect();
        if self.trouble.is_none() && !rest.is_empty() {
            self.trouble = print(&rest).err();
        }
        debug_assert_eq!(records.len(), self.first, "earlier pages come first");
        records.extend(self.records.into_values());
        if let Some(out) = &self.out {
            let at = out.path().display();
            let written = records::write(out, records);
            written.map_err(|error| format!("cannot write to {at}: {error}"))?;
        }
        self.trouble.map_or(Ok(()), Err)
    }
}

/// Lets lines out in the order of the pages they belong to, each as soon as all before it are
/// there.
struct InOrder {
    next: usize,
    waiting: BTreeMap<usize, String>,
}

impl InOrder {
    /// Takes the lines of the page in this place; returns all that may be printed now.
    fn ready(&mut self, place: usize, lines: String) -> String {
        self.waiting.insert(place, lines);
        let mut ready = String::new();
        while let Some(lines) = self.waiting.remove(&self.next) {
            self.next += 1;
            ready.push_str(&lines);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_in_the_order_of_their_pages() {
        let mut lines = InOrder { next: 3, waiting: BTreeMap::new() };
        assert_eq!(lines.ready(5, "c".into()), "");
        assert_eq!(lines.ready(3, "a".into()), "a");
        assert_eq!(lines.ready(4, String::new()), "c");
        assert_eq!(lines.ready(6, "d".into()), "d");
    }
}
