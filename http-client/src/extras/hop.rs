//! The steps of a request that is redirected, and the word on whether to take one.

use http::StatusCode;
use std::rc::Rc;
use url::Url;

/// A response that redirected, and was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The URL that was asked for.
    pub url: Url,
    /// The status of its response.
    pub status: StatusCode,
}

/// A redirect that a client is about to follow.
#[derive(Clone, Copy, Debug)]
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
