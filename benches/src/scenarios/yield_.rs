//! Yielding: what a turn through the ready queue costs, for one task and for a thousand.

use crate::runtimes::Spawns;
use crate::scenario::{Figures, Goal, Row, Scenario, Unit, nanos_per};
use std::collections::VecDeque;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// One task and a thousand.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            id: "yield-1",
            rows: vec![Row {
                title: "yield, 1 task × 100,000",
                unit: Unit::Nanos,
                goals: vec![Goal::OfBestPeer(0.4)],
                note: "per yield",
            }],
            contestants: with(1, 100_000),
            isolated: false,
            max_rounds: usize::MAX,
        },
        Scenario {
            id: "yield-1k",
            rows: vec![Row {
                title: "yield, 1,000 tasks × 100",
                unit: Unit::Nanos,
                goals: vec![Goal::OfBestPeer(0.42)],
                note: "per yield",
            }],
            contestants: with(1_000, 100),
            isolated: false,
            max_rounds: usize::MAX,
        },
    ]
}

fn with(tasks: usize, yields: usize) -> Vec<crate::scenario::Contestant> {
    crate::contestants!(
        bare(tasks, yields),
        work(tasks, yields),
        [tokio, tokio_set, smol, futures, monoio, compio, glommio]
    )
}

/// The floor: a queue of boxed closures; what is not finished goes to the back.
///
/// Nothing less would do the work: whoever yields lets every other one run first, so it has to
/// leave the front of a queue and join its end, and be called through a pointer.
fn bare(tasks: usize, yields: usize) -> Figures {
    let mut queue: VecDeque<Box<dyn FnMut() -> bool>> = VecDeque::new();
    for _ in 0..tasks {
        let mut left = yields;
        queue.push_back(Box::new(move || {
            left = black_box(left - 1);
            left > 0
        }));
    }
    let start = Instant::now();
    while let Some(mut job) = queue.pop_front() {
        if job() {
            queue.push_back(job);
        }
    }
    vec![nanos_per(start, tasks * yields)]
}

/// The same on a runtime. The measured span starts when all tasks have been spawned.
pub(super) fn work<R: Spawns>(tasks: usize, yields: usize) -> Figures {
    R::run(async move {
        R::spawn(async move {
            let handles: Vec<_> = (0..tasks)
                .map(|_| {
                    R::spawn(async move {
                        for _ in 0..yields {
                            Yield::new().await;
                        }
                    })
                })
                .collect();
            let start = Instant::now();
            for handle in handles {
                handle.await;
            }
            vec![nanos_per(start, tasks * yields)]
        })
        .await
    })
}

/// One yield, the same for every runtime: some have none of their own, and tokio's own one waits
/// for the next look at the poller, which is a different thing.
pub struct Yield {
    yielded: bool,
}

impl Yield {
    /// A future that is pending once.
    pub fn new() -> Self {
        Self { yielded: false }
    }
}

impl Default for Yield {
    fn default() -> Self {
        Self::new()
    }
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
