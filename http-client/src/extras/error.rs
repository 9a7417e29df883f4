//! The one error of the client: what failed, in which phase, on which request, and how far it had got.

use crate::proto::ProtocolError;
use crate::secret::{for_person, redact_url};
use http::StatusCode;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// The result of everything that the client does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in the life of a request something happened. Each has its own timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, derive_more::Display)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for a connection, because as many as allowed are in use.
    #[display("waiting for a free connection")]
    Pool,
    /// Looking up the addresses of the host.
    #[display("resolving the host")]
    Resolve,
    /// Connecting to one of them.
    #[display("connecting")]
    Connect,
    /// The TLS handshake.
    #[display("the TLS handshake")]
    Tls,
    /// Sending the request.
    #[display("sending the request")]
    Write,
    /// Waiting for the response head.
    #[display("waiting for the response head")]
    Head,
    /// Waiting for more of the response body.
    #[display("reading the response body")]
    Body,
    /// All of the above but the first.
    #[display("the whole request")]
    Total,
}

/// What went wrong.
#[derive(Debug, derive_more::Display)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL cannot be parsed, or has no host.
    #[display("invalid URL: {}", short(_0))]
    InvalidUrl(String),
    /// A scheme other than `http` and, with TLS, `https`.
    #[display("unsupported URL scheme \"{}\"", short(_0))]
    UnsupportedScheme(String),
    /// The request cannot be built: a header, a body or an option is at fault.
    #[display("invalid request: {}", short(_0))]
    InvalidRequest(String),
    /// A phase took longer than its timeout.
    #[display("timed out after {after:?}: {phase}")]
    Timeout {
        /// Which one.
        phase: Phase,
        /// The timeout that passed.
        after: Duration,
    },
    /// The host has no address, or the resolver failed.
    #[display("cannot resolve the host: {}", short(_0))]
    Resolve(io::Error),
    /// No address of the host accepted a connection; each with its reason, in the order in which
    /// they failed.
    #[display("cannot connect: {}", attempts(_0))]
    Connect(Vec<(SocketAddr, io::Error)>),
    /// Trouble with a certificate or the handshake, or after it an alert, a broken record or an end
    /// that was not declared.
    #[display("TLS: {}", short(_0))]
    Tls(String),
    /// A proxy refused to open a tunnel. [`Error::proxy`] tells which.
    #[display("the proxy: {}", short(_0))]
    Proxy(String),
    /// The socket failed.
    #[display("{phase} failed: {}", short(source))]
    Io {
        /// While doing what.
        phase: Phase,
        /// The system's reason.
        source: io::Error,
    },
    /// The peer closed the connection without a byte of an answer.
    #[display("the peer closed the connection without an answer")]
    NoResponse,
    /// The peer broke the protocol, or a limit on the response.
    #[display("bad response: {_0}")]
    Protocol(ProtocolError),
    /// More redirects than allowed.
    #[display("more than {limit} redirects")]
    TooManyRedirects {
        /// The limit that was passed.
        limit: usize,
    },
    /// A redirect that cannot be followed: its target, and why not.
    #[display("cannot follow the redirect to \"{}\": {reason}", short(location))]
    Redirect {
        /// The `Location` that was given.
        location: String,
        /// Why it cannot be followed.
        reason: &'static str,
    },
    /// A body longer than the client is willing to collect.
    #[display("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content coding of the body could not be undone.
    #[display("cannot decode the body: {}", short(_0))]
    Decode(String),
    /// The body is not the JSON that was asked for.
    #[display("not the expected JSON: {}", short(_0))]
    Json(String),
    /// The source of the request body failed.
    #[display("the source of the body failed: {}", short(_0))]
    RequestBody(io::Error),
    /// A status of 400 or more, where that was to be an error.
    #[display("the response is {_0}")]
    Status(StatusCode),
}

/// Bytes of a URL, of a reason and of a proxy's URL that an error's text repeats.
const URL_BYTES: usize = 512;
const REASON_BYTES: usize = 1024;
const PROXY_BYTES: usize = 256;

/// An error of the client: the kind, and what is known of the exchange it belongs to.
///
/// Its text is complete by itself: it includes the text of its cause. It holds no secret, as
/// [`redact`](crate::redact) finds them, nothing that steers a terminal, and is below 2 KiB.
#[derive(derive_more::Debug)]
#[debug("Error({self})")]
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    known: Known,
}

/// What is known of the exchange.
#[derive(Default)]
struct Known {
    request: Option<String>,
    /// The proxy that it happened with, where it is not what the host did.
    proxy: Option<String>,
    /// Where another than the kind's own.
    phase: Option<Phase>,
    progress: Option<Progress>,
    status: Option<StatusCode>,
}

/// Over which connection it happened, and how far it had got there.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) reused: bool,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

// What makes an error is cold, so that the code that calls it lies apart from the way of a request that
// succeeds: that way is longer than what the processor keeps of instructions.
impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, known: Known::default() }))
    }

    pub(crate) fn invalid_request(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest(reason.into()))
    }

    pub(crate) fn timeout(phase: Phase, after: Duration) -> Self {
        Self::new(ErrorKind::Timeout { phase, after })
    }

    /// What a socket, or TLS over one, failed with.
    pub(crate) fn io(phase: Phase, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<TlsFailure>());
        let Some(TlsFailure(reason)) = tls else {
            return Self::new(ErrorKind::Io { phase, source });
        };
        let mut error = Self::new(ErrorKind::Tls(reason.clone()));
        error.0.known.phase = Some(phase);
        error
    }

    /// Says that it happened with this proxy, unless that is known already.
    pub(crate) fn with_proxy(mut self, proxy: &dyn fmt::Display) -> Self {
        self.0.known.proxy.get_or_insert_with(|| for_person(&proxy.to_string(), PROXY_BYTES));
        self
    }

    /// Says which request this is about, unless that is known already.
    pub(crate) fn for_request(mut self, method: &http::Method, url: &Url) -> Self {
        self.0.known.request.get_or_insert_with(|| {
            let method = for_person(method.as_str(), 32);
            format!("{method} {}", for_person(&redact_url(url), URL_BYTES))
        });
        self
    }

    /// Says over which connection this happened, unless that is known already.
    pub(crate) fn on_connection(mut self, progress: Progress) -> Self {
        self.0.known.progress.get_or_insert(progress);
        self
    }

    /// Says which status the response had.
    pub(crate) fn of_response(mut self, status: StatusCode) -> Self {
        self.0.known.status = Some(status);
        self
    }

    /// The status of the response, if its head had come.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.known.status
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// In which phase, where it is of one.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.known.phase.or(match &self.0.kind {
            ErrorKind::Timeout { phase, .. } | ErrorKind::Io { phase, .. } => Some(*phase),
            ErrorKind::Resolve(_) => Some(Phase::Resolve),
            ErrorKind::Connect(_) | ErrorKind::Proxy(_) => Some(Phase::Connect),
            ErrorKind::Tls(_) => Some(Phase::Tls),
            ErrorKind::RequestBody(_) => Some(Phase::Write),
            ErrorKind::NoResponse => Some(Phase::Head),
            ErrorKind::Decode(_) | ErrorKind::BodyTooLarge { .. } => Some(Phase::Body),
            _ => None,
        })
    }

    /// Whether a timeout passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout { .. })
    }

    /// Whether no connection could be had: resolving, connecting or the TLS handshake failed.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.phase(), Some(Phase::Resolve | Phase::Connect | Phase::Tls))
    }

    /// The peer's address, once there was a connection.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.known.progress?.address
    }

    /// Whether the connection had served another request before; `None` if there was none.
    #[must_use]
    pub fn reused(&self) -> Option<bool> {
        Some(self.0.known.progress?.reused)
    }

    /// The proxy that it happened with, where it is no failure of the host: its URL without secrets,
    /// and what named it.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.0.known.proxy.as_deref()
    }

    /// Bytes of this request that were sent, and of its response that were received.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        self.0.known.progress.map_or((0, 0), |progress| (progress.sent, progress.received))
    }
}

/// What TLS failed with, as the source of an `io::Error`.
#[derive(Debug, derive_more::Display)]
pub(crate) struct TlsFailure(pub(crate) String);

impl std::error::Error for TlsFailure {}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::new(ErrorKind::Protocol(error))
    }
}

/// A cause, as an error's text repeats it.
fn short(cause: &impl fmt::Display) -> String {
    for_person(&cause.to_string(), REASON_BYTES)
}

fn attempts(failed: &[(SocketAddr, io::Error)]) -> String {
    let told = failed.iter().map(|(address, source)| format!("{address}: {source}"));
    short(&told.collect::<Vec<_>>().join("; "))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, known } = &*self.0;
        if let Some(request) = &known.request {
            write!(f, "{request}: ")?;
        }
        match (&known.proxy, kind) {
            (Some(proxy), ErrorKind::Proxy(reason)) => {
                write!(f, "the proxy {proxy}: {}", short(reason))?;
            }
            (Some(proxy), kind) => write!(f, "the proxy {proxy}: {kind}")?,
            (None, kind) => write!(f, "{kind}")?,
        }
        let Some(Progress { address, reused, sent, received }) = known.progress else {
            return Ok(());
        };
        let address = address.map_or(String::new(), |address| format!("{address}, "));
        let which = if reused { "reused" } else { "fresh" };
        write!(f, " ({address}{which} connection, {sent} bytes sent, {received} received)")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Resolve(source)
            | ErrorKind::Io { source, .. }
            | ErrorKind::RequestBody(source) => Some(source),
            ErrorKind::Protocol(source) => Some(source),
            ErrorKind::Connect(attempts) => attempts.last().map(|(_, source)| source as _),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(address: &str, sent: u64, received: u64) -> Progress {
        Progress { address: Some(address.parse().unwrap()), reused: true, sent, received }
    }

    #[test]
    fn the_text_says_what_where_and_how_far() {
        let url = Url::parse("http://me:secret@[::1]:81/a?b#c").unwrap();
        let error = Error::timeout(Phase::Head, Duration::from_secs(3))
            .on_connection(progress("[::1]:81", 85, 12))
            .for_request(&http::Method::GET, &url);
        assert_eq!(
            error.to_string(),
            "GET http://me:***@[::1]:81/a?b: timed out after 3s: waiting for the response head \
             ([::1]:81, reused connection, 85 bytes sent, 12 received)"
        );
        assert_eq!(error.phase(), Some(Phase::Head));
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn every_attempt_to_connect_is_named() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::new(ErrorKind::Connect(vec![
            ("127.0.0.1:9".parse().unwrap(), refused()),
            ("[::1]:9".parse().unwrap(), refused()),
        ]));
        assert_eq!(
            error.to_string(),
            "cannot connect: 127.0.0.1:9: connection refused; [::1]:9: connection refused"
        );
        assert!(error.is_connect());
    }

    /// Each kind, with all that a peer or a caller can put into it.
    #[test]
    fn however_long_the_cause_the_text_is_bounded() {
        let long =
            || format!("a\u{1b}[2J http://me:secret@a/?token=secret {}", "é\n".repeat(15_000));
        let other = || io::Error::other(long());
        let most = progress("[2001:db8::1]:65535", u64::MAX, u64::MAX);
        let address = most.address.unwrap();
        let kinds = [
            ErrorKind::InvalidUrl(long()),
            ErrorKind::UnsupportedScheme(long()),
            ErrorKind::InvalidRequest(long()),
            ErrorKind::Timeout { phase: Phase::Total, after: Duration::MAX },
            ErrorKind::Resolve(other()),
            ErrorKind::Connect((0..16).map(|_| (address, other())).collect()),
            ErrorKind::Tls(long()),
            ErrorKind::Proxy(long()),
            ErrorKind::Io { phase: Phase::Body, source: other() },
            ErrorKind::Redirect { location: long(), reason: "it is no URL" },
            ErrorKind::Decode(long()),
            ErrorKind::Json(long()),
            ErrorKind::RequestBody(other()),
        ];
        let url = Url::parse(&format!("http://me:secret@a.test/{}", "x".repeat(30_000))).unwrap();
        let method = http::Method::from_bytes(&[b'M'; 30_000]).unwrap();
        for kind in kinds {
            let alone = kind.to_string();
            assert!(alone.len() < 1100 && !alone.contains("secret"), "{alone}");
            let error = Error::new(kind).on_connection(most);
            let error = error.with_proxy(
                &crate::proxy::Proxy::new("http://me:secret@a.test").unwrap().named_by(&long()),
            );
            let text = error.for_request(&method, &url).to_string();
            assert!(text.len() < 2048, "{} bytes: {text}", text.len());
            assert!(!text.contains("secret") && !text.contains(char::is_control), "{text}");
        }
    }

    #[test]
    fn an_error_is_as_small_as_a_pointer() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
