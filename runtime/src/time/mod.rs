//! Time: sleeping, ticking, and giving up on what takes too long.
//!
//! A duration counts from the first poll, since a future does nothing before it; a deadline is where it
//! is. A timer never fires early. How late it fires is up to two things. The platform lets mio wait
//! in whole milliseconds, rounded up, so an idle loop is up to one millisecond late (on Linux, where the
//! kernel adds its timer slack of 50 µs). A busy one looks at its timers at the start of every turn
//! and, inside of a turn, after every [`DEFAULT_POLL_INTERVAL`](crate::DEFAULT_POLL_INTERVAL) polls.
//!
//! ```
//! use std::time::Duration;
//! use mainspring::{Runtime, time::{Clock, now, sleep}};
//!
//! // On a virtual clock an hour takes no time, and nothing else changes.
//! let mut runtime = Runtime::builder().clock(Clock::Virtual).build().unwrap();
//! runtime.block_on(async {
//!     let start = now();
//!     sleep(Duration::from_secs(3600)).await;
//!     assert_eq!(now() - start, Duration::from_secs(3600));
//! });
//! ```

pub(crate) mod clock;
mod interval;
pub(crate) mod queue;
mod sleep;
mod timeout;

pub use clock::Clock;
pub use interval::{Interval, MissedTick, interval, interval_at};
pub use sleep::{Sleep, advance, now, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
