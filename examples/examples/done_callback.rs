//! A done-callback receives the task when it is over. It runs through the loop, on the turn after,
//! so the task's own last line always comes first; and a panic in one callback stops no other.
#![forbid(unsafe_code)]

use mainspring::future::yield_now;
use mainspring::{Runtime, spawn, spawn_named};
use mainspring_microscope::from_env;

fn main() {
    from_env(Runtime::builder()).build().expect("a poller").block_on(async {
        let task = spawn_named("answer", async {
            println!("the task: working");
            yield_now().await;
            println!("the task: over");
            42
        });
        task.add_done_callback(|task| {
            println!("the first callback: {} is {}", task.id(), task.state())
        });
        let second = task.add_done_callback(|_| println!("the second callback: never called"));
        task.add_done_callback(|task| println!("the third callback: {:?}", task.name()));
        println!("removed: {}", task.remove_done_callback(second));
        match task.await {
            Ok(value) => println!("main: {value}"),
            Err(error) => println!("main: {error}"),
        }

        let cancelled = spawn(async { println!("never printed") });
        cancelled.add_done_callback(|task| println!("also when it is {}", task.state()));
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        yield_now().await;
    });
}
