//! What a run leaves for the microscope: the page that shows every turn of its loop.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mainspring::observe::{Event, Label, Observer, TaskInfo};
use mainspring::{Builder, Runtime};
use mainspring_microscope::{Trace, from_env, page};

use crate::failure::Failure;

/// Where the demo leaves its page unless told otherwise: each run replaces the one before.
pub fn default_page() -> PathBuf {
    asked().unwrap_or_else(|| std::env::temp_dir().join("mainspring-crawl.html"))
}

/// The file for the trace that the environment asks for, as [`from_env`] has it.
pub fn asked() -> Option<PathBuf> {
    set("MAINSPRING_TRACE").map(PathBuf::from)
}

/// Whether the environment asks for the live view, as [`from_env`] has it.
pub fn asks_live() -> bool {
    set("MAINSPRING_LIVE").is_some_and(|value| value != "0")
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Builds a runtime.
///
/// # Errors
/// One sentence, if the platform has no poller for it.
pub fn runtime(builder: Builder) -> Result<Runtime, Failure> {
    builder.build().map_err(|error| Failure::Said(format!("cannot start a loop: {error}")))
}

/// Runs a future on a loop that is recorded or watched if the environment asks for it.
///
/// # Errors
/// One sentence, if the platform has no poller for it.
pub fn run<F: Future>(name: &'static str, main: F) -> Result<F::Output, Failure> {
    Ok(runtime(from_env(Runtime::builder().name(name)))?.block_on(main))
}

/// Writes what was recorded: for a name that ends in `.json` as data, else as a page, which quotes the source
/// if the environment says where that lies.
///
/// # Errors
/// One sentence that names the file.
pub fn write(path: &Path, runs: &[Trace]) -> Result<(), Failure> {
    let as_data = path.extension().is_some_and(|extension| extension == "json");
    match runs {
        [run] if as_data => run.write_json(path).map_err(|error| Failure::Said(error.to_string())),
        _ => write_page(path, runs, set("MAINSPRING_SOURCE").map(PathBuf::from).as_deref()),
    }
}

/// Writes a page of these runs; with a directory it quotes the source that lies below that.
///
/// # Errors
/// One sentence that names the file.
pub fn write_page(path: &Path, runs: &[Trace], source: Option<&Path>) -> Result<(), Failure> {
    let runs: Vec<&Trace> = runs.iter().collect();
    let written = match source {
        Some(root) => page::write_with_source(path, &runs, root),
        None => page::write(path, &runs),
    };
    written.map_err(|error| Failure::Said(error.to_string()))
}

/// Two observers in the place of one, told in this order.
pub struct Both<A, B>(pub A, pub B);

impl<A: Observer, B: Observer> Observer for Both<A, B> {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.0.on_task(task);
        self.1.on_task(task);
    }

    fn on_label(&mut self, label: &Label<'_>) {
        self.0.on_label(label);
        self.1.on_label(label);
    }

    fn on_event(&mut self, event: &Event) {
        self.0.on_event(event);
        self.1.on_event(event);
    }
}
