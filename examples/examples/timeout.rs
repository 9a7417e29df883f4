//! `timeout` gives a future a limit and drops it when time is up. A value that is ready at the very
//! deadline wins. To stop a task that runs by itself, put its handle into the future that is
//! dropped.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::time::{Clock, now, sleep, timeout};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let start = now();
        let limit = Duration::from_secs(2);
        for seconds in [1, 2, 3] {
            match timeout(limit, answer_after(seconds)).await {
                Ok(answer) => println!("{seconds} s of work: {answer}"),
                Err(error) => println!("{seconds} s of work: {error}"),
            }
        }
        println!("{:?} in all", now() - start);

        let detached = spawn(say_after(3, "a detached task goes on"));
        assert!(timeout(limit, detached).await.is_err());
        let bound = spawn(say_after(3, "never printed")).abort_on_drop();
        assert!(timeout(limit, bound).await.is_err());
        sleep(limit).await;
        println!("{:?} in all", now() - start);
        Ok(())
    })
}

async fn answer_after(seconds: u64) -> u32 {
    sleep(Duration::from_secs(seconds)).await;
    42
}

async fn say_after(seconds: u64, what: &str) {
    sleep(Duration::from_secs(seconds)).await;
    println!("{what}");
}
