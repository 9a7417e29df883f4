//! `crawl get`: one request, as with curl.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mainspring::Runtime;
use mainspring_http::{Client, Hook, Request, Response, Signal, decode_text};

use super::verbose::{Verbose, answer_text, head, start_line, tell};
use crate::cli::Get;
use crate::credentials::{Field, basic, shown_url, take_userinfo};
use crate::failure::{Failure, print, print_bytes};
use crate::har::{HarRecorder, write_har};
use crate::options;
use crate::output::{Draft, check};
use crate::text::{STDOUT, Text, printable_lines};
use crate::timings::{RequestTimer, Timings};
use crate::value::{Size, Took};

/// Redirects that `-L` follows, as with curl.
const REDIRECTS: usize = 50;

/// What `--compressed` asks for: what the client can unpack.
const CODINGS: HeaderValue = HeaderValue::from_static("deflate, gzip, br, zstd");

/// Sends the request and prints what comes.
///
/// # Errors
/// One sentence: no answer, or nowhere to put it.
pub fn run(args: &Get) -> Result<ExitCode, Failure> {
    check(args.har.iter().chain(output(args)))?;
    let body = body(args)?;
    let mut runtime =
        crate::trace::runtime(crate::trace::recorded(Runtime::builder().name("get"), None))?;
    runtime.block_on(get(args, body))
}

/// The file to write the body to; none for `-o -`.
fn output(args: &Get) -> Option<&PathBuf> {
    args.output.as_ref().filter(|path| path.as_os_str() != "-")
}

async fn get(args: &Get, body: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let (timer, archive) = (RequestTimer::default(), HarRecorder::new());
    let verbose = Verbose {
        on: args.verbose,
        via: args.proxy.clone(),
        body: body.as_ref().map(Vec::len),
        method: RefCell::default(),
    };
    let removed: Vec<HeaderName> = args.header.iter().filter_map(removed).collect();
    let client = options::trusting(args.cacert.as_deref())?.decompress(args.compressed);
    let mut client = options::without(client, &removed)
        .max_redirects(if args.location { REDIRECTS } else { 0 })
        .danger_accept_invalid_certs(args.insecure)
        .hook(Hooks(timer.clone(), archive.clone(), verbose));
    if !args.timeout.is_zero() {
        client = client.timeout(args.timeout);
    }
    if let Some(via) = &args.proxy {
        client = client.proxy(via.proxy.clone());
    }
    let client = client.build();
    let request = request(args, &client, body)?;
    let outcome = exchange(args, &client, request, &timer).await;
    if let Some(path) = &args.har {
        write_har(path, &archive)?;
    }
    outcome
}

/// Sends a request and shows what comes of it.
async fn exchange(
    args: &Get,
    client: &Client,
    request: Request,
    timer: &RequestTimer,
) -> Result<ExitCode, Failure> {
    let failed = |error: mainspring_http::Error| Failure::Said(error.to_string());
    let url = request.url.clone();
    let response = client.execute(request).await.map_err(failed)?;
    let facts = Facts::of(&response);
    if args.verbose {
        for hop in response.history() {
            tell(format!("* redirected from {}\n", shown_url(&hop.url)).as_bytes());
        }
        if !facts.address.is_empty() {
            tell(format!("* connected to {}\n", facts.address).as_bytes());
        }
        let start = start_line(response.version(), response.status(), &response.reason());
        tell(&answer_text(&start, response.headers()));
    }
    if args.include || args.head {
        print_bytes(&head(&response))?;
    }
    let failure = args.fail && facts.status >= 400;
    let size = if failure { 0 } else { save(args, response).await? };
    let timings = timer.take(&url);
    if args.verbose {
        tell(timings_text(&timings, size).as_bytes());
    }
    if let Some(format) = &args.write_out {
        print(&facts.written(format, &timings, size))?;
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
        if let Some(value) = value {
            headers.append(name.clone(), value.clone());
        }
    }
    let mut url = args.url.clone();
    let in_url = take_userinfo(&mut url);
    let user = args.user.as_ref().or(in_url.as_ref());
    let ours = HeaderValue::from_static(concat!("mainspring-crawl/", env!("CARGO_PKG_VERSION")));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let own = [
        (AUTHORIZATION, user.map(|(name, password)| basic(name, password))),
        (USER_AGENT, Some(args.user_agent.clone().unwrap_or(ours))),
        (ACCEPT, Some(HeaderValue::from_static("*/*"))),
        (ACCEPT_ENCODING, args.compressed.then_some(CODINGS)),
        (CONTENT_TYPE, body.as_ref().map(|_| form)),
    ];
    for (name, value) in own {
        let is_removed = args.header.iter().filter_map(removed).any(|removed| removed == name);
        if let Some(value) = value.filter(|_| !is_removed) {
            headers.entry(name).or_insert(value);
        }
    }
    let mut request = client.request(method, &url);
    if let Some(body) = body {
        request = request.body(body);
    }
    request.headers(headers).build().map_err(|error| Failure::Said(error.to_string()))
}

/// The name of a field that is not to be sent.
fn removed((name, value): &Field) -> Option<HeaderName> {
    value.is_none().then(|| name.clone())
}

/// Puts the body where it belongs; returns how many bytes it had.
async fn save(args: &Get, mut response: Response) -> Result<u64, Failure> {
    let failed = |error: mainspring_http::Error| Failure::Said(error.to_string());
    if args.output.is_none() && **STDOUT {
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
    let mut draft = match output(args) {
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

/// What is told of a request: how long each phase took, to the archive, and with `-v` on stderr.
struct Hooks(RequestTimer, HarRecorder, Verbose);

impl Hook for Hooks {
    fn signal(&self, signal: &Signal<'_>) {
        self.0.signal(signal);
        self.1.signal(signal);
        self.2.signal(signal);
    }
}

/// Which phase was over when, from the beginning.
fn timings_text(timings: &Timings, size: u64) -> String {
    let [_, _, connect, tls, send, wait, body] = timings.values();
    // A name that is known from before is looked up in no time.
    let phases =
        [("looked up", connect, 1), ("connected", connect, 2), ("TLS", tls, 3), ("sent", send, 4)];
    let told = phases.into_iter().chain([("head", wait, 5), ("body", body, 6)]).filter_map(
        |(name, had, phase)| had.map(|_| format!("{name} {}", Took(timings.until(phase)))),
    );
    format!("* {} ({})\n", told.collect::<Vec<_>>().join(", "), Size(size))
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
            url: shown_url(response.url()),
            redirects: response.history().len(),
            content_type: String::from_utf8_lossy(content_type.unwrap_or_default()).into_owned(),
            address: response.remote_addr().map(|address| address.to_string()).unwrap_or_default(),
        }
    }

    /// `format` with `%{name}` filled in as by curl, and `\n` and `\t` for what they stand for.
    /// Names that mean nothing here stay as they are.
    fn written(&self, format: &str, timings: &Timings, size: u64) -> String {
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['%', '\\']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let named = rest.strip_prefix("%{").and_then(|rest| rest.split_once('}'));
            let known =
                named.and_then(|(name, after)| Some((self.value(name, timings, size)?, after)));
            let (piece, after) = match known {
                Some((value, after)) => (Text(&value, STDOUT).to_string(), after),
                None if rest.starts_with("\\n") => ("\n".to_owned(), &rest[2..]),
                None if rest.starts_with("\\t") => ("\t".to_owned(), &rest[2..]),
                None => (rest[..1].to_owned(), &rest[1..]),
            };
            text.push_str(&piece);
            rest = after;
        }
        text + rest
    }

    fn value(&self, name: &str, timings: &Timings, size: u64) -> Option<String> {
        let until = |phase| format!("{:.6}", timings.until(phase).as_secs_f64());
        Some(match name {
            "http_code" | "response_code" => self.status.to_string(),
            "http_version" => self.version.trim_start_matches("HTTP/").to_owned(),
            "url_effective" => self.url.clone(),
            "num_redirects" => self.redirects.to_string(),
            "content_type" => self.content_type.clone(),
            "remote" => self.address.clone(),
            "size_download" => size.to_string(),
            "time_namelookup" => until(1),
            "time_connect" => until(2),
            // Without a handshake, there is no moment of its end.
            "time_appconnect" => timings.tls_ms.map_or("0.000000".to_owned(), |_| until(3)),
            "time_pretransfer" => until(3),
            "time_starttransfer" => until(5),
            "time_total" => until(6),
            _ => return None,
        })
    }
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
            content_type: "text/html".to_owned(),
            address: "127.0.0.1:80".to_owned(),
        };
        let timings = Timings {
            dns_ms: Some(1.0),
            connect_ms: Some(0.5),
            wait_ms: Some(3.5),
            body_ms: Some(2.0),
            ..Timings::default()
        };
        for (format, text) in [
            ("%{http_code} %{num_redirects}\\n", "200 1\n"),
            ("%{time_starttransfer}\\t%{time_total}", "0.005000\t0.007000"),
            ("%{time_namelookup} %{time_connect}", "0.001000 0.001500"),
            ("%{time_appconnect} %{time_pretransfer}", "0.000000 0.001500"),
            ("%{content_type} %{size_download}", "text/html 42"),
            ("100 % %{nonsense} %{http_code \\x", "100 % %{nonsense} %{http_code \\x"),
            ("", ""),
        ] {
            assert_eq!(facts.written(format, &timings, 42), text);
        }
    }
}
