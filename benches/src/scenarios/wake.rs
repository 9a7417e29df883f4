//! Wakers: waking a task that is already scheduled, cloning, and waking a sleeping loop from
//! another thread.

use crate::runtimes::Spawns;
use crate::scenario::{Contestant, Figures, Goal, Row, Scenario, Unit, nanos, nanos_per};
use crate::scenarios::wait;
use mio::{Events, Poll as Poller, Token};
#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::cell::OnceCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const WAKES: usize = 100_000;
/// Few, and many rounds: how soon a core that idles is up again changes with the neighbours, by the second.
const REMOTE_WAKES: usize = 20;
/// Long enough for the loop to be asleep and its core to be idle.
const FALL_ASLEEP: Duration = Duration::from_millis(1);

/// The three of them.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "wake-scheduled",
            "wake of an already scheduled task",
            Unit::Nanos,
            "",
            vec![Goal::OfBestPeer(1.0)],
            crate::contestants!(
                bare_scheduled(),
                scheduled(),
                [tokio, tokio_set, smol, futures, monoio, compio, glommio]
            ),
        ),
        scenario(
            "waker-clone",
            "waker clone + drop",
            Unit::Nanos,
            "",
            vec![Goal::OfFloor(1.05)],
            crate::contestants!(
                bare_clone(),
                clone(),
                [tokio, tokio_set, smol, futures, monoio, compio, glommio]
            ),
        ),
        scenario(
            "wake-remote",
            "wake from another thread, asleep",
            Unit::Micros,
            "from a core on which the loop does not run",
            vec![Goal::OfFloor(1.1)],
            crate::contestants!(
                bare_remote(),
                remote(),
                [tokio, tokio_set, smol, futures, monoio, compio, glommio]
            ),
        ),
    ]
}

fn scenario(
    id: &'static str,
    title: &'static str,
    unit: Unit,
    note: &'static str,
    goals: Vec<Goal>,
    contestants: Vec<Contestant>,
) -> Scenario {
    let rows = vec![Row { title, unit, goals, note }];
    Scenario::new(id, rows, contestants)
}

/// A waker that remembers whether its task is scheduled.
struct Flag {
    scheduled: AtomicBool,
}

impl Flag {
    fn waker() -> Waker {
        Waker::from(Arc::new(Self { scheduled: AtomicBool::new(false) }))
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.scheduled.load(Ordering::Relaxed) {
            self.scheduled.store(true, Ordering::Relaxed);
        }
    }
}

/// The floor: a look at one bit.
///
/// Nothing less would do the work: `Waker` calls through a table of functions, and a second wake has to
/// find out that a first one went before it. This is enough only where no other thread has the waker:
/// if one saw by a load that the bit is set, what it wrote before could still be on its way when the
/// loop clears the bit and polls, and that poll would be the last. So a runtime needs a locked
/// instruction here, or has to know whose thread it is on: that is its distance from the floor.
fn bare_scheduled() -> Figures {
    let waker = Flag::waker();
    waker.wake_by_ref();
    let start = Instant::now();
    for _ in 0..WAKES {
        black_box(&waker).wake_by_ref();
    }
    vec![nanos_per(start, WAKES)]
}

/// One task wakes another, which stands in the ready queue meanwhile.
fn scheduled<R: Spawns>() -> Figures {
    R::run(async {
        R::spawn(async {
            let kept = Rc::new(OnceCell::new());
            let theirs = Rc::clone(&kept);
            let woken = R::spawn(poll_fn(move |cx| match theirs.set(cx.waker().clone()) {
                Ok(()) => Poll::Pending,
                Err(_) => Poll::Ready(()),
            }));
            while kept.get().is_none() {
                R::spawn(async {}).await;
            }
            let waker: &Waker = kept.get().unwrap();
            waker.wake_by_ref();
            let start = Instant::now();
            for _ in 0..WAKES {
                black_box(waker).wake_by_ref();
            }
            let figures = vec![nanos_per(start, WAKES)];
            woken.await;
            figures
        })
        .await
    })
}

/// The floor: an `Arc` behind the standard library's `Waker`. A waker may be cloned and dropped on
/// any thread, so its owners have to be counted by an atomic.
fn bare_clone() -> Figures {
    let waker = Flag::waker();
    let start = Instant::now();
    for _ in 0..WAKES {
        drop(black_box(black_box(&waker).clone()));
    }
    vec![nanos_per(start, WAKES)]
}

fn clone<R: Spawns>() -> Figures {
    R::run(async {
        R::spawn(poll_fn(|cx| {
            let waker = cx.waker();
            let start = Instant::now();
            for _ in 0..WAKES {
                drop(black_box(black_box(waker).clone()));
            }
            Poll::Ready(vec![nanos_per(start, WAKES)])
        }))
        .await
    })
}

/// Keeps the loop's thread off one core until it is dropped, and leaves that core to the other thread.
///
/// Left to itself, the kernel has both on one core in some rounds, where a wake is a change of threads that
/// takes a tenth of the time, and on two in others.
struct Apart {
    #[cfg(target_os = "linux")]
    before: CpuSet,
}

#[cfg(target_os = "linux")]
impl Apart {
    /// The guard, and what the other thread has to call first. On a single core they share it.
    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let before = sched_getaffinity(None).unwrap();
        let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| before.is_set(cpu)).unwrap();
        let (mut ours, mut theirs) = (before, CpuSet::new());
        if before.count() > 1 {
            ours.unset(last);
        }
        theirs.set(last);
        sched_setaffinity(None, &ours).unwrap();
        (Self { before }, move || sched_setaffinity(None, &theirs).unwrap())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.before).unwrap();
    }
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    /// Only Linux is told where to run what.
    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        (Self {}, || ())
    }
}

/// The other thread: asked, it lets the loop fall asleep, notes the time and wakes it.
fn waking_thread(
    wake: impl Fn(Instant) + Send + 'static,
) -> (mpsc::Sender<()>, JoinHandle<()>, Apart) {
    let (ask, asked) = mpsc::channel::<()>();
    let (apart, go_there) = Apart::new();
    let thread = thread::spawn(move || {
        go_there();
        while asked.recv().is_ok() {
            thread::sleep(FALL_ASLEEP);
            wake(Instant::now());
        }
    });
    (ask, thread, apart)
}

/// The floor: the poller asleep in the kernel, woken by the poller's own waker.
///
/// Nothing less would do the work: the loop sleeps where its sockets can wake it too, so a
/// thread has to reach it through the poller, and the kernel has to get a core out of its idleness.
fn bare_remote() -> Figures {
    let mut poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    let waker = mio::Waker::new(poller.registry(), Token(0)).unwrap();
    let woken = Arc::new(Mutex::new(None));
    let theirs = Arc::clone(&woken);
    let (ask, thread, _apart) = waking_thread(move |now| {
        *theirs.lock().unwrap() = Some(now);
        waker.wake().unwrap();
    });
    let mut total = Duration::ZERO;
    for _ in 0..REMOTE_WAKES {
        ask.send(()).unwrap();
        let at = loop {
            if let Some(at) = woken.lock().unwrap().take() {
                break at;
            }
            wait(&mut poller, &mut events, None);
        };
        total += at.elapsed();
    }
    drop(ask);
    thread.join().unwrap();
    vec![nanos(total) / REMOTE_WAKES as f64 / 1e3]
}

#[derive(Default)]
struct Shared {
    woken: Option<Instant>,
    waker: Option<Waker>,
}

fn remote<R: Spawns>() -> Figures {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let theirs = Arc::clone(&shared);
    let (ask, thread, _apart) = waking_thread(move |now| {
        let waker = {
            let mut shared = theirs.lock().unwrap();
            shared.woken = Some(now);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    let figures = R::run(async move {
        R::spawn(async move {
            let mut total = Duration::ZERO;
            for _ in 0..REMOTE_WAKES {
                ask.send(()).unwrap();
                let at = poll_fn(|cx| {
                    let mut shared = shared.lock().unwrap();
                    if let Some(at) = shared.woken.take() {
                        return Poll::Ready(at);
                    }
                    shared.waker = Some(cx.waker().clone());
                    Poll::Pending
                });
                total += at.await.elapsed();
            }
            vec![nanos(total) / REMOTE_WAKES as f64 / 1e3]
        })
        .await
    });
    thread.join().unwrap();
    figures
}
