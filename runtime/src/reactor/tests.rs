//! Places, numbers and directions, against the real poller.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::task::Wake;

use mio::Registry;

use super::*;
use crate::observe::event::Direction::{Read, Write as ToWrite};

/// A socket whose other end is held here.
fn pair() -> (mio::net::UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (mio::net::UnixStream::from_std(a), b)
}

fn check(reactor: &Reactor) -> Vec<(u32, bool, bool)> {
    events(reactor).into_iter().map(|r| (r.source, r.readable, r.writable)).collect()
}

fn events(reactor: &Reactor) -> Vec<Ready> {
    let (mut ready, mut wakers) = (Vec::new(), Vec::new());
    reactor.wait(Some(Duration::ZERO)).unwrap();
    reactor.mark_ready(&mut ready, &mut wakers);
    assert_eq!(ready.iter().map(|event| event.wakers).sum::<usize>(), wakers.len());
    wakers.into_iter().for_each(Waker::wake);
    ready
}

/// Writes down its name when it is woken.
struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Wake for Named {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// Wakers by name, and the names of those that were woken.
#[derive(Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl Names {
    fn waker(&self, name: &'static str) -> Waker {
        Waker::from(Arc::new(Named(name, self.0.clone())))
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn of(&self, wakers: Vec<Waker>) -> Vec<&'static str> {
        wakers.into_iter().for_each(Waker::wake);
        self.take()
    }
}

/// A source that stays registered when it is told not to, as a descriptor that was duplicated does on
/// some platforms when it is closed.
struct Stays(mio::net::UnixStream);

impl Pollable for Stays {
    fn register(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        self.0.register(registry, token, i)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, i: Interest) -> io::Result<()> {
        self.0.reregister(registry, token, i)
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_event_of_the_last_source_in_a_place_is_ignored() {
    let (reactor, _waker) = Reactor::new().unwrap();
    let (old, mut old_peer) = pair();
    let mut old = Stays(old);
    let first = reactor.register(&mut old).unwrap();
    let first_id = reactor.source(first, |source| source.id);
    assert_eq!(check(&reactor), [(1, false, true)]);
    assert!(reactor.deregister(&mut old, first, &Default::default()).is_empty());
    assert_eq!(reactor.len(), 0);

    let (mut new, _new_peer) = pair();
    let second = reactor.register(&mut new).unwrap();
    assert_eq!((first, second), (0, 0), "the same place");
    assert_ne!(first_id, reactor.source(second, |source| source.id));
    reactor.source(second, |source| source.would_block(Read));
    old_peer.write_all(b"late").unwrap();
    assert_eq!(check(&reactor), [(2, false, true)]);
    assert!(!reactor.source(second, |source| source.is_ready(Read)));
    assert!(reactor.deregister(&mut new, second, &Default::default()).is_empty());
}

#[test]
fn a_refused_registration_takes_no_place() {
    let (reactor, _waker) = Reactor::new().unwrap();
    let (mut io, _peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    assert_eq!(
        reactor.register(&mut io).map(drop).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(reactor.len(), 1);
    assert!(reactor.deregister(&mut io, place, &Default::default()).is_empty());
    assert_eq!(reactor.len(), 0);
    assert_eq!(reactor.register(&mut io).unwrap(), 0);
}

#[test]
fn each_direction_has_its_own_waiters() {
    let (names, (reactor, _waker)) = (Names::default(), Reactor::new().unwrap());
    let (mut io, mut peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    check(&reactor);
    reactor.source(place, |source| source.would_block(Read));
    let own: [Waiter; 2] = Default::default();
    reactor.wait_for(place, Read, &own[0], &names.waker("reader"));
    reactor.wait_for(place, ToWrite, &own[1], &names.waker("writer"));
    peer.write_all(b"x").unwrap();
    // epoll tells of a direction that was ready before again, along with the one that changed: the
    // writer's wake is spurious, and harmless.
    assert_eq!(check(&reactor), [(1, true, true)]);
    assert_eq!(names.take(), ["reader", "writer"]);
    assert!(reactor.source(place, |source| source.is_ready(Read)));

    reactor.wait_for(place, Read, &own[0], &names.waker("reader"));
    reactor.wait_for(place, Read, &own[0], &names.waker("another"));
    assert_eq!(names.of(reactor.deregister(&mut io, place, &own)), ["another"]);
}

/// Three wait in one direction, in every order; before the event, every selection of them leaves, in every
/// order. All others are woken, each once, in the order of arrival, and the nodes are used again.
#[test]
fn an_event_wakes_all_who_wait_in_the_order_of_arrival() {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let (names, (reactor, _waker)) = (Names::default(), Reactor::new().unwrap());
    let (mut io, mut peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    check(&reactor);
    for (arrival, leaving) in ORDERS.iter().flat_map(|a| ORDERS.iter().map(move |l| (a, l))) {
        for left in 0..=3 {
            let waiters: [Waiter; 3] = Default::default();
            for waiter in arrival {
                let waker = names.waker(["a", "b", "c"][*waiter]);
                reactor.wait_for(place, Read, &waiters[*waiter], &waker);
            }
            for waiter in &leaving[..left] {
                reactor.stop_waiting(place, Read, &waiters[*waiter]);
                // Once more does nothing.
                reactor.stop_waiting(place, Read, &waiters[*waiter]);
            }
            peer.write_all(b"x").unwrap();
            assert_eq!(check(&reactor).len(), 1);
            let stayed = arrival.iter().filter(|waiter| !leaving[..left].contains(waiter));
            let expected: Vec<_> = stayed.map(|waiter| ["a", "b", "c"][*waiter]).collect();
            assert_eq!(names.take(), expected);
            let left = waiters.iter().filter(|waiter| reactor.stop_waiting(place, Read, waiter));
            assert_eq!(left.count(), 0, "the event took all off");
        }
    }
    assert_eq!(reactor.sources.borrow().waiters.nodes.len(), 3);
}

#[test]
fn a_closed_reactor_keeps_nothing_open_and_wakes_all() {
    let (names, (reactor, waker)) = (Names::default(), Reactor::new().unwrap());
    let (mut io, _peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    let own: [Waiter; 2] = Default::default();
    reactor.wait_for(place, ToWrite, &own[1], &names.waker("writer"));
    reactor.wait_for(place, Read, &own[0], &names.waker("reader"));
    waker.notify();
    assert_eq!(names.of(reactor.close()), ["reader", "writer"]);
    waker.notify();
    assert_eq!(waker.wakes(), 1, "there is nothing left to wake");
    assert!(reactor.close().is_empty());
    assert!(reactor.register(&mut pair().0).is_err());
    assert!(reactor.deregister(&mut io, place, &own).is_empty());
}

#[test]
fn a_closed_read_side_stays_ready() {
    let (reactor, _waker) = Reactor::new().unwrap();
    let (mut io, peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    check(&reactor);
    reactor.source(place, |source| source.short(Read));
    assert!(!reactor.source(place, |source| source.is_ready(Read)));
    drop(peer);
    assert_eq!(check(&reactor), [(1, true, true)]);
    reactor.source(place, |source| source.short(Read));
    assert!(
        reactor.source(place, |source| source.is_ready(Read)),
        "no event will tell of the end again"
    );
}
