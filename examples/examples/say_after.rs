//! An async function does nothing until it is awaited. Awaited one after the other, two of them
//! take the sum of their times; spawned as tasks, both run from the next turn on and take the
//! longer time.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let start = now();
        say_after(1, "hello").await;
        say_after(2, "world").await;
        println!("one after the other: {:?}", now() - start);

        let start = now();
        let hello = spawn(say_after(1, "hello"));
        let world = spawn(say_after(2, "world"));
        hello.await?;
        world.await?;
        println!("as tasks: {:?}", now() - start);
        Ok(())
    })
}

async fn say_after(seconds: u64, what: &str) {
    sleep(Duration::from_secs(seconds)).await;
    println!("{what}");
}
