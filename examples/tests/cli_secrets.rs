//! Credentials: which origins get them, and that no output holds one.

mod cli_support;

use std::fs;
use std::sync::{Arc, Mutex};

use cli_support::{Canned, Hosts, Scratch, moved, path_of, run, status};

/// What stands for a secret in these tests, as it is and as Basic authentication sends it.
const SECRET: &str = "s3cr3t";

/// The heads that a site is sent, in small letters but for the values.
type Heads = Arc<Mutex<Vec<String>>>;

/// A site that notes what it is sent.
fn noting(answer: impl Fn(&str) -> String + Send + 'static) -> (Canned, Heads) {
    let heads = Heads::default();
    let noted = heads.clone();
    let canned = Canned::start(move |head| {
        noted.lock().expect("no panic").push(head.to_owned());
        answer(path_of(head))
    });
    (canned, heads)
}

/// The values of a field, in the order of the requests that had it.
fn sent(heads: &Heads, name: &str) -> Vec<String> {
    let heads = heads.lock().expect("no panic");
    let field = |line: &str| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    };
    heads.iter().flat_map(|head| head.lines().filter_map(field).collect::<Vec<_>>()).collect()
}

#[test]
fn credentials_go_to_the_origins_of_the_command_line_and_to_no_others() {
    // As curl (Authorization and Cookie on another host, port or scheme) and the Fetch standard.
    for field in [
        "Authorization: Bearer s3cr3t",
        "Cookie: id=s3cr3t",
        "X-Api-Key: s3cr3t",
        "X-Auth-Token: s3cr3t",
        "Proxy-Authorization: Basic s3cr3t",
        "Private-Token: s3cr3t",
        "X-Csrf-Token: s3cr3t",
    ] {
        let name = field.split(':').next().expect("a name");
        let (other, seen_there) = noting(|_| Canned::page("<h1>there"));
        let there = other.url("/x");
        // The same server by another name is another origin, too.
        let by_name = other.url("/y").replace("127.0.0.1", "localhost");
        let (first, seen_here) = noting(move |path| match path {
            "/" => Canned::page(&format!(
                "<a href={there}>1</a><a href=/to>2</a><a href={by_name}>3</a>"
            )),
            "/to" => moved(302, &there),
            "/robots.txt" => status("404 None"),
            _ => Canned::page(""),
        });
        for command in [
            &["site", "--scope", "any", "--pause", "0s"][..],
            &["fetch", "--any-host", "--depth", "1"],
        ] {
            let clear =
                || [&seen_here, &seen_there].map(|heads| heads.lock().expect("no panic").clear());
            clear();
            let start = first.url("/");
            let args = [command, &[&start, "-H", field]].concat();
            let ran = run(&args);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            assert_eq!(sent(&seen_here, name).len(), 3, "the page, the redirect and robots.txt");
            assert!(seen_there.lock().expect("no panic").len() > 2, "it was asked");
            assert_eq!(sent(&seen_there, name), [""; 0], "{field}");
            clear();
            let address = other.url("");
            let (scheme_and_host, bare) = (address.as_str(), address.trim_start_matches("http://"));
            for (value, times) in [
                (bare, 2),
                (scheme_and_host, 2),
                ("127.0.0.1", 2),
                ("localhost", 2),
                ("elsewhere", 0),
            ] {
                let ran = run(&[&args[..], &["--credentials-for", value]].concat());
                assert_eq!(ran.code, 0, "{}", ran.stderr);
                assert!(sent(&seen_there, name).len() >= times.min(1), "{value}: {field}");
                assert!(times > 0 || sent(&seen_there, name).is_empty(), "{value}: {field}");
                clear();
            }
        }
    }
}

#[test]
fn a_beginning_that_is_redirected_takes_no_credentials_along() {
    let hosts = Hosts::start(|url| match url {
        "http://example.com/" => moved(301, "http://www.example.com/"),
        _ if url.ends_with("/robots.txt") => moved(302, "http://cdn.example.com/robots"),
        _ => Canned::page("<a href=/next>"),
    });
    let with = |url: &str| {
        let heads = hosts.heads();
        let to = heads.iter().filter(|head| path_of(head).starts_with(url));
        to.filter(|head| head.to_ascii_lowercase().contains("\r\nauthorization: ")).count()
    };
    for credentials in
        [&["http://example.com/", "-u", "me:s3cr3t"][..], &["http://me:s3cr3t@example.com/"]]
    {
        let ran = hosts.run(&[&["site", "--pause", "0s"], credentials].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(with("http://example.com/"), 2, "the page and its robots.txt");
        assert_eq!(with("http://www."), 0, "within the site, and yet another origin");
        assert_eq!(with("http://cdn."), 0);
        assert!(hosts.asked().contains(&"http://www.example.com/next".to_owned()));
    }
}

#[test]
fn the_password_of_each_url_goes_to_its_own_origin() {
    let hosts = Hosts::start(|url| match url {
        "http://a.test/" => Canned::page("<a href=http://x:y@c.test/>"),
        _ if url.ends_with("/robots.txt") => status("404 None"),
        _ => Canned::page(""),
    });
    let scratch = Scratch::new("passwords");
    let seeds = scratch.path("seeds");
    fs::write(&seeds, "http://d:e@d.test/\nhttp://e.test/\n").expect("a file");
    let ran = hosts.run(&[
        "site",
        "http://one:s3cr3t@a.test/",
        "http://two:2@b.test/",
        "--seeds",
        &seeds,
        "-H",
        "X-Api-Key: k",
        "--scope",
        "any",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for head in hosts.heads() {
        let has = |text: &str| head.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
        // Made with curl.
        let basic = match path_of(&head).split('/').nth(2).expect("a host") {
            "a.test" => Some("b25lOnMzY3IzdA=="),
            "b.test" => Some("dHdvOjI="),
            "d.test" => Some("ZDpl"),
            _ => None,
        };
        assert_eq!(has("\r\nauthorization: "), basic.is_some(), "{head}");
        assert!(basic.is_none_or(has), "{head}");
        let is_ours = path_of(&head).starts_with("http://a.test/")
            || path_of(&head).starts_with("http://b.test/");
        assert_eq!(has("x-api-key: k"), is_ours, "{head}");
    }
    let said = "note: e.test gets none of the credentials; --credentials-for e.test sends them\n";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

/// Every output of a run, and every file that it leaves: none holds a secret.
#[test]
fn no_output_holds_a_secret() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "" => Canned::page(
            "<a href=http://you:s3cr3t@h.test/linked>1</a><a href=/to>2</a><a href=/gone>3</a>\
             <a href=/broken>4</a><a href=/away>5</a><a href=/large>6</a>",
        )
        .replacen("\r\n", "\r\nSet-Cookie: id=s3cr3t\r\nX-Session-Token: s3cr3t\r\n", 1),
        "to" => moved(302, "http://they:s3cr3t@h.test/there"),
        "away" => moved(302, "http://they:s3cr3t@g.test/"),
        "gone" => status("404 None"),
        "broken" => "HTTP/1.1 oh no\r\n\r\n".to_owned(),
        "large" => {
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99999999999\r\n\r\n"
                .to_owned()
        }
        "robots.txt" => moved(302, "http://we:s3cr3t@h.test/rules"),
        _ => Canned::page(""),
    });
    let secrets = [
        &["http://me:s3cr3t@h.test/"][..],
        &["http://s3cr3t@h.test/"],
        &["http://h.test/", "-u", "me:s3cr3t"],
        &["http://h.test/", "-H", "Authorization: Bearer s3cr3t"],
        &["http://h.test/", "-H", "Cookie: a=s3cr3t", "-H", "X-Api-Key: s3cr3t"],
        &["http://h.test/", "-H", "x-amz-security-token: s3cr3t"],
        &["http://h.test/", "--cookies"],
    ];
    let scratch = Scratch::new("outputs");
    for (number, given) in secrets.into_iter().enumerate() {
        for (name, command) in [
            ("site", &["site", "--pause", "0s"][..]),
            ("live", &["site", "--pause", "0s", "--live"]),
            ("fetch", &["fetch", "--depth", "1"]),
        ] {
            let dir = scratch.path(&format!("{name}-{number}"));
            fs::create_dir_all(&dir).expect("a directory");
            let place = |file: &str| format!("{dir}/{file}");
            let (out, har) = (place("out"), place("run.har"));
            let (page, data, journal) = (place("run.html"), place("run.json"), place("journal"));
            let mut args = [command, given, &["--out", &out, "--har", &har]].concat();
            args.extend(["--trace", if number % 2 == 0 { &page } else { &data }, "--bodies"]);
            if name != "fetch" {
                args.extend(["--resume", &journal]);
            }
            let ran = hosts.run(&args);
            assert_eq!(ran.code, 1, "some pages failed: {}", ran.stderr);
            check(&args, "stdout", &ran.stdout);
            check(&args, "stderr", &ran.stderr);
            let files = [place(""), out.clone()].into_iter().flat_map(|dir| {
                fs::read_dir(dir)
                    .expect("the directory")
                    .map(|entry| entry.expect("an entry").path())
            });
            let files: Vec<_> = files.filter(|path| path.is_file()).collect();
            assert!(files.len() > 5, "{files:?}");
            for file in files {
                // What a site says on its own pages is its own.
                let is_body = file.extension().is_some_and(|extension| extension == "html")
                    && file.starts_with(&out);
                let text = String::from_utf8_lossy(&fs::read(&file).expect("a file")).into_owned();
                if !is_body {
                    check(&args, &file.display().to_string(), &text);
                }
            }
        }
        for more in
            [&["-v"][..], &["-v", "-L", "-w", "%{url_effective}"], &["-v", "-d", "x=1", "-L"]]
        {
            if given.contains(&"--cookies") {
                continue;
            }
            for path in ["", "to", "gone", "broken"] {
                let given: Vec<String> = given
                    .iter()
                    .map(|word| word.replacen("h.test/", &format!("h.test/{path}"), 1))
                    .collect();
                let har = scratch.path("get.har");
                let mut args: Vec<&str> = vec!["get", "--har", &har];
                args.extend(given.iter().map(String::as_str));
                args.extend(more);
                let ran = hosts.run(&args);
                check(&args, "stderr", &ran.stderr);
                let body = ran.stdout.replace("you:s3cr3t@", "");
                check(&args, "stdout", &body);
                if fs::exists(&har).expect("it can be asked") {
                    check(&args, "har", &fs::read_to_string(&har).expect("the archive"));
                }
            }
        }
    }
}

/// What is shown of an address hides what authenticates in its query; what it is found again by does not.
#[test]
fn a_token_in_a_query_is_kept_in_records_and_shown_nowhere() {
    let hosts = Hosts::start(|url| match url.split('?').next().unwrap_or_default() {
        "http://h.test/" => Canned::page(
            "<a href=/a?access_token=s3cr3t>1</a><a href='/b?page=2&sig=s3cr3t'>2</a>\
             <a href=/c?token=s3cr3t>3</a><a href=/d?api_key=s3cr3t>4</a>",
        ),
        "http://h.test/a" => status("500 Down"),
        "http://h.test/b" => moved(302, "/there?page=2&sig=s3cr3t"),
        "http://h.test/c" => moved(302, "ftp://h.test/?token=s3cr3t"),
        "http://h.test/robots.txt" => status("404 None"),
        _ => Canned::page(""),
    });
    let scratch = Scratch::new("tokens");
    let place = |file: &str| scratch.path(file);
    let (out, har, trace, journal) =
        (place("out"), place("run.har"), place("run.json"), place("journal"));
    let args = ["site", "http://h.test/?token=s3cr3t", "--pause", "0s", "--out", &out];
    let args = [&args[..], &["--har", &har, "--trace", &trace, "--resume", &journal]].concat();
    let ran = hosts.run(&args);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let read = |file: &str| fs::read_to_string(file).expect("a file");
    for (place, text) in [
        ("stdout", &ran.stdout),
        ("stderr", &ran.stderr),
        ("HAR", &read(&har)),
        ("trace", &read(&trace)),
    ] {
        check(&args, place, text);
        assert!(text.contains("***"), "{place}: {text:.500}");
    }
    for file in [format!("{out}/pages.jsonl"), format!("{out}/pages.csv"), journal.clone()] {
        assert!(read(&file).contains("http://h.test/?token=s3cr3t"), "{file}");
    }
    for record in read(&format!("{out}/pages.jsonl")).lines() {
        let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
        check(&args, "an error in a record", &record["error"].to_string());
    }
    let ran =
        hosts.run(&["get", "-v", "-L", "-w", "%{url_effective}", "http://h.test/b?sig=s3cr3t"]);
    check(&[], "stdout of get", &ran.stdout);
    check(&[], "stderr of get", &ran.stderr);
}

/// Checks that a text holds no secret, in any form.
fn check(args: &[&str], place: &str, text: &str) {
    // `me:s3cr3t` and `s3cr3t:` as Basic authentication sends them.
    for form in [SECRET, "bWU6czNjcjN0", "czNjcjN0"] {
        if let Some(at) = text.find(form) {
            let around: String = text[at..].chars().take(80).collect();
            panic!("{args:?}: {place} holds a secret: {around}…");
        }
    }
}

#[test]
fn a_mistake_on_the_command_line_shows_no_secret() {
    for args in [
        &["get", "http://me:s3cr3t@["][..],
        &["get", "http://me:s3/cr3t@h", "http://me:s3cr3t@h"],
        &["get", "me:s3cr3t@h:port"],
        &["get", "ftp://me:s3cr3t@h/"],
        &["site", "http://me:s3cr3t@h:99999/"],
        &["fetch", "http://me:s3cr3t@h/[2-1]"],
        &["get", "h", "-H", "Authorization Bearer s3cr3t"],
        &["get", "h", "-H", "s3cr3t"],
        &["get", "h", "-H", "Authorization: Bearer s3cr3t\u{7f}"],
        &["fetch", "h", "-H", "Bearer s3cr3t: x"],
        &["fetch", "h", "--frob=http://me:s3cr3t@h"],
        &["fetch", "h", "-x", "http://me:s3cr3t@["],
        &["site", "h", "-x", "ftp://me:s3cr3t@h"],
        &["site", "h", "--sitemap", "ftp://me:s3cr3t@h/"],
        &["serve", "http://me:s3cr3t@h"],
        &["http://me:s3cr3t@h/"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains(SECRET) && !ran.stderr.contains("cr3t"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn what_get_shows_of_a_request_is_what_it_sends() {
    let (canned, heads) = noting(|path| match path {
        "/to" => moved(307, "/there?x=1"),
        "/post" => moved(303, "/got"),
        _ => Canned::page("here"),
    });
    let url = |path: &str| canned.url(path);
    for args in [
        &[&*url("/plain?q=1#top")][..],
        &["-d", "a=1", "-d", "b=2", &url("/to"), "-L"],
        &["-d", "a=1", &url("/post"), "-L", "-H", "Content-Type: x/y"],
        &["-X", "PUT", &url("/")],
        &["-I", &url("/"), "-H", "X-One: 1", "-H", "X-One: 2", "-A", "me"],
        &["--compressed", &url("/"), "-H", "Accept:", "-H", "User-Agent:", "-H", "X-Empty;"],
        &["-x", &url(""), "http://elsewhere.test/a?b=c#d"],
        &[
            "-x",
            &url("").replace("http://", "http://me:pw@"),
            "http://elsewhere.test/",
            "-H",
            "Host: other",
        ],
        &["-u", "me:pw", &url("/"), "-H", "Cookie: a=b"],
    ] {
        heads.lock().expect("no panic").clear();
        let ran = run(&[&["get", "-v"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let lines = ran.stderr.lines().filter_map(|line| line.strip_prefix("> "));
        let mut shown: Vec<String> = lines.map(str::to_owned).collect();
        let heads = heads.lock().expect("no panic");
        let hidden = |line: &str| match line.split_once(": ") {
            Some((name @ ("authorization" | "cookie" | "proxy-authorization"), _)) => {
                format!("{name}: ***")
            }
            _ => line.to_owned(),
        };
        let lines = heads.iter().flat_map(|head| head.lines()).filter(|line| !line.is_empty());
        let mut sent: Vec<String> = lines.map(hidden).collect();
        shown.sort();
        sent.sort();
        assert_eq!(shown, sent, "{args:?}");
    }
}

#[test]
fn a_proxy_that_is_dead_or_refuses_is_told_without_its_password() {
    let refuses = Canned::start(|_| status("407 Who"));
    let dead =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let dead = dead.expect("a port").to_string();
    let refuses = refuses.url("").replace("http://", "");
    for proxy in [
        format!("http://me:s3cr3t@{dead}"),
        format!("me:s3cr3t@{dead}"),
        format!("socks5://me:s3cr3t@{dead}"),
        "me:s3cr3t@no-such-host.invalid:1".to_owned(),
        format!("http://me:s3cr3t@{refuses}"),
    ] {
        for command in ["get", "fetch", "site"] {
            for url in ["http://h.test/", "https://h.test/"] {
                let ran = run(&[command, url, "-x", &proxy]);
                // An answer is an answer for `get`; for a crawl, a robots.txt of 4xx allows all.
                let answers = proxy.ends_with(&refuses) && url.starts_with("http:");
                let code = i32::from(command != "get" || !answers);
                assert_eq!(ran.code, code, "{command} {url} {proxy}: {}", ran.stderr);
                check(&[command, url, &proxy], "stderr", &ran.stderr);
                check(&[command, url, &proxy], "stdout", &ran.stdout);
            }
        }
    }
}

#[test]
fn a_journal_that_holds_a_password_gives_it_to_no_other_file() {
    let scratch = Scratch::new("journal");
    let (journal, out) = (scratch.path("journal"), scratch.path("out"));
    let url = |path: &str| format!("http://me:s3cr3t@h.test/{path}");
    let entry = serde_json::json!({
        "url": url(""), "moved_to": url("x"), "status": 200, "depth": 0, "content_type": "", "bytes": 0,
        "began_ms": 0.0, "took_ms": 0.0, "links": 1, "leads_to": [url("y")],
    });
    let head = serde_json::json!({ "journal": "crawl", "version": 1 });
    fs::write(&journal, format!("{head}\n{entry}\n")).expect("a file");
    let hosts = Hosts::start(|url| match url.ends_with("/robots.txt") {
        true => status("404 None"),
        false => Canned::page(""),
    });
    let ran = hosts.run(&["site", "http://h.test/", "--resume", &journal, "--out", &out]);
    assert_eq!(
        (ran.code, hosts.asked()),
        (0, vec!["http://h.test/y".to_owned()]),
        "{}",
        ran.stderr
    );
    for file in ["pages.jsonl", "pages.csv"] {
        check(&[], file, &fs::read_to_string(format!("{out}/{file}")).expect("a file"));
    }
}
