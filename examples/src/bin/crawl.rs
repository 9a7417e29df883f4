//! The crawl demo's command: reads the command line, runs what it asks for, and turns whatever
//! comes of it into one line and an exit code.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use mainspring_examples::cli::{Cli, Command, complaint};
use mainspring_examples::commands::{
    compare, demo, fetch, get, page, send, serve, site, sweep, worker,
};
use mainspring_examples::failure::{Failure, print};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let (text, code) = complaint(&error, std::env::args_os().nth(1).as_deref());
            let shown = if code == 0 { print(&text) } else { Err(Failure::Said(text)) };
            return finish(shown.map(|()| ExitCode::SUCCESS), code.max(1));
        }
    };
    let outcome = match &cli.command {
        None => demo::run(&cli.demo),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Sweep(args)) => sweep::run(args),
        Some(Command::Fetch(args)) => fetch::run(args),
        Some(Command::Site(args)) => site::run(args),
        Some(Command::Get(args)) => get::run(args),
        Some(Command::Page(args)) => page::run(args),
        Some(Command::Worker(args)) => worker::run(args),
        Some(Command::Send(args)) => send::run(args),
    };
    finish(outcome, 1)
}

/// Says what went wrong, if anything did; `code` is for a command that could not go on.
fn finish(outcome: Result<ExitCode, Failure>, code: u8) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Said(sentence)) => {
            // With stderr closed too, the exit code has to do.
            writeln!(std::io::stderr(), "crawl: {sentence}").unwrap_or_default();
            ExitCode::from(code)
        }
    }
}
