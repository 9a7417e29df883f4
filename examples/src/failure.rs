//! How a command ends when it cannot go on, and how it prints when it can.

use std::io::{self, Write};
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

/// The exit code of a command that has done all it could.
#[must_use]
pub fn success_if(all_went_well: bool) -> ExitCode {
    if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
