//! The demo site on the wire: what it answers, byte for byte, and when it hangs up.

mod cli_support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use cli_support::Site;

/// Sends these bytes on one connection, says that there will be no more, and returns all that
/// comes.
fn exchange(site: &Site, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.address()).expect("it listens");
    stream.write_all(bytes).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("connected");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("text");
    answers
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {len}\r\n{fields}\r\n{body}"
    )
}

#[test]
fn a_connection_is_kept_and_requests_may_come_early() {
    let site = Site::start(&[]);
    let hello = answer("200 OK", "", "Hello\n");
    let head = answer("200 OK", "", "Hello\n").trim_end_matches("Hello\n").to_owned();
    let requests = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n\
                    POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345\
                    HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n\
                    GET /hello/Zo%C3%AB HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n\
                    GET /never/read HTTP/1.1\r\nHost: h\r\n\r\n";
    let refused =
        answer("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "405 Method Not Allowed\n");
    let last = answer("200 OK", "Connection: close\r\n", "Hello, Zoë\n");
    assert_eq!(exchange(&site, requests.as_bytes()), hello + &refused + &head + &last);
}

#[test]
fn what_is_no_request_is_refused_and_the_answer_arrives() {
    let site = Site::start(&[]);
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(40_000));
    for (request, status) in [
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n", "505 HTTP Version Not Supported"),
        (long.as_str(), "431 Request Header Fields Too Large"),
    ] {
        let refused = answer(status, "Connection: close\r\n", &format!("{status}\n"));
        assert_eq!(exchange(&site, request.as_bytes()), refused, "{request:.40}");
    }
}

#[test]
fn an_old_client_is_hung_up_on_unless_it_asks_otherwise() {
    let site = Site::start(&[]);
    let close = answer("200 OK", "Connection: close\r\n", "Hello\n");
    assert_eq!(exchange(&site, b"GET /hello HTTP/1.0\r\n\r\n"), close);
    let twice = "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2);
    assert_eq!(exchange(&site, twice.as_bytes()), answer("200 OK", "", "Hello\n").repeat(2));
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_no_other() {
    let site = Site::start(&[]);
    assert_eq!(exchange(&site, b""), "");
    assert_eq!(exchange(&site, b"GET /hel"), "");
    assert_eq!(exchange(&site, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx"), "");
    drop(TcpStream::connect(site.address()).expect("it listens"));
    let hello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(exchange(&site, hello.as_bytes()), answer("200 OK", "", "Hello\n"));
}
