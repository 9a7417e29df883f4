//! The runtime's idea of now: the operating system's monotonic clock, or one that moves only when the
//! loop has nothing else to do.
//!
//! Inside the runtime an instant is a `u64`: nanoseconds since the runtime was built. It saturates
//! after 584 years, so that no duration, `Duration::MAX` included, is a special case.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Which clock a runtime lives by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// The operating system's monotonic clock.
    #[default]
    Real,
    /// A clock that starts when the runtime is built and stands still while there is work. When the loop
    /// would park, it jumps to the next deadline instead: a program of sleeps runs at once, in the order
    /// and with the times that it would have.
    ///
    /// The world outside does not jump along. So while a source is registered, a blocking job runs or a
    /// [`Remote`](crate::Remote) is held, the loop does not jump: [`try_block_on`](crate::Runtime::try_block_on)
    /// returns that as an error, [`block_on`](crate::Runtime::block_on) panics. A waker that another thread holds
    /// does not count, since it cannot be told from one in a channel between tasks: what such a thread
    /// wakes may come after the jump.
    Virtual,
    /// As [`Clock::Virtual`], but jumps also while the world outside is involved: the loop
    /// checks for events once without waiting, then jumps. For tests that know that nothing more will come.
    VirtualDespiteIo,
}

pub(crate) struct Time {
    pub(crate) kind: Clock,
    start: Instant,
    virtual_now: Cell<u64>,
}

impl Time {
    pub(crate) fn new(kind: Clock) -> Time {
        Time { kind, start: Instant::now(), virtual_now: Cell::new(0) }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        match self.kind {
            Clock::Real => nanos(self.start.elapsed()),
            _ => self.virtual_now.get(),
        }
    }

    /// Moves a virtual clock forward.
    pub(crate) fn jump(&self, to: u64) {
        debug_assert!(self.kind != Clock::Real && to >= self.virtual_now.get());
        self.virtual_now.set(to);
    }

    /// The same instant as the standard library writes it, or as late as that can.
    pub(crate) fn instant(&self, at: u64) -> Instant {
        later(self.start, Duration::from_nanos(at))
    }

    /// The same instant as the runtime counts it. One before the start is the start.
    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.start))
    }
}

/// The instant `by` after `start`, or as late as the platform can count.
pub(crate) fn later(start: Instant, mut by: Duration) -> Instant {
    loop {
        match start.checked_add(by) {
            Some(instant) => return instant,
            None => by /= 2,
        }
    }
}

/// A duration in nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> u64 {
    // In 64 bits: this is done at every reading of the clock.
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(duration.subsec_nanos()))
}
