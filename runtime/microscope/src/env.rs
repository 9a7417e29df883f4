//! One line by which any program can be recorded or watched, when the one who starts it asks for that.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use mainspring::Builder;
use mainspring::observe::{Event, Label, Observer, TaskInfo};

use crate::live::{Live, Options, Show};
use crate::page;
use crate::recorder::Recorder;

/// Names the file for the trace.
const TRACE: &str = "MAINSPRING_TRACE";

/// Names the directory of the source that a page may quote.
const SOURCE: &str = "MAINSPRING_SOURCE";

/// Asks for the live view.
const LIVE: &str = "MAINSPRING_LIVE";

/// Has the runtime observed if the environment asks for it, and leaves the builder as it is otherwise.
///
/// - `MAINSPRING_TRACE=run.html` writes a page when the runtime is dropped, `MAINSPRING_TRACE=run.json`
///   a trace. Further runtimes of the process write `run-2.html`, `run-3.html` and so on.
/// - `MAINSPRING_SOURCE=.` lets such a page quote the lines of source in which tasks were spawned and spans
///   written, of files below that directory; see [`write_with_source`](crate::page::write_with_source).
/// - `MAINSPRING_LIVE=1` shows the live view, or a line a second where there is no terminal for it.
///
/// What goes wrong is told in one line on stderr, and the program goes on. An observer that is given to
/// the builder afterwards takes this one's place.
///
/// ```
/// let builder = mainspring_microscope::from_env(mainspring::Runtime::builder());
/// builder.build()?.block_on(async {});
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn from_env(builder: Builder) -> Builder {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let trace = set(TRACE).map(PathBuf::from).filter(|path| {
        let known = is(path, "html") || is(path, "json");
        if !known {
            say(&format!("{TRACE}={}: its name has to end in .html or .json", path.display()));
        }
        known
    });
    let live = set(LIVE).is_some_and(|value| value != "0");
    if trace.is_none() && !live {
        return builder;
    }
    let recorder = Recorder::default();
    let watch = || {
        let options = Options { title: title(), ..Options::default() };
        Live::start(&recorder, Show::best(), options)
            .inspect_err(|error| say(&format!("{LIVE}: cannot watch the loop: {error}")))
            .ok()
    };
    let live = live.then(watch).flatten();
    let observer: Box<dyn Observer> = match &live {
        Some(live) => Box::new(live.observer()),
        None => Box::new(recorder.observer()),
    };
    builder.observer(FromEnv { observer: Some(observer), live, recorder, trace })
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// What the program is called.
fn title() -> String {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_stem);
    name.map_or_else(|| "mainspring run".into(), |name| name.to_string_lossy().into_owned())
}

/// A line on stderr, where that is open.
fn say(line: &str) {
    writeln!(std::io::stderr(), "mainspring: {line}").unwrap_or_default();
}

/// Records or watches a runtime, and leaves the trace when that goes.
struct FromEnv {
    /// Until it is dropped.
    observer: Option<Box<dyn Observer>>,
    live: Option<Live>,
    recorder: Recorder,
    trace: Option<PathBuf>,
}

impl Observer for FromEnv {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.observer.iter_mut().for_each(|observer| observer.on_task(task));
    }

    fn on_label(&mut self, label: &Label<'_>) {
        self.observer.iter_mut().for_each(|observer| observer.on_label(label));
    }

    fn on_event(&mut self, event: &Event) {
        self.observer.iter_mut().for_each(|observer| observer.on_event(event));
    }
}

impl Drop for FromEnv {
    fn drop(&mut self) {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        // The terminal is given back before anything is said.
        (self.observer, self.live) = (None, None);
        let Some(path) = self.trace.take().filter(|_| self.recorder.told() > 0) else { return };
        let path = numbered(path, WRITTEN.fetch_add(1, Ordering::Relaxed) + 1);
        let trace = self.recorder.trace().titled(title());
        let written = match std::env::var_os(SOURCE).filter(|root| !root.is_empty()) {
            _ if is(&path, "json") => trace.write_json(&path),
            Some(root) => page::write_with_source(&path, &[&trace], root),
            None => trace.write_html(&path),
        };
        if let Err(error) = written {
            say(&format!("{TRACE}: {error}"));
        }
    }
}

/// `run.html` for the first, `run-2.html` for the second.
fn numbered(path: PathBuf, number: u32) -> PathBuf {
    let (Some(stem), Some(extension), 2..) = (path.file_stem(), path.extension(), number) else {
        return path;
    };
    let mut name = stem.to_owned();
    name.push(format!("-{number}."));
    name.push(extension);
    path.with_file_name(name)
}
