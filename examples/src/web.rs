//! How the crawl talks HTTP: the client set up once, and its answers in the words of the crawl.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, COOKIE, HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, StatusCode};
use mainspring_http::{Client, ClientBuilder, CookieJar, Hook, Response, Signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::answer::{Answer, code};
use crate::crawl::engine::Fetched;
use crate::crawl::redirect::{self, MAX_ROBOTS_REDIRECTS, SHOWN};
use crate::crawl::scope::Scope;
use crate::credentials::Credentials;
use crate::har::{HarRecorder, write_har};
use crate::options::Options;
use crate::polite::robots::{self, Robots};
use crate::text::shortened;
use crate::timings::{RequestTimer, Timings};

/// The web, as far as one crawl sees it. Clones share its connections.
#[derive(Clone)]
pub struct Web {
    client: Client,
    hooks: Hooks,
    credentials: Rc<Credentials>,
    jar: Option<CookieJar>,
    user_agent: Option<HeaderValue>,
    max_size: u64,
}

/// Who is told what happens to requests.
#[derive(Clone, Default)]
struct Hooks {
    archive: Option<HarRecorder>,
    timer: Option<RequestTimer>,
}

impl Hook for Hooks {
    fn signal(&self, signal: &Signal<'_>) {
        if let Some(archive) = &self.archive {
            archive.signal(signal);
        }
        if let Some(timer) = &self.timer {
            timer.signal(signal);
        }
    }
}

/// Why a page was not to be had.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchError {
    /// The host is too busy: 429 or 503.
    Busy {
        /// The status.
        #[serde(with = "code")]
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Another status that is an error.
    Refused(#[serde(with = "code")] StatusCode),
    /// It is elsewhere.
    Moved {
        /// The status that says so.
        #[serde(with = "code")]
        status: StatusCode,
        /// Where it is.
        to: Url,
    },
    /// There is an answer, and its body is not read: it is too long, or not what was asked for.
    Unread {
        /// The status.
        #[serde(with = "code")]
        status: StatusCode,
        /// Its `Content-Type`.
        content_type: String,
        /// Why.
        reason: String,
    },
    /// No answer: the client's own words.
    Failed(String),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchError::Busy { status, .. } | FetchError::Refused(status) => write!(f, "{status}"),
            FetchError::Moved { status, to } => write!(f, "{status} to {to}"),
            FetchError::Unread { reason, .. } | FetchError::Failed(reason) => f.write_str(reason),
        }
    }
}

impl<T> From<FetchError> for Fetched<T> {
    fn from(error: FetchError) -> Fetched<T> {
        match error {
            FetchError::Busy { retry_after, .. } => {
                Fetched::Busy { reason: error.to_string(), retry_after }
            }
            FetchError::Moved { status, to } => Fetched::Moved { status: status.as_u16(), to },
            FetchError::Refused(_) | FetchError::Unread { .. } | FetchError::Failed(_) => {
                Fetched::Failed(error.to_string())
            }
        }
    }
}

/// How connections were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections opened.
    pub opened: u64,
    /// Times that an open one was used again.
    pub reused: u64,
}

impl Web {
    /// A client of its own for one crawl.
    #[must_use]
    pub fn new(options: &Options) -> Web {
        Web::with(Client::builder(), options)
    }

    /// The same from a client that has been set up in part.
    #[must_use]
    pub fn with(client: ClientBuilder, options: &Options) -> Web {
        let mut client = options.set_up(client);
        let hooks = Hooks {
            archive: options.archive.then(HarRecorder::new),
            timer: options.timed.then(RequestTimer::default),
        };
        // A client without a hook has no moments to note.
        if options.archive || options.timed {
            client = client.hook(hooks.clone());
        }
        let credentials = Rc::new(options.credentials.clone());
        let Options { cookies: jar, user_agent, max_size, .. } = options.clone();
        Web { client: client.build(), hooks, credentials, jar, user_agent, max_size }
    }

    /// Writes the archive to a file, if there is both.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn write_archive(&self, path: Option<&Path>) -> Result<(), String> {
        match (&self.hooks.archive, path) {
            (Some(archive), Some(path)) => write_har(path, archive),
            _ => Ok(()),
        }
    }

    /// Fetches a page of whatever type.
    ///
    /// # Errors
    /// Why it was not to be had: a status from 300 on, a body that is too long, or no whole answer.
    pub async fn get(&self, url: &Url) -> Result<Answer, FetchError> {
        self.get_if(url, |_| true).await
    }

    /// Fetches a page if its `Content-Type` is wanted; otherwise its body is not read.
    ///
    /// # Errors
    /// As [`Web::get`], and [`FetchError::Unread`] for a type that is not wanted.
    pub async fn get_if(
        &self,
        url: &Url,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Answer, FetchError> {
        page(self.ask(url).await?, url, self.max_size, wanted).await
    }

    /// Fetches what is no page, redirects followed as far as the scope allows them: at most `max`
    /// bytes of it, and whether that is all.
    ///
    /// # Errors
    /// As [`Web::get`].
    pub async fn get_beside(
        &self,
        url: &Url,
        max: usize,
        redirects: usize,
        scope: &Scope,
    ) -> Result<(Answer, bool), FetchError> {
        let mut at = url.clone();
        for _ in 0..=redirects {
            let asked = match self.ask(&at).await {
                Ok(response) => judged(&response, &at).map(|head| (head, response)),
                Err(error) => Err(error),
            };
            // It is no page: how long it took is not told.
            let _timings = self.timings(&at);
            match asked {
                Ok((head, response)) => {
                    let (body, is_whole) = read(response, max as u64).await?;
                    let body = body.slice(..body.len().min(max));
                    return Ok((Answer { body, ..head }, is_whole));
                }
                Err(FetchError::Moved { to, .. }) => {
                    scope.allows_redirect(&at, &to).map_err(FetchError::Failed)?;
                    at = to;
                }
                Err(error) => return Err(error),
            }
        }
        let at = shortened(at.as_str(), SHOWN);
        let why = format!("it redirects more than {redirects} times, at last to {at}");
        Err(FetchError::Failed(why))
    }

    /// Sends the request; whatever the answer is, it is yet to be read.
    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let mut request = self.client.get(url);
        let fields = self.credentials.fields_for(url);
        // Without fields of its own, a request takes those of the client in one copy.
        if !fields.is_empty() {
            request = request.headers(fields);
        }
        request.send().await.map_err(failed(url))
    }

    /// Fetches a host's robots.txt and says what follows from what came of it (RFC 9309 §2.3.1):
    /// none there means that all is allowed, a host that cannot answer that nothing is. Of a long
    /// one the beginning counts (§2.5).
    pub async fn robots<T>(&self, url: &Url, scope: &Scope) -> Fetched<T> {
        match self.get_beside(url, robots::MAX_BYTES, MAX_ROBOTS_REDIRECTS, scope).await {
            Ok((answer, _)) => {
                Fetched::Robots(Robots::parse(&String::from_utf8_lossy(&answer.body)))
            }
            Err(FetchError::Refused(status)) if status.is_client_error() => {
                Fetched::Robots(Robots::allow_all())
            }
            Err(error) => error.into(),
        }
    }

    /// The client itself, for requests of another kind.
    #[must_use]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The header fields that a request for this URL carries, but those that every client sends.
    #[must_use]
    pub fn fields_for(&self, url: &Url) -> HeaderMap {
        let mut fields = self.credentials.fields_for(url);
        let cookies = self.jar.as_ref().and_then(|jar| jar.get(url));
        let cookies = cookies.and_then(|cookies| HeaderValue::try_from(cookies).ok());
        for (name, value) in [(USER_AGENT, self.user_agent.clone()), (COOKIE, cookies)] {
            // A request that sets the field itself knows better.
            value.map(|value| fields.entry(name).or_insert(value));
        }
        fields
    }

    /// What there is for an archive, if there is to be one.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        self.hooks.archive.as_ref().map(HarRecorder::entries).unwrap_or_default()
    }

    /// Takes note of what another process tells of its request for `url`: the cookies that were set, how
    /// long each phase took, and what there is for an archive.
    pub fn note(
        &self,
        url: &Url,
        cookies: Option<Vec<String>>,
        timings: Option<Timings>,
        entries: Option<Vec<Value>>,
    ) {
        if let Some(jar) = &self.jar {
            for cookie in cookies.iter().flatten() {
                jar.set(url, cookie);
            }
        }
        if let (Some(timer), Some(timings)) = (&self.hooks.timer, timings) {
            timer.put(url, timings);
        }
        if let (Some(archive), Some(entries)) = (&self.hooks.archive, entries) {
            archive.add(entries);
        }
    }

    /// How long each phase of the latest request for `url` took, if requests are timed; the
    /// client forgets it.
    #[must_use]
    pub fn timings(&self, url: &Url) -> Timings {
        self.hooks.timer.as_ref().map(|timer| timer.take(url)).unwrap_or_default()
    }

    /// How connections were used so far.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let stats = self.client.stats();
        Connections { opened: stats.opened, reused: stats.reused }
    }
}

/// Looks at the head of an answer to a request for `url`: that of a page.
fn judged(response: &Response, url: &Url) -> Result<Answer, FetchError> {
    let (status, headers) = (response.status(), response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        return Err(FetchError::Busy {
            status,
            retry_after: retry_after(headers, SystemTime::now()),
        });
    }
    if status.is_client_error() || status.is_server_error() {
        return Err(FetchError::Refused(status));
    }
    if let Some(target) = redirect::target(status, headers, url) {
        return Err(target.map_or_else(FetchError::Failed, |to| FetchError::Moved { status, to }));
    }
    Ok(Answer::without_body(url.clone(), status, headers))
}

/// Reads an answer to a request for `url`, if it is a page that is wanted and at most `max` bytes long.
///
/// # Errors
/// As [`Web::get_if`].
pub(crate) async fn page(
    response: Response,
    url: &Url,
    max: u64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Answer, FetchError> {
    let head = judged(&response, url)?;
    let unread = |reason| {
        let Answer { status, content_type, .. } = head.clone();
        Err(FetchError::Unread { status, content_type, reason })
    };
    if !wanted(&head.content_type) {
        return unread(format!("nothing asks for {}", shortened(&head.content_type, 80)));
    }
    if let Some(bytes) = response.content_length().filter(|bytes| *bytes > max) {
        return unread(format!("it announces {bytes} bytes, and {max} are read at most"));
    }
    let (body, is_whole) = read(response, max).await?;
    if !is_whole {
        return Err(FetchError::Failed(format!("its body is larger than {max} bytes")));
    }
    Ok(Answer { body, ..head })
}

/// The client's words on a request for `url` that failed, without the request: what shows them says
/// which page it was.
pub(crate) fn failed(url: &Url) -> impl Fn(mainspring_http::Error) -> FetchError + use<> {
    let request = format!("GET {url}: ");
    move |error| {
        let reason = error.to_string();
        FetchError::Failed(reason.strip_prefix(&request).unwrap_or(&reason).to_owned())
    }
}

/// Reads a body until it is over or longer than `max` bytes; says whether it was over. Of a longer
/// one, a little more than `max` bytes may come.
pub(crate) async fn read(mut response: Response, max: u64) -> Result<(Bytes, bool), FetchError> {
    let failed = failed(response.url());
    let is_coded = response.headers().contains_key(CONTENT_ENCODING);
    if !is_coded && response.content_length().is_some_and(|bytes| bytes <= max) {
        return Ok((response.bytes().await.map_err(failed)?, true));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(&failed)? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > max {
            return Ok((body.freeze(), false));
        }
    }
    Ok((body.freeze(), true))
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        for (value, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
