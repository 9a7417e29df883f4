#![forbid(unsafe_code)]
//! What a spawn allocates once the runtime has run for a while. A program of its own, without the
//! test harness: the count is of the whole process.

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
}
