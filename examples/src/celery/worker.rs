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
//! `unacked` while a worker holds it. The worker renews that; what is not renewed in time is given back
//! to its queue by any other. So a task runs at least once, whatever dies.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mainspring::JoinHandle;
use mainspring::future::{Sender, race};
use mainspring::time::{sleep, timeout};

use super::address::Address;
use super::bell::Bell;
use super::control::Revoked;
use super::message::{Call, Unreadable, held, new_id, redelivered};
use super::outcome::Outcome;
use super::redis::Link;
use super::scripts::Store;
use super::tasks::Tasks;
use super::upkeep::{RESTORE, reach};
use super::{say, tell};
use crate::stop::Stop;

/// The most tasks that are held for a later moment. With more, nothing is taken until some are due.
const MOST_LATER: usize = 10_000;
/// How long an idle worker waits before it looks without being told: into lists of other priorities,
/// and into all of them where Redis is too old to tell.
pub(super) const LOOK: Duration = Duration::from_millis(250);
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
    /// After how long a task that is not renewed is taken for lost.
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
    pub(super) clock: Cell<u64>,
    pub(super) stop: Stop,
    pub(super) held: RefCell<HashMap<String, Held>>,
    pub(super) revoked: RefCell<Revoked>,
    pub(super) done: Cell<Done>,
    /// How often each task was begun.
    pub(super) begun: RefCell<HashMap<String, u64>>,
    pub(super) later: RefCell<BTreeSet<(SystemTime, String)>>,
    /// Tasks whose outcome is not known yet, and those for which there is no room until Redis has it.
    pub(super) working: Cell<usize>,
    pub(super) running: Cell<usize>,
    /// Something has changed for those who wait for room, a message or the end.
    pub(super) changed: Rc<Bell>,
    /// There is room and nothing to run.
    pub(super) idle: Rc<Bell>,
}

/// A task in hand.
pub(super) struct Held {
    pub(super) text: String,
    pub(super) queue: String,
    pub(super) call: Rc<Call>,
    /// When it was begun, if it was.
    pub(super) started: Option<SystemTime>,
    pub(super) kill: Option<Sender<()>>,
    pub(super) task: Option<JoinHandle<()>>,
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
        clock: Cell::default(),
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

impl Worker {
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
    pub(super) fn unwanted(&self, tag: &str) -> Option<&'static str> {
        let held = self.held.borrow();
        let call = &held.get(tag)?.call;
        let expired = call.expires.is_some_and(|moment| moment <= SystemTime::now());
        let revoked = self.revoked.borrow().contains(&call.id);
        if revoked { Some("revoked") } else { expired.then_some("expired") }
    }

    /// Gives a task that is held back to its queue, where it is the next.
    fn give_back(&self, tag: &str) {
        let Some(task) = self.held.borrow_mut().remove(tag) else { return };
        if let Some(running) = &task.task {
            running.cancel();
        }
        let Some((message, ..)) = held(&task.text) else { return };
        let list = self.store.list(&task.queue, task.call.priority);
        let message = redelivered(message, &task.queue);
        drop(self.store.give_back(tag, &task.text, &list, &message));
        self.done.set(Done { given_back: self.done.get().given_back + 1, ..self.done.get() });
    }

    /// Ends: gives back what waits, finishes what runs or, once `now` is asked for, gives that back
    /// too, and lets Redis know, if it will.
    async fn end(self: &Rc<Worker>, now: &Stop) {
        for (_, tag) in self.later.take() {
            self.give_back(&tag);
        }
        tell(&format!("ending: {} tasks run; a second signal gives them back", self.working.get()));
        let finished = async {
            let mut heard = 0;
            while self.working.get() > 0 {
                self.changed.heard(&mut heard).await;
            }
        };
        race(finished, now.asked()).await;
        self.tags(|task| task.task.is_some()).iter().for_each(|tag| self.give_back(tag));
        self.event("offline");
        if timeout(LAST_WORDS, self.store.link.settled()).await.is_err() {
            say(
                "Redis does not answer: what it was not told comes back after the visibility timeout",
            );
        }
    }

    /// The tags of the tasks of a kind.
    fn tags(&self, which: impl Fn(&Held) -> bool) -> Vec<String> {
        let held = self.held.borrow();
        held.iter().filter(|(_, task)| which(task)).map(|(tag, _)| tag.clone()).collect()
    }

    /// Has a task that is held for later end as revoked, and one that runs too, if that is wanted.
    pub(super) fn terminate(self: &Rc<Worker>, id: &str, also_running: bool) {
        for tag in self.tags(|task| task.call.id == id) {
            let mut all = self.held.borrow_mut();
            let Some(task) = all.get_mut(&tag) else { continue };
            let later = task.call.eta.map(|eta| (eta, tag.clone()));
            let waits = later.is_some_and(|entry| self.later.borrow_mut().remove(&entry));
            let kill = task.kill.take_if(|_| also_running);
            drop(all);
            if waits {
                self.close(&tag, Outcome::Revoked("revoked"));
            }
            kill.map(|kill| kill.set(()).unwrap_or_default()).unwrap_or_default();
        }
    }
}
