//! The ready queue: the slots of the tasks that are scheduled, in the order in which they became so.
//!
//! A task is in it at most once; its state sees to that. Pushing and popping are O(1), amortized.

/// In which order the tasks of a batch are polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduler {
    /// In the order in which they became ready.
    #[default]
    Fifo,
    /// In an order drawn by lot, the same for the same seed. A program whose outcome changes with the
    /// seed depends on an order that nothing promises.
    Seeded(u64),
}

/// How many entries that were taken are let lie, at least, before they are cleared away.
const CLEAR_ABOVE: usize = 64;

/// One list: what was taken, the rest of the batch that is being polled, and what became ready since it
/// began. A batch begins by moving one mark. Only what a look at timers and events amid the batch wakes may
/// be moved to the head of it.
pub(crate) struct ReadyQueue {
    entries: Vec<u32>,
    /// How many of the entries have been taken. They are cleared away once they are the greater part.
    taken: usize,
    /// Where the batch ends.
    batch_end: usize,
    /// Where the loop takes a look at timers and I/O: so many have been taken then.
    look_at: usize,
    /// How many have been cleared away.
    cleared: u64,
    lots: Option<Lots>,
}

/// What a draw decided, for the record.
pub(crate) struct Draw {
    pub(crate) among: u32,
    pub(crate) chosen: u32,
}

impl ReadyQueue {
    pub(crate) fn new(scheduler: Scheduler) -> ReadyQueue {
        let lots = match scheduler {
            Scheduler::Fifo => None,
            Scheduler::Seeded(seed) => Some(Lots(seed)),
        };
        ReadyQueue { entries: Vec::new(), taken: 0, batch_end: 0, look_at: 0, cleared: 0, lots }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.taken
    }

    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        self.entries.push(slot);
    }

    /// The same, unless the list has to grow for that: then it does nothing, and returns false.
    #[inline]
    pub(crate) fn push_in_place(&mut self, slot: u32) -> bool {
        let fits = self.entries.len() < self.entries.capacity();
        if fits {
            self.entries.push(slot);
        }
        fits
    }

    /// Makes a batch of all that is ready now. What a panic left of the last one comes first.
    #[inline]
    pub(crate) fn start_batch(&mut self) {
        if self.taken >= CLEAR_ABOVE {
            self.clear_taken();
        }
        self.batch_end = self.entries.len();
    }

    #[cold]
    fn clear_taken(&mut self) {
        if self.taken >= self.len() {
            self.entries.drain(..self.taken);
            self.cleared += self.taken as u64;
            self.look_at = self.look_at.saturating_sub(self.taken);
            self.taken = 0;
        }
    }

    /// Has a look be due after so many more.
    pub(crate) fn look_after(&mut self, polls: u32) {
        self.look_at = self.taken.saturating_add(polls as usize);
    }

    #[inline]
    pub(crate) fn look_is_due(&self) -> bool {
        self.taken >= self.look_at
    }

    /// How many have become ready since the batch began.
    pub(crate) fn later(&self) -> usize {
        self.entries.len() - self.batch_end
    }

    /// Of those that became ready when there were `from` of them already, moves the first few, at most
    /// `most`, to the head of the batch, into the room of those that were taken. Returns how many: none
    /// if the batch is over, and they are next in any case.
    pub(crate) fn advance(&mut self, from: usize, most: usize) -> usize {
        if self.taken == self.batch_end {
            return 0;
        }
        let first = self.batch_end + from;
        let count = (self.entries.len() - first).min(most).min(self.taken);
        self.taken -= count;
        self.look_at = self.look_at.saturating_sub(count);
        let (before, moved) = self.entries.split_at_mut(first);
        before[self.taken..][..count].copy_from_slice(&moved[..count]);
        self.entries.drain(first..first + count);
        self.cleared += count as u64;
        count
    }

    /// How often a task has been pushed since the beginning.
    pub(crate) fn pushed(&self) -> u64 {
        self.cleared + self.entries.len() as u64
    }

    /// How often one has been taken.
    pub(crate) fn popped(&self) -> u64 {
        self.cleared + self.taken as u64
    }

    /// Takes the next task of the batch.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        if self.taken == self.batch_end {
            return None;
        }
        let slot = self.entries[self.taken];
        self.taken += 1;
        Some(slot)
    }

    /// Draws which task of the batch is next, where the scheduler draws lots and there is a choice.
    pub(crate) fn draw(&mut self) -> Option<Draw> {
        let lots = self.lots.as_mut()?;
        let left = &mut self.entries[self.taken..self.batch_end];
        if left.len() < 2 {
            return None;
        }
        let chosen = lots.below(left.len());
        left.swap(0, chosen);
        Some(Draw { among: left.len() as u32, chosen: chosen as u32 })
    }

    /// Whether the scheduler draws lots.
    #[inline]
    pub(crate) fn draws(&self) -> bool {
        self.lots.is_some()
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): small,
/// and the same on every platform and in every version, which is all that a seed must promise.
struct Lots(u64);

impl Lots {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The bias of a multiply-shift is below 2^-32 for any queue that fits into memory.
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ready: &mut ReadyQueue) -> Vec<u32> {
        ready.start_batch();
        std::iter::from_fn(|| {
            let _draw = ready.draw();
            ready.pop()
        })
        .collect()
    }

    fn order(scheduler: Scheduler) -> Vec<u32> {
        let mut ready = ReadyQueue::new(scheduler);
        (0..8).for_each(|slot| ready.push(slot));
        batch(&mut ready)
    }

    #[test]
    fn fifo_keeps_the_order() {
        assert_eq!(order(Scheduler::Fifo), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_seed_fixes_an_order_of_the_same_tasks() {
        let drawn = order(Scheduler::Seeded(7));
        assert_eq!(drawn, order(Scheduler::Seeded(7)));
        assert_ne!(drawn, order(Scheduler::Seeded(8)));
        let mut sorted = drawn.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_ne!(drawn, sorted);
    }

    #[test]
    fn what_becomes_ready_during_a_batch_waits_for_the_next() {
        let mut ready = ReadyQueue::new(Scheduler::Seeded(1));
        ready.push(1);
        ready.start_batch();
        ready.push(2);
        assert_eq!(ready.pop(), Some(1));
        assert_eq!(ready.pop(), None);
        assert_eq!(ready.len(), 1);
        assert_eq!(batch(&mut ready), [2]);
    }

    #[test]
    fn what_is_advanced_comes_before_the_rest_of_the_batch() {
        let mut ready = ReadyQueue::new(Scheduler::Fifo);
        (1..=4).for_each(|slot| ready.push(slot));
        ready.start_batch();
        assert_eq!((ready.pop(), ready.pop()), (Some(1), Some(2)));
        ready.push(5);
        let from = ready.later();
        (6..=9).for_each(|slot| ready.push(slot));
        assert_eq!(ready.advance(from, 3), 2, "no more than there is room for");
        assert_eq!(ready.advance(ready.later(), 3), 0);
        let rest: Vec<_> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(rest, [6, 7, 3, 4]);
        assert_eq!(ready.advance(0, 3), 0, "the batch is over");
        assert_eq!(batch(&mut ready), [5, 8, 9]);
        assert_eq!((ready.pushed(), ready.popped()), (9, 9));
    }

    #[test]
    fn a_look_is_due_after_so_many_polls() {
        let mut ready = ReadyQueue::new(Scheduler::Fifo);
        // More than are let lie, so that entries are cleared away meanwhile.
        let polls = 2 * CLEAR_ABOVE as u32;
        ready.look_after(polls);
        for slot in 0..polls {
            ready.push(slot);
            ready.start_batch();
            assert!(!ready.look_is_due());
            assert_eq!(ready.pop(), Some(slot));
        }
        assert!(ready.look_is_due());
        assert_eq!(ready.taken, CLEAR_ABOVE);

        (0..4).for_each(|slot| ready.push(slot));
        ready.start_batch();
        assert_eq!((ready.pop(), ready.pop()), (Some(0), Some(1)));
        ready.push(4);
        ready.look_after(2);
        assert_eq!(ready.advance(0, 1), 1);
        assert_eq!((ready.pop(), ready.look_is_due()), (Some(4), false));
        assert_eq!((ready.pop(), ready.look_is_due()), (Some(2), true));
    }

    #[test]
    fn the_rest_of_an_unfinished_batch_comes_first() {
        let mut ready = ReadyQueue::new(Scheduler::Fifo);
        (1..=3).for_each(|slot| ready.push(slot));
        ready.start_batch();
        assert_eq!(ready.pop(), Some(1));
        ready.push(4);
        assert_eq!(ready.len(), 3);
        assert_eq!(batch(&mut ready), [2, 3, 4]);
    }
}
