//! Time, mostly on the virtual clock: when things happen, in which order, and what is left behind.

mod support;

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use mainspring::future::yield_now;
use mainspring::time::{
    Clock, Interval, MissedTick, Sleep, advance, interval, interval_at, now, sleep, sleep_until,
    timeout, timeout_at,
};
use mainspring::{Runtime, spawn, spawn_blocking};
use support::{Drops, Gate, Log, observed_runtime, panic_text, virtual_runtime};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs `main` on a virtual clock; also returns how much time passed there.
fn timed<F: Future>(main: F) -> (F::Output, Duration) {
    virtual_runtime().block_on(async {
        let start = now();
        let output = main.await;
        (output, now() - start)
    })
}

#[test]
fn sleeps_end_by_deadline_and_ties_in_order_of_arming() {
    let log = Log::new();
    let outer = log.clone();
    let ((), passed) = timed(async move {
        let start = now();
        let tasks: Vec<_> = [30, 10, 20, 10, 30, 10]
            .into_iter()
            .enumerate()
            .map(|(n, ms)| {
                let log = log.clone();
                spawn(async move {
                    sleep(ms * MS).await;
                    log.add(format!("{n} at {:?}", now() - start));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(
        outer.take(),
        ["1 at 10ms", "3 at 10ms", "5 at 10ms", "2 at 20ms", "0 at 30ms", "4 at 30ms",]
    );
    assert_eq!(passed, 30 * MS);
}

#[test]
fn a_duration_counts_from_the_first_poll() {
    let ((), passed) = timed(async {
        let later = sleep(10 * MS);
        sleep(HOUR).await;
        assert_eq!(later.deadline(), None);
        later.await;
    });
    assert_eq!(passed, HOUR + 10 * MS);
}

#[test]
fn a_sleep_suspends_once_even_if_it_is_over() {
    let (mut runtime, log) = observed_runtime();
    runtime.block_on(async {
        sleep(Duration::ZERO).await;
        sleep_until(now()).await;
        sleep(MS).await;
        // Beyond the start of the clock, in the past.
        sleep_until(now() - MS).await;
    });
    let pending = log.take().iter().filter(|line| line.starts_with("task 1 pending")).count();
    assert_eq!(pending, 4);
}

#[test]
fn a_real_sleep_is_never_early() {
    Runtime::new().block_on(async {
        for micros in [1, 50, 999, 1000, 1001, 2500] {
            let (duration, start) = (Duration::from_micros(micros), Instant::now());
            sleep(duration).await;
            assert!(start.elapsed() >= duration, "{micros} µs");
        }
    });
}

/// If it did not, this would not end.
#[test]
fn a_busy_loop_looks_at_its_timers() {
    Runtime::new().block_on(async {
        drop(spawn(async {
            loop {
                yield_now().await;
            }
        }));
        sleep(2 * MS).await;
    });
}

#[test]
fn the_longest_duration_is_no_special_case() {
    let (result, passed) = timed(async {
        let forever = spawn(sleep(Duration::MAX));
        let limited = spawn(timeout(Duration::MAX, sleep(HOUR)));
        let mut late = pin!(sleep(MS));
        late.as_mut().reset(Duration::MAX);
        assert!(timeout(HOUR, late.as_mut()).await.is_err());
        late.as_mut().reset(MS);
        late.await;
        assert!(!forever.is_finished());
        limited.await.unwrap()
    });
    assert_eq!(result, Ok(()));
    assert_eq!(passed, HOUR + MS);
}

#[test]
fn an_interval_of_the_longest_duration_ticks_once() {
    let (ticks, passed) = timed(async {
        let mut ticks = interval(Duration::MAX);
        ticks.tick().await;
        timeout(HOUR, ticks.tick()).await.is_err()
    });
    assert_eq!((ticks, passed), (true, HOUR));
}

#[test]
fn a_hundred_thousand_sleeps_are_ordinary_and_leave_nothing() {
    const SLEEPS: u32 = 100_000;
    let mut runtime = virtual_runtime();
    let log = Rc::new(RefCell::new(Vec::new()));
    let handles: Vec<_> = (0..SLEEPS)
        .map(|n| {
            let log = log.clone();
            runtime.spawn(async move {
                sleep(MS * (SLEEPS - n)).await;
                log.borrow_mut().push(n);
            })
        })
        .collect();
    runtime.run_until_idle();
    assert_eq!(runtime.stats().timers, u64::from(SLEEPS));
    handles.iter().step_by(2).for_each(|handle| handle.cancel());
    runtime.run_until_idle();
    assert_eq!(runtime.stats().timers, u64::from(SLEEPS) / 2);
    runtime.block_on(async {
        for handle in handles {
            handle.await.unwrap_or(());
        }
    });
    let expected: Vec<_> = (0..SLEEPS).rev().filter(|n| n % 2 == 1).collect();
    assert_eq!(*log.borrow(), expected);
    assert_eq!(runtime.stats().timers, 0);
}

#[test]
fn a_cancelled_sleep_leaves_neither_timer_nor_waker() {
    let mut runtime = virtual_runtime();
    let drops = Drops::default();
    let guard = drops.guard();
    runtime.block_on(async {
        let mut dropped = Box::pin(sleep(HOUR));
        poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await;
        assert!(timeout(MS, pending::<()>()).await.is_err());
        assert_eq!(timeout(HOUR, async { 1 }).await, Ok(1));
        let task = spawn(async move {
            let _guard = guard;
            sleep(HOUR).await;
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!((runtime.stats().timers, drops.count()), (0, 1));
    // A waker that a timer kept would be a way to go on: this would hang, not stall.
    assert!(runtime.try_block_on(pending::<()>()).is_err());
}

#[test]
fn a_sleep_can_be_reset_before_while_and_after() {
    let ((), passed) = timed(async {
        let start = now();
        let mut sleep = pin!(sleep(HOUR));
        sleep.as_mut().reset(10 * MS);
        assert!(timeout(MS, sleep.as_mut()).await.is_err());
        assert_eq!(sleep.deadline(), Some(start + 10 * MS));
        // Later than it was, then earlier than it was.
        sleep.as_mut().reset_at(start + 20 * MS);
        assert!(timeout(14 * MS, sleep.as_mut()).await.is_err());
        sleep.as_mut().reset_at(start + 16 * MS);
        sleep.as_mut().await;
        assert!(sleep.is_elapsed());
        assert_eq!(now() - start, 16 * MS);
        sleep.as_mut().await;
        assert_eq!(now() - start, 16 * MS, "once over, it stays so");
        sleep.as_mut().reset(MS);
        sleep.as_mut().await;
    });
    assert_eq!(passed, 17 * MS);
}

#[test]
fn the_task_that_polled_a_sleep_last_is_woken() {
    let mut runtime = virtual_runtime();
    let shared: Rc<RefCell<Pin<Box<Sleep>>>> = Rc::new(RefCell::new(Box::pin(sleep(MS))));
    let log = Log::new();
    for name in ["first", "second"] {
        let (shared, log) = (shared.clone(), log.clone());
        drop(runtime.spawn(async move {
            poll_fn(|cx| shared.borrow_mut().as_mut().poll(cx)).await;
            log.add(name);
        }));
    }
    runtime.run_until_idle();
    runtime.turn();
    runtime.run_until_idle();
    assert_eq!(log.take(), ["second"]);
}

/// Ticks every 100 ms, with one piece of work of 250 ms between the second tick and the third.
fn late_ticks(missed: MissedTick) -> Vec<(u128, u128)> {
    let (ticks, _) = timed(async {
        let start = now();
        let mut interval = interval(100 * MS);
        interval.set_missed_tick(missed);
        let mut ticks = Vec::new();
        for n in 0..7 {
            let scheduled = interval.tick().await;
            ticks.push(((scheduled - start).as_millis(), (now() - start).as_millis()));
            if n == 1 {
                sleep(250 * MS).await;
            }
        }
        ticks
    });
    ticks
}

#[test]
fn missed_ticks_come_in_a_burst_late_or_not_at_all() {
    assert_eq!(
        late_ticks(MissedTick::Burst),
        [(0, 0), (100, 100), (200, 350), (300, 350), (400, 400), (500, 500), (600, 600)]
    );
    assert_eq!(
        late_ticks(MissedTick::Delay),
        [(0, 0), (100, 100), (200, 350), (450, 450), (550, 550), (650, 650), (750, 750)]
    );
    assert_eq!(
        late_ticks(MissedTick::Skip),
        [(0, 0), (100, 100), (200, 350), (400, 400), (500, 500), (600, 600), (700, 700)]
    );
}

/// Work that takes as long as the period lets the others run all the same.
#[test]
fn an_overdue_interval_ticks_once_per_poll() {
    let log = Log::default();
    let (inner, other) = (log.clone(), log.clone());
    let (end, _) = timed(async move {
        drop(spawn(async move {
            for turn in 0..3 {
                other.add(format!("other {turn}"));
                yield_now().await;
            }
        }));
        let start = now();
        let mut interval = interval(MS);
        for tick in 0..4 {
            interval.tick().await;
            inner.add(format!("tick {tick}"));
            advance(MS);
        }
        now() - start
    });
    assert_eq!(end, 4 * MS);
    let expected = ["tick 0", "other 0", "tick 1", "other 1", "tick 2", "other 2", "tick 3"];
    assert_eq!(log.take(), expected);
}

/// More ticks are missed here than a `u32` counts.
#[test]
fn skipping_ends_in_the_future_however_many_ticks_were_missed() {
    let (ahead, _) = timed(async {
        let mut interval = interval(Duration::from_nanos(3));
        interval.set_missed_tick(MissedTick::Skip);
        interval.tick().await;
        sleep(100 * HOUR).await;
        interval.tick().await;
        let late = now();
        interval.tick().await > late
    });
    assert!(ahead);
}

#[test]
fn a_tick_that_was_given_up_is_not_lost() {
    let (ticks, passed) = timed(async {
        let start = now();
        let mut ticks = interval_at(start + 10 * MS, 10 * MS);
        assert!(timeout(4 * MS, ticks.tick()).await.is_err());
        let first = ticks.tick().await - start;
        sleep(3 * MS).await;
        Interval::reset(&mut ticks);
        let second = ticks.tick().await - start;
        (first, second)
    });
    assert_eq!((ticks, passed), ((10 * MS, 23 * MS), 23 * MS));
    assert_eq!(
        panic_text(|| virtual_runtime().block_on(async { drop(interval(Duration::ZERO)) })),
        "an interval needs a period above zero"
    );
}

#[test]
fn a_value_that_is_ready_at_the_deadline_wins() {
    let (outcomes, passed) = timed(async {
        let start = now();
        let gate = Gate::new();
        let opens = gate.clone();
        drop(spawn(async move {
            sleep_until(start + 30 * MS).await;
            opens.open();
        }));
        [
            timeout(10 * MS, sleep(10 * MS)).await.is_ok(),
            timeout_at(start + 20 * MS, sleep_until(start + 20 * MS)).await.is_ok(),
            // Opened by another task in the very turn in which the limit fires.
            timeout_at(start + 30 * MS, gate).await.is_ok(),
            timeout(10 * MS, sleep(10 * MS + Duration::from_nanos(1))).await.is_ok(),
            timeout(Duration::ZERO, async { 1 }).await.is_ok(),
            timeout(Duration::ZERO, yield_now()).await.is_ok(),
        ]
    });
    assert_eq!(outcomes, [true, true, true, false, true, true]);
    assert_eq!(passed, 40 * MS);
}

#[test]
fn time_up_drops_the_future_and_says_so() {
    let drops = Drops::default();
    let guard = drops.guard();
    let (error, passed) = timed(async move {
        timeout(MS, async move {
            let _guard = guard;
            pending::<()>().await;
        })
        .await
        .unwrap_err()
    });
    assert_eq!((drops.count(), passed), (1, MS));
    assert_eq!(error.to_string(), "time was up before the future was ready");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_program_may_move_a_virtual_clock_itself() {
    let log = Log::new();
    let inner = log.clone();
    let ((), passed) = timed(async move {
        let start = now();
        let tasks: Vec<_> = [20, 10, 40]
            .into_iter()
            .map(|ms| {
                let log = inner.clone();
                spawn(async move {
                    sleep(ms * MS).await;
                    log.add(format!("{ms} at {:?}", now() - start));
                })
            })
            .collect();
        yield_now().await;
        advance(30 * MS);
        assert_eq!(now() - start, 30 * MS);
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(
        (log.take().join(", ").as_str(), passed),
        ("10 at 30ms, 20 at 30ms, 40 at 40ms", 40 * MS)
    );
    // Also where the loop is never idle.
    let ((), _) = timed(async {
        let sleeper = spawn(sleep(MS));
        yield_now().await;
        advance(MS);
        // It is woken in the next turn, and comes after main there.
        yield_now().await;
        yield_now().await;
        assert!(sleeper.is_finished());
    });
    let text = panic_text(|| Runtime::new().block_on(async { advance(MS) }));
    assert_eq!(text, "only a virtual clock can be advanced");
}

#[test]
fn the_virtual_clock_stands_still_while_there_is_work() {
    let ((), passed) = timed(async {
        let start = now();
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(now(), start);
    });
    assert_eq!(passed, Duration::ZERO);
}

/// A refusal ends `block_on` with a panic; the runtime is as good as before.
#[test]
fn the_virtual_clock_refuses_to_jump_while_the_world_is_involved() {
    let refusal = |sources: u32, jobs: u32| {
        format!(
            "the virtual clock will not jump while the world outside is involved: {sources} sources \
             are registered and {jobs} blocking jobs are under way, and their time does not jump \
             along. Use the real clock, or Clock::VirtualDespiteIo if nothing more will come from \
             them"
        )
    };
    let mut runtime = virtual_runtime();
    let gate = Gate::new();
    let (release, released) = mpsc::channel::<()>();
    let text = panic_text(|| {
        runtime.block_on(async {
            let _job = spawn_blocking(move || released.recv().is_ok());
            drop(spawn(sleep(MS)));
            gate.clone().await;
        })
    });
    assert_eq!(text, refusal(0, 1));
    // What wakes that main now comes too late, and does not reach the next one in its place.
    let late = gate.waker().unwrap();
    let mut polls = 0;
    runtime.block_on(poll_fn(|cx| {
        late.wake_by_ref();
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    assert_eq!(polls, 2);
    release.send(()).unwrap();

    let mut runtime = virtual_runtime();
    let listener = runtime.block_on(async {
        let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        mainspring::net::TcpListener::bind(address).unwrap()
    });
    let text =
        panic_text(|| runtime.block_on(async { timeout(MS, listener.accept()).await.is_err() }));
    assert_eq!(text, refusal(1, 0));
    drop(listener);
    runtime.block_on(sleep(MS));
}

#[test]
fn the_virtual_clock_jumps_in_spite_of_sources_if_it_is_told_to() {
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let passed = runtime.block_on(async {
        let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = mainspring::net::TcpListener::bind(address).unwrap();
        let start = now();
        assert!(timeout(HOUR, listener.accept()).await.is_err());
        now() - start
    });
    assert_eq!(passed, HOUR);
}
