//! What `crawl get` shows of a conversation: requests as they are sent, the heads of answers.

use std::cell::RefCell;
use std::io::{self, Write as _};

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mainspring_http::{
    HIDDEN, Hook, ResponseHead, Signal, SignalKind, redact, redact_field, redact_url, take_userinfo,
};
use url::{Position, Url};

use crate::failure::{Failure, print_bytes};
use crate::text::{Printable, STDERR, STDOUT, Stream, Text};

/// Shows each request as it is sent, and the heads of the answers.
#[derive(Default)]
pub(super) struct Shown {
    /// Whether all of it is told to the person who watches.
    pub(super) verbose: bool,
    /// Whether the heads are printed.
    pub(super) heads: bool,
    /// Bytes of the body of the first request, if it has one.
    pub(super) body: Option<usize>,
    /// The method of the first request.
    pub(super) method: RefCell<Option<Method>>,
    /// Why a head could not be printed.
    pub(super) trouble: RefCell<Option<Failure>>,
}

impl Hook for Shown {
    fn signal(&self, signal: &Signal<'_>) {
        match signal.kind {
            SignalKind::RequestStart { method, url, headers, to_proxy, proxy_login }
                if self.verbose =>
            {
                let proxy = to_proxy.then_some(proxy_login);
                tell(&self.request_text(method, url, headers, proxy));
            }
            SignalKind::RequestRedirect { response } | SignalKind::RequestEnd { response } => {
                if self.verbose {
                    tell(&head(response, "< ", &STDERR));
                }
                if self.heads && self.trouble.borrow().is_none() {
                    let head = [&head(response, "", &STDOUT)[..], b"\n"].concat();
                    self.trouble.replace(print_bytes(&head).err());
                }
            }
            _ => {}
        }
    }
}

impl Shown {
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
        others.for_each(|field| push_field(&mut text, "> ", field, &STDERR));
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

/// The head of an answer, as near to the wire as it can be told.
fn head(response: &ResponseHead, before: &str, to: Stream) -> Vec<u8> {
    let (version, status) = (response.version, response.status.as_u16());
    let start = format!("{version:?} {status} {}", response.reason());
    let mut text = format!("{before}{}\n", Text(start.trim_end(), to)).into_bytes();
    response.headers().iter().for_each(|field| push_field(&mut text, before, field, to));
    text
}

/// A field: as it is where it was asked for, and without secrets in what is `before` or after others.
fn push_field(
    text: &mut Vec<u8>,
    before: &str,
    (name, value): (&HeaderName, &HeaderValue),
    to: Stream,
) {
    text.extend(format!("{before}{name}: ").bytes());
    let hidden = redact_field(name, value);
    let value = if before.is_empty() { value.as_bytes() } else { hidden.as_bytes() };
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
