//! Step 4: how a task ends. With a value, a panic or a cancel, and in one place: the future is dropped
//! first, and only then is the one who waits told.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

type BoxedTask = Pin<Box<dyn Future<Output = ()>>>;
/// The future given to `block_on`. It stays there, and may borrow from its surroundings.
type Main<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// The number of the future given to `block_on`. Tasks count from 1.
const MAIN: u64 = 0;

/// How every thread reaches the loop. A message is the number of a task that was woken.
struct Inbox {
    messages: Mutex<Vec<u64>>,
    thread: Thread,
}

impl Inbox {
    fn send(&self, id: u64) {
        self.messages.lock().unwrap().push(id);
        self.thread.unpark();
    }
}

/// What a waker points to: a task's number and the way to its loop. Not the future, which is not `Send`.
struct Header {
    id: u64,
    inbox: Arc<Inbox>,
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        let here = CURRENT.with_borrow(Clone::clone);
        match here.filter(|core| Arc::ptr_eq(&core.inbox, &self.inbox)) {
            Some(core) => core.wake(self.id),
            None => self.inbox.send(self.id),
        }
    }
}

/// What a task is doing. One that is done is no longer in the table.
#[derive(Clone, Copy)]
enum State {
    /// It waits for a wake.
    Pending,
    /// It is in the ready queue, once.
    Scheduled,
    /// It is being polled.
    Running,
    /// It is being polled, and was woken meanwhile.
    Woken,
}

/// What a wake changes.
enum OnWake {
    /// The task enters the ready queue.
    Enqueue,
    /// Nothing: a poll is to come already.
    Coalesced,
    /// The task enters the ready queue when its poll ends.
    Deferred,
}

impl State {
    fn wake(&mut self) -> OnWake {
        let (next, change) = match *self {
            State::Pending => (State::Scheduled, OnWake::Enqueue),
            State::Running => (State::Woken, OnWake::Deferred),
            State::Scheduled | State::Woken => (*self, OnWake::Coalesced),
        };
        *self = next;
        change
    }

    /// The poll ends with `Pending`. True if the task is to be polled again.
    fn end_poll(&mut self) -> bool {
        let woken = matches!(self, State::Woken);
        *self = if woken { State::Scheduled } else { State::Pending };
        woken
    }
}

struct Task {
    state: State,
    /// It is to end instead of being polled again.
    cancel: bool,
    /// Not here while it is polled. Main's never is.
    future: Option<BoxedTask>,
    /// Where its result goes. Main has no such place.
    cell: Option<Rc<dyn End>>,
}

/// Why a task has no value.
#[derive(Debug)]
pub enum JoinError {
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this.
    Panicked(Box<dyn Any + Send>),
}

/// What a task and its handle share: the result, and the waker of the one who waits for it.
struct TaskCell<T> {
    result: Cell<Option<Result<T, JoinError>>>,
    waiter: Cell<Option<Waker>>,
}

/// A [`TaskCell`] of whatever type.
trait End {
    /// Stores the error, if there is one, and wakes the one who waits.
    fn end(&self, error: Option<JoinError>);
}

impl<T> End for TaskCell<T> {
    fn end(&self, error: Option<JoinError>) {
        if let Some(error) = error {
            self.result.set(Some(Err(error)));
        }
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// A claim on a task's result, which is what awaiting it gives. Dropped, it lets the task go on alone.
pub struct JoinHandle<T> {
    core: Rc<Core>,
    id: u64,
    cell: Rc<TaskCell<T>>,
}

impl<T> JoinHandle<T> {
    /// Has the task dropped instead of polled again. One that is done stays so.
    pub fn cancel(&self) {
        if let Some(task) = self.core.tasks.borrow_mut().get_mut(&self.id) {
            task.cancel = true;
        }
        self.core.wake(self.id);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.cell.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                self.cell.waiter.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// Everything that a loop has.
struct Core {
    inbox: Arc<Inbox>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: RefCell<Vec<u64>>,
    last_id: Cell<u64>,
}

thread_local! {
    /// The loop that runs on this thread.
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

impl Core {
    fn new() -> Core {
        let inbox = Arc::new(Inbox { messages: Mutex::default(), thread: thread::current() });
        let (tasks, ready, last_id) = Default::default();
        Core { inbox, tasks, ready, last_id }
    }

    fn insert(&self, id: u64, future: Option<BoxedTask>, cell: Option<Rc<dyn End>>) {
        let task = Task { state: State::Scheduled, cancel: false, future, cell };
        self.tasks.borrow_mut().insert(id, task);
        self.ready.borrow_mut().push(id);
    }

    /// The one place where a task enters the ready queue again. A task that is done is not found.
    fn wake(&self, id: u64) {
        let change = self.tasks.borrow_mut().get_mut(&id).map(|task| task.state.wake());
        if let Some(OnWake::Enqueue) = change {
            self.ready.borrow_mut().push(id);
        }
    }

    /// One turn of the loop. True if main is done.
    fn turn(&self, main: Main<'_>) -> bool {
        self.read_inbox();
        let main_done = self.poll_batch(main);
        if !main_done {
            self.park();
        }
        main_done
    }

    /// Wakes the tasks that other threads have woken.
    fn read_inbox(&self) {
        let messages = mem::take(&mut *self.inbox.messages.lock().unwrap());
        messages.into_iter().for_each(|id| self.wake(id));
    }

    /// Polls what is ready now. What becomes ready meanwhile waits for the next batch.
    fn poll_batch(&self, mut main: Main<'_>) -> bool {
        let mut main_done = false;
        for id in self.ready.take() {
            let waker = Waker::from(Arc::new(Header { id, inbox: self.inbox.clone() }));
            let mut cx = Context::from_waker(&waker);
            match self.take(id) {
                Some(future) => self.poll_task(id, future, &mut cx),
                None if main.as_mut().poll(&mut cx).is_ready() => main_done = true,
                None => self.end_poll(MAIN, None),
            }
        }
        main_done
    }

    /// A poll begins, and the future leaves its slot: nothing is borrowed while it runs.
    fn take(&self, id: u64) -> Option<BoxedTask> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(&id).expect("what is ready is not done");
        task.state = State::Running;
        task.future.take()
    }

    fn poll_task(&self, id: u64, mut future: BoxedTask, cx: &mut Context<'_>) {
        if self.tasks.borrow()[&id].cancel {
            return self.finish(id, future, Some(JoinError::Cancelled));
        }
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => self.end_poll(id, Some(future)),
            Ok(Poll::Ready(())) => self.finish(id, future, None),
            Err(payload) => self.finish(id, future, Some(JoinError::Panicked(payload))),
        }
    }

    /// The one place where a task ends. From here on it is not found, so a wake does nothing.
    fn finish(&self, id: u64, future: BoxedTask, error: Option<JoinError>) {
        let task = self.tasks.borrow_mut().remove(&id).expect("a task ends once");
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        let error = dropped.err().map(JoinError::Panicked).or(error);
        task.cell.expect("main does not end here").end(error);
    }

    /// The task was pending: its future goes back, and back into the queue if it was woken meanwhile.
    fn end_poll(&self, id: u64, future: Option<BoxedTask>) {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(&id).expect("a pending task is in the table");
        task.future = future;
        if task.state.end_poll() {
            self.ready.borrow_mut().push(id);
        }
    }

    /// Nothing is ready: sleeps until a message comes.
    fn park(&self) {
        if self.ready.borrow().is_empty() {
            thread::park();
        }
    }
}

/// Runs the loop until `main` is done, and returns its output.
pub fn block_on<F: Future>(main: F) -> F::Output {
    let core = Rc::new(Core::new());
    CURRENT.set(Some(core.clone()));
    let output = Cell::new(None);
    let mut main = pin!(async { output.set(Some(main.await)) });
    core.insert(MAIN, None, None);
    while !core.turn(main.as_mut()) {}
    CURRENT.set(None);
    output.take().unwrap()
}

/// Spawns a task. It starts with the next batch.
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    let core = CURRENT.with_borrow(Clone::clone).expect("a loop runs on this thread");
    let id = core.last_id.get() + 1;
    core.last_id.set(id);
    let cell = Rc::new(TaskCell { result: Cell::default(), waiter: Cell::default() });
    let place = cell.clone();
    let future = Box::pin(async move { place.result.set(Some(Ok(future.await))) });
    core.insert(id, Some(future), Some(cell.clone()));
    JoinHandle { core, id, cell }
}

/// Lets everything else that is ready run first.
pub fn yield_now() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
