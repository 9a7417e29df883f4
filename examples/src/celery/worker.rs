//! Takes jobs from a queue, runs them, and stores what came of them.

use std::io;
use std::net::SocketAddr;

use mainspring_http::Client;
use scraper::Html;
use serde_json::Value;
use url::Url;

use crate::celery::redis::{Redis, Reply};
use crate::celery::{Job, Outcome, TASK};
use crate::extract;
use crate::stop::Stop;

/// How long a result is kept, in seconds: Celery's own default, a day.
const RESULT_EXPIRES: &[u8] = b"86400";
/// How long a worker waits for a job before it looks whether it is to stop, in seconds.
const WAIT_STEP: &[u8] = b"1";

/// Takes jobs until somebody asks for a stop, then finishes the one at hand. Returns how many it did.
///
/// A job is taken from the list when it begins; one that a worker dies with is lost, as with a Celery
/// worker that acknowledges early, which is Celery's default.
///
/// # Errors
/// What Redis or the connection to it says.
pub async fn work(
    redis: SocketAddr,
    queue: &str,
    site: &Url,
    client: &Client,
    stop: &Stop,
) -> io::Result<u64> {
    let mut jobs = Redis::connect(redis).await?;
    let mut results = Redis::connect(redis).await?;
    let mut done = 0;
    loop {
        if stop.is_asked() {
            return Ok(done);
        }
        // Waits in short steps instead of being dropped midway: Redis may be handing over a job.
        let taken = jobs.command(&[b"BRPOP", queue.as_bytes(), WAIT_STEP]).await?;
        let Reply::Array(Some(mut parts)) = taken else { continue };
        let Some(Reply::Text(Some(message))) = parts.pop() else { continue };
        let outcome = match Job::read(&message) {
            Ok(job) => Outcome { result: run(&job, site, client).await, id: job.id },
            Err(error) => {
                eprintln!("celery: left out a message: {error}");
                continue;
            }
        };
        let (key, text) = (outcome.result_key(), outcome.to_message());
        results.command(&[b"SETEX", key.as_bytes(), RESULT_EXPIRES, text.as_bytes()]).await?;
        results.command(&[b"PUBLISH", key.as_bytes(), text.as_bytes()]).await?;
        done += 1;
    }
}

/// The task itself. Its error is for whoever reads the result.
async fn run(job: &Job, site: &Url, client: &Client) -> Result<Value, String> {
    if job.task != TASK {
        return Err(format!("this worker knows {TASK}, not {}", job.task));
    }
    let path = format!("/detail/{}", job.argument);
    let url = site.join(&path).map_err(|error| format!("{site}{path}: {error}"))?;
    let response = client.get(url.as_str()).send().await.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("{url}: {}", response.status()));
    }
    let page = response.text().await.map_err(|error| error.to_string())?;
    let movie = extract::movie(&Html::parse_document(&page))?;
    Ok(Value::String(movie.title))
}
