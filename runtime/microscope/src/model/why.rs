//! Why is this task not running, and why does the loop not end: one verdict, with its evidence.
//!
//! Everything is read from the model; no future is ever polled to find out. A verdict is exact:
//! where the events do not say what a task waits for, it says so instead of guessing.

use std::collections::HashMap;
use std::fmt;

use mainspring::observe::Direction;

use super::{Job, Model, State, Timer, WaitsOn, by_id};
use crate::text::{Nanos, count};

/// One reason for which a task is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A timer that it armed has not fired.
    Timer {
        /// The timer.
        id: u64,
        /// How long until it is due, in nanoseconds; negative if it is overdue.
        due_in: i128,
    },
    /// A source that it asked for is not ready.
    Source {
        /// The source.
        id: u64,
        /// In which direction.
        direction: Direction,
    },
    /// A task whose result it wants has not ended.
    Task {
        /// The other.
        id: u64,
    },
    /// A blocking job of it has not ended.
    Job {
        /// The job.
        id: u64,
    },
}

/// Why a task is not running, or that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such task, or it ended so long ago that it is forgotten.
    Unknown,
    /// It ended: the word for how.
    Ended(State),
    /// It runs.
    Running {
        /// Since when.
        since: u64,
    },
    /// It is in the ready queue.
    Queued {
        /// Behind how many.
        behind: usize,
        /// Since when.
        since: u64,
    },
    /// It is in the ready queue to be cancelled, not polled.
    CancelPending {
        /// Behind how many.
        behind: usize,
        /// Since when.
        since: u64,
    },
    /// Any of these will wake it.
    Waiting(Vec<Reason>),
    /// None of the loop's own things will wake it, but this many others hold its waker: another
    /// thread, or another future.
    HeldElsewhere {
        /// How many.
        holders: u32,
    },
    /// Nobody holds its waker: it can never run again.
    LostWaker,
}

/// A verdict with the numbers of the events that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub why: Why,
    /// Numbers of the events that prove it, latest first cause last.
    pub evidence: Vec<u64>,
}

/// Armed timers and blocking jobs by the task that they are of: for asking about many tasks at once.
struct Held<'a> {
    timers: HashMap<u64, Vec<&'a Timer>>,
    jobs: HashMap<u64, Vec<&'a Job>>,
}

impl<'a> Held<'a> {
    fn new(
        timers: impl Iterator<Item = &'a Timer>,
        jobs: impl Iterator<Item = &'a Job>,
    ) -> Held<'a> {
        let mut held = Held { timers: HashMap::new(), jobs: HashMap::new() };
        timers.for_each(|timer| held.timers.entry(timer.task).or_default().push(timer));
        jobs.for_each(|job| held.jobs.entry(job.task).or_default().push(job));
        held
    }
}

impl Model {
    /// Why the task is not running.
    ///
    /// Costs time in the number of armed timers and queued tasks.
    pub fn why(&self, id: u64) -> Answer {
        let timers = self.timers.values().filter(|timer| timer.task == id);
        let jobs = self.jobs.values().filter(|job| job.task == id);
        self.why_of(id, &Held::new(timers, jobs))
    }

    /// As [`Model::why`], from what has been sorted out before.
    fn why_of(&self, id: u64, held: &Held<'_>) -> Answer {
        let Some(task) = self.tasks.get(&id) else {
            return Answer { why: Why::Unknown, evidence: Vec::new() };
        };
        let since = task.since;
        let mut evidence = vec![task.since_event];
        let behind = || self.ready.iter().position(|ready| *ready == id).unwrap_or(0);
        let why = match task.state {
            State::Done { .. } | State::Cancelled { .. } => Why::Ended(task.state),
            State::Running | State::Ending { .. } => Why::Running { since },
            State::Scheduled => {
                evidence.extend(task.woken.map(|wake| wake.event));
                match task.cancel {
                    Some(cancel) => {
                        evidence.push(cancel.event);
                        Why::CancelPending { behind: behind(), since }
                    }
                    None => Why::Queued { behind: behind(), since },
                }
            }
            State::Idle if task.holders == 0 => Why::LostWaker,
            State::Idle => {
                let reasons = self.reasons(id, held);
                evidence.extend(reasons.iter().map(|(_, event)| *event));
                if reasons.is_empty() {
                    Why::HeldElsewhere { holders: task.holders }
                } else {
                    Why::Waiting(reasons.into_iter().map(|(reason, _)| reason).collect())
                }
            }
        };
        evidence.dedup();
        Answer { why, evidence }
    }

    /// What an idle task waits for: its timers by deadline, then what its last poll waited on.
    fn reasons(&self, id: u64, held: &Held<'_>) -> Vec<(Reason, u64)> {
        let task = &self.tasks[&id];
        let mut timers = held.timers.get(&id).cloned().unwrap_or_default();
        timers.sort_unstable_by_key(|timer| (timer.deadline, timer.id));
        let newest_timer = timers.iter().map(|timer| timer.event).max();
        let timers = timers.into_iter().map(|timer| {
            let due_in = i128::from(timer.deadline) - i128::from(self.now);
            (Reason::Timer { id: timer.id, due_in }, timer.event)
        });
        // A wait that the last poll did not renew may belong to a future that is gone; it counts
        // only where that poll renewed none, as when one of several inner futures is polled alone.
        let live = |on: &WaitsOn| match on {
            WaitsOn::Task { id } => self.tasks.get(id).is_some_and(|task| !task.state.is_ended()),
            WaitsOn::Source { id, .. } => self.sources.contains_key(id),
        };
        let renewed = task.waits.iter().any(|wait| wait.poll == task.polls && live(&wait.on))
            || newest_timer.is_some_and(|event| event > task.poll_event);
        let waits = task
            .waits
            .iter()
            .filter(move |wait| live(&wait.on) && (!renewed || wait.poll == task.polls))
            .map(|wait| match wait.on {
                WaitsOn::Task { id } => (Reason::Task { id }, wait.event),
                WaitsOn::Source { id, direction } => (Reason::Source { id, direction }, wait.event),
            });
        let mut jobs = held.jobs.get(&id).cloned().unwrap_or_default();
        jobs.sort_unstable_by_key(|job| job.id);
        let jobs = jobs.into_iter().map(|job| (Reason::Job { id: job.id }, job.event));
        timers.chain(waits).chain(jobs).collect()
    }

    /// What keeps the loop from ending, one line each; empty if nothing does.
    pub fn why_alive(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let open: Vec<_> =
            by_id::in_order(&self.tasks).into_iter().filter(|t| !t.state.is_ended()).collect();
        if !self.ready.is_empty() {
            lines.push(format!("{} ready to run", count(self.ready.len(), "task")));
        }
        if let Some(next) = self.timers.values().min_by_key(|timer| (timer.deadline, timer.id)) {
            let due = Due(i128::from(next.deadline) - i128::from(self.now));
            let timers = count(self.timers.len(), "timer");
            lines.push(format!("{timers} armed, the next is timer #{} {due}", next.id));
        }
        if !self.jobs.is_empty() {
            lines.push(format!("{} on the pool", count(self.jobs.len(), "blocking job")));
        }
        let held = Held::new(self.timers.values(), self.jobs.values());
        for task in open {
            let answer = self.why_of(task.id, &held);
            match &answer.why {
                Why::Waiting(reasons)
                    if reasons.iter().all(|r| matches!(r, Reason::Timer { .. })) => {}
                Why::Waiting(_) | Why::HeldElsewhere { .. } | Why::LostWaker => {
                    lines.push(format!("task {} is {}", task.id, answer.why));
                }
                _ => {}
            }
        }
        lines
    }
}

/// "due in 18 ms", "overdue by 3 ms" or "due never".
struct Due(i128);

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0) {
            Ok(ahead) if ahead > 1 << 53 => f.write_str("due never"),
            Ok(ahead) => write!(f, "due in {}", Nanos(ahead)),
            Err(_) => {
                write!(f, "overdue by {}", Nanos(u64::try_from(-self.0).unwrap_or(u64::MAX)))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Timer { id, due_in } => write!(f, "timer #{id} {}", Due(*due_in)),
            Reason::Source { id, direction: Direction::Read } => {
                write!(f, "source {id} to become readable")
            }
            Reason::Source { id, direction: Direction::Write } => {
                write!(f, "source {id} to become writable")
            }
            Reason::Task { id } => write!(f, "task {id}"),
            Reason::Job { id } => write!(f, "blocking job {id}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behind = |n: usize| match n {
            0 => String::from("next in line"),
            n => format!("behind {}", count(n, "other")),
        };
        match self {
            Why::Unknown => f.write_str("unknown"),
            Why::Ended(State::Done { panicked: true, .. }) => f.write_str("finished: panicked"),
            Why::Ended(State::Cancelled { .. }) => f.write_str("finished: cancelled"),
            Why::Ended(_) => f.write_str("finished: done"),
            Why::Running { since } => write!(f, "running since {}", Nanos(*since)),
            Why::Queued { behind: n, since } => {
                write!(f, "queued, {}, since {}", behind(*n), Nanos(*since))
            }
            Why::CancelPending { behind: n, since } => {
                write!(f, "queued to be cancelled, {}, since {}", behind(*n), Nanos(*since))
            }
            Why::Waiting(reasons) => {
                f.write_str("waiting for ")?;
                for (i, reason) in reasons.iter().enumerate() {
                    let and = if i == 0 { "" } else { " or " };
                    write!(f, "{and}{reason}")?;
                }
                Ok(())
            }
            Why::HeldElsewhere { holders } => {
                let wakers = count(*holders as usize, "waker");
                write!(f, "waiting for whoever holds its {wakers}: a thread or another future")
            }
            Why::LostWaker => f.write_str("stuck for ever: nobody holds its waker"),
        }
    }
}
