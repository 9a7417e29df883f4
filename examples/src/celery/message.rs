//! A job and its outcome, as Celery writes them.

use std::io::{self, ErrorKind};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// One call of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Celery's id of the call.
    pub id: String,
    /// The task's name.
    pub task: String,
    /// Its one argument.
    pub argument: u64,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The job.
    pub id: String,
    /// What the task returned, or the message of its error.
    pub result: Result<Value, String>,
}

impl Job {
    /// A call of `task`, with an id of its own.
    #[must_use]
    pub fn new(task: &str, argument: u64) -> Job {
        Job { id: new_id(), task: task.to_owned(), argument }
    }

    /// Where its result will be.
    #[must_use]
    pub fn result_key(&self) -> String {
        result_key(&self.id)
    }

    /// As Celery sends it.
    #[must_use]
    pub fn to_message(&self) -> String {
        let embedded = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
        let body = json!([[self.argument], {}, embedded]).to_string();
        let headers = json!({
            "lang": "py", "task": self.task, "id": self.id, "root_id": self.id,
            "parent_id": null, "group": null, "retries": 0, "eta": null, "expires": null,
            "timelimit": [null, null], "argsrepr": format!("({},)", self.argument),
            "kwargsrepr": "{}", "origin": "mainspring", "ignore_result": false,
        });
        let properties = json!({
            "correlation_id": self.id, "reply_to": new_id(), "delivery_tag": new_id(),
            "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "celery"},
        });
        json!({
            "body": STANDARD.encode(body), "content-encoding": "utf-8",
            "content-type": "application/json", "headers": headers, "properties": properties,
        })
        .to_string()
    }

    /// Reads what Celery sent. It takes one number, by position.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] that says what is missing or of the wrong kind.
    pub fn read(message: &[u8]) -> io::Result<Job> {
        let message: Value = serde_json::from_slice(message).map_err(io::Error::from)?;
        let text = |value: &Value, what: &str| {
            value.as_str().map(str::to_owned).ok_or_else(|| malformed(what))
        };
        let id = text(&message["headers"]["id"], "no id in its headers")?;
        let task = text(&message["headers"]["task"], "no task in its headers")?;
        let body = text(&message["body"], "no body")?;
        let body = match message["properties"]["body_encoding"].as_str() {
            Some("base64") => {
                STANDARD.decode(body).map_err(|_| malformed("a body not in base64"))?
            }
            _ => body.into_bytes(),
        };
        let body: Value = serde_json::from_slice(&body).map_err(io::Error::from)?;
        let argument = body[0][0].as_u64().ok_or_else(|| malformed("no number as its argument"))?;
        Ok(Job { id, task, argument })
    }
}

impl Outcome {
    /// Where it is kept.
    #[must_use]
    pub fn result_key(&self) -> String {
        result_key(&self.id)
    }

    /// As Celery's result backend keeps it.
    #[must_use]
    pub fn to_message(&self) -> String {
        let (status, result) = match &self.result {
            Ok(value) => ("SUCCESS", value.clone()),
            Err(message) => (
                "FAILURE",
                json!({"exc_type": "Exception", "exc_message": [message], "exc_module": "builtins"}),
            ),
        };
        let done: humantime::Timestamp = SystemTime::now().into();
        json!({
            "task_id": self.id, "status": status, "result": result, "traceback": null,
            "children": [], "date_done": done.to_string(),
        })
        .to_string()
    }

    /// Reads what a worker stored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] that says what is missing.
    pub fn read(message: &[u8]) -> io::Result<Outcome> {
        let message: Value = serde_json::from_slice(message).map_err(io::Error::from)?;
        let id = message["task_id"].as_str().ok_or_else(|| malformed("no task_id"))?.to_owned();
        let result = &message["result"];
        let result = match message["status"].as_str() {
            Some("SUCCESS") => Ok(result.clone()),
            _ => Err(result["exc_message"].to_string()),
        };
        Ok(Outcome { id, result })
    }
}

fn result_key(id: &str) -> String {
    format!("celery-task-meta-{id}")
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not a message of Celery's: it has {what}"))
}

/// A random UUID (RFC 9562, version 4).
fn new_id() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{random:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_the_way_there() {
        let job = Job::new("tasks.crawl", 27_960_015);
        assert_eq!(Job::read(job.to_message().as_bytes()).unwrap(), job);
        assert_eq!(job.id.len(), 36);
        assert_eq!(&job.id[14..15], "4");
    }

    #[test]
    fn an_outcome_survives_the_way_back() {
        for result in [Ok(json!("The Quiet Harbour")), Err("[\"no such page\"]".to_owned())] {
            let outcome = Outcome { id: new_id(), result };
            let read = Outcome::read(outcome.to_message().as_bytes()).unwrap();
            assert_eq!(read.id, outcome.id);
            assert_eq!(read.result.is_ok(), outcome.result.is_ok());
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_that_says_why() {
        for (message, complaint) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{}", "not a message of Celery's: it has no id in its headers"),
            (
                r#"{"headers":{"id":"1","task":"t"},"body":"W1tdXQ==","properties":{"body_encoding":"base64"}}"#,
                "not a message of Celery's: it has no number as its argument",
            ),
            (
                r#"{"headers":{"id":"1","task":"t"},"body":"%","properties":{"body_encoding":"base64"}}"#,
                "not a message of Celery's: it has a body not in base64",
            ),
        ] {
            assert_eq!(Job::read(message.as_bytes()).unwrap_err().to_string(), complaint);
        }
    }
}
