//! Limits, reuse facts, the encoder, and random responses cut at random places.

use http::{HeaderMap, HeaderValue};
use mainspring_http::proto::{
    Event, Limits, ProtocolError, RequestKind, ResponseDecoder, encode_chunk, encode_last_chunk,
};
use proptest::prelude::*;
use std::time::Duration;

/// Feeds `wire` in pieces of `piece` bytes; the body and whether the end was seen.
fn read(wire: &[u8], piece: usize, limits: Limits) -> Result<(Vec<u8>, bool), ProtocolError> {
    let mut decoder = ResponseDecoder::new(RequestKind::default(), limits);
    let mut body = Vec::new();
    for mut input in wire.chunks(piece.max(1)) {
        loop {
            let (taken, event) = decoder.decode(input)?;
            input = &input[taken..];
            match event {
                Event::NeedMore => break,
                Event::Data(data) => body.extend_from_slice(data),
                Event::End(_) => return Ok((body, true)),
                Event::Interim(_) | Event::Head(_) => {}
            }
        }
    }
    Ok((body, decoder.is_done()))
}

/// Whole and byte by byte, which must agree.
fn read_both(wire: &[u8], limits: Limits) -> Result<(Vec<u8>, bool), ProtocolError> {
    let whole = read(wire, wire.len(), limits);
    assert_eq!(read(wire, 1, limits), whole, "{}", wire.escape_ascii());
    whole
}

#[test]
fn a_head_may_be_as_long_as_its_limit_and_no_longer() {
    let head = b"HTTP/1.1 204 No Content\r\nx: 0123456789\r\n\r\n";
    let limits = |head_bytes| Limits { head_bytes, ..Limits::default() };
    assert_eq!(read_both(head, limits(head.len())), Ok((vec![], true)));
    let limit = head.len() - 1;
    let error = ProtocolError::HeadTooLarge { limit };
    assert_eq!(read_both(head, limits(limit)), Err(error.clone()));
    // The limit holds without the end of the head ever coming.
    assert_eq!(read_both(&head[..limit], limits(limit)), Err(error));
}

#[test]
fn a_head_may_hold_as_many_fields_as_its_limit_and_no_more() {
    let limits = |header_count| Limits { header_count, ..Limits::default() };
    let head = |count: usize| format!("HTTP/1.1 204 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(read_both(head(3).as_bytes(), limits(3)), Ok((vec![], true)));
    let error = ProtocolError::TooManyHeaders { limit: 3 };
    assert_eq!(read_both(head(4).as_bytes(), limits(3)), Err(error));
    assert_eq!(read_both(head(256).as_bytes(), limits(9999)), Ok((vec![], true)));
    let error = ProtocolError::TooManyHeaders { limit: 256 };
    assert_eq!(read_both(head(257).as_bytes(), limits(9999)), Err(error));
}

#[test]
fn trailers_share_the_limits_of_a_head() {
    let wire = |trailers: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{trailers}\r\n")
    };
    let limits = Limits { header_count: 2, head_bytes: 64, ..Limits::default() };
    assert_eq!(read_both(wire("a: 1\r\nb: 2\r\n").as_bytes(), limits), Ok((vec![], true)));
    let error = ProtocolError::TooManyHeaders { limit: 2 };
    assert_eq!(read_both(wire("a: 1\r\nb: 2\r\nc: 3\r\n").as_bytes(), limits), Err(error));
    let long = format!("a: {}\r\n", "x".repeat(64));
    let error = ProtocolError::HeadTooLarge { limit: 64 };
    assert_eq!(read_both(wire(&long).as_bytes(), limits), Err(error));
}

#[test]
fn chunk_extensions_of_a_body_share_one_limit() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let limits = Limits { chunk_extension_bytes: 8, ..Limits::default() };
    let wire = format!("{head}1;abcd\r\nx\r\n1;abcd\r\ny\r\n0\r\n\r\n");
    assert_eq!(read_both(wire.as_bytes(), limits), Ok((b"xy".to_vec(), true)));
    let error = ProtocolError::ChunkExtensionsTooLarge { limit: 8 };
    let wire = format!("{head}1;abcd\r\nx\r\n1;abcde\r\n");
    assert_eq!(read_both(wire.as_bytes(), limits), Err(error.clone()));
    let wire = format!("{head}1{}", " ".repeat(9));
    assert_eq!(read_both(wire.as_bytes(), limits), Err(error));
}

#[test]
fn interim_responses_are_counted() {
    let limits = Limits { interim_responses: 2, ..Limits::default() };
    let wire = |count: usize| {
        format!("{}HTTP/1.1 204 OK\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count))
    };
    assert_eq!(read_both(wire(2).as_bytes(), limits), Ok((vec![], true)));
    let error = ProtocolError::TooManyInterim { limit: 2 };
    assert_eq!(read_both(wire(3).as_bytes(), limits), Err(error));
}

#[test]
fn keep_alive_timeout_is_read_and_nonsense_ignored() {
    for (value, seconds) in [
        ("timeout=5", Some(5)),
        ("timeout=5, max=100", Some(5)),
        ("max=100,Timeout=7", Some(7)),
        ("max=100", None),
        ("timeout=", None),
        ("timeout=-1", None),
        ("timeout=1.5", None),
        ("timeout = 5", None),
        ("timeout=99999999999999999999", None),
        ("5", None),
        ("", None),
    ] {
        let wire = format!("HTTP/1.1 204 OK\r\nkeep-alive: {value}\r\n\r\n");
        let mut decoder = ResponseDecoder::new(RequestKind::default(), Limits::default());
        let (_, event) = decoder.decode(wire.as_bytes()).unwrap();
        let Event::Head(head) = event else { panic!("a head: {event:?}") };
        assert_eq!(head.facts.keep_alive_timeout, seconds.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn reason_phrases_are_for_people() {
    for (line, reason) in [
        ("200 OK", "OK"),
        ("404 Not Found", "Not Found"),
        ("200", ""),
        ("200 ", ""),
        ("200 \u{4f60}", "\\xe4\\xbd\\xa0"),
    ] {
        let wire = format!("HTTP/1.1 {line}\r\n\r\n");
        let mut decoder = ResponseDecoder::new(RequestKind::default(), Limits::default());
        let (_, event) = decoder.decode(wire.as_bytes()).unwrap();
        let Event::Head(head) = event else { panic!("a head: {event:?}") };
        assert_eq!(head.reason(), reason);
    }
}

#[test]
fn a_head_that_drips_in_costs_one_pass() {
    // 60 KB of head, one byte at a time: parsing from the start each time would take 1.8 GB of
    // byte visits, which this test would not finish.
    let wire = format!("HTTP/1.1 204 OK\r\n{}\r\n", "x: 0123456789\r\n".repeat(99));
    let long = wire.replace("0123456789", &"v".repeat(580));
    assert!(long.len() > 57_000);
    assert_eq!(read(long.as_bytes(), 1, Limits::default()), Ok((vec![], true)));
}

#[test]
fn chunks_are_written_as_the_grammar_says() {
    let mut out = Vec::new();
    encode_chunk(&mut out, b"hello");
    encode_chunk(&mut out, b"");
    encode_chunk(&mut out, &[b'x'; 0x1a2]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    encode_last_chunk(&mut out, &trailers);
    let long = "x".repeat(0x1a2);
    let expected = format!("5\r\nhello\r\n1a2\r\n{long}\r\n0\r\nx-sum: 7\r\n\r\n");
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

proptest! {
    #[test]
    fn what_the_encoder_writes_the_decoder_reads(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        piece in 1..700_usize,
    ) {
        let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            encode_chunk(&mut wire, chunk);
        }
        encode_last_chunk(&mut wire, &HeaderMap::new());
        let read = read(&wire, piece, Limits::default());
        prop_assert_eq!(read, Ok((chunks.concat(), true)));
    }

    #[test]
    fn random_bytes_after_a_head_never_panic_and_cuts_never_matter(
        head in prop::sample::select(vec![
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        ]),
        rest in "[\\x00-\\x7f\\u{ff}: \r\n0-9a-f;,]{0,60}",
        piece in 1..40_usize,
    ) {
        let wire = [head.as_bytes(), rest.as_bytes()].concat();
        let whole = read(&wire, wire.len(), Limits::default());
        let pieces = read(&wire, piece, Limits::default());
        // A malformed line is told at once when it comes whole, else when its head is complete.
        match (&whole, &pieces) {
            (Err(_), _) => prop_assert!(!matches!(pieces, Ok((_, true)))),
            _ => prop_assert_eq!(&whole, &pieces),
        }
    }
}
