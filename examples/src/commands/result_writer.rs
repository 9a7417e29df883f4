//! What becomes of the pages that `crawl fetch` and `crawl site` fetch: told to the journal,
//! put in their place, printed, and listed in files at the end.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use mainspring_http::redact_url;

use crate::cli::Asking;
use crate::crawl::engine::Page;
use crate::crawl::job::{Job, Left};
use crate::crawl::journal::{Entry, Journal};
use crate::crawl::record::Record;
use crate::crawl::redirect::shown;
use crate::failure::{Failure, print};
use crate::output::{OutDir, records};
use crate::text::{STDOUT, Text};
use crate::timings::Timings;
use crate::value::{Size, Took, millis};

/// Keeps and prints pages as they come.
pub struct ResultWriter {
    out: Option<OutDir>,
    journal: Option<Journal>,
    /// Print what was selected, instead of a line per page.
    select: bool,
    /// Print nothing before the end: the terminal shows something else.
    held: Option<String>,
    /// Pages of earlier runs.
    pub earlier: Vec<Record>,
    lines: InOrder,
    /// Pages of this run, by their places.
    records: BTreeMap<usize, Record>,
    /// What could not be kept or told. Fetching on would be for nothing then;
    /// [`ResultWriter::finish`] says why.
    pub trouble: Option<Failure>,
}

impl ResultWriter {
    /// A writer for the run that a command line asks for, after `earlier` ones. Finishes what a kill
    /// may have left half done: bodies that the journal tells of and that are not in their place yet.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn new(
        asking: &Asking,
        out: Option<OutDir>,
        journal: Option<Journal>,
        earlier: Vec<Record>,
    ) -> Result<ResultWriter, Failure> {
        for record in &earlier {
            reveal(out.as_ref(), record)?;
        }
        Ok(ResultWriter {
            out,
            journal,
            select: asking.select.is_some(),
            held: (asking.watches() && io::stdout().is_terminal()).then(String::new),
            lines: InOrder { next: earlier.len(), waiting: BTreeMap::new() },
            earlier,
            records: BTreeMap::new(),
            trouble: None,
        })
    }

    /// Keeps a page that is over, whose phases took as long as `timings` says.
    pub fn take(&mut self, page: Page<Entry>, timings: Timings) {
        let mut entry = page.result.unwrap_or_else(|reason| {
            let took_ms = millis(page.ended.saturating_sub(page.began));
            let record = Record { error: Some(reason), took_ms, ..Record::of(&page.job) };
            Entry { record, leads_to: Vec::new() }
        });
        (entry.record.began_ms, entry.record.timings) = (millis(page.began), timings);
        let is_kept = entry.record.is_had();
        self.put(page.place, entry, is_kept);
    }

    /// Takes note that a page was left alone. Of a link that robots.txt forbids nothing is told: there
    /// may be any number.
    pub fn leave(&mut self, job: &Job, place: usize, why: &Left) {
        if job.via.is_empty() && !job.is_beginning() {
            return self.print(place, String::new());
        }
        let to = shown(&job.url);
        let skipped = match why {
            Left::Forbidden => format!("the robots.txt of its host forbids {to}"),
            Left::Known => format!("it redirects to {to}, which is known already"),
            Left::OtherHost => format!("it redirects to {to}, which is out of scope"),
            Left::Excluded => {
                format!("it redirects to {to}, which --include or --exclude leaves out")
            }
            Left::Failed(reason) => reason.clone(),
        };
        let status = job.via.last().map(|hop| hop.status);
        let record = Record { status, skipped: Some(skipped), ..Record::of(job) };
        // What it leads to is told by itself, and may yet be to be fetched.
        let is_kept = *why == Left::Known;
        self.put(place, Entry { record, leads_to: Vec::new() }, is_kept);
    }

    fn put(&mut self, place: usize, entry: Entry, is_kept: bool) {
        if self.trouble.is_none() && is_kept {
            self.trouble = self.keep(&entry).err();
        }
        let lines = self.lines_of(&entry.record);
        self.print(place, lines);
        self.records.insert(place, entry.record);
    }

    /// Takes note that nothing more can be kept.
    pub fn give_up(&mut self, reason: String) {
        self.trouble.get_or_insert(Failure::Said(reason));
    }

    fn print(&mut self, place: usize, lines: String) {
        let lines = self.lines.ready(place, lines);
        match &mut self.held {
            Some(held) => held.push_str(&lines),
            None if self.trouble.is_some() || lines.is_empty() => {}
            None => self.trouble = print(&lines).err(),
        }
    }

    /// Tells the journal, then puts the body in its place: in this order, so that the line in the
    /// journal decides whether the page is stored.
    fn keep(&mut self, entry: &Entry) -> Result<(), Failure> {
        if let Some(journal) = &mut self.journal {
            let told = journal.tell(entry);
            told.map_err(|error| format!("cannot write to the journal: {error}"))?;
        }
        reveal(self.out.as_ref(), &entry.record)
    }

    fn lines_of(&self, record: &Record) -> String {
        let (None, Some(status)) = (&record.error, record.status) else { return String::new() };
        if self.select {
            let line = |text: &String| format!("{}\n", Text(text, &STDOUT));
            return record.selected.iter().map(line).collect();
        }
        let took = Took(Duration::from_secs_f64(record.took_ms / 1e3));
        let (size, url) = (Size(record.bytes), redact_url(&record.url));
        format!("{status}  {size:>9}  {took:>8}  {}\n", Text(&url, &STDOUT))
    }

    /// Prints what still waits for pages that never came, and writes the files; returns all
    /// pages, those of earlier runs first, in the order in which they were found.
    ///
    /// # Errors
    /// One sentence: what could not be printed or kept, here or before. The files are written
    /// nonetheless, if they can be.
    pub fn finish(mut self) -> Result<Vec<Record>, Failure> {
        let mut rest = self.held.take().unwrap_or_default();
        rest.extend(std::mem::take(&mut self.lines.waiting).into_values());
        if self.trouble.is_none() && !rest.is_empty() {
            self.trouble = print(&rest).err();
        }
        let mut records = self.earlier;
        records.extend(self.records.into_values());
        if let Some(out) = &self.out {
            let at = out.path().display();
            let written = records::write(out, &records);
            let written = written.map_err(|error| format!("cannot write to {at}: {error}"));
            // What went wrong first is the cause.
            self.trouble = self.trouble.or(written.err().map(Failure::Said));
        }
        self.trouble.map_or(Ok(records), Err)
    }
}

/// Puts the body of a page in its place, if it is kept.
fn reveal(out: Option<&OutDir>, record: &Record) -> Result<(), Failure> {
    if let (Some(out), Some(file)) = (out, &record.file) {
        out.reveal(file).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    Ok(())
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
