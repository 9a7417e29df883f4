//! The connections of a client: which request may open one, gets an idle one, or waits.
//!
//! Two limits hold, one per host and one over all. A request asks [`Pool::acquire`]; it gets an
//! idle connection of its host (the one used last: it is the least likely to be dead), or the
//! permission to open one, or it waits. Waiters of one host are served first in, first out. A
//! released connection goes straight to the first waiter of its host.
//!
//! Where the limit over all is what holds a host back, the host stands in a queue of such hosts.
//! It gets the next slot that is free, an idle connection of another host is closed for it, and if
//! the others keep theirs busy with requests of their own, it gets one of theirs after at most
//! [`FAIR_HANDOVERS`] of these.
//!
//! Ages are measured by the real clock, whatever clock the runtime has: the peer has only that.
//!
//! Every operation is O(1), amortised, but for closing the connection that has been idle the longest,
//! for which the hosts stand in a heap: lists are never searched. A [`Lease`] is the one way to
//! hold a connection or a permission; dropping it gives it back, whatever happened.

mod lease;
mod state;
mod sweep;

pub(crate) use lease::{Acquire, Lease};

use crate::connection::Connection;
use crate::proto::CloseReason;
use crate::stats::Stats;
use state::{Grant, State};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// A host that waits for room gets it after so many connections were handed on within others.
const FAIR_HANDOVERS: u32 = 64;

/// How many connections there may be, and how long they are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) connections: usize,
    pub(crate) per_host: usize,
    pub(crate) idle: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) lifetime: Duration,
}

pub(crate) struct Pool {
    limits: PoolLimits,
    state: RefCell<State>,
    /// Whether a task closes what has been idle for too long.
    sweeping: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Rc<Self> {
        let (connections, per_host) = (limits.connections.max(1), limits.per_host.max(1));
        let limits = PoolLimits { connections, per_host, ..limits };
        Rc::new(Self { limits, state: RefCell::default(), sweeping: Cell::new(false) })
    }

    /// A connection to the host of this name, or the permission to open one. Waits its turn.
    pub(crate) fn acquire<'a>(self: &'a Rc<Self>, host: &'a str) -> Acquire<'a> {
        Acquire { pool: self, name: host, waiting: None }
    }

    /// The same, if it can be had at once and no request waits for it already.
    pub(crate) fn try_acquire(self: &Rc<Self>, host: &str) -> Option<Lease> {
        let mut state = self.state.borrow_mut();
        let host = state.host(host);
        let entry = &state.hosts[host];
        if entry.waiters.len() > entry.gone {
            return None;
        }
        drop(state);
        self.try_grant(host).map(|grant| self.lease(host, grant))
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state.borrow();
        let mut stats = state.stats.clone();
        stats.open = state.open;
        stats.idle = state.idle;
        stats.waiting = state.hosts.iter().map(|host| host.waiters.len() - host.gone).sum();
        stats
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.state.borrow_mut().stats);
    }

    /// Closes the connections that have been idle for too long. Returns when to look again.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut state = self.state.borrow_mut();
            let (host, until) = state.oldest_idle()?;
            let until = until?;
            if until > now {
                return Some(until);
            }
            let closed = state.close_oldest_idle(host, CloseReason::IdleTimeout);
            let woken = state.grant_room(&self.limits);
            drop(state);
            // Closing a socket and waking a task run code of others: not while the pool is held.
            drop(closed);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    fn try_grant(self: &Rc<Self>, host: usize) -> Option<Grant> {
        loop {
            let mut state = self.state.borrow_mut();
            if let Some(mut connection) = state.take_idle(host) {
                drop(state);
                match self.why_unusable(&mut connection) {
                    None => return Some(Some(connection)),
                    Some(reason) => {
                        let mut state = self.state.borrow_mut();
                        state.hosts[host].open -= 1;
                        state.open -= 1;
                        state.count_closed(reason);
                        continue;
                    }
                }
            }
            if state.hosts[host].open >= self.limits.per_host {
                return None;
            }
            if state.open < self.limits.connections {
                state.open += 1;
                state.hosts[host].open += 1;
                return Some(None);
            }
            let (oldest, _) = state.oldest_idle()?;
            let closed = state.close_oldest_idle(oldest, CloseReason::MadeRoom);
            drop(state);
            drop(closed);
        }
    }

    fn why_unusable(&self, connection: &mut Connection) -> Option<CloseReason> {
        let now = Instant::now();
        if connection.idle_until.is_some_and(|until| now >= until) {
            return Some(CloseReason::IdleTimeout);
        }
        if connection.expires.is_some_and(|expires| now >= expires) {
            return Some(CloseReason::Lifetime);
        }
        // No waker is left behind: readiness that comes later is looked at when it is taken next.
        connection.check_idle(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether there is no connection, idle or in use, and none being opened.
    fn is_empty(&self) -> bool {
        self.state.borrow().open == 0
    }

    /// Takes a connection back for the next request.
    fn release(&self, host: usize, mut connection: Box<Connection>) {
        if let Some(reason) = connection.close_reason() {
            return self.close(host, Some((connection, reason)));
        }
        let mut state = self.state.borrow_mut();
        let starved = state.is_any_starved();
        if starved && state.handovers >= FAIR_HANDOVERS {
            drop(state);
            return self.close(host, Some((connection, CloseReason::MadeRoom)));
        }
        if let Some(waiter) = state.hosts[host].next_waiter() {
            state.handovers += u32::from(starved);
            drop(state);
            return waiter.grant(Some(connection));
        }
        if starved {
            drop(state);
            return self.close(host, Some((connection, CloseReason::MadeRoom)));
        }
        let mut closed = None;
        if state.idle >= self.limits.idle {
            if let Some((oldest, _)) = state.oldest_idle() {
                closed = state.close_oldest_idle(oldest, CloseReason::IdleLimit);
            } else {
                drop(state);
                return self.close(host, Some((connection, CloseReason::IdleLimit)));
            }
        }
        connection.idle_until = self.idle_until(connection.keep_alive);
        state.add_idle(host, connection);
        drop(state);
        drop(closed);
    }

    /// Until when a connection that becomes idle now may be used.
    fn idle_until(&self, keep_alive: Option<Duration>) -> Option<Instant> {
        // The server's own clock started when it sent, ours when we received: leave it a second.
        let server = keep_alive.map(|keep| keep.saturating_sub(Duration::from_secs(1)));
        let keep =
            server.map_or(self.limits.idle_timeout, |keep| keep.min(self.limits.idle_timeout));
        Instant::now().checked_add(keep)
    }

    /// Gives a slot back, with the connection that was on it, if it came to that.
    fn close(&self, host: usize, connection: Option<(Box<Connection>, CloseReason)>) {
        let mut state = self.state.borrow_mut();
        state.open -= 1;
        state.hosts[host].open -= 1;
        if let Some((_, reason)) = &connection {
            state.count_closed(*reason);
        }
        state.note_starved(host, &self.limits);
        let woken = state.grant_room(&self.limits);
        state.forget_if_unused(host);
        drop(state);
        drop(connection);
        woken.into_iter().for_each(Waker::wake);
    }

    fn lease(self: &Rc<Self>, host: usize, grant: Grant) -> Lease {
        let mut state = self.state.borrow_mut();
        let stats = &mut state.stats;
        stats.in_flight += 1;
        stats.peak_in_flight = stats.peak_in_flight.max(stats.in_flight);
        stats.reused += u64::from(grant.is_some());
        Lease { pool: self.clone(), host, connection: grant }
    }
}

#[cfg(all(test, unix))]
mod tests;
