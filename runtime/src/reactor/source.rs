//! One registered descriptor: what is known of its two directions.

use std::cell::Cell;

use crate::observe::event::Direction;

/// epoll and kqueue report every arrival as a new edge. mio's emulation on Windows arms itself only when
/// an operation has answered "would block".
const SHORT_MEANS_DRAINED: bool = cfg!(unix);

/// A registered descriptor, with a `W` to wake for each direction. What is known of the two directions
/// stands in pairs, read first, which packs better than a struct for each.
pub(crate) struct Source<W> {
    waiters: [Option<W>; 2],
    ready: [Cell<bool>; 2],
    /// The peer has closed its side, or the descriptor is in error: reading will say so at once, for
    /// ever, and no further edge will come for it.
    read_closed: bool,
    id: u32,
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::Read => 0,
        Direction::Write => 1,
    }
}

impl<W> Source<W> {
    pub(crate) fn new(id: u32) -> Source<W> {
        Source {
            waiters: [None, None],
            ready: [Cell::new(true), Cell::new(true)],
            read_closed: false,
            id,
        }
    }

    /// Its number as the events tell it.
    pub(crate) fn id(&self) -> u32 {
        self.id
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
        if SHORT_MEANS_DRAINED && (direction == Direction::Write || !self.read_closed) {
            self.ready[index(direction)].set(false);
        }
    }

    /// Leaves word whom to wake when the direction is ready. Gives back whoever was to be woken before.
    pub(crate) fn wait(&mut self, direction: Direction, waiter: W) -> Option<W> {
        self.waiters[index(direction)].replace(waiter)
    }

    /// Marks what an event made ready, and takes out whoever waited for it.
    pub(crate) fn mark_ready(
        &mut self,
        readable: bool,
        writable: bool,
        closed: bool,
    ) -> [Option<W>; 2] {
        self.read_closed |= closed;
        let mut mark = |direction, ready: bool| {
            if !ready {
                return None;
            }
            self.ready[index(direction)].set(true);
            self.waiters[index(direction)].take()
        };
        [mark(Direction::Read, readable), mark(Direction::Write, writable)]
    }

    pub(crate) fn into_waiters(self) -> [Option<W>; 2] {
        self.waiters
    }
}
