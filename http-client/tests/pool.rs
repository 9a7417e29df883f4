//! Limits, queues, reuse, repetition and the reasons for closing, against a scripted server.

mod support {
    pub mod server;
}

use mainspring::spawn;
use mainspring_http::{Body, Client, CloseReason, ErrorKind, Response, Result};
use std::io;
use std::sync::mpsc::channel;
use std::time::Duration;
use support::server::{Reply, Seen, Server, ok, say, say_and_close};

/// The reasons for which a client has closed connections.
fn closed(client: &Client) -> Vec<(CloseReason, u64)> {
    client.stats().close_reasons().collect()
}

async fn text(response: Result<Response>) -> String {
    response.unwrap().text().await.unwrap()
}

/// Lets other tasks run until `done` says so; the loop looks at its sockets meanwhile.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        mainspring::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn the_limit_per_host_queues_first_in_first_out() {
    let server = Server::new(|seen| ok(seen.line()));
    mainspring::run(async {
        let client = Client::builder().max_connections_per_host(1).build();
        let mut all = Vec::new();
        for number in 0..20 {
            let request = client.get(server.url(&format!("/{number}")));
            all.push(spawn(async move { text(request.send().await).await }));
        }
        for (number, one) in all.into_iter().enumerate() {
            assert_eq!(one.await.unwrap(), format!("GET /{number}"));
        }
        let stats = client.stats();
        assert_eq!((stats.opened, stats.reused, stats.peak_in_flight), (1, 19, 1));
    });
    let order: Vec<String> = server.seen().iter().map(|seen| seen.line().to_owned()).collect();
    let expected: Vec<String> = (0..20).map(|number| format!("GET /{number}")).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_waiter_that_gives_up_does_not_hold_up_the_queue() {
    let (go, wait) = channel();
    let mut wait = Some(wait);
    let server = Server::new(move |seen| match seen.line() {
        "GET /slow" => Reply::Steps(
            vec![vec![], b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()],
            wait.take().expect("one slow request"),
        ),
        line => ok(line),
    });
    mainspring::run(async {
        let client = Client::builder().max_connections(1).build();
        let get = |path: &str| {
            let request = client.get(server.url(path));
            spawn(async move { text(request.send().await).await })
        };
        let slow = get("/slow");
        let waiting = client.clone();
        until(|| waiting.stats().in_flight == 1).await;
        let (first, second, third) = (get("/1"), get("/2"), get("/3"));
        until(|| waiting.stats().waiting == 3).await;
        first.cancel();
        second.cancel();
        until(|| waiting.stats().waiting == 1).await;
        go.send(()).unwrap();
        assert_eq!(slow.await.unwrap(), "");
        assert_eq!(third.await.unwrap(), "GET /3");
        assert_eq!(client.stats().opened, 1);
        assert_eq!((client.stats().waiting, client.stats().in_flight), (0, 0));
    });
}

#[test]
fn an_idle_connection_makes_room_for_another_host() {
    let one = Server::new(|_| ok("one"));
    let two = Server::new(|_| ok("two"));
    mainspring::run(async {
        let client = Client::builder().max_connections(1).build();
        for _ in 0..3 {
            assert_eq!(text(client.get(one.url("/")).send().await).await, "one");
            assert_eq!(text(client.get(two.url("/")).send().await).await, "two");
        }
        assert_eq!(closed(&client), [(CloseReason::MadeRoom, 5)]);
        assert_eq!(client.stats().open, 1);
    });
}

#[test]
fn a_host_that_waits_for_room_is_not_starved_by_a_busy_one() {
    let (go, wait) = channel();
    let mut wait = Some(wait);
    let one = Server::new(move |_| match wait.take() {
        // The first answer waits until all the others are in the queue.
        Some(wait) => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none".to_vec();
            Reply::Steps(vec![vec![], answer], wait)
        }
        None => ok("one"),
    });
    let two = Server::new(|_| ok("two"));
    mainspring::run(async {
        let client = Client::builder().max_connections(1).build();
        let busy: Vec<_> = (0..200)
            .map(|_| {
                let request = client.get(one.url("/"));
                spawn(async move { text(request.send().await).await })
            })
            .collect();
        let other = client.get(two.url("/"));
        let other = spawn(async move { text(other.send().await).await });
        let watched = client.clone();
        until(|| watched.stats().waiting == 200).await;
        go.send(()).unwrap();
        assert_eq!(other.await.unwrap(), "two");
        assert!(one.seen().len() < 200, "it came before the end of the others' queue");
        for one in busy {
            assert_eq!(one.await.unwrap(), "one");
        }
        assert_eq!(client.stats().waiting, 0);
    });
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    let (go, wait) = channel();
    let mut wait = Some(wait);
    let server = Server::new(move |seen| match seen.line() {
        "GET /half" => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf".to_vec();
            Reply::Steps(vec![head, b"half".to_vec()], wait.take().expect("one such request"))
        }
        line => ok(line),
    });
    mainspring::run(async {
        let client = Client::builder().max_idle_connections(0).build();
        for _ in 0..2 {
            client.get(server.url("/")).send().await.unwrap();
        }
        assert_eq!(closed(&client), [(CloseReason::IdleLimit, 2)]);

        let client = Client::builder().max_idle_connections(1).build();
        let half = client.get(server.url("/half")).send().await.unwrap();
        client.get(server.url("/")).send().await.unwrap();
        assert_eq!((client.stats().idle, client.stats().opened), (1, 2));
        go.send(()).unwrap();
        assert_eq!(half.text().await.unwrap(), "halfhalf");
        assert_eq!((client.stats().idle, client.stats().open), (1, 1));
        assert_eq!(closed(&client), [(CloseReason::IdleLimit, 1)]);
    });
}

#[test]
fn an_idle_connection_that_was_closed_is_not_used() {
    let server = Server::new(|_| say_and_close("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
    mainspring::run(async {
        let client = Client::new();
        assert_eq!(text(client.get(server.url("/")).send().await).await, "hi");
        // A request to another server takes the loop through its sockets; by then the end is in.
        mainspring::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(text(client.get(server.url("/")).send().await).await, "hi");
        let stats = client.stats();
        assert_eq!((stats.opened, stats.reused), (2, stats.repeated));
    });
}

#[test]
fn a_kept_connection_that_dies_unanswered_is_replaced_once_where_that_is_safe() {
    // Each connection answers one request, and closes when the second has come.
    let once = |seen: &Seen| {
        if seen.number == 1 { ok(seen.line()) } else { say_and_close("") }
    };
    let server = Server::new(once);
    mainspring::run(async {
        let client = Client::new();
        assert_eq!(text(client.get(server.url("/1")).send().await).await, "GET /1");
        assert_eq!(text(client.get(server.url("/2")).send().await).await, "GET /2");
        assert_eq!(client.stats().repeated, 1);
        let put = client.put(server.url("/3")).body("again");
        assert_eq!(text(put.send().await).await, "PUT /3");
        assert_eq!(client.stats().repeated, 2);
        assert_eq!(closed(&client), [(CloseReason::ClosedWhileIdle, 2)]);

        // POST may not be done twice, and a stream cannot be.
        let error = client.post(server.url("/4")).body("x").send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoResponse), "{error}");
        assert_eq!((error.reused(), error.bytes().1), (Some(true), 0));
        assert_eq!(text(client.get(server.url("/5")).send().await).await, "GET /5");
        let stream = Body::stream(futures::stream::iter([Ok("y".into())]));
        let error = client.put(server.url("/6")).body(stream).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoResponse), "{error}");
    });
    let bodies: Vec<(String, Vec<u8>)> =
        server.seen().iter().map(|seen| (seen.line().to_owned(), seen.body.clone())).collect();
    assert_eq!(bodies[3], ("PUT /3".to_owned(), b"again".to_vec()));
    assert_eq!(bodies[4], ("PUT /3".to_owned(), b"again".to_vec()));
}

#[test]
fn a_fresh_connection_that_dies_unanswered_is_an_error() {
    let server = Server::new(|_| say_and_close(""));
    mainspring::run(async {
        let client = Client::new();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoResponse), "{error}");
        assert_eq!(error.reused(), Some(false));
        assert_eq!(closed(&client), [(CloseReason::RequestAbandoned, 1)]);
        assert_eq!(client.stats().open, 0);
    });
}

#[test]
fn half_an_answer_is_not_repeated() {
    let server = Server::new(|seen| match seen.number {
        1 => ok("whole"),
        _ => say_and_close("HTTP/1.1 200 O"),
    });
    mainspring::run(async {
        let client = Client::new();
        client.get(server.url("/")).send().await.unwrap();
        let error = client.get(server.url("/")).send().await.unwrap_err();
        assert!(error.to_string().contains("ended after 14 bytes of the response head"), "{error}");
        assert!(error.to_string().contains("reused connection"), "{error}");
    });
}

#[test]
fn the_servers_own_idle_timeout_is_kept_with_a_margin() {
    let server = Server::new(|_| {
        say("HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n")
    });
    mainspring::run(async {
        let client = Client::new();
        for _ in 0..2 {
            client.get(server.url("/")).send().await.unwrap();
        }
        assert_eq!(closed(&client), [(CloseReason::IdleTimeout, 1)]);
    });
}

#[test]
fn idle_and_old_connections_are_not_used() {
    let server = Server::new(|_| ok(""));
    mainspring::run(async {
        for (client, reason) in [
            (Client::builder().idle_timeout(Duration::ZERO).build(), CloseReason::IdleTimeout),
            (Client::builder().max_lifetime(Duration::ZERO).build(), CloseReason::Lifetime),
        ] {
            for _ in 0..2 {
                client.get(server.url("/")).send().await.unwrap();
            }
            assert_eq!(client.stats().opened, 2);
            assert_eq!(closed(&client)[0].0, reason);
        }
    });
}

#[test]
fn idle_connections_are_closed_in_time_without_another_request() {
    let server = Server::new(|_| ok(""));
    mainspring::run(async {
        let client = Client::builder().idle_timeout(Duration::from_millis(1)).build();
        client.get(server.url("/")).send().await.unwrap();
        until(|| client.stats().open == 0).await;
        assert_eq!(closed(&client), [(CloseReason::IdleTimeout, 1)]);
    });
    assert_eq!(server.wait_closed(), 1);
}

#[test]
fn an_unread_response_is_drained_if_it_is_there_and_short() {
    let server = Server::new(|seen| match seen.line() {
        "GET /short" => ok([b'x'; 1000]),
        "GET /long" => ok([b'x'; 1_000_000]),
        _ => Reply::SayAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec()),
    });
    mainspring::run(async {
        let client = Client::new();
        drop(client.get(server.url("/short")).send().await.unwrap());
        assert_eq!((client.stats().idle, closed(&client)), (1, vec![]));
        drop(client.get(server.url("/long")).send().await.unwrap());
        assert_eq!(closed(&client), [(CloseReason::ResponseUnread, 1)]);
        drop(client.get(server.url("/hang")).send().await.unwrap());
        assert_eq!(closed(&client), [(CloseReason::ResponseUnread, 2)]);
        assert_eq!((client.stats().open, client.stats().in_flight), (0, 0));
        // Which of the two the server finds closed first is its own affair.
        let mut closed = [server.wait_closed(), server.wait_closed()];
        closed.sort_unstable();
        assert_eq!(closed, [1, 2]);
    });
}

#[test]
fn a_response_may_outlive_its_runtime() {
    let server = Server::new(|seen| match seen.line() {
        "GET /half" => {
            Reply::SayAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec())
        }
        line => ok(line),
    });
    let (client, half, whole) = mainspring::run(async {
        let client = Client::new();
        let half = client.get(server.url("/half")).send().await.unwrap();
        let whole = client.get(server.url("/whole")).send().await.unwrap();
        (client, half, whole)
    });
    drop((half, whole));
    let stats = client.stats();
    assert_eq!((stats.in_flight, stats.open, stats.idle), (0, 1, 1));
    assert_eq!(closed(&client), [(CloseReason::ResponseUnread, 1)]);
    drop(client);
    assert_eq!([server.wait_closed(), server.wait_closed()].iter().sum::<usize>(), 3);
}

#[test]
fn a_request_that_is_given_up_closes_its_connection() {
    let server = Server::new(|_| Reply::SayAndHang(vec![]));
    mainspring::run(async {
        let client = Client::new();
        let task = spawn(client.get(server.url("/")).send());
        until(|| !server.seen().is_empty()).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(closed(&client), [(CloseReason::RequestAbandoned, 1)]);
        assert_eq!((client.stats().open, client.stats().in_flight), (0, 0));
    });
    assert_eq!(server.wait_closed(), 1);
}

#[test]
fn connection_close_in_a_request_is_obeyed_by_both_sides() {
    let server = Server::new(|_| ok(""));
    mainspring::run(async {
        let client = Client::new();
        client.get(server.url("/")).header("connection", "close").send().await.unwrap();
        assert_eq!(closed(&client), [(CloseReason::ClientAsked, 1)]);
    });
}

#[test]
fn bodies_go_out_in_every_shape() {
    let server = Server::new(|seen| ok(&seen.body));
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    mainspring::run(async {
        let client = Client::new();
        let send = |body: Body| client.post(server.url("/")).body(body).send();
        let bytes = |body: Body| async { send(body).await.unwrap().bytes().await.unwrap() };
        assert_eq!(bytes("short".into()).await, "short");
        assert!(bytes(large.clone().into()).await == large);
        let pieces = || {
            let pieces = ["one", "", "two"].map(|piece| Ok(piece.into()));
            futures::stream::iter(pieces)
        };
        assert_eq!(bytes(Body::stream(pieces())).await, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
        assert_eq!(bytes(Body::sized_stream(6, pieces())).await, "onetwo");
        let reader = futures::io::Cursor::new(large.clone());
        assert!(bytes(Body::reader(reader, Some(large.len() as u64))).await == large);
        let long = Body::stream(futures::stream::iter([Ok(large.clone().into())]));
        let expected = [b"124f80\r\n", &large[..], b"\r\n0\r\n\r\n"].concat();
        assert!(bytes(long).await == expected);
        assert_eq!(client.stats().opened, 1);

        for (length, reason) in [(5, "longer"), (7, "shorter")] {
            let error = send(Body::sized_stream(length, pieces())).await.unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let broken = futures::stream::iter([Ok("x".into()), Err(io::Error::other("disk on fire"))]);
        let error = send(Body::stream(broken)).await.unwrap_err();
        assert!(error.to_string().contains("source of the body failed: disk on fire"), "{error}");
        assert_eq!(closed(&client), [(CloseReason::RequestAbandoned, 3)]);
    });
}

#[test]
fn an_answer_that_comes_before_the_body_is_out_is_the_answer() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (done, wait) = channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The head, and never the body: the socket's buffers fill up.
        let mut head = [0; 16];
        stream.read_exact(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!").unwrap();
        wait.recv().unwrap_err();
    });
    mainspring::run(async {
        let client = Client::new();
        let body = vec![0; 64 * 1024 * 1024];
        let request = client.post(format!("http://{address}/")).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.text().await.unwrap(), "no!");
        assert_eq!(closed(&client), [(CloseReason::RequestUnfinished, 1)]);
    });
    drop(done);
    server.join().unwrap();
}

/// RFC 9110 §10.1.1: a request that is refused for its expectation (417) is sent again without it. Its
/// body has not been sent, so that it may be a stream.
#[test]
fn a_body_waits_for_100_continue_and_goes_without_after_417() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let read_to = |stream: &mut std::net::TcpStream, end: &[u8]| {
            let (mut seen, mut byte) = (Vec::new(), [0]);
            while !seen.ends_with(end) {
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            String::from_utf8(seen).unwrap()
        };
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_to(&mut stream, b"\r\n\r\n");
        assert!(head.contains("expect: 100-continue"), "{head}");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        assert_eq!(read_to(&mut stream, b"body"), "body");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        for end in [&b"body"[..], b"sized", b"0\r\n\r\n"] {
            read_to(&mut stream, b"\r\n\r\n");
            stream.write_all(b"HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n").unwrap();
            // The body that was refused is not sent: the end comes instead.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            stream = listener.accept().unwrap().0;
            let head = read_to(&mut stream, b"\r\n\r\n");
            assert!(!head.contains("expect:"), "{head}");
            read_to(&mut stream, end);
            stream.write_all(b"HTTP/1.1 201 Made\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        // One that cannot be sent without, or that did not expect anything, is not repeated.
        read_to(&mut stream, b"\r\n\r\n");
        stream.write_all(b"HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    mainspring::run(async {
        let client = Client::new();
        let send = |body: Body| {
            let request = client.put(format!("http://{address}/")).body(body);
            request.header("expect", "100-continue").send()
        };
        let piece = |text: &'static str| futures::stream::iter([Ok(text.into())]);
        assert_eq!(send("body".into()).await.unwrap().status(), 200);
        assert_eq!(send("body".into()).await.unwrap().status(), 201);
        assert_eq!(send(Body::sized_stream(5, piece("sized"))).await.unwrap().status(), 201);
        assert_eq!(send(Body::stream(piece("chunks"))).await.unwrap().status(), 201);
        assert_eq!(client.get(format!("http://{address}/")).send().await.unwrap().status(), 417);
        assert_eq!(closed(&client), [(CloseReason::RequestUnfinished, 3)]);
    });
    server.join().unwrap();
}
