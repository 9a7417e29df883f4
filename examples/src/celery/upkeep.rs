//! What a worker does beside its tasks: it keeps what it holds, gives back what others have died with,
//! and listens.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use mainspring::time::{now, sleep, timeout};
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};

use super::address::Address;
use super::connection::Connection;
use super::redis::{as_pattern, listen, watch};
use super::say;
use super::worker::Worker;
use crate::stop::Stop;

/// How often a worker looks for tasks that others have died with.
pub(super) const RESTORE: Duration = Duration::from_secs(1);

/// Waits until Redis can be reached; false if the worker is to end before that.
pub(super) async fn reach(address: &Address, stop: &Stop) -> Result<bool, String> {
    let mut said = false;
    loop {
        match stop.unless_asked(Connection::open(address)).await {
            None => return Ok(false),
            Some(Ok(_)) => return Ok(true),
            Some(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(error.to_string());
            }
            Some(Err(error)) if !said => say(&format!("{error}; trying again")),
            Some(Err(_)) => {}
        }
        said = true;
        timeout(RESTORE, stop.asked()).await.unwrap_or_default();
    }
}

impl Worker {
    /// The tasks beside those that are asked for. They end when this is dropped.
    pub(super) fn crew(self: &Rc<Worker>) -> Vec<AbortOnDrop<()>> {
        let address = || self.address.clone();
        let mut crew = vec![
            spawn_named("upkeep", self.clone().upkeep()),
            spawn_named("heartbeat", self.clone().beat()),
        ];
        let (worker, channel) = (self.clone(), as_pattern(&self.channel("celery.pidbox")));
        let control = listen(address(), channel, move |heard| {
            worker.hear(heard);
            worker.changed.notify(usize::MAX);
        });
        crew.push(spawn_named("control", control));
        for queue in &self.settings.queue {
            let list = self.store.list(queue, 0);
            let watching = watch(address(), list, self.idle.clone(), self.changed.clone());
            crew.push(spawn_named(format!("watching {queue}"), watching));
        }
        crew.into_iter().map(JoinHandle::abort_on_drop).collect()
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
                self.done.borrow_mut().restored += 1;
                say(&format!("a task is back in {queue} that a worker was lost with"));
            }
        }
    }
}
