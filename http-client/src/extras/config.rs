//! What the builder decided, for all requests of a client.

use crate::hooks::Hooked;
use crate::proto::Limits;
use crate::request::Settings;
use crate::retry::RetryPolicy;
use http::{HeaderMap, HeaderValue};
use std::rc::Rc;
use url::{Origin, Url};

pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) defaults: Defaults,
    pub(crate) credentials: Credentials,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) hook: Option<Hooked>,
    pub(crate) cookies: Option<Rc<dyn CookieStore>>,
}

/// Fields for every request, and the same as they are written in a head.
#[derive(Default)]
pub(crate) struct Defaults {
    pub(crate) fields: HeaderMap,
    pub(crate) written: Vec<u8>,
}

/// Which origins may get the client's credentials.
#[derive(Default)]
pub(crate) struct Credentials {
    /// The default fields without those that are for one origin, if there are such.
    pub(crate) others: Option<Defaults>,
    /// The origins that were named, each with the authorization that is its own. If there are none, the
    /// default fields go to whatever origin a request begins with.
    pub(crate) named: Vec<(Origin, Option<HeaderValue>)>,
}

/// Where cookies are kept: behind a trait, so that a program without a jar has no code of one.
pub(crate) trait CookieStore {
    /// Takes the value of a `Set-Cookie` field in the response to a request for `url`.
    fn keep(&self, url: &Url, set_cookie: &[u8]);

    /// The value of the `Cookie` field for a request to `url`, if there is any.
    fn cookies(&self, url: &Url) -> Option<HeaderValue>;
}
