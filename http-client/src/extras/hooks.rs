//! What happens to each request, told as it happens, under the names that aiohttp gave its signals.
//!
//! A client without a hook pays one look at an `Option` for each. A hook is called on the loop's
//! thread, between two steps of the request: it should be quick, and must not use the client.

use crate::error::Error;
use crate::proto::ResponseHead;
use crate::secret::{Fields, redact_url};
use http::{HeaderMap, Method};
use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;
use url::Url;

/// Is told what happens.
pub trait Hook {
    /// Something has happened to a request.
    fn signal(&self, signal: &Signal<'_>);
}

/// One thing that has happened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Signal<'a> {
    /// Which request it happened to: numbered from 1 in each client. Redirects belong to the
    /// request that led to them.
    pub request: u64,
    /// When, by the real clock.
    pub at: Instant,
    /// What.
    pub kind: SignalKind<'a>,
}

/// What has happened, in about the order in which it does.
///
/// It holds the URL and the fields as they are, secrets included. `Debug` shows none; what is written
/// elsewhere goes through [`redact_url`](crate::redact_url) and [`redact_field`](crate::redact_field).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum SignalKind<'a> {
    /// A request begins, or its next leg after a redirect.
    RequestStart {
        /// The method.
        method: &'a Method,
        /// The URL.
        url: &'a Url,
        /// The header fields that the request itself sets.
        headers: &'a HeaderMap,
        /// Whether a proxy gets the request itself, and so the whole URL for its target.
        to_proxy: bool,
        /// Whether the proxy is sent a login with it.
        proxy_login: bool,
    },
    /// As many connections as allowed are in use: it waits.
    ConnectionQueuedStart,
    /// It has waited long enough.
    ConnectionQueuedEnd,
    /// It goes over a connection that was kept.
    ConnectionReuse {
        /// The peer.
        address: Option<SocketAddr>,
    },
    /// A connection is being opened.
    ConnectionCreateStart,
    /// The addresses of the host are known from before.
    DnsCacheHit,
    /// They are not.
    DnsCacheMiss,
    /// They are being looked up.
    DnsResolveHostStart,
    /// They have been found.
    DnsResolveHostEnd,
    /// The connection is there; TLS shakes hands.
    TlsHandshakeStart,
    /// Hands have been shaken.
    TlsHandshakeEnd,
    /// The connection can be used.
    ConnectionCreateEnd {
        /// The peer.
        address: Option<SocketAddr>,
    },
    /// The head has been sent, and the body, if there is one.
    RequestHeadersSent {
        /// Bytes that were sent, head and body.
        bytes: u64,
    },
    /// The response redirects, and is followed; or it refuses `100-continue` (417), and the request goes
    /// on without.
    RequestRedirect {
        /// The response.
        response: &'a ResponseHead,
    },
    /// The response head is there.
    RequestEnd {
        /// The response.
        response: &'a ResponseHead,
    },
    /// It has failed.
    RequestException {
        /// Why.
        error: &'a Error,
    },
    /// A piece of the body has been given out.
    ResponseChunkReceived {
        /// Its length, content coding still on.
        bytes: usize,
    },
    /// The body is over.
    ResponseEnd,
}

impl SignalKind<'_> {
    /// The name of the signal, as aiohttp has it where it has one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestStart { .. } => "on_request_start",
            Self::ConnectionQueuedStart => "on_connection_queued_start",
            Self::ConnectionQueuedEnd => "on_connection_queued_end",
            Self::ConnectionReuse { .. } => "on_connection_reuseconn",
            Self::ConnectionCreateStart => "on_connection_create_start",
            Self::DnsCacheHit => "on_dns_cache_hit",
            Self::DnsCacheMiss => "on_dns_cache_miss",
            Self::DnsResolveHostStart => "on_dns_resolvehost_start",
            Self::DnsResolveHostEnd => "on_dns_resolvehost_end",
            Self::TlsHandshakeStart => "on_tls_handshake_start",
            Self::TlsHandshakeEnd => "on_tls_handshake_end",
            Self::ConnectionCreateEnd { .. } => "on_connection_create_end",
            Self::RequestHeadersSent { .. } => "on_request_headers_sent",
            Self::RequestRedirect { .. } => "on_request_redirect",
            Self::RequestEnd { .. } => "on_request_end",
            Self::RequestException { .. } => "on_request_exception",
            Self::ResponseChunkReceived { .. } => "on_response_chunk_received",
            Self::ResponseEnd => "on_response_end",
        }
    }
}

/// The name of the signal, and what is known with it.
impl fmt::Debug for SignalKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::RequestStart { method, url, headers, .. } => {
                write!(f, " {method} {} {:?}", redact_url(url), Fields(headers))
            }
            Self::ConnectionReuse { address: Some(address) }
            | Self::ConnectionCreateEnd { address: Some(address) } => write!(f, " {address}"),
            Self::RequestHeadersSent { bytes } => write!(f, " {bytes}"),
            Self::ResponseChunkReceived { bytes } => write!(f, " {bytes}"),
            Self::RequestRedirect { response } | Self::RequestEnd { response } => {
                write!(f, " {response:?}")
            }
            Self::RequestException { error } => write!(f, " {error}"),
            _ => Ok(()),
        }
    }
}

/// The hook of a client, with the numbers that it gives to requests.
pub(crate) struct Hooked {
    pub(crate) hook: Rc<dyn Hook>,
    pub(crate) last: Cell<u64>,
}

impl Hooked {
    /// The hook for the next request.
    pub(crate) fn next(&self) -> HookHandle {
        self.last.set(self.last.get() + 1);
        HookHandle(Some(Box::new((self.hook.clone(), self.last.get()))))
    }
}

/// The hook, if there is one, and the number of the request that it is told about.
#[derive(Clone, Default)]
pub(crate) struct HookHandle(Option<Box<(Rc<dyn Hook>, u64)>>);

impl HookHandle {
    #[inline]
    pub(crate) fn tell(&self, kind: SignalKind<'_>) {
        if let Some(handle) = &self.0 {
            signal(handle, kind);
        }
    }
}

// Cold, as most clients have no hook.
#[cold]
fn signal((hook, request): &(Rc<dyn Hook>, u64), kind: SignalKind<'_>) {
    hook.signal(&Signal { request: *request, at: Instant::now(), kind });
}
