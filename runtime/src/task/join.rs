//! What the loop keeps of a task for those who hold its handle.
//!
//! The result of a task stays where its future was, in its slot, and the slot gets no new tenant while
//! anybody may still ask for the result. Each who may has a [`Claim`]; the loop counts them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::context::Core;
use crate::observe::{CancelOrigin, Kind};
use crate::task::TaskId;
use crate::task::state::TaskState;

/// Beside a task in the table: who waits for it, and where it comes from. It stays there while the
/// future is out of its slot to be polled.
pub(crate) struct Join {
    /// The waker of the task that awaits this one.
    pub(crate) joiner: Option<Waker>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) request: Option<CancelRequest>,
    pub(super) callbacks: Vec<(CallbackId, Callback)>,
    pub(super) next_callback: u64,
    pub(super) arrival: Option<(Rc<Arrivals>, usize)>,
}

/// The members of a group that are over and not yet seen, by their place in it, in the order in which
/// they ended. It spares the task that waits for the group a look at every member at every wake.
pub(crate) type Arrivals = RefCell<VecDeque<usize>>;

/// Names a callback of a task, to remove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(pub(super) u64);

/// What a task's errors tell of it.
pub(crate) struct Origin {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// The most callbacks that a task has at a time: with its handle they are as many as can be counted.
pub const MOST_CALLBACKS: usize = u16::MAX as usize - 1;

#[cold]
pub(crate) fn too_many_callbacks() -> ! {
    panic!("a task has at most {MOST_CALLBACKS} done-callbacks at a time")
}

/// Called with a claim of its own.
pub(crate) type Callback = Box<dyn FnOnce(Claim)>;

/// Why a cancel was asked for, and by whom.
pub(crate) struct CancelRequest {
    pub(crate) reason: Option<Cow<'static, str>>,
    pub(crate) origin: CancelOrigin,
    pub(crate) by: Option<TaskId>,
}

/// Keeps a task's slot for it, and its result there, until it is dropped.
///
/// Two words, which a spawn returns in registers: three it would write to memory in pieces and then move as
/// a whole, for which the processor waits as long as for a sixth of the spawn.
pub(crate) struct Claim {
    pub(super) core: Rc<Core>,
    /// The slot and, above it, whether the result has been taken through this claim.
    place: u64,
}

/// In a claim's place: the result has been taken through it.
const READ: u64 = 1 << 32;

impl Claim {
    /// A claim that the table has counted already.
    pub(crate) fn counted(core: Rc<Core>, slot: u32) -> Claim {
        Claim { core, place: u64::from(slot) }
    }

    #[inline]
    pub(super) fn slot(&self) -> u32 {
        self.place as u32
    }

    /// The result has been taken.
    #[inline]
    pub(super) fn mark_read(&mut self) {
        self.place |= READ;
    }

    /// The number is where the header is: in the slot, or with the loop, which is not yet done with the poll.
    pub(crate) fn id(&self) -> TaskId {
        match self.core.table.borrow_mut().header(self.slot()) {
            Some(header) => header.id(),
            None => self.core.polled.get(),
        }
    }

    /// Looks at, or changes, what few tasks have. `f` must run no code of a user.
    pub(super) fn extra<R>(&self, f: impl FnOnce(&mut Extra) -> R) -> R {
        f(self.core.table.borrow_mut().extra(self.slot()))
    }

    /// Who is to be woken at the end of the task, no longer.
    pub(super) fn take_joiner(&self) -> Option<Waker> {
        self.core.table.borrow_mut().join(self.slot()).joiner.take()
    }

    pub(super) fn state(&self) -> TaskState {
        if self.is_running() {
            return TaskState::Running;
        }
        // A task that is out of its slot and does not run: the loop is on its way to telling of it.
        self.core.table.borrow().state(self.slot()).unwrap_or(TaskState::Cancelled)
    }

    /// Whether the task is over and can be asked for its result.
    pub(super) fn is_over(&self) -> bool {
        self.core.table.borrow().is_over(self.slot())
    }

    /// Whether it is this very task that is being polled.
    pub(super) fn is_running(&self) -> bool {
        self.core.running().is_some_and(|running| running.slot() == self.slot())
    }

    /// Keeps the caller's waker for the end of the task, instead of the one kept before.
    pub(super) fn await_end(&self, cx: &mut Context<'_>) {
        let joiner = match self.take_joiner() {
            Some(joiner) if joiner.will_wake(cx.waker()) => joiner,
            _ => cx.waker().clone(),
        };
        self.core.table.borrow_mut().join(self.slot()).joiner = Some(joiner);
        // Polled by another loop, it is no news to this one.
        if self.core.tap.is_some() && self.core.running().is_some() {
            self.core.note_running(Kind::WaitsForTask { on: self.id().get() });
        }
    }

    pub(super) fn request_cancel(&self, reason: Option<Cow<'static, str>>, origin: CancelOrigin) {
        let by = self.core.running();
        if self.core.request_cancel(self.id(), by) {
            self.extra(|extra| extra.request = Some(CancelRequest { reason, origin, by }));
        }
    }

    #[inline]
    pub(super) fn note(&self, kind: Kind) {
        if self.core.tap.is_some() {
            self.core.note(self.id().get(), kind);
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.core.table.borrow().origin(self.slot())
    }

    /// The last claim goes, and has not given the result away.
    #[inline(never)]
    fn leave(&self) {
        if self.is_over() {
            if let Err(payload) = self.core.let_go(self.slot()) {
                resume_unwind(payload);
            }
            return;
        }
        // The task goes on without. Whoever awaited it through this claim waits no longer.
        drop(self.take_joiner());
        self.note(Kind::Detached);
    }
}

impl Drop for Claim {
    #[inline]
    fn drop(&mut self) {
        let mut table = self.core.table.borrow_mut();
        let claims = table.claims(self.slot());
        *claims -= 1;
        if *claims > 0 {
            return;
        }
        if self.place & READ != 0 {
            let excess = table.release(self.slot());
            drop(table);
            drop(excess);
        } else {
            drop(table);
            self.leave();
        }
    }
}
