//! The asking side: sends tasks to workers and waits for what comes of them; and a shared crawl, whose
//! pages workers fetch and read. What must be one stays with its coordinator: the frontier, robots.txt,
//! manners, the journal and the files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event_listener::Event;
use http::HeaderMap;
use mainspring::future::{Sender, oneshot, race};
use mainspring::time::sleep;
use mainspring::{AbortOnDrop, JoinHandle, spawn_named};
use serde_json::value::Serializer;
use serde_json::{Map, Value, json};
use url::Url;

use super::canvas::Outcome;
use super::connection::{Address, Connection};
use super::message::{Call, id_of};
use super::redis::{Link, as_pattern, listen};
use super::resp::Reply;
use super::scripts::Store;
use super::tasks::{FETCH, OTHER_VERSION, Told, VERSION};
use crate::answer::Answer;
use crate::options::Options;
use crate::reader::Read;
use crate::stop::Stop;
use crate::web::{FetchError, Web};

/// How often results are looked for that may have been missed.
const LOOK: Duration = Duration::from_secs(5);

/// How long pages in flight are waited for at the end of a crawl that has no limit for them.
const PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Rc<RefCell<HashMap<String, Sender<Result<Value, String>>>>>;

/// A sender of tasks.
pub struct Producer {
    store: Store,
    queue: String,
    waiting: Waiting,
    /// What the ids of this producer's tasks have in common.
    family: u128,
    _crew: [AbortOnDrop<()>; 2],
}

impl Producer {
    /// Connects to Redis, and listens for results from now on.
    ///
    /// # Errors
    /// One sentence: Redis cannot be reached, or does not let us in.
    pub async fn connect(address: &Address, prefix: &str, queue: &str) -> Result<Producer, String> {
        drop(Connection::open(address).await.map_err(|error| error.to_string())?);
        let store = Store { link: Link::new(address.clone()), prefix: prefix.to_owned() };
        let (waiting, heard) = (Waiting::default(), Rc::new(Event::new()));
        let listening = heard.listen();
        // Results are published under the ids of their tasks. Ids of one family need one pattern, that
        // of the half that they have in common; the other half is as random as ever.
        let family = fastrand::u128(..) & !u128::from(u64::MAX);
        let key = store.result_key(&id_of(family)[..19]);
        let pattern = as_pattern(&key) + "*";
        let missed =
            spawn_named("missed results", look(store.clone(), waiting.clone(), heard.clone()));
        let ears = waiting.clone();
        let results = listen(address.clone(), pattern, move |message| match message {
            Some(text) => settle(&ears, &text),
            None => drop(heard.notify(usize::MAX)),
        });
        let _crew = [missed, spawn_named("results", results)].map(JoinHandle::abort_on_drop);
        listening.await;
        Ok(Producer { store, queue: queue.to_owned(), waiting, family, _crew })
    }

    /// Sends a task, and waits until Redis has it.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn send(&self, call: &Call) -> Result<(), String> {
        self.store.send(&self.queue, call).await.map(drop)
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
    let Some((id, Some(end))) = Outcome::read(text) else { return };
    let sender = waiting.borrow_mut().remove(&id);
    // What asked may be gone.
    drop(sender.map(|sender| sender.set(end)));
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
            for text in store.link.call(&words).await.map(Reply::texts).unwrap_or_default() {
                settle(&waiting, text.as_bytes());
            }
        }
    }
}

/// A page, what was read from it, and the bytes of its body.
type Page = (Answer, Read, u64);

/// The workers on a queue, as one crawl uses them.
pub struct Workers {
    producer: Producer,
    /// What is asked of each page.
    asking: Map<String, Value>,
    /// Once a stop is asked for, a page is waited for no longer than it may take.
    stop: Stop,
    patience: Duration,
    /// Why they are of no use.
    pub(crate) trouble: RefCell<Option<String>>,
}

impl Workers {
    /// Workers that are asked through `producer`, for pages as `options` say, and what is in `more`:
    /// how to connect, whether assets are links, and what to select.
    #[must_use]
    pub(crate) fn new(producer: Producer, options: &Options, more: &Value, stop: &Stop) -> Workers {
        let asking = json!({
            "content_type": true, "links": true, "redirects": 0, "version": VERSION,
            "cookies": options.cookies.is_some(), "max_size": options.max_size,
            "timeout": options.timeout.map_or(1e6, |limit| limit.as_secs_f64()),
        });
        let mut asking = asking.as_object().cloned().unwrap_or_default();
        asking.extend(more.as_object().cloned().unwrap_or_default());
        let (stop, patience) = (stop.clone(), options.timeout.unwrap_or(PATIENCE));
        Workers { producer, asking, stop, patience, trouble: RefCell::default() }
    }

    /// Has a page fetched and read; with `only_pages`, only if it may have links. Gives the bytes of
    /// its body too, which comes along only where it is to be kept.
    ///
    /// # Errors
    /// Why it was not to be had, as [`Web::get_if`](crate::web::Web::get_if) tells it.
    pub async fn get(&self, url: &Url, web: &Web, only_pages: bool) -> Result<Page, FetchError> {
        let fields = http_serde::header_map::serialize(&web.fields_for(url), Serializer);
        let fields = fields.expect("names and values that are texts");
        let mut asking = self.asking.clone();
        asking.insert("headers".to_owned(), fields);
        asking.insert("only_pages".to_owned(), only_pages.into());
        let call = Call::new(FETCH, vec![json!(url)], asking);
        let last = async {
            self.stop.asked().await;
            sleep(self.patience).await;
            Err("no worker has answered".to_owned())
        };
        let told = race(self.producer.run(call, false), last).await;
        let told = told.map_err(|error| self.failed(error))?;
        let told: Told = serde_json::from_value(told).unwrap_or_default();
        if told.version.as_deref() != Some(VERSION) {
            let error = format!("TypeError: {OTHER_VERSION}another program");
            return Err(self.failed(error));
        }
        web.note(url, told.set_cookie, told.timings, told.har);
        told.error.map_or(Ok(()), Err)?;
        let body = STANDARD.decode(told.body.unwrap_or_default()).unwrap_or_default().into();
        let head = Answer::without_body(url.clone(), told.status, &HeaderMap::new());
        let content_type = told.content_type.unwrap_or_default();
        let answer = Answer { content_type, body, ..head };
        Ok((answer, told.read, told.len as u64))
    }

    /// Waits until the last results are taken away.
    pub(crate) async fn settled(&self) {
        self.producer.store.link.settled().await;
    }

    /// The error of a task, as the crawl tells it; one that all tasks will have is the end of it.
    fn failed(&self, error: String) -> FetchError {
        if error.contains(OTHER_VERSION) || error.contains("unexpected keyword argument") {
            let why = format!("coordinator and workers must be of one version, {VERSION}: {error}");
            *self.trouble.borrow_mut() = Some(why);
        }
        FetchError::Failed(error.split_once(": ").map_or(&*error, |(_, text)| text).to_owned())
    }
}
