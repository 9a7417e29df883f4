//! Cancelling a task drops its future at the point where it waits: whatever it holds is released,
//! in the order in which Rust drops it. The join error says that it was cancelled, where and why.
//! A task that is cancelled before its first turn never runs at all.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::time::{Clock, sleep};
use mainspring::{Runtime, spawn, spawn_named};

/// What a task holds while it works.
struct Held(&'static str);

impl Drop for Held {
    fn drop(&mut self) {
        println!("released: {}", self.0);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = Runtime::builder().clock(Clock::Virtual).build()?;
    runtime.block_on(async {
        let task = spawn_named("worker", async {
            let _file = Held("the file");
            let _lock = Held("the lock");
            println!("working for an hour");
            sleep(Duration::from_secs(3600)).await;
            println!("never printed");
        });
        sleep(Duration::from_secs(1)).await;
        task.cancel_with("one second is enough");
        println!("asked to stop, and {}", task.state());
        if let Err(error) = task.await {
            println!("{error}");
        }

        let early = spawn(async { println!("never printed") });
        early.cancel();
        println!("before its first turn: cancelled {}", early.await.is_err());

        let late = spawn(async { "its value" });
        sleep(Duration::from_secs(1)).await;
        late.cancel();
        println!("after its last turn: {}", late.await?);
        Ok(())
    })
}
