//! Connections to Redis that outlive what happens to them: commands in batches, publications, and
//! the wait for a queue.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io::ErrorKind::{PermissionDenied, ResourceBusy};
use std::rc::Rc;
use std::time::Duration;
use std::{io, iter};

use async_channel::{Receiver, Sender};
use event_listener::Event;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use mainspring::future::{self, oneshot};
use mainspring::spawn_named;
use mainspring::time::{sleep, timeout};

use super::connection::{ANSWER, Address, Connection, passes, refused};
use super::resp::{Reply, command};
use super::say;

/// The longest wait between two tries.
const MOST_BACK_OFF: Duration = Duration::from_secs(5);
/// The most commands that are sent at once.
const BATCH: usize = 512;

/// Has a connection for `session` for ever: when it ends, for whatever reason, there is another after a
/// while, the longer the more there were, never two workers alike.
///
/// Trouble is told once, however often it is met in a row, and also when it is over, as `session` says by
/// calling what it is given.
async fn connected(
    address: &Address,
    mut session: impl AsyncFnMut(&mut Connection, &mut dyn FnMut()) -> io::Result<Infallible>,
) {
    let (mut tries, mut said) = (0_u32, None::<String>);
    loop {
        let what = match Connection::open(address).await {
            Err(error) => error.to_string(),
            Ok(mut connection) => {
                let mut over = || {
                    tries = 0;
                    if said.take().is_some() {
                        say("Redis answers again");
                    }
                };
                let Err(error) = session(&mut connection, &mut over).await;
                let refuses = matches!(error.kind(), PermissionDenied | ResourceBusy);
                let what = if refuses { "Redis refuses" } else { "lost the connection to Redis" };
                format!("{what}: {error}")
            }
        };
        // The first loss is mended before it is worth a word.
        if tries > 0 && said.as_ref() != Some(&what) {
            say(&format!("{what}; trying again"));
            said = Some(what);
        }
        let wait = MOST_BACK_OFF.min(Duration::from_millis(50) * 2_u32.pow(tries.min(10)));
        sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        tries = tries.saturating_add(1);
    }
}

/// The bytes of a command, and where its reply goes.
type Request = (Vec<u8>, future::Sender<Result<Reply, String>>);

/// A way to send commands that are carried out sooner or later, in their order: after a lost connection
/// and after a refusal that passes, those without an answer are sent again. Clones share it.
///
/// So each must be one that may be carried out twice.
#[derive(Clone)]
pub struct Link(Sender<Request>);

/// The reply to a command; the error is what Redis refuses for good.
pub type Answer = LocalBoxFuture<'static, Result<Reply, String>>;

impl Link {
    /// A link, with a task that carries its commands out.
    pub fn new(address: Address) -> Link {
        let (sender, requests) = async_channel::unbounded();
        drop(spawn_named("the link to Redis", drive(address, requests)));
        Link(sender)
    }

    /// Has a command sent. What is returned gives its reply; dropping that takes nothing back.
    pub fn call(&self, words: &[impl AsRef<[u8]>]) -> Answer {
        let (reply, receiver) = oneshot();
        // What is not sent since nothing carries commands out any more drops `reply`.
        drop(self.0.try_send((command(words), reply)));
        let gone = |_| Err("the connection to Redis is given up".to_owned());
        async move { receiver.await.unwrap_or_else(gone) }.boxed_local()
    }

    /// Waits until every command up to now has its answer, for a second at most; says whether it has.
    pub async fn settled(&self) -> bool {
        timeout(Duration::from_secs(1), self.call(&["PING"])).await.is_ok()
    }
}

async fn drive(address: Address, requests: Receiver<Request>) {
    let mut batch: VecDeque<Request> = VecDeque::new();
    let session = async |connection: &mut Connection, over: &mut dyn FnMut()| loop {
        if batch.is_empty() {
            // No link is left, no command will come.
            let Ok(first) = requests.recv().await else { return pending().await };
            batch.push_back(first);
        }
        let more = iter::from_fn(|| requests.try_recv().ok()).take(BATCH - batch.len());
        batch.extend(more);
        connection.send(batch.iter().map(|(bytes, _)| &**bytes)).await?;
        // Only what is answered is taken out.
        while !batch.is_empty() {
            let reply = match connection.answer().await? {
                // A password that was changed meanwhile is asked for, and told, at the next greeting.
                Reply::Error(text) if passes(&text) || text.starts_with("NOAUTH") => {
                    return Err(refused(text));
                }
                Reply::Error(text) => Err(format!("Redis refuses: {text}")),
                reply => Ok(reply),
            };
            // Not every answer is waited for.
            drop(batch.pop_front().map(|(_, waiting)| waiting.set(reply)));
        }
        over();
    };
    connected(&address, session).await;
}

/// A pattern of channels that matches this one alone.
pub fn as_pattern(channel: &str) -> String {
    let special = |c| ['*', '?', '[', ']', '\\', '^'].contains(&c);
    channel.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Listens to channels that match a pattern, for ever; after a loss again. `on` is told what was
/// published, and nothing whenever from now on nothing is missed: until then, something may have been.
pub async fn listen(address: Address, pattern: String, mut on: impl FnMut(Option<Vec<u8>>)) {
    let subscribe = command(&["PSUBSCRIBE", &pattern]);
    let session = async |connection: &mut Connection, over: &mut dyn FnMut()| {
        connection.call(&subscribe).await?;
        over();
        on(None);
        loop {
            // A connection that only listens would not notice that the other side is gone.
            let reply = match timeout(ANSWER, connection.next_reply()).await {
                Ok(reply) => reply?,
                Err(_) => connection.call(&command(&["PING"])).await?,
            };
            if let Ok([.., Reply::Text(Some(text))]) = <[Reply; 4]>::try_from(reply.parts()) {
                on(Some(text));
            }
        }
    };
    connected(&address, session).await;
}

/// Says so to `waiting` when there is something in a list, each time that `idle` asks; takes nothing.
///
/// To wait is to move the last element to where it is: the list stays as it was, and a worker that
/// dies here holds nothing. Redis has had the command since 6.2; without it, nothing is said.
pub async fn watch(address: Address, list: String, idle: Rc<Event>, waiting: Rc<Event>) {
    let wait = command(&["BLMOVE", &list, &list, "RIGHT", "RIGHT", "5"]);
    let session = async |connection: &mut Connection, over: &mut dyn FnMut()| loop {
        idle.listen().await;
        while connection.call(&wait).await? == Reply::Text(None) {}
        over();
        waiting.notify(usize::MAX);
    };
    connected(&address, session).await;
}
