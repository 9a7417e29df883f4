//! 11 of 14. Which timers are armed, and which are due? Next: `sleep.rs`, how a future waits for a timer.
//!
//! A binary heap of (deadline, number), and a slab with the waker of each timer. Numbers count the timers in the
//! order of arming, so equal deadlines fire in that order. Most timers are timeouts that are cancelled soon. So
//! arming is O(1): it puts the entry aside until the loop asks for the next deadline, and only what is still armed
//! then enters the heap, in O(log n). Cancelling is O(1), too: it empties the timer's place and leaves the entry,
//! to be skipped. Once such entries outnumber the armed ones, one O(n) pass removes them, so that no
//! more than about twice what is armed is ever kept.
//!
//! Knows of no clock and of no task: it is told what time it is, and gives wakers back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

/// Heaps below this many entries are not worth a pass.
const COMPACT_ABOVE: usize = 64;

/// Names an armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    number: u64,
    place: u32,
}

impl TimerKey {
    /// The timer's number as the events have it.
    pub(crate) fn id(self) -> u32 {
        self.number as u32
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: u64,
    number: u64,
    place: u32,
}

/// A place of the slab. Number 0 is no timer's.
#[derive(Default)]
struct Place {
    number: u64,
    waker: Option<Waker>,
}

/// A timer that fired.
pub(crate) struct Fired {
    pub(crate) id: u32,
    /// Nanoseconds after its deadline.
    pub(crate) late: u64,
    pub(crate) waker: Waker,
}

/// The timers of one loop.
#[derive(Default)]
pub(crate) struct TimerQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Armed since the next deadline was last asked for.
    fresh: Vec<Entry>,
    places: Vec<Place>,
    free: Vec<u32>,
    pub(crate) armed: usize,
    last_number: u64,
}

impl TimerQueue {
    /// Arms a timer.
    pub(crate) fn arm(&mut self, deadline: u64, waker: Waker) -> TimerKey {
        self.last_number += 1;
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
        self.fresh.push(Entry { deadline, number, place });
        TimerKey { number, place }
    }

    /// The waker of a timer. `None` if it has fired.
    pub(crate) fn waker(&self, key: TimerKey) -> Option<&Waker> {
        let place = &self.places[key.place as usize];
        place.waker.as_ref().filter(|_| place.number == key.number)
    }

    /// Has an armed timer wake `waker` from now on. Gives back the waker that it does not keep, to be dropped where
    /// nothing is borrowed: the one before, or this one if the timer has fired.
    pub(crate) fn set_waker(&mut self, key: TimerKey, waker: Waker) -> Option<Waker> {
        match &mut self.places[key.place as usize] {
            place if place.number == key.number => place.waker.replace(waker),
            _ => Some(waker),
        }
    }

    /// Disarms a timer. Gives its waker back, to be dropped where nothing is borrowed; none if it
    /// has fired.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        if self.places[key.place as usize].number != key.number {
            return None;
        }
        let waker = self.vacate(key.place);
        if self.heap.len() + self.fresh.len() > 2 * self.armed + COMPACT_ABOVE {
            self.compact();
        }
        waker
    }

    /// Removes the entries of timers that are not armed any more.
    fn compact(&mut self) {
        let armed = |entry: &Entry| self.places[entry.place as usize].number == entry.number;
        self.heap.retain(|Reverse(entry)| armed(entry));
        self.fresh.retain(armed);
    }

    /// The next deadline, if a timer is armed.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        if self.armed == 0 { None } else { self.first_of_heap() }
    }

    fn first_of_heap(&mut self) -> Option<u64> {
        for entry in self.fresh.drain(..) {
            if self.places[entry.place as usize].number == entry.number {
                self.heap.push(Reverse(entry));
            }
        }
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.places[entry.place as usize].number == entry.number {
                return Some(entry.deadline);
            }
            self.heap.pop();
        }
        None
    }

    /// Moves the timers that are due at `now`, `max` of them at most, into `fired`, which must be empty, by
    /// deadline, then in order of arming.
    pub(crate) fn expire(&mut self, now: u64, max: usize, fired: &mut Vec<Fired>) {
        while fired.len() < max && self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let Some(Reverse(entry)) = self.heap.pop() else { return };
            if let Some(waker) = self.vacate(entry.place) {
                fired.push(Fired { id: entry.number as u32, late: now - entry.deadline, waker });
            }
        }
    }

    /// Disarms all timers, and gives their wakers.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.armed = 0;
        self.places.iter_mut().filter_map(|place| std::mem::take(place).waker).collect()
    }

    fn vacate(&mut self, place: u32) -> Option<Waker> {
        let vacated = &mut self.places[place as usize];
        vacated.number = 0;
        self.free.push(place);
        self.armed -= 1;
        vacated.waker.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
