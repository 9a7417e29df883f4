//! How a command ends when it cannot go on, and how it reads and prints when it can.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::process::ExitCode;

/// Why a command stops before it has done what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// For the user: what failed, where, and what to do. One line, no full stop.
    Said(String),
    /// The reader of our standard output has gone: nothing is left to do or to say.
    ReaderGone,
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure::Said(sentence)
    }
}

/// The exit code of a command that has done all it could: 130 where it was stopped, else 0 or 1.
pub fn exit_code(stopped: bool, all_went_well: bool) -> ExitCode {
    if stopped { ExitCode::from(130) } else { success_if(all_went_well) }
}

/// The exit code of a command that nothing stops.
pub fn success_if(all_went_well: bool) -> ExitCode {
    if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The content of a file; of standard input for `-`.
///
/// # Errors
/// One sentence that names the file.
pub fn read_input(file: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().read_to_end(&mut bytes),
        file => File::open(file).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    let name = if file == "-" { "standard input" } else { file };
    read.map(|_| bytes).map_err(|error| Failure::Said(format!("cannot read {name}: {error}")))
}

/// Prints to standard output; unlike `print!`, a closed pipe is no panic.
///
/// # Errors
/// [`Failure::ReaderGone`] for a closed pipe, one sentence for anything else.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Prints bytes as they are.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Said(format!("cannot write to standard output: {error}")),
    })
}
