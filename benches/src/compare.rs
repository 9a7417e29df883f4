//! The interleaved comparison: options, rounds, child processes, the table on the screen.

use crate::scenario::{Contestant, Figures, Scenario};
use crate::scenarios::zero;
use crate::stats::{Cell, Table};
use crate::{chart, growth, results, scenarios, servers};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What a scenario takes at least: one with short rounds gets more of them. The neighbours of a virtual
/// machine come and go by the second, and a median over a tenth of that would be one of theirs.
const LEAST: Duration = Duration::from_secs(8);
/// The rounds that this adds are at most so many times those asked for.
const MOST_TIMES: usize = 20;

/// The help text.
pub const USAGE: &str = "\
usage: compare [--only PATTERN] [--rounds N] [--once] [--growth] [--list] [--no-peers]
  --only PATTERN  only the scenarios whose name contains PATTERN (several: a,b,c); `zero`: the loop of
                  examples/zero and its refinements, which no other run measures
  --rounds N      rounds per scenario at least, 15 unless given
  --once          each scenario once, nothing written: does it still run?
  --growth        plot spawn, timers, echo and fetch over their size instead
  --list          the scenarios' names
  --no-peers      the floor and mainspring alone, when built without the peers
RESULTS.md and the charts are written by a full run only.";

/// What the command line asked for.
#[derive(Debug, Clone)]
pub struct Options {
    only: Vec<String>,
    rounds: usize,
    once: bool,
    growth: bool,
    list: bool,
    /// Be the slow HTTP server.
    serve_slowly: bool,
    /// The scenario and contestant a child process is to measure once.
    child: Option<(String, String)>,
    /// The command line, for the results.
    command: String,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// What was not understood, for a person.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            rounds: 15,
            once: false,
            growth: false,
            list: false,
            serve_slowly: false,
            child: None,
            command: arguments.join(" "),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--rounds" => {
                    options.rounds = match value()?.parse() {
                        Ok(rounds) if rounds > 0 => rounds,
                        _ => return Err("--rounds needs a number above 0".into()),
                    }
                }
                "--once" => (options.once, options.rounds) = (true, 1),
                "--growth" => options.growth = true,
                "--list" => options.list = true,
                "--no-peers" => {}
                "--serve-slowly" => options.serve_slowly = true,
                "--child" => options.child = Some((value()?.clone(), value()?.clone())),
                unknown => return Err(format!("{unknown} is not an option")),
            }
        }
        Ok(options)
    }
}

/// Does what the command line asked for.
pub fn run(options: &Options) -> ExitCode {
    if options.serve_slowly {
        return written(servers::serve_slowly());
    }
    let mut all = scenarios::all();
    if let Some((scenario, contestant)) = &options.child {
        return child(&all, scenario, contestant);
    }
    all.retain(|scenario| {
        let loop_to_read = scenario.id.starts_with(zero::PREFIX);
        let named = |only: &String| {
            scenario.id.contains(only) && (!loop_to_read || only.starts_with(zero::PREFIX))
        };
        match options.only.is_empty() {
            true => options.list || !loop_to_read,
            false => options.only.iter().any(named),
        }
    });
    if options.list {
        for scenario in &all {
            println!("{}", scenario.id);
        }
        return ExitCode::SUCCESS;
    }
    if options.growth {
        return written(growth::run(&directory(), &options.only));
    }
    if all.is_empty() {
        let wanted = options.only.join(",");
        eprintln!("compare: no scenario's name contains {wanted}; --list prints the names");
        return ExitCode::from(2);
    }
    let http = all.iter().any(|scenario| scenario.id.starts_with("http"));
    let _nginx = http.then(servers::start_nginx);
    println!("observed: {}", observed(&all));
    let full = options.only.is_empty() && !options.once;
    let mut table = Table::default();
    let least = if options.once { Duration::ZERO } else { LEAST };
    for scenario in &all {
        let cells = measure(scenario, options.rounds, least);
        table.add(scenario, &cells);
        print!("{}", table.last(scenario.rows.len()));
        // After each scenario, so that a run that is stopped leaves what it has.
        if full && let Err(error) = write(&table, options) {
            return written(Err(error));
        }
    }
    if table.lines.iter().any(|line| line.id.starts_with(zero::PREFIX)) {
        print!("{}", zero::table(&table.lines));
    } else if !options.once {
        print!("{}", table.summary());
    }
    ExitCode::SUCCESS
}

/// Whether an observer listens while it is measured.
fn observed(scenarios: &[Scenario]) -> &'static str {
    let observed = scenarios.iter().filter(|scenario| scenario.id.starts_with("observed")).count();
    match observed {
        0 => "no (no Observer is installed in any round)",
        all if all == scenarios.len() => "yes (each round is run without and with an observer)",
        _ => "only in the rows that say so",
    }
}

fn write(table: &Table, options: &Options) -> std::io::Result<()> {
    results::write(&directory(), table, &options.command, options.rounds)?;
    chart::write_all(&directory(), table)
}

fn written(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: the results cannot be written below benches/: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This crate's directory in the source tree.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Measures one scenario, everybody once in each round, until there have been so many rounds and the
/// time is up.
pub fn measure(scenario: &Scenario, rounds: usize, least: Duration) -> Vec<Cell> {
    let able: Vec<&Contestant> = scenario
        .contestants
        .iter()
        .filter(|contestant| match (contestant.unavailable)() {
            None => true,
            Some(reason) => {
                println!("{}: {} is SKIPPED: {reason}", scenario.id, contestant.name);
                false
            }
        })
        .collect();
    let mut cells: Vec<Cell> = able
        .iter()
        .flat_map(|contestant| (0..scenario.rows.len()).map(|row| Cell::new(contestant.name, row)))
        .collect();
    let start = Instant::now();
    let enough = |done| done >= rounds * MOST_TIMES || done >= rounds && start.elapsed() >= least;
    for round in (0..scenario.max_rounds).take_while(|&done| !enough(done)) {
        for contestant in order(able.len(), round).map(|place| able[place]) {
            let figures = match scenario.isolated {
                // One that fails, for want of ports for instance, must not end the others.
                false => catch_unwind(AssertUnwindSafe(&contestant.round))
                    .map_err(|_| "it panicked, see above".to_owned()),
                true => in_child(scenario.id, contestant.name),
            };
            match figures {
                Ok(figures) => {
                    for cell in cells.iter_mut().filter(|cell| cell.name == contestant.name) {
                        cell.figures.push(figures[cell.row]);
                    }
                }
                Err(error) => eprintln!("{}: {}: {error}", scenario.id, contestant.name),
            }
        }
    }
    cells.retain(|cell| !cell.figures.is_empty());
    cells
}

/// Who comes when in a round of `count`: everybody once, and over the rounds after each of the others
/// equally often (a balanced Latin square; E. J. Williams, 1949). Whoever always came after the same one
/// would be measured with the threads, the heap and the caches that this one leaves.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| {
        // Outwards from the first: 0, 1, −1, 2, −2, …
        let step = if place % 2 == 1 { place / 2 + 1 } else { count - place / 2 };
        // An odd count is balanced by the mirror image of its square.
        let step = if round / count % 2 == 1 { 2 * count - step } else { step };
        (step + round) % count
    })
}

/// One round in a process of its own: this program, with `--child`.
fn in_child(scenario: &str, contestant: &str) -> Result<Figures, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--no-peers", "--child", scenario, contestant])
        .env(servers::NGINX, servers::told_to_children())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Option<Figures> =
        text.split_whitespace().map(|figure| figure.parse().ok()).collect();
    match figures {
        Some(figures) if output.status.success() && !figures.is_empty() => Ok(figures),
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            // A panic's place and message; what follows is the way there.
            let error: Vec<&str> = error.trim().lines().take(2).collect();
            Err(format!("its process ended with {}: {}", output.status, error.join(" ")))
        }
    }
}

fn child(all: &[Scenario], scenario: &str, contestant: &str) -> ExitCode {
    let contestant = all
        .iter()
        .find(|candidate| candidate.id == scenario)
        .and_then(|found| found.contestants.iter().find(|one| one.name == contestant));
    let Some(contestant) = contestant else {
        eprintln!("compare: there is no such scenario or contestant");
        return ExitCode::from(2);
    };
    let figures: Vec<String> = (contestant.round)().iter().map(f64::to_string).collect();
    println!("{}", figures.join(" "));
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::order;
    use std::collections::HashMap;

    #[test]
    fn everybody_comes_after_everybody_else_equally_often() {
        for count in 1..12 {
            let mut follows: HashMap<_, usize> = HashMap::new();
            for round in 0..2 * count {
                let mut all: Vec<usize> = order(count, round).collect();
                all.windows(2).for_each(|two| *follows.entry((two[0], two[1])).or_default() += 1);
                all.sort_unstable();
                assert!(all.into_iter().eq(0..count));
            }
            assert_eq!(follows.len(), count * (count - 1));
            assert!(follows.values().all(|times| *times == 2), "{count}: {follows:?}");
        }
    }
}
