//! Traces in the JSON format of Chrome's `about:tracing`, which many other viewers read.
//!
//! Perfetto reads it too, but its own format ([`crate::Trace::write_perfetto`]) keeps more.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::json::quoted;
use crate::marks::{Mark, Track, walk};
use crate::trace::Trace;

/// The trace as a JSON object with the member `traceEvents`.
pub(crate) fn encode(trace: &Trace) -> String {
    let mut out = String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    let name = quoted(&trace.title);
    out += &format!(
        "{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":{name}}}}}"
    );
    row(
        &mut out,
        "\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"thread_name\",\"args\":{\"name\":\"loop\"}",
    );
    let mut ids: Vec<_> = trace.texts.tasks.keys().copied().collect();
    ids.sort_unstable();
    for id in ids {
        let name = quoted(&trace.texts.task(id));
        row(
            &mut out,
            &format!(
                "\"ph\":\"M\",\"pid\":1,\"tid\":{id},\"name\":\"thread_name\",\
                 \"args\":{{\"name\":{name}}}"
            ),
        );
    }
    // An arrow needs both ends: one whose wake lies before the trace is left out.
    let mut begun = HashSet::new();
    walk(trace, |at, mark| {
        let ts = format!("\"pid\":1,\"ts\":{}.{:03}", at / 1000, at % 1000);
        match mark {
            Mark::Begin { track, name, ends_flow } => {
                let place = place(track, "B", "b");
                row(&mut out, &format!("{place},{ts},\"name\":{}", quoted(&name)));
                if let Some(flow) = ends_flow.filter(|flow| begun.remove(flow)) {
                    arrow(&mut out, "\"f\",\"bp\":\"e\"", flow, track, &ts);
                }
            }
            Mark::End { track } => {
                let place = place(track, "E", "e");
                row(&mut out, &format!("{place},{ts},\"name\":\"\""));
            }
            Mark::Instant { track, name, begins_flow } => {
                let (tid, name) = (tid(track), quoted(&name));
                row(
                    &mut out,
                    &format!("\"ph\":\"i\",\"s\":\"t\",\"tid\":{tid},{ts},\"name\":{name}"),
                );
                if let Some(flow) = begins_flow {
                    begun.insert(flow);
                    arrow(&mut out, "\"s\"", flow, track, &ts);
                }
            }
            Mark::Counter { name, value } => {
                row(
                    &mut out,
                    &format!(
                        "\"ph\":\"C\",{ts},\"name\":\"{name}\",\"args\":{{\"{name}\":{value}}}"
                    ),
                );
            }
        }
    });
    out += "\n]}\n";
    out
}

/// One end of an arrow from a wake to the poll that it led to.
fn arrow(out: &mut String, end: &str, flow: u64, track: Track, ts: &str) {
    let tid = tid(track);
    row(
        out,
        &format!(
            "\"ph\":{end},\"cat\":\"wake\",\"name\":\"wake\",\"id\":{flow},\"tid\":{tid},{ts}"
        ),
    );
}

fn row(out: &mut String, members: &str) {
    // Writing to a string cannot fail.
    write!(out, ",\n{{{members}}}").unwrap_or_default();
}

/// Slices on the loop and on tasks nest, so they are begun and ended; timers and jobs overlap, so
/// they are told apart by id.
fn place(track: Track, nested: &str, apart: &str) -> String {
    match track {
        Track::Loop | Track::Task(_) => format!("\"ph\":\"{nested}\",\"tid\":{}", tid(track)),
        Track::Timer(id) => format!("\"ph\":\"{apart}\",\"cat\":\"timer\",\"tid\":0,\"id\":{id}"),
        Track::Job(id) => format!("\"ph\":\"{apart}\",\"cat\":\"job\",\"tid\":0,\"id\":{id}"),
    }
}

fn tid(track: Track) -> u64 {
    match track {
        Track::Task(id) => id,
        _ => 0,
    }
}
