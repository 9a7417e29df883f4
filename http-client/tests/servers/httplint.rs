//! `httplint` reads the requests that we send, and finds nothing against them.

use crate::byte_server::{Reply, Server, ok, say};
use crate::harness::has_module;
use http::header;
use mainspring_http::{Body, Client, Form, Method};
use std::process::{Command, Stdio};

/// What `httplint --input request` does, for a list of requests, so that Python starts once.
const LINT: &str = r#"
import contextlib, io, json, sys, time
from argparse import Namespace
from httplint.cli.http_parser import HttpCliParser, modes
from httplint.i18n import set_locale

def lint(request):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        parser = HttpCliParser(Namespace(mode=modes.REQUEST), time.time())
        parser.handle_input(request.encode("latin-1"))
    if parser.failed:
        print("it could not be parsed", file=said)
    return said.getvalue()

with set_locale(None):
    json.dump([lint(request) for request in json.load(sys.stdin)], sys.stdout)
"#;

/// What it has to say against each request: lines that are neither praise nor information.
fn findings(requests: &[Vec<u8>]) -> Vec<Vec<String>> {
    let mut command = Command::new("python3");
    command.args(["-c", LINT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A character for each byte: JSON holds no others.
    let texts: Vec<String> = requests
        .iter()
        .map(|request| request.iter().map(|byte| char::from(*byte)).collect())
        .collect();
    serde_json::to_writer(child.stdin.take().unwrap(), &texts).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let reports: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports.len(), requests.len());
    let is_against = |line: &&str| {
        let line = line.trim_start();
        let fine = ["###", "* [GOOD]", "* [INFO]"];
        !line.is_empty() && !fine.iter().any(|start| line.starts_with(start))
    };
    let against = |report: &String| report.lines().filter(is_against).map(str::to_owned).collect();
    reports.iter().map(against).collect()
}

#[test]
fn it_finds_what_is_wrong() {
    if !has_module("httplint") {
        return;
    }
    let wrong = [
        "GET / HTTP/1.1\r\nbad field: x\r\n\r\n",
        "GET /#fragment HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
    ];
    for (request, against) in wrong.iter().zip(findings(&wrong.map(Vec::from))) {
        assert_ne!(against, [""; 0], "{request}");
    }
}

#[test]
fn it_finds_nothing_against_our_requests() {
    if !has_module("httplint") {
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
    let whole = seen.iter().map(|seen| [seen.head.as_bytes(), b"\r\n\r\n", &seen.body].concat());
    let whole: Vec<Vec<u8>> = whole.collect();
    for (request, against) in whole.iter().zip(findings(&whole)) {
        assert_eq!(against, [""; 0], "{}", request.escape_ascii());
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
