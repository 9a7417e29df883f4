//! The loop's time that a recorder takes for itself, told so that it is not blamed on the program.

use std::time::{Duration, Instant};

use mainspring::observe::{Event, Kind};

/// Pauses that are told: a tenth of what makes a poll slow.
const TOLD: Duration = Duration::from_millis(1);

/// A pause that the loop's clock has not shown yet.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    made: Option<(u64, u64)>,
}

impl Pauses {
    /// The loop was kept since `before`, while it told of something that happened at `at`.
    pub(crate) fn made(&mut self, at: u64, before: Instant) {
        let took = before.elapsed();
        if took >= TOLD {
            self.made = Some((at, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)));
        }
    }

    /// Whether there is a pause that the next events may show.
    pub(crate) fn is_one_to_come(&self) -> bool {
        self.made.is_some()
    }

    /// What is to be told before this event: the pause, if it has passed on the loop's clock too. A virtual
    /// one stands still meanwhile.
    pub(crate) fn felt_before(&mut self, event: &Event) -> Option<Event> {
        let (at, took) = self.made?;
        if matches!(event.kind, Kind::ClockJumped { .. }) {
            self.made = None;
        }
        let at = at.checked_add(took).filter(|at| *at <= event.at)?;
        self.made.take().map(|_| Event { at, task: 0, kind: Kind::ObserverPaused { took } })
    }
}
