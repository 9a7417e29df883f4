//! Futures that were made for no runtime in particular run on this one without an adapter: a channel
//! of `async-channel`, a semaphore of `async-lock` and streams of `futures`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_lock::Semaphore;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().clock(Clock::Virtual)).build()?;
    runtime.block_on(async {
        let start = now();
        println!("a bounded channel holds its sender up:");
        let (sender, receiver) = async_channel::bounded(1);
        drop(spawn(async move {
            for n in 1..=3 {
                if sender.send(n).await.is_err() {
                    return;
                }
                println!("  sent {n}");
            }
        }));
        while let Ok(n) = receiver.recv().await {
            sleep(Duration::from_secs(1)).await;
            println!("  {:?} received {n}", now() - start);
        }

        println!("a semaphore lets two in at a time:");
        let (start, gate) = (now(), Rc::new(Semaphore::new(2)));
        let visits: Vec<_> = (1..=4).map(|n| spawn(visit(n, gate.clone(), start))).collect();
        for visit in visits {
            visit.await?;
        }

        println!("a stream gives what is ready first:");
        let mut sleeps: FuturesUnordered<_> = [3, 1, 2].map(after).into_iter().collect();
        while let Some(n) = sleeps.next().await {
            println!("  {n}");
        }
        Ok(())
    })
}

async fn visit(n: u32, gate: Rc<Semaphore>, start: Instant) {
    let _permit = gate.acquire().await;
    sleep(Duration::from_secs(1)).await;
    println!("  {:?} visitor {n} leaves", now() - start);
}

async fn after(seconds: u64) -> u64 {
    sleep(Duration::from_secs(seconds)).await;
    seconds
}
