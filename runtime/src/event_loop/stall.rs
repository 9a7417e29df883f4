//! When can the loop never go on?
//!
//! With nothing ready, no timer, no source, no blocking job and no [`Remote`](crate::Remote), only a
//! waker can move the loop: one that another thread holds, or something that a task shares with one.
//! Every task's header is counted, so the loop can tell exactly whether such a waker
//! exists. A waker that waits for the end of another pending task does not count: it is used
//! only when that task ends, and that task cannot move either.
//!
//! The verdict is never wrong in the other direction: a waker that anything else holds counts as a way to go on,
//! also if it is never used. Such a loop waits, as every loop would.
//!
//! The loop asks when it is about to sleep, and once a second in a sleep that only wakers can end, since a
//! thread that drops the last of them unused tells nothing. A look at all tasks is O(n), so the loop remembers the
//! task that it found to have such a waker, its witness, and looks at the others only when that has none any more.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::event_loop::Core;
use crate::remote::Remote;
use crate::task::TaskId;

/// A loop that can never go on: nothing is ready, nothing will be, and tasks are pending. Or a virtual clock
/// that would have to jump over the world outside.
#[derive(Clone, Debug)]
pub struct Stalled {
    reason: StallReason,
    tasks: Vec<StalledTask>,
    entered_at: &'static Location<'static>,
}

/// Why a loop cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallReason {
    /// No task can be woken any more.
    NothingCanWake,
    /// A virtual clock would jump to the next deadline, but the world outside, whose time does not jump along, may
    /// still wake a task before.
    ClockWouldJump(Outside),
}

/// What can wake a task from outside of the loop, wakers not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Sources that are registered.
    pub sources: usize,
    /// Blocking jobs whose result a task waits for.
    pub jobs: usize,
    /// Whether a [`Remote`](crate::Remote) is held.
    pub remote: bool,
}

impl Outside {
    pub(crate) fn of(core: &Core) -> Outside {
        let (sources, jobs) = (core.reactor.len(), core.pool.jobs());
        Outside { sources, jobs, remote: Remote::is_held(core) }
    }

    pub(crate) fn is_none(self) -> bool {
        self.sources == 0 && self.jobs == 0 && !self.remote
    }
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
    /// The pending task that it awaits. `None`: its waker is held nowhere.
    pub awaits: Option<TaskId>,
}

impl Stalled {
    pub(crate) fn new(
        core: &Core,
        reason: StallReason,
        entered_at: &'static Location<'static>,
    ) -> Stalled {
        let tasks = match reason {
            StallReason::NothingCanWake => find(core).unwrap_or_default(),
            StallReason::ClockWouldJump(_) => Vec::new(),
        };
        Stalled { reason, tasks, entered_at }
    }

    /// Why the loop cannot go on.
    pub fn reason(&self) -> StallReason {
        self.reason
    }

    /// The tasks that nothing can wake any more, in the order of spawning.
    pub fn tasks(&self) -> &[StalledTask] {
        &self.tasks
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let StallReason::ClockWouldJump(Outside { sources, jobs, remote }) = self.reason {
            let (comma, held) = if remote { (",", " and a Remote is held") } else { (" and", "") };
            return write!(
                f,
                "the virtual clock will not jump while the world outside is involved: {sources} \
                 sources are registered{comma} {jobs} blocking jobs are under way{held}, and their \
                 time does not jump along. Use the real clock, or Clock::VirtualDespiteIo if nothing \
                 more will come from them"
            );
        }
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
/// a waker exists that can move it. O(n) in the tasks that live, unless the last witness still has one.
pub(crate) fn find(core: &Core) -> Option<Vec<StalledTask>> {
    let mut tasks = core.tasks.borrow_mut();
    if tasks.witness_holds() {
        return None;
    }
    // Which task awaits which, by the address of its header, which is also its waker's data.
    let mut awaits: HashMap<*const (), (usize, TaskId)> = HashMap::new();
    for header in tasks.all_living() {
        if let Some(waker) = tasks.joiner(header.slot()) {
            let entry = awaits.entry(waker.data()).or_insert((0, tasks.id(header.slot())));
            entry.0 += 1;
        }
    }
    let (mut stalled, mut witness) = (Vec::new(), None);
    for header in tasks.all_living() {
        let (slot, joins) = (header.slot(), awaits.get(&Arc::as_ptr(header).cast::<()>()));
        let count = joins.map_or(0, |(count, _)| *count);
        if header.wakers() > count {
            witness = Some((slot, count));
            break;
        }
        let (id, origin) = (tasks.id(slot), tasks.origin(slot));
        let (name, spawned_at) = (origin.name, origin.spawned_at);
        stalled.push(StalledTask { id, name, spawned_at, awaits: joins.map(|(_, other)| *other) });
    }
    if let Some((slot, joins)) = witness {
        tasks.set_witness(slot, joins);
        return None;
    }
    stalled.sort_by_key(|task| task.id);
    Some(stalled)
}
