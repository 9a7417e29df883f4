//! What a worker can be asked to do: fetch a page, or a movie of the demo site.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use mainspring::spawn_blocking;
use mainspring_http::{Client, Proxy, Redirect, redact, redact_url};
use scraper::Selector;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::canvas::Outcome;
use super::guard;
use super::message::{Call, Fault};
use crate::answer::{Answer, values};
use crate::cli::Worker as Settings;
use crate::crawl::redirect::{MAX_REDIRECTS, target};
use crate::extract::{self, MAX_STEPS};
use crate::har::HarRecorder;
use crate::links::Nofollow;
use crate::options::{NAME, Options};
use crate::polite::pace::back_off;
use crate::reader::{Read, Reader};
use crate::timings::{RequestTimer, Timings};
use crate::web::{FetchError, Notes, Web, failed, page, read, retry_after};

/// Fetches a page.
pub const FETCH: &str = "mainspring.fetch";
/// Fetches page `id` of the demo site, and returns the movie's title.
const CRAWL: &str = "tasks.crawl";
/// How the error begins that tells of two versions.
pub const OTHER_VERSION: &str = "the worker is of version ";
/// How long a page may take, unless the call says otherwise.
const FETCHING: Duration = Duration::from_secs(30);

/// What coordinator and workers must have in common: it changes with what they tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most ways of connecting that are kept ready at once.
const MOST_WEBS: usize = 16;

/// The tasks of one worker.
pub struct Tasks {
    /// Clients for pages, by how calls ask to connect.
    webs: RefCell<HashMap<String, Web>>,
    settings: Settings,
    /// Asks the demo site alone, which may be anywhere.
    demo: Web,
}

/// What is told of a page, and the page.
type Got = (Told, Option<Answer>);

impl Tasks {
    /// The tasks that a command line asks for.
    #[must_use]
    pub fn new(settings: &Settings) -> Tasks {
        let (connections, timeout) = (settings.concurrency, Some(FETCHING));
        let demo = Web::new(&Options { timeout, ..Options::new(connections) });
        Tasks { webs: RefCell::default(), settings: settings.clone(), demo }
    }

    /// The names of the tasks.
    pub fn names(&self) -> Vec<&str> {
        self.settings.task.iter().map(String::as_str).chain([FETCH, CRAWL]).collect()
    }

    /// Does what a call asks for.
    pub async fn run(&self, call: &Call) -> Outcome {
        let done = match &*call.task {
            CRAWL => self.crawl(call).await.map_err(Outcome::Failure),
            name if self.names().contains(&name) => self.fetch(call).await,
            name => Err(Fault::new("celery.exceptions.NotRegistered", name).into()),
        };
        done.map_or_else(|outcome| outcome, Outcome::Success)
    }

    async fn crawl(&self, call: &Call) -> Result<Value, Fault> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let (id, Nothing {}): (u64, _) = bind(call, "id", "a whole number")?;
        let url = self.settings.site.join(&format!("/detail/{id}")).map_err(Fault::value)?;
        let answer = self.demo.get(&url).await;
        let failed = |error| Fault::new("ConnectionError", format!("{url}: {error}"));
        let page = answer.map_err(failed)?.text();
        let movie = extract::movie(&extract::html(&page, MAX_STEPS).0);
        movie.map(|movie| Value::String(movie.title)).map_err(Fault::value)
    }

    async fn fetch(&self, call: &Call) -> Result<Value, Outcome> {
        let (text, asked): (String, Asked) = bind(call, "url", "a string")?;
        if let Some(theirs) = asked.version.as_ref().filter(|theirs| *theirs != VERSION) {
            let text = format!("{OTHER_VERSION}{VERSION}, the coordinator of {theirs}");
            return Err(Fault::new("RuntimeError", text).into());
        }
        let reader = asked.reader()?;
        let limit = asked.timeout.map_or(Ok(FETCHING), Duration::try_from_secs_f64);
        let wrong = |_| type_error(call, "argument 'timeout' must be a number of seconds");
        let limit = limit.map_err(wrong)?;
        let url = Url::parse(&text).map_err(|error| Fault::value(format!("{text}: {error}")))?;
        let may_retry = call.retries < asked.max_retries;
        let again = |fault, after| Outcome::Retry(fault, back_off(call.retries, after));
        let got = self.get(&url, limit, &asked).await;
        let (mut told, answer) = got.map_err(|fault| match fault.class {
            "ConnectionError" | "TimeoutError" if may_retry => again(fault, None),
            _ => Outcome::Failure(fault),
        })?;
        if matches!(told.status.as_u16(), 429 | 503) && may_retry {
            let fault = Fault::new("ConnectionError", format!("status {}", told.status.as_u16()));
            return Err(again(fault, told.retry_after));
        }
        told.url = redact(&text);
        if let (Some(reader), Some(answer)) = (reader, answer) {
            // Never on the loop, which a single page could hold up.
            let read = spawn_blocking(move || reader.read(&answer, MAX_STEPS)).await;
            let read = read.map_err(|error| Fault::new("RuntimeError", error.to_string()))?;
            told.read = read;
        }
        let mut told = json!(told);
        told.as_object_mut().expect("it is one").retain(|name, value| match name.as_str() {
            "links" => asked.links || asked.assets,
            "selected" => asked.select.is_some(),
            "nofollow" => *value != 0,
            _ => !value.is_null(),
        });
        Ok(told)
    }

    /// Gets a page, redirects followed as far as the call says, each judged as the first URL is.
    async fn get(&self, url: &Url, limit: Duration, asked: &Asked) -> Result<Got, Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::value(format!("{} is not http or https", url.scheme())));
        }
        self.check(url)?;
        let web = self.web(asked)?;
        let most = asked.redirects.unwrap_or(MAX_REDIRECTS);
        let request = web.client().get(url).headers(asked.headers.clone());
        let mut request = request.timeout(limit).redirects(most);
        if let Some(proxy) = &asked.proxy {
            let whole = if proxy.contains("://") { proxy } else { &format!("http://{proxy}") };
            self.check(&Url::parse(whole).map_err(Fault::value)?)?;
            request = request.proxy(Some(Proxy::new(proxy).map_err(Fault::value)?));
        }
        let is_shared = asked.version.is_some();
        let got = async {
            let response = match request.send().await {
                Err(error) if is_shared => return Ok((Told::default(), Err(failed(url)(error)))),
                got => got.map_err(no_answer)?,
            };
            let (status, fields, at) = (response.status(), response.headers(), response.url());
            // Of the redirects that are followed, one is left only where it leads to what is refused.
            if let Some(Ok(to)) = target(status, fields, at).filter(|_| most > 0) {
                self.check(&to)?;
            }
            let retry_after = retry_after(fields, SystemTime::now());
            let set_cookie = asked.cookies.then(|| values(fields, &SET_COOKIE));
            let told = Told { status, retry_after, set_cookie, ..Told::default() };
            let max = asked.max_size.unwrap_or(self.settings.max_size).min(self.settings.max_size);
            if is_shared {
                let reader = Reader { assets: asked.assets, ..Reader::default() };
                let wanted = |kind: &str| !asked.only_pages || reader.is_for(kind);
                return Ok((told, page(response, url, max, wanted).await));
            }
            let head = Answer::without_body(at.clone(), status, fields);
            let broken = |error: FetchError| Fault::new("ConnectionError", error.to_string());
            let (body, is_whole) = read(response, max).await.map_err(broken)?;
            if !is_whole {
                return Err(Fault::value(format!("its body is larger than {max} bytes")));
            }
            Ok((told, Ok(Answer { body, ..head })))
        };
        let (got, timings) = (got.await, web.timings(url));
        let (mut told, answer) = got?;
        told.version.clone_from(&asked.version);
        told.timings = is_shared.then_some(timings);
        told.har = asked.har.then(|| web.entries());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok((Told { error: Some(error), ..told }, None)),
        };
        let mut crc = flate2::Crc::new();
        crc.update(&answer.body);
        (told.len, told.crc32) = (answer.body.len(), crc.sum());
        told.body = asked.body.then(|| STANDARD.encode(&answer.body));
        told.final_url = asked.final_url.then(|| redact_url(&answer.url));
        told.content_type = asked.content_type.then(|| answer.content_type.clone());
        Ok((told, Some(answer)))
    }

    fn check(&self, url: &Url) -> Result<(), Fault> {
        if self.settings.allow_private { Ok(()) } else { guard::check(url) }
    }

    /// A client that connects as a call asks.
    fn web(&self, asked: &Asked) -> Result<Web, Fault> {
        let Asked { cacert, har, insecure, version, without, .. } = asked;
        let key = json!([cacert, har, insecure, version, without]).to_string();
        if let Some(web) = self.webs.borrow().get(&key).filter(|_| !har) {
            return Ok(web.clone());
        }
        let client = Client::builder().user_agent(NAME).danger_accept_invalid_certs(*insecure);
        let without = without.iter().filter_map(|name| name.parse().ok());
        let mut client = without.fold(client, |client, name| client.without_default_header(&name));
        if !self.settings.allow_private {
            let is_public = |hop: &Redirect<'_>| guard::check(hop.to).is_ok();
            client = client.resolver(guard::PublicOnly).redirect_policy(is_public);
        }
        if let Some(pem) = cacert {
            client = client.add_root_certificates(pem.as_bytes()).map_err(Fault::value)?;
        }
        let max_size = self.settings.max_size;
        let options = Options { max_size, ..Options::new(self.settings.concurrency) };
        let notes = Notes {
            timer: version.as_ref().map(|_| RequestTimer::default()),
            archive: har.then(HarRecorder::default),
        };
        let web = Web::with(client, &options, notes);
        let mut webs = self.webs.borrow_mut();
        if webs.len() == MOST_WEBS {
            webs.clear();
        }
        webs.insert(key, web.clone());
        Ok(web)
    }
}

/// What a call may ask of a fetch.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    assets: bool,
    attr: Option<String>,
    body: bool,
    /// Certificates to trust besides the system's, in PEM.
    cacert: Option<String>,
    content_type: bool,
    /// Whether cookies that are set are told.
    cookies: bool,
    final_url: bool,
    /// Whether entries of an archive are told. It then has a connection of its own.
    har: bool,
    #[serde(with = "http_serde::header_map")]
    headers: HeaderMap,
    /// Whether any certificate is taken for good.
    insecure: bool,
    links: bool,
    max_retries: u32,
    max_size: Option<u64>,
    nofollow: Nofollow,
    /// Bodies of other kinds are left unread.
    only_pages: bool,
    proxy: Option<String>,
    redirects: Option<usize>,
    select: Option<String>,
    timeout: Option<f64>,
    /// A coordinator's: it is told more, and bodies that are too long are no failure to it.
    version: Option<String>,
    /// Header fields that are not sent by themselves.
    without: BTreeSet<String>,
}

impl Asked {
    /// What is to be read from the page, if anything is.
    fn reader(&self) -> Result<Option<Reader>, Fault> {
        let bad = |css: &str, error| Fault::value(format!("{css} is no CSS selector: {error}"));
        let parse = |css| Selector::parse(css).map_err(|error| bad(css, error));
        let select = self.select.as_deref().map(parse).transpose()?;
        let (attribute, assets) = (self.attr.clone(), self.assets);
        let reads = self.links || assets || select.is_some();
        Ok(reads.then_some(Reader { select, attribute, assets, nofollow: self.nofollow }))
    }
}

/// What is told of a page: what the call asked for, and what there is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    pub url: String,
    #[serde(with = "http_serde::status_code")]
    pub status: StatusCode,
    pub len: usize,
    pub crc32: u32,
    pub final_url: Option<String>,
    pub content_type: Option<String>,
    /// Why a coordinator cannot have it.
    pub error: Option<FetchError>,
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// In base64.
    pub body: Option<String>,
    pub set_cookie: Option<Vec<String>>,
    pub version: Option<String>,
    pub timings: Option<Timings>,
    pub har: Option<Vec<Value>>,
    #[serde(flatten)]
    pub read: Read,
}

fn no_answer(error: mainspring_http::Error) -> Fault {
    let text = error.to_string();
    let class = match error {
        _ if text.contains(guard::REFUSED) => "PermissionError",
        error if error.is_timeout() => "TimeoutError",
        _ => "ConnectionError",
    };
    Fault::new(class, text)
}

fn type_error(call: &Call, text: &str) -> Fault {
    Fault::new("TypeError", format!("{}() {text}", call.task))
}

/// Binds the arguments of a call as Python does: the first, which must be of a kind, by position or by name,
/// others by name.
fn bind<F, O>(call: &Call, first: &str, kind: &str) -> Result<(F, O), Fault>
where
    F: DeserializeOwned,
    O: DeserializeOwned + Default,
{
    let mut named = call.kwargs.clone();
    let by_name = named.remove(first);
    // One by one, it is known which of them is wrong.
    for (name, value) in &named {
        let one = Map::from_iter([(name.clone(), value.clone())]);
        let Err(error) = O::deserialize(Value::Object(one)) else { continue };
        let error = error.to_string();
        if error.starts_with("unknown field") {
            return Err(type_error(call, &format!("got an unexpected keyword argument '{name}'")));
        } else if !value.is_null() {
            return Err(type_error(call, &format!("argument '{name}': {error}")));
        }
    }
    named.retain(|_, value| !value.is_null());
    let options = O::deserialize(Value::Object(named)).unwrap_or_default();
    let one = match (&call.args[..], by_name) {
        ([one], None) => Ok(one.clone()),
        ([], Some(one)) => Ok(one),
        ([], None) => Err(format!("missing 1 required positional argument: '{first}'")),
        ([_], Some(_)) => Err(format!("got multiple values for argument '{first}'")),
        (many, _) => Err(format!("takes 1 positional argument but {} were given", many.len())),
    };
    let wrong = |_| format!("argument '{first}' must be {kind}");
    let one = one.and_then(|one| serde_json::from_value(one).map_err(wrong));
    one.map(|one| (one, options)).map_err(|text| type_error(call, &text))
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
