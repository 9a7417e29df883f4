//! Which proxies the environment and the command line name, as curl has it (curl(1), "ENVIRONMENT"), and
//! schemes that are misspelt.

mod cli_support;

use std::net::TcpListener;

use cli_support::{Canned, Hosts, Ran, crawl, run, status};

/// A run of the binary with these variables.
fn run_with(variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let output = crawl(args).envs(variables.iter().copied()).output().expect("the binary runs");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A port of this machine that nothing listens on.
fn dead() -> String {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.expect("a port").to_string()
}

#[test]
fn the_environment_names_proxies_and_flags_go_before_it() {
    let hosts = Hosts::start(|url| match url.ends_with("/robots.txt") {
        true => status("404 None"),
        false => Canned::page("by the proxy"),
    });
    let proxy = hosts.url();
    let bare = proxy.replace("http://", "");
    let dead = dead();
    // Whether the proxy is asked. Nothing else answers for h.test.
    for (variables, args, asked) in [
        (&[("http_proxy", &*proxy)][..], &[][..], true),
        (&[("http_proxy", &bare)], &[], true),
        (&[("all_proxy", &proxy)], &[], true),
        (&[("ALL_PROXY", &proxy)], &[], true),
        (&[("http_proxy", &proxy), ("all_proxy", &dead)], &[], true),
        (&[("http_proxy", &proxy), ("HTTP_PROXY", &dead)], &[], true),
        (&[("http_proxy", &dead)], &["--proxy", &proxy], true),
        (&[("http_proxy", &proxy), ("no_proxy", "other.test")], &[], true),
        (&[("http_proxy", &proxy), ("no_proxy", "h.test")], &["--noproxy", ""], true),
        (&[("http_proxy", &proxy), ("NO_PROXY", "h.test")], &["--noproxy", "g.test"], true),
        (&[("HTTP_PROXY", &proxy)], &[], false),
        (&[("https_proxy", &proxy)], &[], false),
        (&[("HTTPS_PROXY", &proxy)], &[], false),
        (&[("http_proxy", "")], &[], false),
        (&[("http_proxy", &proxy)], &["--proxy", ""], false),
        (&[("http_proxy", &proxy)], &["--noproxy", "*"], false),
        (&[("http_proxy", &proxy)], &["--noproxy", "g.test,h.test"], false),
        (&[("http_proxy", &proxy), ("no_proxy", "*")], &[], false),
        (&[("http_proxy", &proxy), ("no_proxy", "test")], &[], false),
        (&[("all_proxy", &proxy), ("NO_PROXY", ".h.test")], &[], false),
        (&[("no_proxy", "h.test")], &["--proxy", &proxy], false),
    ] {
        for command in [&["get"][..], &["fetch"], &["site", "--pause", "0s"]] {
            hosts.forget();
            let ran = run_with(variables, &[command, &["http://h.test/"], args].concat());
            let context = format!("{command:?} {variables:?} {args:?}: {}", ran.stderr);
            assert_eq!(hosts.asked(), vec!["http://h.test/"; usize::from(asked)], "{context}");
            assert_eq!(ran.code, i32::from(!asked), "{context}");
        }
    }
}

#[test]
fn a_proxy_that_is_dead_or_none_is_named_with_its_variable() {
    let dead = dead();
    for (variable, url) in [
        ("http_proxy", "http://h.test/"),
        ("https_proxy", "https://h.test/"),
        ("HTTPS_PROXY", "https://h.test/"),
        ("all_proxy", "https://h.test/"),
        ("ALL_PROXY", "http://h.test/"),
    ] {
        for command in ["get", "fetch", "site"] {
            for proxy in [format!("http://me:s3cr3t@{dead}"), "ftp://me:s3cr3t@h".to_owned()] {
                let ran = run_with(&[(variable, &proxy)], &[command, url]);
                assert_eq!(ran.code, 1, "{command} {variable}");
                assert!(ran.stderr.contains(variable), "{command} {variable}: {}", ran.stderr);
                assert!(!ran.stderr.contains("s3cr3t"), "{}", ran.stderr);
            }
        }
    }
    // What another scheme needs is no concern of a run that is told to do without.
    let canned = Canned::start(|_| Canned::page("here"));
    let ran = run_with(&[("http_proxy", "ftp://h")], &["get", "-x", "", &canned.url("/")]);
    assert_eq!((ran.code, &*ran.stdout), (0, "here"), "{}", ran.stderr);
}

#[test]
fn a_variable_that_is_ignored_is_said_to_be() {
    let canned = Canned::start(|_| Canned::page("here"));
    let (url, dead) = (canned.url("/"), dead());
    for (command, is_said) in
        [(&["site"][..], true), (&["fetch"], true), (&["get", "-v"], true), (&["get"], false)]
    {
        let ran = run_with(&[("HTTP_PROXY", &dead)], &[command, &[&url]].concat());
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.stderr);
        let note = "note: HTTP_PROXY is ignored, as by curl; http_proxy names a proxy\n";
        assert_eq!(ran.stderr.contains(note), is_said, "{command:?}: {}", ran.stderr);
        let ran = run_with(&[("HTTP_PROXY", &dead)], &[command, &[&url, "-x", ""]].concat());
        assert!(!ran.stderr.contains("HTTP_PROXY"), "{command:?}: {}", ran.stderr);
    }
    for command in ["get", "fetch", "site"] {
        let help = run(&[command, "--help"]).stdout;
        for word in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "no_proxy"] {
            assert!(help.contains(word), "{command} {word}: {help}");
        }
    }
}

#[test]
fn a_proxy_of_the_environment_is_shown_as_it_is_used() {
    let canned = Canned::start(|head| Canned::page(head.lines().next().unwrap_or_default()));
    let proxy = canned.url("").replace("http://", "http://me:s3cr3t@");
    let ran = run_with(&[("http_proxy", &proxy)], &["get", "-v", "http://h.test/a?b"]);
    assert_eq!((ran.code, &*ran.stdout), (0, "GET http://h.test/a?b HTTP/1.1"), "{}", ran.stderr);
    for line in ["> GET http://h.test/a?b HTTP/1.1\n", "> proxy-authorization: ***\n"] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
}

#[test]
fn a_misspelt_scheme_is_told_with_what_is_meant() {
    for (text, meant) in [
        ("htp:/x", "http://x"),
        ("htps://x", "https://x"),
        ("http:/x", "http://x"),
        ("http//x", "http://x"),
        ("hhtp:x", "http://x"),
        ("ttp://x", "http://x"),
        ("http:x", "http://x"),
        ("http;//x", "http://x"),
        ("http.//x", "http://x"),
        ("http:\\\\x", "http://x"),
        ("HTTPS:x/y?z", "https://x/y?z"),
        ("htttp://x:81/", "http://x:81/"),
        ("httsp://x", "https://x"),
        ("htpps://x", "https://x"),
        ("https:127.0.0.1/", "https://127.0.0.1/"),
        ("http: //x", "http://x"),
        ("://x", "http://x"),
        ("http://http://x", "http://x"),
        ("https://http//x", "http://x"),
        ("htp://me:s3cr3t@x/?token=s3cr3t", "http://me:***@x/?token=***"),
    ] {
        for command in [&["get"][..], &["fetch"], &["site"], &["site", "h", "--sitemap"]] {
            let ran = run(&[command, &[text]].concat());
            assert_eq!((ran.code, &*ran.stdout), (2, ""), "{text}: {}", ran.stderr);
            let hint = format!("did you mean {meant}?");
            assert!(ran.stderr.contains(&hint), "{text}: {}", ran.stderr);
            assert!(!ran.stderr.contains("s3cr3t"), "{}", ran.stderr);
        }
    }
    let ran = run(&["fetch", "h", "--credentials-for", "htps://x"]);
    assert_eq!((ran.code, ran.stderr.contains("mean https://x?")), (2, true), "{}", ran.stderr);
    for text in ["/index.html", "ftp://x", "javascript:alert(1)", "file:///x", "http:"] {
        let ran = run(&["get", text]);
        assert_eq!((ran.code, ran.stderr.contains("did you mean")), (2, false), "{}", ran.stderr);
    }
}

#[test]
fn a_host_is_no_misspelt_scheme() {
    let hosts = Hosts::start(|_| Canned::page("here"));
    for (text, asked) in [
        ("htp:81/x", "http://htp:81/x"),
        ("http:81", "http://http:81/"),
        ("http.test/x", "http://http.test/x"),
        ("https-mirror.test//x", "http://https-mirror.test//x"),
        ("httpd.test", "http://httpd.test/"),
        ("htp/x", "http://htp/x"),
        ("http", "http://http/"),
        ("//h.test/", "http://h.test/"),
        ("http:///h.test/", "http://h.test/"),
        ("h.test/http://x", "http://h.test/http://x"),
        ("h.test/?u=htp://x", "http://h.test/?u=htp://x"),
        ("htp:pw@h.test/", "http://h.test/"),
    ] {
        let ran = hosts.run(&["get", text]);
        assert_eq!(
            (ran.code, &*hosts.asked()),
            (0, &[asked.to_owned()][..]),
            "{text}: {}",
            ran.stderr
        );
    }
}

/// RFC 9110 §15.5.8: a 407 is the proxy's, whatever it was asked for. curl shows it as any answer.
#[test]
fn a_proxy_that_wants_a_login_is_named() {
    let proxy = Canned::start(|_| status("407 Who"));
    let at = proxy.url("");
    let (flag, variable) = (["--proxy", &*at], [("all_proxy", &*at)]);
    for (command, variables, flags, by) in [
        ("fetch", &[][..], &flag[..], "--proxy"),
        ("fetch", &variable, &[], "all_proxy"),
        ("site", &[], &flag, "--proxy"),
        ("site", &variable, &[], "all_proxy"),
    ] {
        let ran = run_with(variables, &[&[command, "http://h.test/"], flags].concat());
        let named = format!("the proxy {at} (from {by}): it answered with 407 ");
        assert!(ran.code == 1 && ran.stderr.contains(&named), "{command}: {ran:?}");
        assert!(command == "fetch" || ran.stderr.contains("/robots.txt"), "{}", ran.stderr);
    }
    let got = run_with(&variable, &["get", "http://h.test/"]);
    assert_eq!(got.code, 0, "{got:?}");
}
