//! One task: begun, run to its end, and its outcome stored.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use mainspring::spawn_named;
use mainspring::time::timeout;
use serde_json::Value;

use super::message::{Call, Fault};
use super::outcome::Outcome;
use super::worker::Worker;
use super::{canvas, say, tell};
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
        held.task = Some(spawn_named(name, async move {
            // A mistake of ours in one task is its failure, and nothing to others.
            let ended = AssertUnwindSafe(worker.run(&call, &queue)).catch_unwind().await;
            let bad = |_| Outcome::Failure(Fault::new("RuntimeError", "the worker made a mistake"));
            worker.close(&tag, ended.unwrap_or_else(bad));
        }));
    }

    /// Runs a task to its end, or to its limit of time.
    async fn run(&self, call: &Call, queue: &str) -> Outcome {
        // What cannot be followed by what it asks for is not begun.
        if let Err(fault) = canvas::leaving(call, &Outcome::Success(Value::Null), queue) {
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
        task.is_over = true;
        let (call, queue) = (&task.call, &task.queue);
        let (outcome, leaving) = match canvas::leaving(call, &outcome, queue) {
            Ok(leaving) => (outcome, leaving),
            Err(fault) => {
                let outcome = Outcome::Failure(fault);
                let leaving = canvas::leaving(call, &outcome, queue).unwrap_or_default();
                (outcome, leaving)
            }
        };
        self.tell(call, task.started, &outcome);
        let answer = self.store.finish(tag, &call.id, self.settings.result_expires, leaving);
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
        let done = &mut *self.done.borrow_mut();
        let (count, said) = match outcome {
            Outcome::Success(_) => (&mut done.succeeded, None),
            Outcome::Failure(fault) => (&mut done.failed, Some(format!("failed: {fault}"))),
            Outcome::Revoked(why) => (&mut done.revoked, Some((*why).to_owned())),
            Outcome::Retry(fault, _) => {
                (&mut done.retried, Some(format!("to be tried again: {fault}")))
            }
        };
        *count += 1;
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
