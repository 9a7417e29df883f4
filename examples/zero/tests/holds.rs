//! Step 8, and the loops made from it, under load and at their edges.

/// The same tests for each of the loops.
macro_rules! holds {
    ($($zero:ident)*) => { $(mod $zero {
        use std::cell::{Cell, RefCell};
        use std::future::{pending, poll_fn};
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
        use std::rc::Rc;
        use std::sync::atomic::{AtomicU32, Ordering};
        use std::sync::Arc;
        use std::task::Poll;
        use std::thread;
        use std::time::Duration;

        use zero::$zero::net::{TcpListener, TcpStream};
        use zero::$zero::{JoinError, JoinHandle};
        use zero::$zero::{block_on, sleep, spawn, spawn_blocking, timeout, yield_now};

        /// Counts its drop.
        struct Guard(Rc<Cell<u32>>);

        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }

        /// What a loop says when it panics.
        fn panic_of(main: impl Future<Output = ()>) -> String {
            let panic = catch_unwind(AssertUnwindSafe(|| block_on(main))).unwrap_err();
            match panic.downcast::<String>() {
                Ok(text) => *text,
                Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
            }
        }

        /// A wake that were lost would leave nothing that could wake main, and the loop would say so.
        #[test]
        fn two_hundred_thousand_wakes_from_other_threads() {
            const THREADS: u32 = 4;
            const EACH: u32 = 50_000;
            let wakes = Arc::new(AtomicU32::new(0));
            let mut started = false;
            let polls = block_on(async {
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    for _ in 0..if started { 0 } else { THREADS } {
                        let (waker, wakes) = (cx.waker().clone(), wakes.clone());
                        thread::spawn(move || {
                            for _ in 0..EACH {
                                wakes.fetch_add(1, Ordering::Relaxed);
                                waker.wake_by_ref();
                            }
                        });
                    }
                    started = true;
                    let all = wakes.load(Ordering::Relaxed) == THREADS * EACH;
                    if all { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                polls
            });
            assert!(polls <= THREADS * EACH + 1);
        }

        #[test]
        fn thirty_thousand_tasks_that_end_in_each_of_the_three_ways() {
            const TASKS: u32 = 30_000;
            let dropped = Rc::new(Cell::new(0));
            block_on(async {
                let task = |number: u32| {
                    let guard = Guard(dropped.clone());
                    spawn(async move {
                        let _guard = guard;
                        yield_now().await;
                        match number % 3 {
                            0 => number,
                            1 => resume_unwind(Box::new(number)),
                            _ => pending().await,
                        }
                    })
                };
                let tasks: Vec<JoinHandle<u32>> = (0..3 * TASKS).map(task).collect();
                yield_now().await;
                yield_now().await;
                tasks.iter().skip(2).step_by(3).for_each(JoinHandle::cancel);
                for (task, number) in tasks.into_iter().zip(0..) {
                    match (task.await, number % 3) {
                        (Ok(value), 0) => assert_eq!(value, number),
                        (Err(JoinError::Panicked(why)), 1) => {
                            assert_eq!(why.downcast_ref(), Some(&number));
                        }
                        (Err(JoinError::Cancelled), 2) => {}
                        (other, _) => panic!("task {number}: {other:?}"),
                    }
                }
            });
            assert_eq!(dropped.get(), 3 * TASKS);
        }

        /// In the order of spawning, also when main panics; and one spawned by a destructor is not
        /// forgotten.
        #[test]
        fn what_is_left_is_ended() {
            struct Last(Rc<RefCell<Vec<u32>>>, u32);
            impl Drop for Last {
                fn drop(&mut self) {
                    self.0.borrow_mut().push(self.1);
                    if self.1 < 10 {
                        let next = Last(self.0.clone(), self.1 + 10);
                        drop(spawn(async move { pending::<()>().await; drop(next) }));
                    }
                }
            }
            for main_panics in [false, true] {
                let order = Rc::new(RefCell::new(Vec::new()));
                let mut tasks = Vec::new();
                let main = async {
                    for number in 0..3 {
                        let last = Last(order.clone(), number);
                        tasks.push(spawn(async move {
                            sleep(Duration::from_secs(3600)).await;
                            drop(last);
                        }));
                    }
                    assert!(!main_panics, "main");
                };
                let ended = catch_unwind(AssertUnwindSafe(|| block_on(main)));
                assert_eq!(ended.is_err(), main_panics);
                assert_eq!(*order.borrow(), [0, 1, 2, 10, 11, 12]);
                for task in tasks {
                    assert!(matches!(block_on(task), Err(JoinError::Cancelled)));
                }
            }
        }

        #[test]
        fn a_loop_that_cannot_go_on_names_its_tasks() {
            let text = panic_of(async {
                let lost = spawn(pending::<()>());
                lost.await.unwrap();
            });
            assert!(text.starts_with("nothing can wake these tasks any more:\n  task 0"), "{text}");
            assert!(text.contains("it awaits task 1\n  task 1, spawned at "), "{text}");
            assert!(text.ends_with("no waker of it is left"), "{text}");
        }

        /// Two that await each other, without anything else.
        #[test]
        fn a_circle_of_joins_is_a_stall() {
            let text = panic_of(async {
                let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
                let theirs = place.clone();
                let first = spawn(async move {
                    let other = theirs.borrow_mut().take().unwrap();
                    drop(other.await);
                });
                let second = spawn(async move { drop(first.await) });
                *place.borrow_mut() = Some(second);
                pending::<()>().await;
            });
            assert!(text.contains("task 1, ") && text.contains(": it awaits task 2"), "{text}");
            assert!(text.contains("task 2, ") && text.contains(": it awaits task 1"), "{text}");
        }

        #[test]
        fn one_loop_per_thread_and_none_outside() {
            let text = panic_of(async { block_on(async {}) });
            assert_eq!(text, "a loop runs on this thread already");
            assert!(catch_unwind(|| drop(spawn(async {}))).is_err());
            assert_eq!(block_on(async { 1 }), 1);
        }

        #[test]
        fn a_destructor_that_panics_is_its_tasks_panic() {
            struct Bomb;
            impl Drop for Bomb {
                fn drop(&mut self) {
                    resume_unwind(Box::new("bomb"));
                }
            }
            block_on(async {
                let task = spawn(async { let _bomb = Bomb; pending::<()>().await });
                yield_now().await;
                task.cancel();
                assert!(matches!(task.await, Err(JoinError::Panicked(_))));
                let blocking = spawn_blocking(|| resume_unwind(Box::new("bomb")));
                assert!(blocking.await.map(|(): ()| ()).is_err());
            });
        }

        /// A task that cancels itself is running; one whose value is ready keeps it.
        #[test]
        fn a_cancel_of_a_running_task_comes_after_its_poll() {
            for ready in [false, true] {
                block_on(async {
                    let place: Rc<RefCell<Option<Rc<JoinHandle<u8>>>>> = Rc::default();
                    let theirs = place.clone();
                    let task = Rc::new(spawn(async move {
                        theirs.borrow_mut().take().unwrap().cancel();
                        if ready { 1 } else { pending().await }
                    }));
                    *place.borrow_mut() = Some(task.clone());
                    yield_now().await;
                    yield_now().await;
                    let ended = Rc::try_unwrap(task).ok().unwrap().await;
                    assert_eq!(ended.ok(), ready.then_some(1));
                });
            }
        }

        /// Fifty connections with as many messages, one way cut short by a limit and used again.
        #[test]
        fn connections_are_accepted_read_and_written() {
            block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                let address = listener.local_addr().unwrap();
                let server = spawn(async move {
                    let mut ends = Vec::new();
                    for _ in 0..50 {
                        let stream = listener.accept().await.unwrap();
                        ends.push(spawn(async move {
                            let mut buffer = [0; 100];
                            loop {
                                match stream.read(&mut buffer).await.unwrap() {
                                    0 => break,
                                    n => stream.write_all(&buffer[..n]).await.unwrap(),
                                }
                            }
                        }));
                    }
                    for end in ends {
                        end.await.unwrap();
                    }
                });
                let client = |number: u8| spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    let mut buffer = [0; 1];
                    let limit = timeout(Duration::ZERO, stream.read(&mut buffer)).await;
                    assert!(limit.is_none(), "nothing was sent yet");
                    for message in 0..50 {
                        stream.write_all(&[number ^ message]).await.unwrap();
                        assert_eq!(stream.read(&mut buffer).await.unwrap(), 1);
                        assert_eq!(buffer[0], number ^ message);
                    }
                });
                let clients: Vec<_> = (0..50).map(client).collect();
                for client in clients {
                    client.await.unwrap();
                }
                server.await.unwrap();
            });
        }

        /// More than the system holds back: both sides have to wait, and a lot of writes are short.
        #[test]
        fn a_large_write_meets_a_slow_reader() {
            block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                let address = listener.local_addr().unwrap();
                const LENGTH: usize = 8 << 20;
                let writer = spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    stream.write_all(&vec![7; LENGTH]).await.unwrap();
                });
                let stream = listener.accept().await.unwrap();
                let (mut buffer, mut read) = (vec![0; 50_000], 0);
                loop {
                    match stream.read(&mut buffer).await.unwrap() {
                        0 => break,
                        n => read += n,
                    }
                    yield_now().await;
                }
                writer.await.unwrap();
                assert_eq!(read, LENGTH);
                let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
                assert!(TcpStream::connect(refused.unwrap()).await.is_err());
            });
        }
    })* };
}

holds!(step8 traced refined1 refined2 refined3 refined4);
