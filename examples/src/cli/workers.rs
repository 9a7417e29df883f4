//! The arguments of `crawl worker` and `crawl send`, and where Redis is.

use std::time::Duration;

use clap::Args;
use url::Url;

use super::values::{at_least_one, seed};
use crate::celery::{Address, FETCH, Producer, QUEUE};
use crate::stop::Stop;
use crate::value::{bytes, duration};

/// Where Redis is, and what is where in it.
#[derive(Clone, Debug, Args)]
pub struct Redis {
    /// Where Redis is: redis://user:password@host:port/db, rediss:// for TLS (?ssl_ca_certs=FILE to
    /// trust more), redis+socket:///path. Better told by the variable REDIS_URL: others can see
    /// command lines [default: redis://localhost:6379/0]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The option that says so.
    #[arg(skip = "--redis")]
    flag: &'static str,
    /// What all keys begin with: global_keyprefix of the app
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: String,
}

impl Redis {
    /// Where Redis is, by the command line, the environment or custom.
    ///
    /// # Errors
    /// One sentence without the text, in which a password may be.
    pub fn address(&self) -> Result<Address, String> {
        let (from, text) = match (&self.redis, std::env::var("REDIS_URL")) {
            (Some(text), _) => (self.flag, text.clone()),
            (None, Ok(text)) => ("REDIS_URL", text),
            (None, Err(_)) => ("", "redis://localhost".to_owned()),
        };
        Address::parse(&text).map_err(|error| format!("{from}: {error}"))
    }

    /// A way to send tasks, unless a stop is asked for first.
    ///
    /// # Errors
    /// One sentence: Redis cannot be reached, or does not let us in.
    pub async fn producer(&self, queue: &str, stop: &Stop) -> Result<Producer, String> {
        let address = self.address()?;
        let connected = stop.unless_asked(Producer::connect(&address, &self.prefix, queue)).await;
        connected.ok_or("stopped before Redis was reached")?
    }
}

/// Which workers fetch the pages, if any do.
#[derive(Clone, Debug, Args)]
pub struct Sharing {
    /// Have workers fetch and read the pages: `crawl worker`, through the Redis here; env takes
    /// REDIS_URL, which others cannot see. Credentials, cookies and a proxy's password go through that
    /// Redis: all who may read it may use them
    #[arg(long, value_name = "URL", conflicts_with = "noproxy")]
    via: Option<String>,
    /// The queue of those workers
    #[arg(long, value_name = "Q", default_value = QUEUE, requires = "via")]
    queue: String,
    /// What all keys in that Redis begin with
    #[arg(long, value_name = "TEXT", default_value = "", requires = "via")]
    prefix: String,
}

impl Sharing {
    /// A way to send tasks to workers, if they fetch the pages.
    ///
    /// # Errors
    /// As [`Redis::producer`].
    pub async fn producer(&self, stop: &Stop) -> Result<Option<Producer>, String> {
        let Some(via) = &self.via else { return Ok(None) };
        let redis = Some(via.clone()).filter(|via| via != "env");
        let redis = Redis { redis, flag: "--via", prefix: self.prefix.clone() };
        redis.producer(&self.queue, stop).await.map(Some)
    }
}

/// `crawl worker`.
#[derive(Clone, Debug, Args)]
#[command(after_help = include_str!("help/worker.txt"))]
pub struct Worker {
    /// Where Redis is.
    #[command(flatten)]
    pub redis: Redis,
    /// The queues to take tasks from
    #[arg(long, short = 'Q', value_name = "Q,…", value_delimiter = ',', default_value = QUEUE)]
    pub queue: Vec<String>,
    /// How many tasks to run at once
    #[arg(long, short = 'c', value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub concurrency: usize,
    /// When a task of a worker that is gone is given to another. Workers in Python must have the same,
    /// longer than their longest task; ours alone do with 30s
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = visibility)]
    pub visibility_timeout: Duration,
    /// How long results are kept; 0 for ever
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub result_expires: Duration,
    /// Fetch for tasks of this name too; may be given several times
    #[arg(long, value_name = "NAME")]
    pub task: Vec<String>,
    /// Fetch from private addresses too: loopback, 10.0.0.0/8 and the like
    #[arg(long)]
    pub allow_private: bool,
    /// Fail pages that are larger than this
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_size: u64,
    /// The demo site, for tasks.crawl
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/", value_parser = seed)]
    pub site: Url,
    /// Print a line for each task
    #[arg(long, short)]
    pub verbose: bool,
}

/// `crawl send`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/send.txt"))]
pub struct Send {
    /// Where Redis is.
    #[command(flatten)]
    pub redis: Redis,
    /// The queue to send to
    #[arg(long, short = 'Q', default_value = QUEUE)]
    pub queue: String,
    /// The task to send
    #[arg(long, value_name = "NAME", default_value = FETCH)]
    pub task: String,
    /// Take each item for JSON: [...] are arguments, {...} arguments by name, else one argument
    #[arg(long)]
    pub json_args: bool,
    /// Print the ids, and do not wait for results
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for a result
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// How many tasks may be without a result at once
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one)]
    pub at_once: usize,
    /// What to send, one task for each; - is standard input, a line for each
    #[arg(value_name = "URL", required = true, allow_negative_numbers = true)]
    pub items: Vec<String>,
}

fn visibility(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_secs(1) => Err("must be at least a second".to_owned()),
        time => Ok(time),
    }
}
