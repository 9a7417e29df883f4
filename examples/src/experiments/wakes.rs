//! Who runs a future, and who wakes its task: experiments 1 to 4.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mainspring::observe::{mark, traced};
use mainspring::time::{now, sleep};
use mainspring::{Runtime, spawn_named};
use mainspring_microscope::findings::Code;

use super::Experiment;
use super::tools::{ms, program, work};

pub(super) const NEVER_POLLED: Experiment = Experiment {
    number: 1,
    idea: "calling an async function starts it",
    program: "main calls fetch(), keeps what it returns for 10 ms, and drops it.",
    question: "How far does the fetch get?",
    answers: &["it completes", "to its first await", "nowhere"],
    right: 2,
    because: "An async function only makes a future. Nobody polled it, so not one line of it ran.",
    finding: Code::NeverPolled,
    time: false,
    broken: program!({
        let fetch = traced("fetch", fetch());
        sleep(ms(10)).await;
        drop(fetch);
    }),
    mended: program!({
        traced("fetch", fetch()).await;
    }),
};

async fn fetch() {
    mark("the request is sent");
    sleep(ms(5)).await;
    mark("the answer is here");
}

/// Something that happens once. How it wakes whoever waits is what the experiments are about.
#[derive(Default)]
struct Signal {
    happened: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    fn fire(&self) {
        self.happened.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits, and leaves a waker as `keep` says.
    fn poll(&self, cx: &Context<'_>, keep: fn(&mut Option<Waker>, &Waker)) -> Poll<()> {
        if self.happened.get() {
            return Poll::Ready(());
        }
        keep(&mut self.waker.borrow_mut(), cx.waker());
        Poll::Pending
    }
}

/// A waiter and, 10 ms later, the signal.
fn wait_for_signal(runtime: &mut Runtime, keep: fn(&mut Option<Waker>, &Waker)) {
    let ended = runtime.try_block_on(async move {
        let signal = Rc::new(Signal::default());
        let waiting = signal.clone();
        let waiter = spawn_named("waiter", poll_fn(move |cx| waiting.poll(cx, keep)));
        sleep(ms(10)).await;
        signal.fire();
        waiter.await
    });
    // The broken program stalls; the recording tells of it.
    drop(ended);
}

pub(super) const NO_WAKER_KEPT: Experiment = Experiment {
    number: 2,
    idea: "returning Pending is enough",
    program: "a future of our own answers Pending until a flag is set, which happens after 10 ms.",
    question: "When does the waiter notice?",
    answers: &["at once", "at the next turn", "never"],
    right: 2,
    because: "Pending is a promise to call the waker. This future keeps none, so nobody can ever \
              wake the task; the loop sees that and says so instead of hanging.",
    finding: Code::LostWaker,
    time: false,
    broken: |runtime| wait_for_signal(runtime, |_, _| {}),
    mended: |runtime| wait_for_signal(runtime, |kept, waker| *kept = Some(waker.clone())),
};

pub(super) const BUSY_DELAY: Experiment = Experiment {
    number: 3,
    idea: "a future may wake itself until it is ready",
    program: "a delay of 5 ms that works for 20 µs, looks at the clock, wakes itself and answers Pending.",
    question: "How often is it polled?",
    answers: &["twice", "five times", "as often as the processor can"],
    right: 2,
    because: "The task is ready again before its poll returns, so the loop never sleeps: a busy \
              loop in disguise, with the processor at 100 %.",
    finding: Code::SelfWakeStorm,
    time: true,
    broken: program!({
        let due = now() + ms(5);
        poll_fn(|cx| {
            work(Duration::from_micros(20));
            if now() >= due {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }),
    mended: program!({
        sleep(ms(5)).await;
    }),
};

/// A future is polled once in one task, then moves to another and is awaited there.
fn move_between_tasks(runtime: &mut Runtime, keep: fn(&mut Option<Waker>, &Waker)) {
    let ended = runtime.try_block_on(async move {
        let signal = Rc::new(Signal::default());
        let waiting = signal.clone();
        let mut future = poll_fn(move |cx| waiting.poll(cx, keep));
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await;
        assert!(first.is_pending());
        let second = spawn_named("second task", future);
        sleep(ms(10)).await;
        signal.fire();
        second.await
    });
    // The broken program stalls; the recording tells of it.
    drop(ended);
}

pub(super) const FIRST_WAKER: Experiment = Experiment {
    number: 4,
    idea: "the first waker stays valid",
    program: "a future is polled once in main, moves to a second task, and keeps its first waker.",
    question: "Whom does the signal wake?",
    answers: &["the second task", "main, who has nothing to do with it any more", "both"],
    right: 1,
    because: "A waker names the task that polled. Every poll may come from another one, so a \
              future must keep the waker of its latest poll.",
    finding: Code::LostWaker,
    time: false,
    broken: |runtime| {
        move_between_tasks(runtime, |kept, waker| {
            kept.get_or_insert_with(|| waker.clone());
        });
    },
    mended: |runtime| move_between_tasks(runtime, |kept, waker| *kept = Some(waker.clone())),
};
