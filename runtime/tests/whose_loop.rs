//! A socket away from its runtime: on another one, outside of all, or after its own was dropped.
#![cfg(unix)]

mod support;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use mainspring::net::{
    AsyncFd, Family, Listener, Stream, TcpListener, TcpStream, UnixListener, UnixStream,
};
use mainspring::{Runtime, run};
use support::{panic_text, stderr_of_child};

type Call<R> = Box<dyn Fn() -> R>;
type Waiting<R> = Pin<Box<dyn Future<Output = io::Result<R>>>>;

/// A socket and all that can be done with it. An operation that is not over at once is an error here.
struct Socket {
    operations: Vec<(&'static str, Call<io::Result<()>>)>,
    /// Those that have no way to say what is wrong: they are ready at once, and the try says it.
    ready: Vec<(&'static str, Call<Poll<()>>)>,
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn at_once<R>(poll: Poll<io::Result<R>>) -> io::Result<()> {
    match poll {
        Poll::Ready(result) => result.map(drop),
        Poll::Pending => panic!("it waits"),
    }
}

fn now<R>(future: impl Future<Output = io::Result<R>>) -> io::Result<()> {
    at_once(pin!(future).poll(&mut cx()))
}

macro_rules! calls {
    ($socket:ident: $($name:literal => $call:expr,)*) => {
        vec![$(($name, { let $socket = $socket.clone(); Box::new(move || $call) as Box<_> }),)*]
    };
}

fn stream<F: Family>(s: Stream<F>) -> Socket {
    let s = Rc::new(s);
    Socket {
        operations: calls! { s:
            "read" => now(s.read(&mut [0])),
            "write" => now(s.write(&[0])),
            "write_all" => now(s.write_all(&[0])),
            "write_vectored" => now(s.write_vectored(&[IoSlice::new(&[0])])),
            "poll_read" => at_once(s.poll_read(&mut cx(), &mut [0])),
            "poll_read_vectored" =>
                at_once(s.poll_read_vectored(&mut cx(), &mut [IoSliceMut::new(&mut [0])])),
            "poll_write" => at_once(s.poll_write(&mut cx(), &[0])),
            "poll_write_vectored" =>
                at_once(s.poll_write_vectored(&mut cx(), &[IoSlice::new(&[0])])),
            "try_read" => s.try_read(&mut [0]).map(drop),
            "try_read_vectored" => s.try_read_vectored(&mut [IoSliceMut::new(&mut [0])]).map(drop),
            "try_write" => s.try_write(&[0]).map(drop),
            "try_write_vectored" => s.try_write_vectored(&[IoSlice::new(&[0])]).map(drop),
        },
        ready: calls! { s:
            "poll_readable" => s.poll_readable(&mut cx()),
            "poll_writable" => s.poll_writable(&mut cx()),
            "readable" => pin!(s.readable()).poll(&mut cx()),
            "writable" => pin!(s.writable()).poll(&mut cx()),
        },
    }
}

fn listener<F: Family>(l: Listener<F>) -> Socket {
    let l = Rc::new(l);
    Socket {
        operations: calls! { l:
            "accept" => now(l.accept()),
            "poll_accept" => at_once(l.poll_accept(&mut cx())),
            "try_accept" => l.try_accept().map(drop),
        },
        ready: calls! { l:
            "poll_readable" => l.poll_readable(&mut cx()),
            "readable" => pin!(l.readable()).poll(&mut cx()),
        },
    }
}

fn foreign() -> Socket {
    let (near, far) = StdUnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let fd = Rc::new((AsyncFd::new(near).unwrap(), far));
    let read = |mut io: &StdUnixStream| io.read(&mut [0]);
    Socket {
        operations: calls! { fd:
            "read_with" => now(fd.0.read_with(read)),
            "write_with" => now(fd.0.write_with(read)),
            "try_read_with" => fd.0.try_read_with(read).map(drop),
            "try_write_with" => fd.0.try_write_with(read).map(drop),
        },
        ready: calls! { fd:
            "poll_readable" => fd.0.poll_readable(&mut cx()),
            "poll_writable" => fd.0.poll_writable(&mut cx()),
            "readable" => pin!(fd.0.readable()).poll(&mut cx()),
            "writable" => pin!(fd.0.writable()).poll(&mut cx()),
        },
    }
}

fn listen() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

/// One socket of every kind, of the running loop. Nothing has come for any of them.
async fn sockets() -> Vec<Socket> {
    let place = std::env::temp_dir().join(format!("mainspring-whose-{}", std::process::id()));
    let unix = UnixListener::bind(&place).unwrap();
    std::fs::remove_file(place).unwrap();
    let tcp = listen();
    let near = TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap();
    let far = tcp.accept().await.unwrap().0;
    let (pair_near, pair_far) = UnixStream::pair().unwrap();
    // Held to the end, so that no end is what the near ones see.
    std::mem::forget((far, pair_far));
    let (near, peeks) =
        (stream(near), TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap());
    let s = Rc::new(peeks);
    let peek = Socket { operations: calls! { s: "peek" => now(s.peek(&mut [0])), }, ready: vec![] };
    vec![near, peek, stream(pair_near), listener(tcp), listener(unix), foreign()]
}

/// Everything says at once what is wrong, again and again.
fn check(sockets: &[Socket], expected: &str) {
    for (name, operation) in sockets.iter().flat_map(|socket| &socket.operations) {
        for _ in 0..3 {
            let error = operation().expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
            assert!(error.contains("runtime \"the first\" entered at "), "{name}: {error}");
            assert!(error.contains(file!()), "{name}: {error}");
            assert!(error.len() < 200);
        }
    }
    for (name, operation) in sockets.iter().flat_map(|socket| &socket.ready) {
        assert!(operation().is_ready(), "{name}");
    }
}

#[test]
fn a_socket_on_another_runtime_says_so_at_once() {
    let mut first = Runtime::builder().name("the first").build().unwrap();
    let sockets = first.block_on(sockets());
    let here = |sockets: &[Socket]| check(sockets, "which does not run here");
    let mut second = Runtime::new();
    second.block_on(async { here(&sockets) });
    // Nor does it depend on how much the last task of the first has moved.
    first.block_on(poll_fn(|cx| {
        let (near, far) = UnixStream::pair().unwrap();
        while near.poll_write(cx, &[0; 1024]).is_ready() {
            assert!(far.poll_read(cx, &mut [0; 2048]).is_ready() || near.is_writable());
        }
        Poll::Ready(())
    }));
    second.block_on(async { here(&sockets) });
    // Outside of all loops; and within one that is within nothing of the first.
    here(&sockets);
    drop(first);
    let dropped = |sockets: &[Socket]| check(sockets, "which has been dropped");
    dropped(&sockets);
    second.block_on(async { dropped(&sockets) });
    drop(second);
    dropped(&sockets);
}

/// To clear a direction by hand would lead nowhere: no event would come, and the next wait be ready again.
#[test]
fn clearing_a_direction_elsewhere_panics() {
    let mut first = Runtime::builder().name("the first").build().unwrap();
    let fd = first.block_on(async {
        let (near, _far) = StdUnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        AsyncFd::new(near).unwrap()
    });
    let clears: [fn(&AsyncFd<StdUnixStream>); 2] =
        [AsyncFd::clear_readable, AsyncFd::clear_writable];
    for clear in clears {
        let text = panic_text(|| run(async { clear(&fd) }));
        assert!(text.starts_with("this socket belongs to the runtime \"the first\""), "{text}");
        first.block_on(async { clear(&fd) });
    }
}

/// However long and odd the runtime's name is.
#[test]
fn the_error_is_short() {
    let mut first = Runtime::builder().name("\u{1}\n\"".repeat(10_000)).build().unwrap();
    let listener = first.block_on(async { listen() });
    let error = run(async { listener.accept().await.unwrap_err() });
    let text = error.to_string();
    assert!(text.len() < 500, "{}", text.len());
    assert!(text.ends_with("which does not run here") && !text.contains('\n'));
}

/// A connect that is begun on one runtime and polled on another.
#[test]
fn an_operation_that_moves_to_another_runtime_ends_there() {
    let mut first = Runtime::builder().name("the first").build().unwrap();
    let listener = first.block_on(async { Rc::new(listen()) });
    let address = listener.local_addr().unwrap();
    let waiting: [(&str, Waiting<()>); 2] = [
        ("connect", Box::pin(async move { TcpStream::connect(address).await.map(drop) })),
        ("accept", Box::pin(async move { listener.accept().await.map(drop) })),
    ];
    for (name, mut future) in waiting {
        // To the near peer the connection may be there at once.
        let done = first.block_on(async { future.as_mut().poll(&mut cx()) });
        if done.is_pending() {
            let error = run(future.as_mut()).unwrap_err().to_string();
            assert!(error.contains("\"the first\""), "{name}: {error}");
        }
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Who waits on another thread, or by hand, finds out that nothing will come.
#[test]
fn the_drop_of_a_runtime_wakes_who_waits_for_its_sockets() {
    let mut first = Runtime::builder().name("the first").build().unwrap();
    let (near, _far) = first.block_on(async { UnixStream::pair().unwrap() });
    let near = Rc::new(near);
    let wakes: [Arc<Wakes>; 3] = Default::default();
    let [one, two, three] = wakes.each_ref().map(|wakes| Waker::from(wakes.clone()));
    let mut reading: Vec<Waiting<usize>> = Vec::new();
    for _ in 0..2 {
        let near = near.clone();
        reading.push(Box::pin(async move { near.read(&mut [0]).await }));
    }
    first.block_on(async {
        assert!(reading[0].as_mut().poll(&mut Context::from_waker(&one)).is_pending());
        assert!(reading[1].as_mut().poll(&mut Context::from_waker(&two)).is_pending());
        assert!(near.poll_read(&mut Context::from_waker(&three), &mut [0]).is_pending());
    });
    drop(first);
    assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(Relaxed)), [1; 3]);
    for reading in &mut reading {
        let Poll::Ready(Err(error)) = reading.as_mut().poll(&mut cx()) else { panic!("it waits") };
        assert!(error.to_string().contains("has been dropped"));
    }
}

/// While the runtime is being dropped, what its tasks drop last can wait no more either.
#[test]
fn a_socket_used_while_its_runtime_is_dropped_says_so() {
    struct ReadsAtTheEnd(UnixStream, Rc<std::cell::RefCell<String>>);
    impl Drop for ReadsAtTheEnd {
        fn drop(&mut self) {
            *self.1.borrow_mut() = now(self.0.read(&mut [0])).unwrap_err().to_string();
        }
    }
    let text = Rc::new(std::cell::RefCell::new(String::new()));
    let mut runtime = Runtime::new();
    let (near, _far) = runtime.block_on(async { UnixStream::pair().unwrap() });
    let last = ReadsAtTheEnd(near, text.clone());
    drop(runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(last);
    }));
    runtime.run_until_idle();
    drop(runtime);
    assert!(text.borrow().contains("has been dropped"), "{}", text.borrow());
}

/// Memory, and the sockets themselves, are all that anything keeps that outlives its runtime.
#[test]
fn what_outlives_a_runtime_keeps_no_descriptor_of_it() {
    fn descriptors() -> usize {
        std::fs::read_dir("/dev/fd").unwrap().count()
    }
    async fn own_waker() -> Waker {
        poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
    }
    let stderr = stderr_of_child("what_outlives_a_runtime_keeps_no_descriptor_of_it", || {
        type Life = fn(&mut Runtime) -> Box<dyn std::any::Any>;
        let lives: [(&str, usize, Life); 6] = [
            ("a waker", 0, |runtime| Box::new(runtime.block_on(own_waker()))),
            ("a waker of a task", 0, |runtime| {
                let task = runtime.spawn(own_waker());
                Box::new(runtime.block_on(task).unwrap())
            }),
            ("a handle", 0, |runtime| Box::new(runtime.spawn(std::future::pending::<()>()))),
            ("a result", 0, |runtime| {
                let handle = runtime.spawn(async { 1 });
                runtime.run_until_idle();
                Box::new(handle)
            }),
            ("a remote", 0, |runtime| Box::new(runtime.remote())),
            ("a socket", 1, |runtime| Box::new(runtime.block_on(async { listen() }))),
        ];
        for (what, own, live) in lives {
            let before = descriptors();
            let mut runtime = Runtime::new();
            let survivor = live(&mut runtime);
            drop(runtime);
            assert_eq!(descriptors(), before + own, "{what}");
            if let Some(waker) = survivor.downcast_ref::<Waker>() {
                waker.wake_by_ref();
            }
            drop(survivor);
            assert_eq!(descriptors(), before, "{what}");
        }
        // Nor does a waker that panics as the runtime goes keep it open.
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("as the runtime goes");
            }
        }
        let before = descriptors();
        let mut runtime = Runtime::new();
        let survivor = runtime.block_on(async {
            let listener = listen();
            let waker = Waker::from(Arc::new(Panics));
            assert!(listener.poll_accept(&mut Context::from_waker(&waker)).is_pending());
            listener
        });
        assert!(catch_unwind(AssertUnwindSafe(|| drop(runtime))).is_err());
        assert_eq!(descriptors(), before + 1);
        drop(survivor);
        assert_eq!(descriptors(), before);
    });
    assert!(stderr.is_empty());
}
