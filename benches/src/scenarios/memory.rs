//! Memory: what an idle task and an idle connection hold, by the process's resident pages.

use crate::runtimes::{Connects, Duplex, Spawns};
use crate::scenario::{Contestant, Figures, Goal, Row, Scenario, Unit};
use crate::scenarios::echo::bare_pairs;
use mio::{Interest, Poll as Poller, Token};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

const TASKS: usize = 1_000_000;
const ENDS: usize = 10_000;
/// Connections that are opened at a time, so that the list of them is small: the allocator may or may not
/// give back a large one before the figure is taken.
const LOT: usize = 50;

/// A million tasks, 10,000 ends.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "memory-task",
            "memory per idle task, its waker nowhere (1,000,000)",
            vec![Goal::AtMost(176.0)],
            crate::contestants!(
                bare_tasks(idle),
                tasks(),
                [tokio, tokio_set, smol, futures, monoio, compio, glommio]
            ),
        ),
        scenario(
            "memory-waker",
            "memory per idle task, its waker stored (1,000,000)",
            vec![],
            crate::contestants!(
                bare_waiting(),
                waiting_tasks(),
                [tokio, tokio_set, smol, futures, monoio, compio, glommio]
            ),
        ),
        scenario(
            "memory-tcp",
            "memory per idle TCP end (10,000)",
            vec![Goal::AtMost(330.0)],
            crate::contestants!(
                bare_ends(),
                ends(),
                [tokio, tokio_set, smol, monoio, monoio_uring, compio, glommio]
            ),
        ),
    ]
}

fn scenario(
    id: &'static str,
    title: &'static str,
    goals: Vec<Goal>,
    contestants: Vec<Contestant>,
) -> Scenario {
    let rows = vec![Row { title, unit: Unit::Bytes, goals, note: "resident, user space" }];
    Scenario { id, rows, contestants, isolated: true, max_rounds: 3 }
}

/// The process's resident memory in bytes.
pub fn resident() -> f64 {
    status("VmRSS:")
}

/// The same without what of its program has been read from disk so far, which is more the larger the
/// program.
pub fn resident_data() -> f64 {
    status("RssAnon:")
}

/// The highest the process's resident memory has been, in bytes.
pub fn peak_resident() -> f64 {
    status("VmHWM:")
}

fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.map_or(f64::NAN, |kibibytes| kibibytes * 1024.0)
}

/// The floor: a boxed future, a waker that knows the number of its task and where the queue is,
/// and a place in a table, with room for who waits for the task; its number in the ready queue
/// and in the handle.
///
/// Nothing less would do the work: the future is of any type, so it is boxed; the waker is held
/// by strangers on any thread, so it is counted by itself and holds no future.
fn bare_tasks<F: Future<Output = ()> + 'static>(mut task: impl FnMut(usize) -> F) -> Figures {
    #[expect(dead_code, reason = "only their size matters here")]
    struct WakerCell {
        queue: Arc<AtomicBool>,
        slot: u32,
        queued: AtomicBool,
    }
    impl Wake for WakerCell {
        fn wake(self: Arc<Self>) {}
    }
    type Slot = (Pin<Box<dyn Future<Output = ()>>>, Arc<WakerCell>, Option<Waker>);
    let queue = Arc::new(AtomicBool::new(false));
    let before = resident_data();
    let mut slots: Vec<Slot> = Vec::with_capacity(TASKS);
    let mut ready = VecDeque::with_capacity(TASKS);
    let mut handles = Vec::with_capacity(TASKS);
    for slot in 0..TASKS {
        let cell = Arc::new(WakerCell {
            queue: Arc::clone(&queue),
            slot: u32::try_from(slot).unwrap(),
            queued: AtomicBool::new(true),
        });
        let mut future = Box::pin(task(slot));
        let waker = Waker::from(Arc::clone(&cell));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        slots.push((future, cell, None));
        ready.push_back(slot);
        handles.push(slot);
    }
    leave((resident_data() - before) / TASKS as f64)
}

/// Ends the process with this figure: it holds a million tasks or 10,000 sockets, and how long it
/// takes to take them apart (some runtimes take minutes) is not what is measured.
fn leave(figure: f64) -> ! {
    println!("{figure}");
    std::process::exit(0)
}

thread_local! {
    static IDLE: Cell<usize> = const { Cell::new(0) };
}

async fn idle(mut number: usize) {
    IDLE.set(IDLE.get() + 1);
    pending::<()>().await;
    number += 1;
    std::hint::black_box(number);
}

/// Where a task's waker is kept: the task and the one who is to wake it share the place.
type Place = Rc<RefCell<Option<Waker>>>;

/// Idle as most tasks are, with its waker stored. The place takes 48 bytes of the allocator's, and 8
/// in the list of those to be woken; they are in every figure.
fn waiting(mut number: usize, places: &mut Vec<Place>) -> impl Future<Output = ()> + use<> {
    let place = Place::default();
    places.push(Rc::clone(&place));
    async move {
        IDLE.set(IDLE.get() + 1);
        poll_fn(|cx| {
            place.replace(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })
        .await;
        number += 1;
        std::hint::black_box(number);
    }
}

fn places() -> Vec<Place> {
    Vec::with_capacity(TASKS)
}

fn bare_waiting() -> Figures {
    let mut places = places();
    bare_tasks(|number| waiting(number, &mut places))
}

fn tasks<R: Spawns>() -> Figures {
    hold::<R, _>(idle)
}

fn waiting_tasks<R: Spawns>() -> Figures {
    let mut places = places();
    hold::<R, _>(move |number| waiting(number, &mut places))
}

/// Waiting for a task and not by yields: monoio would poll the one who yields again and again.
fn hold<R: Spawns, F: Future<Output = ()> + 'static>(
    mut task: impl FnMut(usize) -> F + 'static,
) -> Figures {
    R::run(async {
        R::spawn(async move {
            let before = resident_data();
            let mut handles = Vec::with_capacity(TASKS);
            for number in 0..TASKS {
                handles.push(R::spawn(task(number)));
            }
            while IDLE.get() < TASKS {
                R::spawn(async {}).await;
            }
            leave((resident_data() - before) / TASKS as f64)
        })
        .await
    })
}

/// The floor: a socket in a table beside a buffer for what it may say, registered with the
/// poller.
///
/// Nothing less would do the work: each end has to be found by the number the poller gives, and
/// needs a place for what it will do next.
fn bare_ends() -> Figures {
    let pairs = bare_pairs(ENDS / 2);
    let poller = Poller::new().unwrap();
    let before = resident_data();
    type Then = Box<dyn FnMut(usize) -> bool>;
    let mut ends: Vec<(mio::net::TcpStream, Vec<u8>, Then)> = Vec::with_capacity(ENDS);
    for stream in pairs.into_iter().flat_map(<[_; 2]>::from) {
        let mut left = usize::MAX;
        let then: Then = Box::new(move |n| {
            left -= n;
            left > 0
        });
        ends.push((stream, vec![0; 16], then));
        let token = Token(ends.len() - 1);
        poller.registry().register(&mut ends[token.0].0, token, Interest::READABLE).unwrap();
    }
    leave((resident_data() - before) / ENDS as f64)
}

fn ends<R: Connects>() -> Figures {
    R::run(async {
        R::spawn(async {
            let before = resident_data();
            for _ in 0..ENDS / 2 / LOT {
                for (one, other) in R::pairs(LOT).await {
                    R::spawn_detached(listen(one));
                    R::spawn_detached(listen(other));
                }
            }
            while IDLE.get() < ENDS {
                R::spawn(async {}).await;
            }
            leave((resident_data() - before) / ENDS as f64)
        })
        .await
    })
}

/// An `async` block, so that the stream is kept once: see [`Duplex`].
#[expect(clippy::manual_async_fn, reason = "an async fn would keep its argument twice")]
fn listen(mut stream: impl Duplex) -> impl Future<Output = ()> {
    async move {
        let mut buffer = vec![0; 16];
        IDLE.set(IDLE.get() + 1);
        loop {
            let n;
            (n, buffer) = stream.read(buffer).await;
            if n == 0 {
                break;
            }
        }
    }
}
