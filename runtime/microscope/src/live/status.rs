//! What the view has at its top and a pipe gets once a second: the loop in a line or two.

use std::time::Duration;

use super::follow::{Follow, Notice};
use crate::model::Phase;
use crate::text::{Nanos, count};

/// The loop in one line.
pub(super) fn line(follow: &Follow, now: Duration) -> String {
    let (loop_itself, things) = halves(follow, now);
    let held = match held(follow) {
        (first, _) if first.is_empty() => first,
        (first, second) => format!("; {first}; {second}"),
    };
    format!("live: {loop_itself}, {things}{held}")
}

/// Whether the loop is held, for how long and why, or what it will be held for.
pub(super) fn held(follow: &Follow) -> (String, String) {
    let told = follow.told();
    let breakpoint = told.breakpoint.map(|on| format!("breaks when {on}")).unwrap_or_default();
    match told.held {
        Some(since) => {
            let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            let hit = told.hit.as_ref().map(|hit| follow.texts().sentence(hit));
            let why = hit.map_or(breakpoint, |hit| format!("broke because {hit}"));
            (format!("HELD for {}, the world went on", coarse(since)), why)
        }
        None if told.left => (String::new(), "the loop is gone".into()),
        None if told.stopping => {
            let asleep = matches!(follow.model().phase, Phase::Parked { .. });
            let when = if asleep { ", when it wakes up" } else { "" };
            (format!("to be held at the next step{when}"), breakpoint)
        }
        None => (String::new(), breakpoint),
    }
}

/// What it does, and what it has.
pub(super) fn halves(follow: &Follow, now: Duration) -> (String, String) {
    let model = follow.model();
    let (turns, busy) = follow.rates();
    let loop_itself = format!(
        "turn {}, {} turns/s, busy {:.0} %, {} ready (most {})",
        short(model.turn),
        short(turns as u64),
        busy * 100.0,
        model.ready.len(),
        follow.most_ready(),
    );
    let next = model.timers.values().map(|timer| timer.deadline).min();
    let next = next.filter(|deadline| *deadline < 1 << 53).map_or_else(String::new, |deadline| {
        format!(" (next in {})", coarse(deadline.saturating_sub(follow.now(now))))
    });
    let alive = model.tasks.values().filter(|task| !task.state.is_ended()).count();
    let told = follow.told();
    let mut things = format!(
        "{}, {}{next}, {}, {} events, {} kept",
        count(alive, "task"),
        count(model.timers.len(), "timer"),
        count(model.sources.len(), "fd"),
        short(told.told),
        short(follow.held() as u64),
    );
    if told.dropped > 0 {
        things += &format!(", {} missed", short(told.dropped));
    }
    (loop_itself, things)
}

/// What happened to a slow poll.
pub(super) fn notice(follow: &Follow, notice: &Notice) -> String {
    match notice {
        Notice::Lasts(slow) => format!("!! {}", follow.slow_words(slow)),
        Notice::Over { task, took } => {
            let task = follow.texts().task(*task);
            format!("   {task} is over with its poll, after {}", Nanos(*took))
        }
    }
}

/// `999`, `12.3k`, `4.5M`: at most five characters up to a billion.
pub(super) fn short(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..999_950 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// A duration at the precision that a person can follow on a screen: whole milliseconds or tenths of
/// a second, and finer only below a millisecond.
pub(super) fn coarse(ns: u64) -> String {
    match ns {
        0..1_000 => Nanos(ns).to_string(),
        1_000..1_000_000 => Nanos(ns / 1_000 * 1_000).to_string(),
        1_000_000..1_000_000_000 => Nanos(ns / 1_000_000 * 1_000_000).to_string(),
        1_000_000_000..100_000_000_000 => format!("{:.1} s", ns as f64 / 1e9),
        _ => format!("{:.0} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        let counts = [0, 9_999, 12_345, 999_949, 2_100_000].map(short);
        assert_eq!(counts, ["0", "9999", "12.3k", "999.9k", "2.1M"]);
        let times = [640, 12_345, 18_900_000, 1_234_567_890, 123_000_000_000].map(coarse);
        assert_eq!(times, ["640 ns", "12 µs", "18 ms", "1.2 s", "123 s"]);
    }

    #[test]
    fn a_loop_of_which_nothing_is_known_has_a_line_too() {
        assert_eq!(
            line(&Follow::default(), Duration::ZERO),
            "live: turn 0, 0 turns/s, busy 0 %, 0 ready (most 0), 0 tasks, 0 timers, 0 fds, \
             0 events, 0 kept"
        );
    }
}
