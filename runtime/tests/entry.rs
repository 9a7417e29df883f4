//! Ways into the loop and out of it: `run`, `block_on`, turns by hand, drop.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::time::sleep;
use mainspring::{Runtime, TaskState, Turn, current_task, spawn, spawn_named};
use support::{
    Drops, Gate, Log, observed_runtime, panic_text, stderr_of_child, virtual_builder,
    virtual_runtime,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn block_on_again_and_again_and_tasks_left_over_go_on() {
    let mut runtime = Runtime::new();
    let polls = Rc::new(Cell::new(0));
    let counting = polls.clone();
    drop(runtime.spawn(async move {
        loop {
            counting.set(counting.get() + 1);
            yield_now().await;
        }
    }));
    assert_eq!(polls.get(), 0, "a task starts with the loop, not with its spawn");
    for n in 1..=3 {
        assert_eq!(runtime.block_on(async { n }), n);
        assert_eq!(polls.get(), n, "one turn each");
    }
}

#[test]
fn main_may_borrow_and_need_not_be_static() {
    let mut text = String::from("a");
    let length = virtual_runtime().block_on(async {
        yield_now().await;
        text.push('b');
        text.len()
    });
    assert_eq!((length, text.as_str()), (2, "ab"));
}

#[test]
fn run_cancels_what_is_left_and_lets_it_drop() {
    let drops = Drops::default();
    let guard = drops.guard();
    let mut left = None;
    mainspring::run(async {
        left = Some(spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }));
        yield_now().await;
        assert_eq!(drops.count(), 0);
    });
    let handle = left.expect("spawned");
    assert_eq!(drops.count(), 1);
    assert_eq!(handle.state(), TaskState::Cancelled);
}

/// The whole schedule of a program with two tasks, as the observer sees it.
#[test]
fn one_program_step_by_step() {
    let (mut runtime, log) = observed_runtime();
    runtime.block_on(async {
        let quick = spawn_named("quick", async { 1 });
        let slow = spawn_named("slow", async {
            sleep(5 * MS).await;
            2
        });
        assert_eq!(slow.await.unwrap() + quick.await.unwrap(), 3);
    });
    assert_eq!(
        log.take(),
        [
            "== entered",
            "task 1 is \"main\"",
            "task 1 spawned by nobody",
            "task 1 scheduled by Spawn 0",
            "-- turn 1, 1 ready",
            "task 1 runs",
            "task 2 is \"quick\"",
            "task 2 spawned by task 1",
            "task 2 scheduled by Spawn 1",
            "task 3 is \"slow\"",
            "task 3 spawned by task 1",
            "task 3 scheduled by Spawn 1",
            "task 1 waits for task 3",
            "task 1 pending, 1 wakers",
            "-- turn ended",
            "-- turn 2, 2 ready",
            "task 2 runs",
            "task 2 ready",
            "task 2 done",
            "task 3 runs",
            "task 3 timer 1 armed for 5 ms",
            "task 3 pending, 1 wakers",
            "clock jumps to 5 ms",
            "-- turn ended",
            "-- turn 3, 0 ready",
            "timer 1 fired 0 ms late",
            "task 3 scheduled by Timer 1",
            "task 3 runs",
            "task 3 ready",
            "task 3 done",
            "task 1 scheduled by Join 3",
            "-- turn ended",
            "-- turn 4, 1 ready",
            "task 1 runs",
            "task 3 OutputTaken",
            "task 2 OutputTaken",
            "task 1 ready",
            "task 1 done",
            "-- turn ended",
            "== left: MainDone",
        ]
    );
}

#[test]
fn a_turn_polls_the_batch_that_was_ready_when_it_began() {
    let mut runtime = virtual_runtime();
    let log = Log::new();
    for name in ["a", "b"] {
        let log = log.clone();
        drop(runtime.spawn(async move {
            for n in 1..=2 {
                log.add(format!("{name}{n}"));
                yield_now().await;
            }
            let inner = log.clone();
            drop(spawn(async move { inner.add(format!("child of {name}")) }));
        }));
    }
    let mut turns = Vec::new();
    for _ in 0..5 {
        let turn = runtime.turn();
        assert_eq!((turn.timers_fired, turn.io_events, turn.parked), (0, 0, Duration::ZERO));
        turns.push((log.take(), turn.polled, turn.woken));
    }
    let none = Vec::<String>::new();
    assert_eq!(
        turns,
        [
            (vec!["a1".to_owned(), "b1".to_owned()], 2, 2),
            (vec!["a2".to_owned(), "b2".to_owned()], 2, 2),
            (none.clone(), 2, 2),
            (vec!["child of a".to_owned(), "child of b".to_owned()], 2, 0),
            (none, 0, 0),
        ]
    );
}

#[test]
fn turns_tell_of_timers() {
    let mut runtime = virtual_runtime();
    drop(runtime.spawn(async { sleep(MS).await }));
    drop(runtime.spawn(async { sleep(2 * MS).await }));
    let turns: Vec<_> = (0..4).map(|_| format!("{:?}", runtime.turn())).collect();
    assert_eq!(
        turns,
        [
            "Turn { polled: 2, woken: 0, timers_fired: 0, io_events: 0, parked: 0ns }",
            "Turn { polled: 1, woken: 1, timers_fired: 1, io_events: 0, parked: 0ns }",
            "Turn { polled: 1, woken: 1, timers_fired: 1, io_events: 0, parked: 0ns }",
            "Turn { polled: 0, woken: 0, timers_fired: 0, io_events: 0, parked: 0ns }",
        ]
    );
}

#[test]
fn run_until_idle_stops_before_it_would_wait() {
    let mut runtime = virtual_runtime();
    let log = Log::new();
    let inner = log.clone();
    let handle = runtime.spawn(async move {
        yield_now().await;
        inner.add("before the sleep");
        sleep(MS).await;
        inner.add("after the sleep");
    });
    let sum = runtime.run_until_idle();
    assert_eq!((sum.polled, sum.woken, sum.timers_fired), (2, 1, 0));
    assert_eq!(log.take(), ["before the sleep"]);
    assert_eq!(runtime.run_until_idle().polled, 0, "it does not move the clock");
    runtime.turn();
    runtime.run_until_idle();
    assert_eq!(log.take(), ["after the sleep"]);
    assert!(handle.is_finished());
}

#[test]
fn a_nested_block_on_names_both_places() {
    for enter in [
        |runtime: &mut Runtime| runtime.block_on(async {}),
        |runtime: &mut Runtime| assert_eq!(runtime.turn(), Turn::default()),
        |runtime: &mut Runtime| assert_eq!(runtime.run_until_idle(), Turn::default()),
    ] {
        let mut inner = virtual_runtime();
        let mut outer = virtual_runtime();
        let text = panic_text(|| {
            outer.block_on(async {
                enter(&mut inner);
            })
        });
        let (first, rest) = text.split_once(" is called within ").expect("two places");
        let (second, advice) = rest.split_once("; ").expect("an advice");
        assert_eq!(advice, "await the future there, or spawn it");
        let first = first.strip_prefix("a loop cannot be entered inside of a loop: ").unwrap();
        assert!(first.starts_with("runtime/tests/entry.rs:"), "{text}");
        assert!(second.starts_with("runtime/tests/entry.rs:"), "{text}");
        assert_ne!(first, second);
        assert_eq!(inner.block_on(async { 1 }), 1, "the refused runtime is as good as new");
        assert_eq!(outer.block_on(async { 2 }), 2);
    }
}

#[test]
fn a_panic_of_main_passes_through_and_the_runtime_goes_on() {
    let mut runtime = virtual_runtime();
    let ran = Rc::new(Cell::new(false));
    let flag = ran.clone();
    drop(runtime.spawn(async move {
        yield_now().await;
        flag.set(true);
    }));
    assert_eq!(panic_text(|| runtime.block_on(async { panic!("main broke") })), "main broke");
    assert!(!ran.get());
    runtime.run_until_idle();
    assert!(ran.get());
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn nothing_works_outside_of_a_loop_and_says_so() {
    let advice = "needs a running mainspring loop on this thread: call it inside of \
                  mainspring::run, Runtime::block_on or a spawned task";
    assert_eq!(panic_text(|| spawn(async {})), format!("spawn {advice}"));
    assert_eq!(panic_text(|| spawn_named("x", async {})), format!("spawn_named {advice}"));
    assert_eq!(
        panic_text(|| mainspring::spawn_blocking(|| ())),
        format!("spawn_blocking {advice}")
    );
    assert_eq!(panic_text(mainspring::time::now), format!("time::now {advice}"));
    assert_eq!(current_task(), None);
}

#[test]
fn current_task_is_the_one_being_polled() {
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(async { current_task() });
    let id = handle.id();
    let main = runtime.block_on(async {
        let before = current_task();
        assert_eq!(handle.await.unwrap(), Some(id));
        assert_eq!(current_task(), before);
        before
    });
    assert_eq!((id.to_string(), main.unwrap().to_string()), ("task 1".into(), "task 2".into()));
    assert_eq!(current_task(), None);
}

#[test]
fn a_dropped_runtime_drops_every_future_in_spawn_order() {
    struct Tells(&'static str, Log);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.1.add(format!("{} is dropped", self.0));
        }
    }
    let (mut runtime, events) = observed_runtime();
    let log = events.clone();
    let gate = Gate::new();
    let mut handles = Vec::new();
    for name in ["idle", "ends", "asleep", "scheduled"] {
        let (tells, gate) = (Tells(name, log.clone()), gate.clone());
        handles.push(runtime.spawn(async move {
            let _tells = tells;
            match name {
                "idle" => std::future::pending().await,
                "asleep" => sleep(MS).await,
                "scheduled" => gate.await,
                _ => {}
            }
        }));
    }
    // A later task in the slot that "ends" leaves: order is that of spawning, not of slots.
    runtime.run_until_idle();
    let tells = Tells("new", log.clone());
    handles.push(runtime.spawn(async move { drop(tells) }));
    gate.open();
    events.take();
    drop(runtime);
    assert_eq!(
        events.take(),
        [
            "idle is dropped",
            "task 1 cancelled by Shutdown of nobody",
            "TimerDropped { timer: 1 }",
            "asleep is dropped",
            "task 3 cancelled by Shutdown of nobody",
            "scheduled is dropped",
            "task 4 cancelled by Shutdown of nobody",
            "new is dropped",
            "task 5 cancelled by Shutdown of nobody",
            "== left: Shutdown",
        ]
    );
    let results: Vec<_> = handles
        .into_iter()
        .map(|mut handle| match handle.try_result().expect("over") {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string().rsplit(") ").next().unwrap().to_owned(),
        })
        .collect();
    let by_shutdown = "cancelled by the runtime's shutdown";
    assert_eq!(results, [by_shutdown, "done", by_shutdown, by_shutdown, by_shutdown]);
}

/// What futures do while they are dropped with the runtime: spawn, cancel, hand in blocking jobs.
#[test]
fn a_future_may_do_anything_while_the_runtime_drops_it() {
    struct Busy(Drops, Rc<RefCell<Vec<mainspring::JoinHandle<()>>>>);
    impl Drop for Busy {
        fn drop(&mut self) {
            let guard = self.0.guard();
            let child = spawn(async move { drop(guard) });
            assert_eq!(child.state(), TaskState::Cancelled, "it comes too late");
            child.cancel();
            self.1.borrow_mut().push(child);
            self.1.borrow_mut().push(mainspring::spawn_blocking(|| panic!("a job ran")));
            drop(self.0.guard());
        }
    }
    let drops = Drops::default();
    let children = Rc::default();
    let runtime = virtual_runtime();
    let busy = Busy(drops.clone(), Rc::clone(&children));
    drop(runtime.spawn(async move {
        let _busy = busy;
        std::future::pending::<()>().await;
    }));
    drop(runtime);
    assert_eq!(drops.count(), 2);
    assert_eq!(children.borrow().len(), 2);
    assert!(children.borrow().iter().all(|child| child.state() == TaskState::Cancelled));
}

#[test]
fn a_runtime_may_be_dropped_inside_of_anothers_task() {
    let drops = Drops::default();
    let guard = drops.guard();
    let inner = virtual_runtime();
    let orphan = inner.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let mut outer = virtual_runtime();
    let handle = outer.spawn(async move {
        drop(inner);
        // The loop of this task is the current one again.
        let me = current_task();
        assert_eq!(spawn(async move { me }).await.unwrap(), current_task());
        3
    });
    assert_eq!(outer.block_on(handle).unwrap(), 3);
    assert_eq!((drops.count(), orphan.state()), (1, TaskState::Cancelled));
}

#[test]
fn a_callback_that_panics_in_its_drop_does_not_stop_the_runtimes() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a captured value broke");
        }
    }
    let mut runtime = virtual_runtime();
    let handle = runtime.spawn(async {});
    let bomb = Bomb;
    handle.add_done_callback(move |_| drop(bomb));
    runtime.turn();
    drop(runtime);
    assert_eq!(handle.state(), TaskState::Done);
}

#[test]
fn an_observer_that_panics_is_told_no_more() {
    struct Breaks(u32);
    impl mainspring::observe::Observer for Breaks {
        fn on_event(&mut self, _: &mainspring::observe::Event) {
            self.0 += 1;
            assert!(self.0 < 3, "the observer broke");
        }
    }
    let stderr = stderr_of_child("an_observer_that_panics_is_told_no_more", || {
        let mut runtime = virtual_builder().observer(Breaks(0)).build().unwrap();
        assert_eq!(runtime.block_on(async { spawn(async { 4 }).await.unwrap() }), 4);
    });
    let line = "mainspring: the observer panicked and is told no more: the observer broke";
    assert_eq!(stderr, [line]);
}
