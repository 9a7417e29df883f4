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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("experiment: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let mut number = None;
    let mut out = None;
    let mut real = false;
    let mut asks = std::io::stdin().is_terminal();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "list" => return list(),
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--real" => real = true,
            "--no-question" => asks = false,
            "--out" => out = Some(rest.next().ok_or("--out needs a file")?.clone()),
            text => number = Some(text.parse::<u32>().map_err(|_| format!("{text:?}?\n{USAGE}"))?),
        }
    }
    let number = number.ok_or(USAGE)?;
    let experiment =
        ALL.iter().find(|experiment| experiment.number == number).ok_or_else(|| {
            format!("there are experiments 1 to {}: see `experiment list`", ALL.len())
        })?;
    perform(experiment, asks, real, &out.unwrap_or_else(|| format!("experiment-{number:02}.html")))
}

fn list() -> Result<(), String> {
    let mut all: Vec<_> = ALL.iter().collect();
    all.sort_by_key(|experiment| experiment.number);
    for Experiment { number, idea, finding, .. } in all {
        println!("{number:>2}  {idea:<72} {}", finding.word());
    }
    Ok(())
}

fn perform(experiment: &Experiment, asks: bool, real: bool, out: &str) -> Result<(), String> {
    println!("Experiment {}: the idea that {}\n", experiment.number, experiment.idea);
    println!("The program: {}\n\n{}", experiment.program, experiment.question);
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
    println!("{}\n", experiment.because);
    tell("what happened", &broken);
    tell("mended", &mended);
    page::write(out, &[&broken, &mended]).map_err(|error| error.to_string())?;
    println!("The two beside each other: {out}");
    Ok(())
}

fn ask(answers: usize) -> Result<Option<usize>, String> {
    print!("Your guess, 1 to {answers} (Enter to pass): ");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
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
