//! One registered descriptor: what is known of its two directions.

use std::cell::Cell;
use std::task::Waker;

use crate::observe::Direction;

/// epoll and kqueue report every arrival as a new edge. mio's emulation on Windows arms itself only when
/// an operation has answered "would block".
const SHORT_MEANS_DRAINED: bool = cfg!(unix);

/// What is known of one direction.
struct Side {
    ready: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A registered descriptor. Belongs to the loop's thread.
pub(crate) struct Source {
    read: Side,
    write: Side,
    /// The peer has closed its side, or the descriptor is in error: reading will say so at once, for
    /// ever, and no further edge will come for it.
    read_closed: Cell<bool>,
    id: u32,
    place: u32,
}

impl Source {
    pub(crate) fn new(id: u32, place: u32) -> Source {
        let side = || Side { ready: Cell::new(true), waker: Cell::new(None) };
        Source { read: side(), write: side(), read_closed: Cell::new(false), id, place }
    }

    /// Its number as the events tell it.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Whether an operation is worth trying.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.side(direction).ready.get()
    }

    /// An operation would have blocked: only a new event makes the direction ready again.
    pub(crate) fn would_block(&self, direction: Direction) {
        self.side(direction).ready.set(false);
    }

    /// An operation moved less than it was asked to, so the next one would block; where the platform
    /// promises an event for whatever comes after, there is no need to try. A read side that is closed
    /// stays ready, since no event will tell of its end again.
    pub(crate) fn short(&self, direction: Direction) {
        if SHORT_MEANS_DRAINED && (direction == Direction::Write || !self.read_closed.get()) {
            self.side(direction).ready.set(false);
        }
    }

    /// Leaves a waker for the direction. If another task waited there, it gets its waker back, for the
    /// caller to wake: two tasks that wait in one direction take turns, and none is forgotten.
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker) -> Option<Waker> {
        let place = &self.side(direction).waker;
        match place.take() {
            Some(old) if old.will_wake(waker) => {
                place.set(Some(old));
                None
            }
            other => {
                place.set(Some(waker.clone()));
                other
            }
        }
    }

    /// Marks what an event made ready, and takes the wakers of whoever waited for it.
    pub(crate) fn mark_ready(
        &self,
        readable: bool,
        writable: bool,
        closed: bool,
    ) -> [Option<Waker>; 2] {
        if closed {
            self.read_closed.set(true);
        }
        let mark = |side: &Side, ready: bool| {
            if !ready {
                return None;
            }
            side.ready.set(true);
            side.waker.take()
        };
        [mark(&self.read, readable), mark(&self.write, writable)]
    }

    pub(crate) fn take_wakers(&self) -> [Option<Waker>; 2] {
        [self.read.waker.take(), self.write.waker.take()]
    }
}
