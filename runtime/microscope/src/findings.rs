//! What is wrong with a program, as exact predicates over its events.
//!
//! A finding is never a guess: it is raised if and only if its predicate holds, the predicate is
//! the doc comment of its [`Code`], and the finding lists the events that make it hold. A program
//! that does well has none.
//!
//! A recording of [basic](mainspring::observe::Detail::Basic) detail does not tell enough for four of
//! them, which are never found there: [`SlowTurn`](Code::SlowTurn),
//! [`SelfWakeStorm`](Code::SelfWakeStorm), [`Herd`](Code::Herd) and
//! [`SpuriousPolls`](Code::SpuriousPolls).

mod chain;
mod finish;
mod scan;
mod spans;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use crate::trace::Trace;

/// Events listed as the evidence of one finding; the worst come first.
pub const MAX_EVIDENCE: usize = 20;

/// Findings listed of one code; the worst come first.
pub const MAX_OF_A_CODE: usize = 20;

/// Above what something is found. Durations in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest that a poll may take: 10 ms.
    pub slow_poll: u64,
    /// The longest that all the polls of a turn may take together: 50 ms.
    pub slow_turn: u64,
    /// The latest that a timer may fire: 5 ms.
    pub late_timer: u64,
    /// The longest that a task may stay in the ready queue: 50 ms.
    pub starvation: u64,
    /// Polls in a row, each woken by the task itself, that make a storm: 100.
    pub storm: u32,
    /// Tasks woken by one poll or one readiness, to no avail, that make a herd: 8.
    pub herd: usize,
    /// Polls without any effect that are too many, if they are also 30 % of all: 20.
    pub spurious: u64,
    /// Live tasks from which a growing number of them is found: 256.
    pub growth: usize,
    /// Tasks spawned and awaited one after another that are worth a note: 3.
    pub one_at_a_time: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            slow_poll: 10_000_000,
            slow_turn: 50_000_000,
            late_timer: 5_000_000,
            starvation: 50_000_000,
            storm: 100,
            herd: 8,
            spurious: 20,
            growth: 256,
            one_at_a_time: 3,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $word:literal $title:literal $advice:literal;)*) => {
        /// What kind of thing was found. Worst first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The word for it in files: `slow-poll`.
            pub fn word(self) -> &'static str {
                match self { $(Code::$variant => $word),* }
            }

            /// What it means, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Code::$variant => $advice),* }
            }
        }
    };
}

codes! {
    /// The loop was left because nothing could ever wake a task again.
    Stalled "stalled" "The loop stalled"
        "Look at what each task waits for: one of them waits for what will never happen.";
    /// A task answered pending when no waker of it was left, had not been woken, and was neither
    /// polled nor cancelled by the program afterwards.
    LostWaker "lost-waker" "Nothing can wake this task"
        "A future that answers pending must keep the waker of its latest poll and call it later.";
    /// A source was ready, its last operation moved bytes without reaching the end of what was
    /// there, the task waited for it again, and it never became ready again.
    Undrained "undrained" "An edge was not drained"
        "Readiness is told once: repeat the operation until it would block, then wait.";
    /// A task panicked and its result was never read.
    NeverRetrieved "never-retrieved" "A panic that was never looked at"
        "Await the task's handle, or let the task deal with what can go wrong.";
    /// A poll took longer than the limit.
    SlowPoll "slow-poll" "A poll held up the loop"
        "Nothing else ran meanwhile: await instead of blocking, yield in long computations, or \
         use spawn_blocking.";
    /// No poll of a turn was too slow, all of them together were.
    SlowTurn "slow-turn" "A turn took long"
        "Many small polls hurt like a big one: timers and sources waited for all of them.";
    /// A task was polled many times in a row, each time because it had woken itself.
    SelfWakeStorm "self-wake-storm" "A task keeps waking itself"
        "Let a timer, a source or another task wake it: this is a busy loop in disguise.";
    /// A task stayed in the ready queue for longer than the limit.
    Starvation "starvation" "A ready task had to wait"
        "Look at who ran meanwhile: those polls are too long or too many.";
    /// A timer fired later than the limit after its deadline.
    LateTimer "late-timer" "A timer fired late"
        "Look at what the loop did at the deadline: timers fire between polls, not during them.";
    /// A labelled future had read bytes and was dropped before it returned, while its task ran on.
    DroppedMidway "dropped-midway" "A future was dropped with bytes in hand"
        "What it had read is gone. Keep the buffer outside of the future, or let it finish.";
    /// A labelled future was dropped before it returned, and a whole poll of its task had passed in
    /// which it was not polled: it went nowhere, and kept what it held.
    SetAside "set-aside" "A future was set aside and not polled"
        "Drop it or go on polling it: meanwhile it keeps its lock, its connection, its place.";
    /// One poll, or one readiness, woke many tasks, and at most one of them found something to do.
    Herd "herd" "Many were woken for one"
        "Wake as many as can make progress.";
    /// At least 30 % of a task's polls, and more than the limit, changed nothing: the task was
    /// woken by something else, answered pending, and the poll told of nothing but old waits.
    SpuriousPolls "spurious-polls" "Woken for nothing"
        "Find out who wakes it and why: each such wake costs a turn in the queue.";
    /// A labelled future was dropped without ever having been polled, or a task was cancelled by
    /// the end of its runtime before its first poll.
    NeverPolled "never-polled" "Made, but never run"
        "A future does nothing until it is awaited or spawned.";
    /// At each eighth of the trace more tasks were alive than at the one before, although tasks
    /// did end, and their number passed the limit.
    UnboundedGrowth "unbounded-growth" "Work piles up"
        "More is taken on than gets done: bound the number of tasks, so that the source waits.";
    /// A task spawned several others and awaited each before it spawned the next, and nothing else
    /// was alive meanwhile. A note: that may be what is meant.
    OneAtATime "one-at-a-time" "One at a time"
        "Spawn all, then await all, and their waits overlap.";
}

/// Something that was found, and the events that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// The task it is about, or 0.
    pub task: u64,
    /// When, in nanoseconds.
    pub at: u64,
    /// What happened, in one sentence.
    pub what: String,
    /// Numbers of the events that prove it, at most [`MAX_EVIDENCE`], the one to look at first.
    pub evidence: Vec<u64>,
    /// How often it was found, with the same cause.
    pub count: usize,
    /// How bad, to compare with others of the same code.
    pub(crate) weight: u64,
    /// Where in the program it comes from: where the task was spawned or the label written.
    pub(crate) cause: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.code.word(), self.what, self.code.advice())
    }
}

impl Trace {
    /// What is wrong with the program, with the events that prove it; worst first.
    pub fn findings(&self) -> Vec<Finding> {
        find(self, &Limits::default())
    }
}

/// What is found in a trace, worst first. What has one cause is one finding, of its worst case, with a
/// count.
pub fn find(trace: &Trace, limits: &Limits) -> Vec<Finding> {
    let mut found = scan::scan(trace, limits);
    found.sort_by_key(|finding| (finding.code, Reverse(finding.weight), finding.at));
    let mut kept: Vec<Finding> = Vec::new();
    let mut first: HashMap<(Code, String), usize> = HashMap::new();
    for finding in found {
        match first.entry((finding.code, finding.cause.clone())) {
            Entry::Occupied(same) => {
                let same: &mut Finding = &mut kept[*same.get()];
                same.count += 1;
                same.evidence.extend(finding.evidence.first());
            }
            Entry::Vacant(new) => {
                new.insert(kept.len());
                kept.push(finding);
            }
        }
    }
    let mut of_code = 0;
    let mut code = None;
    kept.retain_mut(|finding| {
        finding.evidence.truncate(MAX_EVIDENCE);
        if finding.count > 1 {
            finding.what += &format!(", the worst of {} from {}", finding.count, finding.cause);
        }
        of_code = if code.replace(finding.code) == Some(finding.code) { of_code + 1 } else { 0 };
        of_code < MAX_OF_A_CODE
    });
    kept
}

#[cfg(test)]
mod tests;
