//! Reading request heads: bytes in, a request or the reason for refusing it out. No I/O.

use http::{Method, StatusCode};

/// The longest request head that is read, in bytes; a longer one is refused with 431.
pub const MAX_HEAD: usize = 8 * 1024;

/// The most header fields a request may have; one with more is refused with 431.
pub const MAX_HEADERS: usize = 64;

/// The longest request body that is read and thrown away, in bytes; a longer one is refused with
/// 413. The site has no use for bodies, but reading past a small one keeps the connection.
pub const MAX_BODY: u64 = 64 * 1024;

/// What the site needs to know of a request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its target: path and query, as sent.
    pub target: String,
    /// The host it was sent to, as the client calls it; empty if it did not say.
    pub host: String,
    /// Whether the client means to send more on this connection.
    pub keep_alive: bool,
    /// Bytes of body that follow the head.
    pub body: u64,
}

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq)]
pub enum Head {
    /// Not yet a whole head: read on.
    Partial,
    /// A request, and how many bytes its head took.
    Complete(Request, usize),
    /// Something that cannot be answered but with this status, after which the connection closes.
    Refused(StatusCode),
}

/// Reads one request head from the start of `bytes`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Head {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    let len = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => len,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Head::Partial,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Head::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        Err(httparse::Error::Version) => {
            return Head::Refused(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        }
        Err(_) => return Head::Refused(StatusCode::BAD_REQUEST),
    };
    match request(&parsed) {
        Ok(request) => Head::Complete(request, len),
        Err(status) => Head::Refused(status),
    }
}

fn request(parsed: &httparse::Request<'_, '_>) -> Result<Request, StatusCode> {
    let bad = StatusCode::BAD_REQUEST;
    let method = parsed.method.ok_or(bad)?.parse().map_err(|_| bad)?;
    let mut request = Request {
        method,
        target: parsed.path.ok_or(bad)?.to_owned(),
        host: String::new(),
        keep_alive: parsed.version == Some(1),
        body: 0,
    };
    let mut length: Option<u64> = None;
    let mut has_host = false;
    for field in parsed.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default();
        if field.name.eq_ignore_ascii_case("connection") {
            for option in value.split(',').map(str::trim) {
                if option.eq_ignore_ascii_case("close") {
                    request.keep_alive = false;
                } else if option.eq_ignore_ascii_case("keep-alive") {
                    request.keep_alive = true;
                }
            }
        } else if field.name.eq_ignore_ascii_case("content-length") {
            // RFC 9110 §8.6: digits only, and two that disagree make the message unreadable.
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let value = value.parse().ok().filter(|_| digits).ok_or(bad)?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(bad);
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            // RFC 9112 §6.1: a coding the server does not read is answered with 501.
            return Err(StatusCode::NOT_IMPLEMENTED);
        } else if field.name.eq_ignore_ascii_case("host") {
            // RFC 9112 §3.2: more than one Host is a bad request, and so is none in HTTP/1.1.
            if std::mem::replace(&mut has_host, true) {
                return Err(bad);
            }
            request.host = value.to_owned();
        }
    }
    request.body = length.unwrap_or(0);
    if request.body > MAX_BODY {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if parsed.version == Some(1) && !has_host {
        return Err(bad);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET /detail/7?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";

    fn get(target: &str, host: &str, keep_alive: bool) -> Request {
        let host = host.to_owned();
        Request { method: Method::GET, target: target.to_owned(), host, keep_alive, body: 0 }
    }

    #[test]
    fn a_head_cut_anywhere_is_partial_and_whole_it_is_complete() {
        for cut in 0..GET.len() {
            assert_eq!(parse(&GET[..cut]), Head::Partial, "cut at {cut}");
        }
        assert_eq!(parse(GET), Head::Complete(get("/detail/7?x=1", "a", true), GET.len()));
        let twice = [GET, GET].concat();
        assert_eq!(parse(&twice), Head::Complete(get("/detail/7?x=1", "a", true), GET.len()));
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        for (head, host, keep_alive) in [
            ("GET / HTTP/1.0\r\n\r\n", "", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "a", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", "a", false),
        ] {
            assert_eq!(
                parse(head.as_bytes()),
                Head::Complete(get("/", host, keep_alive), head.len()),
                "{head:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_its_status() {
        let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
        let long = format!("x: {}\r\n", "y".repeat(MAX_HEAD));
        for (rest, status) in [
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
            ("Host: a\r\nContent-Length: +1\r\n", 400),
            ("Host: a\r\nContent-Length:\r\n", 400),
            ("Host: a\r\nContent-Length: 18446744073709551616\r\n", 400),
            ("Host: a\r\nContent-Length: 65537\r\n", 413),
            ("Host: a\r\nTransfer-Encoding: chunked\r\n", 501),
            ("Host: a\r\nHost: b\r\n", 400),
            ("", 400),
            ("no colon\r\n", 400),
            (&many, 431),
            (&long, 431),
        ] {
            let head = format!("POST / HTTP/1.1\r\n{rest}\r\n");
            let refused = Head::Refused(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(parse(head.as_bytes()), refused, "{rest:.60}");
        }
        assert_eq!(
            parse(b"GET / HTTP/2.0\r\n"),
            Head::Refused(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
        );
        assert_eq!(
            parse(&[b'a'; MAX_HEAD + 1]),
            Head::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        );
        assert_eq!(parse(b"\x00\x01"), Head::Refused(StatusCode::BAD_REQUEST));
    }
}
