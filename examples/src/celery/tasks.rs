//! What a worker can be asked to do: fetch a page, or a movie of the demo site.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use mainspring_http::Client;
use scraper::Selector;
use serde_json::{Map, Value, json};
use url::Url;

use super::guard;
use super::message::{Call, Fault, show};
use crate::extract;
use crate::polite::pace::back_off;
use crate::web::{Answer, retry_after};

/// Fetches a page.
pub const FETCH: &str = "mainspring.fetch";
/// Fetches page `id` of the demo site, and returns the movie's title.
pub const CRAWL: &str = "tasks.crawl";
/// What coordinator and workers must have in common: it changes with what they tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a page may take to be read.
const READING: Duration = Duration::from_secs(10);
/// How long a page may take to be fetched, unless the call says otherwise.
const FETCHING: Duration = Duration::from_secs(30);
/// The names that a fetch may be given arguments by, besides the URL.
const OPTIONS: [&str; 13] = [
    "assets",
    "attr",
    "body",
    "content_type",
    "final_url",
    "headers",
    "links",
    "max_retries",
    "redirects",
    "select",
    "timeout",
    "url",
    "version",
];

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
            Client::builder()
                .max_connections(connections)
                .max_connections_per_host(connections)
                .max_body_bytes(max_size)
                .max_redirects(0)
                .user_agent(HeaderValue::from_static(ours))
        };
        let web = if allow_private { builder() } else { builder().resolver(guard::PublicOnly) };
        let names = names.iter().map(String::as_str).chain([FETCH]).map(str::to_owned).collect();
        let (web, demo) = (web.build(), builder().max_redirects(10).build());
        Tasks { web, demo, site, allow_private, names }
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
        if self.names.contains(&call.task) {
            return self.fetch(call).await;
        }
        if call.task == CRAWL {
            return Ok(self.crawl(call).await?);
        }
        Err(Fault::celery("NotRegistered", call.task.as_str()).into())
    }

    async fn crawl(&self, call: &Call) -> Result<Value, Fault> {
        let arguments = Arguments::of(call, "id", &["id"])?;
        let id = arguments.first.as_u64().ok_or_else(|| arguments.wrong("id", "a whole number"))?;
        let path = format!("/detail/{id}");
        let wrong = |error: &dyn std::fmt::Display| Fault::new("ValueError", error.to_string());
        let url = self.site.join(&path).map_err(|error| wrong(&error))?;
        let response =
            self.demo.get(&url).timeout(FETCHING).send().await.map_err(|e| no_answer(&e))?;
        if !response.status().is_success() {
            return Err(wrong(&format!("{url}: {}", response.status())));
        }
        let page = response.text().await.map_err(|error| no_answer(&error))?;
        let movie = extract::movie(&extract::html(&page)).map_err(|error| wrong(&error))?;
        Ok(Value::String(movie.title))
    }

    async fn fetch(&self, call: &Call) -> Result<Value, NoValue> {
        let arguments = Arguments::of(call, "url", &OPTIONS)?;
        let asked = arguments.first.as_str().ok_or_else(|| arguments.wrong("url", "a string"))?;
        let options = Options::read(&arguments)?;
        let wrong = |text: String| Fault::new("ValueError", text);
        let url = Url::parse(asked).map_err(|error| wrong(format!("{asked}: {error}")))?;
        let again = |fault: Fault, after: Option<Duration>| match call.retries < options.max_retries
        {
            true => NoValue::Again(fault, back_off(call.retries.min(30) as u32, after)),
            false => NoValue::Failed(fault),
        };
        let whole = timeout(options.timeout, self.get(&url, &options));
        let late =
            |_| Err(Fault::new("TimeoutError", format!("no answer within {:?}", options.timeout)));
        let page = match whole.await.unwrap_or_else(late) {
            Ok(page) => page,
            Err(fault @ Fault { class: "ConnectionError" | "TimeoutError", .. }) => {
                return Err(again(fault, None));
            }
            Err(fault) => return Err(fault.into()),
        };
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if busy.contains(&page.answer.status) && call.retries < options.max_retries {
            let fault = Fault::new("ConnectionError", page.answer.status.to_string());
            return Err(again(fault, page.retry_after));
        }
        let mut value = json!({
            "url": asked, "status": page.answer.status.as_u16(), "len": page.answer.body.len(),
            "crc32": crc32(&page.answer.body),
        });
        if options.flag("final_url") {
            value["final_url"] = json!(page.answer.url);
        }
        if options.flag("content_type") {
            value["content_type"] = json!(page.answer.content_type);
        }
        if let Some(location) = page.location {
            value["location"] = json!(location);
        }
        if let Some(after) = page.retry_after {
            value["retry_after"] = json!(after.as_secs());
        }
        if options.flag("body") {
            value["body"] = json!(STANDARD.encode(&page.answer.body));
        }
        if options.flag("version") {
            value["version"] = json!(VERSION);
        }
        if options.reads() {
            let (links, selected) = read(page.answer, &options).await?;
            value["links"] = json!(links);
            if options.select.is_some() {
                value["selected"] = json!(selected);
            }
        }
        Ok(value)
    }

    /// Gets a page, redirects followed as far as the options say, each judged as the first URL is.
    async fn get(&self, url: &Url, options: &Options) -> Result<Page, Fault> {
        let (mut url, mut headers) = (url.clone(), options.headers.clone());
        let mut left = options.redirects;
        loop {
            if !matches!(url.scheme(), "http" | "https") {
                let text = format!("{} is not http or https", url.scheme());
                return Err(Fault::new("ValueError", text));
            }
            if !self.allow_private {
                guard::check(&url).map_err(|text| Fault::new("PermissionError", text))?;
            }
            let request = self.web.get(&url).headers(headers.clone());
            let response = request.send().await.map_err(|error| no_answer(&error))?;
            let (status, fields) = (response.status(), response.headers());
            let text = |name: HeaderName| {
                String::from_utf8_lossy(fields.get(name).map_or(&[], |v| v.as_bytes())).into_owned()
            };
            let location =
                Some(text(LOCATION)).filter(|to| status.is_redirection() && !to.is_empty());
            let location = location.and_then(|to| url.join(&to).ok());
            if let Some(to) = &location
                && left > 0
            {
                left -= 1;
                if to.origin() != url.origin() {
                    for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                        headers.remove(secret);
                    }
                }
                url = to.clone();
                continue;
            }
            if location.is_some() && options.redirects > 0 {
                let text = format!("more than {} redirects", options.redirects);
                return Err(Fault::new("OSError", text));
            }
            let content_type = text(CONTENT_TYPE);
            let retry_after = fields
                .contains_key(RETRY_AFTER)
                .then(|| retry_after(fields, SystemTime::now()))
                .flatten();
            let body = response.bytes().await.map_err(|error| no_answer(&error))?;
            let answer = Answer { url, status, content_type, body };
            return Ok(Page { answer, location, retry_after });
        }
    }
}

/// A page, and where it leads if it is a redirect that was not followed.
struct Page {
    answer: Answer,
    location: Option<Url>,
    retry_after: Option<Duration>,
}

/// What a call may ask of a fetch.
struct Options {
    given: Map<String, Value>,
    headers: HeaderMap,
    select: Option<Selector>,
    attr: Option<String>,
    timeout: Duration,
    redirects: u64,
    max_retries: u64,
}

impl Options {
    fn read(arguments: &Arguments<'_>) -> Result<Options, Fault> {
        let given = arguments.named;
        let get = |name: &str| given.get(name).filter(|value| !value.is_null());
        let wrong = |name: &str, kind: &str| arguments.wrong(name, kind);
        for flag in ["assets", "body", "content_type", "final_url", "links"] {
            if get(flag).is_some_and(|value| !value.is_boolean()) {
                return Err(wrong(flag, "a bool"));
            }
        }
        if let Some(theirs) = get("version")
            && theirs != VERSION
        {
            let text = format!(
                "this worker is of version {VERSION} and the coordinator of version {}: \
                 run the same one everywhere",
                show(theirs)
            );
            return Err(Fault::new("RuntimeError", text));
        }
        let text = |name: &str| match get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a string")),
        };
        let count = |name: &str, default: u64| match get(name) {
            None => Ok(default),
            Some(value) => value.as_u64().ok_or_else(|| wrong(name, "a whole number")),
        };
        let select = text("select")?.map(|css| {
            let bad =
                |error| Fault::new("ValueError", format!("{css} is no CSS selector: {error}"));
            Selector::parse(&css).map_err(bad)
        });
        let seconds = get("timeout").map(|value| {
            let limit =
                value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            limit.ok_or_else(|| wrong("timeout", "a number of seconds"))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in
            get("headers").map(|v| v.as_object()).unwrap_or_default().into_iter().flatten()
        {
            let field = HeaderName::try_from(name.as_str()).ok();
            let content = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
            let bad =
                || Fault::new("ValueError", format!("{} is no header field", show(&json!(name))));
            let (field, content) = field.zip(content).ok_or_else(bad)?;
            headers.append(field, content);
        }
        Ok(Options {
            headers,
            select: select.transpose()?,
            attr: text("attr")?,
            timeout: seconds.transpose()?.unwrap_or(FETCHING),
            redirects: count("redirects", 10)?.min(50),
            max_retries: count("max_retries", 0)?,
            given: given.clone(),
        })
    }

    fn flag(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|value| !value.is_null() && value != false)
    }

    fn reads(&self) -> bool {
        self.flag("links") || self.flag("assets") || self.select.is_some()
    }
}

/// Reads a page: where it leads, and what is selected from it. However it is made, that ends in time.
async fn read(answer: Answer, options: &Options) -> Result<(Vec<Url>, Vec<String>), Fault> {
    if !answer.is_html() {
        return Ok((Vec::new(), Vec::new()));
    }
    let (links, assets) = (options.flag("links"), options.flag("assets"));
    let (select, attr) = (options.select.clone(), options.attr.clone());
    let reading = move || {
        let html = extract::html(&answer.text());
        let mut found = if links { extract::links(&html, &answer.url) } else { Vec::new() };
        if assets {
            found.extend(extract::assets(&html, &answer.url));
        }
        let selected = select.map(|css| extract::select(&html, &css, attr.as_deref()));
        (answer.body.len(), found, selected.unwrap_or_default())
    };
    let late =
        || Fault::new("TimeoutError", format!("the page takes more than {READING:?} to read"));
    let reading = spawn_blocking(reading);
    let read = timeout(READING, reading).await.map_err(|_| late())?;
    let (_, found, selected) =
        read.map_err(|error| Fault::new("RuntimeError", error.to_string()))?;
    Ok((found, selected))
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

/// The checksum of zlib, gzip and PNG.
fn crc32(bytes: &Bytes) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
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
        let wrong = |text: String| Fault::new("TypeError", format!("{task}() {text}"));
        if let Some(name) = kwargs.keys().find(|name| !names.contains(&name.as_str())) {
            let name = show(&json!(name));
            return Err(wrong(format!("got an unexpected keyword argument '{name}'")));
        }
        let bound = match (&args[..], kwargs.get(first)) {
            ([one], None) => one,
            ([], Some(one)) => one,
            ([], None) => {
                return Err(wrong(format!("missing 1 required positional argument: '{first}'")));
            }
            ([_], Some(_)) => {
                return Err(wrong(format!("got multiple values for argument '{first}'")));
            }
            (many, _) => {
                let count = many.len();
                return Err(wrong(format!("takes 1 positional argument but {count} were given")));
            }
        };
        Ok(Arguments { task, first: bound, named: kwargs })
    }

    fn wrong(&self, name: &str, kind: &str) -> Fault {
        Fault::new("TypeError", format!("{}() argument '{name}' must be {kind}", self.task))
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
            (fetch(json!(["u"]), json!({"links": 1})), "() argument 'links' must be a bool"),
            (fetch(json!(["u"]), json!({"select": 1})), "() argument 'select' must be a string"),
            (
                fetch(json!(["u"]), json!({"timeout": -1})),
                "() argument 'timeout' must be a number of seconds",
            ),
            (
                fetch(json!(["u"]), json!({"redirects": "x"})),
                "() argument 'redirects' must be a whole number",
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
        assert!(other.starts_with("RuntimeError: this worker is of version"), "{other}");
        let css = faults(FETCH, json!(["http://h/"]), json!({"select": "a["}));
        assert!(css.starts_with("ValueError: a[ is no CSS selector"), "{css}");
    }
}
