//! What is done in Redis at one stroke: taking, finishing, renewing and restoring tasks. Each is one
//! script (`scripts/`), so that no death between two commands can lose a task or answer it twice.
//!
//! The keys are those of kombu's transport, so that workers in Python restore what ours die with, and
//! ours what theirs do: `unacked` holds a message for each delivery tag, with the queue to give it
//! back to, and `unacked_index` when it was taken.

use std::time::Duration;

use super::message::Call;
use super::redis::{Answer, Link};

/// What the scripts that deal with queues begin with.
const QUEUES: &str = include_str!("scripts/queues.lua");

/// The names of things in Redis, and what is done to them.
#[derive(Clone)]
pub struct Store {
    /// The way there.
    pub link: Link,
    /// What all names begin with.
    pub prefix: String,
}

/// What a task that is over leaves: see [`Store::finish`].
#[derive(Clone, Debug, Default)]
pub struct Leaving {
    /// Results by the ids of their tasks: its own, if that is to be stored, and those of tasks that will
    /// never run.
    pub results: Vec<(String, String)>,
    /// Calls to send, with the queue of each.
    pub sends: Vec<(String, Call)>,
}

impl Store {
    /// Where a result is kept and published. A prefix for results is one for keys with a separator
    /// (celery, `backends/base.py`).
    #[must_use]
    pub fn result_key(&self, id: &str) -> String {
        let is_joined = self.prefix.is_empty() || self.prefix.ends_with([':', '_', '-', '.']);
        let joint = if is_joined { "" } else { "_" };
        format!("{}{joint}celery-task-meta-{id}", self.prefix)
    }

    /// The list of a queue for messages of a priority: 0, the most urgent, to 9.
    #[must_use]
    pub fn list(&self, queue: &str, priority: u8) -> String {
        let step = ["", "\x06\x163", "\x06\x166", "\x06\x169"][usize::from(priority.min(9) / 3)];
        format!("{}{queue}{step}", self.prefix)
    }

    /// Has a script of these parts run with these words. Each call sends the whole script, so that none
    /// has more parts than it needs.
    fn run(&self, parts: &[&str], words: &[String]) -> Answer {
        let script = [&[include_str!("scripts/common.lua")], parts].concat().concat();
        let start = ["EVAL".to_owned(), script, "0".to_owned(), self.prefix.clone()];
        self.link.call(&[&start, words].concat())
    }

    /// Takes up to `count` messages from `queues`, urgent ones first, and whatever the take of this
    /// number took before. Gives of each its tag, the message and the queue; one without a tag is no
    /// task, and in `{queue}.dead` now.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn take(
        &self,
        worker: &str,
        number: u64,
        count: usize,
        queues: &[String],
        kept: Duration,
    ) -> Result<Vec<[String; 3]>, String> {
        let numbers = [number, count as u64, kept.as_secs()].map(|number| number.to_string());
        let words = [&[worker.to_owned()], &numbers[..], queues].concat();
        let taken = self.run(&[QUEUES, include_str!("scripts/take.lua")], &words).await?.parts();
        Ok(taken.into_iter().filter_map(|taken| taken.texts().try_into().ok()).collect())
    }

    /// Stores what came of a task and lets go of it. May be done twice.
    pub fn finish(&self, tag: &str, expires: Duration, leaving: Leaving) -> Answer {
        let mut words = vec![tag.to_owned(), expires.as_secs_f64().ceil().to_string()];
        for (id, text) in leaving.results {
            words.extend(["result".to_owned(), self.result_key(&id), text]);
        }
        for (queue, call) in leaving.sends {
            let list = self.list(&queue, call.priority);
            words.extend(["send".to_owned(), list, call.to_message(&queue)]);
        }
        self.run(&[include_str!("scripts/finish.lua")], &words)
    }

    /// Says of tasks that they are still being worked on, and gives those back that were taken more
    /// than `timeout` ago and not renewed since. Gives the queue of each.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn upkeep(&self, timeout: Duration, tags: &[String]) -> Result<Vec<String>, String> {
        let words = [&[timeout.as_secs_f64().to_string()], tags].concat();
        Ok(self.run(&[QUEUES, include_str!("scripts/upkeep.lua")], &words).await?.texts())
    }

    /// Moves a task that is held: `back` to where it is the next in its queue, the same where it is
    /// `due`, or to where the `dead` go.
    pub fn move_to(&self, tag: &str, how: &str) -> Answer {
        self.run(&[QUEUES, include_str!("scripts/move.lua")], &[tag.to_owned(), how.to_owned()])
    }

    /// Sends a reply to the queues that are bound for it.
    pub fn reply(&self, exchange: &str, routing_key: &str, message: String) {
        let words = [exchange.to_owned(), routing_key.to_owned(), message];
        drop(self.run(&[QUEUES, include_str!("scripts/reply.lua")], &words));
    }

    /// Sends a call to a queue.
    pub fn send(&self, queue: &str, call: &Call) -> Answer {
        let list = self.list(queue, call.priority);
        self.link.call(&["LPUSH".to_owned(), list, call.to_message(queue)])
    }
}
