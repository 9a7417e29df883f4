//! One loop has one thread. For more than one core, run more than one loop: each on a thread of its
//! own, with tasks of its own, sharing nothing.
//!
//! A hundred fetches of three seconds each are dealt out to four loops. Every one of them waits for its
//! share at once, so that all are done in three seconds, as one loop would be; what the others add is
//! room to compute.
#![forbid(unsafe_code)]

use std::error::Error;
use std::thread;
use std::time::Duration;

use mainspring::future::gather;
use mainspring::time::{Clock, now, sleep};
use mainspring::{JoinError, Runtime, spawn};
use mainspring_microscope::from_env;

const LOOPS: usize = 4;

/// Fetches a page, as far as waiting goes.
async fn fetch(page: usize) -> usize {
    sleep(Duration::from_secs(3)).await;
    page
}

/// One loop, with every fourth page.
fn run_loop(first: usize) -> Result<(Vec<usize>, Duration), JoinError> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build().expect("a poller");
    runtime.block_on(async {
        let start = now();
        let pages = gather((first..100).step_by(LOOPS).map(|page| spawn(fetch(page)))).await?;
        Ok((pages, now() - start))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let loops: Vec<_> = (0..LOOPS).map(|n| thread::spawn(move || run_loop(n))).collect();
    let mut all = Vec::new();
    for (n, handle) in loops.into_iter().enumerate() {
        let (pages, took) = handle.join().expect("a loop does not panic")?;
        println!("loop {n}: {} pages in {took:?}, from {} on", pages.len(), pages[0]);
        all.extend(pages);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..100));
    println!("100 pages, each of them once");
    Ok(())
}
