//! A file that grows with the run: one line of JSON per event, written when the loop is idle.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mainspring::observe::Part;

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

    pub(crate) fn take(&mut self, part: Part<'_>) {
        if self.error.is_some() {
            return;
        }
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
        if let Err(error) = self.file.write_all(out.as_bytes()) {
            // The observed program goes on; what is on disk up to here stays readable.
            let path = self.path.display();
            self.error = Some(format!("cannot write {path}: {error}; the trace ends here"));
        }
    }
}
