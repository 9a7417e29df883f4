//! The same seed, the same run; and what is not so is found.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mainspring::time::{Clock, sleep};
use mainspring::{Runtime, Scheduler, spawn};
use mainspring_microscope::{Recorder, check_determinism, explore};

fn runtime(seed: u64, recorder: &Recorder) -> Runtime {
    Runtime::builder()
        .clock(Clock::Virtual)
        .scheduler(Scheduler::Seeded(seed))
        .observer(recorder.observer())
        .build()
        .unwrap()
}

/// Tasks that write their numbers as they are polled.
fn race(seed: u64, recorder: &Recorder) -> Vec<u32> {
    let order = Rc::new(RefCell::new(Vec::new()));
    let written = order.clone();
    runtime(seed, recorder).block_on(async move {
        let writer = |n: u32| {
            let order = written.clone();
            spawn(async move {
                sleep(Duration::from_millis(5)).await;
                order.borrow_mut().push(n);
            })
        };
        for handle in (0..4).map(writer).collect::<Vec<_>>() {
            handle.await.unwrap();
        }
    });
    order.take()
}

#[test]
fn one_seed_gives_one_run() {
    let run = |seed, recorder: &Recorder| {
        race(seed, recorder);
    };
    let seven = check_determinism(7, run).unwrap();
    assert_eq!(check_determinism(7, run).unwrap(), seven);
    assert_ne!(check_determinism(8, run).unwrap(), seven);
}

#[test]
fn a_program_that_brings_chance_along_is_found_out() {
    let runs = Cell::new(0);
    let difference = check_determinism(7, |seed, recorder| {
        runs.set(runs.get() + 1);
        let extra = runs.get() == 2;
        runtime(seed, recorder).block_on(async move {
            sleep(Duration::from_millis(1)).await;
            if extra {
                sleep(Duration::from_millis(1)).await;
            }
        });
    })
    .unwrap_err();
    let said = difference.to_string();
    assert!(said.starts_with("two runs with seed 7 part at event "), "{said}");
    assert!(said.contains("in the first run:") && said.contains("returns its value"), "{said}");
    assert!(said.contains("in the second run:") && said.contains("arms timer #2"), "{said}");
    assert_eq!(said.lines().count(), 10);
}

#[test]
fn an_order_that_nothing_promises_is_explored() {
    let different = explore(0..50, |seed, recorder| drop(race(seed, recorder))).unwrap();
    assert!(different > 10, "{different}");
    let bug = explore(0..50, |seed, recorder| {
        let order = race(seed, recorder);
        assert!(order[0] == 0, "task 0 is not the first");
    })
    .unwrap_err();
    assert_eq!(bug.message, "task 0 is not the first");
    assert!(bug.to_string().starts_with(&format!("seed {}: task 0", bug.seed)), "{bug}");
    // The seed shows it again.
    assert_ne!(race(bug.seed, &Recorder::default())[0], 0);
}
