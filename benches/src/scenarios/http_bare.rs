//! The HTTP floor: a loop over the poller and `httparse`, written for these requests alone.
//!
//! Nothing less would do the work: each request is one write, each response one read at least and
//! one pass of the parser over its head; the connections share one wait for events and one read
//! buffer. It has no timeouts, no pool, no redirects, and gives up on anything unexpected.

use crate::scenario::thread_cpu;
use crate::scenarios::http::Span;
use crate::scenarios::wait;
use crate::servers::SMALL;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll as Poller, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// What one read takes at most; one buffer for all connections.
const READ: usize = 256 << 10;

struct Connection {
    stream: TcpStream,
    requests_left: usize,
    /// The start of a head that has not come in full.
    head: Vec<u8>,
    /// Bytes of the body that have not come; none while the head has not.
    body_left: Option<usize>,
    sent: bool,
}

/// The poller, and all connections to one server.
pub struct Floor {
    server: SocketAddr,
    poller: Poller,
    connections: Vec<Connection>,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// How many bodies have come in full.
    done: usize,
}

/// Fetches `requests` pages over `connections` that are kept.
pub fn keep_alive(
    server: SocketAddr,
    path: &str,
    length: usize,
    connections: usize,
    requests: usize,
) -> Span {
    let mut floor = Floor::new(server, path);
    for _ in 0..connections {
        floor.connect(1);
    }
    floor.run(connections, length);
    let (start, cpu) = (Instant::now(), thread_cpu());
    for connection in &mut floor.connections {
        connection.requests_left = requests / connections;
        send(connection, &floor.request);
    }
    floor.run(connections + requests / connections * connections, length);
    Span { elapsed: start.elapsed(), cpu: thread_cpu() - cpu }
}

/// Fetches one page on each of `fetches` fresh connections.
pub fn fetch_all(server: SocketAddr, fetches: usize) {
    Floor::new(server, "/").park(fetches, SMALL);
}

impl Floor {
    /// Without a connection yet.
    pub fn new(server: SocketAddr, path: &str) -> Self {
        Self {
            server,
            poller: Poller::new().unwrap(),
            connections: Vec::new(),
            request: format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n").into_bytes(),
            buffer: vec![0; READ],
            done: 0,
        }
    }

    /// Opens so many connections, and fetches one page of this length over each.
    pub fn park(&mut self, connections: usize, length: usize) {
        for _ in 0..connections {
            self.connect(1);
        }
        self.run(connections, length);
    }

    /// Connects and, if that was done at once, sends the first request.
    fn connect(&mut self, requests: usize) {
        let mut stream = TcpStream::connect(self.server).unwrap();
        stream.set_nodelay(true).unwrap();
        let token = Token(self.connections.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poller.registry().register(&mut stream, token, both).unwrap();
        let (head, body_left) = (Vec::new(), None);
        let mut connection =
            Connection { stream, requests_left: requests, head, body_left, sent: false };
        send(&mut connection, &self.request);
        self.connections.push(connection);
    }

    /// Until `target` bodies have come.
    fn run(&mut self, target: usize, length: usize) {
        let mut events = Events::with_capacity(1024);
        while self.done < target {
            wait(&mut self.poller, &mut events, None);
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                if !connection.sent {
                    send(connection, &self.request);
                }
                if event.is_readable() {
                    self.done += receive(connection, &self.request, &mut self.buffer, length);
                }
            }
        }
    }
}

fn send(connection: &mut Connection, request: &[u8]) {
    match connection.stream.write(request) {
        Ok(n) => {
            assert_eq!(n, request.len());
            connection.sent = true;
        }
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected),
            "{error}"
        ),
    }
}

/// Reads until the socket has no more; returns how many bodies have come in full.
fn receive(connection: &mut Connection, request: &[u8], buffer: &mut [u8], length: usize) -> usize {
    let mut done = 0;
    loop {
        let n = match connection.stream.read(buffer) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return done,
            Err(error) => panic!("{error}"),
        };
        if take(connection, &buffer[..n], length) {
            done += 1;
            connection.requests_left -= 1;
            if connection.requests_left > 0 {
                send(connection, request);
            }
        }
        // A read that did not fill the buffer has emptied the socket.
        if n < buffer.len() {
            return done;
        }
    }
}

/// True if the body has come in full with these bytes.
fn take(connection: &mut Connection, bytes: &[u8], length: usize) -> bool {
    let arrived = match connection.body_left {
        Some(_) => bytes.len(),
        None if connection.head.is_empty() => match body_start(bytes, length) {
            Some(start) => bytes.len() - start,
            None => {
                connection.head.extend_from_slice(bytes);
                return false;
            }
        },
        None => {
            connection.head.extend_from_slice(bytes);
            let Some(start) = body_start(&connection.head, length) else { return false };
            let arrived = connection.head.len() - start;
            connection.head.clear();
            arrived
        }
    };
    let left = connection.body_left.unwrap_or(length) - arrived;
    connection.body_left = (left > 0).then_some(left);
    left == 0
}

/// Where the body starts, once the head is complete; it must say the length that is expected.
fn body_start(bytes: &[u8], length: usize) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(bytes).unwrap() else { return None };
    assert_eq!(response.code, Some(200));
    let said = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    assert_eq!(said, Some(length));
    Some(start)
}
