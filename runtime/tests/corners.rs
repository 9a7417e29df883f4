//! Places where a loop is seldom: panics wherever they come from, two runtimes, floods, wakers that do things.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use mainspring::future::{When, gather, gather_all, gather_ok, oneshot, race, wait, yield_now};
use mainspring::time::{Clock, Sleep, sleep, timeout};
use mainspring::{
    JoinHandle, Outside, Runtime, StallReason, TaskState, current_task, spawn, spawn_blocking,
    spawn_named,
};
use support::{Drops, Gate, Log, panic_text, stderr_of_child, virtual_builder, virtual_runtime};

const MS: Duration = Duration::from_millis(1);

/// Panics when it is dropped, with this text.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Counts its wakes; the first `panics` of them panic.
#[derive(Default)]
struct Fuse {
    wakes: AtomicUsize,
    panics: usize,
}

impl Wake for Fuse {
    fn wake(self: Arc<Self>) {
        let before = self.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(before >= self.panics, "the waker broke");
    }
}

/// Polls a future once with this waker.
fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Arc<Fuse>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(waker.clone())))
}

// --- two runtimes ---------------------------------------------------------------------------------

/// Wherever the id comes from.
#[test]
fn an_id_of_another_runtime_cancels_nothing() {
    let (mut first, mut second) = (Runtime::new(), Runtime::new());
    let strangers: Vec<JoinHandle<_>> =
        (0..3).map(|_| first.spawn(async { current_task().unwrap() })).collect();
    let ours: Vec<_> = (0..3).map(|_| second.spawn(pending::<()>())).collect();
    second.run_until_idle();
    let mut ids: Vec<_> = strangers.iter().map(JoinHandle::id).collect();
    first.run_until_idle();
    ids.extend(strangers.into_iter().map(|mut task| task.try_result().unwrap().unwrap()));
    let failed = first.spawn(async { resume_unwind(Box::new("fails")) });
    let error = first.block_on(async move { failed.await.unwrap_err() });
    ids.push(error.task());
    for id in ids {
        assert!(ours.iter().all(|task| task.id() != id), "ids of two runtimes are never equal");
        second.remote().cancel(id).unwrap();
        second.run_until_idle();
        assert!(ours.iter().all(|task| !task.is_finished()), "{id}");
    }
    second.remote().cancel(ours[1].id()).unwrap();
    second.run_until_idle();
    assert_eq!(ours.iter().filter(|task| task.is_finished()).count(), 1);
}

/// A timer that was armed on a loop fires there alone.
#[test]
fn a_started_sleep_says_whose_it_is_when_it_is_polled_elsewhere() {
    let started = |runtime: &mut Runtime| {
        let mut sleep = sleep(Duration::from_secs(9));
        runtime.block_on(poll_fn(|cx| {
            assert!(Pin::new(&mut sleep).poll(cx).is_pending());
            Poll::Ready(())
        }));
        sleep
    };
    let named = || Runtime::builder().name("theirs").build().unwrap();
    let elsewhere = |sleep: Sleep| panic_text(|| Runtime::new().block_on(sleep));
    let nowhere = |mut sleep: Sleep| panic_text(|| poll_with(&mut sleep, &Arc::default()));

    let mut theirs = named();
    {
        let text = elsewhere(started(&mut theirs));
        let at = "in the loop entered at runtime/tests/corners.rs:";
        let owner =
            "this sleep belongs to the runtime \"theirs\" entered at runtime/tests/corners.rs:";
        assert!(text.starts_with(owner) && text.contains("which does not run here"), "{text}");
        assert!(text.contains(&format!("it is polled {at}")), "{text}");
    }
    let text = nowhere(started(&mut theirs));
    assert!(text.ends_with("which does not run here; it is polled where no loop runs"), "{text}");
    let left = started(&mut theirs);
    drop(theirs);
    assert!(elsewhere(left).contains("which has been dropped; it is polled in the loop"));

    // Not started, it belongs to no loop yet; and a timeout's limit is a sleep, too.
    let fresh = sleep(MS);
    Runtime::new().block_on(fresh);
    let mut theirs = named();
    let mut limited = Box::pin(timeout(Duration::from_secs(9), pending::<()>()));
    theirs.block_on(poll_fn(|cx| {
        assert!(limited.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    assert!(panic_text(|| Runtime::new().block_on(limited)).contains("does not run here"));
}

#[test]
fn the_drop_of_a_runtime_wakes_what_waits_for_its_timers() {
    let mut runtime = virtual_runtime();
    let fuses: Vec<_> = [1, 0, 0].map(|panics| Arc::new(Fuse { panics, ..Fuse::default() })).into();
    let mut sleeps: Vec<_> = fuses.iter().map(|_| sleep(MS)).collect();
    runtime.block_on(async {
        for (sleep, fuse) in sleeps.iter_mut().zip(&fuses) {
            assert!(poll_with(sleep, fuse).is_pending());
        }
    });
    assert_eq!(panic_text(|| drop(runtime)), "the waker broke");
    assert!(fuses.iter().all(|fuse| fuse.wakes.load(Ordering::Relaxed) == 1));
    drop(sleeps);
}

/// With a virtual clock time does not pass outside, and a thread with a `Remote` may still do something.
#[test]
fn the_virtual_clock_does_not_jump_over_a_held_remote() {
    let mut runtime = virtual_runtime();
    let remote = runtime.remote();
    let stalled = runtime.try_block_on(sleep(MS)).unwrap_err();
    let outside = Outside { sources: 0, jobs: 0, remote: true };
    assert_eq!(stalled.reason(), StallReason::ClockWouldJump(outside));
    assert!(stalled.tasks().is_empty());
    let text = stalled.to_string();
    assert!(
        text.starts_with("the virtual clock will not jump") && text.contains("a Remote is held")
    );
    assert_eq!(panic_text(|| runtime.block_on(sleep(MS))), text);
    drop(runtime.spawn(sleep(MS)));
    runtime.run_until_idle();
    assert_eq!(panic_text(|| runtime.turn()), text);

    let clone = remote.clone();
    drop(remote);
    assert!(runtime.try_block_on(sleep(MS)).is_err(), "one is left");
    drop(clone);
    runtime.block_on(sleep(MS));

    let mut daring = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let _remote = daring.remote();
    daring.block_on(sleep(MS));

    // What the thread sends comes before the deadline that it was to beat.
    let mut runtime = virtual_runtime();
    let remote = runtime.remote();
    let seen = runtime.block_on(async move {
        let (sender, receiver) = async_channel::bounded(1);
        let thread =
            thread::spawn(move || remote.spawn(move || async move { sender.send(7).await }));
        let got = receiver.recv().await;
        thread.join().unwrap().unwrap();
        timeout(Duration::from_secs(60), async { got }).await
    });
    assert_eq!(seen, Ok(Ok(7)));
}

// --- panics ---------------------------------------------------------------------------------------

/// Timers that are due together: the first waker panics, and every other one is woken before the panic goes on.
#[test]
fn a_waker_that_panics_loses_no_other_timer() {
    for broken in 0..4 {
        let mut runtime = virtual_runtime();
        let fuses: Vec<_> = (0..4)
            .map(|n| Arc::new(Fuse { panics: usize::from(n == broken), ..Fuse::default() }))
            .collect();
        let mut sleeps: Vec<_> = fuses.iter().map(|_| sleep(MS)).collect();
        let mut gone = fuses.iter().zip(&mut sleeps);
        let text = panic_text(|| {
            runtime.block_on(async {
                gone.by_ref()
                    .for_each(|(fuse, sleep)| assert!(poll_with(sleep, fuse).is_pending()));
                sleep(2 * MS).await;
            })
        });
        assert_eq!(text, "the waker broke");
        assert!(fuses.iter().all(|fuse| fuse.wakes.load(Ordering::Relaxed) == 1), "{broken}");
        assert_eq!(runtime.stats().timers_fired, 4);
        runtime.block_on(sleep(MS));
    }
}

/// Tasks whose ends are awaited by foreign wakers that panic.
#[test]
fn a_joiner_that_panics_loses_no_other_task_of_a_dropped_runtime() {
    let drops = Drops::default();
    let runtime = virtual_runtime();
    let fuses: Vec<_> = (0..3).map(|_| Arc::new(Fuse { panics: 1, ..Fuse::default() })).collect();
    let mut handles: Vec<_> = (0..3)
        .map(|_| {
            let guard = drops.guard();
            runtime.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            })
        })
        .collect();
    for (handle, fuse) in handles.iter_mut().zip(&fuses) {
        assert!(poll_with(handle, fuse).is_pending());
    }
    assert_eq!(panic_text(|| drop(runtime)), "the waker broke");
    assert_eq!(drops.count(), 3);
    assert!(fuses.iter().all(|fuse| fuse.wakes.load(Ordering::Relaxed) == 1));
    assert!(handles.iter().all(|handle| handle.state() == TaskState::Cancelled));
}

/// The reports of a process whose stderr is a closed pipe.
#[test]
fn a_closed_stderr_ends_neither_a_loop_nor_a_thread_of_the_pool() {
    const CHILD: &str = "MAINSPRING_TEST_CLOSED";
    if std::env::var_os(CHILD).is_some() {
        std::panic::set_hook(Box::new(|_| ()));
        let mut runtime = Runtime::builder().blocking_threads(1).build().unwrap();
        let done = runtime.block_on(async {
            drop(spawn(async { panic!("nobody looks") }));
            drop(spawn(async { Bomb("a value") }));
            let cancelled = spawn(async {
                let _bomb = Bomb("a future");
                pending::<()>().await;
            });
            yield_now().await;
            cancelled.cancel();
            spawn(async {}).add_done_callback(|_| panic!("a callback"));
            // A result that is dropped on the pool's only thread.
            let (start, started) = mpsc::channel();
            let job = spawn_blocking(move || {
                start.send(()).unwrap();
                Bomb("a result")
            });
            started.recv().unwrap();
            drop(job.abort_on_drop());
            for _ in 0..9 {
                yield_now().await;
            }
            spawn_blocking(|| 7).await.unwrap()
        });
        std::process::exit(done);
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_closed_stderr_ends_neither_a_loop_nor_a_thread_of_the_pool"])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

/// Every way in which a panic leaves the loop while main waits for its turn.
#[test]
fn a_runtime_survives_every_panic_that_leaves_it() {
    let mut runtime = virtual_runtime();
    for way in 0..3 {
        let fuse = Arc::new(Fuse { panics: 1, ..Fuse::default() });
        let mut sleeper = sleep(MS);
        let mut joined = runtime.spawn(yield_now());
        let text = panic_text(|| {
            runtime.block_on(async {
                match way {
                    // A timer's waker, in a turn that begins with main in the queue.
                    0 => assert!(poll_with(&mut sleeper, &fuse).is_pending()),
                    // A joiner's, in the middle of a batch.
                    1 => assert!(poll_with(&mut joined, &fuse).is_pending()),
                    _ => panic!("the waker broke"),
                }
                loop {
                    mainspring::time::advance(MS);
                    yield_now().await;
                }
            })
        });
        assert_eq!(text, "the waker broke", "{way}");
        assert_eq!(runtime.block_on(async { spawn(async move { way }).await.unwrap() }), way);
    }
    assert_eq!(runtime.stats().alive, 0);
}

/// What panics with something whose drop panics, in every place that catches.
#[test]
fn a_payload_that_panics_when_it_is_dropped_ends_nothing() {
    let lines = stderr_of_child("a_payload_that_panics_when_it_is_dropped_ends_nothing", || {
        let mut runtime = virtual_runtime();
        drop(runtime.spawn(async { panic_any(Bomb("the payload")) }));
        let kept = runtime.spawn(async { panic_any(Bomb("the payload")) });
        runtime.spawn(async {}).add_done_callback(|_| panic_any(Bomb("the payload")));
        drop(runtime.spawn(async {
            spawn_blocking(|| panic_any(Bomb("the payload"))).await.unwrap_err();
        }));
        struct Cleanup;
        impl Drop for Cleanup {
            fn drop(&mut self) {
                panic_any(Bomb("the payload"));
            }
        }
        let cancelled = runtime.spawn(async {
            let _cleanup = Cleanup;
            pending::<()>().await;
        });
        runtime.run_until_idle();
        cancelled.cancel();
        let mut real = Runtime::new();
        real.remote()
            .spawn(|| -> std::future::Ready<()> { panic_any(Bomb("the payload")) })
            .unwrap();
        real.run_until_idle();
        runtime.block_on(async move { drop(kept.await.unwrap_err()) });
        let text = runtime.block_on(async { spawn(async { 7 }).await.unwrap() });
        assert_eq!(text, 7);
    });
    assert!(lines.iter().any(|line| line.contains("nobody looked")), "{lines:?}");
}

/// A handle that is dropped while its thread unwinds: a second panic would abort.
#[test]
fn a_result_that_panics_when_it_is_dropped_during_a_panic_aborts_nothing() {
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(async { Bomb("the value") });
    runtime.run_until_idle();
    let text = panic_text(|| {
        let _handle = handle;
        panic!("the first");
    });
    assert_eq!(text, "the first");
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

/// A job that is refused may do anything when it is dropped, also hand in another.
#[test]
fn a_pool_takes_any_name_and_drops_jobs_under_no_lock() {
    for name in ["a\0b", "\0", "", "a very long name that no system takes as that of a thread"] {
        let mut runtime = Runtime::builder().name(name).build().unwrap();
        for n in 0..3 {
            assert_eq!(runtime.block_on(async { spawn_blocking(move || n).await.unwrap() }), n);
        }
    }
    struct Submits(Arc<AtomicUsize>);
    impl Drop for Submits {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            if mainspring::current_task().is_some()
                || catch_unwind(|| drop(spawn(async {}))).is_ok()
            {
                drop(spawn_blocking(|| ()));
            }
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut runtime = Runtime::builder().blocking_threads(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    runtime.block_on(async {
        let busy = spawn_blocking(move || released.recv().is_ok());
        for _ in 0..3 {
            let submits = Submits(dropped.clone());
            drop(spawn_blocking(move || drop(submits)));
        }
        yield_now().await;
        drop(busy);
    });
    drop(runtime);
    drop(release);
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn any_number_of_callbacks_on_a_finished_task_aborts_nothing() {
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(async {});
    runtime.run_until_idle();
    let called = Rc::new(Cell::new(0));
    for _ in 0..70_000 {
        let called = called.clone();
        handle.add_done_callback(move |_| called.set(called.get() + 1));
    }
    drop(handle);
    runtime.run_until_idle();
    assert_eq!(called.get(), 70_000);
}

/// As everywhere in Rust: what a panic drops is dropped while the thread unwinds, so that a lock guard in it
/// poisons its lock.
#[test]
fn a_future_that_panics_is_dropped_while_its_thread_unwinds() {
    /// A lock whose guard is dropped here, as the field of a future, and the lock itself for a look at it.
    struct Holds<F>(Option<mutex_guard::Guard>, F);
    mod mutex_guard {
        use std::sync::{Mutex, MutexGuard};
        pub type Guard = MutexGuard<'static, ()>;
        pub fn lock() -> (&'static Mutex<()>, Guard) {
            let lock: &Mutex<()> = Box::leak(Box::new(Mutex::new(())));
            (lock, lock.lock().unwrap())
        }
    }
    impl<F: Future + Unpin> Future for Holds<F> {
        type Output = F::Output;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            assert!(self.0.is_some());
            Pin::new(&mut self.1).poll(cx)
        }
    }
    let fails = || {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 1 { Poll::<()>::Pending } else { resume_unwind(Box::new("fails")) }
        })
    };
    let mut runtime = virtual_runtime();
    let (task, guard) = mutex_guard::lock();
    let failed = runtime.spawn(Holds(Some(guard), fails()));
    let (cancelled, guard) = mutex_guard::lock();
    let waits = runtime.spawn(Holds(Some(guard), pending::<()>()));
    runtime.run_until_idle();
    assert!(runtime.block_on(failed).unwrap_err().is_panic());
    let (main, guard) = mutex_guard::lock();
    let main_fails = Holds(Some(guard), fails());
    assert!(catch_unwind(AssertUnwindSafe(|| runtime.block_on(main_fails))).is_err());
    waits.cancel();
    runtime.run_until_idle();
    assert_eq!([task, main, cancelled].map(|lock| lock.is_poisoned()), [true, true, false]);
}

// --- fairness -------------------------------------------------------------------------------------

/// How much of a flood is handled before a timer that is due has its turn.
#[test]
fn no_flood_keeps_a_timer_waiting() {
    const FLOOD: usize = 50_000;
    let handled = Arc::new(AtomicUsize::new(0));
    let count = |handled: &Arc<AtomicUsize>| {
        let handled = handled.clone();
        move || handled.fetch_add(1, Ordering::Relaxed)
    };
    for flood in ["spawns", "cancels of strangers", "callbacks", "stale wakes"] {
        handled.store(0, Ordering::Relaxed);
        let mut runtime = Runtime::new();
        let remote = runtime.remote();
        let ended = runtime.spawn(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let stale = runtime.block_on(ended).unwrap();
        let finished = runtime.spawn(async {});
        let id = finished.id();
        runtime.run_until_idle();
        for _ in 0..FLOOD {
            let tick = count(&handled);
            match flood {
                "spawns" => remote.spawn(move || async move { tick() }).unwrap(),
                "callbacks" => {
                    finished.add_done_callback(move |_| assert!(tick() < FLOOD));
                }
                "stale wakes" => {
                    // One at a time: a second one would send no message.
                    let waker = stale.clone();
                    remote
                        .spawn(move || async move {
                            waker.wake();
                            tick()
                        })
                        .unwrap();
                }
                _ => {
                    remote.cancel(id).unwrap();
                    tick();
                }
            }
        }
        let before = runtime.stats().messages;
        let at = runtime.block_on(async {
            sleep(Duration::ZERO).await;
            handled.load(Ordering::Relaxed)
        });
        let read = runtime.stats().messages - before;
        let seen = if flood == "callbacks" { at } else { read as usize };
        assert!(seen <= 1000, "{flood}: {seen} of {FLOOD} were handled before the timer");
        runtime.run_until_idle();
        assert_eq!(handled.load(Ordering::Relaxed), FLOOD, "{flood}: none is lost");
    }
}

// --- wakers that do things, and futures polled in odd ways ----------------------------------------

/// Uses its loop when it is woken and when it is dropped.
struct Busy;

fn use_the_loop() {
    // Outside of a loop there is nothing to use.
    if current_task().is_none() {
        return;
    }
    let mut sleep = sleep(MS);
    assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(sleep);
    let task = spawn(pending::<()>());
    task.cancel();
    drop(task);
}

impl Wake for Busy {
    fn wake(self: Arc<Self>) {
        use_the_loop();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        use_the_loop();
    }
}

/// Every leaf is polled with one such waker after another, so that each is replaced, woken and dropped.
#[test]
fn a_waker_may_use_the_runtime_wherever_it_is_replaced_woken_or_dropped() {
    type Leaf = Pin<Box<dyn Future<Output = ()>>>;
    type Make = fn() -> Leaf;
    let leaves: [(&str, Make); 9] = [
        ("sleep", || Box::pin(sleep(MS))),
        ("timeout", || Box::pin(async { assert!(timeout(MS, pending::<()>()).await.is_err()) })),
        ("interval", || {
            Box::pin(async {
                let mut interval = mainspring::time::interval(MS);
                interval.tick().await;
                interval.tick().await;
            })
        }),
        ("handle", || {
            let task = spawn(sleep(MS));
            Box::pin(async move { task.await.unwrap() })
        }),
        ("gather", || {
            let tasks = [1, 2].map(|n| spawn(sleep(n * MS)));
            Box::pin(async move { drop(gather(tasks).await) })
        }),
        ("wait", || {
            let tasks = [1, 9].map(|n| spawn(sleep(n * MS)));
            Box::pin(async move { drop(wait(tasks, When::FirstCompleted).await) })
        }),
        ("oneshot", || {
            let (sender, receiver) = oneshot();
            drop(spawn(async move {
                sleep(MS).await;
                sender.set(()).unwrap();
            }));
            Box::pin(async move { receiver.await.unwrap() })
        }),
        ("blocking", || Box::pin(async { spawn_blocking(|| ()).await.unwrap() })),
        ("race", || Box::pin(race(async { sleep(MS).await }, pending()))),
    ];
    for (name, leaf) in leaves {
        // A thread takes its time; the timers of all others fire in their order.
        let clock = if name == "blocking" { Clock::Real } else { Clock::Virtual };
        for dropped_after in 1..4 {
            let mut runtime = Runtime::builder().clock(clock).build().unwrap();
            runtime.block_on(async {
                let mut leaf = leaf();
                for _ in 0..dropped_after {
                    // Polled twice with each, since the second poll takes another path than the first.
                    let waker = Waker::from(Arc::new(Busy));
                    for _ in 0..2 {
                        assert!(leaf.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    }
                }
                // Until the timers have fired and the job has ended, while the last waker is in place.
                sleep(3 * MS).await;
                if dropped_after > 1 && name != "blocking" {
                    let waker = Waker::from(Arc::new(Busy));
                    let polled = catch_unwind(AssertUnwindSafe(|| {
                        leaf.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
                    }));
                    assert!(polled.is_ok_and(|ready| ready), "{name}");
                }
            });
        }
    }
}

/// Two arms of one task with wakers of their own: neither displaces the task's own wait.
#[test]
fn a_second_waker_in_the_same_poll_displaces_no_wait() {
    let mut runtime = virtual_runtime();
    runtime.block_on(async {
        let mut own = sleep(MS);
        let mut lent = sleep(2 * MS);
        let fuse = Arc::new(Fuse::default());
        poll_fn(|cx| {
            let ready = Pin::new(&mut own).poll(cx);
            if ready.is_pending() {
                assert!(poll_with(&mut lent, &fuse).is_pending());
            }
            ready
        })
        .await;
        assert_eq!(fuse.wakes.load(Ordering::Relaxed), 0);
        sleep(2 * MS).await;
        assert_eq!(fuse.wakes.load(Ordering::Relaxed), 1);
    });
}

/// No future that waits for tasks makes up a value when it is polled after its end.
#[test]
fn futures_that_wait_for_tasks_end_once() {
    let twice = |name: &str, poll: &mut dyn FnMut(&mut Context<'_>) -> bool| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(poll(&mut cx), "{name}");
        let again = panic_text(|| poll(&mut cx));
        assert_eq!(again, "a future that waits for tasks was polled after its end", "{name}");
    };
    let mut runtime = virtual_runtime();
    runtime.block_on(async {
        let ended = || {
            let tasks = [spawn(async { 1 }), spawn(async { 2 })];
            async move {
                yield_now().await;
                yield_now().await;
                tasks
            }
        };
        let mut all = gather(ended().await);
        twice("gather", &mut |cx| Pin::new(&mut all).poll(cx).is_ready());
        let mut none = gather(Vec::<JoinHandle<u8>>::new());
        twice("gather of none", &mut |cx| Pin::new(&mut none).poll(cx).is_ready());
        let failed = spawn(async { resume_unwind(Box::new("fails")) });
        yield_now().await;
        yield_now().await;
        let mut failed = gather([failed, spawn(pending::<()>())]);
        twice("failed gather", &mut |cx| Pin::new(&mut failed).poll(cx).is_ready());
        let mut each = gather_all(ended().await);
        twice("gather_all", &mut |cx| Pin::new(&mut each).poll(cx).is_ready());
        let mut waited = wait(ended().await, When::FirstCompleted);
        twice("wait", &mut |cx| Pin::new(&mut waited).poll(cx).is_ready());
        let results = [spawn(async { Err::<u8, u8>(1) }), spawn(async { Ok(2) })];
        yield_now().await;
        yield_now().await;
        let mut ok = gather_ok(results);
        twice("gather_ok", &mut |cx| Pin::new(&mut ok).poll(cx).is_ready());
    });
}

/// The members that go on after a group has ended are no concern of it any more.
#[test]
fn a_member_that_ends_after_its_group_is_ignored() {
    let mut runtime = virtual_runtime();
    runtime.block_on(async {
        let survived = Rc::new(Cell::new(0));
        let slow = |survived: &Rc<Cell<u32>>| {
            let survived = survived.clone();
            spawn(async move {
                sleep(5 * MS).await;
                survived.set(survived.get() + 1);
            })
        };
        let quick = spawn(async { resume_unwind(Box::new("fails")) });
        let mut failed = pin!(gather([quick, slow(&survived)]));
        assert!(failed.as_mut().await.is_err());
        let waited = wait([slow(&survived), spawn(async {})], When::FirstCompleted).await;
        let pending = waited.pending;
        sleep(9 * MS).await;
        assert_eq!(survived.get(), 2);
        // A handle that was in a group may be in another, or be awaited.
        assert_eq!(gather(pending).await.unwrap(), [()]);
    });
}

#[test]
fn the_debug_text_of_a_handle_is_short_and_tells_of_a_cancel() {
    struct Endless;
    impl std::fmt::Debug for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            loop {
                f.write_str("endless\n")?;
            }
        }
    }
    let mut runtime = virtual_runtime();
    let (long, endless) = runtime.block_on(async {
        let long = spawn_named("n".repeat(100_000), pending::<()>());
        (long, spawn(async { Endless }))
    });
    runtime.run_until_idle();
    for text in [format!("{long:?}"), format!("{endless:?}")] {
        assert!(text.len() < 300 && !text.contains('\n') && text.contains('…'), "{text}");
    }
    assert!(!format!("{long:?}").contains("cancel"));
    long.cancel();
    assert!(format!("{long:?}").contains(" pending, cancel requested,"), "{long:?}");
    runtime.run_until_idle();
    assert!(format!("{long:?}").contains(" cancelled spawned at"), "{long:?}");
    let seen = Log::new();
    let shared = Rc::new(RefCell::new(None::<JoinHandle<()>>));
    let (log, own) = (seen.clone(), shared.clone());
    *shared.borrow_mut() = Some(runtime.spawn(async move {
        let own = own.borrow();
        let own = own.as_ref().unwrap();
        own.cancel();
        log.add(format!("{own:?}"));
    }));
    runtime.run_until_idle();
    assert!(seen.take()[0].contains(" running, cancel requested,"));
}

#[test]
fn an_observed_virtual_loop_is_as_whole_after_a_panic() {
    let log = Log::new();
    let mut runtime = virtual_builder().observer(log.observer()).build().unwrap();
    let gate = Gate::new();
    let fuse = Arc::new(Fuse { panics: 1, ..Fuse::default() });
    let mut sleeper = sleep(MS);
    let text = panic_text(|| {
        runtime.block_on(async {
            assert!(poll_with(&mut sleeper, &fuse).is_pending());
            gate.clone().await;
        })
    });
    assert_eq!(text, "the waker broke");
    assert!(log.take().iter().any(|line| line.contains("cancelled by Shutdown")));
    runtime.block_on(async { sleep(MS).await });
    assert_eq!(log.take().last().unwrap(), "== left: MainDone");
}
