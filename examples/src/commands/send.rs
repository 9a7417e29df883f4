//! `crawl send`: has tasks run by workers, and prints what comes of them.

use std::io::Write as _;
use std::process::ExitCode;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use mainspring::future::race;
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use serde_json::{Map, Value, json};

use crate::celery::Call;
use crate::celery::producer::Producer;
use crate::cli::Send;
use crate::failure::{Failure, print};
use crate::stop::Stop;
use crate::text::Printable;
use crate::trace;

/// Sends everything, and waits for it as the command line says.
///
/// # Errors
/// One sentence: an item that is none, no such Redis, or it refuses.
pub fn run(args: &Send) -> Result<ExitCode, Failure> {
    let address = args.redis.address()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    trace::run("send", async {
        let producer = Producer::connect(&address, &args.redis.prefix, &args.queue);
        let stopped = async {
            stop.asked().await;
            Err("stopped before Redis was reached".to_owned())
        };
        let producer = race(producer, stopped).await?;
        let mut code = ExitCode::SUCCESS;
        let mut items = args.items.iter().peekable();
        let mut events: FuturesUnordered<LocalBoxFuture<'_, Event>> = FuturesUnordered::new();
        let (mut is_asked_for_a_line, send) = (false, |item: String| {
            let call = call(args, &item)?;
            Ok::<_, Failure>(one(args, &producer, item, call).boxed_local())
        });
        loop {
            if events.len() < args.at_once && !is_asked_for_a_line && !stop.is_asked() {
                match items.peek().map(|item| item.as_str()) {
                    Some("-") => {
                        is_asked_for_a_line = true;
                        events.push(line().boxed_local());
                    }
                    Some(item) => {
                        events.push(send(item.to_owned())?);
                        items.next();
                        continue;
                    }
                    None => {}
                }
            }
            let stopped = async {
                stop.asked().await;
                None
            };
            match race(events.next(), stopped).await {
                None => break,
                Some(Event::Line(line)) => {
                    is_asked_for_a_line = false;
                    match line? {
                        None => drop(items.next()),
                        Some(line) if line.is_empty() => {}
                        Some(line) => events.push(send(line)?),
                    }
                }
                Some(Event::Over(_, Ok(line))) => print(&line)?,
                Some(Event::Over(item, Err(error))) => {
                    let line = format!("failed: {}: {}", Printable(&item), Printable(&error));
                    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(if stop.is_asked() { ExitCode::from(130) } else { code })
    })?
}

/// What is waited for.
enum Event {
    /// A line of standard input, or its end.
    Line(Result<Option<String>, Failure>),
    /// What came of an item: the line to print.
    Over(String, Result<String, String>),
}

/// The next line of standard input, read where it may take its time.
async fn line() -> Event {
    let read = spawn_blocking(|| {
        let mut line = String::new();
        let count = std::io::stdin().read_line(&mut line)?;
        Ok::<_, std::io::Error>((count > 0).then(|| line.trim().to_owned()))
    });
    let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    Event::Line(read.map_err(|error| format!("cannot read standard input: {error}").into()))
}

/// Sends one task.
async fn one(args: &Send, producer: &Producer, item: String, call: Call) -> Event {
    let result = if args.no_wait {
        producer.send(&call).await.map(|id| format!("{id} {item}\n"))
    } else {
        let late = |_| Err(format!("no result within {:?}; is a worker there?", args.timeout));
        let result = timeout(args.timeout, producer.run(call)).await.unwrap_or_else(late);
        result.map(|value| format!("{item}: {value}\n"))
    };
    Event::Over(item, result)
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
