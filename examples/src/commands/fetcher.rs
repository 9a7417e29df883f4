//! How `crawl fetch` and `crawl site` fetch one page: asked for, read, and its body kept.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::spawn_blocking;
use mainspring::time::now;
use serde::de::IgnoredAny;
use url::Url;

use crate::answer::Answer;
use crate::celery::Workers;
use crate::crawl::engine::Fetched;
use crate::crawl::job::{Job, WorkItem};
use crate::crawl::journal::Entry;
use crate::crawl::record::Record;
use crate::crawl::scope::Scope;
use crate::extract::MAX_STEPS;
use crate::output::{OutDir, names};
use crate::reader::Reader;
use crate::text::shortened;
use crate::value::millis;
use crate::web::{FetchError, Web};

/// Bodies up to this size, in bytes, are parsed on the loop: it takes less time than handing them
/// to another thread is worth. Larger ones would hold the loop for milliseconds.
const PARSED_ON_THE_LOOP: usize = 64 * 1024;

/// How many steps that may take; a small page that is nested deep takes more.
const STEPS_ON_THE_LOOP: usize = 1_000_000;

/// Fetches pages and reads them.
pub(super) struct Fetcher {
    pub(super) web: Web,
    pub(super) scope: Scope,
    pub(super) reader: Arc<Reader>,
    pub(super) bodies: Option<BodyStore>,
    /// Workers that fetch and read pages in our stead.
    pub(super) workers: Option<Workers>,
}

impl Fetcher {
    /// Does what a job asks for.
    pub(super) async fn fetch(self: Rc<Self>, job: Job) -> Fetched<Entry> {
        match job.item {
            WorkItem::Robots => self.web.robots(&job.url, &self.scope).await,
            WorkItem::Page(_) => self.page(&job).await.unwrap_or_else(Fetched::Not),
        }
    }

    async fn page(&self, job: &Job) -> Result<Fetched<Entry>, FetchError> {
        let start = now();
        let is_wanted = |content_type: &str| {
            job.is_beginning() || self.bodies.is_some() || self.reader.is_for(content_type)
        };
        let got = match &self.workers {
            None => {
                let got = self.web.get_if(&job.url, is_wanted).await;
                got.map(|answer| (None, answer.body.len() as u64, answer))
            }
            Some(workers) => {
                let only_pages = !job.is_beginning() && self.bodies.is_none();
                let got = workers.get(&job.url, &self.web, only_pages).await;
                got.map(|(answer, read, bytes)| (Some(read), bytes, answer))
            }
        };
        let took_ms = millis(now().duration_since(start));
        if let Err(FetchError::Unread { status, content_type, reason }) = got {
            let (status, skipped) = (Some(status.as_u16()), Some(reason));
            let record = Record { status, content_type, skipped, took_ms, ..Record::of(job) };
            let (leads_to, links) = (Vec::new(), Vec::new());
            return Ok(Fetched::Page { found: Entry { record, leads_to }, links, bytes: 0 });
        }
        let (read, bytes, answer) = got?;
        let (answer, reader) = (Arc::new(answer), self.reader.clone());
        let is_small = answer.body.len() <= PARSED_ON_THE_LOOP;
        let read = read.or_else(|| is_small.then(|| reader.read(&answer, STEPS_ON_THE_LOOP)));
        let read = match read.filter(|read| read.left == 0) {
            Some(read) => read,
            None => {
                let answer = answer.clone();
                let read = spawn_blocking(move || reader.read(&answer, MAX_STEPS)).await;
                read.map_err(|error| FetchError::Failed(error.to_string()))?
            }
        };
        let file = match &self.bodies {
            Some(bodies) => Some(bodies.put(job.found_at(), answer.clone()).await?),
            None => None,
        };
        let record = Record {
            status: Some(answer.status.as_u16()),
            content_type: answer.content_type.clone(),
            bytes,
            took_ms,
            links: read.links.len(),
            nofollow: read.nofollow,
            file,
            selected: read.selected,
            cut: read.cut,
            ..Record::of(job)
        };
        let found = Entry { record, leads_to: read.links.clone() };
        Ok(Fetched::Page { found, links: read.links, bytes })
    }
}

/// Where bodies are kept.
pub(super) struct BodyStore {
    pub(super) dir: OutDir,
    /// Whether they are to be JSON, and named after the last part of their address.
    pub(super) json: bool,
    pub(super) taken: RefCell<HashSet<String>>,
    /// Why nothing more can be kept.
    pub(super) trouble: RefCell<Option<String>>,
}

impl BodyStore {
    /// Writes a body where it is not yet in its place; returns the name that it will have.
    async fn put(&self, url: &Url, answer: Arc<Answer>) -> Result<String, FetchError> {
        let name = if self.json {
            if let Err(error) = serde_json::from_slice::<IgnoredAny>(&answer.body) {
                let (status, kind) = (answer.status.as_str(), shortened(&answer.content_type, 80));
                let start = shortened(&String::from_utf8_lossy(&answer.body), 60);
                return Err(FetchError::Failed(format!(
                    "the answer is not JSON: {error}; it is {status} {kind:?}, and begins {start:?}"
                )));
            }
            format!("{}.json", names::last_part(url))
        } else {
            names::file_name(url, &answer.content_type)
        };
        if !self.taken.borrow_mut().insert(name.clone()) {
            return Err(FetchError::Failed(format!("another page is kept as {name}")));
        }
        let (dir, file) = (self.dir.clone(), name.clone());
        // The file system may keep a thread waiting: not the loop's.
        let prepared =
            spawn_blocking(move || dir.prepare(&file, |file| file.write_all(&answer.body))).await;
        let written = prepared.unwrap_or_else(|error| Err(io::Error::other(error.to_string())));
        written.map(|()| name).map_err(|error| {
            let reason = format!("cannot write to {}: {error}", self.dir.path().display());
            // A disk that is full stays so: to fetch on would be for nothing.
            self.trouble.replace(Some(reason.clone()));
            FetchError::Failed(reason)
        })
    }
}
