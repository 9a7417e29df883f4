//! Three tasks compute factorials and sleep a second before each product: their lines interleave,
//! in the same order at every run, because ready tasks take turns first in, first out.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::future::gather;
use mainspring::time::{Clock, sleep};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let tasks = [("A", 2), ("B", 3), ("C", 4)].map(|(name, n)| spawn(factorial(name, n)));
        println!("{:?}", gather(tasks).await?);
        Ok(())
    })
}

async fn factorial(name: &str, n: u64) -> u64 {
    let mut product = 1;
    for factor in 2..=n {
        println!("Task {name}: Compute factorial({factor})...");
        sleep(Duration::from_secs(1)).await;
        product *= factor;
    }
    println!("Task {name}: factorial({n}) = {product}");
    product
}
