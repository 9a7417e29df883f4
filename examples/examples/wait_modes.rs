//! `wait` gives all handles back, sorted into done and pending: after the first that is over, after
//! the first error, or when all are over. A timeout is no error, and nothing is cancelled.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::future::{Waited, When, gather, wait};
use mainspring::time::{Clock, now, sleep};
use mainspring::{JoinHandle, Runtime, spawn};
use mainspring_microscope::from_env;

type Task = JoinHandle<Result<u64, String>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        for when in [When::FirstCompleted, When::FirstError, When::AllCompleted] {
            let start = now();
            let waited = wait(sleepers(), when).count_err().await;
            println!("{when:?} after {:?}", now() - start);
            tell(waited).await;
        }

        let start = now();
        let limit = Duration::from_millis(2500);
        let waited = wait(sleepers(), When::AllCompleted).timeout(limit).await;
        println!("timeout after {:?}: {} pending", now() - start, waited.pending.len());
        let rest = gather(waited.pending).await?;
        println!("and {rest:?} after {:?}", now() - start);
        Ok(())
    })
}

/// Four tasks of one to four seconds, of which the second fails.
fn sleepers() -> [Task; 4] {
    [1, 2, 3, 4].map(|n| {
        spawn(async move {
            sleep(Duration::from_secs(n)).await;
            if n == 2 { Err(format!("task {n} failed")) } else { Ok(n) }
        })
    })
}

async fn tell(waited: Waited<Result<u64, String>>) {
    for task in waited.done {
        // It is over, so this does not wait.
        println!("  done: {:?}", task.await);
    }
    println!("  pending: {}", waited.pending.len());
}
