//! What the pool knows of each host: its connections, who waits for one, and in which order.

use super::PoolLimits;
use crate::connection::Connection;
use crate::proto::CloseReason;
use crate::stats::Stats;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

#[derive(Default)]
pub(super) struct State {
    pub(super) hosts: Vec<Host>,
    pub(super) free_hosts: Vec<usize>,
    pub(super) by_name: HashMap<Rc<str>, usize>,
    /// The host that was asked for last: most often it is the next one, too.
    pub(super) last: usize,
    /// Connections open or permitted, over all hosts.
    pub(super) open: usize,
    pub(super) idle: usize,
    /// Each host that has had an idle connection since this was last looked through, under a number
    /// no greater than that of its oldest: a number that has become too small is set right only
    /// when it comes up.
    pub(super) oldest: BinaryHeap<Reverse<(u64, usize)>>,
    pub(super) next_idle: u64,
    /// Hosts that only the limit over all holds back.
    pub(super) starved: VecDeque<usize>,
    pub(super) handovers: u32,
    pub(super) stats: Stats,
}

#[derive(Default)]
pub(super) struct Host {
    pub(super) name: Option<Rc<str>>,
    pub(super) open: usize,
    /// The one that became idle last is at the back.
    pub(super) idle: VecDeque<(u64, Box<Connection>)>,
    pub(super) waiters: VecDeque<Rc<Waiter>>,
    /// Waiters in the queue that gave up.
    pub(super) gone: usize,
    pub(super) starved: bool,
    /// Whether it stands among the hosts with idle connections.
    pub(super) listed: bool,
}

#[derive(Default)]
pub(super) struct Waiter {
    pub(super) state: Cell<WaiterState>,
    pub(super) waker: Cell<Option<Waker>>,
}

#[derive(Default)]
pub(super) enum WaiterState {
    #[default]
    Waiting,
    Granted(Grant),
    Gone,
}

/// A kept connection, or the permission to open one.
pub(super) type Grant = Option<Box<Connection>>;

impl State {
    #[inline]
    pub(super) fn host(&mut self, name: &str) -> usize {
        let last = self.hosts.get(self.last).and_then(|host| host.name.as_deref());
        if last == Some(name) { self.last } else { self.look_up(name) }
    }

    fn look_up(&mut self, name: &str) -> usize {
        if let Some(host) = self.by_name.get(name) {
            self.last = *host;
            return *host;
        }
        let name: Rc<str> = name.into();
        let host = self.free_hosts.pop().unwrap_or_else(|| {
            self.hosts.push(Host::default());
            self.hosts.len() - 1
        });
        self.hosts[host].name = Some(name.clone());
        self.by_name.insert(name, host);
        host
    }

    pub(super) fn forget_if_unused(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        // Those in the queue that have given up wait for nothing.
        let waits = entry.waiters.len() > entry.gone;
        let unused = entry.open == 0 && !waits && !entry.starved;
        if unused && let Some(name) = entry.name.take() {
            entry.waiters.clear();
            entry.gone = 0;
            self.by_name.remove(&name);
            self.free_hosts.push(host);
        }
    }

    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        self.stats.closed[reason as usize] += 1;
    }

    #[inline]
    pub(super) fn add_idle(&mut self, host: usize, connection: Box<Connection>) {
        let number = self.next_idle;
        self.next_idle += 1;
        self.idle += 1;
        let entry = &mut self.hosts[host];
        entry.idle.push_back((number, connection));
        if !entry.listed {
            entry.listed = true;
            self.oldest.push(Reverse((number, host)));
        }
    }

    /// The host's connection that became idle last.
    pub(super) fn take_idle(&mut self, host: usize) -> Option<Box<Connection>> {
        let (_, connection) = self.hosts[host].idle.pop_back()?;
        self.idle -= 1;
        Some(connection)
    }

    /// The host whose connection has been idle the longest, and until when that is good.
    pub(super) fn oldest_idle(&mut self) -> Option<(usize, Option<Instant>)> {
        loop {
            let mut top = self.oldest.peek_mut()?;
            let Reverse((number, host)) = &mut *top;
            let entry = &mut self.hosts[*host];
            // The oldest of all is the oldest of its host, so a look at the front tells.
            match entry.idle.front() {
                Some((first, connection)) if first == number => {
                    return Some((*host, connection.idle_until));
                }
                Some((first, _)) => *number = *first,
                None => {
                    entry.listed = false;
                    PeekMut::pop(top);
                }
            }
        }
    }

    pub(super) fn close_oldest_idle(
        &mut self,
        host: usize,
        reason: CloseReason,
    ) -> Option<Box<Connection>> {
        let (_, connection) = self.hosts[host].idle.pop_front()?;
        self.idle -= 1;
        self.open -= 1;
        self.hosts[host].open -= 1;
        self.count_closed(reason);
        self.forget_if_unused(host);
        Some(connection)
    }

    /// Puts a host in the queue for room, if the limit over all is what holds it back.
    pub(super) fn note_starved(&mut self, host: usize, limits: &PoolLimits) {
        let entry = &mut self.hosts[host];
        let waits = entry.waiters.len() > entry.gone;
        if waits && !entry.starved && entry.open < limits.per_host {
            entry.starved = true;
            self.starved.push_back(host);
        }
    }

    /// Whether a host is in the queue for room and has a request that waits for it. One whose waiters
    /// have all given up leaves the queue: no connection is to be closed for it.
    #[inline]
    pub(super) fn is_any_starved(&mut self) -> bool {
        while let Some(host) = self.starved.front().copied() {
            let entry = &mut self.hosts[host];
            if entry.waiters.len() > entry.gone {
                return true;
            }
            self.starved.pop_front();
            entry.starved = false;
            self.forget_if_unused(host);
        }
        false
    }

    /// Gives free slots to requests that wait for one. Returns their wakers, to be woken once the pool
    /// is not borrowed any more.
    pub(super) fn grant_room(&mut self, limits: &PoolLimits) -> Vec<Waker> {
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
    #[inline]
    pub(super) fn next_waiter(&mut self) -> Option<Rc<Waiter>> {
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
    pub(super) fn is_waiting(&self) -> bool {
        let state = self.state.take();
        let waiting = matches!(state, WaiterState::Waiting);
        self.state.set(state);
        waiting
    }

    pub(super) fn grant(&self, grant: Grant) {
        self.state.set(WaiterState::Granted(grant));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
