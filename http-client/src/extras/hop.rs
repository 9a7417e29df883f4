//! The steps of a request that is redirected, and the word on whether to take one.

use crate::secret::redact_url;
use http::StatusCode;
use std::rc::Rc;
use url::Url;

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
