//! What a worker does beside its tasks: it keeps what it holds, gives back what others have died with,
//! and listens.

use std::rc::Rc;
use std::time::Duration;

use mainspring::future::race;
use mainspring::time::{sleep, timeout};
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};
use serde_json::Value;

use super::address::Address;
use super::bell::Bell;
use super::connection::{Connection, Trouble};
use super::message::{held, redelivered};
use super::redis::{listen, watch};
use super::say;
use super::worker::{Done, LOOK, Worker};
use crate::stop::Stop;

/// How often a worker looks for tasks that others have died with.
pub(super) const RESTORE: Duration = Duration::from_secs(1);

/// Waits until Redis can be reached; false if the worker is to end before that.
pub(super) async fn reach(address: &Address, stop: &Stop) -> Result<bool, String> {
    let mut said = false;
    loop {
        let stopped = async {
            stop.asked().await;
            Err(Trouble::Lost(String::new()))
        };
        match race(Connection::open(address), stopped).await {
            Ok(_) => return Ok(true),
            Err(_) if stop.is_asked() => return Ok(false),
            Err(Trouble::Refused(text)) => return Err(text),
            Err(Trouble::Lost(text)) if !said => say(&format!("{text}; trying again")),
            Err(Trouble::Lost(_)) => {}
        }
        said = true;
        timeout(RESTORE, stop.asked()).await.unwrap_or_default();
    }
}

impl Worker {
    /// The tasks beside those that are asked for. They end when this is dropped.
    pub(super) fn crew(self: &Rc<Worker>, listening: &Rc<Bell>) -> Vec<AbortOnDrop<()>> {
        let address = || self.settings.address.clone();
        let mut crew = vec![
            spawn_named("the link to Redis", self.store.link.clone().drive()),
            spawn_named("renewing", self.clone().renew()),
            spawn_named("restoring", self.clone().restore()),
            spawn_named("heartbeat", self.clone().beat()),
        ];
        let (worker, listening) = (self.clone(), listening.clone());
        let control = listen(address(), self.control_pattern(), move |heard| {
            worker.hear(heard);
            listening.ring();
        });
        crew.push(spawn_named("control", control));
        for queue in &self.settings.queues {
            let list = self.store.list(queue, 0);
            let watching = watch(address(), list, self.idle.clone(), self.changed.clone());
            crew.push(spawn_named(format!("watching {queue}"), watching));
        }
        crew.into_iter().map(JoinHandle::abort_on_drop).collect()
    }

    /// Keeps what is held from being taken for lost.
    async fn renew(self: Rc<Worker>) {
        loop {
            sleep((self.settings.visibility / 3).max(LOOK)).await;
            // While Redis is away, one renewal waits for it and not many.
            if self.store.link.unanswered() < 1_000 {
                let tags: Vec<String> = self.held.borrow().keys().cloned().collect();
                self.store.renew(&tags);
            }
        }
    }

    /// Gives back, to whatever queue, what others have died with.
    async fn restore(self: Rc<Worker>) {
        loop {
            sleep(RESTORE.mul_f64(0.5 + fastrand::f64())).await;
            let Ok(overdue) = self.store.overdue(self.settings.visibility).await else { continue };
            for (tag, text) in overdue {
                if self.held.borrow().contains_key(&tag) {
                    continue;
                }
                let Some((message, exchange, key)) = held(&text) else { continue };
                let queue = match &*exchange {
                    "" => Some(key),
                    _ => self.store.bound(&exchange, &key).await.unwrap_or_default(),
                };
                let Some(queue) = queue else { continue };
                let parsed: Value = serde_json::from_str(message).unwrap_or_default();
                let priority = parsed["properties"]["priority"].as_u64().unwrap_or(0).min(9) as u8;
                let list = self.store.list(&queue, priority);
                let message = redelivered(message, &queue);
                let moved = self.store.give_back(&tag, &text, &list, &message).reply().await;
                if moved == Ok(super::resp::Reply::Number(1)) {
                    let done = self.done.get();
                    self.done.set(Done { restored: done.restored + 1, ..done });
                    say(&format!("a task is back in {queue} that a worker was lost with"));
                }
            }
        }
    }
}
