//! Proxies: which request goes through which, and how a connection through one is opened.
//!
//! A plain `http` request to an HTTP proxy names the whole URL in its request line (RFC 9112
//! §3.2.2), so connections to the proxy serve all hosts. Everything else gets a tunnel to its
//! host, by CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928), and then goes on as without a proxy.

mod socks;

use crate::body::Body;
use crate::connection::{Connection, Sent};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::{BodyLength, Limits, RequestHead, RequestKind};
use crate::socket::Socket;
use crate::target::{self, IntoUrl};
use crate::transport::Transport;
use http::{HeaderMap, HeaderValue, Method, header};
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use url::{Host, Url};

/// A proxy server.
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    url: Url,
    user: String,
    password: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    /// The name of the host is looked up here.
    Socks5,
    /// The proxy looks it up.
    Socks5h,
}

impl Proxy {
    /// A proxy by its URL: `http://`, `socks5://` (names are looked up here) or `socks5h://` (the
    /// proxy looks them up), with a user name and a password in it if the proxy wants them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`], or [`ErrorKind::UnsupportedScheme`] for another kind of proxy.
    pub fn new(url: impl IntoUrl) -> Result<Self> {
        let url = url.into_url()?;
        let kind = match url.scheme() {
            "http" => Kind::Http,
            "socks5" => Kind::Socks5,
            "socks5h" | "socks" => Kind::Socks5h,
            other => return Err(Error::new(ErrorKind::UnsupportedScheme(other.to_owned()))),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Error::new(ErrorKind::InvalidUrl("the proxy has no host".to_owned())));
        }
        let (user, password) = target::credentials(&url);
        Ok(Self { kind, url, user, password })
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        let default = if self.kind == Kind::Http { 80 } else { 1080 };
        self.url.port().unwrap_or(default)
    }

    /// Whether the proxy itself gets the requests to this URL, instead of a tunnel.
    pub(crate) fn gets_requests(&self, url: &Url) -> bool {
        self.kind == Kind::Http && url.scheme() == "http"
    }

    /// Whether the address of the host is to be found before the tunnel is asked for.
    pub(crate) fn wants_address(&self) -> bool {
        self.kind == Kind::Socks5
    }

    /// What the pool calls connections through this proxy.
    pub(crate) fn pool_name(&self, url: &Url, host: &str) -> String {
        let Self { url: proxy, user, .. } = self;
        let via = format!("{} {user} {}:{}", proxy.scheme(), self.host(), self.port());
        if self.gets_requests(url) { via } else { format!("{host} {via}") }
    }

    /// The field that authenticates to the proxy.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>> {
        if self.kind != Kind::Http || (self.user.is_empty() && self.password.is_empty()) {
            return Ok(None);
        }
        target::basic(&self.user, &self.password).map(Some)
    }

    /// Opens a tunnel over a connection to the proxy.
    pub(crate) async fn tunnel(
        &self,
        socket: Socket,
        url: &Url,
        addresses: &[IpAddr],
    ) -> Result<Transport> {
        match self.kind {
            Kind::Http => self.connect(socket, url).await,
            Kind::Socks5 | Kind::Socks5h => {
                let target = match (addresses.first(), url.host()) {
                    (Some(address), _) => socks::Target::Address(*address),
                    (None, Some(Host::Ipv4(address))) => socks::Target::Address(address.into()),
                    (None, Some(Host::Ipv6(address))) => socks::Target::Address(address.into()),
                    (None, Some(Host::Domain(name))) => socks::Target::Name(name),
                    (None, None) => return Err(refused("the URL has no host")),
                };
                let port = url.port_or_known_default().unwrap_or(80);
                let login = (!self.user.is_empty()).then_some((&*self.user, &*self.password));
                let mut socket = socket;
                socks::connect(&mut socket, target, port, login).await?;
                Ok(Transport::Plain(socket))
            }
        }
    }

    async fn connect(&self, socket: Socket, url: &Url) -> Result<Transport> {
        let host = url.host_str().unwrap_or_default();
        let authority = format!("{host}:{}", url.port_or_known_default().unwrap_or(443));
        let mut headers = HeaderMap::new();
        if let Some(value) = self.authorization()? {
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
        let mut head = Vec::new();
        RequestHead {
            method: &Method::CONNECT,
            target: &authority,
            host: &authority,
            headers: &headers,
            defaults: &HeaderMap::new(),
            body: BodyLength::Empty,
        }
        .write(&mut head);
        let mut connection = Connection::new(Transport::Plain(socket), None);
        let kind = RequestKind { connect: true, ..RequestKind::default() };
        connection.begin(head, Body::empty(), kind, Limits::default(), false);
        let mut all_sent = false;
        let head = loop {
            let reply = if all_sent {
                poll_fn(|cx| connection.poll_reply(cx)).await?
            } else {
                match poll_fn(|cx| connection.poll_send(cx)).await? {
                    Sent::Reply(reply) => reply,
                    Sent::Some => continue,
                    Sent::All | Sent::Held => {
                        all_sent = true;
                        continue;
                    }
                }
            };
            if let Some(start) = reply {
                break start.head;
            }
        };
        let status = format!("{} {}", head.status.as_u16(), head.reason());
        match connection.into_tunnel() {
            Some((transport, first)) if first.is_empty() => Ok(transport),
            // The host has said something before it was asked: not over TLS, it has not.
            Some(_) => Err(refused("it sent bytes before the tunnel was used")),
            None => Err(refused(&format!("it answered CONNECT {authority} with {status}"))),
        }
    }
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::Proxy(reason.to_owned()))
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", crate::error::redacted(&self.url))
    }
}

/// Which requests go through which proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<Rc<Proxy>>,
    pub(crate) https: Option<Rc<Proxy>>,
    pub(crate) exceptions: Vec<String>,
}

impl Proxies {
    /// As the variables say that most programs look at. `HTTP_PROXY` in capitals is not looked at:
    /// in a CGI program it is what a request's `Proxy` field says.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let find = |names: &[&str]| -> Result<Option<Rc<Proxy>>> {
            let value = names.iter().find_map(|name| get(name).filter(|value| !value.is_empty()));
            let Some(value) = value else { return Ok(None) };
            // A proxy is often named without a scheme.
            let value = if value.contains("://") { value } else { format!("http://{value}") };
            Proxy::new(value).map(|proxy| Some(Rc::new(proxy)))
        };
        let exceptions = get("no_proxy").or_else(|| get("NO_PROXY")).unwrap_or_default();
        Ok(Self {
            http: find(&["http_proxy", "all_proxy", "ALL_PROXY"])?,
            https: find(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            exceptions: exceptions.split(',').map(|name| name.trim().to_owned()).collect(),
        })
    }

    /// The proxy for this URL, if it goes through one.
    pub(crate) fn find(&self, url: &Url) -> Option<&Rc<Proxy>> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        (!self.is_exception(url)).then_some(proxy)
    }

    /// `NO_PROXY`: `*`, hosts, domains with or without a dot before them, and addresses, each with
    /// a port or without.
    fn is_exception(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default();
        self.exceptions.iter().filter(|name| !name.is_empty()).any(|name| {
            if name == "*" || name == bare || name == host {
                return true;
            }
            let (name, only_port) = match name.rsplit_once(':') {
                Some((name, digits)) if !name.contains(':') => (name, digits.parse::<u16>().ok()),
                _ => (name.as_str(), None),
            };
            if only_port.is_some() && only_port != port {
                return false;
            }
            let domain = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
            bare == domain || bare.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_who_goes_where() {
        let environment = |name: &str| {
            let value = match name {
                "http_proxy" => "proxy.test:3128",
                "HTTP_PROXY" => "http://evil.test",
                "HTTPS_PROXY" => "socks5h://me:p%40ss@socks.test",
                "no_proxy" => "localhost, .internal.test,*.wild.test,10.0.0.1,::1,a.test:81",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let proxies = Proxies::from_env(environment).unwrap();
        let via = |url: &str| {
            let proxy = proxies.find(&Url::parse(url).unwrap());
            proxy.map_or("direct".to_owned(), |proxy| format!("{}:{}", proxy.host(), proxy.port()))
        };
        for (url, expected) in [
            ("http://b.test/", "proxy.test:3128"),
            ("https://b.test/", "socks.test:1080"),
            ("http://localhost:8080/", "direct"),
            ("http://notlocalhost/", "proxy.test:3128"),
            ("http://internal.test/", "direct"),
            ("http://x.internal.test/", "direct"),
            ("http://xinternal.test/", "proxy.test:3128"),
            ("http://x.wild.test/", "direct"),
            ("http://10.0.0.1/", "direct"),
            ("http://[::1]/", "direct"),
            ("http://a.test:81/", "direct"),
            ("http://a.test/", "proxy.test:3128"),
        ] {
            assert_eq!(via(url), expected, "{url}");
        }
        let socks = proxies.https.as_ref().unwrap();
        assert_eq!((socks.user.as_str(), socks.password.as_str()), ("me", "p@ss"));
        assert_eq!(format!("{socks:?}"), "Proxy(socks5h://me:***@socks.test)");
        let all = Proxies::from_env(|name| (name == "no_proxy").then(|| "*".to_owned())).unwrap();
        assert!(all.find(&Url::parse("http://a.test/").unwrap()).is_none());
    }

    #[test]
    fn what_is_no_proxy() {
        for url in ["https://a", "ftp://a", "socks5:///", "nonsense"] {
            assert!(Proxy::new(url).is_err(), "{url}");
        }
    }
}
