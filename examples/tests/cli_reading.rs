//! What `crawl` reads from what it fetched, from the bytes of the answer to what it asks for next.

mod cli_support;

use std::fs;

use cli_support::{Canned, Scratch, path_of, run};
use serde_json::Value;

/// An answer with these fields and this body, after which the connection closes.
fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The targets that a crawl of a site asks for after the first, in their order; the site answers the
/// first with `begin`, and all others with an empty text.
fn asked(args: &[&str], begin: &[u8]) -> Vec<String> {
    let begin = begin.to_vec();
    let (tell, told) = std::sync::mpsc::channel();
    let canned = Canned::start(move |head| match path_of(head) {
        "/begin" => begin.clone(),
        path => {
            tell.send(path.to_owned()).expect("the test listens");
            answer("Content-Type: text/plain\r\n", b"")
        }
    });
    let sitemap = args.contains(&"--sitemap");
    let url = canned.url("/begin");
    let fixed = ["site", "--pause", "0s", "--jitter", "0", "--ignore-robots", "--concurrency", "1"];
    let ran = run(&[&fixed, args, &[&*url]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(sitemap || !ran.stdout.is_empty());
    told.try_iter().collect()
}

fn gbk(text: &str) -> Vec<u8> {
    mainspring_http::encoding_rs::GBK.encode(text).0.into_owned()
}

/// The URL standard: a query is in the encoding of the page that its link is on.
#[test]
fn a_query_is_asked_for_in_the_encoding_of_its_page() {
    let link = "<a href='/?q=中文'>x</a>";
    for (fields, body) in [
        ("Content-Type: text/html; charset=gbk\r\n", gbk(link)),
        ("Content-Type: text/html\r\n", gbk(&format!("<meta charset=gb2312>{link}"))),
        ("Content-Type: text/html,text/html;charset=GBK\r\n", gbk(link)),
        ("Content-Type: text/html\r\nContent-Type: text/html charset=gbk\r\n", gbk(link)),
        (
            "",
            gbk(&format!("<meta http-equiv=content-type content='text/html; charset=gbk'>{link}")),
        ),
        (
            "Content-Type: application/xhtml+xml\r\n",
            gbk(&format!(
                "\n<?xml version='1.0' encoding='gbk'?>\
                 <html xmlns='http://www.w3.org/1999/xhtml'><body>{link}</body></html>"
            )),
        ),
    ] {
        assert_eq!(asked(&[], &answer(fields, &body)), ["/?q=%D6%D0%CE%C4"], "{fields}");
    }
    let body = format!("<meta charset=utf-8>{link}");
    let utf_8 = answer("Content-Type: text/html\r\n", body.as_bytes());
    assert_eq!(asked(&[], &utf_8), ["/?q=%E4%B8%AD%E6%96%87"]);
}

/// HTML standard: `noscript` is content without scripts; `base`; the `Refresh` field, whose bytes
/// above 127 travel as they are.
#[test]
fn a_page_is_read_as_by_a_browser_without_scripts() {
    let html = "Content-Type: text/html\r\n";
    for (fields, body, expected) in [
        (html, "<noscript><a href=/n>x</a></noscript>", vec!["/n"]),
        (html, "<base href='data:,x'><a href=x>x</a>", vec!["/x"]),
        (html, "<base href='/one/'><base href='/two/'><a href=x>x</a>", vec!["/one/x"]),
        (html, "<meta http-equiv=refresh content='0,/next'>", vec!["/next"]),
        ("Refresh: 5;url=/next\r\nContent-Type: text/html\r\n", "", vec!["/next"]),
        ("Refresh: 0;'/caf\u{e9}'\r\nContent-Type: text/plain\r\n", "", vec!["/caf%E9"]),
    ] {
        // Fields are bytes: of Latin-1, not of UTF-8.
        let fields = mainspring_http::encoding_rs::mem::encode_latin1_lossy(fields);
        let mut bytes = answer("", body.as_bytes());
        bytes.splice(17..17, fields.iter().copied());
        assert_eq!(asked(&[], &bytes), expected, "{body}");
    }
}

#[test]
fn a_sitemap_or_feed_is_a_beginning_with_its_flag_and_without() {
    let utf_16: Vec<u8> = "\u{feff}<?xml version='1.0' encoding='utf-16'?><urlset><url>\
        <loc>/a</loc><i:image xmlns:i='i'><i:loc>/no</i:loc></i:image></url></urlset>"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let rss =
        "<rss><channel><link>/no</link><item><link><![CDATA[/a]]></link></item></channel></rss>";
    let atom = "\n\n<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'>\
        <entry><link href='/a'/></entry></feed>";
    for (kind, body) in [
        ("application/xml", utf_16),
        ("application/rss+xml", rss.into()),
        ("application/atom+xml; charset=utf-8", atom.into()),
        ("text/xml", "<s:urlset xmlns:s='s'><s:url><s:loc>/a</s:loc></s:url></s:urlset>".into()),
        ("text/html", atom.into()),
    ] {
        let begin = answer(&format!("Content-Type: {kind}\r\n"), &body);
        assert_eq!(asked(&[], &begin), ["/a"], "{kind}");
        assert_eq!(asked(&["--sitemap"], &begin), ["/a"], "{kind}");
    }
}

#[test]
fn a_list_that_is_broken_counts_as_far_as_it_is_whole_and_says_so() {
    for (path, body, code, said) in [
        (
            "cut",
            "<urlset><url><loc>/a</loc></url><url><loc>/b",
            0,
            "it is no XML from about byte 44 of 44 on: ",
        ),
        ("odd", "<urlset><url><loc>ftp://h/</loc></url><url><loc>/a</loc></url></urlset>", 0, "1 "),
        ("html", "<!DOCTYPE html><html><p>gone</p></html>", 1, "it is no sitemap and no feed: "),
        ("empty", "<!-- -->", 1, "it is no XML from about byte 8 of 8 on: it holds no element"),
    ] {
        let canned = Canned::start(move |head| match path_of(head) {
            "/a" => answer("", b""),
            _ => answer("Content-Type: text/xml\r\n", body.as_bytes()),
        });
        let url = canned.url(&format!("/{path}"));
        let ran = run(&["site", "--pause", "0s", "--ignore-robots", "--sitemap", &url]);
        assert_eq!(ran.code, code, "{path}: {}", ran.stderr);
        let expected = match code {
            0 => format!("cut: of the sitemap {url}, {said}"),
            _ => format!("crawl: cannot read the sitemap {url}: {said}"),
        };
        let is_told = ran.stderr.lines().any(|line| line.starts_with(&expected));
        assert!(is_told, "{expected}: {}", ran.stderr);
    }
}

#[test]
fn nofollow_is_obeyed_as_the_option_says_and_told() {
    let links = "<a href=/1>x</a><a rel='ugc nofollow' href=/2>x</a>";
    let page = |fields: &str, head: &str| {
        answer(&format!("{fields}Content-Type: text/html\r\n"), format!("{head}{links}").as_bytes())
    };
    let of_page = [
        page("", "<meta name=ROBOTS content='noindex,nofollow'>"),
        page("X-Robots-Tag: noindex\r\nX-Robots-Tag: none\r\n", ""),
        page("X-Robots-Tag: mainspring-crawl: nofollow\r\n", ""),
    ];
    for page in &of_page {
        assert_eq!(asked(&[], page), [""; 0]);
        assert_eq!(asked(&["--nofollow", "links"], page), [""; 0]);
        assert_eq!(asked(&["--nofollow", "ignore"], page), ["/1", "/2"]);
    }
    let of_link = page("X-Robots-Tag: otherbot: nofollow\r\n", "");
    assert_eq!(asked(&[], &of_link), ["/1", "/2"]);
    assert_eq!(asked(&["--nofollow", "links"], &of_link), ["/1"]);

    let scratch = Scratch::new("nofollow");
    let begin = of_page[0].clone();
    let canned = Canned::start(move |_| begin.clone());
    let ran = run(&["site", "--ignore-robots", "--out", &scratch.path("out"), &canned.url("/")]);
    let told = ran.stderr.lines().find(|line| line.trim_start().starts_with("nofollow "));
    let told = told.unwrap_or_default();
    assert!(told.contains(" 2 ") && told.contains("--nofollow ignore"), "{}", ran.stderr);
    let records = fs::read_to_string(scratch.path("out/pages.jsonl")).expect("it is written");
    let record: Value = serde_json::from_str(&records).expect("JSON");
    assert_eq!((&record["links"], &record["nofollow"]), (&Value::from(0), &Value::from(2)));
}

#[test]
fn a_record_says_what_was_cut_and_how_much() {
    let scratch = Scratch::new("cut");
    let body = format!("{}<a href=/lost>", "<q>".repeat(20_000));
    let canned = Canned::start(move |_| answer("Content-Type: text/html\r\n", body.as_bytes()));
    let out = scratch.path("out");
    let ran = run(&["site", "--ignore-robots", "--out", &out, &canned.url("/")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let records = fs::read_to_string(scratch.path("out/pages.jsonl")).expect("it is written");
    let record: Value = serde_json::from_str(&records).expect("JSON");
    let cut = record["cut"].as_str().expect("it says so");
    assert!(cut.starts_with("its last "), "{cut}");
    let end = " of 60014 bytes are not read: its elements are nested too deep";
    assert!(cut.ends_with(end), "{cut}");
}
