//! The rows of `malformed.wire`: what was asked, the bytes that came back, and the whole outcome.

#![allow(dead_code, reason = "each test file uses what it needs")]

use mainspring_http::proto::RequestKind;

const TABLE: &str = include_str!("../malformed.wire");

pub struct Row {
    /// The section that rules on it.
    pub section: &'static str,
    /// The row as it stands in the table.
    pub line: &'static str,
    pub kind: &'static str,
    pub wire: Vec<u8>,
    pub outcome: &'static str,
}

impl Row {
    pub fn request_kind(&self) -> RequestKind {
        let plain = RequestKind::default();
        match self.kind {
            "GET" => plain,
            "HEAD" => RequestKind { head: true, ..plain },
            "CONNECT" => RequestKind { connect: true, ..plain },
            "UPGRADE" => RequestKind { upgrade: true, ..plain },
            "CLOSE" => RequestKind { close: true, ..plain },
            other => panic!("no such kind of request: {other}"),
        }
    }
}

pub fn rows() -> Vec<Row> {
    let mut section = "";
    let mut rows = Vec::new();
    let mut lines = TABLE.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("# ") {
            section = heading;
        } else if let Some((kind, wire)) = line.split_once('|') {
            assert!(section.starts_with("RFC 91"), "row before its section: {line}");
            let outcome = lines.next().unwrap_or_default().trim();
            rows.push(Row { section, line, kind, wire: unescape(wire), outcome });
        } else {
            assert!(line.is_empty(), "neither heading nor row: {line}");
        }
    }
    assert!(rows.len() >= 390, "the table was cut short: {} rows", rows.len());
    rows
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
