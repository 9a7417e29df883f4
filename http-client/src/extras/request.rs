//! A request, as data: what it is set to, and the steps that redirects make of it.

use crate::body::Body;
use crate::proxy::Proxy;
use crate::secret::{Fields, redact_url};
use crate::timeout::Timeouts;
use http::{HeaderMap, Method, StatusCode};
use std::rc::Rc;
use url::Url;

/// A request that is ready to be sent, by [`Client::execute`](crate::Client::execute).
// Laid out as it stands here: what has to be looked at once the answer has come, to let go of the
// request, is in few cache lines. By then they have to be waited for.
#[derive(derive_more::Debug)]
#[debug(
    "Request {{ method: {method}, url: {:?}, headers: {:?}, body: {body:?}, .. }}",
    redact_url(url),
    Fields(headers)
)]
#[repr(C)]
pub struct Request {
    /// The header fields, on top of the client's default ones. A redirect to another origin takes
    /// none along that [`is_secret`](crate::is_secret) names, or whose value is marked as sensitive.
    pub headers: HeaderMap,
    /// In place of the client's, if it sets any.
    pub(crate) settings: Option<Box<Settings>>,
    /// The body.
    pub body: Body,
    /// The method.
    pub method: Method,
    /// The URL. A user name and password in it are sent as Basic authorization, to its origin alone.
    pub url: Url,
    /// A redirect has led it to another origin than it began with.
    pub(crate) left_origin: bool,
}

/// What a client sets for all of its requests, and one of them may set for itself.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) timeouts: Timeouts,
    pub(crate) redirects: usize,
    pub(crate) redirect_policy: Option<Policy>,
    /// In place of the one that the URL would go through; `Some(None)` is no proxy at all.
    pub(crate) proxy: Option<Option<Proxy>>,
    pub(crate) decompress: bool,
    pub(crate) max_body_bytes: u64,
    /// Decoded bytes for each coded one.
    pub(crate) max_ratio: u64,
}

impl Request {
    /// A request without headers and body.
    #[inline]
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        let headers = HeaderMap::new();
        Self { method, url, headers, body: Body::empty(), settings: None, left_origin: false }
    }

    /// A second request like this one; `None` if its body is a stream.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: self.body.try_clone()?,
            settings: self.settings.clone(),
            left_origin: self.left_origin,
        })
    }
}

/// A response that redirected, and was followed. `Debug` shows it without secrets.
#[derive(Clone, PartialEq, Eq, derive_more::Debug)]
#[debug("Hop({} {})", status.as_u16(), redact_url(url))]
#[non_exhaustive]
pub struct Hop {
    /// The URL that was asked for.
    pub url: Url,
    /// The status of its response.
    pub status: StatusCode,
}

/// A redirect that a client is about to follow. `Debug` shows it without secrets.
#[derive(Clone, Copy, derive_more::Debug)]
#[debug(
    "Redirect({} from {} to {} after {history:?})",
    status.as_u16(),
    redact_url(from),
    redact_url(to)
)]
#[non_exhaustive]
pub struct Redirect<'a> {
    /// The status of the response that redirects.
    pub status: StatusCode,
    /// The URL that was asked for.
    pub from: &'a Url,
    /// The URL that it leads to.
    pub to: &'a Url,
    /// The responses that redirected before.
    pub history: &'a [Hop],
}

/// Says whether a redirect is to be followed.
pub(crate) type Policy = Rc<dyn Fn(&Redirect<'_>) -> bool>;
