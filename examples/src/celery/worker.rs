//! The worker: takes tasks as it has room for them, runs them, stores what came of them, and keeps
//! what it holds from being taken for lost.
//!
//! ```text
//!            ┌─ due: back to its queue ◄── held until its moment (eta, countdown)
//!   take ────┼─ run ──► finish: result, what follows, and the task let go, at one stroke
//!            └─ refused: revoked, expired or no call: finish at once, or to {queue}.dead
//! ```
//!
//! A task is in Redis from the moment it is sent until the moment it is finished: in its queue, or in
//! `unacked` while a worker holds it. The worker renews that; what is not renewed in time is given back
//! to its queue by any other. So a task runs at least once, whatever dies.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use event_listener::Event;
use futures_util::FutureExt as _;
use mainspring::future::race;
use mainspring::time::{sleep, timeout};
use mainspring::{AbortOnDrop, spawn_named};
use serde_json::Value;

use super::canvas::{Outcome, leaving};
use super::connection::{Address, Connection};
use super::control::RESTORE;
use super::message::{Call, Fault, new_id};
use super::redis::Link;
use super::scripts::Store;
use super::tasks::Tasks;
use super::{say, tell};
use crate::cli::Worker as Settings;
use crate::stop::Stop;
use crate::text::Printable;
use crate::value::{Count, Took};

/// The most tasks that are held for a later moment. With more, nothing is taken until some are due.
const MOST_LATER: usize = 10_000;
/// How long an idle worker waits before it looks without being told: into lists of other priorities,
/// and into all of them where Redis is too old to tell.
const LOOK: Duration = Duration::from_millis(250);
/// How long Redis may take to answer a take once the worker is to end.
const LAST_TAKE: Duration = Duration::from_millis(700);

/// The errors of tasks that are stopped by their hard limit of time and by their soft one.
const LIMITS: [&str; 2] =
    ["billiard.exceptions.TimeLimitExceeded", "billiard.exceptions.SoftTimeLimitExceeded"];

/// A worker.
pub struct Worker {
    pub(super) settings: Settings,
    pub(super) address: Address,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
    /// What it is called among the workers.
    pub(super) node: String,
    pub(super) stop: Stop,
    pub(super) held: RefCell<HashMap<String, Held>>,
    /// The tasks that are not to be run, and since when.
    pub(super) revoked: RefCell<HashMap<String, SystemTime>>,
    /// How often each task was begun.
    pub(super) begun: RefCell<HashMap<String, u64>>,
    /// How often what has become of tasks.
    counts: RefCell<BTreeMap<&'static str, u64>>,
    /// Something has changed for those who wait for room, a message or the end.
    pub(super) changed: Rc<Event>,
    /// There is room and nothing to run.
    pub(super) idle: Rc<Event>,
}

/// A task in hand.
pub(super) struct Held {
    pub(super) queue: String,
    pub(super) call: Rc<Call>,
    /// When it was begun, if it was.
    pub(super) started: Option<SystemTime>,
    /// Whether its outcome is known, and only Redis is still to hear of it.
    pub(super) is_over: bool,
    /// What runs it, or waits for its moment.
    pub(super) task: Option<AbortOnDrop<()>>,
}

impl Held {
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && !self.is_over
    }
}

/// Works until `stop` is asked for, then finishes what runs and gives back what waits; with `now`,
/// gives back what runs, too.
///
/// # Errors
/// One sentence: Redis does not let us in.
pub async fn work(settings: Settings, stop: &Stop, now: &Stop) -> Result<(), String> {
    let address = settings.redis.address()?;
    // What is refused now is a mistake; what cannot be reached now may be later.
    if let Some(Err(error)) = stop.unless_asked(Connection::open(&address)).await
        && error.kind() == ErrorKind::PermissionDenied
    {
        return Err(error.to_string());
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    let worker = Rc::new(Worker {
        store: Store { link: Link::new(address.clone()), prefix: settings.redis.prefix.clone() },
        tasks: Tasks::new(&settings),
        settings,
        address,
        node: format!("mainspring-{}@{host}", std::process::id()),
        stop: stop.clone(),
        held: RefCell::default(),
        revoked: RefCell::default(),
        begun: RefCell::default(),
        counts: RefCell::default(),
        changed: Rc::default(),
        idle: Rc::default(),
    });
    let listening = worker.changed.listen();
    let _crew = worker.crew();
    // The first commands that are sent to all workers are not to be missed.
    if stop.unless_asked(listening).await.is_none() {
        return Ok(());
    }
    let Settings { queue, concurrency: n, .. } = &worker.settings;
    let (queues, names) = (queue.join(", "), worker.tasks.names().join(", "));
    let (shown, node) = (&worker.address.shown, &worker.node);
    tell(&format!("ready: listening to {queues} at {shown} as {node}, {n} at once: {names}"));
    worker.take_all().await;
    worker.end(now).await;
    let mut counts = worker.counts.take();
    let mut line = format!("{} tasks done", Count(counts.remove("done").unwrap_or_default()));
    counts.iter().for_each(|(what, count)| line += &format!(", {} {what}", Count(*count)));
    tell(&line);
    Ok(())
}

impl Worker {
    /// Takes what there is room for, until the worker is to end.
    async fn take_all(self: &Rc<Worker>) {
        let mut number = 0;
        let mut queues = self.settings.queue.clone();
        let this_run = new_id();
        while !self.stop.is_asked() {
            let changed = self.changed.listen();
            let started = self.count(|task| task.started.is_some());
            let free = self.settings.concurrency.saturating_sub(started);
            let mut wait = Duration::from_secs(3_600);
            if free > 0 && self.held.borrow().len() - started < MOST_LATER {
                number += 1;
                let kept = self.settings.visibility_timeout;
                let take = async {
                    let taken = self.store.take(&this_run, number, free, &queues, kept).await;
                    if let Err(refused) = &taken {
                        say(refused);
                        sleep(RESTORE).await;
                    }
                    taken.unwrap_or_default()
                };
                let last = self.stop.asked().then(|()| sleep(LAST_TAKE)).map(|()| Vec::new());
                let taken = race(take, last).await;
                // Each has its turn to be the first that is looked into.
                queues.rotate_left(1);
                if !taken.is_empty() {
                    taken.into_iter().for_each(|taken| self.accept(taken));
                    continue;
                }
                wait = LOOK;
                self.idle.notify(usize::MAX);
            }
            timeout(wait, race(changed, self.stop.asked())).await.unwrap_or_default();
        }
    }

    /// Deals with a message that was taken.
    fn accept(self: &Rc<Worker>, [tag, message, queue]: [String; 3]) {
        if tag.is_empty() {
            return say(&format!("a message is no task; see {queue}.dead"));
        }
        // What was given back for us may come back: we are at it.
        if self.held.borrow().contains_key(&tag) {
            return;
        }
        let (ended, call) = match Call::read(&message) {
            Ok(call) => (self.unwanted(&call), call),
            Err((Some(id), fault)) => {
                let task = "a message that is no call".to_owned();
                (Some(Outcome::Failure(fault)), Call { id, task, ..Call::default() })
            }
            Err((None, fault)) => {
                say(&format!("a message is no task, {fault}; see {queue}.dead"));
                return drop(self.store.move_to(&tag, "dead"));
            }
        };
        let wait = call.eta.and_then(|eta| eta.duration_since(SystemTime::now()).ok());
        let call = Rc::new(call);
        let held = Held { queue, call, started: None, is_over: false, task: None };
        self.held.borrow_mut().insert(tag.clone(), held);
        match (ended, wait) {
            (Some(outcome), _) => self.close(&tag, outcome),
            (None, _) if self.stop.is_asked() => self.let_go(&tag, "back"),
            (None, Some(wait)) => self.begin_later(tag, wait),
            (None, None) => self.begin(tag),
        }
    }

    /// Holds a task until its moment. Then it is the next in its queue, for any that has room for it.
    fn begin_later(self: &Rc<Worker>, tag: String, wait: Duration) {
        let (worker, name) = (self.clone(), tag.clone());
        let waiting = spawn_named("a task for later", async move {
            sleep(wait).await;
            worker.let_go(&name, "due");
            worker.changed.notify(usize::MAX);
        });
        let waiting = Some(waiting.abort_on_drop());
        self.held.borrow_mut().get_mut(&tag).expect("it is held").task = waiting;
    }

    /// How a task ends that is no longer wanted.
    fn unwanted(&self, call: &Call) -> Option<Outcome> {
        let revoked = self.revoked.borrow().contains_key(&call.id).then_some("revoked");
        let expired = call.expires.filter(|moment| *moment <= SystemTime::now()).map(|_| "expired");
        revoked.or(expired).map(Outcome::Revoked)
    }

    /// Has a task run.
    fn begin(self: &Rc<Worker>, tag: String) {
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
        let limits = call.timelimit.into_iter().zip(LIMITS).filter_map(|(seconds, class)| {
            let wait = Duration::try_from_secs_f64(seconds.filter(|seconds| *seconds > 0.0)?);
            Some((wait.ok()?, class))
        });
        let Some((wait, class)) = limits.min() else { return work.await };
        let late = |_| Fault::new(class, wait.as_secs_f64()).into();
        timeout(wait, work).await.unwrap_or_else(late)
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
        let answer = self.store.finish(tag, self.settings.result_expires, leaving);
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

    /// Lets go of a task: it is the next in its queue, since it is `due` or is given `back` unfinished.
    fn let_go(&self, tag: &str, how: &str) {
        // What runs it, or waits for its moment, is cancelled.
        let Some(_held) = self.held.borrow_mut().remove(tag) else { return };
        drop(self.store.move_to(tag, how));
        if how == "back" {
            self.add("given back");
        }
    }

    /// Ends: gives back what waits, finishes what runs or, once `now` is asked for, gives that back
    /// too, and lets Redis know, if it will.
    async fn end(self: &Rc<Worker>, now: &Stop) {
        let waits = |task: &Held| task.started.is_none() && !task.is_over;
        self.tags(waits).iter().for_each(|tag| self.let_go(tag, "back"));
        let running = self.count(Held::is_running);
        tell(&format!("ending: {running} tasks run; a second signal gives them back"));
        let finished = async {
            while self.count(Held::is_running) > 0 {
                self.changed.listen().await;
            }
        };
        race(finished, now.asked()).await;
        self.tags(Held::is_running).iter().for_each(|tag| self.let_go(tag, "back"));
        drop(self.event("offline"));
        if !self.store.link.settled().await {
            say("Redis does not answer: the rest comes back after the visibility timeout");
        }
    }

    /// Counts what has become of a task.
    pub(super) fn add(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    /// How many tasks of a kind there are.
    pub(super) fn count(&self, which: impl Fn(&Held) -> bool) -> usize {
        self.held.borrow().values().filter(|task| which(task)).count()
    }

    /// The tags of the tasks of a kind.
    pub(super) fn tags(&self, which: impl Fn(&Held) -> bool) -> Vec<String> {
        let held = self.held.borrow();
        held.iter().filter(|(_, task)| which(task)).map(|(tag, _)| tag.clone()).collect()
    }
}
