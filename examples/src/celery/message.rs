//! A call of a task, as Celery writes it: protocol 2 (docs.celeryq.dev,
//! "Message Protocol") in the envelope of kombu's Redis transport. Protocol 1 is read too.

use std::fmt;
use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::crawl::sitemap;

/// A body is not unpacked further than this, in bytes.
const MAX_UNPACKED: usize = 32 << 20;
/// What others are shown of arguments, in characters.
const MAX_SHOWN: usize = 1_024;

/// An error as Python rebuilds it: the class, its module and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The name of the class.
    pub class: &'static str,
    /// Where it is.
    pub module: &'static str,
    /// What it is made with.
    pub arguments: Vec<Value>,
}

impl Fault {
    /// One of Python's own, with one sentence, cut where it gets long.
    #[must_use]
    pub fn new(class: &'static str, sentence: impl Into<String>) -> Fault {
        let sentence = show(&Value::String(sentence.into()));
        Fault { class, module: "builtins", arguments: vec![sentence.into()] }
    }

    /// One of Celery's.
    #[must_use]
    pub fn celery(class: &'static str, argument: impl Into<Value>) -> Fault {
        Fault { class, module: "celery.exceptions", arguments: vec![argument.into()] }
    }

    /// As a result holds it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"exc_type": self.class, "exc_message": self.arguments, "exc_module": self.module})
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.arguments.iter().map(show).collect();
        write!(f, "{}: {}", self.class, shown.join(", "))
    }
}

/// A value on one line, cut where it gets long: a text as it is, anything else as JSON.
#[must_use]
pub fn show(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// One call of a task. Its fields have the names of the headers of a message, of what stands beside the
/// arguments in its body, and of a signature.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Its id, under which the result is stored.
    pub id: String,
    /// The task's name.
    pub task: String,
    /// Arguments by position.
    pub args: Vec<Value>,
    /// Arguments by name.
    pub kwargs: Map<String, Value>,
    /// Not before this moment.
    #[serde(deserialize_with = "moment")]
    pub eta: Option<SystemTime>,
    /// Not after this one.
    #[serde(deserialize_with = "moment")]
    pub expires: Option<SystemTime>,
    /// Seconds until it is stopped: the hard limit, and the soft one.
    pub timelimit: [Option<f64>; 2],
    /// How often it has been tried.
    pub retries: u64,
    /// Whether its result is not wanted.
    pub ignore_result: bool,
    /// From 0, the most urgent, to 9.
    #[serde(skip)]
    pub priority: u8,
    /// The call that all this began with.
    #[serde(rename = "root_id")]
    pub root: Option<String>,
    /// The call that has sent this one.
    #[serde(rename = "parent_id")]
    pub parent: Option<String>,
    /// The group it belongs to.
    pub group: Option<String>,
    /// To be called with its result.
    #[serde(deserialize_with = "list")]
    pub callbacks: Vec<Value>,
    /// To be called with its id should it fail.
    #[serde(deserialize_with = "list")]
    pub errbacks: Vec<Value>,
    /// What comes after it, last things first.
    pub chain: Vec<Value>,
    /// What waits for all of its group.
    pub chord: Option<Value>,
}

/// A moment in ISO 8601.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let text = String::deserialize(from)?;
    let none = || D::Error::custom(format!("{} is no moment in ISO 8601", show(&json!(text))));
    parse_iso(&text).map(Some).ok_or_else(none)
}

/// Several things, or one without a list around it.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
    match Value::deserialize(from)? {
        Value::Array(list) => Ok(list),
        one @ Value::Object(_) => Ok(vec![one]),
        _ => Err(D::Error::custom("what follows the task is no list")),
    }
}

impl Call {
    /// A call with an id of its own.
    #[must_use]
    pub fn new(task: &str, args: Vec<Value>, kwargs: Map<String, Value>) -> Call {
        Call { id: new_id(), task: task.to_owned(), args, kwargs, ..Call::default() }
    }

    /// A call with these fields; what is null is as if it were not there.
    ///
    /// # Errors
    /// Which is none.
    pub fn of(mut fields: Map<String, Value>) -> Result<Call, Fault> {
        fields.retain(|_, value| !value.is_null());
        let wrong = |error| Fault::new("ValueError", format!("it is no call of a task: {error}"));
        Call::deserialize(Value::Object(fields)).map_err(wrong)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The id to answer to, if it has one, and what is wrong with it.
    pub fn read(message: &str) -> Result<Call, (Option<String>, Fault)> {
        let no_json = |error| Fault::new("ValueError", format!("the message is no JSON: {error}"));
        let message: Value =
            serde_json::from_str(message).map_err(|error| (None, no_json(error)))?;
        let mut id = message["headers"]["id"].as_str().map(str::to_owned);
        let call = Call::read_parts(&message, &mut id);
        call.map_err(|fault| (id.filter(|id| !id.is_empty()), fault))
    }

    fn read_parts(message: &Value, id: &mut Option<String>) -> Result<Call, Fault> {
        let wrong = |text: String| Fault::new("ValueError", text);
        if let Some(bytes) = message["too_long"].as_u64() {
            return Err(wrong(format!("the message is too long: {bytes} bytes")));
        }
        let kind = message["content-type"].as_str().unwrap_or("application/json");
        if kind != "application/json" {
            let text = format!("this worker reads application/json, not {kind}");
            let fault = Fault::new("ContentDisallowed", text);
            return Err(Fault { module: "kombu.exceptions", ..fault });
        }
        let body = unpack(message).map_err(wrong)?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|error| wrong(format!("the body is not JSON: {error}")))?;
        let fields = match (message["headers"].clone(), body) {
            (Value::Object(mut fields), Value::Array(parts)) if fields.contains_key("task") => {
                let none = |_| wrong("the body has not three parts".to_owned());
                let [args, kwargs, more] = <[Value; 3]>::try_from(parts).map_err(none)?;
                fields.extend([("args".to_owned(), args), ("kwargs".to_owned(), kwargs)]);
                match more {
                    Value::Object(more) => fields.extend(more),
                    Value::Null => {}
                    _ => return Err(wrong("what follows the task is no object".to_owned())),
                }
                fields
            }
            // Protocol 1 has all of it in the body.
            (_, Value::Object(fields)) => {
                *id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
                fields
            }
            _ => return Err(wrong("the body is no call of a task".to_owned())),
        };
        let call = Call::of(fields)?;
        if call.id.is_empty() || call.task.is_empty() {
            return Err(wrong("the message has no id or no task".to_owned()));
        }
        let priority = message["properties"]["priority"].as_u64().unwrap_or(0).min(9) as u8;
        Ok(Call { priority, ..call })
    }

    /// The arguments by name, for others to see: some may hold secrets.
    #[must_use]
    pub fn shown_kwargs(&self) -> Value {
        let mut shown = self.kwargs.clone();
        for name in ["headers", "proxy"] {
            shown.get_mut(name).into_iter().for_each(|secret| *secret = json!("***"));
        }
        shown.into()
    }

    /// As Celery sends it to a queue.
    #[must_use]
    pub fn to_message(&self, queue: &str) -> String {
        let embedded = json!({
            "callbacks": self.callbacks, "errbacks": self.errbacks, "chain": self.chain,
            "chord": self.chord,
        });
        let body = json!([self.args, self.kwargs, embedded]).to_string();
        let root = self.root.as_ref().unwrap_or(&self.id);
        let headers = json!({
            "lang": "py", "task": self.task, "id": self.id, "shadow": null,
            "eta": self.eta.map(iso), "expires": self.expires.map(iso), "group": self.group,
            "group_index": null, "retries": self.retries, "timelimit": self.timelimit,
            "root_id": root, "parent_id": self.parent, "argsrepr": show(&json!(self.args)),
            "kwargsrepr": show(&self.shown_kwargs()), "origin": "mainspring",
            "ignore_result": self.ignore_result, "stamped_headers": null, "stamps": {},
        });
        let properties = json!({
            "correlation_id": self.id, "reply_to": new_id(), "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue}, "priority": self.priority,
            "body_encoding": "base64", "delivery_tag": new_id(),
        });
        envelope(&body, headers, properties)
    }
}

/// What kombu puts around a body.
#[must_use]
pub fn envelope(body: &str, headers: Value, properties: Value) -> String {
    json!({
        "body": STANDARD.encode(body), "content-encoding": "utf-8",
        "content-type": "application/json", "headers": headers, "properties": properties,
    })
    .to_string()
}

/// The body of an envelope, without what was wrapped around it.
///
/// # Errors
/// Half a sentence.
pub fn unpack(message: &Value) -> Result<Vec<u8>, String> {
    let body = message["body"].as_str().ok_or("the message has no body")?;
    let body = match message["properties"]["body_encoding"].as_str() {
        Some("base64") => STANDARD.decode(body).map_err(|_| "the body is not base64")?,
        None => body.as_bytes().to_vec(),
        Some(other) => return Err(format!("a body in {} is not read", show(&json!(other)))),
    };
    let decoder: Box<dyn Read> = match message["headers"]["compression"].as_str() {
        None => return Ok(body),
        // kombu calls gzip what are bytes of zlib.
        Some("application/x-gzip" | "gzip" | "zlib") if body.starts_with(&[0x1f, 0x8b]) => {
            Box::new(MultiGzDecoder::new(&*body))
        }
        Some("application/x-gzip" | "gzip" | "zlib") => Box::new(ZlibDecoder::new(&*body)),
        Some(other) => return Err(format!("compression {} is not read", show(&json!(other)))),
    };
    sitemap::unpack(decoder, MAX_UNPACKED).map_err(|why| format!("the body is not read: {why}"))
}

/// A moment as Python's `isoformat` writes it, in UTC.
#[must_use]
pub fn iso(moment: SystemTime) -> String {
    let text = humantime::format_rfc3339_micros(moment).to_string();
    text.trim_end_matches('Z').to_owned() + "+00:00"
}

/// Reads a moment; one without an offset is in UTC, as by Celery's default. `None` for what is none,
/// and for those before 1970.
#[must_use]
pub fn parse_iso(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(offset_at);
    let time = time.trim_start_matches(['T', 't', ' ']).trim_end();
    let time = match time.len() {
        0 => "00:00:00".to_owned(),
        5 => format!("{time}:00"),
        _ => time.to_owned(),
    };
    let local = humantime::parse_rfc3339_weak(&format!("{date}T{time}")).ok()?;
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes): (u64, u64) = match digits.len() {
        0 => (0, 0),
        2 | 4 => (digits[..2].parse().ok()?, digits[2..].parse().unwrap_or(0)),
        _ => return None,
    };
    let offset_by = Duration::from_secs(hours * 3_600 + minutes * 60);
    match offset.starts_with('-') {
        true => local.checked_add(offset_by),
        false => local.checked_sub(offset_by),
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A random UUID (RFC 9562, version 4).
#[must_use]
pub fn new_id() -> String {
    id_of(fastrand::u128(..))
}

/// The UUID of these bits, but for the six that say which kind it is.
#[must_use]
pub fn id_of(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
