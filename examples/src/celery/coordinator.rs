//! The coordinator's side of a shared crawl: pages that workers fetch and read for it. What must be
//! one stays with it: the frontier, robots.txt, manners, the journal and the files.

use std::cell::RefCell;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{COOKIE, HeaderMap, USER_AGENT};
use http::{HeaderName, HeaderValue, StatusCode};
use mainspring_http::CookieJar;
use serde_json::{Map, Value, json};
use url::Url;

use super::message::Call;
use super::page::{Told, VERSION};
use super::producer::Producer;
use super::tasks::{FETCH, OTHER_VERSION};
use crate::answer::Answer;
use crate::options::Options;
use crate::reader::Read;
use crate::timings::Timings;
use crate::web::FetchError;

/// The workers on a queue, as one crawl uses them.
pub struct Workers {
    producer: Producer,
    /// What is asked of each page.
    asking: Map<String, Value>,
    agent: Option<HeaderValue>,
    jar: Option<CookieJar>,
    timings: RefCell<HashMap<Url, Timings>>,
    /// Why they are of no use.
    pub(crate) trouble: RefCell<Option<String>>,
}

impl Workers {
    /// Workers that are asked through `producer`, for pages as `options` say, and what is in `more`:
    /// how to connect, whether assets are links, and what to select.
    #[must_use]
    pub(crate) fn new(producer: Producer, options: &Options, more: &Value) -> Workers {
        let without: Vec<&str> = options.removed.iter().map(HeaderName::as_str).collect();
        let asking = json!({
            "content_type": true, "links": true, "redirects": 0, "version": VERSION,
            "cookies": options.cookies.is_some(), "insecure": options.accept_invalid_certs,
            "max_size": options.max_size, "without": without,
            "timeout": options.timeout.map_or(1e6, |limit| limit.as_secs_f64()),
        });
        let mut asking = asking.as_object().cloned().unwrap_or_default();
        asking.extend(more.as_object().cloned().unwrap_or_default());
        let (agent, jar) = (options.user_agent.clone(), options.cookies.clone());
        let (timings, trouble) = (RefCell::default(), RefCell::default());
        Workers { producer, asking, agent, jar, timings, trouble }
    }

    /// Has a page fetched and read; with `only_pages`, only if it may have links. Gives the bytes of
    /// its body too, which comes along only where it is to be kept.
    ///
    /// # Errors
    /// Why it was not to be had, as [`Web::get_if`](crate::web::Web::get_if) tells it.
    pub(crate) async fn get(
        &self,
        url: &Url,
        mut fields: HeaderMap,
        only_pages: bool,
    ) -> Result<(Answer, Read, u64), FetchError> {
        if let Some(agent) = &self.agent {
            fields.insert(USER_AGENT, agent.clone());
        }
        // A request that sets the field itself knows better.
        if let Some(cookies) = self.jar.as_ref().and_then(|jar| jar.get(url)) {
            let cookies = HeaderValue::try_from(cookies).ok();
            cookies.map(|cookies| fields.entry(COOKIE).or_insert(cookies));
        }
        let text = |value: &HeaderValue| Some(Value::from(value.to_str().ok()?));
        let fields =
            fields.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        let mut asking = self.asking.clone();
        asking.insert("headers".to_owned(), fields.collect::<Map<_, _>>().into());
        asking.insert("only_pages".to_owned(), json!(only_pages));
        let call = Call::new(FETCH, vec![json!(url)], asking);
        let told = self.producer.run(call, false).await;
        let told = told.map_err(|error| self.failed(url, error))?;
        let told: Told = serde_json::from_value(told).unwrap_or_default();
        if told.version.as_deref() != Some(VERSION) {
            let error = format!("TypeError: {OTHER_VERSION}another program");
            return Err(self.failed(url, error));
        }
        if let Some(jar) = &self.jar {
            for cookie in told.set_cookie.iter().flatten() {
                jar.set(url, cookie);
            }
        }
        let is_redirect = matches!(told.error, Some(FetchError::Moved { .. }));
        if let Some(timings) = told.timings.filter(|_| !is_redirect) {
            self.timings.borrow_mut().insert(url.clone(), timings);
        }
        if let Some(error) = told.error {
            return Err(error);
        }
        let unclear = |_| FetchError::Failed("a worker tells of no status".to_owned());
        let status = StatusCode::from_u16(told.status).map_err(unclear)?;
        let body = STANDARD.decode(told.body.unwrap_or_default()).unwrap_or_default().into();
        let read = Read {
            left: 0,
            links: told.links.unwrap_or_default(),
            nofollow: told.nofollow.unwrap_or_default(),
            selected: told.selected.unwrap_or_default(),
            cut: told.cut,
        };
        let head = Answer::without_body(url.clone(), status, &HeaderMap::new());
        let content_type = told.content_type.unwrap_or_default();
        let answer = Answer { content_type, body, ..head };
        Ok((answer, read, told.len as u64))
    }

    /// How long each phase of the latest request for `url` took; it is forgotten with this.
    pub(crate) fn timings(&self, url: &Url) -> Timings {
        self.timings.borrow_mut().remove(url).unwrap_or_default()
    }

    /// Waits until the last results are taken away.
    pub(crate) async fn settled(&self) {
        self.producer.store.link.settled().await;
    }

    /// The error of a task, as the crawl tells it; one that all tasks will have is the end of it.
    fn failed(&self, url: &Url, error: String) -> FetchError {
        if error.contains(OTHER_VERSION) || error.contains("unexpected keyword argument") {
            let text =
                format!("coordinator and workers must be of one version, {VERSION}: {error}");
            *self.trouble.borrow_mut() = Some(text);
        }
        let text = error.split_once(": ").map_or(&*error, |(_, text)| text);
        FetchError::Failed(text.strip_prefix(&format!("GET {url}: ")).unwrap_or(text).to_owned())
    }
}
