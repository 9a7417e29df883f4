//! TCP echo: both ends of every connection live on the same thread, so that the figure is the
//! cost of a round trip and not a lottery about which core wakes when.

use crate::runtimes::{Connects, Duplex};
use crate::scenario::{Contestant, Figures, Goal, Row, Scenario, Unit, nanos_per};
use crate::scenarios::wait;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll as Poller, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

const MESSAGE: usize = 64;
/// What a read would take: a server does not know the length of what comes.
const BUFFER: usize = 1024;

/// One connection, and 256.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("echo-1", "TCP echo 64 B, 1 connection", with(1, 4_000)),
        scenario("echo-256", "TCP echo 64 B, 256 connections", with(256, 100)),
    ]
}

fn scenario(id: &'static str, title: &'static str, contestants: Vec<Contestant>) -> Scenario {
    let rows = vec![Row {
        title,
        unit: Unit::Micros,
        goals: vec![Goal::OfTokio(0.95)],
        note: "per trip there and back, same thread",
    }];
    Scenario::new(id, rows, contestants)
}

/// The contestants for `connections` with `trips` each.
pub fn with(connections: usize, trips: usize) -> Vec<Contestant> {
    crate::contestants!(
        bare(connections, trips),
        work(connections, trips),
        [tokio, tokio_set, smol, monoio, monoio_uring, compio, glommio]
    )
}

/// Pairs of connected sockets that do not block.
pub fn bare_pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pair = |_| {
        let client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let [client, server] = [client, server].map(|stream| {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            TcpStream::from_std(stream)
        });
        (client, server)
    };
    (0..count).map(pair).collect()
}

/// The floor: a loop over an edge-triggered poller, written by hand for this one protocol.
///
/// Nothing less would do the work: a trip is two writes and two reads, and as either end may
/// have to wait for the other there is one wait for events for each, which all connections that
/// are ready at the time share. An end is not read again before the poller says so: a read
/// that did not fill the buffer took all there was.
fn bare(connections: usize, trips: usize) -> Figures {
    let mut poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(1024);
    let mut ends = Vec::new();
    for pair in bare_pairs(connections) {
        for (stream, left) in <[_; 2]>::from(pair).into_iter().zip([trips, usize::MAX]) {
            ends.push((stream, left));
            let token = Token(ends.len() - 1);
            let both = Interest::READABLE | Interest::WRITABLE;
            poller.registry().register(&mut ends[token.0].0, token, both).unwrap();
        }
    }
    let start = Instant::now();
    for (stream, _) in ends.iter_mut().step_by(2) {
        assert_eq!(stream.write(&[7; MESSAGE]).unwrap(), MESSAGE);
    }
    let mut running = connections;
    let mut buffer = [0; BUFFER];
    while running > 0 {
        wait(&mut poller, &mut events, None);
        for event in &events {
            if !event.is_readable() {
                continue;
            }
            let (stream, left) = &mut ends[event.token().0];
            match stream.read(&mut buffer) {
                Ok(n) => assert_eq!(n, MESSAGE),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            }
            *left -= 1;
            if *left == 0 {
                running -= 1;
                continue;
            }
            assert_eq!(stream.write(&buffer[..MESSAGE]).unwrap(), MESSAGE);
        }
    }
    vec![nanos_per(start, connections * trips) / 1e3]
}

pub(super) fn work<R: Connects>(connections: usize, trips: usize) -> Figures {
    R::run(async move {
        R::spawn(async move {
            let mut clients = Vec::with_capacity(connections);
            let mut servers = Vec::with_capacity(connections);
            for (client, server) in R::pairs(connections).await {
                servers.push(R::spawn(answer(server)));
                clients.push(client);
            }
            let start = Instant::now();
            let clients: Vec<_> =
                clients.into_iter().map(|client| R::spawn(ask(client, trips))).collect();
            let mut done = Vec::with_capacity(connections);
            for client in clients {
                done.push(client.await);
            }
            let figures = vec![nanos_per(start, connections * trips) / 1e3];
            drop(done);
            // They see the clients go. Left alone, some runtimes would keep their sockets for ever.
            for server in servers {
                server.await;
            }
            figures
        })
        .await
    })
}

/// Returns the stream, so that closing it is no part of the trips.
async fn ask<S: Duplex>(mut stream: S, trips: usize) -> S {
    let (mut message, mut buffer) = (vec![7; MESSAGE], vec![0; BUFFER]);
    for _ in 0..trips {
        message = stream.write_all(message).await;
        let n;
        (n, buffer) = stream.read(buffer).await;
        assert_eq!(n, MESSAGE);
    }
    stream
}

async fn answer(mut stream: impl Duplex) {
    let (mut message, mut buffer) = (vec![0; MESSAGE], vec![0; BUFFER]);
    loop {
        let n;
        (n, buffer) = stream.read(buffer).await;
        if n == 0 {
            break;
        }
        message.copy_from_slice(&buffer[..n]);
        message = stream.write_all(message).await;
    }
}
