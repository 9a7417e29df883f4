//! 12 of 14. How does a future wait for a timer? Next: `reactor/mod.rs`, the other source of wakes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::event_loop::{self, Core};
use crate::observe::event::Kind;
use crate::time::clock::{Clock, nanos};
use crate::time::queue::TimerKey;

/// Moves the virtual clock of this thread's loop forward, as if the work that calls it had taken that
/// long. Timers that become due meanwhile fire late, at the next turn, just as they would have.
///
/// # Panics
/// Outside of a runtime, and on the real clock.
#[track_caller]
pub fn advance(duration: Duration) {
    let core = event_loop::current("advance");
    assert!(core.time.kind != Clock::Real, "only a virtual clock can be advanced");
    let to = core.time.now().saturating_add(nanos(duration));
    core.time.jump(to);
    core.emit(0, Kind::ClockJumped { to });
}

/// Waits for at least `duration`, counted from the first poll.
///
/// Suspends at least once, also for a duration of zero. `Duration::MAX` is no special case: the deadline
/// is 584 years away. Accuracy is described in the [module](crate::time). Cancel-safe: dropping it
/// disarms its timer, in O(1).
///
/// # Panics
/// When polled outside of a runtime, and when polled again in another one, or after its own was dropped: the
/// timer would never fire. The message names both places.
///
/// ```
/// use std::time::Duration;
///
/// mainspring::run(async {
///     mainspring::time::sleep(Duration::from_millis(1)).await;
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { stage: Stage::Unarmed(Unarmed::After(duration)) }
}

/// Waits until `deadline`. Suspends at least once, also if that has passed.
///
/// # Panics
/// When polled outside of a runtime.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { stage: Stage::Unarmed(Unarmed::At(deadline)) }
}

/// The time by the runtime's clock: under a virtual one it moves only when the loop has nothing to do.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn now() -> Instant {
    let core = event_loop::current("time::now");
    core.time.instant(core.time.now())
}

/// A timer of one task: see [`sleep`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    stage: Stage,
}

/// Two enums, one in the other: with all four variants in one, a sleep would be a word larger.
enum Stage {
    Unarmed(Unarmed),
    Armed(Armed),
}

/// Not polled yet, or polled to its end.
enum Unarmed {
    After(Duration),
    At(Instant),
    Elapsed,
}

// Each sleeping task and each request with a limit holds one.
const _: () = assert!(size_of::<Sleep>() <= 32);

/// An armed timer. Dropping it disarms it.
struct Armed {
    core: Rc<Core>,
    key: TimerKey,
    deadline: u64,
}

impl Sleep {
    /// Starts again, with a deadline `duration` after the next poll.
    pub fn reset(&mut self, duration: Duration) {
        self.stage = Stage::Unarmed(Unarmed::After(duration));
    }

    /// Starts again, with another deadline.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.stage = Stage::Unarmed(Unarmed::At(deadline));
    }

    /// When it is due. `None` while its duration has not begun to count, and once it has elapsed.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Unarmed(Unarmed::At(deadline)) => Some(*deadline),
            Stage::Armed(armed) => Some(armed.core.time.instant(armed.deadline)),
            Stage::Unarmed(_) => None,
        }
    }

    /// Whether it has been polled to its end.
    pub fn is_elapsed(&self) -> bool {
        matches!(self.stage, Stage::Unarmed(Unarmed::Elapsed))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (core, deadline) = match &self.stage {
            Stage::Armed(armed) => {
                if armed.poll(cx).is_ready() {
                    self.stage = Stage::Unarmed(Unarmed::Elapsed);
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            Stage::Unarmed(Unarmed::Elapsed) => return Poll::Ready(()),
            Stage::Unarmed(Unarmed::After(duration)) => {
                let core = event_loop::current("sleep");
                let deadline = core.time.now().saturating_add(nanos(*duration));
                (core, deadline)
            }
            Stage::Unarmed(Unarmed::At(instant)) => {
                let core = event_loop::current("sleep_until");
                let deadline = core.time.nanos_at(*instant);
                (core, deadline)
            }
        };
        let waker = cx.waker().clone();
        let key = core.timers.borrow_mut().arm(deadline, waker);
        core.emit_running(Kind::TimerArmed { timer: key.id(), deadline });
        self.stage = Stage::Armed(Armed { core, key, deadline });
        Poll::Pending
    }
}

impl Armed {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.core.is_current() {
            let here = match event_loop::entered_at() {
                Some(place) => format!("in the loop entered at {place}"),
                None => "where no loop runs".to_owned(),
            };
            panic!("{}; it is polled {here}", self.core.not_current("this sleep"));
        }
        let timers = self.core.timers.borrow();
        let Some(waker) = timers.waker(self.key) else { return Poll::Ready(()) };
        let known = waker.will_wake(cx.waker());
        drop(timers);
        if !known {
            let waker = cx.waker().clone();
            let before = self.core.timers.borrow_mut().set_waker(self.key, waker);
            drop(before);
            self.core.emit_running(Kind::WaitsForTimer { timer: self.key.id() });
        }
        Poll::Pending
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        let waker = self.core.timers.borrow_mut().cancel(self.key);
        if waker.is_some() {
            self.core.emit_running(Kind::TimerDropped { timer: self.key.id() });
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sleep");
        debug.field("deadline", &self.deadline()).field("elapsed", &self.is_elapsed()).finish()
    }
}
