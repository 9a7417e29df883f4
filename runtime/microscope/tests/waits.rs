//! What a real loop tells of its waits, and what `why` makes of it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use mainspring::future::{When, wait, yield_now};
use mainspring::net::{TcpListener, TcpStream};
use mainspring::observe::{Event, Kind};
use mainspring::time::{sleep, timeout};
use mainspring::{Runtime, spawn, spawn_blocking};
use mainspring_microscope::Recorder;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a task until it waits, and says what for; timers by their number alone.
fn why<F: Future<Output = ()> + 'static>(task: impl FnOnce() -> F + 'static) -> String {
    let recorder = Recorder::default();
    let mut runtime = Runtime::builder().observer(recorder.observer()).build().unwrap();
    let words = runtime.block_on({
        let recorder = recorder.clone();
        async move {
            let waiting = spawn(task());
            for _ in 0..5 {
                yield_now().await;
            }
            let model = recorder.trace().model();
            assert_eq!(model.illegal, []);
            model.why(waiting.id().get()).why.to_string()
        }
    });
    let due =
        words.split(" due in ").map(|part| part.split_once(" ms").map_or(part, |(_, rest)| rest));
    due.collect()
}

/// Polls a future once and drops it.
async fn once<F: Future>(future: F) {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        drop(future.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    Ok((near, listener.accept().await?.0))
}

/// Waits for ever, on nothing but what was begun before.
async fn rest() {
    sleep(ms(900)).await;
}

#[test]
fn all_arms_are_named_whichever_was_polled_last() {
    // Three sleeps, of which the later polls reach one alone.
    let said = why(|| async {
        let (mut a, mut b, mut c) =
            (pin!(sleep(ms(700))), pin!(sleep(ms(800))), pin!(sleep(ms(900))));
        poll_fn(|cx| {
            assert!(a.as_mut().poll(cx).is_pending() && b.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let mut first = true;
        poll_fn(|cx| {
            if std::mem::take(&mut first) {
                cx.waker().wake_by_ref();
            }
            c.as_mut().poll(cx)
        })
        .await;
    });
    assert_eq!(said, "waiting for timer #1 or timer #2 or timer #3");
}

#[test]
fn a_wait_that_was_dropped_is_named_no_more() {
    // A read, a join and a job, each polled once and dropped.
    assert_eq!(
        why(|| async {
            let (near, _far) = pair().await.unwrap();
            once(near.read(&mut [0; 8])).await;
            rest().await;
        }),
        "waiting for timer #1"
    );
    assert_eq!(
        why(|| async {
            once(spawn(std::future::pending::<()>())).await;
            rest().await;
        }),
        "waiting for timer #1"
    );
    assert_eq!(
        why(|| async {
            once(spawn(std::future::pending::<()>()).abort_on_drop()).await;
            rest().await;
        }),
        "waiting for timer #1"
    );
    assert_eq!(
        why(|| async {
            let both = [spawn(std::future::pending::<()>()), spawn(async {})];
            drop(wait(both, When::FirstCompleted).await);
            rest().await;
        }),
        "waiting for timer #1"
    );
}

#[test]
fn a_source_is_named_before_its_time_limit_and_a_job_by_the_task_that_waits() {
    let said = why(|| async {
        let (near, _far) = pair().await.unwrap();
        drop(timeout(ms(800), near.read(&mut [0; 8])).await);
    });
    let (source, timer) = said.split_once(" or ").expect("both");
    assert!(source.starts_with("waiting for source ") && source.ends_with(" to become readable"));
    assert_eq!(timer, "timer #1");
    let said = why(|| async {
        // The job ends with the task, which has the other end.
        let (end, job) = std::sync::mpsc::channel::<()>();
        spawn_blocking(move || job.recv().is_ok()).await.unwrap();
        drop(end);
    });
    assert_eq!(said, "waiting for task 3");
}

/// Wakers cannot be watched one by one without unsafe code: they are counted where polls begin and end.
#[test]
fn clones_and_drops_of_wakers_are_counted_from_poll_to_poll() {
    let kept: Rc<RefCell<Vec<Waker>>> = Rc::default();
    // Held after each poll: 3 clones; then 1 of them; then another 4.
    let keep = kept.clone();
    let task = async move {
        for held in [3, 1, 5] {
            let mut polled = false;
            poll_fn(|cx| {
                let mut kept = keep.borrow_mut();
                kept.truncate(held);
                while kept.len() < held {
                    kept.push(cx.waker().clone());
                }
                match std::mem::replace(&mut polled, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        }
    };
    let recorder = Recorder::default();
    let mut runtime = Runtime::builder().observer(recorder.observer()).build().unwrap();
    let counts = runtime.block_on({
        let recorder = recorder.clone();
        async move {
            let id = spawn(task).id().get();
            let mut counts = Vec::new();
            for dropped_outside in [0, 1, 0, 0] {
                let left = kept.borrow().len() - dropped_outside;
                kept.borrow_mut().truncate(left);
                kept.borrow().iter().take(1).for_each(Waker::wake_by_ref);
                yield_now().await;
                let model = recorder.trace().model();
                let task = model.task(id).unwrap();
                counts.push((task.holders, task.waker_clones, task.waker_drops));
            }
            counts
        }
    });
    // Between the first and the second of them one is dropped outside of the task, and one in its poll.
    assert_eq!(counts, [(3, 3, 0), (1, 3, 2), (5, 7, 2), (0, 7, 2)]);
}

/// A connection is no bytes, although it counts as some where tasks give way to each other.
#[test]
fn only_bytes_that_were_moved_are_told_as_such() {
    let recorder = Recorder::default();
    let mut runtime = Runtime::builder().observer(recorder.observer()).build().unwrap();
    runtime.block_on(async {
        let (near, far) = pair().await.unwrap();
        assert_eq!(near.write(b"five!").await.unwrap(), 5);
        assert_eq!(far.peek(&mut [0; 8]).await.unwrap(), 5);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 5);
    });
    let trace = recorder.trace();
    let tried = |event: &&Event| matches!(event.kind, Kind::SourceTried { .. });
    let said: Vec<_> =
        trace.events.iter().filter(tried).map(|event| trace.texts.sentence(event)).collect();
    let moved = |words: &str| said.iter().filter(|said| said.ends_with(words)).count();
    assert_eq!((moved(": 5 bytes"), moved(": 5 bytes, all there was")), (1, 1), "{said:?}");
    // Connected, accepted, and looked at without being read.
    assert_eq!(moved(": done"), 3, "{said:?}");
}
