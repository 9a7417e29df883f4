//! The connections of a client: who may open one, who gets an idle one, who waits.
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
//! Every operation is O(1), amortised: lists are never searched. A [`Lease`] is the one way to
//! hold a connection or a permission; dropping it gives it back, whatever happened.
//!
//! More than 400 lines: every operation upholds the same few invariants, which are easier to check
//! side by side.

use crate::connection::Connection;
use crate::proto::CloseReason;
use crate::stats::Stats;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
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
}

#[derive(Default)]
struct State {
    hosts: Vec<Host>,
    free_hosts: Vec<usize>,
    by_name: HashMap<Rc<str>, usize>,
    /// The host that was asked for last: most often it is the next one, too.
    last: usize,
    /// Connections open or permitted, over all hosts.
    open: usize,
    idle: usize,
    /// Which host's connection became idle when, oldest first. An entry whose connection has been
    /// taken since is stale: it is passed over, and swept out when half of all are.
    idle_order: VecDeque<(usize, u64)>,
    next_idle: u64,
    /// Hosts that only the limit over all holds back.
    starved: VecDeque<usize>,
    handovers: u32,
    stats: Stats,
}

#[derive(Default)]
struct Host {
    name: Option<Rc<str>>,
    open: usize,
    /// The one that became idle last is at the back.
    idle: VecDeque<(u64, Box<Connection>)>,
    waiters: VecDeque<Rc<Waiter>>,
    /// Waiters in the queue that gave up.
    gone: usize,
    starved: bool,
}

#[derive(Default)]
struct Waiter {
    state: Cell<WaiterState>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
enum WaiterState {
    #[default]
    Waiting,
    Granted(Grant),
    Gone,
}

/// A kept connection, or the permission to open one.
type Grant = Option<Box<Connection>>;

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Rc<Self> {
        Rc::new(Self { limits, state: RefCell::default() })
    }

    /// A connection to the host of this name, or the permission to open one. Waits its turn.
    pub(crate) fn acquire<'a>(self: &'a Rc<Self>, host: &'a str) -> Acquire<'a> {
        Acquire { pool: self, name: host, waiting: None }
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
    pub(crate) fn sweep(&self, now: Instant) -> Option<Instant> {
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
        let now = Instant::now();
        loop {
            let mut state = self.state.borrow_mut();
            if let Some((_, mut connection)) = state.hosts[host].idle.pop_back() {
                state.idle -= 1;
                drop(state);
                match self.why_unusable(&mut connection, now) {
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

    fn why_unusable(&self, connection: &mut Connection, now: Instant) -> Option<CloseReason> {
        if connection.idle_until.is_some_and(|until| now >= until) {
            return Some(CloseReason::IdleTimeout);
        }
        if connection.expires.is_some_and(|expires| now >= expires) {
            return Some(CloseReason::Lifetime);
        }
        // Nobody is to be told: readiness that comes later is looked at by whoever takes it next.
        connection.check_idle(&mut Context::from_waker(Waker::noop()))
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.limits.idle_timeout
    }

    /// Whether there is no connection, idle or in use, and none being opened.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.borrow().open == 0
    }

    /// Takes a connection back for the next request.
    fn release(&self, host: usize, mut connection: Box<Connection>) {
        if let Some(reason) = connection.close_reason() {
            return self.close(host, Some((connection, reason)));
        }
        let mut state = self.state.borrow_mut();
        if !state.starved.is_empty() && state.handovers >= FAIR_HANDOVERS {
            drop(state);
            return self.close(host, Some((connection, CloseReason::MadeRoom)));
        }
        if let Some(waiter) = state.hosts[host].next_waiter() {
            state.handovers += u32::from(!state.starved.is_empty());
            drop(state);
            return waiter.grant(Some(connection));
        }
        if !state.starved.is_empty() {
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

impl State {
    fn host(&mut self, name: &str) -> usize {
        let last = self.hosts.get(self.last).and_then(|host| host.name.as_deref());
        if last == Some(name) {
            return self.last;
        }
        if let Some(host) = self.by_name.get(name) {
            self.last = *host;
            return *host;
        }
        let name: Rc<str> = name.into();
        let entry = Host { name: Some(name.clone()), ..Host::default() };
        let host = match self.free_hosts.pop() {
            Some(host) => {
                self.hosts[host] = entry;
                host
            }
            None => {
                self.hosts.push(entry);
                self.hosts.len() - 1
            }
        };
        self.by_name.insert(name, host);
        host
    }

    fn forget_if_unused(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        let unused = entry.open == 0 && entry.waiters.is_empty() && !entry.starved;
        if unused && let Some(name) = entry.name.take() {
            self.by_name.remove(&name);
            self.free_hosts.push(host);
        }
    }

    fn count_closed(&mut self, reason: CloseReason) {
        self.stats.closed[reason as usize] += 1;
    }

    fn add_idle(&mut self, host: usize, connection: Box<Connection>) {
        let number = self.next_idle;
        self.next_idle += 1;
        self.idle += 1;
        self.hosts[host].idle.push_back((number, connection));
        if self.idle_order.len() >= 2 * self.idle + 16 {
            let hosts = &self.hosts;
            self.idle_order.retain(|(host, number)| {
                hosts[*host].idle.binary_search_by_key(number, |idle| idle.0).is_ok()
            });
        }
        self.idle_order.push_back((host, number));
    }

    /// The host whose connection has been idle the longest, and until when that is good.
    fn oldest_idle(&mut self) -> Option<(usize, Option<Instant>)> {
        loop {
            let (host, number) = *self.idle_order.front()?;
            // The oldest of all is the oldest of its host, so a look at the front tells.
            match self.hosts[host].idle.front() {
                Some((first, connection)) if *first == number => {
                    return Some((host, connection.idle_until));
                }
                _ => self.idle_order.pop_front(),
            };
        }
    }

    fn close_oldest_idle(&mut self, host: usize, reason: CloseReason) -> Option<Box<Connection>> {
        let (_, connection) = self.hosts[host].idle.pop_front()?;
        self.idle -= 1;
        self.open -= 1;
        self.hosts[host].open -= 1;
        self.count_closed(reason);
        self.forget_if_unused(host);
        Some(connection)
    }

    /// Puts a host in the queue for room, if the limit over all is what holds it back.
    fn note_starved(&mut self, host: usize, limits: &PoolLimits) {
        let entry = &mut self.hosts[host];
        let waits = entry.waiters.len() > entry.gone;
        if waits && !entry.starved && entry.open < limits.per_host {
            entry.starved = true;
            self.starved.push_back(host);
        }
    }

    /// Gives free slots to those who wait for one. Returns whom to wake, once the pool is let go.
    fn grant_room(&mut self, limits: &PoolLimits) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.open < limits.connections {
            let Some(host) = self.starved.pop_front() else { break };
            self.handovers = 0;
            let entry = &mut self.hosts[host];
            entry.starved = false;
            if entry.open < limits.per_host
                && let Some(waiter) = entry.next_waiter()
            {
                entry.open += 1;
                self.open += 1;
                waiter.state.set(WaiterState::Granted(None));
                woken.extend(waiter.waker.take());
                self.note_starved(host, limits);
            }
            self.forget_if_unused(host);
        }
        woken
    }
}

impl Host {
    /// The first waiter that has not given up.
    fn next_waiter(&mut self) -> Option<Rc<Waiter>> {
        while let Some(waiter) = self.waiters.pop_front() {
            if waiter.is_waiting() {
                return Some(waiter);
            }
            self.gone -= 1;
        }
        None
    }
}

impl Waiter {
    fn is_waiting(&self) -> bool {
        let state = self.state.take();
        let waiting = matches!(state, WaiterState::Waiting);
        self.state.set(state);
        waiting
    }

    fn grant(&self, grant: Grant) {
        self.state.set(WaiterState::Granted(grant));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Waits for a connection.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Acquire<'a> {
    pool: &'a Rc<Pool>,
    name: &'a str,
    waiting: Option<(usize, Rc<Waiter>)>,
}

impl Future for Acquire<'_> {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let this = &mut *self;
        let Some((host, waiter)) = &this.waiting else {
            let mut state = this.pool.state.borrow_mut();
            let host = state.host(this.name);
            let nobody_first = state.hosts[host].waiters.len() == state.hosts[host].gone;
            drop(state);
            if nobody_first && let Some(grant) = this.pool.try_grant(host) {
                return Poll::Ready(this.pool.lease(host, grant));
            }
            let waiter = Rc::new(Waiter::default());
            waiter.waker.set(Some(cx.waker().clone()));
            let mut state = this.pool.state.borrow_mut();
            state.hosts[host].waiters.push_back(waiter.clone());
            state.note_starved(host, &this.pool.limits);
            drop(state);
            this.waiting = Some((host, waiter));
            return Poll::Pending;
        };
        match waiter.state.take() {
            WaiterState::Granted(grant) => {
                waiter.state.set(WaiterState::Gone);
                let lease = this.pool.lease(*host, grant);
                this.waiting = None;
                Poll::Ready(lease)
            }
            state => {
                waiter.state.set(state);
                waiter.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some((host, waiter)) = self.waiting.take() else { return };
        match waiter.state.replace(WaiterState::Gone) {
            WaiterState::Waiting => {
                let mut state = self.pool.state.borrow_mut();
                let entry = &mut state.hosts[host];
                entry.gone += 1;
                if entry.gone * 2 > entry.waiters.len() {
                    entry.waiters.retain(|waiter| waiter.is_waiting());
                    entry.gone = 0;
                }
                state.forget_if_unused(host);
            }
            // Granted, and given up before it was told: the next in the queue gets it.
            WaiterState::Granted(Some(connection)) => self.pool.release(host, connection),
            WaiterState::Granted(None) => self.pool.close(host, None),
            WaiterState::Gone => {}
        }
    }
}

/// A connection, or the permission to open one, held by one request.
pub(crate) struct Lease {
    pool: Rc<Pool>,
    host: usize,
    connection: Grant,
}

impl Lease {
    /// Whether there is a connection yet.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Puts the connection that was opened in its place.
    pub(crate) fn connect(&mut self, mut connection: Connection) {
        connection.expires = Instant::now().checked_add(self.pool.limits.lifetime);
        self.pool.count(|stats| stats.opened += 1);
        self.connection = Some(Box::new(connection));
    }

    /// Closes the connection, but keeps the permission to open another in its place.
    pub(crate) fn reopen(&mut self, reason: CloseReason) {
        if self.connection.take().is_some() {
            self.pool.count(|stats| stats.closed[reason as usize] += 1);
        }
    }

    /// Takes the connection out for good: it is no HTTP connection any more.
    pub(crate) fn into_connection(mut self) -> Option<Box<Connection>> {
        let connection = self.connection.take();
        self.pool.count(|stats| stats.closed[CloseReason::Upgraded as usize] += 1);
        connection
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("an exchange has a connection")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("an exchange has a connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.count(|stats| stats.in_flight -= 1);
        match self.connection.take() {
            None => self.pool.close(self.host, None),
            Some(mut connection) => {
                if !connection.is_over() {
                    connection.drain();
                }
                self.pool.release(self.host, connection);
            }
        }
    }
}
