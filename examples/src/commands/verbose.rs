//! What `crawl get` shows of a conversation: requests as they are sent, the heads of answers.

use std::cell::RefCell;
use std::io::{self, Write as _};

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use mainspring_http::{
    HIDDEN, Hook, Response, Signal, SignalKind, redact, redact_field, redact_url, take_userinfo,
};
use url::{Position, Url};

use crate::text::{Printable, STDERR, STDOUT, Stream, Text};

/// Shows each request as it is sent, and the heads of the answers that redirect.
pub(super) struct Verbose {
    /// Bytes of the body of the first request, if it has one.
    pub(super) body: Option<usize>,
    /// The method of the first request.
    pub(super) method: RefCell<Option<Method>>,
}

impl Hook for Verbose {
    fn signal(&self, signal: &Signal<'_>) {
        match signal.kind {
            SignalKind::RequestStart { method, url, headers, to_proxy, proxy_login } => {
                let proxy = to_proxy.then_some(proxy_login);
                tell(&self.request_text(method, url, headers, proxy));
            }
            SignalKind::RequestRedirect { response } => {
                let (version, status) = (response.version, response.status);
                let start = start_line(version, status, &response.reason());
                tell(&answer_text(&start, response.headers()));
            }
            _ => {}
        }
    }
}

impl Verbose {
    /// The head of a request; `proxy` is whether the proxy that gets it, if one does, gets a login. The
    /// request names all that goes on the wire but where the body ends, what is said to a proxy, and
    /// the host.
    fn request_text(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        proxy: Option<bool>,
    ) -> Vec<u8> {
        let mut whole = url.clone();
        take_userinfo(&mut whole);
        let target = match proxy {
            Some(_) => redact_url(&whole),
            None => redact(&url[Position::BeforePath..Position::AfterQuery]),
        };
        let host =
            headers.get(HOST).map_or(&url[Position::BeforeHost..Position::AfterPort], |value| {
                value.to_str().unwrap_or_default()
            });
        let mut text = format!("> {method} {target} HTTP/1.1\n> host: {host}\n").into_bytes();
        if proxy == Some(true) {
            text.extend(format!("> proxy-authorization: {HIDDEN}\n").bytes());
        }
        let others = headers.iter().filter(|(name, _)| *name != HOST);
        others.for_each(|field| push_hidden(&mut text, "> ", field));
        // A redirect that changes the method takes the body away with it.
        let first = self.method.borrow_mut().get_or_insert_with(|| method.clone()).clone();
        let body = self.body.filter(|_| first == *method);
        let says_none = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        if let Some(bytes) = body.or(says_none.then_some(0)).filter(|bytes| says_none || *bytes > 0)
        {
            text.extend(format!("> content-length: {bytes}\n").bytes());
        }
        text
    }
}

/// The first line of an answer.
pub(super) fn start_line(version: Version, status: StatusCode, reason: &str) -> String {
    format!("{version:?} {} {reason}", status.as_u16()).trim_end().to_owned()
}

/// The head of an answer, as near to the wire as it can be told: all of it, since it was asked for.
pub(super) fn head(response: &Response) -> Vec<u8> {
    let start = start_line(response.version(), response.status(), &response.reason());
    let mut text = format!("{}\n", Text(&start, &STDOUT)).into_bytes();
    for (name, value) in response.headers() {
        push_field(&mut text, "", name, value.as_bytes(), &STDOUT);
    }
    text.push(b'\n');
    text
}

/// The head of an answer as `-v` shows it.
pub(super) fn answer_text(start: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut text = format!("< {}\n", Text(start, &STDERR)).into_bytes();
    headers.iter().for_each(|field| push_hidden(&mut text, "< ", field));
    text
}

/// A field without secrets.
fn push_hidden(text: &mut Vec<u8>, before: &str, (name, value): (&HeaderName, &HeaderValue)) {
    push_field(text, before, name, redact_field(name, value).as_bytes(), &STDERR);
}

fn push_field(text: &mut Vec<u8>, before: &str, name: &HeaderName, value: &[u8], to: Stream) {
    text.extend(format!("{before}{name}: ").bytes());
    match **to {
        true => text.extend(Printable(&String::from_utf8_lossy(value)).to_string().bytes()),
        false => text.extend_from_slice(value),
    }
    text.push(b'\n');
}

/// For the person who watches, on stderr.
pub(super) fn tell(text: &[u8]) {
    io::stderr().write_all(text).unwrap_or_default();
}
