#![forbid(unsafe_code)]
//! Runs an experiment: asks what will happen, lets it happen, says why.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use mainspring_microscope::experiments::{ALL, Experiment};
use mainspring_microscope::{Trace, page};

const USAGE: &str = "usage: experiment list | experiment NN [--real] [--out FILE] [--no-question]

  list           all experiments
  NN             runs experiment NN and writes a page that compares the wrong and the mended program
  --real         on the real clock instead of a virtual one
  --out FILE     where to write the page (experiment-NN.html)
  --no-question  does not ask what will happen, which it never does without a terminal";

/// Columns of prose.
const WIDTH: usize = 80;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("experiment: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Io(error)) => {
            eprintln!("experiment: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why nothing came of it.
enum Failure {
    /// The command line was not understood.
    Usage(String),
    /// The page could not be written, or the question not asked.
    Io(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Io(error)
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let usage = |message: String| Failure::Usage(message);
    let mut number = None;
    let mut out = None;
    let mut real = false;
    let mut asks = std::io::stdin().is_terminal();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "list" => {
                list();
                return Ok(());
            }
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--real" => real = true,
            "--no-question" => asks = false,
            "--out" => {
                let file = rest.next().ok_or_else(|| usage("--out needs a file".into()))?;
                out = Some(file.clone());
            }
            text => number = Some(text),
        }
    }
    let wanted = number.ok_or_else(|| usage(USAGE.into()))?;
    let found = wanted.parse().ok().and_then(|n: u32| ALL.iter().find(|known| known.number == n));
    let experiment = found.ok_or_else(|| {
        usage(format!(
            "{wanted:?} is neither an option nor an experiment: those are 1 to {}, see \
             `experiment list`",
            ALL.len()
        ))
    })?;
    let number = experiment.number;
    perform(experiment, asks, real, &out.unwrap_or_else(|| format!("experiment-{number:02}.html")))
}

fn list() {
    let mut all: Vec<_> = ALL.iter().collect();
    all.sort_by_key(|experiment| experiment.number);
    for Experiment { number, idea, finding, .. } in all {
        println!("{number:>2}  {idea:<72} {}", finding.word());
    }
}

fn perform(experiment: &Experiment, asks: bool, real: bool, out: &str) -> Result<(), Failure> {
    println!("Experiment {}: the idea that {}\n", experiment.number, experiment.idea);
    println!("{}\n", wrapped(&format!("The program: {}", experiment.program)));
    println!("{}", wrapped(experiment.question));
    for (n, answer) in (1..).zip(experiment.answers) {
        println!("  {n}  {answer}");
    }
    let guess = if asks { ask(experiment.answers.len())? } else { None };
    let (broken, mended) = (experiment.run_broken(real), experiment.run_mended(real));
    let right = experiment.answers[experiment.right];
    println!(
        "\n{}: {right}.",
        match guess {
            Some(guess) if guess == experiment.right => "Right",
            Some(_) => "Not so",
            None => "The answer",
        }
    );
    println!("{}\n", wrapped(experiment.because));
    tell("what happened", &broken);
    tell("mended", &mended);
    page::write(out, &[&broken, &mended])?;
    println!("The two beside each other, for a browser: {out}");
    Ok(())
}

fn ask(answers: usize) -> std::io::Result<Option<usize>> {
    print!("Your guess, 1 to {answers} (Enter to pass): ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < answers))
}

fn tell(title: &str, trace: &Trace) {
    let model = trace.model();
    let took = trace.events.last().map_or(0, |event| event.at);
    println!(
        "{title}: {}, {} polls, {} wakes, {} turns",
        mainspring_microscope::Nanos(took),
        model.totals.polls,
        model.totals.wakes,
        model.totals.turns
    );
    let findings = trace.findings();
    if findings.is_empty() {
        println!("  nothing to complain of");
    }
    for finding in findings.iter().take(4) {
        println!("  {finding}");
        for line in trace.lines(finding.evidence.iter().take(3).copied()) {
            println!("    {line}");
        }
    }
    println!();
}

/// A text in lines that fit into a terminal of the usual width.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one at least");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
