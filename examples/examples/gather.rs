//! `gather` waits for several tasks and gives their results in the order of its arguments,
//! whichever ends first. It lasts as long as the longest of them.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use mainspring::future::gather;
use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let start = now();
        let steps = [spawn(step("step 1", 5, start)), spawn(step("step 2", 2, start))];
        println!("{:?}", gather(steps).await?);
        println!("total: {:?}", now() - start);

        let ten = (0..10).map(|n| spawn(async move { n }));
        println!("{:?}", gather(ten).await?);
        Ok(())
    })
}

async fn step(name: &'static str, seconds: u64, start: Instant) -> &'static str {
    sleep(Duration::from_secs(seconds)).await;
    println!("{name} took {:?}", now() - start);
    name
}
