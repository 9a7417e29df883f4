//! Traces as JSON, the format that everything outside of this crate reads.
//!
//! ```json
//! {"format":"mainspring-trace","version":1,
//!  "meta":{"title":"crawl","clock":"virtual","seed":7,"detail":"full","first":0,"lost":0,"hash":"9f3a…"},
//!  "kinds":{"21":["woken",["effect","WakeEffect"],["by","CauseKind"],["id","number"]], …},
//!  "enums":{"WakeEffect":["scheduled","coalesced","deferred","stale"], …},
//!  "tasks":[{"id":1,"name":"main","file":"src/main.rs","line":4,"column":5,"size":96}, …],
//!  "labels":[{"id":1,"text":"parse","file":"src/main.rs","line":9,"column":5}, …],
//!  "snapshot":{ the state before the first event: a `Model` },
//!  "findings":[ what is wrong, for viewers; readers ignore it ],
//!  "events":[
//! [0,20,1,0],
//! [1200,21,1,0,2,1],
//!  … ]}
//! ```
//!
//! A row is `[nanoseconds since the row before, kind, task, the kind's fields…]`; the first row
//! counts from 0. In a field of type `number`, -1 is "never". Readers skip kinds they do not know,
//! by name, and ignore members they do not know; `version` changes when a meaning does. `detail` is
//! `full`, which may be left out, or `basic`: without turns and without wakes that change nothing.
//! A `poll_started` may leave out how many wakers are held, which is then not known.
//!
//! The lines of a streaming recorder are the same in pieces: a first line with everything up to
//! `enums`, then a row, or `{"task":{…}}`, or `{"label":{…}}`, or `{"detail":"…"}`, per line.

mod read;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use mainspring::observe::{Detail, Event};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::file::write_whole;
use crate::findings::Finding;
use crate::schema::{ENUMS, KINDS, encode};
use crate::text::Texts;
use crate::trace::Trace;
pub use read::TraceError;
use read::from_json;

/// What the first member of every trace says.
const FORMAT: &str = "mainspring-trace";

/// The meaning that this code writes and reads.
const VERSION: u64 = 1;

impl Trace {
    /// The trace as JSON: one line per event, so that it can be looked at with plain tools.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// Reads a trace from JSON, or from the lines that a streaming recorder wrote.
    ///
    /// # Errors
    /// If the text is no trace, is cut off, or needs a newer reader than this one.
    pub fn from_json(text: &str) -> Result<Trace, TraceError> {
        from_json(text)
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no trace.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Trace> {
        let path = path.as_ref();
        let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|error| io::Error::new(error.kind(), named(&error)))?;
        Trace::from_json(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, named(&error)))
    }

    /// Writes the trace as JSON. The file is whole or not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_json(&self, path: impl AsRef<Path>) -> io::Result<()> {
        write_whole(path.as_ref(), self.to_json().as_bytes())
    }
}

/// JSON in which no text can end or open an HTML element, nor break a line of script.
pub(crate) fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// What every trace says of itself before its events.
#[derive(Serialize)]
struct Head<'a> {
    format: &'a str,
    version: u64,
    meta: Meta<'a>,
    kinds: BTreeMap<u8, Vec<serde_json::Value>>,
    enums: BTreeMap<&'a str, &'a [&'a str]>,
}

impl Head<'_> {
    fn new(meta: Meta<'_>) -> Head<'_> {
        let row = |(number, name, fields): &(u8, &str, &[(&str, &str)])| {
            let fields = fields.iter().map(|(field, of)| json!([field, of]));
            (*number, [json!(name)].into_iter().chain(fields).collect())
        };
        Head {
            format: FORMAT,
            version: VERSION,
            meta,
            kinds: KINDS.iter().map(row).collect(),
            enums: ENUMS.iter().copied().collect(),
        }
    }
}

/// A value in one line, safe inside an HTML `script` element too.
fn line(value: &impl Serialize) -> String {
    // No key of ours is anything but a text or a number: writing cannot fail.
    in_script(&serde_json::to_string(value).unwrap_or_default())
}

/// The first line of a stream.
pub(crate) fn stream_head() -> String {
    let meta = Meta { title: "mainspring run".into(), clock: "real".into(), ..Meta::default() };
    line(&Head::new(meta))
}

/// Appends the row of an event; false if the kind is younger than this table.
pub(crate) fn push_row(
    out: &mut String,
    event: &Event,
    last: &mut u64,
    buf: &mut Vec<i64>,
) -> bool {
    buf.clear();
    let Some(number) = encode(&event.kind, buf) else { return false };
    let delta = i128::from(event.at) - i128::from(*last);
    *last = event.at;
    // Writing to a string cannot fail.
    write!(out, "[{delta},{number},{}", event.task).unwrap_or_default();
    for field in buf {
        write!(out, ",{field}").unwrap_or_default();
    }
    out.push(']');
    true
}

/// A text with the number of what it is of.
#[derive(Serialize, Deserialize)]
struct Numbered<T> {
    id: u64,
    #[serde(flatten)]
    text: T,
}

pub(crate) fn numbered(id: u64, text: impl Serialize) -> String {
    line(&Numbered { id, text })
}

/// The texts by ascending number, one per line.
fn listed<N: Copy + Ord + Into<u64>, T: Serialize>(texts: &HashMap<N, T>) -> String {
    let mut texts: Vec<_> = texts.iter().collect();
    texts.sort_unstable_by_key(|(id, _)| **id);
    let lines: Vec<_> = texts.iter().map(|(id, text)| numbered((**id).into(), text)).collect();
    lines.join(",\n")
}

/// The word for a level of detail.
pub(crate) fn word_for(detail: Detail) -> &'static str {
    match detail {
        Detail::Basic => "basic",
        Detail::Full => "full",
    }
}

pub(crate) fn to_json(trace: &Trace) -> String {
    let meta = Meta {
        title: Cow::Borrowed(&trace.title),
        clock: if trace.virtual_clock { "virtual" } else { "real" }.into(),
        seed: trace.seed,
        detail: word_for(trace.detail).into(),
        first: trace.first(),
        lost: trace.lost,
        hash: format!("{:016x}", trace.hash()).into(),
    };
    let found = trace.findings();
    let found = found.iter().map(|found| {
        let (code, Finding { task, at, what, evidence, count, .. }) = (found.code, found);
        line(&json!({
            "code": code.word(), "title": code.title(), "advice": code.advice(), "task": task,
            "at": at, "what": what, "evidence": evidence, "count": count,
        }))
    });
    let head = line(&Head::new(meta));
    let Texts { tasks, labels } = &trace.texts;
    // The head is an object: its members, then those that are as long as the trace.
    let mut out = format!(
        "{},\n\"tasks\":[{}],\n\"labels\":[{}],\n\"snapshot\":{},\n\"findings\":[{}],\n\"events\":[",
        head.strip_suffix('}').unwrap_or(&head),
        listed(tasks),
        listed(labels),
        line(&trace.snapshot),
        found.collect::<Vec<_>>().join(",\n"),
    );
    let (mut last, mut buf, mut separator) = (0, Vec::new(), "\n");
    for event in &trace.events {
        let length = out.len();
        out += separator;
        if push_row(&mut out, event, &mut last, &mut buf) {
            separator = ",\n";
        } else {
            out.truncate(length);
        }
    }
    out += "\n]}\n";
    out
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    title: Cow<'a, str>,
    clock: Cow<'a, str>,
    seed: Option<u64>,
    detail: Cow<'a, str>,
    first: u64,
    lost: u64,
    hash: Cow<'a, str>,
}

#[cfg(test)]
mod tests;
