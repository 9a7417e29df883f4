//! A trace as slices on tracks: what the exporters for other viewers share.

use mainspring::observe::{CauseKind, Event, Kind, WakeEffect};

use crate::model::{Model, State};
use crate::text::Texts;
use crate::trace::Trace;

/// A row that slices are drawn on. Slices of one track nest and never overlap otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Track {
    Loop,
    Task(u64),
    Timer(u64),
    Job(u64),
}

/// Something to draw. A flow is an arrow from a wake to the poll it led to; its number is that of
/// the wake's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Begin { track: Track, name: String, ends_flow: Option<u64> },
    End { track: Track },
    Instant { track: Track, name: String, begins_flow: Option<u64> },
    Counter { name: &'static str, value: u64 },
}

/// Calls `draw` with every mark of the trace, in order of time; marks of one track are in the order
/// in which they nest.
pub(crate) fn walk(trace: &Trace, mut draw: impl FnMut(u64, Mark)) {
    let mut model = trace.snapshot.clone();
    let start = trace.events.first().map_or(0, |event| event.at);
    for task in model.tasks_in_order() {
        if !task.state.is_ended() {
            let name = state_name(&model, task.id, &trace.texts);
            draw(start, Mark::Begin { track: Track::Task(task.id), name, ends_flow: None });
        }
    }
    let mut turn_open = false;
    let mut ready = usize::MAX;
    for event in &trace.events {
        let at = event.at;
        let before = model.task(event.task).map(|task| task.state);
        let woken = model.task(event.task).and_then(|task| task.woken).map(|wake| wake.event);
        let source = source_of(&model, event);
        let number = model.next;
        model.apply(event);
        let after = model.task(event.task).map(|task| task.state);
        loop_marks(event, &mut turn_open, &trace.texts, &mut |mark| draw(at, mark));
        if let Kind::Woken { effect: WakeEffect::Scheduled | WakeEffect::Deferred, .. } = event.kind
        {
            let name = format!("wakes {}", trace.texts.task(event.task));
            draw(at, Mark::Instant { track: source, name, begins_flow: Some(number) });
        }
        if before != after && event.task != 0 {
            let track = Track::Task(event.task);
            if before.is_some_and(|state| !state.is_ended()) {
                draw(at, Mark::End { track });
            }
            let name = state_name(&model, event.task, &trace.texts);
            if after.is_some_and(State::is_ended) {
                draw(at, Mark::Instant { track, name, begins_flow: None });
            } else if after.is_some() {
                let ends_flow = woken.filter(|_| after == Some(State::Running));
                draw(at, Mark::Begin { track, name, ends_flow });
            }
        }
        if model.ready.len() != ready {
            ready = model.ready.len();
            draw(at, Mark::Counter { name: "ready", value: ready as u64 });
        }
    }
    finish(&model, turn_open, &mut draw);
}

/// Ends what is still open when the trace does.
fn finish(model: &Model, turn_open: bool, draw: &mut impl FnMut(u64, Mark)) {
    let mut timers: Vec<_> = model.timers.keys().copied().collect();
    timers.sort_unstable();
    let mut jobs: Vec<_> = model.jobs.keys().copied().collect();
    jobs.sort_unstable();
    let alive = model.tasks_in_order().into_iter().filter(|task| !task.state.is_ended());
    let open = alive
        .map(|task| Track::Task(task.id))
        .chain(timers.into_iter().map(Track::Timer))
        .chain(jobs.into_iter().map(Track::Job))
        .chain(turn_open.then_some(Track::Loop));
    for track in open {
        draw(model.now, Mark::End { track });
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

fn loop_marks(event: &Event, turn_open: &mut bool, texts: &Texts, draw: &mut impl FnMut(Mark)) {
    let begin = |track, name| Mark::Begin { track, name, ends_flow: None };
    match event.kind {
        Kind::TurnStarted { turn, .. } => {
            if std::mem::replace(turn_open, true) {
                draw(Mark::End { track: Track::Loop });
            }
            draw(begin(Track::Loop, format!("turn {turn}")));
        }
        Kind::TurnEnded if std::mem::replace(turn_open, false) => {
            draw(Mark::End { track: Track::Loop });
        }
        Kind::PollStarted => {
            draw(begin(Track::Loop, format!("poll {}", texts.task(event.task))));
        }
        Kind::Parked { .. } => draw(begin(Track::Loop, "park".into())),
        Kind::PollEnded { .. } | Kind::Unparked { .. } => draw(Mark::End { track: Track::Loop }),
        Kind::TimerArmed { timer, .. } => {
            let name = format!("timer #{timer} of {}", texts.task(event.task));
            draw(begin(Track::Timer(timer.into()), name));
        }
        Kind::TimerFired { timer, .. } | Kind::TimerDropped { timer } => {
            draw(Mark::End { track: Track::Timer(timer.into()) });
        }
        Kind::JobQueued { job } => {
            let name = format!("blocking job {job} of {}", texts.task(event.task));
            draw(begin(Track::Job(job.into()), name));
        }
        Kind::JobEnded { job, .. } => draw(Mark::End { track: Track::Job(job.into()) }),
        Kind::Marked { label } => {
            let name = texts.label(label);
            draw(Mark::Instant { track: Track::Loop, name, begins_flow: None });
        }
        Kind::LoopLeft { .. } | Kind::ClockJumped { .. } => {
            let name = texts.sentence(event);
            draw(Mark::Instant { track: Track::Loop, name, begins_flow: None });
        }
        _ => {}
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
