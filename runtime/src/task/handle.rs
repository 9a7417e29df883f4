//! What a program holds of a task that it spawned.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::event_loop::{catch, shortened};
use crate::observe::event::{CancelOrigin, Kind};
use crate::task::TaskId;
use crate::task::cell::slot_of;
use crate::task::error::{JoinError, StillPending, Why};
use crate::task::join::{Callback, CallbackId, Completed, TaskRef};
use crate::task::state::TaskState;

/// The done-callbacks that may wait for a task's end: more are a mistake in a loop.
const MAX_CALLBACKS: usize = 65_534;

/// Holds a spawned task: awaits its result, reads its state, cancels it.
///
/// Awaiting gives `Ok` with the value, or a [`JoinError`] that tells a cancel from a panic. The future
/// of the task, and all it held, has been dropped by then. Awaiting is cancel-safe: a handle that was
/// polled and not finished can be awaited again. One task may await a handle at a time; the one that
/// polled last is woken.
///
/// Dropping a handle detaches the task: it goes on, and its result is dropped when it ends. A panic
/// that was not looked at by then is reported on stderr. For the other wish there is
/// [`abort_on_drop`](JoinHandle::abort_on_drop).
///
/// The result waits in the task's own memory, which is used again once the handle is dropped. A handle
/// may outlive its runtime and be read then; what it keeps includes the runtime's poller.
///
/// `Debug` prints one bounded line:
///
/// ```text
/// <task 2 "fetch" done spawned at src/main.rs:10:17 result=1>
/// ```
#[must_use = "dropping the handle detaches the task; await it, keep it, or say so with drop()"]
pub struct JoinHandle<T> {
    pub(crate) task: TaskRef,
    result: PhantomData<fn() -> T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: TaskRef) -> JoinHandle<T> {
        JoinHandle { task, result: PhantomData }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The name it was given, if it was spawned with one.
    pub fn name(&self) -> Option<Cow<'static, str>> {
        self.task.origin().name
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.task.origin().spawned_at
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        self.task.core.tasks.borrow().header(self.task.slot()).state.get()
    }

    /// Whether it is finished: done or cancelled.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks for the task to be cancelled.
    ///
    /// The loop drops the task's future when it next holds it: before its first poll, the body never
    /// runs; if it is running, when its poll returns pending. If it completes in that very poll,
    /// completion wins. A task that is finished stays as it is.
    pub fn cancel(&self) {
        self.task.request_cancel(None, CancelOrigin::Handle);
    }

    /// Asks for the task to be cancelled, and says why. The first reason given is the one kept.
    pub fn cancel_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.task.request_cancel(Some(reason.into()), CancelOrigin::Handle);
    }

    /// Has `callback` called once, on the turn after the task is finished, in the order of adding; at the
    /// next turn if it is finished now. A panic in one is reported on stderr and stops no other.
    ///
    /// A runtime that is dropped runs no more callbacks.
    ///
    /// # Panics
    /// If 65,534 callbacks of the task are waiting for its end.
    pub fn add_done_callback(&self, callback: impl FnOnce(&JoinHandle<T>) + 'static) -> CallbackId {
        let callback: Callback = Box::new(move |task| callback(&JoinHandle::new(task)));
        let (id, waiting) = self.task.meta(|meta| {
            meta.last_callback += 1;
            (CallbackId(meta.last_callback), meta.callbacks.len())
        });
        assert!(
            waiting < MAX_CALLBACKS,
            "a task has at most {MAX_CALLBACKS} done-callbacks at a time"
        );
        if !self.is_finished() {
            self.task.meta(|meta| meta.callbacks.push((id, callback)));
        } else if !self.task.core.closing.get() {
            self.task.core.tasks.borrow_mut().queue_callback(self.task.slot(), callback);
        }
        id
    }

    /// Removes a callback that has not been queued yet. False if there is none of that id.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        let removed = self.task.meta(|meta| {
            let at = meta.callbacks.iter().position(|(other, _)| *other == id)?;
            Some(meta.callbacks.remove(at))
        });
        removed.is_some()
    }

    /// Makes the task a member of a group: its end, or that it is finished, adds `place` to `completed`.
    pub(crate) fn join_group(&self, completed: &Rc<Completed>, place: usize) {
        if self.is_finished() {
            completed.borrow_mut().push_back(place);
        } else {
            self.task.meta(|meta| meta.group = Some((completed.clone(), place)));
        }
    }

    /// Ends the membership, and drops the waker of the task that waited through this handle.
    pub(crate) fn leave_group(&self) {
        drop(self.task.meta(|meta| meta.group.take()));
        if self.task.take_joiner().is_some() {
            self.task.core.emit_running(Kind::TaskWaitDropped { on: self.id().get() });
        }
    }

    /// Waits as awaiting the handle does, without reading the result: ready means that awaiting it gives
    /// an answer at once.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_finished() || self.task.is_running() {
            return Poll::Ready(());
        }
        self.task.await_end(cx);
        Poll::Pending
    }

    fn read_twice(&self) -> ! {
        panic!(
            "the result of {} (spawned at {}) was read twice: a JoinHandle gives it once",
            self.id(),
            self.spawned_at()
        )
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Reads the result without waiting.
    ///
    /// # Errors
    /// [`StillPending`] while the task is not finished.
    ///
    /// # Panics
    /// If the result has been read before.
    pub fn try_result(&mut self) -> Result<Result<T, JoinError>, StillPending> {
        if let Some(result) = self.read() {
            return Ok(result);
        }
        if self.is_finished() {
            self.read_twice()
        }
        Err(StillPending { task: self.id(), state: self.state() })
    }

    fn read(&mut self) -> Option<Result<T, JoinError>> {
        let result = self.take()?;
        self.task.mark_taken();
        Some(result)
    }

    /// Moves the result out of the task's slot. `None` if it is not finished, or was read before.
    fn take(&self) -> Option<Result<T, JoinError>> {
        let mut tasks = self.task.core.tasks.borrow_mut();
        slot_of(tasks.task(self.task.slot())?.as_mut().result()?).take()
    }

    /// Calls `f` with the result, if there is one and it is unread, and puts it back, also if `f`
    /// panics.
    fn with_result<R>(&self, f: impl FnOnce(Option<&Result<T, JoinError>>) -> R) -> R {
        let taken = self.take();
        let answer = catch(|| f(taken.as_ref()));
        let mut tasks = self.task.core.tasks.borrow_mut();
        if taken.is_some()
            && let Some(result) =
                tasks.task(self.task.slot()).and_then(|task| task.as_mut().result())
        {
            *slot_of(result) = taken;
        }
        drop(tasks);
        answer.unwrap_or_else(|payload| resume_unwind(payload.into_inner()))
    }

    /// Whether there is a result, unread, of which `test` holds.
    pub(crate) fn result_is(&self, test: impl FnOnce(&Result<T, JoinError>) -> bool) -> bool {
        self.with_result(|result| result.is_some_and(test))
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Ok(result) = self.try_result() {
            return Poll::Ready(result);
        }
        if self.task.is_running() {
            return Poll::Ready(Err(JoinError::new(
                self.id(),
                self.task.origin(),
                Why::AwaitsItself,
            )));
        }
        self.task.await_end(cx);
        Poll::Pending
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "<{}", self.id())?;
        if let Some(name) = self.name() {
            write!(f, " {:?}", shortened(format_args!("{name}")))?;
        }
        write!(f, " {state}")?;
        if self.task.core.tasks.borrow().header(self.task.slot()).state.is_cancel_requested() {
            f.write_str(", cancel requested,")?;
        }
        write!(f, " spawned at {}", self.spawned_at())?;
        if state.is_finished() {
            self.with_result(|result| match result {
                Some(Ok(value)) => write!(f, " result={}", shortened(format_args!("{value:?}"))),
                Some(Err(error)) => {
                    write!(f, " error={}", shortened(format_args!("{}", error.outcome())))
                }
                None => f.write_str(" result was read"),
            })?;
        }
        f.write_str(">")
    }
}
