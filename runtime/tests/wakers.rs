//! Wakers in the hands of other threads, in great numbers, too early, too late, and after the end.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use mainspring::future::yield_now;
use mainspring::{Pending, Runtime, RuntimeDropped, TaskState, current_task, spawn};
use support::{AtFirstSleep, Drops, Gate, Log, observed_runtime, virtual_runtime};

const THREADS: usize = 8;

/// The waker of the task that awaits this.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Pending until the counter has reached a value, or panics if it is polled after that.
struct Until(Arc<AtomicUsize>, usize);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Relaxed) < self.1 { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// What a thread wrote before its wake is seen by a poll after it, however many wake at once: if one
/// were lost, this would never end.
#[test]
fn eight_threads_hammer_one_waker() {
    const WAKES: usize = 2_000;
    let mut runtime = Runtime::new();
    let count = Arc::new(AtomicUsize::new(0));
    let start = Arc::new(Barrier::new(THREADS + 1));
    let mut threads = Vec::new();
    runtime.block_on(async {
        for _ in 0..THREADS {
            let (waker, count, start) = (own_waker().await, count.clone(), start.clone());
            threads.push(thread::spawn(move || {
                start.wait();
                for _ in 0..WAKES {
                    count.fetch_add(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                }
            }));
        }
        start.wait();
        Until(count, THREADS * WAKES).await;
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = runtime.stats();
    assert!(stats.poller_writes <= stats.turns, "a turn sleeps once at most: {stats:?}");
    assert!(stats.messages <= (THREADS * WAKES) as u64);
    assert!(stats.polls <= stats.messages + 1, "nothing but a letter has it polled: {stats:?}");
}

#[test]
fn a_sleep_costs_one_write_however_many_threads_wake() {
    let (senders, wakers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<Waker>()).unzip();
    let start = Arc::new(Barrier::new(THREADS + 1));
    let sent = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = wakers
        .into_iter()
        .map(|wakers| {
            let (start, sent) = (start.clone(), sent.clone());
            thread::spawn(move || {
                let waker = wakers.recv().unwrap();
                start.wait();
                waker.wake_by_ref();
                waker.wake();
                sent.wait();
            })
        })
        .collect();
    let all_wake = move || {
        start.wait();
        sent.wait();
    };
    let mut runtime = Runtime::builder().observer(AtFirstSleep(Some(all_wake))).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = senders
            .into_iter()
            .map(|sender| {
                spawn(async move {
                    sender.send(own_waker().await).unwrap();
                    let mut polled = false;
                    poll_fn(|_| {
                        if std::mem::replace(&mut polled, true) {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    })
                    .await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = runtime.stats();
    assert_eq!((stats.parks, stats.poller_writes), (1, 1));
    assert_eq!(stats.messages, THREADS as u64, "the second wake of each rides along");
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    let (sender, wakers) = mpsc::channel::<Waker>();
    let (asleep, hears) = mpsc::channel();
    let thread = thread::spawn(move || {
        let waker = wakers.recv().unwrap();
        hears.recv().unwrap();
        waker.wake();
    });
    let observer = AtFirstSleep(Some(move || asleep.send(()).unwrap()));
    let mut runtime = Runtime::builder().observer(observer).build().unwrap();
    let mut polls = 0;
    runtime.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            sender.send(cx.waker().clone()).unwrap();
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    thread.join().unwrap();
    let stats = runtime.stats();
    assert_eq!((polls, stats.parks, stats.poller_writes, stats.messages), (2, 1, 1, 1));
}

#[test]
fn a_wake_after_the_runtime_is_gone_does_nothing() {
    let mut runtime = virtual_runtime();
    let drops = Drops::default();
    let gates: Vec<_> = (0..3).map(|_| Gate::new()).collect();
    for gate in &gates {
        let (gate, guard) = (gate.clone(), drops.guard());
        drop(runtime.spawn(async move {
            let _guard = guard;
            gate.await;
        }));
    }
    runtime.run_until_idle();
    let wakers: Vec<_> = gates.iter().map(|gate| gate.waker().unwrap()).collect();
    // This one's letter is still in the inbox when the runtime goes.
    wakers[0].wake_by_ref();
    drop(runtime);
    assert_eq!(drops.count(), 3);
    for waker in wakers.clone() {
        waker.wake_by_ref();
        waker.wake();
    }
    thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
    // Inside of another loop on the same thread, too.
    virtual_runtime().block_on(async { gates.iter().for_each(Gate::open) });
    assert_eq!(drops.count(), 3);
}

/// A place is given to the next task, a waker never is.
#[test]
fn a_stale_waker_does_nothing_to_the_next_tenant() {
    let (mut runtime, log) = observed_runtime();
    let gate = Gate::new();
    let first = runtime.spawn({
        let gate = gate.clone();
        async move {
            own_waker().await;
            // Left in the gate, which is not awaited to its end.
            let mut gate = gate;
            poll_fn(|cx| Poll::Ready(Pin::new(&mut gate).poll(cx).is_pending())).await
        }
    });
    runtime.run_until_idle();
    assert!(first.is_finished());
    let stale = gate.waker().expect("the first task's");
    let tenant = runtime.spawn(pending::<()>());
    runtime.run_until_idle();
    assert_eq!(tenant.state(), TaskState::Pending(Pending::Idle));
    log.take();
    stale.wake_by_ref();
    runtime.run_until_idle();
    let told = log.take();
    assert!(
        told.iter().any(|line| line.starts_with("task 1 woken too late by Thread")),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with("task 2")), "{told:?}");
    runtime.block_on(async { stale.wake() });
    assert!(!log.take().contains(&"task 2 runs".to_owned()));
    assert_eq!(tenant.state(), TaskState::Pending(Pending::Idle));
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    for from_another_thread in [false, true] {
        let mut runtime = virtual_runtime();
        let mut polls = 0;
        let handle = runtime.spawn(poll_fn(move |cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            for _ in 0..2 {
                let waker = cx.waker().clone();
                if from_another_thread {
                    thread::spawn(move || waker.wake()).join().unwrap();
                } else {
                    waker.wake();
                }
            }
            Poll::Pending
        }));
        runtime.run_until_idle();
        assert!(handle.is_finished(), "another thread: {from_another_thread}");
        let stats = runtime.stats();
        assert_eq!(stats.polls, 3, "two wakes, one poll");
        assert_eq!(stats.messages, if from_another_thread { 2 } else { 0 });
    }
}

#[test]
fn wakes_of_a_scheduled_task_cost_no_entry() {
    let mut runtime = virtual_runtime();
    let gate = Gate::new();
    drop(runtime.spawn(gate.clone()));
    runtime.run_until_idle();
    let waker = gate.waker().unwrap();
    let before = runtime.stats();
    let turn = runtime.block_on(async {
        (0..100).for_each(|_| waker.wake_by_ref());
        yield_now().await;
        3
    });
    let after = runtime.stats();
    assert_eq!(turn, 3);
    assert_eq!(after.polls - before.polls, 3, "main twice, the task once");
    assert_eq!(after.messages, 0, "on its own thread, a wake is no letter");
}

#[test]
fn a_wake_across_two_loops_of_one_thread_is_a_letter() {
    let (mut first, mut second) = (virtual_runtime(), virtual_runtime());
    let gate = Gate::new();
    let waiting = first.spawn(gate.clone());
    first.run_until_idle();
    second.block_on(async { gate.open() });
    assert_eq!(waiting.state(), TaskState::Pending(Pending::Idle));
    first.run_until_idle();
    assert_eq!(waiting.state(), TaskState::Done);
    assert_eq!((first.stats().messages, second.stats().messages), (1, 0));
}

#[test]
fn a_remote_spawns_what_need_not_be_send() {
    let mut runtime = Runtime::new();
    let here = thread::current().id();
    let (results, hears) = mpsc::channel();
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let (remote, results) = (runtime.remote(), results.clone());
            thread::spawn(move || {
                remote
                    .spawn(move || {
                        let shared = Rc::new(Cell::new(n));
                        let made_on = thread::current().id();
                        async move {
                            yield_now().await;
                            let task = current_task().unwrap();
                            results.send((made_on, shared.get(), task)).unwrap();
                        }
                    })
                    .unwrap();
            })
        })
        .collect();
    drop(results);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    runtime.run_until_idle();
    let mut got: Vec<_> = hears.iter().collect();
    assert!(got.iter().all(|(made_on, ..)| *made_on == here));
    got.sort_by_key(|(_, n, _)| *n);
    assert!(got.iter().map(|(_, n, _)| *n).eq(0..THREADS));
    assert_eq!(runtime.stats().spawned, THREADS as u64);
}

#[test]
fn a_remote_cancel_drops_the_future_on_the_loops_thread() {
    struct Where(Log);
    impl Drop for Where {
        fn drop(&mut self) {
            self.0.add(format!("{:?}", thread::current().id()));
        }
    }
    let mut runtime = Runtime::new();
    let log = Log::new();
    let dropped = Where(log.clone());
    let mut handle = runtime.spawn(async move {
        let _dropped = dropped;
        pending::<()>().await;
    });
    runtime.run_until_idle();
    let (remote, id) = (runtime.remote(), handle.id());
    let (kept, again) = (remote.clone(), remote.clone());
    thread::spawn(move || remote.cancel_with(id, "from afar")).join().unwrap().unwrap();
    assert!(log.take().is_empty());
    runtime.run_until_idle();
    assert_eq!(log.take(), [format!("{:?}", thread::current().id())]);
    let error = handle.try_result().unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with(") cancelled by a remote handle: from afar"), "{text}");
    // Late ones change nothing, also for the next tenant of the place.
    let tenant = runtime.spawn(pending::<()>());
    kept.cancel(id).unwrap();
    runtime.run_until_idle();
    assert_eq!(tenant.state(), TaskState::Pending(Pending::Idle));

    drop(runtime);
    assert_eq!(
        (kept.cancel(id), RuntimeDropped.to_string()),
        (Err(RuntimeDropped), RuntimeDropped.to_string())
    );
    let unsent = Arc::new(());
    let inside = unsent.clone();
    let sent = again.spawn(move || {
        drop(inside);
        pending::<()>()
    });
    assert_eq!(sent, Err(RuntimeDropped));
    assert_eq!(Arc::strong_count(&unsent), 1);
}

#[test]
fn a_spawn_letter_that_is_never_read_is_dropped_with_the_runtime() {
    let runtime = virtual_runtime();
    let inside = Arc::new(());
    let captured = inside.clone();
    let make = move || {
        drop(captured);
        async {}
    };
    runtime.remote().spawn(make).unwrap();
    assert_eq!(Arc::strong_count(&inside), 2);
    drop(runtime);
    assert_eq!(Arc::strong_count(&inside), 1);
}

/// Tasks that come and go while threads hold, clone, use and drop the wakers of earlier ones.
#[test]
fn places_change_hands_under_fire() {
    const TASKS: usize = 400;
    let mut runtime = Runtime::new();
    let count = Arc::new(AtomicUsize::new(0));
    let (senders, threads): (Vec<_>, Vec<_>) = (0..THREADS)
        .map(|_| {
            let (sender, wakers) = mpsc::channel::<(Waker, Arc<AtomicUsize>)>();
            let thread = thread::spawn(move || {
                let mut old = Vec::new();
                for (waker, ready) in wakers {
                    ready.store(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                    old.push(waker);
                    old.iter().rev().take(5).for_each(Waker::wake_by_ref);
                    if old.len() == 20 {
                        old.clear();
                    }
                }
            });
            (sender, thread)
        })
        .unzip();
    runtime.block_on(async {
        for round in 0..TASKS / THREADS {
            let tasks: Vec<_> = senders
                .iter()
                .map(|sender| {
                    let (sender, count) = (sender.clone(), count.clone());
                    spawn(async move {
                        let ready = Arc::new(AtomicUsize::new(0));
                        sender.send((own_waker().await, ready.clone())).unwrap();
                        Until(ready, 1).await;
                        count.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(count.load(Ordering::Relaxed), (round + 1) * THREADS);
        }
    });
    drop(senders);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(runtime.stats().alive, 0);
}
