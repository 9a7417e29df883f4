//! `crawl get`: one request, as with curl.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mainspring_http::{
    Client, Request, Response, basic_auth, decode_text, redact_url, take_userinfo,
};

use super::verbose::{Shown, tell};
use crate::cli::Get;
use crate::failure::{Failure, exit_code, print, print_bytes, read_input};
use crate::har::HarRecorder;
use crate::options::NAME;
use crate::output::{Draft, check, is_other};
use crate::stop::Stop;
use crate::text::{STDOUT, Text, printable_lines};
use crate::timings::{RequestTimer, Timings};
use crate::trace;
use crate::value::{Size, Took};
use crate::web::Hooks;

/// Redirects that `-L` follows, as with curl.
const REDIRECTS: usize = 50;

/// What `--compressed` asks for: what the client can unpack.
const CODINGS: HeaderValue = HeaderValue::from_static("deflate, gzip, br, zstd");

/// Sends the request and prints what comes.
///
/// # Errors
/// One sentence: no answer, or nowhere to put it.
pub fn run(args: &Get) -> Result<ExitCode, Failure> {
    check(args.sending.har.iter().chain(output(args)))?;
    let body = body(args)?;
    trace::run("get", get(args, body))?
}

/// The file to write the body to; none for `-o -`.
fn output(args: &Get) -> Option<&PathBuf> {
    args.output.as_ref().filter(|path| path.as_os_str() != "-")
}

async fn get(args: &Get, body: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let sending = &args.sending;
    let (timer, archive) = (RequestTimer::default(), HarRecorder::default());
    let shown = Rc::new(Shown {
        verbose: args.verbose,
        heads: args.include || args.head,
        body: body.as_ref().map(Vec::len),
        ..Shown::default()
    });
    let hooks = Hooks(vec![Rc::new(timer.clone()), Rc::new(archive.clone()), shown.clone()]);
    if let Some(note) = sending.proxies.ignored().filter(|_| args.verbose) {
        tell(format!("note: {note}\n").as_bytes());
    }
    let mut client = sending
        .set_up(Client::builder().decompress(args.compressed))?
        .max_redirects(if args.location { REDIRECTS } else { 0 })
        .danger_accept_invalid_certs(args.insecure)
        .hook(hooks);
    if !args.timeout.is_zero() {
        client = client.timeout(args.timeout);
    }
    let client = client.build();
    let request = request(args, &client, body)?;
    let stop = Stop::new();
    // What writes to a pipe may wait there for its reader, where it would hear of no stop.
    let tidies = sending.har.is_some() || output(args).is_some_and(|place| !is_other(place));
    if tidies { stop.on_ctrl_c() } else { Stop::end_at_once() }?;
    let outcome = stop.unless_asked(exchange(args, &client, request, &timer, &shown)).await;
    if let Some(path) = &sending.har {
        archive.write(path)?;
    }
    outcome.unwrap_or_else(|| Ok(exit_code(true, false)))
}

/// Sends a request and shows what comes of it.
async fn exchange(
    args: &Get,
    client: &Client,
    request: Request,
    timer: &RequestTimer,
    shown: &Shown,
) -> Result<ExitCode, Failure> {
    let url = request.url.clone();
    let answered = client.execute(request).await;
    shown.trouble.take().map_or(Ok(()), Err)?;
    let response = answered.map_err(|error| Failure::Said(error.to_string()))?;
    let (status, facts) = (response.status().as_u16(), facts(&response));
    if args.verbose {
        for hop in response.history() {
            tell(format!("* redirected from {}\n", redact_url(&hop.url)).as_bytes());
        }
        if let Some(address) = response.remote_addr() {
            tell(format!("* connected to {address}\n").as_bytes());
        }
    }
    let failure = args.fail && status >= 400;
    let size = if failure { 0 } else { save(args, response).await? };
    let timings = timer.take(&url);
    if args.verbose {
        tell(timings_text(&timings, size).as_bytes());
    }
    if let Some(format) = &args.write_out {
        print(&written(format, &[facts, times(&timings, size)].concat()))?;
    }
    if failure {
        return Err(Failure::Said(format!("the answer is {status}")));
    }
    Ok(ExitCode::SUCCESS)
}

/// The body to send: what `-d` says, joined by `&`; a file's content for `@file`.
fn body(args: &Get) -> Result<Option<Vec<u8>>, Failure> {
    let pieces = args.data.iter().map(|data| match data.strip_prefix('@') {
        None => Ok(data.clone().into_bytes()),
        Some(file) => read_input(file),
    });
    let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
    Ok((!pieces.is_empty()).then(|| pieces.join(&b'&')))
}

fn request(args: &Get, client: &Client, body: Option<Vec<u8>>) -> Result<Request, Failure> {
    let method = match (&args.request, args.head, &body) {
        (Some(method), ..) => method.clone(),
        (None, true, _) => Method::HEAD,
        (None, false, Some(_)) => Method::POST,
        (None, false, None) => Method::GET,
    };
    let given = args.sending.header.iter();
    let given = given.filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let mut headers = HeaderMap::from_iter(given);
    let mut url = args.url.clone();
    let user = args.sending.user.clone().or(take_userinfo(&mut url));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let user = user.map(|(name, password)| basic_auth(&name, &password));
    // A part of what is coded cannot be unpacked.
    let codings = (args.compressed && !headers.contains_key(RANGE)).then_some(CODINGS);
    let own = [
        (AUTHORIZATION, user.transpose().map_err(|error| error.to_string())?),
        (USER_AGENT, Some(args.sending.user_agent.clone().unwrap_or(NAME))),
        (ACCEPT, Some(HeaderValue::from_static("*/*"))),
        (ACCEPT_ENCODING, codings),
        (CONTENT_TYPE, body.as_ref().map(|_| form)),
    ];
    let removed = args.sending.removed();
    for (name, value) in own {
        if let Some(value) = value.filter(|_| !removed.contains(&name)) {
            headers.entry(name).or_insert(value);
        }
    }
    let request = client.request(method, &url).headers(headers);
    let request = body.into_iter().fold(request, |request, body| request.body(body));
    request.build().map_err(|error| Failure::Said(error.to_string()))
}

/// What there is to say if `--compressed` is to take off a coding that the client does not know.
fn not_unpacked(args: &Get, response: &Response) -> Option<Failure> {
    let fields = response.headers().get_all(http::header::CONTENT_ENCODING);
    let fields: Vec<_> = fields.iter().map(HeaderValue::as_bytes).collect();
    let names = fields.join(&b',').escape_ascii().to_string().to_ascii_lowercase();
    let known = ["", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"];
    let name = names.split(',').map(str::trim).find(|name| !known.contains(name))?;
    // A part stays as it is sent, whatever it is coded with.
    (args.compressed && response.status() != StatusCode::PARTIAL_CONTENT).then(|| {
        Failure::Said(format!("cannot unpack {name:.80}; without --compressed, it is kept as sent"))
    })
}

/// Puts the body where it belongs; returns how many bytes it had.
async fn save(args: &Get, mut response: Response) -> Result<u64, Failure> {
    let failed = |error: mainspring_http::Error| Failure::Said(error.to_string());
    let mut trouble = not_unpacked(args, &response);
    if args.output.is_none() && *STDOUT {
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let body = response.bytes().await.map_err(failed)?;
        trouble.filter(|_| !body.is_empty()).map_or(Ok(()), Err)?;
        let text = decode_text(&body, content_type.as_ref().and_then(|value| value.to_str().ok()));
        if text.contains('\0') {
            return Err(Failure::Said("the answer is no text; keep it with -o FILE".to_owned()));
        }
        print(&printable_lines(&text))?;
        return Ok(body.len() as u64);
    }
    let at = |error| format!("{}: {error}", args.output.clone().unwrap_or_default().display());
    let mut draft = output(args).map(|place| Draft::create(place)).transpose().map_err(at)?;
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        trouble.take().map_or(Ok(()), Err)?;
        size += chunk.len() as u64;
        match &mut draft {
            Some(draft) => draft.file.write_all(&chunk).map_err(at)?,
            None => print_bytes(&chunk)?,
        }
    }
    draft.map_or(Ok(()), Draft::publish).map_err(at)?;
    Ok(size)
}

/// Which phase was over when, from the beginning.
fn timings_text(timings: &Timings, size: u64) -> String {
    let [_, _, connect, tls, send, wait, body] = timings.0;
    // A name that is known from before is looked up in no time.
    let phases =
        [("looked up", connect, 1), ("connected", connect, 2), ("TLS", tls, 3), ("sent", send, 4)];
    let told = phases.into_iter().chain([("head", wait, 5), ("body", body, 6)]).filter_map(
        |(name, had, phase)| had.map(|_| format!("{name} {}", Took(timings.until(phase)))),
    );
    format!("* {} ({})\n", told.collect::<Vec<_>>().join(", "), Size(size))
}

/// Names that `-w` knows, and what they stand for.
type Known = Vec<(&'static str, String)>;

/// What can be said of an answer before its body has been taken.
fn facts(response: &Response) -> Known {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let content_type = String::from_utf8_lossy(content_type.unwrap_or_default()).into_owned();
    let status = response.status().as_u16().to_string();
    let version = format!("{:?}", response.version());
    let address = response.remote_addr().map(|address| address.to_string());
    vec![
        ("http_code", status.clone()),
        ("response_code", status),
        ("http_version", version.trim_start_matches("HTTP/").to_owned()),
        ("url_effective", redact_url(response.url())),
        ("num_redirects", response.history().len().to_string()),
        ("content_type", content_type),
        ("remote", address.unwrap_or_default()),
    ]
}

/// What can be said afterwards.
fn times(timings: &Timings, size: u64) -> Known {
    let until = |phase| format!("{:.6}", timings.until(phase).as_secs_f64());
    vec![
        ("size_download", size.to_string()),
        ("time_namelookup", until(1)),
        ("time_connect", until(2)),
        // Without a handshake, there is no moment of its end.
        ("time_appconnect", timings.0[3].map_or("0.000000".to_owned(), |_| until(3))),
        ("time_pretransfer", until(3)),
        ("time_starttransfer", until(5)),
        ("time_total", until(6)),
    ]
}

/// `format` with `%{name}` filled in as by curl, and `\n` and `\t` for what they stand for. Names that
/// mean nothing here stay as they are.
fn written(format: &str, known: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let named = rest.strip_prefix("%{").and_then(|rest| rest.split_once('}'));
        let value = |name| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let (piece, after) = match named.and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => (Text(value, &STDOUT).to_string(), after),
            None if rest.starts_with("\\n") => ("\n".to_owned(), &rest[2..]),
            None if rest.starts_with("\\t") => ("\t".to_owned(), &rest[2..]),
            None => (rest[..1].to_owned(), &rest[1..]),
        };
        text.push_str(&piece);
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_out_fills_in_what_it_knows_and_leaves_the_rest() {
        let of_the_answer = [
            ("http_code", "200"),
            ("url_effective", "http://h/"),
            ("num_redirects", "1"),
            ("content_type", "text/html"),
        ];
        let timings = Timings([None, Some(1.0), Some(0.5), None, None, Some(3.5), Some(2.0)]);
        let facts = of_the_answer.map(|(name, value)| (name, value.to_owned())).to_vec();
        let known = [facts, times(&timings, 42)].concat();
        for (format, text) in [
            ("%{http_code} %{num_redirects}\\n", "200 1\n"),
            ("%{time_starttransfer}\\t%{time_total}", "0.005000\t0.007000"),
            ("%{time_namelookup} %{time_connect}", "0.001000 0.001500"),
            ("%{time_appconnect} %{time_pretransfer}", "0.000000 0.001500"),
            ("%{content_type} %{size_download}", "text/html 42"),
            ("100 % %{nonsense} %{http_code \\x", "100 % %{nonsense} %{http_code \\x"),
            ("", ""),
        ] {
            assert_eq!(written(format, &known), text);
        }
    }
}
