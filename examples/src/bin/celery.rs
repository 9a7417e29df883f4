//! A Celery worker and a Celery producer for the crawl, on one loop each, with Redis between them and
//! Python's own Celery on either side.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Parser, Subcommand};
use mainspring::future::gather_all;
use mainspring::spawn_named;
use mainspring_examples::celery::{send, work};
use mainspring_examples::stop::Stop;
use mainspring_http::Client;
use url::Url;

const EXAMPLES: &str = "\
Examples:
  celery worker --site http://127.0.0.1:8080/     run tasks.crawl(id) for whoever sends it
  celery send 1 2 3                               send tasks.crawl(id), wait for the titles

From Python, with the same Redis as broker and backend:
  app = Celery('tasks', broker='redis://127.0.0.1', backend='redis://127.0.0.1')
  app.send_task('tasks.crawl', args=[7]).get()";

/// Works with Celery over Redis
#[derive(Debug, Parser)]
#[command(name = "celery", version, after_help = EXAMPLES)]
struct Cli {
    /// Where Redis is
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379", global = true)]
    redis: SocketAddr,
    /// The queue's name
    #[arg(long, default_value = "celery", global = true)]
    queue: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs until Ctrl-C
    Worker {
        /// The site to fetch from
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/")]
        site: Url,
        /// How many jobs at once
        #[arg(long, value_name = "N", default_value_t = 10)]
        concurrency: usize,
    },
    /// Send one job for each id, and print the results
    Send {
        /// The ids
        #[arg(required = true)]
        ids: Vec<u64>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("celery: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    match cli.command {
        Command::Worker { site, concurrency } => {
            let stop = Stop::new();
            stop.on_ctrl_c()?;
            let client = Client::new();
            let settings = Rc::new((cli.queue, site));
            mainspring::run(async {
                let workers = (1..=concurrency).map(|n| {
                    let (settings, client, stop) = (settings.clone(), client.clone(), stop.clone());
                    spawn_named(format!("worker {n}"), async move {
                        let done = work(cli.redis, &settings.0, &settings.1, &client, &stop).await;
                        // One that cannot go on ends the others, so that its error is seen.
                        if done.is_err() {
                            stop.ask();
                        }
                        done
                    })
                });
                let mut done = 0;
                for worker in gather_all(workers).await {
                    done += worker??;
                }
                println!("{done} jobs done");
                Ok(ExitCode::SUCCESS)
            })
        }
        Command::Send { ids } => {
            let outcomes = mainspring::run(send(cli.redis, &cli.queue, &ids))?;
            let mut code = ExitCode::SUCCESS;
            for (id, outcome) in ids.iter().zip(outcomes) {
                match outcome.result {
                    Ok(value) => println!("{id}: {value}"),
                    Err(error) => {
                        code = ExitCode::FAILURE;
                        println!("{id}: failed: {error}");
                    }
                }
            }
            Ok(code)
        }
    }
}
