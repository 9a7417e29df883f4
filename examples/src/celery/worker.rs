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

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use event_listener::Event;
use mainspring::future::race;
use mainspring::time::{sleep, timeout};
use mainspring::{JoinHandle, spawn_named};

use super::address::Address;
use super::control::Revoked;
use super::message::{Call, new_id};
use super::outcome::Outcome;
use super::redis::Link;
use super::scripts::Store;
use super::tasks::Tasks;
use super::upkeep::{RESTORE, reach};
use super::{say, tell};
use crate::cli::Worker as Settings;
use crate::stop::Stop;

/// The most tasks that are held for a later moment. With more, nothing is taken until some are due.
const MOST_LATER: usize = 10_000;
/// How long an idle worker waits before it looks without being told: into lists of other priorities,
/// and into all of them where Redis is too old to tell.
const LOOK: Duration = Duration::from_millis(250);
/// How long Redis may take, once the worker is to end, to answer a take and then all the rest.
const LAST_TAKE: Duration = Duration::from_millis(700);
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a worker has done.
#[derive(Clone, Debug, Default)]
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
    pub(super) address: Address,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
    /// What it is called among the workers.
    pub(super) node: String,
    pub(super) began: SystemTime,
    pub(super) clock: Cell<u64>,
    pub(super) stop: Stop,
    pub(super) held: RefCell<HashMap<String, Held>>,
    pub(super) revoked: RefCell<Revoked>,
    pub(super) done: RefCell<Done>,
    /// How often each task was begun.
    pub(super) begun: RefCell<HashMap<String, u64>>,
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
    pub(super) task: Option<JoinHandle<()>>,
}

impl Held {
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && !self.is_over
    }
}

/// Works until `stop` is asked for, then finishes what runs and gives back what waits; with `now`,
/// gives back what runs, too. `ready` is told what the worker listens to.
///
/// # Errors
/// One sentence: Redis does not let us in.
pub async fn work(
    settings: Settings,
    address: Address,
    stop: &Stop,
    now: &Stop,
    ready: impl FnOnce(&str),
) -> Result<Done, String> {
    if !reach(&address, stop).await? {
        return Ok(Done::default());
    }
    let Settings { task, site, allow_private, concurrency, max_size, redis, .. } = &settings;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    let (link, driver) = Link::new(address.clone());
    let worker = Rc::new(Worker {
        store: Store { link, prefix: redis.prefix.clone() },
        tasks: Tasks::new(task, site.clone(), *allow_private, *concurrency, *max_size),
        settings,
        address,
        node: format!("mainspring-{}@{host}", std::process::id()),
        began: SystemTime::now(),
        clock: Cell::default(),
        stop: stop.clone(),
        held: RefCell::default(),
        revoked: RefCell::default(),
        done: RefCell::default(),
        begun: RefCell::default(),
        changed: Rc::default(),
        idle: Rc::default(),
    });
    let driver = spawn_named("the link to Redis", driver).abort_on_drop();
    let listening = worker.changed.listen();
    let crew = worker.crew();
    // The first commands that are sent to all workers are not to be missed, and not to be waited for.
    timeout(LAST_WORDS, listening).await.unwrap_or_default();
    let known: Vec<&str> = worker.tasks.names().collect();
    let Settings { queue, concurrency, .. } = &worker.settings;
    ready(&format!(
        "listening to {} at {} as {}, {concurrency} at once: {}",
        queue.join(", "),
        worker.address,
        worker.node,
        known.join(", ")
    ));
    worker.take_all().await;
    worker.end(now).await;
    drop((crew, driver));
    Ok(worker.done.take())
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
                let take = self.store.take(&this_run, number, free, &queues, kept);
                let last = async {
                    self.stop.asked().await;
                    sleep(LAST_TAKE).await;
                    Err(String::new())
                };
                match race(take, last).await {
                    Ok((dead, taken)) => {
                        if dead > 0 {
                            let which = "see the lists that end in .dead";
                            say(&format!("{dead} messages are no task; {which}"));
                        }
                        let some = dead > 0 || !taken.is_empty();
                        taken.into_iter().for_each(|taken| self.accept(taken));
                        // Each has its turn to be the first that is looked into.
                        queues.rotate_left(1);
                        if some {
                            continue;
                        }
                        wait = LOOK;
                    }
                    Err(_) if self.stop.is_asked() => break,
                    Err(refused) => {
                        say(&refused);
                        wait = RESTORE;
                    }
                }
                self.idle.notify(usize::MAX);
            }
            timeout(wait, race(changed, self.stop.asked())).await.unwrap_or_default();
        }
    }

    /// Deals with a message that was taken.
    fn accept(self: &Rc<Worker>, [tag, message, queue]: [String; 3]) {
        if self.held.borrow().contains_key(&tag) {
            // It was given back for us, and has come back: we are at it.
            return;
        }
        match Call::read(&message) {
            Ok(call) => {
                let wait = call.eta.and_then(|eta| eta.duration_since(SystemTime::now()).ok());
                self.hold(&tag, queue, call);
                match (self.unwanted(&tag), wait) {
                    (Some(reason), _) => self.close(&tag, Outcome::Revoked(reason)),
                    (None, _) if self.stop.is_asked() => self.give_back(&tag),
                    (None, Some(wait)) => self.begin_later(tag, wait),
                    (None, None) => self.begin(tag),
                }
            }
            Err((Some(id), fault)) => {
                let task = "a message that is no call".to_owned();
                self.hold(&tag, queue, Call { id, task, ..Call::default() });
                self.close(&tag, Outcome::Failure(fault));
            }
            Err((None, fault)) => {
                say(&format!("a message is no task, {fault}; see {queue}.dead"));
                drop(self.store.move_to(&self.store.key(&(queue + ".dead")), &tag, "dead"));
            }
        }
    }

    fn hold(&self, tag: &str, queue: String, call: Call) {
        let call = Rc::new(call);
        let held = Held { queue, call, started: None, is_over: false, task: None };
        self.held.borrow_mut().insert(tag.to_owned(), held);
    }

    /// Holds a task until its moment. Then it is the next in its queue, for any that has room for it.
    fn begin_later(self: &Rc<Worker>, tag: String, wait: Duration) {
        let (worker, name) = (self.clone(), tag.clone());
        let waiting = spawn_named("a task for later", async move {
            sleep(wait).await;
            worker.move_back(&name, "due");
            worker.changed.notify(usize::MAX);
        });
        self.held.borrow_mut().get_mut(&tag).expect("it is held").task = Some(waiting);
    }

    /// Why a task that is held is no longer wanted, if it is not.
    fn unwanted(&self, tag: &str) -> Option<&'static str> {
        let held = self.held.borrow();
        let call = &held.get(tag)?.call;
        let expired = call.expires.is_some_and(|moment| moment <= SystemTime::now());
        let revoked = self.revoked.borrow().contains(&call.id);
        if revoked { Some("revoked") } else { expired.then_some("expired") }
    }

    /// Lets go of a task that is held: it is the next in its queue.
    fn move_back(&self, tag: &str, how: &str) -> Option<Held> {
        let task = self.held.borrow_mut().remove(tag)?;
        let list = self.store.list(&task.queue, task.call.priority);
        drop(self.store.move_to(&list, tag, how));
        Some(task)
    }

    /// Gives a task back unfinished.
    fn give_back(&self, tag: &str) {
        if let Some(task) = self.move_back(tag, "back") {
            task.task.inspect(JoinHandle::cancel);
            self.done.borrow_mut().given_back += 1;
        }
    }

    /// Ends: gives back what waits, finishes what runs or, once `now` is asked for, gives that back
    /// too, and lets Redis know, if it will.
    async fn end(self: &Rc<Worker>, now: &Stop) {
        self.tags(|task| task.started.is_none() && !task.is_over)
            .iter()
            .for_each(|tag| self.give_back(tag));
        let running = self.count(Held::is_running);
        tell(&format!("ending: {running} tasks run; a second signal gives them back"));
        let finished = async {
            while self.count(Held::is_running) > 0 {
                self.changed.listen().await;
            }
        };
        race(finished, now.asked()).await;
        self.tags(Held::is_running).iter().for_each(|tag| self.give_back(tag));
        drop(self.event("offline"));
        if timeout(LAST_WORDS, self.store.link.settled()).await.is_err() {
            let what = "what it was not told comes back after the visibility timeout";
            say(&format!("Redis does not answer: {what}"));
        }
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

    /// Has a task that is held for later end as revoked, and one that runs too, if that is wanted.
    pub(super) fn terminate(self: &Rc<Worker>, id: &str, also_running: bool) {
        for tag in self.tags(|task| task.call.id == id && !task.is_over) {
            let held = self.held.borrow();
            let task = &held[&tag];
            let runs = task.is_running();
            if !runs || also_running {
                task.task.iter().for_each(JoinHandle::cancel);
                drop(held);
                let why = if runs { "terminated" } else { "revoked" };
                self.close(&tag, Outcome::Revoked(why));
            }
        }
    }
}
