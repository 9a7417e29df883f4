//! A runtime as other threads see it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use crate::event_loop::{Core, LoopInbox, Message};
use crate::observe::event::{CancelOrigin, CauseKind};
use crate::observe::slot;
use crate::task::TaskId;
use crate::task::join::CancelRequest;

/// Reaches a runtime from other threads: spawns and cancels there.
///
/// While one is held, the loop never counts as stalled, and a virtual clock does not jump, since the loop may still
/// be given work. The drop of the last one wakes a loop that sleeps, for it may have nothing left to wait for.
///
/// ```
/// let mut runtime = mainspring::Runtime::new();
/// let remote = runtime.remote();
/// let (sender, receiver) = async_channel::bounded(1);
/// let thread = std::thread::spawn(move || {
///     // The future is made on the loop's thread, and need not be `Send`.
///     remote.spawn(move || async move { sender.send(42).await.unwrap() })
/// });
/// assert_eq!(runtime.block_on(receiver.recv()), Ok(42));
/// thread.join().unwrap().unwrap();
/// ```
#[derive(Clone)]
pub struct Remote {
    guard: Arc<RemoteGuard>,
}

/// What all the handles of a runtime share, and the loop can count.
pub(crate) struct RemoteGuard {
    inbox: Arc<LoopInbox>,
}

impl Drop for RemoteGuard {
    fn drop(&mut self) {
        // A closed inbox gives it back: the runtime has been dropped.
        drop(self.inbox.send(Message::LastRemoteDropped));
    }
}

impl Remote {
    pub(crate) fn new(core: &Core) -> Remote {
        let mut known = core.remotes.borrow_mut();
        let guard = known.upgrade().unwrap_or_else(|| {
            let guard = Arc::new(RemoteGuard { inbox: core.inbox.clone() });
            *known = Arc::downgrade(&guard);
            guard
        });
        Remote { guard }
    }

    /// Whether a handle is left. If not, the inbox has what the last one sent.
    pub(crate) fn is_held(core: &Core) -> bool {
        let held = Weak::strong_count(&core.remotes.borrow()) > 0;
        fence(Ordering::Acquire);
        held
    }

    /// Has `make` called on the loop's thread, and the future that it returns spawned there, detached.
    /// Neither the future nor its output needs to be `Send`.
    ///
    /// # Errors
    /// [`RuntimeDropped`] if the runtime has been dropped. One that is dropped before it reads the message drops
    /// `make` uncalled.
    #[track_caller]
    pub fn spawn<M, F>(&self, make: M) -> Result<(), RuntimeDropped>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
    {
        let spawned_at = Location::caller();
        let thread = slot::thread_number();
        self.send(Message::Spawn(Box::new(move |core: &Rc<Core>| {
            let future = make();
            core.caused_by(CauseKind::Thread, thread, || {
                drop(core.clone().spawn(None, spawned_at, &mut Some(future)))
            });
        })))
    }

    /// Asks for a task to be cancelled. Its future is dropped by the loop, on the loop's thread. Nothing happens to a
    /// task that is finished, nor if the id is one of another runtime.
    ///
    /// # Errors
    /// [`RuntimeDropped`] if the runtime has been dropped.
    pub fn cancel(&self, task: TaskId) -> Result<(), RuntimeDropped> {
        let request = CancelRequest { reason: None, origin: CancelOrigin::Remote, by: None };
        self.send(Message::Cancel { task, request })
    }

    /// As [`cancel`](Remote::cancel), and says why.
    ///
    /// # Errors
    /// [`RuntimeDropped`] if the runtime has been dropped.
    pub fn cancel_with(
        &self,
        task: TaskId,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<(), RuntimeDropped> {
        let (reason, origin) = (Some(reason.into()), CancelOrigin::Remote);
        self.send(Message::Cancel { task, request: CancelRequest { reason, origin, by: None } })
    }

    fn send(&self, message: Message) -> Result<(), RuntimeDropped> {
        self.guard.inbox.send(message).map_err(|_| RuntimeDropped)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The runtime has been dropped: nothing can be sent to it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeDropped;

impl fmt::Display for RuntimeDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime has been dropped")
    }
}

impl Error for RuntimeDropped {}
