//! Readiness, wakes and work in quantity: experiments 13 to 15.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use event_listener::Event;
use mainspring::net::AsyncFd;
use mainspring::observe::mark;
use mainspring::time::{sleep, timeout};
use mainspring::{JoinHandle, Runtime, spawn_named};
use mainspring_microscope::findings::Code;

use super::Programs;
use super::tools::{all, ms, program};

/// Reads one byte as soon as there is one.
async fn read_byte(socket: &AsyncFd<UnixStream>) -> std::io::Result<u8> {
    let mut byte = [0];
    socket.read_with(|mut stream| stream.read_exact(&mut byte)).await?;
    Ok(byte[0])
}

/// Two bytes arrive at once and are read one by one; in between, `between` is done.
fn read_two(runtime: &mut Runtime, between: fn(&AsyncFd<UnixStream>)) {
    runtime.block_on(async move {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket that does not block");
        let socket = AsyncFd::new(ours).expect("the poller takes a socket");
        drop(spawn_named("writer", async move {
            sleep(ms(5)).await;
            theirs.write_all(b"ab").expect("room for two bytes");
            sleep(ms(100)).await;
        }));
        for _ in 0..2 {
            let byte = timeout(ms(50), read_byte(&socket)).await;
            mark(if byte.is_ok() { "a byte" } else { "no byte within 50 ms" });
            between(&socket);
        }
    });
}

pub(super) const ONE_READ: Programs = Programs {
    number: 13,
    finding: Code::Undrained,
    time: false,
    broken: |runtime| read_two(runtime, AsyncFd::clear_readable),
    mended: |runtime| read_two(runtime, |_| {}),
};

/// Permits, and what tells the tasks that wait for one.
#[derive(Default)]
struct Permits {
    left: Cell<u32>,
    more: Event,
}

/// Twelve tasks wait for permits, which come one by one; for each, so many of them are woken.
fn hand_out(runtime: &mut Runtime, woken: usize) {
    runtime.block_on(async move {
        let permits = Rc::new(Permits::default());
        let waiter = |n: u32| {
            let permits = permits.clone();
            spawn_named(format!("waiter {n}"), async move {
                while permits.left.get() == 0 {
                    permits.more.listen().await;
                }
                permits.left.set(permits.left.get() - 1);
                mark("a permit");
            })
        };
        let waiters: Vec<_> = (0..12).map(waiter).collect();
        for _ in 0..12 {
            sleep(ms(5)).await;
            permits.left.set(permits.left.get() + 1);
            permits.more.notify(woken);
        }
        all(waiters).await;
    });
}

pub(super) const THUNDERING_HERD: Programs = Programs {
    number: 14,
    finding: Code::Herd,
    time: false,
    broken: |runtime| hand_out(runtime, usize::MAX),
    mended: |runtime| hand_out(runtime, 1),
};

/// A request that a server which needs 4 ms for each, one after another, has accepted as number
/// `n` at `arrived` ms.
fn request(n: u64, arrived: u64) -> JoinHandle<()> {
    let done = 4 * (n + 1);
    spawn_named(format!("request {n}"), sleep(ms(done.saturating_sub(arrived))))
}

pub(super) const UNBOUNDED: Programs = Programs {
    number: 15,
    finding: Code::UnboundedGrowth,
    time: true,
    broken: program!({
        for n in 0..400 {
            drop(request(n, n));
            sleep(ms(1)).await;
        }
    }),
    mended: program!({
        let mut accepted: VecDeque<JoinHandle<()>> = VecDeque::new();
        let began = mainspring::time::now();
        for n in 0..100 {
            if accepted.len() == 8 {
                accepted.pop_front().expect("eight").await.expect("requests are served");
            }
            let arrived = mainspring::time::now() - began;
            accepted.push_back(request(n, arrived.as_millis() as u64));
            sleep(ms(1)).await;
        }
        all(accepted).await;
    }),
};
