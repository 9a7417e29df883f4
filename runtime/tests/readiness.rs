//! Who waits for a socket, who is woken, and what clears a direction: every operation of every kind of socket,
//! with several waiters.
#![cfg(unix)]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::net::{
    AsyncFd, Family, Listener, Stream, Tcp, TcpListener, TcpStream, Unix, UnixListener, UnixStream,
};
use mainspring::time::{Clock, sleep};
use mainspring::{DEFAULT_POLL_INTERVAL, Runtime, run, spawn};

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// Both ends of a TCP connection.
async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// A socket in one of its directions: an operation that waits, and what makes it go on.
struct Case {
    name: String,
    /// Makes a future that waits.
    wait: Box<dyn Fn() -> Waiting>,
    /// Makes the socket ready for so many of them.
    make_ready: Box<dyn Fn(usize)>,
}

/// A stream that has no byte to read, and whose buffers have no room for one more.
async fn full_and_empty<F: Family>((near, far): (Stream<F>, Stream<F>)) -> [Rc<Stream<F>>; 2] {
    // The ends fill their buffers at leisure; a fresh budget for each write.
    loop {
        let filled = poll_fn(|cx| Poll::Ready(near.poll_write(cx, &[0; 65_536]).is_pending()));
        if filled.await && near.try_write(&[0]).is_err() {
            break;
        }
        yield_now().await;
    }
    assert_eq!(near.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    [Rc::new(near), Rc::new(far)]
}

/// Reads all there is.
fn drain<F: Family>(stream: &Stream<F>) {
    while stream.try_read(&mut [0; 65_536]).is_ok() {}
}

fn stream_cases<F: Family>(kind: &str, [near, far]: [Rc<Stream<F>>; 2]) -> Vec<Case> {
    type Operation<F> = fn(Rc<Stream<F>>) -> Waiting;
    let reads: [(&str, Operation<F>); 3] = [
        ("read", |s| Box::pin(async move { assert_eq!(s.read(&mut [0]).await.unwrap(), 1) })),
        ("readable", |s| Box::pin(async move { s.readable().await })),
        ("readable and try_read", |s| {
            Box::pin(async move {
                loop {
                    s.readable().await;
                    match s.try_read(&mut [0]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        read => break assert_eq!(read.unwrap(), 1),
                    }
                }
            })
        }),
    ];
    let writes: [(&str, Operation<F>); 5] = [
        ("write", |s| Box::pin(async move { assert_eq!(s.write(&[1]).await.unwrap(), 1) })),
        ("write_all", |s| Box::pin(async move { s.write_all(&[1, 2]).await.unwrap() })),
        ("write_vectored", |s| {
            Box::pin(async move {
                assert_eq!(s.write_vectored(&[IoSlice::new(&[1])]).await.unwrap(), 1);
            })
        }),
        ("writable", |s| Box::pin(async move { s.writable().await })),
        ("writable and try_write", |s| {
            Box::pin(async move {
                loop {
                    s.writable().await;
                    match s.try_write(&[1]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        written => break assert_eq!(written.unwrap(), 1),
                    }
                }
            })
        }),
    ];
    let mut cases = Vec::new();
    for (name, operation) in reads {
        let (near, far) = (near.clone(), far.clone());
        cases.push(Case {
            name: format!("{kind} {name}"),
            wait: Box::new(move || operation(near.clone())),
            make_ready: Box::new(move |n| {
                // What is in the way was written by the near end.
                drain(&far);
                assert_eq!(far.try_write(&vec![0; n]).unwrap(), n);
            }),
        });
    }
    for (name, operation) in writes {
        let (near, far) = (near.clone(), far.clone());
        cases.push(Case {
            name: format!("{kind} {name}"),
            wait: Box::new(move || operation(near.clone())),
            make_ready: Box::new(move |_| drain(&far)),
        });
    }
    cases
}

fn peek_case([near, far]: [Rc<TcpStream>; 2]) -> Case {
    Case {
        name: "TCP peek".to_owned(),
        wait: Box::new(move || {
            let near = near.clone();
            Box::pin(async move { assert_eq!(near.peek(&mut [0]).await.unwrap(), 1) })
        }),
        make_ready: Box::new(move |_| {
            drain(&far);
            assert_eq!(far.try_write(&[0]).unwrap(), 1);
        }),
    }
}

fn listener_cases<F: Family>(kind: &str, listener: Listener<F>, knock: Rc<dyn Fn()>) -> Vec<Case> {
    type Operation<F> = fn(Rc<Listener<F>>) -> Waiting;
    let operations: [(&str, Operation<F>); 3] = [
        ("accept", |l| Box::pin(async move { drop(l.accept().await.unwrap()) })),
        ("readable", |l| Box::pin(async move { l.readable().await })),
        ("readable and try_accept", |l| {
            Box::pin(async move {
                loop {
                    l.readable().await;
                    match l.try_accept() {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        accepted => break drop(accepted.unwrap()),
                    }
                }
            })
        }),
    ];
    assert!(listener.try_accept().is_err());
    let listener = Rc::new(listener);
    let case = |(name, operation): (&str, Operation<F>)| {
        let (listener, knock) = (listener.clone(), knock.clone());
        Case {
            name: format!("{kind} {name}"),
            wait: Box::new(move || operation(listener.clone())),
            make_ready: Box::new(move |n| (0..n).for_each(|_| knock())),
        }
    };
    operations.into_iter().map(case).collect()
}

fn fd_cases() -> Vec<Case> {
    type Fd = AsyncFd<StdUnixStream>;
    type Operation = fn(Rc<Fd>) -> Waiting;
    let (near, far) = StdUnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    while (&near).write(&[0; 65_536]).is_ok() {}
    let near = Rc::new(AsyncFd::new(near).unwrap());
    near.clear_readable();
    near.clear_writable();
    let operations: [(&str, bool, Operation); 6] = [
        ("read_with", true, |fd| {
            Box::pin(async move { fd.read_with(|mut io| io.read_exact(&mut [0])).await.unwrap() })
        }),
        ("readable", true, |fd| Box::pin(async move { fd.readable().await })),
        ("readable and try_read_with", true, |fd| {
            Box::pin(async move {
                loop {
                    fd.readable().await;
                    match fd.try_read_with(|mut io| io.read(&mut [0])) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        read => break assert_eq!(read.unwrap(), 1),
                    }
                }
            })
        }),
        ("write_with", false, |fd| {
            Box::pin(async move {
                assert_eq!(fd.write_with(|mut io| io.write(&[1])).await.unwrap(), 1);
            })
        }),
        ("writable", false, |fd| Box::pin(async move { fd.writable().await })),
        ("writable and clear_writable", false, |fd| {
            Box::pin(async move {
                loop {
                    fd.writable().await;
                    match fd.get_ref().write(&[1]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => fd.clear_writable(),
                        written => break assert_eq!(written.unwrap(), 1),
                    }
                }
            })
        }),
    ];
    let far = Rc::new(far);
    let case = |(name, reads, operation): (&str, bool, Operation)| {
        let (near, far) = (near.clone(), far.clone());
        Case {
            name: format!("AsyncFd {name}"),
            wait: Box::new(move || operation(near.clone())),
            make_ready: Box::new(move |n| {
                while (&*far).read(&mut [0; 65_536]).is_ok() {}
                if reads {
                    assert_eq!((&*far).write(&vec![0; n]).unwrap(), n);
                }
            }),
        }
    };
    operations.into_iter().map(case).collect()
}

/// A place for a Unix socket, which is removed with it.
struct Place(std::path::PathBuf);

impl Place {
    fn new() -> Place {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mainspring-{}-{}", std::process::id(), LAST.fetch_add(1, Relaxed));
        Place(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Every operation that waits, each on a socket of its own that is not ready, on the running loop.
async fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // One socket for each operation: what one of them did must not help the next.
    for n in 0..9 {
        cases.push(match n {
            8 => peek_case(full_and_empty(tcp().await).await),
            n => stream_cases("TCP", full_and_empty(tcp().await).await).swap_remove(n),
        });
    }
    for n in 0..8 {
        let pair = UnixStream::pair().unwrap();
        cases.push(stream_cases("Unix", full_and_empty(pair).await).swap_remove(n));
    }
    for n in 0..3 {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let knock = Rc::new(move || drop(std::net::TcpStream::connect(address).unwrap()));
        cases.push(listener_cases("TCP", listener, knock).swap_remove(n));
        let place = Place::new();
        let listener = UnixListener::bind(&place.0).unwrap();
        let knock = Rc::new(move || drop(StdUnixStream::connect(&place.0).unwrap()));
        cases.push(listener_cases("Unix", listener, knock).swap_remove(n));
    }
    cases.extend((0..6).map(|n| fd_cases().swap_remove(n)));
    // Reports of the time before are out of the way.
    look_around().await;
    cases
}

/// Long enough for the loop to take events.
async fn look_around() {
    for _ in 0..2 * DEFAULT_POLL_INTERVAL {
        yield_now().await;
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Wakes {
    fn take(&self) -> usize {
        self.0.swap(0, Relaxed)
    }
}

fn polled(future: &mut Waiting, wakes: &Arc<Wakes>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(&Waker::from(wakes.clone()))).is_ready()
}

/// Which of `n` waiters leave.
fn selections(n: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1 << n).map(move |set: usize| (0..n).filter(|i| set >> i & 1 == 1).collect())
}

/// One, two or three wait; any of them leave, before the event, or after it and before they are polled. All
/// others are woken by it, once, and no others; and all end, those too that first find nothing.
#[test]
fn an_event_wakes_all_who_wait_and_is_lost_with_none_that_leaves() {
    let number = run(async { cases().await.len() });
    assert_eq!(number, 29);
    for (waiters, late) in (1..=3).flat_map(|n| [(n, false), (n, true)]) {
        for leave in selections(waiters) {
            run(async {
                for case in cases().await {
                    check_leave(&case, waiters, &leave, late).await;
                }
            });
        }
    }
}

async fn check_leave(case: &Case, waiters: usize, leave: &[usize], late: bool) {
    let what = format!("{}: {leave:?} of {waiters} leave, late: {late}", case.name);
    let mut waiting: Vec<_> = (0..waiters).map(|_| (Some((case.wait)()), Arc::default())).collect();
    for (future, wakes) in &mut waiting {
        assert!(!polled(future.as_mut().unwrap(), wakes), "{what}");
        // A second poll with the same waker holds no second place.
        assert!(!polled(future.as_mut().unwrap(), wakes), "{what}");
    }
    look_around().await;
    assert!(waiting.iter().all(|(_, wakes)| wakes.take() == 0), "{what}: woken at rest");
    if !late {
        leave.iter().for_each(|i| waiting[*i].0 = None);
    }
    (case.make_ready)((waiters - leave.len()).max(1));
    look_around().await;
    for (i, (_, wakes)) in waiting.iter().enumerate() {
        assert_eq!(wakes.take() == 1, late || !leave.contains(&i), "{what}: {i}");
    }
    if late {
        leave.iter().for_each(|i| waiting[*i].0 = None);
    }
    for (i, (future, wakes)) in waiting.iter_mut().enumerate() {
        if let Some(future) = future {
            assert!(polled(future, wakes), "{what}: {i} does not end");
        }
    }
}

/// Counts the polls of a future.
struct Counted(Waiting, Rc<Cell<usize>>);

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.1.set(self.1.get() + 1);
        self.0.as_mut().poll(cx)
    }
}

/// Two or three tasks wait in one direction: each is polled once, and then the loop rests.
#[test]
fn tasks_that_wait_for_the_same_leave_the_loop_at_rest() {
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    let all = Rc::new(runtime.block_on(cases()));
    for (tasks, case) in [2, 3].into_iter().flat_map(|n| (0..all.len()).map(move |case| (n, case)))
    {
        let all = all.clone();
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        runtime.block_on(async move {
            let case = &all[case];
            let tasks: Vec<_> =
                (0..tasks).map(|_| spawn(Counted((case.wait)(), counted.clone()))).collect();
            look_around().await;
            assert_eq!(counted.get(), tasks.len(), "{}: polled at rest", case.name);
            tasks.iter().for_each(mainspring::JoinHandle::cancel);
        });
        // All that is left to do is to jump to the end of a sleep.
        let before = runtime.stats();
        runtime.block_on(sleep(Duration::from_secs(1)));
        assert!(runtime.stats().turns - before.turns <= 3);
    }
}

/// A connection more wakes all who wait to accept; one of them gets it, and the others wait again.
#[test]
fn tasks_that_find_nothing_wait_again() {
    let accepted = Rc::new(Cell::new(0));
    let mut runtime = Runtime::new();
    let listener = runtime.block_on(async {
        Rc::new(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap())
    });
    for _ in 0..3 {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        drop(runtime.spawn(async move {
            loop {
                listener.accept().await.unwrap();
                accepted.set(accepted.get() + 1);
            }
        }));
    }
    runtime.run_until_idle();
    for n in 1..=10 {
        drop(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let turn = runtime.run_until_idle();
        assert_eq!((accepted.get(), turn.polled), (n, 3));
    }
}

/// All callers of the `poll_*` methods of one direction are one waiter, whose last waker counts; futures are
/// woken beside them.
#[test]
fn the_last_caller_of_the_poll_methods_is_woken() {
    async fn check<F: Family>((near, far): (Stream<F>, Stream<F>)) {
        type Read<F> = fn(&Stream<F>, &mut Context<'_>) -> bool;
        let reads: [Read<F>; 3] = [
            |s, cx| s.poll_read(cx, &mut [0]).is_ready(),
            |s, cx| s.poll_read_vectored(cx, &mut [IoSliceMut::new(&mut [0])]).is_ready(),
            |s, cx| s.poll_readable(cx).is_ready(),
        ];
        look_around().await;
        let near = Rc::new(near);
        for (first, last) in (0..9).map(|n| (n / 3, n % 3)) {
            let [one, two, own] = [(); 3].map(|()| Arc::<Wakes>::default());
            let shared = near.clone();
            let mut future: Waiting = Box::pin(async move { shared.readable().await });
            drain(&near);
            assert!(!reads[first](&near, &mut Context::from_waker(&Waker::from(one.clone()))));
            assert!(!polled(&mut future, &own));
            assert!(!reads[last](&near, &mut Context::from_waker(&Waker::from(two.clone()))));
            assert_eq!(Arc::strong_count(&one), 1, "it is not kept");
            assert_eq!(far.try_write(&[1]).unwrap(), 1);
            look_around().await;
            assert_eq!([&one, &two, &own].map(|wakes| wakes.take()), [0, 1, 1]);
            assert!(reads[last](&near, &mut Context::from_waker(Waker::noop())));
        }
    }
    run(async {
        check(tcp().await).await;
        check(UnixStream::pair().unwrap()).await;
    });
}

/// The loop that every reactor's documentation shows: wait until ready, try, start again at "would block".
#[test]
fn a_try_that_would_block_clears_its_direction() {
    async fn check<F: Family>((near, far): (Stream<F>, Stream<F>)) {
        type Try<F> = fn(&Stream<F>) -> io::Result<usize>;
        let reads: [Try<F>; 2] = [
            |s| s.try_read(&mut [0; 8]),
            |s| s.try_read_vectored(&mut [IoSliceMut::new(&mut [0; 4])]),
        ];
        for read in reads {
            let mut tries = 0;
            let classic = poll_fn(|cx| {
                loop {
                    ready!(near.poll_readable(cx));
                    tries += 1;
                    assert!(tries < 3, "it never leaves its poll");
                    match read(&near) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        result => return Poll::Ready(result.unwrap()),
                    }
                }
            });
            let mut classic = std::pin::pin!(classic);
            assert!(once(classic.as_mut()).await.is_none());
            assert!(!near.is_readable());
            assert_eq!(far.try_write(b"ab").unwrap(), 2);
            assert_eq!(classic.await, 2);
        }
        let writes: [Try<F>; 2] = [
            |s| s.try_write(&[0; 65_536]),
            |s| s.try_write_vectored(&[IoSlice::new(&[0; 65_536])]),
        ];
        for write in writes {
            while write(&near).is_ok() {}
            assert!(!near.is_writable());
            assert!(once(near.writable()).await.is_none());
            drain(&far);
            near.writable().await;
            assert!(near.is_writable());
        }
    }
    async fn check_listener<F: Family>(listener: Listener<F>, knock: impl Fn()) {
        assert_eq!(listener.try_accept().map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!listener.is_readable());
        assert!(once(poll_fn(|cx| listener.poll_readable(cx))).await.is_none());
        knock();
        poll_fn(|cx| listener.poll_readable(cx)).await;
        assert!(listener.try_accept().is_ok());
    }
    run(async {
        check(tcp().await).await;
        check(UnixStream::pair().unwrap()).await;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        check_listener(listener, || drop(std::net::TcpStream::connect(address).unwrap())).await;
        let place = Place::new();
        let listener = UnixListener::bind(&place.0).unwrap();
        check_listener(listener, || drop(StdUnixStream::connect(&place.0).unwrap())).await;

        let (near, mut far) = StdUnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = AsyncFd::new(near).unwrap();
        assert!(near.try_read_with(|mut io| io.read(&mut [0])).is_err());
        assert!(!near.is_readable() && near.is_writable());
        assert!(once(near.readable()).await.is_none());
        while near.try_write_with(|mut io| io.write(&[0; 65_536])).is_ok() {}
        assert!(!near.is_writable());
        assert!(once(poll_fn(|cx| near.poll_writable(cx))).await.is_none());
        far.write_all(&[0]).unwrap();
        poll_fn(|cx| near.poll_readable(cx)).await;
    });
}

async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The system looks at 1,024 parts of a vectored call. That it moved no more does not mean that nothing is
/// left, for which no event would come.
#[test]
fn a_call_of_many_parts_is_not_short_for_being_capped() {
    const PARTS: usize = 2_500;
    async fn check<F: Family>((near, far): (Stream<F>, Stream<F>)) {
        let bytes: Vec<_> = (0..PARTS).map(|n| n as u8).collect();
        let mut sent = 0;
        while sent < PARTS {
            let parts: Vec<_> = bytes[sent..].chunks(1).map(IoSlice::new).collect();
            let written = poll_fn(|cx| near.poll_write_vectored(cx, &parts)).await.unwrap();
            assert_eq!(written, parts.len().min(1024));
            assert!(near.is_writable());
            sent += written;
        }
        let mut received = vec![0; PARTS];
        let mut read = 0;
        while read < PARTS {
            let mut parts: Vec<_> = received[read..].chunks_mut(1).map(IoSliceMut::new).collect();
            let expected = parts.len().min(1024);
            let n = poll_fn(|cx| far.poll_read_vectored(cx, &mut parts)).await.unwrap();
            assert_eq!(n, expected);
            assert!(far.is_readable());
            read += n;
        }
        assert!(received == bytes);

        // Empty parts at the front count for nothing: the system would answer 0, which is the end.
        let mut many: Vec<_> = (0..PARTS).map(|_| IoSlice::new(&[])).collect();
        many.push(IoSlice::new(b"x"));
        assert_eq!(near.write_vectored(&many).await.unwrap(), 1);
        let mut byte = [0];
        let mut many: Vec<_> = (0..PARTS).map(|_| IoSliceMut::new(&mut [])).collect();
        many.push(IoSliceMut::new(&mut byte));
        assert_eq!(poll_fn(|cx| far.poll_read_vectored(cx, &mut many)).await.unwrap(), 1);
        assert_eq!(&byte, b"x");
        // What is in fact short is taken as such: one part more than there are bytes.
        assert_eq!(near.try_write(b"ab").unwrap(), 2);
        let (mut a, mut b, mut c) = ([0], [0], [0]);
        let mut parts = [&mut a, &mut b, &mut c].map(|part| IoSliceMut::new(part));
        assert_eq!(poll_fn(|cx| far.poll_read_vectored(cx, &mut parts)).await.unwrap(), 2);
        assert!(!far.is_readable());
    }
    run(async {
        check(tcp().await).await;
        check(UnixStream::pair().unwrap()).await;
    });
}

/// Whether the socket is ready or not, and also at its end.
#[test]
fn an_empty_buffer_is_nothing_at_once() {
    async fn check<F: Family>([near, far]: [Rc<Stream<F>>; 2]) {
        for round in 0..3 {
            assert_eq!(once(near.read(&mut [])).await.unwrap().unwrap(), 0, "{round}");
            assert_eq!(once(near.write(&[])).await.unwrap().unwrap(), 0);
            once(near.write_all(&[])).await.unwrap().unwrap();
            assert_eq!(once(near.write_vectored(&[])).await.unwrap().unwrap(), 0);
            let empty = [IoSlice::new(&[]), IoSlice::new(&[])];
            assert_eq!(once(near.write_vectored(&empty)).await.unwrap().unwrap(), 0);
            let read = poll_fn(|cx| near.poll_read_vectored(cx, &mut []));
            assert_eq!(once(read).await.unwrap().unwrap(), 0);
            assert_eq!(near.try_read(&mut []).unwrap(), 0);
            assert_eq!(near.try_read_vectored(&mut []).unwrap(), 0);
            assert_eq!(near.try_write(&[]).unwrap(), 0);
            assert_eq!(near.try_write_vectored(&empty).unwrap(), 0);
            if round == 0 {
                drain(&far);
                assert_eq!(far.try_write(&[0]).unwrap(), 1);
            } else {
                far.shutdown(std::net::Shutdown::Both).unwrap();
            }
            look_around().await;
        }
    }
    run(async {
        let pair = full_and_empty(tcp().await).await;
        assert_eq!(once(pair[0].peek(&mut [])).await.unwrap().unwrap(), 0);
        check(pair).await;
        check(full_and_empty(UnixStream::pair().unwrap()).await).await;
    });
}

thread_local! {
    /// What a waker uses when it is woken and dropped.
    static NEAR: RefCell<Option<Rc<UnixStream>>> = const { RefCell::new(None) };
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

/// Uses all of the runtime, and the socket that it is the waker of.
fn enter_again() {
    let Some(near) = NEAR.with(|place| place.try_borrow().ok().and_then(|near| near.clone()))
    else {
        return;
    };
    ENTERED.set(ENTERED.get() + 1);
    let mut cx = Context::from_waker(Waker::noop());
    drop(near.poll_read(&mut cx, &mut [0]));
    polled_to(near.poll_writable(&mut cx));
    polled_to(std::pin::pin!(near.readable()).poll(&mut cx));
    drop(near.try_read(&mut [0]));
    drop(UnixStream::pair());
    polled_to(std::pin::pin!(sleep(Duration::from_secs(1))).poll(&mut cx));
    spawn(async {}).cancel();
}

/// It matters that it is called, not what it says.
fn polled_to(_: Poll<()>) {}

struct EntersAgain;

impl Wake for EntersAgain {
    fn wake(self: Arc<Self>) {
        enter_again();
    }
}

impl Drop for EntersAgain {
    fn drop(&mut self) {
        enter_again();
    }
}

/// A waker that is woken, replaced, or dropped by its future, its socket or the runtime may use all of them.
#[test]
fn a_waker_may_use_the_runtime_wherever_it_is_woken_or_dropped() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let near = Rc::new(near);
        NEAR.set(Some(near.clone()));
        let waker = || Waker::from(Arc::new(EntersAgain));
        let entered = |what: &str| assert!(ENTERED.replace(0) > 0, "{what}");
        drain(&near);

        assert!(near.poll_read(&mut Context::from_waker(&waker()), &mut [0]).is_pending());
        assert!(near.poll_read(&mut Context::from_waker(&waker()), &mut [0]).is_pending());
        entered("replaced in a poll method");
        {
            let mut reading = Box::pin(near.readable());
            assert!(reading.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
            assert!(reading.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
            entered("replaced in a future");
            drop(reading);
            entered("dropped with its future");
        }
        let mut reading = Box::pin(near.readable());
        assert!(reading.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
        assert!(near.poll_readable(&mut Context::from_waker(&waker())).is_pending());
        assert_eq!(far.try_write(b"a").unwrap(), 1);
        look_around().await;
        entered("woken by an event");
        drop(reading);

        let (other, _peer) = UnixStream::pair().unwrap();
        assert!(other.poll_read(&mut Context::from_waker(&waker()), &mut [0]).is_pending());
        drop(other);
        entered("woken as its socket goes");
        drain(&near);
        assert!(near.poll_readable(&mut Context::from_waker(&waker())).is_pending());
    });
    assert!(ENTERED.replace(0) > 0, "woken as its runtime goes");
    NEAR.take();
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// Of four that wait, the second and the third panic when they are woken: by an event, as the socket goes, or
/// as the runtime goes. The others are woken all the same, and then the first panic goes on.
#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    fn panics(f: impl FnOnce()) {
        let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a waker that panics"));
    }
    let wakes = [Arc::<Wakes>::default(), Arc::default()];
    let wakers = || {
        let [first, last] = wakes.clone().map(Waker::from);
        [first, Waker::from(Arc::new(Panics)), Waker::from(Arc::new(Panics)), last]
    };
    let woken = || wakes.each_ref().map(|wakes| wakes.take());
    let pair = |near: &mut Vec<Rc<UnixStream>>| {
        let (a, b) = UnixStream::pair().unwrap();
        drain(&a);
        near.push(Rc::new(a));
        b
    };

    // Four futures on one socket; and a socket for each.
    for sockets in [1, 4] {
        let mut runtime = Runtime::new();
        let (mut near, mut far, mut waiting) = (Vec::new(), Vec::new(), Vec::<Waiting>::new());
        let mut wait = async |near: &mut Vec<_>, far: &mut Vec<_>| {
            far.extend((0..sockets).map(|_| pair(near)));
            look_around().await;
            waiting.clear();
            for (n, waker) in wakers().into_iter().enumerate() {
                let socket = near[n % sockets].clone();
                waiting.push(Box::pin(async move { socket.readable().await }));
                let polled = waiting[n].as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
        };
        runtime.block_on(wait(&mut near, &mut far));
        panics(|| {
            runtime.block_on(async {
                far.iter().for_each(|far| assert_eq!(far.try_write(b"a").unwrap(), 1));
                look_around().await;
            });
        });
        assert_eq!(woken(), [1, 1], "{sockets} sockets: by an event");
        near.clear();
        far.clear();
        let mut runtime = Runtime::new();
        runtime.block_on(wait(&mut near, &mut far));
        panics(|| drop(runtime));
        assert_eq!(woken(), [1, 1], "{sockets} sockets: as the runtime goes");
    }

    run(async {
        for direction in 0..2 {
            let mut near = Vec::new();
            let far = pair(&mut near);
            while near[0].try_write(&[0; 65_536]).is_ok() {}
            let [first, panicking, ..] = wakers();
            let order = if direction == 0 { [&first, &panicking] } else { [&panicking, &first] };
            assert!(near[0].poll_readable(&mut Context::from_waker(order[0])).is_pending());
            assert!(near[0].poll_writable(&mut Context::from_waker(order[1])).is_pending());
            panics(|| near.clear());
            assert_eq!(woken(), [1, 0], "as the socket goes");
            drop(far);
        }
    });
}

/// What fails costs the system a call as well: 256 of them, and the others have their turn.
#[test]
fn failures_count_for_what_a_task_may_do_in_one_poll() {
    /// How many of `operation` are made in one poll, at most 1,000.
    async fn tries(mut operation: impl FnMut(&mut Context<'_>) -> Poll<bool>) -> usize {
        yield_now().await;
        poll_fn(|cx| {
            let made = (0..1_000).take_while(|_| operation(cx) == Poll::Ready(true)).count();
            Poll::Ready(made)
        })
        .await
    }
    async fn broken<F: Family>((near, far): (Stream<F>, Stream<F>)) {
        drop(far);
        // The first may still be taken; its answer breaks the connection.
        while near.write(&[0]).await.is_ok() {}
        let write = |cx: &mut Context<'_>| near.poll_write(cx, &[0]).map(|result| result.is_err());
        assert_eq!(tries(write).await, 256);
    }
    run(async {
        broken(tcp().await).await;
        broken(UnixStream::pair().unwrap()).await;
        let (near, _far) = StdUnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        for kind in [ErrorKind::Other, ErrorKind::Interrupted, ErrorKind::ConnectionReset] {
            let mut calls = 0;
            let failing = async {
                loop {
                    let failed = near.read_with(|_| {
                        calls += 1;
                        io::Result::<()>::Err(kind.into())
                    });
                    failed.await.unwrap_err();
                }
            };
            yield_now().await;
            assert!(once(failing).await.is_none(), "{kind}");
            assert!(calls <= 256, "{kind}: {calls}");
        }
    });
}

/// A peer that always has more to read does not keep the loop that waits and tries by itself.
#[test]
fn waiting_and_trying_gives_way_too() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        assert_eq!(far.write(&[0; 4_000]).await.unwrap(), 4_000);
        yield_now().await;
        let reads = poll_fn(|cx| {
            let mut reads = 0;
            while near.poll_readable(cx).is_ready() {
                assert_eq!(near.try_read(&mut [0]).unwrap(), 1);
                reads += 1;
            }
            Poll::Ready(reads)
        });
        assert_eq!(reads.await, 256);
    });
}

/// The kinds can be named by programs that are written for both.
#[test]
fn a_function_may_be_written_for_both_kinds() {
    async fn greet<F: Family>(stream: &Stream<F>) {
        stream.write_all(b"hi").await.unwrap();
    }
    run(async {
        let (near, far): (Stream<Unix>, Stream<Unix>) = UnixStream::pair().unwrap();
        greet(&near).await;
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 2);
        let (near, far): (Stream<Tcp>, Stream<Tcp>) = tcp().await;
        greet(&near).await;
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 2);
    });
}

/// A read stops before a byte that the peer has marked as urgent, however much follows: that it is short does
/// not mean that nothing is left.
#[test]
fn urgent_data_does_not_hide_what_follows() {
    let mut runtime = Runtime::builder().clock(Clock::VirtualDespiteIo).build().unwrap();
    runtime.block_on(async {
        let (near, far) = tcp().await;
        drain(&near);
        assert_eq!(far.try_write(b"ab").unwrap(), 2);
        assert_eq!(far.socket().send_out_of_band(b"!").unwrap(), 1);
        assert_eq!(far.try_write(b"cd").unwrap(), 2);
        let mut received = Vec::new();
        while received.len() < 4 {
            let mut buffer = [0; 64];
            let reading = mainspring::time::timeout(Duration::from_secs(1), near.read(&mut buffer));
            let n = reading.await.expect("there is more").unwrap();
            received.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(received, b"abcd");
    });
}
