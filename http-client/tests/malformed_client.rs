//! What the client makes of the same responses as `malformed.rs`, over a socket: all bytes at
//! once, and one by one, each read before the next is sent.

mod support {
    pub mod by_hand;
    pub mod drive;
    pub mod table;
}

use futures::AsyncReadExt;
use mainspring::Runtime;
use mainspring_http::proto::ResponseDecoder;
use mainspring_http::{Client, ErrorKind, Method, RequestBuilder};
use std::fmt::Write as _;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use support::by_hand::read_head;
use support::drive::{quoteless, show};
use support::table::{self, Row};

/// How the bytes of a response come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    AtOnce,
    ByteByByte,
}

#[test]
fn the_client_agrees_with_every_row() {
    let mut runtime = Runtime::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut compared, mut wrong) = (0, String::new());
    for row in table::rows() {
        for pace in [Pace::AtOnce, Pace::ByteByByte] {
            let got = outcome(&mut runtime, &listener, &row, pace);
            let expected = expected(&row, pace);
            if quoteless(&got) != quoteless(&expected) {
                let Row { section, line, .. } = row;
                writeln!(wrong, "{section}\n{line}\n    {pace:?}: {got}\n    not {expected}\n")
                    .unwrap();
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "rows that came out otherwise:\n\n{wrong}");
    assert!(compared >= 788, "{compared} compared");
}

/// The row's outcome as a user of the client sees it.
fn expected(row: &Row, pace: Pace) -> String {
    let mut text = row.outcome;
    if text.starts_with("ERROR the connection ended after 0 bytes") {
        return "ERROR the peer closed the connection without an answer".to_owned();
    }
    // Interim responses are not shown.
    while text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        text = text.split_once(' ').map_or("", |(_, rest)| rest);
    }
    let text = text.trim_start_matches([' ', '|']);
    let Some((before, rest)) = text.split_once(" bytes left over") else {
        return text.to_owned();
    };
    if rest.ends_with("another protocol") {
        // They are the first of that protocol.
        return text.to_owned();
    }
    let before = before.rsplit_once(" | ").map_or("", |(before, _)| before);
    match (rest, pace) {
        (" | reuse", Pace::AtOnce) => {
            format!("{before} | close: bytes after the end of the response")
        }
        // They come when the connection is back in the pool already.
        _ => format!("{before}{rest}"),
    }
}

fn outcome(runtime: &mut Runtime, listener: &TcpListener, row: &Row, pace: Pace) -> String {
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = Client::builder().decompress(false).max_redirects(0).build();
    let method = match row.kind {
        "HEAD" => Method::HEAD,
        "CONNECT" => Method::CONNECT,
        _ => Method::GET,
    };
    let mut request = client.request(method, url);
    match row.kind {
        "UPGRADE" => request = request.header("connection", "upgrade").header("upgrade", "x"),
        "CLOSE" => request = request.header("connection", "close"),
        _ => {}
    }
    let told = runtime.spawn(tell(client, request, row.kind == "CONNECT"));
    runtime.run_until_idle();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    read_head(runtime, &mut stream);
    stream.set_nonblocking(false).unwrap();
    let step = if pace == Pace::AtOnce { row.wire.len().max(1) } else { 1 };
    for piece in row.wire.chunks(step) {
        // A client that has seen enough may be gone.
        if stream.write_all(piece).is_err() {
            break;
        }
        runtime.run_until_idle();
    }
    if !ends_by_itself(row) || is_tunnel(row) {
        stream.shutdown(Shutdown::Write).unwrap_or_default();
    }
    runtime.block_on(told).unwrap()
}

/// Whether a reader knows the end without that of the connection.
fn ends_by_itself(row: &Row) -> bool {
    let mut decoder = ResponseDecoder::new(row.request_kind(), Default::default());
    let mut rest = &row.wire[..];
    while !decoder.is_done() && !rest.is_empty() {
        match decoder.decode(rest) {
            Ok((taken, _)) => rest = &rest[taken..],
            Err(_) => return true,
        }
    }
    decoder.is_done()
}

/// Whether what comes behind the head ends with the connection, as it is of another protocol.
fn is_tunnel(row: &Row) -> bool {
    row.outcome.ends_with("another protocol")
}

/// Sends a request, and puts all that came of it into one line.
async fn tell(client: Client, request: RequestBuilder, connects: bool) -> String {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failure(&error),
    };
    let mut text = format!("{:?} {}", response.version(), response.status().as_u16());
    for (name, value) in response.headers() {
        write!(text, " | {name}: {}", value.as_bytes().escape_ascii()).unwrap();
    }
    let switched = response.status().as_u16() == 101;
    if switched || (connects && response.status().is_success()) {
        let mut other = Vec::new();
        response.upgrade().unwrap().read_to_end(&mut other).await.unwrap();
        if !other.is_empty() {
            write!(text, " | {} bytes left over", other.len()).unwrap();
        }
        return text + " | close: switched to another protocol";
    }
    let mut body = Vec::new();
    let mut error = None;
    while let Some(piece) = response.chunk().await.transpose() {
        match piece {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(told) => error = Some(failure(&told)),
        }
    }
    for (name, value) in response.trailers().into_iter().flatten() {
        write!(text, " | trailer {name}: {}", value.as_bytes().escape_ascii()).unwrap();
    }
    if !body.is_empty() {
        write!(text, " | {}", show(&body)).unwrap();
    }
    if let Some(error) = error {
        return format!("{text} | {error}");
    }
    match client.stats().close_reasons().next() {
        None => text + " | reuse",
        Some((reason, _)) => format!("{text} | close: {reason}"),
    }
}

fn failure(error: &mainspring_http::Error) -> String {
    match error.kind() {
        ErrorKind::Protocol(source) => format!("ERROR {source}"),
        other => format!("ERROR {other}"),
    }
}
