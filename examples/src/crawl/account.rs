//! A crawl in numbers: what may be spent on it, where it stands, and what it amounts to.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What may be spent on a crawl.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Pages in flight at once.
    pub concurrency: usize,
    /// Bytes of bodies; what is in flight when they are reached still comes.
    pub bytes: u64,
    /// From first to last; what is in flight when it is over still comes.
    pub time: Duration,
}

impl Budget {
    /// So many pages at once, and no end.
    pub fn unlimited(concurrency: usize) -> Budget {
        Budget { concurrency, bytes: u64::MAX, time: Duration::MAX }
    }
}

/// Where a crawl stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it has come to.
    pub totals: Totals,
    /// Pages being fetched now.
    pub in_flight: u64,
    /// Pages known of and not yet begun.
    pub queued: u64,
}

/// Where a crawl stands, for what shows it.
pub type Watch = Rc<Cell<Standing>>;

/// What a crawl amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pages fetched, failures included.
    pub pages: u64,
    /// Pages that failed.
    pub failures: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From first to last.
    pub wall: Duration,
    /// The most fetches that were in flight at once.
    pub most_in_flight: u64,
    /// The longest chain of fetches of which each had to wait for the one before: for its link,
    /// or for its place among those in flight. No crawl can be faster than this many answers.
    pub longest_chain: u32,
    /// Fetches that were tried again because a host was too busy.
    pub retries: u64,
    /// Pages that robots.txt asks crawlers to leave alone, and links to such pages: one that was
    /// found on several pages counts each time.
    pub forbidden: u64,
    /// Redirects to pages that were known already or are not in scope.
    pub led_away: u64,
    /// Pages that were known of and not begun.
    pub abandoned: u64,
    /// Why it began no more pages.
    pub end: End,
}

/// Why a crawl began no more pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// There were none left.
    #[default]
    Nothing,
    /// A stop was asked for.
    Asked,
    /// As many bytes had come as there were to be at most.
    Bytes,
    /// The time for it was over.
    Time,
}

/// What a person is told that is of no page: one sentence each.
#[derive(Debug, Default)]
pub struct Told {
    /// What failed.
    pub failures: Vec<String>,
    /// What limits have cut.
    pub cuts: Vec<String>,
    /// What one should know of how it went on.
    pub notes: Vec<String>,
}
