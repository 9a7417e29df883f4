//! What other viewers get: read back by code that shares nothing with the code that wrote it.

use std::collections::{BTreeMap, HashMap};
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
        // Left behind in the directory for temporary files, it harms nobody.
        drop(fs::remove_file(&self.0));
    }
}

#[derive(Clone, Debug)]
enum Wire {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Wire {
    fn number(&self) -> u64 {
        match self {
            Wire::Number(number) => *number,
            Wire::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    fn message(&self) -> BTreeMap<u64, Wire> {
        fields(self.bytes()).into_iter().collect()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Wire::Bytes(bytes) => bytes,
            Wire::Number(number) => panic!("{number} is no message"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

/// The fields of a protobuf message, as the encoding guide of protobuf.dev says.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Wire)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
        let (number, rest) = bytes.split_at(end);
        *bytes = rest;
        number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Wire::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Wire::Bytes(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, value));
    }
    found
}

#[test]
fn perfetto_gets_tracks_nested_slices_and_arrows_from_wakes_to_polls() {
    let file = File::new("run.pftrace");
    trace().write_perfetto(&file.0).unwrap();
    let packets = fields(&fs::read(&file.0).unwrap());
    let mut tracks: HashMap<u64, String> = HashMap::new();
    let mut open: HashMap<u64, Vec<(u64, String)>> = HashMap::new();
    let mut slices: Vec<(String, String, u64, u64)> = Vec::new();
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    let mut last = 0;
    for (field, packet) in &packets {
        assert_eq!(*field, 1, "a trace consists of packets");
        let packet = packet.message();
        assert_eq!(packet[&10].number(), 1, "all packets are of one sequence");
        if let Some(track) = packet.get(&60) {
            let track = track.message();
            tracks.insert(track[&1].number(), track[&2].text());
            continue;
        }
        let at = packet[&8].number();
        assert!(at >= last, "packets are in order of time");
        last = at;
        let event = packet[&11].message();
        let track = event[&11].number();
        assert!(tracks.contains_key(&track), "track {track} is described before its first use");
        match event[&9].number() {
            1 => open.entry(track).or_default().push((at, event[&23].text())),
            2 => {
                let (began, name) = open.get_mut(&track).unwrap().pop().expect("it was begun");
                slices.push((tracks[&track].clone(), name, began, at));
            }
            3 | 4 => {}
            other => panic!("event type {other}"),
        }
        begun.extend(event.get(&47).map(Wire::number));
        ended.extend(event.get(&48).map(Wire::number));
    }
    assert!(open.values().all(Vec::is_empty), "every slice is ended");
    assert!(!ended.is_empty() && ended.iter().all(|flow| begun.contains(flow)));
    let ms = 1_000_000;
    let expect = |track: &str, name: &str, from: u64, to: u64| {
        assert!(
            slices.contains(&(track.into(), name.into(), from, to)),
            "{track} {name} {from} {to}: {slices:#?}"
        );
    };
    expect("task 2 \"short \"1\"\"", "idle: timer #1", 0, 3 * ms);
    expect("task 3 \"long\"", "idle: timer #2", 0, 3 * ms);
    expect("task 1 \"main\"", "idle: task 2 \"short \"1\"\"", 0, 3 * ms);
    expect("timer #1", "timer #1 of task 2 \"short \"1\"\"", 0, 3 * ms);
    expect("loop", "poll task 1 \"main\"", 0, 0);
}

#[test]
fn chrome_gets_json_with_balanced_slices_and_whole_arrows() {
    let file = File::new("run.json");
    trace().write_chrome(&file.0).unwrap();
    let json: Value = serde_json::from_str(&fs::read_to_string(&file.0).unwrap()).unwrap();
    let mut open: HashMap<String, i64> = HashMap::new();
    let mut count: HashMap<String, u32> = HashMap::new();
    for event in json["traceEvents"].as_array().unwrap() {
        let kind = event["ph"].as_str().unwrap();
        *count.entry(kind.to_owned()).or_default() += 1;
        let step = match kind {
            "B" | "b" => 1,
            "E" | "e" => -1,
            _ => continue,
        };
        let place = format!("{} {} {}", event["tid"], event["cat"], event["id"]);
        let depth = open.entry(place.clone()).or_default();
        *depth += step;
        assert!(*depth >= 0, "{place} ends what it has not begun");
    }
    assert!(open.values().all(|depth| *depth == 0));
    assert!(count["f"] > 0 && count["f"] <= count["s"], "{count:?}");
    assert_eq!(count["b"], count["e"]);
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
