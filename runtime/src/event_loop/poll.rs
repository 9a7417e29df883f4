//! 3 of 14. What happens in one poll, and how does a task end? Next: `task/state.rs`, the states in between.
//!
//! The cell of a task is moved out of its slot to be polled, so nothing is borrowed while a user's code runs: it
//! may spawn, wake, cancel and drop what it likes. Then its state says what is to be done with it: keep it, put it
//! into the ready queue again, or drop its future.
//!
//! A task ends in one way, whether with a value, a panic or a cancel: its future is dropped, its result stored,
//! its state changed, its cell put back. Then its group and its callbacks are told, and [`Core::finish`] wakes
//! what awaits it.

use std::task::{Context, Poll, Waker};

use futures_task::waker_ref;

use super::{Core, Payload, TRANSFER_BUDGET, catch, report};
use crate::observe::event::{CancelOrigin, CauseKind, Kind, PollOutcome};
use crate::stats::count;
use crate::task::TaskId;
use crate::task::error::{JoinError, Why};
use crate::task::join::CancelRequest;
use crate::task::state::{OnPending, OnTake};
use crate::task::table::{BoxedTask, MAIN};
use crate::task::waker::Header;
use std::sync::{Arc, Mutex};

/// The future given to `block_on`, which lives on its stack and in no slot.
pub(crate) struct Main<'a> {
    pub(crate) id: TaskId,
    pub(crate) header: Arc<Header>,
    /// Polls it. Ready means that its output has been stored.
    pub(crate) poll: &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
}

impl Core {
    /// Polls one task, or drops its future if a cancel was requested.
    #[inline(always)]
    pub(super) fn poll_task(&self, id: TaskId, on_take: OnTake, mut task: BoxedTask) {
        if on_take == OnTake::Drop {
            count(&self.counters.unpolled, 1);
            return self.cancel(id, task);
        }
        self.start_poll(id);
        let polled = catch(|| task.as_mut().poll());
        self.running.set(None);
        let outcome = match polled {
            Ok(Poll::Pending) => return self.end_pending_poll(id, task),
            Ok(Poll::Ready(())) => PollOutcome::Ready,
            Err(payload) => {
                self.fail(id, &mut task, payload);
                PollOutcome::Panicked
            }
        };
        count(&self.counters.done, 1);
        let mut tasks = self.tasks.borrow_mut();
        let beat_cancel = tasks.header(id.slot()).state.complete();
        let end = tasks.end(id.slot(), task);
        drop(tasks);
        self.emit_done(id, outcome, beat_cancel);
        self.finish(id, end);
    }

    fn start_poll(&self, id: TaskId) {
        self.running.set(Some(id));
        self.transfer_left.set(TRANSFER_BUDGET);
        if self.is_observed() {
            self.emit_poll_started(id);
        }
    }

    /// Apart, so that a poll without an observer is not burdened with it.
    #[inline(never)]
    fn emit_poll_started(&self, id: TaskId) {
        let holders = self.tasks.borrow().header(id.slot()).wakers() as u32;
        self.emit(id.get(), Kind::PollStarted { holders });
    }

    #[inline(always)]
    fn end_pending_poll(&self, id: TaskId, task: BoxedTask) {
        let mut tasks = self.tasks.borrow_mut();
        let header = tasks.put_back(id.slot(), task);
        let (next, wakers) = (header.state.end_poll(), header.wakers());
        if next == OnPending::Requeue {
            tasks.ready.push(id.slot());
        }
        let cancelled = if next == OnPending::Drop { tasks.take(id.slot()) } else { None };
        drop(tasks);
        let (outcome, requeued) = (PollOutcome::Pending, next == OnPending::Requeue);
        self.emit(id.get(), Kind::PollEnded { outcome, requeued, holders: wakers as u32 });
        if let Some(task) = cancelled {
            self.cancel(id, task);
        }
    }

    /// Tells the observer of a poll that returned a value, or panicked.
    fn emit_done(&self, id: TaskId, outcome: PollOutcome, beat_cancel: bool) {
        self.emit(id.get(), Kind::PollEnded { outcome, requeued: false, holders: 0 });
        self.emit(id.get(), Kind::Done { panicked: outcome == PollOutcome::Panicked, beat_cancel });
    }

    /// Polls the future given to `block_on`. True if it is done.
    ///
    /// # Errors
    /// Its panic, with which the loop is to be left.
    pub(super) fn poll_main(&self, main: &mut Main<'_>) -> Result<bool, Payload> {
        let OnTake::Poll = main.header.state.take() else {
            unreachable!("a cancel of main is ignored")
        };
        let id = main.id;
        self.start_poll(id);
        let waker = waker_ref(&main.header);
        let polled = catch(|| (main.poll)(&mut Context::from_waker(&waker)));
        self.running.set(None);
        let outcome = match polled {
            Ok(Poll::Pending) => {
                let requeued = main.header.state.end_poll() == OnPending::Requeue;
                let (outcome, holders) = (PollOutcome::Pending, main.header.wakers() as u32);
                if requeued {
                    self.tasks.borrow_mut().ready.push(MAIN);
                }
                self.emit(id.get(), Kind::PollEnded { outcome, requeued, holders });
                return Ok(false);
            }
            Ok(Poll::Ready(())) => PollOutcome::Ready,
            Err(_) => PollOutcome::Panicked,
        };
        self.emit_done(id, outcome, main.header.state.complete());
        polled.map(|_| true)
    }

    /// Stores the panic of a task as its result. The future has been dropped while the thread unwound.
    fn fail(&self, id: TaskId, task: &mut BoxedTask, payload: Payload) {
        // If it was the drop of the future that panicked, there is a value, and its drop may panic too. The first
        // panic is the one that explains.
        let origin = self.tasks.borrow().origin(id.slot());
        let why = Why::Panicked { message: payload.message(), payload: Mutex::new(payload) };
        let error = JoinError::new(id, origin, why);
        drop(catch(|| task.as_mut().clear(Some(error))));
        count(&self.counters.panicked, 1);
    }

    /// Cancels a pending task at once: the runtime is being dropped.
    pub(crate) fn shut_down(&self, slot: u32) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.take(slot) else { return };
        tasks.header(slot).state.shut_down();
        let id = tasks.id(slot);
        drop(tasks);
        self.cancel(id, task);
    }

    /// Drops the future of a task whose state says cancelled.
    #[cold]
    fn cancel(&self, id: TaskId, mut task: BoxedTask) {
        if let Err(payload) = catch(|| task.as_mut().clear(None)) {
            // The task is cancelled all the same.
            let message = payload.message();
            report(format_args!("{id} panicked while its cancelled future was dropped: {message}"));
        }
        let mut tasks = self.tasks.borrow_mut();
        let request = tasks.known_meta(id.slot()).and_then(|meta| meta.cancel.take());
        let origin = tasks.origin(id.slot());
        drop(tasks);
        // The drop of the runtime is the one cancel without a request.
        let shutdown = CancelRequest { reason: None, origin: CancelOrigin::Shutdown, by: None };
        let request = request.unwrap_or(shutdown);
        let kind =
            Kind::Cancelled { origin: request.origin, by: request.by.map_or(0, TaskId::get) };
        task.as_mut().clear(Some(JoinError::new(id, origin, Why::Cancelled(request))));
        count(&self.counters.cancelled, 1);
        let end = self.tasks.borrow_mut().end(id.slot(), task);
        self.emit(id.get(), kind);
        self.finish(id, end);
    }

    /// Wakes the task that awaits a finished one. If nothing can ask for its result any more, that is dropped.
    #[inline(always)]
    fn finish(&self, id: TaskId, (joiner, unreferenced): (Option<Waker>, bool)) {
        if unreferenced && let Err(payload) = self.discard_result(id.slot()) {
            let message = payload.message();
            report(format_args!(
                "the value of {id}, which nobody read, panicked in drop: {message}"
            ));
        }
        if let Some(joiner) = joiner {
            self.caused_by(CauseKind::Join, id.get(), || joiner.wake());
        }
    }

    /// Drops the result of a finished task that nothing can ask for any more, and frees its slot.
    ///
    /// # Errors
    /// The panic of the result's drop.
    pub(crate) fn discard_result(&self, slot: u32) -> Result<(), Payload> {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.id(slot);
        let Some(mut task) = tasks.take(slot) else {
            unreachable!("a finished task is in its slot while that is not free")
        };
        drop(tasks);
        // The last chance to tell of a panic.
        if let Some(error) = task.as_mut().error().filter(|error| error.is_panic()) {
            report(format_args!("nobody looked at the result of this task: {error}"));
            self.emit(id.get(), Kind::PanicUnseen);
        }
        let dropped = catch(|| task.as_mut().clear(None));
        let mut tasks = self.tasks.borrow_mut();
        tasks.put_back(slot, task);
        tasks.free(slot);
        dropped
    }
}
