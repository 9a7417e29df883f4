//! The worker: takes tasks as it has room for them, runs them, stores what came of them, and keeps
//! what it holds from being taken for lost.
//!
//! ```text
//!            ┌─ due ◄── held until its moment (eta, countdown)
//!   take ────┼─ run ──► finish: result, what follows, and the task let go, at one stroke
//!            └─ refused: revoked, expired or no call: finish at once, or to {queue}.dead
//! ```
//!
//! A task is in Redis from the moment it is sent until the moment it is finished: in its queue, or in
//! `unacked` while somebody holds it. Whoever holds one renews that; what is not renewed in time is
//! given back to its queue by any worker. So a task runs at least once, whoever dies.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::future::{Receiver, Sender, oneshot, race};
use mainspring::time::{sleep, timeout};
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};
use serde_json::Value;

use super::address::Address;
use super::bell::Bell;
use super::control::{Events, Revoked};
use super::message::{Call, Fault, Outcome, Unreadable, held, new_id, redelivered, retried};
use super::redis::{Connection, Link, Trouble, listen, watch};
use super::scripts::Store;
use super::tasks::{NoValue, Tasks};
use super::{canvas, say};
use crate::stop::Stop;
use crate::text::Printable;

/// The most tasks that are held for a later moment. With more, nothing is taken until some are due.
const MOST_LATER: usize = 10_000;
/// How long an idle worker waits before it looks without being told: into lists of other priorities,
/// and into all of them where Redis is too old to tell.
const LOOK: Duration = Duration::from_millis(250);
/// How often it looks for tasks that others have died with.
const RESTORE: Duration = Duration::from_secs(1);
/// How long Redis may take, once the worker is to end, to answer a take and then all the rest.
const LAST_TAKE: Duration = Duration::from_millis(700);
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a worker is to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Redis is.
    pub address: Address,
    /// What all keys begin with.
    pub prefix: String,
    /// The queues to take from.
    pub queues: Vec<String>,
    /// How many tasks to run at once.
    pub concurrency: usize,
    /// After how long a task that nobody renews is taken for lost.
    pub visibility: Duration,
    /// How long results are kept; zero for ever.
    pub result_expires: Duration,
    /// Whether to tell of every task.
    pub verbose: bool,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Tasks with a value.
    pub succeeded: u64,
    /// Tasks with an error.
    pub failed: u64,
    /// Tasks that were no longer wanted.
    pub revoked: u64,
    /// Tasks to be tried again.
    pub retried: u64,
    /// Tasks given back unfinished.
    pub given_back: u64,
    /// Tasks of others that were given back for them.
    pub restored: u64,
}

/// A worker.
pub struct Worker {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
    /// What it is called among the workers.
    pub(super) node: String,
    pub(super) began: SystemTime,
    pub(super) events: Events,
    pub(super) stop: Stop,
    pub(super) held: RefCell<HashMap<String, Held>>,
    pub(super) revoked: RefCell<Revoked>,
    pub(super) done: Cell<Done>,
    /// How often each task was begun.
    pub(super) begun: RefCell<HashMap<String, u64>>,
    later: RefCell<BTreeSet<(SystemTime, String)>>,
    /// Tasks whose outcome is not known yet, and those for which there is no room until Redis has it.
    working: Cell<usize>,
    running: Cell<usize>,
    /// Something has changed for those who wait for room, a message or the end.
    changed: Rc<Bell>,
    /// There is room and nothing to run.
    idle: Rc<Bell>,
}

/// A task in hand.
pub(super) struct Held {
    text: String,
    pub(super) queue: String,
    pub(super) call: Rc<Call>,
    /// When it was begun, if it was.
    pub(super) started: Option<SystemTime>,
    kill: Option<Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// Works until `stop` is asked for, then finishes what runs and gives back what waits; with `now`,
/// gives back what runs, too. `ready` is told what the worker listens to.
///
/// # Errors
/// One sentence: Redis does not let us in.
pub async fn work(
    settings: Settings,
    tasks: Tasks,
    stop: &Stop,
    now: &Stop,
    ready: impl FnOnce(&str),
) -> Result<Done, String> {
    if !reach(&settings.address, stop).await? {
        return Ok(Done::default());
    }
    let store =
        Store { link: Link::new(settings.address.clone()), prefix: settings.prefix.clone() };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    let worker = Rc::new(Worker {
        node: format!("mainspring-{}@{host}", std::process::id()),
        began: SystemTime::now(),
        events: Events::default(),
        stop: stop.clone(),
        held: RefCell::default(),
        revoked: RefCell::default(),
        done: Cell::default(),
        begun: RefCell::default(),
        later: RefCell::default(),
        working: Cell::new(0),
        running: Cell::new(0),
        changed: Rc::default(),
        idle: Rc::default(),
        store,
        tasks,
        settings,
    });
    let listening = Rc::new(Bell::default());
    let crew = worker.crew(&listening);
    // The first commands that are sent to all workers are not to be missed, and not to be waited for.
    timeout(LAST_WORDS, listening.heard(&mut 0)).await.unwrap_or_default();
    let known: Vec<&str> = worker.tasks.names().collect();
    let Settings { queues, address, concurrency, .. } = &worker.settings;
    ready(&format!(
        "listening to {} at {address} as {}, {concurrency} at once: {}",
        queues.join(", "),
        worker.node,
        known.join(", ")
    ));
    worker.take_all().await;
    worker.end(now).await;
    drop(crew);
    Ok(worker.done.get())
}

/// Waits until Redis can be reached; false if the worker is to end before that.
async fn reach(address: &Address, stop: &Stop) -> Result<bool, String> {
    let mut said = false;
    loop {
        match Connection::open(address).await {
            Ok(_) => return Ok(true),
            Err(Trouble::Refused(text)) => return Err(text),
            Err(Trouble::Lost(text)) if !said => say(&format!("{text}; trying again")),
            Err(Trouble::Lost(_)) => {}
        }
        said = true;
        timeout(RESTORE, stop.asked()).await.unwrap_or_default();
        if stop.is_asked() {
            return Ok(false);
        }
    }
}

impl Worker {
    /// The tasks beside those that are asked for. They end when this is dropped.
    fn crew(self: &Rc<Worker>, listening: &Rc<Bell>) -> Vec<AbortOnDrop<()>> {
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

    /// Takes what there is room for, until the worker is to end.
    async fn take_all(self: &Rc<Worker>) {
        let (mut number, mut heard) = (0, 0);
        let mut queues = self.settings.queues.clone();
        let this_run = new_id();
        while !self.stop.is_asked() {
            let due = self.run_what_is_due();
            let free = self.settings.concurrency - self.running.get();
            let mut wait = due;
            if free > 0 && self.later.borrow().len() < MOST_LATER {
                number += 1;
                let take =
                    self.store.take(&this_run, number, free, &queues, self.settings.visibility);
                let last = async {
                    self.stop.asked().await;
                    sleep(LAST_TAKE).await;
                    Err(String::new())
                };
                match race(take, last).await {
                    Ok((dead, taken)) => {
                        if dead > 0 {
                            say(&format!(
                                "{dead} messages are no task; see the lists that end in .dead"
                            ));
                        }
                        let some = !taken.is_empty();
                        taken.into_iter().for_each(|(tag, text)| self.accept(tag, text));
                        // Each has its turn to be the first that is looked into.
                        queues.rotate_left(1);
                        if some {
                            continue;
                        }
                        wait = wait.min(LOOK);
                    }
                    Err(_) if self.stop.is_asked() => break,
                    Err(refused) => {
                        say(&refused);
                        wait = wait.min(RESTORE);
                    }
                }
                self.idle.ring();
            }
            let event = race(self.changed.heard(&mut heard), self.stop.asked());
            timeout(wait, event).await.unwrap_or_default();
        }
    }

    /// Begins what was held until now, as far as there is room; gives how long until the next is due.
    fn run_what_is_due(self: &Rc<Worker>) -> Duration {
        loop {
            let next = self.later.borrow().first().cloned();
            let Some((eta, tag)) = next else { return Duration::from_secs(3600) };
            if self.running.get() >= self.settings.concurrency {
                return Duration::from_secs(3600);
            }
            if let Ok(wait) = eta.duration_since(SystemTime::now()) {
                return wait;
            }
            self.later.borrow_mut().remove(&(eta, tag.clone()));
            self.begin(tag);
        }
    }

    /// Deals with a message that was taken.
    fn accept(self: &Rc<Worker>, tag: String, text: String) {
        if self.held.borrow().contains_key(&tag) {
            // It was given back for us, and has come back: we are at it.
            return;
        }
        let Some((message, _, queue)) = held(&text) else {
            // Redis reads more as JSON than there is.
            let end = text.rfind(", \"\", \"").unwrap_or(text.len());
            let queue = text.get(end + 7..text.len() - 2).unwrap_or("celery");
            say(&format!("a message is no task; see {queue}.dead"));
            drop(self.store.bury(&tag, &text, queue, text.get(1..end).unwrap_or_default()));
            return;
        };
        let call = match Call::read(message) {
            Ok(call) => call,
            Err(Unreadable { id: None, fault }) => {
                say(&format!("a message is no task, {fault}; see {queue}.dead"));
                drop(self.store.bury(&tag, &text, &queue, message));
                return;
            }
            Err(Unreadable { id: Some(id), fault }) => {
                let call =
                    Call { id, task: "a message that is no call".to_owned(), ..Call::default() };
                self.hold(tag.clone(), text, queue, call);
                self.close(&tag, Outcome::Failure(fault));
                return;
            }
        };
        let eta = call.eta;
        self.event_received(&call);
        self.hold(tag.clone(), text, queue, call);
        if self.stop.is_asked() {
            self.give_back(&tag);
        } else if eta.is_some_and(|eta| eta > SystemTime::now()) {
            if let Some(reason) = self.unwanted(&tag) {
                self.close(&tag, Outcome::Revoked(reason));
            } else {
                self.later.borrow_mut().insert((eta.unwrap_or(self.began), tag));
            }
        } else {
            self.begin(tag);
        }
    }

    fn hold(&self, tag: String, text: String, queue: String, call: Call) {
        let held = Held { text, queue, call: Rc::new(call), started: None, kill: None, task: None };
        self.held.borrow_mut().insert(tag, held);
    }

    /// Why a task that is held is no longer wanted, if it is not.
    fn unwanted(&self, tag: &str) -> Option<&'static str> {
        let held = self.held.borrow();
        let call = &held.get(tag)?.call;
        let expired = call.expires.is_some_and(|moment| moment <= SystemTime::now());
        let revoked = self.revoked.borrow().contains(&call.id);
        if revoked { Some("revoked") } else { expired.then_some("expired") }
    }

    fn begin(self: &Rc<Worker>, tag: String) {
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
        self.event_started(&call);
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
    fn close(self: &Rc<Worker>, tag: &str, outcome: Outcome) {
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

    fn send_outcome(&self, tag: &str, outcome: Outcome) -> Option<(super::redis::Answer, bool)> {
        let mut all = self.held.borrow_mut();
        let held = all.get_mut(tag)?;
        let (call, queue) = (held.call.clone(), &held.queue);
        held.kill = None;
        held.task = None;
        let leaving = canvas::leaving(&call, &outcome, queue);
        let (outcome, mut leaving) = match leaving {
            Ok(leaving) => (outcome, leaving),
            Err(fault) => {
                let outcome = Outcome::Failure(fault);
                let leaving = canvas::leaving(&call, &outcome, queue).unwrap_or_default();
                (outcome, leaving)
            }
        };
        let (message, ..) = super::message::held(&held.text)?;
        if let Outcome::Retry(_, after) = &outcome {
            let again = retried(message, &call, SystemTime::now() + *after, queue);
            leaving.sends.extend(again.map(|text| (queue.clone(), call.priority, text)));
        }
        self.tell(&call, held.started, &outcome);
        let expires = self.settings.result_expires;
        let started = held.started.is_some();
        Some((self.store.finish(tag, &call.id, expires, &leaving), started))
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
        self.event_ended(call, started, outcome);
        let shown = format!("{} {}", Printable(&call.task), Printable(&call.id));
        match said {
            Some(said) => say(&format!("{shown} {}", Printable(&said))),
            None if self.settings.verbose => {
                let took = started.and_then(|at| at.elapsed().ok()).unwrap_or_default();
                super::tell(&format!("{shown} done in {}", crate::value::Took(took)));
            }
            None => {}
        }
    }

    /// Gives a task that is held back to its queue, where it is the next.
    fn give_back(&self, tag: &str) {
        let Some(held) = self.held.borrow_mut().remove(tag) else { return };
        if let Some(task) = &held.task {
            task.cancel();
        }
        let Some((message, ..)) = super::message::held(&held.text) else { return };
        let list = self.store.list(&held.queue, held.call.priority);
        let message = redelivered(message, &held.queue);
        drop(self.store.give_back(tag, &held.text, &list, &message));
        self.done.set(Done { given_back: self.done.get().given_back + 1, ..self.done.get() });
    }

    /// Ends: gives back what waits, finishes what runs or, once `now` is asked for, gives that back
    /// too, and lets Redis know, if it will.
    async fn end(self: &Rc<Worker>, now: &Stop) {
        for (_, tag) in self.later.take() {
            self.give_back(&tag);
        }
        let finished = async {
            let mut heard = 0;
            while self.working.get() > 0 {
                self.changed.heard(&mut heard).await;
            }
        };
        race(finished, now.asked()).await;
        let unfinished: Vec<String> = self
            .held
            .borrow()
            .iter()
            .filter(|(_, held)| held.task.is_some())
            .map(|(tag, _)| tag.clone())
            .collect();
        unfinished.iter().for_each(|tag| self.give_back(tag));
        self.event_worker("offline");
        if timeout(LAST_WORDS, self.store.link.settled()).await.is_err() {
            say(
                "Redis does not answer: what it was not told comes back after the visibility timeout",
            );
        }
    }

    /// Terminates a task that runs, or has one that waits revoked.
    pub(super) fn terminate(self: &Rc<Worker>, id: &str, also_running: bool) -> bool {
        let tags: Vec<String> = self
            .held
            .borrow()
            .iter()
            .filter(|(_, held)| held.call.id == id)
            .map(|(tag, _)| tag.clone())
            .collect();
        for tag in &tags {
            let later =
                self.held.borrow().get(tag).and_then(|held| Some((held.call.eta?, tag.clone())));
            if later.is_some_and(|entry| self.later.borrow_mut().remove(&entry)) {
                self.close(tag, Outcome::Revoked("revoked"));
            } else if also_running
                && let Some(kill) = self.held.borrow_mut().get_mut(tag).and_then(|h| h.kill.take())
            {
                kill.set(()).unwrap_or_default();
            }
        }
        !tags.is_empty()
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
