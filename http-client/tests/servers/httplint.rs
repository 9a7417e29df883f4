//! `httplint` reads the requests that we send, and finds nothing against them.

use crate::byte_server::{Reply, Server, ok, say};
use crate::harness::installed;
use http::header;
use mainspring_http::{Body, Client, Form, Method};
use std::io::Write;
use std::process::{Command, Stdio};

/// What it has to say against a request: lines that are neither praise nor information.
fn findings(request: &[u8]) -> Vec<String> {
    let mut command = Command::new("httplint");
    command.args(["--input", "request", "--now"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let fine = |line: &&str| {
        let line = line.trim_start();
        line.is_empty()
            || line.starts_with("###")
            || line.starts_with("* [GOOD]")
            || line.starts_with("* [INFO]")
    };
    let mut findings: Vec<String> =
        text.lines().filter(|line| !fine(line)).map(str::to_owned).collect();
    if !output.status.success() {
        findings.push(format!("it ended with {}", output.status));
    }
    findings
}

#[test]
fn it_finds_what_is_wrong() {
    if !installed(&["httplint"]) {
        return;
    }
    let wrong: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nbad field: x\r\n\r\n",
        b"GET /#fragment HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
    ];
    for request in wrong {
        assert_ne!(findings(request), [""; 0], "{}", request.escape_ascii());
    }
}

#[test]
fn it_finds_nothing_against_our_requests() {
    if !installed(&["httplint"]) {
        return;
    }
    let server = Server::new(|seen| match seen.line() {
        "GET /from" => say("HTTP/1.1 302 Found\r\nlocation: /to?x=ä#y\r\ncontent-length: 0\r\n\
             set-cookie: a=b\r\nset-cookie: c=\"d\"\r\n\r\n"),
        "GET /upgrade" => Reply::SayAndClose(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".into(),
        ),
        _ => ok("ok"),
    });
    mainspring::run(send_every_kind(&server));
    let seen = server.seen();
    assert!(seen.len() >= 16, "{} requests", seen.len());
    for request in seen {
        let whole = [request.head.as_bytes(), b"\r\n\r\n", &request.body].concat();
        assert_eq!(findings(&whole), [""; 0], "{}", whole.escape_ascii());
    }
}

async fn send_every_kind(server: &Server) {
    let builder = Client::builder();
    #[cfg(feature = "cookies")]
    let builder = builder.cookies(mainspring_http::CookieJar::new());
    let client = builder.build();
    let url = server.url("/a%20b/ü?q=a b|c&d='e'#f");
    let stream = || Body::stream(futures::stream::iter([Ok("pieces".into()), Ok("!".into())]));
    let form = Form::new().text("a", "b").file("c", "ü.txt", "text/plain", "d");
    let requests = [
        client.get(&url),
        client.head(&url),
        client.delete(&url),
        client.get(server.url("/from")),
        client.get(server.url("/to")),
        client.request(Method::OPTIONS, &url),
        client.get(&url).query([("a b", "ü&=")]),
        client.get(&url).basic_auth("me", "pässword"),
        client.get(&url).bearer_auth("a.b-c_d~e+f/g="),
        client.get(&url).header(header::RANGE, "bytes=0-9"),
        client.get(&url).header(header::CONNECTION, "close"),
        client.get(server.url("/upgrade")).header(header::UPGRADE, "x"),
        client.post(&url),
        client.post(&url).body("text").header(header::CONTENT_TYPE, "text/plain;charset=utf-8"),
        client.post(&url).json(&["ü"]),
        client.put(&url).form([("a b", "ü&=")]),
        client.patch(&url).multipart(form),
        client.post(&url).body(stream()).header(header::CONTENT_TYPE, "text/plain"),
    ];
    for request in requests {
        request.send().await.unwrap();
    }
}
