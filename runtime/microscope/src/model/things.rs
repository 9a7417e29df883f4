//! What events mean for timers, sources, jobs and spans.

use mainspring::observe::{Event, Kind, TryOutcome};

use super::{Job, Model, Source, Span, Timer};

impl Model {
    pub(super) fn apply_timer(&mut self, event: &Event) {
        match event.kind {
            Kind::TimerArmed { timer, deadline } => {
                let id = u64::from(timer);
                let armed =
                    Timer { id, task: event.task, deadline, event: self.next, at: event.at };
                if self.timers.insert(id, armed).is_some() {
                    self.illegal(event, "told of a timer armed already");
                }
            }
            Kind::TimerFired { timer, late } => {
                self.totals.timers_fired += 1;
                self.totals.latest_timer = self.totals.latest_timer.max(late);
                self.disarm(event, timer);
            }
            Kind::TimerDropped { timer } => self.disarm(event, timer),
            _ => {}
        }
    }

    fn disarm(&mut self, event: &Event, timer: u32) {
        if self.timers.remove(&u64::from(timer)).is_none() {
            self.illegal(event, "told of a timer that is not armed");
        }
    }

    pub(super) fn apply_source(&mut self, event: &Event) {
        match event.kind {
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
                };
                if self.sources.insert(id, source).is_some() {
                    self.illegal(event, "told of a source registered already");
                }
            }
            Kind::SourceReady { readable, writable, source } => {
                self.totals.readiness += 1;
                let next = self.next;
                self.source(event, source, |source| {
                    // One more than the event's number, for 0 means "not ready".
                    if readable {
                        source.readable = next + 1;
                    }
                    if writable {
                        source.writable = next + 1;
                    }
                });
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
                if self.sources.remove(&id).is_none() {
                    self.illegal(event, "told of a source that is not registered");
                }
            }
            _ => {}
        }
    }

    fn source(&mut self, event: &Event, id: u32, change: impl FnOnce(&mut Source)) {
        match self.sources.get_mut(&u64::from(id)) {
            Some(source) => change(source),
            None => self.illegal(event, "told of a source that is not registered"),
        }
    }

    pub(super) fn apply_program(&mut self, event: &Event) {
        match event.kind {
            Kind::JobQueued { job } => {
                let id = u64::from(job);
                let job = Job { id, task: event.task, event: self.next, at: event.at };
                self.jobs.insert(id, job);
            }
            Kind::JobEnded { job, .. } => {
                let known = self.jobs.remove(&u64::from(job)).is_some();
                self.expect(event, known, "told of a job that was not queued");
            }
            Kind::SpanOpened { span, parent, label } => {
                let (id, parent) = (u64::from(span), u64::from(parent));
                let span = Span { id, task: event.task, parent, label, event: self.next };
                self.spans.insert(id, span);
            }
            Kind::SpanClosed { span, .. } => {
                let known = self.spans.remove(&u64::from(span)).is_some();
                self.expect(event, known, "told of a span that is not open");
            }
            _ => {}
        }
    }
}
