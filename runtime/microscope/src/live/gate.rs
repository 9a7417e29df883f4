//! Where a loop is held: pause, step and break, as a machine that knows no time and no thread.
//!
//! ```text
//!            pause                       a place to hold
//!  Running ─────────► Stopping{place} ──────────────────► Held
//!     ▲  └─ breakpoint hit ──►▲                            │ │
//!     │                       └──────── step ──────────────┘ │
//!     └────────────────────────── go on ─────────────────────┘
//! ```
//!
//! A loop can be held only where no future of it is being polled: where a turn begins, and where a
//! poll is over with all that follows for its task. A breakpoint that is hit inside of a poll takes
//! effect at the next such place.

use std::fmt;
use std::time::Duration;

use mainspring::observe::{Event, Kind, PollOutcome, WakeEffect};

use crate::schema;
use crate::text::Nanos;

/// When to hold the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A task's poll is over, or the task has ended.
    Task(u64),
    /// Any task enters this state: `idle`, `scheduled`, `running`, `done`, `panicked` or
    /// `cancelled`.
    State(&'static str),
    /// An event of this kind, by its name in traces: `timer_fired`.
    Event(&'static str),
    /// A poll took at least this long.
    SlowPoll(Duration),
}

/// The words of [`Break::State`].
const STATES: [&str; 6] = ["idle", "scheduled", "running", "done", "panicked", "cancelled"];

impl Break {
    /// Reads what a person types: `7` or `task 7`, `idle`, `event timer_fired` or just
    /// `timer_fired`, `slow 10ms`.
    ///
    /// # Errors
    /// One sentence that says what there is to break on.
    pub fn parse(text: &str) -> Result<Break, String> {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next());
        let last = second.unwrap_or(first);
        if let (Ok(task), true) = (last.parse(), second.is_none() || first == "task") {
            return match task {
                0 => Err("tasks count from 1".into()),
                task => Ok(Break::Task(task)),
            };
        }
        if first == "slow" {
            return duration(last).map(Break::SlowPoll);
        }
        if let Some(state) = STATES.iter().find(|state| **state == last) {
            return Ok(Break::State(state));
        }
        let kind = schema::KINDS.iter().find(|(_, name, _)| *name == last);
        kind.map(|(_, name, _)| Break::Event(name)).ok_or_else(|| {
            let text = crate::text::harmless(text);
            format!("cannot break on '{text}': try 7, done, timer_fired or slow 10ms")
        })
    }
}

/// `10ms`, `1.5s`, `200us`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        _ => return Err("write the duration like 10ms or 1.5s".into()),
    };
    let seconds: f64 = number.parse().map_err(|_| "write the duration like 10ms or 1.5s")?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|_| "that is too long".into())
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Task(id) => write!(f, "a poll of task {id} is over"),
            Break::State(state) => write!(f, "a task is {state}"),
            Break::Event(name) => write!(f, "event {name} comes"),
            Break::SlowPoll(limit) => {
                let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
                write!(f, "a poll took {} or more", Nanos(limit))
            }
        }
    }
}

/// What the loop is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Running,
    /// To be held at the next place of this kind.
    Stopping(Place),
    Held,
}

/// Where a loop can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Any,
    PollOver,
    Turn,
}

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Gate {
    mode: Mode,
    breakpoint: Option<Break>,
    /// The event that the breakpoint was hit by, until the loop goes on.
    hit: Option<Event>,
    /// When the current poll began.
    poll_began: u64,
}

impl Gate {
    /// Whether every event must be told to it before the loop goes on.
    pub(super) fn is_armed(&self) -> bool {
        self.mode != Mode::Running || self.breakpoint.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        self.mode == Mode::Held
    }

    /// The loop is to be held and is not yet.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.mode, Mode::Stopping(_))
    }

    pub(super) fn breakpoint(&self) -> Option<Break> {
        self.breakpoint
    }

    pub(super) fn hit(&self) -> Option<&Event> {
        self.hit.as_ref()
    }

    pub(super) fn pause(&mut self) {
        if self.mode != Mode::Held {
            self.mode = Mode::Stopping(Place::Any);
        }
    }

    pub(super) fn step_poll(&mut self) {
        self.leave(Mode::Stopping(Place::PollOver));
    }

    pub(super) fn step_turn(&mut self) {
        self.leave(Mode::Stopping(Place::Turn));
    }

    pub(super) fn go_on(&mut self) {
        self.leave(Mode::Running);
    }

    #[cfg(feature = "live")]
    pub(super) fn pause_or_go_on(&mut self) {
        if self.mode == Mode::Running { self.pause() } else { self.go_on() }
    }

    pub(super) fn break_on(&mut self, breakpoint: Option<Break>) {
        self.breakpoint = breakpoint;
    }

    fn leave(&mut self, mode: Mode) {
        self.mode = mode;
        self.hit = None;
    }

    /// Takes note of an event that has just happened. True if the loop is to be held here.
    pub(super) fn pass(&mut self, event: &Event) -> bool {
        if matches!(event.kind, Kind::PollStarted { .. }) {
            self.poll_began = event.at;
        }
        if self.hit.is_none() && self.breakpoint.is_some_and(|on| self.hits(on, event)) {
            self.hit = Some(*event);
            self.mode = Mode::Stopping(Place::Any);
        }
        let Mode::Stopping(wanted) = self.mode else { return false };
        let here = match event.kind {
            Kind::TurnStarted { .. } => Place::Turn,
            Kind::PollEnded { outcome: PollOutcome::Pending, .. }
            | Kind::Done { .. }
            | Kind::Cancelled { .. } => Place::PollOver,
            _ => return false,
        };
        let held = wanted == Place::Any || wanted == here;
        if held {
            self.mode = Mode::Held;
        }
        held
    }

    fn hits(&self, on: Break, event: &Event) -> bool {
        match on {
            Break::Task(id) => {
                let over = matches!(
                    event.kind,
                    Kind::PollEnded { .. } | Kind::Done { .. } | Kind::Cancelled { .. }
                );
                over && event.task == id
            }
            Break::State(state) => entered(&event.kind) == Some(state),
            Break::Event(name) => {
                let number = schema::encode(&event.kind, &mut Vec::new());
                number.is_some_and(|number| schema::name_of(number) == name)
            }
            Break::SlowPoll(limit) => {
                let took = event.at.saturating_sub(self.poll_began);
                matches!(event.kind, Kind::PollEnded { .. }) && u128::from(took) >= limit.as_nanos()
            }
        }
    }
}

/// The state that its task enters with an event.
fn entered(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Spawned { .. } | Kind::Woken { effect: WakeEffect::Scheduled, .. } => {
            Some("scheduled")
        }
        Kind::PollStarted { .. } => Some("running"),
        Kind::PollEnded { outcome: PollOutcome::Pending, requeued, .. } => {
            Some(if *requeued { "scheduled" } else { "idle" })
        }
        Kind::Done { panicked, .. } => Some(if *panicked { "panicked" } else { "done" }),
        Kind::Cancelled { .. } => Some("cancelled"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring::observe::CauseKind;

    const POLL_OVER: Kind =
        Kind::PollEnded { outcome: PollOutcome::Pending, requeued: false, holders: 1 };
    const READY: Kind =
        Kind::PollEnded { outcome: PollOutcome::Ready, requeued: false, holders: 0 };
    const DONE: Kind = Kind::Done { panicked: false, beat_cancel: false };

    /// Two turns: task 1 is polled twice, task 2 ends and wakes task 1.
    fn run() -> Vec<Event> {
        let join = Kind::Woken { effect: WakeEffect::Scheduled, by: CauseKind::Join, id: 2 };
        let of = |task, kind| Event { at: 0, task, kind };
        let events = [
            of(0, Kind::TurnStarted { ready: 2, turn: 1 }),
            of(1, Kind::PollStarted { holders: 0 }),
            of(1, POLL_OVER),
            of(2, Kind::PollStarted { holders: 0 }),
            of(2, READY),
            of(2, DONE),
            of(1, join),
            of(0, Kind::TurnEnded),
            of(0, Kind::TurnStarted { ready: 1, turn: 2 }),
            of(1, Kind::PollStarted { holders: 0 }),
            of(1, POLL_OVER),
            of(0, Kind::TurnEnded),
        ];
        (0..).zip(events).map(|(at, event)| Event { at: at * 10, ..event }).collect()
    }

    /// Where the loop is held if each hold is answered by `then`.
    fn holds(mut gate: Gate, then: fn(&mut Gate)) -> String {
        let mut held = Vec::new();
        for event in run() {
            if gate.pass(&event) {
                assert!(gate.is_held());
                held.push((event.at / 10).to_string());
                then(&mut gate);
                assert!(!gate.is_held());
            }
        }
        held.join(" ")
    }

    fn paused() -> Gate {
        let mut gate = Gate::default();
        gate.pause();
        gate
    }

    fn breaking(on: &str) -> Gate {
        let mut gate = Gate::default();
        gate.break_on(Some(Break::parse(on).unwrap()));
        gate
    }

    #[test]
    fn a_pause_holds_at_the_first_place_and_a_step_at_the_next_of_its_kind() {
        assert_eq!(holds(Gate::default(), Gate::go_on), "");
        assert_eq!(holds(paused(), Gate::go_on), "0");
        assert_eq!(holds(paused(), Gate::step_poll), "0 2 5 10");
        assert_eq!(holds(paused(), Gate::step_turn), "0 8");
        assert_eq!(holds(paused(), Gate::pause_again), "0 2 5 8 10");
    }

    impl Gate {
        fn pause_again(&mut self) {
            self.go_on();
            self.pause();
        }
    }

    #[test]
    fn a_breakpoint_holds_where_it_is_hit_or_where_the_poll_it_is_hit_in_is_over() {
        assert_eq!(holds(breaking("task 1"), Gate::go_on), "2 10");
        // What follows from the end of the poll is part of it.
        assert_eq!(holds(breaking("2"), Gate::go_on), "5");
        assert_eq!(holds(breaking("idle"), Gate::go_on), "2 10");
        assert_eq!(holds(breaking("running"), Gate::go_on), "2 5 10");
        assert_eq!(holds(breaking("scheduled"), Gate::go_on), "8");
        assert_eq!(holds(breaking("done"), Gate::go_on), "5");
        assert_eq!(holds(breaking("event woken"), Gate::go_on), "8");
        assert_eq!(holds(breaking("slow 0.01us"), Gate::go_on), "2 5 10");
        assert_eq!(holds(breaking("slow 1ms"), Gate::go_on), "");
        assert_eq!(holds(breaking("cancelled"), Gate::go_on), "");
    }

    #[test]
    fn an_impossible_breakpoint_is_refused_in_words() {
        let message = |text| Break::parse(text).unwrap_err();
        assert_eq!(message("task 0"), "tasks count from 1");
        assert_eq!(message("slow 3"), "write the duration like 10ms or 1.5s");
        assert_eq!(
            message("lunch\u{1b}"),
            "cannot break on 'lunch\u{fffd}': try 7, done, timer_fired or slow 10ms"
        );
        assert_eq!(Break::parse("slow 1.5s").unwrap().to_string(), "a poll took 1.5 s or more");
    }
}
