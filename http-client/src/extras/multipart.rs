//! Forms with files: `multipart/form-data` (RFC 7578), sent in a stream.

use crate::body::Body;
use crate::error::{Error, Result};
use crate::proto::BodyLength;
use futures_util::{StreamExt, stream};
use http::HeaderValue;

/// Random bytes in a boundary. It has to be hard to guess, so that no text can be made to contain
/// it.
const BOUNDARY_BYTES: usize = 16;

/// A form of named parts, for [`RequestBuilder::multipart`](crate::RequestBuilder::multipart).
///
/// A form whose parts all have a known length is sent with its length, else in chunks. One without
/// streams can be sent again, as a body of bytes can.
#[derive(Debug, Default)]
pub struct Form {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    body: Body,
}

impl Form {
    /// A form without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, body) = (name.into(), Body::from(value.into()));
        self.part(Part { name, file_name: None, content_type: None, body })
    }

    /// Adds a file: its name as the server is to see it, its type, and what is in it.
    #[must_use]
    pub fn file(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        body: impl Into<Body>,
    ) -> Self {
        let (file_name, content_type) = (Some(file_name.into()), Some(content_type.into()));
        self.part(Part { name: name.into(), file_name, content_type, body: body.into() })
    }

    fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// The body, and the `Content-Type` that tells its boundary.
    pub(crate) fn into_body(self) -> Result<(Body, HeaderValue)> {
        let mut random = [0; BOUNDARY_BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| Error::invalid_request(format!("no random boundary: {error}")))?;
        let boundary: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let content_type = HeaderValue::try_from(content_type).expect("hex digits in ASCII");
        Ok((self.with_boundary(&boundary)?, content_type))
    }

    fn with_boundary(self, boundary: &str) -> Result<Body> {
        let mut bodies = Vec::new();
        for part in self.parts {
            bodies.extend([part.head(boundary)?.into(), part.body, "\r\n".into()]);
        }
        bodies.push(format!("--{boundary}--\r\n").into());
        if let Some(bytes) = bodies.iter().map(Body::bytes).collect::<Option<Vec<_>>>() {
            return Ok(bytes.concat().into());
        }
        let length = bodies.iter().try_fold(0_u64, |sum, body| match body.length() {
            BodyLength::Known(more) => sum.checked_add(more),
            BodyLength::Empty => Some(sum),
            BodyLength::Unknown => None,
        });
        let pieces =
            stream::iter(bodies).flat_map(|mut body| stream::poll_fn(move |cx| body.poll_next(cx)));
        Ok(match length {
            Some(length) => Body::sized_stream(length, pieces),
            None => Body::stream(pieces),
        })
    }
}

impl Part {
    fn head(&self, boundary: &str) -> Result<String> {
        let name = escaped(&self.name);
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        if let Some(file_name) = &self.file_name {
            head += &format!("; filename=\"{}\"", escaped(file_name));
        }
        if let Some(content_type) = &self.content_type {
            if content_type.contains(['\r', '\n']) {
                return Err(Error::invalid_request("a content type holds no line break"));
            }
            head += &format!("\r\nContent-Type: {content_type}");
        }
        Ok(head + "\r\n\r\n")
    }
}

/// As browsers do it (WHATWG HTML §4.10.22.8).
fn escaped(text: &str) -> String {
    text.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn read(mut body: Body) -> String {
        let mut all = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(piece)) = body.poll_next(&mut cx) {
            all.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    const EXPECTED: &str = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
        --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x%22y%0D%0A.txt\"\r\n\
        Content-Type: text/plain\r\n\r\nfile\r\n--B--\r\n";

    #[test]
    fn a_form_of_bytes_has_a_length_and_can_be_sent_again() {
        let form = Form::new().text("a", "1").file("f", "x\"y\r\n.txt", "text/plain", "file");
        let body = form.with_boundary("B").unwrap();
        assert_eq!(body.length(), BodyLength::Known(EXPECTED.len() as u64));
        assert_eq!(read(body.try_clone().unwrap()), EXPECTED);
        assert_eq!(read(body), EXPECTED);
    }

    #[test]
    fn a_form_with_a_stream_is_streamed() {
        for length in [Some(4), None] {
            let file = Body::reader(futures::io::Cursor::new(b"file"), length);
            let form = Form::new().text("a", "1").file("f", "x\"y\r\n.txt", "text/plain", file);
            let body = form.with_boundary("B").unwrap();
            let expected = match length {
                Some(_) => BodyLength::Known(EXPECTED.len() as u64),
                None => BodyLength::Unknown,
            };
            assert_eq!(body.length(), expected);
            assert!(body.try_clone().is_none());
            assert_eq!(read(body), EXPECTED);
        }
    }

    #[test]
    fn boundaries_differ_and_fields_cannot_break_out() {
        let boundary = || Form::new().into_body().unwrap().1;
        assert_ne!(boundary(), boundary());
        assert!(Form::new().file("f", "x", "a\r\nb: c", "").into_body().is_err());
    }
}
