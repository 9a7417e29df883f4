//! A call of a task, as Celery writes it: protocol 2 (docs.celeryq.dev,
//! "Message Protocol") in the envelope of kombu's Redis transport. Protocol 1 is read too.

use std::fmt;
use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mainspring_http::redact;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::crawl::sitemap;
use crate::text::shortened;

/// A body is not unpacked further than this, in bytes.
const MAX_UNPACKED: usize = 32 << 20;
/// What others are shown of arguments, in characters.
const MAX_SHOWN: usize = 1_024;

/// An error as Python rebuilds it: the class and its argument.
#[derive(Clone, Debug, PartialEq, derive_more::Display)]
#[display("{}: {}", self.names().1, show(argument))]
pub struct Fault {
    /// The class, with its module unless it is one of Python's own.
    pub class: &'static str,
    /// What it is made with.
    pub argument: Value,
}

impl Fault {
    /// One that is made with a sentence, without secrets and cut where it gets long, or with another value.
    #[must_use]
    pub fn new(class: &'static str, argument: impl Into<Value>) -> Fault {
        let argument = match argument.into() {
            Value::String(sentence) => shortened(&redact(&sentence), MAX_SHOWN).into(),
            other => other,
        };
        Fault { class, argument }
    }

    /// One that says that a value is wrong.
    #[must_use]
    pub fn value(sentence: impl fmt::Display) -> Fault {
        Fault::new("ValueError", sentence.to_string())
    }

    /// The names of the module and of the class.
    fn names(&self) -> (&str, &str) {
        self.class.rsplit_once('.').unwrap_or(("builtins", self.class))
    }

    /// As a result holds it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let (module, class) = self.names();
        json!({"exc_type": class, "exc_message": [self.argument], "exc_module": module})
    }
}

/// A value on one line, without secrets and cut where it gets long: a text as it is, anything else as JSON.
#[must_use]
pub fn show(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    shortened(&redact(&text), MAX_SHOWN)
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
    pub retries: u32,
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

/// A moment in ISO 8601, or in so many seconds from now.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let mut value = Value::deserialize(from)?;
    // As kombu writes a `datetime` where it has no other way.
    if value["__type__"] == "datetime" {
        value = value["__value__"].take();
    }
    let wait = value.as_f64().map(|seconds| seconds.max(0.0));
    let wait = wait.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // Moments are written up to the year 9999.
    let wait = wait.filter(|wait| wait.as_secs() < 1 << 37);
    let moment = value.as_str().map_or_else(|| Some(SystemTime::now() + wait?), parse_iso);
    let none = || D::Error::custom(format!("{value} is no moment in ISO 8601 and no time to wait"));
    moment.map(Some).ok_or_else(none)
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
        let wrong = |error| Fault::value(format!("it is no call of a task: {error}"));
        Call::deserialize(Value::Object(fields)).map_err(wrong)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The id to answer to, if it has one, and what is wrong with it.
    pub fn read(message: &str) -> Result<Call, (Option<String>, Fault)> {
        let no_json = |error| {
            // Python writes what is none, such as NaN; there is an id to answer to all the same.
            let rest = ["\"id\": \"", "\"id\":\""].iter().find_map(|name| message.split_once(name));
            let id = rest.and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| id.to_owned());
            (id, Fault::value(format!("the message is no JSON: {error}")))
        };
        let message: Value = serde_json::from_str(message).map_err(no_json)?;
        let mut id = message["headers"]["id"].as_str().map(str::to_owned);
        let call = Call::read_parts(&message, &mut id);
        call.map_err(|fault| (id.filter(|id| !id.is_empty()), fault))
    }

    fn read_parts(message: &Value, id: &mut Option<String>) -> Result<Call, Fault> {
        if let Some(bytes) = message["too_long"].as_u64() {
            return Err(Fault::value(format!("the message is too long: {bytes} bytes")));
        }
        let kind = message["content-type"].as_str().unwrap_or("application/json");
        if kind != "application/json" {
            let text = format!("this worker reads application/json, not {kind}");
            return Err(Fault::new("kombu.exceptions.ContentDisallowed", text));
        }
        let body = unpack(message).map_err(Fault::value)?;
        let wrong = |error| Fault::value(format!("the body is no call of a task: {error}"));
        let headers = message["headers"].as_object();
        let fields = match headers.filter(|fields| fields.contains_key("task")) {
            Some(headers) => {
                let parts = serde_json::from_slice::<(Value, Value, Option<Map<_, _>>)>(&body);
                let (args, kwargs, more) = parts.map_err(wrong)?;
                let mut fields = headers.clone();
                fields.extend([("args".to_owned(), args), ("kwargs".to_owned(), kwargs)]);
                fields.extend(more.unwrap_or_default());
                fields
            }
            // Protocol 1 has all of it in the body.
            None => {
                let fields: Map<_, _> = serde_json::from_slice(&body).map_err(wrong)?;
                *id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
                fields
            }
        };
        // Of a signature, they may be times to wait; in a message, such would begin anew with each take.
        let waits = |field| fields.get(field).is_some_and(Value::is_number);
        if waits("eta") || waits("expires") {
            return Err(Fault::value("eta and expires are not moments in ISO 8601"));
        }
        let call = Call::of(fields)?;
        if call.id.is_empty() || call.task.is_empty() {
            return Err(Fault::value("the message has no id or no task"));
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
        let body = json!([self.args, self.kwargs, {
            "callbacks": self.callbacks, "errbacks": self.errbacks, "chain": self.chain,
            "chord": self.chord,
        }]);
        let root = self.root.as_ref().unwrap_or(&self.id);
        let headers = json!({
            "lang": "py", "task": self.task, "id": self.id, "shadow": null,
            "eta": self.eta.map(iso), "expires": self.expires.map(iso), "group": self.group,
            "group_index": null, "retries": self.retries, "timelimit": self.timelimit,
            "root_id": root, "parent_id": self.parent, "argsrepr": show(&json!(self.args)),
            "kwargsrepr": show(&self.shown_kwargs()), "origin": "mainspring",
            "ignore_result": self.ignore_result, "stamped_headers": null, "stamps": {},
        });
        envelope(&body, &headers, ["", queue], self.priority)
    }
}

/// What kombu puts around a body that goes to an exchange, by a routing key.
#[must_use]
pub fn envelope(body: &Value, headers: &Value, to: [&str; 2], priority: u8) -> String {
    let [exchange, routing_key] = to;
    json!({
        "body": STANDARD.encode(body.to_string()), "content-encoding": "utf-8",
        "content-type": "application/json", "headers": headers,
        "properties": {
            "correlation_id": headers["id"], "reply_to": new_id(), "delivery_mode": 2,
            "delivery_info": {"exchange": exchange, "routing_key": routing_key},
            "priority": priority, "body_encoding": "base64", "delivery_tag": new_id(),
        },
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
        Some(other) => return Err(format!("a body in {other} is not read")),
    };
    let decoder: Box<dyn Read> = match message["headers"]["compression"].as_str() {
        None => return Ok(body),
        // kombu calls gzip what are bytes of zlib.
        Some("application/x-gzip" | "gzip" | "zlib") if body.starts_with(&[0x1f, 0x8b]) => {
            Box::new(MultiGzDecoder::new(&*body))
        }
        Some("application/x-gzip" | "gzip" | "zlib") => Box::new(ZlibDecoder::new(&*body)),
        Some(other) => return Err(format!("compression {other} is not read")),
    };
    sitemap::unpack(decoder, MAX_UNPACKED).map_err(|why| format!("the body is not read: {why}"))
}

/// A moment as Python's `isoformat` writes it, in UTC.
#[must_use]
pub fn iso(moment: SystemTime) -> String {
    let text = humantime::format_rfc3339_micros(moment).to_string();
    text.trim_end_matches('Z').to_owned() + "+00:00"
}

/// Reads a moment, those before 1970 as that; one without an offset is in UTC, as by Celery's default. `None`
/// for what is none.
#[must_use]
pub fn parse_iso(text: &str) -> Option<SystemTime> {
    let in_utc = |_| text.parse().and_then(|local| TimeZone::UTC.to_timestamp(local));
    // The last days of all are what Python has for never.
    let never = |error| if text.starts_with("9999-12-3") { Ok(Timestamp::MAX) } else { Err(error) };
    let moment: Timestamp = text.parse().or_else(in_utc).or_else(never).ok()?;
    SystemTime::try_from(moment).ok().map(|moment| moment.max(SystemTime::UNIX_EPOCH))
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
