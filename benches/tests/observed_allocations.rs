#![forbid(unsafe_code)]
//! What being observed allocates once a ring has filled up. A program of its own, without the test
//! harness: the count is of the whole process.

use mainspring::{Builder, Runtime};
use mainspring_microscope::Recorder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Small enough to be filled, and evicted from, many times over.
const RING: usize = 256;

/// Two tasks that take turns; the second half of their turns is counted.
fn allocations(builder: Builder) -> usize {
    let mut runtime = builder.build().expect("the operating system gives a poller");
    runtime.block_on(async {
        let other = mainspring::spawn(async {
            for _ in 0..4_000 {
                mainspring::future::yield_now().await;
            }
        });
        let mut region = Region::new(ALLOCATOR);
        for turn in 0..2_000 {
            if turn == 1_000 {
                region.reset();
            }
            mainspring::future::yield_now().await;
        }
        let allocations = region.change().allocations;
        other.await.expect("a task that only yields ends");
        allocations
    })
}

fn main() {
    let recorder = Recorder::ring(RING);
    let observed = Runtime::builder().observer(recorder.observer());
    assert_eq!(allocations(observed), 0, "in a ring, with a model of what it has forgotten");
    assert!(recorder.told() > 8_000);
    println!("test an event allocates nothing ... ok");
}
