//! The ready queue: the slots of the tasks that are scheduled, in the order in which they became so.
//!
//! A task is in it at most once; its state sees to that. Pushing and popping are O(1).

use std::collections::VecDeque;

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

pub(crate) struct ReadyQueue {
    queue: VecDeque<u32>,
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
        ReadyQueue { queue: VecDeque::new(), lots }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        self.queue.push_back(slot);
    }

    /// Takes the next task of a batch of which `left` are still in the queue, at its head.
    #[inline]
    pub(crate) fn pop(&mut self, left: usize) -> Option<(u32, Option<Draw>)> {
        let draw = if self.lots.is_some() { self.draw(left) } else { None };
        self.queue.pop_front().map(|slot| (slot, draw))
    }

    /// Brings one of the first `left` tasks to the head.
    #[cold]
    fn draw(&mut self, left: usize) -> Option<Draw> {
        let lots = self.lots.as_mut().filter(|_| left > 1)?;
        let chosen = lots.below(left);
        self.queue.swap(0, chosen);
        Some(Draw { among: left as u32, chosen: chosen as u32 })
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

    fn order(scheduler: Scheduler) -> Vec<u32> {
        let mut ready = ReadyQueue::new(scheduler);
        (0..8).for_each(|slot| ready.push(slot));
        (1..=8).rev().map(|left| ready.pop(left).unwrap().0).collect()
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
    fn a_draw_stays_within_its_batch() {
        let mut ready = ReadyQueue::new(Scheduler::Seeded(1));
        (0..4).for_each(|slot| ready.push(slot));
        for left in (1..=2).rev() {
            assert!(ready.pop(left).unwrap().0 < 2, "the later two wait for the next batch");
        }
    }
}
