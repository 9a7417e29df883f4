//! Work on the blocking pool: order, limits, panics, cancels, and threads that leave.
//!
//! Nothing here waits for time to pass: jobs block on channels and barriers that the test holds.

mod support;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::{JoinHandle, Runtime, TaskState, spawn_blocking};
use support::{Log, stderr_of_child};

/// A runtime whose pool has so many threads, which stay until they are told to leave.
fn runtime_with(threads: usize) -> Runtime {
    Runtime::builder().blocking_threads(threads).blocking_idle(Duration::MAX).build().unwrap()
}

/// A job that says when it has started, and ends when it is released.
fn held_job() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
    let (started, starts) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let job = move || {
        started.send(()).unwrap();
        // An error means that the test gave up its end: as good as a release.
        released.recv().unwrap_or(());
    };
    (job, starts, release)
}

thread_local! {
    static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
}

/// Sends when the thread that it was left in has ended.
struct AtExit(Sender<()>);

impl Drop for AtExit {
    fn drop(&mut self) {
        self.0.send(()).unwrap_or(());
    }
}

#[test]
fn jobs_start_in_the_order_in_which_they_were_handed_in() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let results = runtime_with(1).block_on(async {
        let jobs: Vec<_> = (0..50)
            .map(|n| {
                let order = order.clone();
                spawn_blocking(move || {
                    order.lock().unwrap().push(n);
                    (n, thread::current().id())
                })
            })
            .collect();
        let mut results = Vec::new();
        for job in jobs {
            results.push(job.await.unwrap());
        }
        results
    });
    assert!(results.iter().map(|(n, _)| *n).eq(0..50));
    assert!(order.lock().unwrap().iter().copied().eq(0..50));
    assert!(results.iter().all(|(_, thread)| *thread == results[0].1), "one thread for all");
    assert_ne!(results[0].1, thread::current().id());
}

/// Each barrier opens only if three jobs run at once, and none could open if a fourth were allowed
/// to take part in the counting.
#[test]
fn as_many_run_at_once_as_the_limit_says() {
    let most = runtime_with(3).block_on(async {
        let barrier = Arc::new(Barrier::new(3));
        let running = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<_> = (0..12)
            .map(|_| {
                let (barrier, running) = (barrier.clone(), running.clone());
                spawn_blocking(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    barrier.wait();
                    running.fetch_sub(1, Ordering::SeqCst);
                    now
                })
            })
            .collect();
        let mut most = 0;
        for job in jobs {
            most = most.max(job.await.unwrap());
        }
        most
    });
    assert_eq!(most, 3);
}

#[test]
fn its_threads_bear_the_runtimes_name() {
    let mut runtime = Runtime::builder().name("crawl").build().unwrap();
    assert_eq!(runtime.name(), "crawl");
    let name = runtime.block_on(async {
        spawn_blocking(|| thread::current().name().map(str::to_owned)).await.unwrap()
    });
    assert_eq!(name.as_deref(), Some("crawl-blocking"));
}

#[test]
fn a_panic_comes_back_and_the_thread_goes_on() {
    let mut runtime = runtime_with(1);
    let (error, after) = runtime.block_on(async {
        let broken: JoinHandle<()> = spawn_blocking(|| panic!("no such file"));
        let after = spawn_blocking(|| 2);
        (broken.await.unwrap_err(), after.await.unwrap())
    });
    let text = error.to_string();
    assert!(text.starts_with("task 2 (spawned at runtime/tests/blocking.rs:"), "{text}");
    assert!(text.ends_with(") panicked: no such file"), "{text}");
    assert_eq!(after, 2);
}

#[test]
fn a_job_cancelled_before_it_starts_never_runs() {
    let mut runtime = runtime_with(1);
    let (job, starts, release) = held_job();
    let ran = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let first = spawn_blocking(job);
        let count = ran.clone();
        let second = spawn_blocking(move || count.fetch_add(1, Ordering::SeqCst));
        let count = ran.clone();
        let third = spawn_blocking(move || count.fetch_add(10, Ordering::SeqCst));
        starts.recv().unwrap();
        second.cancel();
        assert!(second.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        first.await.unwrap();
        assert_eq!(third.await.unwrap(), 0);
    });
    assert_eq!(ran.load(Ordering::SeqCst), 10);
}

#[test]
fn a_job_cancelled_while_it_runs_goes_on_and_its_result_is_dropped() {
    let mut runtime = runtime_with(1);
    let (job, starts, release) = held_job();
    let (dropped, drops) = mpsc::channel();
    runtime.block_on(async {
        let handle = spawn_blocking(move || {
            job();
            AtExit(dropped)
        });
        starts.recv().unwrap();
        handle.cancel();
        assert!(handle.await.err().unwrap().is_cancelled(), "told at once");
        assert!(drops.try_recv().is_err());
        release.send(()).unwrap();
        drops.recv().unwrap();
        // Its thread is there for the next.
        assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3);
    });
}

/// The next job runs only if the only thread survives.
#[test]
fn what_panics_while_it_is_dropped_takes_no_thread_along() {
    struct Bomb(Sender<()>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            panic!("a value broke");
        }
    }
    let name = "what_panics_while_it_is_dropped_takes_no_thread_along";
    let stderr = stderr_of_child(name, || {
        let mut runtime = runtime_with(1);
        let (job, starts, release) = held_job();
        let (dropped, drops) = mpsc::channel();
        runtime.block_on(async {
            // One whose result breaks, and one that breaks unrun.
            let first = dropped.clone();
            let result = spawn_blocking(move || {
                job();
                Bomb(first)
            });
            let bomb = Bomb(dropped);
            let unrun = spawn_blocking(move || drop(bomb));
            starts.recv().unwrap();
            result.cancel();
            unrun.cancel();
            assert!(result.await.err().unwrap().is_cancelled());
            assert!(unrun.await.unwrap_err().is_cancelled());
            release.send(()).unwrap();
            assert_eq!(spawn_blocking(|| 4).await.unwrap(), 4);
        });
        assert_eq!(drops.iter().count(), 2);
    });
    let line = "mainspring: what nobody wanted of a blocking job panicked in drop: a value broke";
    assert_eq!(stderr, [line, line]);
}

#[test]
fn dropping_the_runtime_waits_for_no_job() {
    let mut runtime = runtime_with(1);
    let (job, starts, release) = held_job();
    let (ended, ends) = mpsc::channel();
    let unstarted = Arc::new(());
    let captured = unstarted.clone();
    let (running, queued) = runtime.block_on(async move {
        let running = spawn_blocking(move || {
            job();
            AtExit(ended)
        });
        let queued = spawn_blocking(move || drop(captured));
        yield_now().await;
        (running, queued)
    });
    starts.recv().unwrap();
    drop(runtime);
    assert_eq!(
        Arc::strong_count(&unstarted),
        1,
        "what has not started is dropped with the runtime"
    );
    assert_eq!((running.state(), queued.state()), (TaskState::Cancelled, TaskState::Cancelled));
    assert!(ends.try_recv().is_err(), "what runs goes on");
    release.send(()).unwrap();
    ends.recv().unwrap();
}

#[test]
fn a_job_handed_in_while_the_runtime_goes_never_runs() {
    struct HandsIn(Option<Arc<()>>);
    impl Drop for HandsIn {
        fn drop(&mut self) {
            let captured = self.0.take();
            drop(spawn_blocking(move || drop(captured)));
        }
    }
    let runtime = runtime_with(1);
    let unstarted = Arc::new(());
    let hands_in = HandsIn(Some(unstarted.clone()));
    drop(runtime.spawn(async move {
        let _hands_in = hands_in;
        std::future::pending::<()>().await;
    }));
    drop(runtime);
    assert_eq!(Arc::strong_count(&unstarted), 1);
}

#[test]
fn idle_threads_leave() {
    let (left, leaves) = mpsc::channel();
    let mut runtime = Runtime::builder().blocking_idle(Duration::ZERO).build().unwrap();
    runtime.block_on(async {
        spawn_blocking(move || AT_EXIT.set(Some(AtExit(left)))).await.unwrap();
    });
    leaves.recv().unwrap();
    assert_eq!(runtime.block_on(async { spawn_blocking(|| 5).await.unwrap() }), 5);
}

/// With threads that stay for ever, only the runtime's going can end them.
#[test]
fn all_threads_leave_with_the_runtime() {
    const THREADS: usize = 4;
    let (left, leaves) = mpsc::channel();
    let mut runtime = runtime_with(THREADS);
    runtime.block_on(async move {
        let barrier = Arc::new(Barrier::new(THREADS));
        let jobs: Vec<_> = (0..THREADS)
            .map(|_| {
                let (left, barrier) = (left.clone(), barrier.clone());
                spawn_blocking(move || {
                    AT_EXIT.set(Some(AtExit(left)));
                    barrier.wait();
                })
            })
            .collect();
        for job in jobs {
            job.await.unwrap();
        }
    });
    assert!(leaves.try_recv().is_err());
    drop(runtime);
    assert_eq!(leaves.iter().count(), THREADS);
}

#[test]
fn the_observer_is_told_of_jobs_and_who_woke() {
    let log = Log::new();
    let mut runtime = Runtime::builder().observer(log.observer()).build().unwrap();
    let (job, starts, release) = held_job();
    runtime.block_on(async {
        let handle = spawn_blocking(job);
        yield_now().await;
        starts.recv().unwrap();
        release.send(()).unwrap();
        handle.await.unwrap();
    });
    let told: Vec<_> = log
        .take()
        .into_iter()
        .filter(|line| line.contains("Job") || line.starts_with("task 2 scheduled"))
        .map(|line| line.split(", ran").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "task 1 JobQueued { job: 1 }",
            "task 2 scheduled by Spawn 1",
            "task 2 scheduled by Job 1",
            "task 2 JobEnded { job: 1",
        ]
    );
}
