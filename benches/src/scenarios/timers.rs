//! Timers: arming and dropping (most timers are timeouts that never fire), and firing in bulk.

use crate::runtimes::Sleeps;
use crate::scenario::{
    Contestant, Figures, Goal, Row, Scatter, Scenario, Unit, nanos, nanos_per, thread_cpu,
};
use crate::scenarios::wait;
use mio::{Events, Poll as Poller};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_millis(200);

/// Armed and dropped; fired.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            id: "timers-dropped",
            rows: vec![Row {
                title: "100,000 sleeps armed and dropped",
                unit: Unit::Nanos,
                goals: vec![Goal::OfBestPeer(0.3)],
                note: "per sleep; deadlines scattered over a minute",
            }],
            contestants: dropped_with(100_000),
            isolated: false,
            max_rounds: usize::MAX,
        },
        Scenario {
            id: "timers-fired",
            rows: vec![
                Row {
                    title: "100,000 sleeps fired over 200 ms: processor time",
                    unit: Unit::Nanos,
                    goals: vec![Goal::OfBestPeer(0.75)],
                    note: "per sleep, each in a task of its own",
                },
                Row {
                    title: "100,000 sleeps fired over 200 ms: the latest one's lateness",
                    unit: Unit::Millis,
                    goals: vec![Goal::AtMost(3.0)],
                    note: "behind its deadline",
                },
            ],
            contestants: crate::contestants!(
                bare_fired(),
                fired(),
                [tokio, tokio_set, smol, monoio, compio, glommio]
            ),
            isolated: false,
            max_rounds: usize::MAX,
        },
    ]
}

/// The contestants for `sleeps` armed and dropped, in one task. glommio is not among them: it
/// counts a task's wakers in 16 bits and panics at 32,767 of them.
pub fn dropped_with(sleeps: usize) -> Vec<Contestant> {
    crate::contestants!(
        bare_dropped(sleeps),
        dropped(sleeps),
        [tokio, tokio_set, smol, monoio, compio]
    )
}

fn timeout_length(scatter: &mut Scatter) -> Duration {
    Duration::from_micros(1_000_000 + scatter.below(60_000_000))
}

/// The floor: a list of deadlines, each with the number of the task to wake; dropping takes the
/// number away.
///
/// Nothing less would do the work: each timer has to read the clock, since a duration starts
/// when it is first waited for; it outlives the poll, so it remembers which task to wake; a
/// number is enough, as the loop alone wakes its sleepers. And a dropped one must wake no task. The
/// deadlines need an order when the loop next looks for the earliest, and here none is left then.
fn bare_dropped(sleeps: usize) -> Figures {
    let mut timers: Vec<(Instant, Option<usize>)> = Vec::with_capacity(sleeps);
    let mut pass = || {
        let mut scatter = Scatter(1);
        for task in 0..sleeps {
            let deadline = Instant::now() + timeout_length(&mut scatter);
            timers.push(black_box((deadline, Some(task))));
        }
        let mut armed = timers.len();
        for (_, task) in &mut timers {
            *black_box(task) = None;
            armed -= 1;
        }
        if armed == 0 {
            timers.clear();
        }
    };
    pass();
    let start = Instant::now();
    pass();
    vec![nanos_per(start, sleeps)]
}

pub(super) fn dropped<R: Sleeps>(sleeps: usize) -> Figures {
    R::run(async move {
        R::spawn(async move {
            let mut figure = 0.0;
            // The first pass grows the tables of the runtime and is not measured.
            for _ in 0..2 {
                let mut scatter = Scatter(1);
                let mut armed = Vec::with_capacity(sleeps);
                let start = Instant::now();
                for _ in 0..sleeps {
                    let mut sleep = Box::pin(R::sleep(timeout_length(&mut scatter)));
                    poll_fn(|cx| {
                        assert!(sleep.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                    armed.push(sleep);
                }
                drop(armed);
                figure = nanos_per(start, sleeps);
            }
            vec![figure]
        })
        .await
    })
}

const FIRED: usize = 100_000;

/// The floor: a queue of boxed closures that arm a deadline in a binary heap; the heap is looked
/// at between them, so that a long queue does not make timers late; the poller sleeps.
///
/// Nothing less would do the work: the deadlines come in no order, so something has to sort
/// them; what is to be done when one is reached is behind a pointer; and the thread has to sleep
/// in the poller, because sockets would have to wake it as well.
fn bare_fired() -> Figures {
    type Heap = BinaryHeap<Reverse<(Instant, usize)>>;
    type Sleeper = Option<Box<dyn FnOnce()>>;
    type Job = Box<dyn FnOnce(&mut Heap, &mut [Sleeper])>;
    let latest = Rc::new(Cell::new(Duration::ZERO));
    let mut poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    let mut heap = Heap::with_capacity(FIRED);
    let mut sleepers: Vec<Sleeper> = Vec::with_capacity(FIRED);
    let mut queue: VecDeque<Job> = VecDeque::with_capacity(FIRED);
    let mut scatter = Scatter(1);
    let cpu = thread_cpu();
    for index in 0..FIRED {
        let duration = scattered(&mut scatter);
        let latest = Rc::clone(&latest);
        queue.push_back(Box::new(move |heap, sleepers| {
            let deadline = Instant::now() + duration;
            heap.push(Reverse((deadline, index)));
            sleepers[index] = Some(Box::new(move || {
                latest.set(latest.get().max(deadline.elapsed()));
            }));
        }));
        sleepers.push(None);
    }
    loop {
        for _ in 0..64 {
            let Some(job) = queue.pop_front() else { break };
            job(&mut heap, &mut sleepers);
        }
        let now = Instant::now();
        while let Some(&Reverse((deadline, index))) = heap.peek() {
            if deadline > now {
                break;
            }
            heap.pop();
            sleepers[index].take().unwrap()();
        }
        if queue.is_empty() {
            let Some(Reverse((deadline, _))) = heap.peek() else {
                break;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            wait(&mut poller, &mut events, Some(left));
        }
    }
    vec![nanos(thread_cpu() - cpu) / FIRED as f64, latest.get().as_secs_f64() * 1e3]
}

fn scattered(scatter: &mut Scatter) -> Duration {
    Duration::from_nanos(scatter.below(u64::try_from(SPAN.as_nanos()).unwrap()))
}

pub(super) fn fired<R: Sleeps>() -> Figures {
    R::run(async {
        R::spawn(async {
            let latest = Rc::new(Cell::new(Duration::ZERO));
            let mut scatter = Scatter(1);
            let cpu = thread_cpu();
            let sleepers: Vec<_> = (0..FIRED)
                .map(|_| {
                    let duration = scattered(&mut scatter);
                    let latest = Rc::clone(&latest);
                    R::spawn(async move {
                        let deadline = Instant::now() + duration;
                        R::sleep(duration).await;
                        latest.set(latest.get().max(deadline.elapsed()));
                    })
                })
                .collect();
            for sleeper in sleepers {
                sleeper.await;
            }
            vec![nanos(thread_cpu() - cpu) / FIRED as f64, latest.get().as_secs_f64() * 1e3]
        })
        .await
    })
}
