//! What the decoder makes of malformed, odd and merely rare responses, row by row.
//!
//! The rows stand in `malformed.wire`: under a heading with the section that rules on them, the
//! kind of request and the bytes that came back, and below that, indented, the whole outcome. Each
//! is fed whole, byte by byte, and cut in two at every position.

mod support {
    pub mod drive;
}

use mainspring_http::proto::RequestKind;
use std::fmt::Write;

const TABLE: &str = include_str!("malformed.wire");

#[test]
fn every_row_has_its_outcome() {
    let mut section = "";
    let mut rows = 0;
    let mut wrong = String::new();
    let mut lines = TABLE.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("# ") {
            section = heading;
        } else if let Some((kind, wire)) = line.split_once('|') {
            assert!(section.starts_with("RFC 91"), "row before its section: {line}");
            let expected = lines.next().unwrap_or_default().trim();
            let got = support::drive::outcome(request_kind(kind), &unescape(wire));
            if got != expected {
                writeln!(wrong, "{section}\n{line}\n    {got}\n").unwrap();
            }
            rows += 1;
        } else {
            assert!(line.is_empty(), "neither heading nor row: {line}");
        }
    }
    assert!(wrong.is_empty(), "rows that came out otherwise:\n\n{wrong}");
    assert!(rows >= 390, "the table was cut short: {rows} rows");
}

fn request_kind(name: &str) -> RequestKind {
    let plain = RequestKind::default();
    match name {
        "GET" => plain,
        "HEAD" => RequestKind { head: true, ..plain },
        "CONNECT" => RequestKind { connect: true, ..plain },
        "UPGRADE" => RequestKind { upgrade: true, ..plain },
        "CLOSE" => RequestKind { close: true, ..plain },
        other => panic!("no such kind of request: {other}"),
    }
}

/// Rust's escapes of a byte string.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().expect("an escape") {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                    let digits = std::str::from_utf8(&digits).expect("hex digits");
                    u8::from_str_radix(digits, 16).expect("hex digits")
                }
                other => panic!("no such escape: \\{}", char::from(other)),
            },
            plain => plain,
        });
    }
    bytes
}
