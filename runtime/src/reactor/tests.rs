//! Places, generations and directions, against the real poller.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

use super::*;
use crate::observe::Direction::{Read, Write as ToWrite};

/// A socket whose other end is held here.
fn pair() -> (mio::net::UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (mio::net::UnixStream::from_std(a), b)
}

fn look(reactor: &Reactor) -> Vec<(u32, bool, bool)> {
    let mut ready = Vec::new();
    reactor.wait(Some(Duration::ZERO), &mut ready).unwrap();
    ready.into_iter().map(|r| (r.source, r.readable, r.writable)).collect()
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
fn an_event_of_the_last_tenant_reaches_nobody() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (old, mut old_peer) = pair();
    let mut old = Stays(old);
    let first = reactor.register(&mut old).unwrap();
    assert_eq!(look(&reactor), [(1, false, true)]);
    assert!(reactor.deregister(&mut old, &first).into_iter().all(|waker| waker.is_none()));
    assert_eq!(reactor.len(), 0);

    let (mut new, _new_peer) = pair();
    let second = reactor.register(&mut new).unwrap();
    assert_eq!((first.place(), second.place()), (0, 0), "the same place");
    assert_ne!(first.id(), second.id());
    second.would_block(Read);
    old_peer.write_all(b"late").unwrap();
    assert_eq!(look(&reactor), [(2, false, true)]);
    assert!(!second.is_ready(Read));
    drop(reactor.deregister(&mut new, &second));
}

#[test]
fn a_refused_registration_takes_no_place() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (mut io, _peer) = pair();
    let source = reactor.register(&mut io).unwrap();
    assert_eq!(
        reactor.register(&mut io).map(drop).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(reactor.len(), 1);
    drop(reactor.deregister(&mut io, &source));
    assert_eq!(reactor.len(), 0);
    let again = reactor.register(&mut io).unwrap();
    assert_eq!(again.place(), 0);
}

#[test]
fn each_direction_wakes_its_own_waiter() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (mut io, mut peer) = pair();
    let source = reactor.register(&mut io).unwrap();
    look(&reactor);
    source.would_block(Read);
    let (reader, writer) = (Arc::new(Count::default()), Arc::new(Count::default()));
    assert!(source.wait(Read, &Waker::from(reader.clone())).is_none());
    assert!(source.wait(ToWrite, &Waker::from(writer.clone())).is_none());
    peer.write_all(b"x").unwrap();
    let mut ready = Vec::new();
    reactor.wait(Some(Duration::ZERO), &mut ready).unwrap();
    // epoll tells of a direction that was ready before again, along with the one that changed: the
    // writer's wake is spurious, and harmless.
    for waker in ready.into_iter().flat_map(|ready| ready.wakers).flatten() {
        waker.wake();
    }
    assert_eq!(reader.0.load(Ordering::Relaxed), 1);
    assert!(source.is_ready(Read));

    // A second task in the same direction: the first gets its waker back, and none is forgotten.
    source.would_block(Read);
    let other = Arc::new(Count::default());
    assert!(source.wait(Read, &Waker::from(reader.clone())).is_none());
    let displaced = source.wait(Read, &Waker::from(other.clone())).expect("the first one's");
    assert!(displaced.will_wake(&Waker::from(reader.clone())));
    assert!(source.wait(Read, &Waker::from(other.clone())).is_none(), "its own: nothing to wake");
    assert_eq!(reactor.deregister(&mut io, &source).into_iter().flatten().count(), 1);
}

#[test]
fn a_closed_read_side_stays_ready() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (mut io, peer) = pair();
    let source = reactor.register(&mut io).unwrap();
    look(&reactor);
    source.short(Read);
    assert!(!source.is_ready(Read));
    drop(peer);
    assert_eq!(look(&reactor), [(1, true, true)]);
    source.short(Read);
    assert!(source.is_ready(Read), "no event will tell of the end again");
}
