//! What events mean for tasks: from spawn through wakes and polls to the end.

use mainspring::observe::{CancelEffect, CauseKind, Event, Kind, PollOutcome, WakeEffect};

use super::{Cancel, Model, Phase, State, Task, Wake};

impl Model {
    pub(super) fn apply_task(&mut self, event: &Event) {
        match event.kind {
            Kind::Spawned { parent } => self.spawned(event, parent),
            Kind::Woken { effect, by, id } => {
                self.woken(event, effect, Wake { event: self.next, at: event.at, by, id });
            }
            Kind::PollStarted { holders } => self.poll_started(event, holders),
            Kind::PollEnded { outcome, requeued, holders } => {
                self.poll_ended(event, outcome, requeued, holders);
            }
            Kind::Done { panicked, beat_cancel } => {
                let legal = |task: &Task| matches!(task.state, State::Ending { .. });
                self.ended(event, State::Done { panicked, beat_cancel }, legal);
            }
            Kind::Cancelled { origin, by } => {
                let legal = |task: &Task| matches!(task.state, State::Idle | State::Scheduled);
                self.ended(event, State::Cancelled { origin, by }, legal);
            }
            Kind::CancelRequested { effect, by } => {
                let cancel = Cancel { event: self.next, by };
                let ignored = effect == CancelEffect::Ignored;
                self.change(event, |task| {
                    if !ignored {
                        task.cancel.get_or_insert(cancel);
                    }
                    ignored || !task.state.is_ended()
                });
            }
            Kind::Detached => {
                self.change(event, |task| !std::mem::replace(&mut task.detached, true));
                self.end_join(event.task);
            }
            Kind::OutputTaken => self.change(event, |task| {
                task.output_taken = true;
                task.state.is_ended()
            }),
            Kind::PanicUnseen => self.change(event, |task| {
                task.panic_unseen = true;
                matches!(task.state, State::Done { panicked: true, .. })
            }),
            _ => self.apply_wait(event),
        }
    }

    fn spawned(&mut self, event: &Event, parent: u64) {
        self.totals.spawned += 1;
        let task = Task::spawned(event.task, parent, event.at, self.next);
        if self.tasks.insert(event.task, task).is_some() {
            self.illegal(event, "spawned already");
        }
        self.ready.push_back(event.task);
    }

    fn woken(&mut self, event: &Event, effect: WakeEffect, wake: Wake) {
        self.totals.wakes += 1;
        let mut enters = false;
        let next = self.next;
        self.change(event, |task| {
            task.wakes += 1;
            if wake.by == CauseKind::Task && wake.id == task.id {
                task.self_wakes += 1;
            }
            match effect {
                WakeEffect::Scheduled if task.state == State::Idle => {
                    task.woken = Some(wake);
                    task.enter(State::Scheduled, event.at, next);
                    enters = true;
                    true
                }
                // The wake that a spawn implies may be told as well.
                WakeEffect::Scheduled => {
                    task.state == State::Scheduled && wake.by == CauseKind::Spawn
                }
                WakeEffect::Coalesced => task.state == State::Scheduled,
                WakeEffect::Deferred => {
                    task.woken = Some(wake);
                    matches!(task.state, State::Running | State::Ending { .. })
                }
                // A future that is being dropped may wake its own task, just before that is told to
                // have ended.
                WakeEffect::Stale => {
                    matches!(task.state, State::Ending { .. })
                        || task.state.is_ended()
                        || task.cancel.is_some()
                        || wake.by == CauseKind::Shutdown
                }
            }
        });
        if enters {
            self.ready.push_back(event.task);
        }
    }

    fn leave_ready(&mut self, id: u64) {
        if self.ready.front() == Some(&id) {
            self.ready.pop_front();
        } else if let Some(position) = self.ready.iter().position(|ready| *ready == id) {
            self.ready.remove(position);
        }
    }

    fn poll_started(&mut self, event: &Event, holders: u32) {
        self.leave_ready(event.task);
        if self.running != 0 {
            self.illegal(event, "polled inside another poll");
        }
        self.running = event.task;
        self.running_paused = 0;
        // A look at readiness in the middle of a batch is over.
        self.phase = Phase::Turning;
        self.totals.polls += 1;
        let next = self.next;
        self.change(event, |task| {
            let legal = task.state == State::Scheduled;
            let queued = event.at.saturating_sub(task.since);
            task.queued = task.queued.saturating_add(queued);
            task.longest_queued = task.longest_queued.max(queued);
            task.polls += 1;
            task.poll_event = next;
            task.hold(holders);
            task.enter(State::Running, event.at, next);
            legal
        });
    }

    fn poll_ended(&mut self, event: &Event, outcome: PollOutcome, requeued: bool, holders: u32) {
        self.running = 0;
        let paused = std::mem::take(&mut self.running_paused);
        let next = self.next;
        let mut ran = 0;
        self.change(event, |task| {
            let legal = task.state == State::Running;
            ran = event.at.saturating_sub(task.since).saturating_sub(paused);
            task.busy = task.busy.saturating_add(ran);
            if ran >= task.longest_poll {
                task.longest_poll = ran;
                task.longest_poll_event = next;
            }
            match outcome {
                PollOutcome::Pending => task.hold(holders),
                _ => task.holders = holders,
            }
            let inside = task.waits.values().map(|wait| wait.futures).sum();
            task.outside = holders.saturating_sub(inside);
            // A basic recording does not tell what woke it while it ran; a wake from before the poll is not the
            // cause of this.
            if requeued && task.woken.is_some_and(|wake| wake.event < task.poll_event) {
                task.woken = None;
            }
            match outcome {
                PollOutcome::Pending if requeued => task.enter(State::Scheduled, event.at, next),
                PollOutcome::Pending => task.enter(State::Idle, event.at, next),
                PollOutcome::Ready => task.enter(State::Ending { panicked: false }, event.at, next),
                PollOutcome::Panicked => {
                    task.enter(State::Ending { panicked: true }, event.at, next);
                }
            }
            legal
        });
        self.totals.busy = self.totals.busy.saturating_add(ran);
        if outcome == PollOutcome::Pending && requeued {
            self.ready.push_back(event.task);
        }
    }

    fn ended(&mut self, event: &Event, state: State, legal: impl FnOnce(&Task) -> bool) {
        self.leave_ready(event.task);
        let next = self.next;
        let cancelled = matches!(state, State::Cancelled { .. });
        self.end_join(event.task);
        self.end_all(event.task);
        self.change(event, |task| {
            let legal = legal(task);
            task.enter(state, event.at, next);
            legal
        });
        if cancelled {
            self.totals.cancelled += 1;
        } else {
            self.totals.done += 1;
        }
    }
}
