#![forbid(unsafe_code)]
//! What a spawn allocates once the runtime has run for a while, ours and the floor's that it is measured
//! against. A program of its own, without the test harness: the count is of the whole process.

use mainspring_benches::scenario::{Contestant, FLOOR, OURS};
use mainspring_benches::scenarios::spawn;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TASKS: u32 = 1_000;

/// Spawns as many tasks as fit the table and joins them.
async fn pass(handles: &mut Vec<mainspring::JoinHandle<u32>>) -> u32 {
    for number in 0..TASKS {
        handles.push(mainspring::spawn(async move {
            mainspring::future::yield_now().await;
            number
        }));
    }
    let mut sum = 0;
    for handle in handles.drain(..) {
        sum += handle.await.expect("the task ends");
    }
    sum
}

/// What the benchmark's tasks allocate, each time that they are spawned but the first.
fn benchmark(name: &str, contestants: fn(usize, usize) -> Vec<Contestant>) -> usize {
    let count = |repeats| {
        let contestants = contestants(TASKS as usize, repeats);
        let contestant = contestants.iter().find(|one| one.name == name).expect("takes part");
        let region = Region::new(ALLOCATOR);
        (contestant.round)();
        region.change().allocations
    };
    let once = count(1);
    count(2) - once
}

fn main() {
    let allocations = mainspring::run(async {
        let mut handles = Vec::new();
        let expected = TASKS * (TASKS - 1) / 2;
        assert_eq!(pass(&mut handles).await, expected);
        assert_eq!(pass(&mut handles).await, expected);
        let region = Region::new(ALLOCATOR);
        assert_eq!(pass(&mut handles).await, expected);
        region.change().allocations
    });
    assert_eq!(allocations, 0, "for {TASKS} tasks spawned, yielding once and joined");
    println!("test a spawn in steady state allocates nothing ... ok");
    assert_eq!([FLOOR, OURS].map(|name| benchmark(name, spawn::with)), [0, 0]);
    assert_eq!([FLOOR, OURS].map(|name| benchmark(name, spawn::with_types)), [0, 1_000]);
    println!("test the floor of a spawn allocates nothing either, nor with four types ... ok");
}
