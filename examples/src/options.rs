//! How a client is set up for one crawl.

use std::time::Duration;

use http::HeaderValue;
use mainspring_http::{ClientBuilder, CookieJar};

use crate::crawl::sitemap::MAX_UNPACKED;
use crate::credentials::Credentials;
use crate::polite::robots::PRODUCT;

/// What we call ourselves.
pub const NAME: HeaderValue =
    HeaderValue::from_static(concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION")));

/// How pages are to be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at once.
    pub connections: usize,
    /// The longest a page may take in all, the wait for a connection not counted.
    pub timeout: Option<Duration>,
    /// The longest body that is taken, in bytes.
    pub max_size: u64,
    /// What workers are to call themselves.
    pub user_agent: Option<HeaderValue>,
    /// Header fields to send, and where each may go.
    pub credentials: Credentials,
    /// Where to keep the cookies that sites set, and to send them back from.
    pub cookies: Option<CookieJar>,
}

impl Options {
    /// So many connections at once, no limit of time, and the usual one of size.
    pub fn new(connections: usize) -> Options {
        let (timeout, user_agent, credentials, cookies) = Default::default();
        Options { connections, timeout, max_size: 10 << 20, user_agent, credentials, cookies }
    }

    /// Sets a client up as the options say, on top of what it is told already.
    pub fn set_up(&self, client: ClientBuilder) -> ClientBuilder {
        debug_assert!(NAME.as_bytes().starts_with(PRODUCT.as_bytes()), "robots.txt knows us by it");
        let mut client = client
            .max_connections(self.connections)
            .max_connections_per_host(self.connections)
            .max_idle_connections(self.connections)
            // Redirects are for the crawl to judge.
            .max_redirects(0)
            // What each kind of answer may be long is told with the request.
            .max_body_bytes(self.max_size.max(MAX_UNPACKED as u64));
        if let Some(timeout) = self.timeout {
            client = client.timeout(timeout);
        }
        if let Some(jar) = &self.cookies {
            client = client.cookies(jar.clone());
        }
        client
    }
}
