//! How fast a crawl goes towards one host.

use std::time::Duration;

/// The longest wait that a busy host can ask for and get; a crawl is not held up for longer.
pub const MAX_BACK_OFF: Duration = Duration::from_secs(120);

/// How often a page is tried that its host is too busy for, the first time included.
pub const MAX_TRIES: u32 = 4;

/// How polite a crawl is.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Pages of one host in flight at once.
    pub per_host: usize,
    /// Between the beginnings of two pages of one host, unless its robots.txt asks for more.
    pub pause: Duration,
    /// By how much pauses vary, as a share of them: 0.5 is from half to one and a half.
    pub jitter: f64,
    /// Whether robots.txt is read and obeyed.
    pub obey_robots: bool,
}

impl Pace {
    /// As fast as it goes: for a site that is ours.
    pub fn unlimited() -> Pace {
        Pace { per_host: usize::MAX, pause: Duration::ZERO, jitter: 0.0, obey_robots: false }
    }

    /// How long to wait now before the next page of a host that asks for `asked`.
    ///
    /// What the host asks for is the least; jitter makes it longer and never shorter.
    pub fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let asked = asked.unwrap_or_default();
        if self.pause.is_zero() && asked.is_zero() {
            return Duration::ZERO;
        }
        let swing = self.jitter * (fastrand::f64() * 2.0 - 1.0);
        asked.max(self.pause).mul_f64((1.0 + swing).max(0.0)).max(asked)
    }
}

/// How long to leave a host alone that was too busy for the try number `tries`, counted from 0:
/// what it asks for, or a second that doubles with each try, and up to half as much again, so that
/// what failed together does not come back together.
pub fn back_off(tries: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(1 << tries.min(10));
    let wait = retry_after.unwrap_or_else(|| doubled.mul_f64(1.0 + fastrand::f64() / 2.0));
    wait.min(MAX_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_is_never_shorter_than_a_host_asks_for() {
        let mut pace = Pace { pause: SECOND, jitter: 0.5, ..Pace::unlimited() };
        for _ in 0..1_000 {
            let pause = pace.pause(None);
            assert!(SECOND / 2 <= pause && pause <= SECOND * 3 / 2, "{pause:?}");
            let pause = pace.pause(Some(SECOND * 2));
            assert!(SECOND * 2 <= pause && pause <= SECOND * 3, "{pause:?}");
        }
        assert_eq!(Pace::unlimited().pause(None), Duration::ZERO);
    }

    #[test]
    fn backing_off_doubles_and_has_an_end() {
        for tries in 0..40 {
            let wait = back_off(tries, None);
            let least = SECOND.saturating_mul(1 << tries.min(10)).min(MAX_BACK_OFF);
            assert!(
                least <= wait && wait <= (least * 3 / 2).min(MAX_BACK_OFF),
                "{tries}: {wait:?}"
            );
        }
        assert_eq!(back_off(0, Some(SECOND * 7)), SECOND * 7);
        assert_eq!(back_off(0, Some(SECOND * 7_000)), MAX_BACK_OFF);
    }
}
