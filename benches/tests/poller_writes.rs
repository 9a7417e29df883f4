#![forbid(unsafe_code)]
//! How often other threads write to the poller: once for a sleep of the loop, and never while it is
//! awake.

use mainspring::Runtime;
use mainspring::observe::{Event, Kind, Observer};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
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

/// Wakes all from a thread of its own, and waits until it has.
fn wake_all_elsewhere(wakers: Arc<Mutex<Vec<Waker>>>) {
    let wake_all = move || wakers.lock().expect("no panic").drain(..).for_each(Waker::wake);
    thread::spawn(wake_all).join().expect("no panic");
}

#[test]
fn a_loop_that_is_awake_is_not_written_to() {
    let mut runtime = Runtime::new();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let handles = sleepers(&wakers).await;
        // The loop's thread waits here, inside of a poll: it is awake all the time.
        wake_all_elsewhere(wakers);
        for handle in handles {
            handle.await.expect("the task ends");
        }
    });
    let stats = runtime.stats();
    assert_eq!((stats.messages, stats.poller_writes), (TASKS as u64, 0));
}

/// When the loop first sleeps, has another thread wake all, and waits until it has.
struct WakeAllInSleep(Arc<Mutex<Vec<Waker>>>);

impl Observer for WakeAllInSleep {
    fn on_event(&mut self, event: &Event) {
        if matches!(event.kind, Kind::Parked { .. }) {
            wake_all_elsewhere(self.0.clone());
        }
    }
}

#[test]
fn a_sleep_takes_one_write_to_end() {
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let observer = WakeAllInSleep(wakers.clone());
    let mut runtime = Runtime::builder().observer(observer).build().expect("a poller");
    runtime.block_on(async {
        for handle in sleepers(&wakers).await {
            handle.await.expect("the task ends");
        }
    });
    let stats = runtime.stats();
    assert_eq!((stats.messages, stats.parks, stats.poller_writes), (TASKS as u64, 1, 1));
}
