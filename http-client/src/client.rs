//! The client: takes a request through the pool, a connection, an answer, and the next redirect.

use crate::answer::Answer;
use crate::body::Body;
use crate::builder::ClientBuilder;
use crate::connection::Connection;
#[cfg(feature = "cookies")]
use crate::cookies::CookieJar;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::exchange::exchange;
use crate::hooks::{Hooked, ResponseView, SignalKind};
use crate::open::Opener;
use crate::pool::{Lease, Pool};
use crate::proto::{CloseReason, Limits, ResponseHead};
use crate::redirect::{self, Redirect};
use crate::request::{IntoUrl, Request, RequestBuilder};
use crate::response::Response;
use crate::retry::RetryPolicy;
use crate::stats::Stats;
use crate::sweep::Sweeper;
use crate::timeout::{Timeouts, Timer};
use crate::url_parts::UrlParts;
use http::{HeaderMap, HeaderValue, Method};
use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use url::{Origin, Url};

/// What is read of a redirect's body to keep its connection, and how long each piece of it is
/// waited for. Beyond, a new connection costs less.
const REDIRECT_BODY_BYTES: u64 = 64 * 1024;
const REDIRECT_BODY_TIME: Duration = Duration::from_secs(1);

/// An HTTP/1.1 client with a pool of connections.
///
/// Cheap to clone: all clones share one pool. It belongs to the thread, and to the runtime, in
/// which its first request is sent.
#[derive(Clone)]
pub struct Client {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Rc<Config>,
    pool: Rc<Pool>,
    pub(crate) opener: Opener,
    sweeper: Sweeper,
}

/// What the builder decided.
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) defaults: Defaults,
    /// Where credentials may go, unless there are none.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) redirects: usize,
    pub(crate) redirect_policy: Option<redirect::Policy>,
    pub(crate) max_body_bytes: u64,
    pub(crate) decompress: bool,
    pub(crate) max_ratio: u64,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) hook: Option<Hooked>,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<CookieJar>,
}

/// Fields for every request, and the same as they stand in a head.
pub(crate) struct Defaults {
    pub(crate) fields: HeaderMap,
    pub(crate) written: Vec<u8>,
}

/// Which origins may get the client's credentials.
pub(crate) struct Credentials {
    /// The default fields that are none.
    pub(crate) others: Defaults,
    /// The origins that were named, each with the authorization that is its own. If there are none, the
    /// default fields go to whatever origin a request begins with.
    pub(crate) named: Vec<(Origin, Option<HeaderValue>)>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
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

    pub(crate) fn from_parts(config: Config, pool: Rc<Pool>, opener: Opener) -> Self {
        let (config, sweeper) = (Rc::new(config), Sweeper::default());
        Self { inner: Rc::new(Inner { config, pool, opener, sweeper }) }
    }

    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.into_url())
    }

    /// What the client has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.pool.stats()
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.inner.config.timeouts
    }

    /// Sends a request and waits for the response head, redirects followed.
    ///
    /// # Errors
    /// Whatever goes wrong on the way; see [`ErrorKind`].
    pub async fn execute(&self, request: Request) -> Result<Response> {
        self.clone().run(Ok(Box::new(request))).await
    }

    /// As often as the retry policy says.
    pub(crate) async fn run(self, request: Result<Box<Request>>) -> Result<Response> {
        let request = request?;
        match &self.inner.config.retry {
            Some(policy) if policy.applies_to(&request.method) => {
                // Boxed, as it would make every request's future larger by all that it holds.
                Box::pin(self.run_again(request, policy)).await
            }
            _ => self.run_once(request).await,
        }
    }

    async fn run_again(&self, request: Box<Request>, policy: &RetryPolicy) -> Result<Response> {
        let mut tries_made = 0;
        loop {
            let Some(again) = request.try_clone() else { return self.run_once(request).await };
            let outcome = self.run_once(Box::new(again)).await;
            tries_made += 1;
            let Some(wait) = policy.wait(tries_made, &outcome) else { return outcome };
            // A response that is not the answer gives its connection back before the wait.
            drop(outcome);
            self.inner.pool.count(|stats| stats.retried += 1);
            mainspring::time::sleep(wait).await;
        }
    }

    async fn run_once(&self, mut request: Box<Request>) -> Result<Response> {
        let config = &self.inner.config;
        let own = request.timeouts.take();
        let timeouts = own.as_deref().unwrap_or(&config.timeouts);
        let limit = request.redirects.unwrap_or(config.redirects);
        let teller = config.hook.as_ref().map(Hooked::next).unwrap_or_default();
        let mut timer = Timer::start(timeouts.total, teller);
        let mut history = Vec::new();
        loop {
            let Request { method, url, headers, .. } = &*request;
            timer.tell(SignalKind::RequestStart { method, url, headers });
            let sent = self.send(&mut request, timeouts, &mut timer).await;
            let (answer, mut lease) = sent.map_err(|error| {
                let error = self.inner.blame(error, &request.url);
                let error = error.for_request(&request.method, &request.url);
                timer.tell(SignalKind::RequestException { error: &error });
                error
            })?;
            #[cfg(feature = "cookies")]
            config.keep_cookies(&request.url, &answer.head);
            let response = ResponseView(&answer.head);
            let redirects = limit > 0 && answer.head.status.is_redirection();
            if redirects && follow(&mut request, &answer.head, &mut history, limit, config)? {
                timer.tell(SignalKind::RequestRedirect { response });
                finish(&answer, &mut lease, &mut timer).await;
                continue;
            }
            timer.tell(SignalKind::RequestEnd { response });
            request.body = Body::empty();
            let config = config.clone();
            return Response::new(request, answer, lease, timer, timeouts.read, history, config);
        }
    }

    /// Sends one request, and once more if the kept connection it was sent on was dead.
    async fn send(
        &self,
        request: &mut Request,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<(Box<Answer>, Lease)> {
        let inner = &*self.inner;
        let url = UrlParts::of(&request.url);
        let mut lease = {
            let host = inner.host_name(url)?;
            inner.sweeper.start(&inner.pool);
            if let Some(lease) = inner.pool.try_acquire(&host) {
                lease
            } else {
                // Boxed, as is what opens a connection below: what either needs need not be kept
                // room for while a request waits for its answer, which is where most of them are.
                Box::pin(inner.wait_for_lease(&host, timeouts, timer)).await?
            }
        };
        loop {
            if lease.is_connected() {
                timer.tell(SignalKind::ConnectionReuse { address: lease.peer() });
            } else {
                Box::pin(inner.open(&mut lease, &request.url, timeouts, timer)).await?;
            }
            inner.pool.count(|stats| stats.requests += 1);
            let body = request.body.for_sending();
            let answer = match inner.begin(&mut lease, request, url, body) {
                Ok(()) => exchange(&mut lease, timeouts, timer).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok((answer, lease)),
                Err(error) if may_repeat(request, &lease, &error) => {
                    lease.reopen(CloseReason::ClosedWhileIdle);
                    inner.pool.count(|stats| stats.repeated += 1);
                }
                Err(error) => return Err(lease.locate(error)),
            }
        }
    }
}

/// Reads the rest of a redirect's body, if that is short and soon there, so that its connection can
/// be used again. What goes wrong with it concerns nobody: then the connection is closed.
async fn finish(answer: &Answer, lease: &mut Lease, timer: &mut Timer) {
    let facts = &answer.head.facts;
    let ends_by_itself = facts.chunked || facts.content_length.is_some();
    let mut over = answer.first.last || facts.close || !ends_by_itself;
    let mut left = REDIRECT_BODY_BYTES;
    while !over && lease.body_left().unwrap_or(0) <= left {
        let mut seen = 0;
        let step = timer.within(Phase::Body, Some(REDIRECT_BODY_TIME), |cx| {
            lease.poll_body_with(cx, &mut |data| seen += data.len() as u64)
        });
        over = !matches!(step.await, Ok(Ok(None)));
        left = left.saturating_sub(seen);
        over |= left == 0;
    }
}

/// Makes of `request` the one that `head`, which has a status for it, redirects to, if it does.
fn follow(
    request: &mut Request,
    head: &ResponseHead,
    history: &mut Vec<Url>,
    limit: usize,
    config: &Config,
) -> Result<bool> {
    let Some(location) = redirect::location(head.status, head.headers()) else { return Ok(false) };
    let from = request.url.clone();
    let method = request.method.clone();
    let followed = redirect::target(&from, location).and_then(|to| {
        let redirect = Redirect { status: head.status, from: &from, to: &to, history };
        if config.redirect_policy.as_ref().is_some_and(|policy| !policy(&redirect)) {
            return Ok(false);
        }
        if history.len() == limit {
            return Err(Error::new(ErrorKind::TooManyRedirects { limit }));
        }
        let again = request.body.try_clone();
        redirect::follow(request, again, head.status, to)
    });
    let followed = followed.map_err(|error| error.for_request(&method, &from))?;
    if followed {
        history.push(from);
    }
    Ok(followed)
}

impl Inner {
    /// The name under which the pool knows the host that this URL's requests go to.
    #[inline]
    fn host_name<'a>(&self, url: UrlParts<'a>) -> Result<Cow<'a, str>> {
        let host = host_name(url)?;
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.opener.proxies.find(url.url()) {
            return Ok(Cow::Owned(proxy.pool_name(url.url(), &host)));
        }
        Ok(host)
    }

    /// Says of an error that it was the proxy's, if it is the proxy that gets the requests.
    #[cold]
    fn blame(&self, error: Error, url: &Url) -> Error {
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.opener.proxies.find(url)
            && proxy.gets_requests(url)
            && error.reused().is_some()
        {
            return error.with_proxy(proxy);
        }
        #[cfg(not(feature = "proxy"))]
        let _ = url;
        error
    }

    async fn wait_for_lease(
        &self,
        host: &str,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Lease> {
        let acquire = pin!(self.pool.acquire(host));
        timer.within_pool(timeouts.pool, acquire).await
    }

    async fn open(
        &self,
        lease: &mut Lease,
        url: &Url,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<()> {
        timer.tell(SignalKind::ConnectionCreateStart);
        match self.opener.open(url, timeouts, timer).await {
            Ok(connection) => {
                timer.tell(SignalKind::ConnectionCreateEnd { address: connection.peer() });
                lease.connect(connection);
                Ok(())
            }
            Err(error) => {
                self.pool.count(|stats| stats.failed += 1);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.stats())
    }
}

/// The name under which the pool knows a URL's host: scheme, host and port.
#[inline]
fn host_name(url: UrlParts<'_>) -> Result<Cow<'_, str>> {
    let scheme = url.url().scheme();
    let known = scheme == "http" || (cfg!(feature = "tls") && scheme == "https");
    if !known || !url.url().has_host() {
        return Err(not_for_us(url.url(), known));
    }
    if url.has_credentials() {
        return Ok(Cow::Owned(format!("{scheme}://{}", url.host())));
    }
    Ok(Cow::Borrowed(url.start()))
}

#[cold]
fn not_for_us(url: &Url, known: bool) -> Error {
    Error::new(if known {
        ErrorKind::InvalidUrl("it has no host".to_owned())
    } else {
        ErrorKind::UnsupportedScheme(url.scheme().to_owned())
    })
}

/// Whether a request that failed is sent again: only if the connection had been used before and
/// died without a byte of an answer, and only if doing the same twice is as good as doing it once
/// or nothing was sent (RFC 9110 §9.2.2, RFC 9112 §9.3.1). A body that was a stream is gone.
fn may_repeat(request: &Request, connection: &Connection, error: &Error) -> bool {
    let died = matches!(error.kind(), ErrorKind::Io { .. } | ErrorKind::NoResponse);
    let harmless = request.method.is_idempotent() || connection.sent() == 0;
    !request.body.is_spent()
        && died
        && connection.is_reused()
        && connection.received() == 0
        && harmless
}
