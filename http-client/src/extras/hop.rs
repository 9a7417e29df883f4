//! The steps of a request that is redirected, and the word on whether to take one.

use crate::secret::redact_url;
use http::StatusCode;
use std::fmt;
use std::rc::Rc;
use url::Url;

/// A response that redirected, and was followed. `Debug` shows it without secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The URL that was asked for.
    pub url: Url,
    /// The status of its response.
    pub status: StatusCode,
}

/// A redirect that a client is about to follow. `Debug` shows it without secrets.
#[derive(Clone, Copy)]
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

impl fmt::Debug for Redirect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [self.from, self.to].map(redact_url);
        let status = self.status.as_u16();
        write!(f, "Redirect({status} from {from} to {to} after {:?})", self.history)
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({} {})", self.status.as_u16(), redact_url(&self.url))
    }
}
