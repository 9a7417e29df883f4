//! Sockets: readiness, reuse of descriptors, the lack of them, and that none is left behind.
#![cfg(unix)]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_io::AsyncWrite;
use mainspring::future::{gather_all, yield_now};
use mainspring::net::{
    AsyncFd, Family, Listener, Stream, TcpListener, TcpStream, UnixListener, UnixStream,
};
use mainspring::observe::{Event, Kind, Observer, TryOutcome};
use mainspring::time::{Clock, sleep};
use mainspring::{JoinHandle, Runtime, run, spawn};
use socket2::{Domain, Socket, Type};
use support::{Log, stderr_of_child};

const ANY_PORT: &str = "127.0.0.1:0";
/// Bytes that a task may move in one poll, as `mainspring::net` says.
const TRANSFER_BUDGET: usize = 64 * 1024;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(ANY_PORT.parse::<SocketAddr>().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port that nobody else is given, and at which nobody listens.
fn deaf_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&ANY_PORT.parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Both ends of a connection, on this loop.
async fn connection() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    (client, server)
}

/// The loop looks after every four polls, so that two of the five that it finds ready may go first.
#[test]
fn who_waited_for_a_socket_goes_before_the_rest_of_a_long_batch() {
    let log = Log::default();
    let mut runtime = Runtime::builder().poll_interval(4).build().unwrap();
    runtime.block_on(async {
        let (ends, peers): (Vec<_>, Vec<_>) = (0..5).map(|_| UnixStream::pair().unwrap()).unzip();
        for (end, name) in ends.into_iter().zip("ABCDE".chars()) {
            let log = log.clone();
            drop(spawn(async move {
                assert_eq!(poll_fn(|cx| end.poll_read(cx, &mut [0])).await.unwrap(), 1);
                log.add(name);
            }));
        }
        // They have their turn, and find nothing to read.
        yield_now().await;
        yield_now().await;
        let peers = Rc::new(peers);
        let mut all = Vec::new();
        for number in 0..20 {
            let (log, peers) = (log.clone(), peers.clone());
            all.push(spawn(async move {
                log.add(number.to_string());
                for peer in peers.iter().filter(|_| number == 0) {
                    assert_eq!(poll_fn(|cx| peer.poll_write(cx, &[1])).await.unwrap(), 1);
                }
            }));
        }
        gather_all(all).await;
    });
    let schedule = log.take().join(" ");
    assert_eq!(schedule, "0 1 2 3 A B 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 C D E");
}

/// Bytes that tell where they belong.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 % 251) as u8).collect()
}

async fn read_to_end(stream: &TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 10_000]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}

#[test]
fn one_reads_and_one_writes_on_the_same_socket_at_once() {
    const LEN: usize = 3_000_000;
    run(async {
        let (client, server) = connection().await;
        let echo = spawn(async move {
            let mut buffer = vec![0; 8_192];
            loop {
                match server.read(&mut buffer).await.unwrap() {
                    0 => break,
                    n => server.write_all(&buffer[..n]).await.unwrap(),
                }
            }
        });
        // More than the socket buffers hold: writing ends only if somebody reads meanwhile.
        let client = Rc::new(client);
        let writing = client.clone();
        let writer = spawn(async move {
            writing.write_all(&pattern(LEN)).await.unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let received = read_to_end(&client).await;
        assert!(received == pattern(LEN));
        writer.await.unwrap();
        echo.await.unwrap();
    });
}

#[test]
fn owned_halves_go_to_two_tasks_and_come_together_again() {
    run(async {
        let (client, server) = connection().await;
        let (mut read, mut write) = server.into_split();
        let answered = spawn(async move {
            let mut buffer = [0; 5];
            assert_eq!(read.read(&mut buffer).await.unwrap(), 5);
            (read, buffer)
        });
        let greeted = spawn(async move {
            write.write_all(b"hello").await.unwrap();
            write
        });
        client.write_all(b"there").await.unwrap();
        let mut buffer = [0; 5];
        assert_eq!(client.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer, b"hello");
        let (read, heard) = answered.await.unwrap();
        assert_eq!(&heard, b"there");
        let whole = read.reunite(greeted.await.unwrap()).unwrap();
        // Only a writing half that is dropped apart closes its direction.
        whole.write_all(b"!").await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 1);
        let (mut read, write) = whole.into_split();
        let (other, _) = connection().await.0.into_split();
        let (_, wrong) = other.reunite(write).map_err(|error| (error.0, error.1)).unwrap_err();
        drop(wrong);
        assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
        client.write_all(b"bye").await.unwrap();
        assert_eq!(read.read(&mut buffer).await.unwrap(), 3);
    });
}

#[test]
fn two_that_wait_to_read_take_turns_and_none_is_forgotten() {
    run(async {
        let (client, server) = connection().await;
        let server = Rc::new(server);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                spawn(async move { server.read(&mut [0]).await.unwrap() })
            })
            .collect();
        yield_now().await;
        yield_now().await;
        client.write_all(b"ab").await.unwrap();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 1);
        }
    });
}

#[test]
fn options_peeking_and_parts() {
    run(async {
        let (client, server) = connection().await;
        client.set_nodelay(true).unwrap();
        client.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert!(client.nodelay().unwrap());
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(3)));
        client.set_linger(None).unwrap();
        assert_eq!(client.linger().unwrap(), None);

        let mut buffer = [0; 8];
        assert_eq!(server.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 5);
        assert_eq!(server.peek(&mut buffer).await.unwrap(), 5);
        assert_eq!(server.peek(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(server.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"abcde");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0, "the end stays the end");
    });
}

#[test]
fn whether_a_read_is_worth_a_try_is_known_without_one() {
    macro_rules! check {
        ($near:expr, $far:expr) => {
            let (near, far) = ($near, $far);
            assert!(polled_once(poll_fn(|cx| near.poll_read(cx, &mut [0]))).await.is_none());
            assert!(!near.is_readable(), "nothing had come");
            assert!(polled_once(poll_fn(|cx| near.poll_readable(cx))).await.is_none());
            assert_eq!(poll_fn(|cx| far.poll_write(cx, b"ab")).await.unwrap(), 2);
            poll_fn(|cx| near.poll_readable(cx)).await;
            assert!(near.is_readable());
            assert_eq!(poll_fn(|cx| near.poll_read(cx, &mut [0; 2])).await.unwrap(), 2);
            assert!(near.is_readable(), "as much as was asked for: there may be more");
            drop(far);
            assert_eq!(poll_fn(|cx| near.poll_read(cx, &mut [0])).await.unwrap(), 0);
            assert!(near.is_readable(), "the end is there for ever");
        };
    }
    run(async {
        let (near, far) = connection().await;
        check!(near, far);
        let (near, far) = UnixStream::pair().unwrap();
        check!(near, far);
    });
}

#[test]
fn a_refused_connection_is_an_error_and_a_silent_one_times_out() {
    run(async {
        let (_taken, address) = deaf_port();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
    // A listener whose queue is full lets the next one wait.
    let (full, address) = deaf_port();
    full.listen(0).unwrap();
    let queued = std::net::TcpStream::connect(address).unwrap();
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let limit = Duration::from_secs(5);
    let late = runtime.block_on(TcpStream::connect_timeout(address, limit)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    assert_eq!(late.to_string(), format!("no connection to {address} within 5s"));
    assert_eq!(runtime.stats().sources, 0);
    drop(queued);
}

/// With the option set too early, two sockets that are bound before either listens may be given the
/// same port.
#[test]
fn ports_that_the_system_chooses_are_nobody_elses() {
    const EACH: usize = 100;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                run(async {
                    let all: Vec<_> = (0..EACH).map(|_| listen()).collect();
                    all.iter().map(|(_, address)| address.port()).collect::<Vec<_>>()
                })
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().len() == EACH));
    // And one that has been left a moment ago can be used again.
    run(async {
        let (listener, address) = listen();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop((server, listener));
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop(client);
        TcpListener::bind(address).unwrap();
    });
}

/// The number of the second socket is that of the first, and so is its place at the poller. What the
/// first one's peer had sent must not reach it.
#[test]
fn a_descriptor_that_is_used_again_gets_nobody_elses_events() {
    // The number would go to any other test that runs beside this one.
    let name = "a_descriptor_that_is_used_again_gets_nobody_elses_events";
    let stderr = stderr_of_child(name, || {
        let log = Log::new();
        let mut runtime = Runtime::builder().observer(log.observer()).build().unwrap();
        runtime.block_on(async {
            let (first, mut first_peer) = StdUnixStream::pair().unwrap();
            let number = first.as_raw_fd();
            first.set_nonblocking(true).unwrap();
            let first = AsyncFd::new(first).unwrap();
            assert!(polled_once(first.read_with(|mut io| io.read(&mut [0]))).await.is_none());
            first_peer.write_all(b"for the first").unwrap();
            drop(first);
            let (second, mut second_peer) = StdUnixStream::pair().unwrap();
            assert_eq!(second.as_raw_fd(), number);
            second.set_nonblocking(true).unwrap();
            let second = AsyncFd::new(second).unwrap();
            log.take();
            let mut reading = pin!(second.read_with(|mut io| {
                let mut buffer = [0; 4];
                io.read_exact(&mut buffer).map(|()| buffer)
            }));
            assert!(polled_once(reading.as_mut()).await.is_none());
            // More polls than it takes the loop to look for events.
            for _ in 0..2 * mainspring::DEFAULT_POLL_INTERVAL {
                yield_now().await;
            }
            let ready = |line: &String| line.contains("SourceReady { readable: true");
            assert!(!log.take().iter().any(ready), "the event of another");
            second_peer.write_all(b"mine").unwrap();
            assert_eq!(&reading.await.unwrap(), b"mine");
        });
    });
    assert!(stderr.is_empty());
}

/// Polls once.
async fn polled_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Whoever waits through a poll of its own holds no reference: the wake lets it find out.
#[test]
fn closing_a_socket_wakes_whoever_waits_on_it() {
    run(async {
        let (near, _far) = UnixStream::pair().unwrap();
        let shared = Rc::new(RefCell::new(Some(near)));
        let waiting = shared.clone();
        let waiter = spawn(poll_fn(move |cx| match &*waiting.borrow() {
            Some(near) => near.poll_read(cx, &mut [0]).map(|_| "read"),
            None => Poll::Ready("closed"),
        }));
        yield_now().await;
        let near = shared.take();
        drop(near);
        assert_eq!(waiter.await.unwrap(), "closed");
    });
}

#[test]
fn a_source_is_deregistered_before_it_is_closed() {
    struct Tells(StdUnixStream, Log);
    impl AsFd for Tells {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    impl Drop for Tells {
        fn drop(&mut self) {
            self.1.add("the descriptor is closed");
        }
    }
    let log = Log::new();
    let mut runtime = Runtime::builder().observer(log.observer()).build().unwrap();
    runtime.block_on(async {
        let (io, _peer) = StdUnixStream::pair().unwrap();
        let fd = AsyncFd::new(Tells(io, log.clone())).unwrap();
        log.take();
        drop(fd);
    });
    assert_eq!(log.take()[..2], ["task 1 SourceClosed { source: 1 }", "the descriptor is closed"]);
}

#[test]
fn a_foreign_descriptor_is_tried_first_and_waited_for_then() {
    run(async {
        let (io, mut peer) = StdUnixStream::pair().unwrap();
        io.set_nonblocking(true).unwrap();
        let fd = AsyncFd::new(io).unwrap();
        let mut tries = 0;
        let mut buffer = [0; 4];
        let mut reading = Box::pin(fd.read_with(|mut io| {
            tries += 1;
            io.read(&mut buffer)
        }));
        assert!(polled_once(reading.as_mut()).await.is_none());
        assert!(polled_once(reading.as_mut()).await.is_none());
        peer.write_all(b"x").unwrap();
        assert_eq!(reading.await.unwrap(), 1);
        assert_eq!(tries, 2, "once before the wait, once after it");

        // By hand: what was found empty elsewhere is said to be.
        fd.writable().await;
        fd.readable().await;
        fd.clear_readable();
        assert!(polled_once(fd.readable()).await.is_none());
        peer.write_all(b"y").unwrap();
        fd.readable().await;
        assert_eq!(fd.get_ref().read(&mut buffer).unwrap(), 1);
        assert_eq!(fd.write_with(|mut io| io.write(b"z")).await.unwrap(), 1);
        assert_eq!(peer.read(&mut buffer).unwrap(), 1);
    });
}

#[test]
fn a_task_that_has_moved_its_budget_lets_others_run() {
    let (moved, others_ran) = run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let mut sent = 0;
        while let Some(written) = polled_once(far_write(&far)).await {
            sent += written;
            // A fresh budget for the next.
            yield_now().await;
        }
        assert!(sent > TRANSFER_BUDGET, "the system's buffer holds {sent} bytes");
        let (other, turns) = spawn_counter();
        let (mut moved, mut buffer) = (vec![0], vec![0; 4096]);
        poll_fn(|cx| {
            loop {
                if moved.iter().sum::<usize>() == sent {
                    return Poll::Ready(());
                }
                match near.poll_read(cx, &mut buffer) {
                    Poll::Ready(read) => *moved.last_mut().unwrap() += read.unwrap(),
                    Poll::Pending => {
                        moved.push(0);
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
        other.cancel();
        (moved, turns.get())
    });
    assert!(moved.len() > 1 && moved.iter().all(|bytes| *bytes <= TRANSFER_BUDGET), "{moved:?}");
    assert_eq!(others_ran, moved.len() - 1, "one turn between two of the reader's");
}

/// A read that takes all there is, and more than the budget: the next one waits for an event, and is not
/// put off first.
#[test]
fn who_has_to_wait_is_polled_once_for_it() {
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    let mut runtime = Runtime::new();
    let reader = runtime.spawn(async move {
        let (near, far) = UnixStream::pair().unwrap();
        let mut sent = 0;
        while sent <= TRANSFER_BUDGET {
            sent += far_write(&far).await;
            // A fresh budget for the next.
            yield_now().await;
        }
        let mut buffer = vec![0; 2 * sent];
        poll_fn(|cx| {
            counted.set(counted.get() + 1);
            loop {
                match near.poll_read(cx, &mut buffer) {
                    Poll::Ready(read) => assert_eq!(read.unwrap(), sent),
                    Poll::Pending => return Poll::<()>::Pending,
                }
            }
        })
        .await;
    });
    runtime.run_until_idle();
    assert!(!reader.is_finished());
    assert_eq!(polls.get(), 1);
}

/// Small operations count as well: here it is 256 of one byte, then the other's turn.
#[test]
fn who_reads_byte_by_byte_yields_too() {
    let others_ran = run(async {
        let (near, far) = UnixStream::pair().unwrap();
        assert_eq!(poll_fn(|cx| far.poll_write(cx, &[0; 1000])).await.unwrap(), 1000);
        let (other, turns) = spawn_counter();
        for _ in 0..1000 {
            assert_eq!(poll_fn(|cx| near.poll_read(cx, &mut [0])).await.unwrap(), 1);
        }
        other.cancel();
        turns.get()
    });
    assert_eq!(others_ran, 1000 / 256);
}

/// A task that counts its turns.
fn spawn_counter() -> (JoinHandle<()>, Rc<Cell<usize>>) {
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let task = spawn(async move {
        loop {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    (task, turns)
}

async fn far_write(far: &UnixStream) -> usize {
    let bytes = [0; 4096];
    poll_fn(|cx| far.poll_write(cx, &bytes)).await.unwrap()
}

/// When the process is out of descriptors, accepting pauses for 10 ms, then twice as long each time, up
/// to a second; it neither spins nor forgets the connections that wait.
#[test]
fn accepting_without_descriptors_backs_off_and_goes_on() {
    #[derive(Clone, Default)]
    struct Failures(Rc<RefCell<Vec<u64>>>);
    impl Observer for Failures {
        fn on_event(&mut self, event: &Event) {
            if matches!(event.kind, Kind::SourceTried { outcome: TryOutcome::Failed, .. }) {
                self.0.borrow_mut().push(event.at / 1_000_000);
            }
        }
    }
    async fn check<F: Family>(listener: Listener<F>, connect: impl Fn()) {
        (0..3).for_each(|_| connect());
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        rlimit::setrlimit(rlimit::Resource::NOFILE, 64, limit.1).unwrap();
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        assert!(taken.len() < 64);
        let accepting = spawn(async move {
            let mut accepted = Vec::new();
            for _ in 0..3 {
                accepted.push(listener.accept().await.unwrap());
            }
        });
        sleep(Duration::from_secs(4)).await;
        assert!(!accepting.is_finished());
        drop(taken);
        accepting.await.unwrap();
        rlimit::setrlimit(rlimit::Resource::NOFILE, limit.0, limit.1).unwrap();
    }
    let stderr = stderr_of_child("accepting_without_descriptors_backs_off_and_goes_on", || {
        let place =
            std::env::temp_dir().join(format!("mainspring-accepting-{}", std::process::id()));
        for unix in [false, true] {
            let failures = Failures::default();
            let builder = Runtime::builder().clock(Clock::VirtualDespiteIo);
            let mut runtime = builder.observer(failures.clone()).build().unwrap();
            let clients = RefCell::new((Vec::new(), Vec::new()));
            runtime.block_on(async {
                if unix {
                    let connect = || StdUnixStream::connect(&place).unwrap();
                    let listener = UnixListener::bind(&place).unwrap();
                    check(listener, || clients.borrow_mut().1.push(connect())).await;
                } else {
                    let (listener, address) = listen();
                    let connect = || std::net::TcpStream::connect(address).unwrap();
                    check(listener, || clients.borrow_mut().0.push(connect())).await;
                }
            });
            let tried = failures.0.take();
            assert_eq!(tried, [0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270]);
        }
        std::fs::remove_file(place).unwrap();
    });
    assert!(stderr.is_empty());
}

/// For a future of one's own, the lack of descriptors is an error, and costs as much as an accept does.
#[test]
fn accepting_by_hand_without_descriptors_gives_way() {
    fn failures<F: Family>(listener: &Listener<F>, cx: &mut Context<'_>) -> usize {
        let failed = |result: std::io::Result<_>| result.is_err();
        (0..1_000).take_while(|_| listener.poll_accept(cx).map(failed) == Poll::Ready(true)).count()
    }
    let stderr = stderr_of_child("accepting_by_hand_without_descriptors_gives_way", || {
        let place = std::env::temp_dir().join(format!("mainspring-by-hand-{}", std::process::id()));
        run(async {
            let (listener, address) = listen();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let unix = UnixListener::bind(&place).unwrap();
            let _unix_client = StdUnixStream::connect(&place).unwrap();
            rlimit::setrlimit(rlimit::Resource::NOFILE, 64, 64).unwrap();
            let mut taken = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            yield_now().await;
            assert_eq!(poll_fn(|cx| Poll::Ready(failures(&listener, cx))).await, 256);
            yield_now().await;
            assert_eq!(poll_fn(|cx| Poll::Ready(failures(&unix, cx))).await, 256);
        });
        std::fs::remove_file(place).unwrap();
    });
    assert!(stderr.is_empty());
}

/// Who closes what the peer has reset finds it closed.
#[test]
fn closing_what_the_peer_has_reset_is_no_error() {
    type Close<F> = fn(Stream<F>) -> std::io::Result<()>;
    fn closed(closing: Poll<std::io::Result<()>>) -> std::io::Result<()> {
        let Poll::Ready(result) = closing else { panic!("nothing to wait for") };
        result
    }
    fn closes<F: Family>() -> [(&'static str, Close<F>); 8] {
        fn cx() -> Context<'static> {
            Context::from_waker(Waker::noop())
        }
        [
            ("the stream", |mut s| closed(pin!(&mut s).poll_close(&mut cx()))),
            ("a reference", |s| closed(pin!(&s).poll_close(&mut cx()))),
            ("a half", |mut s| closed(pin!(s.split().1).poll_close(&mut cx()))),
            ("an owned half", |s| closed(pin!(s.into_split().1).poll_close(&mut cx()))),
            ("shutdown", |s| s.shutdown(Shutdown::Write)),
            ("shutdown of reading", |s| s.shutdown(Shutdown::Read)),
            ("shutdown of both", |s| s.shutdown(Shutdown::Both)),
            ("twice", |s| s.shutdown(Shutdown::Both).and(s.shutdown(Shutdown::Write))),
        ]
    }
    run(async {
        for (what, close) in closes() {
            let (near, far) = connection().await;
            // Closing with a byte unread, and without lingering, is a reset.
            near.write_all(b"unread").await.unwrap();
            far.set_linger(Some(Duration::ZERO)).unwrap();
            far.readable().await;
            drop(far);
            let reset = near.read(&mut [0]).await.unwrap_err();
            assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
            close(near).expect(what);
        }
        for (what, close) in closes() {
            let (near, far) = UnixStream::pair().unwrap();
            near.write_all(b"unread").await.unwrap();
            drop(far);
            assert!(near.read(&mut [0]).await.is_err());
            close(near).expect(what);
        }
    });
}

/// What is asked of the operating system for a message there and back: two sends, two receives, and a wait
/// for each end. Nothing is tried in vain.
#[test]
fn an_echo_takes_six_system_calls() {
    #[derive(Clone, Default)]
    struct Calls(Rc<RefCell<BTreeMap<String, usize>>>);
    impl Observer for Calls {
        fn on_event(&mut self, event: &Event) {
            let call = match event.kind {
                Kind::SourceTried { direction, outcome, .. } => {
                    format!("{direction:?} {outcome:?}")
                }
                Kind::Parked { .. } => "wait".to_owned(),
                _ => return,
            };
            *self.0.borrow_mut().entry(call).or_default() += 1;
        }
    }
    async fn trip(client: &mut TcpStream) {
        let mut buffer = [0; 1024];
        client.write_all(b"there").await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 5);
    }
    let calls = Calls::default();
    let mut runtime = Runtime::builder().observer(calls.clone()).build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = connection().await;
        let answering = spawn(async move {
            let mut buffer = [0; 1024];
            loop {
                let n = server.read(&mut buffer).await.unwrap();
                if n == 0 {
                    break;
                }
                server.write_all(&buffer[..n]).await.unwrap();
            }
        });
        // The first finds out that there is nothing to read yet.
        trip(&mut client).await;
        calls.0.take();
        for _ in 0..10 {
            trip(&mut client).await;
        }
        let counts: Vec<_> = calls.0.take().into_iter().collect();
        let expected = [("Read Short", 20), ("Write Done", 20), ("wait", 20)];
        assert_eq!(counts, expected.map(|(call, count)| (call.to_owned(), count)));
        drop(client);
        answering.await.unwrap();
    });
}

/// Each of these leaves the process with as many descriptors as before.
#[test]
fn no_descriptor_is_left_behind() {
    fn descriptors() -> usize {
        std::fs::read_dir("/dev/fd").unwrap().count()
    }
    let lives: [(&str, fn()); 11] = [
        ("a runtime alone", || drop(Runtime::new())),
        ("a connection", || drop(run(connection()))),
        ("a refused one", || {
            run(async {
                let (_taken, address) = deaf_port();
                assert!(TcpStream::connect(address).await.is_err());
            });
        }),
        ("a connect given up", || {
            run(async {
                let (_listener, address) = listen();
                drop(polled_once(TcpStream::connect(address)).await);
            });
        }),
        ("an accept given up", || {
            run(async {
                let (listener, _) = listen();
                assert!(polled_once(listener.accept()).await.is_none());
            });
        }),
        ("halves", || {
            run(async {
                let (client, server) = connection().await;
                let (read, write) = client.into_split();
                drop(read);
                drop(spawn(async move { read_to_end(&server).await }));
                drop(write);
                yield_now().await;
            });
        }),
        ("tasks that still wait when the runtime goes", || {
            run(async {
                for _ in 0..10 {
                    let (client, server) = connection().await;
                    drop(spawn(async move { read_to_end(&client).await }));
                    drop(spawn(async move { read_to_end(&server).await }));
                }
                yield_now().await;
            });
        }),
        ("a result that nobody reads", || {
            run(async {
                let kept = spawn(async { listen().0 });
                drop(spawn(async { listen().0 }));
                yield_now().await;
                assert!(kept.is_finished());
            });
        }),
        ("a result whose handle outlives the runtime", || {
            let mut runtime = Runtime::new();
            let handle = runtime.spawn(async { listen().0 });
            runtime.run_until_idle();
            drop(runtime);
            drop(handle);
        }),
        ("a callback that never runs", || {
            let mut runtime = Runtime::new();
            let socket = runtime.block_on(async { listen().0 });
            let handle = runtime.spawn(async {});
            handle.add_done_callback(move |_| drop(socket));
            runtime.turn();
            drop((runtime, handle));
        }),
        ("a task that is cancelled", || {
            run(async {
                let (client, server) = connection().await;
                let task = spawn(async move {
                    let _both = (client, server);
                    pending::<()>().await;
                });
                yield_now().await;
                task.cancel();
                assert!(task.await.is_err());
            });
        }),
    ];
    let stderr = stderr_of_child("no_descriptor_is_left_behind", || {
        for (life, live) in lives {
            let before = descriptors();
            live();
            assert_eq!(descriptors(), before, "{life}");
        }
        // A socket may outlive its runtime; its poller goes with it.
        let before = descriptors();
        let mut runtime = Runtime::new();
        let survivor = runtime.block_on(async { listen().0 });
        drop(runtime);
        assert!(descriptors() > before);
        drop(survivor);
        assert_eq!(descriptors(), before, "a socket that outlives its runtime");
    });
    assert!(stderr.is_empty());
}

#[test]
fn a_blocking_client_in_another_thread_is_served() {
    run(async {
        let (listener, address) = listen();
        let client = thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"ping").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(read_to_end(&stream).await, b"ping");
        stream.write_all(b"pong").await.unwrap();
        drop(stream);
        assert_eq!(client.join().unwrap(), "pong");
    });
}
