//! Redirects: every address that a crawl is sent to is judged as a link is.

mod cli_support;

use std::fs;

use cli_support::{Canned, Hosts, Ran, Scratch, moved, pages, status};
use serde_json::Value;

/// A page with links.
fn links(links: &[&str]) -> String {
    Canned::page(&links.iter().map(|link| format!("<a href='{link}'>x</a>")).collect::<String>())
}

/// A web in which `redirects` are as told, and everything else is a page.
fn web(redirects: &'static [(&str, &str)], others: &'static [(&str, &[&str])]) -> Hosts {
    Hosts::start(move |url| {
        if let Some((_, to)) = redirects.iter().find(|(from, _)| *from == url) {
            return moved(302, to);
        }
        match others.iter().find(|(page, _)| *page == url) {
            Some((_, to)) => links(to),
            None if url.ends_with("/robots.txt") => status("404 None"),
            None => links(&[]),
        }
    })
}

fn site(hosts: &Hosts, args: &[&str]) -> Ran {
    hosts.run(&[&["site", "--pause", "0s"], args].concat())
}

/// The records in `pages.jsonl`.
fn records(out: &str) -> Vec<Value> {
    let lines = fs::read_to_string(format!("{out}/pages.jsonl")).expect("pages.jsonl");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_link_that_redirects_is_judged_by_where_it_leads() {
    // As Scrapy's offsite and duplicate filters, and its robots middleware, judge what
    // RedirectMiddleware gives back to the scheduler.
    let hosts = web(
        &[
            ("http://a.test/out", "http://b.test/private"),
            ("http://a.test/excluded", "/logout"),
            ("http://a.test/twice", "/known"),
            ("http://a.test/same", "http://A.test:80/kn%6Fwn#x"),
            ("http://a.test/good", "/end"),
        ],
        &[("http://a.test/", &["out", "excluded", "twice", "same", "good", "known"])],
    );
    let scratch = Scratch::new("judged");
    let out = scratch.path("out");
    let ran = site(&hosts, &["http://a.test/", "--exclude", "/logout", "--out", &out]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut asked = hosts.asked();
    asked.sort();
    let expected = ["", "end", "excluded", "good", "known", "out", "same", "twice"]
        .map(|p| format!("http://a.test/{p}"));
    assert_eq!(asked, expected, "nothing of b.test, no logout, and known once");
    let told: Vec<(String, String)> = records(&out)
        .iter()
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            (text("url").replace("http://a.test", ""), text("skipped"))
        })
        .collect();
    let away = |to: &str, why: &str| format!("it redirects to {to}, which {why}");
    let known = away("http://a.test/known", "is known already");
    for (url, skipped) in [
        ("/", String::new()),
        ("/out", away("http://b.test/private", "is out of scope")),
        ("/excluded", away("http://a.test/logout", "--include or --exclude leaves out")),
        ("/twice", known.clone()),
        ("/same", known.replace("known,", "kn%6Fwn,")),
        ("/good", String::new()),
        ("/known", String::new()),
    ] {
        assert!(told.contains(&(url.to_owned(), skipped.clone())), "{url} {skipped}: {told:?}");
    }
}

#[test]
fn twenty_links_that_redirect_to_one_page_are_one_fetch() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "" => links(
            &(0..20)
                .map(|n| format!("private/{n}"))
                .collect::<Vec<_>>()
                .iter()
                .map(|s| &**s)
                .collect::<Vec<_>>(),
        ),
        private if private.starts_with("private/") => moved(307, "/login?next=1"),
        "robots.txt" => status("404 None"),
        _ => links(&[]),
    });
    let ran = site(&hosts, &["http://h.test/", "--concurrency", "20", "--per-host", "20"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let asked = hosts.asked();
    assert_eq!(asked.iter().filter(|url| url.contains("/login")).count(), 1, "{asked:?}");
    assert_eq!(asked.len(), 22);
    assert!(ran.stderr.contains("led away"), "{}", ran.stderr);
}

#[test]
fn the_record_tells_the_chain() {
    let hosts = web(
        &[
            ("http://h.test/a", "/b"),
            ("http://h.test/b", "c?x=1"),
            ("http://h.test/c?x=1", "/d#top"),
        ],
        &[],
    );
    let scratch = Scratch::new("chain");
    let (out, journal) = (scratch.path("out"), scratch.path("journal"));
    let args = ["http://h.test/a", "--out", &out, "--resume", &journal];
    let ran = site(&hosts, &args);
    assert_eq!((ran.code, pages(&ran.stdout)), (0, vec!["200 http://h.test/a".to_owned()]));
    let record = &records(&out)[0];
    assert_eq!(record["url"], "http://h.test/a");
    assert_eq!(record["moved_to"], "http://h.test/d");
    let hop =
        |path: &str| serde_json::json!({ "url": format!("http://h.test{path}"), "status": 302 });
    assert_eq!(record["redirects"], serde_json::json!([hop("/a"), hop("/b"), hop("/c?x=1")]));
    assert!(fs::read_to_string(&journal).expect("the journal").contains("\"redirects\":["));
    // A later run knows all of them.
    let urls = ["/a", "/b", "/c?x=1", "/d"].map(|path| format!("http://h.test{path}"));
    let again: Vec<&str> =
        urls.iter().map(String::as_str).chain(args[1..].iter().copied()).collect();
    let ran = site(&hosts, &again);
    assert_eq!((ran.code, hosts.asked()), (0, Vec::<String>::new()), "{}", ran.stderr);
}

#[test]
fn a_beginning_that_redirects_widens_the_scope_within_its_site_and_says_so() {
    for (from, to) in [
        ("http://example.com/", "http://www.example.com/"),
        ("http://www.example.co.uk/x", "http://example.co.uk/y"),
        ("http://example.com/", "http://example.com:8080/"),
        ("http://a.b.example.org/", "http://shop.example.org/"),
        ("http://me.github.io/", "http://www.me.github.io/"),
    ] {
        let hosts = Hosts::start(move |url| match url {
            url if url == from => moved(301, to),
            url if url == to => links(&["/next", "http://other.test/"]),
            url if url.ends_with("/robots.txt") => status("404 None"),
            _ => links(&[]),
        });
        let ran = site(&hosts, &[from]);
        assert_eq!(ran.code, 0, "{from}: {}", ran.stderr);
        let said = format!("note: {from} redirects to {to}: ");
        assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
        let next = url::Url::parse(to).and_then(|to| to.join("/next")).expect("a URL");
        assert_eq!(hosts.asked(), [from, to, next.as_str()], "links there are followed");
    }
}

#[test]
fn a_beginning_that_redirects_to_another_site_says_where_and_fetches_nothing_there() {
    for (from, to) in [
        ("http://example.com/", "http://example.org/"),
        ("http://example.com/", "http://example.com.evil.net/"),
        ("http://me.github.io/", "http://you.github.io/"),
        ("http://a.co.uk/", "http://b.co.uk/"),
        ("http://localhost/", "http://localhost:81/"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:2/"),
        ("http://10.0.0.1/", "http://10.0.0.2/"),
        ("http://intranet/", "http://login/"),
    ] {
        let hosts = Hosts::start(move |url| match url {
            url if url == from => moved(302, to),
            url if url.ends_with("/robots.txt") => status("404 None"),
            _ => links(&[]),
        });
        for (args, flag) in [
            (&["site", "--pause", "0s", from][..], "--scope any"),
            (&["site", "--pause", "0s", "--scope", "subdomains", from], "--scope any"),
            (&["fetch", from], "--any-host"),
            (&["fetch", from, "--depth", "1"], "--any-host"),
        ] {
            let host =
                |url: &str| url::Url::parse(url).expect("a URL").host_str().map(str::to_owned);
            if args.contains(&"subdomains") && host(from) == host(to) {
                continue;
            }
            let ran = hosts.run(args);
            assert_eq!((ran.code, &*ran.stdout), (1, ""), "{args:?}: {}", ran.stderr);
            let said = format!(
                "failed: {from}: it redirects to {to}, which is another site; {flag} allows it\n"
            );
            assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
            assert!(
                hosts.heads().iter().all(|head| !head.contains(to)),
                "nothing is fetched there"
            );
            let allowed = hosts.run(&[args, &flag.split(' ').collect::<Vec<_>>()].concat());
            if !args.contains(&"subdomains") {
                assert_eq!(
                    (allowed.code, hosts.asked()),
                    (0, vec![from.into(), to.into()]),
                    "{args:?}"
                );
            }
        }
    }
}

#[test]
fn the_robots_txt_of_where_it_leads_decides() {
    let hosts = Hosts::start(|url| match url {
        "http://a.test/" => {
            links(&["http://a.test/to/b", "http://a.test/to/c", "http://a.test/inner"])
        }
        "http://a.test/to/b" => moved(302, "http://b.test/secret/x"),
        "http://a.test/to/c" => moved(302, "http://c.test/x"),
        "http://a.test/inner" => moved(302, "/no"),
        "http://a.test/robots.txt" => Canned::page("user-agent: *\ndisallow: /no"),
        "http://b.test/robots.txt" => Canned::page("user-agent: *\ndisallow: /secret"),
        "http://c.test/robots.txt" => status("500 Down"),
        _ => links(&[]),
    });
    let ran = site(&hosts, &["http://a.test/", "--scope", "any"]);
    let asked = hosts.asked();
    assert!(
        asked.iter().all(|url| url.starts_with("http://a.test/") && !url.ends_with("/no")),
        "{asked:?}"
    );
    assert_eq!(ran.code, 1, "c.test's robots.txt cannot be had");
    let said = "failed: http://a.test/to/c: its http://c.test/robots.txt cannot be had: 500";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let robots = hosts.heads().iter().filter(|head| head.contains("/robots.txt")).count();
    assert_eq!(robots, 3, "each once");
}

#[test]
fn circles_and_long_chains_end_and_are_told() {
    let hosts = Hosts::start(|url| match url.trim_start_matches("http://h.test/") {
        "self" => moved(302, "/self"),
        "one" => moved(302, "/two"),
        "two" => moved(302, "/one"),
        long if long.starts_with("long") => moved(302, &format!("/{long}x")),
        "robots.txt" => status("404 None"),
        _ => links(&[]),
    });
    for (path, why) in [
        ("self", "it redirects in a circle, back to http://h.test/self"),
        ("one", "it redirects in a circle, back to http://h.test/one"),
        ("long", "it redirects more than 10 times"),
    ] {
        for command in ["site", "fetch"] {
            let url = format!("http://h.test/{path}");
            let ran = hosts.run(&[command, &url]);
            assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.stderr);
            assert!(ran.stderr.contains(&format!("failed: {url}: {why}\n")), "{}", ran.stderr);
            assert!(hosts.heads().len() < 13, "{path}");
        }
    }
}

#[test]
fn a_site_may_send_a_visitor_in_a_circle_to_set_a_cookie() {
    let canned = Canned::start(|head| match head.to_ascii_lowercase().contains("cookie: seen=1") {
        true => Canned::page("<p>welcome"),
        false => moved(302, "/").replacen("\r\n", "\r\nSet-Cookie: seen=1\r\n", 1),
    });
    let ran = cli_support::run(&["fetch", &canned.url("/"), "--cookies", "--select", "p"]);
    assert_eq!((ran.code, &*ran.stdout), (0, "welcome\n"), "{}", ran.stderr);
}

#[test]
fn a_redirected_page_keeps_its_depth_and_its_place() {
    // As Scrapy: a redirect adds nothing to the depth.
    let hosts = web(
        &[("http://h.test/", "/home"), ("http://h.test/moved", "/there")],
        &[
            ("http://h.test/home", &["/moved", "/last"]),
            ("http://h.test/there", &["/too/deep"]),
            ("http://h.test/last", &[]),
        ],
    );
    let ran = site(&hosts, &["http://h.test/", "--depth", "1", "--pages", "3", "--per-host", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected = ["", "moved", "last"].map(|path| format!("200 http://h.test/{path}"));
    assert_eq!(pages(&ran.stdout), expected);
    let asked = hosts.asked();
    assert!(!asked.contains(&"http://h.test/too/deep".to_owned()), "{asked:?}");
}

#[test]
fn the_redirects_of_robots_txt_are_judged_too() {
    for (to, code, why) in [
        ("http://www.example.com/r", 0, ""),
        ("/elsewhere.txt", 0, ""),
        (
            "http://other.test/robots.txt",
            1,
            "it redirects to http://other.test/robots.txt, which is another site; --scope any allows it",
        ),
        ("/robots.txt", 1, "it redirects more than 5 times"),
        ("ftp://example.com/", 1, "it is not http or https"),
        ("http://example.com/gone", 0, ""),
    ] {
        let hosts = Hosts::start(move |url| match url {
            "http://example.com/robots.txt" => moved(301, to),
            "http://example.com/gone" => status("410 Gone"),
            "http://example.com/" => links(&["/no"]),
            _ => Canned::page("user-agent: *\ndisallow: /no"),
        });
        let ran = site(&hosts, &["http://example.com/"]);
        assert_eq!(ran.code, code, "{to}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        let asked = hosts.asked();
        assert!(asked.iter().all(|url| !url.contains("other.test")), "{asked:?}");
        let forbids = code == 0 && !to.ends_with("/gone");
        assert_eq!(asked.contains(&"http://example.com/no".to_owned()), code == 0 && !forbids);
    }
}

#[test]
fn the_redirects_of_a_sitemap_are_judged_too() {
    for (to, flag, code, why) in [
        ("/ok/s.xml", "--ignore-nothing", 0, ""),
        ("/hid/s.xml", "--ignore-nothing", 1, "robots.txt forbids http://h.test/hid/s.xml"),
        ("/hid/s.xml", "--ignore-robots", 0, ""),
        ("/ok/again", "--ignore-nothing", 1, "robots.txt forbids http://h.test/hid/s.xml"),
        ("http://other.test/s.xml", "--ignore-nothing", 1, "which is another site"),
        ("http://www.h.test/s.xml", "--ignore-nothing", 1, "502 Bad Gateway"),
    ] {
        let hosts = Hosts::start(move |url| match url {
            "http://h.test/sitemap.xml" => moved(302, to),
            "http://h.test/ok/again" => moved(302, "/hid/s.xml"),
            "http://h.test/robots.txt" => Canned::page("user-agent: *\ndisallow: /hid"),
            "http://www.h.test/robots.txt" => status("502 No"),
            _ if url.ends_with(".xml") => {
                Canned::page("<urlset><url><loc>http://h.test/p</loc></url></urlset>")
            }
            _ => links(&[]),
        });
        let args = ["http://h.test/", "--sitemap", "http://h.test/sitemap.xml", flag];
        let args = args.into_iter().filter(|arg| *arg != "--ignore-nothing").collect::<Vec<_>>();
        let ran = site(&hosts, &args);
        assert_eq!(ran.code, code, "{to}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        let asked = hosts.asked();
        let target = asked.iter().any(|url| url.ends_with("/s.xml"));
        assert_eq!(target, code == 0, "{to}: {asked:?}");
        assert_eq!(asked.contains(&"http://h.test/p".to_owned()), code == 0, "{to}: {asked:?}");
    }
}
