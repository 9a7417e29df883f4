//! Fifteen wrong ideas about event loops, each as a program that has it and one that does not.
//!
//! `cargo run --release --bin experiment -- NN` asks what will happen, runs both, says what did,
//! and writes a page that shows the two beside each other. The programs run on the virtual clock,
//! so that every run is the same; work that takes time moves that clock forward. `--real` runs them
//! on the real one.
//!
//! This module is the only one of the crate that uses more of the runtime than its events.

mod ends;
mod fairness;
mod load;
mod wakes;

use std::cell::Cell;
use std::time::{Duration, Instant};

use mainspring::Runtime;
use mainspring::time::Clock;

use crate::findings::Code;
use crate::{Recorder, Trace};

/// Events kept of an experiment: all that any of them makes.
const MAX_EVENTS: usize = 1 << 20;

/// A program: what it does with a runtime.
pub type Program = fn(&mut Runtime);

/// One wrong idea.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its number, from 1.
    pub number: u32,
    /// The wrong idea.
    pub idea: &'static str,
    /// What the program does.
    pub program: &'static str,
    /// What the reader is asked to predict.
    pub question: &'static str,
    /// What may be answered.
    pub answers: &'static [&'static str],
    /// Which of them is right, from 0.
    pub right: usize,
    /// Why.
    pub because: &'static str,
    /// What is found in the program that has the wrong idea.
    pub finding: Code,
    /// The program that has the wrong idea.
    pub broken: Program,
    /// The program that does not.
    pub mended: Program,
}

/// All of them, by number.
pub const ALL: &[Experiment] = &[
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
    /// Runs the broken program, on the real clock or a virtual one, and records it.
    pub fn run_broken(&self, real: bool) -> Trace {
        run(self.broken, real).titled(format!("{}: {}", self.number, self.idea))
    }

    /// Runs the mended program, on the real clock or a virtual one, and records it.
    pub fn run_mended(&self, real: bool) -> Trace {
        run(self.mended, real).titled(format!("{}: mended", self.number))
    }
}

thread_local! {
    /// The program that runs on this thread lives by the real clock.
    static REAL: Cell<bool> = const { Cell::new(true) };
}

/// Keeps the thread busy for so long: on the virtual clock, by moving it.
fn work(time: Duration) {
    if !REAL.get() {
        return mainspring::time::advance(time);
    }
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn run(program: Program, real: bool) -> Trace {
    let recorder = Recorder::full(MAX_EVENTS);
    // Local sockets answer at once, so time may jump although they are registered.
    let clock = if real { Clock::Real } else { Clock::VirtualDespiteIo };
    let mut runtime = Runtime::builder()
        .name("experiment")
        .clock(clock)
        .observer(recorder.observer())
        .build()
        .expect("the operating system gives a poller");
    REAL.set(real);
    program(&mut runtime);
    drop(runtime);
    let mut trace = recorder.trace();
    trace.virtual_clock = !real;
    trace
}
