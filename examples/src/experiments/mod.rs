//! Fifteen wrong ideas about event loops, each as a program that has it and one that does not.
//!
//! `cargo run --release --bin experiment -- NN` asks what will happen, runs both, says what did,
//! and writes a page that shows the two beside each other. The programs run on the virtual clock,
//! so that every run is the same; work that takes time moves that clock forward. `--real` runs them
//! on the real one.
//!
//! What is said of each idea stands in `lessons.json`, in the order of the programs.
//!
//! A page of an experiment holds all that the terminal says, and asks before it answers.

mod ends;
mod fairness;
mod load;
mod source;
mod tools;
mod wakes;

use std::cell::RefCell;
use std::sync::LazyLock;

use mainspring::Runtime;
use mainspring::observe::{Event, Kind};
use mainspring::time::Clock;

use mainspring_microscope::findings::Code;
use mainspring_microscope::page::Lesson;
use mainspring_microscope::{Nanos, Recorder, Trace};
use serde::Deserialize;

/// Events kept of an experiment: all that any of them makes.
const MAX_EVENTS: usize = 1 << 20;

/// A program: what it does with a runtime.
pub type Program = fn(&mut Runtime);

/// What is said of a wrong idea, on the terminal and on its page.
#[derive(Clone, Debug, Deserialize)]
pub struct Words {
    /// Its number, from 1.
    pub number: u32,
    /// The wrong idea.
    pub idea: String,
    /// What the program does.
    pub program: String,
    /// What the reader is asked to predict.
    pub question: String,
    /// What may be answered.
    pub answers: Vec<String>,
    /// Which of them is right, from 0.
    pub right: usize,
    /// Why.
    pub because: String,
}

/// A program that has a wrong idea, and one that does not.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// The number of the idea.
    pub number: u32,
    /// What is found in the program that has it.
    pub finding: Code,
    /// Time is what there is to see: the page opens on the axis of time, not on that of events.
    pub time: bool,
    /// The program that has it.
    pub broken: Program,
    /// The program that does not.
    pub mended: Program,
}

/// One wrong idea.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What is said of it.
    pub words: Words,
    /// What shows it.
    pub programs: Programs,
}

/// All of them, by number.
pub static ALL: LazyLock<Vec<Experiment>> = LazyLock::new(|| {
    let words: Vec<Words> =
        serde_json::from_str(include_str!("lessons.json")).expect("JSON written here");
    let experiment = |(words, programs)| Experiment { words, programs };
    words.into_iter().zip(PROGRAMS).map(experiment).collect()
});

const PROGRAMS: [Programs; 15] = [
    wakes::NEVER_POLLED,
    wakes::NO_WAKER_KEPT,
    wakes::BUSY_DELAY,
    wakes::FIRST_WAKER,
    fairness::THREAD_SLEEP,
    fairness::GREEDY_LOOP,
    ends::ONE_BY_ONE,
    ends::LOSER_HAD_READ,
    ends::LOCK_SET_ASIDE,
    ends::GUARD_ACROSS_AWAIT,
    ends::DETACHED,
    fairness::LATE_SLEEP,
    load::ONE_READ,
    load::THUNDERING_HERD,
    load::UNBOUNDED,
];

impl Experiment {
    /// What the first line says.
    pub fn heading(&self) -> String {
        format!("Experiment {}: the idea that {}", self.words.number, self.words.idea)
    }

    /// The right answer.
    pub fn answer(&self) -> &str {
        &self.words.answers[self.words.right]
    }

    /// Runs the broken program, on the real clock or a virtual one, and records it.
    pub fn run_broken(&self, real: bool) -> Trace {
        let Words { number, idea, .. } = &self.words;
        run(self.programs.broken, real).titled(format!("{number}: {idea}"))
    }

    /// Runs the mended program, on the real clock or a virtual one, and records it.
    pub fn run_mended(&self, real: bool) -> Trace {
        run(self.programs.mended, real).titled(format!("{}: mended", self.words.number))
    }

    /// Its page: of the runs of both programs and of what was told of them.
    pub fn lesson(&self, broken: &Trace, told: Vec<String>) -> Lesson {
        let Experiment { words, programs } = self;
        let source::Source { broken: program, mended, shared } = source::of(words.number);
        let guilty = broken.findings().into_iter().find(|found| found.code == programs.finding);
        let event = guilty.as_ref().and_then(|found| found.evidence.first().copied());
        Lesson {
            idea: self.heading(),
            program: format!("The program: {}", words.program),
            question: words.question.clone(),
            answers: words.answers.clone(),
            right: words.right,
            because: words.because.clone(),
            told,
            source: program,
            mended,
            shared,
            event: event.map(|event| before_the_end(broken, event)),
            task: guilty.map_or(0, |found| found.task),
            time: programs.time,
        }
    }
}

/// What happened in a run, for the terminal and for the page.
pub fn told(title: &str, trace: &Trace, panics: &[String]) -> String {
    let totals = trace.model().totals;
    let (polls, wakes, turns) = (totals.polls, totals.wakes, totals.turns);
    let took = Nanos(trace.events.last().map_or(0, |event| event.at));
    let mut text = format!("{title}: {took}, {polls} polls, {wakes} wakes, {turns} turns\n");
    for panic in panics {
        text += &format!("  a panic, which is the lesson: {panic}\n");
    }
    let findings = trace.findings();
    if findings.is_empty() {
        text += "  nothing to complain of\n";
    }
    for finding in findings.iter().take(4) {
        text += &format!("  {finding}\n");
        for line in trace.lines(finding.evidence.iter().take(3).copied()) {
            text += &format!("    {line}\n");
        }
    }
    text
}

/// An event to look at: for the end of a loop, at which nothing is left, the last spawn before it.
fn before_the_end(trace: &Trace, number: u64) -> u64 {
    let index = usize::try_from(number.saturating_sub(trace.first())).unwrap_or(usize::MAX);
    if !matches!(trace.events.get(index), Some(Event { kind: Kind::LoopLeft { .. }, .. })) {
        return number;
    }
    let spawned = |event: &Event| matches!(event.kind, Kind::Spawned { .. });
    trace.events.iter().rposition(spawned).map_or(number, |last| trace.first() + last as u64)
}

/// From now on a panic is kept for [`panics`] and not printed: that of a program here is its lesson.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let literal = payload.downcast_ref::<&str>().copied();
        let text = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a text");
        let place = info.location().map(|place| format!(", at {place}")).unwrap_or_default();
        PANICS.with_borrow_mut(|panics| panics.push(format!("{text}{place}")));
    }));
}

/// The panics on this thread since the last call.
pub fn panics() -> Vec<String> {
    PANICS.take()
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn run(program: Program, real: bool) -> Trace {
    let recorder = Recorder::full(MAX_EVENTS);
    // Local sockets answer at once, so time may jump although they are registered.
    let clock = if real { Clock::Real } else { Clock::VirtualDespiteIo };
    let builder = Runtime::builder().name("experiment").clock(clock).observer(recorder.observer());
    let mut runtime = builder.build().expect("the operating system gives a poller");
    tools::REAL.set(real);
    program(&mut runtime);
    drop(runtime);
    let mut trace = recorder.trace();
    trace.virtual_clock = !real;
    trace
}
