//! Words for people: durations, counts, one sentence per event, and names made harmless.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;

use mainspring::observe::{
    CancelEffect, CauseKind, Direction, Event, Kind, Label, LoopExit, PollOutcome, TaskInfo,
    TryOutcome, WakeEffect,
};
use serde::{Deserialize, Serialize};

use crate::schema::Word;

/// Nanoseconds, as a person reads them: `640 ns`, `12.3 µs`, `18 ms`, `1.234 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nanos(pub u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = u128::from(self.0);
        let (value, digits, unit) = match ns {
            0..1_000 => (ns, 0, "ns"),
            1_000..1_000_000 => ((ns + 50) / 100, 1, "µs"),
            1_000_000..1_000_000_000 => ((ns + 50_000) / 100_000, 1, "ms"),
            _ => ((ns + 500_000) / 1_000_000, 3, "s"),
        };
        let scale = 10_u128.pow(digits);
        write!(f, "{}", value / scale)?;
        let rest = format!("{:0width$}", value % scale, width = digits as usize);
        let rest = rest.trim_end_matches('0');
        if digits > 0 && !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        write!(f, " {unit}")
    }
}

/// `1 task`, `3 tasks`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A text without what a terminal would obey: control characters become `�`.
pub fn harmless(text: &str) -> String {
    // Besides the control characters proper: marks that reorder a line for its reader.
    let obeyed = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            )
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// Bytes kept of a task's name or of a label; what is longer is cut at a character's border.
pub const MAX_TEXT: usize = 256;

/// The beginning of `text`, of at most so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// A place in the source: `src/crawl.rs:41:9`, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The file.
    pub file: Cow<'static, str>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    fn of(location: &'static Location<'static>) -> Place {
        let file = Cow::Borrowed(location.file());
        Place { file, line: location.line(), column: location.column() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.file {
            "" => Ok(()),
            file => write!(f, "{file}:{}:{}", self.line, self.column),
        }
    }
}

/// What is known of a task beside its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskText {
    /// The name it was given, cut to [`MAX_TEXT`] bytes.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it was spawned.
    #[serde(flatten)]
    pub place: Place,
    /// Size of its future, in bytes.
    #[serde(default)]
    pub size: u32,
}

impl TaskText {
    pub(crate) fn of(task: &TaskInfo<'_>) -> TaskText {
        TaskText {
            name: task.name.map(|name| cut(name, MAX_TEXT).to_owned()),
            place: Place::of(task.spawned_at),
            size: task.size,
        }
    }
}

/// The text of a span or a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelText {
    /// What it says, cut to [`MAX_TEXT`] bytes.
    pub text: String,
    /// Where it was written.
    #[serde(flatten)]
    pub place: Place,
}

impl LabelText {
    pub(crate) fn of(label: &Label<'_>) -> LabelText {
        LabelText { text: cut(label.text, MAX_TEXT).to_owned(), place: Place::of(label.written_at) }
    }
}

/// Names, places and labels, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// By task.
    pub tasks: HashMap<u64, TaskText>,
    /// By label: those of the events held, and of spans that are open before them.
    pub labels: HashMap<u32, LabelText>,
}

impl Texts {
    /// `task 3 "fetch /b"`, the name made harmless.
    pub fn task(&self, id: u64) -> String {
        match self.tasks.get(&id).and_then(|text| text.name.as_deref()) {
            Some(name) => format!("task {id} \"{}\"", harmless(name)),
            None => format!("task {id}"),
        }
    }

    /// Where a task was spawned, or nothing.
    pub fn place(&self, task: u64) -> String {
        self.tasks.get(&task).map(|text| text.place.to_string()).unwrap_or_default()
    }

    /// The text of a label, made harmless.
    pub fn label(&self, label: u32) -> String {
        self.labels.get(&label).map_or_else(|| format!("#{label}"), |label| harmless(&label.text))
    }

    /// Who made a wake happen.
    pub fn cause(&self, by: CauseKind, id: u64) -> String {
        match by {
            CauseKind::Outside => "code outside of the loop".into(),
            CauseKind::Spawn => "its spawn".into(),
            CauseKind::Task => self.task(id),
            CauseKind::Timer => format!("timer #{id}"),
            CauseKind::Source => format!("source {id}"),
            CauseKind::Join => format!("the end of {}", self.task(id)),
            CauseKind::Job => format!("blocking job {id}"),
            CauseKind::Thread => "another thread".into(),
            CauseKind::Cancel => "a cancel request".into(),
            CauseKind::Shutdown => "the shutdown".into(),
        }
    }

    /// One sentence that says what happened.
    pub fn sentence(&self, event: &Event) -> String {
        let task = self.task(event.task);
        match event.kind {
            Kind::Spawned { parent: 0 } => format!("{task} is spawned, ready to run"),
            Kind::Spawned { parent } => {
                format!("{} spawns {task}, ready to run", self.task(parent))
            }
            Kind::Woken { effect, by, id } => self.woken(event.task, effect, by, id),
            Kind::PollStarted { .. } => format!("{task} runs"),
            Kind::PollEnded { outcome, requeued, holders } => match outcome {
                PollOutcome::Ready => format!("{task} returns its value"),
                PollOutcome::Panicked => format!("{task} panics"),
                PollOutcome::Pending if requeued => {
                    format!("{task} is not ready yet, and was woken meanwhile: it queues again")
                }
                PollOutcome::Pending if holders == 0 => {
                    format!("{task} is not ready yet, and no waker of it is left")
                }
                PollOutcome::Pending => format!("{task} is not ready yet: it waits"),
            },
            Kind::Done { panicked: true, .. } => format!("{task} is done: it panicked"),
            Kind::Done { beat_cancel: true, .. } => {
                format!("{task} is done before its cancel took effect")
            }
            Kind::Done { .. } => format!("{task} is done"),
            Kind::Cancelled { origin, .. } => {
                format!("{task} is cancelled ({})", origin.word().replace('_', " "))
            }
            Kind::CancelRequested { effect, .. } => match effect {
                CancelEffect::Queued => format!("{task} is to be cancelled when its turn comes"),
                CancelEffect::Deferred => format!("{task} is to be cancelled after this poll"),
                CancelEffect::Ignored => format!("a cancel of {task} changes nothing"),
            },
            Kind::Detached => format!("the handle of {task} is dropped: it goes on by itself"),
            Kind::OutputTaken => format!("the result of {task} is read"),
            Kind::PanicUnseen => format!("the panic of {task} was never looked at: it is reported"),
            Kind::WaitsForTask { on } => format!("{task} waits for {} to end", self.task(on)),
            Kind::WaitsForSource { direction, source } => {
                format!("{task} waits for source {source} to become {}", able(direction))
            }
            Kind::TaskWaitDropped { on } => format!("{} is waited for no more", self.task(on)),
            Kind::SourceWaitDropped { direction, source } => {
                format!("{task} waits no more for source {source} to become {}", able(direction))
            }
            Kind::WaitsForTimer { timer } => format!("{task} waits for timer #{timer}"),
            Kind::WaitsForBlocking { job } => format!("{task} waits for blocking job {job}"),
            _ => self.sentence_of_things(event),
        }
    }

    fn woken(&self, task: u64, effect: WakeEffect, by: CauseKind, id: u64) -> String {
        let cause = self.cause(by, id);
        let itself = by == CauseKind::Task && id == task;
        let cause = if itself { String::from("it") } else { cause };
        let task = if itself { format!("{} itself", self.task(task)) } else { self.task(task) };
        match effect {
            WakeEffect::Scheduled => format!("{cause} wakes {task}: it queues"),
            WakeEffect::Coalesced => format!("{cause} wakes {task}, which is queued already"),
            WakeEffect::Deferred => {
                format!("{cause} wakes {task} while it runs: it will queue again")
            }
            WakeEffect::Stale => format!("{cause} wakes {task}, which has ended: nothing happens"),
        }
    }

    fn sentence_of_things(&self, event: &Event) -> String {
        let task = self.task(event.task);
        match event.kind {
            Kind::TimerArmed { timer, deadline } if deadline > 1 << 53 => {
                format!("{task} arms timer #{timer}, which is never due")
            }
            Kind::TimerArmed { timer, deadline } => {
                format!("{task} arms timer #{timer}, due at {}", Nanos(deadline))
            }
            Kind::TimerFired { timer, late } => {
                format!("timer #{timer} fires, {} late", Nanos(late))
            }
            Kind::TimerDropped { timer } => format!("timer #{timer} is dropped before it fired"),
            Kind::SourceRegistered { source_kind, source, fd } => {
                format!("source {source} is registered: a {}, fd {fd}", source_kind.word())
            }
            Kind::SourceReady { readable, writable, source } => {
                let what = match (readable, writable) {
                    (true, true) => "readable and writable",
                    (true, false) => "readable",
                    (false, true) => "writable",
                    (false, false) => "neither readable nor writable",
                };
                format!("source {source} is {what}")
            }
            Kind::SourceTried { direction, outcome, source, bytes } => {
                let (what, doing) = match direction {
                    Direction::Read => ("reads", "reading"),
                    Direction::Write => ("writes", "writing"),
                };
                let how = match outcome {
                    TryOutcome::Cleared => {
                        return format!("{task} says that {doing} source {source} would block");
                    }
                    // As when it is connected.
                    TryOutcome::Done if bytes == 0 => "done".into(),
                    TryOutcome::Done => count(bytes as usize, "byte"),
                    TryOutcome::Short => {
                        format!("{}, all there was", count(bytes as usize, "byte"))
                    }
                    TryOutcome::WouldBlock => "it would block".into(),
                    TryOutcome::Eof => "end of stream".into(),
                    TryOutcome::Failed => "an error".into(),
                };
                format!("{task} {what} source {source}: {how}")
            }
            Kind::SourceClosed { source } => format!("source {source} is closed"),
            Kind::JobQueued { job } => format!("{task} hands blocking job {job} to the pool"),
            Kind::JobEnded { job, ran } => {
                format!("blocking job {job} has ended after {}", Nanos(ran))
            }
            Kind::JobDropped { job } => format!("blocking job {job} is waited for no more"),
            Kind::SpanOpened { label, .. } => format!("{task} begins \"{}\"", self.label(label)),
            Kind::SpanClosed { span, completed: true, polls } => {
                format!("span {span} completes after {}", count(polls as usize, "poll"))
            }
            Kind::SpanClosed { span, polls, .. } => {
                format!("span {span} is dropped midway after {}", count(polls as usize, "poll"))
            }
            Kind::Marked { label } => format!("mark: {}", self.label(label)),
            _ => sentence_of_loop(event),
        }
    }
}

fn sentence_of_loop(event: &Event) -> String {
    match event.kind {
        Kind::LoopEntered => "the loop takes the thread".into(),
        Kind::LoopLeft { why } => match why {
            LoopExit::MainDone => "the loop ends: the main future is done".into(),
            LoopExit::MainPanicked => "the loop ends: the main future panicked".into(),
            LoopExit::TurnDone => "the loop hands the thread back after a turn".into(),
            LoopExit::Idle => "the loop hands the thread back: nothing is ready".into(),
            LoopExit::Stalled => "the loop ends: nothing can ever wake a task again".into(),
            LoopExit::Shutdown => "the runtime is dropped".into(),
        },
        Kind::TurnStarted { ready, turn } => {
            format!("turn {turn} begins with {} ready", count(ready as usize, "task"))
        }
        Kind::TurnEnded => "the turn ends".into(),
        Kind::Parked { timeout: 0 } => "the loop looks for readiness without waiting".into(),
        Kind::Parked { timeout } if timeout > 1 << 53 => {
            "the loop sleeps until something happens".into()
        }
        Kind::Parked { timeout } => format!("the loop sleeps for {} at most", Nanos(timeout)),
        Kind::Unparked { events } => {
            format!("the system answers with {}", count(events as usize, "readiness event"))
        }
        Kind::ClockJumped { to } => format!("the virtual clock jumps to {}", Nanos(to)),
        Kind::Decided { among, chosen } => {
            format!("the scheduler draws number {chosen} of {among}")
        }
        Kind::ObserverPaused { took } => {
            format!("the recorder kept the loop for {}: nothing of the program's", Nanos(took))
        }
        Kind::Advanced { count: tasks, .. } => {
            format!("the loop puts {} before the rest of the batch", count(tasks as usize, "task"))
        }
        _ => "something that this microscope is too old to know".into(),
    }
}

pub(crate) fn able(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "readable",
        Direction::Write => "writable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = |ns| Nanos(ns).to_string();
        assert_eq!(read(0), "0 ns");
        assert_eq!(read(999), "999 ns");
        assert_eq!(read(12_340), "12.3 µs");
        assert_eq!(read(18_000_000), "18 ms");
        assert_eq!(read(1_234_567_890), "1.235 s");
        assert_eq!(read(60_000_000_000), "60 s");
    }

    #[test]
    fn a_name_cannot_command_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e"), "a�[2Jb�c�d�e");
    }
}
