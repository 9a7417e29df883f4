//! The loop of `examples/zero` and its refinements, beside the floor, mainspring and tokio. Its rows are
//! other scenarios', and are measured only if `--only` names them: they compare a loop that is made to be
//! read.

use crate::runtimes::zero::{Refined1, Refined2, Refined3, Refined4, Step8};
use crate::scenario::{Contestant, FLOOR, OURS, Scenario};
use crate::scenarios::{echo, pingpong, spawn, timers, yield_};
use crate::stats::{Line, figure};
use std::fmt::Write;

/// What the names of these scenarios begin with.
pub const PREFIX: &str = "zero";

/// Who else is in the table; and the refinements, each with those before it.
const OTHERS: [&str; 3] = [FLOOR, OURS, "tokio"];
const REFINED: [&str; 5] = ["zero", "+ poller", "+ clock, flag", "+ waker", "+ hash"];

/// Adds the loops to the contestants of a scenario, with the function that it gives every runtime.
macro_rules! with {
    ($id:literal, $scenario:expr, $($work:ident)::+ ($($argument:expr),*)) => {{
        let mut scenario: Scenario = $scenario;
        scenario.id = concat!("zero-", $id);
        scenario.rows.iter_mut().for_each(|row| row.goals.clear());
        scenario.contestants.retain(|one| OTHERS.contains(&one.name));
        let [zero, poller, clock, waker, hash] = REFINED;
        scenario.contestants.extend([
            Contestant::new(zero, || $($work)::+::<Step8>($($argument),*)),
            Contestant::new(poller, || $($work)::+::<Refined1>($($argument),*)),
            Contestant::new(clock, || $($work)::+::<Refined2>($($argument),*)),
            Contestant::new(waker, || $($work)::+::<Refined3>($($argument),*)),
            Contestant::new(hash, || $($work)::+::<Refined4>($($argument),*)),
        ]);
        scenario
    }};
}

/// Spawn, yield, ping-pong, timers and echo.
pub fn scenarios() -> Vec<Scenario> {
    let find = |all: Vec<Scenario>, id| all.into_iter().find(|one| one.id == id).expect(id);
    vec![
        with!("spawn", find(spawn::scenarios(), "spawn-1k"), spawn::one_type(1_000, 100)),
        with!("yield-1", find(yield_::scenarios(), "yield-1"), yield_::work(1, 100_000)),
        with!("yield-1k", find(yield_::scenarios(), "yield-1k"), yield_::work(1_000, 100)),
        with!("ping-pong", find(pingpong::scenarios(), "ping-pong"), pingpong::work()),
        with!("dropped", find(timers::scenarios(), "timers-dropped"), timers::dropped(100_000)),
        with!("fired", find(timers::scenarios(), "timers-fired"), timers::fired()),
        with!("echo-1", find(echo::scenarios(), "echo-1"), echo::work(1, 4_000)),
        with!("echo-256", find(echo::scenarios(), "echo-256"), echo::work(256, 100)),
    ]
}

/// The lines of these scenarios as the table in the text, in Markdown.
pub fn table(lines: &[Line]) -> String {
    let columns: Vec<&str> = [FLOOR].into_iter().chain(REFINED).chain([OURS, "tokio"]).collect();
    let mut text =
        format!("\n| | {} |\n|---{}|\n", columns.join(" | "), "|--:".repeat(columns.len()));
    for line in lines.iter().filter(|line| line.id.starts_with(PREFIX)) {
        let cell = |name: &&str| line.median(name).map_or("–".into(), figure);
        let cells: Vec<String> = columns.iter().map(cell).collect();
        writeln!(text, "| {}, {} | {} |", line.title, line.unit.symbol(), cells.join(" | "))
            .expect("writing to a string does not fail");
    }
    text
}
