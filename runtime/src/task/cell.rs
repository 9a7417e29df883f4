//! One task's future, with its type erased, and the way its result takes.
//!
//! The order is fixed: the future is dropped first, in place, its result put where it was, then the
//! loop changes the state and frees the slot, and only then is anybody told. Whoever learns that a task is
//! over can rely on everything it held being released.

use std::any::Any;
use std::borrow::Cow;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::context::{self, Core};
use crate::observe::CancelOrigin;
use crate::task::TaskId;
use crate::task::error::{JoinError, message_of};
use crate::task::join::{CancelRequest, JoinCell};

/// A task as the loop sees it.
pub(crate) trait Task {
    /// Polls the future. When it is ready, it is dropped and its value stored.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// Drops the future after a panic in it, and stores the panic.
    fn fail(self: Pin<&mut Self>, id: TaskId, payload: Box<dyn Any + Send>);
    /// Drops the future before its time, and stores why. Says who wanted it.
    fn cancel(self: Pin<&mut Self>, id: TaskId) -> (CancelOrigin, Option<TaskId>);
    /// Notes why a cancel was asked for, for `cancel` to store.
    fn note_cancel(&self, request: CancelRequest);
    /// Hands the result over, wakes whoever awaits it and queues the callbacks. Called last.
    fn tell(self: Pin<&mut Self>, core: &Rc<Core>, id: TaskId);
    /// Lets a new task have the memory of this one, which has been told of, if `new` is a [`NewTask`]
    /// for a future of the same type.
    fn renew(self: Pin<&mut Self>, new: &mut dyn Any);
    /// The name it was given.
    fn name(&self) -> Option<Cow<'static, str>>;
    /// Where it was spawned.
    fn spawned_at(&self) -> &'static Location<'static>;
    /// Calls `f` with the waker of the task that awaits this one, if one does.
    fn with_joiner(&self, f: &mut dyn FnMut(&Waker));
}

pin_project! {
    /// The future and the join cell of one task.
    pub(crate) struct TaskCell<F: Future> {
        #[pin]
        stage: Stage<F>,
        join: Rc<JoinCell<F::Output>>,
    }
}

pin_project! {
    /// The future, then in its place the result, until it is told.
    #[project = StageProjection]
    enum Stage<F: Future> {
        Running { #[pin] future: F },
        Over { result: Option<Result<F::Output, JoinError>> },
    }
}

/// What a task is made of: the future and the join cell go into its cell.
pub(crate) struct NewTask<F: Future> {
    pub(crate) future: Option<F>,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// There once the task is made.
    pub(crate) join: Option<Rc<JoinCell<F::Output>>>,
}

impl<F: Future + 'static> NewTask<F> {
    /// Makes the task in memory of its own, unless that of an earlier one has taken it.
    pub(crate) fn boxed(&mut self) -> Option<Pin<Box<dyn Task>>> {
        let future = self.future.take()?;
        let join = Rc::new(JoinCell::new(self.name.take(), self.spawned_at));
        self.join = Some(join.clone());
        Some(Box::pin(TaskCell { stage: Stage::Running { future }, join }))
    }
}

impl<F> Task for TaskCell<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.project().stage;
        let StageProjection::Running { future } = stage.as_mut().project() else {
            unreachable!("the loop polls no task that is over")
        };
        let Poll::Ready(value) = future.poll(cx) else { return Poll::Pending };
        // Drops the future in place before it writes the result.
        stage.set(Stage::Over { result: Some(Ok(value)) });
        Poll::Ready(())
    }

    fn fail(self: Pin<&mut Self>, id: TaskId, payload: Box<dyn Any + Send>) {
        let this = self.project();
        let mut stage = this.stage;
        // A future whose poll panicked may panic again when it is dropped. The first panic is the
        // one that explains; the second adds nothing.
        drop(context::catch(|| stage.set(Stage::Over { result: None })));
        let error = JoinError::panicked(id, this.join, payload);
        stage.set(Stage::Over { result: Some(Err(error)) });
    }

    fn cancel(self: Pin<&mut Self>, id: TaskId) -> (CancelOrigin, Option<TaskId>) {
        let this = self.project();
        let mut stage = this.stage;
        if let Err(payload) = context::catch(|| stage.set(Stage::Over { result: None })) {
            // The task is cancelled all the same; its clean-up deserves a word.
            let message = message_of(&*payload);
            eprintln!(
                "mainspring: {id} panicked while its cancelled future was dropped: {message}"
            );
        }
        // The runtime going away is the one that leaves no request.
        let request = this.join.take_request().unwrap_or(CancelRequest {
            reason: None,
            origin: CancelOrigin::Shutdown,
            by: None,
        });
        let who = (request.origin, request.by);
        let error = JoinError::cancelled(id, this.join, request);
        stage.set(Stage::Over { result: Some(Err(error)) });
        who
    }

    fn tell(self: Pin<&mut Self>, core: &Rc<Core>, id: TaskId) {
        let mut this = self.project();
        let StageProjection::Over { result } = this.stage.as_mut().project() else {
            unreachable!("a task is told of once, when it is over")
        };
        let result = result.take().expect("put there when the task ended");
        this.join.end(core, id, result);
    }

    fn note_cancel(&self, request: CancelRequest) {
        self.join.note_cancel(request);
    }

    fn renew(self: Pin<&mut Self>, new: &mut dyn Any) {
        let Some(new) = new.downcast_mut::<NewTask<F>>() else { return };
        let Some(future) = new.future.take() else { return };
        let mut this = self.project();
        this.stage.set(Stage::Running { future });
        let fresh = JoinCell::new(new.name.take(), new.spawned_at);
        // Only if the last task's handle is gone may its side be used again.
        match Rc::get_mut(this.join) {
            Some(join) => *join = fresh,
            None => *this.join = Rc::new(fresh),
        }
        new.join = Some(this.join.clone());
    }

    fn name(&self) -> Option<Cow<'static, str>> {
        self.join.name()
    }

    fn spawned_at(&self) -> &'static Location<'static> {
        self.join.spawned_at
    }

    fn with_joiner(&self, f: &mut dyn FnMut(&Waker)) {
        self.join.with_joiner(f);
    }
}
