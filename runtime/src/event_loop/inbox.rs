//! 7 of 14. How does another thread reach the loop? Next: `task/table.rs`, where tasks live.
//!
//! A waker works on any thread, so a wake may come while the loop runs, while it is about to park,
//! while it is parked, and after it is gone. The inbox takes messages (a wake, a spawn, a cancel)
//! and makes sure that a parked loop learns of them, with one write to the poller per sleep however many
//! threads send.
//!
//! The danger is the classic one: the loop finds the inbox empty and parks just as a message comes in.
//! Both sides therefore store first and load then. The loop stores `ASLEEP`, then looks for messages; a
//! sender stores that there is one, then looks whether the loop sleeps. Between its store and its load
//! each has a sequentially consistent fence, so at least one of the two sees the other. The sender that
//! moves `ASLEEP` to `NOTIFIED` makes the write. The messages themselves are behind the mutex.
//!
//! The file names no poller and no task, only a message type and a way to notify, so that the loom
//! models at its end explore every interleaving of the real code.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, Ordering, fence},
};
use std::collections::VecDeque;
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, Ordering, fence},
};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const NOTIFIED: u8 = 2;

/// Ends the loop's sleep: in the runtime, a write to the poller.
pub(crate) trait Notify {
    /// Makes the loop's current or next wait return. Must not panic.
    fn notify(&self);
}

/// Messages from other threads to one loop.
pub(crate) struct Inbox<M, N> {
    messages: Mutex<Messages<M>>,
    has_messages: AtomicBool,
    sleep: AtomicU8,
    pub(crate) notifier: N,
}

struct Messages<M> {
    waiting: VecDeque<M>,
    closed: bool,
}

impl<M, N: Notify> Inbox<M, N> {
    pub(crate) fn new(notifier: N) -> Self {
        Inbox {
            messages: Mutex::new(Messages { waiting: VecDeque::new(), closed: false }),
            has_messages: AtomicBool::new(false),
            sleep: AtomicU8::new(AWAKE),
            notifier,
        }
    }

    /// Sends a message, from any thread.
    ///
    /// # Errors
    /// Gives it back if the inbox is closed.
    pub(crate) fn send(&self, message: M) -> Result<(), M> {
        let mut messages = self.lock();
        if messages.closed {
            return Err(message);
        }
        messages.waiting.push_back(message);
        self.has_messages.store(true, Ordering::Relaxed);
        drop(messages);
        fence(Ordering::SeqCst);
        // The load keeps the common case, a loop that is awake, free of a contended write.
        if self.sleep.load(Ordering::Relaxed) == ASLEEP
            && self
                .sleep
                .compare_exchange(ASLEEP, NOTIFIED, Ordering::Release, Ordering::Relaxed)
                .is_ok()
        {
            self.notifier.notify();
        }
        Ok(())
    }

    /// Whether no message is waiting. One plain load: cheap enough for every turn.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_messages.load(Ordering::Relaxed)
    }

    /// Moves all messages into `into`, which must be empty, in the order in which they were sent. O(1).
    pub(crate) fn collect(&self, into: &mut VecDeque<M>) {
        debug_assert!(into.is_empty());
        let mut messages = self.lock();
        self.has_messages.store(false, Ordering::Relaxed);
        std::mem::swap(&mut messages.waiting, into);
    }

    /// Says that the loop is about to sleep. False if a message is waiting: it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleep.store(ASLEEP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.is_empty() {
            self.wake_up();
            return false;
        }
        true
    }

    /// The loop is awake again and will read the inbox by itself. The acquire pairs with the release of the
    /// sender that notified, so that the loop finds its message. A sender that notifies between the load and the
    /// store is not seen here; its write ends the next sleep.
    pub(crate) fn wake_up(&self) {
        self.sleep.load(Ordering::Acquire);
        self.sleep.store(AWAKE, Ordering::Relaxed);
    }

    /// Takes no more messages. Returns those that were waiting.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut messages = self.lock();
        messages.closed = true;
        std::mem::take(&mut messages.waiting)
    }

    /// No code of a user runs under this lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Messages<M>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a task that has a wake in the inbox, so that further wakes send no second one.
///
/// A set mark is always followed by its clearing on the loop's thread, before the task is polled.
/// Both are read-modify-write operations, also where the value stays the same: what a thread wrote
/// before its wake must be visible to the poll that its wake leads to, even when another thread's message
/// leads to it.
pub(crate) struct WakeSent(AtomicBool);

impl WakeSent {
    pub(crate) fn new() -> Self {
        WakeSent(AtomicBool::new(false))
    }

    /// Sets the mark; true if the caller must send the message.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Clears the mark, before the task is polled.
    pub(crate) fn clear(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Count(Cell<u32>);

    impl Notify for Count {
        fn notify(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn only_the_first_message_of_a_sleep_notifies() {
        let inbox = Inbox::new(Count(Cell::new(0)));
        assert_eq!(inbox.send('a'), Ok(()));
        assert_eq!(inbox.notifier.0.get(), 0, "an awake loop looks by itself");
        assert!(!inbox.fall_asleep(), "a message keeps the loop awake");
        let mut messages = VecDeque::new();
        inbox.collect(&mut messages);
        assert_eq!(messages, ['a']);

        assert!(inbox.fall_asleep());
        for message in ['b', 'c', 'd'] {
            assert_eq!(inbox.send(message), Ok(()));
        }
        assert_eq!(inbox.notifier.0.get(), 1);
        inbox.wake_up();
        messages.clear();
        inbox.collect(&mut messages);
        assert_eq!(messages, ['b', 'c', 'd']);
        assert!(inbox.is_empty());
    }

    #[test]
    fn a_closed_inbox_gives_messages_back() {
        let inbox = Inbox::new(Count(Cell::new(0)));
        assert_eq!(inbox.send(1), Ok(()));
        assert_eq!(inbox.close(), [1]);
        assert_eq!(inbox.send(2), Err(2));
    }
}

#[cfg(all(test, loom))]
mod models {
    //! Run with `RUSTFLAGS="--cfg loom" cargo test -p mainspring --lib --release event_loop::inbox::models`.
    //!
    //! That they can fail was tried out. Without the fence in `fall_asleep`, or without the one in
    //! `send`, `no_message_is_slept_through` ends in a deadlock, which is what loom calls a loop that
    //! sleeps for ever. With a relaxed swap in `WakeSent::clear`, or with a load that spares the swap in
    //! `WakeSent::set`, `a_wake_that_rides_along_is_not_lost` does.

    use super::*;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar};
    use loom::thread;

    /// How often the scheduler takes the processor away from a thread that could go on. Every bug that
    /// was put in on purpose shows up at two; without a bound the models take hours.
    const PREEMPTIONS: usize = 3;

    fn model(f: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(PREEMPTIONS);
        builder.check(f);
    }

    /// A poller's wake-up: sticky, as an eventfd is, and counted.
    #[derive(Default)]
    struct Poller {
        notified: Mutex<bool>,
        changed: Condvar,
        count: AtomicUsize,
    }

    impl Poller {
        fn wait(&self) {
            let mut notified = self.notified.lock().unwrap();
            while !*notified {
                notified = self.changed.wait(notified).unwrap();
            }
            *notified = false;
        }
    }

    impl Notify for Arc<Poller> {
        fn notify(&self) {
            self.count.fetch_add(1, Ordering::Relaxed);
            *self.notified.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    /// The loop sleeps until it has seen what two threads sent. A message that came just before it
    /// slept has kept it awake or has notified the poller, and no sleep has cost more than one write: those
    /// that were called off because of a message count too, for a sender may have seen them.
    #[test]
    fn no_message_is_slept_through() {
        model(|| {
            let poller = Arc::new(Poller::default());
            let inbox = Arc::new(Inbox::new(poller.clone()));
            let senders: Vec<_> = (0..2)
                .map(|n| {
                    let inbox = inbox.clone();
                    thread::spawn(move || inbox.send(n).unwrap())
                })
                .collect();
            let (mut seen, mut sleeps) = (0, 0);
            let mut messages = VecDeque::new();
            while seen < 2 {
                sleeps += 1;
                if inbox.fall_asleep() {
                    poller.wait();
                    inbox.wake_up();
                }
                inbox.collect(&mut messages);
                seen += messages.drain(..).count();
            }
            for sender in senders {
                sender.join().unwrap();
            }
            assert!(poller.count.load(Ordering::Relaxed) <= sleeps, "one write per sleep at most");
        });
    }

    /// Two threads wake one task; only one of them sends a message. The poll that follows sees what
    /// both wrote, or a second poll does.
    #[test]
    fn a_wake_that_rides_along_is_not_lost() {
        model(|| {
            let poller = Arc::new(Poller::default());
            let inbox = Arc::new(Inbox::new(poller.clone()));
            let wake_sent = Arc::new(WakeSent::new());
            let data = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let wakers: Vec<_> = (0..2)
                .map(|n| {
                    let (inbox, wake_sent, data) = (inbox.clone(), wake_sent.clone(), data.clone());
                    thread::spawn(move || {
                        data[n].store(1, Ordering::Relaxed);
                        if wake_sent.set() {
                            inbox.send(()).unwrap();
                        }
                    })
                })
                .collect();
            let mut messages = VecDeque::new();
            while data.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>() < 2 {
                if inbox.fall_asleep() {
                    poller.wait();
                    inbox.wake_up();
                }
                inbox.collect(&mut messages);
                messages.drain(..).for_each(|()| wake_sent.clear());
            }
            for waker in wakers {
                waker.join().unwrap();
            }
        });
    }

    /// A loop that goes away while a thread sends: the message is either among those that the close
    /// returns, or back in the sender's hands.
    #[test]
    fn a_message_to_a_closing_inbox_is_never_lost() {
        model(|| {
            let poller = Arc::new(Poller::default());
            let inbox = Arc::new(Inbox::new(poller));
            let sender = {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.send(()).is_err())
            };
            let kept = inbox.close().len();
            let given_back = usize::from(sender.join().unwrap());
            assert_eq!(kept + given_back, 1);
        });
    }
}
