//! What the environment asks of a program, asked of a child process.

use std::path::PathBuf;
use std::process::{Command, Output};

use mainspring::Runtime;
use mainspring_microscope::{Trace, from_env};

/// Two runtimes, one after the other.
fn program() {
    for tasks in 1..=2 {
        let mut runtime = from_env(Runtime::builder()).build().unwrap();
        runtime.block_on(async {
            for _ in 0..tasks {
                mainspring::spawn(async {}).await.unwrap();
            }
        });
    }
}

/// Runs the program in a child that is told so by its environment; nothing if this is the child.
fn child(test: &str, variables: &[(&str, &str)]) -> Option<Output> {
    if std::env::var_os("MAINSPRING_TEST_CHILD").is_some() {
        program();
        return None;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env("MAINSPRING_TEST_CHILD", "1");
    let output = child.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(output)
}

/// A directory that goes away with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("mainspring-env-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind in the directory for temporary files, it does no harm.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_trace_is_left_by_every_runtime_of_the_program_as_data_or_as_a_page() {
    for (name, second) in [("run.json", "run-2.json"), ("run.html", "run-2.html")] {
        let directory = Directory::new(name);
        let path = directory.0.join(name);
        let asked = [("MAINSPRING_TRACE", path.to_str().unwrap())];
        let test = "a_trace_is_left_by_every_runtime_of_the_program_as_data_or_as_a_page";
        if child(test, &asked).is_none() {
            return;
        }
        assert_eq!(directory.files(), [second, name]);
        for (name, tasks) in [(name, 2), (second, 3)] {
            let path = directory.0.join(name);
            if name.ends_with("json") {
                assert_eq!(Trace::read(&path).unwrap().model().totals.spawned, tasks);
            } else {
                assert!(std::fs::read_to_string(&path).unwrap().starts_with("<!doctype html>"));
            }
        }
    }
}

#[test]
fn nothing_is_left_unasked_and_what_cannot_be_done_is_said_in_a_line() {
    let test = "nothing_is_left_unasked_and_what_cannot_be_done_is_said_in_a_line";
    let directory = Directory::new("none");
    let inside = |name: &str| directory.0.join(name).to_str().unwrap().to_owned();
    let said = |trace: &str, live: &str| {
        let asked = [("MAINSPRING_TRACE", trace), ("MAINSPRING_LIVE", live)];
        child(test, &asked).map(|output| String::from_utf8(output.stderr).unwrap())
    };
    let Some(quiet) = said("", "0") else { return };
    assert_eq!(quiet, "");
    let unknown = said(&inside("run.txt"), "").unwrap();
    assert!(unknown.contains("run.txt: its name has to end in .html or .json"), "{unknown}");
    let nowhere = said(&inside("missing/run.json"), "").unwrap();
    assert!(nowhere.contains("mainspring: MAINSPRING_TRACE: cannot write "), "{nowhere}");
    assert_eq!(directory.files(), Vec::<String>::new());
    let watched = said(&inside("run.json"), "1").unwrap();
    assert!(!watched.contains("cannot"), "{watched}");
    assert_eq!(directory.files(), ["run-2.json", "run.json"]);
}

#[test]
fn a_page_quotes_the_source_where_the_environment_says_where_that_is() {
    let test = "a_page_quotes_the_source_where_the_environment_says_where_that_is";
    let directory = Directory::new("source");
    let page = directory.0.join("run.html");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let variables = [("MAINSPRING_TRACE", page.to_str().unwrap()), ("MAINSPRING_SOURCE", root)];
    if child(test, &variables).is_none() {
        return;
    }
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("\"mainspring::spawn(async {}).await.unwrap();\""));
}
