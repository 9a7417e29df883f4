//! Why a connection was not used again: data to count and to show, not a log line.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why a connection was closed instead of being kept for the next request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CloseReason {
            $($(#[$doc])* $name,)+
        }

        impl CloseReason {
            /// Every reason, in the order in which statistics list them.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];
        }

        impl fmt::Display for CloseReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)+
                })
            }
        }
    };
}

reasons! {
    /// The response carried `Connection: close` (RFC 9112 §9.6).
    ServerAsked = "the server asked for it",
    /// The request carried `Connection: close`.
    ClientAsked = "the request asked for it",
    /// The response was HTTP/1.0 and did not say `Connection: keep-alive` (RFC 9112 §9.3).
    Http10 = "HTTP/1.0 without keep-alive",
    /// Only the end of the connection ends such a body (RFC 9112 §6.3, rule 8).
    BodyUntilClose = "the body ended with the connection",
    /// The connection now speaks another protocol (101, or a tunnel by CONNECT).
    Upgraded = "switched to another protocol",
    /// The framing was legal enough to read but odd: the server may not agree with us on
    /// where the next response begins (RFC 9112 §6.3, §11.1).
    OddFraming = "odd framing",
    /// Bytes came after the end of the response.
    SurplusBytes = "bytes after the end of the response",
    /// The final response came before the request body had been sent.
    RequestUnfinished = "answered before the request was sent",
    /// The response was dropped before its body had been read.
    ResponseUnread = "the response was not read",
    /// The request was given up: it failed, timed out, or its task was cancelled.
    RequestAbandoned = "the request was given up",
    /// The peer closed the connection while it was idle.
    ClosedWhileIdle = "closed by the peer while idle",
    /// The peer sent bytes while the connection was idle.
    BytesWhileIdle = "bytes came while idle",
    /// Idle for longer than our limit or than the peer's `Keep-Alive: timeout=`.
    IdleTimeout = "idle for too long",
    /// The pool already held as many idle connections as it may.
    IdleLimit = "enough idle connections",
    /// Older than the longest time a connection may live.
    Lifetime = "too old",
    /// Closed to make room for a connection to another host, under the limit on all of them.
    MadeRoom = "made room for another host",
}

#[cfg(test)]
mod tests {
    use super::CloseReason;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_text_of_its_own() {
        let texts: HashSet<String> = CloseReason::ALL.iter().map(|r| r.to_string()).collect();
        assert_eq!(texts.len(), CloseReason::ALL.len());
        for (index, reason) in CloseReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index, "ALL is in declaration order");
        }
    }
}
