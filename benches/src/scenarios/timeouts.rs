//! Timeouts: what it costs to put one around a future that answers in time.

use crate::runtimes::Sleeps;
use crate::scenario::{Contestant, Figures, Goal, Row, Scenario, Unit, nanos_per};
use crate::scenarios::yield_::Yield;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future;
use std::hint::black_box;
use std::time::{Duration, Instant};

const TIMEOUTS: usize = 100_000;
const LONG: Duration = Duration::from_secs(30);

/// Around a ready future, and around one that is pending once.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "timeout-ready",
            "timeout around a ready future",
            vec![Goal::OfBestPeer(4.0 / 5.1)],
            crate::contestants!(
                bare_ready(),
                ready(),
                [tokio, tokio_set, smol, monoio, compio, glommio]
            ),
        ),
        scenario(
            "timeout-pending",
            "timeout around a future pending once",
            vec![Goal::OfBestPeer(0.5)],
            crate::contestants!(
                bare_pending(),
                pending(),
                [tokio, tokio_set, smol, monoio, compio, glommio]
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
    let rows = vec![Row { title, unit: Unit::Nanos, goals, note: "30 s, never reached" }];
    Scenario::new(id, rows, contestants)
}

/// The floor: a call through a pointer that answers at once.
///
/// Nothing less would do the work: the answer may be there already, so it is asked for first,
/// and as it is there no deadline is needed, nor the clock.
fn bare_ready() -> Figures {
    let answer: Box<dyn Fn(usize) -> Option<usize>> = Box::new(|i| Some(black_box(i)));
    let start = Instant::now();
    for i in 0..TIMEOUTS {
        black_box(black_box(&answer)(i).unwrap());
    }
    vec![nanos_per(start, TIMEOUTS)]
}

fn ready<R: Sleeps>() -> Figures {
    R::run(async {
        R::spawn(async {
            let start = Instant::now();
            for i in 0..TIMEOUTS {
                let answer = R::timeout(LONG, future::ready(black_box(i))).await;
                black_box(answer.unwrap());
            }
            vec![nanos_per(start, TIMEOUTS)]
        })
        .await
    })
}

/// The floor: a boxed closure goes once more through a queue, and a deadline through a heap.
///
/// Nothing less would do the work: while the answer is awaited the deadline has to be known to
/// the loop, which takes a look at the clock, an entry among the sorted ones and its removal.
fn bare_pending() -> Figures {
    let mut heap = BinaryHeap::new();
    let mut queue: VecDeque<Box<dyn FnMut() -> bool>> = VecDeque::new();
    let mut left = TIMEOUTS;
    queue.push_back(Box::new(move || {
        left = black_box(left - 1);
        left > 0
    }));
    let start = Instant::now();
    while let Some(mut job) = queue.pop_front() {
        heap.push(Reverse(Instant::now() + LONG));
        if job() {
            queue.push_back(job);
        }
        black_box(heap.pop());
    }
    vec![nanos_per(start, TIMEOUTS)]
}

fn pending<R: Sleeps>() -> Figures {
    R::run(async {
        R::spawn(async {
            let start = Instant::now();
            for _ in 0..TIMEOUTS {
                R::timeout(LONG, Yield::new()).await.unwrap();
            }
            vec![nanos_per(start, TIMEOUTS)]
        })
        .await
    })
}
