//! What the core tells its observer.
//!
//! Without one, each of these is a test of one `Option`; around the poll of a task it is none, as that part
//! of the loop is compiled for either case. What is told in every turn is told out of line, and the branches
//! to it count as unlikely: it would burden the loop that nobody observes.

use super::{CauseKind, Kind, PollOutcome, TaskInfo, WakeEffect};
use crate::context::Core;
use crate::task::TaskId;
use crate::task::join::Origin;

impl Core {
    /// Tells the observer, at the time of the latest event.
    #[inline]
    pub(crate) fn note(&self, task: u64, kind: Kind) {
        if let Some(tap) = &self.tap {
            tap.event(task, kind);
        }
    }

    /// Tells the observer, at a time read now.
    #[inline]
    pub(crate) fn note_now(&self, task: u64, kind: Kind) {
        if let Some(tap) = &self.tap {
            tap.set_stamp(self.time.now());
            tap.event(task, kind);
        }
    }

    /// Tells the observer about the running task.
    #[inline]
    pub(crate) fn note_running(&self, kind: Kind) {
        if self.tap.is_some() {
            self.note(self.running().map_or(0, TaskId::get), kind);
        }
    }

    pub(crate) fn tell_spawned(&self, id: TaskId, size: usize) {
        let Some(tap) = &self.tap else { return };
        let Origin { name, spawned_at } = self.table.borrow().origin(id.slot());
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        tap.task(&TaskInfo { id: id.get(), name: name.as_deref(), spawned_at, size });
        let parent = self.running().map_or(0, TaskId::get);
        self.note_now(id.get(), Kind::Spawned { parent });
        let (effect, by) = (WakeEffect::Scheduled, CauseKind::Spawn);
        self.note(id.get(), Kind::Woken { effect, by, id: parent });
    }

    #[inline]
    pub(crate) fn tell_turn_started(&self) {
        if self.tap.as_ref().is_some_and(|tap| tap.all) {
            self.note_turn_started();
        }
    }

    #[cold]
    fn note_turn_started(&self) {
        let ready = self.table.borrow().ready.len() as u32;
        let turn = self.counters.turns.get();
        // No reading of the clock: the loop was entered, a poll ended or a park did just before.
        self.note(0, Kind::TurnStarted { ready, turn });
    }

    #[inline]
    pub(crate) fn tell_turn_ended(&self) {
        if self.tap.as_ref().is_some_and(|tap| tap.all) {
            self.note_turn_ended();
        }
    }

    #[cold]
    fn note_turn_ended(&self) {
        self.note(0, Kind::TurnEnded);
    }

    #[cold]
    pub(crate) fn tell_poll_started(&self, id: TaskId) {
        self.cause.set((CauseKind::Task, id.get()));
        self.note(id.get(), Kind::PollStarted);
    }

    /// `held`: how many wakers of the task are held outside of the loop.
    #[cold]
    pub(crate) fn tell_poll_ended(
        &self,
        id: TaskId,
        outcome: PollOutcome,
        requeued: bool,
        held: usize,
    ) {
        let Some(tap) = &self.tap else { return };
        // A traced future that panicked has not put back the one around it.
        tap.span.set(0);
        self.cause.set((CauseKind::Outside, 0));
        let holders = u32::try_from(held).unwrap_or(u32::MAX);
        tap.set_stamp(self.time.now());
        tap.event(id.get(), Kind::PollEnded { outcome, requeued, holders });
    }

    #[cold]
    pub(crate) fn tell_done(&self, id: TaskId, panicked: bool, beat_cancel: bool) {
        self.note(id.get(), Kind::Done { panicked, beat_cancel });
    }
}
