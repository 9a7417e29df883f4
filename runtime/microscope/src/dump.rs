//! The state of a loop as text, for a terminal or a log.

use std::collections::{HashMap, HashSet};

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
    for (depth, id) in tree(&alive).into_iter().take(MAX_TASKS) {
        if let Some(task) = model.task(id) {
            line(&mut out, model, texts, depth.min(MAX_DEPTH), task);
        }
    }
    if alive.len() > MAX_TASKS {
        out += &format!("… and {} more\n", alive.len() - MAX_TASKS);
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

/// Tasks below those that spawned them, and how deep. One whose parent is not among them is a root: a child
/// may outlive its parent.
pub(crate) fn tree(tasks: &[&Task]) -> Vec<(usize, u64)> {
    let shown: HashSet<u64> = tasks.iter().map(|task| task.id).collect();
    let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
    for task in tasks {
        let parent = if shown.contains(&task.parent) { task.parent } else { 0 };
        children.entry(parent).or_default().push(task.id);
    }
    let mut rows = Vec::new();
    let below = |id: u64| children.get(&id).into_iter().flatten().rev().copied();
    let mut stack: Vec<(usize, u64)> = below(0).map(|id| (0, id)).collect();
    while let Some((depth, id)) = stack.pop() {
        rows.push((depth, id));
        stack.extend(below(id).map(|id| (depth + 1, id)));
    }
    rows
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
    let place = texts.place(task.id);
    *out += &"  ".repeat(depth);
    *out += &format!("{name}: {state} for {since}; {why}; {polls}, busy {busy}; {place}\n");
}
