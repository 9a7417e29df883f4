//! How long each phase of many requests took, as told by the client's signals.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mainspring_http::{Hook, Signal, SignalKind};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use crate::value::millis;

/// The phases of a request, in milliseconds each. One that there was not is `None`: over a
/// connection that was kept, nothing is looked up.
///
/// A page that was redirected has the phases of the request to where it is. A request that failed has
/// spent the last of its time in the phase that it failed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "HashMap<String, Value>")]
pub struct Timings(pub [Option<f64>; COLUMNS.len()]);

impl From<HashMap<String, Value>> for Timings {
    fn from(told: HashMap<String, Value>) -> Timings {
        Timings(COLUMNS.map(|name| told.get(name)?.as_f64()))
    }
}

impl Serialize for Timings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let told = COLUMNS.into_iter().zip(self.0);
        to.collect_map(told.filter_map(|(name, millis)| Some((name, millis?))))
    }
}

/// The names of the phases: waiting for a connection to be free, looking up the host's addresses, connecting
/// without any handshake, shaking hands for TLS, sending the request, waiting for the head of the answer, and
/// receiving the body.
pub const COLUMNS: [&str; 7] =
    ["queued_ms", "dns_ms", "connect_ms", "tls_ms", "send_ms", "wait_ms", "body_ms"];

impl Timings {
    /// How long the phases up to this one took together, itself included, by its place in [`COLUMNS`].
    pub fn until(&self, phase: usize) -> Duration {
        let spent: f64 = self.0[..=phase].iter().flatten().sum();
        Duration::from_secs_f64(spent / 1e3)
    }
}

/// What a request is doing: the place of its phase in [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued,
    Lookup,
    Connect,
    Handshake,
    Send,
    Wait,
    Body,
    Over,
}

/// The phase that a signal begins; `None` if it changes nothing.
fn begins(kind: &SignalKind<'_>) -> Option<Phase> {
    Some(match kind {
        SignalKind::RequestStart { .. } | SignalKind::ConnectionQueuedStart => Phase::Queued,
        SignalKind::DnsResolveHostStart => Phase::Lookup,
        SignalKind::DnsCacheHit | SignalKind::DnsResolveHostEnd => Phase::Connect,
        SignalKind::TlsHandshakeStart => Phase::Handshake,
        SignalKind::ConnectionCreateEnd { .. } | SignalKind::ConnectionReuse { .. } => Phase::Send,
        SignalKind::RequestHeadersSent { .. } => Phase::Wait,
        SignalKind::RequestEnd { .. } | SignalKind::RequestRedirect { .. } => Phase::Body,
        SignalKind::ResponseEnd | SignalKind::RequestException { .. } => Phase::Over,
        _ => return None,
    })
}

/// Gives every moment of a request to one of its phases.
pub(crate) struct PhaseClock {
    phase: Phase,
    since: Instant,
    spent: [Option<Duration>; COLUMNS.len()],
}

impl PhaseClock {
    /// A clock for a request that begins now.
    pub(crate) fn new(at: Instant) -> PhaseClock {
        PhaseClock { phase: Phase::Queued, since: at, spent: [None; COLUMNS.len()] }
    }

    /// The time since the last change belongs to the phase that ends with this one.
    pub(crate) fn note(&mut self, at: Instant, kind: &SignalKind<'_>) {
        let Some(next) = begins(kind) else { return };
        if let Some(spent) = self.spent.get_mut(self.phase as usize) {
            *spent.get_or_insert_default() += at.saturating_duration_since(self.since);
        }
        (self.phase, self.since) = (next, at);
    }

    pub(crate) fn timings(&self) -> Timings {
        Timings(self.spent.map(|spent| spent.map(millis)))
    }
}

/// A hook that times requests, each known by the URL that it was first sent to: no two requests for
/// the same one may be on their way at once. Clones share what they note.
#[derive(Clone, Default)]
pub struct RequestTimer(Rc<RefCell<Requests>>);

/// The requests on their way. What begins one takes its timings, so that no others are kept.
#[derive(Default)]
struct Requests {
    /// With their numbers.
    running: HashMap<Url, (u64, PhaseClock)>,
    /// The URL that each request was first sent to, by its number.
    urls: HashMap<u64, Url>,
    /// What others tell of theirs.
    told: HashMap<Url, Timings>,
}

impl RequestTimer {
    /// Notes what was told of a request for `url`.
    pub fn put(&self, url: &Url, timings: Timings) {
        self.0.borrow_mut().told.insert(url.clone(), timings);
    }

    /// What has been noted of the request for `url`, which is forgotten with this.
    pub fn take(&self, url: &Url) -> Timings {
        let mut requests = self.0.borrow_mut();
        if let Some(told) = requests.told.remove(url) {
            return told;
        }
        let Some((number, clock)) = requests.running.remove(url) else { return Timings::default() };
        requests.urls.remove(&number);
        clock.timings()
    }
}

impl Hook for RequestTimer {
    fn signal(&self, signal: &Signal<'_>) {
        self.0.borrow_mut().note(signal.request, signal.at, &signal.kind);
    }
}

impl Requests {
    fn note(&mut self, request: u64, at: Instant, kind: &SignalKind<'_>) {
        let Requests { running, urls, .. } = self;
        if let SignalKind::RequestStart { url, .. } = *kind
            && !urls.contains_key(&request)
        {
            urls.insert(request, url.clone());
            // A page that is tried again: what the try before has taken is of no interest.
            if let Some(before) = running.insert(url.clone(), (request, PhaseClock::new(at))) {
                urls.remove(&before.0);
            }
        }
        if let Some((_, clock)) = urls.get(&request).and_then(|url| running.get_mut(url)) {
            clock.note(at, kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    fn url(path: &str) -> Url {
        Url::parse("http://h").and_then(|base| base.join(path)).expect(path)
    }

    /// Tells of one request, each signal twice as long after the one before as that was.
    fn tell(timer: &RequestTimer, request: u64, kinds: &[SignalKind<'_>]) {
        let mut at = Instant::now();
        for (n, kind) in kinds.iter().enumerate() {
            timer.0.borrow_mut().note(request, at, kind);
            at += Duration::from_millis(1 << n);
        }
    }

    #[test]
    fn every_moment_of_a_request_belongs_to_one_phase() {
        use SignalKind::*;
        let (timer, headers) = (RequestTimer::default(), HeaderMap::new());
        let (method, headers, to_proxy, proxy_login) = (&Method::GET, &headers, false, false);
        let start = |url| RequestStart { method, url, headers, to_proxy, proxy_login };
        let (first, second) = (url("/1"), url("/2"));
        tell(
            &timer,
            1,
            &[
                start(&first),
                ConnectionQueuedStart,
                ConnectionQueuedEnd,
                DnsResolveHostStart,
                DnsResolveHostEnd,
                TlsHandshakeStart,
                TlsHandshakeEnd,
                ConnectionCreateEnd { address: None },
                RequestHeadersSent { bytes: 1 },
                // To somewhere else, over a connection that was kept.
                start(&second),
                ConnectionReuse { address: None },
                RequestHeadersSent { bytes: 1 },
                ResponseChunkReceived { bytes: 1 },
                ResponseEnd,
            ],
        );
        tell(&timer, 2, &[start(&second), ConnectionReuse { address: None }]);
        assert_eq!(
            timer.take(&first),
            Timings([
                Some(1.0 + 2.0 + 4.0 + 512.0),
                Some(8.0),
                Some(16.0),
                Some(32.0 + 64.0),
                Some(128.0 + 1024.0),
                Some(256.0 + 2048.0 + 4096.0),
                None,
            ])
        );
        let timings = Timings([Some(1.0), None, None, None, None, None, None]);
        assert_eq!(timer.take(&second), timings, "the request for it, not the redirect");
        assert_eq!(timer.take(&second), Timings::default(), "taken");
        let requests = timer.0.borrow();
        assert_eq!((requests.running.len(), requests.urls.len()), (0, 0));
    }
}
