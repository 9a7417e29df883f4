//! Traces in the JSON format of Chrome's `about:tracing`, which Perfetto (<https://ui.perfetto.dev>) and
//! many other viewers read: slices on tracks, arrows from wakes to polls, and a counter.
//!
//! Slices of the loop and of tasks nest, so they are begun and ended; those of timers and jobs overlap,
//! so they are told apart by id. A slice that was open before the trace begins with it, and one that is
//! open at its end ends there: every beginning has its end.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use mainspring::observe::{CauseKind, Event, Kind, WakeEffect};
use serde_json::{Value, json};

use crate::file::write_whole;
use crate::model::{Job, Model, Phase, State, Timer, in_order};
use crate::text::Texts;
use crate::trace::Trace;

/// A row that slices are drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Track {
    Loop,
    Task(u64),
    Timer(u64),
    Job(u64),
}

/// The file being written, and what is open in it.
struct Writer<'a> {
    texts: &'a Texts,
    out: String,
    at: u64,
    /// Slices that are open, by track.
    open: BTreeMap<Track, u32>,
    /// Wakes whose arrow has begun, by the number of their event.
    begun: HashSet<u64>,
}

impl Trace {
    /// Writes the trace in Chrome's JSON format, for Perfetto (<https://ui.perfetto.dev>) and other
    /// viewers. The file is whole or not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_chrome(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        write_whole(path.as_ref(), encode(self).as_bytes())
    }
}

/// The trace as a JSON object with the member `traceEvents`.
pub(crate) fn encode(trace: &Trace) -> String {
    let mut model = trace.snapshot.clone();
    let mut to = Writer {
        texts: &trace.texts,
        out: String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":["),
        at: trace.events.first().map_or(0, |event| event.at),
        open: BTreeMap::new(),
        begun: HashSet::new(),
    };
    to.names(&trace.title);
    to.begin_as_of(&model);
    let mut ready = usize::MAX;
    for event in &trace.events {
        to.at = event.at;
        let before = model.task(event.task).map(|task| task.state);
        let woken = model.task(event.task).and_then(|task| task.woken).map(|wake| wake.event);
        let source = source_of(&model, event);
        let number = model.next;
        model.apply(event);
        to.of_the_loop(event);
        if let Kind::Woken { effect: WakeEffect::Scheduled | WakeEffect::Deferred, .. } = event.kind
        {
            to.instant(source, &format!("wakes {}", trace.texts.task(event.task)));
            to.begun.insert(number);
            to.arrow("s", number, source);
        }
        let after = model.task(event.task).map(|task| task.state);
        if before != after && event.task != 0 {
            to.of_a_task(&model, event.task, after, woken);
        }
        if model.ready.len() != ready {
            ready = model.ready.len();
            to.put(json!({"ph": "C", "tid": 0, "name": "ready", "args": {"ready": ready}}));
        }
    }
    to.at = model.now;
    for (track, depth) in to.open.clone() {
        (0..depth).for_each(|_| to.end(track));
    }
    to.out += "\n]}\n";
    to.out
}

impl Writer<'_> {
    /// Adds an entry of `traceEvents`. Which members it has depends on `ph`; times are in microseconds.
    fn put(&mut self, mut entry: Value) {
        entry["pid"] = 1.into();
        if entry["ph"] != "M" {
            entry["ts"] = (self.at as f64 / 1000.0).into();
        }
        let first = self.out.ends_with('[');
        self.out += if first { "\n" } else { ",\n" };
        self.out += &entry.to_string();
    }

    fn names(&mut self, title: &str) {
        self.name("process_name", 0, title);
        self.name("thread_name", 0, "loop");
        let mut ids: Vec<_> = self.texts.tasks.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().for_each(|id| self.name("thread_name", id, &self.texts.task(id)));
    }

    fn name(&mut self, of: &str, tid: u64, name: &str) {
        self.put(json!({"ph": "M", "name": of, "tid": tid, "args": {"name": name}}));
    }

    /// Begins what was open before the trace.
    fn begin_as_of(&mut self, model: &Model) {
        if matches!(model.phase, Phase::Turning) {
            self.begin(Track::Loop, &format!("turn {}", model.turn));
        }
        if model.running != 0 {
            self.begin(Track::Loop, &format!("poll {}", self.texts.task(model.running)));
        }
        if matches!(model.phase, Phase::Parked { .. }) {
            self.begin(Track::Loop, "park");
        }
        for task in model.tasks_in_order() {
            if !task.state.is_ended() {
                self.begin(Track::Task(task.id), &state_name(model, task.id, self.texts));
            }
        }
        for Timer { id, task, .. } in in_order(&model.timers) {
            self.begin(Track::Timer(*id), &format!("timer #{id} of {}", self.texts.task(*task)));
        }
        for Job { id, task, .. } in in_order(&model.jobs) {
            let name = format!("blocking job {id} of {}", self.texts.task(*task));
            self.begin(Track::Job(*id), &name);
        }
    }

    fn begin(&mut self, track: Track, name: &str) {
        *self.open.entry(track).or_default() += 1;
        let mut entry = slice(track, ["B", "b"]);
        entry["name"] = name.into();
        self.put(entry);
    }

    /// Ends the innermost slice of a track, if one is open.
    fn end(&mut self, track: Track) {
        if let Some(depth) = self.open.get_mut(&track).filter(|depth| **depth > 0) {
            *depth -= 1;
            self.put(slice(track, ["E", "e"]));
        }
    }

    fn instant(&mut self, track: Track, name: &str) {
        self.put(json!({"ph": "i", "s": "t", "tid": tid(track), "name": name}));
    }

    /// One end of an arrow from a wake to the poll that it led to.
    fn arrow(&mut self, ph: &str, wake: u64, track: Track) {
        let tid = tid(track);
        let arrow =
            json!({"ph": ph, "cat": "wake", "name": "wake", "id": wake, "tid": tid, "bp": "e"});
        self.put(arrow);
    }

    /// A task has come into another state.
    fn of_a_task(&mut self, model: &Model, id: u64, now: Option<State>, woken: Option<u64>) {
        let track = Track::Task(id);
        self.end(track);
        let name = state_name(model, id, self.texts);
        match now {
            Some(state) if state.is_ended() => self.instant(track, &name),
            Some(state) => {
                self.begin(track, &name);
                // An arrow needs both ends: one whose wake lies before the trace is left out.
                if let Some(wake) = woken.filter(|_| state == State::Running)
                    && self.begun.remove(&wake)
                {
                    self.arrow("f", wake, track);
                }
            }
            None => {}
        }
    }

    fn of_the_loop(&mut self, event: &Event) {
        let task = self.texts.task(event.task);
        match event.kind {
            Kind::TurnStarted { turn, .. } => self.begin(Track::Loop, &format!("turn {turn}")),
            Kind::PollStarted { .. } => self.begin(Track::Loop, &format!("poll {task}")),
            Kind::Parked { .. } => self.begin(Track::Loop, "park"),
            Kind::TurnEnded | Kind::PollEnded { .. } | Kind::Unparked { .. } => {
                self.end(Track::Loop);
            }
            Kind::TimerArmed { timer, .. } => {
                self.begin(Track::Timer(timer.into()), &format!("timer #{timer} of {task}"));
            }
            Kind::TimerFired { timer, .. } | Kind::TimerDropped { timer } => {
                self.end(Track::Timer(timer.into()));
            }
            Kind::JobQueued { job } => {
                self.begin(Track::Job(job.into()), &format!("blocking job {job} of {task}"));
            }
            Kind::JobEnded { job, .. } | Kind::JobDropped { job } => {
                self.end(Track::Job(job.into()));
            }
            Kind::Marked { label } => self.instant(Track::Loop, &self.texts.label(label)),
            Kind::LoopLeft { .. } | Kind::ClockJumped { .. } | Kind::ObserverPaused { .. } => {
                self.instant(Track::Loop, &self.texts.sentence(event));
            }
            _ => {}
        }
    }
}

fn slice(track: Track, [nested, apart]: [&str; 2]) -> Value {
    let tid = tid(track);
    match track {
        Track::Loop | Track::Task(_) => json!({"ph": nested, "tid": tid}),
        Track::Timer(id) => json!({"ph": apart, "cat": "timer", "id": id, "tid": tid}),
        Track::Job(id) => json!({"ph": apart, "cat": "job", "id": id, "tid": tid}),
    }
}

fn tid(track: Track) -> u64 {
    if let Track::Task(id) = track { id } else { 0 }
}

/// The track in which the cause of a wake lies.
fn source_of(model: &Model, event: &Event) -> Track {
    match event.kind {
        Kind::Woken { by: CauseKind::Task | CauseKind::Join, id, .. }
            if model.task(id).is_some_and(|task| !task.state.is_ended()) =>
        {
            Track::Task(id)
        }
        _ => Track::Loop,
    }
}

fn state_name(model: &Model, id: u64, texts: &Texts) -> String {
    match model.task(id).map(|task| task.state) {
        Some(State::Idle) => match model.waits_briefly(id, texts) {
            nothing if nothing.is_empty() => "idle".into(),
            what => format!("idle: {what}"),
        },
        Some(state) => state.word().into(),
        None => "unknown".into(),
    }
}
