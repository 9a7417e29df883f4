//! What is told of one page: in a journal, in `pages.jsonl` and in `pages.csv`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::job::Job;
use super::redirect::Hop;
use crate::timings::Timings;

/// One page that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its address, as it was found.
    pub url: Url,
    /// Where redirects have led.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Url>,
    /// The redirects that have led there, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Hop>,
    /// Its status, if there was an answer below 400; of the last redirect, if it was left there.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was not read, if that is no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What a limit has cut from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// How many links it is away from the beginning.
    pub depth: u32,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Bytes of its body.
    pub bytes: u64,
    /// From the start of its run to the start of its fetch, in milliseconds.
    pub began_ms: f64,
    /// How long the fetch took, waits for a place not counted, in milliseconds.
    pub took_ms: f64,
    /// How that time was spent.
    #[serde(flatten)]
    pub timings: Timings,
    /// How many links it has.
    pub links: usize,
    /// How many more it has that are not followed since it asks for that (`nofollow`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nofollow: usize,
    /// The file that its body is kept in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was selected from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selected: Vec<String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Record {
    /// Whether the page was had: fetched and read.
    pub fn is_had(&self) -> bool {
        self.error.is_none() && self.skipped.is_none()
    }

    /// A record of a page that says nothing yet but how it was found and reached.
    pub fn of(job: &Job) -> Record {
        let moved_to = (!job.via.is_empty()).then(|| job.url.clone());
        let (redirects, depth) = (job.via.clone(), job.depth);
        Record { moved_to, redirects, depth, ..Record::new(job.found_at().clone()) }
    }

    /// A record that says nothing yet but which page it is about.
    pub fn new(url: Url) -> Record {
        Record {
            url,
            moved_to: None,
            redirects: Vec::new(),
            status: None,
            error: None,
            skipped: None,
            cut: None,
            depth: 0,
            content_type: String::new(),
            bytes: 0,
            began_ms: 0.0,
            took_ms: 0.0,
            timings: Timings::default(),
            links: 0,
            nofollow: 0,
            file: None,
            selected: Vec::new(),
        }
    }
}
