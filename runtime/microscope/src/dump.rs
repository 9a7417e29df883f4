//! The state of a loop as text, for a terminal or a log.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::{Model, State, Task};
use crate::text::{Nanos, Texts, count};
use crate::trace::Trace;

/// Lines of tasks in a dump; of further ones only the number is told.
const MAX_TASKS: usize = 200;

/// Deepest indentation.
const MAX_DEPTH: usize = 16;

impl Trace {
    /// The state at the end as text: every task that has not ended, in the tree of spawns, and why
    /// it is not running.
    pub fn dump(&self) -> String {
        dump(&self.model(), &self.texts)
    }
}

/// Every task that has not ended, under the one that spawned it, and why it is not running.
pub(crate) fn dump(model: &Model, texts: &Texts) -> String {
    let alive: Vec<&Task> =
        model.tasks_in_order().into_iter().filter(|task| !task.state.is_ended()).collect();
    let mut out = format!(
        "turn {}, {} alive, {} ready, {} armed, {} registered\n",
        model.turn,
        count(alive.len(), "task"),
        model.ready.len(),
        count(model.timers.len(), "timer"),
        count(model.sources.len(), "source"),
    );
    let mut children: HashMap<u64, Vec<&Task>> = HashMap::new();
    for task in &alive {
        // A child outlives its parent as a root.
        let parent = model.task(task.parent).filter(|parent| !parent.state.is_ended());
        children.entry(parent.map_or(0, |parent| parent.id)).or_default().push(task);
    }
    let mut stack: Vec<(usize, &Task)> = Vec::new();
    let push = |stack: &mut Vec<_>, depth, id| {
        stack.extend(children.get(&id).into_iter().flatten().rev().map(|task| (depth, *task)));
    };
    push(&mut stack, 0, 0);
    let mut told = 0;
    while let Some((depth, task)) = stack.pop() {
        if told == MAX_TASKS {
            break;
        }
        told += 1;
        line(&mut out, model, texts, depth.min(MAX_DEPTH), task);
        push(&mut stack, depth + 1, task.id);
    }
    if alive.len() > told {
        out += &format!("… and {} more\n", alive.len() - told);
    }
    let reasons = model.why_alive();
    if !reasons.is_empty() {
        out += "the loop goes on because:\n";
    }
    for reason in reasons.iter().take(MAX_TASKS) {
        out += &format!("  {reason}\n");
    }
    out
}

fn line(out: &mut String, model: &Model, texts: &Texts, depth: usize, task: &Task) {
    let name = texts.task(task.id);
    let state = match task.state {
        State::Idle => "pending, idle".into(),
        State::Scheduled => "pending, scheduled".into(),
        state => state.word().to_owned(),
    };
    let since = Nanos(model.now.saturating_sub(task.since));
    let why = model.why_in_words(task.id, texts);
    let polls = count(usize::try_from(task.polls).unwrap_or(usize::MAX), "poll");
    let busy = Nanos(task.busy);
    let place = texts.tasks.get(&task.id).map(crate::text::TaskText::place).unwrap_or_default();
    let indent = 2 * depth;
    // Writing to a string cannot fail.
    writeln!(
        out,
        "{:indent$}{name}: {state} for {since}; {why}; {polls}, busy {busy}; {place}",
        ""
    )
    .unwrap_or_default();
}
