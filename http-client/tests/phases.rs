//! Each phase of a request, with a clock that runs out.

mod support {
    pub mod server;
}

use futures::future::{Either, select};
use mainspring_http::{Client, ClientBuilder, Error, Phase, Proxy, RequestBuilder, Timeouts};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::server::{Reply, Server, ok};

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

/// A listener whose queue is full: it does not even answer an attempt to connect.
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
    // Connections are made in the kernel; this one is never accepted.
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
fn a_body_that_is_not_asked_for_is_sent_after_a_while() {
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

/// As curl's `--connect-timeout`: one clock, whichever step of opening a connection hangs. The error says
/// which.
#[test]
fn one_clock_for_all_of_opening_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let opening = Timeouts { connect: SOON, ..none() };
    let steps = |builder: ClientBuilder, url: String| {
        let error = failure(builder.build().get(&url).timeouts(opening));
        assert!(error.to_string().contains("timed out after 20ms"), "{error}");
        error.phase()
    };
    let name = "http://name.test/".to_owned();
    assert_eq!(steps(Client::builder().resolver(Never), name.clone()), Some(Phase::Resolve));
    for scheme in ["http", "socks5h"] {
        let proxy = Proxy::new(format!("{scheme}://{address}")).unwrap();
        let url = if scheme == "http" { "https://name.test/".to_owned() } else { name.clone() };
        if cfg!(feature = "tls") || scheme != "http" {
            assert_eq!(steps(Client::builder().proxy(proxy), url), Some(Phase::Connect));
        }
    }
    let proxy = Proxy::new(format!("socks5://{address}")).unwrap();
    let builder = Client::builder().proxy(proxy).resolver(Never);
    assert_eq!(steps(builder, "http://127.0.0.1/".to_owned()), Some(Phase::Connect));
    let builder = || Client::builder().resolve("proxy.test", &[address.ip()]).resolver(Never);
    let proxy = Proxy::new(format!("socks5://proxy.test:{}", address.port())).unwrap();
    assert_eq!(steps(builder().proxy(proxy), name), Some(Phase::Resolve));
    #[cfg(feature = "tls")]
    assert_eq!(steps(Client::builder(), format!("https://{address}/")), Some(Phase::Tls));
    // A step may have less time than all of them.
    let both = Timeouts { resolve: SOON, connect: Some(Duration::from_secs(60)), ..none() };
    let error = failure(builder().build().get("http://name.test/").timeouts(both));
    assert_eq!(error.phase(), Some(Phase::Resolve), "{error}");
    // It stops when the connection is there.
    let server = Server::new(|_| Reply::SayAndHang(vec![]));
    let head = Timeouts { head: Some(Duration::from_millis(60)), ..opening };
    let error = failure(Client::new().get(server.url("/")).timeouts(head));
    assert_eq!(error.phase(), Some(Phase::Head), "{error}");
}

/// curl (`-m 0`) and aiohttp (`ClientTimeout`, "None or 0 disables") take zero for no limit.
#[test]
fn zero_is_for_ever() {
    let server = Server::new(|seen| match seen.line() {
        "PUT /held" => ok(""),
        _ => ok("hello"),
    });
    mainspring::run(async {
        let zero = Some(Duration::ZERO);
        let timeouts = Timeouts {
            pool: zero,
            connect: zero,
            resolve: zero,
            tls: zero,
            write: zero,
            head: zero,
            read: zero,
            total: zero,
            expect_continue: Duration::ZERO,
        };
        let client = Client::builder().max_connections(1).timeouts(timeouts).build();
        let get = || async { client.get(server.url("/")).send().await?.text().await };
        let first = mainspring::spawn(client.get(server.url("/")).send());
        assert_eq!(first.await.unwrap().unwrap().text().await.unwrap(), "hello");
        // One waits for the other in the pool.
        let (one, two) = futures::future::join(get(), get()).await;
        assert_eq!((one.unwrap(), two.unwrap()), ("hello".to_owned(), "hello".to_owned()));
        let total = client.get(server.url("/")).timeout(Duration::ZERO).send().await;
        assert_eq!(total.unwrap().text().await.unwrap(), "hello");
        let everything = client.get(server.url("/")).timeout(Duration::MAX).send().await;
        assert_eq!(everything.unwrap().text().await.unwrap(), "hello");
        // The body does not wait at all.
        let held = client.put(server.url("/held")).header("expect", "100-continue").body("body");
        assert_eq!(held.send().await.unwrap().status(), 200);
    });
}

/// A clock that has run out ends the request also where there is always something to read.
#[test]
fn the_whole_request_is_timed_while_bytes_keep_coming() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for head in ["content-length: 1000000000000", "transfer-encoding: chunked"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut piece = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into_bytes();
            while stream.write_all(&piece).is_ok() {
                piece = format!("2000\r\n{}\r\n", "x".repeat(0x2000)).into_bytes();
            }
        }
    });
    mainspring::run(async {
        let client = Client::new();
        for piecewise in [true, false] {
            let request = client.get(&url).timeouts(Timeouts { total: SOON, ..none() });
            let mut response = request.send().await.unwrap();
            let error = match piecewise {
                true => loop {
                    if let Err(error) = response.chunk().await {
                        break error;
                    }
                },
                false => response.read_with(|_| ()).await.unwrap_err(),
            };
            assert_eq!(error.phase(), Some(Phase::Total), "{error}");
        }
    });
    server.join().unwrap();
}

/// Interim responses, and framing without a byte of the body, do not wind a clock up again.
#[test]
fn what_brings_nothing_nearer_does_not_restart_a_clock() {
    let early = || b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    let (go, steps) = channel();
    let (go_on, more_steps) = channel();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;".to_vec();
    let mut replies = [
        Reply::Steps((0..16).map(|_| early()).collect(), steps),
        Reply::Steps([vec![head], vec![b"x".to_vec(); 1000]].concat(), more_steps),
    ]
    .into_iter();
    let server = Server::new(move |_| replies.next().unwrap());
    mainspring::run(async {
        let client = Client::new();
        let limit = Some(Duration::from_millis(60));
        let timeouts = Timeouts { head: limit, read: limit, ..none() };
        let send = || client.get(server.url("/")).timeouts(timeouts).send();
        let mut told = 0;
        let mut waiting = std::pin::pin!(send());
        let error = loop {
            let pause = mainspring::time::sleep(Duration::from_millis(20));
            match select(waiting.as_mut(), pause).await {
                Either::Left((outcome, _)) => break outcome.unwrap_err(),
                Either::Right(_) => told += usize::from(go.send(()).is_ok()),
            }
        };
        assert_eq!(error.phase(), Some(Phase::Head), "{error}");
        assert!(told < 15, "all that the server had to say: {told}");
        drop(go);
        let response = send().await.unwrap();
        let (mut told, mut waiting) = (0, std::pin::pin!(response.read_with(|_| ())));
        let error = loop {
            let pause = mainspring::time::sleep(Duration::from_millis(20));
            match select(waiting.as_mut(), pause).await {
                Either::Left((outcome, _)) => break outcome.unwrap_err(),
                Either::Right(_) => told += usize::from(go_on.send(()).is_ok()),
            }
        };
        assert_eq!(error.phase(), Some(Phase::Body), "{error}");
        assert!(told < 900, "all that the server had to say: {told}");
    });
}

/// A resolver that never answers.
struct Never;

impl mainspring_http::Resolve for Never {
    fn resolve(&self, _host: &str) -> mainspring_http::Lookup {
        Box::pin(std::future::pending())
    }
}
