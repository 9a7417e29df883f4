//! What is said of a command line that was not taken.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use mainspring_http::{HIDDEN, redact};

use super::Cli;

/// What to print, and the exit code, for a command line that was not taken, of which `first` is the
/// first argument.
///
/// Help and version go out as they are, with code 0; a mistake becomes one line with code 2.
pub fn complaint(error: &clap::Error, first: Option<&OsStr>) -> (String, u8) {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.render().to_string(), 0),
        _ => {
            let first = first.and_then(OsStr::to_str).unwrap_or_default();
            let has_help = Cli::command().find_subcommand(first).is_some();
            let help = if has_help { format!("crawl {first}") } else { "crawl".to_owned() };
            (one_line(&without_secrets(error), &help), 2)
        }
    }
}

/// A message in which no value is shown that is, or may hold, a secret.
fn without_secrets(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (option, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let mut message = error.render().to_string();
    if ["--header", "--user "].iter().any(|secret| option.starts_with(secret)) {
        let name = value.split_once([':', ' ']).map_or("", |(name, _)| name);
        let shown = if option.starts_with("--header") { name } else { "" };
        message = message.replace(&format!("'{value}'"), &format!("'{shown}{HIDDEN}'"));
    }
    for (_, said) in error.context() {
        if let ContextValue::String(text) = said {
            // A blank would end an address, and a password may hold one.
            let shown = match text.contains('@') {
                true => redact(&text.replace(char::is_whitespace, "")),
                false => redact(text),
            };
            message = message.replace(text, &shown);
        }
    }
    message
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
