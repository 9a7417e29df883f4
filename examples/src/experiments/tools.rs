//! What the programs of several experiments use.

use std::cell::Cell;
use std::time::{Duration, Instant};

use mainspring::JoinHandle;

/// A program that has a runtime run these lines. One that stalls says so in its recording.
macro_rules! program {
    ($lines:expr) => {
        |runtime| drop(runtime.try_block_on(async { $lines }))
    };
}
pub(super) use program;

thread_local! {
    /// The program that runs on this thread lives by the real clock.
    pub(super) static REAL: Cell<bool> = const { Cell::new(true) };
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Awaits all of these tasks.
pub(super) async fn all(handles: impl IntoIterator<Item = JoinHandle<()>>) {
    for handle in handles {
        handle.await.expect("it neither panics nor is cancelled");
    }
}

/// Keeps the thread busy for so long: on the virtual clock, by moving it.
pub(super) fn work(time: Duration) {
    if !REAL.get() {
        return mainspring::time::advance(time);
    }
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}
