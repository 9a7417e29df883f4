//! The coordinator's side of a shared crawl: pages that workers fetch and read for it. What must be
//! one stays with it: the frontier, robots.txt, manners, the journal and the files.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, USER_AGENT};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::time::Duration;
use url::Url;

use super::message::Call;
use super::producer::Producer;
use super::tasks::{FETCH, OTHER_VERSION, VERSION};
use crate::answer::Answer;
use crate::options::Options;
use crate::reader::Read;
use crate::web::FetchError;

/// The workers on a queue, as one crawl uses them.
pub struct Workers {
    producer: Producer,
    /// What is asked of each page.
    asking: Map<String, Value>,
    agent: Option<HeaderValue>,
    /// Why they are of no use.
    pub(crate) trouble: RefCell<Option<String>>,
}

impl Workers {
    /// Workers that are asked through `producer`, for pages as `options` say, and what is in `read`:
    /// whether assets are links, and what to select.
    #[must_use]
    pub(crate) fn new(producer: Producer, options: &Options, read: &Value) -> Workers {
        let asking = json!({
            "content_type": true, "final_url": true, "links": true, "redirects": 0,
            "max_size": options.max_size, "version": VERSION,
            "timeout": options.timeout.map_or(1e6, |limit| limit.as_secs_f64()),
        });
        let mut asking = asking.as_object().cloned().unwrap_or_default();
        asking.extend(read.as_object().cloned().unwrap_or_default());
        Workers { producer, asking, agent: options.user_agent.clone(), trouble: RefCell::default() }
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
        let text = |value: &HeaderValue| Some(Value::from(value.to_str().ok()?));
        let fields =
            fields.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        let mut asking = self.asking.clone();
        asking.insert("headers".to_owned(), fields.collect::<Map<_, _>>().into());
        asking.insert("only_pages".to_owned(), json!(only_pages));
        let call = Call::new(FETCH, vec![json!(url)], asking);
        let mut told =
            self.producer.run_once(call).await.map_err(|error| self.failed(url, error))?;
        if told["version"] != VERSION {
            let error = format!("TypeError: {OTHER_VERSION}another program");
            return Err(self.failed(url, error));
        }
        let status = told["status"].as_u64().and_then(|n| StatusCode::from_u16(n as u16).ok());
        let unclear = || FetchError::Failed("a worker tells of no status".to_owned());
        let status = status.ok_or_else(unclear)?;
        if let Some(to) = take(&mut told, "location") {
            return Err(FetchError::Moved { status, to });
        }
        if matches!(status.as_u16(), 429 | 503) {
            let retry_after = told["retry_after"].as_u64().map(Duration::from_secs);
            return Err(FetchError::Busy { status, retry_after });
        }
        if !status.is_success() {
            return Err(FetchError::Refused(status));
        }
        let content_type = take(&mut told, "content_type").unwrap_or_default();
        if let Some(reason) = take(&mut told, "unread") {
            return Err(FetchError::Unread { status, content_type, reason });
        }
        let body: String = take(&mut told, "body").unwrap_or_default();
        let body = STANDARD.decode(body).unwrap_or_default().into();
        let read = Read {
            left: 0,
            links: take(&mut told, "links").unwrap_or_default(),
            nofollow: take(&mut told, "nofollow").unwrap_or_default(),
            selected: take(&mut told, "selected").unwrap_or_default(),
            cut: take(&mut told, "cut"),
        };
        let head = Answer::without_body(url.clone(), status, &HeaderMap::new());
        let answer = Answer { content_type, body, ..head };
        Ok((answer, read, told["len"].as_u64().unwrap_or_default()))
    }

    /// Waits until the last results are taken away.
    pub(crate) async fn settled(&self) {
        self.producer.settled().await;
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

/// One thing of what a worker tells, if it tells it.
fn take<T: DeserializeOwned>(told: &mut Value, name: &str) -> Option<T> {
    serde_json::from_value(told[name].take()).ok()
}
