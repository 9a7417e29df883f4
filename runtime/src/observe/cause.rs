//! What causes a wake that another thread sends: the thread, by a number, or the end of a blocking job on it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::event::CauseKind;

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// The blocking job whose end this thread is reporting, or 0.
    static JOB: Cell<u32> = const { Cell::new(0) };
}

/// The cause of a wake that this thread sends.
pub(crate) fn of_this_thread() -> (CauseKind, u64) {
    match JOB.get() {
        0 => (CauseKind::Thread, thread_number()),
        job => (CauseKind::Job, u64::from(job)),
    }
}

/// Runs `f` with the end of a blocking job as the cause of every wake in it.
pub(crate) fn caused_by_job(job: u32, f: impl FnOnce()) {
    JOB.set(job);
    f();
    JOB.set(0);
}

/// A number for the calling thread, counted from 1 in the order of asking.
pub(crate) fn thread_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if THREAD.get() == 0 {
        THREAD.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    }
    THREAD.get()
}
