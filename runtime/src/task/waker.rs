//! 5 of 14. What happens when a waker is used? Next: `event_loop/ready.rs`, where a woken task waits.
//!
//! A waker is an `Arc` of the task's [`Header`]. It is valid on any thread and for ever; it owns no future, so
//! dropping the last one anywhere drops nothing of a user's. On the loop's thread a wake is a compare with a
//! thread-local, a change of the state's byte, and a push to the ready queue, without a locked instruction.
//! On any other thread, and on the loop's own while the loop does not run, it is a message to the inbox,
//! marked so that a second wake sends none. Once the runtime is gone it does nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, fence};

use futures_task::ArcWake;

use crate::event_loop::inbox::WakeSent;
use crate::event_loop::{self, LoopInbox, Message};
use crate::observe::slot;
use crate::task::state::{OnWake, State};

/// What the loop and the wakers of a task share.
pub(crate) struct Header {
    /// The inbox of its loop. Also tells that loop from every other: an address in use is unique.
    inbox: Arc<LoopInbox>,
    /// Where the task is in its life. Only the loop's thread changes it.
    pub(crate) state: State,
    wake_sent: WakeSent,
    /// The task's place in the table, and its entry in the ready queue.
    pub(crate) slot: u32,
    number: AtomicU64,
}

/// How many references to a header are the loop's own: that of its slot and that of its cell.
const OWN_REFERENCES: usize = 2;

impl Header {
    pub(crate) fn new(inbox: Arc<LoopInbox>, slot: u32, number: u64) -> Arc<Header> {
        let (state, wake_sent, number) =
            (State::spawned(), WakeSent::new(), AtomicU64::new(number));
        Arc::new(Header { inbox, state, wake_sent, slot, number })
    }

    /// The number of the task that has this header now.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// How many wakers of this task exist outside of the loop.
    pub(crate) fn wakers(self: &Arc<Header>) -> usize {
        Arc::strong_count(self) - OWN_REFERENCES
    }

    /// Hands the header, with the cell that it was made with, to the next task in the slot, if no waker of the last
    /// one is left. Only the loop's own references count then, and nothing can clone another.
    #[inline]
    pub(crate) fn reuse(self: &Arc<Header>, number: u64) -> bool {
        if Arc::strong_count(self) != OWN_REFERENCES {
            return false;
        }
        // Pairs with the release in the drop of the last waker on another thread.
        fence(Acquire);
        self.state.respawn();
        self.number.store(number, Relaxed);
        true
    }

    /// The wake of another thread has arrived: the next one from there sends a message again.
    pub(crate) fn clear_wake_sent(&self) {
        self.wake_sent.clear();
    }
}

impl ArcWake for Header {
    /// *Wake means: enqueue once.* Timers, sockets, joins and the inbox all come through here.
    #[inline]
    fn wake_by_ref(header: &Arc<Header>) {
        let Some(observer_wants_all) = event_loop::runs_here(&header.inbox) else {
            if header.wake_sent.set() {
                send_wake(header.clone());
            }
            return;
        };
        let change = header.state.wake();
        // Most wakes end here, before they look for their loop: they find the task scheduled, or running.
        if change == OnWake::Enqueue || observer_wants_all {
            woken(header, change);
        }
    }
}

#[inline(never)]
fn woken(header: &Header, change: OnWake) {
    if let Some(core) = event_loop::try_current() {
        core.woken(header, change);
    }
}

fn send_wake(header: Arc<Header>) {
    let inbox = header.inbox.clone();
    let message = Message::Wake { header, by: slot::cause_of_this_thread() };
    // A closed inbox gives the message back: the task ended with its runtime, the wake is stale.
    drop(inbox.send(message));
}
