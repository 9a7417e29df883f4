//! Traces in the JSON format of Chrome's `about:tracing`, which Perfetto (<https://ui.perfetto.dev>) and
//! many other viewers read: slices on tracks, arrows from wakes to polls, and a counter.
//!
//! Slices of the loop and of tasks nest, so they are begun and ended; those of timers and jobs overlap,
//! so they are told apart by id. A slice that was open before the trace begins with it, and one that is
//! open at its end ends there: every beginning has its end.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use mainspring::observe::{CauseKind, Event, Kind, WakeEffect};
use serde::Serialize;

use crate::file::write_whole;
use crate::model::{Model, Phase, State};
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

/// An entry of `traceEvents`. Which members it has depends on `ph`.
#[derive(Default, Serialize)]
struct Entry<'a> {
    ph: &'a str,
    pid: u8,
    tid: u64,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    s: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    bp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<BTreeMap<&'a str, serde_json::Value>>,
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
            let args = BTreeMap::from([("ready", ready.into())]);
            to.put(Entry { ph: "C", name: "ready", args: Some(args), ..Entry::default() });
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
    fn put(&mut self, entry: Entry<'_>) {
        let ts = (entry.ph != "M").then_some(self.at as f64 / 1000.0);
        let entry = Entry { pid: 1, ts, ..entry };
        let first = self.out.ends_with('[');
        self.out += if first { "\n" } else { ",\n" };
        // All keys are texts: nothing here can fail.
        self.out += &serde_json::to_string(&entry).unwrap_or_default();
    }

    fn names(&mut self, title: &str) {
        let mut name = |name, tid, text: &str| {
            let args = Some(BTreeMap::from([("name", text.into())]));
            self.put(Entry { ph: "M", name, tid, args, ..Entry::default() });
        };
        name("process_name", 0, title);
        name("thread_name", 0, "loop");
    }

    /// Begins what was open before the trace.
    fn begin_as_of(&mut self, model: &Model) {
        let mut ids: Vec<_> = self.texts.tasks.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let args = Some(BTreeMap::from([("name", self.texts.task(id).into())]));
            self.put(Entry { ph: "M", name: "thread_name", tid: id, args, ..Entry::default() });
        }
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
        let mut timers: Vec<_> =
            model.timers.values().map(|timer| (timer.id, timer.task)).collect();
        timers.sort_unstable();
        for (id, task) in timers {
            self.begin(Track::Timer(id), &format!("timer #{id} of {}", self.texts.task(task)));
        }
        let mut jobs: Vec<_> = model.jobs.values().map(|job| (job.id, job.task)).collect();
        jobs.sort_unstable();
        for (id, task) in jobs {
            self.begin(Track::Job(id), &format!("blocking job {id} of {}", self.texts.task(task)));
        }
    }

    fn begin(&mut self, track: Track, name: &str) {
        *self.open.entry(track).or_default() += 1;
        self.put(slice(track, ["B", "b"], name));
    }

    /// Ends the innermost slice of a track, if one is open.
    fn end(&mut self, track: Track) {
        if let Some(depth) = self.open.get_mut(&track).filter(|depth| **depth > 0) {
            *depth -= 1;
            self.put(slice(track, ["E", "e"], ""));
        }
    }

    fn instant(&mut self, track: Track, name: &str) {
        self.put(Entry { ph: "i", s: "t", tid: tid(track), name, ..Entry::default() });
    }

    /// One end of an arrow from a wake to the poll that it led to.
    fn arrow(&mut self, ph: &str, wake: u64, track: Track) {
        let bp = if ph == "f" { "e" } else { "" };
        let (id, tid) = (Some(wake), tid(track));
        self.put(Entry { ph, bp, id, tid, cat: "wake", name: "wake", ..Entry::default() });
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
            Kind::PollStarted => self.begin(Track::Loop, &format!("poll {task}")),
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

fn slice<'a>(track: Track, [nested, apart]: [&'a str; 2], name: &'a str) -> Entry<'a> {
    let (ph, cat, id) = match track {
        Track::Loop | Track::Task(_) => (nested, "", None),
        Track::Timer(id) => (apart, "timer", Some(id)),
        Track::Job(id) => (apart, "job", Some(id)),
    };
    Entry { ph, cat, id, name, tid: tid(track), ..Entry::default() }
}

fn tid(track: Track) -> u64 {
    match track {
        Track::Task(id) => id,
        _ => 0,
    }
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
