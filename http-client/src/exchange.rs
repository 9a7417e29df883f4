//! One request and its answer, over one connection.

use crate::answer::{Answer, Sent};
use crate::body::Body;
use crate::buffer;
#[cfg(feature = "cookies")]
use crate::client::Config;
use crate::client::{Credentials, Defaults, Inner};
use crate::error::{Phase, Result};
use crate::hooks::SignalKind;
use crate::pool::Lease;
#[cfg(feature = "cookies")]
use crate::proto::ResponseHead;
use crate::proto::{RequestHead, RequestKind, write_fields};
use crate::request::{self, Request};
use crate::timeout::{Deadline, Timeouts, Timer};
use crate::url_parts::UrlParts;
use http::{HeaderMap, Method, header};
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::task::{Poll, ready};
use url::Url;

/// What an exchange waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// That the socket takes the request.
    Send,
    /// The word that the body is welcome.
    Welcome,
    /// The answer.
    Reply,
}

impl Stage {
    fn deadline(self, timeouts: &Timeouts) -> Deadline {
        match self {
            Self::Send => Deadline::new(Phase::Write, timeouts.write),
            Self::Welcome => Deadline::new(Phase::Head, Some(timeouts.expect_continue)),
            Self::Reply => Deadline::new(Phase::Head, timeouts.head),
        }
    }
}

/// Sends the request that was put on the connection, and waits for the head of the final answer.
///
/// One poll function and no `async fn` of several waits, as every request is resumed here.
pub(crate) fn exchange(
    lease: &mut Lease,
    timeouts: &Timeouts,
    timer: &mut Timer,
) -> impl Future<Output = Result<Box<Answer>>> {
    let mut stage = Stage::Send;
    let mut deadline = stage.deadline(timeouts);
    poll_fn(move |cx| {
        loop {
            let step = match stage {
                Stage::Send => lease.poll_send(cx),
                Stage::Welcome | Stage::Reply => lease.poll_reply(cx).map_ok(Sent::Reply),
            };
            let mut next = stage;
            match step {
                Poll::Ready(Ok(Sent::Reply(Some(answer)))) => return Poll::Ready(Ok(answer)),
                Poll::Ready(Ok(Sent::Reply(None) | Sent::Some)) => {}
                Poll::Ready(Ok(Sent::Held)) => next = Stage::Welcome,
                Poll::Ready(Ok(Sent::All)) => {
                    timer.tell(SignalKind::RequestHeadersSent { bytes: lease.sent() });
                    next = Stage::Reply;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let error = ready!(timer.poll_elapsed(cx, &mut deadline));
                    if stage != Stage::Welcome || error.phase() == Some(Phase::Total) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
            if stage == Stage::Welcome {
                // Welcome, or no word for long enough (RFC 9110 §10.1.1).
                lease.release_body();
                next = Stage::Send;
            }
            stage = next;
            deadline = stage.deadline(timeouts);
        }
    })
}

impl Inner {
    /// Puts a request, whose URL is `url` and whose body is `body`, on its connection.
    pub(crate) fn begin(
        &self,
        lease: &mut Lease,
        request: &Request,
        url: UrlParts<'_>,
        body: Body,
    ) -> Result<()> {
        let mut kind = RequestKind {
            head: request.method == Method::HEAD,
            connect: request.method == Method::CONNECT,
            ..RequestKind::default()
        };
        let mut held = false;
        // Most requests have no fields of their own.
        if !request.headers.is_empty() {
            (kind.upgrade, kind.close, held) = asked_for(&request.headers);
            held &= !body.is_empty();
        }
        let head = self.write_head(request, url, &body)?;
        lease.begin(head, body, kind, self.config.limits, held);
        Ok(())
    }

    /// The request head, in the thread's write buffer.
    fn write_head(&self, request: &Request, url: UrlParts<'_>, body: &Body) -> Result<Vec<u8>> {
        let mut headers = Cow::Borrowed(&request.headers);
        if url.has_credentials()
            && !headers.contains_key(header::AUTHORIZATION)
            && let Some(value) = request::url_authorization(url.url())?
        {
            headers.to_mut().insert(header::AUTHORIZATION, value);
        }
        let mut defaults = &self.config.defaults;
        if let Some(credentials) = &self.config.credentials
            && !credentials.are_for(request, &mut headers)
        {
            defaults = &credentials.others;
        }
        #[cfg(feature = "cookies")]
        self.config.add_cookies(url.url(), &mut headers);
        let authority;
        let target = if request.method == Method::CONNECT {
            authority = authority_form(url.url());
            &authority
        } else {
            url.target()
        };
        #[cfg(feature = "proxy")]
        let whole;
        #[cfg(feature = "proxy")]
        let target = match self.opener.proxies.find(url.url()) {
            Some(proxy) if proxy.gets_requests(url.url()) => {
                if let Some(value) = proxy.authorization()? {
                    headers.to_mut().insert(header::PROXY_AUTHORIZATION, value);
                }
                whole = format!("{}://{}{target}", url.url().scheme(), url.host());
                &whole
            }
            _ => target,
        };
        let mut out = buffer::take_write_buffer();
        RequestHead {
            method: &request.method,
            target,
            host: url.host(),
            headers: &headers,
            defaults: &defaults.fields,
            body: body.length(),
        }
        .write_with(&defaults.written, &mut out);
        Ok(out)
    }
}

impl Defaults {
    pub(crate) fn new(fields: HeaderMap) -> Self {
        let mut written = Vec::new();
        write_fields(&mut written, &fields);
        Self { fields, written }
    }
}

impl Credentials {
    /// Whether the default credentials may go where this request goes. Adds those that are of its
    /// origin alone.
    fn are_for(&self, request: &Request, headers: &mut Cow<'_, HeaderMap>) -> bool {
        if self.named.is_empty() {
            return !request.left_origin;
        }
        let origin = request.url.origin();
        let mut named = self.named.iter().filter(|(named, _)| *named == origin).peekable();
        let known = named.peek().is_some();
        if let Some(value) = named.find_map(|(_, value)| value.clone())
            && !headers.contains_key(header::AUTHORIZATION)
        {
            headers.to_mut().insert(header::AUTHORIZATION, value);
        }
        known
    }
}

/// The target of CONNECT, in which the port is always named (RFC 9112 §3.2.3).
#[cold]
fn authority_form(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or(80);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

#[cfg(feature = "cookies")]
impl Config {
    pub(crate) fn keep_cookies(&self, url: &Url, head: &ResponseHead) {
        let Some(jar) = self.cookies.as_ref().filter(|_| head.facts.set_cookie) else { return };
        for value in head.headers().get_all(header::SET_COOKIE) {
            jar.set(url, value.as_bytes());
        }
    }

    /// A request that sets the field itself knows better.
    fn add_cookies(&self, url: &Url, headers: &mut Cow<'_, HeaderMap>) {
        let Some(jar) = &self.cookies else { return };
        if !headers.contains_key(header::COOKIE)
            && let Some(cookies) = jar.bytes(url)
            && let Ok(value) = header::HeaderValue::try_from(cookies)
        {
            headers.to_mut().insert(header::COOKIE, value);
        }
    }
}

/// Whether the fields of a request ask for another protocol, for the end of the connection, and for a
/// word of welcome before the body is sent.
fn asked_for(headers: &HeaderMap) -> (bool, bool, bool) {
    let close = headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    let expect = headers.get(header::EXPECT);
    let welcome =
        expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    (headers.contains_key(header::UPGRADE), close, welcome)
}
