//! How the crawl talks HTTP: the client set up once, and its answers in the words of the crawl.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use mainspring_http::{Client, ClientBuilder, CookieJar, Hook, Proxy, Signal, decode_text};
use url::Url;

use crate::crawl::engine::Fetched;
use crate::har::HarRecorder;
use crate::laps::{Laps, Timekeeper};
use crate::output::Draft;
use crate::polite::robots::{self, PRODUCT, Robots};

/// How pages are to be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at once.
    pub connections: usize,
    /// The longest a page may take in all, the wait for a connection not counted.
    pub timeout: Option<Duration>,
    /// The longest body that is taken, in bytes.
    pub max_size: u64,
    /// What to call ourselves.
    pub user_agent: Option<HeaderValue>,
    /// Header fields to send with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// Whether to keep an archive of what was asked and answered.
    pub archive: bool,
    /// Whether to time each phase of each request: see [`Web::laps`].
    pub timed: bool,
    /// Whether to keep the cookies that sites set, and to send them back.
    pub cookies: bool,
    /// Whether any certificate is taken for good, which is dangerous.
    pub accept_invalid_certs: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections: 100,
            timeout: None,
            max_size: 10 << 20,
            user_agent: None,
            headers: Vec::new(),
            proxy: None,
            archive: false,
            timed: false,
            cookies: false,
            accept_invalid_certs: false,
        }
    }
}

/// The web, as far as one crawl sees it. Clones share its connections.
#[derive(Clone)]
pub struct Web {
    client: Client,
    hooks: Hooks,
}

/// Who is told what happens to requests.
#[derive(Clone, Default)]
struct Hooks {
    archive: Option<HarRecorder>,
    timekeeper: Option<Timekeeper>,
}

impl Hook for Hooks {
    fn signal(&self, signal: &Signal<'_>) {
        if let Some(archive) = &self.archive {
            archive.signal(signal);
        }
        if let Some(timekeeper) = &self.timekeeper {
            timekeeper.signal(signal);
        }
    }
}

/// A page, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it was found, after redirects.
    pub url: Url,
    /// Its status; below 400.
    pub status: StatusCode,
    /// Its `Content-Type`, empty if it has none.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// Its body as text, in the encoding that it says it is in; what is none becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        decode_text(&self.body, Some(&self.content_type))
    }

    /// Whether it says that it is a page with links. Without a type, HTML is the best guess.
    #[must_use]
    pub fn is_html(&self) -> bool {
        let kind = self.content_type.split(';').next().unwrap_or_default().trim();
        let html = ["", "text/html", "application/xhtml+xml"];
        html.iter().any(|html| kind.eq_ignore_ascii_case(html))
    }
}

/// Why a page was not to be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Miss {
    /// The host is too busy: 429 or 503.
    Busy {
        /// The status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Another status that is an error.
    Refused(StatusCode),
    /// No answer: the client's own words.
    Failed(String),
}

impl std::fmt::Display for Miss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Miss::Busy { status, .. } | Miss::Refused(status) => write!(f, "{status}"),
            Miss::Failed(reason) => f.write_str(reason),
        }
    }
}

impl<T> From<Miss> for Fetched<T> {
    fn from(miss: Miss) -> Fetched<T> {
        match miss {
            Miss::Busy { retry_after, .. } => {
                Fetched::Busy { reason: miss.to_string(), retry_after }
            }
            Miss::Refused(_) | Miss::Failed(_) => Fetched::Failed(miss.to_string()),
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
        let ours =
            HeaderValue::from_static(concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION")));
        debug_assert!(ours.as_bytes().starts_with(PRODUCT.as_bytes()), "robots.txt knows us by it");
        let mut client = client
            .max_connections(options.connections)
            .max_connections_per_host(options.connections)
            .max_idle_connections(options.connections)
            .max_body_bytes(options.max_size)
            .danger_accept_invalid_certs(options.accept_invalid_certs)
            .user_agent(options.user_agent.clone().unwrap_or(ours));
        if let Some(timeout) = options.timeout {
            client = client.timeout(timeout);
        }
        for (name, value) in &options.headers {
            client = client.default_header(name.clone(), value.clone());
        }
        if let Some(proxy) = &options.proxy {
            client = client.proxy(proxy.clone());
        }
        if options.cookies {
            client = client.cookies(CookieJar::new());
        }
        let hooks = Hooks {
            archive: options.archive.then(HarRecorder::new),
            timekeeper: options.timed.then(Timekeeper::default),
        };
        // A client without a hook has no moments to note.
        if options.archive || options.timed {
            client = client.hook(hooks.clone());
        }
        Web { client: client.build(), hooks }
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

    /// Fetches a page, redirects followed.
    ///
    /// # Errors
    /// Why it was not to be had: a status from 400 on, or no whole answer.
    pub async fn get(&self, url: &Url) -> Result<Answer, Miss> {
        let request = format!("GET {url}: ");
        let failed = |error: mainspring_http::Error| {
            // Whoever shows it says which page it was.
            let reason = error.to_string();
            Miss::Failed(reason.strip_prefix(&request).unwrap_or(&reason).to_owned())
        };
        let response = self.client.get(url).send().await.map_err(failed)?;
        let status = response.status();
        let headers = response.headers();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(Miss::Busy {
                status,
                retry_after: retry_after(headers, SystemTime::now()),
            });
        }
        if status.is_client_error() || status.is_server_error() {
            return Err(Miss::Refused(status));
        }
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let content_type = String::from_utf8_lossy(content_type).into_owned();
        let url = response.url().clone();
        let body = response.bytes().await.map_err(failed)?;
        Ok(Answer { url, status, content_type, body })
    }

    /// Fetches a host's robots.txt and says what follows from what came of it (RFC 9309 §2.3.1):
    /// none there means that all is allowed, a host that cannot answer that nothing is.
    pub async fn robots<T>(&self, url: &Url) -> Fetched<T> {
        let answer = self.get(url).await;
        // It is no page: nobody will ask how long it took.
        let _laps = self.laps(url);
        match answer {
            Ok(answer) => {
                let read = &answer.body[..answer.body.len().min(robots::MAX_BYTES)];
                Fetched::Robots(Robots::parse(&String::from_utf8_lossy(read)))
            }
            Err(Miss::Refused(status)) if status.is_client_error() => {
                Fetched::Robots(Robots::allow_all())
            }
            Err(miss) => miss.into(),
        }
    }

    /// How long each phase of the latest request for `url` took, if requests are timed; the
    /// client forgets it.
    #[must_use]
    pub fn laps(&self, url: &Url) -> Laps {
        self.hooks.timekeeper.as_ref().map(|timekeeper| timekeeper.take(url)).unwrap_or_default()
    }

    /// How connections were used so far.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let stats = self.client.stats();
        Connections { opened: stats.opened, reused: stats.reused }
    }
}

/// A client to set up that trusts the certificates in this file, if there is one, besides those
/// that the system trusts.
///
/// # Errors
/// One sentence that names the file: it cannot be read, or holds no certificate.
pub fn trusting(roots: Option<&Path>) -> Result<ClientBuilder, String> {
    let client = Client::builder();
    let Some(path) = roots else { return Ok(client) };
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot take certificates from {}: {error}", path.display())
    };
    let pem = std::fs::read(path).map_err(|error| cannot(&error))?;
    client.add_root_certificates(&pem).map_err(|error| cannot(&error))
}

/// Writes an archive to a file, which appears once it is whole.
///
/// # Errors
/// One sentence that names the file.
pub fn write_har(path: &Path, archive: &HarRecorder) -> Result<(), String> {
    let written = Draft::create(path).and_then(|mut file| {
        file.write_all(archive.to_json().as_bytes())?;
        file.publish()
    });
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
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
