//! Traces for Perfetto: its protobuf, written by hand.
//!
//! Only what is needed of `trace.proto`: a packet per slice border, instant or counter value, and a
//! descriptor per track. Field numbers are those of the schema in Perfetto's repository
//! (`protos/perfetto/trace`).

use std::collections::HashMap;

use crate::marks::{Mark, Track, walk};
use crate::trace::Trace;

// Trace and TracePacket.
const TRACE_PACKET: u64 = 1;
const PACKET_TIMESTAMP: u64 = 8;
const PACKET_SEQUENCE_ID: u64 = 10;
const PACKET_TRACK_EVENT: u64 = 11;
const PACKET_TRACK_DESCRIPTOR: u64 = 60;
// TrackEvent.
const EVENT_TYPE: u64 = 9;
const EVENT_TRACK_UUID: u64 = 11;
const EVENT_NAME: u64 = 23;
const EVENT_COUNTER_VALUE: u64 = 30;
const EVENT_FLOW_IDS: u64 = 47;
const EVENT_TERMINATING_FLOW_IDS: u64 = 48;
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;
// TrackDescriptor.
const TRACK_UUID: u64 = 1;
const TRACK_NAME: u64 = 2;
const TRACK_PARENT: u64 = 5;
const TRACK_COUNTER: u64 = 8;
const TRACK_ORDERING: u64 = 11;
const TRACK_RANK: u64 = 12;
const ORDER_EXPLICIT: u64 = 3;

/// All packets of this file are of one sequence: any number but 0.
const SEQUENCE: u64 = 1;

// Uuids of the fixed tracks; those of tasks, timers and jobs follow in blocks.
const ROOT: u64 = 1;
const LOOP: u64 = 2;
const TASKS: u64 = 3;
const TIMERS: u64 = 4;
const JOBS: u64 = 5;
const READY: u64 = 6;
const BLOCK: u64 = 1 << 40;

fn uuid(track: Track) -> u64 {
    match track {
        Track::Loop => LOOP,
        Track::Task(id) => BLOCK + id,
        Track::Timer(id) => 2 * BLOCK + id,
        Track::Job(id) => 3 * BLOCK + id,
    }
}

/// A protobuf message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(0x80 | value.to_le_bytes()[0]);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn varint(&mut self, field: u64, value: u64) -> &mut Message {
        self.raw_varint(field << 3);
        self.raw_varint(value);
        self
    }

    fn fixed64(&mut self, field: u64, value: u64) -> &mut Message {
        self.raw_varint(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Message {
        self.raw_varint(field << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }
}

/// The trace as a Perfetto trace file.
pub(crate) fn encode(trace: &Trace) -> Vec<u8> {
    let mut file = Message::default();
    let fixed = [
        (ROOT, trace.title.as_str(), None, 0),
        (LOOP, "loop", Some(ROOT), 0),
        (TASKS, "tasks", Some(ROOT), 2),
        (TIMERS, "timers", Some(ROOT), 3),
        (JOBS, "blocking jobs", Some(ROOT), 4),
    ];
    for (uuid, name, parent, rank) in fixed {
        describe(&mut file, uuid, name, parent, rank, false);
    }
    describe(&mut file, READY, "ready", Some(ROOT), 1, true);
    let mut known: HashMap<u64, ()> = HashMap::from([(LOOP, ())]);
    walk(trace, |at, mark| {
        let mut event = Message::default();
        match mark {
            Mark::Begin { track, name, ends_flow } => {
                introduce(&mut file, &mut known, trace, track);
                event.varint(EVENT_TYPE, SLICE_BEGIN).varint(EVENT_TRACK_UUID, uuid(track));
                event.bytes(EVENT_NAME, name.as_bytes());
                if let Some(flow) = ends_flow {
                    event.fixed64(EVENT_TERMINATING_FLOW_IDS, flow + 1);
                }
            }
            Mark::End { track } => {
                event.varint(EVENT_TYPE, SLICE_END).varint(EVENT_TRACK_UUID, uuid(track));
            }
            Mark::Instant { track, name, begins_flow } => {
                introduce(&mut file, &mut known, trace, track);
                event.varint(EVENT_TYPE, INSTANT).varint(EVENT_TRACK_UUID, uuid(track));
                event.bytes(EVENT_NAME, name.as_bytes());
                if let Some(flow) = begins_flow {
                    event.fixed64(EVENT_FLOW_IDS, flow + 1);
                }
            }
            Mark::Counter { value, .. } => {
                event.varint(EVENT_TYPE, COUNTER).varint(EVENT_TRACK_UUID, READY);
                event.varint(EVENT_COUNTER_VALUE, value);
            }
        }
        let mut packet = Message::default();
        packet.varint(PACKET_TIMESTAMP, at).varint(PACKET_SEQUENCE_ID, SEQUENCE);
        packet.bytes(PACKET_TRACK_EVENT, &event.0);
        file.bytes(TRACE_PACKET, &packet.0);
    });
    file.0
}

/// Describes the track of a task, timer or job before its first use.
fn introduce(file: &mut Message, known: &mut HashMap<u64, ()>, trace: &Trace, track: Track) {
    if known.insert(uuid(track), ()).is_some() {
        return;
    }
    let (name, parent, rank) = match track {
        Track::Loop => return,
        Track::Task(id) => (trace.texts.task(id), TASKS, id),
        Track::Timer(id) => (format!("timer #{id}"), TIMERS, id),
        Track::Job(id) => (format!("job {id}"), JOBS, id),
    };
    describe(file, uuid(track), &name, Some(parent), rank, false);
}

fn describe(
    file: &mut Message,
    uuid: u64,
    name: &str,
    parent: Option<u64>,
    rank: u64,
    counter: bool,
) {
    let mut track = Message::default();
    track.varint(TRACK_UUID, uuid).bytes(TRACK_NAME, name.as_bytes());
    if let Some(parent) = parent {
        track.varint(TRACK_PARENT, parent).varint(TRACK_RANK, rank);
    }
    if counter {
        track.bytes(TRACK_COUNTER, &[]);
    } else {
        track.varint(TRACK_ORDERING, ORDER_EXPLICIT);
    }
    let mut packet = Message::default();
    packet.varint(PACKET_SEQUENCE_ID, SEQUENCE).bytes(PACKET_TRACK_DESCRIPTOR, &track.0);
    file.bytes(TRACE_PACKET, &packet.0);
}
