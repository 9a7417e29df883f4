//! Sends tasks to workers, and waits for what comes of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use event_listener::Event;
use mainspring::future::{Sender, oneshot, race};
use mainspring::time::sleep;
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};
use serde_json::Value;

use super::canvas::Outcome;
use super::connection::{Address, Connection};
use super::message::{Call, id_of};
use super::redis::{Heard, Link, as_pattern, listen};
use super::resp::Reply;
use super::scripts::Store;

/// How often results are looked for that may have been missed.
const LOOK: Duration = Duration::from_secs(5);

type Waiting = Rc<RefCell<HashMap<String, Sender<Result<Value, String>>>>>;

/// A sender of tasks.
pub struct Producer {
    pub(super) store: Store,
    queue: String,
    waiting: Waiting,
    /// What the ids of this producer's tasks have in common.
    family: u128,
    _crew: [AbortOnDrop<()>; 3],
}

impl Producer {
    /// Connects to Redis, and listens for results from now on.
    ///
    /// # Errors
    /// One sentence: Redis cannot be reached, or does not let us in.
    pub async fn connect(address: &Address, prefix: &str, queue: &str) -> Result<Producer, String> {
        drop(Connection::open(address).await.map_err(|error| error.to_string())?);
        let (link, driver) = Link::new(address.clone());
        let store = Store { link, prefix: prefix.to_owned() };
        let (waiting, heard) = (Waiting::default(), Rc::new(Event::new()));
        let listening = heard.listen();
        // Results are published under the ids of their tasks. Ids of one family need one pattern, that
        // of the half that they have in common; the other half is as random as ever.
        let family = fastrand::u128(..) & !u128::from(u64::MAX);
        let key = store.result_key(&id_of(family)[..19]);
        let pattern = as_pattern(&key) + "*";
        let missed = look(store.clone(), waiting.clone(), heard.clone());
        let ears = waiting.clone();
        let on = move |message| match message {
            Heard::Published(text) => settle(&ears, &text),
            Heard::Listening => drop(heard.notify(usize::MAX)),
        };
        let _crew = [
            spawn_named("the link to Redis", driver),
            spawn_named("results", listen(address.clone(), pattern, on)),
            spawn_named("missed results", missed),
        ]
        .map(JoinHandle::abort_on_drop);
        listening.await;
        Ok(Producer { store, queue: queue.to_owned(), waiting, family, _crew })
    }

    /// Sends a task; gives its id once Redis has it.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn send(&self, call: &Call) -> Result<String, String> {
        self.store.send(&self.queue, call).await?;
        Ok(call.id.clone())
    }

    /// Sends a task and waits for its end, however often it is tried on the way; its result stays in
    /// Redis or does not.
    ///
    /// # Errors
    /// The error that it ended with, as `class: message`; what Redis refuses.
    pub async fn run(&self, mut call: Call, stays: bool) -> Result<Value, String> {
        let Producer { store, waiting, family, .. } = self;
        call.id = id_of(family | u128::from(fastrand::u64(..)));
        let (sender, receiver) = oneshot();
        // Waiting first: the result may be there before the answer to the sending is.
        waiting.borrow_mut().insert(call.id.clone(), sender);
        self.send(&call).await?;
        let result = receiver.await;
        if !stays {
            drop(store.link.call(&["DEL", &store.result_key(&call.id)]));
        }
        result.unwrap_or_else(|_| Err("the wait for it was given up".to_owned()))
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
async fn look(store: Store, waiting: Waiting, heard: Rc<Event>) {
    loop {
        race(heard.listen(), sleep(LOOK)).await;
        // The wait for some may have been given up.
        waiting.borrow_mut().retain(|_, sender| !sender.is_closed());
        let ids: Vec<String> = waiting.borrow().keys().cloned().collect();
        for ids in ids.chunks(100) {
            let keys = ids.iter().map(|id| store.result_key(id));
            let words: Vec<String> = ["MGET".to_owned()].into_iter().chain(keys).collect();
            for part in store.link.call(&words).await.map(Reply::parts).unwrap_or_default() {
                if let Reply::Text(Some(text)) = part {
                    settle(&waiting, &text);
                }
            }
        }
    }
}
