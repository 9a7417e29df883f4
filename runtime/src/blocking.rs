//! Work that blocks, on threads of its own, so that the loop does not.
//!
//! One queue, in order, behind one mutex and one condition variable. A thread is started when a job
//! comes in and no thread is idle, up to a limit; a thread without work leaves after a while. The result
//! comes back through the waker of the task that awaits it, like everything from another thread.
//!
//! Closing the pool waits for nothing: jobs that have not started are dropped, a job that runs goes
//! on by itself and its result is dropped at its end. The thread that runs it leaves then.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::event_loop::{self, Core, Payload, catch, for_each, report};
use crate::observe::event::Kind;
use crate::observe::slot;
use crate::task::handle::JoinHandle;
use crate::time::clock::nanos;

/// Runs `job` on a thread of the runtime's blocking pool, for work that would block the loop.
///
/// Jobs start in the order in which they were handed in, as soon as a thread is free; see
/// [`Builder::blocking_threads`](crate::Builder::blocking_threads). A panic in one comes back as a
/// [`JoinError`](crate::JoinError). Cancelling the task before its job has started takes the job out of
/// the queue; a job that runs cannot be stopped, and its result is dropped.
///
/// ```
/// let answer = mainspring::run(async {
///     mainspring::spawn_blocking(|| std::fs::read_to_string("/dev/null")).await
/// });
/// assert_eq!(answer.unwrap().unwrap(), "");
/// ```
///
/// # Panics
/// Outside of a runtime. The task panics if the operating system refuses a thread and none is there.
#[track_caller]
pub fn spawn_blocking<F, T>(job: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = event_loop::current("spawn_blocking");
    let outcome = core.pool.submit(&core, job);
    core.spawn(None, Location::caller(), &mut Some(outcome))
}

type Job = Box<dyn FnOnce() + Send>;

/// The runtime's side of the pool.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Jobs whose outcome a task still waits for.
    pub(crate) jobs: Cell<usize>,
    last_job: Cell<u32>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    name: String,
    limit: usize,
    idle: Duration,
}

struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(name: String, limit: usize, idle: Duration) -> Pool {
        let queue = Queue { jobs: VecDeque::new(), threads: 0, idle: 0, closed: false };
        let shared =
            Shared { queue: Mutex::new(queue), changed: Condvar::new(), name, limit, idle };
        Pool { shared: Arc::new(shared), jobs: Cell::new(0), last_job: Cell::new(0) }
    }

    fn submit<T: Send + 'static>(
        &self,
        core: &Rc<Core>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let number = self.last_job.get().wrapping_add(1);
        self.last_job.set(number);
        let result = Arc::new(Mutex::new(Slot::Waiting(None)));
        let place = result.clone();
        let refused = self.shared.push(Box::new(move || {
            // The task that waited for it was cancelled: the result is not wanted any more.
            if Arc::strong_count(&place) == 1 {
                return;
            }
            let before = Instant::now();
            let outcome = catch(job);
            let ran = nanos(before.elapsed());
            let before = std::mem::replace(&mut *lock(&place), Slot::Ended(outcome, ran));
            if let Slot::Waiting(Some(waker)) = before {
                slot::caused_by_job(number, || waker.wake());
            }
        }));
        if let Err((error, job)) = refused {
            let text = format!("the operating system refuses a thread for a blocking job: {error}");
            *lock(&result) = Slot::Ended(Err(Payload::new(Box::new(text))), 0);
            drop(catch(|| drop(job)));
        }
        self.jobs.set(self.jobs.get() + 1);
        core.emit_running(Kind::JobQueued { job: number });
        Outcome { result, core: core.clone(), job: number, ended: false }
    }

    /// Drops what has not started; what runs goes on by itself.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.shared.changed.notify_all();
        drop(catch(|| for_each(jobs.into_iter(), drop)));
    }
}

impl Shared {
    /// Queues a job, and starts a thread for it if one is needed and allowed.
    ///
    /// # Errors
    /// Gives the job back if no thread is there and the system refuses one. What it holds is dropped under no lock.
    fn push(self: &Arc<Shared>, job: Job) -> Result<(), (io::Error, Job)> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            drop(catch(|| drop(job)));
            return Ok(());
        }
        queue.jobs.push_back(job);
        if queue.idle >= queue.jobs.len() {
            // Not under the lock, which the woken thread takes at once.
            drop(queue);
            self.changed.notify_one();
        } else if queue.threads < self.limit {
            queue.threads += 1;
            let shared = self.clone();
            // A thread's name must not contain a NUL.
            let name = format!("{}-blocking", self.name.replace('\0', "?"));
            let started = std::thread::Builder::new().name(name).spawn(move || shared.work());
            if let Err(error) = started {
                queue.threads -= 1;
                // With a thread there, the job waits its turn; without one it never would have it.
                if queue.threads == 0
                    && let Some(job) = queue.jobs.pop_back()
                {
                    return Err((error, job));
                }
            }
        }
        Ok(())
    }

    /// The life of one thread.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // The job's own panic is caught in it. What is left is the drop of a result that is not wanted.
                if let Err(payload) = catch(job) {
                    let message = payload.message();
                    report(format_args!(
                        "what nobody wanted of a blocking job panicked in drop: {message}"
                    ));
                }
                queue = lock(&self.queue);
                continue;
            }
            if queue.closed {
                break;
            }
            queue.idle += 1;
            let waited = self.changed.wait_timeout(queue, self.idle);
            let timed_out;
            (queue, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            if timed_out.timed_out() && queue.jobs.is_empty() {
                break;
            }
        }
        queue.threads -= 1;
    }
}

/// No code of a user runs under a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a job's thread puts the result.
enum Slot<T> {
    Waiting(Option<Waker>),
    Ended(Result<T, Payload>, u64),
}

/// Waits for a job to end.
struct Outcome<T> {
    result: Arc<Mutex<Slot<T>>>,
    core: Rc<Core>,
    job: u32,
    ended: bool,
}

impl<T> Future for Outcome<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Slot::Waiting(Some(known)) = &*lock(&self.result)
            && known.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        // Cloned and dropped outside of the lock: either may run any code.
        let mut waker = Some(cx.waker().clone());
        let mut slot = lock(&self.result);
        if let Slot::Waiting(place) = &mut *slot {
            std::mem::swap(place, &mut waker);
            drop(slot);
            if waker.take().is_none() {
                self.core.emit_running(Kind::WaitsForBlocking { job: self.job });
            }
            return Poll::Pending;
        }
        let ended = std::mem::replace(&mut *slot, Slot::Waiting(None));
        drop(slot);
        self.ended = true;
        let Slot::Ended(outcome, ran) = ended else { unreachable!("it does not wait") };
        self.core.emit_running(Kind::JobEnded { job: self.job, ran });
        Poll::Ready(outcome.unwrap_or_else(|payload| resume_unwind(payload.into_inner())))
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        self.core.pool.jobs.set(self.core.pool.jobs.get() - 1);
        if !self.ended {
            self.core.emit_running(Kind::JobDropped { job: self.job });
        }
    }
}
