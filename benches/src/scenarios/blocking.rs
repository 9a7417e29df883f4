//! A job on the pool of threads and back: two threads waking each other through the kernel.

use crate::runtimes::Blocks;
use crate::scenario::{Figures, Goal, Row, Scenario, Unit, nanos_per};
use crate::scenarios::wait;
use mio::{Events, Poll as Poller, Token};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

const JOBS: usize = 500;

/// One job at a time.
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        id: "blocking",
        rows: vec![Row {
            title: "`spawn_blocking` round trip",
            unit: Unit::Micros,
            goals: vec![Goal::OfFloor(1.05)],
            note: "per job; the kernel's cost of waking two threads",
        }],
        contestants: crate::contestants!(
            bare(),
            work(),
            [tokio, tokio_set, smol, monoio, compio, glommio]
        ),
        isolated: false,
        max_rounds: usize::MAX,
    }]
}

/// The floor: one thread behind a mutex and a condition variable; the loop sleeps in its poller.
///
/// Nothing less would do the work: the job has to wake a thread that sleeps, and its result has
/// to wake the loop, which sleeps where its sockets could wake it as well.
fn bare() -> Figures {
    type Job = Box<dyn FnOnce() + Send>;
    let mut poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    let waker = Arc::new(mio::Waker::new(poller.registry(), Token(0)).unwrap());
    let queue = Arc::new((Mutex::new((VecDeque::<Job>::new(), true)), Condvar::new()));
    let results = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&queue);
    let worker = thread::spawn(move || {
        loop {
            let job = {
                let (lock, condition) = &*theirs;
                let mut state = lock.lock().unwrap();
                loop {
                    if let Some(job) = state.0.pop_front() {
                        break job;
                    }
                    if !state.1 {
                        return;
                    }
                    state = condition.wait(state).unwrap();
                }
            };
            job();
        }
    });
    let mut round_trip = |i: usize| {
        let (waker, theirs) = (Arc::clone(&waker), Arc::clone(&results));
        let job = Box::new(move || {
            theirs.lock().unwrap().push(black_box(i));
            waker.wake().unwrap();
        });
        queue.0.lock().unwrap().0.push_back(job);
        queue.1.notify_one();
        loop {
            wait(&mut poller, &mut events, None);
            if let Some(result) = results.lock().unwrap().pop() {
                break black_box(result);
            }
        }
    };
    round_trip(0);
    let start = Instant::now();
    for i in 0..JOBS {
        round_trip(i);
    }
    let figure = nanos_per(start, JOBS) / 1e3;
    queue.0.lock().unwrap().1 = false;
    queue.1.notify_one();
    worker.join().unwrap();
    vec![figure]
}

fn work<R: Blocks>() -> Figures {
    R::run(async {
        R::spawn(async {
            R::spawn_blocking(|| ()).await;
            let start = Instant::now();
            for i in 0..JOBS {
                black_box(R::spawn_blocking(move || black_box(i)).await);
            }
            vec![nanos_per(start, JOBS) / 1e3]
        })
        .await
    })
}
