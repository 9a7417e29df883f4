//! What events mean for timers, sources, jobs and spans.

use std::collections::BTreeSet;

use mainspring::observe::{Direction, Event, Kind, TryOutcome};

use super::{Job, Model, Source, Span, Timer, WaitsOn};

impl Model {
    pub(super) fn apply_thing(&mut self, event: &Event) {
        match event.kind {
            Kind::TimerArmed { timer, deadline } => {
                let id = u64::from(timer);
                let armed =
                    Timer { id, task: event.task, deadline, event: self.next, at: event.at };
                if self.timers.insert(id, armed).is_some() {
                    self.illegal(event, "told of a timer armed already");
                }
                self.begin_wait(event, WaitsOn::Timer { deadline, id });
            }
            Kind::TimerFired { timer, late } => {
                self.totals.timers_fired += 1;
                self.totals.latest_timer = self.totals.latest_timer.max(late);
                self.disarm(event, timer);
            }
            Kind::TimerDropped { timer } => self.disarm(event, timer),
            Kind::SourceRegistered { source_kind, source, fd } => {
                let id = u64::from(source);
                let source = Source {
                    id,
                    kind: source_kind,
                    fd,
                    task: event.task,
                    event: self.next,
                    readable: 0,
                    writable: 0,
                    read: 0,
                    written: 0,
                    readers: BTreeSet::new(),
                    writers: BTreeSet::new(),
                };
                if self.sources.insert(id, source).is_some() {
                    self.illegal(event, "told of a source registered already");
                }
            }
            Kind::SourceReady { readable, writable, source } => {
                self.totals.readiness += 1;
                let sides = [(readable, Direction::Read), (writable, Direction::Write)];
                let ready = sides.into_iter().filter_map(|(ready, side)| ready.then_some(side));
                // One more than the event's number, for 0 means "not ready".
                let next = self.next + 1;
                self.source(event, source, |source| {
                    ready.clone().for_each(|side| *source.side(side).0 = next);
                });
                ready.for_each(|side| self.end_source_waits(source.into(), side));
            }
            Kind::SourceTried { direction, outcome, source, bytes } => {
                self.source(event, source, |source| {
                    let (ready, moved) = source.side(direction);
                    *moved += u64::from(bytes);
                    use TryOutcome::{Cleared, Short, WouldBlock};
                    if matches!(outcome, WouldBlock | Short | Cleared) {
                        *ready = 0;
                    }
                });
            }
            Kind::SourceClosed { source } => {
                let id = u64::from(source);
                self.end_source_waits(id, Direction::Read);
                self.end_source_waits(id, Direction::Write);
                if self.sources.remove(&id).is_none() {
                    self.illegal(event, "told of a source that is not registered");
                }
            }
            Kind::JobQueued { job } => {
                let id = u64::from(job);
                let job = Job { id, task: event.task, event: self.next, at: event.at };
                self.jobs.insert(id, job);
                self.begin_wait(event, WaitsOn::Job { id });
            }
            Kind::JobEnded { job, .. } | Kind::JobDropped { job } => {
                match self.jobs.remove(&u64::from(job)) {
                    Some(job) => self.end_wait(job.task, WaitsOn::Job { id: job.id }),
                    None => self.illegal(event, "told of a job that was not queued"),
                }
            }
            Kind::SpanOpened { span, parent, label } => {
                let (id, parent) = (u64::from(span), u64::from(parent));
                let span = Span { id, task: event.task, parent, label, event: self.next };
                self.spans.insert(id, span);
                if let Some(task) = self.tasks.get_mut(&event.task) {
                    task.spans.insert(id);
                }
            }
            Kind::SpanClosed { span, .. } => match self.spans.remove(&u64::from(span)) {
                Some(span) => {
                    if let Some(task) = self.tasks.get_mut(&span.task) {
                        task.spans.remove(&span.id);
                    }
                }
                None => self.illegal(event, "told of a span that is not open"),
            },
            _ => self.apply_loop(event),
        }
    }

    fn disarm(&mut self, event: &Event, timer: u32) {
        match self.timers.remove(&u64::from(timer)) {
            Some(Timer { id, task, deadline, .. }) => {
                self.end_wait(task, WaitsOn::Timer { deadline, id });
            }
            None => self.illegal(event, "told of a timer that is not armed"),
        }
    }

    fn source(&mut self, event: &Event, id: u32, change: impl FnOnce(&mut Source)) {
        match self.sources.get_mut(&u64::from(id)) {
            Some(source) => change(source),
            None => self.illegal(event, "told of a source that is not registered"),
        }
    }
}
