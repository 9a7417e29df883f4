//! Tasks take turns: in which order do the lines come?

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use zero::step2::{block_on, spawn};

/// Pending once. It wakes its own task first: otherwise there would be no second poll.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn count(name: &'static str, left: Rc<Cell<u32>>) {
    for n in 1..=3 {
        println!("{name} {n}");
        if name == "a" && n == 1 {
            spawn(count("c", left.clone()));
        }
        yield_now().await;
    }
    left.set(left.get() - 1);
}

fn main() {
    let left = Rc::new(Cell::new(3));
    block_on(async {
        spawn(count("a", left.clone()));
        spawn(count("b", left.clone()));
        println!("main waits");
        while left.get() > 0 {
            yield_now().await;
        }
        println!("main is done");
    });
}
