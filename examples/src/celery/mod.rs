//! Celery's side of the crawl: tasks that any Celery producer sends, on workers on any machine, with
//! Redis between them.
//!
//! The messages are those of Celery's protocol 2 (docs.celeryq.dev, "Message Protocol") in the envelope of
//! its Redis transport: a JSON object in the list that the queue is named after. A result is a key
//! `celery-task-meta-{id}` and a publication under the same name.

mod message;
mod redis;
mod worker;

pub use message::{Job, Outcome};
pub use redis::Redis;
pub use worker::work;

use std::io;
use std::net::SocketAddr;

/// The task that the worker knows: fetch page `id` of the demo site, and return the movie's title.
pub const TASK: &str = "tasks.crawl";

/// Sends one job for each of `ids`, then waits for all results, in the order of the ids.
///
/// # Errors
/// What Redis or the connection to it says.
pub async fn send(redis: SocketAddr, queue: &str, ids: &[u64]) -> io::Result<Vec<Outcome>> {
    // Listening first: a result that is published before anybody listens would be missed.
    let mut results = Redis::connect(redis).await?;
    let mut sender = Redis::connect(redis).await?;
    let jobs: Vec<Job> = ids.iter().map(|id| Job::new(TASK, *id)).collect();
    for job in &jobs {
        results.command(&[b"SUBSCRIBE", job.result_key().as_bytes()]).await?;
    }
    for job in &jobs {
        sender.command(&[b"LPUSH", queue.as_bytes(), job.to_message().as_bytes()]).await?;
    }
    let mut outcomes = vec![None; jobs.len()];
    while outcomes.contains(&None) {
        let published = results.next_published().await?;
        let outcome = Outcome::read(&published)?;
        if let Some(place) = jobs.iter().position(|job| job.id == outcome.id) {
            outcomes[place] = Some(outcome);
        }
    }
    Ok(outcomes.into_iter().flatten().collect())
}
