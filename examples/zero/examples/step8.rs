//! Two ends of a loop: with a task left over, and with nothing that could ever wake it.

use std::future::pending;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use zero::step8::{block_on, sleep, spawn};

/// Says when it is dropped.
struct Guard(&'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        println!("{}: dropped", self.0);
    }
}

fn main() {
    let mut left = None;
    block_on(async {
        left = Some(spawn(async {
            let _guard = Guard("left over");
            sleep(Duration::from_secs(3600)).await;
        }));
        sleep(Duration::from_millis(1)).await;
        println!("main is done");
    });
    println!("the loop is gone");
    println!("a second loop is told: {:?}", block_on(left.unwrap()));

    panic::set_hook(Box::new(|_| {}));
    let stalled = panic::catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            let lost = spawn(pending::<()>());
            let awaits = spawn(async { lost.await.unwrap() });
            awaits.await.unwrap();
        });
    }));
    println!("{}", stalled.unwrap_err().downcast_ref::<String>().unwrap());
}
