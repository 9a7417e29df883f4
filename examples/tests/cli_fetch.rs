//! `crawl fetch` and `crawl site` against sites that the tests make up.

mod cli_support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};

use mainspring_examples::site::movies::Movie;

use cli_support::{Canned, Scratch, Site, crawl, on_a_terminal, pages, path_of, run};

#[test]
fn matches_come_in_the_order_of_the_pages() {
    let site = Site::start(&["--pages", "30"]);
    let ran =
        run(&["fetch", &site.url("/"), "--depth", "1", "--select", "a.title", "--attr", "href"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected: String = (1..=30).map(|id| format!("/detail/{id}\n")).collect();
    assert_eq!(ran.stdout, expected);
    assert!(ran.stderr.starts_with("3 pages, 0 failed, "), "{}", ran.stderr);
}

#[test]
fn without_a_selector_every_page_is_a_line() {
    let site = Site::start(&["--pages", "2"]);
    let ran = run(&["fetch", &site.url("/"), "--depth", "2", "--pages", "3"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        pages(&ran.stdout),
        [
            format!("200 {}", site.url("/")),
            format!("200 {}", site.url("/list?start=0")),
            format!("200 {}", site.url("/detail/1")),
        ]
    );
    assert!(ran.stderr.contains(", 1 links past the limit of pages\n"), "{}", ran.stderr);
}

#[test]
fn failures_are_listed_with_their_reasons() {
    let site = Site::start(&["--pages", "2"]);
    // A port that was free a moment ago, without a listener.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let refused = format!("http://{}/", closed.expect("a port"));
    let gone = site.url("/nope");
    let ran = run(&["fetch", &gone, &refused, "http://no-such-host.invalid/", &site.url("/hello")]);
    assert_eq!(ran.code, 1);
    assert_eq!(pages(&ran.stdout), [format!("200 {}", site.url("/hello"))]);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[0], format!("failed: {gone}: 404 Not Found"));
    assert!(lines[1].starts_with(&format!("failed: {refused}: cannot connect")), "{}", lines[1]);
    assert!(lines[2].starts_with("failed: http://no-such-host.invalid/: cannot resolve"));
    assert!(lines[3].starts_with("4 pages, 3 failed, 6 B, "), "{}", lines[3]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn an_api_is_saved_answer_by_answer() {
    let site = Site::start(&["--pages", "4"]);
    let scratch = Scratch::new("api");
    let out = scratch.path("out");
    let api = site.url("/api/movie/[1-5]");
    let ran = run(&["fetch", &api, &site.url("/detail/4"), "--out", &out, "--json"]);
    assert_eq!(ran.code, 1, "there is no fifth, and a page is not JSON");
    assert!(ran.stderr.contains("/api/movie/5: 404 Not Found\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/detail/4: the answer is not JSON: expected value"));
    let said = "it is 200 \"text/html; charset=utf-8\", and begins \"<!doctype html>";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    for id in 1..=4 {
        let text = fs::read_to_string(format!("{out}/{id}.json")).expect("a movie's file");
        let movie: Movie = serde_json::from_str(&text).expect("a movie");
        assert_eq!(movie, Movie::with_id(id));
    }
    let mut names: Vec<_> = fs::read_dir(&out)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["1.json", "2.json", "3.json", "4.json", "pages.csv", "pages.jsonl"]);
}

#[test]
fn headers_are_sent_as_asked() {
    let site = Canned::start(|head| {
        let fields = |name: &str| {
            let lines = head.lines().filter(|line| line.to_ascii_lowercase().starts_with(name));
            lines.map(|line| format!("<p>{line}</p>")).collect::<String>()
        };
        Canned::page(&(fields("user-agent") + &fields("x-one") + &fields("accept-language")))
    });
    let ran = run(&[
        "fetch",
        &site.url("/"),
        "-A",
        "tester/1",
        "-H",
        "X-One: 1",
        "-H",
        "Accept-Language: de",
        "--select",
        "p",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let printed = ran.stdout.to_ascii_lowercase();
    assert_eq!(printed, "user-agent: tester/1\nx-one: 1\naccept-language: de\n");
}

/// A pipe gets the text itself, as from curl and Scrapy; a terminal gets no commands.
#[test]
fn a_page_cannot_send_commands_to_the_terminal_and_a_pipe_gets_its_text() {
    let text = "\x1b]0;owned\x07\u{9b}2J\u{202e}x \u{200e}y\u{7f}";
    let site = Canned::start(move |head| match path_of(head) {
        "/plain" => Canned::page(text).replace("text/html", "text/plain"),
        _ => Canned::page(&format!("<h1>{text}</h1><a class='{text}'>")),
    });
    let start = site.url("/");
    let plain = site.url("/plain");
    for args in [
        &["fetch", &start, "--select", "h1"][..],
        &["fetch", &start, "--select", "a", "--attr", "class"],
        &["site", &start, "--ignore-robots", "--select", "h1"],
        &["get", &plain],
    ] {
        let ran = run(args);
        assert_eq!(ran.stdout.trim_end_matches('\n'), text, "{args:?}");
        let shown = on_a_terminal(200, args);
        let escaped = "\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}x \\u{200e}y\\u{7f}";
        assert!(shown.contains(escaped) && !shown.contains("\x1b]0"), "{args:?}: {shown:?}");
    }
    let site = Canned::start(|_| "HTTP/1.1 200 \x1b[31mOK\r\n\r\n".to_owned());
    let ran = run(&["fetch", &site.url("/")]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}

#[test]
fn limits_on_time_and_size_are_failures() {
    let site = Canned::start(|head| match path_of(head) {
        "/long" => Canned::page(&"x".repeat(2_000)),
        // An answer that never ends: the connection closes only when the client gives up.
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_owned(),
    });
    let ran = run(&["fetch", &site.url("/long"), "--max-size", "1kB"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("1000"), "the limit is named: {}", ran.stderr);
    let ran = run(&["fetch", &site.url("/slow"), "--timeout", "1ms"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("failed: "), "{}", ran.stderr);
}

#[test]
fn a_site_is_crawled_as_its_robots_txt_asks() {
    let site = Site::start(&["--pages", "2"]);
    let api = site.url("/api/movie/1");
    let ran = run(&["site", &site.url("/"), &api, "--pause", "0s"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut paths = vec!["/", "/list?start=0", "/detail/1", "/detail/2"];
    assert_eq!(
        pages(&ran.stdout),
        paths.iter().map(|path| format!("200 {}", site.url(path))).collect::<Vec<_>>()
    );
    assert!(ran.stderr.contains("  forbidden"), "{}", ran.stderr);
    let ran = run(&["site", &site.url("/"), &api, "--pause", "0s", "--ignore-robots"]);
    paths.insert(1, "/api/movie/1");
    assert_eq!(
        pages(&ran.stdout),
        paths.iter().map(|path| format!("200 {}", site.url(path))).collect::<Vec<_>>()
    );
    assert!(!ran.stderr.contains("  forbidden"), "{}", ran.stderr);
}

#[test]
fn seeds_come_from_files_and_sitemaps_and_the_scope_narrows() {
    let site = Site::start(&["--pages", "3"]);
    let scratch = Scratch::new("seeds");
    let seeds = scratch.path("seeds.txt");
    fs::write(&seeds, format!("# where to begin\n\n{}\n", site.url("/list"))).expect("a file");
    let ran = run(&["site", "--seeds", &seeds, "--exclude", "/detail/[13]$", "--pause", "0s"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let shown = |paths: &[&str]| -> Vec<String> {
        paths.iter().map(|path| format!("200 {}", site.url(path))).collect()
    };
    assert_eq!(pages(&ran.stdout), shown(&["/list", "/detail/2", "/list?start=0"]));
    let map = site.url("/sitemap.xml");
    let ran = run(&["site", "--sitemap", &map, "--depth", "0", "--pause", "0s"]);
    assert_eq!(pages(&ran.stdout), shown(&["/detail/1", "/detail/2", "/detail/3"]));
    let bad = scratch.path("bad.txt");
    fs::write(&bad, "http://h/\nftp://h/\n").expect("a file");
    let ran = run(&["site", "--seeds", &bad]);
    let said = format!("crawl: {bad}, line 2: ftp is not http or https\n");
    assert_eq!((ran.code, ran.stderr), (1, said));
}

#[test]
fn a_crawl_goes_on_where_its_journal_ends() {
    let site = Site::start(&["--pages", "3"]);
    let scratch = Scratch::new("resume");
    let (journal, out) = (scratch.path("journal"), scratch.path("out"));
    let crawl = |pages: &str| {
        run(&[
            "site",
            &site.url("/"),
            "--resume",
            &journal,
            "--out",
            &out,
            "--bodies",
            "--pages",
            pages,
            "--pause",
            "0s",
        ])
    };
    let first = crawl("3");
    assert_eq!(pages(&first.stdout).len(), 3, "{}", first.stderr);
    // As after a kill between a journal's line and the rename that follows it, and in the midst of
    // the line after that.
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&out).expect("the directory");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
        let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort();
        names
    };
    let before = names();
    let body = before.iter().find(|name| name.contains("detail_1")).expect("a body").clone();
    fs::rename(format!("{out}/{body}"), format!("{out}/.{body}.part")).expect("renamed");
    let mut told = fs::read(&journal).expect("the journal");
    told.extend_from_slice(b"{\"url\":\"http://");
    fs::write(&journal, told).expect("written");

    let second = crawl("100");
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(
        pages(&second.stdout),
        ["/detail/2", "/detail/3"].map(|path| format!("200 {}", site.url(path))),
        "nothing that was stored is fetched again"
    );
    assert!(second.stderr.contains("and 3 in earlier runs"), "{}", second.stderr);
    let after = names();
    assert_eq!(after.len(), before.len() + 2, "{after:?}");
    assert!(after.contains(&body), "the rename has been made up for: {after:?}");
    let lines = fs::read_to_string(format!("{out}/pages.jsonl")).expect("pages.jsonl");
    assert_eq!(lines.lines().count(), 5, "{lines}");
    let third = crawl("100");
    assert_eq!((third.code, third.stdout.as_str()), (0, ""), "{}", third.stderr);
}

/// A chain of pages, each of which links to the next two, so that a crawl finds them bit by bit;
/// each request is noted.
fn chain(last: u32) -> (Canned, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let site = Canned::start(move |head| {
        let path = path_of(head).to_owned();
        let page: u32 = path.trim_start_matches('/').parse().unwrap_or_default();
        noted.lock().expect("no panic").push(path);
        let links = (page + 1..=page + 2).filter(|next| *next <= last);
        Canned::page(&links.map(|next| format!("<a href=/{next}>{next}</a>")).collect::<String>())
    });
    (site, asked)
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_repeats_nothing_that_was_stored() {
    const LAST: u32 = 30;
    let (site, asked) = chain(LAST);
    let scratch = Scratch::new("kill");
    let (journal, out) = (scratch.path("journal"), scratch.path("out"));
    let args = [
        "site",
        &site.url("/0"),
        "--resume",
        &journal,
        "--out",
        &out,
        "--bodies",
        "--pause",
        "0s",
        "--ignore-robots",
        "--per-host",
        "3",
    ];
    // Every page that the journal tells of: those are stored.
    let stored = || -> Vec<String> {
        let told = fs::read_to_string(&journal).unwrap_or_default();
        let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let path = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            let url = entry["url"].as_str().expect("an address");
            url.rsplit_once('/').map(|(_, page)| format!("/{page}")).expect("a path")
        };
        whole.lines().skip(1).map(path).collect()
    };
    let mut kills = 0;
    loop {
        let before = stored();
        asked.lock().expect("no panic").clear();
        let mut child =
            crawl(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        // Killed after one more line each time: at many different moments, whatever they are.
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ended_by_itself = lines.by_ref().take(kills % 4 + 1).count() <= kills % 4;
        child.kill().expect("it can be killed");
        let status = child.wait().expect("it ends");
        let repeated: Vec<String> = asked.lock().expect("no panic").clone();
        assert!(repeated.iter().all(|page| !before.contains(page)), "{before:?} and {repeated:?}");
        if ended_by_itself && status.success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 3, "it was killed {kills} times");
    let mut pages = stored();
    pages.sort_by_key(|path| path[1..].parse::<u32>().expect("a number"));
    assert_eq!(pages, (0..=LAST).map(|page| format!("/{page}")).collect::<Vec<_>>());
    for entry in fs::read_to_string(format!("{out}/pages.jsonl")).expect("pages.jsonl").lines() {
        let entry: serde_json::Value = serde_json::from_str(entry).expect("JSON");
        let body = fs::read(format!("{out}/{}", entry["file"].as_str().expect("a file")));
        assert_eq!(Some(body.expect("the body").len() as u64), entry["bytes"].as_u64());
    }
}

#[test]
fn a_busy_host_is_asked_again_when_it_says() {
    let mut asked = 0;
    let site = Canned::start(move |_| {
        asked += 1;
        if asked == 1 {
            "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_owned()
        } else {
            Canned::page("here")
        }
    });
    let ran = run(&["site", &site.url("/"), "--ignore-robots", "--pause", "0s"]);
    assert_eq!((ran.code, pages(&ran.stdout)), (0, vec![format!("200 {}", site.url("/"))]));
    assert!(ran.stderr.contains("tried again"), "{}", ran.stderr);
}

#[test]
fn get_is_a_small_curl() {
    let site = Canned::start(|head| match path_of(head) {
        "/old" => {
            "HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned()
        }
        "/gone" => {
            "HTTP/1.1 404 Gone\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno".to_owned()
        }
        _ => Canned::page(head.split("\r\n").next().unwrap_or_default()),
    });
    // The site answers whatever it is asked for: it will do as a proxy.
    let ran = run(&["get", "-x", &site.url(""), "http://no-such-host.invalid/there"]);
    assert_eq!(ran.stdout, "GET http://no-such-host.invalid/there HTTP/1.1");
    let format = ["-w", "\\n%{http_code} %{num_redirects} %{size_download}\\n"];
    let get = |args: &[&str]| run(&[&["get"], args].concat());
    let ran = get(&[&site.url("/new"), format[0], format[1]]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "GET /new HTTP/1.1\n200 0 17\n"));
    let ran = get(&["-d", "a=1", "-d", "b=2", &site.url("/form")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "POST /form HTTP/1.1"));
    let ran = get(&["-i", &site.url("/old")]);
    assert!(ran.stdout.starts_with("HTTP/1.1 302 Found\nlocation: /new\n"), "{}", ran.stdout);
    let ran = get(&["-L", "-v", &site.url("/old"), format[0], format[1]]);
    assert_eq!(ran.stdout, "GET /new HTTP/1.1\n200 1 17\n");
    for line in
        ["> GET /old HTTP/1.1\n", "* redirected from ", "< HTTP/1.1 200 OK\n", "* looked up "]
    {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    let ran = get(&["-f", "-v", &site.url("/gone")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.ends_with("crawl: the answer is 404\n"), "{}", ran.stderr);
    let scratch = Scratch::new("get");
    let (kept, har) = (scratch.path("kept"), scratch.path("har"));
    let ran = get(&["-o", &kept, "--har", &har, &site.url("/new")]);
    let archive = fs::read_to_string(&har).expect("the archive");
    let archive: serde_json::Value = serde_json::from_str(&archive).expect("JSON");
    assert_eq!(archive["log"]["entries"][0]["response"]["status"], 200);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(fs::read(&kept).expect("the file"), b"GET /new HTTP/1.1");
}

#[test]
fn fetch_keeps_to_the_number_of_pages_that_is_given() {
    let site = Canned::start(|_| Canned::page("<a href=/link>x</a>"));
    let range = site.url("/[1-1005]");
    let named = ["a", "b", "c"].map(|path| site.url(&format!("/{path}")));
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    for (args, urls, fetched, left) in [
        (&["--pages", "2"][..], &named[..], 2, "1"),
        (&["--pages", "3"], &named, 3, "0"),
        (&["--pages", "3", "--depth", "1"], &named, 3, "3"),
        (&["--depth", "1"], &named, 4, "0"),
        (&[], &[&range], 1005, "0"),
        (&["--pages", "1"], &[&range], 1, "1,004"),
    ] {
        let ran = run(&[&["fetch", "--ignore-robots"], args, urls].concat());
        assert_eq!(
            (ran.code, ran.stdout.lines().count()),
            (0, fetched),
            "{args:?}: {}",
            ran.stderr
        );
        let told = ran.stderr.split(", ").find(|piece| piece.contains(" links past the limit"));
        let told = told.and_then(|piece| piece.split(' ').next());
        assert_eq!(told.unwrap_or("0"), left, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn get_sends_what_it_is_told_to() {
    let (heads, sent) = mpsc::channel();
    let site = Canned::start(move |head| {
        heads.send(head.to_ascii_lowercase()).expect("the test waits");
        Canned::page("here")
    });
    let ran =
        run(&["get", "-X", "PURGE", "-H", "X-One: 1", "-A", "me", "-u", "a:b", &site.url("/")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "here"));
    let head = sent.recv().expect("a request");
    assert!(head.starts_with("purge / http/1.1\r\n"), "{head}");
    for line in ["x-one: 1", "user-agent: me", "authorization: basic ytpi", "accept: */*"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    assert!(!head.contains("accept-encoding"), "as with curl: {head}");
    let ran = run(&["get", "-I", &site.url("/")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("HTTP/1.1 200 OK\ncontent-type: "), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\n\n") && !ran.stdout.contains("here"), "{}", ran.stdout);
    assert!(sent.recv().expect("a request").starts_with("head / "));
}

#[test]
fn cookies_are_kept_only_if_asked_for() {
    let site = Canned::start(|head| match head.to_ascii_lowercase().contains("cookie: a=1") {
        true => Canned::page("<p>known"),
        false => {
            Canned::page("<p>new<a href=/next>").replacen("\r\n", "\r\nSet-Cookie: a=1\r\n", 1)
        }
    });
    let start = site.url("/");
    let fetch = ["fetch", &start, "--depth", "1", "--ignore-robots", "--select", "p"];
    assert_eq!(run(&fetch).stdout, "new\nnew\n");
    assert_eq!(run(&[&fetch[..], &["--cookies"]].concat()).stdout, "new\nknown\n");
}
