//! A call of a task and what came of it, as Celery writes them: protocol 2 (docs.celeryq.dev,
//! "Message Protocol") in the envelope of kombu's Redis transport. Protocol 1 is read too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::time::{iso, parse_iso};

/// A body is not unpacked further than this, in bytes.
const MAX_UNPACKED: u64 = 32 << 20;
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
    /// One of Python's own, with one sentence.
    #[must_use]
    pub fn new(class: &'static str, sentence: impl Into<String>) -> Fault {
        Fault { class, module: "builtins", arguments: vec![Value::String(sentence.into())] }
    }

    /// One of Celery's.
    #[must_use]
    pub fn celery(class: &'static str, argument: impl Into<Value>) -> Fault {
        Fault { class, module: "celery.exceptions", arguments: vec![argument.into()] }
    }

    fn to_value(&self) -> Value {
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

/// One call of a task.
#[derive(Clone, Debug, Default, PartialEq)]
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
    pub eta: Option<SystemTime>,
    /// Not after this one.
    pub expires: Option<SystemTime>,
    /// Seconds until it is stopped: the hard limit, and the soft one.
    pub timelimit: [Option<f64>; 2],
    /// How often it has been tried.
    pub retries: u64,
    /// Whether its result is not wanted.
    pub ignore_result: bool,
    /// From 0, the most urgent, to 9.
    pub priority: u8,
    /// The call that all this began with.
    pub root: Option<String>,
    /// The call that has sent this one.
    pub parent: Option<String>,
    /// The group it belongs to.
    pub group: Option<String>,
    /// To be called with its result.
    pub callbacks: Vec<Value>,
    /// To be called with its id should it fail.
    pub errbacks: Vec<Value>,
    /// What comes after it, last things first.
    pub chain: Vec<Value>,
    /// What waits for all of its group.
    pub chord: Option<Value>,
}

/// A message that is no call: the id to answer to, if it has one, and what is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Whom to tell.
    pub id: Option<String>,
    /// What.
    pub fault: Fault,
}

impl Call {
    /// A call with an id of its own.
    #[must_use]
    pub fn new(task: &str, args: Vec<Value>, kwargs: Map<String, Value>) -> Call {
        Call { id: new_id(), task: task.to_owned(), args, kwargs, ..Call::default() }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, in Python's words.
    pub fn read(message: &str) -> Result<Call, Unreadable> {
        let fault = |text: String| Fault::new("ValueError", text);
        let message: Value = serde_json::from_str(message).map_err(|error| Unreadable {
            id: None,
            fault: fault(format!("the message is not JSON: {error}")),
        })?;
        let headers = &message["headers"];
        let id = headers["id"].as_str().filter(|id| !id.is_empty());
        let outcome = Call::read_parts(&message, headers, id);
        outcome.map_err(|(found, fault)| Unreadable { id: id.map(str::to_owned).or(found), fault })
    }

    fn read_parts(
        message: &Value,
        headers: &Value,
        id: Option<&str>,
    ) -> Result<Call, (Option<String>, Fault)> {
        let wrong = |text: &str| (None, Fault::new("ValueError", text));
        if let Some(bytes) = message["too_long"].as_u64() {
            return Err(wrong(&format!("the message is too long: {bytes} bytes")));
        }
        let kind = message["content-type"].as_str().unwrap_or("application/json");
        if kind != "application/json" {
            let text = format!("this worker reads application/json, not {kind}");
            return Err((
                None,
                Fault { module: "kombu.exceptions", ..Fault::new("ContentDisallowed", text) },
            ));
        }
        let body = unpack(message).map_err(|text| wrong(&text))?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|error| wrong(&format!("the body is not JSON: {error}")))?;
        let mut call = match (&body, headers["task"].as_str()) {
            (Value::Array(parts), Some(task)) if parts.len() == 3 => {
                let mut call = Call::with_parts(&parts[0], &parts[1], &parts[2]).map_err(wrong)?;
                task.clone_into(&mut call.task);
                call.take_headers(headers).map_err(wrong)?;
                call
            }
            (Value::Object(old), None) => {
                let found = body["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
                let wrong = |text: &str| (found.clone(), Fault::new("ValueError", text));
                let embedded = Value::Object(old.clone());
                let mut call = Call::with_parts(&body["args"], &body["kwargs"], &embedded);
                if let Ok(call) = &mut call {
                    call.id = found.clone().unwrap_or_default();
                    call.task = body["task"].as_str().unwrap_or_default().to_owned();
                    call.take_headers(&body).map_err(wrong)?;
                }
                call.map_err(wrong)?
            }
            _ => return Err(wrong("the body is no call of a task")),
        };
        if let Some(id) = id {
            id.clone_into(&mut call.id);
        }
        if call.id.is_empty() || call.task.is_empty() {
            return Err(wrong("the message has no id or no task"));
        }
        call.priority = message["properties"]["priority"].as_u64().unwrap_or(0).min(9) as u8;
        Ok(call)
    }

    fn with_parts(args: &Value, kwargs: &Value, embedded: &Value) -> Result<Call, &'static str> {
        let list = |value: &Value| match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => Ok(list.clone()),
            one @ Value::Object(_) => Ok(vec![one.clone()]),
            _ => Err("what follows the task is no list"),
        };
        let args = match args {
            Value::Null => Vec::new(),
            Value::Array(args) => args.clone(),
            _ => return Err("the arguments are no list"),
        };
        let kwargs = match kwargs {
            Value::Null => Map::new(),
            Value::Object(kwargs) => kwargs.clone(),
            _ => return Err("the arguments by name are no object"),
        };
        Ok(Call {
            args,
            kwargs,
            callbacks: list(&embedded["callbacks"])?,
            errbacks: list(&embedded["errbacks"])?,
            chain: list(&embedded["chain"])?,
            chord: Some(embedded["chord"].clone()).filter(|chord| !chord.is_null()),
            ..Call::default()
        })
    }

    fn take_headers(&mut self, headers: &Value) -> Result<(), &'static str> {
        let moment = |value: &Value| match value {
            Value::Null => Ok(None),
            Value::String(text) => parse_iso(text).map(Some).ok_or("no moment in ISO 8601"),
            _ => Err("a moment that is no text"),
        };
        let text = |name: &str| headers[name].as_str().map(str::to_owned);
        self.eta = moment(&headers["eta"])?;
        self.expires = moment(&headers["expires"])?;
        let limit = |n: usize| headers["timelimit"][n].as_f64().filter(|limit| *limit > 0.0);
        self.timelimit = [limit(0), limit(1)];
        self.retries = headers["retries"].as_u64().unwrap_or(0);
        self.ignore_result = headers["ignore_result"].as_bool().unwrap_or(false);
        self.root = text("root_id");
        self.parent = text("parent_id");
        self.group = text("group");
        Ok(())
    }

    /// As Celery sends it to a queue.
    #[must_use]
    pub fn to_message(&self, queue: &str) -> String {
        let list = |list: &Vec<Value>| (!list.is_empty()).then(|| list.clone());
        let embedded = json!({
            "callbacks": list(&self.callbacks), "errbacks": list(&self.errbacks),
            "chain": list(&self.chain), "chord": self.chord,
        });
        let body = json!([self.args, self.kwargs, embedded]).to_string();
        let root = self.root.as_ref().unwrap_or(&self.id);
        let headers = json!({
            "lang": "py", "task": self.task, "id": self.id, "shadow": null,
            "eta": self.eta.map(iso), "expires": self.expires.map(iso), "group": self.group,
            "group_index": null, "retries": self.retries, "timelimit": self.timelimit,
            "root_id": root, "parent_id": self.parent, "argsrepr": show(&json!(self.args)),
            "kwargsrepr": show(&json!(self.kwargs)), "origin": "mainspring",
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
    let mut unpacked = Vec::new();
    let read = match message["headers"]["compression"].as_str() {
        None => return Ok(body),
        // kombu calls gzip what are bytes of zlib.
        Some("application/x-gzip" | "gzip" | "zlib") if body.starts_with(&[0x1f, 0x8b]) => {
            MultiGzDecoder::new(&*body).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked)
        }
        Some("application/x-gzip" | "gzip" | "zlib") => {
            ZlibDecoder::new(&*body).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked)
        }
        Some(other) => return Err(format!("compression {} is not read", show(&json!(other)))),
    };
    read.map_err(|error| format!("the body cannot be unpacked: {error}"))?;
    if unpacked.len() as u64 > MAX_UNPACKED {
        return Err("the body is too long unpacked".to_owned());
    }
    Ok(unpacked)
}

/// What is held of a message that was taken: itself, and the exchange and routing key to give it back
/// by. `None` if it is no such thing.
#[must_use]
pub fn held(text: &str) -> Option<(&str, String, String)> {
    let (message, exchange, key): (&RawValue, String, String) = serde_json::from_str(text).ok()?;
    Some((message.get(), exchange, key))
}

/// A message with some headers and properties changed, and all else as it was to the last byte.
fn changed(message: &str, headers: Value, properties: Value) -> Option<String> {
    type Parts = BTreeMap<String, Box<RawValue>>;
    let merge = |part: Option<&RawValue>, changes: Value| -> Option<Box<RawValue>> {
        let mut part: Parts = serde_json::from_str(part.map_or("{}", RawValue::get)).ok()?;
        for (name, value) in changes.as_object()? {
            part.insert(name.clone(), serde_json::value::to_raw_value(value).ok()?);
        }
        serde_json::value::to_raw_value(&part).ok()
    };
    let mut parts: Parts = serde_json::from_str(message).ok()?;
    for (name, changes) in [("headers", headers), ("properties", properties)] {
        let part = merge(parts.get(name).map(|part| &**part), changes)?;
        parts.insert(name.to_owned(), part);
    }
    serde_json::to_string(&parts).ok()
}

/// A message that is given back, marked as such in the way of kombu. One that cannot be marked stays as
/// it is.
#[must_use]
pub fn redelivered(message: &str, queue: &str) -> String {
    let info = json!({"exchange": "", "routing_key": queue, "redelivered": true});
    let marked = changed(message, json!({"redelivered": true}), json!({"delivery_info": info}));
    marked.unwrap_or_else(|| message.to_owned())
}

/// A message of a call that is to be tried again at a moment.
#[must_use]
pub fn retried(message: &str, call: &Call, eta: SystemTime, queue: &str) -> Option<String> {
    let headers = json!({"retries": call.retries + 1, "eta": iso(eta), "parent_id": call.id});
    let info = json!({"exchange": "", "routing_key": queue});
    changed(message, headers, json!({"delivery_tag": new_id(), "delivery_info": info}))
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a value.
    Success(Value),
    /// With an error.
    Failure(Fault),
    /// It was not run, or not to its end, since that was no longer wanted.
    Revoked(&'static str),
    /// It will be tried again after this time.
    Retry(Fault, Duration),
}

impl Outcome {
    /// As Celery's result backend keeps it. The status comes first: the script that stores it looks
    /// there.
    #[must_use]
    pub fn to_text(&self, call: &Call, children: &[String]) -> String {
        #[derive(Serialize)]
        struct Meta<'a> {
            status: &'static str,
            result: &'a Value,
            traceback: Option<()>,
            children: Value,
            date_done: Option<String>,
            task_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            group_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parent_id: Option<&'a str>,
        }
        let revoked = |why: &&str| Fault::celery("TaskRevokedError", *why).to_value();
        let (status, result) = match self {
            Outcome::Success(value) => ("SUCCESS", value),
            Outcome::Failure(fault) => ("FAILURE", &fault.to_value()),
            Outcome::Retry(fault, _) => ("RETRY", &fault.to_value()),
            Outcome::Revoked(why) => ("REVOKED", &revoked(why)),
        };
        let over = !matches!(self, Outcome::Retry(..));
        let meta = Meta {
            status,
            result,
            traceback: None,
            children: children.iter().map(|id| json!([[id, null], null])).collect(),
            date_done: over.then(|| iso(SystemTime::now())),
            task_id: &call.id,
            group_id: call.group.as_deref(),
            parent_id: call.parent.as_deref(),
        };
        serde_json::to_string(&meta).expect("no key but texts, no number but finite ones")
    }

    /// Reads what a worker stored: the id, and the outcome if that is the end of it.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<(String, Option<Result<Value, String>>)> {
        let mut meta: Value = serde_json::from_slice(text).ok()?;
        let id = meta["task_id"].as_str()?.to_owned();
        let result = meta["result"].take();
        let end = match meta["status"].as_str()? {
            "SUCCESS" => Some(Ok(result)),
            "FAILURE" | "REVOKED" => {
                let class = result["exc_type"].as_str().unwrap_or("error");
                let said = match &result["exc_message"] {
                    Value::Array(parts) => parts.iter().map(show).collect::<Vec<_>>().join(", "),
                    other => show(other),
                };
                Some(Err(format!("{class}: {said}")))
            }
            // Started, to be tried again, or a state of the task's own: it goes on.
            _ => None,
        };
        Some((id, end))
    }
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
