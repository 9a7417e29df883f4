//! What tasks wait on, and what events mean for it: every wait has a beginning and an end, and between them stands in two places,
//! with the task that waits and with what it waits on.

use std::collections::BTreeMap;

use mainspring::observe::{Direction, Event, Kind};
use serde::{Deserialize, Serialize};

use super::Model;
use crate::schema::wire;

/// Something that will wake a task. In the order in which people want to be told: what a task really
/// waits for comes before a timer, which beside other things is mostly their time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum WaitsOn {
    /// Another task's end.
    Task {
        /// The other.
        id: u64,
    },
    /// A source's readiness.
    Source {
        /// The source.
        id: u64,
        /// In which direction.
        #[serde(with = "wire")]
        direction: Direction,
    },
    /// A blocking job's end.
    Job {
        /// The job.
        id: u64,
    },
    /// A timer.
    Timer {
        /// When it is due.
        #[serde(with = "wire")]
        deadline: u64,
        /// The timer.
        id: u64,
    },
}

/// A wait, and the latest event that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Number of the event.
    pub event: u64,
    /// When.
    pub at: u64,
    /// How many futures of the task wait so.
    pub futures: u32,
}

/// All waits of a task. Each is here from its beginning to its end, however often the task is polled
/// meanwhile.
pub type Waits = BTreeMap<WaitsOn, Wait>;

/// A map whose keys are no strings, written as a list of pairs.
pub(super) mod pairs {
    use super::{Wait, Waits, WaitsOn};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(waits: &Waits, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(waits)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Waits, D::Error> {
        Ok(Vec::<(WaitsOn, Wait)>::deserialize(from)?.into_iter().collect())
    }
}

impl Model {
    pub(super) fn apply_wait(&mut self, event: &Event) {
        match event.kind {
            Kind::WaitsForTask { on } => {
                // One task at a time waits for another: the one that polled the handle last.
                let alive = |task: &&mut super::Task| !task.state.is_ended();
                let Some(other) = self.tasks.get_mut(&on).filter(alive) else { return };
                let before = std::mem::replace(&mut other.joiner, event.task);
                if before != event.task {
                    self.end_wait(before, WaitsOn::Task { id: on });
                }
                self.begin_wait(event, WaitsOn::Task { id: on });
            }
            Kind::TaskWaitDropped { on } => self.end_join(on),
            Kind::WaitsForSource { direction, source } => {
                let id = u64::from(source);
                let Some(known) = self.sources.get_mut(&id) else { return };
                known.waiting(direction).insert(event.task);
                self.begin_wait(event, WaitsOn::Source { id, direction });
            }
            Kind::SourceWaitDropped { direction, source } => {
                let (id, task) = (u64::from(source), event.task);
                let on = WaitsOn::Source { id, direction };
                let wait = self.tasks.get_mut(&task).and_then(|task| task.waits.get_mut(&on));
                match wait {
                    Some(wait) if wait.futures > 1 => wait.futures -= 1,
                    _ => {
                        self.end_wait(task, on);
                        if let Some(source) = self.sources.get_mut(&id) {
                            source.waiting(direction).remove(&task);
                        }
                    }
                }
            }
            Kind::WaitsForTimer { timer } => {
                let Some(timer) = self.timers.get_mut(&u64::from(timer)) else { return };
                let on = WaitsOn::Timer { deadline: timer.deadline, id: timer.id };
                let before = std::mem::replace(&mut timer.task, event.task);
                self.end_wait(before, on);
                self.begin_wait(event, on);
            }
            Kind::WaitsForBlocking { job } => {
                let Some(job) = self.jobs.get_mut(&u64::from(job)) else { return };
                let on = WaitsOn::Job { id: job.id };
                let before = std::mem::replace(&mut job.task, event.task);
                self.end_wait(before, on);
                self.begin_wait(event, on);
            }
            _ => self.apply_thing(event),
        }
    }

    pub(super) fn begin_wait(&mut self, event: &Event, on: WaitsOn) {
        let Some(task) = self.tasks.get_mut(&event.task) else { return };
        let new = Wait { event: self.next, at: event.at, futures: 0 };
        let wait = task.waits.entry(on).or_insert(new);
        // Of the other kinds there is one wait for each thing.
        let futures = if matches!(on, WaitsOn::Source { .. }) { wait.futures + 1 } else { 1 };
        *wait = Wait { futures, ..new };
    }

    /// The wait of one task is over.
    pub(super) fn end_wait(&mut self, task: u64, on: WaitsOn) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.waits.remove(&on);
        }
    }

    /// What waited for this task to end waits no more.
    pub(super) fn end_join(&mut self, id: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let joiner = std::mem::take(&mut task.joiner);
        self.end_wait(joiner, WaitsOn::Task { id });
    }

    /// All tasks that wait in a direction of a source are woken.
    pub(super) fn end_source_waits(&mut self, id: u64, direction: Direction) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        for task in std::mem::take(source.waiting(direction)) {
            self.end_wait(task, WaitsOn::Source { id, direction });
        }
    }

    /// A task that ends waits for nothing.
    pub(super) fn end_all(&mut self, id: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        for on in std::mem::take(&mut task.waits).into_keys() {
            match on {
                WaitsOn::Task { id: other } => {
                    if let Some(other) = self.tasks.get_mut(&other) {
                        other.joiner = 0;
                    }
                }
                WaitsOn::Source { id: source, direction } => {
                    if let Some(source) = self.sources.get_mut(&source) {
                        source.waiting(direction).remove(&id);
                    }
                }
                WaitsOn::Job { id } => {
                    if let Some(job) = self.jobs.get_mut(&id) {
                        job.task = 0;
                    }
                }
                WaitsOn::Timer { id, .. } => {
                    if let Some(timer) = self.timers.get_mut(&id) {
                        timer.task = 0;
                    }
                }
            }
        }
    }
}
