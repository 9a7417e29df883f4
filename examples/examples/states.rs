//! A task is pending, running, done or cancelled: `{:?}` of its handle shows which, and its result.
#![forbid(unsafe_code)]

use std::future::pending;

use mainspring::future::{oneshot, yield_now};
use mainspring::{JoinHandle, Runtime, spawn, spawn_named};
use mainspring_microscope::from_env;

fn main() {
    from_env(Runtime::builder()).build().expect("a poller").block_on(async {
        let task = spawn_named("one", async { 1 });
        println!("{task:?}");
        yield_now().await;
        println!("{task:?}");

        let task: JoinHandle<()> = spawn(pending());
        task.cancel_with("it would never end");
        println!("{task:?}");
        yield_now().await;
        println!("{task:?}");

        // Only one task runs at a time, so it takes the task itself to see that it does.
        let (sender, receiver) = oneshot::<JoinHandle<()>>();
        let task = spawn_named("looks at itself", async {
            if let Ok(own) = receiver.await {
                println!("{own:?}");
            }
        });
        // The receiver is awaited by the task, so it is there.
        sender.set(task).expect("the task waits for it");
        yield_now().await;
    });
}
