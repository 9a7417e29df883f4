//! Tasks from spawn to end: states, results, cancels, callbacks, panics.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::observe::CancelOrigin;
use mainspring::time::sleep;
use mainspring::{JoinHandle, Pending, TaskState, spawn, spawn_named};
use support::{Drops, Gate, Log, observed_runtime, panic_text, stderr_of_child, virtual_runtime};

const IDLE: TaskState = TaskState::Pending(Pending::Idle);
const SCHEDULED: TaskState = TaskState::Pending(Pending::Scheduled);

/// A handle that a task can look at while it runs.
type Shared<T> = Rc<RefCell<Option<JoinHandle<T>>>>;

fn state_of<T>(shared: &Shared<T>) -> TaskState {
    shared.borrow().as_ref().expect("the handle").state()
}

#[test]
fn the_state_at_every_moment() {
    struct Looks(Shared<()>, Rc<RefCell<Vec<TaskState>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.borrow_mut().push(state_of(&self.0));
        }
    }
    let mut runtime = virtual_runtime();
    let (shared, seen) = (Shared::default(), Rc::new(RefCell::new(Vec::new())));
    let gate = Gate::new();
    let (looks, inner_gate) = (Looks(shared.clone(), seen.clone()), gate.clone());
    let handle = runtime.spawn(async move {
        looks.1.borrow_mut().push(state_of(&looks.0));
        inner_gate.await;
    });
    assert_eq!(handle.state(), SCHEDULED);
    *shared.borrow_mut() = Some(handle);
    runtime.run_until_idle();
    assert_eq!(state_of(&shared), IDLE);
    gate.open();
    assert_eq!(state_of(&shared), IDLE, "a wake from outside of the loop is a letter");
    runtime.run_until_idle();
    assert_eq!(state_of(&shared), TaskState::Done);
    assert_eq!(seen.take(), [TaskState::Running; 2], "in the body, and in the drop of the future");
    assert_eq!(SCHEDULED.to_string() + &IDLE.to_string(), "pendingpending");
}

#[test]
fn a_wake_inside_of_the_loop_schedules() {
    let mut runtime = virtual_runtime();
    let gate = Gate::new();
    let waiting = runtime.spawn(gate.clone());
    let states = runtime.block_on(async {
        yield_now().await;
        let before = waiting.state();
        gate.open();
        [before, waiting.state()]
    });
    assert_eq!(states, [IDLE, SCHEDULED]);
}

#[test]
fn a_cancel_before_the_first_poll_never_runs_the_body() {
    let (mut runtime, log) = observed_runtime();
    let drops = Drops::default();
    let guard = drops.guard();
    let mut handle = runtime.spawn(async move {
        let _guard = guard;
        panic!("the body ran");
    });
    handle.cancel();
    assert_eq!((handle.state(), drops.count()), (SCHEDULED, 0), "a cancel is a request");
    log.take();
    assert_eq!(runtime.turn().polled, 0);
    assert_eq!(drops.count(), 1);
    assert_eq!(handle.state(), TaskState::Cancelled);
    let error = handle.try_result().unwrap().unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());
    assert_eq!(error.cancelled_by(), Some((CancelOrigin::Handle, None)));
    assert_eq!(
        log.take(),
        [
            "== entered",
            "-- turn 1, 1 ready",
            "task 1 cancelled by Handle of nobody",
            "-- turn ended",
            "== left: TurnDone",
            "task 1 OutputTaken",
        ]
    );
}

#[test]
fn a_cancel_during_a_poll_takes_effect_when_it_returns() {
    let mut runtime = virtual_runtime();
    let shared = Shared::default();
    let (log, inner, outer) = (Log::new(), shared.clone(), Log::new());
    let outer_log = outer.clone();
    let body = log.clone();
    *shared.borrow_mut() = Some(runtime.spawn(async move {
        inner.borrow().as_ref().map(JoinHandle::cancel);
        body.add("goes on after its cancel");
        body.add(format!("{}", state_of(&inner)));
        yield_now().await;
        body.add("goes on after its poll");
    }));
    shared.borrow().as_ref().map(|handle| {
        handle.add_done_callback(move |handle| outer_log.add(handle.state().to_string()))
    });
    runtime.run_until_idle();
    assert_eq!(log.take(), ["goes on after its cancel", "running"]);
    assert_eq!(outer.take(), ["cancelled"]);
}

#[test]
fn completion_beats_a_late_cancel() {
    let mut runtime = virtual_runtime();
    let shared = Shared::default();
    let inner = shared.clone();
    *shared.borrow_mut() = Some(runtime.spawn(async move {
        inner.borrow().as_ref().map(JoinHandle::cancel);
        7
    }));
    runtime.run_until_idle();
    let mut handle = shared.take().unwrap();
    handle.cancel();
    runtime.run_until_idle();
    assert_eq!(handle.state(), TaskState::Done);
    assert_eq!(handle.try_result().unwrap().unwrap(), 7);
}

#[test]
fn a_cancel_tells_its_reason_and_who_asked() {
    let mut runtime = virtual_runtime();
    let text = runtime.block_on(async {
        let victim = spawn_named("victim", std::future::pending::<()>());
        yield_now().await;
        let (victim, canceller) = {
            let handle = Rc::new(victim);
            let inner = handle.clone();
            let by = spawn(async move {
                inner.cancel_with("the page is gone");
                inner.cancel_with("too late for another reason");
            });
            let id = by.id();
            by.await.unwrap();
            (Rc::into_inner(handle).unwrap(), id)
        };
        let error = victim.await.unwrap_err();
        assert_eq!(error.reason(), Some("the page is gone"));
        assert_eq!(error.cancelled_by(), Some((CancelOrigin::Handle, Some(canceller))));
        error.to_string()
    });
    let (place, outcome) = text.split_once(") ").unwrap();
    assert!(place.starts_with("task 2 \"victim\" (spawned at runtime/tests/tasks.rs:"), "{text}");
    assert_eq!(outcome, "cancelled by task 3: the page is gone");
}

#[test]
fn abort_on_drop_cancels_and_dropping_a_plain_handle_detaches() {
    let (mut runtime, log) = observed_runtime();
    let drops = Drops::default();
    let gate = Gate::new();
    let spawn_waiting = |runtime: &mainspring::Runtime| {
        let (guard, gate) = (drops.guard(), gate.clone());
        runtime.spawn(async move {
            gate.await;
            drop(guard);
        })
    };
    drop(spawn_waiting(&runtime));
    drop(spawn_waiting(&runtime).abort_on_drop());
    runtime.run_until_idle();
    assert_eq!(drops.count(), 1);
    let seen = log.take();
    assert!(seen.contains(&"task 1 Detached".to_owned()), "{seen:?}");
    assert!(seen.contains(&"task 2 cancelled by HandleDropped of nobody".to_owned()), "{seen:?}");
    gate.open();
    runtime.run_until_idle();
    assert_eq!(drops.count(), 2, "the detached one went on");
    // One that is awaited to its end is not cancelled afterwards, and passes the result on.
    let output = runtime.block_on(async { spawn(async { 5 }).abort_on_drop().await });
    assert_eq!(output.unwrap(), 5);
}

#[test]
fn callbacks_run_on_the_next_turn_in_order_and_once() {
    let mut runtime = virtual_runtime();
    let log = Log::new();
    let inner = log.clone();
    let handle = runtime.spawn(async move { inner.add("the task's own line") });
    for n in 1..=3 {
        let inner = log.clone();
        handle.add_done_callback(move |handle| inner.add(format!("callback {n}: {}", handle.id())));
    }
    runtime.turn();
    assert_eq!(log.take(), ["the task's own line"]);
    runtime.turn();
    assert_eq!(log.take(), ["callback 1: task 1", "callback 2: task 1", "callback 3: task 1"]);
    runtime.turn();
    assert!(log.take().is_empty());
    // Added when the task is over, it still runs through the loop.
    let (inner, outer) = (log.clone(), log.clone());
    handle.add_done_callback(move |handle| {
        let again = inner.clone();
        inner.add("late");
        handle.add_done_callback(move |_| again.add("later"));
    });
    assert!(log.take().is_empty());
    runtime.turn();
    assert_eq!(outer.take(), ["late"]);
    runtime.turn();
    assert_eq!(outer.take(), ["later"]);
}

#[test]
fn a_callback_can_be_removed_until_the_task_is_over() {
    let mut runtime = virtual_runtime();
    let log = Log::new();
    let handle = runtime.spawn(async {});
    let ids: Vec<_> = (0..3)
        .map(|n| {
            let log = log.clone();
            handle.add_done_callback(move |_| log.add(n.to_string()))
        })
        .collect();
    assert!(handle.remove_done_callback(ids[1]));
    assert!(!handle.remove_done_callback(ids[1]), "once");
    runtime.turn();
    assert!(!handle.remove_done_callback(ids[0]), "it is on its way");
    runtime.turn();
    assert_eq!(log.take(), ["0", "2"]);
}

#[test]
fn a_callback_that_panics_is_reported_and_stops_no_other() {
    let stderr = stderr_of_child("a_callback_that_panics_is_reported_and_stops_no_other", || {
        let mut runtime = virtual_runtime();
        let log = Log::new();
        let handle = runtime.spawn(async {});
        handle.add_done_callback(|_| panic!("the first broke"));
        let inner = log.clone();
        handle.add_done_callback(move |_| inner.add("the second ran"));
        runtime.run_until_idle();
        assert_eq!(log.take(), ["the second ran"]);
    });
    assert_eq!(stderr, ["mainspring: a done-callback of task 1 panicked: the first broke"]);
}

#[test]
fn the_future_is_dropped_before_anyone_is_told() {
    for way in ["ready", "panics", "cancelled"] {
        let mut runtime = virtual_runtime();
        let drops = Drops::default();
        let guard = drops.guard();
        let handle = runtime.spawn(async move {
            let _guard = guard;
            match way {
                "ready" => {}
                "panics" => panic!("on purpose"),
                _ => std::future::pending().await,
            }
        });
        let (told, counter) = (Log::new(), drops.clone());
        let inner = told.clone();
        handle.add_done_callback(move |_| inner.add(format!("callback: {}", counter.count())));
        let (inner, counter) = (told.clone(), drops.clone());
        runtime.block_on(async move {
            yield_now().await;
            if way == "cancelled" {
                handle.cancel();
            }
            assert_eq!(handle.await.is_ok(), way == "ready");
            inner.add(format!("await: {}", counter.count()));
        });
        assert_eq!(told.take(), ["callback: 1", "await: 1"], "{way}");
    }
}

#[test]
fn a_result_is_read_without_waiting_and_once() {
    let mut runtime = virtual_runtime();
    let gate = Gate::new();
    let inner = gate.clone();
    let mut handle = runtime.spawn(async move {
        inner.await;
        "value"
    });
    let early = handle.try_result().unwrap_err();
    assert_eq!((early.task, early.state), (handle.id(), SCHEDULED));
    assert_eq!(early.to_string(), "task 1 is pending: it has no result yet");
    runtime.run_until_idle();
    assert_eq!(handle.try_result().unwrap_err().state, IDLE);
    assert!(!handle.is_finished());
    gate.open();
    runtime.run_until_idle();
    assert!(handle.is_finished());
    assert_eq!(handle.try_result().unwrap().unwrap(), "value");
    assert_eq!(handle.state(), TaskState::Done, "reading it does not change the state");
    let place = handle.spawned_at();
    let twice = panic_text(|| handle.try_result());
    let expected = format!(
        "the result of task 1 (spawned at {place}) was read twice: a JoinHandle gives it once"
    );
    assert_eq!(twice, expected);
    assert_eq!(panic_text(|| runtime.block_on(&mut handle)), expected);
}

#[test]
fn awaiting_oneself_is_an_error_and_no_hang() {
    let mut runtime = virtual_runtime();
    let shared: Shared<String> = Shared::default();
    let inner = shared.clone();
    *shared.borrow_mut() = Some(runtime.spawn(async move {
        let own = inner.take().expect("the handle");
        let error = own.await.unwrap_err();
        assert!(error.is_own_await());
        error.to_string().rsplit_once(") ").unwrap().1.to_owned()
    }));
    let seen = Log::new();
    let told = seen.clone();
    shared
        .borrow()
        .as_ref()
        .map(|handle| handle.add_done_callback(move |handle| told.add(format!("{handle:?}"))));
    runtime.run_until_idle();
    let line = seen.take().concat();
    assert!(line.ends_with(" result=\"awaits itself, which can never end\">"), "{line}");
}

/// The memory of a task that is over goes to the next of its type; what its handle holds stays.
#[test]
fn results_stay_where_they_are_while_places_change_hands() {
    async fn number(n: u32) -> (u32, String) {
        yield_now().await;
        assert!(n % 7 != 5, "{n} breaks");
        (n, n.to_string())
    }
    let mut runtime = virtual_runtime();
    let mut kept = Vec::new();
    for round in 0..10 {
        let handles: Vec<_> = (0..10).map(|n| runtime.spawn(number(round * 10 + n))).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            match n % 3 {
                0 => kept.push(handle),
                1 => drop(handle),
                _ => drop(handle.abort_on_drop()),
            }
        }
        runtime.run_until_idle();
    }
    assert_eq!(runtime.stats().alive, 0);
    let results: Vec<_> = kept
        .iter_mut()
        .map(|handle| match handle.try_result().unwrap() {
            Ok((n, text)) => (n, text),
            Err(error) => (u32::MAX, error.panic_message().unwrap().to_owned()),
        })
        .collect();
    let expected: Vec<_> = (0..100)
        .filter(|n| n % 10 % 3 == 0)
        .map(|n| if n % 7 == 5 { (u32::MAX, format!("{n} breaks")) } else { (n, n.to_string()) })
        .collect();
    assert_eq!(results, expected);
}

/// Ids are told apart by runtime: a task may await one of the same number that lives elsewhere.
#[test]
fn a_task_may_await_a_task_of_another_runtime() {
    let (mut first, mut second) = (virtual_runtime(), virtual_runtime());
    let there = second.spawn(async { 3 });
    let here = first.spawn(async move { there.await.unwrap() + 1 });
    first.run_until_idle();
    assert!(!here.is_finished());
    second.run_until_idle();
    assert_eq!(first.block_on(here).unwrap(), 4);
}

#[test]
fn a_panic_comes_back_as_an_error_with_its_payload() {
    let mut runtime = virtual_runtime();
    let text = runtime.spawn(async { panic!("broke at {}", 7) });
    let value = runtime.spawn(async { std::panic::panic_any(42_u8) });
    let (text, value): (Result<(), _>, Result<(), _>) =
        runtime.block_on(async { (text.await, value.await) });
    let (text, value) = (text.unwrap_err(), value.unwrap_err());
    assert!(text.is_panic() && !text.is_cancelled());
    assert_eq!(text.panic_message(), Some("broke at 7"));
    let shown = text.to_string();
    assert!(shown.starts_with("task 1 (spawned at runtime/tests/tasks.rs:"), "{shown}");
    assert!(shown.ends_with(") panicked: broke at 7"), "{shown}");
    assert_eq!(value.panic_message(), Some("a panic without a text"));
    assert_eq!(*value.into_panic().unwrap().downcast::<u8>().unwrap(), 42);
    let stats = runtime.stats();
    assert_eq!((stats.done, stats.panicked, stats.cancelled), (2, 2, 0));
}

/// The first panic is the one that explains.
#[test]
fn of_two_panics_the_first_is_told() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }
    impl Future for Bomb {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in poll");
        }
    }
    let mut runtime = virtual_runtime();
    let mut handle = runtime.spawn(Bomb);
    runtime.run_until_idle();
    let error = handle.try_result().unwrap().unwrap_err();
    assert_eq!(error.panic_message(), Some("in poll"));
}

#[test]
fn a_panic_that_nobody_looked_at_is_reported_once() {
    let stderr = stderr_of_child("a_panic_that_nobody_looked_at_is_reported_once", || {
        let mut runtime = virtual_runtime();
        // Detached before it panicked; dropped after; looked at; cancelled.
        drop(runtime.spawn(async { panic!("nobody holds it") }));
        let kept = runtime.spawn(async { panic!("kept, never read") });
        let mut read = runtime.spawn(async { panic!("read") });
        let cancelled = runtime.spawn(async { panic!("never runs") });
        cancelled.cancel();
        let mut named: Option<JoinHandle<()>> = None;
        runtime.block_on(async {
            named = Some(spawn_named("fetch", async { panic!("named") }));
        });
        runtime.run_until_idle();
        let read: Result<(), _> = read.try_result().unwrap();
        assert!(read.unwrap_err().is_panic());
        let kept: JoinHandle<()> = kept;
        drop((kept, cancelled, named, runtime));
    });
    let lines: Vec<_> = stderr
        .iter()
        .map(|line| {
            let (head, tail) = line.split_once(" (spawned at runtime/tests/tasks.rs:").expect(line);
            format!("{head} …{}", tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'))
        })
        .collect();
    let report = "mainspring: nobody looked at the result of this task:";
    assert_eq!(
        lines,
        [
            format!("{report} task 1 …) panicked: nobody holds it"),
            format!("{report} task 2 …) panicked: kept, never read"),
            format!("{report} task 6 \"fetch\" …) panicked: named"),
        ]
    );
}

/// What breaks where nobody could be given an error is said once, and stops nothing.
#[test]
fn panics_in_drop_and_in_remote_spawns_are_reported() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{} broke", self.0);
        }
    }
    let stderr = stderr_of_child("panics_in_drop_and_in_remote_spawns_are_reported", || {
        let mut runtime = virtual_runtime();
        drop(runtime.spawn(async { Bomb("a value") }));
        let bomb = Bomb("a future");
        let cancelled = runtime.spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        runtime.turn();
        cancelled.cancel();
        let make = || -> std::future::Ready<()> { panic!("making it broke") };
        runtime.remote().spawn(make).unwrap();
        let log = Log::new();
        let inner = log.clone();
        drop(runtime.spawn(async move { inner.add("the loop goes on") }));
        runtime.run_until_idle();
        assert_eq!(log.take(), ["the loop goes on"]);
        assert_eq!(cancelled.state(), TaskState::Cancelled);
    });
    assert_eq!(
        stderr,
        [
            "mainspring: the value of task 1, which nobody read, panicked in drop: a value broke",
            "mainspring: a remote spawn panicked before its task: making it broke",
            "mainspring: task 2 panicked while its cancelled future was dropped: a future broke",
        ]
    );
}

#[test]
fn a_handle_prints_one_bounded_line() {
    let mut runtime = virtual_runtime();
    let gate = Gate::new();
    let inner = gate.clone();
    let line = line!() + 1;
    let mut first = runtime.spawn(async move {
        inner.await;
        1
    });
    let at = |column: u32, line: u32| format!("runtime/tests/tasks.rs:{line}:{column}");
    let place = at(29, line);
    assert_eq!(first.spawned_at().to_string(), place);
    assert_eq!(format!("{first:?}"), format!("<task 1 pending spawned at {place}>"));
    runtime.run_until_idle();
    gate.open();
    runtime.run_until_idle();
    assert_eq!(format!("{first:?}"), format!("<task 1 done spawned at {place} result=1>"));
    assert_eq!(format!("{first:?}"), format!("<task 1 done spawned at {place} result=1>"));
    assert_eq!(first.try_result().unwrap().unwrap(), 1);
    let read = format!("<task 1 done spawned at {place} result was read>");
    assert_eq!(format!("{first:?}"), read);

    let line = line!() + 2;
    let (long, broken, stopped): (_, JoinHandle<()>, _) = runtime.block_on(async {
        let long = spawn_named("long", async { "x\n".repeat(500) });
        let broken = spawn(async { panic!("two\nlines") });
        let stopped = spawn(std::future::pending::<()>());
        stopped.cancel_with("no need");
        yield_now().await;
        (long, broken, stopped)
    });
    let text = format!("{}x\\nx\\nx…", "\"").replace("x\\nx\\nx", &"x\\n".repeat(27)[..79]);
    assert_eq!(
        format!("{long:?}"),
        format!("<task 3 \"long\" done spawned at {} result={text}>", at(20, line))
    );
    assert_eq!(
        format!("{broken:?}"),
        format!("<task 4 done spawned at {} error=panicked: two lines>", at(22, line + 1))
    );
    assert_eq!(
        format!("{stopped:?}"),
        format!(
            "<task 5 cancelled spawned at {} error=cancelled by task 2: no need>",
            at(23, line + 2)
        )
    );
}

/// What is printed, cancelled, read and dropped from inside of what the loop is just doing.
#[test]
fn a_handle_can_be_used_in_its_own_callbacks_and_drops() {
    struct Reenters(Shared<u8>, Log);
    impl Drop for Reenters {
        fn drop(&mut self) {
            let place = self.0.borrow();
            let handle = place.as_ref().unwrap();
            handle.cancel_with("while it is dropped");
            let log = self.1.clone();
            handle.add_done_callback(move |handle| {
                log.add(format!("added in drop: {}", handle.state()))
            });
            self.1.add(format!("in drop: {} {}", handle.state(), handle.is_finished()));
        }
    }
    let mut runtime = virtual_runtime();
    let (shared, log) = (Shared::default(), Log::new());
    let reenters = Reenters(shared.clone(), log.clone());
    let handle = runtime.spawn(async move {
        let _reenters = reenters;
        std::future::pending().await
    });
    handle.cancel_with("first");
    *shared.borrow_mut() = Some(handle);
    runtime.run_until_idle();
    assert_eq!(log.take(), ["in drop: cancelled false", "added in drop: cancelled"]);
    let error = shared.take().unwrap().try_result().unwrap().unwrap_err();
    assert_eq!(error.reason(), Some("first"));
}

#[test]
fn a_future_that_is_dropped_may_ask_and_drop_its_own_handle() {
    struct Asks(Shared<()>, Rc<RefCell<Vec<(u64, TaskState)>>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let mut handle = self.0.borrow_mut().take().expect("the handle");
            self.1.borrow_mut().push((handle.id().get(), handle.state()));
            assert!(!handle.is_finished(), "its result is not there yet");
            assert!(handle.try_result().is_err());
            // The last one: the task ends with nobody to ask for its result.
            drop(handle);
        }
    }
    let mut runtime = virtual_runtime();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut numbers = Vec::new();
    for panics in [false, true] {
        let shared = Shared::default();
        let asks = Asks(shared.clone(), seen.clone());
        let handle = runtime.spawn(async move {
            let _asks = asks;
            assert!(!panics, "on purpose");
            pending::<()>().await;
        });
        numbers.push(handle.id().get());
        *shared.borrow_mut() = Some(handle);
        runtime.run_until_idle();
        if let Some(handle) = &*shared.borrow() {
            handle.cancel();
        }
        runtime.run_until_idle();
        assert!(shared.borrow().is_none());
    }
    let states = [TaskState::Cancelled, TaskState::Running];
    let expected: Vec<_> = numbers.into_iter().zip(states).collect();
    assert_eq!(seen.take(), expected);
}

#[test]
fn the_one_that_polled_a_handle_last_is_woken() {
    let mut runtime = virtual_runtime();
    let handle = Rc::new(RefCell::new(runtime.spawn(sleep(Duration::from_millis(1)))));
    let woken = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let (handle, woken) = (handle.clone(), woken.clone());
        drop(runtime.spawn(async move {
            poll_fn(|cx| Pin::new(&mut *handle.borrow_mut()).poll(cx).map(drop)).await;
            woken.set(woken.get() + 1);
        }));
    }
    runtime.run_until_idle();
    runtime.turn();
    runtime.run_until_idle();
    assert_eq!(woken.get(), 1);
    assert_eq!(runtime.stats().alive, 1);
}

#[test]
fn a_handle_outlives_its_runtime() {
    let runtime = virtual_runtime();
    let mut handle = runtime.spawn(std::future::pending::<()>());
    drop(runtime);
    handle.cancel();
    let callback: Drops = Drops::default();
    let guard = callback.guard();
    handle.add_done_callback(move |_| drop(guard));
    assert_eq!(callback.count(), 1, "there is no loop to run it on: it is dropped");
    assert_eq!(handle.state(), TaskState::Cancelled);
    let error = handle.try_result().unwrap().unwrap_err();
    assert_eq!(error.cancelled_by(), Some((CancelOrigin::Shutdown, None)));
    let mut other = virtual_runtime();
    let poll = other.block_on(poll_fn(|_| Poll::Ready(handle.is_finished())));
    assert!(poll);
}

#[test]
fn a_value_outlives_its_runtime_in_its_handle() {
    let drops = Drops::default();
    let guard = drops.guard();
    let mut runtime = virtual_runtime();
    let mut read = runtime.spawn(async move { guard });
    let guard = drops.guard();
    let unread = runtime.spawn(async move { guard });
    runtime.run_until_idle();
    drop(runtime);
    assert_eq!(drops.count(), 0);
    drop(unread);
    assert_eq!(drops.count(), 1);
    drop(read.try_result().unwrap().unwrap());
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_value_that_panics_in_drop_does_so_to_whoever_drops_its_handle() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the value broke");
        }
    }
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(async { Bomb });
    runtime.run_until_idle();
    assert_eq!(panic_text(|| drop(handle)), "the value broke");
    // The loop goes on.
    let next = runtime.spawn(async { 7 });
    runtime.run_until_idle();
    assert_eq!(runtime.block_on(next).unwrap(), 7);
}

#[test]
fn callbacks_are_limited() {
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(pending::<()>());
    for _ in 0..65_534 {
        handle.add_done_callback(|_| ());
    }
    let text = panic_text(|| handle.add_done_callback(|_| ()));
    assert_eq!(text, "a task has at most 65534 done-callbacks at a time");
    handle.cancel();
    runtime.run_until_idle();
    assert_eq!(handle.state(), TaskState::Cancelled);
    handle.add_done_callback(|_| ());
    drop(handle);
    runtime.run_until_idle();
}
