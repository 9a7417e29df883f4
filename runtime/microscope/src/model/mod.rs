//! From events to state: what the loop looked like after any of them.
//!
//! [`Model::apply`] is the only code that says what an event means. The dump, the live view, the
//! findings, the exporters and the tests all read its result; the page has a twin of it
//! (`page/model.js`) that is checked against this one.
//!
//! An event that the state does not allow is not swallowed: it is listed in `Model::illegal`, and
//! the model takes the event's word for what is so now.

mod by_id;
mod state;
mod task;
mod things;
mod waits;
mod why;
mod words;

use std::collections::VecDeque;

use mainspring::observe::{Event, Kind};
use serde::{Deserialize, Serialize};

pub(crate) use by_id::{ById, in_order};
pub use state::{Cancel, Illegal, Job, Phase, Source, Span, State, Task, Timer, Totals, Wake};
pub use waits::{Wait, Waits, WaitsOn};
pub use why::{Answer, Reason, Why};

/// Illegal transitions listed; further ones are only counted.
const MAX_ILLEGAL: usize = 100;

/// The state of a loop, as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Number of the next event: how many have been applied.
    pub next: u64,
    /// Time of the latest event.
    pub now: u64,
    /// Number of the latest turn.
    pub turn: u64,
    /// What the loop is doing.
    pub phase: Phase,
    /// The task whose future is being polled, or 0.
    pub running: u64,
    /// Nanoseconds of that poll for which the observer kept the loop.
    pub running_paused: u64,
    /// The ready queue, head first.
    pub ready: VecDeque<u64>,
    /// Tasks by id, ended ones included.
    #[serde(with = "by_id::listed")]
    pub tasks: ById<Task>,
    /// Armed timers by id.
    #[serde(with = "by_id::listed")]
    pub timers: ById<Timer>,
    /// Registered sources by id.
    #[serde(with = "by_id::listed")]
    pub sources: ById<Source>,
    /// Blocking jobs that have not ended, by id.
    #[serde(with = "by_id::listed")]
    pub jobs: ById<Job>,
    /// Open spans by id.
    #[serde(with = "by_id::listed")]
    pub spans: ById<Span>,
    /// Sums over the whole run.
    pub totals: Totals,
    /// Events that the state did not allow.
    pub illegal: Vec<Illegal>,
    /// Ended tasks that are no longer in `tasks`: see [`Model::forget_ended`].
    pub forgotten: u64,
}

impl Model {
    /// A loop of which nothing has been told yet.
    pub fn new() -> Model {
        Model::default()
    }

    /// Takes note of one event. Events are applied in order, none left out.
    ///
    /// Costs a look-up or two, whatever has happened before; only leaving the ready queue out of order costs
    /// its length, and a source that is ready as much as tasks waited for it.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        // Each part hands on to the next what it does not know.
        self.apply_task(event);
        self.next += 1;
    }

    /// A task, ended ones included.
    pub fn task(&self, id: u64) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// All tasks in the order in which they were spawned.
    pub fn tasks_in_order(&self) -> Vec<&Task> {
        by_id::in_order(&self.tasks)
    }

    /// Drops what is known of ended tasks, but for the `keep` youngest.
    ///
    /// For a model that follows a program for ever. Later events may still name such a task.
    pub fn forget_ended(&mut self, keep: usize) {
        let mut ended: Vec<u64> =
            self.tasks.values().filter(|task| task.state.is_ended()).map(|task| task.id).collect();
        let surplus = ended.len().saturating_sub(keep);
        ended.sort_unstable();
        for id in &ended[..surplus] {
            self.tasks.remove(id);
        }
        self.forgotten += surplus as u64;
    }

    pub(super) fn apply_loop(&mut self, event: &Event) {
        match event.kind {
            Kind::LoopEntered => self.phase = Phase::Between,
            Kind::LoopLeft { .. } => self.phase = Phase::Outside,
            Kind::TurnStarted { turn, .. } => {
                self.turn = turn;
                self.totals.turns += 1;
                self.phase = Phase::Turning;
            }
            Kind::TurnEnded => self.phase = Phase::Between,
            Kind::Parked { timeout } => {
                self.phase = Phase::Parked { since: event.at, timeout };
            }
            Kind::Unparked { .. } => {
                if let Phase::Parked { since, .. } = self.phase {
                    let parked = event.at.saturating_sub(since);
                    self.totals.parked = self.totals.parked.saturating_add(parked);
                }
                self.phase = Phase::Dispatching;
            }
            Kind::ClockJumped { to } => self.now = self.now.max(to),
            // The scheduler changes the head of the queue with the task that it drew.
            Kind::Decided { chosen, .. } => {
                let chosen = chosen as usize;
                if chosen < self.ready.len() {
                    self.ready.swap(0, chosen);
                } else {
                    self.illegal(event, "drawn from beyond the ready queue");
                }
            }
            Kind::Advanced { from, count } => {
                let (from, count) = (from as usize, count as usize);
                if from + count <= self.ready.len() {
                    let moved: Vec<u64> = self.ready.drain(from..from + count).collect();
                    moved.into_iter().rev().for_each(|id| self.ready.push_front(id));
                } else {
                    self.illegal(event, "advanced from beyond the ready queue");
                }
            }
            Kind::ObserverPaused { took } => {
                self.totals.paused = self.totals.paused.saturating_add(took);
                self.running_paused = self.running_paused.saturating_add(took);
            }
            _ => {}
        }
    }

    /// Changes the task an event is about; `change` says whether the event was legal.
    fn change(&mut self, event: &Event, change: impl FnOnce(&mut Task) -> bool) {
        match self.tasks.get_mut(&event.task) {
            Some(task) => {
                let before = task.state;
                if !change(task) {
                    self.illegal(event, before.word());
                }
            }
            // What comes after a task's end may come after it was forgotten, too.
            None if self.forgotten > 0 => {}
            None => self.illegal(event, "unknown"),
        }
    }

    #[cold]
    fn illegal(&mut self, event: &Event, state: &str) {
        self.totals.illegal += 1;
        if self.illegal.len() < MAX_ILLEGAL {
            let mut fields = Vec::new();
            let kind = crate::schema::encode(&event.kind, &mut fields);
            let kind = crate::schema::name_of(kind.unwrap_or(0));
            let what = format!("task {} was {state} when told {kind}", event.task);
            self.illegal.push(Illegal { event: self.next, what });
        }
    }
}

#[cfg(test)]
mod tests;
