//! What a loop that can never go on says.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;

use crate::event_loop::Core;
use crate::event_loop::stall::{self, Outside, StallReason};
use crate::task::TaskId;

/// A loop that can never go on: nothing is ready, nothing will be, and tasks are pending. Or a virtual clock
/// that would have to jump over the world outside.
#[derive(Clone, Debug)]
pub struct Stalled {
    reason: StallReason,
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
    /// The pending task that it awaits. `None`: no waker of it is left.
    pub awaits: Option<TaskId>,
}

impl Stalled {
    pub(crate) fn new(
        core: &Core,
        reason: StallReason,
        entered_at: &'static Location<'static>,
    ) -> Stalled {
        let found = match reason {
            StallReason::NothingCanWake => stall::find(core).unwrap_or_default(),
            StallReason::ClockWouldJump(_) => Vec::new(),
        };
        let told = |(id, awaits): (TaskId, Option<TaskId>)| {
            let origin = core.tasks.borrow().origin(id.slot());
            StalledTask { id, name: origin.name, spawned_at: origin.spawned_at, awaits }
        };
        let tasks = found.into_iter().map(told).collect();
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
                None => f.write_str("no waker of it is left")?,
            }
        }
        Ok(())
    }
}

impl Error for Stalled {}
