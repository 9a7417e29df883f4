//! Places, numbers and directions, against the real poller.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::*;
use crate::observe::event::Direction::{Read, Write as ToWrite};

/// A socket whose other end is held here.
fn pair() -> (mio::net::UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (mio::net::UnixStream::from_std(a), b)
}

fn look(reactor: &Reactor<&str>) -> Vec<(u32, bool, bool)> {
    events(reactor).into_iter().map(|r| (r.source, r.readable, r.writable)).collect()
}

fn events<'a>(reactor: &Reactor<&'a str>) -> Vec<Ready<&'a str>> {
    let mut ready = Vec::new();
    reactor.wait(Some(Duration::ZERO)).unwrap();
    reactor.mark_ready(|event| ready.push(event));
    ready
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
    let first_id = reactor.source(first, |source| source.id());
    assert_eq!(look(&reactor), [(1, false, true)]);
    assert_eq!(reactor.deregister(&mut old, first), [None, None]);
    assert_eq!(reactor.len(), 0);

    let (mut new, _new_peer) = pair();
    let second = reactor.register(&mut new).unwrap();
    assert_eq!((first, second), (0, 0), "the same place");
    assert_ne!(first_id, reactor.source(second, |source| source.id()));
    reactor.source(second, |source| source.would_block(Read));
    old_peer.write_all(b"late").unwrap();
    assert_eq!(look(&reactor), [(2, false, true)]);
    assert!(!reactor.source(second, |source| source.is_ready(Read)));
    assert_eq!(reactor.deregister(&mut new, second), [None, None]);
}

#[test]
fn a_refused_registration_takes_no_place() {
    let (reactor, _bell) = Reactor::<&str>::new().unwrap();
    let (mut io, _peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    assert_eq!(
        reactor.register(&mut io).map(drop).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(reactor.len(), 1);
    assert_eq!(reactor.deregister(&mut io, place), [None, None]);
    assert_eq!(reactor.len(), 0);
    assert_eq!(reactor.register(&mut io).unwrap(), 0);
}

#[test]
fn each_direction_has_its_own_waiter() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (mut io, mut peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    look(&reactor);
    reactor.source(place, |source| source.would_block(Read));
    assert_eq!(reactor.wait_for(place, Read, "reader"), None);
    assert_eq!(reactor.wait_for(place, ToWrite, "writer"), None);
    peer.write_all(b"x").unwrap();
    let ready = events(&reactor);
    // epoll tells of a direction that was ready before again, along with the one that changed: the
    // writer's wake is spurious, and harmless.
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].waiters, [Some("reader"), Some("writer")]);
    assert!(reactor.source(place, |source| source.is_ready(Read)));

    reactor.source(place, |source| source.would_block(Read));
    assert_eq!(reactor.wait_for(place, Read, "reader"), None);
    let before = reactor.wait_for(place, Read, "another");
    assert_eq!(before, Some("reader"), "given back, and not forgotten");
    assert_eq!(reactor.deregister(&mut io, place), [Some("another"), None]);
}

#[test]
fn a_closed_read_side_stays_ready() {
    let (reactor, _bell) = Reactor::new().unwrap();
    let (mut io, peer) = pair();
    let place = reactor.register(&mut io).unwrap();
    look(&reactor);
    reactor.source(place, |source| source.short(Read));
    assert!(!reactor.source(place, |source| source.is_ready(Read)));
    drop(peer);
    assert_eq!(look(&reactor), [(1, true, true)]);
    reactor.source(place, |source| source.short(Read));
    assert!(
        reactor.source(place, |source| source.is_ready(Read)),
        "no event will tell of the end again"
    );
}
