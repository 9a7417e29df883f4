//! How a task ends: what is dropped, stored and told, in this order.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::{Core, catch};
use crate::observe::{CancelOrigin, CauseKind, Kind};
use crate::task::TaskId;
use crate::task::cell::Task;
use crate::task::error::{JoinError, message_of};
use crate::task::join::CancelRequest;
use crate::task::table::BoxedTask;
use crate::task::waker::Header;

impl Core {
    /// Drops the future of a task whose state says cancelled, then tells of it.
    pub(crate) fn cancel(&self, header: Arc<Header>, mut task: BoxedTask) {
        let id = header.id();
        // What the future drops may hold a handle, and ask it for the task's number or state. So may the
        // observer.
        *self.table.borrow_mut().header(id.slot()) = Some(header);
        if let Err(payload) = catch(|| task.as_mut().drop_future()) {
            // The task is cancelled all the same; its clean-up deserves a word.
            let message = message_of(&*payload);
            eprintln!(
                "mainspring: {id} panicked while its cancelled future was dropped: {message}"
            );
        }
        let mut table = self.table.borrow_mut();
        let request = table.known_extra(id.slot()).and_then(|extra| extra.request.take());
        // The runtime going away is the one that leaves no request.
        let (reason, origin, by) = (None, CancelOrigin::Shutdown, None);
        let request = request.unwrap_or(CancelRequest { reason, origin, by });
        let (origin, by) = (request.origin, request.by.map_or(0, TaskId::get));
        let error = JoinError::cancelled(id, table.origin(id.slot()), request);
        drop(table);
        task.as_mut().fail(error);
        self.counters.cancelled.add(1);
        self.note_now(id.get(), Kind::Cancelled { origin, by });
        let Some(header) = self.table.borrow_mut().header(id.slot()).take() else {
            unreachable!("a slot keeps its header until the next tenant")
        };
        self.end(header, task);
    }

    /// Drops the future of a task that panicked, while the task still counts as running, and keeps the
    /// panic as its result.
    #[cold]
    pub(crate) fn fail(
        &self,
        id: TaskId,
        mut task: Pin<&mut dyn Task>,
        payload: Box<dyn Any + Send>,
    ) {
        // It may panic again when it is dropped. The first panic is the one that explains; the second
        // adds nothing.
        drop(catch(|| task.as_mut().drop_future()));
        let error = JoinError::panicked(id, self.table.borrow().origin(id.slot()), payload);
        task.fail(error);
        self.counters.panicked.add(1);
    }

    /// Puts a task that is over back into its slot and tells whoever awaits it.
    #[inline(always)]
    pub(crate) fn end(&self, header: Arc<Header>, task: BoxedTask) {
        let id = header.id();
        let mut table = self.table.borrow_mut();
        table.put_back(id.slot(), task, header);
        let unclaimed = *table.claims(id.slot()) == 0;
        let joiner = table.join(id.slot()).joiner.take();
        let extra = table.known_extra(id.slot()).is_some();
        drop(table);
        if extra {
            self.end_extra(id, unclaimed);
        } else if unclaimed {
            self.discard(id);
        }
        if let Some(joiner) = joiner {
            self.caused_by(CauseKind::Join, id.get(), || joiner.wake());
        }
    }

    #[cold]
    fn end_extra(&self, id: TaskId, unclaimed: bool) {
        let mut table = self.table.borrow_mut();
        let extra = table.extra(id.slot());
        let (arrival, callbacks) = (extra.arrival.take(), std::mem::take(&mut extra.callbacks));
        drop(table);
        if let Some((arrivals, place)) = arrival {
            arrivals.borrow_mut().push_back(place);
        }
        if unclaimed && callbacks.is_empty() {
            self.discard(id);
        }
        let mut table = self.table.borrow_mut();
        for (_, callback) in callbacks {
            table.queue_callback(id.slot(), callback);
        }
    }

    /// Drops the result of a task that was detached, and frees its slot.
    fn discard(&self, id: TaskId) {
        // The value's `Drop` may be anything.
        if let Err(payload) = self.let_go(id.slot()) {
            let message = message_of(&*payload);
            eprintln!(
                "mainspring: the value of {id}, which nobody read, panicked in drop: {message}"
            );
        }
    }

    /// Drops the result of a task that nobody has a claim on any more, and frees its slot.
    ///
    /// # Errors
    /// The panic of the result's drop.
    pub(crate) fn let_go(&self, slot: u32) -> Result<(), Box<dyn Any + Send>> {
        let Some((mut task, header)) = self.table.borrow_mut().take(slot) else {
            unreachable!("a task that is over is in its slot until nobody has a claim on it")
        };
        let dropped = catch(|| task.as_mut().discard());
        let mut table = self.table.borrow_mut();
        table.put_back(slot, task, header);
        let excess = table.release(slot);
        drop(table);
        drop(excess);
        dropped
    }
}
