//! A page as it came: its body, and what its header fields say of it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, REFRESH};
use http::{HeaderName, HeaderValue, StatusCode};
use mainspring_http::encoding_rs::Encoding;
use mainspring_http::text_encoding;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::Url;

use crate::links::field_asks_nofollow;
use crate::media_type::MediaType;

/// A page, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it was found.
    pub url: Url,
    /// Its status; below 400.
    pub status: StatusCode,
    /// Its `Content-Type`, empty if it has none.
    pub content_type: String,
    /// Where it says that it goes by itself (`Refresh`), as it says it.
    pub refresh: Option<String>,
    /// Whether it asks that its links are not followed (`X-Robots-Tag`).
    pub asks_nofollow: bool,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// What these fields say, of a page whose body is yet to be read.
    pub fn without_body(url: Url, status: StatusCode, headers: &HeaderMap) -> Answer {
        Answer {
            url,
            status,
            content_type: values(headers, &CONTENT_TYPE).join(", "),
            refresh: headers.get(REFRESH).map(percent_encoded),
            asks_nofollow: values(headers, &X_ROBOTS_TAG).iter().any(|v| field_asks_nofollow(v)),
            body: Bytes::new(),
        }
    }

    /// Its body as text, in the encoding that it says it is in; what is none becomes U+FFFD.
    pub fn text(&self) -> String {
        self.decoded().0
    }

    /// Its text, and the encoding that it was in.
    pub fn decoded(&self) -> (String, &'static Encoding) {
        let encoding = text_encoding(&self.body, Some(self.content_type.as_bytes()));
        (encoding.decode(&self.body).0.into_owned(), encoding)
    }

    /// What its `Content-Type` says.
    pub fn media_type(&self) -> MediaType {
        MediaType::parse(&self.content_type)
    }
}

/// What crawlers are asked to do with a page.
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The values of a field, one for each time that it came.
pub(crate) fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.get_all(name).iter().map(text).collect()
}

/// The value of a field that holds an address: bytes that are not ASCII travel as they are.
pub(crate) fn percent_encoded(value: &HeaderValue) -> String {
    const BUT_TABS: &AsciiSet = &CONTROLS.remove(b'\t');
    percent_encode(value.as_bytes(), BUT_TABS).to_string()
}
