//! Ticks at a steady rate.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::event_loop;
use crate::time::clock::{later, nanos};
use crate::time::sleep::{Sleep, now, sleep_until};

/// What to do about ticks that were missed, because they were not asked for in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTick {
    /// Give them at once, one with each poll of the task, until the schedule is caught up with.
    #[default]
    Burst,
    /// Start the schedule again from the late tick.
    Delay,
    /// Leave them out, and go on with the next one of the schedule.
    Skip,
}

/// Ticks every `period`, for the first time at once.
///
/// ```
/// use std::time::Duration;
/// use mainspring::{Runtime, time::{Clock, interval, now}};
///
/// let mut runtime = Runtime::builder().clock(Clock::Virtual).build().unwrap();
/// runtime.block_on(async {
///     let (start, mut ticks) = (now(), interval(Duration::from_secs(1)));
///     for n in 0..3 {
///         assert_eq!(ticks.tick().await - start, Duration::from_secs(n));
///     }
/// });
/// ```
///
/// # Panics
/// Outside of a runtime, and if `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period above zero");
    let sleep = sleep_until(start);
    Interval { next: start, period, missed: MissedTick::Burst, sleep, ticked_in: 0 }
}

/// Ticks at a steady rate: see [`interval`].
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
    missed: MissedTick,
    sleep: Sleep,
    /// The number of the poll in which it ticked last.
    ticked_in: u64,
}

impl Interval {
    /// What to do about missed ticks. [`MissedTick::Burst`] by default.
    pub fn set_missed_tick(&mut self, missed: MissedTick) {
        self.missed = missed;
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Starts the schedule again: the next tick is one period from now.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn reset(&mut self) {
        self.schedule(later(now(), self.period));
    }

    /// Waits for the next tick, and gives the time for which it was scheduled. Cancel-safe: a tick that was
    /// not received is not lost.
    ///
    /// # Panics
    /// When polled outside of a runtime, or on another one than before.
    pub fn tick(&mut self) -> impl Future<Output = Instant> {
        poll_fn(|cx| self.poll_tick(cx))
    }

    fn schedule(&mut self, next: Instant) {
        self.next = next;
        self.sleep.reset_at(next);
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        // A tick that is due needs no timer.
        if self.next > now() && Pin::new(&mut self.sleep).poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Work that takes longer than a period would otherwise never let anybody else run.
        let poll = event_loop::current("an interval").polls();
        if self.ticked_in == poll {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ticked_in = poll;
        let (tick, now) = (self.next, now());
        let next = match self.missed {
            MissedTick::Burst => later(tick, self.period),
            MissedTick::Delay => later(now, self.period),
            MissedTick::Skip => {
                let late = now.saturating_duration_since(tick);
                let into_period = nanos(late) % nanos(self.period);
                later(now, self.period - Duration::from_nanos(into_period))
            }
        };
        self.schedule(next);
        Poll::Ready(tick)
    }
}
