//! Other threads: a wake amid a poll, and work that blocks.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use zero::step6::{block_on, spawn, spawn_blocking, timeout};

/// A poll of 20 ms. Before it ends another thread has set the flag and woken this task.
fn long_poll(cx: &mut Context<'_>, flag: &Arc<AtomicBool>) -> Poll<()> {
    if flag.load(Ordering::Relaxed) {
        return Poll::Ready(());
    }
    let (waker, theirs) = (cx.waker().clone(), flag.clone());
    let other = thread::spawn(move || {
        theirs.store(true, Ordering::Relaxed);
        waker.wake();
    });
    thread::sleep(Duration::from_millis(20));
    other.join().unwrap();
    Poll::Pending
}

fn main() {
    block_on(async {
        let (flag, start) = (Arc::default(), Instant::now());
        let second = Duration::from_secs(1);
        timeout(second, poll_fn(|cx| long_poll(cx, &flag))).await.unwrap();
        let at_once = start.elapsed() < second;
        println!("{}", if at_once { "woken at once" } else { "slept through" });

        let work = spawn_blocking(|| {
            thread::sleep(Duration::from_millis(300));
            println!("a thread has worked");
            6 * 7
        });
        spawn(async { println!("meanwhile the loop runs others") });
        println!("the answer is {:?}", work.await.ok());
    });
}
