//! Where other threads leave word for the loop.
//!
//! A waker works on any thread, so a wake may come while the loop runs, while it is about to park,
//! while it is parked, and after it is gone. The inbox takes what is sent (a wake, a spawn, a cancel)
//! and sees to it that a parked loop hears of it, with one write to the poller per sleep however many
//! threads send.
//!
//! The danger is the classic one: the loop finds the inbox empty and parks just as a letter comes in.
//! Both sides therefore announce themselves before they look. The loop stores `ASLEEP`, then looks
//! for letters; a sender stores `has_mail`, then looks for a sleeper. Between its store and its look
//! each has a sequentially consistent fence, so at least one of the two sees the other. Whoever moves
//! `ASLEEP` to `NOTIFIED` makes the write. The letters themselves travel under the mutex.
//!
//! The file names no poller and no task, only a letter type and a way to notify, so that the loom
//! model at its end explores every interleaving of the real code.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, Ordering, fence},
};
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

/// Letters from other threads to one loop.
pub(crate) struct Inbox<L, N> {
    letters: Mutex<Letters<L>>,
    has_mail: AtomicBool,
    sleep: AtomicU8,
    notifier: N,
}

struct Letters<L> {
    waiting: Vec<L>,
    closed: bool,
}

impl<L, N: Notify> Inbox<L, N> {
    pub(crate) fn new(notifier: N) -> Self {
        Inbox {
            letters: Mutex::new(Letters { waiting: Vec::new(), closed: false }),
            has_mail: AtomicBool::new(false),
            sleep: AtomicU8::new(AWAKE),
            notifier,
        }
    }

    /// Leaves a letter, from any thread. Gives it back if the loop is gone.
    pub(crate) fn send(&self, letter: L) -> Result<(), L> {
        {
            let mut letters = self.lock();
            if letters.closed {
                return Err(letter);
            }
            letters.waiting.push(letter);
            self.has_mail.store(true, Ordering::Relaxed);
        }
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

    /// How the loop is told.
    pub(crate) fn notifier(&self) -> &N {
        &self.notifier
    }

    /// Whether a letter may be waiting. One plain load: cheap enough for every turn.
    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Relaxed)
    }

    /// Moves all letters into `into`, which must be empty, in the order in which they were sent.
    pub(crate) fn collect(&self, into: &mut Vec<L>) {
        debug_assert!(into.is_empty());
        let mut letters = self.lock();
        self.has_mail.store(false, Ordering::Relaxed);
        std::mem::swap(&mut letters.waiting, into);
    }

    /// Announces that the loop is about to sleep. False if there is mail: it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleep.store(ASLEEP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.has_mail.load(Ordering::Relaxed) {
            self.wake_up();
            return false;
        }
        true
    }

    /// The loop is awake again and will look into the inbox by itself. The acquire pairs with the
    /// release of whoever notified, so that the look which follows finds that letter. Whoever notifies
    /// between the load and the store is not seen here; its ring ends the next sleep.
    pub(crate) fn wake_up(&self) {
        self.sleep.load(Ordering::Acquire);
        self.sleep.store(AWAKE, Ordering::Relaxed);
    }

    /// Takes no more letters. Returns those that were waiting.
    pub(crate) fn close(&self) -> Vec<L> {
        let mut letters = self.lock();
        letters.closed = true;
        std::mem::take(&mut letters.waiting)
    }

    /// No code of a user runs under this lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Letters<L>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a task that has a letter in the inbox, so that further wakes cost none.
///
/// A set mark is always followed by its clearing on the loop's thread, before the task is polled.
/// Both are read-modify-write operations, also where the value stays the same: what a thread wrote
/// before its wake must be visible to the poll that its wake leads to, even when it rode on the letter
/// of another.
pub(crate) struct Posted(AtomicBool);

impl Posted {
    pub(crate) fn new() -> Self {
        Posted(AtomicBool::new(false))
    }

    /// Sets the mark; true if the caller must send the letter.
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
    fn only_the_first_letter_of_a_sleep_notifies() {
        let inbox = Inbox::new(Count(Cell::new(0)));
        assert_eq!(inbox.send('a'), Ok(()));
        assert_eq!(inbox.notifier.0.get(), 0, "an awake loop looks by itself");
        assert!(!inbox.fall_asleep(), "mail keeps the loop awake");
        let mut letters = Vec::new();
        inbox.collect(&mut letters);
        assert_eq!(letters, ['a']);

        assert!(inbox.fall_asleep());
        for letter in ['b', 'c', 'd'] {
            assert_eq!(inbox.send(letter), Ok(()));
        }
        assert_eq!(inbox.notifier.0.get(), 1);
        inbox.wake_up();
        letters.clear();
        inbox.collect(&mut letters);
        assert_eq!(letters, ['b', 'c', 'd']);
        assert!(!inbox.has_mail());
    }

    #[test]
    fn a_closed_inbox_gives_letters_back() {
        let inbox = Inbox::new(Count(Cell::new(0)));
        assert_eq!(inbox.send(1), Ok(()));
        assert_eq!(inbox.close(), [1]);
        assert_eq!(inbox.send(2), Err(2));
    }
}

#[cfg(all(test, loom))]
mod models {
    //! Run with `RUSTFLAGS="--cfg loom" cargo test -p mainspring --lib --release inbox::models`.
    //!
    //! That they can fail was tried out. Without the fence in `fall_asleep`, or without the one in
    //! `send`, `no_letter_is_slept_through` ends in a deadlock, which is what loom calls a loop that
    //! sleeps for ever. With a relaxed swap in `Posted::clear`, or with a load that spares the swap in
    //! `Posted::set`, `a_wake_that_rides_along_is_not_lost` does.

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
    struct Bell {
        rung: Mutex<bool>,
        changed: Condvar,
        count: AtomicUsize,
    }

    impl Bell {
        fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.changed.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    impl Notify for Arc<Bell> {
        fn notify(&self) {
            self.count.fetch_add(1, Ordering::Relaxed);
            *self.rung.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    /// The loop sleeps until it has seen what two threads sent. A letter that came just before it
    /// slept has kept it awake or has rung the bell, and no sleep has cost more than one ring: those
    /// that were called off because of mail count too, for a sender may have seen them.
    #[test]
    fn no_letter_is_slept_through() {
        model(|| {
            let bell = Arc::new(Bell::default());
            let inbox = Arc::new(Inbox::new(bell.clone()));
            let senders: Vec<_> = (0..2)
                .map(|n| {
                    let inbox = inbox.clone();
                    thread::spawn(move || inbox.send(n).unwrap())
                })
                .collect();
            let (mut seen, mut sleeps) = (0, 0);
            let mut letters = Vec::new();
            while seen < 2 {
                sleeps += 1;
                if inbox.fall_asleep() {
                    bell.wait();
                    inbox.wake_up();
                }
                inbox.collect(&mut letters);
                seen += letters.drain(..).count();
            }
            for sender in senders {
                sender.join().unwrap();
            }
            assert!(bell.count.load(Ordering::Relaxed) <= sleeps, "one ring per sleep at most");
        });
    }

    /// Two threads wake one task; only one of them sends a letter. The poll that follows sees what
    /// both wrote, or a second poll does.
    #[test]
    fn a_wake_that_rides_along_is_not_lost() {
        model(|| {
            let bell = Arc::new(Bell::default());
            let inbox = Arc::new(Inbox::new(bell.clone()));
            let posted = Arc::new(Posted::new());
            let data = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let wakers: Vec<_> = (0..2)
                .map(|n| {
                    let (inbox, posted, data) = (inbox.clone(), posted.clone(), data.clone());
                    thread::spawn(move || {
                        data[n].store(1, Ordering::Relaxed);
                        if posted.set() {
                            inbox.send(()).unwrap();
                        }
                    })
                })
                .collect();
            let mut letters = Vec::new();
            while data.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>() < 2 {
                if inbox.fall_asleep() {
                    bell.wait();
                    inbox.wake_up();
                }
                inbox.collect(&mut letters);
                letters.drain(..).for_each(|()| posted.clear());
            }
            for waker in wakers {
                waker.join().unwrap();
            }
        });
    }

    /// A loop that goes away while a thread sends: the letter is either among those that the close
    /// returns, or back in the sender's hands.
    #[test]
    fn a_letter_to_a_closing_inbox_is_never_lost() {
        model(|| {
            let bell = Arc::new(Bell::default());
            let inbox = Arc::new(Inbox::new(bell));
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
