//! What a loop has done so far, in plain counts.

use std::cell::Cell;
use std::time::Duration;

use crate::event_loop::Core;

/// Counters of the loop's thread. What follows from something else that is counted has none.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) turns: Cell<u64>,
    /// Futures given to `block_on`.
    pub(crate) mains: Cell<u64>,
    /// Tasks that were taken from the ready queue to be cancelled.
    pub(crate) unpolled: Cell<u64>,
    pub(crate) done: Cell<u64>,
    pub(crate) panicked: Cell<u64>,
    pub(crate) cancelled: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
    pub(crate) io_events: Cell<u64>,
    pub(crate) messages: Cell<u64>,
    pub(crate) parks: Cell<u64>,
    pub(crate) parked_nanos: Cell<u64>,
}

/// What one turn did, or several: see [`Runtime::turn`](crate::Runtime::turn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// Polls made.
    pub polled: u64,
    /// Tasks that entered the ready queue.
    pub woken: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Readiness events that the operating system brought.
    pub io_events: u64,
    /// Time spent waiting for the operating system.
    pub parked: Duration,
}

/// What a runtime has done since it was built: see [`Runtime::stats`](crate::Runtime::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns made.
    pub turns: u64,
    /// Polls made.
    pub polls: u64,
    /// Times that a task entered the ready queue.
    pub woken: u64,
    /// Tasks spawned.
    pub spawned: u64,
    /// Tasks done, those that panicked included.
    pub done: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Tasks that are pending or running now, the future of `block_on` not counted.
    pub alive: u64,
    /// Timers armed now.
    pub timers: u64,
    /// Sources registered now.
    pub sources: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Readiness events that the operating system brought.
    pub io_events: u64,
    /// Wakes, spawns and cancels that came from other threads.
    pub messages: u64,
    /// Writes to the poller that they took: at most one per sleep.
    pub poller_writes: u64,
    /// Times that the loop waited for the operating system.
    pub parks: u64,
    /// Time spent so.
    pub parked: Duration,
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get() + n);
}

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let spawned = self.last_task.get() - counters.mains.get();
        Stats {
            turns: counters.turns.get(),
            polls: self.polls(),
            woken: self.tasks.borrow().ready.pushed(),
            spawned,
            done: counters.done.get(),
            panicked: counters.panicked.get(),
            cancelled: counters.cancelled.get(),
            alive: spawned - counters.done.get() - counters.cancelled.get(),
            timers: self.timers.borrow().armed as u64,
            sources: self.reactor.len() as u64,
            timers_fired: counters.timers_fired.get(),
            io_events: counters.io_events.get(),
            messages: counters.messages.get(),
            poller_writes: self.inbox.notifier.wakes(),
            parks: counters.parks.get(),
            parked: Duration::from_nanos(counters.parked_nanos.get()),
        }
    }

    /// Polls made, the one that is being made included.
    pub(crate) fn polls(&self) -> u64 {
        self.tasks.borrow().ready.popped() - self.counters.unpolled.get()
    }
}

impl Turn {
    pub(crate) fn between(before: &Stats, after: &Stats) -> Turn {
        Turn {
            polled: after.polls - before.polls,
            woken: after.woken - before.woken,
            timers_fired: after.timers_fired - before.timers_fired,
            io_events: after.io_events - before.io_events,
            parked: after.parked - before.parked,
        }
    }
}
