//! A file that grows with the run: one line of JSON per event, written when the loop is idle.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mainspring::observe::{Detail, Event};

use crate::json;
use crate::text::{LabelText, TaskText};

/// The file behind a streaming recorder.
pub(crate) struct Stream {
    path: PathBuf,
    pub(crate) file: Box<dyn Write + Send>,
    /// Lines that have not been written.
    out: String,
    last: u64,
    error: Option<String>,
}

impl Stream {
    pub(crate) fn create(path: &Path) -> io::Result<Stream> {
        let mut file = File::create(path)?;
        file.write_all((json::stream_head() + "\n").as_bytes())?;
        let file = Box::new(file);
        Ok(Stream { path: path.to_owned(), file, out: String::new(), last: 0, error: None })
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.error.clone()
    }

    /// Writes how much will be told. A stream of which nothing is said tells everything.
    pub(crate) fn say_detail(&mut self, detail: Detail) {
        self.out += &format!("{{\"detail\":\"{}\"}}\n", json::word_for(detail));
    }

    pub(crate) fn task(&mut self, id: u64, text: &TaskText) {
        self.out += &format!("{{\"task\":{}}}\n", json::numbered(id, text));
    }

    pub(crate) fn label(&mut self, number: u32, text: &LabelText) {
        self.out += &format!("{{\"label\":{}}}\n", json::numbered(number.into(), text));
    }

    /// Writes these events, and what was said before them.
    pub(crate) fn take(&mut self, events: &[Event]) {
        let mut buf = Vec::new();
        for event in events {
            if json::push_row(&mut self.out, event, &mut self.last, &mut buf) {
                self.out.push('\n');
            }
        }
        if self.error.is_none()
            && let Err(error) = self.file.write_all(self.out.as_bytes())
        {
            // The observed program goes on; what is on disk up to here stays readable.
            let path = self.path.display();
            self.error = Some(format!("cannot write {path}: {error}; the trace ends here"));
        }
        self.out.clear();
    }
}

#[cfg(test)]
mod tests {
    use mainspring::observe::{Event, Kind, Observer};

    use super::*;
    use crate::{Recorder, Trace};

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
            // Left behind in the directory for temporary files, it does no harm.
            drop(std::fs::remove_file(&self.0));
        }
    }

    /// Has a streaming recorder go on in another file.
    fn write_on_to(recorder: &Recorder, file: impl Write + Send + 'static) {
        recorder.tape.borrow_mut().stream_behind().unwrap().file = Box::new(file);
    }

    /// Every write to this device fails as on a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_fills_midway_ends_the_trace_there_and_leaves_the_program_unharmed() {
        use std::time::Duration;

        use mainspring::time::{Clock, sleep};

        let place = Place::new("full");
        let recorder = Recorder::stream(&place.0).unwrap();
        let builder = mainspring::Runtime::builder().clock(Clock::Virtual);
        let mut runtime = builder.observer(recorder.observer()).build().unwrap();
        let naps = runtime.block_on(async {
            let mut naps = 0;
            for _ in 0..1000 {
                sleep(Duration::from_millis(1)).await;
                naps += 1;
                if naps == 10 {
                    recorder.flush();
                    let full = File::options().write(true).open("/dev/full").unwrap();
                    write_on_to(&recorder, full);
                }
            }
            naps
        });
        drop(runtime);
        recorder.flush();
        assert_eq!(naps, 1000);
        let error = recorder.stream_error().unwrap();
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
        stream.take(&events);
        // What cannot be written to behaves like a disk that is full.
        stream.file = Box::new(File::open(&place.0).unwrap());
        stream.take(&events);
        stream.take(&events);
        let error = stream.error().unwrap();
        assert!(error.ends_with("; the trace ends here"), "{error}");
        assert_eq!(Trace::read(&place.0).unwrap().events, events);
    }

    #[test]
    fn a_stream_writes_when_the_loop_is_about_to_sleep() {
        let place = Place::new("sleeps");
        let recorder = Recorder::stream(&place.0).unwrap();
        let mut observer = recorder.observer();
        let mut tell = |kind| observer.on_event(&Event { at: 7, task: 0, kind });
        let written = || Trace::read(&place.0).unwrap().events.len();
        tell(Kind::LoopEntered);
        tell(Kind::Parked { timeout: 0 });
        assert_eq!(written(), 0);
        tell(Kind::Parked { timeout: 7 });
        assert_eq!(written(), 3);
        tell(Kind::LoopEntered);
        assert_eq!(written(), 3);
        drop((observer, recorder));
        assert_eq!(written(), 4);
    }

    #[test]
    fn a_writer_that_panicked_is_not_called_again() {
        struct Panics(std::sync::Arc<std::sync::atomic::AtomicU32>);
        impl Write for Panics {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                panic!("this writer writes nothing")
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (place, calls) = (Place::new("panics"), std::sync::Arc::default());
        let recorder = Recorder::stream(&place.0).unwrap();
        write_on_to(&recorder, Panics(std::sync::Arc::clone(&calls)));
        let builder = mainspring::Runtime::builder();
        let mut runtime = builder.observer(recorder.observer()).build().unwrap();
        for _ in 0..3 {
            let nap = mainspring::time::sleep(std::time::Duration::from_millis(1));
            runtime.block_on(nap);
            recorder.flush();
        }
        drop((runtime, recorder));
        assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
