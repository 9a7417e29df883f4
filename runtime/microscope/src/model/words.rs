//! The verdicts of `why` in words: with names, through chains, and bounded however much there is to tell.

use std::fmt;

use super::{Model, Reason, State, WaitsOn, Why};
use crate::text::{Nanos, Texts, able, count};

/// Reasons of one sort that are named; of more, two are named and the others counted.
const NAMED: usize = 3;

impl Model {
    /// Why the task is not running, in one sentence with names, down to the end of the chain of tasks that
    /// it waits through.
    pub fn why_in_words(&self, id: u64, texts: &Texts) -> String {
        self.why_at(id, texts, self.now)
    }

    /// As [`Model::why_in_words`], at a time when nothing has happened since the latest event.
    pub(crate) fn why_at(&self, id: u64, texts: &Texts, now: u64) -> String {
        let asked = Asked { model: self, texts, now };
        match self.why_now(id, now).why {
            Why::Waiting(reasons) => format!("waiting for {}", asked.chained(id, &reasons, &[id])),
            why => why.to_string(),
        }
    }

    /// What a task waits for in a few words, for a row: the first of it, and how much more there is.
    pub fn waits_briefly(&self, id: u64, texts: &Texts) -> String {
        self.briefly(id, texts, |_| String::new())
    }

    /// As [`Model::waits_briefly`]; of a timer also what `due` says of its deadline.
    pub(crate) fn briefly(&self, id: u64, texts: &Texts, due: impl Fn(u64) -> String) -> String {
        let Some(task) = self.tasks.get(&id).filter(|task| task.state == State::Idle) else {
            return String::new();
        };
        let first = match task.waits.keys().next() {
            _ if task.holders == 0 => return "no waker is left".into(),
            Some(on @ WaitsOn::Timer { deadline, .. }) if task.outside == 0 => {
                on.name(texts) + &due(*deadline)
            }
            Some(on) if !matches!(on, WaitsOn::Timer { .. }) => on.name(texts),
            _ => match self.inside(task.id).first() {
                Some(label) => texts.label(*label),
                None => format!("{} held outside", count(task.outside.max(1) as usize, "waker")),
            },
        };
        match task.waits.len() {
            0 | 1 => first,
            more => format!("{first} +{}", more - 1),
        }
    }
}

impl WaitsOn {
    /// What it is called in a few words.
    pub(crate) fn name(&self, texts: &Texts) -> String {
        match self {
            WaitsOn::Task { id } => texts.task(*id),
            WaitsOn::Source { id, direction } => format!("source {id} {}", able(*direction)),
            WaitsOn::Job { id } => format!("blocking job {id}"),
            WaitsOn::Timer { id, .. } => format!("timer #{id}"),
        }
    }
}

/// A question for words, with names, at some time.
struct Asked<'a> {
    model: &'a Model,
    texts: &'a Texts,
    now: u64,
}

impl Asked<'_> {
    /// Reasons in words; of one task among them, also what that does. `path`: the tasks that lead here.
    fn chained(&self, id: u64, reasons: &[Reason], path: &[u64]) -> String {
        let inside: Vec<String> =
            self.model.inside(id).into_iter().map(|label| self.texts.label(label)).collect();
        let one = self.model.waits_for_one(id);
        let named = |other: u64| {
            let name = self.texts.task(other);
            if one.is_none() {
                return name;
            }
            let chain = self.model.waits_through(id);
            let last = chain.last().copied().unwrap_or(other);
            let circle = last == id || chain[..chain.len() - 1].contains(&last);
            if path.contains(&other) || circle && path.len() > NAMED {
                return format!("{name}: they wait for each other");
            }
            let end = if reasons.len() > 1 { "," } else { "" };
            if path.len() > NAMED && last != other {
                let which = self.which(last, &[path, &[last]].concat());
                let between = count(chain.len() - 2, "other task");
                let last = self.texts.task(last);
                return format!(
                    "{name}, and so on through {between} to {last}, which {which}{end}"
                );
            }
            let which = self.which(other, &[path, &[other]].concat());
            format!("{name}, which {which}{end}")
        };
        listed(reasons, &named, &inside)
    }

    /// What a task that another waits for does.
    fn which(&self, id: u64, path: &[u64]) -> String {
        match self.model.why_now(id, self.now).why {
            Why::Waiting(reasons) => match reasons[0] {
                Reason::Timer { id, due_in: ..=0 } => format!("sleeps: timer #{id} is overdue"),
                Reason::Timer { id, due_in } if due_in > 1 << 53 => {
                    format!("sleeps for ever (timer #{id})")
                }
                Reason::Timer { id, due_in } => {
                    let until = self.now.saturating_add(u64::try_from(due_in).unwrap_or(0));
                    format!("sleeps until {} (timer #{id})", Nanos(until))
                }
                _ => format!("waits for {}", self.chained(id, &reasons, path)),
            },
            Why::LostWaker => "is stuck for ever: no waker of it is left".into(),
            Why::Queued { .. } => "is queued".into(),
            Why::CancelPending { .. } => "is queued to be cancelled".into(),
            Why::Running { .. } => "is running".into(),
            Why::Ended(_) | Why::Unknown => "has ended".into(),
        }
    }
}

/// "due in 18 ms", "overdue by 3 ms" or "due never".
pub(super) struct Due(pub(super) i128);

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

/// Reasons of one sort in words: each by name, or, if they are many, two by number and how many more.
fn sort_of_reasons(sort: &[Reason], task: &dyn Fn(u64) -> String, inside: &[String]) -> String {
    let one = |reason: &Reason| match reason {
        Reason::Timer { id, due_in } => format!("timer #{id} {}", Due(*due_in)),
        Reason::Source { id, direction } => {
            format!("source {id} to become {}", able(*direction))
        }
        Reason::Task { id } => task(*id),
        Reason::Job { id } => format!("blocking job {id}"),
        Reason::Outside { wakers } => {
            let held = format!("{} held outside of the loop", count(*wakers as usize, "waker"));
            match inside {
                [] => held,
                inside => format!("{held}, inside `{}`", inside.join("` or `")),
            }
        }
    };
    if sort.len() <= NAMED {
        return sort.iter().map(one).collect::<Vec<_>>().join(" or ");
    }
    let number = |reason: &Reason| match reason {
        Reason::Timer { id, .. } => format!("#{id}"),
        Reason::Task { id } | Reason::Source { id, .. } | Reason::Job { id } => id.to_string(),
        Reason::Outside { wakers } => wakers.to_string(),
    };
    let (what, end) = match sort[0] {
        Reason::Timer { due_in, .. } => ("timer", format!(", the first {}", Due(due_in))),
        Reason::Source { .. } => ("source", String::new()),
        Reason::Job { .. } => ("blocking job", String::new()),
        Reason::Task { .. } | Reason::Outside { .. } => ("task", String::new()),
    };
    let (first, second) = (number(&sort[0]), number(&sort[1]));
    format!("{what} {first}, {second} and {} more{end}", sort.len() - 2)
}

/// All reasons in words, bounded however many they are.
fn listed(reasons: &[Reason], task: &dyn Fn(u64) -> String, inside: &[String]) -> String {
    let same = |a: &Reason, b: &Reason| std::mem::discriminant(a) == std::mem::discriminant(b);
    let sorts = reasons.chunk_by(same).map(|sort| sort_of_reasons(sort, task, inside));
    sorts.collect::<Vec<_>>().join(" or ")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sort_of_reasons(std::slice::from_ref(self), &|id| format!("task {id}"), &[]))
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
                write!(f, "waiting for {}", listed(reasons, &|id| format!("task {id}"), &[]))
            }
            Why::LostWaker => f.write_str("stuck for ever: no waker of it is left"),
        }
    }
}
