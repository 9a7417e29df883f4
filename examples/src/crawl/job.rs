//! What a crawl has to fetch, and what can become of it.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;

use super::redirect::{Hop, shown};

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where it is.
    pub url: Url,
    /// What it is for.
    pub item: WorkItem,
    /// How many links it is away from the beginning.
    pub depth: u32,
    /// How many fetches, one after another, had to end before this one could begin.
    pub after: u32,
    /// How often it has been tried already.
    pub tries: u32,
    /// The redirects that have led to `url`.
    pub via: Vec<Hop>,
    /// The number that the frontier gave to its host.
    pub(super) host: usize,
}

impl Job {
    /// Where the page was found: before any redirect.
    pub fn found_at(&self) -> &Url {
        self.via.first().map_or(&self.url, |hop| &hop.url)
    }

    /// Whether it was asked for, and is not a link that was found.
    pub fn is_beginning(&self) -> bool {
        self.depth == 0
    }
}

/// Why a page is left alone that could have been fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// A rule of its host's robots.txt forbids it.
    Forbidden,
    /// A redirect has led to a page that is known already, and is fetched by itself.
    Known,
    /// A redirect has led out of the scope.
    OtherHost,
    /// A redirect has led to what `--include` or `--exclude` leaves out.
    Excluded,
    /// It cannot be had: why.
    Failed(String),
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkItem {
    /// To read what a host asks of crawlers.
    Robots,
    /// To have the page; with its place among all pages, in the order in which they were found,
    /// from 0.
    Page(usize),
}

/// Links that were not followed. One that was found on several pages counts each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Because the bound on pages was reached.
    pub left_out: usize,
    /// Because a robots.txt was known to forbid them.
    pub refused: usize,
    /// Because the robots.txt of their host could not be had.
    pub unasked: usize,
}

/// Why a page was not to be had.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchError {
    /// The host is too busy: 429 or 503.
    Busy {
        /// The status.
        #[serde(with = "http_serde::status_code")]
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Another status that is an error.
    Refused(#[serde(with = "http_serde::status_code")] StatusCode),
    /// It is elsewhere.
    Moved {
        /// The status that says so.
        #[serde(with = "http_serde::status_code")]
        status: StatusCode,
        /// Where it is.
        to: Url,
    },
    /// There is an answer, and its body is not read: it is too long, or not what was asked for.
    Unread {
        /// The status.
        #[serde(with = "http_serde::status_code")]
        status: StatusCode,
        /// Its `Content-Type`.
        content_type: String,
        /// Why.
        reason: String,
    },
    /// No answer: the client's own words.
    Failed(String),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchError::Busy { status, .. } | FetchError::Refused(status) => {
                let reason = status.canonical_reason().map(|reason| format!(" {reason}"));
                write!(f, "{}{}", status.as_str(), reason.unwrap_or_default())
            }
            FetchError::Moved { to, .. } => write!(f, "it redirects to {}", shown(to)),
            FetchError::Unread { reason, .. } | FetchError::Failed(reason) => f.write_str(reason),
        }
    }
}
