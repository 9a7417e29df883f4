//! The result of a task, and who waits for it.
//!
//! A [`JoinCell`] is shared by the task's future and its [`JoinHandle`], by nobody else: a handle never
//! looks into a slot that may have a new tenant. What it holds lives in `Cell`s that are taken and put
//! back, since the loop's thread is the only one here.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::context::{self, Core};
use crate::observe::{CancelOrigin, CauseKind, Kind};
use crate::task::TaskId;
use crate::task::error::JoinError;
use crate::task::handle::{CallbackId, JoinHandle};
use crate::task::state::TaskState;

/// What a task leaves behind.
pub(super) enum Stage<T> {
    /// Nothing yet; somebody may wait for it.
    Pending(Option<Waker>),
    /// Its result, which nobody has read.
    Over(Result<T, JoinError>),
    /// Its result has been read, or is being looked at.
    Taken(TaskState),
}

/// The side of a task that its handle sees.
pub(crate) struct JoinCell<T> {
    pub(super) stage: Cell<Stage<T>>,
    extra: Cell<Option<Box<Extra<T>>>>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// What few tasks have.
pub(super) struct Extra<T> {
    name: Option<Cow<'static, str>>,
    request: Option<CancelRequest>,
    pub(super) callbacks: Vec<(CallbackId, Callback<T>)>,
    pub(super) next_callback: u64,
    pub(super) arrival: Option<(Rc<Arrivals>, usize)>,
    /// Callbacks that are queued with a view of the handle.
    views: u32,
    /// The handle has been dropped.
    detached: bool,
}

/// The members of a group that are over and not yet seen, by their place in it, in the order in which
/// they ended. It spares the task that waits for the group a look at every member at every wake.
pub(crate) type Arrivals = RefCell<VecDeque<usize>>;

pub(super) type Callback<T> = Box<dyn FnOnce(&JoinHandle<T>)>;

/// Why a cancel was asked for, and by whom.
pub(crate) struct CancelRequest {
    pub(crate) reason: Option<Cow<'static, str>>,
    pub(crate) origin: CancelOrigin,
    pub(crate) by: Option<TaskId>,
}

impl<T> JoinCell<T> {
    pub(crate) fn new(
        name: Option<Cow<'static, str>>,
        spawned_at: &'static Location<'static>,
    ) -> JoinCell<T> {
        let extra = name.map(|name| Box::new(Extra { name: Some(name), ..Extra::default() }));
        let stage = Cell::new(Stage::Pending(None));
        JoinCell { stage, extra: Cell::new(extra), spawned_at }
    }

    /// The task is over: keeps its result, wakes whoever awaits it and queues its callbacks.
    #[inline]
    pub(crate) fn end(self: &Rc<Self>, core: &Rc<Core>, id: TaskId, result: Result<T, JoinError>)
    where
        T: 'static,
    {
        let Stage::Pending(joiner) = self.stage.replace(Stage::Over(result)) else {
            unreachable!("a task is over once")
        };
        if let Some(extra) = self.extra.take() {
            self.end_extra(core, id, extra);
        }
        if let Some(joiner) = joiner {
            core.caused_by(CauseKind::Join, id.get(), || joiner.wake());
        }
        if Rc::strong_count(self) == 1 {
            self.discard();
        }
    }

    #[cold]
    fn end_extra(self: &Rc<Self>, core: &Rc<Core>, id: TaskId, mut extra: Box<Extra<T>>)
    where
        T: 'static,
    {
        if let Some((arrivals, place)) = extra.arrival.take() {
            arrivals.borrow_mut().push_back(place);
        }
        let callbacks = std::mem::take(&mut extra.callbacks);
        self.extra.set(Some(extra));
        callbacks.into_iter().for_each(|(_, callback)| self.queue(core, id, callback));
    }

    pub(super) fn queue(self: &Rc<Self>, core: &Rc<Core>, id: TaskId, callback: Callback<T>)
    where
        T: 'static,
    {
        self.with_extra(|extra| extra.views += 1);
        let handle = JoinHandle::view(self.clone(), core, id);
        core.queue_callback(id, Box::new(move || callback(&handle)));
    }

    pub(crate) fn note_cancel(&self, request: CancelRequest) {
        self.with_extra(|extra| extra.request = Some(request));
    }

    pub(crate) fn take_request(&self) -> Option<CancelRequest> {
        let mut extra = self.extra.take()?;
        let request = extra.request.take();
        self.extra.set(Some(extra));
        request
    }

    pub(crate) fn name(&self) -> Option<Cow<'static, str>> {
        let extra = self.extra.take()?;
        let name = extra.name.clone();
        self.extra.set(Some(extra));
        name
    }

    pub(crate) fn with_joiner(&self, f: &mut dyn FnMut(&Waker)) {
        let look = Look { stage: self.stage.replace(Stage::Pending(None)), cell: self };
        if let Stage::Pending(Some(joiner)) = &look.stage {
            f(joiner);
        }
    }

    /// Keeps the caller's waker for the end of the task `id`, instead of the one kept before.
    pub(super) fn await_end(&self, id: TaskId, before: Option<Waker>, cx: &mut Context<'_>) {
        let joiner = match before {
            Some(joiner) if joiner.will_wake(cx.waker()) => joiner,
            _ => cx.waker().clone(),
        };
        self.stage.set(Stage::Pending(Some(joiner)));
        let waiting = context::current_task().map_or(0, TaskId::get);
        context::note(waiting, Kind::WaitsForTask { on: id.get() });
    }

    pub(super) fn with_extra<R>(&self, f: impl FnOnce(&mut Extra<T>) -> R) -> R {
        let mut extra = self.extra.take().unwrap_or_default();
        let answer = f(&mut extra);
        self.extra.set(Some(extra));
        answer
    }

    /// Takes the result out, once the task is over.
    pub(super) fn take(&self) -> Option<Result<T, JoinError>> {
        match self.stage.replace(Stage::Pending(None)) {
            Stage::Over(result) => {
                self.stage.set(Stage::Taken(state_after(&result)));
                Some(result)
            }
            other => {
                self.stage.set(other);
                None
            }
        }
    }

    /// A handle, or a callback's view of one, is dropped. True if nobody is left to read the result.
    pub(super) fn last_reader_leaves(&self, view: bool) -> bool {
        // Without the extra there has never been a callback, so this is the only handle.
        let Some(mut extra) = self.extra.take() else { return true };
        if view {
            extra.views -= 1;
        } else {
            extra.detached = true;
        }
        let last = extra.detached && extra.views == 0;
        self.extra.set(Some(extra));
        last
    }

    /// Drops a result that nobody will read. The last chance to tell of a panic.
    pub(super) fn discard(&self) {
        if let Some(result) = self.take()
            && let Err(error) = &result
            && error.is_panic()
        {
            eprintln!("mainspring: nobody looked at the result of this task: {error}");
            context::note(error.task().get(), Kind::PanicUnseen);
        }
    }

    /// The state of a task that is over.
    pub(super) fn final_state(&self) -> Option<TaskState> {
        let look = Look { stage: self.stage.replace(Stage::Pending(None)), cell: self };
        match &look.stage {
            Stage::Pending(_) => None,
            Stage::Over(result) => Some(state_after(result)),
            Stage::Taken(state) => Some(*state),
        }
    }
}

pub(super) fn state_after<T>(result: &Result<T, JoinError>) -> TaskState {
    match result {
        Err(error) if error.is_cancelled() => TaskState::Cancelled,
        _ => TaskState::Done,
    }
}

impl<T> Default for Extra<T> {
    fn default() -> Self {
        Extra {
            name: None,
            request: None,
            callbacks: Vec::new(),
            next_callback: 0,
            arrival: None,
            views: 0,
            detached: false,
        }
    }
}

/// A stage that is out of its cell to be looked at, and goes back when this is dropped.
pub(super) struct Look<'a, T> {
    pub(super) stage: Stage<T>,
    pub(super) cell: &'a JoinCell<T>,
}

impl<T> Drop for Look<'_, T> {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Pending(None));
        self.cell.stage.set(stage);
    }
}
