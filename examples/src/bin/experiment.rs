#![forbid(unsafe_code)]
//! Runs an experiment: asks what will happen, lets it happen, says why.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;
use std::process::ExitCode;

use mainspring_examples::experiments::{ALL, Experiment, keep_panics, panics, told};
use mainspring_examples::failure::{Failure, print};
use mainspring_examples::trace;
use mainspring_microscope::page;
use textwrap::fill;

const USAGE: &str = include_str!("../cli/help/experiment.txt");

/// Columns of prose.
const WIDTH: usize = 80;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (ended, code) = match understood(&arguments) {
        Ok(choice) => (run(&choice), 1),
        Err(message) => (Err(Failure::Said(message)), 2),
    };
    match ended {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Said(message)) => {
            eprintln!("experiment: {message}");
            ExitCode::from(code)
        }
    }
}

/// What is to be done.
#[derive(Default)]
struct Choice {
    /// Nothing but to say this.
    says: Option<String>,
    which: Vec<&'static Experiment>,
    asks: bool,
    real: bool,
    out: Option<String>,
}

fn understood(arguments: &[String]) -> Result<Choice, String> {
    let mut choice = Choice { asks: stdin().is_terminal(), ..Choice::default() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "list" => choice.says = Some(list()),
            "-h" | "--help" => choice.says = Some(USAGE.to_owned()),
            "--real" => choice.real = true,
            "--no-question" => choice.asks = false,
            "--out" => choice.out = Some(rest.next().ok_or("--out needs a file")?.clone()),
            text => choice.which.push(numbered(text)?),
        }
    }
    match choice.which.len() {
        0 if choice.says.is_none() => Err(USAGE.trim_end().into()),
        2.. if choice.out.is_some() => {
            Err("--out names the page of one experiment, and these are several".into())
        }
        1 => {
            let asked = || trace::asked().map(|path| path.to_string_lossy().into_owned());
            choice.out = choice.out.or_else(asked);
            Ok(choice)
        }
        _ => Ok(choice),
    }
}

fn numbered(text: &str) -> Result<&'static Experiment, String> {
    let (number, last) = (text.parse::<u32>().ok(), ALL.len());
    let those = format!("those are 1 to {last}, see `experiment list`");
    let found = ALL.iter().find(|known| Some(known.words.number) == number);
    found.ok_or_else(|| format!("{text:?} is neither an option nor an experiment: {those}"))
}

fn run(choice: &Choice) -> Result<(), Failure> {
    if let Some(text) = &choice.says {
        return print(text);
    }
    keep_panics();
    for (n, experiment) in choice.which.iter().enumerate() {
        if n > 0 {
            print("\n")?;
        }
        perform(experiment, choice)?;
    }
    Ok(())
}

fn list() -> String {
    let line = |Experiment { words, programs }: &Experiment| {
        let (number, idea, finding) = (words.number, &words.idea, programs.finding.word());
        format!("{number:>2}  {idea:<72} {finding}\n")
    };
    ALL.iter().map(line).collect()
}

fn perform(experiment: &Experiment, choice: &Choice) -> Result<(), Failure> {
    let words = &experiment.words;
    let page = format!("experiment-{:02}.html", words.number);
    let out = choice.out.as_ref().unwrap_or(&page);
    let program = fill(&format!("The program: {}", words.program), WIDTH);
    print(&format!("{}\n\n{program}\n\n{}\n", experiment.heading(), fill(&words.question, WIDTH)))?;
    for (n, answer) in (1..).zip(&words.answers) {
        print(&format!("  {n}  {answer}\n"))?;
    }
    let guess = if choice.asks { ask(words.answers.len(), &mut stdin().lock())? } else { None };
    let broken = experiment.run_broken(choice.real);
    let happened = told("what happened", &broken, &panics());
    let mended = experiment.run_mended(choice.real);
    let instead = told("mended", &mended, &panics());
    let verdict = match guess {
        Some(guess) if guess == words.right => "Right",
        Some(_) => "Not so",
        None => "The answer",
    };
    let because = fill(&words.because, WIDTH);
    print(&format!("\n{verdict}: {}.\n{because}\n\n{happened}\n{instead}\n", experiment.answer()))?;
    if out.ends_with(".json") {
        trace::write(Path::new(out), &[broken])?;
        return print(&format!("The data of the first run: {out}\n"));
    }
    let lesson = experiment.lesson(&broken, vec![happened, instead]);
    page::write_lesson(out, &[&broken, &mended], &lesson)
        .map_err(|error| Failure::Said(error.to_string()))?;
    print(&format!("The two beside each other, for a browser: {out}\n"))
}

/// Asks until there is an answer; an empty line, or the end of what can be read, is none.
fn ask(answers: usize, input: &mut impl BufRead) -> Result<Option<usize>, Failure> {
    loop {
        print(&format!("Your guess, 1 to {answers} (Enter to pass): "))?;
        let mut line = String::new();
        input
            .read_line(&mut line)
            .map_err(|error| Failure::Said(format!("cannot read an answer: {error}")))?;
        let guess = line.trim();
        match guess.parse::<usize>() {
            _ if guess.is_empty() => return Ok(None),
            Ok(n @ 1..) if n <= answers => return Ok(Some(n - 1)),
            _ => print(&format!("{guess:?} is none of the answers.\n"))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_that_is_none_is_asked_again() {
        let asked = |mut typed: &[u8]| ask(3, &mut typed);
        for none in ["0", "4", "-1", "two", "1.5", "18446744073709551616"] {
            assert_eq!(asked(format!("{none}\n 2 \n").as_bytes()), Ok(Some(1)), "{none}");
        }
        assert_eq!((asked(b"\n1\n"), asked(b""), asked(b"9")), (Ok(None), Ok(None), Ok(None)));
    }
}
