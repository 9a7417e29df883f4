//! Spawning tasks and joining them: what starting a piece of work costs.

use crate::runtimes::Spawns;
use crate::scenario::{Figures, Goal, Row, Scenario, Unit, nanos_per};
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

/// 1,000 and 100,000 tasks at once.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            id: "spawn-1k",
            rows: vec![Row {
                title: "spawn + join, 1,000 tasks",
                unit: Unit::Nanos,
                goals: vec![Goal::OfFloor(1.6)],
                note: "per task",
            }],
            contestants: with(1_000, 100),
            isolated: false,
            max_rounds: usize::MAX,
        },
        Scenario {
            id: "spawn-100k",
            rows: vec![Row {
                title: "spawn + join, 100,000 tasks",
                unit: Unit::Nanos,
                goals: vec![Goal::OfFloor(1.7)],
                note: "per task",
            }],
            contestants: with(100_000, 1),
            isolated: false,
            max_rounds: usize::MAX,
        },
    ]
}

/// The contestants for `tasks` at once, `repeats` times over in one runtime, the first time
/// unmeasured: a server that has been up for a minute has its tables grown.
pub fn with(tasks: usize, repeats: usize) -> Vec<crate::scenario::Contestant> {
    crate::contestants!(
        bare(tasks, repeats),
        work(tasks, repeats),
        [tokio, tokio_set, smol, futures, monoio, compio, glommio]
    )
}

/// The floor: a queue of boxed closures that put their results into a table.
///
/// Nothing less would do the work: jobs of different types can stand in one queue only behind a
/// pointer, which is an allocation; a result has to stay somewhere when its job is gone, and a
/// place in a table, known by its number, is the cheapest somewhere.
fn bare(tasks: usize, repeats: usize) -> Figures {
    let mut queue: VecDeque<Box<dyn FnOnce()>> = VecDeque::new();
    let results: Rc<Vec<Cell<Option<usize>>>> = Rc::new(vec![Cell::new(None); tasks]);
    let mut handles = Vec::with_capacity(tasks);
    let mut pass = || {
        for i in 0..tasks {
            let table = Rc::clone(&results);
            handles.push(i);
            queue.push_back(Box::new(move || table[i].set(Some(black_box(i)))));
        }
        while let Some(job) = queue.pop_front() {
            job();
        }
        for handle in handles.drain(..) {
            black_box(results[handle].take().unwrap());
        }
    };
    pass();
    let start = Instant::now();
    for _ in 0..repeats {
        pass();
    }
    vec![nanos_per(start, tasks * repeats)]
}

/// The same on a runtime.
pub(super) fn work<R: Spawns>(tasks: usize, repeats: usize) -> Figures {
    async fn pass<H: Future<Output = usize>>(
        handles: &mut Vec<H>,
        tasks: usize,
        spawn: impl Fn(usize) -> H,
    ) {
        for i in 0..tasks {
            handles.push(spawn(i));
        }
        for handle in handles.drain(..) {
            black_box(handle.await);
        }
    }
    R::run(async move {
        R::spawn(async move {
            let spawn = |i| R::spawn(async move { black_box(i) });
            let mut handles = Vec::with_capacity(tasks);
            pass(&mut handles, tasks, spawn).await;
            let start = Instant::now();
            for _ in 0..repeats {
                pass(&mut handles, tasks, spawn).await;
            }
            vec![nanos_per(start, tasks * repeats)]
        })
        .await
    })
}
