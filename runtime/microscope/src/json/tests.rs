//! Traces to JSON and back.

use super::*;
use crate::{LabelText, Model, Place, TaskText};
use mainspring::observe::{CauseKind, Kind, WakeEffect};

fn sample() -> Trace {
    let kinds = [
        (0, 1, Kind::Spawned { parent: 0 }),
        (7, 1, Kind::PollStarted { holders: 0 }),
        (9, 1, Kind::TimerArmed { timer: 1, deadline: u64::MAX }),
        (9, 1, Kind::Woken { effect: WakeEffect::Deferred, by: CauseKind::Task, id: 1 }),
        (9, 0, Kind::Parked { timeout: u64::MAX }),
    ];
    let events = kinds.into_iter().map(|(at, task, kind)| Event { at, task, kind }).collect();
    let mut texts = Texts::default();
    let (text, file) = ("</script><b>".into(), "b.rs".into());
    texts.labels.insert(7, LabelText { text, place: Place { file, line: 4, column: 5 } });
    let name = Some("<img onerror=x>\u{2028}\"\n\u{1b}[2J".to_owned());
    let place = Place { file: "a.rs".into(), line: 1, column: 2 };
    texts.tasks.insert(1, TaskText { name, place, size: 3 });
    let mut snapshot = Model::new();
    snapshot.apply(&Event { at: 0, task: 9, kind: Kind::Spawned { parent: 0 } });
    Trace::new(snapshot, events, texts, 4).titled("<title>").seeded(7)
}

#[test]
fn a_trace_survives_the_way_out_and_back() {
    let trace = sample();
    let json = trace.to_json();
    assert_eq!(Trace::from_json(&json), Ok(trace));
}

#[test]
fn no_text_of_the_program_can_leave_its_quotes() {
    let json = sample().to_json();
    assert!(!json.contains('<') && !json.contains('\u{2028}') && !json.contains('\u{1b}'));
}

#[test]
fn every_truncation_is_told_as_one() {
    let json = sample().to_json();
    let end = json.trim_end().len();
    for length in (1..end).filter(|length| json.is_char_boundary(*length)) {
        let error = Trace::from_json(&json[..length]).unwrap_err();
        assert!(matches!(error, TraceError::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn what_is_foreign_newer_or_broken_is_told_apart() {
    let say = |text: &str| Trace::from_json(text).unwrap_err().to_string();
    assert_eq!(say(""), "this is no mainspring trace: it is empty");
    assert!(say("[1,2]").starts_with("this is no mainspring trace: "));
    assert!(say("<html>").starts_with("this is no mainspring trace: "));
    assert_eq!(
        say("{\"traceEvents\":[]}"),
        "this is no mainspring trace: its member \"format\" is not \"mainspring-trace\""
    );
    assert_eq!(
        say("{\"format\":\"mainspring-trace\",\"version\":2}"),
        "the trace has format version 2, this microscope reads up to 1: \
         use the microscope of the runtime that wrote it"
    );
    let json = sample().to_json();
    let broken = json.replace("[0,20,1,0]", "[0,20,-1,0]");
    assert_eq!(say(&broken), "the trace is broken: a negative task in row [0, 20, -1, 0]");
    let broken = json.replace("[0,20,1,0]", "[0,20]");
    assert_eq!(say(&broken), "the trace is broken: fewer than three numbers in row [0, 20]");
    let broken = json.replace("[7,22,1,0]", "[-7,22,1,0]");
    assert_eq!(say(&broken), "the trace is broken: a time before the start in row [-7, 22, 1, 0]");
}

#[test]
fn kinds_are_known_by_name_and_unknown_ones_are_skipped() {
    let json = sample().to_json();
    let renumbered = json.replace("\"22\":[\"poll_started\"", "\"99\":[\"poll_started\"");
    assert_eq!(Trace::from_json(&renumbered).unwrap().events.len(), 4);
    let renumbered = renumbered.replace("[7,22,1,0]", "[7,99,1,0]");
    assert_eq!(Trace::from_json(&renumbered), Ok(sample()));
}

#[test]
fn a_poll_that_begins_without_a_count_of_wakers_says_that_they_are_not_counted() {
    let json = sample().to_json().replace("[7,22,1,0]", "[7,22,1]");
    let trace = Trace::from_json(&json).unwrap();
    assert_eq!(trace.events[1].kind, Kind::PollStarted { holders: u32::MAX });
    assert_eq!(Trace::from_json(&trace.to_json()), Ok(trace));
}

/// A trace with every kind of event, as text.
fn rich() -> String {
    let mut trace = sample();
    for wire in [1, 0] {
        for (number, name, fields) in KINDS {
            let kind = crate::schema::decode(*number, &vec![wire; fields.len()]).expect(name);
            trace.events.push(Event { at: 9, task: 1, kind });
        }
    }
    trace.to_json()
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 300,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Whatever a file says, it is refused or shown.
    #[test]
    fn no_damage_to_a_file_makes_anything_panic(
        places in proptest::collection::vec((0..1_000_000_usize, 0..22_usize), 1..6),
    ) {
        thread_local!(static TEXT: String = rich());
        let mut bytes = TEXT.with(|text| text.clone().into_bytes());
        // The header is the same in every file; what varies comes after it.
        let head = bytes.windows(8).position(|w| w == b"\"tasks\":").unwrap();
        for (place, with) in places {
            let at = head + place % (bytes.len() - head);
            bytes[at] = b"0123456789-[]{},:\"aex "[with];
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(trace) = Trace::from_json(&text) {
            let length = trace.events.len();
            proptest::prop_assert!(crate::page::html(&[&trace]).len() > length);
            proptest::prop_assert!(!crate::chrome::encode(&trace).is_empty());
            proptest::prop_assert!(!trace.dump().is_empty());
            let _hash = trace.hash();
            let first = trace.first();
            trace.lines(first..first + length as u64);
        }
    }
}
