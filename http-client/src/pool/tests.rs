//! The pool against a naive model, over random sequences of everything that can happen to it: after
//! each step the limits hold, no request waits for what is free, queues are first in, first out, idle
//! connections last in, first out, and at the end nothing is left behind.

use super::{Lease, Pool, PoolLimits};
use crate::body::Body;
use crate::connection::Connection;
use crate::proto::{Limits, RequestKind};
use futures::FutureExt;
use mainspring::Runtime;
use mainspring::net::UnixStream;
use proptest::prelude::*;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const HOSTS: [&str; 3] = ["a", "b", "c"];

/// What happens next. Numbers choose among what there is, and nothing happens if there is nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request to this host wants a connection.
    Acquire(usize),
    /// The requests that have been told look for what they got.
    Take,
    /// A request is over, and its connection as good as before.
    Finish(usize),
    /// A request is given up, with its connection or with the permission to open one.
    Abandon(usize),
    /// A request is given up that waits, whether or not it has got something meanwhile.
    Cancel(usize),
    /// The peer of an idle connection closes it.
    PeerCloses(usize),
    /// All idle connections have been idle for too long.
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = 0..100_usize;
    let step = prop_oneof![
        6 => (0..HOSTS.len()).prop_map(Step::Acquire),
        3 => Just(Step::Take),
        5 => any.clone().prop_map(Step::Finish),
        2 => any.clone().prop_map(Step::Abandon),
        2 => any.clone().prop_map(Step::Cancel),
        1 => any.prop_map(Step::PeerCloses),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 1..80)
}

/// Whether a request that waits has been told that it has got something.
#[derive(Default)]
struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Waiting {
    host: usize,
    told: Arc<Told>,
    acquire: Pin<Box<dyn Future<Output = Lease>>>,
}

impl Waiting {
    fn is_told(&self) -> bool {
        self.told.0.load(Ordering::Relaxed)
    }
}

struct World {
    pool: Rc<Pool>,
    limits: PoolLimits,
    /// In the order in which they asked.
    waiting: Vec<Waiting>,
    held: Vec<(usize, Lease)>,
    /// The other ends, by the number of the connection.
    peers: HashMap<u16, UnixStream>,
    next: u16,
}

/// The number of a connection stands in its address.
fn number(connection: &Connection) -> u16 {
    connection.peer.expect("each has one").port()
}

impl World {
    fn new(limits: PoolLimits) -> Self {
        let (pool, waiting, held) = (Pool::new(limits), Vec::new(), Vec::new());
        Self { pool, limits, waiting, held, peers: HashMap::new(), next: 1 }
    }

    /// The idle connections of a host, the one that became idle last at the end.
    fn idle(&self, host: usize) -> Vec<u16> {
        let state = self.pool.state.borrow();
        let Some(host) = state.by_name.get(HOSTS[host]) else { return Vec::new() };
        state.hosts[*host].idle.iter().map(|(_, connection)| number(connection)).collect()
    }

    fn all_idle(&self) -> usize {
        (0..HOSTS.len()).map(|host| self.idle(host).len()).sum()
    }

    fn open(&self, host: usize) -> usize {
        let state = self.pool.state.borrow();
        state.by_name.get(HOSTS[host]).map_or(0, |host| state.hosts[*host].open)
    }

    fn all_open(&self) -> usize {
        (0..HOSTS.len()).map(|host| self.open(host)).sum()
    }

    /// Those of a host that wait, and have got nothing yet.
    fn queue(&self, host: usize) -> usize {
        self.waiting.iter().filter(|one| one.host == host && !one.is_told()).count()
    }

    /// Whether this host could have one more, if an idle one of another were closed for it.
    fn has_room(&self, host: usize) -> bool {
        let full = self.all_open() == self.limits.connections && self.all_idle() == 0;
        self.open(host) < self.limits.per_host && !full
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Acquire(host) => self.acquire(host),
            Step::Take => self.take(),
            Step::Finish(which) => self.finish(which).await,
            Step::Abandon(which) if !self.held.is_empty() => {
                let (_, mut lease) = self.held.remove(which % self.held.len());
                if lease.is_connected() {
                    begin(&mut lease);
                }
            }
            Step::Cancel(which) if !self.waiting.is_empty() => {
                drop(self.waiting.remove(which % self.waiting.len()));
            }
            Step::PeerCloses(which) => self.peer_closes(which).await,
            Step::Expire => {
                let late = Instant::now() + 2 * self.limits.idle_timeout;
                assert_eq!(self.pool.sweep(late), None);
                assert_eq!(self.all_idle(), 0);
            }
            Step::Abandon(_) | Step::Cancel(_) => {}
        }
        self.check();
    }

    fn acquire(&mut self, host: usize) {
        let is_alive = |number: &u16| self.peers.contains_key(number);
        let idle = self.idle(host);
        let best = idle.iter().copied().rfind(is_alive);
        // Dead ones on the way to it are closed, and leave their place.
        let dead = idle.iter().rev().take_while(|number| !is_alive(number)).count();
        let at_once = self.queue(host) == 0 && (best.is_some() || dead > 0 || self.has_room(host));
        let (pool, told) = (self.pool.clone(), Arc::<Told>::default());
        let mut acquire = Box::pin(async move { pool.acquire(HOSTS[host]).await });
        let waker = Waker::from(told.clone());
        match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(lease) => {
                assert!(at_once, "before its turn, or over a limit");
                let got = lease.is_connected().then(|| number(&lease));
                assert_eq!(got, best, "the one that was used last");
                self.hold(host, lease);
            }
            Poll::Pending => {
                assert!(!at_once, "it waits for what is free");
                self.waiting.push(Waiting { host, told, acquire });
            }
        }
    }

    fn hold(&mut self, host: usize, lease: Lease) {
        self.held.push((host, lease));
    }

    fn take(&mut self) {
        let (told, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(Waiting::is_told);
        self.waiting = waiting;
        for one in told {
            let lease = one.acquire.now_or_never().expect("it was told so");
            self.hold(one.host, lease);
        }
    }

    async fn finish(&mut self, which: usize) {
        if self.held.is_empty() {
            return;
        }
        let (host, mut lease) = self.held.remove(which % self.held.len());
        if !lease.is_connected() {
            let (here, there) = UnixStream::pair().unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], self.next));
            lease.connect(Connection::new(Box::new(here), Some(address)));
            self.peers.insert(self.next, there);
            self.next += 1;
        }
        begin(&mut lease);
        let number = number(&lease);
        // A connection that was handed on as its peer closed it is of no use any more.
        let Some(peer) = self.peers.get(&number) else { return };
        peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        poll_fn(|cx| lease.poll_send(cx)).await.unwrap();
        poll_fn(|cx| lease.poll_reply(cx)).await.unwrap();
        let before = self.queue(host);
        let wanted = (0..HOSTS.len()).any(|other| {
            let full = self.open(other) == self.limits.per_host;
            self.queue(other) > 0 && (other == host || !full)
        });
        drop(lease);
        if before > 0 && self.queue(host) < before {
            // It went to the first in the queue; `check` sees to it that it was the first.
        } else if !wanted && self.limits.idle > 0 {
            assert_eq!(self.idle(host).last(), Some(&number), "no request wants it, so it is kept");
        }
    }

    /// Closes the other end of an idle connection, and lets the loop find out.
    async fn peer_closes(&mut self, which: usize) {
        let idle: Vec<u16> = (0..HOSTS.len()).flat_map(|host| self.idle(host)).collect();
        if idle.is_empty() || self.peers.remove(&idle[which % idle.len()]).is_none() {
            return;
        }
        let (here, there) = UnixStream::pair().unwrap();
        let (here, there) = (&here, &there);
        let mut byte = [0];
        let mut event = here.read(&mut byte);
        assert!((&mut event).now_or_never().is_none());
        there.write_all(b"!").await.unwrap();
        event.await.unwrap();
    }

    fn check(&self) {
        let stats = self.pool.stats();
        let told = self.waiting.iter().filter(|one| one.is_told()).count();
        assert_eq!(stats.open, self.held.len() + told + self.all_idle(), "each slot has its use");
        assert_eq!(stats.open, self.all_open());
        assert_eq!((stats.idle, stats.in_flight), (self.all_idle(), self.held.len()));
        assert_eq!(stats.waiting, self.waiting.len() - told);
        assert!(stats.open <= self.limits.connections && stats.idle <= self.limits.idle);
        for host in 0..HOSTS.len() {
            assert!(self.open(host) <= self.limits.per_host);
            let queue = self.waiting.iter().filter(|one| one.host == host);
            assert!(queue.map(Waiting::is_told).is_sorted_by(|a, b| a >= b), "first in, first out");
            if self.queue(host) > 0 {
                assert!(self.idle(host).is_empty(), "it waits beside an idle connection");
                assert!(!self.has_room(host), "it waits although there is room");
            }
        }
    }

    /// Everything is given up: everything must be closed, and nothing remembered.
    fn end(mut self) {
        self.waiting.clear();
        self.held.clear();
        self.check();
        self.pool.sweep(Instant::now() + 2 * self.limits.idle_timeout);
        assert!(self.pool.is_empty());
        let state = self.pool.state.borrow();
        assert!(state.by_name.is_empty(), "a host is remembered that is not needed");
        assert_eq!(state.free_hosts.len(), state.hosts.len());
        for peer in self.peers.values() {
            let mut bytes = [0; 4096];
            while !matches!(peer.try_read(&mut bytes), Ok(0)) {
                peer.try_read(&mut bytes).expect("a connection is still open");
            }
        }
    }
}

/// Begins an exchange, so that what is dropped now was in the middle of one.
fn begin(lease: &mut Lease) {
    let head = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    lease.begin(head, Body::empty(), RequestKind::default(), Limits::default(), false);
}

proptest! {
    #[test]
    fn whatever_happens_limits_hold_and_nobody_waits_in_vain(
        (connections, per_host, idle) in (1..6_usize, 1..4_usize, 0..6_usize),
        steps in steps(),
    ) {
        let minute = Duration::from_secs(60);
        let limits =
            PoolLimits { connections, per_host, idle, idle_timeout: minute, lifetime: 60 * minute };
        Runtime::new().block_on(async {
            let mut world = World::new(limits);
            for step in steps {
                world.step(step).await;
            }
            world.end();
        });
    }
}
