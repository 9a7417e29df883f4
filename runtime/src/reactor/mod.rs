//! 13 of 14. What does the loop know of a descriptor, and what waits for it? Next: `registered.rs`.
//!
//! A *source* is a registered descriptor with two directions, read and write. It is registered once, for
//! both, edge-triggered: the poller reports that a direction becomes ready, not that it is. So each
//! direction remembers that it is ready until an operation finds otherwise. A source starts as ready, since
//! trying costs no more than asking. Only the loop's thread is here, and it takes events between the polls
//! of tasks: none comes between an operation that would block and the clearing of its direction.
//!
//! A *waiter* waits in one direction of a source. A future (`read`, `accept`, `readable`) is a waiter of its
//! own; all callers of a socket's `poll_*` methods in that direction are one together: the last of them
//! counts. Every waiter has a node in one slab, and the nodes that wait in a direction are a list. An event
//! takes all their wakers, in the order of arrival: each tries, and waits again if it finds nothing. So no
//! wake is lost with a future that is dropped, and waiters do not wake each other.
//!
//! A token is a place in the slab of sources and the number of the source there. A descriptor that is closed
//! and opened again is another source, so an event that was under way for the old one is ignored.
//!
//! Wakers are cloned, woken and dropped while nothing is borrowed: those may run any code.
//!
//! This is the only file that names mio's poller.

pub(crate) mod registered;
mod waiters;

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use mio::event::Source as Pollable;
use mio::{Events, Interest, Poll, Token};

use crate::event_loop::inbox::Notify;
use crate::observe::event::Direction;
pub(crate) use waiters::Waiter;
use waiters::Waiters;

/// Events taken from the operating system at a time. More wait for the next check.
const EVENTS_CAPACITY: usize = 1024;
/// The token of the waker that other threads use.
const WAKER: Token = Token(usize::MAX);
/// Both directions; and urgent data, where that is reported apart.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
/// Both directions.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// epoll and kqueue report every arrival as a new edge. mio's emulation on Windows arms itself only when
/// an operation has answered "would block".
const SHORT_MEANS_DRAINED: bool = cfg!(unix);

/// Ends the poller's wait from another thread. The inbox holds it, and with it every task's waker: so it
/// keeps no descriptor, only the way to one as long as the runtime lives.
pub(crate) struct PollerWaker {
    waker: Weak<mio::Waker>,
    wakes: AtomicU64,
}

impl PollerWaker {
    /// How often it was used.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Relaxed)
    }
}

impl Notify for PollerWaker {
    fn notify(&self) {
        let Some(waker) = self.waker.upgrade() else { return };
        self.wakes.fetch_add(1, Relaxed);
        // Fails only if the kernel refuses a write to an eventfd or pipe of ours. Then no message can
        // reach the loop, and a panic would only hit a thread that has no part in it.
        drop(waker.wake());
    }
}

/// The poller, the sources and who waits for them.
pub(crate) struct Reactor {
    /// Gone once the runtime is dropped: sockets and handles that outlive it keep no descriptor of it.
    poller: RefCell<Option<Poller>>,
    sources: RefCell<Sources>,
}

struct Poller {
    poll: Poll,
    events: Events,
    _waker: Arc<mio::Waker>,
}

#[derive(Default)]
struct Sources {
    /// By place. Where none is registered, the last one stays, with a number that is no source's.
    entries: Vec<Source>,
    free: Vec<u32>,
    last_id: u32,
    waiters: Waiters,
}

impl Sources {
    fn wait(&mut self, place: u32, direction: Direction, key: u32, waker: Waker) -> Option<Waker> {
        let first = &mut self.entries[place as usize].waiting[direction as usize];
        self.waiters.wait(first, key, waker)
    }

    fn leave(&mut self, place: u32, direction: Direction, waiter: &Waiter) -> Option<Waker> {
        let first = &mut self.entries[place as usize].waiting[direction as usize];
        self.waiters.leave(first, waiter)
    }
}

/// A registered descriptor.
#[derive(Default)]
pub(crate) struct Source {
    /// The first waiter of each direction, read first.
    waiting: [u32; 2],
    ready: [Cell<bool>; 2],
    /// The peer has closed its side or the descriptor is in error, for which no further edge comes; or urgent
    /// data has come, before which a read stops whatever follows.
    reads_stop_short: bool,
    id: u32,
}

impl Source {
    /// Whether an operation is worth trying.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.ready[direction as usize].get()
    }

    /// An operation would have blocked: only a new event makes the direction ready again.
    pub(crate) fn would_block(&self, direction: Direction) {
        self.ready[direction as usize].set(false);
    }

    /// An operation moved less than it could have, so the next one would block: where the platform promises
    /// an event for what comes after, there is no need to try. Not so if reads stop for another reason.
    pub(crate) fn short(&self, direction: Direction) {
        if SHORT_MEANS_DRAINED && (direction == Direction::Write || !self.reads_stop_short) {
            self.would_block(direction);
        }
    }
}

/// A source that became ready.
pub(crate) struct Ready {
    pub(crate) source: u32,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// How many of the wakers are those of its waiters.
    pub(crate) wakers: usize,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<(Reactor, PollerWaker)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let poller_waker = PollerWaker { waker: Arc::downgrade(&waker), wakes: AtomicU64::new(0) };
        let events = Events::with_capacity(EVENTS_CAPACITY);
        let reactor = Reactor {
            poller: RefCell::new(Some(Poller { poll, events, _waker: waker })),
            sources: RefCell::default(),
        };
        Ok((reactor, poller_waker))
    }

    /// How many sources are registered.
    pub(crate) fn len(&self) -> usize {
        let sources = self.sources.borrow();
        sources.entries.len() - sources.free.len()
    }

    /// Registers `io` for both directions. Returns the place of its source. `io` must run no code of a user,
    /// nor in `deregister`.
    ///
    /// # Errors
    /// If the system refuses it, or the reactor is closed.
    pub(crate) fn register(&self, io: &mut impl Pollable) -> io::Result<u32> {
        let poller = self.poller.borrow();
        let poller =
            poller.as_ref().ok_or_else(|| io::Error::other("the runtime is being dropped"))?;
        let mut sources = self.sources.borrow_mut();
        let place = sources.free.last().copied().unwrap_or(sources.entries.len() as u32);
        let id = sources.last_id.wrapping_add(1).max(1);
        poller.poll.registry().register(io, token(place, id), INTEREST)?;
        sources.last_id = id;
        if sources.free.pop().is_none() {
            sources.entries.push(Source::default());
        }
        let ready = [Cell::new(true), Cell::new(true)];
        sources.entries[place as usize] = Source { ready, id, ..Source::default() };
        Ok(place)
    }

    /// Takes out `io`, which must be the one that got this place, and its `own` waiters. The descriptor may
    /// be closed after that, not before. Returns the wakers of those who still wait.
    pub(crate) fn deregister(
        &self,
        io: &mut impl Pollable,
        place: u32,
        own: &[Waiter; 2],
    ) -> Vec<Waker> {
        if let Some(poller) = &*self.poller.borrow() {
            // An error means that the descriptor is not registered, which is what was asked for.
            drop(poller.poll.registry().deregister(io));
        }
        let mut wakers = Vec::new();
        let Sources { entries, free, waiters, .. } = &mut *self.sources.borrow_mut();
        let source = std::mem::take(&mut entries[place as usize]);
        for (mut first, own) in source.waiting.into_iter().zip(own) {
            waiters.remove_all(&mut first, &mut wakers);
            waiters.leave(&mut first, own);
        }
        free.push(place);
        wakers
    }

    /// Reads what is known of a registered source, or changes it. `f` must run no code of a user.
    pub(crate) fn source<R>(&self, place: u32, f: impl FnOnce(&Source) -> R) -> R {
        f(&self.sources.borrow().entries[place as usize])
    }

    /// Has the next event in a direction of a registered source wake `waker` for `waiter`. True if that did not
    /// wait already.
    pub(crate) fn wait_for(
        &self,
        place: u32,
        direction: Direction,
        waiter: &Waiter,
        waker: &Waker,
    ) -> bool {
        let mut sources = self.sources.borrow_mut();
        let key = sources.waiters.key(waiter);
        if sources.waiters.will_wake(key, waker) {
            return false;
        }
        drop(sources);
        let waker = waker.clone();
        let before = self.sources.borrow_mut().wait(place, direction, key, waker);
        before.is_none()
    }

    /// Forgets a waiter of a registered source. True if it was waiting.
    pub(crate) fn stop_waiting(&self, place: u32, direction: Direction, waiter: &Waiter) -> bool {
        let leave = || self.sources.borrow_mut().leave(place, direction, waiter);
        waiter.has_node() && leave().is_some()
    }

    /// Waits for events until `timeout` is over (`None`: without end).
    /// The platform's timeouts are in whole milliseconds; mio rounds up, so that a wait is never short.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut poller = self.poller.borrow_mut();
        let Some(Poller { poll, events, .. }) = &mut *poller else { return Ok(()) };
        match poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Marks what the events of the last wait made ready. Adds each source to `ready`, and the wakers of its
    /// waiters to `wakers`.
    pub(crate) fn mark_ready(&self, ready: &mut Vec<Ready>, wakers: &mut Vec<Waker>) {
        let poller = self.poller.borrow();
        let Sources { entries, waiters, .. } = &mut *self.sources.borrow_mut();
        let events = poller.iter().flat_map(|poller| &poller.events);
        for event in events.filter(|event| event.token() != WAKER) {
            let (place, id) = split(event.token());
            let Some(source) = entries.get_mut(place as usize) else { continue };
            // A token of 32 bits has no room for the number; what protects there is deregistering before
            // closing alone.
            if usize::BITS >= 64 && source.id != id {
                continue;
            }
            let closed = event.is_read_closed() || event.is_error();
            let readable = event.is_readable() || closed;
            let writable = event.is_writable() || event.is_write_closed() || event.is_error();
            source.reads_stop_short |= closed || event.is_priority();
            let before = wakers.len();
            for (direction, is_ready) in [readable, writable].into_iter().enumerate() {
                if is_ready {
                    source.ready[direction].set(true);
                    waiters.remove_all(&mut source.waiting[direction], wakers);
                }
            }
            let wakers = wakers.len() - before;
            ready.push(Ready { source: source.id, readable, writable, wakers });
        }
    }

    /// Closes the poller, since the runtime is dropped. Returns the wakers of all who still wait: they find
    /// out that nothing more will come.
    pub(crate) fn close(&self) -> Vec<Waker> {
        drop(self.poller.take());
        let mut wakers = Vec::new();
        let Sources { entries, waiters, .. } = &mut *self.sources.borrow_mut();
        for first in entries.iter_mut().flat_map(|source| &mut source.waiting) {
            waiters.remove_all(first, &mut wakers);
        }
        wakers
    }
}

fn token(place: u32, id: u32) -> Token {
    Token((place as u64 | u64::from(id) << 32) as usize)
}

fn split(token: Token) -> (u32, u32) {
    (token.0 as u32, (token.0 as u64 >> 32) as u32)
}

#[cfg(all(test, unix, not(loom)))]
mod tests;
