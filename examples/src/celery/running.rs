//! One task: begun, run to its end, and its outcome stored.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::future::{Receiver, oneshot, race};
use mainspring::spawn_named;
use mainspring::time::sleep;
use serde_json::Value;

use super::message::{Call, Fault, held, retried};
use super::outcome::Outcome;
use super::redis::Answer;
use super::tasks::NoValue;
use super::worker::Worker;
use super::{canvas, say, tell};
use crate::text::Printable;
use crate::value::Took;

impl Worker {
    pub(super) fn begin(self: &Rc<Worker>, tag: String) {
        if let Some(reason) = self.unwanted(&tag) {
            self.close(&tag, Outcome::Revoked(reason));
            return;
        }
        let (kill, killed) = oneshot();
        let mut all = self.held.borrow_mut();
        let Some(held) = all.get_mut(&tag) else { return };
        held.started = Some(SystemTime::now());
        held.kill = Some(kill);
        let call = held.call.clone();
        *self.begun.borrow_mut().entry(call.task.clone()).or_default() += 1;
        self.working.set(self.working.get() + 1);
        let name = format!("{} {}", call.task, call.id);
        let queue = held.queue.clone();
        self.running.set(self.running.get() + 1);
        let worker = self.clone();
        let run = async move {
            let ended = worker.run(&call, &queue, killed).await;
            worker.working.set(worker.working.get() - 1);
            worker.close(&tag, ended);
        };
        held.task = Some(spawn_named(name, run));
    }

    /// Runs a task to its end, to its limit of time or to its termination.
    async fn run(&self, call: &Call, queue: &str, killed: Receiver<()>) -> Outcome {
        // What cannot be followed by what it asks for is not begun.
        if let Err(fault) = canvas::leaving(call, &Outcome::Success(Value::Null), queue) {
            return Outcome::Failure(fault);
        }
        let work = async {
            match self.tasks.run(call).await {
                Ok(value) => Outcome::Success(value),
                Err(NoValue::Failed(fault)) => Outcome::Failure(fault),
                Err(NoValue::Again(fault, after)) => Outcome::Retry(fault, after),
            }
        };
        let [hard, soft] = call.timelimit;
        let limit = |seconds: Option<f64>, class| async move {
            let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
            let fault = Fault::celery(class, seconds.unwrap_or_default());
            Outcome::Failure(Fault { module: "billiard.exceptions", ..fault })
        };
        let hard = limit(hard, "TimeLimitExceeded");
        let soft = limit(soft, "SoftTimeLimitExceeded");
        let killed = async {
            match killed.await {
                Ok(()) => Outcome::Revoked("terminated"),
                Err(_) => std::future::pending().await,
            }
        };
        race(work, race(killed, race(hard, soft))).await
    }

    /// Has the outcome of a task stored and the task let go.
    pub(super) fn close(self: &Rc<Worker>, tag: &str, outcome: Outcome) {
        let (worker, name) = (self.clone(), tag.to_owned());
        let Some((answer, started)) = self.send_outcome(tag, outcome) else { return };
        let stored = async move {
            if let Err(refused) = answer.reply().await {
                say(&format!("a result is not stored: {refused}"));
            }
            worker.held.borrow_mut().remove(&name);
            if started {
                worker.running.set(worker.running.get() - 1);
            }
            worker.changed.ring();
        };
        drop(spawn_named("storing a result", stored));
        self.changed.ring();
    }

    fn send_outcome(&self, tag: &str, outcome: Outcome) -> Option<(Answer, bool)> {
        let mut all = self.held.borrow_mut();
        let task = all.get_mut(tag)?;
        (task.kill, task.task) = (None, None);
        let (call, queue) = (&task.call, &task.queue);
        let (outcome, mut leaving) = match canvas::leaving(call, &outcome, queue) {
            Ok(leaving) => (outcome, leaving),
            Err(fault) => {
                let outcome = Outcome::Failure(fault);
                let leaving = canvas::leaving(call, &outcome, queue).unwrap_or_default();
                (outcome, leaving)
            }
        };
        if let (Outcome::Retry(_, after), Some((message, ..))) = (&outcome, held(&task.text)) {
            let again = retried(message, call, SystemTime::now() + *after, queue);
            leaving.sends.extend(again.map(|text| (queue.clone(), call.priority, text)));
        }
        self.tell(call, task.started, &outcome);
        let expires = self.settings.result_expires;
        Some((self.store.finish(tag, &call.id, expires, &leaving), task.started.is_some()))
    }

    /// Counts an outcome, and says what is to be said of it.
    fn tell(&self, call: &Call, started: Option<SystemTime>, outcome: &Outcome) {
        let mut done = self.done.get();
        let (count, said) = match outcome {
            Outcome::Success(_) => (&mut done.succeeded, None),
            Outcome::Failure(fault) => (&mut done.failed, Some(format!("failed: {fault}"))),
            Outcome::Revoked(why) => (&mut done.revoked, Some((*why).to_owned())),
            Outcome::Retry(fault, _) => {
                (&mut done.retried, Some(format!("to be tried again: {fault}")))
            }
        };
        *count += 1;
        self.done.set(done);
        let shown = format!("{} {}", Printable(&call.task), Printable(&call.id));
        match said {
            Some(said) => say(&format!("{shown} {}", Printable(&said))),
            None if self.settings.verbose => {
                let took = started.and_then(|at| at.elapsed().ok()).unwrap_or_default();
                tell(&format!("{shown} done in {}", Took(took)));
            }
            None => {}
        }
    }
}
