#![forbid(unsafe_code)]
//! Runs every scenario in rounds, in each of which every contestant has its turn, so that whatever the
//! machine does meanwhile hits them all alike; prints one table, writes `RESULTS.md` and the charts.

use mainspring_benches::compare;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !cfg!(feature = "peers") && !arguments.iter().any(|argument| argument == "--no-peers") {
        return with_peers(&arguments);
    }
    match compare::Options::parse(&arguments) {
        Ok(options) => compare::run(&options),
        Err(message) => {
            eprintln!("{message}\n\n{}", compare::USAGE);
            ExitCode::from(2)
        }
    }
}

/// The peers are a feature, so that nobody who did not ask builds them. Whoever starts this
/// program asks, so it starts itself again with them.
fn with_peers(arguments: &[String]) -> ExitCode {
    eprintln!("compare: built without the peers; building and running it again with them");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--package", "mainspring-benches"])
        .args(["--features", "peers", "--bin", "compare", "--"])
        .args(arguments)
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!(
                "compare: cargo does not start ({error}); run it by hand with `--features peers`, \
                 or without the peers with `--no-peers`"
            );
            ExitCode::FAILURE
        }
    }
}
