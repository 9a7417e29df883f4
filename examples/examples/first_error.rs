//! The first error ends a `gather` at once, and the other tasks go on. `gather_all` waits for all
//! of them and collects errors beside values. Dropping either cancels every task in it.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant};

use mainspring::future::{TaskError, gather_all, gather_ok};
use mainspring::time::{Clock, now, sleep, timeout};
use mainspring::{JoinHandle, Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        println!("gather_ok");
        let start = now();
        match gather_ok(["1", "two", "3"].map(|text| parse(text, start))).await {
            Ok(numbers) => println!("{numbers:?}"),
            Err(TaskError::Returned(error)) => println!("{:?}: {error}", now() - start),
            Err(TaskError::Join(error)) => return Err(error.into()),
        }
        sleep(Duration::from_secs(5)).await;

        println!("gather_all");
        let start = now();
        for result in gather_all(["1", "two", "3"].map(|text| parse(text, start))).await {
            println!("{:?}: {:?}", now() - start, result?);
        }

        println!("gather_all, dropped");
        let start = now();
        let all = gather_all(["1", "two", "3"].map(|text| parse(text, start)));
        let outcome = timeout(Duration::from_millis(1500), all).await;
        println!("{:?}: out of time is {}", now() - start, outcome.is_err());
        // Time for the tasks to go on, if they were not cancelled.
        sleep(Duration::from_secs(5)).await;
        Ok(())
    })
}

/// The n-th text takes n seconds.
fn parse(text: &'static str, start: Instant) -> JoinHandle<Result<u32, std::num::ParseIntError>> {
    let seconds = if text == "two" { 2 } else { text.parse().unwrap_or(0) };
    spawn(async move {
        sleep(Duration::from_secs(seconds)).await;
        println!("{:?}: {text:?} is read", now() - start);
        text.parse()
    })
}
