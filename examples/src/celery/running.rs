//! One task: begun, run to its end, and its outcome stored.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use mainspring::spawn_named;
use mainspring::time::timeout;
use serde_json::Value;

use super::canvas::{Outcome, leaving};
use super::message::{Call, Fault};
use super::worker::Worker;
use super::{say, tell};
use crate::text::Printable;
use crate::value::Took;

impl Worker {
    pub(super) fn begin(self: &Rc<Worker>, tag: String) {
        let mut all = self.held.borrow_mut();
        let Some(held) = all.get_mut(&tag) else { return };
        held.started = Some(SystemTime::now());
        let (worker, call, queue) = (self.clone(), held.call.clone(), held.queue.clone());
        *self.begun.borrow_mut().entry(call.task.clone()).or_default() += 1;
        let name = format!("{} {}", call.task, call.id);
        let running = spawn_named(name, async move {
            // A mistake of ours in one task is its failure, and nothing to others.
            let ended = AssertUnwindSafe(worker.run(&call, &queue)).catch_unwind().await;
            let bad = |_| Outcome::Failure(Fault::new("RuntimeError", "the worker made a mistake"));
            worker.close(&tag, ended.unwrap_or_else(bad));
        });
        held.task = Some(running.abort_on_drop());
    }

    /// Runs a task to its end, or to its limit of time.
    async fn run(&self, call: &Call, queue: &str) -> Outcome {
        // What cannot be followed by what it asks for is not begun.
        if let Err(fault) = leaving(call, &Outcome::Success(Value::Null), queue) {
            return Outcome::Failure(fault);
        }
        let work = self.tasks.run(call);
        let limit = |seconds: Option<f64>, class| {
            let wait = Duration::try_from_secs_f64(seconds.filter(|seconds| *seconds > 0.0)?);
            Some((wait.ok()?, class))
        };
        let [hard, soft] = call.timelimit;
        let limits = [limit(soft, "SoftTimeLimitExceeded"), limit(hard, "TimeLimitExceeded")];
        let Some((wait, class)) = limits.into_iter().flatten().min() else { return work.await };
        timeout(wait, work).await.unwrap_or_else(|_| {
            let fault = Fault::celery(class, wait.as_secs_f64());
            Outcome::Failure(Fault { module: "billiard.exceptions", ..fault })
        })
    }

    /// Has the outcome of a task stored and the task let go.
    pub(super) fn close(self: &Rc<Worker>, tag: &str, outcome: Outcome) {
        let mut all = self.held.borrow_mut();
        let Some(task) = all.get_mut(tag).filter(|task| !task.is_over) else { return };
        let leaving = match leaving(&task.call, &outcome, &task.queue) {
            Ok(leaving) => leaving,
            Err(fault) => {
                drop(all);
                return self.close(tag, Outcome::Failure(fault));
            }
        };
        task.is_over = true;
        self.tell(&task.call, task.started, &outcome);
        let expires = self.settings.result_expires;
        let answer = self.store.finish(tag, &task.call.id, expires, leaving);
        let (worker, tag) = (self.clone(), tag.to_owned());
        let stored = async move {
            if let Err(refused) = answer.await {
                say(&format!("a result is not stored: {refused}"));
            }
            worker.held.borrow_mut().remove(&tag);
            worker.changed.notify(usize::MAX);
        };
        drop(spawn_named("storing a result", stored));
        self.changed.notify(usize::MAX);
    }

    /// Counts an outcome, and says what is to be said of it.
    fn tell(&self, call: &Call, started: Option<SystemTime>, outcome: &Outcome) {
        let took = || Took(started.and_then(|at| at.elapsed().ok()).unwrap_or_default());
        let (what, said) = match outcome {
            Outcome::Success(_) => ("done", format!("done in {}", took())),
            Outcome::Failure(fault) => ("failed", format!("failed: {fault}")),
            Outcome::Revoked(why) => ("revoked", (*why).to_owned()),
            Outcome::Retry(fault, _) => ("to be tried again", format!("is tried again: {fault}")),
        };
        self.add(what);
        let (task, id, said) = (Printable(&call.task), Printable(&call.id), Printable(&said));
        let line = format!("{task} {id} {said}");
        match outcome {
            Outcome::Success(_) if self.settings.verbose => tell(&line),
            Outcome::Success(_) => {}
            _ => say(&line),
        }
    }
}
