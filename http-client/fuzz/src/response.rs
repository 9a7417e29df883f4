//! Responses, and bodies in chunks: however the bytes are cut, the same comes out; and it is what
//! `httparse` and another client make of them, as far as that goes.

use crate::peer::{self, Reading};
use mainspring_http::HeaderMap;
use mainspring_http::proto::{
    ChunkedDecoder, CloseReason, Event, Limits, MAX_HEADER_COUNT, ProtocolError, RequestKind,
    ResponseDecoder,
};
use std::mem::{Discriminant, discriminant};

/// All that came out of a response.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    heads: Vec<(u16, HeaderMap)>,
    body: Vec<u8>,
    trailers: HeaderMap,
    left_over: usize,
    /// The kind alone: how much of a line an error can quote depends on how much of it had come.
    error: Option<Failure>,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct Failure(ProtocolError);

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        discriminant(&self.0) == discriminant(&other.0)
    }
}

/// The first byte says what was asked, the second where the rest is cut.
pub fn response(data: &[u8]) {
    let [kind, cut, wire @ ..] = data else { return };
    let request = RequestKind {
        head: kind & 1 != 0,
        connect: kind & 2 != 0,
        upgrade: kind & 4 != 0,
        close: kind & 8 != 0,
    };
    let whole = decode(request, [wire]);
    let (start, end) = wire.split_at(usize::from(*cut).min(wire.len()));
    assert_eq!(decode(request, [start, end]), whole, "cut at {}", start.len());
    assert_eq!(decode(request, wire.chunks(1)), whole, "byte by byte");
    compare_head(wire, &whole);
    compare_peer(request, wire, whole);
}

fn decode<'a>(request: RequestKind, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = ResponseDecoder::new(request, Limits::default());
    let mut outcome = Outcome::default();
    for mut piece in pieces {
        while !decoder.is_done() {
            let (taken, event) = match decoder.decode(piece) {
                Ok(step) => step,
                Err(error) => {
                    outcome.error = Some(Failure(error));
                    return outcome;
                }
            };
            piece = &piece[taken..];
            match event {
                Event::NeedMore => {
                    assert!(piece.is_empty(), "asks for more with bytes in hand");
                    break;
                }
                Event::Interim(head) | Event::Head(head) => {
                    outcome.heads.push((head.status.as_u16(), head.headers().clone()));
                }
                Event::Data(data) => outcome.body.extend_from_slice(data),
                Event::End(trailers) => outcome.trailers = trailers,
            }
        }
        outcome.left_over += piece.len();
    }
    assert_eq!(decoder.body_received(), outcome.body.len() as u64);
    match decoder.eof() {
        Ok(()) => outcome.close = decoder.close_reason(),
        Err(error) => outcome.error = Some(Failure(error)),
    }
    outcome
}

/// A head that we take is one for `httparse` as well, and says the same, but for control characters.
fn compare_head(wire: &[u8], outcome: &Outcome) {
    if wire.iter().any(|byte| byte.is_ascii_control() && !b"\r\n\t".contains(byte)) {
        return;
    }
    let Some((status, headers)) = outcome.heads.first() else { return };
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_COUNT];
    let mut theirs = httparse::Response::new(&mut fields);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response(&mut theirs, wire);
    assert!(matches!(parsed, Ok(httparse::Status::Complete(_))), "{parsed:?}: {outcome:?}");
    assert_eq!(theirs.code, Some(*status));
    assert_eq!(theirs.headers.len(), headers.len());
    for field in theirs.headers.iter() {
        let folded = field.value.contains(&b'\n');
        let found = headers.get_all(field.name).iter().any(|value| value == field.value);
        assert!(found || folded, "{}: {}", field.name, field.value.escape_ascii());
    }
}

/// What we read of a response, another client reads as well, unless there is a reason.
fn compare_peer(request: RequestKind, wire: &[u8], mut outcome: Outcome) {
    let (reading, error) = match outcome.error {
        Some(Failure(error)) => (None, Some(error)),
        None => {
            let (status, headers) = outcome.heads.pop().expect("without an error there is a head");
            let Outcome { body, left_over, close, .. } = outcome;
            (Some(Reading { status, headers, body, left_over, reusable: close.is_none() }), None)
        }
    };
    let ours = reading.as_ref().ok_or_else(|| error.as_ref().expect("one of both"));
    if let Err(contradiction) = peer::compare(request, wire, ours) {
        panic!("{contradiction}");
    }
}

/// The first byte says where the rest is cut.
pub fn chunks(data: &[u8]) {
    let [cut, wire @ ..] = data else { return };
    let whole = unchunk([wire]);
    let (start, end) = wire.split_at(usize::from(*cut).min(wire.len()));
    assert_eq!(unchunk([start, end]), whole, "cut at {}", start.len());
    assert_eq!(unchunk(wire.chunks(1)), whole, "byte by byte");
    // What we take whole, the reference takes as well, and reads the same.
    if let (body, Some(taken), None) = &whole {
        let (theirs, rest) = reference(wire).expect("it takes all that we take");
        assert_eq!((&theirs, rest), (body, wire.len() - taken));
    }
}

type Unchunked = (Vec<u8>, Option<usize>, Option<Discriminant<ProtocolError>>);

/// The body, how many bytes it took if it is whole, and the error if there is one.
fn unchunk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Unchunked {
    let limits = Limits::default();
    let mut decoder = ChunkedDecoder::new();
    let (mut body, mut at) = (Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let (taken, event) = match decoder.decode(piece, &limits) {
                Ok(step) => step,
                Err(error) => return (body, None, Some(discriminant(&error))),
            };
            piece = &piece[taken..];
            at += taken;
            match event {
                Event::NeedMore => break,
                Event::Data(data) => body.extend_from_slice(data),
                Event::End(_) => return (body, Some(at), None),
                Event::Interim(_) | Event::Head(_) => unreachable!("a body has no head"),
            }
        }
    }
    (body, None, None)
}

/// A decoder in as few lines as it takes: the sizes by `httparse`, and so the trailers. The body,
/// and how many bytes are left.
fn reference(mut wire: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((taken, size))) = httparse::parse_chunk_size(wire) else {
            return None;
        };
        wire = &wire[taken..];
        if size == 0 {
            let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_COUNT];
            let Ok(httparse::Status::Complete((taken, _))) =
                httparse::parse_headers(wire, &mut fields)
            else {
                return None;
            };
            return Some((body, wire.len() - taken));
        }
        let (chunk, rest) = wire.split_at_checked(usize::try_from(size).ok()?)?;
        body.extend_from_slice(chunk);
        wire = rest.strip_prefix(b"\r\n")?;
    }
}
