//! Each phase of a request, with a clock that runs out.

mod support {
    pub mod server;
}

use mainspring_http::{Client, Error, Phase, RequestBuilder, Timeouts};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::server::{Reply, Server};

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

#[test]
fn each_phase_has_its_own_timeout() {
    let none = none();
    let server = Server::new(|seen| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
        Reply::SayAndHang(if seen.line() == "GET /head" { vec![] } else { head.into() })
    });
    mainspring::run(async {
        let client = Client::builder().max_connections(1).resolver(Never).build();
        let get = |path: &str, timeouts| client.get(server.url(path)).timeouts(timeouts);
        let phase = |error: mainspring_http::Error| {
            assert!(error.is_timeout(), "{error}");
            error.phase()
        };

        let error = get("/head", Timeouts { head: SOON, ..none }).send().await.unwrap_err();
        assert_eq!(phase(error), Some(Phase::Head));
        let error = get("/head", Timeouts { total: SOON, ..none }).send().await.unwrap_err();
        assert_eq!(phase(error), Some(Phase::Total));

        let timeouts = Timeouts { read: SOON, ..none };
        let mut response = get("/body", timeouts).send().await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
        assert_eq!(phase(response.chunk().await.unwrap_err()), Some(Phase::Body));

        let timeouts = Timeouts { total: SOON, ..none };
        let read = async {
            let mut response = get("/body", timeouts).send().await?;
            while response.chunk().await?.is_some() {}
            Ok(())
        };
        assert_eq!(phase(read.await.unwrap_err()), Some(Phase::Total));

        // The one connection that is allowed is in use.
        let held = get("/body", none).send().await.unwrap();
        let error = get("/body", Timeouts { pool: SOON, ..none }).send().await.unwrap_err();
        assert_eq!(phase(error), Some(Phase::Pool));
        assert_eq!(client.stats().waiting, 0);
        drop(held);

        let timeouts = Timeouts { resolve: SOON, ..none };
        let error = client.get("http://name.test/").timeouts(timeouts).send().await.unwrap_err();
        assert_eq!(phase(error), Some(Phase::Resolve));
        assert_eq!(client.stats().open, 0);
    });
}

/// A resolver that never answers.
struct Never;

impl mainspring_http::Resolve for Never {
    fn resolve(&self, _host: &str) -> mainspring_http::Lookup {
        Box::pin(std::future::pending())
    }
}
