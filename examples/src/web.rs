//! How the crawl talks HTTP: the client set up once, and its answers in the words of the crawl.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, COOKIE, HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, StatusCode};
use mainspring_http::{Client, ClientBuilder, CookieJar, Hook, Response, Signal, Stats};
use serde_json::Value;
use url::Url;

use crate::answer::Answer;
use crate::crawl::engine::Fetched;
pub use crate::crawl::job::FetchError;
use crate::crawl::redirect::{self, MAX_ROBOTS_REDIRECTS, shown};
use crate::crawl::scope::Scope;
use crate::credentials::Credentials;
use crate::har::HarRecorder;
use crate::options::{NAME, Options};
use crate::polite::robots::{self, Robots};
use crate::text::shortened;
use crate::timings::{RequestTimer, Timings};

/// The web, as far as one crawl sees it. Clones share its connections.
#[derive(Clone)]
pub struct Web {
    client: Client,
    notes: Notes,
    credentials: Rc<Credentials>,
    jar: Option<CookieJar>,
    user_agent: Option<HeaderValue>,
    max_size: u64,
}

/// What takes note of requests.
#[derive(Clone, Default)]
pub struct Notes {
    /// How long each phase takes.
    pub timer: Option<RequestTimer>,
    /// What is asked and answered.
    pub archive: Option<HarRecorder>,
}

/// All who are told what happens to requests.
pub(crate) struct Hooks(pub(crate) Vec<Rc<dyn Hook>>);

impl Hook for Hooks {
    fn signal(&self, signal: &Signal<'_>) {
        self.0.iter().for_each(|hook| hook.signal(signal));
    }
}

impl Web {
    /// A client of its own for one crawl.
    pub fn new(options: &Options) -> Web {
        Web::with(Client::builder().user_agent(NAME), options, Notes::default())
    }

    /// The same from a client that has been set up in part.
    pub fn with(client: ClientBuilder, options: &Options, notes: Notes) -> Web {
        let mut client = options.set_up(client);
        let Notes { timer, archive } = &notes;
        let timer = timer.iter().map(|timer| Rc::new(timer.clone()) as Rc<dyn Hook>);
        let archive = archive.iter().map(|archive| Rc::new(archive.clone()) as Rc<dyn Hook>);
        let hooks: Vec<_> = timer.chain(archive).collect();
        // A client without a hook has no moments to note.
        if !hooks.is_empty() {
            client = client.hook(Hooks(hooks));
        }
        let Options { cookies: jar, user_agent, max_size, credentials, .. } = options.clone();
        let credentials = Rc::new(credentials);
        Web { client: client.build(), notes, credentials, jar, user_agent, max_size }
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
        let got = page(self.ask(url).await?, url, self.max_size, wanted).await;
        if let Err(FetchError::Moved { .. }) = got {
            // What is told of a page is how long it takes where it is.
            let _timings = self.timings(url);
        }
        got
    }

    /// Fetches what is no page, redirects followed as far as the scope and robots.txt allow them: at most
    /// `max` bytes of it, and whether that is all.
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
            let asked = self.ask(&at).await;
            let asked = asked.and_then(|response| Ok((judged(&response, &at)?, response)));
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
                    if url.path() != "/robots.txt" && !scope.ignores_robots {
                        self.check_robots(&to, scope).await?;
                    }
                    at = to;
                }
                Err(error) => return Err(error),
            }
        }
        let at = shown(&at);
        let why = format!("it redirects more than {redirects} times, at last to {at}");
        Err(FetchError::Failed(why))
    }

    /// Whether robots.txt lets us fetch what is no page from where a redirect leads.
    async fn check_robots(&self, url: &Url, scope: &Scope) -> Result<(), FetchError> {
        let robots_txt = url.join("/robots.txt").unwrap_or_else(|_| url.clone());
        // Boxed, as it is fetched in the same way.
        match Box::pin(self.robots::<()>(&robots_txt, scope)).await {
            Fetched::Robots(robots) if robots.allows(url) => Ok(()),
            Fetched::Not(error) => Err(error),
            _ => Err(FetchError::Failed(format!("robots.txt forbids {}", shown(url)))),
        }
    }

    /// Sends the request; whatever the answer is, it is yet to be read.
    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let mut request = self.client.get(url);
        let fields = self.credentials.fields_for(url);
        // Without fields of its own, a request takes those of the client in one copy.
        if !fields.is_empty() {
            request = request.headers(fields);
        }
        let response = request.send().await.map_err(failed(url))?;
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = self.client.proxy_for(url)
        {
            // It is no word of the site's (RFC 9110 §15.5.8).
            let status = response.status();
            return Err(FetchError::Failed(format!(
                "the proxy {proxy}: it answered with {status}"
            )));
        }
        Ok(response)
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
            Err(error) => Fetched::Not(error),
        }
    }

    /// The client itself, for requests of another kind.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The header fields that a request for this URL carries, but those that every client sends.
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
    pub fn entries(&self) -> Vec<Value> {
        self.notes.archive.as_ref().map(HarRecorder::entries).unwrap_or_default()
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
        if let (Some(timer), Some(timings)) = (&self.notes.timer, timings) {
            timer.put(url, timings);
        }
        if let (Some(archive), Some(entries)) = (&self.notes.archive, entries) {
            archive.add(entries);
        }
    }

    /// How long each phase of the latest request for `url` took, if requests are timed; the
    /// client forgets it.
    pub fn timings(&self, url: &Url) -> Timings {
        self.notes.timer.as_ref().map(|timer| timer.take(url)).unwrap_or_default()
    }

    /// How connections were used so far.
    pub fn stats(&self) -> Stats {
        self.client.stats()
    }
}

/// Looks at the head of an answer to a request for `url`: that of a page.
fn judged(response: &Response, url: &Url) -> Result<Answer, FetchError> {
    let (status, headers) = (response.status(), response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        let retry_after = retry_after(headers, SystemTime::now());
        return Err(FetchError::Busy { status, retry_after });
    }
    if status.as_u16() >= 400 {
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
    use http::HeaderValue;

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
