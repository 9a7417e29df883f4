//! Four tasks say hello, sleep three seconds and say world. While one sleeps the others run, so all
//! hellos come first, then all worlds, and the whole takes three seconds instead of twelve.
//!
//! The clock is virtual: it jumps when every task sleeps, so you wait for none of the three.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let start = now();
        let tasks: Vec<_> = (1..=4).map(|n| spawn(greet(n, start))).collect();
        for task in tasks {
            task.await?;
        }
        println!("{} s in all", (now() - start).as_secs());
        Ok(())
    })
}

async fn greet(n: u32, start: Instant) {
    println!("{} s: hello {n}", (now() - start).as_secs());
    sleep(Duration::from_secs(3)).await;
    println!("{} s: world {n}", (now() - start).as_secs());
}
