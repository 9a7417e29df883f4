//! What a run leaves for the microscope: the page that shows every turn of its loop.

use std::path::{Path, PathBuf};

use mainspring::observe::{Event, Observer, TaskInfo};
use mainspring::{Builder, Runtime};
use mainspring_microscope::{Recorder, Trace, page};

use crate::failure::Failure;

/// Where the demo leaves its page unless told otherwise: each run replaces the one before.
#[must_use]
pub fn default_page() -> PathBuf {
    std::env::temp_dir().join("mainspring-crawl.html")
}

/// A runtime with any number of observers.
///
/// # Errors
/// One sentence, if the platform has no poller for it.
pub fn runtime(builder: Builder, observers: Vec<Box<dyn Observer>>) -> Result<Runtime, Failure> {
    let builder = if observers.is_empty() { builder } else { builder.observer(Each(observers)) };
    builder.build().map_err(|error| Failure::Said(format!("cannot start a loop: {error}")))
}

/// The observers that a recorder asks for.
#[must_use]
pub fn recorded(recorder: Option<&Recorder>) -> Vec<Box<dyn Observer>> {
    let observer = |recorder: &Recorder| Box::new(recorder.observer()) as Box<dyn Observer>;
    recorder.map(observer).into_iter().collect()
}

/// Writes what was recorded: for a name that ends in `.json` as data, else as a page.
///
/// # Errors
/// One sentence that names the file.
pub fn write(path: &Path, runs: &[Trace]) -> Result<(), Failure> {
    let as_data = path.extension().is_some_and(|extension| extension == "json");
    let written = match runs {
        [run] if as_data => run.write_json(path),
        _ => page::write(path, &runs.iter().collect::<Vec<_>>()),
    };
    written.map_err(|error| Failure::Said(format!("cannot write {}: {error}", path.display())))
}

/// Tells several observers, in order.
struct Each(Vec<Box<dyn Observer>>);

impl Observer for Each {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.0.iter_mut().for_each(|observer| observer.on_task(task));
    }

    fn on_label(&mut self, label: u32, text: &str) {
        self.0.iter_mut().for_each(|observer| observer.on_label(label, text));
    }

    fn on_event(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|observer| observer.on_event(event));
    }
}
