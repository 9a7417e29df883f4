//! What is said of a command line that was not taken.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::Cli;

/// What to print, and the exit code, for a command line that was not taken, of which `first` is the
/// first argument.
///
/// Help and version go out as they are, with code 0; a mistake becomes one line with code 2.
#[must_use]
pub fn complaint(error: &clap::Error, first: Option<&OsStr>) -> (String, u8) {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.render().to_string(), 0),
        _ => {
            let first = first.and_then(OsStr::to_str).unwrap_or_default();
            let has_help = Cli::command().find_subcommand(first).is_some();
            let help = if has_help { format!("crawl {first}") } else { "crawl".to_owned() };
            (one_line(&error.render().to_string(), &help), 2)
        }
    }
}

/// The first paragraph and the tip of one of clap's messages, on one line, and whose help to see.
fn one_line(message: &str, help: &str) -> String {
    let mut line = String::new();
    for paragraph in message.split("\n\n") {
        let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(mistake) = words.strip_prefix("error: ") {
            line.push_str(mistake.trim_end_matches('.'));
        } else if let Some(tip) = words.strip_prefix("tip: ") {
            line.push_str("; ");
            line.push_str(tip);
        }
    }
    line + "; see " + help + " --help"
}
