//! How `crawl fetch` and `crawl site` fetch one page: asked for, read, and its body kept.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use mainspring::spawn_blocking;
use mainspring::time::now;
use scraper::Selector;
use serde::de::IgnoredAny;
use url::Url;

use super::result_writer::Found;
use crate::celery::Workers;
use crate::crawl::engine::Fetched;
use crate::crawl::job::{Job, WorkItem};
use crate::crawl::record::Record;
use crate::crawl::scope::Scope;
use crate::credentials::take_userinfo;
use crate::extract::{self, MAX_STEPS};
use crate::output::{OutDir, names};
use crate::value::millis;
use crate::web::{Answer, FetchError, Web};

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
    /// What fetches and reads pages in our stead.
    pub(super) workers: Option<Workers>,
}

impl Fetcher {
    /// Does what a job asks for.
    pub(super) async fn fetch(self: Rc<Self>, job: Job) -> Fetched<Found> {
        if job.item == WorkItem::Robots {
            return self.web.robots(&job.url, &self.scope).await;
        }
        let start = now();
        let is_wanted = |content_type: &str| {
            job.is_beginning() || self.bodies.is_some() || self.reader.is_for(content_type)
        };
        let got = match &self.workers {
            None => self.web.get_if(&job.url, is_wanted).await.map(|answer| (answer, None)),
            Some(workers) => {
                let only_pages = !job.is_beginning() && self.bodies.is_none();
                let got = workers.get(&job.url, self.web.fields_for(&job.url), only_pages).await;
                got.map(|(answer, read, bytes)| (answer, Some((read, bytes))))
            }
        };
        let (answer, remote) = match got {
            Ok((answer, remote)) => (Arc::new(answer), remote),
            Err(FetchError::Unread { status, content_type, reason }) => {
                let (status, skipped) = (Some(status.as_u16()), Some(reason));
                let took_ms = millis(now().duration_since(start));
                let record = Record { status, content_type, skipped, took_ms, ..Record::of(&job) };
                let found = Found { record, leads_to: Vec::new() };
                return Fetched::Page { found, links: Vec::new(), bytes: 0 };
            }
            Err(error) => {
                if let FetchError::Moved { .. } = error {
                    // What is told of the page is how long it takes where it is.
                    let _timings = self.web.timings(&job.url);
                }
                return error.into();
            }
        };
        let took = now().duration_since(start);
        let reader = self.reader.clone();
        let is_small = answer.body.len() <= PARSED_ON_THE_LOOP;
        let (read, bytes) = match remote {
            Some((read, bytes)) => (Some(read), bytes),
            None => {
                let read = is_small.then(|| reader.read(&answer, STEPS_ON_THE_LOOP));
                (read, answer.body.len() as u64)
            }
        };
        let read = match read.filter(|read| read.is_whole) {
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
        if let Some(bodies) = &self.bodies {
            match bodies.put(job.found_at(), answer.clone()).await {
                Ok(name) => file = Some(name),
                Err(reason) => return Fetched::Failed(reason),
            }
        }
        let record = Record {
            status: Some(answer.status.as_u16()),
            content_type: answer.content_type.clone(),
            bytes,
            took_ms: millis(took),
            links: read.links.len(),
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

/// Reads pages: on the loop or off it.
pub(crate) struct Reader {
    pub(crate) select: Option<Selector>,
    pub(crate) attribute: Option<String>,
    pub(crate) assets: bool,
}

/// What was read from a page.
pub(crate) struct Read {
    /// No limit has cut the page short.
    pub(crate) is_whole: bool,
    pub(crate) links: Vec<Url>,
    pub(crate) selected: Vec<String>,
    /// What limits have cut.
    pub(crate) cut: Option<String>,
}

impl Reader {
    /// Whether a linked body of this type is of use: it may hold links, is a text, or is of the kind
    /// that pages show and the command line asks for.
    pub(crate) fn is_for(&self, content_type: &str) -> bool {
        let kind = content_type.trim_start().to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| kind.contains(part));
        !kind.contains('/')
            || has(&["text/", "html", "xml", "json", "javascript"])
            || (self.assets && has(&["image/", "audio/", "video/", "font"]))
    }

    /// The links of a page, and what was selected from it.
    pub(crate) fn read(&self, answer: &Answer, max_steps: usize) -> Read {
        if !answer.is_html() {
            return Read { is_whole: true, links: Vec::new(), selected: Vec::new(), cut: None };
        }
        let (html, is_whole) = extract::html(&answer.text(), max_steps);
        // Links are relative to where redirects have led, not to where the link pointed.
        let (mut links, mut left_out) = extract::links(&html, &answer.url);
        if self.assets {
            let (assets, more) = extract::assets(&html, &answer.url);
            links.extend(assets);
            left_out += more;
        }
        // Credentials in a link are the page's, not ours: they are neither sent nor kept.
        links.iter_mut().for_each(|link| drop(take_userinfo(link)));
        let select = |selector| extract::select(&html, selector, self.attribute.as_deref());
        let selected = self.select.as_ref().map(select).unwrap_or_default();
        let deep = (!is_whole).then(|| "its elements are nested too deep to read all".to_owned());
        let many = (left_out > 0).then(|| format!("{left_out} links are too many or too long"));
        let cut: Vec<String> = deep.into_iter().chain(many).collect();
        Read { is_whole, links, selected, cut: (!cut.is_empty()).then(|| cut.join(", ")) }
    }
}
