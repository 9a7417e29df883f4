#![forbid(unsafe_code)]
//! How often other threads write to the poller: once for each sleep of the loop at most, and never
//! while it is awake.

use mainspring::Runtime;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

const TASKS: usize = 1_000;

/// Spawns tasks that leave their wakers in a list, and waits for all of them to have done so.
async fn sleepers(wakers: &Arc<Mutex<Vec<Waker>>>) -> Vec<mainspring::JoinHandle<()>> {
    let handles = (0..TASKS)
        .map(|_| {
            let wakers = Arc::clone(wakers);
            let mut polled = false;
            mainspring::spawn(poll_fn(move |cx| {
                if polled {
                    return Poll::Ready(());
                }
                polled = true;
                wakers.lock().expect("no panic").push(cx.waker().clone());
                Poll::Pending
            }))
        })
        .collect();
    while wakers.lock().expect("no panic").len() < TASKS {
        mainspring::future::yield_now().await;
    }
    handles
}

#[test]
fn a_loop_that_is_awake_is_not_written_to() {
    let mut runtime = Runtime::new();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let handles = sleepers(&wakers).await;
        let wake_all = move || wakers.lock().expect("no panic").drain(..).for_each(Waker::wake);
        // The loop's thread waits here, inside of a poll: it is awake all the time.
        thread::spawn(wake_all).join().expect("no panic");
        for handle in handles {
            handle.await.expect("the task ends");
        }
    });
    let stats = runtime.stats();
    assert_eq!((stats.letters, stats.poller_writes), (TASKS as u64, 0));
}

#[test]
fn a_sleep_takes_one_write_at_most_to_end() {
    let mut runtime = Runtime::new();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let handles = sleepers(&wakers).await;
        let (go, going) = mpsc::channel();
        let thread = thread::spawn(move || {
            going.recv().expect("the loop says so");
            wakers.lock().expect("no panic").drain(..).for_each(Waker::wake);
        });
        go.send(()).expect("the thread waits");
        for handle in handles {
            handle.await.expect("the task ends");
        }
        thread.join().expect("no panic");
    });
    let stats = runtime.stats();
    assert_eq!(stats.letters, TASKS as u64);
    assert!(stats.poller_writes <= stats.parks, "{stats:?}");
}
