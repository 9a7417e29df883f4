//! Awaiting, dropping, holding: experiments 7 to 11.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;

use event_listener::Event;
use mainspring::future::race;
use mainspring::net::UnixStream;
use mainspring::observe::{mark, traced};
use mainspring::time::{sleep, timeout};
use mainspring::{JoinHandle, Runtime, spawn_named};
use mainspring_microscope::findings::Code;

use super::Programs;
use super::tools::{all, ms, program};

fn download(n: u32) -> JoinHandle<()> {
    spawn_named(format!("download {n}"), sleep(ms(20)))
}

pub(super) const ONE_BY_ONE: Programs = Programs {
    number: 7,
    finding: Code::OneAtATime,
    time: true,
    broken: program!({
        for n in 0..4 {
            download(n).await.expect("a download neither panics nor is cancelled");
        }
    }),
    mended: program!({
        let downloads: Vec<_> = (0..4).map(download).collect();
        all(downloads).await;
    }),
};

/// Reads up to a line feed, and marks what it got; what it has read so far is its own.
async fn read_line(stream: &UnixStream) {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut buffer = [0; 16];
        match poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await {
            Ok(1..) => line.extend(buffer.into_iter().take_while(|byte| *byte != 0)),
            Ok(0) => break,
            Err(error) => return mark(&error.to_string()),
        }
    }
    mark(&format!("read {:?}", String::from_utf8_lossy(&line)));
}

/// A line that arrives in two parts, 12 ms apart.
async fn say_slowly(stream: UnixStream) -> io::Result<()> {
    for part in [&b"half a "[..], b"line\n"] {
        poll_fn(|cx| stream.poll_write(cx, part)).await?;
        sleep(ms(12)).await;
    }
    Ok(())
}

pub(super) const LOSER_HAD_READ: Programs = Programs {
    number: 8,
    finding: Code::DroppedMidway,
    time: false,
    broken: program!({
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        drop(spawn_named("speaker", say_slowly(theirs)));
        for _ in 0..6 {
            let reading = traced("read a line", read_line(&ours));
            race(pin!(reading), pin!(sleep(ms(5)))).await;
        }
    }),
    mended: program!({
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        drop(spawn_named("speaker", say_slowly(theirs)));
        let over = Cell::new(false);
        let mut reading = pin!(traced("read a line", async {
            read_line(&ours).await;
            over.set(true);
        }));
        while !over.get() {
            race(reading.as_mut(), pin!(sleep(ms(5)))).await;
        }
    }),
};

/// A lock for tasks: those who wait get their turn in order.
#[derive(Default)]
struct Lock {
    held: Cell<bool>,
    free: Event,
}

struct Guard(Rc<Lock>);

impl Lock {
    async fn acquire(self: Rc<Lock>) -> Guard {
        while self.held.replace(true) {
            self.free.listen().await;
        }
        Guard(self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.free.notify(1);
    }
}

async fn hold(lock: Rc<Lock>) {
    let _guard = lock.acquire().await;
    sleep(ms(10)).await;
}

pub(super) const LOCK_SET_ASIDE: Programs = Programs {
    number: 9,
    finding: Code::SetAside,
    time: true,
    broken: program!({
        let lock = Rc::new(Lock::default());
        let mut holder = pin!(traced("holder", hold(lock.clone())));
        race(holder.as_mut(), pin!(sleep(ms(5)))).await;
        let mine = timeout(ms(100), traced("main wants the lock", lock.acquire())).await;
        mark(if mine.is_ok() { "main has the lock" } else { "main gives up" });
    }),
    mended: program!({
        let lock = Rc::new(Lock::default());
        let mut holder = Box::pin(traced("holder", hold(lock.clone())));
        race(holder.as_mut(), pin!(sleep(ms(5)))).await;
        drop(holder);
        let mine = timeout(ms(100), traced("main wants the lock", lock.acquire())).await;
        mark(if mine.is_ok() { "main has the lock" } else { "main gives up" });
    }),
};

/// Two tasks that add to a sum; the first sleeps between reading and writing it.
fn add_twice(runtime: &mut Runtime, slow: fn(Rc<RefCell<u32>>) -> JoinHandle<()>) {
    runtime.block_on(async move {
        let sum = Rc::new(RefCell::new(0));
        drop(slow(sum.clone()));
        drop(spawn_named("quick", async move { *sum.borrow_mut() += 1 }));
        sleep(ms(10)).await;
    });
}

pub(super) const GUARD_ACROSS_AWAIT: Programs = Programs {
    number: 10,
    finding: Code::NeverRetrieved,
    time: false,
    broken: |runtime| {
        add_twice(runtime, |sum| {
            #[expect(clippy::await_holding_refcell_ref, reason = "the mistake on show")]
            let slow = async move {
                let mut guard = sum.borrow_mut();
                sleep(ms(5)).await;
                *guard += 1;
            };
            spawn_named("slow", slow)
        });
    },
    mended: |runtime| {
        add_twice(runtime, |sum| {
            spawn_named("slow", async move {
                sleep(ms(5)).await;
                *sum.borrow_mut() += 1;
            })
        });
    },
};

pub(super) const DETACHED: Programs = Programs {
    number: 11,
    finding: Code::NeverPolled,
    time: false,
    broken: program!({
        sleep(ms(5)).await;
        drop(spawn_named("save", async { mark("saved") }));
    }),
    mended: program!({
        sleep(ms(5)).await;
        let save = spawn_named("save", async { mark("saved") });
        save.await.expect("saving neither panics nor is cancelled");
    }),
};
