//! What one task does to all others: experiments 5, 6 and 12.

use mainspring::future::yield_now;
use mainspring::time::sleep;
use mainspring::{JoinHandle, spawn_blocking, spawn_named};
use mainspring_microscope::findings::Code;

use super::Experiment;
use super::tools::{all, ms, program, work};

/// Three tasks that sleep again and again.
fn tickers() -> Vec<JoinHandle<()>> {
    let ticker = |n: u64| {
        spawn_named(format!("ticker {n}"), async move {
            for _ in 0..6 {
                sleep(ms(8 + n)).await;
            }
        })
    };
    (0..3).map(ticker).collect()
}

pub(super) const THREAD_SLEEP: Experiment = Experiment {
    number: 5,
    idea: "thread::sleep only delays the task that calls it",
    program: "three tickers, and a task that calls std::thread::sleep for 40 ms.",
    question: "What do the tickers do meanwhile?",
    answers: &["they tick on", "the first of them ticks on", "all of them stand still"],
    right: 2,
    because: "There is one thread, and it sleeps. Every timer that is due meanwhile fires late, all \
              at once, when the poll returns.",
    finding: Code::SlowPoll,
    time: true,
    broken: program!({
        let tickers = tickers();
        drop(spawn_named("sleeper", async { work(ms(40)) }));
        all(tickers).await;
    }),
    mended: program!({
        let tickers = tickers();
        drop(spawn_named("sleeper", sleep(ms(40))));
        all(tickers).await;
    }),
};

pub(super) const GREEDY_LOOP: Experiment = Experiment {
    number: 6,
    idea: "an async loop is fair",
    program: "a task that computes for 60 ms, and one spawned after it that has little to do.",
    question: "How long is the second task ready before it first runs?",
    answers: &["next to nothing", "60 ms", "for ever"],
    right: 1,
    because: "A task runs until it awaits something that is not ready: nobody takes the thread from \
              it. If it yields now and then, everybody else has a turn in between.",
    finding: Code::Starvation,
    time: true,
    broken: program!({
        let greedy = spawn_named("greedy", async { work(ms(60)) });
        let modest = spawn_named("modest", async {});
        all(vec![greedy, modest]).await;
    }),
    mended: program!({
        let greedy = spawn_named("greedy", async {
            for _ in 0..60 {
                work(ms(1));
                yield_now().await;
            }
        });
        let modest = spawn_named("modest", async {});
        all(vec![greedy, modest]).await;
    }),
};

pub(super) const LATE_SLEEP: Experiment = Experiment {
    number: 12,
    idea: "sleep(1 ms) takes 1 ms",
    program: "a task that sleeps for 1 ms, and one that computes for 25 ms.",
    question: "How long does the sleep take?",
    answers: &["1 ms", "about 2 ms", "about 25 ms"],
    right: 2,
    because: "A timer fires at the first turn after its deadline. While a poll runs there is no \
              turn: work that takes long belongs to another thread.",
    finding: Code::LateTimer,
    time: true,
    broken: program!({
        let sleeper = spawn_named("sleeper", sleep(ms(1)));
        let worker = spawn_named("worker", async { work(ms(25)) });
        all(vec![sleeper, worker]).await;
    }),
    mended: program!({
        let sleeper = spawn_named("sleeper", sleep(ms(1)));
        let worker = spawn_blocking(|| work(ms(25)));
        all(vec![sleeper, worker]).await;
    }),
};
