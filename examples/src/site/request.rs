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

/// Reads one request head from the start of `bytes`; says how many bytes it took, or `None` while it
/// is not yet whole.
///
/// # Errors
/// The status of the answer, after which the connection closes.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, StatusCode> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => {
            Ok(Some((request(&parsed)?, len)))
        }
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        Err(httparse::Error::Version) => Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

fn request(parsed: &httparse::Request<'_, '_>) -> Result<Request, StatusCode> {
    let bad = StatusCode::BAD_REQUEST;
    let method = parsed.method.ok_or(bad)?.parse().map_err(|_| bad)?;
    let target = parsed.path.ok_or(bad)?.to_owned();
    let mut keep_alive = parsed.version == Some(1);
    let (mut length, mut host) = (None::<u64>, None);
    for field in parsed.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default();
        match &*field.name.to_ascii_lowercase() {
            "connection" => {
                for option in value.split(',').map(str::trim) {
                    let is_close = option.eq_ignore_ascii_case("close");
                    let is_keep_alive = option.eq_ignore_ascii_case("keep-alive");
                    keep_alive = is_keep_alive || (keep_alive && !is_close);
                }
            }
            // RFC 9110 §8.6: digits only, and two that disagree make the message unreadable.
            "content-length" => {
                let value = value.parse().ok().filter(|_| !value.starts_with('+')).ok_or(bad)?;
                if length.replace(value).is_some_and(|other| other != value) {
                    return Err(bad);
                }
            }
            // RFC 9112 §6.1: a coding the server does not read is answered with 501.
            "transfer-encoding" => return Err(StatusCode::NOT_IMPLEMENTED),
            // RFC 9112 §3.2: more than one Host is a bad request, and so is none in HTTP/1.1.
            "host" if host.is_some() => return Err(bad),
            "host" => host = Some(value.to_owned()),
            _ => {}
        }
    }
    let body = length.unwrap_or(0);
    if body > MAX_BODY {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if parsed.version == Some(1) && host.is_none() {
        return Err(bad);
    }
    Ok(Request { method, target, host: host.unwrap_or_default(), keep_alive, body })
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
            assert_eq!(parse(&GET[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(parse(GET), Ok(Some((get("/detail/7?x=1", "a", true), GET.len()))));
        let twice = [GET, GET].concat();
        assert_eq!(parse(&twice), Ok(Some((get("/detail/7?x=1", "a", true), GET.len()))));
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
                Ok(Some((get("/", host, keep_alive), head.len()))),
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
            let refused = Err(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(parse(head.as_bytes()), refused, "{rest:.60}");
        }
        assert_eq!(parse(b"GET / HTTP/2.0\r\n"), Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED));
        assert_eq!(parse(&[b'a'; MAX_HEAD + 1]), Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        assert_eq!(parse(b"\x00\x01"), Err(StatusCode::BAD_REQUEST));
    }
}
