//! An async function that calls something that blocks is async in name only: the thread waits, and
//! with it the loop and every other task. Nothing overlaps, and the times add up.
//!
//! The cure is a call that waits through the loop, or `spawn_blocking`: see `blocking_pool`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::future::gather;
use mainspring::{JoinHandle, Runtime, spawn, time};
use mainspring_microscope::from_env;

const PAUSE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    from_env(Runtime::builder()).build()?.block_on(async {
        println!("fake async");
        gather((1..=3).map(fake)).await?;
        println!("async");
        gather((1..=3).map(real)).await?;
        Ok(())
    })
}

fn fake(n: u32) -> JoinHandle<()> {
    spawn(async move {
        println!("  task {n} asks");
        std::thread::sleep(PAUSE);
        println!("  task {n} has its answer");
    })
}

fn real(n: u32) -> JoinHandle<()> {
    spawn(async move {
        println!("  task {n} asks");
        time::sleep(PAUSE).await;
        println!("  task {n} has its answer");
    })
}
