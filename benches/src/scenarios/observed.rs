//! What being observed costs: the same storm of yields without a recorder, with the core's ring, and
//! with the microscope's, which also keeps a model of all that its ring has forgotten.

use super::yield_::Yield;
use crate::scenario::{Contestant, Figures, Goal, OURS, Row, Scenario, Unit, nanos_per};
use mainspring::observe;
use mainspring::{Builder, Runtime};
use std::time::Instant;

/// Events kept by each ring: it fills up and evicts many times in a round.
const RING: usize = 1 << 12;

/// One task and a thousand.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        storm(
            "observed-1",
            ["yield, 1 task × 200,000: a ring adds", "yield, 1 task: the microscope adds"],
            (1, 200_000),
        ),
        storm(
            "observed-1k",
            ["yield, 1,000 tasks × 200: a ring adds", "yield, 1,000 tasks: the microscope adds"],
            (1_000, 200),
        ),
    ]
}

fn storm(id: &'static str, titles: [&'static str; 2], (tasks, yields): (usize, usize)) -> Scenario {
    let notes = ["per poll, to one without", "per poll, to one without"];
    let goals = [40.0, 90.0];
    let rows = (0..2).map(|row| Row {
        title: titles[row],
        unit: Unit::Nanos,
        goals: vec![Goal::AtMost(goals[row])],
        note: notes[row],
    });
    Scenario {
        id,
        rows: rows.collect(),
        contestants: vec![Contestant::new(OURS, move || added(tasks, yields))],
        isolated: false,
        max_rounds: usize::MAX,
    }
}

/// All three in turn, so that whatever the machine does meanwhile hits them alike.
fn added(tasks: usize, yields: usize) -> Figures {
    let without = polls(Runtime::builder(), tasks, yields);
    let ring = observe::Recorder::ring(RING);
    let with_ring = polls(Runtime::builder().observer(ring.observer()), tasks, yields);
    let microscope = mainspring_microscope::Recorder::ring(RING);
    let with_all = polls(Runtime::builder().observer(microscope.observer()), tasks, yields);
    let most = 3 * (tasks * yields) as u64;
    assert!(ring.told() > most && microscope.told() > most, "nothing has been recorded");
    vec![with_ring - without, with_all - without]
}

fn polls(builder: Builder, tasks: usize, yields: usize) -> f64 {
    let mut runtime = builder.build().expect("the operating system gives a poller");
    runtime.block_on(async move {
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                mainspring::spawn(async move {
                    for _ in 0..yields {
                        Yield::new().await;
                    }
                })
            })
            .collect();
        let start = Instant::now();
        for handle in handles {
            handle.await.expect("a task that only yields ends");
        }
        nanos_per(start, tasks * yields)
    })
}
