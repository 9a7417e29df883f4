//! The phases whose clock runs out because a peer does nothing at all: connecting, the handshake,
//! sending, and the word to go on. Those of the response stand in `client.rs`.

use mainspring_http::{Client, Error, Phase, RequestBuilder, Timeouts};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// No clock but the one that a test sets.
fn none() -> Timeouts {
    Timeouts {
        pool: None,
        resolve: None,
        connect: None,
        tls: None,
        write: None,
        head: None,
        read: None,
        total: None,
        ..Timeouts::default()
    }
}

fn failure(request: RequestBuilder) -> Error {
    mainspring::run(async { request.send().await.unwrap_err() })
}

/// A listener whose queue is full: it does not even answer who wants to connect.
#[cfg(target_os = "linux")]
fn deaf() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // One that is not answered within a second, on loopback, shows that it is full.
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        queued.push(stream);
    }
    (socket, queued, address)
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_that_does_not_answer_is_given_up() {
    let (_listener, _queued, address) = deaf();
    let timeouts = Timeouts { connect: SOON, ..none() };
    let client = Client::new();
    let error = failure(client.get(format!("http://{address}/")).timeouts(timeouts));
    let expected = format!("GET http://{address}/: timed out after 20ms: connecting");
    assert_eq!(error.to_string(), expected);
    assert!(error.is_connect() && error.phase() == Some(Phase::Connect));
    assert_eq!((client.stats().failed, client.stats().open), (1, 0));
    // Over two addresses it is one clock, not one for each.
    let here = address.ip();
    let client = Client::builder().resolve("a.test", &[here, here]).build();
    let url = format!("http://a.test:{}/", address.port());
    let error = failure(client.get(&url).timeouts(timeouts));
    assert_eq!(error.to_string(), format!("GET {url}: timed out after 20ms: connecting"));
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_does_not_shake_hands_is_given_up() {
    // Connections are made in the kernel; nobody ever accepts this one.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let timeouts = Timeouts { tls: SOON, ..none() };
    let client = Client::builder().danger_accept_invalid_certs(true).build();
    let error = failure(client.get(&url).timeouts(timeouts));
    assert_eq!(error.to_string(), format!("GET {url}: timed out after 20ms: the TLS handshake"));
    assert_eq!((client.stats().failed, client.stats().open), (1, 0));
}

#[test]
fn a_server_that_does_not_read_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::new();
    let request = client.post(format!("http://{address}/")).body(vec![0; 64 << 20]);
    let error = failure(request.timeouts(Timeouts { write: SOON, ..none() }));
    let (sent, received) = error.bytes();
    assert!(sent > 0 && sent < 64 << 20 && received == 0, "{error}");
    let expected = format!(
        "POST http://{address}/: timed out after 20ms: sending the request ({address}, fresh \
         connection, {sent} bytes sent, 0 received)"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(client.stats().open, 0);
}

#[test]
fn a_body_that_nobody_asks_for_is_sent_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nbody") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let timeouts = Timeouts { expect_continue: Duration::from_millis(1), ..none() };
    let client = Client::new();
    let request = client.put(url).header("expect", "100-continue").body("body").timeouts(timeouts);
    let response = mainspring::run(async { request.send().await.unwrap() });
    assert_eq!(response.status(), 201);
    server.join().unwrap();
}
