//! Three ways to end. Who is told what, and when is what the task holds dropped?

use std::future::pending;
use std::panic;

use zero::step4::{JoinError, block_on, spawn, yield_now};

/// Says when it is dropped.
struct Guard(&'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        println!("{}: dropped", self.0);
    }
}

async fn add(name: &'static str, a: u8, b: u8) -> u8 {
    let _guard = Guard(name);
    yield_now().await;
    a.checked_add(b).expect("a sum below 256")
}

async fn wait_for_ever(name: &'static str) -> u8 {
    let _guard = Guard(name);
    pending().await
}

fn main() {
    // A panic's message goes to stderr before anyone can catch it. Not here.
    panic::set_hook(Box::new(|_| {}));
    block_on(async {
        let sum = spawn(add("sum", 1, 2));
        let too_much = spawn(add("too much", 200, 100));
        let for_ever = spawn(wait_for_ever("for ever"));
        yield_now().await;
        println!("main cancels");
        for_ever.cancel();
        for task in [for_ever, too_much, sum] {
            match task.await {
                Ok(value) => println!("main: {value}"),
                Err(JoinError::Cancelled) => println!("main: cancelled"),
                Err(JoinError::Panicked(why)) => {
                    println!("main: {:?}", why.downcast_ref::<String>())
                }
            }
        }
    });
}
