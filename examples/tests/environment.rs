//! Every command and every lesson leaves a trace, and shows itself at work, when the environment asks for it.

mod cli_support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use clap::CommandFactory as _;
use cli_support::{Scratch, Site, crawl};
use mainspring_examples::cli::Cli;
use mainspring_microscope::Trace;

/// A Redis that refuses every client, on a port of its own; it ends with the process.
fn refusing_redis() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut asked = [0; 512];
            drop(client.read(&mut asked));
            client.write_all(b"-NOPERM for none\r\n").unwrap_or_default();
        }
    });
    url
}

/// A run of every command that has a loop, against this site.
fn commands(site: &Site) -> Vec<(&'static str, Vec<String>)> {
    let redis = refusing_redis();
    let small = ["--pages", "2", "--delay", "0ms"].map(String::from).to_vec();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    vec![
        ("demo", small.clone()),
        ("compare", [words(&["compare", "--threads", "1"]), small].concat()),
        ("sweep", words(&["sweep", "--at", "1", "--delay", "0ms"])),
        ("fetch", vec!["fetch".into(), site.url("/")]),
        ("site", vec!["site".into(), site.url("/detail/1"), "--pause".into(), "0ms".into()]),
        ("get", vec!["get".into(), site.url("/hello")]),
        // What they are refused, they say; and a loop has asked for it.
        ("worker", vec!["worker".into(), "--redis".into(), redis.clone()]),
        ("send", vec!["send".into(), "--redis".into(), redis, site.url("/")]),
    ]
}

/// Runs a program to its end, and reads the trace that it leaves as data and as a page.
fn leaves_a_trace(name: &str, scratch: &Scratch, program: impl Fn() -> Command) {
    let json = scratch.path(&format!("{name}.json"));
    let output = program().env("MAINSPRING_TRACE", &json).output().expect("it runs");
    let trace = Trace::read(&json).unwrap_or_else(|error| panic!("{name}: {error}; {output:?}"));
    let model = trace.model();
    assert!(model.totals.polls > 0 && model.illegal.is_empty(), "{name}");
    let html = scratch.path(&format!("{name}.html"));
    program().env("MAINSPRING_TRACE", &html).output().expect("it runs");
    is_a_page(name, &html);
}

/// The page holds its run: events, of which one begins a poll.
fn is_a_page(name: &str, path: &str) {
    let page = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let events = page.split_once("\"events\":[").map_or("", |(_, events)| events);
    assert!(page.starts_with("<!doctype html>") && events.contains(",22,1,"), "{name}");
}

#[test]
fn every_command_leaves_a_trace() {
    let (site, scratch) = (Site::start(&["--pages", "2"]), Scratch::new("trace"));
    let runs = commands(&site);
    for (name, arguments) in &runs {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        leaves_a_trace(name, &scratch, || crawl(&arguments));
    }
    // What is left of the command line's commands serves, as below, or runs no loop.
    let mut all: BTreeSet<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for (name, _) in runs {
        all.remove(name);
    }
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["page", "serve"]);
}

#[test]
fn a_site_that_serves_leaves_a_trace_when_it_ends() {
    let scratch = Scratch::new("serve");
    for name in ["serve.json", "serve.html"] {
        let path = scratch.path(name);
        let site = Site::of(crawl(&["serve"]).env("MAINSPRING_TRACE", &path));
        assert_eq!(cli_support::run(&["get", &site.url("/hello")]).stdout, "Hello\n");
        site.end();
        match name {
            "serve.json" => assert!(Trace::read(&path).unwrap().model().totals.polls > 0),
            _ => is_a_page(name, &path),
        }
    }
}

/// A program of this crate that cargo builds beside this test, or beside the lessons.
fn lesson(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    Command::new(built.with_extension(std::env::consts::EXE_EXTENSION))
}

#[test]
fn every_lesson_and_every_experiment_leaves_a_trace() {
    let scratch = Scratch::new("lessons");
    let lessons = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut served = Vec::new();
    for entry in fs::read_dir(lessons).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.ends_with("_server") {
            // They serve until they are killed, and then leave nothing: but they can be watched.
            let source = fs::read_to_string(&path).unwrap();
            assert!(source.contains("from_env(Runtime::builder())"), "{name}");
            served.push(name.to_owned());
        } else {
            leaves_a_trace(name, &scratch, || lesson(name));
        }
    }
    assert_eq!(served.len(), 2, "{served:?}");
    leaves_a_trace("experiment", &scratch, || {
        let mut experiment = Command::new(env!("CARGO_BIN_EXE_experiment"));
        experiment.args(["3", "--no-question"]).stdin(Stdio::null());
        experiment
    });
}

/// A program that is killed when this goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Without a terminal the view is a line a second: the first of them is waited for.
#[test]
fn every_command_that_lasts_shows_itself_at_work() {
    let slow = Site::of(&mut crawl(&["serve", "--pages", "2", "--delay", "1h"]));
    let url = slow.url("/detail/1");
    let demo = ["--pages", "2", "--delay", "1h"];
    let runs: [(&str, &[&str]); 6] = [
        ("demo", &demo),
        ("compare", &["compare", "--pages", "2", "--delay", "1h"]),
        ("sweep", &["sweep", "--at", "1", "--delay", "1h"]),
        ("fetch", &["fetch", &url]),
        ("site", &["site", &url, "--ignore-robots"]),
        ("get", &["get", &url]),
    ];
    for (name, arguments) in runs {
        let mut program = crawl(arguments);
        program.env("MAINSPRING_LIVE", "1").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running(program.spawn().expect("it runs"));
        let said = BufReader::new(running.0.stderr.take().expect("piped"));
        let mut lines = said.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("live: turn ")), "{name}");
    }
}
