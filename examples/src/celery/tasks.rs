//! What a worker can be asked to do: fetch a page, or a movie of the demo site.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mainspring::spawn_blocking;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::Url;

use super::canvas::Outcome;
use super::message::{Call, Fault, show};
use super::page::{Asked, VERSION, value_error};
use crate::cli::Worker as Settings;
use crate::extract::{self, MAX_STEPS};
use crate::options::Options;
use crate::polite::pace::back_off;
use crate::web::Web;

/// Fetches a page.
pub const FETCH: &str = "mainspring.fetch";
/// Fetches page `id` of the demo site, and returns the movie's title.
const CRAWL: &str = "tasks.crawl";
/// How the error begins that tells of two versions.
pub const OTHER_VERSION: &str = "the worker is of version ";
/// How long a page may take, unless the call says otherwise.
const FETCHING: Duration = Duration::from_secs(30);

/// The tasks of one worker.
pub struct Tasks {
    /// Clients for pages, by how calls ask to connect.
    pub(super) webs: RefCell<HashMap<String, Web>>,
    pub(super) settings: Settings,
    /// Asks the demo site alone, which may be anywhere.
    demo: Web,
    /// What a fetch is called by.
    names: BTreeSet<String>,
}

impl Tasks {
    /// The tasks that a command line asks for.
    #[must_use]
    pub fn new(settings: &Settings) -> Tasks {
        let (connections, timeout) = (settings.concurrency, Some(FETCHING));
        let demo = Web::new(&Options { connections, timeout, ..Options::default() });
        let names = settings.task.iter().cloned().chain([FETCH.to_owned()]).collect();
        Tasks { webs: RefCell::default(), settings: settings.clone(), demo, names }
    }

    /// The names of the tasks.
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).chain([CRAWL]).collect()
    }

    /// Does what a call asks for.
    pub async fn run(&self, call: &Call) -> Outcome {
        let done = match &*call.task {
            name if self.names.contains(name) => self.fetch(call).await,
            CRAWL => self.crawl(call).await.map_err(Outcome::Failure),
            name => Err(Outcome::Failure(Fault::celery("NotRegistered", name))),
        };
        done.map_or_else(|outcome| outcome, Outcome::Success)
    }

    async fn crawl(&self, call: &Call) -> Result<Value, Fault> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let (id, Nothing {}) = bind(call, "id")?;
        let wrong = || type_error(call, "argument 'id' must be a whole number");
        let id = id.as_u64().ok_or_else(wrong)?;
        let url = self.settings.site.join(&format!("/detail/{id}")).map_err(value_error)?;
        let answer = self.demo.get(&url).await;
        let failed = |error| Fault::new("ConnectionError", format!("{url}: {error}"));
        let page = answer.map_err(failed)?.text();
        let movie = extract::movie(&extract::html(&page, MAX_STEPS).0);
        movie.map(|movie| Value::String(movie.title)).map_err(value_error)
    }

    async fn fetch(&self, call: &Call) -> Result<Value, Outcome> {
        let (url, asked): (_, Asked) = bind(call, "url")?;
        let text =
            url.as_str().ok_or_else(|| type_error(call, "argument 'url' must be a string"))?;
        if let Some(theirs) = asked.version.as_ref().filter(|theirs| *theirs != VERSION) {
            let theirs = show(&json!(theirs));
            let text = format!("{OTHER_VERSION}{VERSION}, the coordinator of {theirs}");
            return Err(Fault::new("RuntimeError", text).into());
        }
        let reader = asked.reader()?;
        let limit = asked.timeout.map_or(Ok(FETCHING), Duration::try_from_secs_f64);
        let wrong = |_| type_error(call, "argument 'timeout' must be a number of seconds");
        let limit = limit.map_err(wrong)?;
        let url = Url::parse(text).map_err(|error| value_error(format!("{text}: {error}")))?;
        let may_retry = call.retries < asked.max_retries;
        let again =
            |fault, after| Outcome::Retry(fault, back_off(call.retries.min(10) as u32, after));
        let got = self.get(&url, limit, &asked).await;
        let (mut told, answer) = got.map_err(|fault| match fault.class {
            "ConnectionError" | "TimeoutError" if may_retry => again(fault, None),
            _ => Outcome::Failure(fault),
        })?;
        if matches!(told.status, 429 | 503) && may_retry {
            let fault = Fault::new("ConnectionError", format!("status {}", told.status));
            return Err(again(fault, told.retry_after));
        }
        text.clone_into(&mut told.url);
        if let (Some(reader), Some(answer)) = (reader, answer) {
            // Never on the loop, which a single page could hold up.
            let read = spawn_blocking(move || reader.read(&answer, MAX_STEPS)).await;
            let read = read.map_err(|error| Fault::new("RuntimeError", error.to_string()))?;
            told.links = (asked.links || asked.assets).then_some(read.links);
            told.selected = asked.select.is_some().then_some(read.selected);
            told.nofollow = Some(read.nofollow).filter(|count| *count > 0);
            told.cut = read.cut;
        }
        let mut told = json!(told);
        told.as_object_mut().expect("it is one").retain(|_, value| !value.is_null());
        Ok(told)
    }
}

fn type_error(call: &Call, text: &str) -> Fault {
    Fault::new("TypeError", format!("{}() {text}", call.task))
}

/// Binds the arguments of a call as Python does: the first by position or by name, others by name.
fn bind<O: Default + DeserializeOwned>(call: &Call, first: &str) -> Result<(Value, O), Fault> {
    let mut named = call.kwargs.clone();
    let by_name = named.remove(first);
    // One by one, it is known which of them is wrong.
    for (name, value) in &named {
        let one = Map::from_iter([(name.clone(), value.clone())]);
        let Err(error) = O::deserialize(Value::Object(one)) else { continue };
        let (name, error) = (show(&json!(name)), error.to_string());
        if error.starts_with("unknown field") {
            let text = format!("got an unexpected keyword argument '{name}'");
            return Err(type_error(call, &text));
        } else if !value.is_null() {
            return Err(type_error(call, &format!("argument '{name}': {}", show(&json!(error)))));
        }
    }
    named.retain(|_, value| !value.is_null());
    let options = O::deserialize(Value::Object(named)).unwrap_or_default();
    let wrong = match (&call.args[..], by_name) {
        ([one], None) => return Ok((one.clone(), options)),
        ([], Some(one)) => return Ok((one, options)),
        ([], None) => format!("missing 1 required positional argument: '{first}'"),
        ([_], Some(_)) => format!("got multiple values for argument '{first}'"),
        (many, _) => format!("takes 1 positional argument but {} were given", many.len()),
    };
    Err(type_error(call, &wrong))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        worker: Settings,
    }

    fn faults(task: &str, args: Value, kwargs: Value) -> String {
        let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else { panic!("both") };
        let call = Call::new(task, args, kwargs);
        let line = Line::try_parse_from(["worker", "--task", "other"]).expect("a command line");
        let tasks = Tasks::new(&line.worker);
        match mainspring::run(tasks.run(&call)) {
            Outcome::Failure(fault) => fault.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wrong_arguments_are_told_as_python_tells_them() {
        let fetch = |args, kwargs| faults(FETCH, args, kwargs);
        for (said, expected) in [
            (fetch(json!([]), json!({})), "() missing 1 required positional argument: 'url'"),
            (fetch(json!(["u", 1]), json!({})), "() takes 1 positional argument but 2 were given"),
            (fetch(json!(["u"]), json!({"url": "u"})), "() got multiple values for argument 'url'"),
            (fetch(json!([]), json!({"uri": "u"})), "() got an unexpected keyword argument 'uri'"),
            (fetch(json!([7]), json!({})), "() argument 'url' must be a string"),
            (
                fetch(json!(["u"]), json!({"links": 1})),
                "() argument 'links': invalid type: integer `1`, expected a boolean",
            ),
            (
                fetch(json!(["u"]), json!({"select": 1})),
                "() argument 'select': invalid type: integer `1`, expected a string",
            ),
            (
                fetch(json!(["u"]), json!({"timeout": -1})),
                "() argument 'timeout' must be a number of seconds",
            ),
            (
                fetch(json!(["u"]), json!({"redirects": "x"})),
                "() argument 'redirects': invalid type: string \"x\", expected usize",
            ),
        ] {
            assert_eq!(said, format!("TypeError: {FETCH}{expected}"));
        }
        let crawl = faults(CRAWL, json!(["one"]), json!({}));
        assert_eq!(crawl, "TypeError: tasks.crawl() argument 'id' must be a whole number");
        assert_eq!(faults("nothing", json!([]), json!({})), "NotRegistered: nothing");
    }

    #[test]
    fn what_may_not_be_fetched_is_not() {
        let fetch = |url: &str| faults("other", json!([url]), json!({}));
        for private in ["http://127.0.0.1/", "http://localhost/", "http://[::ffff:10.0.0.1]/"] {
            assert!(fetch(private).starts_with("PermissionError: "), "{}", fetch(private));
        }
        assert_eq!(fetch("file:///etc/passwd"), "ValueError: file is not http or https");
        assert_eq!(fetch("nothing"), "ValueError: nothing: relative URL without a base");
        let other = faults(FETCH, json!(["http://h/"]), json!({"version": "0.0.0"}));
        assert!(other.starts_with("RuntimeError: the worker is of version"), "{other}");
        let css = faults(FETCH, json!(["http://h/"]), json!({"select": "a["}));
        assert!(css.starts_with("ValueError: a[ is no CSS selector"), "{css}");
    }
}
