//! 1 of 14. What does a loop consist of, and how do futures find it? Next: `turn.rs`, what it does.
//!
//! [`Core`] is everything a loop has, in one `Rc` that never leaves its thread. Each part is behind its own
//! `RefCell`, borrowed for one operation and never while code of a user runs: not across a poll, a wake, a
//! callback, or the drop of a future, a waker or a result.
//!
//! A future finds the loop that polls it through a thread-local. What it leaves with the loop (a timer, a socket,
//! a handle) then holds an `Rc<Core>` of its own. The core holds the tasks and these hold such things: that is the
//! one circle in this crate, and why `event_loop` and `task` name each other. The drop of the runtime opens it.
//!
//! The thread-locals are const-initialised and need no destructor, so they can be read at any time, also while
//! the thread ends.

pub(crate) mod inbox;
mod panics;
pub(crate) mod poll;
pub(crate) mod ready;
pub(crate) mod stall;
pub(crate) mod turn;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Weak};

pub(crate) use panics::{Payload, catch, for_each, report, shortened};

use crate::blocking::Pool;
use crate::observe::event::{CancelEffect, CauseKind, Event, Kind, WakeEffect};
use crate::observe::slot::{ObserverSlot, TaskInfo};
use crate::reactor::{PollerWaker, Reactor};
use crate::remote::RemoteGuard;
use crate::stats::Counters;
use crate::task::TaskId;
use crate::task::handle::JoinHandle;
use crate::task::join::{CancelRequest, Origin, TaskRef};
use crate::task::state::{OnCancel, OnWake};
use crate::task::table::{MAIN, Table};
use crate::task::waker::Header;
use crate::time::clock::Time;
use crate::time::queue::TimerQueue;
use inbox::Inbox;

/// Bytes that a task may move through sockets in one poll. Then its sockets answer "pending" and wake it
/// at once: others get their turn, and what was written is read while the cache still holds it.
pub(crate) const TRANSFER_BUDGET: usize = 64 * 1024;

pub(crate) type RemoteSpawn = Box<dyn FnOnce(&Rc<Core>) + Send>;

/// What other threads send to the loop.
pub(crate) enum Message {
    /// A waker of this task was used there.
    Wake { header: Arc<Header>, by: (CauseKind, u64) },
    /// Make a future and spawn it.
    Spawn(RemoteSpawn),
    /// Cancel a task.
    Cancel { task: TaskId, request: CancelRequest },
    /// The last [`Remote`](crate::Remote) was dropped: nothing more of the last two kinds will come.
    LastRemoteDropped,
}

pub(crate) type LoopInbox = Inbox<Message, PollerWaker>;

/// Everything a loop has.
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) time: Time,
    pub(crate) timers: RefCell<TimerQueue>,
    pub(crate) reactor: Reactor,
    /// The tasks and the ready queue. In one cell, as a poll needs both twice: two cost 7 % of a yield.
    pub(crate) tasks: RefCell<Table>,
    pub(crate) inbox: Arc<LoopInbox>,
    /// What every `Remote` holds, so that its count tells whether one is left.
    pub(crate) remotes: RefCell<Weak<RemoteGuard>>,
    pub(crate) pool: Pool,
    pub(crate) counters: Counters,
    pub(crate) observer: Option<ObserverSlot>,
    /// The task that is being polled.
    pub(crate) running: Cell<Option<TaskId>>,
    /// What the loop does between polls: the cause of a wake that happens then.
    pub(crate) step: Cell<(CauseKind, u64)>,
    /// What is left of the running task's [`TRANSFER_BUDGET`].
    pub(crate) transfer_left: Cell<usize>,
    pub(crate) last_task: Cell<u64>,
    /// Where it was entered last, or built.
    pub(crate) entered_at: Cell<&'static Location<'static>>,
    /// Dropped, or on the way: a new task is cancelled at once.
    pub(crate) closing: Cell<bool>,
}

impl Core {
    /// Adds a task and schedules it. Takes the future out of where it was made: handed over by value it would be
    /// copied as a whole while its parts are still being written, which takes an eighth of a spawn.
    pub(crate) fn spawn<F: Future + 'static>(
        self: Rc<Core>,
        name: Option<Cow<'static, str>>,
        spawned_at: &'static Location<'static>,
        future: &mut Option<F>,
    ) -> JoinHandle<F::Output> {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.insert(self.next_number(), future, spawned_at, &self.inbox);
        if name.is_some() {
            tasks.meta(id.slot()).name = name;
        }
        drop(tasks);
        if self.is_observed() {
            self.emit_spawned(id, size_of::<F>());
        }
        if self.closing.get() {
            self.shut_down(id.slot());
        }
        JoinHandle::new(TaskRef::counted(self, id.slot()))
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_task.set(self.last_task.get() + 1);
        self.last_task.get()
    }

    /// What a wake on the loop's thread leads to: an idle task enters the ready queue, and the observer is told.
    pub(crate) fn woken(&self, header: &Header, change: OnWake) {
        if change == OnWake::Enqueue {
            self.tasks.borrow_mut().ready.push(header.slot);
        }
        let effect = match change {
            OnWake::Enqueue => WakeEffect::Scheduled,
            OnWake::Coalesced => WakeEffect::Coalesced,
            OnWake::Deferred => WakeEffect::Deferred,
            OnWake::Stale => WakeEffect::Stale,
        };
        let (by, id) = self.cause();
        self.emit(header.number(), Kind::Woken { effect, by, id });
    }

    /// What causes a wake that happens now: the running task, or else the step that the loop is at.
    fn cause(&self) -> (CauseKind, u64) {
        self.running.get().map_or(self.step.get(), |task| (CauseKind::Task, task.get()))
    }

    /// Runs a step of the loop that wakes: `kind` and `id` are the cause.
    pub(crate) fn caused_by(&self, kind: CauseKind, id: u64, step: impl FnOnce()) {
        self.step.set((kind, id));
        step();
        self.step.set((CauseKind::Outside, 0));
    }

    /// Asks for a task's cancel. The first request counts, and keeps its reason.
    pub(crate) fn request_cancel(&self, id: TaskId, request: CancelRequest) {
        let mut tasks = self.tasks.borrow_mut();
        let action = match tasks.living(id) {
            Some(header) if id.slot() != MAIN => header.state.request_cancel(),
            _ => OnCancel::Ignored,
        };
        let by = request.by.map_or(0, TaskId::get);
        if action != OnCancel::Ignored {
            tasks.meta(id.slot()).cancel = Some(request);
        }
        if action == OnCancel::Enqueue {
            tasks.ready.push(id.slot());
        }
        drop(tasks);
        let effect = match action {
            OnCancel::Enqueue | OnCancel::Queued => CancelEffect::Queued,
            OnCancel::Deferred => CancelEffect::Deferred,
            OnCancel::Ignored => CancelEffect::Ignored,
        };
        self.emit(id.get(), Kind::CancelRequested { effect, by });
        if action == OnCancel::Enqueue {
            let (effect, kind) = (WakeEffect::Scheduled, CauseKind::Cancel);
            self.emit(id.get(), Kind::Woken { effect, by: kind, id: by });
        }
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Tells the observer what happened: to a task, by its number, or to the loop as a whole (0).
    pub(crate) fn emit(&self, task: u64, kind: Kind) {
        if let Some(observer) = &self.observer {
            observer.emit(&self.time, Event { at: 0, task, kind });
        }
    }

    /// Tells the observer what the running task did.
    pub(crate) fn emit_running(&self, kind: Kind) {
        if self.is_observed() {
            self.emit(self.running.get().map_or(0, TaskId::get), kind);
        }
    }

    pub(crate) fn emit_spawned(&self, id: TaskId, size: usize) {
        let Some(observer) = &self.observer else { return };
        let Origin { name, spawned_at } = self.tasks.borrow().origin(id.slot());
        let (name, size) = (name.as_deref(), u32::try_from(size).unwrap_or(u32::MAX));
        observer.call(|o| o.on_task(&TaskInfo { id: id.get(), name, spawned_at, size }));
        let parent = self.running.get().map_or(0, TaskId::get);
        self.emit(id.get(), Kind::Spawned { parent });
        let (effect, by) = (WakeEffect::Scheduled, CauseKind::Spawn);
        self.emit(id.get(), Kind::Woken { effect, by, id: parent });
    }

    /// Whether this loop runs on this thread, and goes on: the only place where its timers and sources work.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        HERE.get().inbox == address(&self.inbox) && !self.closing.get()
    }

    /// Says of something that belongs to this loop why it cannot be used where it is.
    pub(crate) fn not_current(&self, what: &str) -> String {
        let why = if self.closing.get() { "has been dropped" } else { "does not run here" };
        let (name, place) = (shortened(format_args!("{}", self.name)), self.entered_at.get());
        format!("{what} belongs to the runtime {name:?} entered at {place}, which {why}")
    }
}

/// What a wake must know of the loop that runs on its thread: whose it is, by the address of its inbox (0: none
/// runs), and whether its observer is told of wakes that change nothing.
#[derive(Clone, Copy)]
struct Here {
    inbox: usize,
    wants_all: bool,
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here { inbox: 0, wants_all: false }) };
    static CURRENT: Cell<ManuallyDrop<Option<Rc<Core>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
}

/// Makes a loop the thread's current one until it is dropped, then the one before.
pub(crate) struct Entered {
    before: Option<Rc<Core>>,
}

impl Entered {
    pub(crate) fn new(core: &Rc<Core>, place: &'static Location<'static>) -> Entered {
        core.entered_at.set(place);
        // A panic may have left the loop in the middle of a step.
        core.step.set((CauseKind::Outside, 0));
        Entered { before: swap_current(Some(core.clone())) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(swap_current(self.before.take()));
    }
}

fn swap_current(next: Option<Rc<Core>>) -> Option<Rc<Core>> {
    let observer = next.as_ref().and_then(|core| core.observer.as_ref());
    HERE.set(Here {
        inbox: next.as_ref().map_or(0, |core| address(&core.inbox)),
        wants_all: observer.is_some_and(|observer| observer.wants_all),
    });
    CURRENT.with(|place| ManuallyDrop::into_inner(place.replace(ManuallyDrop::new(next))))
}

#[inline]
fn address(inbox: &Arc<LoopInbox>) -> usize {
    Arc::as_ptr(inbox).addr()
}

/// Whether the loop that this inbox belongs to runs on this thread; and if so, whether its observer wants to be told
/// of wakes that change nothing.
#[inline]
pub(crate) fn runs_here(inbox: &Arc<LoopInbox>) -> Option<bool> {
    let here = HERE.get();
    (here.inbox == address(inbox)).then_some(here.wants_all)
}

/// The loop that runs on this thread.
#[inline]
pub(crate) fn try_current() -> Option<Rc<Core>> {
    CURRENT.with(|place| {
        let current = place.replace(ManuallyDrop::new(None));
        let result = (*current).clone();
        place.set(current);
        result
    })
}

/// The loop that runs on this thread, for something that cannot do without.
#[inline]
#[track_caller]
pub(crate) fn current(what: &str) -> Rc<Core> {
    match try_current() {
        Some(core) => core,
        None => panic!(
            "{what} needs a running mainspring loop on this thread: call it inside of \
             mainspring::run, Runtime::block_on or a spawned task"
        ),
    }
}

/// Where the loop that runs on this thread was entered.
pub(crate) fn entered_at() -> Option<&'static Location<'static>> {
    try_current().map(|core| core.entered_at.get())
}

/// The task that is being polled on this thread.
pub fn current_task() -> Option<TaskId> {
    try_current().and_then(|core| core.running.get())
}
