//! What came of a call, as Celery's result backend keeps it.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use super::message::{Call, Fault, show};
use super::time::iso;

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

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Outcome {
        Outcome::Failure(fault)
    }
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
