//! What is said to all workers, and what they say of themselves: `celery inspect` and `control`, and
//! the events that monitors such as Flower listen to.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::time::sleep;
use regex_lite::Regex;
use serde_json::{Value, json};

use super::message::{Call, envelope, new_id, show, unpack};
use super::redis::{Answer, Heard};
use super::time::{iso, seconds};
use super::worker::{Held, Worker};

/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How many ids of revoked tasks are remembered, the latest: Celery's number.
const MOST_REVOKED: usize = 50_000;

/// The tasks that are not to be run.
#[derive(Default)]
pub(super) struct Revoked {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Revoked {
    fn add(&mut self, id: &str) {
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > MOST_REVOKED {
            self.order.pop_front().map(|oldest| self.ids.remove(&oldest));
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

impl Worker {
    /// Celery's clock: it goes on with every message.
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// The channel of an exchange that all hear.
    pub(super) fn channel(&self, exchange: &str) -> String {
        format!("{}/{}.{exchange}", self.settings.redis.prefix, self.address.db)
    }

    /// Hears what is said to all workers. What is no command is passed over.
    pub(super) fn hear(self: &Rc<Worker>, heard: Heard) {
        let text = match heard {
            Heard::Listening => return drop(self.event("online")),
            Heard::Published(text) => text,
        };
        let Ok(message) = serde_json::from_slice::<Value>(&text) else { return };
        let body =
            unpack(&message).ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        let Some(body) = body.filter(|body| self.is_meant(body)) else { return };
        let Some(method) = body["method"].as_str() else { return };
        let reply = self.carry_out(method, &body["arguments"]);
        let to = &body["reply_to"];
        if let (Some(exchange), Some(key)) = (to["exchange"].as_str(), to["routing_key"].as_str()) {
            let headers = json!({"ticket": body["ticket"], "clock": self.tick()});
            let text = passing(&json!({&self.node: reply}), exchange, key, headers);
            self.store.reply(exchange, key, text);
        }
    }

    fn is_meant(&self, body: &Value) -> bool {
        if let Some(nodes) = body["destination"].as_array().filter(|nodes| !nodes.is_empty()) {
            return nodes.iter().any(|node| node == self.node.as_str());
        }
        let Some(pattern) = body["pattern"].as_str() else { return true };
        let regex = match body["matcher"].as_str() {
            Some("pcre") => pattern.to_owned(),
            Some(_) => regex_lite::escape(pattern).replace("\\*", ".*").replace("\\?", "."),
            None => return true,
        };
        Regex::new(&format!("^(?:{regex})$")).is_ok_and(|regex| regex.is_match(&self.node))
    }

    fn carry_out(self: &Rc<Worker>, method: &str, arguments: &Value) -> Value {
        let ids = || match &arguments["task_id"] {
            Value::Array(ids) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(id) => vec![id.clone()],
            _ => Vec::new(),
        };
        match method {
            "ping" => json!({"ok": "pong"}),
            "hello" => json!({"revoked": {}, "clock": self.tick()}),
            "registered" | "registered_tasks" => self.tasks.names().collect(),
            "active" => self.describe(true, |task| task),
            "scheduled" => {
                self.describe(false, |task| json!({"eta": task["eta"], "request": task}))
            }
            "revoked" => json!(self.revoked.borrow().order),
            "stats" => self.stats(),
            "active_queues" => self.settings.queue.iter().map(|queue| self.queue(queue)).collect(),
            "revoke" | "terminate" => {
                let (ids, also_running) =
                    (ids(), method == "terminate" || arguments["terminate"] == true);
                for id in &ids {
                    self.revoked.borrow_mut().add(id);
                    self.terminate(id, also_running);
                }
                let verb = if also_running { "terminated" } else { "revoked" };
                json!({"ok": format!("tasks {} flagged as {verb}", show(&json!(ids)))})
            }
            "shutdown" => {
                self.stop.ask();
                Value::Null
            }
            other => {
                json!({"error": format!("this worker knows no command {}", show(&json!(other)))})
            }
        }
    }

    /// The tasks in hand: those that have started, or the others.
    fn describe(&self, started: bool, shown: fn(Value) -> Value) -> Value {
        let held = self.held.borrow();
        let wanted = held.values().filter(|held| held.started.is_some() == started);
        let described = wanted.map(|held| {
            let Call { id, task, args, eta, .. } = &*held.call;
            shown(json!({
                "id": id, "name": task, "type": task, "args": args, "kwargs": held.call.shown_kwargs(),
                "hostname": self.node, "time_start": held.started.map(seconds),
                "acknowledged": false, "worker_pid": std::process::id(), "eta": eta.map(iso),
                "delivery_info": {"exchange": "", "routing_key": held.queue, "redelivered": null},
            }))
        });
        described.collect()
    }

    fn queue(&self, name: &str) -> Value {
        json!({
            "name": name, "routing_key": name, "durable": true, "auto_delete": false,
            "exchange": {"name": "", "type": "direct", "durable": true, "auto_delete": false},
        })
    }

    fn stats(&self) -> Value {
        let pid = std::process::id();
        let n = self.settings.concurrency;
        json!({
            "total": *self.begun.borrow(), "pid": pid, "clock": self.tick().to_string(),
            "uptime": self.began.elapsed().unwrap_or_default().as_secs(), "prefetch_count": n,
            "pool": {"implementation": "mainspring", "max-concurrency": n, "processes": [pid]},
            "broker": {"transport": "redis", "hostname": self.address.to_string()},
            "rusage": {},
        })
    }

    /// Says that it lives, for ever.
    pub(super) async fn beat(self: Rc<Worker>) {
        loop {
            sleep(BEAT).await;
            // What cannot be heard now is not worth saying again.
            self.event("heartbeat").await.map(drop).unwrap_or_default();
        }
    }

    /// Says that it is online, offline, or alive.
    pub(super) fn event(&self, kind: &str) -> Answer {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<f64> = load.split(' ').take(3).filter_map(|n| n.parse().ok()).collect();
        let done = self.done.borrow();
        let event = json!({
            "type": format!("worker-{kind}"), "hostname": self.node, "utcoffset": 0,
            "pid": std::process::id(), "clock": self.tick(), "timestamp": seconds(SystemTime::now()),
            "freq": BEAT.as_secs_f64(), "loadavg": load, "sw_ident": "mainspring",
            "sw_ver": super::page::VERSION, "sw_sys": std::env::consts::OS,
            "active": self.count(Held::is_running),
            "processed": done.succeeded + done.failed + done.retried,
        });
        let key = format!("worker.{kind}");
        let text = passing(&event, "celeryev", &key, json!({"hostname": self.node}));
        let channel = self.channel(&format!("celeryev/{key}"));
        self.store.link.call(&["PUBLISH", &channel, &text])
    }
}

/// A message that is heard now or never.
fn passing(body: &Value, exchange: &str, key: &str, headers: Value) -> String {
    let properties = json!({
        "delivery_mode": 1, "delivery_info": {"exchange": exchange, "routing_key": key},
        "priority": 0, "body_encoding": "base64", "delivery_tag": new_id(),
    });
    envelope(&body.to_string(), headers, properties)
}
