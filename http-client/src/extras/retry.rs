//! Trying again: which failures are worth it, and how long to wait before.
//!
//! Off unless asked for. Only requests that may be done twice (RFC 9110 §9.2.2) and whose body can
//! be sent twice are tried again: after a failure to connect, an end without an answer, a timeout
//! or a status that says "later". The wait doubles from try to try, and half of it is random, so
//! that clients that failed together do not come back together. A server that says how long to
//! wait (`Retry-After`) is obeyed, up to a limit.

use crate::error::{Error, ErrorKind};
use http::{HeaderMap, Method, StatusCode, header};
use std::time::{Duration, SystemTime};

/// When to try again, for [`ClientBuilder::retry`](crate::ClientBuilder::retry).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included. Default 3.
    pub tries: u32,
    /// The wait before the second try; it doubles from then on. Default 200 ms.
    pub first_wait: Duration,
    /// The longest wait between two tries. A server that asks for more gets no other try, and its
    /// answer is the response. Default 30 s.
    pub longest_wait: Duration,
    /// The statuses that are worth another try. Default 429, 502, 503 and 504.
    pub statuses: Vec<StatusCode>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(30),
            statuses: vec![
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
        }
    }
}

impl RetryPolicy {
    pub(crate) fn applies_to(&self, method: &Method) -> bool {
        self.tries > 1 && method.is_idempotent()
    }

    /// How long to wait before the next try; `None` if this was the last.
    pub(crate) fn wait(
        &self,
        tries_made: u32,
        outcome: Result<(StatusCode, &HeaderMap), &Error>,
    ) -> Option<Duration> {
        if tries_made >= self.tries {
            return None;
        }
        let asked = match outcome {
            Err(error) if is_passing(error) => None,
            Ok((status, headers)) if self.statuses.contains(&status) => {
                let value = headers.get(header::RETRY_AFTER);
                value.and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()))
            }
            _ => return None,
        };
        match asked {
            Some(wait) => (wait <= self.longest_wait).then_some(wait),
            None => Some(self.back_off(tries_made, random())),
        }
    }

    /// `random` from 0 to 1 picks from the upper half of the wait.
    fn back_off(&self, tries_made: u32, random: f64) -> Duration {
        let doublings = 2_u32.saturating_pow(tries_made.saturating_sub(1));
        let wait = self.first_wait.saturating_mul(doublings).min(self.longest_wait);
        wait.mul_f64(0.5 + random / 2.0)
    }
}

/// Whether the same may go well a moment later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Connect(_)
            | ErrorKind::Resolve(_)
            | ErrorKind::Io { .. }
            | ErrorKind::NoResponse
            | ErrorKind::Timeout { .. }
    )
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// From 0 to 1. If the system has no random numbers, the waits are merely not spread.
fn random() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_half_is_random() {
        let policy =
            RetryPolicy { longest_wait: Duration::from_millis(700), ..RetryPolicy::default() };
        let waits = |random| [1, 2, 3, 99].map(|tries| policy.back_off(tries, random).as_millis());
        assert_eq!(waits(1.0), [200, 400, 700, 700]);
        assert_eq!(waits(0.0), [100, 200, 350, 350]);
        assert!((0.0..=1.0).contains(&random()));
    }

    #[test]
    fn seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let wait = retry_after(value, now).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{value}");
        }
    }
}
