//! Drives the decoder over a wire sample in every way it could arrive, and puts what it made of it
//! into one line of text, so that a table can hold the whole expectation.

#![allow(dead_code, reason = "each test file uses what it needs")]

use mainspring_http::proto::{Event, Limits, ProtocolError, RequestKind, ResponseDecoder};
use std::fmt::Write;

/// What the decoder makes of `wire`, followed by the end of the connection, whole, byte by byte,
/// and cut in two at every position. All must agree, or this panics.
pub fn outcome(request: RequestKind, wire: &[u8]) -> String {
    let whole = run(request, &[wire]);
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_same(&run(request, &bytes), &whole, "byte by byte");
    // Every cut of a long sample would take minutes and find nothing that a short one does not.
    let step = 1 + wire.len() / 512;
    for cut in (0..wire.len()).step_by(step) {
        let (start, end) = wire.split_at(cut);
        assert_same(&run(request, &[start, end]), &whole, &format!("cut at {cut}"));
    }
    // After a response that ends by itself nothing more is taken; the surplus is seen as such.
    if whole.ends_with(" | reuse") && !whole.contains("left over") {
        let mut longer = wire.to_vec();
        longer.extend_from_slice(b"HTTP/1.1 200 SURPLUS\r\n\r\n");
        let expected = whole.replace(" | reuse", " | 24 bytes left over | reuse");
        assert_eq!(run(request, &[&longer]), expected, "with bytes after it");
    }
    whole
}

/// An outcome without what its error quotes.
pub fn quoteless(text: &str) -> String {
    match (text.find("ERROR"), text.rfind('"')) {
        (Some(at), Some(end)) if end > at => {
            let start = at + text[at..].find('"').unwrap_or(0);
            format!("{}{}", &text[..start], &text[end..])
        }
        _ => text.to_owned(),
    }
}

/// How much of a peer's line an error can quote depends on how much of it had arrived; all else
/// must be the same.
fn assert_same(left: &str, whole: &str, how: &str) {
    assert_eq!(quoteless(left), quoteless(whole), "{how}: {left}\nwhole: {whole}");
}

fn run(request: RequestKind, pieces: &[&[u8]]) -> String {
    let mut decoder = ResponseDecoder::new(request, Limits::default());
    let mut text = String::new();
    let mut body = Vec::new();
    let mut left_over = 0;
    for piece in pieces {
        let mut piece = *piece;
        loop {
            let (taken, event) = match decoder.decode(piece) {
                Ok(step) => step,
                Err(error) => return failed(text, &body, &error),
            };
            piece = &piece[taken..];
            match event {
                Event::NeedMore => {
                    assert!(piece.is_empty(), "asked for more with bytes in hand");
                    break;
                }
                Event::Interim(head) => write!(text, "{} ", head.status.as_u16()).unwrap(),
                Event::Head(head) => {
                    write!(text, "{:?} {}", head.version, head.status.as_u16()).unwrap();
                    for (name, value) in head.headers() {
                        let value = value.as_bytes().escape_ascii();
                        write!(text, " | {name}: {value}").unwrap();
                    }
                    // What comes over a tunnel is no body: it is left as it is.
                    if decoder.is_done() {
                        left_over += piece.len();
                        break;
                    }
                }
                Event::Data(data) => {
                    body.extend_from_slice(data);
                    if decoder.is_done() {
                        left_over += piece.len();
                        break;
                    }
                }
                Event::End(trailers) => {
                    for (name, value) in &trailers {
                        let value = value.as_bytes().escape_ascii();
                        write!(text, " | trailer {name}: {value}").unwrap();
                    }
                    left_over += piece.len();
                    break;
                }
            }
        }
    }
    if let Err(error) = decoder.eof() {
        return failed(text, &body, &error);
    }
    assert_eq!(decoder.body_received(), body.len() as u64);
    if !body.is_empty() {
        write!(text, " | {}", show(&body)).unwrap();
    }
    if left_over > 0 {
        write!(text, " | {left_over} bytes left over").unwrap();
    }
    match decoder.close_reason() {
        None => text + " | reuse",
        Some(reason) => format!("{text} | close: {reason}"),
    }
}

fn failed(mut text: String, body: &[u8], error: &ProtocolError) -> String {
    if !body.is_empty() {
        write!(text, " | {} | ", show(body)).unwrap();
    } else if !text.is_empty() {
        text.push_str(" | ");
    }
    write!(text, "ERROR {error}").unwrap();
    text
}

/// A body, or its length if it is long.
pub fn show(body: &[u8]) -> String {
    if body.len() > 64 {
        format!("{} bytes", body.len())
    } else {
        format!("\"{}\"", body.escape_ascii())
    }
}
