//! When a loop can never go on.
//!
//! With nothing ready, no timer, no source, no blocking job and no [`Remote`](crate::Remote), only a
//! waker can move the loop: one that somebody holds, in another thread or in something that a task
//! shares with one. Every task's header is counted, so the loop can tell exactly whether such a waker
//! exists. A waker that waits for the end of another pending task does not count: it is used
//! only when that task ends, and that task cannot move either.
//!
//! The verdict is never wrong in the other direction: a waker of any other holder counts as a way to go on,
//! also if that holder has forgotten it. Such a loop waits, as every loop would.
//!
//! The verdict is taken when the loop is about to sleep, and once a second in a sleep that only wakers
//! can end, since a thread that drops the last of them unused tells nobody.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::context::Core;
use crate::task::TaskId;

/// A loop that can never go on: nothing is ready, nothing will be, and tasks are pending.
#[derive(Clone, Debug)]
pub struct Stalled {
    tasks: Vec<StalledTask>,
    entered_at: &'static Location<'static>,
}

/// A task that can never be woken again.
#[derive(Clone, Debug)]
pub struct StalledTask {
    /// The task.
    pub id: TaskId,
    /// Its name, if it was given one.
    pub name: Option<Cow<'static, str>>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// The pending task that it awaits. `None`: nobody holds its waker.
    pub awaits: Option<TaskId>,
}

impl Stalled {
    pub(crate) fn new(tasks: Vec<StalledTask>, entered_at: &'static Location<'static>) -> Self {
        Stalled { tasks, entered_at }
    }

    /// The pending tasks, in the order of spawning.
    pub fn tasks(&self) -> &[StalledTask] {
        &self.tasks
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the loop entered at {} can never go on: nothing is ready, no timer is armed, no source \
             registered, no blocking job under way. Pending for ever:",
            self.entered_at
        )?;
        for task in &self.tasks {
            write!(f, "\n  {}", task.id)?;
            if let Some(name) = &task.name {
                write!(f, " {name:?}")?;
            }
            write!(f, " spawned at {}: ", task.spawned_at)?;
            match task.awaits {
                Some(other) => write!(f, "awaits {other}")?,
                None => f.write_str("nobody holds its waker")?,
            }
        }
        Ok(())
    }
}

impl Error for Stalled {}

/// The tasks that are pending for ever, in the order of spawning, if the loop has stalled. `None` if
/// somebody holds a waker. O(n) in the tasks that live.
pub(crate) fn find(core: &Core) -> Option<Vec<StalledTask>> {
    let table = core.table.borrow();
    // Whom each task awaits, by the address of its header, which is also its waker's data.
    let mut awaits: HashMap<*const (), (usize, TaskId)> = HashMap::new();
    for (header, join) in table.living() {
        if let Some(waker) = &join.joiner {
            let entry = awaits.entry(waker.data()).or_insert((0, header.id()));
            entry.0 += 1;
        }
    }
    let mut stalled = Vec::new();
    for (header, join) in table.living() {
        let joins = awaits.get(&Arc::as_ptr(header).cast::<()>());
        if header.holders(1) > joins.map_or(0, |(count, _)| *count) {
            return None;
        }
        stalled.push(StalledTask {
            id: header.id(),
            name: table.origin(header.slot()).name,
            spawned_at: join.spawned_at,
            awaits: joins.map(|(_, other)| *other),
        });
    }
    stalled.sort_by_key(|task| task.id);
    Some(stalled)
}
