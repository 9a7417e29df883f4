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
    use super::*;
    use crate::Trace;
    use mainspring::observe::{Event, Kind};

    #[test]
    fn a_write_that_fails_ends_the_stream_with_a_reason_and_nothing_else() {
        let name = format!("mainspring-stream-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut stream = Stream::create(&path).unwrap();
        let events = [Event { at: 7, task: 0, kind: Kind::LoopEntered }];
        let part = Part { first: 0, events: &events, tasks: &[], labels: &[] };
        stream.take(part);
        // What cannot be written to behaves like a disk that is full.
        stream.file = File::open(&path).unwrap();
        stream.take(part);
        stream.take(part);
        let error = stream.error().unwrap();
        assert!(error.ends_with("; the trace ends here"), "{error}");
        assert_eq!(Trace::read(&path).unwrap().events, events);
        std::fs::remove_file(&path).unwrap();
    }
}
