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

use super::Programs;
use super::tools::{ms, program, work};

pub(super) const NEVER_POLLED: Programs = Programs {
    number: 1,
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

/// Something that happens once. How it wakes what waits is what the experiments are about.
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

pub(super) const NO_WAKER_KEPT: Programs = Programs {
    number: 2,
    finding: Code::LostWaker,
    time: false,
    broken: |runtime| wait_for_signal(runtime, |_, _| {}),
    mended: |runtime| wait_for_signal(runtime, |kept, waker| *kept = Some(waker.clone())),
};

pub(super) const BUSY_DELAY: Programs = Programs {
    number: 3,
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

pub(super) const FIRST_WAKER: Programs = Programs {
    number: 4,
    finding: Code::LostWaker,
    time: false,
    broken: |runtime| {
        move_between_tasks(runtime, |kept, waker| {
            kept.get_or_insert_with(|| waker.clone());
        });
    },
    mended: |runtime| move_between_tasks(runtime, |kept, waker| *kept = Some(waker.clone())),
};
