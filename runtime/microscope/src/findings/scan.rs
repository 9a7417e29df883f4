//! One pass over a trace that evaluates every predicate.

use std::collections::{HashMap, HashSet, VecDeque};

use mainspring::observe::{
    CancelOrigin, CauseKind, Detail, Direction, Event, Kind, LoopExit, PollOutcome, TryOutcome,
    WakeEffect,
};

use super::{Code, Finding, Limits};
use crate::model::{Model, State};
use crate::text::{Nanos, count};
use crate::trace::Trace;

/// The latest pauses of the recorder that are looked at: one is rare, and shorter than any limit.
const PAUSES_KEPT: usize = 16;

/// What one task did, as far as predicates ask.
#[derive(Default)]
pub(super) struct Life {
    /// Events told inside its current poll, other than renewed waits.
    pub(super) told: u32,
    /// What it waited on in its polls so far.
    pub(super) waited: HashSet<(u8, u64)>,
    /// Polls in a row that it woke itself for.
    pub(super) self_woken: u32,
    pub(super) first_self_wake: u64,
    /// Number and time of the event that ended the last of them.
    pub(super) last_self_woken: (u64, u64),
    /// Polls that changed nothing, and the last of them.
    pub(super) empty: Vec<u64>,
    /// The event of the herd that the current poll belongs to.
    pub(super) herd: Option<u64>,
    /// Its last poll ended without anything to wake it: number and time of that event.
    pub(super) lost: Option<(u64, u64)>,
    /// Children spawned one after another's end, and whether the last of them was awaited.
    pub(super) in_turn: Vec<u64>,
    pub(super) awaited: bool,
}

/// What one direction of a source saw.
#[derive(Default, Clone, Copy)]
pub(super) struct Edge {
    pub(super) ready: Option<u64>,
    pub(super) tried: Option<(u64, TryOutcome)>,
    pub(super) waits: Option<(u64, u64, u64)>,
}

/// An open span.
pub(super) struct Open {
    pub(super) opened: u64,
    /// The poll of its task in which it was opened.
    pub(super) poll: u64,
    /// The event in which it read its last bytes.
    pub(super) read: Option<(u64, u32)>,
}

pub(super) struct Scan<'a> {
    pub(super) trace: &'a Trace,
    pub(super) limits: &'a Limits,
    pub(super) model: Model,
    pub(super) found: Vec<Finding>,
    pub(super) lives: HashMap<u64, Life>,
    /// By source, and whether it is about reading.
    pub(super) edges: HashMap<(u32, bool), Edge>,
    pub(super) spans: HashMap<u32, Open>,
    /// Open spans of each task, innermost last.
    pub(super) nesting: HashMap<u64, Vec<u32>>,
    /// Tasks woken by one cause: how many, and how many of them made progress.
    pub(super) herds: HashMap<u64, (Vec<u64>, u32)>,
    /// The event that began the current cause: a poll's start or a readiness.
    pub(super) cause: u64,
    pub(super) turn: Option<Turn>,
    /// Until when the recorder kept the loop, and for how long: none of it is the program's doing.
    pub(super) pauses: VecDeque<(u64, u64)>,
    /// Late timers: lateness and event.
    pub(super) late: Vec<(u64, u64)>,
    /// Live tasks at each eighth of the trace.
    pub(super) alive: Vec<usize>,
    /// Tasks that have not ended now.
    pub(super) alive_now: usize,
}

pub(super) struct Turn {
    event: u64,
    busy: u64,
    slow: bool,
}

pub(super) fn scan(trace: &Trace, limits: &Limits) -> Vec<Finding> {
    let open = trace.snapshot.tasks.values().filter(|task| !task.state.is_ended()).count();
    let mut scan = Scan {
        trace,
        limits,
        model: trace.snapshot.clone(),
        found: Vec::new(),
        lives: HashMap::new(),
        edges: HashMap::new(),
        spans: HashMap::new(),
        nesting: HashMap::new(),
        herds: HashMap::new(),
        cause: 0,
        turn: None,
        pauses: VecDeque::new(),
        late: Vec::new(),
        alive: Vec::new(),
        alive_now: open,
    };
    // Whatever is left when main ends is cancelled then: that is no ebb.
    let left = |event: &Event| matches!(event.kind, Kind::LoopLeft { .. });
    let working = trace.events.iter().position(left).unwrap_or(trace.events.len());
    for (index, event) in trace.events.iter().enumerate() {
        scan.look(event);
        scan.model.apply(event);
        let eighth = scan.alive.len() + 1;
        if eighth <= 8 && index + 1 == working * eighth / 8 {
            scan.alive.push(scan.alive_now);
        }
    }
    scan.finish();
    scan.found
}

impl Scan<'_> {
    pub(super) fn number(&self) -> u64 {
        self.model.next
    }

    pub(super) fn name(&self, task: u64) -> String {
        self.trace.texts.task(task)
    }

    pub(super) fn add(
        &mut self,
        code: Code,
        task: u64,
        at: u64,
        what: String,
        evidence: Vec<u64>,
        weight: u64,
    ) {
        let cause = match self.trace.texts.place(task) {
            place if !place.is_empty() => place,
            _ if task == 0 => "the loop".into(),
            _ => format!("task {task}"),
        };
        self.found.push(Finding { code, task, at, what, evidence, count: 1, weight, cause });
    }

    pub(super) fn life(&mut self, task: u64) -> &mut Life {
        self.lives.entry(task).or_default()
    }

    /// Looks at an event, with the model in the state before it.
    fn look(&mut self, event: &Event) {
        let number = self.number();
        match event.kind {
            Kind::LoopLeft { why: LoopExit::Stalled } => self.stalled(event),
            Kind::TurnStarted { .. } => {
                self.turn = Some(Turn { event: number, busy: 0, slow: false });
            }
            Kind::TurnEnded => self.turn_ended(event),
            Kind::Spawned { parent } => {
                self.alive_now += 1;
                self.told(parent);
                self.spawned(event.task, parent);
            }
            Kind::Woken { effect, by, id } => self.woken(event, effect, by, id),
            Kind::PollStarted { .. } => self.poll_started(event),
            Kind::PollEnded { outcome, requeued, holders } => {
                self.poll_ended(event, outcome, requeued, holders);
            }
            Kind::Done { .. } => self.alive_now = self.alive_now.saturating_sub(1),
            Kind::Cancelled { origin, .. } => self.cancelled(event, origin),
            Kind::PanicUnseen => {
                let what =
                    format!("{} panicked, and its result was never read", self.name(event.task));
                let since = self.model.task(event.task).map(|task| task.since_event);
                let evidence = since.into_iter().chain([number]).collect();
                self.add(Code::NeverRetrieved, event.task, event.at, what, evidence, 0);
            }
            Kind::WaitsForTask { on } => self.waits(event.task, (0, on)),
            Kind::WaitsForSource { direction, source } => {
                let reads = direction == Direction::Read;
                self.waits(event.task, (if reads { 1 } else { 2 }, u64::from(source)));
                let edge = self.edges.entry((source, reads)).or_default();
                // Of those that wait again and again without trying, the first left what there was.
                edge.waits.get_or_insert((number, event.task, event.at));
            }
            Kind::ObserverPaused { took } => {
                self.pauses.push_back((event.at, took));
                if self.pauses.len() > PAUSES_KEPT {
                    self.pauses.pop_front();
                }
            }
            Kind::TimerFired { late, .. } => {
                self.cause = number;
                let late = late.saturating_sub(self.paused_since(event.at.saturating_sub(late)));
                if late > self.limits.late_timer {
                    self.late.push((late, number));
                }
            }
            Kind::SourceReady { readable, writable, source } => {
                self.cause = number;
                let sides = [(readable, true), (writable, false)];
                for (_, reads) in sides.into_iter().filter(|(ready, _)| *ready) {
                    let edge = Edge { ready: Some(number), ..Edge::default() };
                    self.edges.insert((source, reads), edge);
                }
            }
            Kind::SourceTried { direction, outcome, source, bytes } => {
                self.told(event.task);
                self.tried(event.task, source, direction == Direction::Read, outcome, bytes);
            }
            Kind::SpanOpened { span, .. } => {
                self.told(event.task);
                let poll = self.model.task(event.task).map_or(0, |task| task.polls);
                self.spans.insert(span, Open { opened: number, poll, read: None });
                self.nesting.entry(event.task).or_default().push(span);
            }
            Kind::SpanClosed { span, completed, polls } => {
                self.span_closed(event, span, completed, polls);
            }
            _ => self.told(event.task),
        }
    }

    fn tried(&mut self, task: u64, source: u32, reads: bool, outcome: TryOutcome, bytes: u32) {
        let number = self.number();
        if outcome != TryOutcome::Cleared {
            let edge = self.edges.entry((source, reads)).or_default();
            *edge = Edge { tried: Some((number, outcome)), waits: None, ..*edge };
        }
        if reads && bytes > 0 {
            let span = self.nesting.get(&task).and_then(|open| open.last());
            if let Some(span) = span.and_then(|span| self.spans.get_mut(span)) {
                span.read = Some((number, bytes));
            }
        }
    }

    /// For how long the recorder has kept the loop since then.
    fn paused_since(&self, since: u64) -> u64 {
        self.pauses.iter().map(|(end, took)| (*took).min(end.saturating_sub(since))).sum()
    }

    /// The running task did something that counts as progress.
    pub(super) fn told(&mut self, task: u64) {
        if task != 0 && task == self.model.running {
            self.life(task).told += 1;
        }
    }

    fn waits(&mut self, task: u64, on: (u8, u64)) {
        let life = self.life(task);
        if life.waited.insert(on) {
            life.told += 1;
        }
        life.awaited |= on.0 == 0 && life.in_turn.last() == Some(&on.1);
    }

    fn stalled(&mut self, event: &Event) {
        let mut evidence = vec![self.number()];
        let idle = |state| matches!(state, State::Idle);
        let stuck: Vec<_> =
            self.model.tasks_in_order().into_iter().filter(|task| idle(task.state)).collect();
        let names: Vec<String> = stuck
            .iter()
            .take(5)
            .map(|task| format!("{} is {}", self.name(task.id), self.model.why(task.id).why))
            .collect();
        evidence.extend(stuck.iter().map(|task| task.since_event));
        let first = stuck.first().map_or(0, |task| task.id);
        let what = format!(
            "nothing can wake any of {} any more: {}",
            count(stuck.len(), "task"),
            names.join("; ")
        );
        self.add(Code::Stalled, first, event.at, what, evidence, 0);
    }

    fn turn_ended(&mut self, event: &Event) {
        let Some(turn) = self.turn.take() else { return };
        if turn.busy > self.limits.slow_turn && !turn.slow {
            let what =
                format!("the polls of turn {} took {} together", self.model.turn, Nanos(turn.busy));
            let evidence = vec![turn.event, self.number()];
            self.add(Code::SlowTurn, 0, event.at, what, evidence, turn.busy);
        }
    }

    fn woken(&mut self, event: &Event, effect: WakeEffect, by: CauseKind, id: u64) {
        let itself = by == CauseKind::Task && id == event.task;
        let number = self.number();
        if by == CauseKind::Task && id != event.task {
            self.told(id);
        }
        if itself {
            self.told(event.task);
        } else {
            self.end_storm(event.task);
        }
        let life = self.lives.entry(event.task).or_default();
        if itself && life.self_woken == 0 {
            life.first_self_wake = number;
        }
        let to_act = !matches!(by, CauseKind::Spawn | CauseKind::Cancel | CauseKind::Shutdown);
        if effect == WakeEffect::Scheduled && !itself && to_act {
            life.herd = Some(self.cause);
            self.herds.entry(self.cause).or_default().0.push(number);
        }
    }

    fn poll_started(&mut self, event: &Event) {
        let number = self.number();
        self.cause = number;
        self.life(event.task).told = 0;
        let Some(task) = self.model.task(event.task) else { return };
        let queued = event.at.saturating_sub(task.since);
        let queued = queued.saturating_sub(self.paused_since(task.since));
        if queued > self.limits.starvation {
            let since = task.since_event;
            let what =
                format!("{} was ready for {} before it ran", self.name(event.task), Nanos(queued));
            self.add(Code::Starvation, event.task, event.at, what, vec![number, since], queued);
        }
    }

    fn poll_ended(&mut self, event: &Event, outcome: PollOutcome, requeued: bool, holders: u32) {
        let number = self.number();
        let Some(task) = self.model.task(event.task) else { return };
        let (started, began) = (task.since_event, task.since);
        let (cancel, polls) = (task.cancel.is_some(), task.polls);
        let ran = event.at.saturating_sub(began).saturating_sub(self.model.running_paused);
        if let Some(turn) = &mut self.turn {
            turn.busy += ran;
            turn.slow |= ran > self.limits.slow_poll;
        }
        if ran > self.limits.slow_poll {
            let what = format!("poll {polls} of {} took {}", self.name(event.task), Nanos(ran));
            self.add(Code::SlowPoll, event.task, began, what, vec![started, number], ran);
        }
        let pending = outcome == PollOutcome::Pending;
        let life = self.lives.entry(event.task).or_default();
        // A basic recording tells neither of wakes without effect, which may be all that a poll was good
        // for, nor who woke a task while it ran.
        let told_all = self.trace.detail == Detail::Full;
        let empty = told_all && pending && !requeued && life.told == 0;
        if let Some(herd) = life.herd.take() {
            if let Some((_, progressed)) = self.herds.get_mut(&herd) {
                *progressed += u32::from(!empty);
            }
            if empty {
                life.empty.push(number);
            }
        }
        life.lost = (pending && !requeued && holders == 0 && !cancel).then_some((number, event.at));
        if pending && requeued && told_all {
            life.self_woken += 1;
            life.last_self_woken = (number, event.at);
        } else {
            self.end_storm(event.task);
        }
    }

    /// The task was not woken by itself for once.
    pub(super) fn end_storm(&mut self, task: u64) {
        let life = self.lives.entry(task).or_default();
        let polls = std::mem::take(&mut life.self_woken);
        let (first, (last, at)) = (life.first_self_wake, life.last_self_woken);
        if polls >= self.limits.storm {
            let what = format!("{} woke itself for {polls} polls in a row", self.name(task));
            let evidence = vec![first, last];
            self.add(Code::SelfWakeStorm, task, at, what, evidence, polls.into());
        }
    }

    fn cancelled(&mut self, event: &Event, origin: CancelOrigin) {
        self.alive_now = self.alive_now.saturating_sub(1);
        let number = self.number();
        if origin != CancelOrigin::Shutdown {
            self.life(event.task).lost = None;
            return;
        }
        let Some(task) = self.model.task(event.task) else { return };
        if task.polls == 0 {
            let spawned = task.spawned_event;
            let what = format!("the runtime ended before {} first ran", self.name(event.task));
            self.add(Code::NeverPolled, event.task, event.at, what, vec![number, spawned], 0);
        }
    }
}
