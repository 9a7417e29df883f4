//! The rows of `malformed.wire`, as `ureq-proto` reads them: where both take a response, they read it
//! alike, and where only one of them does, there is a reason on the list.

mod support {
    pub mod table;
}

#[path = "../fuzz/src/peer.rs"]
mod peer;

use mainspring_http::proto::{Event, Limits, ProtocolError, RequestKind, ResponseDecoder};
use peer::{Peer, Reading};
use std::fmt::Write;
use support::table;

#[test]
fn another_client_reads_the_table_alike_or_differs_for_a_reason() {
    let (mut wrong, mut both, mut either) = (String::new(), 0, 0);
    for row in table::rows() {
        let ours = read(row.request_kind(), &row.wire);
        match (&ours, peer::read(row.request_kind(), &row.wire)) {
            (Ok(_), Peer::Whole(_)) => both += 1,
            (Err(_), Peer::Refused(_) | Peer::CutShort) => {}
            _ => either += 1,
        }
        if let Err(how) = peer::compare(row.request_kind(), &row.wire, ours.as_ref()) {
            writeln!(wrong, "{}\n{}\n{how}\n", row.section, row.line).unwrap();
        }
    }
    assert!(wrong.is_empty(), "rows that were read otherwise, without a reason:\n\n{wrong}");
    assert!(both >= 100 && either > 0, "{both} taken by both, {either} by one of them");
}

/// Our own reading of bytes that the end of the connection follows.
fn read(request: RequestKind, mut wire: &[u8]) -> Result<Reading, ProtocolError> {
    let mut decoder = ResponseDecoder::new(request, Limits::default());
    let (mut last, mut body) = (None, Vec::new());
    while !decoder.is_done() {
        let (taken, event) = decoder.decode(wire)?;
        wire = &wire[taken..];
        match event {
            Event::NeedMore => break,
            Event::Interim(_) | Event::End(_) => {}
            Event::Head(head) => last = Some((head.status.as_u16(), head.headers().clone())),
            Event::Data(data) => body.extend_from_slice(data),
        }
    }
    decoder.eof()?;
    let (status, headers) = last.expect("what ends well has a head");
    let (left_over, reusable) = (wire.len(), decoder.close_reason().is_none());
    Ok(Reading { status, headers, body, left_over, reusable })
}
