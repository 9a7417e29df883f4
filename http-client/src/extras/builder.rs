//! Everything about a client that can be set, with its default.

use crate::client::Client;
use crate::connector::Connector;
use crate::decode;
use crate::error::Result;
use crate::hooks::{Hook, Hooked};
use crate::pool::{Pool, PoolLimits};
use crate::proto::Limits;
use crate::proxy::{Proxies, Proxy};
use crate::redirect;
use crate::request::{Redirect, Settings};
use crate::request_head::{Config, Credentials, Defaults};
use crate::resolve::Resolve;
use crate::retry::RetryPolicy;
use crate::target;
use crate::timeout::Timeouts;
use http::header::{self, HeaderMap, HeaderValue};
use std::cell::Cell;
use std::net::IpAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// What the client calls itself unless told otherwise.
const USER_AGENT: &str = concat!("mainspring/", env!("CARGO_PKG_VERSION"));

/// Builds a [`Client`].
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    pool: PoolLimits,
    config: Config,
    connector: Connector,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let pool = PoolLimits {
            connections: 1024,
            per_host: 128,
            idle: usize::MAX,
            idle_timeout: Duration::from_secs(60),
            lifetime: Duration::MAX,
        };
        let settings = Settings {
            timeouts: Timeouts::default(),
            redirects: 10,
            redirect_policy: None,
            proxy: None,
            decompress: true,
            max_body_bytes: 64 * 1024 * 1024,
            max_ratio: 10_000,
        };
        let config = Config {
            limits: Limits::default(),
            settings,
            defaults: Defaults::new(fields),
            credentials: Credentials::default(),
            retry: None,
            hook: None,
            cookies: None,
        };
        Self { pool, config, connector: Connector::default() }
    }
}

impl Client {
    /// A client with the default limits and timeouts.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Limits, timeouts and the rest, to be set.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Setters of one value each: by its name and type, and where it is kept.
macro_rules! setters {
    ($($(#[$about:meta])* $name:ident: $kind:ty => $($place:ident).+;)+) => {
        impl ClientBuilder {$(
            $(#[$about])*
            pub fn $name(mut self, $name: $kind) -> Self {
                self.$($place).+ = $name.into();
                self
            }
        )+}
    };
}

setters! {
    /// Connections open at once, over all hosts. Default 1024, at least 1.
    max_connections: usize => pool.connections;
    /// Connections open at once to one host, which is a scheme, a name and a port. Requests beyond
    /// wait, first in, first out. Default 128, at least 1.
    max_connections_per_host: usize => pool.per_host;
    /// Idle connections kept, over all hosts; with 0, none is used twice. Default: as many as there
    /// may be connections.
    max_idle_connections: usize => pool.idle;
    /// How long an idle connection is kept; less if the server says so. Default 60 s.
    idle_timeout: Duration => pool.idle_timeout;
    /// How old a connection may be when a request is sent on it. Default: any age.
    max_lifetime: Duration => pool.lifetime;
    /// Bytes of a response head, and of a block of trailers. Default 64 KiB.
    max_head_bytes: usize => config.limits.head_bytes;
    /// Header fields of a response, and fields in a block of trailers; at most 256, which is the
    /// default.
    max_header_count: usize => config.limits.header_count;
    /// Bytes of a body that is collected: by `bytes`, `text` or `json`. What is read in pieces is
    /// not limited. Default 64 MiB.
    max_body_bytes: u64 => config.settings.max_body_bytes;
    /// Whether content codings are asked for, and taken off. Default: yes, those of the crate's
    /// features. The header fields of a response stay as they came.
    decompress: bool => config.settings.decompress;
    /// Decoded bytes that are let pass for each coded one, beyond as many as are collected
    /// ([`max_body_bytes`](Self::max_body_bytes)). More is [`ErrorKind::BodyTooLarge`](crate::ErrorKind).
    /// Default 10,000: repetitive text is packed that tightly, a bomb more so.
    max_decompression_ratio: u64 => config.settings.max_ratio;
    /// How long each phase of a request may take.
    timeouts: Timeouts => config.settings.timeouts;
    /// How long a request may take as a whole, without its wait in the pool. Default: for ever.
    timeout: Duration => config.settings.timeouts.total;
    /// Redirects followed in a row; with 0, a redirect is the response. Default 10.
    max_redirects: usize => config.settings.redirects;
    /// Tries again what failed for a reason that may pass. Each try has the whole of the timeouts.
    /// Default: nothing is tried again, but for a kept connection that turns out to be dead.
    retry: RetryPolicy => config.retry;
    /// How long the answer of a lookup is used. Default 60 s.
    dns_cache: Duration => connector.resolver.keep;
}

impl ClientBuilder {
    /// Asks before each redirect whether it is to be followed; where the answer is `false`, the
    /// redirect itself is the response. The limit holds all the same. Default: all are followed.
    pub fn redirect_policy(mut self, policy: impl Fn(&Redirect<'_>) -> bool + 'static) -> Self {
        self.config.settings.redirect_policy = Some(Rc::new(policy));
        self
    }

    /// Tells this hook what happens to each request.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.config.hook = Some(Hooked { hook: Rc::new(hook), last: Cell::new(0) });
        self
    }

    /// What the client calls itself. Default: `mainspring/` and its version.
    pub fn user_agent(self, name: HeaderValue) -> Self {
        self.default_header(header::USER_AGENT, name)
    }

    /// A header field for every request that does not set one of that name.
    ///
    /// A credential (see [`is_secret`](crate::is_secret); or a value marked as sensitive) goes to the
    /// origin that a request begins with. Once a redirect has led to another origin, another scheme or
    /// port included, it is left out (WHATWG Fetch §4.4); so is `Host`. See also
    /// [`ClientBuilder::credentials_for`].
    pub fn default_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.config.defaults.fields.insert(name, value);
        self
    }

    /// Sends no header field of this name unless a request sets one: not those that a client sends by
    /// itself (`User-Agent`, `Accept`), nor one set before. `Host` and the length of a body are always
    /// sent. Without `Accept-Encoding`, nothing is decoded either: see [`ClientBuilder::decompress`].
    pub fn without_default_header(mut self, name: &header::HeaderName) -> Self {
        self.config.defaults.fields.remove(name);
        self.config.settings.decompress &= *name != header::ACCEPT_ENCODING;
        self
    }

    /// Lets default header fields that are credentials go to the origin of this URL, and from then on to
    /// no others but those named so. Credentials in the URL itself are sent to its origin with every
    /// request that has no `Authorization` of its own. Default: see [`ClientBuilder::default_header`].
    ///
    /// ```
    /// # use mainspring_http::{Client, Result, Url, http::{HeaderValue, header}};
    /// # fn client() -> Result<Client> {
    /// let token = HeaderValue::from_static("Bearer 12345");
    /// Ok(Client::builder()
    ///     .default_header(header::AUTHORIZATION, token)
    ///     .credentials_for(&Url::parse("https://a.test").expect("a URL"))?
    ///     .credentials_for(&Url::parse("https://me:secret@b.test").expect("a URL"))?
    ///     .build())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if the user name in the URL
    /// holds a colon (RFC 7617 §2).
    pub fn credentials_for(mut self, url: &Url) -> Result<Self> {
        let named = (url.origin(), target::authorization(url)?);
        self.config.credentials.named.push(named);
        Ok(self)
    }

    /// Keeps the cookies that servers set in this jar, and sends those that fit. Default: none are
    /// kept. A request with a `Cookie` field of its own gets no others.
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, jar: crate::extras::cookies::CookieJar) -> Self {
        self.config.cookies = Some(Rc::new(jar));
        self
    }

    /// Sends all requests through this proxy.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        let proxy = Rc::new(proxy);
        self.connector.proxies.http = Some(proxy.clone());
        self.connector.proxies.https = Some(proxy);
        self
    }

    /// Sends requests to these hosts directly. A name stands for all below it as well, `*` for all
    /// hosts, `10.0.0.0/8` for a network. Each may name a port, after a colon; then it stands for that
    /// alone.
    pub fn no_proxy<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        hosts.into_iter().for_each(|hosts| self.connector.proxies.add_exceptions(hosts));
        self
    }

    /// Sends requests through the proxies that the environment names: `http_proxy`, `https_proxy`,
    /// `all_proxy` and `no_proxy`, and the same in capitals. `HTTP_PROXY` is ignored in a CGI program,
    /// where a client of it says what that holds (CVE-2016-5385): [`Proxy::ignored_in_env`] tells.
    /// Default: the environment is not looked at.
    ///
    /// `no_proxy` is a list as for [`ClientBuilder::no_proxy`], with commas or blanks between.
    ///
    /// # Errors
    /// As [`Proxy::new`], if what it names is no proxy; the variable is named.
    pub fn proxy_from_env(self) -> Result<Self> {
        self.proxy_from(|name| std::env::var(name).ok())
    }

    /// As [`ClientBuilder::proxy_from_env`], with the variables as `get` gives them: for a program
    /// that looks at some of them only, or has flags that go before them.
    ///
    /// # Errors
    /// As [`ClientBuilder::proxy_from_env`].
    pub fn proxy_from(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        self.connector.proxies = Proxies::from_env(get)?;
        Ok(self)
    }

    /// Who looks names up, instead of the system.
    pub fn resolver(mut self, resolve: impl Resolve + 'static) -> Self {
        self.connector.resolver.resolve = Rc::new(resolve);
        self
    }

    /// The addresses of `host`, which is then never looked up.
    pub fn resolve(mut self, host: &str, addresses: &[IpAddr]) -> Self {
        self.connector.resolver.overrides.insert(host.to_ascii_lowercase(), addresses.into());
        self
    }

    /// Connects to this Unix socket, whatever the host of a URL is.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.connector.unix_socket = Some(path.into());
        self
    }

    /// The client.
    #[must_use]
    pub fn build(mut self) -> Client {
        let config = &mut self.config;
        if config.settings.decompress {
            let fields = &mut config.defaults.fields;
            fields.entry(header::ACCEPT_ENCODING).or_insert_with(decode::accepted);
        }
        let fields = std::mem::take(&mut config.defaults.fields);
        let mut others = fields.clone();
        for (name, value) in &fields {
            if redirect::is_private(name, value) {
                others.remove(name);
            }
        }
        if others.len() < fields.len() {
            config.credentials.others = Some(Defaults::new(others));
        }
        config.defaults = Defaults::new(fields);
        Client::from_parts(self.config, Pool::new(self.pool), self.connector)
    }
}

#[cfg(feature = "tls")]
impl ClientBuilder {
    /// Trusts the certificates in this PEM text, besides those of the system.
    ///
    /// # Errors
    /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) if there is none in it, or if one cannot be read.
    pub fn add_root_certificates(mut self, pem: &[u8]) -> Result<Self> {
        self.connector.tls.options.add_roots(pem)?;
        Ok(self)
    }

    /// Trusts none of the system's certificates, only those that were added.
    pub fn only_added_root_certificates(mut self) -> Self {
        self.connector.tls.options.only_these_roots = true;
        self
    }

    /// Shows this certificate to a server that asks for one: the chain, the client's own
    /// certificate first, and its key, both as PEM text.
    ///
    /// # Errors
    /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) if they cannot be read. Whether they belong
    /// together turns out with the first connection.
    pub fn client_certificate(mut self, chain: &[u8], key: &[u8]) -> Result<Self> {
        self.connector.tls.options.set_identity(chain, key)?;
        Ok(self)
    }

    /// Accepts any certificate. **Dangerous**: everyone on the way to the server can read
    /// and change everything.
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.connector.tls.options.accept_invalid = accept;
        self
    }

    /// A configuration of `rustls` in place of all that was said about TLS here.
    pub fn tls_config(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.connector.tls.options.config = Some(config);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default that the README gives for what this sets.
    fn documented(setter: &str) -> &'static str {
        let rows =
            include_str!("../../README.md").lines().map(|line| line.split('|').map(str::trim));
        let mut rows = rows.map(Iterator::collect::<Vec<_>>);
        let sets = |by: &&str| by.contains(&format!("`{setter}`"));
        let row = rows.find(|cells| cells.get(3).is_some_and(sets));
        row.unwrap_or_else(|| panic!("the table does not have {setter}"))[2]
    }

    fn time(limit: Option<Duration>) -> String {
        limit.map_or("for ever".to_owned(), |limit| format!("{} s", limit.as_secs()))
    }

    #[test]
    fn the_table_of_the_readme_tells_the_defaults() {
        let ClientBuilder { pool, config, connector } = ClientBuilder::default();
        let Config { limits, settings, retry, .. } = config;
        let Settings { timeouts, redirects, max_body_bytes, max_ratio, .. } = settings;
        let dns_cache = connector.resolver.keep;
        let rows = [
            ("Timeouts::pool", time(timeouts.pool)),
            ("Timeouts::resolve", time(timeouts.resolve)),
            ("Timeouts::connect", time(timeouts.connect)),
            ("Timeouts::tls", time(timeouts.tls)),
            ("Timeouts::write", time(timeouts.write)),
            ("Timeouts::expect_continue", time(Some(timeouts.expect_continue))),
            ("Timeouts::head", time(timeouts.head)),
            ("Timeouts::read", time(timeouts.read)),
            ("Timeouts::total", time(timeouts.total)),
            ("idle_timeout()", time(Some(pool.idle_timeout))),
            ("dns_cache()", time(Some(dns_cache))),
            ("max_connections()", pool.connections.to_string()),
            ("max_connections_per_host()", pool.per_host.to_string()),
            ("max_redirects()", redirects.to_string()),
            ("max_head_bytes()", format!("{} KiB", limits.head_bytes >> 10)),
            ("max_header_count()", limits.header_count.to_string()),
            ("max_body_bytes()", format!("{} MiB", max_body_bytes >> 20)),
            ("max_decompression_ratio()", max_ratio.to_string()),
        ];
        for (setter, default) in rows {
            assert_eq!(documented(setter), default, "{setter}");
        }
        assert_eq!((documented("max_lifetime()"), pool.lifetime), ("any", Duration::MAX));
        assert_eq!((documented("max_idle_connections()"), pool.idle), ("all", usize::MAX));
        assert_eq!((documented("retry()"), retry.is_none()), ("1", true));
    }
}
