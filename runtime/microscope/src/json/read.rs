//! Traces from JSON: whole, in the lines of a stream, cut off, broken, foreign, or newer than this code.

use std::collections::HashMap;
use std::fmt;

use mainspring::observe::{Detail, Event};
use serde::Deserialize;
use serde_json::Value;

use super::{FORMAT, Meta, Numbered, VERSION};
use crate::model::Model;
use crate::schema::{KINDS, decode};
use crate::text::{LabelText, TaskText, Texts};
use crate::trace::Trace;

/// Counts and times in a snapshot stay below what a JavaScript number holds exactly.
const MAX_COUNT: i64 = 1 << 53;

/// The number of the kind that begins a poll.
const POLL_STARTED: u8 = 22;

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

/// The members of a trace. Of `kinds` only the names matter to a reader that has its own table.
#[derive(Deserialize)]
struct File {
    meta: Meta<'static>,
    kinds: HashMap<String, Vec<Value>>,
    #[serde(default)]
    tasks: Vec<Numbered<TaskText>>,
    #[serde(default)]
    labels: Vec<Numbered<LabelText>>,
    #[serde(default)]
    snapshot: Option<Value>,
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
    #[serde(default)]
    format: Value,
    #[serde(default)]
    version: Value,
}

pub(crate) fn from_json(text: &str) -> Result<Trace, TraceError> {
    let claim = first_claim(text)?;
    if claim.format != FORMAT {
        let what = format!("its member \"format\" is not \"{FORMAT}\"");
        return Err(TraceError::Foreign { what });
    }
    match claim.version.as_u64() {
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
    let mut detail = file.meta.detail.into_owned();
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
    trace.title = file.meta.title.into_owned();
    trace.seed = file.meta.seed;
    // Of a level that is not known here, everything can be read.
    trace.detail = if detail == "basic" { Detail::Basic } else { Detail::Full };
    trace.virtual_clock |= file.meta.clock == "virtual";
    Ok(trace)
}

/// The state before the first event. Its numbers leave room to count on.
fn snapshot(value: Value) -> Result<Model, TraceError> {
    fn fits(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_i64().is_some_and(|number| number < MAX_COUNT),
            Value::Array(list) => list.iter().all(fits),
            Value::Object(members) => members.values().all(fits),
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
        // A loop that is not ours may not count wakers where a poll begins.
        let uncounted = *number == POLL_STARTED && fields.is_empty();
        let fields = if uncounted { &[i64::from(u32::MAX)] } else { fields };
        let kind = decode(*number, fields).ok_or_else(|| broken("fields out of range"))?;
        self.events.push(Event { at, task, kind });
        Ok(())
    }
}
