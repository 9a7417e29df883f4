//! What a client has done so far, in numbers.

use crate::proto::CloseReason;
use std::fmt;

/// Counters of a client, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, redirects and repetitions included.
    pub requests: u64,
    /// Connections opened.
    pub opened: u64,
    /// Times a kept connection was used again.
    pub reused: u64,
    /// Connections that could not be opened.
    pub failed: u64,
    /// Requests repeated because a kept connection turned out to be dead.
    pub repeated: u64,
    /// Tries beyond the first that the retry policy made.
    pub retried: u64,
    /// Connections open now, idle ones included, and those being opened.
    pub open: usize,
    /// Connections idle now.
    pub idle: usize,
    /// Requests with a connection of their own now.
    pub in_flight: usize,
    /// The most requests that were in flight at once.
    pub peak_in_flight: usize,
    /// Requests waiting for a connection now.
    pub waiting: usize,
    pub(crate) closed: [u64; CloseReason::ALL.len()],
}

impl Stats {
    /// Connections closed for this reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Connections closed, in all.
    #[must_use]
    pub fn closed_in_all(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// The reasons for which connections were closed, with how many for each.
    pub fn close_reasons(&self) -> impl Iterator<Item = (CloseReason, u64)> + '_ {
        CloseReason::ALL.iter().map(|reason| (*reason, self.closed(*reason))).filter(|c| c.1 > 0)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, opened, reused, peak_in_flight, .. } = self;
        write!(f, "{requests} requests, {opened} connections opened, {reused} times reused, ")?;
        write!(f, "{peak_in_flight} in flight at most, {} closed", self.closed_in_all())?;
        for (index, (reason, count)) in self.close_reasons().enumerate() {
            write!(f, "{}{count} × {reason}", if index == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}
