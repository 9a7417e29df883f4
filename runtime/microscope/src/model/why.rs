//! Why is this task not running, and why does the loop not end: one verdict, with its evidence.
//!
//! Everything is read from the model; no future is ever polled to find out. A verdict names all that can
//! wake the task now, and is exact: where the events do not say what a task waits for, it says so instead
//! of guessing.

use std::collections::HashSet;

use mainspring::observe::Direction;

use super::words::Due;
use super::{Model, State, Task, WaitsOn, by_id};
use crate::text::count;

/// One reason for which a task is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A task whose result it wants has not ended.
    Task {
        /// The other.
        id: u64,
    },
    /// A source that it asked for is not ready.
    Source {
        /// The source.
        id: u64,
        /// In which direction.
        direction: Direction,
    },
    /// A blocking job of it has not ended.
    Job {
        /// The job.
        id: u64,
    },
    /// Wakers that are held by nothing that the loop knows: by a lock or a channel, another future or
    /// another thread.
    Outside {
        /// How many.
        wakers: u32,
    },
    /// A timer that it armed has not fired.
    Timer {
        /// The timer.
        id: u64,
        /// How long until it is due, in nanoseconds; negative if it is overdue.
        due_in: i128,
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
    /// Any of these will wake it: all of them, causes before time limits.
    Waiting(Vec<Reason>),
    /// Nothing holds its waker: it can never run again.
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

impl Model {
    /// Why the task is not running.
    ///
    /// Costs time in the number of what it waits on, or of queued tasks.
    pub fn why(&self, id: u64) -> Answer {
        self.why_now(id, self.now)
    }

    pub(super) fn why_now(&self, id: u64, now: u64) -> Answer {
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
            State::Idle => match Model::reasons(task, now) {
                reasons if reasons.is_empty() => Why::LostWaker,
                reasons => {
                    evidence.extend(task.waits.values().map(|wait| wait.event));
                    Why::Waiting(reasons)
                }
            },
        };
        evidence.dedup();
        Answer { why, evidence }
    }

    /// All that can wake an idle task. Its waits are in the order of being told: see [`WaitsOn`].
    fn reasons(task: &Task, now: u64) -> Vec<Reason> {
        if task.holders == 0 {
            return Vec::new();
        }
        let told = task.waits.keys().map(|on| match *on {
            WaitsOn::Task { id } => Reason::Task { id },
            WaitsOn::Source { id, direction } => Reason::Source { id, direction },
            WaitsOn::Job { id } => Reason::Job { id },
            WaitsOn::Timer { id, deadline } => {
                Reason::Timer { id, due_in: i128::from(deadline) - i128::from(now) }
            }
        });
        let mut reasons: Vec<Reason> = told.collect();
        let outside = if reasons.is_empty() { task.outside.max(1) } else { task.outside };
        if outside > 0 {
            let is_timer = |reason: &Reason| matches!(reason, Reason::Timer { .. });
            let timers = reasons.partition_point(|reason| !is_timer(reason));
            reasons.insert(timers, Reason::Outside { wakers: outside });
        }
        reasons
    }

    /// The one task that an idle task waits for, if there is one and no more.
    pub(super) fn waits_for_one(&self, id: u64) -> Option<u64> {
        let task = self.tasks.get(&id).filter(|task| task.state == State::Idle)?;
        let mut waits = task.waits.keys();
        match (waits.next(), waits.next()) {
            (_, Some(WaitsOn::Task { .. })) => None,
            (Some(WaitsOn::Task { id }), _) => Some(*id),
            _ => None,
        }
    }

    /// The tasks through which a task waits, each for the next, as long as each waits for one. Where they wait
    /// for each other the last is in it twice, or is the task itself.
    pub fn waits_through(&self, id: u64) -> Vec<u64> {
        let (mut chain, mut seen) = (Vec::new(), HashSet::from([id]));
        let mut at = id;
        while let Some(next) = self.waits_for_one(at) {
            chain.push(next);
            if !seen.insert(next) {
                break;
            }
            at = next;
        }
        chain
    }

    /// The labels of the open spans of a task that have no open span in them: where it is inside, arm by arm.
    pub fn inside(&self, id: u64) -> Vec<u32> {
        let Some(task) = self.tasks.get(&id) else { return Vec::new() };
        let open = task.spans.iter().filter_map(|span| self.spans.get(span));
        let around: HashSet<u64> = open.clone().map(|span| span.parent).collect();
        open.filter(|span| !around.contains(&span.id)).map(|span| span.label).collect()
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
        for task in open {
            let answer = self.why(task.id);
            match &answer.why {
                Why::Waiting(reasons)
                    if reasons.iter().all(|r| matches!(r, Reason::Timer { .. })) => {}
                Why::Waiting(_) | Why::LostWaker => {
                    lines.push(format!("task {} is {}", task.id, answer.why));
                }
                _ => {}
            }
        }
        lines
    }
}
