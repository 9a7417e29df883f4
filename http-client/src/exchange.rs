//! One request and its answer, over one connection.

use crate::answer::{Answer, Sent};
use crate::body::Body;
use crate::buffer;
#[cfg(feature = "cookies")]
use crate::client::Config;
use crate::client::Inner;
use crate::error::{Phase, Result};
use crate::hooks::SignalKind;
use crate::pool::Lease;
#[cfg(feature = "cookies")]
use crate::proto::ResponseHead;
use crate::proto::{RequestHead, RequestKind};
use crate::request::{self, Request};
use crate::timeout::{Timeouts, Timer};
use http::{HeaderMap, Method, header};
use std::borrow::Cow;
use url::Position;
#[cfg(feature = "cookies")]
use url::Url;

impl Inner {
    /// Sends a request and waits for the head of the final answer.
    pub(crate) async fn exchange(
        &self,
        lease: &mut Lease,
        request: &Request,
        body: Body,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Box<Answer>> {
        let kind = RequestKind {
            head: request.method == Method::HEAD,
            connect: request.method == Method::CONNECT,
            upgrade: request.headers.contains_key(header::UPGRADE),
            close: asks_to_close(&request.headers),
        };
        let held = !body.is_empty() && expects_continue(&request.headers);
        let head = self.write_head(request, &body)?;
        lease.begin(head, body, kind, self.config.limits, held);
        loop {
            let sent = timer.within(Phase::Write, timeouts.write, |cx| lease.poll_send(cx));
            match sent.await?? {
                Sent::Some => {}
                Sent::Reply(reply) => {
                    if let Some(reply) = reply {
                        return Ok(reply);
                    }
                }
                Sent::All => {
                    timer.tell(SignalKind::RequestHeadersSent { bytes: lease.sent() });
                    break;
                }
                Sent::Held => {
                    let patience = Some(timeouts.expect_continue);
                    let asked =
                        timer.within(Phase::Head, patience, |cx| lease.poll_reply(cx)).await;
                    match asked {
                        Ok(Ok(Some(reply))) => return Ok(reply),
                        Ok(Err(error)) => return Err(error),
                        Err(error) if error.phase() == Some(Phase::Total) => return Err(error),
                        // Welcome, or no word for long enough (RFC 9110 §10.1.1).
                        Ok(Ok(None)) | Err(_) => lease.release_body(),
                    }
                }
            }
        }
        loop {
            let reply = timer.within(Phase::Head, timeouts.head, |cx| lease.poll_reply(cx));
            if let Some(reply) = reply.await?? {
                return Ok(reply);
            }
        }
    }

    /// The request head, in the thread's write buffer.
    fn write_head(&self, request: &Request, body: &Body) -> Result<Vec<u8>> {
        let url = &request.url;
        let mut headers = Cow::Borrowed(&request.headers);
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials && !headers.contains_key(header::AUTHORIZATION) {
            let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
            let password = decoded(url.password().unwrap_or_default());
            let value = request::basic(&decoded(url.username()), &password)?;
            headers.to_mut().insert(header::AUTHORIZATION, value);
        }
        #[cfg(feature = "cookies")]
        self.config.add_cookies(url, &mut headers);
        let authority;
        let target = if request.method == Method::CONNECT {
            // RFC 9112 §3.2.3: the port is always named.
            let port = url.port_or_known_default().unwrap_or(80);
            authority = format!("{}:{port}", url.host_str().unwrap_or_default());
            &authority
        } else {
            &url[Position::BeforePath..Position::AfterQuery]
        };
        #[cfg(feature = "proxy")]
        let whole;
        #[cfg(feature = "proxy")]
        let target = match self.opener.proxies.find(url) {
            Some(proxy) if proxy.gets_requests(url) => {
                if let Some(value) = proxy.authorization()? {
                    headers.to_mut().insert(header::PROXY_AUTHORIZATION, value);
                }
                let host = &url[Position::BeforeHost..Position::AfterPort];
                whole = format!("{}://{host}{target}", url.scheme());
                &whole
            }
            _ => target,
        };
        let mut out = buffer::take_write_buffer();
        RequestHead {
            method: &request.method,
            target,
            host: &url[Position::BeforeHost..Position::AfterPort],
            headers: &headers,
            defaults: &self.config.defaults,
            body: body.length(),
        }
        .write_with(&self.config.defaults_written, &mut out);
        Ok(out)
    }
}

#[cfg(feature = "cookies")]
impl Config {
    pub(crate) fn keep_cookies(&self, url: &Url, head: &ResponseHead) {
        let Some(jar) = self.cookies.as_ref().filter(|_| head.facts.set_cookie) else { return };
        for value in head.headers().get_all(header::SET_COOKIE) {
            jar.set(url, &String::from_utf8_lossy(value.as_bytes()));
        }
    }

    /// A request that sets the field itself knows better.
    fn add_cookies(&self, url: &Url, headers: &mut Cow<'_, HeaderMap>) {
        let Some(jar) = &self.cookies else { return };
        if !headers.contains_key(header::COOKIE)
            && let Some(cookies) = jar.get(url)
            && let Ok(value) = header::HeaderValue::try_from(cookies)
        {
            headers.to_mut().insert(header::COOKIE, value);
        }
    }
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
