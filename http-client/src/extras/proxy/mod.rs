//! Proxies: which request goes through which, and how a connection through one is opened.
//!
//! A plain `http` request to an HTTP proxy names the whole URL in its request line (RFC 9112
//! §3.2.2), so connections to the proxy serve all hosts. Everything else gets a tunnel to its
//! host, by CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928), and then goes on as without a proxy.

mod exceptions;
mod socks;

use crate::body::Body;
use crate::connection::{Connection, Sent};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::{BodyLength, Limits, RequestHead, RequestKind};
use crate::secret::{redact, redact_url};
use crate::target;
use crate::transport::Transport;
use exceptions::Exception;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use url::{Host, Url};

/// Is set where a program is run by a web server (RFC 3875 §4.1.12).
const CGI: &str = "REQUEST_METHOD";

/// A proxy server.
#[derive(Clone, derive_more::Debug)]
#[debug("Proxy({})", redact_url(url))]
pub struct Proxy {
    url: Url,
    user: String,
    password: String,
    /// The variable or the flag that names it.
    named_by: Option<Box<str>>,
}

impl Proxy {
    /// A proxy by its URL: `http://`, `socks5://` (names are looked up here) or `socks5h://` (the
    /// proxy looks them up), with a user name and a password in it if the proxy wants them. Without a
    /// scheme it is an HTTP proxy, and without a port as well one at 1080, as with curl.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`], or [`ErrorKind::UnsupportedScheme`] for another kind of proxy.
    pub fn new(url: impl AsRef<str>) -> Result<Self> {
        let text = url.as_ref().trim();
        let has_scheme = text.contains("://");
        let whole = match has_scheme {
            true => Cow::Borrowed(text),
            false => Cow::Owned(format!("http://{}", text.trim_start_matches('/'))),
        };
        let invalid = |reason: &str| {
            let reason = format!("the proxy \"{}\": {reason}", redact(&whole));
            Error::new(ErrorKind::InvalidUrl(reason))
        };
        let mut url = Url::parse(&whole).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "socks5" | "socks5h" | "socks") {
            return Err(Error::new(ErrorKind::UnsupportedScheme(url.scheme().to_owned())));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it has no host"));
        }
        // The parser leaves out a port that is the scheme's, so the text is looked at.
        let authority = whole.split(['/', '?', '#']).nth(2).unwrap_or_default();
        if !has_scheme && !authority.ends_with(":80") && url.port().is_none() {
            url.set_port(Some(1080)).map_err(|()| invalid("it takes no port"))?;
        }
        let (user, password) = target::credentials(&url);
        Ok(Self { url, user, password, named_by: None })
    }

    /// Says which variable or flag names it, for errors that tell it.
    #[must_use]
    pub fn named_by(mut self, source: &str) -> Self {
        self.named_by = Some(source.into());
        self
    }

    /// The variable that names a proxy and is ignored by
    /// [`ClientBuilder::proxy_from_env`](crate::ClientBuilder::proxy_from_env), if there is one:
    /// `HTTP_PROXY` in a CGI program, where it holds the `Proxy` field of a request (CVE-2016-5385).
    #[must_use]
    pub fn ignored_in_env() -> Option<&'static str> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        (is_set("HTTP_PROXY") && is_set(CGI) && !is_set("http_proxy")).then_some("HTTP_PROXY")
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn is_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub(crate) fn port(&self) -> u16 {
        let default = if self.is_http() { 80 } else { 1080 };
        self.url.port().unwrap_or(default)
    }

    /// Whether it is given a user name or a password.
    pub(crate) fn has_login(&self) -> bool {
        !self.user.is_empty() || !self.password.is_empty()
    }

    /// Whether the proxy itself gets the requests to this URL, instead of a tunnel.
    pub(crate) fn gets_requests(&self, url: &Url) -> bool {
        self.is_http() && url.scheme() == "http"
    }

    /// Whether the address of the host is to be found before the tunnel is asked for.
    pub(crate) fn wants_address(&self) -> bool {
        self.url.scheme() == "socks5"
    }

    /// What the pool calls connections through this proxy.
    pub(crate) fn pool_name(&self, url: &Url, host: &str) -> String {
        let Self { url: proxy, user, .. } = self;
        let via = format!("{} {user} {}:{}", proxy.scheme(), self.host(), self.port());
        if self.gets_requests(url) { via } else { format!("{host} {via}") }
    }

    /// The field that authenticates to the proxy.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>> {
        if !self.is_http() || !self.has_login() {
            return Ok(None);
        }
        target::basic_auth(&self.user, &self.password).map(Some)
    }

    /// Opens a tunnel over a connection to the proxy.
    pub(crate) async fn tunnel(
        &self,
        transport: Transport,
        url: &Url,
        addresses: &[IpAddr],
    ) -> Result<Transport> {
        if self.is_http() {
            return self.connect(transport, url).await;
        }
        let target = match addresses.first() {
            Some(IpAddr::V4(address)) => Host::Ipv4(*address),
            Some(IpAddr::V6(address)) => Host::Ipv6(*address),
            None => url.host().ok_or_else(|| refused("the URL has no host"))?,
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let login = (!self.user.is_empty()).then_some((&*self.user, &*self.password));
        socks::connect(transport, target, port, login).await
    }

    async fn connect(&self, transport: Transport, url: &Url) -> Result<Transport> {
        let authority = target::authority_form(url);
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
        let mut connection = Connection::new(transport, None);
        let kind = RequestKind { connect: true, ..RequestKind::default() };
        connection.begin(head, Body::empty(), kind, Limits::default(), false);
        let head = loop {
            let reply = match poll_fn(|cx| connection.poll_send(cx)).await? {
                Sent::Reply(reply) => reply,
                Sent::Some => continue,
                Sent::All | Sent::Held => poll_fn(|cx| connection.poll_reply(cx)).await?,
            };
            if let Some(start) = reply {
                break start.head;
            }
        };
        let mut status = format!("{} {}", head.status.as_u16(), head.reason());
        if head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            status.push_str(match self.user.is_empty() {
                true => ": it wants a user name and a password",
                false => ": it refused the user name or the password",
            });
        }
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

/// Its URL without the password, and what names it.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact_url(&self.url).trim_end_matches('/'))?;
        match &self.named_by {
            Some(source) => write!(f, " (from {source})"),
            None => Ok(()),
        }
    }
}

/// Which requests go through which proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<Rc<Proxy>>,
    pub(crate) https: Option<Rc<Proxy>>,
    exceptions: Vec<Exception>,
}

impl Proxies {
    /// As the variables say that most programs look at, small letters first. `HTTP_PROXY` in capitals
    /// is not looked at in a CGI program: there it is what a request's `Proxy` field says.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let find = |names: &[&str]| -> Result<Option<Rc<Proxy>>> {
            let mut named = names.iter().filter_map(|name| Some((name, get(name)?)));
            let Some((name, value)) = named.next() else { return Ok(None) };
            match Proxy::new(value) {
                Ok(proxy) => Ok(Some(Rc::new(proxy.named_by(name)))),
                Err(error) => Err(Error::new(ErrorKind::InvalidUrl(format!("{name}: {error}")))),
            }
        };
        let http: &[&str] = match get(CGI) {
            None => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
            Some(_) => &["http_proxy", "all_proxy", "ALL_PROXY"],
        };
        let mut proxies = Self {
            http: find(http)?,
            https: find(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            exceptions: Vec::new(),
        };
        let exceptions = get("no_proxy").or_else(|| get("NO_PROXY")).unwrap_or_default();
        proxies.add_exceptions(&exceptions);
        Ok(proxies)
    }

    /// Adds a list in which commas or blanks stand between the entries.
    pub(crate) fn add_exceptions(&mut self, list: &str) {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        self.exceptions.extend(entries.filter_map(Exception::parse));
    }

    /// The proxy for this URL, if it goes through one.
    pub(crate) fn find(&self, url: &Url) -> Option<&Rc<Proxy>> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let is_exception = self.exceptions.iter().any(|exception| exception.covers(url));
        (!is_exception).then_some(proxy)
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
                "HTTPS_PROXY" => "socks5h://me:p%40ss@socks.test",
                "no_proxy" => "localhost .internal.test,*.wild.test\t10.0.0.0/8,::1 ,, a.test:81",
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

    /// RFC 3875 §4.1.18 and CVE-2016-5385 (httpoxy); otherwise as Python's `urllib`, and so aiohttp.
    #[test]
    fn what_a_cgi_program_was_sent_is_no_proxy() {
        let http = |variables: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let proxies = Proxies::from_env(get).unwrap();
            proxies.http.map_or("none".to_owned(), |proxy| proxy.to_string())
        };
        let (small, capital) = (("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://b:2"));
        let (all, cgi) = (("ALL_PROXY", "c:3"), ("REQUEST_METHOD", "GET"));
        assert_eq!(http(&[capital]), "http://b:2 (from HTTP_PROXY)");
        assert_eq!(http(&[capital, small]), "http://a:1 (from http_proxy)");
        assert_eq!(http(&[capital, cgi]), "none");
        assert_eq!(http(&[capital, cgi, all]), "http://c:3 (from ALL_PROXY)");
        assert_eq!(http(&[small, cgi]), "http://a:1 (from http_proxy)");
        assert_eq!(http(&[("http_proxy", " "), capital]), "http://b:2 (from HTTP_PROXY)");
        assert_eq!(http(&[]), "none");
    }

    /// Schemeless ones as curl's `--proxy`: HTTP, and port 1080 where none is named.
    #[test]
    fn how_a_proxy_may_be_written() {
        for (text, expected) in [
            ("a.test:3128", "http://a.test:3128"),
            ("localhost:3128", "http://localhost:3128"),
            ("a.test", "http://a.test:1080"),
            ("a.test:80", "http://a.test"),
            ("//a.test:81/", "http://a.test:81"),
            (" a.test:81\n", "http://a.test:81"),
            ("me:secret@a.test:81", "http://me:***@a.test:81"),
            ("[::1]:81", "http://[::1]:81"),
            ("[::1]", "http://[::1]:1080"),
            ("127.0.0.1", "http://127.0.0.1:1080"),
            ("http://a.test", "http://a.test"),
            ("SOCKS5://a.test", "socks5://a.test"),
        ] {
            let proxy = Proxy::new(text).unwrap();
            assert_eq!(proxy.to_string(), expected, "{text}");
            assert_eq!(Proxy::new(&proxy.url).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(Proxy::new("a.test:80").unwrap().port(), 80);
        assert_eq!(Proxy::new("http://a.test").unwrap().port(), 80);
        assert_eq!(Proxy::new("socks5://a.test").unwrap().port(), 1080);
    }

    #[test]
    fn what_is_no_proxy() {
        for url in ["https://a", "ftp://a", "socks5:///", "", "a b", "a:99999", "http://:81"] {
            assert!(Proxy::new(url).is_err(), "{url}");
        }
        let error = Proxy::new("http://me:secret@[bad").unwrap_err().to_string();
        assert!(error.contains("the proxy \"http://me:***@[bad\""), "{error}");
        let get = |name: &str| (name == "HTTPS_PROXY").then(|| "ftp://me:secret@a".to_owned());
        let error = Proxies::from_env(get).unwrap_err().to_string();
        assert_eq!(error, "invalid URL: HTTPS_PROXY: unsupported URL scheme \"ftp\"");
    }
}
