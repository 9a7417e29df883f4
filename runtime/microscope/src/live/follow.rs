//! What the watching thread knows: the model of the loop as of the last look, a flight recorder of its
//! own, rates, and the poll that runs too long.
//!
//! It reads no clock: the caller says how long it has been watching.

use std::collections::VecDeque;
use std::time::Duration;

use mainspring::observe::{Event, Kind};

use super::channel::{Batch, Channel, Told};
use crate::dump;
use crate::model::{Model, Task};
use crate::tape::{DEFAULT_EVENTS, Tape};
use crate::text::{Nanos, Texts};
use crate::trace::Trace;

/// Ended tasks that are still known by name.
const ENDED_KEPT: usize = 1024;

/// Between two requests for a trace to begin anew from: taking one costs the loop a millisecond.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Rates are those of this stretch of time.
const RATE_OVER: Duration = Duration::from_secs(1);

/// Totals at some moment, for rates.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    turns: u64,
    busy: u64,
}

/// A poll that has been running for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlowPoll {
    pub(super) task: u64,
    /// At least so long.
    pub(super) lasting: Duration,
}

/// What there is to say about slow polls since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// One has passed the limit and goes on.
    Lasts(SlowPoll),
    /// One that was told of is over, after so many nanoseconds.
    Over { task: u64, took: u64 },
}

#[derive(Default)]
pub(super) struct Follow {
    model: Model,
    tape: Tape,
    told: Told,
    batch: Batch,
    asked: Option<Duration>,
    /// When the latest events came in.
    fresh: Duration,
    samples: VecDeque<Sample>,
    most_ready: usize,
    virtual_clock: bool,
    /// The poll that runs: its number, since when it is known, and whether it was told of as slow.
    poll: (u64, Duration, bool),
    notices: Vec<Notice>,
}

impl Follow {
    /// Takes in what has happened. `now` is the time since the watching began.
    pub(super) fn take(&mut self, channel: &Channel, now: Duration) {
        let ask = self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        let mut batch = std::mem::take(&mut self.batch);
        let (trace, told) = channel.take(&mut batch, ask);
        if told.gap && ask {
            self.asked = Some(now);
        }
        if let Some(trace) = trace {
            self.begin_anew(trace);
        }
        self.told = told;
        batch.tasks.drain(..).for_each(|(id, text)| self.tape.task(id, text));
        batch.labels.drain(..).for_each(|(number, text)| self.tape.label(number, text));
        if !batch.events.is_empty() {
            self.fresh = now;
        }
        for event in &batch.events {
            self.apply(event);
        }
        self.batch = batch;
        if self.model.tasks.len() > 2 * ENDED_KEPT {
            self.model.forget_ended(ENDED_KEPT);
        }
    }

    fn apply(&mut self, event: &Event) {
        self.virtual_clock |= matches!(event.kind, Kind::ClockJumped { .. });
        let running = self.model.task(event.task).map_or(event.at, |task| task.since);
        self.model.apply(event);
        self.most_ready = self.most_ready.max(self.model.ready.len());
        if matches!(event.kind, Kind::PollEnded { .. })
            && self.poll.2
            && self.poll.0 == self.model.totals.polls
        {
            self.poll.2 = false;
            let took = event.at.saturating_sub(running);
            self.notices.push(Notice::Over { task: event.task, took });
        }
        self.tape.push(event);
    }

    fn begin_anew(&mut self, trace: Trace) {
        self.model = trace.model();
        self.tape = Tape::resumed(DEFAULT_EVENTS, trace);
        self.samples.clear();
    }

    /// Looks at the poll that runs, if one does. Called after every take.
    pub(super) fn watch(&mut self, limit: Option<Duration>, now: Duration) -> Vec<Notice> {
        let Told { running, polls, .. } = self.told;
        let seen = running != 0 && self.poll.0 == polls;
        if !seen {
            self.poll = (if running == 0 { 0 } else { polls }, now, false);
        } else if limit.is_some_and(|limit| now - self.poll.1 >= limit) && !self.poll.2 {
            self.poll.2 = true;
            let lasting = now - self.poll.1;
            self.notices.push(Notice::Lasts(SlowPoll { task: running, lasting }));
        }
        std::mem::take(&mut self.notices)
    }

    /// The poll that has been running for too long, if one is.
    pub(super) fn slow_poll(&self, now: Duration) -> Option<SlowPoll> {
        let lasting = now.saturating_sub(self.poll.1);
        self.poll.2.then_some(SlowPoll { task: self.told.running, lasting })
    }

    /// Notes totals for the rates. Called when something is about to be shown.
    pub(super) fn sample(&mut self, now: Duration) {
        let Model { totals, .. } = &self.model;
        self.samples.push_back(Sample { at: now, turns: totals.turns, busy: self.busy(now) });
        while self.samples.len() > 2 && self.samples[1].at + RATE_OVER <= now {
            self.samples.pop_front();
        }
    }

    /// Nanoseconds in polls, the one that runs included.
    fn busy(&self, now: Duration) -> u64 {
        let runs = match self.model.task(self.model.running) {
            Some(task) => self.now(now).saturating_sub(task.since),
            None => 0,
        };
        self.model.totals.busy + runs
    }

    /// Turns per second, and the share of time spent in polls, of the last second.
    pub(super) fn rates(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return (0.0, 0.0);
        };
        let seconds = (last.at - first.at).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let turns = last.turns.saturating_sub(first.turns) as f64 / seconds;
        let busy = last.busy.saturating_sub(first.busy) as f64 / 1e9 / seconds;
        (turns, busy.min(1.0))
    }

    /// The time on the loop's clock, as far as it can be known from here.
    pub(super) fn now(&self, now: Duration) -> u64 {
        if self.virtual_clock || self.told.left {
            return self.model.now;
        }
        let since = now.saturating_sub(self.fresh).as_nanos();
        self.model.now.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn texts(&self) -> &Texts {
        self.tape.texts()
    }

    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    pub(super) fn most_ready(&self) -> usize {
        self.most_ready
    }

    pub(super) fn held(&self) -> usize {
        self.tape.held()
    }

    /// The latest events as sentences, newest last.
    #[cfg(feature = "live")]
    pub(super) fn latest(&self, count: usize) -> Vec<String> {
        let newest_first = self.tape.latest().take(count);
        let mut lines: Vec<_> = newest_first.map(|event| self.texts().sentence(event)).collect();
        lines.reverse();
        lines
    }

    /// What has been watched, as far as it is held.
    pub(super) fn trace(&self) -> Trace {
        self.tape.trace()
    }

    /// Every task that has not ended, and why it is not running; what runs too long on top.
    pub(super) fn dump(&self, now: Duration) -> String {
        let mut model = self.model.clone();
        model.now = self.now(now);
        let mut out = String::new();
        if self.told.gap {
            let dropped = self.told.dropped;
            out += &format!("as of event {}, {dropped} were missed since\n", model.next);
        }
        if let Some(slow) = self.slow_poll(now) {
            out += &self.slow_words(&slow);
            out.push('\n');
        }
        out + &dump::dump(&model, self.texts())
    }

    /// `task 7 "parse" has been polling for 412 ms · thread in hrtimer_nanosleep · …`
    pub(super) fn slow_words(&self, slow: &SlowPoll) -> String {
        let mut words = format!(
            "{} has been polling for {}",
            self.texts().task(slow.task),
            Nanos(u64::try_from(slow.lasting.as_millis()).unwrap_or(u64::MAX) * 1_000_000)
        );
        if let Some(channel) = self.told.thread.as_deref().and_then(wait_channel) {
            words += &format!(" · thread in {channel}");
        }
        if let Some(last) = self.model.task(slow.task).and_then(|task| self.last_wait(task)) {
            words += &format!(" · {last}");
        }
        let place = self.texts().place(slow.task);
        if !place.is_empty() {
            words += &format!(" · spawned {place}");
        }
        words
    }

    /// The innermost label that a task is in, or what it last waited for.
    fn last_wait(&self, task: &Task) -> Option<String> {
        let innermost = task.spans.last().and_then(|span| self.model.spans.get(span));
        if let Some(span) = innermost {
            return Some(format!("in \"{}\"", self.texts().label(span.label)));
        }
        let woken = task.woken.map(|wake| self.texts().cause(wake.by, wake.id));
        let wait = task.waits.iter().max_by_key(|(_, wait)| wait.event);
        let wait = wait.map(|(on, _)| on.name(self.texts()));
        wait.map(|wait| format!("last waited for {wait}"))
            .or(woken.map(|cause| format!("woken by {cause}")))
    }
}

/// What a thread of this process sleeps in, as the kernel calls it. `None` if it runs, or if the
/// kernel does not say.
fn wait_channel(thread: &str) -> Option<String> {
    let channel = std::fs::read_to_string(format!("/proc/self/task/{thread}/wchan")).ok()?;
    let named = !channel.is_empty() && channel != "0";
    named.then(|| crate::text::harmless(&channel))
}

#[cfg(all(test, feature = "live"))]
impl Follow {
    /// For pictures of a held loop without a thread that holds one.
    pub(super) fn pretend_held(&mut self, held: Duration, hit: Option<Event>) {
        self.told = Told { held: Some(held), stopping: false, hit, ..self.told.clone() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring::observe::{Observer, PollOutcome, TaskInfo};
    use std::panic::Location;
    use std::sync::Arc;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_slow_poll_is_told_of_once_while_it_lasts_and_once_when_it_is_over() {
        let channel = Arc::new(Channel::default());
        let recorder = crate::Recorder::ring(64);
        let mut observer = super::super::LiveObserver::new(channel.clone(), &recorder, false);
        let at = |at: u64, kind| Event { at: at * 1_000_000, task: 1, kind };
        let over = Kind::PollEnded { outcome: PollOutcome::Pending, requeued: true, holders: 1 };
        let info =
            TaskInfo { id: 1, name: Some("a\u{1b}b"), spawned_at: Location::caller(), size: 1 };
        observer.on_task(&info);
        for event in [at(0, Kind::Spawned { parent: 0 }), at(1, Kind::PollStarted { holders: 0 })] {
            observer.on_event(&event);
        }
        let mut follow = Follow::default();
        let mut look = |now| {
            follow.take(&channel, MS(now));
            (
                follow.watch(Some(MS(10)), MS(now)),
                follow.slow_poll(MS(now)).map(|slow| slow.lasting),
            )
        };
        assert_eq!(look(3), (vec![], None));
        assert_eq!(look(12), (vec![], None));
        let lasts = Notice::Lasts(SlowPoll { task: 1, lasting: MS(10) });
        assert_eq!(look(13), (vec![lasts], Some(MS(10))));
        assert_eq!(look(40), (vec![], Some(MS(37))));
        observer.on_event(&at(43, over));
        assert_eq!(look(41), (vec![Notice::Over { task: 1, took: 42_000_000 }], None));
        // A quick one is nothing to talk about, and neither is one that began between two looks.
        for event in [
            at(50, Kind::PollStarted { holders: 0 }),
            at(51, over),
            at(52, Kind::PollStarted { holders: 0 }),
        ] {
            observer.on_event(&event);
        }
        assert_eq!(look(52), (vec![], None));
        let words = follow.slow_words(&SlowPoll { task: 1, lasting: MS(1500) });
        let line = format!("spawned {}", Location::caller().file());
        assert!(
            words.starts_with("task 1 \"a\u{fffd}b\" has been polling for 1.5 s · "),
            "{words}"
        );
        assert!(words.contains(&line), "{words}");
    }

    #[test]
    fn rates_are_those_of_the_last_second() {
        let mut follow = Follow::default();
        assert_eq!(follow.rates(), (0.0, 0.0));
        for tenth in 0..=20_u64 {
            follow.model.totals.turns = if tenth < 10 { 0 } else { (tenth - 10) * 5 };
            follow.model.totals.busy = tenth * 25_000_000;
            follow.sample(MS(tenth * 100));
        }
        assert_eq!(follow.rates(), (50.0, 0.25));
    }
}
