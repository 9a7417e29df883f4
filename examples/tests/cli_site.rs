//! `crawl site` and what it shares with `crawl fetch`: seeds, scope, budgets, and what a run leaves,
//! against sites that the tests make up.

mod cli_support;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::mpsc;

use cli_support::{Canned, Scratch, Site, crawl, pages, path_of, run};
use serde_json::Value;

/// `crawl site` with these arguments, in no hurry and without asking for permission.
fn site(args: &[&str]) -> cli_support::Ran {
    run(&[&["site", "--pause", "0s", "--ignore-robots"], args].concat())
}

/// The rows of the table at the end, cells separated by one space.
fn row(stderr: &str, name: &str) -> String {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    stderr.lines().map(squeezed).find(|line| line.starts_with(name)).unwrap_or_default()
}

#[test]
fn a_packed_index_leads_to_packed_and_plain_sitemaps() {
    let gzipped = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("a Vec takes any bytes");
        encoder.finish().expect("a Vec takes any bytes")
    };
    let answer = |body: Vec<u8>| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-gzip\r\nContent-Length: ";
        [format!("{head}{}\r\nConnection: close\r\n\r\n", body.len()).into_bytes(), body].concat()
    };
    let canned = Canned::start(move |head| match path_of(head).trim_start_matches("http://h") {
        "/index.xml.gz" => answer(gzipped(
            "<sitemapindex><sitemap><loc>/one.xml.gz</loc></sitemap>\
             <sitemap><loc>/two.txt</loc></sitemap></sitemapindex>",
        )),
        "/one.xml.gz" => answer(gzipped("<urlset><url><loc>/a</loc></url></urlset>")),
        "/two.txt" => answer(b"http://h/b\n".to_vec()),
        "/cut.xml.gz" => answer(gzipped("<urlset></urlset>")[..20].to_vec()),
        path => Canned::page(path).into_bytes(),
    });
    // It does as a proxy, so that a sitemap can name its host.
    let proxy = canned.url("");
    let ran = site(&["--sitemap", "http://h/index.xml.gz", "--depth", "0", "-x", &proxy]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(pages(&ran.stdout), ["200 http://h/a", "200 http://h/b"]);
    let ran = site(&["--sitemap", "http://h/cut.xml.gz", "-x", &proxy]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let said = "crawl: cannot read the sitemap http://h/cut.xml.gz: it cannot be unpacked: ";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
}

/// Until it is stopped, each of these runs waits for an answer that never ends.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_wait_for_a_sitemap_and_for_robots_txt() {
    for (args, waits_for, left) in [
        (["--sitemap", "/slow.xml"], "/slow.xml", "pages 0"),
        (["-H", "X: /slow"], "/robots.txt", "not fetched 1 since a stop was asked for"),
    ] {
        let (asked, heard) = mpsc::channel();
        let canned = Canned::start(move |head| {
            asked.send(path_of(head).to_owned()).expect("the test waits");
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"
        });
        let [flag, value] = args;
        let value = if flag == "--sitemap" { canned.url(value) } else { value.to_owned() };
        let child = crawl(&["site", &canned.url("/"), flag, &value, "--timeout", "1h"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        assert_eq!(heard.recv().expect("a request"), waits_for);
        cli_support::signal(&child, "-INT");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0));
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(!row(&stderr, left).is_empty(), "{left}: {stderr}");
        assert!(heard.try_recv().is_err(), "nothing was begun after the stop");
    }
}

#[test]
fn links_of_all_kinds_are_followed_once_and_within_the_scope() {
    let canned = Canned::start(|head| match path_of(head) {
        "http://example.test/" => Canned::page(
            "<base href=/deep/><link rel=next href=n><a href='A%61?'>1</a><a href='Aa#x'>1</a>\
             <a href=//sub.example.test/>2</a><a href=//notexample.test/>3</a>\
             <a href=ftp://example.test/>4</a><img srcset='i.png 2x, i.png 3x'>",
        ),
        _ => Canned::page(""),
    });
    let proxy = canned.url("");
    let start = "http://example.test/";
    let crawled = |args: &[&str]| pages(&site(&[&[start, "-x", &proxy], args].concat()).stdout);
    let shown = |urls: &[&str]| -> Vec<String> {
        urls.iter().map(|rest| format!("200 http://{rest}")).collect()
    };
    let here = ["example.test/", "example.test/deep/n", "example.test/deep/A%61?"];
    let (below, beyond) = ("sub.example.test/", "notexample.test/");
    assert_eq!(crawled(&[]), shown(&here));
    let with_asset = [&here[..], &["example.test/deep/i.png"]].concat();
    assert_eq!(crawled(&["--assets"]), shown(&with_asset));
    let with_below = [&here[..], &[below]].concat();
    assert_eq!(crawled(&["--scope", "subdomains"]), shown(&with_below));
    assert_eq!(crawled(&["--scope", "any"]), shown(&[&with_below[..], &[beyond]].concat()));
    assert_eq!(crawled(&["--include", "deep/n$"]), shown(&here[..2]));
    assert_eq!(crawled(&["--depth", "0"]), shown(&here[..1]));
}

#[test]
fn a_run_ends_when_its_pages_its_bytes_or_its_time_are_spent() {
    let canned = Canned::start(|head| {
        let page: u32 = path_of(head)[1..].parse().unwrap_or_default();
        Canned::page(&format!("<a href=/{}>next</a>", page + 1))
    });
    let start = canned.url("/0");
    let spent = |args: &[&str]| {
        let ran = site(&[&[&*start], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (pages(&ran.stdout).len(), row(&ran.stderr, "not fetched") + &row(&ran.stderr, "left out"))
    };
    let left = |text: &str| text.to_owned();
    assert_eq!(spent(&["--pages", "3"]), (3, left("left out 1 links past the limit of pages")));
    let bytes = spent(&["--bytes", "30"]);
    assert_eq!(bytes, (2, left("not fetched 1 since the bytes were spent")));
    assert_eq!(spent(&["--for", "0s"]), (0, left("not fetched 1 since the time was spent")));
}

#[test]
fn what_a_run_leaves_says_how_long_each_phase_took() {
    let demo = Site::start(&["--pages", "2"]);
    let scratch = Scratch::new("left");
    let (out, har) = (scratch.path("out"), scratch.path("run.har"));
    // By a name that has to be looked up.
    let url = |path: &str| demo.url(path).replace("127.0.0.1", "localhost");
    let ran = site(&[&url("/"), &url("/nope"), "--per-host", "1", "--out", &out, "--har", &har]);
    assert_eq!(ran.code, 1, "there is a page that is not: {}", ran.stderr);
    let lines = fs::read_to_string(format!("{out}/pages.jsonl")).expect("pages.jsonl");
    let records: Vec<HashMap<String, Value>> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let phases = ["queued_ms", "dns_ms", "connect_ms", "tls_ms", "send_ms", "wait_ms", "body_ms"];
    let had = |record: &HashMap<String, Value>| -> Vec<&str> {
        phases.into_iter().filter(|phase| record.contains_key(*phase)).collect()
    };
    let reused = ["queued_ms", "send_ms", "wait_ms", "body_ms"];
    assert_eq!(records.len(), 5, "{lines}");
    assert_eq!(had(&records[0]), [&reused[..1], &["dns_ms", "connect_ms"], &reused[1..]].concat());
    assert_eq!(records[1]["error"], "404 Not Found");
    assert_eq!(had(&records[1]), reused, "of failures, too");
    for record in &records {
        let number = |name: &&str| record.get(*name).map_or(0.0, |n| n.as_f64().expect("a number"));
        let sum: f64 = phases.iter().map(number).sum();
        // Each is rounded to the microsecond.
        assert!(0.0 < sum && sum <= number(&"took_ms") + 0.01, "{record:?}");
    }
    assert!(records[2..].iter().all(|record| had(record) == reused), "{lines}");
    let mut csv = csv::Reader::from_path(format!("{out}/pages.csv")).expect("pages.csv");
    let rows: Vec<HashMap<String, String>> =
        csv.deserialize().map(|row| row.expect("as many cells as heads")).collect();
    for (row, record) in rows.iter().zip(&records) {
        for name in phases.into_iter().chain(["began_ms", "took_ms"]) {
            let told = record.get(name).map(|n| n.as_f64().expect("a number").to_string());
            assert_eq!(row[name], told.unwrap_or_default(), "{name}");
        }
    }
    assert_eq!(rows.len(), records.len());
    let archive = fs::read_to_string(&har).expect("the archive");
    let archive: Value = serde_json::from_str(&archive).expect("JSON");
    assert_eq!(archive["log"]["entries"].as_array().map(Vec::len), Some(5));
}

#[test]
fn places_that_take_no_files_are_found_before_the_crawl() {
    let (asked, heard) = mpsc::channel();
    let canned = Canned::start(move |_| {
        asked.send(()).expect("the test waits");
        Canned::page("")
    });
    let start = canned.url("/");
    for (args, place) in [
        (["site", &start, "--har", "/no/such/place"], "write /no/such/place"),
        (["fetch", &start, "--trace", "/no/such/place"], "write /no/such/place"),
        (["site", &start, "--out", "/dev/null/x"], "write to /dev/null/x"),
        (["site", &start, "--resume", "/"], "use /"),
        (["get", &start, "-o", "/no/such/place"], "write /no/such/place"),
        (["fetch", &start, "--cacert", "/no/such/place"], "take certificates from /no/such/place"),
    ] {
        let ran = run(&args);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{args:?}");
        let said = format!("crawl: cannot {place}: ");
        assert!(ran.stderr.starts_with(&said), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
    }
    assert!(heard.try_recv().is_err(), "nothing was fetched");
}

#[test]
fn a_watched_run_prints_the_same_in_a_pipe() {
    let demo = Site::start(&["--pages", "2"]);
    let ran = site(&[&demo.url("/"), "--live"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(pages(&ran.stdout).len(), 4, "{}", ran.stdout);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}
