//! The header of a task: the only part of it that a waker holds.
//!
//! A waker is an `Arc<Header>`. It is valid on any thread and for ever; it owns no future, so dropping
//! the last one anywhere drops nothing of a user's. On the loop's thread a wake is a compare with a
//! thread-local address, a byte of state and a push to the ready queue, without a locked instruction.
//! On any other thread, and on the loop's own while the loop is not running, it is a letter to the
//! inbox, marked so that a second wake costs none. Once the runtime is gone it does nothing.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, fence};
use std::task::Waker;

use futures_task::ArcWake;

use crate::context::{self, Core, Letter, Mailbox};
use crate::inbox::Posted;
use crate::observe::tap::Tap;
use crate::observe::{CauseKind, Kind, WakeEffect};
use crate::task::TaskId;
use crate::task::state::{OnWake, State};

/// What the loop and the wakers of a task share.
pub(crate) struct Header {
    /// Where the task lives. Also tells its loop from every other: an address in use is unique.
    pub(crate) home: Arc<Mailbox>,
    /// Where the task stands. Only the loop's thread changes it.
    pub(crate) state: State,
    posted: Posted,
    slot: u32,
    number: AtomicU64,
}

impl Header {
    pub(crate) fn new(home: Arc<Mailbox>, id: TaskId) -> Arc<Header> {
        Arc::new(Header {
            home,
            state: State::spawned(),
            posted: Posted::new(),
            slot: id.slot(),
            number: AtomicU64::new(id.get()),
        })
    }

    /// The task that this header belongs to now.
    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        TaskId::new(self.number.load(Relaxed), self.slot)
    }

    /// Its place in the table, and its entry in the ready queue.
    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// How many wakers of this task are held outside of the loop. `own` is how many references the
    /// caller knows of.
    pub(crate) fn holders(self: &Arc<Header>, own: usize) -> usize {
        Arc::strong_count(self) - own
    }

    /// Hands the header to the next tenant of the slot, if no waker of the last one is left. With a
    /// count of one there is nobody who could clone another.
    #[inline]
    pub(crate) fn reuse(self: &Arc<Header>, number: u64) -> bool {
        if Arc::strong_count(self) != 1 {
            return false;
        }
        // Pairs with the release in the drop of the last waker on another thread.
        fence(std::sync::atomic::Ordering::Acquire);
        self.state.respawn();
        self.number.store(number, Relaxed);
        true
    }

    /// The letter of another thread has arrived: the next wake from there sends a new one.
    pub(crate) fn unpost(&self) {
        self.posted.clear();
    }
}

impl ArcWake for Header {
    #[inline]
    fn wake_by_ref(header: &Arc<Header>) {
        // The mark is set here so that `post` is handed the header by value: what has its address taken
        // costs every wake a store.
        if !context::wake_here(header) && header.posted.set() {
            post(header.clone());
        }
    }
}

/// Whom the loop is to wake later.
///
/// Most who wait bring the waker of the task that runs. Its slot does as well, and costs none of the two
/// locked instructions of a waker's clone and drop. With it goes the lower half of the task's number: after
/// four thousand million other tasks the wake would reach a stranger, whom a poll for nothing does not harm.
/// Under an observer, who is told how many wakers of a task are held, it is always a waker; a box keeps
/// small what every source has two of.
pub(crate) enum Wakee {
    Task { slot: u32, number: u32 },
    Other(Box<Waker>),
}

impl Core {
    /// Wakes a task on the loop's thread.
    pub(crate) fn wake(&self, header: &Header) {
        let action = header.state.wake();
        if action == OnWake::Enqueue {
            self.enqueue(header.slot());
            self.tell_scheduled(header);
        } else if let Some(tap) = self.tap.as_ref().filter(|tap| tap.all) {
            self.tell_woken(tap, header, action);
        }
    }

    /// Tells of a task that has just been woken and put into the ready queue.
    pub(crate) fn tell_scheduled(&self, header: &Header) {
        if let Some(tap) = &self.tap {
            self.tell_woken(tap, header, OnWake::Enqueue);
        }
    }

    /// Only what enters the queue is worth reading the clock for, and not if that was done just before:
    /// at a timer's expiry, a park's end or a poll's.
    #[inline(never)]
    fn tell_woken(&self, tap: &Tap, header: &Header, action: OnWake) {
        let (effect, (by, id)) = (WakeEffect::from(action), self.cause.get());
        let just_read = matches!(by, CauseKind::Timer | CauseKind::Source | CauseKind::Join);
        if effect == WakeEffect::Scheduled && !just_read {
            tap.set_stamp(self.time.now());
        }
        tap.event(header.id().get(), Kind::Woken { effect, by, id });
    }

    /// Whom to wake in place of `waker`.
    pub(crate) fn wakee(&self, waker: &Waker) -> Wakee {
        if ptr::eq(self.own_waker.get(), waker) && self.tap.is_none() {
            let id = self.polled.get();
            return Wakee::Task { slot: id.slot(), number: id.get() as u32 };
        }
        Wakee::Other(Box::new(waker.clone()))
    }

    #[inline]
    pub(crate) fn wake_wakee(&self, wakee: Wakee) {
        match wakee {
            Wakee::Other(waker) => waker.wake(),
            Wakee::Task { slot, number } => self.table.borrow_mut().wake(slot, number),
        }
    }
}

/// Wakes by letter.
#[cold]
fn post(header: Arc<Header>) {
    let home = header.home.clone();
    let letter = Letter::Wake { header, by: context::foreign_cause() };
    // A closed inbox gives the letter back: the task ended with its runtime, the wake is stale.
    drop(home.send(letter));
}
