//! Which timers are armed, and which are due.
//!
//! A binary heap of (deadline, number), and a slab with the waker of each. A timer's number counts the
//! timers armed before it, so that equal deadlines fire in order of arming. The heap keeps the lower half
//! of it, and so four entries to a cache line, which is what a hundred thousand timers wait for. (Equal
//! deadlines on either side of a multiple of 2^32 timers fire the other way round.) Most timers are timeouts
//! and are cancelled soon: so arming is O(1), it puts the entry aside until somebody asks for the next
//! deadline, and only what is still armed then enters the heap, in O(log n). Cancelling is O(1)
//! too: it empties the slab's place and leaves the entry to be skipped; once such entries outnumber the
//! living ones, one O(n) pass throws them out, so no more than about twice what is armed is ever kept.
//!
//! Knows of no clock and of no task: it is told what time it is, and tells of whom to wake.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Heaps below this many entries are not worth a pass.
const COMPACT_ABOVE: usize = 64;

/// Timers armed before entries that are to be skipped are thrown out in any case. An entry outlives its
/// timer by fewer others than this, and a timer that lives for more takes its entry with it. So when the
/// lower half of the numbers has gone round, no entry is taken for that of a later timer in its place.
const MOST_BETWEEN: u64 = 1 << 31;

/// Names an armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    number: u64,
    place: u32,
}

impl TimerKey {
    /// The timer's number as the events tell it.
    pub(crate) fn id(self) -> u32 {
        self.number as u32
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: u64,
    /// The lower half.
    number: u32,
    place: u32,
}

/// A place of the slab. Number 0 is no timer's.
struct Place<W> {
    number: u64,
    waker: Option<W>,
}

impl<W> Place<W> {
    /// Whether an entry is that of the timer which is here.
    fn is_of(&self, entry: &Entry) -> bool {
        self.waker.is_some() && self.number as u32 == entry.number
    }
}

/// A timer that fired.
pub(crate) struct Fired<W> {
    pub(crate) id: u32,
    pub(crate) late: u64,
    pub(crate) waker: W,
}

/// A queue of timers that each have a `W` to wake.
pub(crate) struct TimerQueue<W> {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Armed since somebody last asked for the next deadline.
    fresh: Vec<Entry>,
    places: Vec<Place<W>>,
    free: Vec<u32>,
    armed: usize,
    last_number: u64,
}

impl<W> Default for TimerQueue<W> {
    fn default() -> TimerQueue<W> {
        let (heap, fresh, places, free) = Default::default();
        TimerQueue { heap, fresh, places, free, armed: 0, last_number: 0 }
    }
}

impl<W> TimerQueue<W> {
    /// How many timers are armed.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer.
    #[inline]
    pub(crate) fn arm(&mut self, deadline: u64, waker: W) -> TimerKey {
        self.last_number += 1;
        if self.last_number.is_multiple_of(MOST_BETWEEN) {
            self.compact();
        }
        let number = self.last_number;
        let filled = Place { number, waker: Some(waker) };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = filled;
                place
            }
            None => {
                self.places.push(filled);
                u32::try_from(self.places.len() - 1).expect("fewer than 2^32 timers at once")
            }
        };
        self.armed += 1;
        self.fresh.push(Entry { deadline, number: number as u32, place });
        TimerKey { number, place }
    }

    /// Has an armed timer wake `waker` from now on, and gives the one before back, to be dropped where
    /// nothing is borrowed. `None` if it has fired.
    pub(crate) fn rewake(&mut self, key: TimerKey, waker: W) -> Option<W> {
        let place = &mut self.places[key.place as usize];
        if place.number != key.number {
            return None;
        }
        place.waker.replace(waker)
    }

    /// Disarms a timer. The waker comes back, to be dropped where nothing is borrowed; none if it
    /// had fired.
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<W> {
        if self.places[key.place as usize].number != key.number {
            return None;
        }
        let waker = self.vacate(key.place);
        let many = self.heap.len() + self.fresh.len() > 2 * self.armed + COMPACT_ABOVE;
        if many || self.last_number - key.number >= MOST_BETWEEN {
            self.compact();
        }
        waker
    }

    /// Throws out the entries of timers that are not armed any more.
    #[cold]
    fn compact(&mut self) {
        let armed = |entry: &Entry| self.places[entry.place as usize].is_of(entry);
        self.heap.retain(|Reverse(entry)| armed(entry));
        self.fresh.retain(armed);
    }

    /// The next deadline, if a timer is armed.
    #[inline]
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        if self.armed == 0 { None } else { self.first_of_heap() }
    }

    fn first_of_heap(&mut self) -> Option<u64> {
        for entry in self.fresh.drain(..) {
            if self.places[entry.place as usize].is_of(&entry) {
                self.heap.push(Reverse(entry));
            }
        }
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.places[entry.place as usize].is_of(entry) {
                return Some(entry.deadline);
            }
            self.heap.pop();
        }
        None
    }

    /// Moves the timers that are due at `now`, `most` of them, into `fired`, which must be empty, by deadline,
    /// ties in order of arming.
    pub(crate) fn expire(&mut self, now: u64, most: usize, fired: &mut Vec<Fired<W>>) {
        while fired.len() < most && self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let Some(Reverse(entry)) = self.heap.pop() else { return };
            if let Some(waker) = self.vacate(entry.place) {
                fired.push(Fired { id: entry.number, late: now - entry.deadline, waker });
            }
        }
    }

    fn vacate(&mut self, place: u32) -> Option<W> {
        let vacated = &mut self.places[place as usize];
        vacated.number = 0;
        self.free.push(place);
        self.armed -= 1;
        vacated.waker.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
