//! `crawl get` where people know what curl does, and lists as editors write them.

mod cli_support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use cli_support::{Canned, Hosts, Scratch, crawl, moved, pages, path_of, run};

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("a Vec takes any bytes");
    encoder.finish().expect("a Vec takes any bytes")
}

#[test]
fn a_body_is_kept_as_it_is_sent_unless_compressed_asks_otherwise() {
    // curl without --compressed asks for no coding and undoes none; with it, it does both.
    let body = b"a tar archive, or a page".to_vec();
    let packed = gzipped(&body);
    let sent = packed.clone();
    let canned = Canned::start(move |head| {
        let (coding, body) = match path_of(head) {
            "/plain" => ("", b"a tar archive, or a page".to_vec()),
            "/negotiated" if !head.contains("accept-encoding: ") => {
                ("", b"a tar archive, or a page".to_vec())
            }
            _ => ("Content-Encoding: gzip\r\n", sent.clone()),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-gzip\r\n{coding}Content-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    });
    let scratch = Scratch::new("kept");
    let file = scratch.path("x.tar.gz");
    for (path, args, kept) in [
        ("/x.tar.gz", &[][..], &packed),
        ("/x.tar.gz", &["--compressed"], &body),
        ("/x.tar.gz", &["-H", "Accept-Encoding: gzip"], &packed),
        ("/x.tar.gz", &["--compressed", "-H", "Accept-Encoding: gzip"], &body),
        ("/negotiated", &[], &body),
        ("/negotiated", &["--compressed"], &body),
        ("/plain", &[], &body),
        ("/plain", &["--compressed"], &body),
    ] {
        let url = canned.url(path);
        let ran = run(&[&["get", "-o", &file, &url], args].concat());
        assert_eq!((ran.code, &*ran.stdout), (0, ""), "{}", ran.stderr);
        assert_eq!(&fs::read(&file).expect("the file"), kept, "{path} {args:?}");
        let output = crawl(&[&["get", "-o", "-", &url], args].concat()).output().expect("it runs");
        assert_eq!(&output.stdout, kept, "- is standard output: {path} {args:?}");
    }
    assert!(!fs::exists("-").expect("it can be asked"), "and no file");
}

#[test]
fn a_limit_of_time_is_seconds_or_has_a_unit_and_0_is_none() {
    let canned = Canned::start(|head| match path_of(head) {
        "/slow" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned(),
        _ => Canned::page("here"),
    });
    for limit in ["0", "0s", "0.0", "10", "2.5", "3m", "1500ms"] {
        let ran = run(&["get", "-m", limit, &canned.url("/")]);
        assert_eq!((ran.code, &*ran.stdout), (0, "here"), "-m {limit}: {}", ran.stderr);
    }
    for limit in ["0.01", ".02", "20ms", "0.5us"] {
        let ran = run(&["get", "-m", limit, &canned.url("/slow")]);
        assert_eq!(ran.code, 1, "-m {limit}");
        assert!(ran.stderr.contains("timed out"), "-m {limit}: {}", ran.stderr);
    }
    for limit in ["-1", "soon", "1e99", "10 parsec", "", "nan", "inf"] {
        let ran = run(&["get", "-m", limit, &canned.url("/")]);
        assert_eq!((ran.code, ran.stderr.lines().count()), (2, 1), "-m {limit:?}: {}", ran.stderr);
    }
}

#[test]
fn a_proxy_needs_no_scheme() {
    let canned = Canned::start(|head| Canned::page(head.lines().next().unwrap_or_default()));
    let address = canned.url("").replace("http://", "");
    let by_name = address.replace("127.0.0.1", "localhost");
    for proxy in
        [&*address, &by_name, &format!("{address}/"), &format!("me:pw@{address}"), &canned.url("")]
    {
        for command in ["get", "fetch"] {
            let ran = run(&[command, "-x", proxy, "http://h.test/x"]);
            assert_eq!(ran.code, 0, "{proxy}: {}", ran.stderr);
            if command == "get" {
                assert_eq!(ran.stdout, "GET http://h.test/x HTTP/1.1", "{proxy}");
            }
        }
    }
}

#[test]
fn a_field_without_a_value_is_not_sent_and_one_with_a_semicolon_is_empty() {
    let hosts = Hosts::start(|_| Canned::page(""));
    for (args, without, with) in [
        (&["-H", "Accept:"][..], "accept:", "user-agent: mainspring-crawl"),
        (&["-H", "User-Agent:"], "user-agent:", "accept: */*"),
        (&["-H", "user-agent: ", "-A", "me"], "user-agent:", "accept: */*"),
        (&["-d", "a=b", "-H", "Content-Type:"], "content-type:", "content-length: 3"),
        (&["-u", "a:b", "-H", "Authorization:"], "authorization:", "accept: */*"),
        (&["--compressed", "-H", "Accept-Encoding:"], "accept-encoding:", "accept: */*"),
        (&["-H", "X-One;"], "x-two", "x-one: \r\n"),
        (&["-H", "X-One:1", "-H", "X-One:  2 "], "x-two", "x-one: 1\r\nx-one: 2\r\n"),
        (&["-H", "Accept: a/b"], "accept: */*", "accept: a/b\r\n"),
    ] {
        let ran = hosts.run(&[&["get", "http://h.test/"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let head = hosts.heads().concat().to_ascii_lowercase();
        assert!(!head.contains(&format!("\r\n{without}")), "{args:?}: {head}");
        assert!(head.contains(&format!("\r\n{with}")), "{args:?}: {head}");
    }
    let ran =
        hosts.run(&["fetch", "http://h.test/", "-H", "User-Agent:", "-H", "Accept-Encoding:"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let head = hosts.heads().concat().to_ascii_lowercase();
    assert!(!head.contains("user-agent") && !head.contains("accept-encoding"), "{head}");
}

#[test]
fn what_is_not_like_curl_is_said() {
    let ran = run(&["get", "--help"]);
    let said = ran.stdout.split("Not as with curl:").nth(1).expect("a part of its own");
    for what in [
        "exit code 1",
        "-d @FILE",
        "-H 'Host:'",
        "-X",
        "-o",
        "***",
        "escapes",
        ".netrc",
        "twice",
        "UTF-8",
        "[1-3]",
        "300",
        "-i",
        "Range",
        "hard link",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
}

#[test]
fn no_coding_is_asked_for_beside_a_range() {
    let hosts = Hosts::start(|_| Canned::page(""));
    for (args, asked) in [
        (&["--compressed"][..], "deflate, gzip, br, zstd"),
        (&["--compressed", "-H", "Range: bytes=0-9"], "identity"),
        (&["-H", "range: bytes=-5", "--compressed"], "identity"),
        (&["-H", "Range: bytes=0-9"], "identity"),
        (&["--compressed", "-H", "Range: bytes=0-9", "-H", "Accept-Encoding: gzip"], "gzip"),
        (&["--compressed", "-H", "Range:"], "deflate, gzip, br, zstd"),
    ] {
        let ran = hosts.run(&[&["get", "http://h.test/"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let head = hosts.heads().concat().to_ascii_lowercase();
        assert!(head.contains(&format!("\r\naccept-encoding: {asked}\r\n")), "{args:?}: {head}");
    }
}

/// curl: error 61, and nothing is written.
#[test]
fn a_coding_that_is_not_known_is_an_error_with_compressed() {
    let answer = |line: &str, codings: &str, body: &str| {
        format!(
            "HTTP/1.1 {line}\r\n{codings}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let scratch = Scratch::new("coding");
    let file = scratch.path("file");
    for (line, codings, body, unknown) in [
        ("200 OK", "Content-Encoding: compress\r\n", "raw", "compress"),
        ("200 OK", "Content-Encoding: X-Compress\r\n", "raw", "x-compress"),
        ("404 None", "Content-Encoding: foo\r\n", "raw", "foo"),
        ("200 OK", "Content-Encoding: gzip, dcb\r\n", "raw", "dcb"),
        ("200 OK", "Content-Encoding: gzip\r\nContent-Encoding: \u{e9}\r\n", "raw", "\\xc3\\xa9"),
        ("200 OK", "Content-Encoding: identity\r\n", "raw", ""),
        ("200 OK", "Content-Encoding: , Identity\r\n", "raw", ""),
        ("200 OK", "Content-Encoding: compress\r\n", "", ""),
        ("206 Part", "Content-Encoding: compress\r\n", "raw", ""),
    ] {
        let whole = answer(line, codings, body);
        let hosts = Hosts::start(move |_| whole.clone());
        for args in [&[][..], &["-o", &file]] {
            let args = [&["get", "http://h.test/"], args].concat();
            let ran = hosts.run(&args);
            let had =
                if ran.stdout.is_empty() { fs::read_to_string(&file) } else { Ok(ran.stdout) };
            assert_eq!((ran.code, had.unwrap_or_default().as_str()), (0, body), "{}", ran.stderr);
            fs::remove_file(&file).unwrap_or_default();
            let ran = hosts.run(&[&args[..], &["--compressed"]].concat());
            assert_eq!(ran.code, i32::from(!unknown.is_empty()), "{codings}: {}", ran.stderr);
            let said = format!("crawl: cannot unpack {unknown}; without --compressed");
            assert_eq!(ran.stderr.starts_with(&said), !unknown.is_empty(), "{}", ran.stderr);
            if !unknown.is_empty() {
                assert_eq!((&*ran.stdout, fs::exists(&file).ok()), ("", Some(false)), "{codings}");
            }
            fs::remove_file(&file).unwrap_or_default();
        }
        assert_eq!(hosts.run(&["get", "-I", "--compressed", "http://h.test/"]).code, 0);
    }
}

#[test]
fn the_head_of_every_redirect_is_printed_in_order() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "one" => moved(302, "/two").replace("Moved", "One\r\nSet-Cookie: a=secret"),
        "two" => moved(301, "http://other.test/end"),
        "lost" => moved(307, "/bad"),
        "bad" => "nonsense\r\n\r\n".to_owned(),
        _ => Canned::page("here"),
    });
    let one = "HTTP/1.1 302 One\nset-cookie: a=secret\nlocation: /two\ncontent-length: 0\n\
        connection: close\n\n";
    let two = "HTTP/1.1 301 Moved\nlocation: http://other.test/end\ncontent-length: 0\n\
        connection: close\n\n";
    let end = "HTTP/1.1 200 OK\ncontent-type: text/html\ncontent-length: 4\n\
        connection: close\n\n";
    for (args, printed) in [
        (&["-L", "-i"][..], [one, two, end, "here"].concat()),
        (&["-L", "-I"], [one, two, end].concat()),
        (&["-L", "-i", "-o", "/dev/null"], [one, two, end].concat()),
        (&["-L"], "here".to_owned()),
        (&["-L", "-v"], "here".to_owned()),
        (&["-i"], one.to_owned()),
        (&["-i", "-v"], one.to_owned()),
    ] {
        let ran = hosts.run(&[&["get", "http://h.test/one"], args].concat());
        assert_eq!((ran.code, ran.stdout), (0, printed), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("secret"), "{args:?}: {}", ran.stderr);
        let told = ran.stderr.matches("\n< HTTP/1.1 ").count();
        let followed = if args.contains(&"-L") { 3 } else { 1 };
        assert_eq!(told, if args.contains(&"-v") { followed } else { 0 }, "{}", ran.stderr);
    }
    // What was had before a failure is printed, too.
    let ran = hosts.run(&["get", "-L", "-i", "http://h.test/lost"]);
    assert!(ran.stdout.starts_with("HTTP/1.1 307 Moved\nlocation: /bad\n"), "{}", ran.stdout);
    assert_eq!(ran.code, 1);
}

#[cfg(unix)]
#[test]
fn a_pipe_gets_what_a_file_would() {
    let canned = Canned::start(|_| Canned::page("here"));
    let scratch = Scratch::new("pipe");
    let (pipe, url) = (scratch.path("pipe"), canned.url("/"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("POSIX has it").success());
    for (args, begins) in [(["-o", &*pipe], "here"), (["--har", &pipe], "{\"log\":")] {
        let place = pipe.clone();
        let reader = std::thread::spawn(move || fs::read_to_string(place).expect("text"));
        let ran = run(&[&["get", &url], &args[..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let read = reader.join().expect("no panic");
        assert!(read.starts_with(begins), "{args:?}: {read:?}");
    }
}

/// And it is so.
#[test]
fn what_is_said_not_to_be_like_curl_is_not() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "300" => moved(300, "/"),
        "305" => moved(305, "/"),
        _ => Canned::page("here"),
    });
    for (status, url) in [("300", "http://h.test/300"), ("305", "http://h.test/305")] {
        let ran = hosts.run(&["get", "-L", "-w", "%{http_code}", url]);
        assert_eq!((ran.code, &*ran.stdout), (0, status), "{}", ran.stderr);
    }
    for (url, sent) in [
        ("http://h.test/[1-3]", "http://h.test/[1-3]"),
        ("http://h.test/{a,b}", "http://h.test/%7Ba,b%7D"),
    ] {
        assert_eq!(hosts.run(&["get", url]).code, 0);
        assert_eq!(hosts.asked(), [sent]);
    }
    for twice in
        [&["-i", "-i"][..], &["-o", "a", "-o", "b"], &["-m", "1", "-m", "2"], &["-L", "-L"]]
    {
        assert_eq!(hosts.run(&[&["get", "http://h.test/"], twice].concat()).code, 2, "{twice:?}");
    }
    for twice in [&["-d", "a", "-d", "b"], &["-H", "A: b", "-H", "A: c"]] {
        assert_eq!(hosts.run(&[&["get", "http://h.test/"], &twice[..]].concat()).code, 0);
    }
}

/// As editors and shells write it: with marks, with line ends of all kinds, in UTF-16.
#[test]
fn a_list_of_seeds_may_begin_with_a_byte_order_mark() {
    let hosts = Hosts::start(|url| match url.ends_with("/robots.txt") {
        true => cli_support::status("404 None"),
        false => Canned::page(""),
    });
    let text = "http://h.test/a\r\n# a remark\r\n\r\n  http://h.test/ü  \r\nhttp://h.test/c";
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    let scratch = Scratch::new("bom");
    let file = scratch.path("seeds.txt");
    for (name, bytes) in [
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8 with a mark", format!("\u{feff}{text}").into_bytes()),
        ("a mark before a remark", format!("\u{feff}# remark\n{text}").into_bytes()),
        ("a mark on a line of its own", format!("\u{feff}\r\n{text}\n").into_bytes()),
        ("UTF-16, as PowerShell", utf_16(u16::to_le_bytes)),
        ("UTF-16, big end first", utf_16(u16::to_be_bytes)),
    ] {
        fs::write(&file, &bytes).expect("a file");
        let expected = ["a", "%C3%BC", "c"].map(|path| format!("200 http://h.test/{path}"));
        let ran = hosts.run(&["site", "--pause", "0s", "--seeds", &file]);
        assert_eq!(
            (ran.code, pages(&ran.stdout)),
            (0, expected.to_vec()),
            "{name}: {}",
            ran.stderr
        );
        let mut child = crawl(&["site", "--seeds", "-", "--for", "0s"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("piped").write_all(&bytes).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.contains("not fetched"), "{name}: {stderr}");
    }
    // A sitemap that is plain text is such a list, too.
    let hosts = Hosts::start(|url| match url {
        "http://h.test/list.txt" => Canned::page("\u{feff}http://h.test/a\r\nhttp://h.test/b\r\n")
            .replace("text/html", "text/plain"),
        _ => Canned::page(""),
    });
    let list = ["site", "--pause", "0s", "--ignore-robots", "--sitemap", "http://h.test/list.txt"];
    assert_eq!(pages(&hosts.run(&list).stdout), ["200 http://h.test/a", "200 http://h.test/b"]);
}

#[test]
fn what_a_pipe_gets_is_the_text_itself() {
    let hosts = Hosts::start(|_| {
        "HTTP/1.1 200 \x1b[1mOK\r\nX-One: caf\u{e9} \u{202e}x\r\nContent-Type: text/plain\r\n\
         Content-Length: 3\r\nConnection: close\r\n\r\n\x1b[2"
            .replace("\x1b[1m", "")
    });
    let ran = hosts.run(&["get", "-i", "-v", "http://h.test/"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(text.contains("x-one: caf\u{e9} \u{202e}x\n"), "{text:?}");
    }
    assert!(ran.stdout.ends_with("\n\n\x1b[2"), "{:?}", ran.stdout);
    let ran = hosts.run(&["get", "-w", "[%{content_type}]", "http://h.test/"]);
    assert!(ran.stdout.ends_with("\x1b[2[text/plain]"), "{:?}", ran.stdout);
}
