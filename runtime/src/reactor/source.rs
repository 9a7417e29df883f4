//! One registered descriptor: what is known of its two directions.

use std::cell::Cell;
use std::task::Waker;

use crate::observe::Direction;

/// epoll and kqueue report every arrival as a new edge. mio's emulation on Windows arms itself only when
/// an operation has answered "would block".
const SHORT_MEANS_DRAINED: bool = cfg!(unix);

/// A registered descriptor. Belongs to the loop's thread. What is known of its two directions stands in
/// pairs, read first, which packs better than a struct for each.
pub(crate) struct Source {
    wakers: [Cell<Option<Waker>>; 2],
    ready: [Cell<bool>; 2],
    /// The peer has closed its side, or the descriptor is in error: reading will say so at once, for
    /// ever, and no further edge will come for it.
    read_closed: Cell<bool>,
    id: u32,
    place: u32,
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::Read => 0,
        Direction::Write => 1,
    }
}

impl Source {
    pub(crate) fn new(id: u32, place: u32) -> Source {
        let ready = [const { Cell::new(true) }; 2];
        Source { wakers: Default::default(), ready, read_closed: Cell::new(false), id, place }
    }

    /// Its number as the events tell it.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    /// Whether an operation is worth trying.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.ready[index(direction)].get()
    }

    /// An operation would have blocked: only a new event makes the direction ready again.
    pub(crate) fn would_block(&self, direction: Direction) {
        self.ready[index(direction)].set(false);
    }

    /// An operation moved less than it was asked to, so the next one would block; where the platform
    /// promises an event for whatever comes after, there is no need to try. A read side that is closed
    /// stays ready, since no event will tell of its end again.
    pub(crate) fn short(&self, direction: Direction) {
        if SHORT_MEANS_DRAINED && (direction == Direction::Write || !self.read_closed.get()) {
            self.ready[index(direction)].set(false);
        }
    }

    /// Leaves a waker for the direction. If another task waited there, it gets its waker back, for the
    /// caller to wake: two tasks that wait in one direction take turns, and none is forgotten.
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker) -> Option<Waker> {
        let place = &self.wakers[index(direction)];
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
        let mark = |direction, ready: bool| {
            if !ready {
                return None;
            }
            self.ready[index(direction)].set(true);
            self.wakers[index(direction)].take()
        };
        [mark(Direction::Read, readable), mark(Direction::Write, writable)]
    }

    pub(crate) fn take_wakers(&self) -> [Option<Waker>; 2] {
        [self.wakers[0].take(), self.wakers[1].take()]
    }
}
