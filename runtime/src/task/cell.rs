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
    /// Keeps the memory of a task that has been told of, for the next of its type.
    fn recycle(self: Pin<Box<Self>>, core: &Core);
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

/// A new task's two sides: the loop's and the handle's.
type Sides<F> = (Pin<Box<TaskCell<F>>>, Rc<JoinCell<<F as Future>::Output>>);

impl<F: Future + 'static> TaskCell<F> {
    /// A cell for `future`, in the memory of an earlier one where there is one.
    pub(crate) fn new(
        core: &Core,
        future: F,
        name: Option<Cow<'static, str>>,
        spawned_at: &'static Location<'static>,
    ) -> Sides<F> {
        let spare = core.spares.borrow_mut().take::<F>();
        let Some(mut cell) = spare else {
            let join = Rc::new(JoinCell::new(name, spawned_at));
            let cell = TaskCell { stage: Stage::Running { future }, join: join.clone() };
            return (Box::pin(cell), join);
        };
        let mut this = cell.as_mut().project();
        this.stage.set(Stage::Running { future });
        // Only if the last task's handle is gone may its side be used again.
        let fresh = JoinCell::new(name, spawned_at);
        match Rc::get_mut(this.join) {
            Some(join) => *join = fresh,
            None => *this.join = Rc::new(fresh),
        }
        let join = this.join.clone();
        (cell, join)
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

    fn recycle(self: Pin<Box<Self>>, core: &Core) {
        drop(core.spares.borrow_mut().put(self));
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
