//! Requests, responses and redirects against a server that says exactly what each test wants.

mod support {
    pub mod server;
}

use http::header;
use mainspring_http::{Bytes, Client, ErrorKind, Method, Redirect, RetryPolicy};
use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::time::Duration;
use support::server::{Reply, Server, ok, say, say_and_close};

#[test]
fn a_page_is_fetched_and_its_connection_used_again() {
    let server = Server::new(|seen| ok(format!("page {}", seen.number)));
    mainspring::run(async {
        let client = Client::builder().decompress(false).build();
        for number in 1..=3 {
            let response = client.get(server.url("/a?b=c#d")).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.reason(), "OK");
            assert_eq!(response.headers()["content-length"], "6");
            assert_eq!(response.remote_addr(), Some(server.address));
            assert_eq!(response.bytes().await.unwrap(), format!("page {number}"));
        }
        let stats = client.stats();
        assert_eq!((stats.requests, stats.opened, stats.reused), (3, 1, 2));
        assert_eq!((stats.open, stats.idle, stats.in_flight, stats.waiting), (1, 1, 0, 0));
        assert_eq!(
            stats.to_string(),
            "3 requests, 1 connections opened, 2 times reused, 1 in flight at most, 0 closed"
        );
    });
    let expected = format!(
        "GET /a?b=c HTTP/1.1\r\nhost: {}\r\nuser-agent: mainspring/0.1.0\r\naccept: */*",
        server.address
    );
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for (index, request) in seen.iter().enumerate() {
        assert_eq!((request.connection, request.number), (1, index + 1));
        assert_eq!(request.head, expected);
    }
}

#[test]
fn every_framing_gives_its_body_and_keeps_or_closes() {
    let rows: [(&str, &str, Option<&str>); 7] = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello", None),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "hello",
            None,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", None),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            "hi",
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
            "hi",
            Some("the server asked for it"),
        ),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            "hi",
            Some("HTTP/1.0 without keep-alive"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!",
            "hi",
            Some("bytes after the end of the response"),
        ),
    ];
    for (wire, body, closed) in rows {
        let server = Server::new(move |_| say(wire));
        mainspring::run(async {
            let client = Client::new();
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), body, "{wire}");
            let reasons: Vec<String> =
                client.stats().close_reasons().map(|(reason, _)| reason.to_string()).collect();
            assert_eq!(reasons, Vec::from_iter(closed), "{wire}");
        });
    }
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let server = Server::new(|_| say_and_close("HTTP/1.1 200 OK\r\n\r\nall there is"));
    mainspring::run(async {
        let response = Client::new().get(server.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), None);
        assert_eq!(response.text().await.unwrap(), "all there is");
    });
}

#[test]
fn head_has_the_length_but_no_body() {
    let server = Server::new(|_| say("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"));
    mainspring::run(async {
        let client = Client::new();
        let response = client.head(server.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), Some(5000));
        assert_eq!(response.bytes().await.unwrap(), "");
        assert_eq!(client.stats().idle, 1);
    });
}

#[test]
fn pieces_come_as_they_are_sent_and_trailers_at_the_end() {
    let (go, wait) = channel();
    let mut wait = Some(wait);
    let steps = [
        "HTTP/1.1 200 OK\r\ntransfer-enc",
        "oding: chunked\r\n\r\n",
        "3\r\none\r\n",
        "3\r\ntw",
        "o\r\n0\r\nx-sum",
        ": 7\r\n\r\n",
    ];
    let server = Server::new(move |_| {
        Reply::Steps(steps.map(|step| step.into()).into(), wait.take().expect("one request"))
    });
    mainspring::run(async {
        let client = Client::new();
        // Each step is let go only when what the one before it said has been read.
        let sending = mainspring::spawn(client.get(server.url("/")).send());
        go.send(()).unwrap();
        let mut response = sending.await.unwrap().unwrap();
        for (step, expected) in [(2, "one"), (3, "tw"), (4, "o")] {
            assert!(step < steps.len());
            go.send(()).unwrap();
            assert_eq!(response.chunk().await.unwrap().unwrap(), expected);
        }
        go.send(()).unwrap();
        assert!(response.chunk().await.is_none());
        assert_eq!(response.trailers().unwrap()["x-sum"], "7");
        assert!(response.chunk().await.is_none(), "the end stays the end");
        assert_eq!(client.stats().idle, 1);
    });
}

#[test]
fn a_cut_body_gives_what_came_and_then_the_error() {
    let wire = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let server = Server::new(move |_| say_and_close(wire));
    mainspring::run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/a")).send().await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
        let error = response.chunk().await.unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "GET {}: bad response: the connection ended after 5 of 10 bytes of the body \
                 (RFC 9112 §8) ({}, fresh connection, {} bytes sent, {} received)",
                server.url("/a"),
                server.address,
                server.seen()[0].head.len() + 4,
                wire.len()
            )
        );
        assert!(response.chunk().await.is_none(), "nothing comes after an error");
        let error = client.get(server.url("/a")).send().await.unwrap().bytes().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{error}");
    });
}

#[test]
fn a_large_body_comes_whole_by_every_way_of_reading() {
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = body.clone();
    let server = Server::new(move |seen| match seen.line() {
        "GET /chunked" => {
            let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for piece in sent.chunks(70_001) {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            Reply::Say(wire)
        }
        _ => ok(&sent),
    });
    mainspring::run(async {
        let client = Client::new();
        for path in ["/sized", "/chunked"] {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert!(response.bytes().await.unwrap() == body, "{path}: bytes");
            let mut response = client.get(server.url(path)).send().await.unwrap();
            let mut pieces: Vec<Bytes> = Vec::new();
            while let Some(piece) = response.chunk().await {
                pieces.push(piece.unwrap());
            }
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert!(pieces.concat() == body, "{path}: chunk");
            let mut shown = Vec::new();
            let response = client.get(server.url(path)).send().await.unwrap();
            response.read_with(|bytes| shown.extend_from_slice(bytes)).await.unwrap();
            assert!(shown == body, "{path}: read_with");
        }
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn a_slow_reader_slows_the_server() {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};
    const TOTAL: usize = 48 * 1024 * 1024;
    /// More than the sockets of both sides hold; a client that read ahead would pass it at once.
    const AHEAD: usize = 16 * 1024 * 1024;
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n").unwrap();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..TOTAL / piece.len() {
            stream.write_all(&piece).unwrap();
            SENT.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    mainspring::run(async {
        let mut response = Client::new().get(format!("http://{address}/")).send().await.unwrap();
        let mut received = 0;
        while let Some(piece) = response.chunk().await {
            received += piece.unwrap().len();
            // Time for a client that reads ahead to do so.
            mainspring::future::yield_now().await;
            let sent = SENT.load(Ordering::SeqCst);
            assert!(sent <= received + AHEAD, "{sent} sent, {received} read");
        }
        assert_eq!(received, TOTAL);
    });
    server.join().unwrap();
}

#[test]
fn a_server_that_reads_by_crumbs_gets_every_byte_before_the_end() {
    use futures::{AsyncReadExt, AsyncWriteExt};
    use std::io::{Read, Write};
    /// Six megabytes: more than the socket of the client may hold, so that it has to wait.
    const LAST: u32 = 1_500_000;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let address = listener.local_addr().unwrap();
    let content: Vec<u8> = (0..LAST + 1).flat_map(u32::to_le_bytes).collect();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut crumb = [0; 1400];
        while !seen.ends_with(&LAST.to_le_bytes()) {
            let count = stream.read(&mut crumb).unwrap();
            assert!(count > 0, "it ended after {} bytes", seen.len());
            seen.extend_from_slice(&crumb[..count]);
        }
        stream.write_all(b"HTTP/1.1 101 Switch\r\nupgrade: x\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        loop {
            match stream.read(&mut crumb).unwrap() {
                0 => break,
                count => rest.extend_from_slice(&crumb[..count]),
            }
        }
        stream.write_all(b"well?").unwrap();
        (seen, rest)
    });
    let sent = content.clone();
    mainspring::run(async {
        let request = Client::new().post(format!("http://{address}/")).body(sent.clone());
        let request = request.header("connection", "upgrade").header("upgrade", "x");
        let mut stream = request.send().await.unwrap().upgrade().unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.close().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "well?");
    });
    let (seen, rest) = server.join().unwrap();
    assert!(seen.ends_with(&content) && rest == content);
}

#[test]
fn a_body_over_the_limit_is_an_error_and_streaming_is_not_limited() {
    let server = Server::new(|_| ok([b'x'; 5000]));
    mainspring::run(async {
        let client = Client::builder().max_body_bytes(4999).build();
        let error = client.get(server.url("/")).send().await.unwrap().bytes().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BodyTooLarge { limit: 4999 }), "{error}");
        let response = client.get(server.url("/")).send().await.unwrap();
        let mut length = 0;
        response.read_with(|bytes| length += bytes.len()).await.unwrap();
        assert_eq!(length, 5000);
    });
}

#[test]
fn headers_are_sent_as_set_and_defaults_give_way() {
    let server = Server::new(|_| ok(""));
    mainspring::run(async {
        let client = Client::builder()
            .decompress(false)
            .user_agent(header::HeaderValue::from_static("crawler/1"))
            .default_header(header::ACCEPT_LANGUAGE, header::HeaderValue::from_static("zh"))
            .build();
        let request = client.post(server.url("/")).header("X-Two", "1").header("x-two", "2");
        request.header("accept", "text/html").body("hi").send().await.unwrap();
        client.get(server.url("/")).bearer_auth("abc").send().await.unwrap();
        let with_user = server.url("/").replace("http://", "http://me:p%40ss@");
        client.get(with_user).send().await.unwrap();
        let error = client.get(server.url("/")).header("a b", "c").send().await.unwrap_err();
        let text = format!("GET {}: invalid request: invalid header name", server.url("/"));
        assert_eq!(error.to_string(), text);
        let error = client.get(server.url("/")).header("x", "a\r\nb: c").send().await.unwrap_err();
        let text = format!("GET {}: invalid request: invalid header value of x", server.url("/"));
        assert_eq!(error.to_string(), text);
    });
    let seen = server.seen();
    let host = server.address;
    assert_eq!(
        seen[0].head,
        format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nuser-agent: crawler/1\r\naccept-language: zh\r\n\
             x-two: 1\r\nx-two: 2\r\naccept: text/html\r\ncontent-length: 2"
        )
    );
    assert_eq!(seen[0].body, b"hi");
    assert_eq!(seen[1].field("authorization"), Some("Bearer abc"));
    assert_eq!(seen[2].field("authorization"), Some("Basic bWU6cEBzcw=="));
    assert_eq!(seen[2].connection, 1, "credentials do not split the pool");
    assert_eq!(seen.len(), 3);
}

#[cfg(feature = "gzip")]
#[test]
fn coded_bodies_are_asked_for_and_decoded() {
    use std::io::Write;
    let text = "mainspring ".repeat(50_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let coded = encoder.finish().unwrap();
    let sent = coded.clone();
    let server = Server::new(move |seen| {
        let coded = if seen.line() == "GET /cut" { &sent[..sent.len() - 9] } else { &sent[..] };
        let length = coded.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
        );
        Reply::Say([head.as_bytes(), coded].concat())
    });
    mainspring::run(async {
        let client = Client::new();
        let get = |path| client.get(server.url(path)).send();
        let response = get("/").await.unwrap();
        assert_eq!(response.content_length(), Some(coded.len() as u64));
        assert!(response.text().await.unwrap() == text);
        let mut length = 0;
        get("/").await.unwrap().read_with(|bytes| length += bytes.len()).await.unwrap();
        assert_eq!(length, text.len());

        // All that can be had comes before the error.
        let mut response = get("/cut").await.unwrap();
        let mut seen = Vec::new();
        let error = loop {
            match response.chunk().await.expect("an error before the end") {
                Ok(bytes) => seen.extend_from_slice(&bytes),
                Err(error) => break error,
            }
        };
        assert!(seen.len() > 400_000 && text.as_bytes().starts_with(&seen), "{}", seen.len());
        let reason = "cannot decode the body: the gzip data is cut short";
        assert!(error.to_string().contains(reason), "{error}");
        assert!(response.chunk().await.is_none());

        let plain = Client::builder().decompress(false).build();
        let bytes = plain.get(server.url("/")).send().await.unwrap().bytes().await.unwrap();
        assert!(bytes == coded);
    });
    let asked: Vec<_> =
        server.seen().iter().map(|seen| seen.field("accept-encoding").map(str::to_owned)).collect();
    assert!(asked[0].as_ref().unwrap().starts_with("gzip, deflate"));
    assert_eq!(asked.last(), Some(&None));
}

#[cfg(feature = "json")]
#[test]
fn query_form_and_json() {
    let server = Server::new(|_| ok(r#"{"answer": [1, 2]}"#));
    mainspring::run(async {
        let client = Client::new();
        let request = client.get(server.url("/?a=1")).query([("b", "x y"), ("c", "ü&")]);
        let answer: std::collections::HashMap<String, Vec<u32>> =
            request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["answer"], [1, 2]);
        let none: [(&str, &str); 0] = [];
        client.get(server.url("/none")).query(none).send().await.unwrap();
        client.post(server.url("/")).form([("a", "x y"), ("b", "+")]).send().await.unwrap();
        client.put(server.url("/")).json(&[1, 2]).send().await.unwrap();
        let error =
            client.get(server.url("/")).send().await.unwrap().json::<u32>().await.unwrap_err();
        assert!(error.to_string().contains("not the expected JSON: invalid type: map"), "{error}");
    });
    let seen = server.seen();
    assert_eq!(seen[0].line(), "GET /?a=1&b=x+y&c=%C3%BC%26");
    assert_eq!(seen[1].line(), "GET /none");
    assert_eq!(seen[2].body, b"a=x+y&b=%2B");
    assert_eq!(seen[2].field("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[3].body, b"[1,2]");
    assert_eq!(seen[3].field("content-type"), Some("application/json"));
}

#[test]
fn redirects_are_followed_with_history_up_to_the_limit() {
    let redirect = |to: &str| {
        say(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 5\r\n\r\nmoved"))
    };
    let server = Server::new(move |seen| match seen.line() {
        "GET /1" => redirect("/2?x"),
        "GET /2?x" => redirect("3"),
        "POST /post" => redirect("/3"),
        "GET /loop" => redirect("/loop"),
        "GET /ftp" => redirect("ftp://example.com/"),
        _ => ok("end"),
    });
    mainspring::run(async {
        let client = Client::builder().max_redirects(3).build();
        let response = client.get(server.url("/1")).send().await.unwrap();
        assert_eq!(response.url().path(), "/3");
        let history: Vec<&str> = response.history().iter().map(|url| url.path()).collect();
        assert_eq!(history, ["/1", "/2"]);
        assert_eq!(response.text().await.unwrap(), "end");
        assert_eq!(client.stats().opened, 1, "the bodies of redirects are read to their ends");

        let posted = client.post(server.url("/post")).body("data").send().await.unwrap();
        assert_eq!(posted.text().await.unwrap(), "end");
        let error = client.get(server.url("/loop")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooManyRedirects { limit: 3 }), "{error}");
        let error = client.get(server.url("/ftp")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Redirect { .. }), "{error}");
        let response = client.get(server.url("/1")).redirects(0).send().await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.text().await.unwrap(), "moved");
    });
    let lines: Vec<String> = server.seen().iter().map(|seen| seen.line().to_owned()).collect();
    let expected = [
        "GET /1",
        "GET /2?x",
        "GET /3",
        "POST /post",
        "GET /3",
        "GET /loop",
        "GET /loop",
        "GET /loop",
        "GET /loop",
        "GET /ftp",
        "GET /1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_policy_decides_which_redirects_are_followed() {
    use std::cell::RefCell;
    use std::rc::Rc;
    let server = Server::new(move |seen| {
        let (status, to) = match seen.line() {
            "GET /1" => (302, "/2"),
            "GET /2" => (308, "/3"),
            "GET /3" => (307, "http://other.test/"),
            _ => (302, "ftp://a.test/"),
        };
        say(format!("HTTP/1.1 {status} x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
    });
    let asked = Rc::new(RefCell::new(Vec::new()));
    let note = asked.clone();
    mainspring::run(async {
        let client = Client::builder().max_redirects(2).redirect_policy(move |redirect| {
            let Redirect { status, from, to, history, .. } = redirect;
            let text = format!("{} {} {to} {}", status.as_u16(), from.path(), history.len());
            note.borrow_mut().push(text);
            from.origin() == to.origin()
        });
        let client = client.build();
        let response = client.get(server.url("/1")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.url().path()), (307, "/3"));
        assert_eq!(response.history().len(), 2);
        // What cannot be followed is not asked about.
        let error = client.get(server.url("/ftp")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Redirect { .. }), "{error}");
    });
    let expected = [
        format!("302 /1 {} 0", server.url("/2")),
        format!("308 /2 {} 1", server.url("/3")),
        "307 /3 http://other.test/ 2".to_owned(),
    ];
    assert_eq!(*asked.borrow(), expected);
}

#[test]
fn credentials_stay_with_their_origin() {
    let other = Server::new(|_| ok("other"));
    let to = other.url("/");
    let server = Server::new(move |_| {
        say(format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
    });
    mainspring::run(async {
        let client = Client::new();
        let request =
            client.get(server.url("/")).basic_auth("me", "secret").header("cookie", "a=b");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "other");
    });
    assert!(server.seen()[0].field("authorization").is_some());
    assert_eq!(other.seen()[0].field("authorization"), None);
    assert_eq!(other.seen()[0].field("cookie"), None);
}

#[cfg(feature = "cookies")]
#[test]
fn cookies_are_kept_and_sent_where_they_belong() {
    let server = Server::new(|seen| match seen.line() {
        "GET /login" => {
            say("HTTP/1.1 302 Found\r\nset-cookie: id=7; Path=/\r\nset-cookie: x=y\r\n\
             location: /in\r\ncontent-length: 0\r\n\r\n")
        }
        "GET /out" => say(
            "HTTP/1.1 200 OK\r\nset-cookie: id=; Path=/; Max-Age=0\r\ncontent-length: 0\r\n\r\n",
        ),
        _ => ok(seen.field("cookie").unwrap_or("none")),
    });
    mainspring::run(async {
        let jar = mainspring_http::CookieJar::new();
        let client = Client::builder().cookies(jar.clone()).build();
        let text = async |path: &str| {
            client.get(server.url(path)).send().await.unwrap().text().await.unwrap()
        };
        assert_eq!(text("/").await, "none");
        assert_eq!(text("/login").await, "id=7; x=y", "sent to the target of the redirect");
        let own = client.get(server.url("/")).header("cookie", "own=1").send().await.unwrap();
        assert_eq!(own.text().await.unwrap(), "own=1");
        text("/out").await;
        assert_eq!(text("/").await, "x=y");
        assert_eq!(jar.len(), 1);
        let plain = Client::new().get(server.url("/login")).send().await.unwrap();
        assert_eq!(plain.text().await.unwrap(), "none", "off unless asked for");
    });
}

/// RFC 9110 §5.5: obs-text is opaque. `/caf\xe9` is asked for as `/caf%E9`, as browsers do.
#[cfg(feature = "cookies")]
#[test]
fn bytes_above_127_travel_unchanged() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        for answer in [
            &b"HTTP/1.1 302 X\r\nlocation: /caf\xe9\r\nset-cookie: a=caf\xe9; X=\xff\r\n\
               set-cookie: \xc4\xe3=1\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nx-own: \xe9, b\r\ncontent-length: 0\r\n\r\n",
        ] {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend_from_slice(&byte);
            }
            seen.push(head);
            stream.write_all(answer).unwrap();
        }
        seen
    });
    mainspring::run(async {
        let client = Client::builder().cookies(mainspring_http::CookieJar::new()).build();
        let own = header::HeaderValue::from_bytes(b"caf\xe9").unwrap();
        let request = client.get(format!("http://{address}/")).header("x-own", own);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-own"].as_bytes(), b"\xe9, b");
    });
    let seen = server.join().unwrap();
    let has = |line: &[u8]| seen[1].windows(line.len()).any(|window| window == line);
    assert!(seen[1].starts_with(b"GET /caf%E9 HTTP/1.1\r\n"), "{}", seen[1].escape_ascii());
    assert!(has(b"cookie: a=caf\xe9; \xc4\xe3=1\r\n"), "{}", seen[1].escape_ascii());
    assert!(has(b"x-own: caf\xe9\r\n"), "{}", seen[1].escape_ascii());
}

#[test]
fn what_may_pass_is_tried_again_as_often_as_the_policy_says() {
    let answers = |status: &'static str, extra: &'static str| {
        say(format!("HTTP/1.1 {status}\r\n{extra}content-length: 2\r\n\r\nno"))
    };
    let server = Server::new(move |seen| match (seen.line(), seen.number) {
        ("GET /twice", 3) => ok("yes"),
        ("GET /twice" | "GET /always" | "POST /always", _) => {
            answers("503 Busy", "retry-after: 0\r\n")
        }
        ("GET /much", _) => answers("429 Slow", "retry-after: 3600\r\n"),
        ("GET /dead", _) => say_and_close(""),
        _ => answers("500 Broken", ""),
    });
    mainspring::run(async {
        let first_wait = Duration::from_millis(1);
        let policy = RetryPolicy { first_wait, ..RetryPolicy::default() };
        let client = || Client::builder().retry(policy.clone()).build();
        let status = async |client: &Client, path: &str| {
            let outcome = client.get(server.url(path)).send().await;
            outcome.map(|response| response.status().as_u16())
        };
        for (path, expected, retried) in
            [("/twice", 200, 2), ("/always", 503, 2), ("/much", 429, 0), ("/other", 500, 0)]
        {
            let client = client();
            assert_eq!(status(&client, path).await.unwrap(), expected, "{path}");
            assert_eq!((client.stats().retried, client.stats().opened), (retried, 1), "{path}");
        }
        let dead = client();
        assert!(matches!(status(&dead, "/dead").await.unwrap_err().kind(), ErrorKind::NoResponse));
        assert_eq!(dead.stats().retried, 2);
        let posting = client();
        let response = posting.post(server.url("/always")).body("x").send().await.unwrap();
        assert_eq!((response.status().as_u16(), posting.stats().retried), (503, 0));
    });
}

#[test]
fn addresses_are_tried_in_turn_and_all_failures_told() {
    let server = Server::new(|seen| ok(seen.field("host").unwrap_or_default()));
    let port = server.address.port();
    mainspring::run(async {
        let dead: IpAddr = "127.0.0.9".parse().unwrap();
        let alive: IpAddr = "127.0.0.1".parse().unwrap();
        let client = Client::builder()
            .resolve("alive.test", &[dead, alive])
            .resolve("dead.test", &[dead, "127.0.0.10".parse().unwrap()])
            .build();
        let response = client.get(format!("http://alive.test:{port}/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), format!("alive.test:{port}"));
        let error = client.get(format!("http://dead.test:{port}/")).send().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "GET http://dead.test:{port}/: cannot connect: 127.0.0.9:{port}: Connection \
                 refused (os error 111); 127.0.0.10:{port}: Connection refused (os error 111)"
            )
        );
        assert!(error.is_connect());
        assert_eq!((client.stats().failed, client.stats().open), (1, 1));
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_takes_the_place_of_all_hosts() {
    use std::io::{Read, Write};
    let path = std::env::temp_dir().join(format!("mainspring-http-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = Vec::new();
        for _ in 0..2 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            lines.push(head.lines().take(2).collect::<Vec<_>>().join(" | "));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        }
        lines
    });
    mainspring::run(async {
        let client = Client::builder().unix_socket(&path).build();
        for _ in 0..2 {
            let response = client.get("http://docker/info").send().await.unwrap();
            assert_eq!(response.remote_addr(), None);
            assert_eq!(response.text().await.unwrap(), "hi");
        }
        assert_eq!(client.stats().opened, 1);
    });
    assert_eq!(server.join().unwrap(), ["GET /info HTTP/1.1 | host: docker"; 2]);
    std::fs::remove_file(path).unwrap();
    mainspring::run(async {
        let client = Client::builder().unix_socket("/nowhere/at/all").build();
        let error = client.get("http://docker/").send().await.unwrap_err();
        let text = "GET http://docker/: connecting failed: No such file or directory (os error 2)";
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn one_lookup_serves_all_who_wait_and_is_remembered() {
    use std::cell::Cell;
    use std::rc::Rc;
    struct Counting(Rc<Cell<u32>>);
    impl mainspring_http::Resolve for Counting {
        fn resolve(&self, host: &str) -> mainspring_http::Lookup {
            self.0.set(self.0.get() + 1);
            let found = match host {
                "known.test" => Ok(vec!["127.0.0.1".parse().unwrap()]),
                "empty.test" => Ok(vec![]),
                _ => Err(std::io::Error::other("no such name")),
            };
            Box::pin(async {
                mainspring::future::yield_now().await;
                found
            })
        }
    }
    let server = Server::new(|_| ok("x"));
    let port = server.address.port();
    let asked = Rc::new(Cell::new(0));
    mainspring::run(async {
        let client = Client::builder().resolver(Counting(asked.clone())).build();
        let fetch = |host: &str| client.get(format!("http://{host}:{port}/")).send();
        let many = (0..10).map(|_| mainspring::spawn(fetch("known.test"))).collect::<Vec<_>>();
        for one in many {
            assert_eq!(one.await.unwrap().unwrap().status(), 200);
        }
        fetch("known.test").await.unwrap();
        assert_eq!(asked.get(), 1);
        let error = fetch("empty.test").await.unwrap_err();
        assert!(error.to_string().ends_with("cannot resolve the host: it has no address"));
        let error = fetch("unknown.test").await.unwrap_err();
        assert!(error.to_string().ends_with("cannot resolve the host: no such name"), "{error}");
        fetch("unknown.test").await.unwrap_err();
        assert_eq!(asked.get(), 4, "a failure is not remembered");

        // An answer that is too old is not used. Each fetch opens a connection here.
        for (keep, lookups) in [(Duration::from_secs(60), 1), (Duration::ZERO, 3)] {
            asked.set(0);
            let client = Client::builder().resolver(Counting(asked.clone())).dns_cache(keep);
            let client = client.max_idle_connections(0).build();
            for _ in 0..3 {
                client.get(format!("http://known.test:{port}/")).send().await.unwrap();
            }
            assert_eq!((asked.get(), client.stats().opened), (lookups, 3), "{keep:?}");
        }
    });
}

#[test]
fn urls_that_cannot_be_fetched_are_told_apart() {
    mainspring::run(async {
        let client = Client::new();
        for (url, text) in [
            ("nonsense", "invalid URL: relative URL without a base"),
            ("http://", "invalid URL: empty host"),
            ("ftp://a/", "GET ftp://a/: unsupported URL scheme \"ftp\""),
            ("mailto:a@b", "GET mailto:a@b: unsupported URL scheme \"mailto\""),
        ] {
            assert_eq!(client.get(url).send().await.unwrap_err().to_string(), text);
        }
    });
}

#[test]
fn a_switch_of_protocols_hands_over_the_raw_stream() {
    use futures::{AsyncReadExt, AsyncWriteExt};
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\nfirst";
    let server = Server::new(move |seen| match seen.line() {
        "GET /" => say(head),
        "echo" => say("echo!"),
        _ => ok("no"),
    });
    mainspring::run(async {
        let client = Client::new();
        let request = client.get(server.url("/")).header("upgrade", "echo");
        let response = request.header("connection", "upgrade").send().await.unwrap();
        assert_eq!(response.status(), 101);
        let mut stream = response.upgrade().unwrap();
        assert_eq!(client.stats().open, 0);
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"first");
        stream.write_all(b"echo\r\n\r\n").await.unwrap();
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"echo!");
        let request = client.get(server.url("/")).header("upgrade", "echo");
        let unread = request.header("connection", "upgrade").send().await.unwrap();
        assert_eq!(unread.bytes().await.unwrap(), "", "what follows a switch is no body");
        let refused = client.get(server.url("/no")).send().await.unwrap().upgrade().unwrap_err();
        assert!(refused.to_string().ends_with("invalid request: status 200 switches no protocol"));
    });
}

#[test]
fn a_tunnel_can_be_asked_for_by_hand() {
    use futures::AsyncReadExt;
    let server = Server::new(|seen| say(format!("HTTP/1.1 200 OK\r\n\r\n{}", seen.line())));
    mainspring::run(async {
        let client = Client::new();
        let request = client.request(Method::CONNECT, server.url("/ignored"));
        let mut stream = request.send().await.unwrap().upgrade().unwrap();
        let expected = format!("CONNECT {}", server.address);
        let mut said = vec![0; expected.len()];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), expected);
    });
}

#[test]
fn a_request_in_flight_is_small() {
    mainspring::run(async {
        let client = Client::new();
        let sending = client.get("http://127.0.0.1:1/").send();
        assert!(size_of_val(&sending) <= 1536, "{} bytes", size_of_val(&sending));
    });
}

#[cfg(unix)]
#[test]
fn a_file_goes_out_with_its_length_and_a_pipe_in_chunks() {
    use mainspring_http::Body;
    use std::fs::File;
    use std::io::{Seek, SeekFrom, Write};
    let path = std::env::temp_dir().join(format!("mainspring-http-file-{}", std::process::id()));
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let opened = |position| {
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(position)).unwrap();
        file
    };
    let server = Server::new(|_| ok(""));
    mainspring::run(async {
        let client = Client::new();
        let send = |body: Body| client.put(server.url("/")).body(body).send();
        send(Body::file(opened(0)).unwrap()).await.unwrap();
        send(Body::file(opened(150_000)).unwrap()).await.unwrap();
        send(Body::file(opened(300_000)).unwrap()).await.unwrap();

        // What is written to it meanwhile is not sent, and what is taken from it is missed.
        let body = Body::file(opened(0)).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        send(body).await.unwrap();
        let body = Body::file(opened(0)).unwrap();
        opened(0).set_len(100).unwrap();
        let error = send(body).await.unwrap_err().to_string();
        assert!(error.contains("the stream is shorter than it promised to be"), "{error}");

        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"piped").unwrap();
        drop(writer);
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        send(Body::file(pipe).unwrap()).await.unwrap();
        let write_only = File::options().write(true).open(&path).unwrap();
        let error = send(Body::file(write_only).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("the source of the body failed: Bad file descriptor"), "{error}");
    });
    std::fs::remove_file(&path).unwrap();
    let seen = server.seen();
    let lengths: Vec<_> = seen.iter().map(|seen| seen.field("content-length")).collect();
    assert_eq!(lengths, [Some("200000"), Some("50000"), Some("0"), Some("200000"), None]);
    assert!(seen[0].body == content && seen[1].body == content[150_000..]);
    assert!(seen[2].body.is_empty() && seen[3].body == content);
    assert_eq!(seen[4].body, b"5\r\npiped\r\n0\r\n\r\n");
}

#[test]
fn requests_may_be_sent_from_any_number_of_tasks_and_turns() {
    let server = Server::new(|seen| ok(seen.line()));
    let method = Method::from_bytes(b"REPORT").unwrap();
    let client = Client::new();
    let mut runtime = mainspring::Runtime::new();
    for round in 0..3 {
        let texts = runtime.block_on(async {
            let fetch = |number: usize| {
                let url = server.url(&format!("/{round}/{number}"));
                client.request(method.clone(), url).send()
            };
            let all = (0..20).map(|number| mainspring::spawn(fetch(number))).collect::<Vec<_>>();
            let mut texts = Vec::new();
            for one in all {
                texts.push(one.await.unwrap().unwrap().text().await.unwrap());
            }
            texts
        });
        let expected: Vec<String> =
            (0..20).map(|number| format!("REPORT /{round}/{number}")).collect();
        assert_eq!(texts, expected);
    }
    assert!(client.stats().opened <= 20);
}
