//! The request head and the framing of its body, written (RFC 9112 §3, §6).
//!
//! The head is appended to a buffer that the caller keeps and reuses. Nothing here escapes or
//! checks: the types do. `Method`, `HeaderName` and `HeaderValue` cannot hold a line break, and
//! the target comes out of a parsed URL.

use http::{HeaderMap, HeaderValue, Method, header};

/// What is known of a request body before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No body.
    Empty,
    /// So many bytes: sent with `Content-Length`.
    Known(u64),
    /// Unknown: sent with the chunked coding.
    Unknown,
}

/// A request head to be written. `Debug` shows it without secrets.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request target: path and query, or a whole URL for a proxy, or host and port for
    /// CONNECT (RFC 9112 §3.2).
    pub target: &'a str,
    /// The value of `Host`, unless `headers` holds one.
    pub host: &'a str,
    /// The fields of the request itself. `Content-Length` and `Transfer-Encoding` are left out:
    /// they state a fact about `body` that is the writer's to state.
    pub headers: &'a HeaderMap,
    /// Fields for every request; one that `headers` also holds is left out.
    pub defaults: &'a HeaderMap,
    /// The framing of the body.
    pub body: BodyLength,
}

impl RequestHead<'_> {
    /// Appends the head.
    pub fn write(&self, out: &mut Vec<u8>) {
        let host = self.headers.get(header::HOST).or_else(|| self.defaults.get(header::HOST));
        self.write_start(host.map_or(self.host.as_bytes(), HeaderValue::as_bytes), out);
        for (name, value) in self.defaults {
            if *name != header::HOST && !self.headers.contains_key(name) {
                write_field(out, name, value);
            }
        }
        for (name, value) in self.headers {
            let written_here = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
            if !written_here.contains(name) {
                write_field(out, name, value);
            }
        }
        self.write_framing(out);
    }

    /// The same for a client that keeps `defaults` as `write_fields` wrote them: a request
    /// without fields of its own, as most are, takes them in one copy, unless there are none.
    pub(crate) fn write_with(&self, defaults: &[u8], out: &mut Vec<u8>) {
        if !self.headers.is_empty() || defaults.is_empty() {
            return self.write(out);
        }
        self.write_start(self.host.as_bytes(), out);
        out.extend_from_slice(defaults);
        self.write_framing(out);
    }

    fn write_start(&self, host: &[u8], out: &mut Vec<u8>) {
        let mut put = |piece: &[u8]| out.extend_from_slice(piece);
        put(self.method.as_str().as_bytes());
        put(b" ");
        put(self.target.as_bytes());
        // "SHOULD generate Host as the first header field" (RFC 9110 §7.2).
        put(b" HTTP/1.1\r\nhost: ");
        put(host);
        put(b"\r\n");
    }

    /// The fields that say where the body ends, and the empty line.
    fn write_framing(&self, out: &mut Vec<u8>) {
        match (self.body, self.method) {
            // RFC 9110 §8.6: a method that gives a body a meaning says that there is none.
            (BodyLength::Empty, &(Method::POST | Method::PUT | Method::PATCH)) => {
                out.extend_from_slice(b"content-length: 0\r\n");
            }
            (BodyLength::Empty, _) => {}
            (BodyLength::Known(length), _) => {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(length.to_string().as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            (BodyLength::Unknown, _) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the fields, each on its line; or nothing, if the host is among them, which comes first.
pub(crate) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    if !fields.contains_key(header::HOST) {
        fields.iter().for_each(|(name, value)| write_field(out, name, value));
    }
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &header::HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::{BodyLength, RequestHead, write_fields};
    use http::{HeaderMap, HeaderValue, Method, header};

    fn written(method: &Method, headers: &HeaderMap, body: BodyLength) -> String {
        let mut defaults = HeaderMap::new();
        defaults.insert(header::USER_AGENT, HeaderValue::from_static("mainspring"));
        defaults.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let mut out = b"before|".to_vec();
        let host = "example.com:81";
        let head = RequestHead { method, target: "/a?b", host, headers, defaults: &defaults, body };
        head.write(&mut out);
        let (mut prepared, mut written) = (b"before|".to_vec(), Vec::new());
        write_fields(&mut written, &defaults);
        head.write_with(&written, &mut prepared);
        assert_eq!(prepared, out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_get() {
        assert_eq!(
            written(&Method::GET, &HeaderMap::new(), BodyLength::Empty),
            "before|GET /a?b HTTP/1.1\r\nhost: example.com:81\r\nuser-agent: mainspring\r\n\
             accept: */*\r\n\r\n"
        );
    }

    #[test]
    fn own_fields_replace_defaults_and_repeat() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append("x-two", HeaderValue::from_static("1"));
        headers.append("x-two", HeaderValue::from_static("2"));
        headers.insert(header::HOST, HeaderValue::from_static("virtual.test"));
        assert_eq!(
            written(&Method::GET, &headers, BodyLength::Empty),
            "before|GET /a?b HTTP/1.1\r\nhost: virtual.test\r\nuser-agent: mainspring\r\n\
             accept: text/html\r\nx-two: 1\r\nx-two: 2\r\n\r\n"
        );
    }

    #[test]
    fn framing_is_the_writers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("mainspring"));
        let start = "before|POST /a?b HTTP/1.1\r\nhost: example.com:81\r\naccept: */*\r\n\
                     user-agent: mainspring\r\n";
        for (body, framing) in [
            (BodyLength::Empty, "content-length: 0\r\n"),
            (BodyLength::Known(0), "content-length: 0\r\n"),
            (BodyLength::Known(u64::MAX), "content-length: 18446744073709551615\r\n"),
            (BodyLength::Unknown, "transfer-encoding: chunked\r\n"),
        ] {
            assert_eq!(written(&Method::POST, &headers, body), format!("{start}{framing}\r\n"));
        }
    }
}
