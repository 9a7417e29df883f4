//! A loop as other threads see it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use crate::context::{Core, Letter, Mailbox};
use crate::observe::{CancelOrigin, CauseKind};
use crate::task::TaskId;
use crate::task::join::CancelRequest;

/// Reaches a runtime from other threads: spawns and cancels there.
///
/// While one exists, the loop never counts as stalled, since whoever holds it may still give it work.
/// The drop of the last one wakes a loop that sleeps, for it may have nothing left to wait for.
#[derive(Clone)]
pub struct Remote {
    line: Arc<Line>,
}

/// What all the handles of a runtime share, and the loop can count.
pub(crate) struct Line {
    inbox: Arc<Mailbox>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // A closed inbox gives it back: there is nobody left to tell.
        drop(self.inbox.send(Letter::LastRemoteGone));
    }
}

impl Remote {
    pub(crate) fn new(core: &Core) -> Remote {
        let mut known = core.remotes.borrow_mut();
        let line = known.upgrade().unwrap_or_else(|| {
            let line = Arc::new(Line { inbox: core.inbox.clone() });
            *known = Arc::downgrade(&line);
            line
        });
        Remote { line }
    }

    /// Whether every handle is gone. If so, a look into the inbox finds what the last one sent.
    pub(crate) fn none_left(core: &Core) -> bool {
        let none = Weak::strong_count(&core.remotes.borrow()) == 0;
        fence(Ordering::Acquire);
        none
    }

    /// Has `make` called on the loop's thread, and the future that it returns spawned there, detached.
    /// Neither the future nor its output needs to be `Send`.
    ///
    /// # Errors
    /// [`Gone`] if the runtime has been dropped. One that is dropped before it reads the letter drops
    /// `make` uncalled.
    #[track_caller]
    pub fn spawn<M, F>(&self, make: M) -> Result<(), Gone>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
    {
        let spawned_at = Location::caller();
        let thread = crate::context::thread_number();
        let letter = Letter::Spawn(Box::new(move |core: &Rc<Core>| {
            let (core, future) = (core.clone(), make());
            core.clone().caused_by(CauseKind::Thread, thread, || {
                drop(core.spawn(None, spawned_at, future))
            });
        }));
        self.line.inbox.send(letter).map_err(|_| Gone)
    }

    /// Asks for a task to be cancelled. Its future is dropped by the loop, on the loop's thread. A task
    /// that is over stays as it is.
    ///
    /// # Errors
    /// [`Gone`] if the runtime has been dropped.
    pub fn cancel(&self, task: TaskId) -> Result<(), Gone> {
        self.line.inbox.send(Letter::Cancel { task, reason: None }).map_err(|_| Gone)
    }

    /// As [`cancel`](Remote::cancel), and says why.
    ///
    /// # Errors
    /// [`Gone`] if the runtime has been dropped.
    pub fn cancel_with(
        &self,
        task: TaskId,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<(), Gone> {
        let reason = Some(reason.into());
        self.line.inbox.send(Letter::Cancel { task, reason }).map_err(|_| Gone)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Core {
    /// A cancel request that came by letter.
    pub(crate) fn cancel_from_afar(&self, id: TaskId, reason: Option<Cow<'static, str>>) {
        if !self.request_cancel(id, None) {
            return;
        }
        let request = CancelRequest { reason, origin: CancelOrigin::Remote, by: None };
        self.table.borrow_mut().extra(id.slot()).request = Some(request);
    }
}

/// The runtime has been dropped: there is nobody to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime has been dropped")
    }
}

impl Error for Gone {}
