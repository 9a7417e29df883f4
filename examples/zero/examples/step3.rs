//! Wakes that come once, thrice and too late: how often is the listener polled?

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use zero::step3::{block_on, spawn, yield_now};

async fn count() {
    for n in 1..=2 {
        println!("count {n}");
        yield_now().await;
    }
}

/// Ready at its third poll. It leaves its waker in `place`.
async fn listen(place: Rc<RefCell<Option<Waker>>>) {
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        println!("listener: poll {polls}");
        *place.borrow_mut() = Some(cx.waker().clone());
        if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    println!("listener: done");
}

fn main() {
    block_on(async {
        spawn(count());
        yield_now().await;
        println!("main has yielded");
        let place = Rc::default();
        spawn(listen(Rc::clone(&place)));
        yield_now().await;
        for times in [1, 3, 1] {
            println!("main wakes the listener: {times}");
            let waker = place.borrow().clone().unwrap();
            (0..times).for_each(|_| waker.wake_by_ref());
            yield_now().await;
        }
        println!("main is done");
    });
}
