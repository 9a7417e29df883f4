//! The futures that wait for several things: what each gives, when it ends, what becomes of the
//! rest.
//!
//! On the virtual clock: a second takes no time, and every time below is exact.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mainspring::future::{
    Closed, TaskError, When, as_completed, gather, gather_all, gather_ok, oneshot, race, wait,
    yield_now,
};
use mainspring::observe::{Event, Kind, Observer};
use mainspring::time::{Clock, now, sleep, timeout};
use mainspring::{
    JoinError, JoinHandle, Remote, Runtime, TaskState, current_task, spawn, spawn_named,
};

fn virtual_runtime() -> Runtime {
    Runtime::builder().clock(Clock::Virtual).build().unwrap()
}

fn run<F: Future>(main: F) -> F::Output {
    virtual_runtime().block_on(main)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

async fn after<T>(delay: u64, value: T) -> T {
    sleep(seconds(delay)).await;
    value
}

async fn panic_after(delay: u64, text: &str) -> u32 {
    sleep(seconds(delay)).await;
    panic!("{text}")
}

fn since(start: Instant) -> u64 {
    let passed = now() - start;
    assert_eq!(passed.subsec_nanos(), 0, "whole seconds are slept here");
    passed.as_secs()
}

/// What a task came to, in few words.
fn told<T: std::fmt::Debug>(result: &Result<T, JoinError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) if error.is_cancelled() => {
            format!("cancelled: {}", error.reason().unwrap_or("no reason"))
        }
        Err(error) => format!("panicked: {}", error.panic_message().unwrap_or("awaits itself")),
    }
}

fn all_told<T: std::fmt::Debug>(results: &[Result<T, JoinError>]) -> Vec<String> {
    results.iter().map(told).collect()
}

/// Reads the results of tasks that are over.
fn results<T: 'static>(handles: Vec<JoinHandle<T>>) -> Vec<Result<T, JoinError>> {
    handles.into_iter().map(|mut handle| handle.try_result().expect("it is over")).collect()
}

// --- gather -------------------------------------------------------------------------------------

#[test]
fn gather_gives_values_in_the_order_of_its_arguments() {
    run(async {
        let start = now();
        let slow_first = [3, 1, 2].map(|n| spawn(after(n, n)));
        assert_eq!(gather(slow_first).await.unwrap(), [3, 1, 2]);
        assert_eq!(since(start), 3, "as long as the longest");
    });
}

#[test]
fn gather_of_nothing_is_nothing_at_once() {
    run(async {
        assert_eq!(gather(Vec::<JoinHandle<u8>>::new()).await.unwrap(), []);
        assert!(gather_all(Vec::<JoinHandle<u8>>::new()).await.is_empty());
    });
}

#[test]
fn gather_takes_tasks_that_are_over_and_tasks_that_are_not() {
    run(async {
        let tasks =
            [0, 5, 0].map(|n| spawn(async move { if n == 0 { 0 } else { after(n, n).await } }));
        sleep(seconds(1)).await;
        assert!(tasks[0].is_finished() && !tasks[1].is_finished());
        assert_eq!(gather(tasks).await.unwrap(), [0, 5, 0]);
    });
}

#[test]
fn the_first_error_ends_a_gather_at_once_and_the_others_go_on() {
    run(async {
        let start = now();
        let finished = Rc::new(Cell::new(0));
        let counter = finished.clone();
        let survivor = spawn(async move {
            counter.set(after(3, 3).await);
            0
        });
        let id = survivor.id();
        let error = gather([survivor, spawn(panic_after(1, "boom"))]).await.unwrap_err();
        assert_eq!((since(start), error.panic_message()), (1, Some("boom")));
        assert_ne!(error.task(), id);
        assert_eq!(finished.get(), 0);
        sleep(seconds(3)).await;
        assert_eq!(finished.get(), 3, "the other task ran to its end");
    });
}

#[test]
fn of_two_errors_in_one_turn_the_one_that_came_first_counts() {
    run(async {
        // The second task arms its timer first, and ties fire in order of arming.
        let first = spawn(async {
            yield_now().await;
            panic_after(1, "later").await
        });
        let second = spawn(panic_after(1, "earlier"));
        let error = gather([first, second]).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("earlier"));
    });
}

#[test]
fn a_cancelled_child_is_an_error_and_cancels_neither_the_gather_nor_the_rest() {
    run(async {
        let (stays, goes) = (spawn(after(2, 2)), spawn(after(2, 2)));
        let rest = Rc::new(RefCell::new(None));
        let place = rest.clone();
        stays.add_done_callback(move |task| *place.borrow_mut() = Some(task.state()));
        goes.cancel_with("not wanted");
        let gathering = spawn(gather([stays, goes]));
        sleep(seconds(1)).await;
        assert_eq!(gathering.state(), TaskState::Done, "not cancelled");
        let error = gathering.await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some("not wanted"));
        sleep(seconds(2)).await;
        assert_eq!(*rest.borrow(), Some(TaskState::Done));
    });
}

#[test]
fn cancelling_the_task_that_gathers_cancels_every_child() {
    run(async {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let children: Vec<_> = [0, 5, 6]
            .map(|n| {
                let child = spawn(after(n, n));
                let ends = ends.clone();
                child.add_done_callback(move |task| {
                    ends.borrow_mut().push(format!("{n} {}", task.state()));
                });
                child
            })
            .into();
        let gathering = spawn(gather(children));
        sleep(seconds(1)).await;
        gathering.cancel();
        assert!(gathering.await.unwrap_err().is_cancelled());
        sleep(seconds(1)).await;
        assert_eq!(*ends.borrow(), ["0 done", "5 cancelled", "6 cancelled"]);
    });
}

#[test]
fn a_gather_that_is_dropped_unpolled_cancels_its_tasks_before_their_first_poll() {
    run(async {
        let polled = Rc::new(Cell::new(false));
        let seen = polled.clone();
        let errors = Rc::new(RefCell::new(Vec::new()));
        let child = spawn(async move { seen.set(true) });
        let place = errors.clone();
        child.add_done_callback(move |task| place.borrow_mut().push(format!("{task:?}")));
        drop(gather([child]));
        sleep(seconds(1)).await;
        assert!(!polled.get());
        let line = errors.borrow().concat();
        assert!(line.ends_with("by task 1: the gather that waited for it was dropped>"), "{line}");
    });
}

#[test]
fn a_gather_that_is_over_cancels_nothing_when_it_is_dropped() {
    run(async {
        let survivor = spawn(after(2, 2));
        let state = Rc::new(Cell::new(None));
        let place = state.clone();
        survivor.add_done_callback(move |task| place.set(Some(task.state())));
        let mut gathering = gather([survivor, spawn(panic_after(1, "boom"))]);
        assert!((&mut gathering).await.is_err());
        drop(gathering);
        sleep(seconds(2)).await;
        assert_eq!(state.get(), Some(TaskState::Done));
    });
}

#[test]
fn gather_ok_ends_at_the_first_err_that_a_task_returns() {
    run(async {
        let start = now();
        let parse = |text: &'static str, delay| {
            spawn(async move { after(delay, text.parse::<u8>()).await })
        };
        assert_eq!(gather_ok([parse("1", 2), parse("2", 1)]).await.unwrap(), [1, 2]);
        assert_eq!(since(start), 2);
        let error = gather_ok([parse("1", 9), parse("x", 1)]).await.unwrap_err();
        assert_eq!((since(start), error.to_string()), (3, "invalid digit found in string".into()));
        assert!(matches!(error, TaskError::Returned(_)));
        let cancelled = parse("1", 1);
        cancelled.cancel();
        assert!(
            matches!(gather_ok([cancelled]).await, Err(TaskError::Join(e)) if e.is_cancelled())
        );
    });
}

#[test]
fn gather_all_collects_values_and_errors_in_order() {
    run(async {
        let start = now();
        let cancelled = spawn(after(9, 9));
        cancelled.cancel_with("enough");
        let tasks =
            [spawn(after(2, 2)), spawn(panic_after(1, "boom")), cancelled, spawn(after(1, 1))];
        assert_eq!(
            all_told(&gather_all(tasks).await),
            ["2", "panicked: boom", "cancelled: enough", "1"]
        );
        assert_eq!(since(start), 2);
    });
}

#[test]
fn dropping_gather_all_cancels_what_is_not_over() {
    run(async {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let tasks = [1, 3].map(|n| {
            let (task, ends) = (spawn(after(n, n)), ends.clone());
            task.add_done_callback(move |task| ends.borrow_mut().push(task.state()));
            task
        });
        assert!(timeout(seconds(2), gather_all(tasks)).await.is_err());
        sleep(seconds(3)).await;
        assert_eq!(*ends.borrow(), [TaskState::Done, TaskState::Cancelled]);
    });
}

#[test]
fn a_gather_may_move_to_another_task() {
    run(async {
        let mut gathering = gather([spawn(after(1, 1)), spawn(after(2, 2))]);
        // Polled here at first, so that the children would wake this task.
        poll_fn(|cx| {
            assert!(Pin::new(&mut gathering).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(spawn(gathering).await.unwrap().unwrap(), [1, 2]);
    });
}

#[test]
fn a_task_that_waits_for_itself_among_others_has_an_error_and_no_hang() {
    run(async {
        let own = Rc::new(Cell::new(None::<JoinHandle<Vec<String>>>));
        let place = own.clone();
        let task = spawn(async move {
            let handle = place.take().expect("put there before the first poll");
            let other = spawn(async { vec!["other".to_owned()] });
            let error = gather([other, handle]).await.unwrap_err();
            assert!(error.is_own_await());
            vec![error.to_string()]
        });
        let id = task.id();
        let ended = Rc::new(Cell::new(false));
        let seen = ended.clone();
        task.add_done_callback(move |task| seen.set(task.state() == TaskState::Done));
        own.set(Some(task));
        sleep(seconds(1)).await;
        assert!(ended.get(), "{id} went on");
    });
}

// --- the cost, and stalls ------------------------------------------------------------------------

/// Counts how often a task looked at another that was not over.
struct Looks(Rc<Cell<usize>>);

impl Observer for Looks {
    fn on_event(&mut self, event: &Event) {
        if let Kind::WaitsForTask { .. } = event.kind {
            self.0.set(self.0.get() + 1);
        }
    }
}

/// Runs `main` over 10,000 tasks that end one per turn. Gives the looks and the polls of all tasks.
fn cost<F: Future>(main: impl FnOnce(Vec<JoinHandle<u32>>) -> F) -> (usize, u64) {
    let looks = Rc::new(Cell::new(0));
    let builder = Runtime::builder().clock(Clock::Virtual).observer(Looks(looks.clone()));
    let mut runtime = builder.build().unwrap();
    runtime.block_on(async {
        let end_one_by_one = |n| async move {
            sleep(Duration::from_millis(u64::from(n))).await;
            n
        };
        main((1..=10_000).map(|n| spawn(end_one_by_one(n))).collect()).await;
    });
    (looks.get(), runtime.stats().polls)
}

#[test]
fn waiting_for_ten_thousand_tasks_costs_one_look_at_each() {
    // Each task is polled twice; whoever waits is polled at the start and at each end.
    let linear = (10_000, 20_000 + 10_001);
    assert_eq!(
        cost(|tasks| async { assert_eq!(gather(tasks).await.unwrap().len(), 10_000) }),
        linear
    );
    assert_eq!(cost(|tasks| async { assert_eq!(gather_all(tasks).await.len(), 10_000) }), linear);
    assert_eq!(cost(|tasks| wait(tasks, When::FirstError)), linear);
    let drain = |tasks| async {
        let mut results = as_completed(tasks);
        while let Some(result) = results.next().await {
            result.unwrap();
        }
    };
    assert_eq!(cost(drain), linear);
}

#[test]
fn a_gather_of_a_task_that_can_never_go_on_is_a_stall_and_says_so() {
    let mut runtime = virtual_runtime();
    let stalled = runtime
        .try_block_on(async {
            gather([spawn(async {}), spawn_named("stuck", pending())]).await.unwrap();
        })
        .unwrap_err();
    let tasks: Vec<_> = stalled.tasks().iter().map(|t| (t.name.as_deref(), t.awaits)).collect();
    let stuck = stalled.tasks()[1].id;
    assert_eq!(tasks, [(Some("main"), Some(stuck)), (Some("stuck"), None)]);
}

#[test]
fn a_wait_that_is_over_leaves_no_waker_behind() {
    let mut runtime = virtual_runtime();
    let stalled = runtime
        .try_block_on(async {
            let waited =
                wait([spawn(pending::<()>())], When::AllCompleted).timeout(seconds(1)).await;
            let kept = waited.pending;
            // Receives nothing from anybody, and does not wait for the task in `kept` either.
            pending::<()>().await;
            drop(kept);
        })
        .unwrap_err();
    assert!(stalled.tasks().iter().all(|task| task.awaits.is_none()), "{stalled}");
}

#[test]
fn a_oneshot_whose_receiver_has_gone_holds_no_waker() {
    let mut runtime = virtual_runtime();
    let stalled = runtime.try_block_on(async {
        let (sender, receiver) = oneshot::<u8>();
        assert!(timeout(seconds(1), receiver).await.is_err());
        assert!(sender.is_closed());
        pending::<()>().await;
        drop(sender);
    });
    assert_eq!(stalled.unwrap_err().tasks().len(), 1);
}

// --- wait ----------------------------------------------------------------------------------------

#[test]
fn first_completed_gives_back_every_handle() {
    run(async {
        let start = now();
        let tasks = [3, 1, 2].map(|n| spawn(after(n, n)));
        let waited = wait(tasks, When::FirstCompleted).await;
        assert_eq!(since(start), 1);
        assert_eq!(all_told(&results(waited.done)), ["1"]);
        let rest = wait(waited.pending, When::AllCompleted).await;
        assert_eq!(since(start), 3);
        assert_eq!(all_told(&results(rest.done)), ["2", "3"], "in the order of ending");
        assert!(rest.pending.is_empty());
    });
}

#[test]
fn first_completed_counts_what_is_done_when_it_looks() {
    run(async {
        let tasks = [2, 1, 1].map(|n| spawn(after(n, n)));
        let waited = wait(tasks, When::FirstCompleted).await;
        assert_eq!((waited.done.len(), waited.pending.len()), (2, 1));
        let over = wait([spawn(ready(())), spawn(ready(()))], When::AllCompleted).await;
        let again = wait(over.done, When::FirstCompleted).await;
        assert_eq!((again.done.len(), again.pending.len()), (2, 0));
    });
}

#[test]
fn first_error_stops_at_a_panic_and_passes_over_cancels_and_values() {
    run(async {
        let start = now();
        let cancelled = spawn(after(9, 9));
        cancelled.cancel_with("enough");
        let tasks =
            [cancelled, spawn(after(1, 1)), spawn(panic_after(2, "boom")), spawn(after(3, 3))];
        let waited = wait(tasks, When::FirstError).await;
        assert_eq!(since(start), 2);
        assert_eq!(all_told(&results(waited.done)), ["cancelled: enough", "1", "panicked: boom"]);
        assert_eq!(waited.pending.len(), 1);
    });
}

#[test]
fn first_error_without_an_error_waits_for_all() {
    run(async {
        let start = now();
        let tasks = [1, 2].map(|n| spawn(async move { after(n, Err::<u64, _>(n)).await }));
        let waited = wait(tasks, When::FirstError).await;
        assert_eq!((since(start), waited.done.len()), (2, 2), "an Err is a value");
        let tasks = [1, 2].map(|n| spawn(async move { after(n, Err::<u64, _>(n)).await }));
        let waited = wait(tasks, When::FirstError).count_err().await;
        assert_eq!((since(start), waited.done.len()), (3, 1), "unless it is to count");
    });
}

#[test]
fn a_timeout_is_no_error_and_cancels_nothing() {
    run(async {
        let start = now();
        let tasks = [1, 3].map(|n| spawn(after(n, n)));
        let waited = wait(tasks, When::AllCompleted).timeout(seconds(2)).await;
        assert_eq!(since(start), 2);
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
        assert_eq!(gather(waited.pending).await.unwrap(), [3], "it went on");
        assert_eq!(since(start), 3);
    });
}

#[test]
fn a_timeout_that_is_not_needed_leaves_no_timer() {
    run(async {
        let start = now();
        let waited = wait([spawn(after(1, 1))], When::AllCompleted).timeout(Duration::MAX).await;
        assert_eq!((waited.done.len(), since(start)), (1, 1));
        let nothing = wait(Vec::<JoinHandle<u8>>::new(), When::FirstCompleted).await;
        assert!(nothing.done.is_empty() && nothing.pending.is_empty());
    });
}

#[test]
fn dropping_a_wait_detaches_its_tasks() {
    run(async {
        let ended = Rc::new(Cell::new(false));
        let seen = ended.clone();
        let task = spawn(async move { seen.set(after(2, true).await) });
        assert!(timeout(seconds(1), wait([task], When::AllCompleted)).await.is_err());
        sleep(seconds(2)).await;
        assert!(ended.get());
    });
}

// --- every case, against a plain account ---------------------------------------------------------

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value,
    Panic,
    Cancel,
}

/// When each of three tasks ends, in seconds, and how.
type Plan = [(u64, End); 3];

/// Every plan of three tasks that end at different times.
fn plans() -> Vec<Plan> {
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    let ends = [End::Value, End::Panic, End::Cancel];
    let mut plans = Vec::new();
    for [a, b, c] in orders {
        for code in 0..27 {
            plans.push([(a, ends[code % 3]), (b, ends[code / 3 % 3]), (c, ends[code / 9])]);
        }
    }
    plans
}

/// Spawns the tasks of a plan. Each that gives a value notes it in `survived`.
fn planned(plan: Plan, remote: &Remote, survived: &Rc<RefCell<Vec<u64>>>) -> Vec<JoinHandle<u64>> {
    let task = |(delay, end)| {
        let (remote, survived) = (remote.clone(), survived.clone());
        spawn(async move {
            sleep(seconds(delay)).await;
            match end {
                End::Value => survived.borrow_mut().push(delay),
                // Not `panic!`, which prints.
                End::Panic => std::panic::resume_unwind(Box::new("planned")),
                End::Cancel => {
                    remote.cancel(current_task().unwrap()).unwrap();
                    pending().await
                }
            }
            delay
        })
    };
    plan.map(task).into()
}

/// Which tasks end until `limit`, in the order in which they do.
fn in_order(plan: Plan, limit: Duration) -> Vec<(u64, End)> {
    let mut ended = plan.to_vec();
    ended.sort_by_key(|(delay, _)| *delay);
    ended.retain(|(delay, _)| seconds(*delay) <= limit);
    ended
}

#[test]
fn every_wait_for_three_tasks_is_as_a_plain_account_has_it() {
    // The remote, which the tasks cancel themselves by, would keep a virtual clock from jumping.
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let remote = runtime.remote();
    let mut cases = 0;
    for plan in plans() {
        for when in [When::FirstCompleted, When::FirstError, When::AllCompleted] {
            for limit in [500, 1500, 2500, 9000].map(Duration::from_millis) {
                let (at, done, rest) = runtime.block_on(async {
                    let start = now();
                    let tasks = planned(plan, &remote, &Rc::default());
                    let place = |handle: &JoinHandle<u64>| handle.id().get();
                    let first = place(&tasks[0]);
                    let waited = wait(tasks, when).timeout(limit).await;
                    let delay = |handle: &JoinHandle<u64>| plan[(place(handle) - first) as usize].0;
                    let done: Vec<_> = waited.done.iter().map(delay).collect();
                    let rest: Vec<_> = waited.pending.iter().map(delay).collect();
                    let at = now() - start;
                    drop(results(waited.done));
                    gather_all(waited.pending).await;
                    (at, done, rest)
                });
                let enough = match when {
                    When::FirstCompleted => Some(1),
                    When::FirstError => {
                        let first =
                            in_order(plan, limit).into_iter().find(|end| end.1 == End::Panic);
                        first.map(|(delay, _)| delay)
                    }
                    When::AllCompleted => None,
                };
                let expected_at = seconds(enough.unwrap_or(3)).min(limit);
                let delays = |ends: Vec<(u64, End)>| ends.into_iter().map(|end| end.0).collect();
                let expected_done: Vec<u64> = delays(in_order(plan, expected_at));
                let expected_rest: Vec<u64> =
                    delays(plan.into_iter().filter(|end| seconds(end.0) > expected_at).collect());
                assert_eq!(
                    (at, done, rest),
                    (expected_at, expected_done, expected_rest),
                    "{plan:?}, {when:?}, {limit:?}"
                );
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 6 * 27 * 3 * 4);
}

#[test]
fn every_gather_of_three_tasks_is_as_a_plain_account_has_it() {
    // The remote, which the tasks cancel themselves by, would keep a virtual clock from jumping.
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let remote = runtime.remote();
    for plan in plans() {
        for limit in [500, 1500, 2500, 9000].map(Duration::from_millis) {
            let survived = Rc::<RefCell<Vec<u64>>>::default();
            let (at, outcome) = runtime.block_on(async {
                let start = now();
                let gathering = gather(planned(plan, &remote, &survived));
                let outcome = timeout(limit, gathering).await;
                let at = now() - start;
                // Long enough for every task that goes on.
                sleep(seconds(9)).await;
                (at, outcome)
            });
            let error = in_order(plan, seconds(9)).into_iter().find(|end| end.1 != End::Value);
            let over = seconds(error.map_or(3, |(delay, _)| delay));
            assert_eq!(at, over.min(limit), "{plan:?}, {limit:?}");
            match outcome {
                Err(_) => assert!(over > limit),
                Ok(Ok(values)) => assert_eq!(values, plan.map(|(delay, _)| delay)),
                Ok(Err(got)) => assert_eq!(got.is_cancelled(), error.unwrap().1 == End::Cancel),
            }
            // A gather that was dropped took every task with it; one that failed, none.
            let until = if over > limit { limit } else { seconds(9) };
            let mut expected = in_order(plan, until);
            expected.retain(|end| end.1 == End::Value);
            let expected: Vec<_> = expected.into_iter().map(|end| end.0).collect();
            assert_eq!(*survived.borrow(), expected, "{plan:?}, {limit:?}");
        }
    }
}

#[test]
fn a_runtime_that_goes_away_takes_gathers_and_their_tasks_with_it() {
    let held = Rc::new(());
    let mut runtime = virtual_runtime();
    let (gathered, collected, waited) = (held.clone(), held.clone(), held.clone());
    let holding = |held: Rc<()>| async move {
        pending::<()>().await;
        drop(held);
    };
    drop(runtime.spawn(async move { drop(gather([spawn(holding(gathered))]).await) }));
    drop(runtime.spawn(async move { drop(gather_all([spawn(holding(collected))]).await) }));
    drop(runtime.spawn(async move {
        drop(wait([spawn(holding(waited))], When::AllCompleted).await);
    }));
    runtime.run_until_idle();
    assert_eq!(Rc::strong_count(&held), 4);
    drop(runtime);
    assert_eq!(Rc::strong_count(&held), 1);
}

// --- as_completed, race --------------------------------------------------------------------------

#[test]
fn as_completed_gives_results_as_they_come() {
    run(async {
        let start = now();
        let tasks = [spawn(after(3, 3)), spawn(panic_after(1, "boom")), spawn(after(2, 2))];
        let mut results = as_completed(tasks);
        let mut lines = Vec::new();
        while let Some(result) = results.next().await {
            lines.push(format!(
                "{} s: {}, {} to come",
                since(start),
                told(&result),
                results.remaining()
            ));
        }
        assert_eq!(
            lines,
            ["1 s: panicked: boom, 2 to come", "2 s: 2, 1 to come", "3 s: 3, 0 to come"]
        );
        assert!(results.next().await.is_none(), "and stays at its end");
    });
}

#[test]
fn a_next_that_is_dropped_loses_no_result() {
    run(async {
        let mut results = as_completed([2].map(|n| spawn(after(n, n))));
        assert!(timeout(seconds(1), results.next()).await.is_err());
        assert_eq!(results.next().await.unwrap().unwrap(), 2);
    });
}

#[test]
fn race_gives_the_first_and_drops_the_other() {
    run(async {
        let start = now();
        let dropped = Rc::new(());
        let held = dropped.clone();
        let slow = async move {
            after(5, "slow").await;
            drop(held);
            "never"
        };
        assert_eq!(race(slow, after(1, "quick")).await, "quick");
        assert_eq!((since(start), Rc::strong_count(&dropped)), (1, 1));
        assert_eq!(race(ready("first"), ready("second")).await, "first", "on a tie");
        let text = String::from("borrowed");
        assert_eq!(race(pending(), async { &text[..3] }).await, "bor");
    });
}

#[test]
fn a_race_drops_the_handle_of_a_task_and_not_the_task() {
    run(async {
        let (detached, ended) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (one, other) = (detached.clone(), ended.clone());
        let task = spawn(async move { one.set(after(2, true).await) });
        race(async { drop(task.await) }, sleep(seconds(1))).await;
        let task = spawn(async move { other.set(after(2, true).await) }).abort_on_drop();
        race(async { drop(task.await) }, sleep(seconds(1))).await;
        sleep(seconds(3)).await;
        assert_eq!((detached.get(), ended.get()), (true, false));
    });
}

// --- oneshot -------------------------------------------------------------------------------------

#[test]
fn a_oneshot_wakes_whoever_awaits_it() {
    run(async {
        let start = now();
        let (sender, receiver) = oneshot();
        let waiting = spawn(async move { (receiver.await, now()) });
        sleep(seconds(1)).await;
        sender.set("value").unwrap();
        let (value, at) = waiting.await.unwrap();
        assert_eq!((value, at - start), (Ok("value"), seconds(1)));
    });
}

#[test]
fn a_oneshot_tells_either_side_that_the_other_is_gone() {
    run(async {
        let (sender, receiver) = oneshot::<u8>();
        let waiting = spawn(receiver);
        yield_now().await;
        drop(sender);
        assert_eq!(waiting.await.unwrap(), Err(Closed));

        let (sender, receiver) = oneshot();
        assert!(!sender.is_closed());
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.set(7), Err(7), "the value comes back");
    });
}

#[test]
fn a_oneshot_set_before_it_is_awaited_keeps_its_value() {
    run(async {
        let (sender, mut receiver) = oneshot();
        assert_eq!(receiver.try_receive(), None);
        sender.set(1).unwrap();
        assert_eq!(receiver.try_receive(), Some(Ok(1)));
        assert_eq!(receiver.try_receive(), Some(Err(Closed)), "it is received once");
        let (sender, receiver) = oneshot();
        sender.set(2).unwrap();
        assert_eq!(receiver.await, Ok(2));
    });
}

#[test]
fn a_value_that_is_set_and_never_received_is_dropped() {
    let value = Rc::new(());
    let (sender, receiver) = oneshot();
    sender.set(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
}

// --- what others made ----------------------------------------------------------------------------

#[test]
fn channels_of_async_channel_work_unchanged() {
    let (sender, receiver) = async_channel::bounded(2);
    let received = run(async move {
        let producer = spawn(async move {
            for n in 0..5 {
                sender.send(n).await.unwrap();
            }
        });
        let mut received = Vec::new();
        while let Ok(n) = receiver.recv().await {
            received.push(n);
        }
        producer.await.unwrap();
        received
    });
    assert_eq!(received, [0, 1, 2, 3, 4]);
}

#[test]
fn a_channel_brings_values_from_another_thread() {
    let (sender, receiver) = async_channel::unbounded();
    let (ask, asked) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        asked.recv().unwrap();
        sender.send_blocking("from afar").unwrap();
    });
    // The real clock: another thread's time does not jump along.
    let value = Runtime::new().block_on(async {
        let waiting = spawn(async move { receiver.recv().await });
        yield_now().await;
        ask.send(()).unwrap();
        waiting.await.unwrap()
    });
    thread.join().unwrap();
    assert_eq!(value, Ok("from afar"));
}

#[test]
fn locks_of_async_lock_keep_tasks_apart() {
    let order = run(async {
        let order = Rc::new(async_lock::Mutex::new(Vec::new()));
        let gate = Rc::new(async_lock::Semaphore::new(2));
        let start = now();
        let enter = |n| {
            let (order, gate) = (order.clone(), gate.clone());
            spawn(async move {
                let _permit = gate.acquire().await;
                sleep(seconds(1)).await;
                order.lock().await.push((n, since(start)));
            })
        };
        gather((0..4).map(enter)).await.unwrap();
        order.lock().await.clone()
    });
    assert_eq!(order, [(0, 1), (1, 1), (2, 2), (3, 2)], "two at a time");
}

#[test]
fn streams_of_futures_work_unchanged() {
    use futures_util::stream::{self, FuturesUnordered, StreamExt};
    let (by_end, buffered) = run(async {
        let unordered: FuturesUnordered<_> = [3, 1, 2].map(|n| after(n, n)).into_iter().collect();
        let by_end: Vec<_> = unordered.collect().await;
        let start = now();
        let buffered = stream::iter([2, 1, 2]).map(|n| after(n, n)).buffered(2);
        let buffered: Vec<_> = buffered.map(|n| (n, since(start))).collect().await;
        (by_end, buffered)
    });
    assert_eq!(by_end, [1, 2, 3]);
    assert_eq!(buffered, [(2, 2), (1, 2), (2, 4)]);
}

#[test]
fn as_completed_makes_a_stream() {
    use futures_util::stream::{self, StreamExt};
    let values: Vec<_> = run(async {
        let mut results = as_completed([2, 1].map(|n| spawn(after(n, n))));
        stream::poll_fn(move |cx| results.poll_next(cx)).map(Result::unwrap).collect().await
    });
    assert_eq!(values, [1, 2]);
}

#[test]
fn a_gather_works_under_wakers_that_others_made() {
    use futures_util::stream::{FuturesUnordered, StreamExt};
    let sums: Vec<u64> = run(async {
        let gathers: FuturesUnordered<_> =
            [3, 1].map(|n| gather([n, n].map(|n| spawn(after(n, n))))).into_iter().collect();
        gathers.map(|values| values.unwrap().iter().sum::<u64>()).collect().await
    });
    assert_eq!(sums, [2, 6]);
}

#[test]
fn futures_do_not_wake_the_task_that_dropped_them() {
    // A stale membership: the task of a gather that failed ends later, and adds its place to a list
    // that nobody reads any more.
    run(async {
        let polls = Cell::new(0);
        let mut main = pin!(async {
            let tasks = [spawn(after(2, 2)), spawn(panic_after(1, "boom"))];
            assert!(gather(tasks).await.is_err());
            sleep(seconds(5)).await;
        });
        poll_fn(|cx: &mut Context<'_>| {
            polls.set(polls.get() + 1);
            main.as_mut().poll(cx)
        })
        .await;
        assert_eq!(polls.get(), 3, "the first, at the error, at the end");
    });
}
