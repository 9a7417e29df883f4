//! The client: takes a request through the pool, a connection, an answer, and the next redirect.

use crate::body::Body;
use crate::connection::{Connection, ResponseStart, exchange};
use crate::connector::Connector;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::hooks::{Hooked, SignalKind};
use crate::pool::{Lease, Pool};
use crate::proto::{CloseReason, ResponseHead};
use crate::proxy::Proxy;
use crate::redirect;
use crate::request::{Hop, Redirect, Request, Settings};
use crate::request_head::{self, Config};
use crate::response::Response;
use crate::retry::RetryPolicy;
use crate::stats::Stats;
use crate::target;
use crate::timeout::{Timeouts, Timer};
use http::{StatusCode, header};
use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// What is read of a redirect's body to keep its connection, and how long each piece of it is
/// waited for. Beyond, a new connection costs less.
const REDIRECT_BODY_BYTES: u64 = 64 * 1024;
const REDIRECT_BODY_TIME: Duration = Duration::from_secs(1);

/// An HTTP/1.1 client with a pool of connections.
///
/// Cheap to clone: all clones share one pool. It belongs to the thread, and to the runtime, in
/// which its first request is sent.
#[derive(Clone, derive_more::Debug)]
#[debug("Client({})", self.stats())]
pub struct Client {
    inner: Rc<Inner>,
}

struct Inner {
    config: Rc<Config>,
    pool: Rc<Pool>,
    connector: Connector,
}

impl Client {
    pub(crate) fn from_parts(config: Config, pool: Rc<Pool>, connector: Connector) -> Self {
        Self { inner: Rc::new(Inner { config: Rc::new(config), pool, connector }) }
    }

    /// What the client has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.pool.stats()
    }

    /// The proxy that a request to `url` goes through, unless it names one of its own.
    #[must_use]
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        self.inner.proxy(self.settings(), url)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.config.settings
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
            // Pinned where it is made: else all of it is moved, wherever it is not inlined.
            _ => pin!(self.run_once(request)).await,
        }
    }

    async fn run_again(&self, request: Box<Request>, policy: &RetryPolicy) -> Result<Response> {
        let mut tries_made = 0;
        loop {
            let Some(again) = request.try_clone() else { return self.run_once(request).await };
            let outcome = self.run_once(Box::new(again)).await;
            tries_made += 1;
            let seen = outcome.as_ref().map(|response| (response.status(), response.headers()));
            let Some(wait) = policy.wait(tries_made, seen) else { return outcome };
            // A response that is not the answer gives its connection back before the wait.
            drop(outcome);
            self.inner.pool.count(|stats| stats.retried += 1);
            mainspring::time::sleep(wait).await;
        }
    }

    async fn run_once(&self, mut request: Box<Request>) -> Result<Response> {
        let config = &*self.inner.config;
        let own = request.settings.take();
        let settings = own.as_deref().unwrap_or(&config.settings);
        let hook = config.hook.as_ref().map(Hooked::next).unwrap_or_default();
        let mut timer = Timer::start(settings.timeouts.total, hook);
        let mut history = Vec::new();
        loop {
            let Request { method, url, headers, .. } = &*request;
            // Of use to a hook alone.
            let proxy = config.hook.as_ref().and_then(|_| self.inner.proxy(settings, url));
            let proxy = proxy.filter(|proxy| proxy.gets_requests(url));
            let (to_proxy, proxy_login) = (proxy.is_some(), proxy.is_some_and(Proxy::has_login));
            let kind = SignalKind::RequestStart { method, url, headers, to_proxy, proxy_login };
            timer.tell(kind);
            let sent = pin!(self.inner.send(&mut request, settings, &mut timer)).await;
            let (start, mut lease) = sent.map_err(|error| told(error, &request, &timer))?;
            keep_cookies(config, &request.url, &start.head);
            let response = &start.head;
            let goes_on = (start.head.status == StatusCode::EXPECTATION_FAILED
                && without_expectation(&mut request, &mut lease))
                || (start.head.status.is_redirection()
                    && follow(&mut request, &start.head, &mut history, settings)
                        .map_err(|error| told(error, &request, &timer))?);
            if goes_on {
                timer.tell(SignalKind::RequestRedirect { response });
                finish(&start, &mut lease, &mut timer).await;
                continue;
            }
            timer.tell(SignalKind::RequestEnd { response });
            request.body = Body::empty();
            return Response::new(request, start, lease, timer, settings, history);
        }
    }
}

impl Inner {
    /// Sends one request, and once more if the kept connection it was sent on was dead.
    async fn send(
        &self,
        request: &mut Request,
        settings: &Settings,
        timer: &mut Timer,
    ) -> Result<(Box<ResponseStart>, Lease)> {
        let timeouts = &settings.timeouts;
        let proxy = self.proxy(settings, &request.url);
        let parts = target::split(&request.url);
        let mut lease = {
            let host = pool_name(&request.url, parts, proxy)?;
            self.pool.start_sweeping();
            if let Some(lease) = self.pool.try_acquire(&host) {
                lease
            } else {
                // Boxed, as is what opens a connection below: what either needs need not be kept
                // room for while a request waits for its answer, which is where most of them are.
                let acquire = self.pool.acquire(&host);
                Box::pin(timer.within_pool(timeouts.pool, pin!(acquire))).await?
            }
        };
        loop {
            if lease.is_connected() {
                timer.tell(SignalKind::ConnectionReuse { address: lease.peer });
            } else {
                Box::pin(self.open(&mut lease, &request.url, proxy, timeouts, timer)).await?;
            }
            self.pool.count(|stats| stats.requests += 1);
            let body = request.body.for_sending();
            let config = &self.config;
            let begun =
                request_head::begin(&mut lease, request, parts, body, settings, proxy, config);
            let sent = match begun {
                Ok(()) => exchange(&mut lease, timeouts, timer).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(start) => return Ok((start, lease)),
                Err(error) if may_repeat(request, &lease, &error) => {
                    lease.reopen(CloseReason::ClosedWhileIdle);
                    self.pool.count(|stats| stats.repeated += 1);
                }
                Err(error) => {
                    let error = lease.locate(error);
                    return Err(match proxy.filter(|proxy| proxy.gets_requests(&request.url)) {
                        Some(proxy) => error.with_proxy(proxy),
                        None => error,
                    });
                }
            }
        }
    }

    /// The proxy that requests to `url` go through, if any.
    fn proxy<'a>(&'a self, settings: &'a Settings, url: &Url) -> Option<&'a Proxy> {
        match &settings.proxy {
            Some(proxy) => proxy.as_ref(),
            None => self.connector.proxies.find(url).map(|proxy| &**proxy),
        }
    }

    async fn open(
        &self,
        lease: &mut Lease,
        url: &Url,
        proxy: Option<&Proxy>,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<()> {
        timer.tell(SignalKind::ConnectionCreateStart);
        timer.open_within(timeouts.connect);
        let opened = self.connector.open(url, proxy, timeouts, timer).await;
        timer.open_within(None);
        match opened {
            Ok(connection) => {
                timer.tell(SignalKind::ConnectionCreateEnd { address: connection.peer });
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

/// The name under which the pool knows where requests to `url` are sent.
#[inline]
fn pool_name<'a>(
    url: &'a Url,
    parts: target::Parts<'a>,
    proxy: Option<&Proxy>,
) -> Result<Cow<'a, str>> {
    let origin = target::origin(url, parts)?;
    Ok(match proxy {
        Some(proxy) => Cow::Owned(proxy.pool_name(url, &origin)),
        None => origin,
    })
}

/// An error that says which request it is of, and that the hook has been told of.
#[cold]
fn told(error: Error, request: &Request, timer: &Timer) -> Error {
    let error = error.for_request(&request.method, &request.url);
    timer.tell(SignalKind::RequestException { error: &error });
    error
}

fn keep_cookies(config: &Config, url: &Url, head: &ResponseHead) {
    let Some(jar) = config.cookies.as_ref().filter(|_| head.facts.set_cookie) else { return };
    head.values("set-cookie").for_each(|value| jar.keep(url, value));
}

/// Reads the rest of a redirect's body, if that is short and soon there, so that its connection can
/// be used again. If something goes wrong with it, the connection is closed.
async fn finish(start: &ResponseStart, lease: &mut Lease, timer: &mut Timer) {
    let facts = &start.head.facts;
    let ends_by_itself = facts.chunked || facts.content_length.is_some();
    let mut over = start.first.last || facts.close || !ends_by_itself;
    let mut left = REDIRECT_BODY_BYTES;
    while !over && lease.body_left().unwrap_or(0) <= left {
        let limit = Some(REDIRECT_BODY_TIME);
        let more = pin!(poll_fn(|cx| lease.poll_body(cx)));
        let Ok(Ok(piece)) = timer.within(Phase::Body, limit, more).await else { return };
        left = left.saturating_sub(piece.data.len() as u64);
        over = piece.last || left == 0;
    }
}

/// Makes of `request` the one that `head`, which has a status for it, redirects to, if it does.
fn follow(
    request: &mut Request,
    head: &ResponseHead,
    history: &mut Vec<Hop>,
    settings: &Settings,
) -> Result<bool> {
    let limit = settings.redirects;
    let Some(location) = redirect::location(head).filter(|_| limit > 0) else { return Ok(false) };
    let (from, status) = (request.url.clone(), head.status);
    let to = redirect::target(&from, location)?;
    let redirect = Redirect { status, from: &from, to: &to, history };
    if settings.redirect_policy.as_ref().is_some_and(|policy| !policy(&redirect)) {
        return Ok(false);
    }
    if history.len() == limit {
        return Err(Error::new(ErrorKind::TooManyRedirects { limit }));
    }
    let followed = redirect::follow(request, status, to);
    if followed {
        history.push(Hop { url: from, status });
    }
    Ok(followed)
}

/// Takes `100-continue` off a request that was refused for it (417), so that it can be sent without
/// (RFC 9110 §10.1.1). Says whether it can: a body that was a stream and has been sent is gone, and
/// another expectation was meant.
#[cold]
fn without_expectation(request: &mut Request, connection: &mut Connection) -> bool {
    if !request_head::expects_continue(&request.headers) {
        return false;
    }
    request.headers.remove(header::EXPECT);
    if request.body.is_spent()
        && let Some(body) = connection.take_held_body()
    {
        request.body = body;
    }
    !request.body.is_spent()
}

/// Whether a request that failed is sent again: only if the connection had been used before and
/// died without a byte of an answer, and only if doing the same twice is as good as doing it once
/// or nothing was sent (RFC 9110 §9.2.2, RFC 9112 §9.3.1). A body that was a stream is gone.
fn may_repeat(request: &Request, connection: &Connection, error: &Error) -> bool {
    let died = matches!(error.kind(), ErrorKind::Io { .. } | ErrorKind::NoResponse);
    let harmless = request.method.is_idempotent() || connection.sent == 0;
    !request.body.is_spent()
        && died
        && connection.is_reused()
        && connection.received == 0
        && harmless
}
