//! What tutorials on event loops show in Python, line for line, with every time exact.
//!
//! Each test tells a story: the lines that its tasks say, in the order in which they say them.
//! `at` puts the time before a line, in seconds of the virtual clock since the story began.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Barrier;
use std::time::Duration;

use mainspring::future::{When, gather, gather_all, oneshot, wait};
use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, TaskState, spawn, spawn_blocking, spawn_named};

/// What has been said so far.
#[derive(Clone, Default)]
struct Story(Rc<RefCell<Vec<String>>>);

impl Story {
    fn say(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    /// Says a line with the time before it.
    fn at(&self, start: std::time::Instant, line: &str) {
        let passed = (now() - start).as_secs_f64();
        self.say(format!("{passed:.3} {line}"));
    }

    fn lines(&self) -> Vec<String> {
        self.0.take()
    }
}

fn runtime() -> Runtime {
    Runtime::builder().clock(Clock::Virtual).build().unwrap()
}

/// Runs a story on the virtual clock and gives its lines.
fn told<F: Future<Output = ()>>(tell: impl FnOnce(Story) -> F) -> Vec<String> {
    let story = Story::default();
    runtime().block_on(tell(story.clone()));
    story.lines()
}

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

// --- the loop and its tasks -------------------------------------------------------------------

#[test]
fn tasks_take_turns_at_every_suspension() {
    let lines = told(|story| async move {
        let count = |name: &'static str| {
            let story = story.clone();
            spawn(async move {
                for n in 1..=3 {
                    story.say(format!("{name}{n}"));
                    mainspring::future::yield_now().await;
                }
            })
        };
        gather([count("a"), count("b")]).await.unwrap();
    });
    assert_eq!(lines, ["a1", "b1", "a2", "b2", "a3", "b3"]);
}

#[test]
fn a_loop_can_be_entered_again_and_a_task_be_made_before_it_runs() {
    let story = Story::default();
    let mut runtime = runtime();
    let told = story.clone();
    let early = runtime.spawn(async move {
        told.say("the task runs");
        1
    });
    story.say(format!("the task is {}", early.state()));
    let one = runtime.block_on(early).unwrap();
    let two = runtime.block_on(async { one + 1 });
    story.say(format!("{one}, then {two}"));
    drop(runtime);
    assert_eq!(story.lines(), ["the task is pending", "the task runs", "1, then 2"]);
}

#[test]
fn a_task_prints_its_state_and_then_its_result() {
    let story = Story::default();
    let mut runtime = runtime();
    let task = runtime.spawn(async { 1 });
    story.say(format!("{task:?}"));
    runtime.run_until_idle();
    story.say(format!("{task:?}"));
    let place = task.spawned_at();
    assert_eq!(place.file(), file!());
    assert_eq!(
        story.lines(),
        [
            format!("<task 1 pending spawned at {place}>"),
            format!("<task 1 done spawned at {place} result=1>"),
        ]
    );
}

#[test]
fn every_state_of_a_task_has_its_word() {
    let lines = told(|story| async move {
        let within = story.clone();
        let (sender, receiver) = oneshot::<mainspring::JoinHandle<()>>();
        let task = spawn_named("told", async move {
            let own = receiver.await.unwrap();
            within.say(own.state().to_string());
        });
        let other = spawn(sleep(seconds(9.0)));
        story.say(task.state().to_string());
        other.cancel();
        assert!(other.await.unwrap_err().is_cancelled());
        let (done, told) = (oneshot(), story.clone());
        task.add_done_callback(move |task| {
            told.say(task.state().to_string());
            done.0.set(()).unwrap();
        });
        sender.set(task).unwrap();
        done.1.await.unwrap();
        let third = spawn(async {});
        third.cancel();
        sleep(seconds(1.0)).await;
        story.say(third.state().to_string());
        assert_eq!(third.state(), TaskState::Cancelled);
    });
    assert_eq!(lines, ["pending", "running", "done", "cancelled"]);
}

#[test]
fn a_done_callback_receives_the_task_and_speaks_after_it() {
    let lines = told(|story| async move {
        let (working, calling) = (story.clone(), story.clone());
        let task = spawn(async move {
            working.say("the task's own line");
            "its value"
        });
        task.add_done_callback(move |task| {
            calling.say(format!("the callback of {} sees it {}", task.id(), task.state()));
        });
        story.say(task.await.unwrap());
    });
    assert_eq!(lines, ["the task's own line", "the callback of task 2 sees it done", "its value"]);
}

#[test]
fn a_cancelled_task_cleans_up_by_drop_and_its_join_error_says_so() {
    struct CleanUp(Story);
    impl Drop for CleanUp {
        fn drop(&mut self) {
            self.0.say("cleaned up");
        }
    }
    let lines = told(|story| async move {
        let clean_up = CleanUp(story.clone());
        let task = spawn_named("sleeper", async move {
            let _clean_up = clean_up;
            sleep(seconds(3600.0)).await;
        });
        sleep(seconds(1.0)).await;
        task.cancel_with("one second is enough");
        let error = task.await.unwrap_err();
        let name = error.name().unwrap_or_default().to_owned();
        story.say(format!("{name} cancelled: {}", error.reason().unwrap_or_default()));
    });
    assert_eq!(lines, ["cleaned up", "sleeper cancelled: one second is enough"]);
}

#[test]
fn a_result_that_is_set_elsewhere_resumes_whoever_awaits_it() {
    let lines = told(|story| async move {
        let start = now();
        let (sender, receiver) = oneshot();
        let waiting = story.clone();
        let waiter = spawn(async move { waiting.at(start, receiver.await.unwrap()) });
        sleep(seconds(1.0)).await;
        story.at(start, "set");
        sender.set("resumed").unwrap();
        waiter.await.unwrap();
    });
    assert_eq!(lines, ["1.000 set", "1.000 resumed"]);
}

// --- waiting for several things ---------------------------------------------------------------

#[test]
fn ten_tasks_gathered_give_their_results_in_order() {
    let results = runtime().block_on(gather_ten());
    assert_eq!(results, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

async fn gather_ten() -> Vec<u64> {
    let task = |n| async move {
        sleep(Duration::from_secs(10 - n)).await;
        n
    };
    gather((0..10).map(|n| spawn(task(n)))).await.unwrap()
}

#[test]
fn two_steps_together_last_as_long_as_the_longer() {
    let lines = told(|story| async move {
        let start = now();
        let step = |name: &'static str, delay| {
            let story = story.clone();
            spawn(async move {
                sleep(seconds(delay)).await;
                story.at(start, name);
                name
            })
        };
        let results = gather([step("step 1", 5.0), step("step 2", 2.0)]).await.unwrap();
        story.at(start, &format!("total, {results:?}"));
    });
    assert_eq!(lines, ["2.000 step 2", "5.000 step 1", r#"5.000 total, ["step 1", "step 2"]"#]);
}

#[test]
fn three_factorials_interleave() {
    let lines = told(|story| async move {
        let factorial = |name: &'static str, of: u32| {
            let story = story.clone();
            spawn(async move {
                let mut product = 1;
                for factor in 2..=of {
                    story.say(format!("Task {name}: Compute factorial({factor})..."));
                    sleep(seconds(1.0)).await;
                    product *= factor;
                }
                story.say(format!("Task {name}: factorial({of}) = {product}"));
            })
        };
        gather([factorial("A", 2), factorial("B", 3), factorial("C", 4)]).await.unwrap();
    });
    assert_eq!(
        lines,
        [
            "Task A: Compute factorial(2)...",
            "Task B: Compute factorial(2)...",
            "Task C: Compute factorial(2)...",
            "Task A: factorial(2) = 2",
            "Task B: Compute factorial(3)...",
            "Task C: Compute factorial(3)...",
            "Task B: factorial(3) = 6",
            "Task C: Compute factorial(4)...",
            "Task C: factorial(4) = 24",
        ]
    );
}

#[test]
fn the_first_error_is_told_at_once_and_the_others_go_on() {
    let lines = told(|story| async move {
        let start = now();
        let work = |name: &'static str, delay, fails: bool| {
            let story = story.clone();
            spawn(async move {
                sleep(seconds(delay)).await;
                assert!(!fails, "{name} fails");
                story.at(start, name);
            })
        };
        let error = gather([work("one", 2.0, false), work("two", 1.0, true)]).await.unwrap_err();
        story.at(start, error.panic_message().unwrap());
        sleep(seconds(5.0)).await;
        let collected = gather_all([work("three", 1.0, true), work("four", 1.0, false)]).await;
        let values: Vec<_> = collected.iter().map(Result::is_ok).collect();
        story.at(start, &format!("{values:?}"));
    });
    assert_eq!(lines, ["1.000 two fails", "2.000 one", "7.000 four", "7.000 [false, true]"]);
}

#[test]
fn wait_has_three_modes_and_a_timeout() {
    let lines = told(|story| async move {
        let start = now();
        let sleepers = || {
            [3.0, 1.0, 2.0].map(|delay| {
                spawn(async move {
                    sleep(seconds(delay)).await;
                    assert_ne!(delay, 2.0, "the second of them fails");
                })
            })
        };
        let tell = |what: &str, done: usize, pending: usize| {
            story.at(start, &format!("{what}: {done} done, {pending} pending"));
        };
        for when in [When::FirstCompleted, When::FirstError, When::AllCompleted] {
            let mut waited = wait(sleepers(), when).await;
            tell(&format!("{when:?}"), waited.done.len(), waited.pending.len());
            // Look at the results, so that the failure counts as seen.
            waited.done.iter_mut().for_each(|task| drop(task.try_result()));
            drop(gather_all(waited.pending).await);
        }
        let ten = (0..10).map(|_| spawn(sleep(seconds(0.99991))));
        let waited = wait(ten, When::AllCompleted).timeout(seconds(1.0)).await;
        tell("ten within a second", waited.done.len(), waited.pending.len());
        let ten = (0..10).map(|_| spawn(sleep(seconds(1.5))));
        let waited = wait(ten, When::AllCompleted).timeout(seconds(1.0)).await;
        tell("ten within too little", waited.done.len(), waited.pending.len());
        assert_eq!(gather(waited.pending).await.unwrap().len(), 10, "they were not cancelled");
    });
    assert_eq!(
        lines,
        [
            "1.000 FirstCompleted: 1 done, 2 pending",
            "5.000 FirstError: 2 done, 1 pending",
            "9.000 AllCompleted: 3 done, 0 pending",
            "10.000 ten within a second: 10 done, 0 pending",
            "11.000 ten within too little: 0 done, 10 pending",
        ]
    );
}

#[test]
fn awaiting_in_sequence_adds_up_and_tasks_do_not() {
    let lines = told(|story| async move {
        let say_after = |delay, what: &'static str| {
            let story = story.clone();
            async move {
                sleep(seconds(delay)).await;
                story.say(what);
            }
        };
        let start = now();
        say_after(1.0, "hello").await;
        say_after(2.0, "world").await;
        story.at(start, "in sequence");
        let start = now();
        let (hello, world) = (spawn(say_after(1.0, "hello")), spawn(say_after(2.0, "world")));
        hello.await.unwrap();
        world.await.unwrap();
        story.at(start, "as tasks");
    });
    assert_eq!(lines, ["hello", "world", "3.000 in sequence", "hello", "world", "2.000 as tasks"]);
}

#[test]
fn four_hellos_come_before_four_worlds() {
    let lines = told(|story| async move {
        let start = now();
        let greet = |n| {
            let story = story.clone();
            spawn(async move {
                story.at(start, &format!("hello {n}"));
                sleep(seconds(3.0)).await;
                story.at(start, &format!("world {n}"));
            })
        };
        gather((0..4).map(greet)).await.unwrap();
    });
    assert_eq!(
        lines,
        [
            "0.000 hello 0",
            "0.000 hello 1",
            "0.000 hello 2",
            "0.000 hello 3",
            "3.000 world 0",
            "3.000 world 1",
            "3.000 world 2",
            "3.000 world 3",
        ]
    );
}

#[test]
fn ten_blocking_calls_run_on_ten_threads_and_are_awaited_like_any_future() {
    // Each waits until all ten are there: with fewer threads than calls, none would ever return.
    let all_there = std::sync::Arc::new(Barrier::new(10));
    let mut runtime = Runtime::builder().blocking_threads(10).build().unwrap();
    let results = runtime.block_on(async {
        let call = |n: u64| {
            let all_there = all_there.clone();
            spawn_blocking(move || {
                all_there.wait();
                n * n
            })
        };
        gather((0..10).map(call)).await.unwrap()
    });
    assert_eq!(results, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
}
