//! What the observer is told, and of whom: every cause and every effect of a wake, and what a loop that
//! has work does about events.

mod support;

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::observe::{Detail, Event, Kind, Observer, WakeEffect};
use mainspring::time::sleep;
use mainspring::{Builder, Runtime, Scheduler, spawn, spawn_blocking, spawn_named};
use support::{Events, Gate, Log, observed_runtime, virtual_builder};

/// The lines about wakes of one task.
fn wakes(log: &Log, task: u64) -> Vec<String> {
    let prefix = format!("task {task} ");
    let words = ["scheduled by", "woken again by", "woken while running by", "woken too late by"];
    let all = log.take();
    let mine = all.iter().filter_map(|line| line.strip_prefix(&prefix));
    mine.filter(|line| words.iter().any(|word| line.starts_with(word))).map(str::to_owned).collect()
}

/// Wakes a task to every effect that there is.
async fn wake_to_every_effect() {
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let place = waker.clone();
    let mut polls = 0;
    let task = spawn(poll_fn(move |cx| {
        polls += 1;
        *place.borrow_mut() = Some(cx.waker().clone());
        if polls == 2 {
            cx.waker().wake_by_ref();
        }
        if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
    }));
    yield_now().await;
    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    task.await.unwrap();
    waker.wake();
}

#[test]
fn every_effect_of_a_wake_is_told() {
    let (mut runtime, log) = observed_runtime();
    runtime.block_on(wake_to_every_effect());
    assert_eq!(
        wakes(&log, 2),
        [
            "scheduled by Spawn 1",
            "scheduled by Task 1",
            "woken again by Task 1",
            "woken while running by Task 2",
            "woken too late by Task 1",
        ]
    );
}

/// What a program of wakes, timers and a cancel tells at this level.
fn told_at(detail: Detail) -> Vec<Event> {
    let events = Events(Rc::default(), detail);
    let mut runtime = virtual_builder().observer(events.clone()).build().unwrap();
    runtime.block_on(async {
        wake_to_every_effect().await;
        let long = spawn(sleep(Duration::from_secs(9)));
        sleep(Duration::from_millis(3)).await;
        long.cancel();
        assert!(long.await.is_err());
    });
    drop(runtime);
    events.0.take()
}

#[test]
fn the_basic_level_is_everything_but_turns_and_wakes_that_change_nothing() {
    let (full, basic) = (told_at(Detail::Full), told_at(Detail::Basic));
    let left_out = |event: &&Event| match event.kind {
        Kind::TurnStarted { .. } | Kind::TurnEnded => true,
        Kind::Woken { effect, .. } => effect != WakeEffect::Scheduled,
        _ => false,
    };
    let (less, rest): (Vec<_>, Vec<_>) = full.iter().partition(left_out);
    assert_eq!(basic.iter().collect::<Vec<_>>(), rest);
    for effect in [WakeEffect::Coalesced, WakeEffect::Deferred, WakeEffect::Stale] {
        let has =
            |event: &&Event| matches!(event.kind, Kind::Woken { effect: e, .. } if e == effect);
        assert!(less.iter().any(has), "the program makes no {effect:?} wake");
    }
}

#[test]
fn every_cause_of_a_wake_is_told() {
    // A timer, a task that ended, a cancel.
    let (mut runtime, log) = observed_runtime();
    runtime.block_on(async {
        let sleeper = spawn(sleep(Duration::from_millis(3)));
        sleeper.await.unwrap();
        let idle = spawn(pending::<()>());
        yield_now().await;
        idle.cancel();
        assert!(idle.await.is_err());
    });
    let told = log.take();
    for line in [
        "task 2 scheduled by Timer 1",
        "task 1 scheduled by Join 2",
        "task 3 scheduled by Cancel 1",
        "task 1 scheduled by Join 3",
    ] {
        assert_eq!(told.iter().filter(|told| *told == line).count(), 1, "{line} in {told:#?}");
    }

    // Code outside of the loop, by message; another thread; a blocking job.
    let log = Log::new();
    let mut runtime = Runtime::builder().observer(log.observer()).build().unwrap();
    let gate = Gate::new();
    drop(runtime.spawn(gate.clone()));
    runtime.run_until_idle();
    let waker = gate.waker().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    runtime.run_until_idle();
    let told = wakes(&log, 1);
    assert!(told[1].starts_with("scheduled by Thread "), "{told:?}");
    runtime.block_on(async { spawn_blocking(|| ()).await.unwrap() });
    let told = wakes(&log, 3);
    assert_eq!(told[0], "scheduled by Spawn 2");
    // The job may have ended before its task was polled: then nothing had to be woken.
    assert!(told[1..].iter().all(|line| line == "scheduled by Job 1"), "{told:?}");
}

#[cfg(unix)]
#[test]
fn a_wake_by_a_source_tells_which() {
    use mainspring::net::UnixStream;

    let log = Log::new();
    let mut runtime = Runtime::builder().observer(log.observer()).build().unwrap();
    runtime.block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let reader = spawn(async move {
            let mut buffer = [0; 8];
            let read = poll_fn(|cx| near.poll_read(cx, &mut buffer)).await.unwrap();
            (near, read)
        });
        yield_now().await;
        poll_fn(|cx| far.poll_write(cx, b"word")).await.unwrap();
        assert_eq!(reader.await.unwrap().1, 4);
    });
    let told = log.take();
    let mine: Vec<_> = told.iter().filter(|line| line.starts_with("task 2 ")).collect();
    assert_eq!(
        mine[..],
        [
            "task 2 spawned by task 1",
            "task 2 scheduled by Spawn 1",
            "task 2 runs",
            "task 2 SourceTried { direction: Read, outcome: WouldBlock, source: 1, bytes: 0 }",
            "task 2 WaitsForSource { direction: Read, source: 1 }",
            "task 2 pending, 1 wakers",
            "task 2 scheduled by Source 1",
            "task 2 runs",
            "task 2 SourceTried { direction: Read, outcome: Short, source: 1, bytes: 4 }",
            "task 2 ready",
            "task 2 done",
            "task 2 OutputTaken",
        ]
    );
}

/// Without an event to wait for, the looks are all that tells a busy loop of the world.
#[cfg(unix)]
#[test]
fn a_busy_loop_looks_for_events_after_so_many_polls() {
    use mainspring::net::UnixStream;

    #[derive(Clone, Default)]
    struct Looks(Rc<RefCell<(u32, Vec<u32>)>>);
    impl Observer for Looks {
        fn on_event(&mut self, event: &Event) {
            let mut seen = self.0.borrow_mut();
            match event.kind {
                Kind::PollStarted { .. } => seen.0 += 1,
                Kind::Parked { timeout: 0 } => {
                    let polls = seen.0;
                    seen.1.push(polls);
                }
                _ => {}
            }
        }
    }
    for interval in [1, 10, 1000] {
        let looks = Looks::default();
        let builder = virtual_builder().poll_interval(interval).observer(looks.clone());
        let mut runtime = builder.build().unwrap();
        runtime.block_on(async {
            let _sources = UnixStream::pair().unwrap();
            for _ in 0..100 {
                yield_now().await;
            }
        });
        let (polls, looks) = looks.0.take();
        assert_eq!(polls, 101);
        let apart: Vec<_> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart.iter().all(|polls| *polls == interval), "{interval}: {looks:?}");
        assert_eq!(looks.len() as u32, 100 / interval, "{interval}: {looks:?}");
    }
}

/// The order in which ten tasks run, drawn by lot.
fn order(scheduler: Scheduler) -> Vec<u32> {
    let mut runtime = virtual_builder().scheduler(scheduler).build().unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    for n in 0..10 {
        let order = order.clone();
        drop(runtime.spawn(async move {
            for _ in 0..3 {
                order.borrow_mut().push(n);
                yield_now().await;
            }
        }));
    }
    runtime.run_until_idle();
    order.take()
}

#[test]
fn a_seed_draws_an_order_and_draws_it_again() {
    let drawn = order(Scheduler::Seeded(1));
    assert_eq!(drawn, order(Scheduler::Seeded(1)));
    assert_ne!(drawn, order(Scheduler::Seeded(2)));
    assert_eq!(order(Scheduler::Fifo), (0..10).cycle().take(30).collect::<Vec<_>>());
    for round in drawn.chunks(10) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, (0..10).collect::<Vec<_>>(), "everybody's turn before anybody's next");
    }
}

/// Yields, callbacks and word from elsewhere: the order in which all happens, and what the loop counts.
fn order_and_counts(builder: Builder) -> (Vec<String>, [u64; 4]) {
    let mut runtime = builder.build().unwrap();
    let (log, remote) = (Log::new(), runtime.remote());
    let told = log.clone();
    runtime.block_on(async move {
        let yields = |name: &'static str, times: u32| {
            let told = told.clone();
            spawn(async move {
                for time in 0..times {
                    told.add(format!("{name} {time}"));
                    yield_now().await;
                }
            })
        };
        yields("short", 3).add_done_callback({
            let told = told.clone();
            move |_| told.add("short is over")
        });
        let long = yields("long", 99);
        for time in 0..9 {
            told.add(format!("main {time}"));
            if time == 6 {
                remote.cancel(long.id()).unwrap();
                // Outlives main.
                drop(yields("late", 99));
            }
            yield_now().await;
        }
    });
    let stats = runtime.stats();
    (log.take(), [stats.turns, stats.polls, stats.woken, stats.cancelled])
}

/// A loop that nobody observes goes over from batch to batch where there is nothing else to be done.
#[test]
fn observed_or_not_a_program_takes_the_same_turns() {
    for interval in [3, 1000] {
        let builder = || Runtime::builder().poll_interval(interval);
        let plain = order_and_counts(builder());
        let observed = order_and_counts(builder().observer(Log::new().observer()));
        assert_eq!(plain, observed);
        assert_eq!(plain.1, [10, 23, 25, 1]);
    }
}

/// Awaiting, detaching and reading are told too, with the names of the tasks.
#[test]
fn names_waits_and_reads_are_told() {
    let (mut runtime, log) = observed_runtime();
    runtime.block_on(async {
        let mut named = spawn_named("named", yield_now());
        poll_fn(|cx| Poll::Ready(Pin::new(&mut named).poll(cx).is_pending())).await;
        drop(named);
        yield_now().await;
        yield_now().await;
    });
    let told = log.take();
    let mine: Vec<_> =
        told.iter().filter(|line| line.contains("named") || line.contains("task 2")).collect();
    assert_eq!(
        mine[..],
        [
            "task 2 is \"named\"",
            "task 2 spawned by task 1",
            "task 2 scheduled by Spawn 1",
            "task 1 waits for task 2",
            "task 2 Detached",
            "task 2 runs",
            "task 2 woken while running by Task 2",
            "task 2 requeued",
            "task 2 runs",
            "task 2 ready",
            "task 2 done",
        ]
    );
}
