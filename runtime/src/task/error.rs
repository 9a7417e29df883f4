//! Why a task has no value to give.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use crate::event_loop::Payload;
use crate::observe::event::CancelOrigin;
use crate::task::TaskId;
use crate::task::join::{CancelRequest, Origin};
use crate::task::state::TaskState;

/// Why awaiting a task gave no value: it was cancelled, it panicked, or it awaits itself.
///
/// Says which task, by id, name and the place where it was spawned.
pub struct JoinError(Box<Inner>);

struct Inner {
    task: TaskId,
    origin: Origin,
    why: Why,
}

pub(crate) enum Why {
    Cancelled(CancelRequest),
    // A payload is `Send` and not `Sync`; behind the mutex the error is both.
    Panicked { message: String, payload: Mutex<Payload> },
    AwaitsItself,
}

impl JoinError {
    pub(crate) fn new(task: TaskId, origin: Origin, why: Why) -> JoinError {
        JoinError(Box::new(Inner { task, origin, why }))
    }

    /// The task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.why, Why::Cancelled(_))
    }

    /// The task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.why, Why::Panicked { .. })
    }

    /// The task awaited its own handle, which could never have ended.
    pub fn is_own_await(&self) -> bool {
        matches!(self.0.why, Why::AwaitsItself)
    }

    /// The task.
    pub fn task(&self) -> TaskId {
        self.0.task
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.0.origin.name.as_deref()
    }

    /// Where the task was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.origin.spawned_at
    }

    /// The reason given with the cancel, if there was one.
    pub fn reason(&self) -> Option<&str> {
        match &self.0.why {
            Why::Cancelled(request) => request.reason.as_deref(),
            _ => None,
        }
    }

    /// Who cancelled it, if it was cancelled.
    pub fn cancelled_by(&self) -> Option<(CancelOrigin, Option<TaskId>)> {
        match &self.0.why {
            Why::Cancelled(request) => Some((request.origin, request.by)),
            _ => None,
        }
    }

    /// The panic's message, if it panicked with a text.
    pub fn panic_message(&self) -> Option<&str> {
        match &self.0.why {
            Why::Panicked { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The panic's payload, for [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Errors
    /// Gives the error back if the task did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.0.why {
            Why::Panicked { payload, .. } => {
                let payload = payload.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok(payload.into_inner())
            }
            _ => Err(self),
        }
    }

    /// What happened, without which task.
    pub(crate) fn outcome(&self) -> String {
        match &self.0.why {
            Why::Panicked { message, .. } => format!("panicked: {message}"),
            Why::AwaitsItself => "awaits itself, which can never end".to_owned(),
            Why::Cancelled(CancelRequest { reason, origin, by }) => {
                let mut text = String::from("cancelled");
                match (origin, by) {
                    (CancelOrigin::Shutdown, _) => text += " by the runtime's shutdown",
                    (CancelOrigin::Remote, _) => text += " by a remote handle",
                    (CancelOrigin::HandleDropped, _) => text += " by the drop of its handle",
                    (CancelOrigin::Handle, Some(task)) => text += &format!(" by {task}"),
                    (CancelOrigin::Handle, None) => {}
                }
                if let Some(reason) = reason {
                    text += &format!(": {reason}");
                }
                text
            }
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.task)?;
        if let Some(name) = &self.0.origin.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " (spawned at {}) {}", self.0.origin.spawned_at, self.outcome())
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}

/// The task is not finished, so there is no result to read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillPending {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub state: TaskState,
}

impl fmt::Display for StillPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: it has no result yet", self.task, self.state)
    }
}

impl Error for StillPending {}
