//! What a worker does beside its tasks: it keeps what it holds, gives back what others have died with,
//! hears what is said to all workers (`celery inspect` and `control`), and says of itself that it lives,
//! for monitors such as Flower.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::time::{now, sleep};
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};
use serde_json::{Value, json};

use super::canvas::Outcome;
use super::message::{Call, envelope, iso, seconds, show, unpack};
use super::redis::{Answer, as_pattern, listen, watch};
use super::say;
use super::worker::{Held, Worker};

/// How often a worker looks for tasks that others have died with.
pub(super) const RESTORE: Duration = Duration::from_secs(1);
/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How many ids of revoked tasks are remembered, the latest: Celery's number.
const MOST_REVOKED: usize = 50_000;

impl Worker {
    /// The tasks beside those that are asked for. They end when this is dropped.
    pub(super) fn crew(self: &Rc<Worker>) -> Vec<AbortOnDrop<()>> {
        let (worker, channel) = (self.clone(), as_pattern(&self.channel("celery.pidbox")));
        let control = listen(self.address.clone(), channel, move |heard| {
            worker.hear(heard);
            worker.changed.notify(usize::MAX);
        });
        let watching = self.settings.queue.iter().map(|queue| {
            let (address, list) = (self.address.clone(), self.store.list(queue, 0));
            let watching = watch(address, list, self.idle.clone(), self.changed.clone());
            spawn_named(format!("watching {queue}"), watching)
        });
        let crew = [
            spawn_named("upkeep", self.clone().upkeep()),
            spawn_named("heartbeat", self.clone().beat()),
            spawn_named("control", control),
        ];
        crew.into_iter().chain(watching).map(JoinHandle::abort_on_drop).collect()
    }

    /// Keeps what is held from being taken for lost, and gives back, to whatever queue, what others have
    /// died with.
    async fn upkeep(self: Rc<Worker>) {
        let visibility = self.settings.visibility_timeout;
        let (often, mut renewed) = (visibility / 4, now());
        loop {
            sleep(RESTORE.min(often).mul_f64(0.5 + fastrand::f64())).await;
            let mut tags = Vec::new();
            if now().duration_since(renewed) >= often {
                (tags, renewed) = (self.tags(|_| true), now());
            }
            for queue in self.store.upkeep(visibility, &tags).await.unwrap_or_default() {
                self.add("restored that others were lost with");
                say(&format!("a task is back in {queue} that a worker was lost with"));
            }
        }
    }

    /// The channel of an exchange that all hear.
    fn channel(&self, exchange: &str) -> String {
        format!("{}/{}.{exchange}", self.settings.redis.prefix, self.address.db)
    }

    /// Hears what is said to all workers. What is no command is passed over.
    fn hear(self: &Rc<Worker>, heard: Option<Vec<u8>>) {
        let Some(text) = heard else { return drop(self.event("online")) };
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let body = read(&unpack(&read(&text)).unwrap_or_default());
        let nodes = body["destination"].as_array().filter(|nodes| !nodes.is_empty());
        let is_meant = match nodes {
            Some(nodes) => nodes.iter().any(|node| node == self.node.as_str()),
            // A pattern of names is not read: rather none than those that it does not mean.
            None => body["pattern"].is_null() || body["matcher"].is_null(),
        };
        let Some(method) = body["method"].as_str().filter(|_| is_meant) else { return };
        let reply = self.carry_out(method, &body["arguments"]);
        let to = &body["reply_to"];
        if let (Some(exchange), Some(key)) = (to["exchange"].as_str(), to["routing_key"].as_str()) {
            let (reply, ticket) = (json!({&self.node: reply}), json!({"ticket": body["ticket"]}));
            self.store.reply(exchange, key, envelope(&reply, &ticket, [exchange, key], 0));
        }
    }

    fn carry_out(self: &Rc<Worker>, method: &str, arguments: &Value) -> Value {
        match method {
            "ping" => json!({"ok": "pong"}),
            "hello" => json!({"revoked": {}}),
            "registered" | "registered_tasks" => json!(self.tasks.names()),
            "active" => self.active(),
            "revoked" => json!(self.revoked.borrow().keys().collect::<Vec<_>>()),
            "stats" => self.stats(),
            "active_queues" => {
                let exchange = json!({"name": "", "type": "direct"});
                let queue = |name| json!({"name": name, "routing_key": name, "exchange": exchange});
                self.settings.queue.iter().map(queue).collect()
            }
            "revoke" | "terminate" => {
                let one = [arguments["task_id"].clone()];
                let ids = arguments["task_id"].as_array().map_or(&one[..], Vec::as_slice);
                let also_running = method == "terminate" || arguments["terminate"] == true;
                ids.iter().filter_map(Value::as_str).for_each(|id| self.revoke(id, also_running));
                let verb = if also_running { "terminated" } else { "revoked" };
                json!({"ok": format!("tasks {} flagged as {verb}", show(&json!(ids)))})
            }
            "shutdown" => {
                self.stop.ask();
                Value::Null
            }
            other => json!({"error": format!("unknown command {}", show(&json!(other)))}),
        }
    }

    /// Has a task not begun any more, and one that runs end, if that is wanted.
    fn revoke(self: &Rc<Worker>, id: &str, also_running: bool) {
        let mut revoked = self.revoked.borrow_mut();
        revoked.insert(id.to_owned(), SystemTime::now());
        if revoked.len() > MOST_REVOKED {
            let oldest = revoked.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.map(|oldest| revoked.remove(&oldest));
        }
        drop(revoked);
        let why = if also_running { "terminated" } else { "revoked" };
        for tag in self.tags(|task| task.call.id == id && (also_running || !task.is_running())) {
            drop(self.held.borrow_mut().get_mut(&tag).and_then(|held| held.task.take()));
            self.close(&tag, Outcome::Revoked(why));
        }
    }

    /// The tasks that have started.
    fn active(&self) -> Value {
        let describe = |held: &Held| {
            let Call { id, task, args, eta, .. } = &*held.call;
            json!({
                "id": id, "name": task, "type": task, "args": args, "kwargs": held.call.shown_kwargs(),
                "hostname": self.node, "time_start": held.started.map(seconds),
                "acknowledged": false, "worker_pid": std::process::id(), "eta": eta.map(iso),
                "delivery_info": {"exchange": "", "routing_key": held.queue, "redelivered": null},
            })
        };
        let held = self.held.borrow();
        held.values().filter(|held| held.started.is_some()).map(describe).collect()
    }

    fn stats(&self) -> Value {
        let (pid, n) = (std::process::id(), self.settings.concurrency);
        json!({
            "total": *self.begun.borrow(), "pid": pid,
            "prefetch_count": n, "rusage": {},
            "pool": {"implementation": "mainspring", "max-concurrency": n, "processes": [pid]},
            "broker": {"transport": "redis", "hostname": self.address.shown},
        })
    }

    /// Says that it lives, for ever.
    async fn beat(self: Rc<Worker>) {
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
        let event = json!({
            "type": format!("worker-{kind}"), "hostname": self.node, "utcoffset": 0,
            "pid": std::process::id(), "timestamp": seconds(SystemTime::now()),
            "freq": BEAT.as_secs_f64(), "loadavg": load, "sw_ident": "mainspring",
            "sw_ver": super::tasks::VERSION, "sw_sys": std::env::consts::OS,
            "active": self.count(Held::is_running),
            "processed": self.begun.borrow().values().sum::<u64>(),
        });
        let key = format!("worker.{kind}");
        let text = envelope(&event, &json!({"hostname": self.node}), ["celeryev", &key], 0);
        let channel = self.channel(&format!("celeryev/{key}"));
        self.store.link.call(&["PUBLISH", &channel, &text])
    }
}
