//! Whatever a peer sends, nothing panics, and what should not depend on chance does not: thousands
//! of texts put together from the pieces that matter, each from a seed.

use scraper::Selector;
use url::Url;

use crate::answer::Answer;
use crate::canonical::canonical;
use crate::extract::{MAX_STEPS, html, movie};
use crate::links::field_asks_nofollow;
use crate::output::names::{file_name, last_part};
use crate::polite::robots::Robots;
use crate::reader::Reader;
use crate::site::answer::answer;
use crate::site::request::parse;
use crate::text::{Printable, printable_lines, shortened};

/// Texts made from these pieces and, now and then, of any character.
fn texts(pieces: &'static [&'static str]) -> impl Iterator<Item = String> {
    (0..4_000).map(move |seed| {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut text = String::new();
        for _ in 0..dice.usize(..24) {
            match dice.u8(..8) {
                0 => text.push(dice.char(..)),
                _ => text.push_str(pieces[dice.usize(..pieces.len())]),
            }
        }
        text
    })
}

#[test]
fn a_request_is_read_the_same_whole_and_in_pieces() {
    let pieces = &[
        "GET ",
        "POST ",
        "HEAD ",
        "/",
        "/detail/7",
        "/list?start=",
        "/hello/%C3%",
        "*",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\n",
        "\r\n\r\n",
        "Host: h",
        "Content-Length: ",
        "5",
        "-1",
        "99999999999999999999",
        "Transfer-Encoding: chunked",
        "Connection: close",
        ":",
        ",",
        "\0",
    ];
    for text in texts(pieces) {
        let bytes = text.as_bytes();
        // The first prefix that settles it settles it for good.
        let settled =
            (0..=bytes.len()).map(|end| parse(&bytes[..end])).find(|head| *head != Ok(None));
        let whole = parse(bytes);
        assert_eq!(settled.as_ref().unwrap_or(&Ok(None)), &whole, "{text:?}");
        if let Ok(Some((request, _))) = whole {
            let bytes = answer(&request, 100).to_bytes(&request.method, request.keep_alive);
            assert!(bytes.starts_with(b"HTTP/1.1 "));
        }
    }
}

#[test]
fn any_page_can_be_read() {
    let pieces = &[
        "<a href=",
        "<a href='",
        "'>",
        "<base href=//x/>",
        "<article class=movie data-id=",
        "7>",
        "<h1 class=title>",
        "</h1>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<svg>",
        "<table>",
        "<template>",
        "<noscript>",
        "<meta http-equiv=refresh content='0;",
        "<meta name=robots content=nofollow>",
        "http://",
        "//",
        "?q=é中",
        "#",
        "%",
        "%zz",
        "javascript:",
        "data:,",
        "[",
        "srcset='",
        "1x,",
        " ",
        "<loc>",
        "</loc>",
        "<url>",
        "<sitemap>",
        "<urlset>",
        "<rss><channel><item><link>",
        "<feed xmlns='http://www.w3.org/2005/Atom'><entry><link href='/",
        "'/>",
        "<html xmlns='http://www.w3.org/1999/xhtml'>",
        "<x:a xmlns:x='",
        "<!DOCTYPE x [<!ENTITY e '",
        "&e;",
        "<?xml version='1.0' encoding='gbk'?>",
        "\u{feff}",
        "&amp;",
        "&#0;",
        "&#x110000;",
        "\0",
        "<",
        ">",
    ];
    let selector = Selector::parse("a, h1, loc").expect("a selector");
    let reader = Reader { select: Some(selector), assets: true, ..Reader::default() };
    for text in texts(pieces) {
        for content_type in ["", "text/html;charset=gbk", "application/xhtml+xml", "text/xml"] {
            let answer = Answer {
                url: Url::parse("http://h/a/b?c#d").expect("a URL"),
                status: http::StatusCode::OK,
                content_type: content_type.to_owned(),
                refresh: Some(text.clone()),
                asks_nofollow: field_asks_nofollow(&text),
                body: text.clone().into(),
            };
            let read = reader.read(&answer, MAX_STEPS);
            for url in read.links {
                let form = canonical(&url);
                let again = Url::parse(&form).map(|url| canonical(&url));
                assert_eq!(again.as_ref(), Ok(&form), "canonical is canonical: {url}");
                for name in [file_name(&url, &text), last_part(&url)] {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    assert!(name.chars().all(plain) && !name.starts_with('.'), "{url}: {name}");
                }
            }
            let lines = read.selected;
            assert!(lines.iter().all(|line| line.trim() == line), "{lines:?}");
        }
        // Nothing of this makes a whole movie; what matters is that it says so.
        assert!(movie(&html(&text, MAX_STEPS).0).is_err(), "{text:?}");
    }
}

#[test]
fn any_robots_txt_can_be_obeyed() {
    let pieces = &[
        "user-agent:",
        "User-Agent: *",
        "mainspring-crawl",
        "\n",
        "\r",
        "disallow: /",
        "allow:",
        "*",
        "$",
        "/",
        "a",
        "%",
        "%41",
        "%e4",
        "crawl-delay: ",
        "1e9",
        "-",
        "#",
        "sitemap: x",
        "é",
    ];
    let url = Url::parse("http://h/a/%41b?x=é").expect("a URL");
    let robots_txt = Url::parse("http://h/robots.txt").expect("a URL");
    for text in texts(pieces) {
        let robots = Robots::parse(&text);
        assert_eq!(robots, Robots::parse(&text.replace('\n', "\r\n")), "{text:?}");
        assert!(robots.allows(&robots_txt));
        // A page that may be fetched may be fetched under any other writing of its address.
        let again = Url::parse(&canonical(&url)).expect("canonical is a URL");
        assert_eq!(robots.allows(&url), robots.allows(&again), "{text:?}");
    }
}

#[test]
fn nothing_printed_can_steer_a_terminal() {
    let pieces = &["\x1b[2J", "\x1b]0;", "\x07", "\u{9b}", "\u{202e}", "\r", "\n", "\t", "x", "é"];
    for text in texts(pieces) {
        let line = Printable(&text).to_string();
        let lines = printable_lines(&text);
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        assert!(lines.chars().all(|c| !c.is_control() || "\n\t".contains(c)), "{lines:?}");
        assert!(shortened(&line, 10).chars().count() <= 10);
    }
}
