//! Every row of the table of exit codes in the README, and what is told with each.

mod cli_support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use cli_support::{Canned, Hosts, Ran, Scratch, Site, crawl, moved, pages, path_of, run, status};

/// `crawl site` in no hurry.
fn site(hosts: &Hosts, args: &[&str]) -> Ran {
    hosts.run(&[&["site", "--pause", "0s"], args].concat())
}

/// An address that refuses connections: it was free a moment ago.
fn refusing() -> String {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    format!("http://{}/", closed.expect("a port"))
}

fn ok(content_type: &str, body: &str) -> String {
    Canned::page(body).replace("text/html", content_type)
}

#[test]
fn the_readme_has_a_row_for_every_code() {
    let readme = include_str!("../README.md");
    let table = readme.split("## Exit codes").nth(1).expect("the table");
    let codes: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split(' ').next().expect("a cell"))
        .filter(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    assert_eq!(codes, ["0", "0", "0", "0", "1", "1", "1", "1", "1", "1", "1", "2", "130", "130"]);
}

#[test]
fn a_mistyped_host_and_every_other_cause_is_told_and_is_code_1() {
    let refused = refusing();
    let slow = Canned::start(|_| "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
    let broken = Canned::start(|_| "nonsense\r\n\r\n");
    let down = Canned::start(|_| status("500 Down"));
    let busy =
        Canned::start(|_| "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
    let circle = Canned::start(|head| moved(302, path_of(head)));
    for (url, why) in [
        ("http://no-such-host.invalid/", "cannot resolve"),
        (&*refused, "cannot connect"),
        (&*slow.url("/slow"), "timed out"),
        (&*broken.url("/"), ""),
        (&*down.url("/"), "500 Internal Server Error"),
        (&*busy.url("/"), "503 Service Unavailable"),
        (&*circle.url("/"), "it redirects more than 5 times"),
    ] {
        // The site goes on when the client has left, if it is told so.
        let ran = run(&["site", url, "--timeout", "100ms", "-A", url]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{url}: {}", ran.stderr);
        let robots = url::Url::parse(url).and_then(|url| url.join("/robots.txt")).expect("a URL");
        let said = format!("failed: {url}: its {robots} cannot be had: ");
        let line = ran.stderr.lines().find(|line| line.starts_with(&said));
        assert!(line.is_some_and(|line| line.contains(why)), "{said}{why}: {}", ran.stderr);
        let nothing = "\ncrawl: nothing was fetched of what was asked for\n";
        assert!(ran.stderr.contains(nothing), "{}", ran.stderr);
        assert!(!ran.stderr.contains("forbidden"), "no rule forbids it: {}", ran.stderr);
        // The page itself is told of in the same way.
        let ran = run(&["site", url, "--timeout", "100ms", "--ignore-robots"]);
        assert_eq!(ran.code, 1, "{url}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("failed: {url}: ")), "{}", ran.stderr);
    }
}

#[test]
fn forbidden_is_said_of_what_a_rule_forbids() {
    // RFC 9309 §2.3.1.3: where there is none, whatever the 4xx, all is allowed.
    for (robots, allowed) in [
        (status("404 None"), true),
        (status("401 Who"), true),
        (status("403 No"), true),
        (status("410 Gone"), true),
        (status("451 Law"), true),
        (ok("text/html", "<html>no robots</html>"), true),
        (ok("text/plain", ""), true),
        (ok("text/plain", "user-agent: *\ndisallow: /"), false),
        (ok("text/plain", "user-agent: mainspring-crawl\ndisallow: /p"), false),
        (ok("image/png", "User-Agent: *\r\nDisallow: *"), false),
    ] {
        let hosts = Hosts::start(move |url| match url.ends_with("/robots.txt") {
            true => robots.clone(),
            false => Canned::page(""),
        });
        let ran = site(&hosts, &["http://h.test/p"]);
        assert_eq!(ran.code, i32::from(!allowed), "{}", ran.stderr);
        assert_eq!(hosts.asked().len(), usize::from(allowed));
        let why = "the robots.txt of its host forbids http://h.test/p\n";
        let said = format!("not read: http://h.test/p: {why}");
        assert_eq!(ran.stderr.contains(&said), !allowed, "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("  forbidden "), !allowed, "{}", ran.stderr);
        assert!(!ran.stderr.contains("failed:"), "{}", ran.stderr);
    }
}

#[test]
fn a_host_without_a_readable_robots_txt_costs_its_own_pages() {
    let hosts = Hosts::start(|url| match url {
        "http://b.test/robots.txt" => status("502 Down"),
        "http://a.test/" => Canned::page("<a href=http://b.test/1>1</a><a href=/next>2</a>"),
        "http://a.test/next" => {
            Canned::page("<a href=http://b.test/2></a><a href=http://b.test/3>")
        }
        url if url.ends_with("/robots.txt") => status("404 None"),
        _ => Canned::page(""),
    });
    let ran = site(&hosts, &["http://a.test/", "--scope", "any", "--concurrency", "1"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(hosts.asked(), ["http://a.test/", "http://a.test/next"]);
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = ran.stderr.lines().map(squeezed).collect();
    for said in [
        "failed: http://b.test/1: its http://b.test/robots.txt cannot be had: 502 Bad Gateway",
        "not asked for 2 links to hosts without a readable robots.txt",
    ] {
        assert!(lines.contains(&said.to_owned()), "{said}: {lines:?}");
    }
}

#[test]
fn robots_and_sitemaps_have_limits_of_their_own() {
    // RFC 9309 §2.5: at least 500 KiB are read; what follows may be ignored.
    let filler = "# filler\n".repeat(500 * 1024 / 9);
    for (chunked, name) in [(false, "announced"), (true, "chunked")] {
        let robots = format!("user-agent: *\ndisallow: /early\n{filler}disallow: /late\n");
        let listed = "<url><loc>http://h.test/listed</loc></url></urlset>";
        let large = format!("<urlset>{}{listed}", " ".repeat(100_000));
        let hosts = Hosts::start(move |url| match url.trim_start_matches("http://h.test/") {
            "robots.txt" if chunked => format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                 {:x}\r\n{robots}\r\n0\r\n\r\n",
                robots.len()
            ),
            "robots.txt" => ok("text/plain", &robots),
            "map.xml" => ok("text/xml", &large),
            _ => Canned::page("<a href=/early>1</a><a href=/late>2</a>"),
        });
        let map = "http://h.test/map.xml";
        let ran = site(&hosts, &["http://h.test/", "--sitemap", map, "--max-size", "1kB"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let expected = ["", "listed", "late"].map(|path| format!("200 http://h.test/{path}"));
        assert_eq!(pages(&ran.stdout), expected, "{name}");
    }
}

#[test]
fn a_bad_child_of_a_sitemap_index_costs_that_child() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "index.xml" => {
            let names = ["gone", "busy", "away", "circle", "good", "moved"];
            let child =
                |name: &str| format!("<sitemap><loc>http://h.test/{name}.xml</loc></sitemap>");
            let bad_host = "<sitemap><loc>http://bad.test/x</loc></sitemap>";
            let children = names.map(child).concat() + bad_host;
            ok("text/xml", &format!("<sitemapindex>{children}</sitemapindex>"))
        }
        "gone.xml" => status("404 None"),
        "busy.xml" => status("500 Down"),
        "away.xml" => moved(302, "http://other.test/map.xml"),
        "circle.xml" => moved(302, "/circle.xml"),
        "moved.xml" => moved(302, "/there.xml"),
        "good.xml" => ok("text/xml", "<urlset><url><loc>http://h.test/a</loc></url></urlset>"),
        "there.xml" => ok("text/xml", "<urlset><url><loc>http://h.test/b</loc></url></urlset>"),
        "robots.txt" => status("404 None"),
        "http://bad.test/x" => "HTTP/1.1 nonsense\r\n\r\n".to_owned(),
        _ => Canned::page(""),
    });
    let ran = site(&hosts, &["--sitemap", "http://h.test/index.xml"]);
    assert_eq!(ran.code, 1, "what failed is told by the code, too: {}", ran.stderr);
    assert_eq!(pages(&ran.stdout), ["200 http://h.test/a", "200 http://h.test/b"]);
    let away =
        "it redirects to http://other.test/map.xml, which is another site; --scope any allows";
    for (child, why) in [
        ("http://h.test/gone.xml", "404 Not Found"),
        ("http://h.test/busy.xml", "500 Internal Server Error"),
        ("http://h.test/away.xml", away),
        ("http://h.test/circle.xml", "it redirects more than 10 times"),
        ("http://bad.test/x", ""),
    ] {
        let said = format!("failed: cannot read the sitemap {child}: {why}");
        assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
    }
    assert!(hosts.asked().iter().all(|url| !url.contains("other.test")));
    let ran = site(&hosts, &["--sitemap", "http://h.test/gone.xml"]);
    let said = "crawl: cannot read the sitemap http://h.test/gone.xml: 404 Not Found\n";
    assert_eq!((ran.code, &*ran.stderr), (1, said));
    let ran = site(&hosts, &["--sitemap", "http://h.test/index.xml", "--pages", "1"]);
    let said = "cut: of the sitemap http://h.test/index.xml, 0 pages past the limit of 1 and 2 ";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_download_is_refused_before_its_body_and_is_no_failure() {
    for (kind, bytes, why) in [
        (
            "text/html",
            5_000_000_000_u64,
            "it announces 5000000000 bytes, and 1000000 are read at most",
        ),
        ("text/html", 1_000_001, "it announces 1000001 bytes, and 1000000 are read at most"),
        ("application/zip", 500, "nothing asks for application/zip"),
        ("application/octet-stream", 500, "nothing asks for application/octet-stream"),
        ("video/mp4", 500, "nothing asks for video/mp4"),
        ("application/pdf; x=y", 500, "nothing asks for application/pdf; x=y"),
        ("Image/PNG", 500, "nothing asks for Image/PNG"),
    ] {
        // Its body never comes: a run that ends has not waited for it.
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\n\r\n");
        let canned = Canned::start(move |request| match path_of(request) {
            "/" => Canned::page("<a href=/slow/download>x</a>"),
            "/robots.txt" => status("404 None"),
            _ => head.clone(),
        });
        let (start, download) = (canned.url("/"), canned.url("/slow/download"));
        let said = format!("not read: {download}: {why}\n");
        for command in [&["site"][..], &["fetch", "--depth", "1"]] {
            let ran = run(&[command, &[&start, "--max-size", "1MB", "--timeout", "1h"]].concat());
            assert_eq!(ran.code, 0, "{kind}: {}", ran.stderr);
            assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        }
        if kind == "text/html" {
            // It was asked for by name, and there was nothing else.
            let ran = run(&["fetch", &download, "--max-size", "1MB", "--timeout", "1h"]);
            assert_eq!(ran.code, 1, "{}", ran.stderr);
            assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        }
    }
    // What is asked for is read: by name, to be kept, or as what a page shows.
    let scratch = Scratch::new("types");
    let out = scratch.path("out");
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "" => Canned::page("<a href=/f.zip>x</a><img src=/i.png>"),
        "f.zip" => ok("application/zip", "zip"),
        "i.png" => ok("image/png", "png"),
        _ => status("404 None"),
    });
    for (args, read) in [
        (&["http://h.test/"][..], 1),
        (&["http://h.test/f.zip"], 1),
        (&["http://h.test/", "--assets"], 2),
        (&["http://h.test/", "--assets", "--out", &out, "--bodies"], 3),
    ] {
        let ran = site(&hosts, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        let with_body = ran.stdout.lines().filter(|line| !line.contains(" 0 B "));
        assert_eq!(with_body.count(), read, "{args:?}: {}", ran.stdout);
    }
}

#[test]
fn a_limit_that_cuts_says_what_it_cut() {
    let nested = format!("{}<a href=/deep>x</a>", "<div class=reply>".repeat(600));
    let many: String = (0..10_005).map(|n| format!("<a href=/nofollow{n}>")).collect();
    let long = format!("<a href=/{}>x</a><a href=/short>x</a>", "x".repeat(5_000));
    let hosts = Hosts::start(move |url| match url.trim_start_matches("http://h.test/") {
        "nested" => Canned::page(&nested),
        "many" => Canned::page(&many),
        "long" => Canned::page(&long),
        "hostile" => Canned::page(&format!("{}<a href=/lost>", "<div>".repeat(20_000))),
        "robots.txt" => status("404 None"),
        _ => Canned::page(""),
    });
    let ran = site(&hosts, &["http://h.test/nested"]);
    assert_eq!(pages(&ran.stdout), ["200 http://h.test/nested", "200 http://h.test/deep"]);
    assert!(!ran.stderr.contains("cut:"), "{}", ran.stderr);
    for (path, said) in [
        ("many", "5 links are too many or too long"),
        ("long", "1 links are too many or too long"),
        ("hostile", "of 100014 bytes are not read: its elements are nested too deep"),
    ] {
        let url = format!("http://h.test/{path}");
        let ran = site(&hosts, &[&url, "--exclude", "nofollow"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let is_told =
            |line: &str| line.starts_with(&format!("cut: {url}: ")) && line.ends_with(said);
        assert!(ran.stderr.lines().any(is_told), "{said}: {}", ran.stderr);
    }
}

#[test]
fn code_0_is_for_what_was_had() {
    let demo = Site::start(&["--pages", "1"]);
    let start = demo.url("/");
    for args in [
        &["site", &*start, "--pause", "0s"][..],
        &["fetch", &start],
        &["get", &start],
        &["site", &start, "--for", "0s"],
        &["--pages", "1", "--delay", "0ms", "--no-trace"],
        &["--help"],
        &["--version"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn code_1_is_for_get_that_has_no_answer_and_for_places_that_take_nothing() {
    let site = Site::start(&["--pages", "1"]);
    let (gone, refused, start) = (site.url("/nope"), refusing(), site.url("/"));
    for args in [
        &["get", &*refused][..],
        &["get", "http://no-such-host.invalid/"],
        &["get", "-f", &gone],
        &["get", &start, "-o", "/no/such/place"],
        &["fetch", &start, &gone],
        &["site", &start, "--out", "/dev/null/x"],
        &["site", "--seeds", "/no/such/file"],
        &["serve", "--listen", "192.0.2.1:80"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(run(&["get", &gone]).code, 0, "an answer is an answer, as with curl");
}

#[test]
fn code_2_is_for_mistakes_on_the_command_line() {
    for args in [
        &["--frob"][..],
        &["site"],
        &["get"],
        &["fetch", "http://["],
        &["site", "http://h/", "--scope", "world"],
        &["fetch", "http://h/", "--credentials-for", "http://"],
        &["get", "http://h/", "-m", "soon"],
        &["get", "http://h/", "-H", "no colon"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
    }
}

/// A site whose pages never end.
#[cfg(unix)]
fn endless() -> Canned {
    Canned::start(|head| {
        let page: u32 = path_of(head)[1..].parse().unwrap_or_default();
        Canned::page(&format!("<a href=/{}>next</a>", page + 1))
    })
}

#[cfg(unix)]
#[test]
fn every_signal_that_asks_for_an_end_ends_as_ctrl_c_does() {
    let canned = endless();
    let start = canned.url("/0");
    let site = &["site", "--depth", "999999", "--pages", "999999", "--pause", "0s"][..];
    let fetch = &["fetch", "--depth", "999999", "--pages", "999999"];
    for signal in ["-INT", "-TERM", "-HUP"] {
        for command in [site, fetch] {
            let scratch = Scratch::new(&format!("signal{signal}-{}", command[0]));
            let (out, har) = (scratch.path("out"), scratch.path("har"));
            let args = ["--ignore-robots", &start, "--out", &out, "--har", &har];
            let mut child = crawl(&[command, &args].concat())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it runs");
            let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
            stdout.next().expect("a page").expect("text");
            cli_support::signal(&child, signal);
            // A terminal that closes sends it more than once.
            if signal == "-HUP" {
                cli_support::signal(&child, signal);
            }
            let rest = stdout.count();
            let output = child.wait_with_output().expect("it ends");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(130), "{signal}: {stderr}");
            let index = fs::read_to_string(format!("{out}/pages.jsonl")).expect("the index");
            assert_eq!(index.lines().count(), rest + 1, "{signal}: every page that was printed");
            assert!(fs::exists(format!("{out}/pages.csv")).expect("it can be asked"));
            assert!(fs::exists(&har).expect("it can be asked"), "{signal}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_ends_the_process_at_once() {
    let (asked, heard) = mpsc::channel();
    let canned = Canned::start(move |_| {
        asked.send(()).expect("the test waits");
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"
    });
    let scratch = Scratch::new("second");
    let out = scratch.path("out");
    let args = ["fetch", &canned.url("/slow"), "--timeout", "1h", "--out", &out];
    let mut child = crawl(&args).stderr(Stdio::null()).spawn().expect("it runs");
    heard.recv().expect("a request");
    // The first may be taken for the second before it is dealt with: as many as it takes.
    while child.try_wait().expect("it can be asked").is_none() {
        cli_support::signal(&child, "-INT");
    }
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
    assert!(!fs::exists(format!("{out}/pages.jsonl")).expect("it can be asked"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_is_code_0_and_the_index_is_written() {
    let canned = endless();
    let scratch = Scratch::new("gone");
    let out = scratch.path("out");
    let args = ["site", &canned.url("/0"), "--ignore-robots", "--pause", "0s", "--depth", "9999"];
    let mut child = crawl(&[&args[..], &["--out", &out]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut String::new()).expect("a line");
    drop(stdout);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(fs::exists(format!("{out}/pages.jsonl")).expect("it can be asked"));
}

#[cfg(target_os = "linux")]
#[test]
fn what_nohup_starts_survives_a_hangup() {
    let canned = endless();
    let script =
        "trap '' HUP; exec \"$0\" site --ignore-robots --pause 0s --depth 99 --pages 50 \"$1\"";
    let mut shell = Command::new("sh");
    cli_support::without_proxies(&mut shell);
    let mut child = shell
        .args(["-c", script, env!("CARGO_BIN_EXE_crawl"), &canned.url("/0")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
    stdout.next().expect("a page").expect("text");
    cli_support::signal(&child, "-HUP");
    assert_eq!(stdout.count(), 49);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_stops_the_crawl_at_once() {
    let canned = Canned::start(|head| {
        let page: u32 = path_of(head)[1..].parse().unwrap_or_default();
        let link = |n: u32| format!("<a href=/{}>next</a>", page * 8 + n);
        let links: String = (1..9).map(link).collect();
        Canned::page(&format!("{links}{}", "x".repeat(20_000)))
    });
    let start = canned.url("/0");
    let common = ["site", &start, "--ignore-robots", "--pause", "0s", "--pages", "2000"];
    let scratch = Scratch::new("full");
    let (out, journal) = (scratch.path("out"), scratch.path("journal"));
    // A limit on the size of files stands for a full disk: what is written past it fails.
    for (blocks, args) in [
        (16, &["--out", &out, "--bodies"][..]),
        (1, &["--resume", &journal]),
        (8, &["--out", &out]),
    ] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        cli_support::without_proxies(&mut command);
        command.args(["-c", &script, env!("CARGO_BIN_EXE_crawl")]).args(common).args(args);
        let output = command.output().expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("crawl: cannot write to "), "{args:?}: {stderr}");
        assert!(last.contains("File too large"), "{args:?}: {stderr}");
        let printed = String::from_utf8_lossy(&output.stdout).lines().count();
        // The index alone is written at the end.
        assert!(printed < 100 || blocks == 8, "{args:?}: it went on for {printed} pages");
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let status = crawl(&common).stdout(full).stderr(Stdio::null()).status();
    assert_eq!(status.expect("it runs").code(), Some(1), "standard output can be full, too");
}
