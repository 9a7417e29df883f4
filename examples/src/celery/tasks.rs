//! What a worker can be asked to do: fetch a page, or a movie of the demo site.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use mainspring_http::Client;
use scraper::Selector;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::guard;
use super::message::{Call, Fault, show};
use crate::answer::Answer;
use crate::crawl::redirect::{MAX_REDIRECTS, target};
use crate::extract::{self, MAX_STEPS};
use crate::links::Nofollow;
use crate::polite::pace::back_off;
use crate::reader::Reader;
use crate::web::{read, retry_after};

/// Fetches a page.
pub const FETCH: &str = "mainspring.fetch";
/// Fetches page `id` of the demo site, and returns the movie's title.
pub const CRAWL: &str = "tasks.crawl";
/// What coordinator and workers must have in common: it changes with what they tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How the error begins that tells of two versions.
pub const OTHER_VERSION: &str = "the worker is of version ";

/// How long a page may take, unless the call says otherwise.
const FETCHING: Duration = Duration::from_secs(30);

/// Why a task has no value.
#[derive(Debug)]
pub enum NoValue {
    /// It failed.
    Failed(Fault),
    /// It failed, and asks to be tried again after this time.
    Again(Fault, Duration),
}

impl From<Fault> for NoValue {
    fn from(fault: Fault) -> NoValue {
        NoValue::Failed(fault)
    }
}

/// The tasks of one worker.
pub struct Tasks {
    /// Refuses private addresses, unless they are allowed.
    web: Client,
    /// Asks the demo site alone, which may be anywhere.
    demo: Client,
    site: Url,
    allow_private: bool,
    max_size: u64,
    /// What a fetch is called by.
    names: BTreeSet<String>,
}

impl Tasks {
    /// Fetches under its name and under these, `connections` at once, pages up to `max_size` bytes.
    #[must_use]
    pub fn new(
        names: &[String],
        site: Url,
        allow_private: bool,
        connections: usize,
        max_size: u64,
    ) -> Tasks {
        let builder = || {
            let ours = concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION"));
            let builder = Client::builder().max_connections(connections).max_redirects(0);
            builder.max_connections_per_host(connections).user_agent(HeaderValue::from_static(ours))
        };
        let web = if allow_private { builder() } else { builder().resolver(guard::PublicOnly) };
        let names = names.iter().map(String::as_str).chain([FETCH]).map(str::to_owned).collect();
        Tasks { web: web.build(), demo: builder().build(), site, allow_private, max_size, names }
    }

    /// The names of the tasks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).chain([CRAWL])
    }

    /// Does what a call asks for.
    ///
    /// # Errors
    /// Why there is no value, in Python's words.
    pub async fn run(&self, call: &Call) -> Result<Value, NoValue> {
        match &*call.task {
            name if self.names.contains(name) => self.fetch(call).await,
            CRAWL => Ok(self.crawl(call).await?),
            name => Err(Fault::celery("NotRegistered", name).into()),
        }
    }

    async fn crawl(&self, call: &Call) -> Result<Value, Fault> {
        let arguments = Arguments::of(call, "id", &[])?;
        let id = arguments.first.as_u64().ok_or_else(|| arguments.wrong("id", "a whole number"))?;
        let url = self.site.join(&format!("/detail/{id}")).map_err(|error| value_error(&error))?;
        let answer = self.demo.get(&url).timeout(FETCHING).send().await;
        let response = answer.map_err(|error| no_answer(&error))?;
        if !response.status().is_success() {
            return Err(value_error(&format!("{url}: {}", response.status())));
        }
        let page = response.text().await.map_err(|error| no_answer(&error))?;
        let movie = extract::movie(&extract::html(&page, MAX_STEPS).0);
        movie.map(|movie| Value::String(movie.title)).map_err(|error| value_error(&error))
    }

    async fn fetch(&self, call: &Call) -> Result<Value, NoValue> {
        let arguments = Arguments::of(call, "url", &OPTIONS)?;
        let asked = arguments.first.as_str().ok_or_else(|| arguments.wrong("url", "a string"))?;
        let options = Options::read(&arguments)?;
        if let Some(theirs) = options.version.as_deref().filter(|theirs| *theirs != VERSION) {
            let theirs = show(&json!(theirs));
            let text = format!("{OTHER_VERSION}{VERSION}, the coordinator of {theirs}");
            return Err(Fault::new("RuntimeError", text).into());
        }
        let reader = options.reader()?;
        let limit = options
            .timeout
            .map_or(Ok(FETCHING), Duration::try_from_secs_f64)
            .map_err(|_| arguments.wrong("timeout", "a number of seconds"))?;
        let url = Url::parse(asked).map_err(|error| value_error(&format!("{asked}: {error}")))?;
        let again = |fault: Fault, after: Option<Duration>| match options.max_retries {
            most if call.retries < most => {
                NoValue::Again(fault, back_off(call.retries.min(30) as u32, after))
            }
            _ => NoValue::Failed(fault),
        };
        let page = timeout(limit, self.get(url, &options)).await;
        let late = |_| Err(Fault::new("TimeoutError", format!("no answer within {limit:?}")));
        let page = page.unwrap_or_else(late).map_err(|fault| match fault.class {
            "ConnectionError" | "TimeoutError" => again(fault, None),
            _ => NoValue::Failed(fault),
        })?;
        let status = page.answer.status;
        if matches!(status.as_u16(), 429 | 503) && call.retries < options.max_retries {
            return Err(again(Fault::new("ConnectionError", status.to_string()), page.retry_after));
        }
        Ok(options.value(asked, page, reader).await?)
    }

    /// Gets a page, redirects followed as far as the options say, each judged as the first URL is.
    async fn get(&self, mut url: Url, options: &Options) -> Result<Page, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let field =
                name.parse::<http::HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let bad = || value_error(&format!("{} is no header field", show(&json!(name))));
            let (name, value) = field.ok_or_else(bad)?;
            headers.append(name, value);
        }
        let most = options.redirects.unwrap_or(MAX_REDIRECTS);
        for redirects in 0.. {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(value_error(&format!("{} is not http or https", url.scheme())));
            }
            if !self.allow_private {
                guard::check(&url).map_err(|text| Fault::new("PermissionError", text))?;
            }
            let request = self.web.get(&url).headers(headers.clone()).send();
            let response = request.await.map_err(|error| no_answer(&error))?;
            let (status, fields) = (response.status(), response.headers());
            let moved =
                target(status, fields, &url).transpose().map_err(|text| value_error(&text))?;
            if let Some(to) = &moved
                && redirects < most
            {
                if to.origin() != url.origin() {
                    for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                        headers.remove(secret);
                    }
                }
                url = to.clone();
                continue;
            }
            if moved.is_some() && most > 0 {
                let text = format!("it redirects more than {redirects} times, at last to {url}");
                return Err(Fault::new("OSError", text));
            }
            let retry_after = retry_after(fields, SystemTime::now());
            let head = Answer::without_body(url.clone(), status, fields);
            let content_type = &head.content_type;
            let max = options.max_size.unwrap_or(self.max_size).min(self.max_size);
            let announced = response.content_length().filter(|bytes| *bytes > max);
            let unwanted =
                options.only_pages && status.is_success() && !options.is_for(content_type);
            let unread = match announced {
                _ if unwanted => Some(format!("nothing asks for {}", show(&json!(content_type)))),
                Some(bytes) => {
                    Some(format!("it announces {bytes} bytes, and {max} are read at most"))
                }
                None => None,
            };
            let (mut body, mut whole) = (Bytes::new(), true);
            if unread.is_none() {
                let failed = |error: crate::web::FetchError| {
                    Fault::new("ConnectionError", error.to_string())
                };
                (body, whole) = read(response, max).await.map_err(failed)?;
            }
            if !whole || (unread.is_some() && options.version.is_none()) {
                return Err(value_error(&format!("its body is larger than {max} bytes")));
            }
            let answer = Answer { body, ..head };
            return Ok(Page { answer, moved, retry_after, unread });
        }
        unreachable!("a page redirects not for ever")
    }
}

/// A page, where it leads if it is a redirect that was not followed, and why it was not read.
struct Page {
    answer: Answer,
    moved: Option<Url>,
    retry_after: Option<Duration>,
    unread: Option<String>,
}

/// What a call may ask of a fetch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    assets: bool,
    attr: Option<String>,
    body: bool,
    content_type: bool,
    final_url: bool,
    headers: BTreeMap<String, String>,
    links: bool,
    max_retries: u64,
    max_size: Option<u64>,
    nofollow: Nofollow,
    /// A coordinator's: bodies of other kinds, and those that are too long, are left unread.
    only_pages: bool,
    redirects: Option<usize>,
    select: Option<String>,
    timeout: Option<f64>,
    version: Option<String>,
}

/// The names of those.
const OPTIONS: [&str; 15] = [
    "assets",
    "attr",
    "body",
    "content_type",
    "final_url",
    "headers",
    "links",
    "max_retries",
    "max_size",
    "nofollow",
    "only_pages",
    "redirects",
    "select",
    "timeout",
    "version",
];

impl Options {
    fn read(arguments: &Arguments<'_>) -> Result<Options, Fault> {
        let given =
            arguments.named.iter().filter(|(name, value)| *name != "url" && !value.is_null());
        let mut all = Map::new();
        for (name, value) in given {
            all.insert(name.clone(), value.clone());
            // Read again with each, it is known which one is wrong.
            if let Err(error) = Options::deserialize(Value::Object(all.clone())) {
                let text = format!("argument '{name}': {}", show(&json!(error.to_string())));
                return Err(arguments.fault(&text));
            }
        }
        Ok(Options::deserialize(Value::Object(all)).unwrap_or_default())
    }

    fn reader(&self) -> Result<Option<Reader>, Fault> {
        let bad = |css: &str, error| value_error(&format!("{css} is no CSS selector: {error}"));
        let select =
            self.select.as_deref().map(|css| Selector::parse(css).map_err(|e| bad(css, e)));
        let (select, attribute, assets) = (select.transpose()?, self.attr.clone(), self.assets);
        let reads = self.links || assets || select.is_some();
        Ok(reads.then_some(Reader { select, attribute, assets, nofollow: self.nofollow }))
    }

    fn is_for(&self, content_type: &str) -> bool {
        Reader { assets: self.assets, ..Reader::default() }.is_for(content_type)
    }

    /// What is told of a page.
    async fn value(&self, asked: &str, page: Page, reader: Option<Reader>) -> Result<Value, Fault> {
        let Page { answer, moved, retry_after, unread } = page;
        let mut crc = flate2::Crc::new();
        crc.update(&answer.body);
        let mut value = json!({
            "url": asked, "status": answer.status.as_u16(), "len": answer.body.len(),
            "crc32": crc.sum(),
        });
        let mut add = |name: &str, wanted: bool, what: Value| {
            if wanted && !what.is_null() {
                value[name] = what;
            }
        };
        add("final_url", self.final_url, json!(answer.url));
        add("content_type", self.content_type, json!(answer.content_type));
        add("location", true, json!(moved));
        add("retry_after", true, json!(retry_after.map(|after| after.as_secs())));
        add("unread", true, json!(unread));
        add("body", self.body, json!(STANDARD.encode(&answer.body)));
        add("version", self.version.is_some(), json!(VERSION));
        if let Some(reader) = reader {
            let (select, answer) = (self.select.is_some(), Arc::new(answer));
            // Never on the loop, which a single page could hold up.
            let read = spawn_blocking(move || reader.read(&answer, MAX_STEPS)).await;
            let read = read.map_err(|error| Fault::new("RuntimeError", error.to_string()))?;
            add("links", self.links || self.assets, json!(read.links));
            add("selected", select, json!(read.selected));
            add("nofollow", read.nofollow > 0, json!(read.nofollow));
            add("cut", true, json!(read.cut));
        }
        Ok(value)
    }
}

fn value_error(text: &dyn Display) -> Fault {
    Fault::new("ValueError", text.to_string())
}

fn no_answer(error: &mainspring_http::Error) -> Fault {
    let text = error.to_string();
    let class = match error {
        _ if text.contains(guard::REFUSED) => "PermissionError",
        error if error.is_timeout() => "TimeoutError",
        _ => "ConnectionError",
    };
    Fault::new(class, text)
}

/// The arguments of a call, as Python binds them: one by position or by name, the others by name.
struct Arguments<'a> {
    task: &'a str,
    first: &'a Value,
    named: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    fn of(call: &'a Call, first: &str, names: &[&str]) -> Result<Arguments<'a>, Fault> {
        let Call { task, args, kwargs, .. } = call;
        let bound = Arguments { task, first: &Value::Null, named: kwargs };
        let unexpected = |name: &&String| *name != first && !names.contains(&name.as_str());
        if let Some(name) = kwargs.keys().find(unexpected) {
            let name = show(&json!(name));
            return Err(bound.fault(&format!("got an unexpected keyword argument '{name}'")));
        }
        let wrong = match (&args[..], kwargs.get(first)) {
            ([one], None) | ([], Some(one)) => return Ok(Arguments { first: one, ..bound }),
            ([], None) => format!("missing 1 required positional argument: '{first}'"),
            ([_], Some(_)) => format!("got multiple values for argument '{first}'"),
            (many, _) => format!("takes 1 positional argument but {} were given", many.len()),
        };
        Err(bound.fault(&wrong))
    }

    fn wrong(&self, name: &str, kind: &str) -> Fault {
        self.fault(&format!("argument '{name}' must be {kind}"))
    }

    fn fault(&self, text: &str) -> Fault {
        Fault::new("TypeError", format!("{}() {text}", self.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(task: &str, args: Value, kwargs: Value) -> String {
        let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else { panic!("both") };
        let call = Call::new(task, args, kwargs);
        let site = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let tasks = Tasks::new(&["other".to_owned()], site, false, 1, 1 << 20);
        match mainspring::run(tasks.run(&call)) {
            Err(NoValue::Failed(fault)) => fault.to_string(),
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
