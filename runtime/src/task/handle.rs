//! What a program holds of a task that it spawned.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use crate::context::{self, Core};
use crate::observe::{CancelOrigin, Kind};
use crate::task::TaskId;
use crate::task::error::{JoinError, StillPending};
use crate::task::join::{Arrivals, Callback, CancelRequest, JoinCell, Look, Stage, state_after};
use crate::task::state::TaskState;

/// The longest part of a result or error that a handle's `Debug` prints, in characters.
const DEBUG_RESULT_LIMIT: usize = 80;

/// Names a callback of a task, to remove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackId(u64);

/// Holds a spawned task: awaits its result, reads its state, cancels it.
///
/// Awaiting gives `Ok` with the value, or a [`JoinError`] that tells a cancel from a panic. The future
/// of the task, and all it held, has been dropped by then. Awaiting is cancel-safe: a handle that was
/// polled and not finished can be awaited again. One task may await a handle at a time; the one that
/// polled last is woken.
///
/// Dropping a handle detaches the task: it goes on, and its result is dropped when it ends. A panic
/// that nobody looked at by then is reported on stderr. For the other wish there is
/// [`abort_on_drop`](JoinHandle::abort_on_drop).
///
/// `Debug` prints one bounded line:
///
/// ```text
/// <task 2 "fetch" done spawned at src/main.rs:10:17 result=1>
/// ```
#[must_use = "dropping the handle detaches the task; await it, keep it, or say so with drop()"]
pub struct JoinHandle<T> {
    cell: Rc<JoinCell<T>>,
    core: Weak<Core>,
    // A task's id in two parts, which leaves room for the flag.
    number: u64,
    slot: u32,
    /// Lent to a done-callback: there is another, or was.
    view: bool,
    /// It has given the result away.
    read: bool,
    observed: bool,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(cell: Rc<JoinCell<T>>, core: &Rc<Core>, id: TaskId) -> JoinHandle<T> {
        let (number, slot, observed) = (id.get(), id.slot(), core.tap.is_some());
        let core = Rc::downgrade(core);
        JoinHandle { cell, core, number, slot, view: false, read: false, observed }
    }

    /// A handle to lend to a done-callback.
    pub(super) fn view(cell: Rc<JoinCell<T>>, core: &Rc<Core>, id: TaskId) -> JoinHandle<T> {
        let mut handle = JoinHandle::new(cell, core, id);
        handle.view = true;
        handle
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        TaskId::new(self.number, self.slot)
    }

    /// The name it was given, if it was spawned with one.
    pub fn name(&self) -> Option<Cow<'static, str>> {
        self.cell.name()
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.cell.spawned_at
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        if let Some(state) = self.cell.final_state() {
            return state;
        }
        let state = self.core.upgrade().and_then(|core| core.state_of(self.id()));
        // A task that the loop has let go of and whose result has not arrived: the loop is on its way
        // to telling of it.
        state.unwrap_or(TaskState::Cancelled)
    }

    /// Whether it is over: done or cancelled.
    pub fn is_finished(&self) -> bool {
        self.cell.final_state().is_some()
    }

    /// Reads the result without waiting.
    ///
    /// # Errors
    /// [`StillPending`] while the task is not over.
    ///
    /// # Panics
    /// If the result has been read before.
    pub fn try_result(&mut self) -> Result<Result<T, JoinError>, StillPending> {
        if let Some(result) = self.cell.take() {
            self.read = true;
            self.note(Kind::OutputTaken);
            return Ok(result);
        }
        match self.cell.final_state() {
            Some(_) => self.read_twice(),
            None => Err(StillPending { task: self.id(), state: self.state() }),
        }
    }

    /// Asks for the task to be cancelled.
    ///
    /// The loop drops the task's future when it next holds it: before its first poll, the body never
    /// runs; if it is running, when its poll returns pending. If it completes in that very poll,
    /// completion wins. A task that is over stays as it is.
    pub fn cancel(&self) {
        self.request_cancel(None, CancelOrigin::Handle);
    }

    /// Asks for the task to be cancelled, and says why. The first reason given is the one kept.
    pub fn cancel_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.request_cancel(Some(reason.into()), CancelOrigin::Handle);
    }

    fn request_cancel(&self, reason: Option<Cow<'static, str>>, origin: CancelOrigin) {
        if let Some(core) = self.core.upgrade() {
            let by = core.running.get();
            if core.request_cancel(self.id(), by) {
                self.cell.note_cancel(CancelRequest { reason, origin, by });
            }
        }
    }

    /// Has `callback` called once, on the turn after the task is over, in the order of adding; at the
    /// next turn if it is over now. A panic in one is reported on stderr and stops no other.
    ///
    /// A runtime that is dropped runs no more callbacks.
    pub fn add_done_callback(&self, callback: impl FnOnce(&JoinHandle<T>) + 'static) -> CallbackId
    where
        T: 'static,
    {
        let callback: Callback<T> = Box::new(callback);
        let over = self.is_finished();
        let id = self.cell.with_extra(|extra| {
            extra.next_callback += 1;
            CallbackId(extra.next_callback)
        });
        if !over {
            self.cell.with_extra(|extra| extra.callbacks.push((id, callback)));
        } else if let Some(core) = self.core.upgrade() {
            self.cell.queue(&core, self.id(), callback);
        }
        id
    }

    /// Removes a callback that has not been queued yet. False if there is none of that id.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        let removed = self.cell.with_extra(|extra| {
            let at = extra.callbacks.iter().position(|(other, _)| *other == id)?;
            Some(extra.callbacks.remove(at))
        });
        removed.is_some()
    }

    /// Turns the handle into one that cancels its task when it is dropped.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop { handle: self }
    }

    /// Makes the task a member of a group: its end, or that it is over, adds `place` to `arrivals`.
    pub(crate) fn join_group(&self, arrivals: &Rc<Arrivals>, place: usize) {
        if self.is_finished() {
            arrivals.borrow_mut().push_back(place);
        } else {
            self.cell.with_extra(|extra| extra.arrival = Some((arrivals.clone(), place)));
        }
    }

    /// Ends the membership, and lets go of the waker of whoever waited through this handle.
    pub(crate) fn leave_group(&self) {
        drop(self.cell.with_extra(|extra| extra.arrival.take()));
        match self.cell.stage.replace(Stage::Pending(None)) {
            Stage::Pending(_) => {}
            over => self.cell.stage.set(over),
        }
    }

    /// Waits as awaiting the handle does, without reading the result: ready means that awaiting it gives
    /// an answer at once.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.cell.stage.replace(Stage::Pending(None)) {
            Stage::Pending(joiner) if !self.is_of_current_task() => {
                self.cell.await_end(self.id(), joiner, cx);
                Poll::Pending
            }
            other => {
                self.cell.stage.set(other);
                Poll::Ready(())
            }
        }
    }

    /// Whether there is a result, unread, of which `test` holds.
    pub(crate) fn result_is(&self, test: impl FnOnce(&Result<T, JoinError>) -> bool) -> bool {
        let look = Look { stage: self.cell.stage.replace(Stage::Pending(None)), cell: &self.cell };
        matches!(&look.stage, Stage::Over(result) if test(result))
    }

    /// Whether it is this very task that is being polled. Two runtimes count their tasks alike, so equal
    /// ids alone do not tell.
    fn is_of_current_task(&self) -> bool {
        let id = self.id();
        context::current_task() == Some(id)
            && self.core.upgrade().is_some_and(|core| core.running.get() == Some(id))
    }

    /// The handle is dropped, and has not given the result away.
    fn leave(&self) {
        let unread = self.cell.last_reader_leaves(self.view);
        match self.cell.stage.replace(Stage::Pending(None)) {
            // Whoever awaited through this handle waits no longer: its waker goes too.
            Stage::Pending(_) => self.note(Kind::Detached),
            over => self.cell.stage.set(over),
        }
        if unread {
            self.cell.discard();
        }
    }

    #[inline]
    fn note(&self, kind: Kind) {
        if self.observed
            && let Some(core) = self.core.upgrade()
        {
            core.note(self.number, kind);
        }
    }

    fn read_twice(&self) -> ! {
        panic!(
            "the result of {} (spawned at {}) was read twice: a JoinHandle gives it once",
            self.id(),
            self.cell.spawned_at
        )
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.cell.stage.replace(Stage::Taken(TaskState::Done)) {
            Stage::Over(result) => {
                if result.is_err() {
                    self.cell.stage.set(Stage::Taken(state_after(&result)));
                }
                self.read = true;
                self.note(Kind::OutputTaken);
                Poll::Ready(result)
            }
            Stage::Pending(joiner) => {
                if self.is_of_current_task() {
                    self.cell.stage.set(Stage::Pending(joiner));
                    return Poll::Ready(Err(JoinError::awaits_itself(self.id(), &self.cell)));
                }
                self.cell.await_end(self.id(), joiner, cx);
                Poll::Pending
            }
            taken @ Stage::Taken(_) => {
                self.cell.stage.set(taken);
                self.read_twice()
            }
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.read {
            self.leave();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "<{}", self.id())?;
        if let Some(name) = self.name() {
            write!(f, " {name:?}")?;
        }
        write!(f, " {state} spawned at {}", self.cell.spawned_at)?;
        if state.is_over() {
            // The value's own `Debug` runs with the stage put back behind it even if it panics.
            let look =
                Look { stage: self.cell.stage.replace(Stage::Taken(state)), cell: &self.cell };
            match &look.stage {
                Stage::Over(Ok(value)) => write!(f, " result={}", bounded(format!("{value:?}")))?,
                Stage::Over(Err(error)) => write!(f, " error={}", bounded(error.outcome()))?,
                _ => f.write_str(" result was read")?,
            }
        }
        f.write_str(">")
    }
}

fn bounded(text: String) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(DEBUG_RESULT_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A [`JoinHandle`] that cancels its task when it is dropped. Made by
/// [`JoinHandle::abort_on_drop`].
#[must_use = "dropping it cancels the task"]
pub struct AbortOnDrop<T> {
    handle: JoinHandle<T>,
}

impl<T> Deref for AbortOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        &self.handle
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        if !self.handle.is_finished() {
            self.handle.request_cancel(None, CancelOrigin::HandleDropped);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for AbortOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
