//! 11 of 14. Which timers are armed, and which are due? Next: `sleep.rs`, how a future waits for a timer.
//!
//! A heap of (deadline, number), and a slab with the waker of each timer. Numbers count the timers in the
//! order of arming, so equal deadlines fire in that order. An entry of the heap has four below it where a binary
//! heap has two. With 100,000 timers each level is in memory that no cache holds, and half as many levels take a
//! tenth off the time of a sleep that fires.
//!
//! Most timers are timeouts that are cancelled soon. So arming is O(1): it puts the entry aside until the loop asks
//! for the next deadline, and only what is still armed then enters the heap, in O(log n). Cancelling is O(1), too: it
//! empties the timer's place and leaves the entry, to be skipped. Once such entries outnumber the armed ones, one
//! pass removes them, and those that are left enter the heap again, each in O(log n) at most. So no more than about
//! twice what is armed is ever kept.
//!
//! Knows of no clock and of no task: it is told what time it is, and gives wakers back.

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

#[derive(Clone, Copy)]
struct Entry {
    deadline: u64,
    number: u64,
    place: u32,
}

impl Entry {
    /// As one number, which is compared without a branch that the processor would have to guess.
    fn key(&self) -> u128 {
        u128::from(self.deadline) << 64 | u128::from(self.number)
    }
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
    heap: Vec<Entry>,
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
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 timers at once")
        });
        self.places[place as usize] = Place { number, waker: Some(waker) };
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

    /// Removes the entries of timers that are not armed any more. The others enter the heap again.
    fn compact(&mut self) {
        self.fresh.append(&mut self.heap);
        self.fresh.retain(|entry| self.places[entry.place as usize].number == entry.number);
    }

    /// The next deadline, if a timer is armed.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        if self.armed == 0 { None } else { self.first_of_heap() }
    }

    fn first_of_heap(&mut self) -> Option<u64> {
        while let Some(entry) = self.fresh.pop() {
            if self.is_armed(&entry) {
                self.push(entry);
            }
        }
        while let Some(entry) = self.heap.first() {
            if self.is_armed(entry) {
                return Some(entry.deadline);
            }
            self.pop();
        }
        None
    }

    fn is_armed(&self, entry: &Entry) -> bool {
        self.places[entry.place as usize].number == entry.number
    }

    /// Adds an entry to the heap: those above it that are later move down.
    fn push(&mut self, entry: Entry) {
        let mut at = self.heap.len();
        self.heap.push(entry);
        while at > 0 && entry.key() < self.heap[(at - 1) / 4].key() {
            self.heap[at] = self.heap[(at - 1) / 4];
            at = (at - 1) / 4;
        }
        self.heap[at] = entry;
    }

    /// Removes the first entry of the heap: the last takes its place, and moves down below all that are earlier.
    fn pop(&mut self) -> Entry {
        let popped = self.heap.swap_remove(0);
        let (mut at, Some(&entry)) = (0, self.heap.first()) else { return popped };
        loop {
            let (mut first, mut place) = (entry, at);
            for (below, other) in self.heap.iter().enumerate().skip(4 * at + 1).take(4) {
                let earlier = other.key() < first.key();
                (first, place) = if earlier { (*other, below) } else { (first, place) };
            }
            self.heap[at] = first;
            if place == at {
                return popped;
            }
            at = place;
        }
    }

    /// Moves the timers that are due at `now`, `max` of them at most, into `fired`, which must be empty, by
    /// deadline, then in order of arming.
    pub(crate) fn expire(&mut self, now: u64, max: usize, fired: &mut Vec<Fired>) {
        while fired.len() < max && self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let entry = self.pop();
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
