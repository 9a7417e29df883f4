//! What is said to all workers, and what they say of themselves: `celery inspect` and `control`, and
//! the events that monitors such as Flower listen to.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::time::sleep;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::message::{Call, Outcome, envelope, new_id, show, unpack};
use super::redis::Heard;
use super::time::{iso, seconds};
use super::worker::Worker;

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

/// What a worker tells of itself.
#[derive(Default)]
pub(super) struct Events {
    clock: Cell<u64>,
    /// Whether it tells of its tasks.
    tasks: Cell<bool>,
}

impl Events {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}

impl Worker {
    /// The channel of an exchange that all hear.
    fn channel(&self, exchange: &str) -> String {
        format!("{}/{}.{exchange}", self.settings.prefix, self.settings.address.db)
    }

    /// The channel on which all workers are spoken to, as a pattern that matches it alone.
    pub(super) fn control_pattern(&self) -> String {
        let special = ['*', '?', '[', ']', '\\', '^'];
        let escape = |c: char| if special.contains(&c) { format!("\\{c}") } else { c.to_string() };
        self.channel("celery.pidbox").chars().map(escape).collect()
    }

    /// Hears what is said to all workers. What is no command is passed over.
    pub(super) fn hear(self: &Rc<Worker>, heard: Heard) {
        let text = match heard {
            Heard::Listening => return self.event_worker("online"),
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
            let properties = json!({
                "delivery_mode": 1, "delivery_info": {"exchange": exchange, "routing_key": key},
                "priority": 0, "body_encoding": "base64", "delivery_tag": new_id(),
            });
            let headers = json!({"ticket": body["ticket"], "clock": self.events.tick()});
            let text = envelope(&json!({&self.node: reply}).to_string(), headers, properties);
            self.store.reply(exchange, key, &text);
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
            "hello" => json!({"revoked": {}, "clock": self.events.tick()}),
            "registered" | "registered_tasks" => self.tasks.names().collect(),
            "active" => self.describe(|started| started),
            "scheduled" => {
                let Value::Array(later) = self.describe(|started| !started) else {
                    return json!([]);
                };
                let with_eta = |request: Value| {
                    let eta = request["eta"].clone();
                    json!({"eta": eta, "priority": 6, "request": request})
                };
                later.into_iter().map(with_eta).collect()
            }
            "reserved" => json!([]),
            "revoked" => json!(self.revoked.borrow().order),
            "conf" => json!({}),
            "stats" => self.stats(),
            "active_queues" => self.settings.queues.iter().map(|queue| self.queue(queue)).collect(),
            "query_task" => json!({}),
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
            "enable_events" | "disable_events" => {
                self.events.tasks.set(method == "enable_events");
                json!({"ok": format!("task events {}d", method.trim_end_matches("_events"))})
            }
            "heartbeat" => {
                self.event_worker("heartbeat");
                Value::Null
            }
            other => {
                json!({"error": format!("this worker knows no command {}", show(&json!(other)))})
            }
        }
    }

    /// The tasks in hand: those that have started, or the others.
    fn describe(&self, which: fn(bool) -> bool) -> Value {
        let held = self.held.borrow();
        let wanted = held.values().filter(|held| which(held.started.is_some()));
        let described = wanted.map(|held| {
            let Call { id, task, args, kwargs, eta, .. } = &*held.call;
            json!({
                "id": id, "name": task, "type": task, "args": args, "kwargs": kwargs,
                "hostname": self.node, "time_start": held.started.map(seconds),
                "acknowledged": false, "worker_pid": std::process::id(), "eta": eta.map(iso),
                "delivery_info": {"exchange": "", "routing_key": held.queue, "redelivered": null},
            })
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
            "total": *self.begun.borrow(), "pid": pid, "clock": self.events.tick().to_string(),
            "uptime": self.began.elapsed().unwrap_or_default().as_secs(), "prefetch_count": n,
            "pool": {"implementation": "mainspring", "max-concurrency": n, "processes": [pid]},
            "broker": {"transport": "redis", "hostname": self.settings.address.to_string()},
            "rusage": {},
        })
    }

    /// Says that it lives, for ever.
    pub(super) async fn beat(self: Rc<Worker>) {
        loop {
            sleep(BEAT).await;
            // What nobody hears now is not worth keeping for later.
            if self.store.link.unanswered() < 100 {
                self.event_worker("heartbeat");
            }
        }
    }

    /// Says that it is online, offline, or alive.
    pub(super) fn event_worker(&self, kind: &str) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<f64> = load.split(' ').take(3).filter_map(|n| n.parse().ok()).collect();
        let done = self.done.get();
        let event = json!({
            "freq": BEAT.as_secs_f64(), "loadavg": load, "sw_ident": "mainspring",
            "sw_ver": super::tasks::VERSION, "sw_sys": std::env::consts::OS,
            "active": self.held.borrow().values().filter(|held| held.started.is_some()).count(),
            "processed": done.succeeded + done.failed + done.retried,
        });
        self.publish(&format!("worker-{kind}"), event);
    }

    pub(super) fn event_received(&self, call: &Call) {
        self.event_task("received", call, json!({
            "name": call.task, "args": show(&json!(call.args)), "kwargs": show(&json!(call.kwargs)),
            "root_id": call.root, "parent_id": call.parent, "retries": call.retries,
            "eta": call.eta.map(iso), "expires": call.expires.map(iso),
        }));
    }

    pub(super) fn event_started(&self, call: &Call) {
        self.event_task("started", call, json!({}));
    }

    pub(super) fn event_ended(&self, call: &Call, started: Option<SystemTime>, outcome: &Outcome) {
        let runtime = started.and_then(|at| at.elapsed().ok()).unwrap_or_default().as_secs_f64();
        let fault = |fault: &super::message::Fault| json!({"exception": show(&json!(fault.to_string())), "traceback": ""});
        let (kind, event) = match outcome {
            Outcome::Success(value) => {
                ("succeeded", json!({"result": show(value), "runtime": runtime}))
            }
            Outcome::Failure(error) => ("failed", fault(error)),
            Outcome::Retry(error, _) => ("retried", fault(error)),
            Outcome::Revoked(why) => (
                "revoked",
                json!({"terminated": *why == "terminated", "expired": *why == "expired"}),
            ),
        };
        self.event_task(kind, call, event);
    }

    fn event_task(&self, kind: &str, call: &Call, mut event: Value) {
        if self.events.tasks.get() && self.store.link.unanswered() < 1_000 {
            event["uuid"] = json!(call.id);
            self.publish(&format!("task-{kind}"), event);
        }
    }

    /// Publishes an event, with what all have in common.
    fn publish(&self, kind: &str, event: Value) {
        let mut whole = Map::from_iter([
            ("type".to_owned(), json!(kind)),
            ("hostname".to_owned(), json!(self.node)),
            ("utcoffset".to_owned(), json!(0)),
            ("pid".to_owned(), json!(std::process::id())),
            ("clock".to_owned(), json!(self.events.tick())),
            ("timestamp".to_owned(), json!(seconds(SystemTime::now()))),
        ]);
        whole.extend(event.as_object().cloned().unwrap_or_default());
        let key = kind.replace('-', ".");
        let properties = json!({
            "delivery_mode": 1, "delivery_info": {"exchange": "celeryev", "routing_key": key},
            "priority": 0, "body_encoding": "base64", "delivery_tag": new_id(),
        });
        let headers = json!({"hostname": self.node});
        let text = envelope(&Value::Object(whole).to_string(), headers, properties);
        drop(self.store.publish(&self.channel(&format!("celeryev/{key}")), &text));
    }
}
