//! A runtime can be entered any number of times. A task may be spawned before the loop runs for the
//! first time, goes on from one `block_on` to the next, and is dropped with the runtime if it never
//! ends.
#![forbid(unsafe_code)]

use mainspring::Runtime;
use mainspring::future::yield_now;
use mainspring_microscope::from_env;

struct Counter(u32);

impl Drop for Counter {
    fn drop(&mut self) {
        println!("dropped at {}", self.0);
    }
}

fn main() {
    let mut runtime = from_env(Runtime::builder()).build().expect("a poller");
    let counting = runtime.spawn(async {
        let mut counter = Counter(0);
        loop {
            counter.0 += 1;
            println!("count {}", counter.0);
            yield_now().await;
        }
    });
    println!("spawned, and {}", counting.state());
    println!("first answer: {}", runtime.block_on(async { 1 }));
    println!("second answer: {}", runtime.block_on(async { 2 }));
    drop(runtime);
    println!("the task is {}", counting.state());
}
