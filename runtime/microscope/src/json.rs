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
//!
//! The lines of a streaming recorder are the same in pieces: a first line with everything up to
//! `enums`, then a row, or `{"task":{…}}`, or `{"label":{…}}`, or `{"detail":"…"}`, per line.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;

use mainspring::observe::{Detail, Event};
use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::schema::{ENUMS, KINDS, decode, encode};
use crate::text::{LabelText, TaskText, Texts};
use crate::trace::Trace;

/// What the first member of every trace says.
const FORMAT: &str = "mainspring-trace";

/// The meaning that this code writes and reads.
const VERSION: u64 = 1;

/// Counts and times in a snapshot stay below what a JavaScript number holds exactly.
const MAX_COUNT: i64 = 1 << 53;

/// Why a text is no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceError {
    /// It ends in the middle.
    Truncated {
        /// The line it ends in.
        line: usize,
    },
    /// It is JSON of some other kind, or not JSON.
    Foreign {
        /// What gives it away.
        what: String,
    },
    /// It was written by a newer microscope, in a format with other meanings.
    Newer {
        /// The version it says.
        version: u64,
    },
    /// It says that it is a trace, and contradicts itself.
    Broken {
        /// Where and how.
        what: String,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceError::Truncated { line } => {
                write!(f, "the trace is cut off in line {line}: was it copied whole?")
            }
            TraceError::Foreign { what } => write!(f, "this is no mainspring trace: {what}"),
            TraceError::Newer { version } => write!(
                f,
                "the trace has format version {version}, this microscope reads up to {VERSION}: \
                 use the microscope of the runtime that wrote it"
            ),
            TraceError::Broken { what } => write!(f, "the trace is broken: {what}"),
        }
    }
}

impl std::error::Error for TraceError {}

/// A text in JSON's quotes, also safe inside an HTML `script` element.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_else(|_| String::from("\"\""));
    in_script(&quoted)
}

/// JSON in which no text can end or open an HTML element, nor break a line of script.
pub(crate) fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The members that say how to read rows, without braces.
pub(crate) fn head(meta: &str) -> String {
    let mut out = format!("\"format\":\"{FORMAT}\",\"version\":{VERSION},\n\"meta\":{meta},\n");
    let kinds: Vec<String> = KINDS
        .iter()
        .map(|(number, name, fields)| {
            let fields: String =
                fields.iter().map(|(field, of)| format!(",[\"{field}\",\"{of}\"]")).collect();
            format!("\"{number}\":[\"{name}\"{fields}]")
        })
        .collect();
    let enums: Vec<String> =
        ENUMS.iter().map(|(name, words)| format!("\"{name}\":{words:?}")).collect();
    out += &format!("\"kinds\":{{{}}},\n\"enums\":{{{}}}", kinds.join(","), enums.join(","));
    out
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
    // Texts have no keys that JSON could not write.
    in_script(&serde_json::to_string(&Numbered { id, text }).unwrap_or_default())
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

/// The level that a word is for. Of a level that is not known here, everything can be read.
fn detail_of(word: &str) -> Detail {
    if word == "basic" { Detail::Basic } else { Detail::Full }
}

pub(crate) fn to_json(trace: &Trace) -> String {
    let seed = trace.seed.map_or_else(|| "null".into(), |seed| seed.to_string());
    let clock = if trace.virtual_clock { "virtual" } else { "real" };
    let meta = format!(
        "{{\"title\":{},\"clock\":\"{clock}\",\"seed\":{seed},\"detail\":\"{}\",\"first\":{},\
         \"lost\":{},\"hash\":\"{:016x}\"}}",
        quoted(&trace.title),
        word_for(trace.detail),
        trace.first(),
        trace.lost,
        trace.hash()
    );
    let Texts { tasks, labels } = &trace.texts;
    let mut out = format!(
        "{{{},\n\"tasks\":[{}],\n\"labels\":[{}],\n\"snapshot\":",
        head(&meta),
        listed(tasks),
        listed(labels)
    );
    let snapshot = serde_json::to_string(&trace.snapshot).unwrap_or_else(|_| "null".into());
    out += &in_script(&snapshot);
    let findings: Vec<_> = trace.findings().iter().map(crate::findings::Finding::to_json).collect();
    out += &format!(",\n\"findings\":[{}],\n\"events\":[", findings.join(",\n"));
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

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    title: String,
    #[serde(default)]
    clock: String,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    lost: u64,
}

/// The members of a trace. Of `kinds` only the names matter to a reader that has its own table.
#[derive(Deserialize)]
struct File {
    meta: Meta,
    kinds: HashMap<String, Vec<serde_json::Value>>,
    #[serde(default)]
    tasks: Vec<Numbered<TaskText>>,
    #[serde(default)]
    labels: Vec<Numbered<LabelText>>,
    #[serde(default)]
    snapshot: Option<serde_json::Value>,
    #[serde(default)]
    events: Vec<Vec<i64>>,
}

/// A line of a stream, after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Row(Vec<i64>),
    Task { task: Numbered<TaskText> },
    Label { label: Numbered<LabelText> },
    Detail { detail: String },
}

/// What every trace says of itself, and nothing more.
#[derive(Deserialize)]
struct Claim {
    format: Option<serde_json::Value>,
    version: Option<serde_json::Value>,
}

pub(crate) fn from_json(text: &str) -> Result<Trace, TraceError> {
    let claim = first_claim(text)?;
    if claim.format.as_ref().and_then(|f| f.as_str()) != Some(FORMAT) {
        let what = format!("its member \"format\" is not \"{FORMAT}\"");
        return Err(TraceError::Foreign { what });
    }
    match claim.version.as_ref().and_then(serde_json::Value::as_u64) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(TraceError::Newer { version }),
        _ => return Err(TraceError::Broken { what: "its version is not a version".into() }),
    }
    let mut files = serde_json::Deserializer::from_str(text).into_iter::<File>();
    let file = match files.next() {
        Some(file) => file.map_err(|error| read_error(text, &error))?,
        None => return Err(TraceError::Foreign { what: "it is empty".into() }),
    };
    let end = files.byte_offset();
    assemble(file, &text[end..])
}

fn read_error(text: &str, error: &serde_json::Error) -> TraceError {
    // A number that is cut off after its sign counts as wrong, not as ended.
    let (lines, last) = text.lines().fold((0, ""), |(count, _), line| (count + 1, line));
    let at_end = error.line() == lines && error.column() >= last.len();
    if error.is_eof() || (error.is_syntax() && at_end && text.starts_with('{')) {
        TraceError::Truncated { line: error.line() }
    } else if error.is_data() {
        TraceError::Broken { what: error.to_string() }
    } else {
        TraceError::Foreign { what: error.to_string() }
    }
}

fn first_claim(text: &str) -> Result<Claim, TraceError> {
    let mut claims = serde_json::Deserializer::from_str(text).into_iter::<Claim>();
    match claims.next() {
        None => Err(TraceError::Foreign { what: "it is empty".into() }),
        Some(Ok(claim)) => Ok(claim),
        Some(Err(error)) if error.is_data() => {
            Err(TraceError::Foreign { what: "it is not a JSON object".into() })
        }
        Some(Err(error)) => Err(read_error(text, &error)),
    }
}

/// Numbers of kinds in the file → numbers of kinds here, by name.
fn kind_numbers(file: &File) -> HashMap<i64, u8> {
    let ours = |name: &str| KINDS.iter().find(|(_, ours, _)| *ours == name).map(|(n, ..)| *n);
    file.kinds
        .iter()
        .filter_map(|(number, row)| Some((number.parse().ok()?, ours(row.first()?.as_str()?)?)))
        .collect()
}

fn assemble(file: File, rest: &str) -> Result<Trace, TraceError> {
    let numbers = kind_numbers(&file);
    let mut reader = Rows { numbers, at: 0, events: Vec::with_capacity(file.events.len()) };
    for row in &file.events {
        reader.take(row)?;
    }
    let mut texts = Texts::default();
    texts.tasks.extend(file.tasks.into_iter().map(|task| (task.id, task.text)));
    let by_number = |label: Numbered<LabelText>| Some((u32::try_from(label.id).ok()?, label.text));
    texts.labels.extend(file.labels.into_iter().filter_map(by_number));
    let mut detail = file.meta.detail;
    let mut lines = rest.split_inclusive('\n').filter(|line| !line.trim().is_empty()).peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_str::<Line>(line) {
            Ok(Line::Row(row)) => reader.take(&row)?,
            Ok(Line::Task { task }) => {
                texts.tasks.insert(task.id, task.text);
            }
            Ok(Line::Label { label }) => texts.labels.extend(by_number(label)),
            Ok(Line::Detail { detail: said }) => detail = said,
            // A program that died wrote half a line last: all before it is good.
            Err(_) if lines.peek().is_none() && !line.ends_with('\n') => {}
            Err(error) => return Err(TraceError::Broken { what: format!("{error} in {line:?}") }),
        }
    }
    let snapshot = file.snapshot.map_or_else(|| Ok(Model::new()), snapshot)?;
    let mut trace = Trace::new(snapshot, reader.events, texts, file.meta.lost);
    trace.title = file.meta.title;
    trace.seed = file.meta.seed;
    trace.detail = detail_of(&detail);
    trace.virtual_clock |= file.meta.clock == "virtual";
    Ok(trace)
}

/// The state before the first event. Its numbers leave room to count on.
fn snapshot(value: serde_json::Value) -> Result<Model, TraceError> {
    fn fits(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Number(number) => {
                number.as_i64().is_some_and(|number| number < MAX_COUNT)
            }
            serde_json::Value::Array(list) => list.iter().all(fits),
            serde_json::Value::Object(members) => members.values().all(fits),
            _ => true,
        }
    }
    if !fits(&value) {
        return Err(TraceError::Broken { what: "a number in its snapshot is out of range".into() });
    }
    serde_json::from_value(value)
        .map_err(|error| TraceError::Broken { what: format!("{error} in its snapshot") })
}

struct Rows {
    numbers: HashMap<i64, u8>,
    at: i64,
    events: Vec<Event>,
}

impl Rows {
    fn take(&mut self, row: &[i64]) -> Result<(), TraceError> {
        let broken = |what: &str| TraceError::Broken { what: format!("{what} in row {row:?}") };
        let [delta, kind, task, fields @ ..] = row else {
            return Err(broken("fewer than three numbers"));
        };
        self.at = self.at.checked_add(*delta).ok_or_else(|| broken("a time out of range"))?;
        let Some(number) = self.numbers.get(kind) else { return Ok(()) };
        let at = u64::try_from(self.at).map_err(|_| broken("a time before the start"))?;
        let task = u64::try_from(*task).map_err(|_| broken("a negative task"))?;
        let kind = decode(*number, fields).ok_or_else(|| broken("fields out of range"))?;
        self.events.push(Event { at, task, kind });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
