//! A crawl that workers share: what it brings home is what one alone does, whatever dies on the way.
#![cfg(unix)]

mod celery_support;
mod cli_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use celery_support::{Redis, Site, Worker, can_run, python_worker};
use cli_support::{Scratch, crawl};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

const PAGES: usize = 120;

/// A site of pages that each link to two others and back to the first.
fn tree() -> Site {
    Site::with(|path| {
        let n: usize = path.trim_start_matches('/').parse().unwrap_or_default();
        let below = [2 * n + 1, 2 * n + 2].into_iter().filter(|n| *n < PAGES);
        let links: String = below.map(|n| format!("<a href=/{n}>{n}</a>")).collect();
        format!("<title>page {n}</title><a href=/0>home</a>{links}")
    })
}

fn site(url: &str, out: &str, args: &[&str]) -> Command {
    let always = ["--pause", "0s", "--per-host", "50", "--ignore-robots", "--bodies", "--out", out];
    let mut command = crawl(&["site", url]);
    command.args(always).args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What a run has kept: its records without times, and bodies, by address.
fn kept(out: &str) -> BTreeMap<String, (Value, Vec<u8>)> {
    let records = fs::read_to_string(format!("{out}/pages.jsonl")).expect("records");
    let mut kept = BTreeMap::new();
    for line in records.lines() {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        let fields = record.as_object_mut().expect("an object");
        fields.retain(|name, _| !name.ends_with("_ms"));
        let file = fields["file"].as_str().expect("a body").to_owned();
        let body = fs::read(format!("{out}/{file}")).expect("it is there");
        let url = fields["url"].as_str().expect("a URL").to_owned();
        assert!(kept.insert(url, (record, body)).is_none(), "twice: {line}");
    }
    kept
}

fn ended(output: Output) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn workers_bring_home_what_one_alone_does() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("share");
    let (site_, scratch) = (tree(), Scratch::new("share"));
    let (alone, shared) = (scratch.path("alone"), scratch.path("shared"));
    let select = ["--select", "title"];
    ended(site(&site_.url("/0"), &alone, &select).output().expect("it runs"));
    let _workers = [Worker::start(&redis, &[]), Worker::start(&redis, &[])];
    let via = ["--via", &redis.url(), "--select", "title"];
    ended(site(&site_.url("/0"), &shared, &via).output().expect("it runs"));
    assert_eq!(kept(&alone).len(), PAGES);
    assert_eq!(kept(&shared), kept(&alone));
    assert!(site_.asked().values().all(|asked| *asked == 2), "{:?}", site_.asked());
    assert_eq!(redis.cli(&["KEYS", "celery*"]), "", "nothing is left behind");
}

/// What an archive tells of each request and its answer, without times and without the order of fields.
fn archived(path: &str) -> Vec<Vec<String>> {
    let archive: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("an archive")).expect("JSON");
    let entries = archive["log"]["entries"].as_array().expect("entries").iter();
    let mut entries: Vec<Vec<String>> = entries
        .map(|entry| {
            assert!(entry["timings"]["wait"].as_f64().is_some_and(|wait| wait > 0.0), "{entry}");
            let (request, response) = (&entry["request"], &entry["response"]);
            // What a client adds by itself is not told; a worker is told to send the crawl's.
            let is_told =
                |field: &&Value| field["name"] != "user-agent" && field["name"] != "cookie";
            let fields = request["headers"].as_array().expect("fields").iter().filter(is_told);
            let fields = fields.map(Value::to_string);
            let others = [&request["url"], &response["status"], &response["headers"]];
            let mut told: Vec<String> =
                others.map(Value::to_string).into_iter().chain(fields).collect();
            told.sort_unstable();
            told
        })
        .collect();
    entries.sort_unstable();
    entries
}

/// Answers with all that it was asked with, sets a cookie, and links to two pages; it is a proxy as much as
/// a site. With a certificate, it speaks TLS. Gives its port.
fn mirror(tls: Option<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            std::thread::spawn(move || match tls {
                None => reflect(stream),
                Some(tls) => {
                    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
                    reflect(StreamOwned::new(connection, stream))
                }
            });
        }
    });
    port
}

fn reflect(stream: impl Read + Write) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        // The order of fields says nothing.
        let mut head: Vec<&str> = head.lines().collect();
        head.sort_unstable();
        let head = head.join("\n");
        let body = format!("<title>x</title><a href=/1>1</a><a href=/2>2</a><pre>{head}</pre>");
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: visit=1\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        reader.get_mut().write_all(answer.as_bytes())?;
        reader.get_mut().flush()?;
    }
}

#[test]
fn workers_ask_for_pages_as_one_alone_does() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("asking");
    let scratch = Scratch::new("asking");
    let (cert, key) = celery_support::certificate(&scratch);
    let der = CertificateDer::from_pem_file(&cert).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![der], PrivateKeyDer::from_pem_file(&key).expect("a key"))
        .expect("its key");
    // What stands beside certificates is in no encoding that is known.
    let with_name = [&b"f\xfcr uns\n"[..], &fs::read(&cert).expect("it was read before")].concat();
    fs::write(&cert, with_name).expect("a place for it");
    let (secure, plain) = (mirror(Some(Arc::new(config))), mirror(None));
    let (secure, proxy) =
        (format!("https://localhost:{secure}/"), format!("http://127.0.0.1:{plain}"));
    let _worker = Worker::start(&redis, &[]);
    let own = ["-H", "X-Own: 1", "-H", "Accept:", "-A", "me", "-u", "me:secret", "--cookies"];
    // One page after the other: it is the first that sets the cookie.
    let own = [&own[..], &["--concurrency", "1"]].concat();
    let elsewhere = "http://elsewhere.invalid/";
    for (n, (url, how)) in [
        (&*secure, &["--cacert", &cert][..]),
        (&*secure, &["--danger-accept-invalid-certs"]),
        (elsewhere, &["--proxy", &proxy]),
    ]
    .into_iter()
    .enumerate()
    {
        let args = [&own[..], how].concat();
        let (alone, shared) = (scratch.path(&format!("a{n}")), scratch.path(&format!("s{n}")));
        for (out, via) in [(&alone, &[][..]), (&shared, &["--via", &redis.url()])] {
            let har = format!("{out}.har");
            let args = [&args[..], &["--har", &har], via].concat();
            ended(site(url, out, &args).output().expect("it runs"));
        }
        let kept_alone = kept(&alone);
        assert_eq!(kept(&shared), kept_alone);
        assert_eq!(kept_alone.len(), 3);
        let bodies: String = kept_alone
            .values()
            .map(|(_, body)| String::from_utf8_lossy(body).into_owned())
            .collect();
        for (said, count) in [
            ("x-own: 1", 3),
            ("user-agent: me", 3),
            ("\naccept: ", 0),
            ("visit=1", 2),
            ("authorization: ", 3),
        ] {
            assert_eq!(bodies.to_lowercase().matches(said).count(), count, "{said}: {bodies}");
        }
        assert_eq!(archived(&format!("{shared}.har")), archived(&format!("{alone}.har")));
        let records = fs::read_to_string(format!("{shared}/pages.jsonl")).expect("records");
        assert!(records.lines().all(|line| line.contains("\"wait_ms\":")), "{records}");
    }
}

#[test]
fn a_killed_coordinator_goes_on_where_it_was_and_so_do_others_for_killed_workers() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("coordinator");
    let (site_, scratch) = (tree(), Scratch::new("coordinator"));
    let (alone, shared) = (scratch.path("alone"), scratch.path("shared"));
    ended(site(&site_.url("/0"), &alone, &[]).output().expect("it runs"));
    let options = ["--visibility-timeout", "3s", "--concurrency", "4"];
    let _stays = Worker::start(&redis, &options);
    let mut asked = PAGES;
    let journal = scratch.path("journal");
    let args = ["--via", "env", "--resume", &journal];
    for _ in 0..3 {
        let worker = Worker::start(&redis, &options);
        let mut coordinator = site(&site_.url("/0"), &shared, &args);
        let coordinator = coordinator.env("REDIS_URL", redis.url()).spawn().expect("it runs");
        let coordinator = celery_support::Running(coordinator);
        asked += 20;
        site_.until(asked, 0);
        worker.signal("-KILL");
        cli_support::signal(&coordinator.0, "-KILL");
    }
    let mut last = site(&site_.url("/0"), &shared, &args);
    ended(last.env("REDIS_URL", redis.url()).output().expect("it runs"));
    assert_eq!(kept(&shared), kept(&alone));
    let told = fs::read_to_string(&journal).expect("a journal");
    assert_eq!(told.lines().count(), PAGES + 1, "a head, and each page once");
}

#[test]
fn workers_of_another_kind_are_refused_with_a_clear_error() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("version");
    let (site_, scratch) = (tree(), Scratch::new("version"));
    let via = ["--via", &redis.url()];
    for (name, arguments) in [("other", "url, **options"), ("older", "url")] {
        let task = format!(
            "@app.task(name='mainspring.fetch')\ndef fetch({arguments}):\n    return {{'status': 200}}\n"
        );
        let _worker = python_worker(&redis, &task, "--pool=solo");
        let ran = site(&site_.url("/0"), &scratch.path(name), &via).output().expect("it runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains("coordinator and workers must be of one version"), "{said}");
    }
}

#[test]
fn a_coordinator_without_workers_ends_when_it_is_told_to() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("alone");
    let scratch = Scratch::new("alone");
    let via = redis.url();
    let args = ["--via", &via, "--timeout", "100ms"];
    let coordinator = site("http://h.test/", &scratch.path("out"), &args).spawn().expect("it runs");
    redis.until(&["LLEN", "celery"], "1");
    cli_support::signal(&coordinator, "-TERM");
    let ran = coordinator.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(130), "{said}");
    assert!(said.contains("http://h.test/: no worker has answered"), "{said}");
}
