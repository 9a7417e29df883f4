//! What `ureq-proto` makes of a response: another client's machine without I/O, written by others
//! after the same RFCs. What both read, they must read alike; where they differ in what they take,
//! it is for one of the reasons that are listed here.

use mainspring_http::HeaderMap;
use mainspring_http::proto::{ProtocolError, RequestKind};
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::{Method, Request};

/// The longest line with the size of a chunk that it takes, extensions included.
const CHUNK_LINE_BYTES: usize = 20;

/// A response that was read to its end.
#[derive(Debug, PartialEq)]
pub struct Reading {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Bytes behind the end of the response.
    pub left_over: usize,
    /// Whether the connection can carry another exchange.
    pub reusable: bool,
}

/// What becomes of bytes that are followed by the end of the connection.
#[derive(Debug)]
pub enum Peer {
    Whole(Reading),
    CutShort,
    Refused(#[expect(dead_code, reason = "told by Debug")] ureq_proto::Error),
}

/// Compares our reading of `wire`, or our error, with the peer's.
///
/// # Errors
/// How they contradict each other.
pub fn compare(
    request: RequestKind,
    wire: &[u8],
    ours: Result<&Reading, &ProtocolError>,
) -> Result<(), String> {
    let theirs = read(request, wire);
    // It ignores the field in HTTP/1.0, and reads up to the end of the connection. A client has to
    // read chunks there as well, and to close behind them (RFC 9112 §6.1).
    let old = |headers: &HeaderMap| {
        headers.contains_key("transfer-encoding") && contains(wire, b"HTTP/1.0")
    };
    match (ours, &theirs) {
        (Ok(ours), Peer::Whole(theirs)) => {
            let Reading { status, headers, body, left_over, reusable } = theirs;
            let alike = (ours.status, &ours.headers, &ours.body) == (*status, headers, body);
            // Who trusts less closes more often; that must be we.
            let ends_alike = ours.left_over == *left_over && (*reusable || !ours.reusable);
            let ends_alike = ends_alike || ends_in_trailers(wire);
            if alike && ends_alike || old(headers) && !ours.reusable {
                Ok(())
            } else {
                Err("read otherwise")
            }
        }
        (Ok(_), _) if stricter(wire) => Ok(()),
        (Ok(_), _) => Err("taken by us alone"),
        (Err(error), Peer::Whole(theirs)) if !ours_alone(error, wire) && !old(&theirs.headers) => {
            Err("refused by us alone")
        }
        (Err(_), _) => Ok(()),
    }
    .map_err(|what| format!("{what}: {ours:?}\nand by the peer: {theirs:?}"))
}

/// What the peer refuses, or never sees the end of, and we take.
fn stricter(wire: &[u8]) -> bool {
    let has = |part| contains(wire, part);
    // Folded fields, which a client has to unfold or to refuse (RFC 9112 §5.2).
    let folded = has(b"\n ") || has(b"\n\t");
    // Blanks before a colon, and control characters in a value, as browsers, curl and aiohttp take them.
    let spaced = has(b" :") || has(b"\t:");
    let controls = wire.iter().any(|byte| byte.is_ascii_control() && !b"\r\n\t\0".contains(byte));
    // Fields in a 100, which has no use for them, but may have them (RFC 9110 §15.2).
    let interim = has(b" 100");
    // Chunk extensions of some length, which are to be ignored (RFC 9112 §7.1.1).
    let long_line = wire.split(|byte| *byte == b'\n').any(|line| line.len() > CHUNK_LINE_BYTES);
    let extended = long_line && has(b"hunked");
    folded || spaced || controls || interim || extended || ends_in_trailers(wire)
}

fn contains(wire: &[u8], part: &[u8]) -> bool {
    wire.windows(part.len()).any(|window| window == part)
}

/// Whether there may be trailers. The peer skips them without a look: it takes what is no field, and
/// does not know the end of a line that has no CR (RFC 9112 §2.2 leaves that to the reader).
fn ends_in_trailers(wire: &[u8]) -> bool {
    behind_last_chunk(wire)
        .is_some_and(|rest| rest.iter().filter(|byte| **byte == b'\n').count() > 1)
}

/// What stands behind what may be the last chunk: the first `0` behind the head that ends a size.
fn behind_last_chunk(wire: &[u8]) -> Option<&[u8]> {
    let head = wire.windows(2).position(|pair| pair == b"\n\n" || pair == b"\n\r")?;
    let ends_size = |pair: &[u8]| matches!(pair, b"0\r" | b"0;" | b"0 " | b"0\t");
    let last = wire[head..].windows(2).position(ends_size)?;
    Some(&wire[head + last..])
}

/// Whether this is an error that we make of what others let pass.
fn ours_alone(error: &ProtocolError, wire: &[u8]) -> bool {
    match error {
        // It skips empty lines before the status line, which a server may (RFC 9112 §2.2), not a
        // client: they are the rest of something.
        ProtocolError::NotHttp { .. }
        // It does not look at trailers at all.
        | ProtocolError::HeaderName { .. }
        | ProtocolError::HeaderValue { .. }
        // Its limits are higher, or not there.
        | ProtocolError::TooManyHeaders { .. }
        | ProtocolError::HeadTooLarge { .. }
        | ProtocolError::TooManyInterim { .. }
        | ProtocolError::ChunkExtensionsTooLarge { .. }
        // It looks for `chunked` anywhere in the field, and ignores what else there is.
        | ProtocolError::TransferEncoding { .. }
        // It takes blanks and a plus sign around the size of a chunk.
        | ProtocolError::ChunkSize { .. }
        | ProtocolError::ChunkSizeTooLarge
        | ProtocolError::ChunkExtension { .. }
        // It leaves it to its user whether an upgrade was asked for.
        | ProtocolError::UnexpectedUpgrade => true,
        // Once the last chunk has come, it does not miss the end of the trailers.
        ProtocolError::BodyTruncated { expected: None, .. } => behind_last_chunk(wire).is_some(),
        _ => false,
    }
}

/// Reads one response.
pub fn read(request: RequestKind, wire: &[u8]) -> Peer {
    match begin(request).try_read(wire) {
        Ok(Some(reading)) => Peer::Whole(reading),
        Ok(None) => Peer::CutShort,
        Err(error) => Peer::Refused(error),
    }
}

/// A request of this kind, sent.
fn begin(kind: RequestKind) -> Reader {
    let method = match kind {
        RequestKind { head: true, .. } => Method::HEAD,
        RequestKind { connect: true, .. } => Method::CONNECT,
        _ => Method::GET,
    };
    let mut request = Request::builder().method(method).uri("http://a.test/");
    if kind.close {
        request = request.header("connection", "close");
    }
    let request = request.body(()).expect("a request");
    let mut call = Call::new(request).expect("a call").proceed();
    call.write(&mut [0; 1024]).expect("room for the head");
    match call.proceed() {
        Ok(Some(SendRequestResult::RecvResponse(call))) => Reader(call),
        _ => unreachable!("a request without a body, sent"),
    }
}

struct Reader(Call<RecvResponse>);

impl Reader {
    fn try_read(mut self, wire: &[u8]) -> Result<Option<Reading>, ureq_proto::Error> {
        let mut at = 0;
        let response = loop {
            let (taken, response) = self.0.try_response(&wire[at..], false)?;
            at += taken;
            match response {
                Some(response) => break response,
                None if taken == 0 => return Ok(None),
                // An interim response.
                None => {}
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let result = self.0.proceed().expect("the head is whole");
        let mut body = Vec::new();
        let call = match result {
            RecvResponseResult::RecvBody(mut call) => {
                at += read_body(&mut call, &wire[at..], &mut body)?;
                let ends = call.is_ended_chunked();
                match call.proceed() {
                    Some(RecvBodyResult::Cleanup(call)) => call,
                    Some(RecvBodyResult::Redirect(call)) => call.proceed(),
                    None if ends => {
                        let (left_over, reusable) = (0, false);
                        return Ok(Some(Reading { status, headers, body, left_over, reusable }));
                    }
                    None => return Ok(None),
                }
            }
            RecvResponseResult::Cleanup(call) => call,
            RecvResponseResult::Redirect(call) => call.proceed(),
        };
        let (left_over, reusable) = (wire.len() - at, !call.must_close_connection());
        Ok(Some(Reading { status, headers, body, left_over, reusable }))
    }
}

fn read_body(
    call: &mut Call<RecvBody>,
    wire: &[u8],
    body: &mut Vec<u8>,
) -> Result<usize, ureq_proto::Error> {
    let mut at = 0;
    loop {
        let mut piece = [0; 4096];
        let (taken, given) = call.read(&wire[at..], &mut piece)?;
        body.extend_from_slice(&piece[..given]);
        at += taken;
        if (taken, given) == (0, 0) {
            return Ok(at);
        }
    }
}
