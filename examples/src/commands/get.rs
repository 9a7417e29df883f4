//! `crawl get`: one request, as with curl.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use mainspring::Runtime;
use mainspring_http::{Client, Hook, Request, Response, Signal, decode_text};

use crate::cli::Get;
use crate::failure::{Failure, print, print_bytes};
use crate::har::HarRecorder;
use crate::output::{Draft, check};
use crate::phases::{Phases, Stopwatch};
use crate::text::{Printable, printable_lines};
use crate::value::{Size, Took};
use crate::web;

/// Redirects that `-L` follows.
const REDIRECTS: usize = 10;

/// Sends the request and prints what comes.
///
/// # Errors
/// One sentence: no answer, or nowhere to put it.
pub fn run(args: &Get) -> Result<ExitCode, Failure> {
    check(args.har.iter().chain(&args.output))?;
    let body = body(args)?;
    let mut runtime = crate::trace::runtime(Runtime::builder().name("get"))?;
    runtime.block_on(get(args, body))
}

async fn get(args: &Get, body: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let (stopwatch, archive) = (Stopwatch::default(), HarRecorder::new());
    let mut client = web::trusting(args.cacert.as_deref())?
        .timeout(args.timeout)
        .max_redirects(if args.location { REDIRECTS } else { 0 })
        .danger_accept_invalid_certs(args.insecure)
        .hook(Both(stopwatch.clone(), archive.clone()));
    if let Some(proxy) = &args.proxy {
        client = client.proxy(proxy.clone());
    }
    let client = client.build();
    let request = request(args, &client, body)?;
    if args.verbose {
        tell(&request_text(&request));
    }
    let outcome = exchange(args, &client, request, &stopwatch).await;
    if let Some(path) = &args.har {
        web::write_har(path, &archive)?;
    }
    outcome
}

/// Sends a request and shows what comes of it.
async fn exchange(
    args: &Get,
    client: &Client,
    request: Request,
    stopwatch: &Stopwatch,
) -> Result<ExitCode, Failure> {
    let failed = |error: mainspring_http::Error| Failure::Said(error.to_string());
    let response = client.execute(request).await.map_err(failed)?;
    let facts = Facts::of(&response);
    if args.verbose {
        tell(&answer_text(&response, &facts));
    }
    if args.include || args.head {
        print(&head(&response))?;
    }
    let failure = args.fail && facts.status >= 400;
    let size = if failure { 0 } else { save(args, response).await? };
    let phases = stopwatch.phases();
    if args.verbose {
        tell(&phases_text(&phases, size));
    }
    if let Some(format) = &args.write_out {
        print(&facts.written(format, &phases, size))?;
    }
    if failure {
        return Err(Failure::Said(format!("the answer is {}", facts.status)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The body to send: what `-d` says, joined by `&`; a file's content for `@file`.
fn body(args: &Get) -> Result<Option<Vec<u8>>, Failure> {
    let mut body: Option<Vec<u8>> = None;
    for data in &args.data {
        let piece = match data.strip_prefix('@') {
            None => data.clone().into_bytes(),
            Some("-") => {
                let mut bytes = Vec::new();
                let read = io::stdin().read_to_end(&mut bytes);
                read.map_err(|error| format!("cannot read standard input: {error}"))?;
                bytes
            }
            Some(file) => fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?,
        };
        match &mut body {
            None => body = Some(piece),
            Some(body) => {
                body.push(b'&');
                body.extend(piece);
            }
        }
    }
    Ok(body)
}

fn request(args: &Get, client: &Client, body: Option<Vec<u8>>) -> Result<Request, Failure> {
    let method = match (&args.request, args.head, &body) {
        (Some(method), ..) => method.clone(),
        (None, true, _) => Method::HEAD,
        (None, false, Some(_)) => Method::POST,
        (None, false, None) => Method::GET,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &args.header {
        headers.append(name.clone(), value.clone());
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let ours = HeaderValue::from_static(concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION")));
    let agent = args.user_agent.clone().unwrap_or(ours);
    headers.entry(http::header::USER_AGENT).or_insert(agent);
    let mut request = client.request(method, &args.url);
    if let Some(body) = body {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.entry(CONTENT_TYPE).or_insert(form);
        request = request.body(body);
    }
    if let Some((user, password)) = &args.user {
        request = request.basic_auth(user, password);
    }
    request.headers(headers).build().map_err(|error| Failure::Said(error.to_string()))
}

/// Puts the body where it belongs; returns how many bytes it had.
async fn save(args: &Get, mut response: Response) -> Result<u64, Failure> {
    let failed = |error: mainspring_http::Error| Failure::Said(error.to_string());
    if args.output.is_none() && io::stdout().is_terminal() {
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let body = response.bytes().await.map_err(failed)?;
        let text = decode_text(&body, content_type.as_ref().and_then(|value| value.to_str().ok()));
        if text.contains('\0') {
            return Err(Failure::Said("the answer is no text; keep it with -o FILE".to_owned()));
        }
        print(&printable_lines(&text))?;
        return Ok(body.len() as u64);
    }
    let at = |path: &Path, error: &io::Error| Failure::Said(format!("{}: {error}", path.display()));
    let mut draft = match &args.output {
        Some(path) => Some((Draft::create(path).map_err(|error| at(path, &error))?, path)),
        None => None,
    };
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        size += chunk.len() as u64;
        match &mut draft {
            Some((file, path)) => file.write_all(&chunk).map_err(|error| at(path, &error))?,
            None => print_bytes(&chunk)?,
        }
    }
    if let Some((file, path)) = draft {
        file.publish().map_err(|error| at(path, &error))?;
    }
    Ok(size)
}

/// Two hooks in the place of one.
struct Both(Stopwatch, HarRecorder);

impl Hook for Both {
    fn signal(&self, signal: &Signal<'_>) {
        self.0.signal(signal);
        self.1.signal(signal);
    }
}

/// Which phase was over when, from the beginning.
fn phases_text(phases: &Phases, size: u64) -> String {
    let told: Vec<String> = [
        ("looked up", phases.looked_up),
        ("connected", phases.connected),
        ("TLS", phases.shaken),
        ("sent", phases.sent),
        ("head", phases.answered),
        ("body", phases.over),
    ]
    .into_iter()
    .filter_map(|(name, moment)| Some(format!("{name} {}", Took(moment?))))
    .collect();
    format!("* {} ({})\n", told.join(", "), Size(size))
}

/// What can be said of an answer once its body has been taken.
struct Facts {
    status: u16,
    version: String,
    url: String,
    redirects: usize,
    content_type: String,
    address: String,
}

impl Facts {
    fn of(response: &Response) -> Facts {
        let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        Facts {
            status: response.status().as_u16(),
            version: format!("{:?}", response.version()),
            url: response.url().to_string(),
            redirects: response.history().len(),
            content_type: String::from_utf8_lossy(content_type.unwrap_or_default()).into_owned(),
            address: response.remote_addr().map(|address| address.to_string()).unwrap_or_default(),
        }
    }

    /// `format` with `%{name}` filled in as by curl, and `\n` and `\t` for what they stand for.
    /// Names that mean nothing here stay as they are.
    fn written(&self, format: &str, phases: &Phases, size: u64) -> String {
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['%', '\\']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let named = rest.strip_prefix("%{").and_then(|rest| rest.split_once('}'));
            let known =
                named.and_then(|(name, after)| Some((self.value(name, phases, size)?, after)));
            let (piece, after) = match known {
                Some((value, after)) => (Printable(&value).to_string(), after),
                None if rest.starts_with("\\n") => ("\n".to_owned(), &rest[2..]),
                None if rest.starts_with("\\t") => ("\t".to_owned(), &rest[2..]),
                None => (rest[..1].to_owned(), &rest[1..]),
            };
            text.push_str(&piece);
            rest = after;
        }
        text + rest
    }

    fn value(&self, name: &str, phases: &Phases, size: u64) -> Option<String> {
        let seconds =
            |moment: Option<Duration>| format!("{:.6}", moment.unwrap_or_default().as_secs_f64());
        Some(match name {
            "http_code" | "response_code" => self.status.to_string(),
            "http_version" => self.version.trim_start_matches("HTTP/").to_owned(),
            "url_effective" => self.url.clone(),
            "num_redirects" => self.redirects.to_string(),
            "content_type" => self.content_type.clone(),
            "remote" => self.address.clone(),
            "size_download" => size.to_string(),
            "time_namelookup" => seconds(phases.looked_up),
            "time_connect" => seconds(phases.connected),
            "time_appconnect" => seconds(phases.shaken),
            "time_pretransfer" => seconds(phases.ready),
            "time_starttransfer" => seconds(phases.answered),
            "time_total" => seconds(phases.over.or(phases.answered)),
            _ => return None,
        })
    }
}

/// The head of an answer, as near to the wire as it can be told.
fn head(response: &Response) -> String {
    let status = response.status();
    let mut text =
        format!("{:?} {} {}\n", response.version(), status.as_u16(), Printable(&response.reason()));
    push_fields(&mut text, "", response.headers());
    text.push('\n');
    text
}

fn request_text(request: &Request) -> String {
    let path = &request.url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut text = format!("> {} {path} HTTP/1.1\n", request.method);
    let host = &request.url[url::Position::BeforeHost..url::Position::AfterPort];
    writeln!(text, "> host: {host}").expect("a String takes any text");
    push_fields(&mut text, "> ", &request.headers);
    text
}

fn answer_text(response: &Response, facts: &Facts) -> String {
    let mut text = String::new();
    for hop in response.history() {
        writeln!(text, "* redirected from {}", Printable(hop.url.as_str()))
            .expect("a String takes any text");
    }
    if !facts.address.is_empty() {
        writeln!(text, "* connected to {}", facts.address).expect("a String takes any text");
    }
    head(response).lines().filter(|line| !line.is_empty()).for_each(|line| {
        writeln!(text, "< {line}").expect("a String takes any text");
    });
    text
}

/// Fields, a line for each; those that hold secrets without them.
fn push_fields(text: &mut String, before: &str, fields: &HeaderMap) {
    for (name, value) in fields {
        let value = match value.is_sensitive() {
            true => "(not shown)".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        writeln!(text, "{before}{name}: {}", Printable(&value)).expect("a String takes any text");
    }
}

/// For whoever watches, on stderr.
fn tell(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_out_fills_in_what_it_knows_and_leaves_the_rest() {
        let facts = Facts {
            status: 200,
            version: "HTTP/1.1".to_owned(),
            url: "http://h/".to_owned(),
            redirects: 1,
            content_type: "text/\x1bhtml".to_owned(),
            address: "127.0.0.1:80".to_owned(),
        };
        let phases = Phases {
            answered: Some(Duration::from_millis(5)),
            over: Some(Duration::from_millis(7)),
            ..Phases::default()
        };
        for (format, text) in [
            ("%{http_code} %{num_redirects}\\n", "200 1\n"),
            ("%{time_starttransfer}\\t%{time_total}", "0.005000\t0.007000"),
            ("%{content_type} %{size_download}", "text/\\u{1b}html 42"),
            ("100 % %{nonsense} %{http_code \\x", "100 % %{nonsense} %{http_code \\x"),
            ("", ""),
        ] {
            assert_eq!(facts.written(format, &phases, 42), text);
        }
    }
}
