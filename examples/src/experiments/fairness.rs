//! What one task does to all others: experiments 5, 6 and 12.

use mainspring::future::yield_now;
use mainspring::time::sleep;
use mainspring::{JoinHandle, spawn_blocking, spawn_named};
use mainspring_microscope::findings::Code;

use super::Programs;
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

pub(super) const THREAD_SLEEP: Programs = Programs {
    number: 5,
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

pub(super) const GREEDY_LOOP: Programs = Programs {
    number: 6,
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

pub(super) const LATE_SLEEP: Programs = Programs {
    number: 12,
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
