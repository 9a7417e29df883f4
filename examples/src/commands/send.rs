//! `crawl send`: has tasks run by workers, and prints what comes of them.

use std::io::Write as _;
use std::pin::pin;
use std::process::ExitCode;

use futures_util::{Stream, StreamExt as _, stream};
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use mainspring_http::redact;
use serde_json::{Map, Value, json};

use crate::celery::{Call, Producer};
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
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    trace::run("send", async {
        let producer = args.redis.producer(&args.queue, &stop).await?;
        let items = stream::iter(&args.items).flat_map(|item| match item.as_str() {
            "-" => lines().boxed_local(),
            item => stream::iter([Ok(item.to_owned())]).boxed_local(),
        });
        let sent = items.map(async |item| one(args, &producer, item?).await);
        let mut sent = pin!(sent.buffer_unordered(args.at_once));
        let mut code = ExitCode::SUCCESS;
        while let Some(Some(over)) = stop.unless_asked(sent.next()).await {
            match over? {
                Ok(line) => print(&line)?,
                Err(line) => {
                    writeln!(std::io::stderr(), "failed: {line}").unwrap_or_default();
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(if stop.is_asked() { ExitCode::from(130) } else { code })
    })?
}

/// The lines of standard input but empty ones, read where that may take its time.
fn lines() -> impl Stream<Item = Result<String, Failure>> {
    stream::unfold((), async |()| {
        let is_empty =
            |line: &Result<String, _>| matches!(line, Ok(line) if line.trim().is_empty());
        let read = spawn_blocking(move || std::io::stdin().lines().find(|line| !is_empty(line)));
        let read = read.await.unwrap_or_else(|error| Some(Err(std::io::Error::other(error))));
        let failed = |error| Failure::from(format!("cannot read standard input: {error}"));
        Some((read?.map_err(failed), ()))
    })
}

/// What came of an item: the line to print, or why there is none.
type Over = Result<String, String>;

/// Sends one task.
async fn one(args: &Send, producer: &Producer, item: String) -> Result<Over, Failure> {
    let item = item.trim();
    let call = call(args, item)?;
    // Some arguments may hold secrets.
    let hides = ["headers", "proxy"].iter().any(|name| call.kwargs.contains_key(*name));
    let item = redact(&if hides { call.shown_kwargs().to_string() } else { item.to_owned() });
    let result = if args.no_wait {
        producer.send(&call).await.map(|()| format!("{} {item}\n", call.id))
    } else {
        let late = |_| Err(format!("no result within {:?}; is a worker there?", args.timeout));
        let result = timeout(args.timeout, producer.run(call, true)).await.unwrap_or_else(late);
        result.map(|value| format!("{item}: {value}\n"))
    };
    Ok(result.map_err(|error| format!("{}: {}", Printable(&item), Printable(&error))))
}

fn call(args: &Send, item: &str) -> Result<Call, Failure> {
    let no_json = |error: serde_json::Error| format!("an item is not JSON: {error}");
    let (positional, named) = match args.json_args.then(|| serde_json::from_str(item)) {
        None => (vec![json!(item)], Map::new()),
        Some(Ok(Value::Array(positional))) => (positional, Map::new()),
        Some(Ok(Value::Object(named))) => (Vec::new(), named),
        Some(Ok(one)) => (vec![one], Map::new()),
        Some(Err(error)) => return Err(no_json(error).into()),
    };
    Ok(Call::new(&args.task, positional, named))
}
