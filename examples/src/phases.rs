//! When each phase of a request was over, as told by the client's signals.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mainspring_http::{Hook, Signal, SignalKind};

/// Moments of one request and the redirects it led to, counted from its beginning. A later leg
/// overwrites what an earlier one has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The host's addresses were known.
    pub looked_up: Option<Duration>,
    /// The connection was there, before any handshake.
    pub connected: Option<Duration>,
    /// TLS had shaken hands.
    pub shaken: Option<Duration>,
    /// The request could be sent.
    pub ready: Option<Duration>,
    /// The request was sent.
    pub sent: Option<Duration>,
    /// The head of the answer was there.
    pub answered: Option<Duration>,
    /// The body was over.
    pub over: Option<Duration>,
}

/// A hook that notes the phases of one request. Clones share what they note.
#[derive(Clone, Debug, Default)]
pub struct Stopwatch(Rc<Cell<(Option<Instant>, Phases)>>);

impl Stopwatch {
    /// What has been noted.
    #[must_use]
    pub fn phases(&self) -> Phases {
        self.0.get().1
    }
}

impl Hook for Stopwatch {
    fn signal(&self, signal: &Signal<'_>) {
        let (began, mut phases) = self.0.get();
        let began = began.unwrap_or(signal.at);
        phases.note(signal.at.saturating_duration_since(began), &signal.kind);
        self.0.set((Some(began), phases));
    }
}

impl Phases {
    fn note(&mut self, moment: Duration, kind: &SignalKind<'_>) {
        let moment = Some(moment);
        match kind {
            SignalKind::DnsCacheHit | SignalKind::DnsResolveHostEnd => self.looked_up = moment,
            SignalKind::TlsHandshakeStart => self.connected = moment,
            SignalKind::TlsHandshakeEnd => self.shaken = moment,
            SignalKind::ConnectionCreateEnd { .. } => {
                // Without a handshake, what can be used is what was connected.
                if self.shaken.is_none() {
                    self.connected = moment;
                }
                self.ready = moment;
            }
            SignalKind::ConnectionReuse { .. } => self.ready = moment,
            SignalKind::RequestHeadersSent { .. } => self.sent = moment,
            SignalKind::RequestEnd { .. } => self.answered = moment,
            SignalKind::ResponseEnd => self.over = moment,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments that these signals leave, one millisecond apart from each other.
    fn noted(kinds: &[SignalKind<'_>]) -> Phases {
        let mut phases = Phases::default();
        for (millis, kind) in (0..).zip(kinds) {
            phases.note(Duration::from_millis(millis), kind);
        }
        phases
    }

    #[test]
    fn a_handshake_comes_between_connecting_and_sending() {
        use SignalKind::*;
        let millis = |n| Some(Duration::from_millis(n));
        let plain = [
            ConnectionCreateStart,
            DnsResolveHostStart,
            DnsResolveHostEnd,
            ConnectionCreateEnd { address: None },
            RequestHeadersSent { bytes: 1 },
            ResponseEnd,
        ];
        assert_eq!(
            noted(&plain),
            Phases {
                looked_up: millis(2),
                connected: millis(3),
                ready: millis(3),
                sent: millis(4),
                over: millis(5),
                ..Phases::default()
            }
        );
        let tls = [
            ConnectionCreateStart,
            DnsCacheHit,
            TlsHandshakeStart,
            TlsHandshakeEnd,
            ConnectionCreateEnd { address: None },
        ];
        assert_eq!(
            noted(&tls),
            Phases {
                looked_up: millis(1),
                connected: millis(2),
                shaken: millis(3),
                ready: millis(4),
                ..Phases::default()
            }
        );
    }
}
