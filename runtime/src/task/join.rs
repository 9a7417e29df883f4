//! 10 of 14. Who may still ask for a result, and who waits for it? Next: `time/queue.rs`, the other thing that wakes.
//!
//! The result of a task stays where its future was, in its slot, and the slot gets no new task while
//! a [`TaskRef`] can still ask for the result: that of the handle, or of a callback. The loop counts them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::event_loop::{Core, Payload, catch};
use crate::observe::event::{CancelOrigin, Kind};
use crate::task::TaskId;

/// What few tasks have.
#[derive(Default)]
pub(crate) struct TaskMeta {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) cancel: Option<CancelRequest>,
    pub(super) callbacks: Vec<(CallbackId, Callback)>,
    pub(super) last_callback: u64,
    pub(super) group: Option<(Rc<Completed>, usize)>,
}

/// The members of a group that are finished and not yet seen, by their place in it, in the order in which
/// they ended. It spares the task that waits for the group a look at every member at every wake.
pub(crate) type Completed = RefCell<VecDeque<usize>>;

/// Called on the turn after a task's end, with a reference of its own.
pub(crate) type Callback = Box<dyn FnOnce(TaskRef)>;

/// Names a callback of a task, to remove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(pub(super) u64);

/// What a task's errors and events say of it.
pub(crate) struct Origin {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// Why a cancel was asked for, and by which task.
pub(crate) struct CancelRequest {
    pub(crate) reason: Option<Cow<'static, str>>,
    pub(crate) origin: CancelOrigin,
    pub(crate) by: Option<TaskId>,
}

/// Keeps a task's slot for it, and its result there, until it is dropped.
///
/// Two words, which a spawn returns in registers. With a third it would write them to memory in pieces and read
/// them back as a whole, which costs a sixth of the spawn.
pub(crate) struct TaskRef {
    pub(super) core: Rc<Core>,
    /// The slot and, above it, whether the result has been taken through this reference.
    packed: u64,
}

/// In `packed`: the result has been taken.
const TAKEN: u64 = 1 << 32;

impl TaskRef {
    /// A reference that the table has counted already.
    pub(crate) fn counted(core: Rc<Core>, slot: u32) -> TaskRef {
        TaskRef { core, packed: u64::from(slot) }
    }

    pub(super) fn slot(&self) -> u32 {
        self.packed as u32
    }

    /// The result has been taken.
    #[inline]
    pub(super) fn mark_taken(&mut self) {
        self.packed |= TAKEN;
        self.emit(Kind::OutputTaken);
    }

    pub(crate) fn id(&self) -> TaskId {
        self.core.tasks.borrow().id(self.slot())
    }

    /// Looks at, or changes, what few tasks have. `f` must run no code of a user.
    pub(super) fn meta<R>(&self, f: impl FnOnce(&mut TaskMeta) -> R) -> R {
        f(self.core.tasks.borrow_mut().meta(self.slot()))
    }

    /// Takes the waker that the task's end was to wake.
    pub(super) fn take_joiner(&self) -> Option<Waker> {
        self.core.tasks.borrow_mut().take_joiner(self.slot())
    }

    /// Whether the task is finished and can be asked for its result.
    pub(super) fn is_finished(&self) -> bool {
        self.core.tasks.borrow().is_finished(self.slot())
    }

    /// Whether it is this very task that is being polled.
    pub(super) fn is_running(&self) -> bool {
        self.core.running.get().is_some_and(|running| running.slot() == self.slot())
    }

    /// Has the task's end wake the caller, and no longer the caller before.
    pub(super) fn await_end(&self, cx: &mut Context<'_>) {
        let tasks = self.core.tasks.borrow();
        let known = tasks.joiner(self.slot()).is_some_and(|joiner| joiner.will_wake(cx.waker()));
        drop(tasks);
        if !known {
            let waker = cx.waker().clone();
            let before = self.core.tasks.borrow_mut().set_joiner(self.slot(), waker);
            drop(before);
        }
        // Awaited on another loop, it is no news to this one.
        if self.core.is_observed() && self.core.running.get().is_some() {
            self.core.emit_running(Kind::WaitsForTask { on: self.id().get() });
        }
    }

    pub(crate) fn request_cancel(&self, reason: Option<Cow<'static, str>>, origin: CancelOrigin) {
        let by = self.core.running.get();
        self.core.request_cancel(self.id(), CancelRequest { reason, origin, by });
    }

    #[inline]
    pub(super) fn emit(&self, kind: Kind) {
        if self.core.is_observed() {
            self.core.emit(self.id().get(), kind);
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.core.tasks.borrow().origin(self.slot())
    }

    /// The last reference goes, and the result has not been taken.
    #[inline(never)]
    fn detach(&self) {
        if self.is_finished() {
            // Where the thread unwinds already, a second panic would abort: that one is reported.
            return self.core.discard_result(self.slot()).unwrap_or_else(Payload::resume);
        }
        // The task goes on. What awaited it through this reference waits no longer; its waker may panic when it
        // is dropped, and this may be a drop while the thread unwinds.
        drop(catch(|| drop(self.take_joiner())));
        self.emit(Kind::Detached);
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        let mut tasks = self.core.tasks.borrow_mut();
        if !tasks.drop_reference(self.slot()) {
            return;
        }
        if self.packed & TAKEN != 0 {
            tasks.free(self.slot());
        } else {
            drop(tasks);
            self.detach();
        }
    }
}
