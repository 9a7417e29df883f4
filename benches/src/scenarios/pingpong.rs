//! Two tasks that wake each other in turn: what it costs to hand over to another task.

use crate::runtimes::Spawns;
use crate::scenario::{Figures, Goal, Row, Scenario, Unit, nanos_per};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

const ROUND_TRIPS: usize = 100_000;

/// Two tasks.
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        id: "ping-pong",
        rows: vec![Row {
            title: "ping-pong of two tasks by waker",
            unit: Unit::Nanos,
            goals: vec![Goal::OfBestPeer(0.65)],
            note: "per round trip",
        }],
        contestants: crate::contestants!(
            bare(),
            work(),
            [tokio, tokio_set, smol, futures, monoio, compio, glommio]
        ),
        isolated: false,
        max_rounds: usize::MAX,
    }]
}

/// The floor: two boxed closures; each hands the other's number to the ready queue.
///
/// Nothing less would do the work: a waker knows a task by some name, the queue holds the names
/// of those that were woken, and a table leads from the name to the code.
fn bare() -> Figures {
    type Job = Box<dyn FnMut(&mut VecDeque<usize>)>;
    let mut queue = VecDeque::from([0]);
    let mut jobs: Vec<Option<Job>> = [1, 0]
        .into_iter()
        .map(|other| {
            let mut left = ROUND_TRIPS;
            let job: Job = Box::new(move |queue| {
                if left > 0 {
                    left = black_box(left - 1);
                    queue.push_back(other);
                }
            });
            Some(job)
        })
        .collect();
    let start = Instant::now();
    while let Some(name) = queue.pop_front() {
        let mut job = jobs[name].take().unwrap();
        job(&mut queue);
        jobs[name] = Some(job);
    }
    vec![nanos_per(start, ROUND_TRIPS)]
}

/// The same on a runtime.
pub(super) fn work<R: Spawns>() -> Figures {
    R::run(async {
        R::spawn(async {
            let table = Rc::new(Table::default());
            let start = Instant::now();
            let ping = R::spawn(play(Rc::clone(&table), 0));
            let pong = R::spawn(play(table, 1));
            ping.await;
            pong.await;
            vec![nanos_per(start, ROUND_TRIPS)]
        })
        .await
    })
}

#[derive(Default)]
struct Table {
    /// Whose turn it is.
    turn: Cell<usize>,
    wakers: [RefCell<Option<Waker>>; 2],
}

async fn play(table: Rc<Table>, me: usize) {
    let other = 1 - me;
    for _ in 0..ROUND_TRIPS {
        my_turn(&table, me).await;
        table.turn.set(other);
        let waker = table.wakers[other].borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn my_turn(table: &Table, me: usize) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        if table.turn.get() == me {
            return Poll::Ready(());
        }
        *table.wakers[me].borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
}
