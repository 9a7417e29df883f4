//! The same seed, the same run; another seed, another order.
//!
//! Under a virtual clock and a scheduler that draws lots from a seed, nothing is left to chance but
//! what the program brings along: hash maps with random keys, the real time, other threads, addresses.
//! Running it twice finds that out. Running it under many seeds finds outcomes that depend on an
//! order which nothing promises.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trace::comparable;
use crate::{Recorder, Trace};

/// Events recorded of a run; what comes later is not compared.
const MAX_EVENTS: usize = 1 << 20;

/// Events shown before the one at which two runs part.
const SHOWN_BEFORE: u64 = 5;

/// Where two runs with one seed part.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The seed.
    pub seed: u64,
    /// Number of the first event that differs.
    pub event: u64,
    /// The first run.
    pub first: Box<Trace>,
    /// The second run.
    pub second: Box<Trace>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { seed, event, first, second } = self;
        writeln!(f, "two runs with seed {seed} part at event {event}; up to there:")?;
        for line in first.lines(event.saturating_sub(SHOWN_BEFORE)..*event) {
            writeln!(f, "{line}")?;
        }
        for (which, trace) in [("first", first), ("second", second)] {
            let line = trace.lines(*event..event + 1).pop();
            writeln!(f, "in the {which} run:\n{}", line.as_deref().unwrap_or("  it has ended"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Difference {}

/// Runs a program twice with the same seed and compares what the two did, event by event. Returns
/// the hash of the run.
///
/// The program builds its runtime with the seed and the recorder that it is given, and a virtual
/// clock; without one, times are not compared.
///
/// # Errors
/// The first event that differs, and both runs.
///
/// # Panics
/// If the program does.
pub fn check_determinism(
    seed: u64,
    mut program: impl FnMut(u64, &Recorder),
) -> Result<u64, Difference> {
    let mut run = || {
        let recorder = Recorder::full(MAX_EVENTS);
        program(seed, &recorder);
        Box::new(recorder.trace().seeded(seed))
    };
    let (first, second) = (run(), run());
    let times = first.virtual_clock && second.virtual_clock;
    let same = |n: usize| match (first.events.get(n), second.events.get(n)) {
        (Some(a), Some(b)) => {
            a.task == b.task
                && comparable(&a.kind) == comparable(&b.kind)
                && (!times || a.at == b.at)
        }
        (a, b) => a.is_none() && b.is_none(),
    };
    let length = first.events.len().max(second.events.len());
    match (0..length).find(|n| !same(*n)) {
        None => Ok(first.hash()),
        Some(n) => Err(Difference { seed, event: n as u64, first, second }),
    }
}

/// A seed under which a program panicked.
#[derive(Clone, Debug)]
pub struct OrderBug {
    /// The seed: the same one shows it again.
    pub seed: u64,
    /// What the panic said.
    pub message: String,
    /// The run, up to the panic.
    pub trace: Box<Trace>,
}

impl fmt::Display for OrderBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderBug { seed, message, trace } = self;
        writeln!(f, "seed {seed}: {message}; the last events:")?;
        let end = trace.first() + trace.events.len() as u64;
        for line in trace.lines(end.saturating_sub(2 * SHOWN_BEFORE)..end) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OrderBug {}

/// Runs a program under each of the seeds, until it panics under one. Returns how many different
/// runs there were, by their hashes: 1 means that no order was ever up for choice.
///
/// # Errors
/// The first seed under which it panicked, with the panic's message and the run.
pub fn explore(
    seeds: impl IntoIterator<Item = u64>,
    mut program: impl FnMut(u64, &Recorder),
) -> Result<usize, OrderBug> {
    let mut hashes = std::collections::HashSet::new();
    for seed in seeds {
        let recorder = Recorder::full(MAX_EVENTS);
        let ended = catch_unwind(AssertUnwindSafe(|| program(seed, &recorder)));
        let trace = Box::new(recorder.trace().seeded(seed));
        if let Err(payload) = ended {
            return Err(OrderBug { seed, message: message_of(&*payload), trace });
        }
        hashes.insert(trace.hash());
    }
    Ok(hashes.len())
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a message".into())
}
