//! The thread's handle to its running loop, and the loop's own state: the only way by which leaves
//! (sleeps, sockets, spawns) reach it.
//!
//! [`Core`] is everything a loop has, in one `Rc` that never leaves its thread. Each part stands behind its
//! own `RefCell`, borrowed for one operation and never while a user's code runs: not across a poll, a
//! drop, a wake or a callback.
//!
//! The thread-locals are const-initialised and need no destructor, so they can be read at any time, also
//! while the thread ends.

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::blocking::Pool;
use crate::inbox::Inbox;
use crate::observe::tap::Tap;
use crate::observe::{CancelEffect, CauseKind, Kind, WakeEffect};
use crate::reactor::{PollerWaker, Reactor};
use crate::remote::Line;
use crate::stats::Counters;
use crate::task::TaskId;
use crate::task::handle::JoinHandle;
use crate::task::join::{Callback, Claim};
use crate::task::state::{OnCancel, OnWake};
use crate::task::table::{MAIN, Table};
use crate::task::waker::{Header, Wakee};
use crate::time::clock::Time;
use crate::time::queue::TimerQueue;

/// Bytes that a task may move through sockets in one poll. Then its sockets answer "pending" and wake it
/// at once: others get their turn, and what was written is read while the cache still holds it.
pub(crate) const TRANSFER_BUDGET: usize = 64 * 1024;

pub(crate) type Mailbox = Inbox<Letter, PollerWaker>;
pub(crate) type RemoteSpawn = Box<dyn FnOnce(&Rc<Core>) + Send>;

/// What another thread has to say to the loop.
pub(crate) enum Letter {
    /// A waker of this task was used there.
    Wake { header: Arc<Header>, by: (CauseKind, u64) },
    /// Make a future and spawn it.
    Spawn(RemoteSpawn),
    /// Cancel a task.
    Cancel { task: TaskId, reason: Option<Cow<'static, str>> },
    /// Nobody can send any of the last two any more.
    LastRemoteGone,
}

/// Everything a loop has.
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) time: Time,
    pub(crate) reactor: Reactor,
    pub(crate) timers: RefCell<TimerQueue<Wakee>>,
    pub(crate) table: RefCell<Table>,
    pub(crate) inbox: Arc<Mailbox>,
    /// What every `Remote` holds, so that its count tells whether one is left.
    pub(crate) remotes: RefCell<Weak<Line>>,
    pub(crate) pool: Pool,
    pub(crate) counters: Counters,
    pub(crate) tap: Option<Tap>,
    /// The task that is being polled, or was polled last.
    pub(crate) polled: Cell<TaskId>,
    /// Where the waker is that it is being polled with. As long as the poll lasts, no other can be there;
    /// null when it is over.
    pub(crate) own_waker: Cell<*const Waker>,
    /// The running task has left the table, so a cancel of it is noted here until its poll returns.
    pub(crate) cancel_running: Cell<bool>,
    /// What the loop is doing, which is what causes a wake that happens now.
    pub(crate) cause: Cell<(CauseKind, u64)>,
    /// What is left of the running task's [`TRANSFER_BUDGET`].
    pub(crate) transfer_left: Cell<usize>,
    pub(crate) last_task: Cell<u64>,
    /// Where it was entered last.
    pub(crate) entered_at: Cell<&'static Location<'static>>,
    /// Dropped, or on the way: a new task is cancelled at once.
    pub(crate) closing: Cell<bool>,
}

impl Core {
    /// Adds a task and schedules it.
    ///
    /// Inlined to where the future is made: what was just written in pieces is then not copied as a whole
    /// on the way, for which the processor waits. That was an eighth of a spawn.
    #[inline(always)]
    pub(crate) fn spawn<F: Future + 'static>(
        self: Rc<Core>,
        name: Option<Cow<'static, str>>,
        spawned_at: &'static Location<'static>,
        future: F,
    ) -> JoinHandle<F::Output> {
        let mut future = Some(future);
        let mut table = self.table.borrow_mut();
        let id = table.insert(self.next_number(), &mut future, spawned_at, &self.inbox);
        if name.is_some() {
            table.extra(id.slot()).name = name;
        }
        drop(table);
        if self.tap.is_some() {
            self.tell_spawned(id, size_of::<F>());
        }
        if self.closing.get() {
            self.shut_down(id);
        }
        JoinHandle::new(Claim::counted(self, id.slot()))
    }

    /// The task that is being polled.
    #[inline]
    pub(crate) fn running(&self) -> Option<TaskId> {
        (!self.own_waker.get().is_null()).then(|| self.polled.get())
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_task.set(self.last_task.get() + 1);
        self.last_task.get()
    }

    #[inline]
    pub(crate) fn enqueue(&self, slot: u32) {
        self.table.borrow_mut().ready.push(slot);
    }

    /// Asks for a task's cancel. True if nobody had asked before and the task is not over.
    pub(crate) fn request_cancel(&self, id: TaskId, by: Option<TaskId>) -> bool {
        let action = if self.running() == Some(id) {
            match self.cancel_running.replace(true) {
                false if id.slot() != MAIN => OnCancel::Deferred,
                _ => OnCancel::Ignored,
            }
        } else {
            match self.table.borrow().get(id) {
                Some(slot) if slot.task.is_some() => {
                    slot.header.as_ref().map_or(OnCancel::Ignored, |h| h.state.request_cancel())
                }
                _ => OnCancel::Ignored,
            }
        };
        let by = by.map_or(0, TaskId::get);
        let effect = match action {
            OnCancel::Enqueue | OnCancel::Queued => CancelEffect::Queued,
            OnCancel::Deferred => CancelEffect::Deferred,
            OnCancel::Ignored => CancelEffect::Ignored,
        };
        self.note_now(id.get(), Kind::CancelRequested { effect, by });
        if action == OnCancel::Enqueue {
            self.enqueue(id.slot());
            let (effect, by_kind) = (WakeEffect::Scheduled, CauseKind::Cancel);
            self.note(id.get(), Kind::Woken { effect, by: by_kind, id: by });
        }
        action != OnCancel::Ignored
    }

    /// Cancels a pending task at once: the runtime goes away.
    pub(crate) fn shut_down(&self, id: TaskId) {
        let Some((task, header)) = self.table.borrow_mut().take(id.slot()) else { return };
        header.state.shut_down();
        self.cancel(header, task);
    }

    /// Takes the next callback of a task that is over.
    pub(crate) fn next_callback(self: &Rc<Core>) -> Option<(Claim, Callback)> {
        let (slot, callback) = self.table.borrow_mut().callbacks.pop_front()?;
        Some((Claim::counted(self.clone(), slot), callback))
    }

    /// Whether it is the loop that runs on this thread, and goes on. Sources and timers belong to one loop:
    /// anywhere else, or later, nothing would ever come for them.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        HERE.get() & !TELLS_ALL == address(&self.inbox) && !self.closing.get()
    }

    /// Why a `what` of this loop can't be used where that is not current.
    #[cold]
    pub(crate) fn not_here(&self, what: &str) -> String {
        let name: String = self.name.chars().take(MAX_NAME_SHOWN).collect();
        let place = self.entered_at.get();
        let why = if self.closing.get() { "has been dropped" } else { "does not run here" };
        format!("this {what} belongs to the runtime {name:?} entered at {place}, which {why}")
    }

    /// Runs `f` with `kind` and `id` as the cause of every wake in it, which only an observer asks for.
    #[inline]
    pub(crate) fn caused_by(&self, kind: CauseKind, id: u64, f: impl FnOnce()) {
        let observed = self.tap.is_some();
        let before = observed.then(|| self.cause.replace((kind, id)));
        f();
        if let Some(before) = before {
            self.cause.set(before);
        }
    }
}

/// Calls `f` and catches its panic. Whoever uses this looks only at what the panic left whole.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Characters of a runtime's name that an error quotes.
const MAX_NAME_SHOWN: usize = 64;

/// Marks an address in `HERE` as that of a loop whose observer is told of every wake.
const TELLS_ALL: usize = 1;

thread_local! {
    /// The address of the running loop's inbox; one more if it tells of every wake (such an address is
    /// even).
    static HERE: Cell<usize> = const { Cell::new(0) };
    static CURRENT: Cell<ManuallyDrop<Option<Rc<Core>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// The blocking job that is just bringing its result home from this thread, or 0.
    static JOB: Cell<u32> = const { Cell::new(0) };
}

/// Makes a loop the thread's current one until it is dropped, then the one before.
pub(crate) struct Entered {
    before: Option<Rc<Core>>,
}

impl Entered {
    pub(crate) fn new(core: &Rc<Core>, place: &'static Location<'static>) -> Entered {
        core.entered_at.set(place);
        Entered { before: swap_current(Some(core.clone())) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(swap_current(self.before.take()));
    }
}

fn swap_current(next: Option<Rc<Core>>) -> Option<Rc<Core>> {
    let all = |core: &Core| core.tap.as_ref().is_some_and(|tap| tap.all);
    let here = |core: &Rc<Core>| address(&core.inbox) | usize::from(all(core));
    HERE.set(next.as_ref().map_or(0, here));
    CURRENT.with(|place| ManuallyDrop::into_inner(place.replace(ManuallyDrop::new(next))))
}

fn address(inbox: &Arc<Mailbox>) -> usize {
    Arc::as_ptr(inbox).addr()
}

/// Looks at the loop that runs on this thread, which is taken out of its place for that: no borrow and no
/// reference is counted. `f` must run no code of a user: it would find no loop.
#[inline]
fn with_current<R>(f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    CURRENT.with(|place| {
        let current = place.replace(ManuallyDrop::new(None));
        let result = current.as_ref().map(f);
        place.set(current);
        result
    })
}

/// Where the loop that runs on this thread was entered.
pub(crate) fn entered_at() -> Option<&'static Location<'static>> {
    with_current(|core| core.entered_at.get())
}

/// The loop that runs on this thread.
#[inline]
pub(crate) fn try_current() -> Option<Rc<Core>> {
    with_current(Rc::clone)
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

/// The task that is being polled on this thread.
pub fn current_task() -> Option<TaskId> {
    with_current(|core| core.running()).flatten()
}

/// Tells the observer of this thread's loop, if both exist.
pub(crate) fn note(task: u64, kind: Kind) {
    if let Some(core) = try_current() {
        core.note(task, kind);
    }
}

/// Wakes a task if its loop runs on this thread. False if it must be told by letter.
#[inline]
pub(crate) fn wake_here(header: &Header) -> bool {
    // Most wakes change nothing (already scheduled) or only the task's own byte (a task that yields):
    // they do not reach for the loop.
    if HERE.get() == address(&header.home) {
        if header.state.wake() == OnWake::Enqueue {
            schedule_here(header);
        }
        return true;
    }
    wake_and_tell(header)
}

/// Calls nothing, but for what seldom is to be done, and that last: so it need not save any registers. Nor
/// need a wake that does not come this far, since it is apart from `wake_here`.
#[inline(never)]
fn schedule_here(header: &Header) {
    let pushed = with_current(|core| {
        core.tap.is_none() && core.table.borrow_mut().ready.push_in_place(header.slot())
    });
    if pushed != Some(true) {
        schedule_and_tell(header);
    }
}

/// As `schedule_here`, where the queue has to grow or an observer is to be told, who may look for the loop.
#[cold]
fn schedule_and_tell(header: &Header) {
    if let Some(core) = try_current() {
        core.enqueue(header.slot());
        core.tell_scheduled(header);
    }
}

/// As [`wake_here`] for a loop that tells of every wake. Apart from it, which is in every waker.
#[inline(never)]
fn wake_and_tell(header: &Header) -> bool {
    let here = HERE.get() == address(&header.home) | TELLS_ALL;
    if here && let Some(core) = try_current() {
        core.wake(header);
    }
    here
}

/// What a wake by letter is caused by: the end of a blocking job, or anything else on this thread.
pub(crate) fn foreign_cause() -> (CauseKind, u64) {
    match JOB.get() {
        0 => (CauseKind::Thread, thread_number()),
        job => (CauseKind::Job, u64::from(job)),
    }
}

/// Runs `f` with the end of a blocking job as the cause of every wake in it.
pub(crate) fn caused_by_job(job: u32, f: impl FnOnce()) {
    JOB.set(job);
    f();
    JOB.set(0);
}

/// A number for the calling thread, counted from 1 in the order of asking.
pub(crate) fn thread_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if THREAD.get() == 0 {
        THREAD.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    }
    THREAD.get()
}
