//! A run as an HTTP archive: HAR 1.2, which browsers' developer tools open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, HeaderName, Method};
use humantime::format_rfc3339_millis;
use mainspring_http::{
    Hook, ResponseHead, Signal, SignalKind, redact_field, redact_url, take_userinfo,
};
use serde_json::{Value, json};
use url::Url;

use crate::output::Draft;
use crate::timings::PhaseClock;

/// Requests remembered; what comes after the last of them is left out.
const MAX_ENTRIES: usize = 100_000;

/// Records requests for an HTTP archive. Give a clone to
/// [`ClientBuilder::hook`](mainspring_http::ClientBuilder::hook), and ask the other for the archive.
///
/// Bodies are not kept, only their sizes; nor are secrets, such as passwords in URLs, cookies and
/// authorization: `***` stands for them (see [`redact`](mainspring_http::redact)).
#[derive(Clone)]
pub struct HarRecorder(Rc<RefCell<Archive>>);

struct Archive {
    /// The two clocks at the same moment: archives want the time of day.
    began: (Instant, SystemTime),
    /// The entry that a request is at, by its number.
    current: HashMap<u64, usize>,
    entries: Vec<Entry>,
    /// Entries of other processes.
    told: Vec<Value>,
}

/// A request, and what has come of it so far.
struct Entry {
    started: Instant,
    clock: PhaseClock,
    /// As the archive has it, but for times.
    json: Value,
    body_bytes: usize,
}

impl Default for HarRecorder {
    fn default() -> Self {
        let began = (Instant::now(), SystemTime::now());
        let (current, entries, told) = Default::default();
        let archive = Archive { began, current, entries, told };
        Self(Rc::new(RefCell::new(archive)))
    }
}

impl HarRecorder {
    /// Writes the archive to a file, which appears once it is whole.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let written = Draft::create(path).and_then(|mut draft| {
            draft.file.write_all(self.to_json().as_bytes())?;
            draft.publish()
        });
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// What it holds so far.
    pub fn entries(&self) -> Vec<Value> {
        let archive = self.0.borrow();
        let own = archive.entries.iter().map(|entry| entry.to_json(archive.began));
        own.chain(archive.told.iter().cloned()).collect()
    }

    /// Adds what another process holds.
    pub fn add(&self, entries: Vec<Value>) {
        let told = &mut self.0.borrow_mut().told;
        told.extend(entries);
        told.truncate(MAX_ENTRIES);
    }

    /// The archive so far, as JSON text.
    pub fn to_json(&self) -> String {
        let mut entries = self.entries();
        // ISO 8601 sorts as the moments do.
        entries.sort_by_cached_key(|entry| entry["startedDateTime"].to_string());
        let creator = json!({ "name": "mainspring-crawl", "version": env!("CARGO_PKG_VERSION") });
        let log = json!({ "version": "1.2", "creator": creator, "entries": entries });
        json!({ "log": log }).to_string()
    }
}

impl Hook for HarRecorder {
    fn signal(&self, signal: &Signal<'_>) {
        let mut archive = self.0.borrow_mut();
        if let SignalKind::RequestStart { method, url, headers, .. } = signal.kind {
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
        take_userinfo(&mut url);
        // What is left of secrets stands in its query, where `***` can stand as well.
        let url = Url::parse(&redact_url(&url)).unwrap_or(url);
        let query = url.query_pairs().map(|(name, value)| json!({ "name": name, "value": value }));
        let json = json!({
            "request": {
                "method": method.as_str(), "url": url.as_str(), "httpVersion": "HTTP/1.1",
                "cookies": [], "headers": fields(headers), "queryString": query.collect::<Value>(),
                "headersSize": -1, "bodySize": -1,
            },
            "response": {
                "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
                "redirectURL": "", "headersSize": -1, "content": { "mimeType": "x-unknown" },
            },
            "cache": {},
        });
        Self { started: at, clock: PhaseClock::new(at), json, body_bytes: 0 }
    }

    fn note(&mut self, signal: &Signal<'_>) {
        self.clock.note(signal.at, &signal.kind);
        match signal.kind {
            SignalKind::ConnectionCreateEnd { address: Some(address) }
            | SignalKind::ConnectionReuse { address: Some(address) } => {
                self.json["serverIPAddress"] = json!(address.ip());
            }
            SignalKind::RequestHeadersSent { bytes } => {
                self.json["request"]["_sentBytes"] = json!(bytes);
            }
            SignalKind::RequestEnd { response } | SignalKind::RequestRedirect { response } => {
                self.json["response"] = response_json(response);
            }
            SignalKind::ResponseChunkReceived { bytes } => self.body_bytes += bytes,
            SignalKind::RequestException { error } => {
                self.json["response"]["_error"] = json!(error.to_string());
            }
            _ => {}
        }
    }

    fn to_json(&self, began: (Instant, SystemTime)) -> Value {
        let mut entry = self.json.clone();
        let [blocked, dns, connect, ssl, send, wait, receive] = self.clock.timings().0;
        // HAR has -1 for a phase that there was not, and `connect` includes `ssl`.
        let connect = connect.or(ssl).map(|_| connect.unwrap_or(0.0) + ssl.unwrap_or(0.0));
        let phases = [blocked, dns, connect, send, wait, receive];
        let since = self.started.saturating_duration_since(began.0);
        entry["startedDateTime"] = json!(format_rfc3339_millis(began.1 + since).to_string());
        entry["time"] = json!(phases.iter().flatten().sum::<f64>());
        let phase = |phase: Option<f64>| phase.unwrap_or(-1.0);
        entry["timings"] = json!({
            "blocked": phase(blocked), "dns": phase(dns), "connect": phase(connect),
            "ssl": phase(ssl), "send": send.unwrap_or(0.0), "wait": wait.unwrap_or(0.0),
            "receive": receive.unwrap_or(0.0),
        });
        entry["response"]["bodySize"] = json!(self.body_bytes);
        entry["response"]["content"]["size"] = json!(self.body_bytes);
        entry
    }
}

fn response_json(response: &ResponseHead) -> Value {
    let headers = response.headers();
    let text =
        |name| headers.get(&name).map(|value| redact_field(&name, value)).unwrap_or_default();
    json!({
        "status": response.status.as_u16(),
        "statusText": response.reason(),
        "httpVersion": format!("{:?}", response.version),
        "cookies": [],
        "headers": fields(headers),
        "redirectURL": text(http::header::LOCATION),
        "headersSize": response.wire_len(),
        "content": { "mimeType": text(http::header::CONTENT_TYPE) },
    })
}

fn fields(headers: &HeaderMap) -> Value {
    let field = |(name, value)| json!({ "name": HeaderName::as_str(name), "value": redact_field(name, value) });
    headers.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use std::time::Duration;

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
            let date = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(format_rfc3339_millis(date).to_string(), text);
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
        let recorder = HarRecorder::default();
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
