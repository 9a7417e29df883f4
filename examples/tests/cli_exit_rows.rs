//! The table of exit codes in the README: each row names a test, and those that `cli_exit_codes.rs` does
//! not hold are here.

mod cli_support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use cli_support::{Canned, Hosts, Scratch, Site, crawl, moved, path_of, run, status};

#[test]
fn every_row_of_the_readme_names_a_test() {
    let readme = include_str!("../README.md");
    let table = readme.split("## Exit codes").nth(1).expect("the table");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code"));
    let tests = [
        include_str!("cli_exit_codes.rs"),
        include_str!("cli_exit_rows.rs"),
        include_str!("celery.rs"),
        include_str!("celery_deaths.rs"),
    ]
    .concat();
    let mut count = 0;
    for row in rows {
        let names = row.trim_end_matches(" |").rsplit(" | ").next().expect("the last cell");
        for name in names.split(", ").map(|name| name.trim_matches('`')) {
            assert!(tests.contains(&format!("#[test]\nfn {name}()")), "{name}: {row}");
        }
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn statuses_that_no_standard_names_are_told_by_their_number() {
    for code in ["400", "451", "520", "599", "600", "999"] {
        let hosts = Hosts::start(move |url| match url.ends_with("/robots.txt") {
            true => status("404 None"),
            false => status(code),
        });
        let ran = hosts.run(&["site", "http://h.test/", "--pause", "0s"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{code}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("failed: http://h.test/: {code}")), "{}", ran.stderr);
        assert!(!ran.stderr.contains('<'), "{}", ran.stderr);
        assert_eq!(hosts.run(&["get", "http://h.test/"]).code, 0, "{code}");
        assert_eq!(hosts.run(&["get", "-f", "http://h.test/"]).code, 1, "{code}");
    }
}

#[test]
fn a_list_that_lists_nothing_is_told() {
    let list = |body: &'static str| {
        Hosts::start(move |url| match url.ends_with("/list") {
            true => Canned::page(body).replace("text/html", "application/xml"),
            false => status("404 None"),
        })
    };
    let no_list = "it is no sitemap: neither XML nor a list of addresses";
    for (body, said) in [
        ("", no_list),
        ("\u{feff}", no_list),
        ("not here\r\n", no_list),
        ("\u{1f}\u{8b}\u{8}", no_list),
        ("<urlset/>", "note: the sitemap http://h.test/list lists nothing"),
        ("<rss><channel><title>a</title></channel></rss>", "lists nothing"),
        (
            "<sitemapindex><sitemap><loc>http://h.test/list</loc></sitemap></sitemapindex>",
            "nothing was fetched",
        ),
    ] {
        let ran = list(body).run(&["site", "--sitemap", "http://h.test/list"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{body:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{body:?}: {}", ran.stderr);
    }
}

#[test]
fn nothing_had_of_what_was_asked_for_is_code_1() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "robots.txt" => Canned::page("User-agent: *\nDisallow: /no").replace("html", "plain"),
        "large" => "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
        "to-no" => moved(302, "/no"),
        "away" => moved(302, "http://other.test/"),
        _ => Canned::page("here"),
    });
    for (path, args) in [
        ("no", &[][..]),
        ("to-no", &[]),
        ("large", &[]),
        ("away", &[]),
        ("yes", &["--for", "1us"]),
        ("to-no", &["--exclude", "no"]),
    ] {
        let url = format!("http://h.test/{path}");
        let ran = hosts.run(&[&["site", &url, "--pause", "0s"], args].concat());
        assert_eq!(ran.code, 1, "{path} {args:?}: {}", ran.stderr);
        let nothing = "crawl: nothing was fetched of what was asked for\n";
        assert!(ran.stderr.contains(nothing), "{path} {args:?}: {}", ran.stderr);
    }
    for (command, flag) in
        [(&["site", "--scope", "any"][..], "--scope any"), (&["fetch", "--any-host"], "--any-host")]
    {
        let ran = hosts.run(&[command[0], "http://h.test/away"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("another site; {flag} allows it")), "{}", ran.stderr);
        let ran = hosts.run(&[command, &["http://h.test/away"]].concat());
        assert_eq!(ran.code, 0, "{flag}: {}", ran.stderr);
    }
}

#[test]
fn what_is_named_and_cannot_be_used_is_code_1() {
    let site = Site::start(&["--pages", "1"]);
    let (start, scratch) = (site.url("/"), Scratch::new("named"));
    let foreign = scratch.path("foreign");
    fs::write(&foreign, "no journal\n").expect("a file");
    for args in [
        &["site", &*start, "--resume", "/no/such/journal"][..],
        &["site", &start, "--resume", &foreign],
        &["site", &start, "--har", "/no/such/place"],
        &["site", &start, "--trace", "/no/such/place"],
        &["site", &start, "--cacert", &foreign],
        &["fetch", &start, "--cacert", "/no/such/file"],
        &["fetch", &start, "--json", "--out", &scratch.path("out")],
        &["get", &start, "-d", "@/no/such/file"],
        &["get", &start, "--har", "/no/such/place"],
        &["page", "/no/such/file"],
        &["--out", "/dev/null/x", "--pages", "1"],
        &["compare", "--pages", "1", "--delay", "0ms", "--trace", "/no/such/place"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
    let status =
        crawl(&["get", &start]).env("http_proxy", "ftp://h").stderr(Stdio::null()).status();
    assert_eq!(status.expect("it runs").code(), Some(1));
}

#[cfg(unix)]
#[test]
fn what_the_machine_refuses_is_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ran = run(&["serve", "--listen", &address]);
    assert_eq!((ran.code, &*ran.stdout), (1, ""));
    assert!(ran.stderr.contains(&format!("cannot listen on {address}")), "{}", ran.stderr);
    // A process with so few descriptors has too few for a loop.
    for command in ["get", "fetch", "site", "compare", "sweep", "serve"] {
        let url =
            if ["get", "fetch", "site"].contains(&command) { "http://127.0.0.1:9/" } else { "" };
        let script = format!("ulimit -n 4 && exec \"$0\" {command} {url}");
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &script, env!("CARGO_BIN_EXE_crawl")]).stdin(Stdio::null());
        let output = shell.output().expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(stderr.starts_with("crawl: "), "{command}: {stderr}");
    }
}

#[cfg(unix)]
#[test]
fn serve_that_is_stopped_is_code_0() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut child = crawl(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut String::new()).expect("where it listens");
        cli_support::signal(&child, signal);
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal}");
    }
    let mut child = crawl(&["serve", "--listen", "127.0.0.1:0", "--until-eof"]);
    let status = child.stdout(Stdio::null()).status().expect("it runs");
    assert_eq!(status.code(), Some(0), "its standard input is over");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_printed_is_code_1() {
    for args in [&["--help"][..], &["get", "--help"], &["--version"], &["site", "--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = crawl(args).stdout(full).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.starts_with("crawl: cannot write to standard output: "), "{stderr}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = crawl(args).stdout(writer).output().expect("it runs");
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{args:?}");
    }
}

/// Before the head, within the body, and where a pipe waits for its reader.
#[cfg(unix)]
#[test]
fn get_that_is_stopped_leaves_no_half_file() {
    let (asked, heard) = std::sync::mpsc::channel();
    let canned = Canned::start(move |head| {
        asked.send(()).expect("the test waits");
        match path_of(head) {
            "/slow/head" => "",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        }
    });
    let scratch = Scratch::new("stopped");
    let (dir, har) = (scratch.path("dir"), scratch.path("har"));
    fs::create_dir(&dir).expect("made");
    let (file, pipe) = (format!("{dir}/file"), scratch.path("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("POSIX has it").success());
    let names = || -> Vec<_> {
        let entries = fs::read_dir(&dir).expect("there");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    for signal in ["-INT", "-TERM", "-HUP"] {
        for (path, place, har) in [
            ("/slow/head", &file, Some(&har)),
            ("/slow/body", &file, Some(&har)),
            ("/slow/body", &file, None),
            ("/slow/body", &pipe, None),
        ] {
            let url = canned.url(path);
            let mut get = crawl(&["get", &url, "-m", "0", "-o", place]);
            let mut child =
                get.args(har.map(|har| ["--har", har]).iter().flatten()).spawn().expect("it runs");
            heard.recv().expect("a request");
            // The draft is begun with the first of the body.
            while path != "/slow/head" && place == &file && names().is_empty() {
                std::thread::yield_now();
            }
            cli_support::signal(&child, signal);
            assert_eq!(child.wait().expect("it ends").code(), Some(130), "{signal} {path}");
            assert!(names().is_empty(), "{signal} {path}: {:?}", names());
            if let Some(har) = har {
                let archive = fs::read_to_string(har).expect("the archive");
                assert!(archive.contains(path), "{archive}");
                fs::remove_file(har).expect("there");
            }
        }
    }
}

/// With few descriptors the demo's site is a process of its own, which can die.
#[cfg(target_os = "linux")]
#[test]
fn a_site_that_dies_is_code_1() {
    for (args, sign) in [
        ("--concurrency 100 --delay 1h --no-trace", " in flight, "),
        ("compare --pages 100 --delay 1h", "sequential: "),
        ("sweep --at 1,100 --delay 200ms", "1 at once: "),
    ] {
        let script = format!("ulimit -n 200 && exec \"$0\" {args}");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_crawl")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = stderr.by_ref().map(|line| line.expect("text")).find(|line| line.contains(sign));
        line.expect("it has begun");
        let list = format!("/proc/{0}/task/{0}/children", child.id());
        let children = fs::read_to_string(list).expect("Linux tells");
        let killed = Command::new("kill").args(["-KILL", children.trim()]).status();
        assert!(killed.expect("kill runs").success(), "{children}");
        stderr.for_each(drop);
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{args}");
    }
}
