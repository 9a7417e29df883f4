//! 6 of 14. Which tasks are ready, and which is next? Next: `inbox.rs`, how other threads reach the loop.
//!
//! Two lists of slots, in the order in which their tasks became ready: the *batch* that is being polled, and what
//! is *next*. What a poll wakes waits for the next batch, so a task that wakes itself for ever has its
//! turn, and every other task has one too. Only what a check in the middle of the batch wakes may go to its head.
//!
//! A task is in here at most once; its state sees to that. Pushing and popping are O(1), amortized.

/// In which order the tasks of a batch are polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduler {
    /// In the order in which they became ready.
    #[default]
    Fifo,
    /// In a random order, the same for the same seed. A program whose outcome changes with the
    /// seed depends on an order that nothing promises.
    Seeded(u64),
}

/// The tasks that are scheduled.
pub(crate) struct ReadyQueue {
    batch: Vec<u32>,
    /// How many of the batch have been taken.
    taken: usize,
    next: Vec<u32>,
    /// How many have been taken since the beginning.
    popped: u64,
    /// A check of inbox, timers and events is due once so many have been taken.
    check_at: u64,
    rng: Option<Rng>,
}

/// What a random choice decided, for the observer.
pub(crate) struct Choice {
    pub(crate) among: u32,
    pub(crate) chosen: u32,
}

impl ReadyQueue {
    pub(crate) fn new(scheduler: Scheduler) -> ReadyQueue {
        let rng = if let Scheduler::Seeded(seed) = scheduler { Some(Rng(seed)) } else { None };
        let (batch, next) = Default::default();
        ReadyQueue { batch, taken: 0, next, popped: 0, check_at: 0, rng }
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.len() - self.taken + self.next.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        self.next.push(slot);
    }

    /// Takes a slot out again, wherever it is. O(n).
    pub(crate) fn remove(&mut self, slot: u32) {
        self.batch.drain(..self.taken);
        self.taken = 0;
        self.batch.retain(|&other| other != slot);
        self.next.retain(|&other| other != slot);
    }

    /// Makes a batch of all that is ready now. What a panic left of the last one comes first.
    #[inline]
    pub(crate) fn start_batch(&mut self) {
        if self.taken == self.batch.len() {
            self.batch.clear();
            std::mem::swap(&mut self.batch, &mut self.next);
        } else {
            self.batch.drain(..self.taken);
            self.batch.append(&mut self.next);
        }
        self.taken = 0;
    }

    /// Takes the next task of the batch.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = *self.batch.get(self.taken)?;
        self.taken += 1;
        self.popped += 1;
        Some(slot)
    }

    /// Makes a check due after so many polls.
    pub(crate) fn check_after(&mut self, polls: u32) {
        self.check_at = self.popped + u64::from(polls);
    }

    /// Counts work that is no poll towards the next check.
    pub(crate) fn count_work(&mut self, units: usize) {
        self.check_at = self.check_at.saturating_sub(units as u64);
    }

    pub(crate) fn check_is_due(&self) -> bool {
        self.popped >= self.check_at
    }

    /// How many have become ready since the batch began.
    pub(crate) fn waiting_for_next(&self) -> usize {
        self.next.len()
    }

    /// Moves those that became ready after the first `from` of the next batch to the head of this one, at most
    /// `max` of them, into the room of those that were taken. Returns how many: none if the batch is over, and
    /// they are next in any case.
    pub(crate) fn promote(&mut self, from: usize, max: usize) -> usize {
        if self.taken == self.batch.len() {
            return 0;
        }
        let count = (self.next.len() - from).min(max).min(self.taken);
        self.taken -= count;
        self.batch[self.taken..][..count].copy_from_slice(&self.next[from..][..count]);
        self.next.drain(from..from + count);
        count
    }

    /// How often a task has been pushed since the beginning.
    pub(crate) fn pushed(&self) -> u64 {
        self.popped + self.len() as u64
    }

    /// How often one has been taken.
    pub(crate) fn popped(&self) -> u64 {
        self.popped
    }

    /// Chooses which task of the batch is next, where the order is random and there is a choice.
    pub(crate) fn choose(&mut self) -> Option<Choice> {
        let rng = self.rng.as_mut()?;
        let left = &mut self.batch[self.taken..];
        if left.len() < 2 {
            return None;
        }
        let chosen = rng.below(left.len());
        left.swap(0, chosen);
        Some(Choice { among: left.len() as u32, chosen: chosen as u32 })
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): small,
/// and the same on every platform and in every version, which is all that a seed must promise.
struct Rng(u64);

impl Rng {
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
            let _choice = ready.choose();
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
    fn what_is_promoted_comes_before_the_rest_of_the_batch() {
        let mut ready = ReadyQueue::new(Scheduler::Fifo);
        (1..=4).for_each(|slot| ready.push(slot));
        ready.start_batch();
        assert_eq!((ready.pop(), ready.pop()), (Some(1), Some(2)));
        ready.push(5);
        let from = ready.waiting_for_next();
        (6..=9).for_each(|slot| ready.push(slot));
        assert_eq!(ready.promote(from, 3), 2, "no more than there is room for");
        assert_eq!(ready.promote(ready.waiting_for_next(), 3), 0);
        let rest: Vec<_> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(rest, [6, 7, 3, 4]);
        assert_eq!(ready.promote(0, 3), 0, "the batch is over");
        assert_eq!(batch(&mut ready), [5, 8, 9]);
        assert_eq!((ready.pushed(), ready.popped()), (9, 9));
    }

    #[test]
    fn a_check_is_due_after_so_many_polls() {
        let mut ready = ReadyQueue::new(Scheduler::Fifo);
        let polls = 128;
        ready.check_after(polls);
        for slot in 0..polls {
            ready.push(slot);
            ready.start_batch();
            assert!(!ready.check_is_due());
            assert_eq!(ready.pop(), Some(slot));
        }
        assert!(ready.check_is_due());

        (0..4).for_each(|slot| ready.push(slot));
        ready.start_batch();
        assert_eq!((ready.pop(), ready.pop()), (Some(0), Some(1)));
        ready.push(4);
        ready.check_after(2);
        assert_eq!(ready.promote(0, 1), 1);
        assert_eq!((ready.pop(), ready.check_is_due()), (Some(4), false));
        assert_eq!((ready.pop(), ready.check_is_due()), (Some(2), true));
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
