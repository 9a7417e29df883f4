//! What other viewers get: read back by code that shares nothing with the code that wrote it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mainspring::observe::Detail;
use mainspring::time::{Clock, sleep};
use mainspring::{Runtime, spawn_named};
use mainspring_microscope::{Recorder, Trace};
use serde_json::Value;

/// Two tasks that sleep, one of them cancelled, on a recorder of this kind.
fn program(recorder: &Recorder) {
    let mut runtime =
        Runtime::builder().clock(Clock::Virtual).observer(recorder.observer()).build().unwrap();
    runtime.block_on(async {
        let short = spawn_named("short \"1\"", sleep(Duration::from_millis(3)));
        let long = spawn_named("long", sleep(Duration::from_millis(500)));
        short.await.unwrap();
        long.cancel();
        assert!(long.await.is_err());
    });
}

fn trace() -> Trace {
    let recorder = Recorder::default();
    program(&recorder);
    recorder.trace().titled("export")
}

/// A file that goes away with the value.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(std::env::temp_dir().join(format!("mainspring-{}-{name}", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Left behind in the directory for temporary files, it does no harm.
        drop(fs::remove_file(&self.0));
    }
}

/// The slices of a file: track, name, begin and end in microseconds. Every one has both.
fn slices(json: &Value) -> Vec<(String, String, f64, f64)> {
    let entries = json["traceEvents"].as_array().unwrap();
    let mut open: HashMap<String, Vec<(String, f64)>> = HashMap::new();
    let mut slices = Vec::new();
    let mut last = 0.0;
    for entry in entries {
        let Some(at) = entry["ts"].as_f64() else { continue };
        assert!(at >= last, "entries are in order of time");
        last = at;
        let track = format!("{} {} {}", entry["tid"], entry["cat"], entry["id"]);
        match entry["ph"].as_str().unwrap() {
            "B" | "b" => {
                let name = entry["name"].as_str().unwrap().to_owned();
                open.entry(track).or_default().push((name, at));
            }
            "E" | "e" => {
                let begun = open.get_mut(&track).and_then(Vec::pop);
                let (name, began) = begun.unwrap_or_else(|| panic!("{track} ends unbegun"));
                slices.push((track, name, began, at));
            }
            _ => {}
        }
    }
    assert!(open.values().all(Vec::is_empty), "{open:?}");
    slices
}

#[test]
fn chrome_gets_tracks_nested_slices_and_arrows_from_wakes_to_polls() {
    let file = File::new("run.json");
    trace().write_chrome(&file.0).unwrap();
    let json: Value = serde_json::from_str(&fs::read_to_string(&file.0).unwrap()).unwrap();
    let slices = slices(&json);
    let flows = |ph: &str| {
        let entries = json["traceEvents"].as_array().unwrap().iter();
        entries.filter(|e| e["ph"] == ph).map(|e| e["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (begun, ended) = (flows("s"), flows("f"));
    assert!(!ended.is_empty() && ended.iter().all(|flow| begun.contains(flow)));
    let expect = |track: &str, name: &str, from: f64, to: f64| {
        assert!(
            slices.contains(&(track.into(), name.into(), from, to)),
            "{track} {name} {from} {to}: {slices:#?}"
        );
    };
    let ms = 1000.0;
    expect("2 null null", "idle: timer #1", 0.0, 3.0 * ms);
    expect("3 null null", "idle: timer #2", 0.0, 3.0 * ms);
    expect("1 null null", "idle: task 2 \"short \"1\"\"", 0.0, 3.0 * ms);
    expect("0 \"timer\" 1", "timer #1 of task 2 \"short \"1\"\"", 0.0, 3.0 * ms);
    expect("0 null null", "poll task 1 \"main\"", 0.0, 0.0);
}

/// A ring of any size begins in the middle of something.
#[test]
fn every_beginning_has_its_end_wherever_a_ring_begins() {
    let whole = trace();
    for first in 0..whole.events.len() {
        let mut part = whole.clone();
        part.snapshot = whole.model_after(first);
        part.events.drain(..first);
        let file = File::new("part.json");
        part.write_chrome(&file.0).unwrap();
        let json = serde_json::from_str(&fs::read_to_string(&file.0).unwrap()).unwrap();
        slices(&json);
    }
}

#[test]
fn a_file_tells_how_much_was_recorded() {
    let streamed = File::new("basic.jsonl");
    for recorder in [Recorder::default(), Recorder::stream(&streamed.0).unwrap()] {
        let recorder = recorder.with_detail(Detail::Basic);
        program(&recorder);
        recorder.flush();
        let read = match recorder.trace() {
            kept if kept.events.is_empty() => Trace::read(&streamed.0).unwrap(),
            kept => Trace::from_json(&kept.to_json()).unwrap(),
        };
        assert_eq!(read.detail, Detail::Basic);
        assert_eq!(read.model().totals.turns, 0);
        assert_eq!(read.model().totals.polls, trace().model().totals.polls);
    }
    assert_eq!(Trace::from_json(&trace().to_json()).unwrap().detail, Detail::Full);
    assert_ne!(trace().model().totals.turns, 0);
}

#[test]
fn a_streamed_file_reads_back_as_the_same_run() {
    let file = File::new("stream.jsonl");
    let recorder = Recorder::stream(&file.0).unwrap();
    program(&recorder);
    recorder.flush();
    assert_eq!(recorder.stream_error(), None);
    let read = Trace::read(&file.0).unwrap();
    let whole = trace();
    assert_eq!((read.events, read.texts), (whole.events, whole.texts));

    // A program that dies leaves half a line at the end; all before it is there.
    let text = fs::read_to_string(&file.0).unwrap();
    fs::write(&file.0, &text[..text.len() - 3]).unwrap();
    assert_eq!(Trace::read(&file.0).unwrap().events.len() + 1, trace().events.len());
    let broken = text.replacen("\n[0,", "\n{0,", 1);
    fs::write(&file.0, broken).unwrap();
    let error = Trace::read(&file.0).unwrap_err().to_string();
    assert!(error.contains("stream.jsonl: the trace is broken"), "{error}");
}

/// Every write to this device fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_stops_the_stream_and_not_the_program() {
    let link = File::new("full");
    std::os::unix::fs::symlink("/dev/full", &link.0).unwrap();
    let error = Recorder::stream(&link.0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let target = link.0.join("not a directory");
    let error = trace().write_html(&target).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}

#[test]
fn a_file_that_is_no_trace_is_told_by_name() {
    let file = File::new("foreign.json");
    fs::write(&file.0, "{\"traceEvents\":[]}").unwrap();
    let error = Trace::read(&file.0).unwrap_err();
    assert!(error.to_string().contains("foreign.json: this is no mainspring trace"), "{error}");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let missing = Trace::read(file.0.with_extension("missing")).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}
