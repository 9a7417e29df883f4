//! A run as an HTTP archive: HAR 1.2, which browsers' developer tools open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, Method};
use mainspring_http::{Hook, ResponseView, Signal, SignalKind, redact_field, redact_url};
use serde_json::{Value, json};
use url::Url;

use crate::output::Draft;

/// Requests remembered; what comes after the last of them is left out.
const MAX_ENTRIES: usize = 100_000;

/// Records requests for an HTTP archive. Give a clone to
/// [`ClientBuilder::hook`](mainspring_http::ClientBuilder::hook), and ask the other for the archive.
///
/// Bodies are not kept, only their sizes; nor are secrets, such as passwords in URLs, cookies and
/// authorization: `***` stands for them (see [`redact`](mainspring_http::redact)).
#[derive(Clone, Debug)]
pub struct HarRecorder {
    archive: Rc<RefCell<Archive>>,
}

#[derive(Debug)]
struct Archive {
    /// The two clocks at the same moment: archives want the time of day.
    began: (Instant, SystemTime),
    /// The entry that a request is at, by its number.
    current: HashMap<u64, usize>,
    entries: Vec<Entry>,
    /// Entries of other processes.
    told: Vec<Value>,
}

#[derive(Debug)]
struct Entry {
    method: Method,
    url: Url,
    headers: Value,
    started: Instant,
    /// Up to where the time has been given to one of the phases.
    marked: Instant,
    blocked: Duration,
    dns: Option<Duration>,
    connect: Option<Duration>,
    ssl: Option<Duration>,
    send: Duration,
    wait: Duration,
    receive: Duration,
    sent_bytes: Option<u64>,
    body_bytes: usize,
    response: Option<Value>,
    address: Option<String>,
    error: Option<String>,
}

impl Default for HarRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl HarRecorder {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        let began = (Instant::now(), SystemTime::now());
        let archive =
            Archive { began, current: HashMap::new(), entries: Vec::new(), told: Vec::new() };
        Self { archive: Rc::new(RefCell::new(archive)) }
    }

    /// What it holds so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        let archive = self.archive.borrow();
        let own = archive.entries.iter().map(|entry| entry.to_json(archive.began));
        own.chain(archive.told.iter().cloned()).collect()
    }

    /// Adds what another process holds.
    pub fn add(&self, entries: Vec<Value>) {
        let told = &mut self.archive.borrow_mut().told;
        told.extend(entries);
        told.truncate(MAX_ENTRIES);
    }

    /// The archive so far, as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut entries = self.entries();
        // ISO 8601 sorts as the moments do.
        entries.sort_by_cached_key(|entry| entry["startedDateTime"].to_string());
        let creator = json!({ "name": "mainspring-crawl", "version": env!("CARGO_PKG_VERSION") });
        let log = json!({ "version": "1.2", "creator": creator, "entries": entries });
        json!({ "log": log }).to_string()
    }
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

impl Hook for HarRecorder {
    fn signal(&self, signal: &Signal<'_>) {
        let mut archive = self.archive.borrow_mut();
        if let SignalKind::RequestStart { method, url, headers } = signal.kind {
            if archive.entries.len() < MAX_ENTRIES {
                let index = archive.entries.len();
                archive.current.insert(signal.request, index);
                archive.entries.push(Entry::new(method, url, headers, signal.at));
            } else {
                archive.current.remove(&signal.request);
            }
            return;
        }
        let Some(&index) = archive.current.get(&signal.request) else { return };
        archive.entries[index].note(signal);
        if matches!(signal.kind, SignalKind::ResponseEnd | SignalKind::RequestException { .. }) {
            archive.current.remove(&signal.request);
        }
    }
}

impl Entry {
    fn new(method: &Method, url: &Url, headers: &HeaderMap, at: Instant) -> Self {
        let mut url = url.clone();
        // A URL that holds a user name or a password can be given others.
        if !url.username().is_empty() || url.password().is_some() {
            url.set_password(None).unwrap_or_default();
            url.set_username("").unwrap_or_default();
        }
        // What is left of secrets stands in its query, where `***` can stand as well.
        let url = Url::parse(&redact_url(&url)).unwrap_or(url);
        Self {
            method: method.clone(),
            url,
            headers: fields(headers),
            started: at,
            marked: at,
            blocked: Duration::ZERO,
            dns: None,
            connect: None,
            ssl: None,
            send: Duration::ZERO,
            wait: Duration::ZERO,
            receive: Duration::ZERO,
            sent_bytes: None,
            body_bytes: 0,
            response: None,
            address: None,
            error: None,
        }
    }

    /// The time since the last mark belongs to the phase that has just ended.
    fn note(&mut self, signal: &Signal<'_>) {
        let passed = signal.at.saturating_duration_since(self.marked);
        self.marked = signal.at;
        let add = |phase: &mut Option<Duration>| {
            *phase = Some(phase.unwrap_or_default() + passed);
        };
        match signal.kind {
            SignalKind::DnsResolveHostEnd => add(&mut self.dns),
            SignalKind::TlsHandshakeStart => add(&mut self.connect),
            SignalKind::TlsHandshakeEnd => add(&mut self.ssl),
            SignalKind::ConnectionCreateEnd { address } => {
                add(&mut self.connect);
                self.address = address.map(|address| address.ip().to_string());
            }
            SignalKind::ConnectionReuse { address } => {
                self.blocked += passed;
                self.address = address.map(|address| address.ip().to_string());
            }
            SignalKind::RequestHeadersSent { bytes } => {
                self.send += passed;
                self.sent_bytes = Some(bytes);
            }
            SignalKind::RequestEnd { response } | SignalKind::RequestRedirect { response } => {
                self.wait += passed;
                self.response = Some(response_json(response));
            }
            SignalKind::ResponseChunkReceived { bytes } => {
                self.receive += passed;
                self.body_bytes += bytes;
            }
            SignalKind::ResponseEnd => self.receive += passed,
            SignalKind::RequestException { error } => {
                self.blocked += passed;
                self.error = Some(error.to_string());
            }
            _ => self.blocked += passed,
        }
    }

    fn to_json(&self, began: (Instant, SystemTime)) -> Value {
        let since = self.started.saturating_duration_since(began.0);
        // HAR has -1 for a phase that there was not, and `connect` includes `ssl`.
        let phase = |phase: Option<Duration>| phase.map_or(-1.0, millis);
        let connect = match (self.connect, self.ssl) {
            (Some(connect), ssl) => Some(connect + ssl.unwrap_or_default()),
            (None, ssl) => ssl,
        };
        let total = self.blocked
            + self.dns.unwrap_or_default()
            + connect.unwrap_or_default()
            + self.send
            + self.wait
            + self.receive;
        let query: Vec<Value> = self
            .url
            .query_pairs()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let mut response = self.response.clone().unwrap_or_else(|| {
            json!({ "status": 0, "statusText": "", "httpVersion": "", "cookies": [],
                "headers": [], "redirectURL": "", "headersSize": -1,
                "content": { "mimeType": "x-unknown" } })
        });
        response["bodySize"] = json!(self.body_bytes);
        response["content"]["size"] = json!(self.body_bytes);
        let mut entry = json!({
            "startedDateTime": iso_date(began.1 + since),
            "time": millis(total),
            "request": {
                "method": self.method.as_str(),
                "url": self.url.as_str(),
                "httpVersion": "HTTP/1.1",
                "cookies": [],
                "headers": self.headers,
                "queryString": query,
                "headersSize": -1,
                "bodySize": -1,
            },
            "response": response,
            "cache": {},
            "timings": {
                "blocked": millis(self.blocked),
                "dns": phase(self.dns),
                "connect": phase(connect),
                "ssl": phase(self.ssl),
                "send": millis(self.send),
                "wait": millis(self.wait),
                "receive": millis(self.receive),
            },
        });
        if let Some(address) = &self.address {
            entry["serverIPAddress"] = json!(address);
        }
        if let Some(bytes) = self.sent_bytes {
            entry["request"]["_sentBytes"] = json!(bytes);
        }
        if let Some(error) = &self.error {
            entry["response"]["_error"] = json!(error);
        }
        entry
    }
}

fn response_json(response: ResponseView<'_>) -> Value {
    let headers = response.headers();
    let text =
        |name| headers.get(&name).map(|value| redact_field(&name, value)).unwrap_or_default();
    json!({
        "status": response.status().as_u16(),
        "statusText": response.reason(),
        "httpVersion": format!("{:?}", response.version()),
        "cookies": [],
        "headers": fields(headers),
        "redirectURL": text(http::header::LOCATION),
        "headersSize": response.head_bytes(),
        "content": { "mimeType": text(http::header::CONTENT_TYPE) },
    })
}

fn fields(headers: &HeaderMap) -> Value {
    let field = |(name, value)| json!({ "name": HeaderName::as_str(name), "value": redact_field(name, value) });
    headers.iter().map(field).collect()
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// ISO 8601, in UTC.
fn iso_date(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Counts from 0000-03-01, so that a leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let day = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let milli = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use mainspring_http::Client;

    use super::*;

    #[test]
    fn dates_of_archives() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_835_481_599_001, "2028-02-29T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso_date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }

    /// Answers the first request, and closes the connection of the second unanswered.
    fn server() -> (u16, std::thread::JoinHandle<()>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = b"HTTP/1.1 200 Fine\r\ncontent-type: text/plain\r\nset-cookie: a=secret\r\n\
            location: http://me:secret@b/?sig=secret\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        let served = std::thread::spawn(move || {
            for answer in [&answer[..], b""] {
                let (mut peer, _) = listener.accept().unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && peer.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                peer.write_all(answer).unwrap();
            }
        });
        (port, served)
    }

    #[test]
    fn a_run_becomes_an_archive() {
        let (port, served) = server();
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let recorder = HarRecorder::new();
        mainspring::run(async {
            let client = Client::builder().hook(recorder.clone()).build();
            let page = url("/page?a=1&b=x%20y").replace("http://", "http://me:secret@");
            client.get(page).header("x-own", "1").send().await.unwrap();
            let none = url("/none?token=secret&next=http://me:secret@b/");
            client.get(none).bearer_auth("secret").send().await.unwrap_err();
        });
        let text = recorder.to_json();
        assert!(!text.contains("secret"), "{text}");
        let har: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(har["log"]["version"], "1.2");
        let entry = &har["log"]["entries"][0];
        assert_eq!(entry["request"]["url"], url("/page?a=1&b=x%20y"));
        let query = r#"[{"name":"a","value":"1"},{"name":"b","value":"x y"}]"#;
        assert_eq!(entry["request"]["queryString"].to_string(), query);
        assert_eq!(entry["request"]["headers"].to_string(), r#"[{"name":"x-own","value":"1"}]"#);
        assert_eq!(entry["response"]["status"], 200);
        assert_eq!(entry["response"]["statusText"], "Fine");
        assert_eq!(entry["response"]["bodySize"], 2);
        assert_eq!(entry["response"]["content"]["mimeType"], "text/plain");
        assert_eq!(entry["serverIPAddress"], "127.0.0.1");
        let timings = &entry["timings"];
        let sum: f64 = ["blocked", "connect", "send", "wait", "receive"]
            .iter()
            .map(|phase| timings[phase].as_f64().unwrap())
            .sum();
        assert_eq!(timings["ssl"], -1.0);
        let total = entry["time"].as_f64().unwrap();
        assert!((sum - total).abs() < 0.01, "{timings} {total}");
        let failed = &har["log"]["entries"][1];
        assert_eq!(failed["response"]["status"], 0);
        assert!(failed["response"]["_error"].as_str().unwrap().contains("without an answer"));
        served.join().unwrap();
    }
}
