//! How a client is set up for one crawl.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mainspring_http::{Client, ClientBuilder, CookieJar, Proxy};

use crate::crawl::sitemap::MAX_UNPACKED;
use crate::credentials::Credentials;
use crate::polite::robots::PRODUCT;

/// How pages are to be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at once.
    pub connections: usize,
    /// The longest a page may take in all, the wait for a connection not counted.
    pub timeout: Option<Duration>,
    /// The longest body that is taken, in bytes.
    pub max_size: u64,
    /// What to call ourselves.
    pub user_agent: Option<HeaderValue>,
    /// Header fields that a client sends by itself, and this one is not to.
    pub removed: Vec<HeaderName>,
    /// Header fields to send, and where each may go.
    pub credentials: Credentials,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// Whether to keep an archive of what was asked and answered.
    pub archive: bool,
    /// Whether to time each phase of each request: see [`Web::timings`](crate::web::Web::timings).
    pub timed: bool,
    /// Where to keep the cookies that sites set, and to send them back from.
    pub cookies: Option<CookieJar>,
    /// Whether any certificate is taken for good, which is dangerous.
    pub accept_invalid_certs: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections: 100,
            timeout: None,
            max_size: 10 << 20,
            user_agent: None,
            removed: Vec::new(),
            credentials: Credentials::default(),
            proxy: None,
            archive: false,
            timed: false,
            cookies: None,
            accept_invalid_certs: false,
        }
    }
}

impl Options {
    /// Sets a client up as the options say, on top of what it is told already.
    pub fn set_up(&self, client: ClientBuilder) -> ClientBuilder {
        let ours =
            HeaderValue::from_static(concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION")));
        debug_assert!(ours.as_bytes().starts_with(PRODUCT.as_bytes()), "robots.txt knows us by it");
        let mut client = client
            .max_connections(self.connections)
            .max_connections_per_host(self.connections)
            .max_idle_connections(self.connections)
            // Redirects are for the crawl to judge.
            .max_redirects(0)
            // What each kind of answer may be long is told with the request.
            .max_body_bytes(self.max_size.max(MAX_UNPACKED as u64))
            .danger_accept_invalid_certs(self.accept_invalid_certs)
            .user_agent(self.user_agent.clone().unwrap_or(ours));
        if let Some(timeout) = self.timeout {
            client = client.timeout(timeout);
        }
        if let Some(proxy) = &self.proxy {
            client = client.proxy(proxy.clone());
        }
        if let Some(jar) = &self.cookies {
            client = client.cookies(jar.clone());
        }
        without(client, &self.removed)
    }
}

/// A client to set up that does not send these fields by itself.
pub fn without(mut client: ClientBuilder, removed: &[HeaderName]) -> ClientBuilder {
    for name in removed {
        client = client.without_default_header(name);
    }
    client
}

/// A client to set up that trusts the certificates in this file, if there is one, besides those
/// that the system trusts.
///
/// # Errors
/// One sentence that names the file: it cannot be read, or holds no certificate.
pub fn trusting(roots: Option<&Path>) -> Result<ClientBuilder, String> {
    let client = Client::builder();
    let Some(path) = roots else { return Ok(client) };
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot take certificates from {}: {error}", path.display())
    };
    let pem = std::fs::read(path).map_err(|error| cannot(&error))?;
    client.add_root_certificates(&pem).map_err(|error| cannot(&error))
}
