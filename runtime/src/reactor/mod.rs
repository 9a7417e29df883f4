//! The operating system's readiness, by way of mio: the only file that names its poller.
//!
//! A *source* is a registered descriptor with two directions, read and write. Registration is for both,
//! once, edge-triggered: the poller speaks when a direction becomes ready, not while it is. So each
//! direction remembers that it is ready until an operation finds otherwise. Sources start as ready,
//! since trying costs no more than asking; whoever meets `WouldBlock` clears the direction and leaves a
//! waker.
//!
//! Only the loop's thread is here, and it polls for events between the tasks' polls: no event can come
//! between an operation that would block and the clearing of its direction.
//!
//! A token is a place in the slab and the number of the source that is there. A descriptor that is closed
//! and opened again is another source, so an event that was still under way for the old one reaches nobody.

pub(crate) mod source;

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mio::event::Source as Pollable;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::event_loop::inbox::Notify;
use crate::observe::event::Direction;
use source::Source;

/// Events taken from the operating system at a time. More wait for the next look.
const EVENTS_CAPACITY: usize = 1024;
/// The token of the bell that other threads ring.
const BELL: Token = Token(usize::MAX);

/// Rings the poller from another thread.
pub(crate) struct PollerWaker {
    waker: mio::Waker,
    wakes: AtomicU64,
}

impl PollerWaker {
    /// How often it was wakes.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Relaxed)
    }
}

impl Notify for PollerWaker {
    fn notify(&self) {
        self.wakes.fetch_add(1, Relaxed);
        // Fails only if the kernel refuses a write to an eventfd or pipe of ours, in which case no word
        // can reach the loop: a panic would only take an innocent thread down with it.
        drop(self.waker.wake());
    }
}

/// The poller, and the slab of sources, each with a `W` to wake for each direction.
pub(crate) struct Reactor<W> {
    poll: RefCell<Poll>,
    events: RefCell<Events>,
    registry: Registry,
    places: RefCell<Places<W>>,
    last_id: Cell<u32>,
}

struct Places<W> {
    entries: Vec<Option<Source<W>>>,
    free: Vec<u32>,
}

/// A source that became ready, and who waits for it.
pub(crate) struct Ready<W> {
    pub(crate) source: u32,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) waiters: [Option<W>; 2],
}

impl<W> Reactor<W> {
    pub(crate) fn new() -> io::Result<(Reactor<W>, PollerWaker)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let bell =
            PollerWaker { waker: mio::Waker::new(&registry, BELL)?, wakes: AtomicU64::new(0) };
        let reactor = Reactor {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS_CAPACITY)),
            registry,
            places: RefCell::new(Places { entries: Vec::new(), free: Vec::new() }),
            last_id: Cell::new(0),
        };
        Ok((reactor, bell))
    }

    /// How many sources are registered.
    pub(crate) fn len(&self) -> usize {
        let places = self.places.borrow();
        places.entries.len() - places.free.len()
    }

    /// Registers `io` for both directions. Returns the place of its source.
    pub(crate) fn register(&self, io: &mut impl Pollable) -> io::Result<u32> {
        let mut places = self.places.borrow_mut();
        let place = match places.free.last() {
            Some(place) => *place,
            None => {
                places.entries.push(None);
                let place = (places.entries.len() - 1) as u32;
                places.free.push(place);
                place
            }
        };
        let id = self.last_id.get().wrapping_add(1);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(io, token(place, id), interest)?;
        self.last_id.set(id);
        places.entries[place as usize] = Some(Source::new(id));
        places.free.pop();
        Ok(place)
    }

    /// Takes `io` out again, which must be the one that got this place. The descriptor may be closed after
    /// that, not before. Gives back whoever still waits.
    pub(crate) fn deregister(&self, io: &mut impl Pollable, place: u32) -> [Option<W>; 2] {
        // An error means that the descriptor is not registered, which is what was asked for.
        drop(self.registry.deregister(io));
        let mut places = self.places.borrow_mut();
        let source = places.entries[place as usize].take();
        places.free.push(place);
        source.map_or([None, None], Source::into_waiters)
    }

    /// Looks at a registered source, or changes what is known of its directions. `f` must run no code of a
    /// user.
    #[inline]
    pub(crate) fn source<R>(&self, place: u32, f: impl FnOnce(&Source<W>) -> R) -> R {
        match &self.places.borrow().entries[place as usize] {
            Some(source) => f(source),
            None => unreachable!("a place belongs to its source until that is deregistered"),
        }
    }

    /// Leaves word whom to wake when a direction of a registered source is ready. Gives back whoever was
    /// to be woken before.
    #[inline]
    pub(crate) fn wait_for(&self, place: u32, direction: Direction, waiter: W) -> Option<W> {
        match &mut self.places.borrow_mut().entries[place as usize] {
            Some(source) => source.wait(direction, waiter),
            None => unreachable!("a place belongs to its source until that is deregistered"),
        }
    }

    /// Waits for events until `timeout` is over (`None`: for ever).
    /// The platform's timeouts are in whole milliseconds; mio rounds up, so that a wait is never short.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.borrow_mut().poll(&mut self.events.borrow_mut(), timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Marks what the events of the last wait made ready, and hands each to `f`, which must run no code of
    /// a user.
    #[inline]
    pub(crate) fn mark_ready(&self, mut f: impl FnMut(Ready<W>)) {
        let events = self.events.borrow();
        let mut places = self.places.borrow_mut();
        for event in events.iter().filter(|event| event.token() != BELL) {
            let (place, id) = split(event.token());
            let Some(Some(source)) = places.entries.get_mut(place as usize) else { continue };
            // A token of 32 bits has no room for the number; what protects there is deregistering before
            // closing alone.
            if usize::BITS >= 64 && source.id() != id {
                continue;
            }
            let readable = event.is_readable() || event.is_read_closed() || event.is_error();
            let writable = event.is_writable() || event.is_write_closed() || event.is_error();
            let closed = event.is_read_closed() || event.is_error();
            let waiters = source.mark_ready(readable, writable, closed);
            f(Ready { source: source.id(), readable, writable, waiters });
        }
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
