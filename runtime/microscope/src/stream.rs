//! A file that grows with the run: one line of JSON per event, written when the loop is idle.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mainspring::observe::{Detail, Part};

use crate::json;
use crate::recorder::task_text;

/// The file behind a streaming recorder.
pub(crate) struct Stream {
    path: PathBuf,
    file: File,
    last: u64,
    labels: usize,
    error: Option<String>,
}

impl Stream {
    pub(crate) fn create(path: &Path) -> io::Result<Stream> {
        let mut file = File::create(path)?;
        let meta = "{\"title\":\"mainspring run\",\"clock\":\"real\",\"first\":0,\"lost\":0}";
        file.write_all(format!("{{{}}}\n", json::head(meta)).as_bytes())?;
        Ok(Stream { path: path.to_owned(), file, last: 0, labels: 0, error: None })
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.error.clone()
    }

    /// Writes how much will be told. A stream of which nothing is said tells everything.
    pub(crate) fn say_detail(&mut self, detail: Detail) {
        self.write(&format!("{{\"detail\":\"{}\"}}\n", json::word_for(detail)));
    }

    pub(crate) fn take(&mut self, part: Part<'_>) {
        let mut out = String::new();
        for task in part.tasks {
            let line = json::task_line(task.id, &task_text(task));
            out += &format!("{{\"task\":{line}}}\n");
        }
        for (number, label) in (self.labels..).zip(part.labels) {
            out += &format!("{{\"label\":{number},\"text\":{}}}\n", json::quoted(label));
        }
        self.labels += part.labels.len();
        let mut buf = Vec::new();
        for event in part.events {
            if json::push_row(&mut out, event, &mut self.last, &mut buf) {
                out.push('\n');
            }
        }
        self.write(&out);
    }

    fn write(&mut self, text: &str) {
        if self.error.is_some() {
            return;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // The observed program goes on; what is on disk up to here stays readable.
            let path = self.path.display();
            self.error = Some(format!("cannot write {path}: {error}; the trace ends here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use mainspring::observe::{self, Event, Kind};

    use super::*;
    use crate::Trace;
    use crate::recorder::ToFile;

    /// A trace file that goes away with the value.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let name = format!("mainspring-stream-{name}-{}.jsonl", std::process::id());
            Place(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            // Left behind in the directory for temporary files, it harms nobody.
            drop(std::fs::remove_file(&self.0));
        }
    }

    /// Every write to this device fails as on a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_fills_midway_ends_the_trace_there_and_leaves_the_program_unharmed() {
        use std::time::Duration;

        use mainspring::time::{Clock, sleep};

        let place = Place::new("full");
        let stream = Rc::new(RefCell::new(Stream::create(&place.0).unwrap()));
        let recorder = observe::Recorder::stream(ToFile(stream.clone()));
        let builder = mainspring::Runtime::builder().clock(Clock::Virtual);
        let mut runtime = builder.observer(recorder.observer()).build().unwrap();
        let naps = runtime.block_on(async {
            let mut naps = 0;
            for _ in 0..1000 {
                sleep(Duration::from_millis(1)).await;
                naps += 1;
                if naps == 10 {
                    recorder.flush();
                    stream.borrow_mut().file =
                        File::options().write(true).open("/dev/full").unwrap();
                }
            }
            naps
        });
        drop(runtime);
        recorder.flush();
        assert_eq!(naps, 1000);
        let error = stream.borrow().error().unwrap();
        let start = format!("cannot write {}: No space left on device", place.0.display());
        assert!(error.starts_with(&start) && error.ends_with("; the trace ends here"), "{error}");
        let trace = Trace::read(&place.0).unwrap();
        let model = trace.model();
        assert_eq!((model.totals.timers_fired, &model.illegal), (10, &vec![]));
    }

    #[test]
    fn a_write_that_fails_ends_the_stream_with_a_reason_and_nothing_else() {
        let place = Place::new("fails");
        let mut stream = Stream::create(&place.0).unwrap();
        let events = [Event { at: 7, task: 0, kind: Kind::LoopEntered }];
        let part = Part { first: 0, events: &events, tasks: &[], labels: &[] };
        stream.take(part);
        // What cannot be written to behaves like a disk that is full.
        stream.file = File::open(&place.0).unwrap();
        stream.take(part);
        stream.take(part);
        let error = stream.error().unwrap();
        assert!(error.ends_with("; the trace ends here"), "{error}");
        assert_eq!(Trace::read(&place.0).unwrap().events, events);
    }
}
