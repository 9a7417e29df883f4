//! What is said of a command line that was not taken.

use clap::error::ErrorKind;

/// What to print, and the exit code, for a command line that was not taken.
///
/// Help and version go out as they are, with code 0; a mistake becomes one line with code 2.
#[must_use]
pub fn complaint(error: &clap::Error) -> (String, u8) {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.render().to_string(), 0),
        _ => (one_line(&error.render().to_string()), 2),
    }
}

/// The first paragraph and the tip of one of clap's messages, on one line.
fn one_line(message: &str) -> String {
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
    line.push_str("; see crawl --help");
    line
}
