//! `crawl send`: has tasks run by workers, and prints what comes of them.

use std::io::{BufRead as _, Write as _, stdin};
use std::process::ExitCode;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mainspring::future::race;
use mainspring::time::timeout;
use serde_json::{Map, Value, json};

use crate::celery::Call;
use crate::celery::producer::Producer;
use crate::cli::Send;
use crate::failure::{Failure, print};
use crate::stop::Stop;
use crate::text::Printable;

/// Sends everything, and waits for it as the command line says.
///
/// # Errors
/// One sentence: an item that is none, no such Redis, or it refuses.
pub fn run(args: &Send) -> Result<ExitCode, Failure> {
    let address = args.redis.address()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let mut items = args.items.iter().flat_map(|item| -> Box<dyn Iterator<Item = _>> {
        match item.as_str() {
            "-" => Box::new(lines()),
            item => Box::new(std::iter::once(Ok(item.to_owned()))),
        }
    });
    mainspring::run(async {
        let producer = Producer::connect(&address, &args.redis.prefix, &args.queue);
        let stopped = async {
            stop.asked().await;
            Err("stopped before Redis was reached".to_owned())
        };
        let producer = race(producer, stopped).await?;
        let mut code = ExitCode::SUCCESS;
        let mut sent = FuturesUnordered::new();
        loop {
            let more = sent.len() < args.at_once && !stop.is_asked();
            if more && let Some(item) = items.next().transpose()? {
                let call = call(args, &item)?;
                sent.push(one(args, &producer, item, call));
                continue;
            }
            let next = async {
                stop.asked().await;
                None
            };
            let Some((item, result)) = race(sent.next(), next).await else { break };
            match result {
                Ok(line) => print(&line)?,
                Err(error) => {
                    let line = format!("failed: {}: {}", Printable(&item), Printable(&error));
                    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(if stop.is_asked() { ExitCode::from(130) } else { code })
    })
}

/// Sends one task; gives the line to print.
async fn one(
    args: &Send,
    producer: &Producer,
    item: String,
    call: Call,
) -> (String, Result<String, String>) {
    let result = if args.no_wait {
        producer.send(&call).await.map(|id| format!("{id} {item}\n"))
    } else {
        let late = |_| Err(format!("no result within {:?}; is a worker there?", args.timeout));
        let result = timeout(args.timeout, producer.run(call)).await.unwrap_or_else(late);
        result.map(|value| format!("{item}: {value}\n"))
    };
    (item, result)
}

fn call(args: &Send, item: &str) -> Result<Call, Failure> {
    let (positional, named) = match args.json_args.then(|| serde_json::from_str(item)) {
        None => (vec![json!(item)], Map::new()),
        Some(Ok(Value::Array(positional))) => (positional, Map::new()),
        Some(Ok(Value::Object(named))) => (Vec::new(), named),
        Some(Ok(one)) => (vec![one], Map::new()),
        Some(Err(error)) => {
            return Err(Failure::Said(format!("not JSON: {}: {error}", Printable(item))));
        }
    };
    Ok(Call::new(&args.task, positional, named))
}

/// The lines of standard input; empty ones say nothing.
fn lines() -> impl Iterator<Item = Result<String, Failure>> {
    let lines = stdin().lock().lines().map(|line| {
        let line = line.map_err(|error| format!("cannot read standard input: {error}"))?;
        Ok(line.trim().to_owned())
    });
    lines.filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()) || line.is_err())
}
