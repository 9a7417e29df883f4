//! From events to state: what the loop looked like after any of them.
//!
//! [`Model::apply`] is the only code that says what an event means. The dump, the live view, the
//! findings, the exporters and the tests all read its result; the page has a twin of it
//! (`page/model.js`) that is checked against this one.
//!
//! An event that the state does not allow is not swallowed: it is listed in `Model::illegal`, and
//! the model takes the event's word for what is so now.
//!
//! More than 400 lines: what every kind of event means stands in one match, where none can be missing.

mod by_id;
mod state;
mod things;
mod why;

use std::collections::VecDeque;

use mainspring::observe::{CancelEffect, CauseKind, Event, Kind, PollOutcome, WakeEffect};
use serde::{Deserialize, Serialize};

pub(crate) use by_id::ById;
pub use state::{
    Cancel, Illegal, Job, Phase, Source, Span, State, Task, Timer, Totals, Wait, WaitsOn, Wake,
};
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
    /// Costs a hash look-up or two; only leaving the ready queue out of order costs its length.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        match event.kind {
            Kind::LoopEntered
            | Kind::LoopLeft { .. }
            | Kind::TurnStarted { .. }
            | Kind::TurnEnded
            | Kind::Parked { .. }
            | Kind::Unparked { .. }
            | Kind::ClockJumped { .. }
            | Kind::Decided { .. }
            | Kind::Advanced { .. } => self.apply_loop(event),
            Kind::TimerArmed { .. } | Kind::TimerFired { .. } | Kind::TimerDropped { .. } => {
                self.apply_timer(event);
            }
            Kind::SourceRegistered { .. }
            | Kind::SourceReady { .. }
            | Kind::SourceTried { .. }
            | Kind::SourceClosed { .. } => self.apply_source(event),
            Kind::JobQueued { .. }
            | Kind::JobEnded { .. }
            | Kind::SpanOpened { .. }
            | Kind::SpanClosed { .. }
            | Kind::Marked { .. } => self.apply_program(event),
            _ => self.apply_task(event),
        }
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

    fn apply_loop(&mut self, event: &Event) {
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
            _ => {}
        }
    }

    fn apply_task(&mut self, event: &Event) {
        match event.kind {
            Kind::Spawned { parent } => self.spawned(event, parent),
            Kind::Woken { effect, by, id } => {
                self.woken(event, effect, Wake { event: self.next, at: event.at, by, id });
            }
            Kind::PollStarted => self.poll_started(event),
            Kind::PollEnded { outcome, requeued, holders } => {
                self.poll_ended(event, outcome, requeued, holders);
            }
            Kind::Done { panicked, beat_cancel } => {
                let legal = |task: &Task| matches!(task.state, State::Ending { .. });
                self.ended(event, State::Done { panicked, beat_cancel }, legal);
            }
            Kind::Cancelled { origin, by } => {
                let legal = |task: &Task| matches!(task.state, State::Idle | State::Scheduled);
                self.ended(event, State::Cancelled { origin, by }, legal);
            }
            Kind::CancelRequested { effect, by } => {
                let cancel = Cancel { event: self.next, by };
                let ignored = effect == CancelEffect::Ignored;
                self.change(event, |task| {
                    if !ignored {
                        task.cancel.get_or_insert(cancel);
                    }
                    ignored || !task.state.is_ended()
                });
            }
            Kind::Detached => {
                self.change(event, |task| !std::mem::replace(&mut task.detached, true))
            }
            Kind::OutputTaken => self.change(event, |task| {
                task.output_taken = true;
                task.state.is_ended()
            }),
            Kind::PanicUnseen => self.change(event, |task| {
                task.panic_unseen = true;
                matches!(task.state, State::Done { panicked: true, .. })
            }),
            Kind::WaitsForTask { on } => self.waits(event, WaitsOn::Task { id: on }),
            Kind::WaitsForSource { direction, source } => {
                self.waits(event, WaitsOn::Source { id: u64::from(source), direction });
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

    fn expect(&mut self, event: &Event, known: bool, otherwise: &str) {
        if !known {
            self.illegal(event, otherwise);
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

    fn spawned(&mut self, event: &Event, parent: u64) {
        self.totals.spawned += 1;
        let task = Task::spawned(event.task, parent, event.at, self.next);
        if self.tasks.insert(event.task, task).is_some() {
            self.illegal(event, "spawned already");
        }
        self.ready.push_back(event.task);
    }

    fn woken(&mut self, event: &Event, effect: WakeEffect, wake: Wake) {
        self.totals.wakes += 1;
        let mut enters = false;
        let next = self.next;
        self.change(event, |task| {
            task.wakes += 1;
            if wake.by == CauseKind::Task && wake.id == task.id {
                task.self_wakes += 1;
            }
            match effect {
                WakeEffect::Scheduled if task.state == State::Idle => {
                    task.woken = Some(wake);
                    task.enter(State::Scheduled, event.at, next);
                    enters = true;
                    true
                }
                // The wake that a spawn implies may be told as well.
                WakeEffect::Scheduled => {
                    task.state == State::Scheduled && wake.by == CauseKind::Spawn
                }
                WakeEffect::Coalesced => task.state == State::Scheduled,
                WakeEffect::Deferred => {
                    task.woken = Some(wake);
                    matches!(task.state, State::Running | State::Ending { .. })
                }
                // A future that is being dropped may wake its own task, just before that is told to
                // have ended.
                WakeEffect::Stale => {
                    matches!(task.state, State::Ending { .. })
                        || task.state.is_ended()
                        || task.cancel.is_some()
                        || wake.by == CauseKind::Shutdown
                }
            }
        });
        if enters {
            self.ready.push_back(event.task);
        }
    }

    fn leave_ready(&mut self, id: u64) {
        if self.ready.front() == Some(&id) {
            self.ready.pop_front();
        } else if let Some(position) = self.ready.iter().position(|ready| *ready == id) {
            self.ready.remove(position);
        }
    }

    fn poll_started(&mut self, event: &Event) {
        self.leave_ready(event.task);
        if self.running != 0 {
            self.illegal(event, "polled inside another poll");
        }
        self.running = event.task;
        // A look at readiness in the middle of a batch is over.
        self.phase = Phase::Turning;
        self.totals.polls += 1;
        let next = self.next;
        self.change(event, |task| {
            let legal = task.state == State::Scheduled;
            let queued = event.at.saturating_sub(task.since);
            task.queued = task.queued.saturating_add(queued);
            task.longest_queued = task.longest_queued.max(queued);
            task.polls += 1;
            task.poll_event = next;
            task.enter(State::Running, event.at, next);
            legal
        });
    }

    fn poll_ended(&mut self, event: &Event, outcome: PollOutcome, requeued: bool, holders: u32) {
        self.running = 0;
        let next = self.next;
        let mut ran = 0;
        self.change(event, |task| {
            let legal = task.state == State::Running;
            ran = event.at.saturating_sub(task.since);
            task.busy = task.busy.saturating_add(ran);
            if ran >= task.longest_poll {
                task.longest_poll = ran;
                task.longest_poll_event = next;
            }
            task.holders = holders;
            // Who woke it while it ran, a basic recording does not tell; whoever did so before is not the
            // cause of this.
            if requeued && task.woken.is_some_and(|wake| wake.event < task.poll_event) {
                task.woken = None;
            }
            match outcome {
                PollOutcome::Pending if requeued => task.enter(State::Scheduled, event.at, next),
                PollOutcome::Pending => task.enter(State::Idle, event.at, next),
                PollOutcome::Ready => task.enter(State::Ending { panicked: false }, event.at, next),
                PollOutcome::Panicked => {
                    task.enter(State::Ending { panicked: true }, event.at, next);
                }
            }
            legal
        });
        self.totals.busy = self.totals.busy.saturating_add(ran);
        if outcome == PollOutcome::Pending && requeued {
            self.ready.push_back(event.task);
        }
    }

    fn ended(&mut self, event: &Event, state: State, legal: impl FnOnce(&Task) -> bool) {
        self.leave_ready(event.task);
        let next = self.next;
        let cancelled = matches!(state, State::Cancelled { .. });
        self.change(event, |task| {
            let legal = legal(task);
            task.waits.clear();
            task.enter(state, event.at, next);
            legal
        });
        if cancelled {
            self.totals.cancelled += 1;
        } else {
            self.totals.done += 1;
        }
    }

    fn waits(&mut self, event: &Event, on: WaitsOn) {
        let next = self.next;
        self.change(event, |task| {
            task.waits.retain(|wait| wait.on != on);
            task.waits.push(Wait { on, event: next, at: event.at, poll: task.polls });
            task.state == State::Running
        });
    }
}

#[cfg(test)]
mod tests;
