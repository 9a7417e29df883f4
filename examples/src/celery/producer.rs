//! Sends tasks to workers, and waits for what comes of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use mainspring::future::{Sender, oneshot, race};
use mainspring::time::{sleep, timeout};
use mainspring::{AbortOnDrop, spawn_named};
use serde_json::Value;

use super::address::Address;
use super::bell::Bell;
use super::connection::Connection;
use super::message::{Call, id_of};
use super::outcome::Outcome;
use super::redis::{Heard, Link, listen};
use super::resp::Reply;
use super::scripts::Store;

/// How often results are looked for that may have been missed.
const LOOK: Duration = Duration::from_secs(5);

type Waiting = Rc<RefCell<HashMap<String, Sender<Result<Value, String>>>>>;

/// A sender of tasks. Clones share it.
#[derive(Clone)]
pub struct Producer(Rc<Shared>);

struct Shared {
    store: Store,
    queue: String,
    waiting: Waiting,
    /// What the ids of this producer's tasks have in common.
    family: u128,
    _crew: Vec<AbortOnDrop<()>>,
}

impl Producer {
    /// Connects to Redis, and listens for results from now on.
    ///
    /// # Errors
    /// One sentence: Redis cannot be reached, or does not let us in.
    pub async fn connect(address: &Address, prefix: &str, queue: &str) -> Result<Producer, String> {
        drop(Connection::open(address).await.map_err(|trouble| trouble.to_string())?);
        let store = Store { link: Link::new(address.clone()), prefix: prefix.to_owned() };
        let waiting = Waiting::default();
        let (missed, listening) = (Rc::new(Bell::default()), Rc::new(Bell::default()));
        // Results are published under the ids of their tasks. Ids of one family need one pattern, that
        // of the half that they have in common; the other half is as random as ever.
        let family = fastrand::u128(..) & !u128::from(u64::MAX);
        let prefix: String = store.key("").chars().flat_map(|c| ['\\', c]).collect();
        let key = store.result_key(&id_of(family)[..19]);
        let pattern = format!("{prefix}{}*", &key[store.prefix.len()..]);
        let (ears, missing, heard) = (waiting.clone(), missed.clone(), listening.clone());
        let on = move |message| match message {
            Heard::Published(text) => settle(&ears, &text),
            Heard::Listening => {
                missing.ring();
                heard.ring();
            }
        };
        let crew = vec![
            spawn_named("the link to Redis", store.link.clone().drive()),
            spawn_named("results", listen(address.clone(), pattern, on)),
            spawn_named("missed results", look(store.clone(), waiting.clone(), missed)),
        ];
        listening.heard(&mut 0).await;
        let _crew = crew.into_iter().map(mainspring::JoinHandle::abort_on_drop).collect();
        let queue = queue.to_owned();
        Ok(Producer(Rc::new(Shared { store, queue, waiting, family, _crew })))
    }

    /// Sends a task; gives its id once Redis has it.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn send(&self, call: &Call) -> Result<String, String> {
        let Shared { store, queue, .. } = &*self.0;
        store.send(queue, call.priority, &call.to_message(queue)).reply().await?;
        Ok(call.id.clone())
    }

    /// Sends a task and waits for its end, however often it is tried on the way.
    ///
    /// # Errors
    /// The error that it ended with, as `class: message`; what Redis refuses.
    pub async fn run(&self, mut call: Call) -> Result<Value, String> {
        call.id = self.new_id();
        self.end_of(call).await
    }

    async fn end_of(&self, call: Call) -> Result<Value, String> {
        let shared = &self.0;
        let (sender, receiver) = oneshot();
        // Waiting first: the result may be there before the answer to the sending is.
        shared.waiting.borrow_mut().insert(call.id.clone(), sender);
        let forget = Forget { waiting: &shared.waiting, id: &call.id };
        self.send(&call).await?;
        let result = receiver.await;
        drop(forget);
        result.unwrap_or_else(|_| Err("the wait for it was given up".to_owned()))
    }

    /// The same, and leaves no result behind.
    ///
    /// # Errors
    /// As [`Producer::run`].
    pub async fn run_once(&self, mut call: Call) -> Result<Value, String> {
        call.id = self.new_id();
        let key = self.0.store.result_key(&call.id);
        let result = self.end_of(call).await;
        drop(self.0.store.link.call(&[b"DEL", key.as_bytes()]));
        result
    }

    /// Waits until Redis has carried out what was sent, for a second at most.
    pub async fn settled(&self) {
        let settled = self.0.store.link.settled();
        timeout(Duration::from_secs(1), settled).await.unwrap_or_default();
    }

    fn new_id(&self) -> String {
        id_of(self.0.family | u128::from(fastrand::u64(..)))
    }
}

/// Stops waiting for a task, also where the wait is given up.
struct Forget<'a> {
    waiting: &'a Waiting,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.waiting.borrow_mut().remove(self.id);
    }
}

fn settle(waiting: &Waiting, text: &[u8]) {
    if let Some((id, Some(end))) = Outcome::read(text) {
        let sender = waiting.borrow_mut().remove(&id);
        if let Some(sender) = sender {
            // What asked may be gone.
            drop(sender.set(end));
        }
    }
}

/// Looks for results that were published between two connections.
async fn look(store: Store, waiting: Waiting, missed: Rc<Bell>) {
    let mut heard = 0;
    loop {
        race(missed.heard(&mut heard), sleep(LOOK)).await;
        let ids: Vec<String> = waiting.borrow().keys().cloned().collect();
        for ids in ids.chunks(100) {
            let keys: Vec<String> = ids.iter().map(|id| store.result_key(id)).collect();
            let words = [&b"MGET"[..]].into_iter().chain(keys.iter().map(String::as_bytes));
            let answer = store.link.call(&words.collect::<Vec<_>>()).reply().await;
            for part in answer.map(Reply::parts).unwrap_or_default() {
                if let Reply::Text(Some(text)) = part {
                    settle(&waiting, &text);
                }
            }
        }
    }
}
