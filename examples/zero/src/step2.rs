//! Step 2: tasks. A table of boxed futures, a queue of those that are ready, and an inbox through
//! which every wake reaches the loop, from whichever thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
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
        self.inbox.send(self.id);
    }
}

/// Everything that a loop has.
struct Core {
    inbox: Arc<Inbox>,
    tasks: RefCell<BTreeMap<u64, BoxedTask>>,
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

    /// One turn of the loop. True if main is done.
    fn turn(&self, main: Main<'_>) -> bool {
        self.read_inbox();
        let main_done = self.poll_batch(main);
        if !main_done {
            self.park();
        }
        main_done
    }

    /// Queues the tasks that were woken.
    fn read_inbox(&self) {
        self.ready.borrow_mut().append(&mut self.inbox.messages.lock().unwrap());
    }

    /// Polls what is ready now. What becomes ready meanwhile waits for the next batch.
    fn poll_batch(&self, mut main: Main<'_>) -> bool {
        let mut main_done = false;
        for id in self.ready.take() {
            let waker = Waker::from(Arc::new(Header { id, inbox: self.inbox.clone() }));
            let mut cx = Context::from_waker(&waker);
            if id == MAIN {
                main_done = main_done || main.as_mut().poll(&mut cx).is_ready();
            } else {
                self.poll_task(id, &mut cx);
            }
        }
        main_done
    }

    fn poll_task(&self, id: u64, cx: &mut Context<'_>) {
        // Out of its slot: nothing is borrowed while it runs, so it may spawn. No future: it is done.
        let Some(mut future) = self.tasks.borrow_mut().remove(&id) else { return };
        if future.as_mut().poll(cx).is_pending() {
            self.tasks.borrow_mut().insert(id, future);
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
    core.ready.borrow_mut().push(MAIN);
    while !core.turn(main.as_mut()) {}
    CURRENT.set(None);
    output.take().unwrap()
}

/// Spawns a task. It starts with the next batch.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    let core = CURRENT.with_borrow(Clone::clone).expect("a loop runs on this thread");
    let id = core.last_id.get() + 1;
    core.last_id.set(id);
    core.tasks.borrow_mut().insert(id, Box::pin(future));
    core.ready.borrow_mut().push(id);
}
