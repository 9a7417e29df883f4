//! Where a page leads, as a browser without scripts has it (HTML standard).

use std::borrow::Cow;

use clap::ValueEnum;
use html5ever::{expanded_name, local_name, ns};
use mainspring_http::encoding_rs::{Encoding, UTF_8};
use mainspring_http::join_url;
use scraper::{ElementRef, Html};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::polite::robots::PRODUCT;

/// The most links that are taken from one page; a page with more is a trap or a mistake.
pub const MAX_LINKS: usize = 10_000;

/// The longest URL that is followed, in bytes: a page that links to itself with an ever longer
/// query must end somewhere.
pub const MAX_URL: usize = 4 * 1024;

/// Which `nofollow` is obeyed.
///
/// That of a page asks that none of its links be followed, as robots.txt asks that pages be left
/// alone. That of a link says that the site does not vouch for where it leads (HTML standard, "link
/// type nofollow"), which is no reason not to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nofollow {
    /// That of pages: of `<meta name=robots>` and of the field `X-Robots-Tag`.
    #[default]
    Pages,
    /// That of pages and that of links: `rel=nofollow`.
    Links,
    /// None.
    Ignore,
}

/// How the references of a page are to be read.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Where the page was found.
    pub page: &'a Url,
    /// The encoding that it was in: that of the queries of its links.
    pub encoding: &'static Encoding,
    /// Which `nofollow` is obeyed.
    pub nofollow: Nofollow,
    /// Where its `Refresh` field leads, as the field has it.
    pub refresh: Option<&'a str>,
    /// Whether its `X-Robots-Tag` asks that no links be followed.
    pub asks_nofollow: bool,
}

/// Addresses, without fragments and without repeating neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// In the order of the page.
    pub urls: Vec<Url>,
    /// How many were left out since they are too long ([`MAX_URL`]) or too many ([`MAX_LINKS`]).
    pub left_out: usize,
    /// How many are not to be followed: see [`Nofollow`].
    pub nofollow: usize,
}

impl Links {
    /// Takes an address, if it is one of http or https.
    pub fn add(&mut self, url: Option<Url>) {
        let Some(mut url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return;
        };
        url.set_fragment(None);
        if self.urls.last() == Some(&url) {
            return;
        }
        if url.as_str().len() <= MAX_URL && self.urls.len() < MAX_LINKS {
            self.urls.push(url);
        } else {
            self.left_out += 1;
        }
    }
}

/// The pages that a document links to.
///
/// Taken are `a` and `area` (in SVG too), `iframe` and `frame`, `link` with `rel` next or prev, and
/// where the page goes by itself: its `Refresh` field, or else the first `meta http-equiv=refresh`.
/// Relative links are resolved against the first `<base href>`, or else against the page's own
/// address. What stands in a `<template>` is not there without scripts.
pub fn links(html: &Html, context: &Context<'_>) -> Links {
    let base = base(html, context);
    let resolved = |reference: &str| resolve(&base, reference, context.encoding);
    let mut links = Links::default();
    let mut refresh = context.refresh.and_then(refresh_target);
    if let Some(target) = refresh.filter(|target| !target.is_empty()) {
        links.add(resolve(context.page, target, UTF_8));
    }
    let obeys = context.nofollow != Nofollow::Ignore;
    let asked = obeys && (context.asks_nofollow || elements(html).any(|e| is_nofollow_meta(&e)));
    for element in elements(html) {
        let attr = |name: &str| element.attr(name);
        let filled = |name: &str| attr(name).filter(|value| !value.is_empty());
        let reference = match element.value().name.expanded() {
            expanded_name!(html "a") | expanded_name!(html "area") => attr("href"),
            expanded_name!(svg "a") => attr("href").or_else(|| xlink(&element)),
            expanded_name!(html "iframe") | expanded_name!(html "frame") => filled("src"),
            expanded_name!(html "link") if has(&element, "rel", &["next", "prev"]) => {
                filled("href")
            }
            expanded_name!(html "meta") if is(&element, "http-equiv", "refresh") => {
                if refresh.is_none() {
                    refresh = filled("content").and_then(refresh_target);
                    let target = refresh.filter(|target| !target.is_empty());
                    links.add(target.and_then(resolved));
                }
                None
            }
            _ => None,
        };
        let Some(reference) = reference else { continue };
        let of_link = context.nofollow == Nofollow::Links && has(&element, "rel", &["nofollow"]);
        if asked || of_link {
            links.nofollow += 1;
        } else {
            links.add(resolved(reference));
        }
    }
    links
}

/// What a document shows or runs: images, `srcset` candidates included, scripts, style sheets,
/// icons.
pub fn assets(html: &Html, context: &Context<'_>) -> Links {
    let base = base(html, context);
    let mut assets = Links::default();
    for element in elements(html) {
        let names: &[&str] = match element.value().name.expanded() {
            expanded_name!(html "img") | expanded_name!(html "source") => &["src"],
            expanded_name!(html "audio") | expanded_name!(html "script") => &["src"],
            expanded_name!(html "video") => &["src", "poster"],
            expanded_name!(html "link") if has(&element, "rel", &["stylesheet", "icon"]) => {
                &["href"]
            }
            _ => continue,
        };
        let srcset = element.attr("srcset").map(candidates).unwrap_or_default();
        let own = names.iter().filter_map(|name| element.attr(name));
        for reference in own.filter(|reference| !reference.is_empty()).chain(srcset) {
            assets.add(resolve(&base, reference, context.encoding));
        }
    }
    assets
}

/// The addresses in a `srcset`: each may be followed by a width or density, and a comma ends the
/// candidate. A comma inside of an address belongs to it unless it ends it.
fn candidates(srcset: &str) -> Vec<&str> {
    let mut candidates = Vec::new();
    let mut rest = srcset;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return candidates;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let address = rest[..end].trim_end_matches(',');
        candidates.push(address);
        rest = &rest[end..];
        if address.len() == end {
            // What follows up to the next comma describes this candidate.
            rest = rest.split_once(',').map_or("", |(_, rest)| rest);
        }
    }
}

/// The elements of a document, in order, without those in templates that only scripts make use of.
fn elements(html: &Html) -> impl Iterator<Item = ElementRef<'_>> {
    let is_inert = |element: ElementRef<'_>| {
        element.value().name.expanded() == expanded_name!(html "template")
            && element.attr("shadowrootmode").is_none()
    };
    let nodes = std::iter::successors(Some(html.tree.root()), move |node| {
        let inside = node.first_child().filter(|_| !ElementRef::wrap(*node).is_some_and(is_inert));
        let after = || node.ancestors().find_map(|outer| outer.next_sibling());
        inside.or_else(|| node.next_sibling()).or_else(after)
    });
    nodes.filter_map(ElementRef::wrap)
}

fn is(element: &ElementRef<'_>, attribute: &str, value: &str) -> bool {
    element.attr(attribute).is_some_and(|own| own.eq_ignore_ascii_case(value))
}

/// Whether an attribute, which is a list of words, has one of these.
fn has(element: &ElementRef<'_>, attribute: &str, words: &[&str]) -> bool {
    let mut own = element.attr(attribute).unwrap_or_default().split_ascii_whitespace();
    own.any(|own| words.iter().any(|word| own.eq_ignore_ascii_case(word)))
}

/// `xlink:href`, by which SVG linked before version 2.
fn xlink<'a>(element: &ElementRef<'a>) -> Option<&'a str> {
    let mut attributes = element.value().attrs.iter();
    let own = attributes.find(|(name, _)| name.expanded() == expanded_name!(xlink "href"));
    own.map(|(_, value)| &**value)
}

/// What relative links of a document are relative to: what its first `<base href>` says, unless that
/// is no URL, or one that holds a document or a script in itself (HTML standard, "set the frozen
/// base URL").
fn base<'a>(html: &Html, context: &Context<'a>) -> Cow<'a, Url> {
    let is_base =
        |element: &ElementRef<'_>| element.value().name.expanded() == expanded_name!(html "base");
    let href = elements(html).filter(is_base).find_map(|base| base.attr("href"));
    let base = href.and_then(|href| resolve(context.page, href, context.encoding));
    let base = base.filter(|base| !matches!(base.scheme(), "data" | "javascript"));
    base.map_or(Cow::Borrowed(context.page), Cow::Owned)
}

/// A reference as an address, with the query in the encoding of the page.
fn resolve(base: &Url, reference: &str, encoding: &'static Encoding) -> Option<Url> {
    join_url(base, reference, encoding).ok()
}

/// Where `5; url=/next` leads: empty for a page that only reloads itself, `None` where the value
/// says nothing (HTML standard, "shared declarative refresh steps").
fn refresh_target(value: &str) -> Option<&str> {
    let space = |c: char| c.is_ascii_whitespace();
    let rest = value.trim_start_matches(space);
    let after_time = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if after_time.len() == rest.len() && !rest.starts_with('.') {
        return None;
    }
    let rest = after_time.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !rest.is_empty() && !rest.starts_with([';', ',', '\t', '\n', '\x0c', '\r', ' ']) {
        return None;
    }
    let rest = rest.trim_start_matches(space);
    let target = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_start_matches(space);
    let quoted = match target.get(..1) {
        Some("u" | "U") => {
            let is_url = target.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("url"));
            let after = if is_url { target[3..].trim_start_matches(space) } else { "" };
            let Some(quoted) = after.strip_prefix('=') else { return Some(target) };
            quoted.trim_start_matches(space)
        }
        _ => target,
    };
    let Some(quote @ ('"' | '\'')) = quoted.chars().next() else { return Some(quoted) };
    quoted[1..].split(quote).next()
}

/// Whether an element is a `<meta>` for crawlers, or for this one, that asks not to follow links.
fn is_nofollow_meta(element: &ElementRef<'_>) -> bool {
    element.value().name.expanded() == expanded_name!(html "meta")
        && (is(element, "name", "robots") || is(element, "name", PRODUCT))
        && element.attr("content").is_some_and(asks_nofollow)
}

/// Whether rules for crawlers ask them not to follow links.
fn asks_nofollow(rules: &str) -> bool {
    let mut rules = rules.split([',', ';', ' ', '\t', '\n']).map(str::trim);
    rules.any(|rule| rule.eq_ignore_ascii_case("nofollow") || rule.eq_ignore_ascii_case("none"))
}

/// Whether the value of an `X-Robots-Tag` asks this crawler not to follow links: its rules may be
/// for a crawler that it names in front.
pub fn field_asks_nofollow(value: &str) -> bool {
    let is_rule = |name: &str| name.starts_with("max-") || name == "unavailable_after";
    let (crawler, rules) = match value.split_once(':') {
        // A rule that has a value is no crawler.
        Some((name, rules)) if !name.contains(',') && !is_rule(name.trim()) => (name, rules),
        _ => ("", value),
    };
    let crawler = crawler.trim();
    (crawler.is_empty() || crawler.eq_ignore_ascii_case(PRODUCT)) && asks_nofollow(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring_http::encoding_rs::{
        BIG5, EUC_JP, EUC_KR, GBK, ISO_2022_JP, SHIFT_JIS, UTF_16LE, WINDOWS_1251,
    };

    fn page(url: &Url) -> Context<'_> {
        let nofollow = Nofollow::Pages;
        Context { page: url, encoding: UTF_8, nofollow, refresh: None, asks_nofollow: false }
    }

    fn read(html: &str) -> Html {
        crate::extract::html(html, usize::MAX).0
    }

    fn shown(links: Links) -> Vec<String> {
        links.urls.iter().map(Url::to_string).collect()
    }

    fn links_of(at: &str, html: &str) -> Vec<String> {
        shown(links(&read(html), &page(&Url::parse(at).expect("a URL"))))
    }

    #[test]
    fn links_are_resolved_in_order() {
        let html = "<link rel='up NEXT' href=n><link rel=stylesheet href=s.css><link rel=prev>
            <a href=' b '>b</a><a href='b#x'>again</a><a href='?q=1'>q</a><a>none</a>
            <a href='//other/x'>o</a><a href='mailto:a@b'>m</a><a href='http://['>bad</a>
            <map><area href='/z'></map><iframe src=f></iframe><iframe src=''></iframe>
            <svg><a href=s1 xlink:href=s2><a xlink:href=s3></svg><a href='a\n b'>
            <meta http-equiv=Refresh content='5; URL=\"r\"'><meta http-equiv=refresh content=5>";
        assert_eq!(
            links_of("http://h/a/page?p=1", html),
            [
                "http://h/a/n",
                "http://h/a/b",
                "http://h/a/page?q=1",
                "http://other/x",
                "http://h/z",
                "http://h/a/f",
                "http://h/a/s1",
                "http://h/a/s3",
                "http://h/a/a%20b",
                "http://h/a/r",
            ]
        );
    }

    /// HTML standard §4.2.3: "set the frozen base URL".
    #[test]
    fn the_first_base_with_an_address_counts() {
        for (head, link) in [
            ("<base href='/deep/er/'>", "http://h/deep/er/x"),
            ("<base target=t><base href=/one/><base href=/two/>", "http://h/one/x"),
            ("<base href=//other/>", "http://other/x"),
            ("<base href=' sub/ '>", "http://h/a/sub/x"),
            ("<base href=''>", "http://h/a/x"),
            ("<base href='data:text/html,hello'>", "http://h/a/x"),
            ("<base href='JavaScript:void(0)'>", "http://h/a/x"),
            ("<base href='http://['><base href=/two/>", "http://h/a/x"),
            ("<svg><base href=/svg/></svg>", "http://h/a/x"),
            ("<template><base href=/t/></template>", "http://h/a/x"),
            ("<noscript><base href=/n/></noscript>", "http://h/n/x"),
            ("</head><body><p><base href=/late/>", "http://h/late/x"),
        ] {
            assert_eq!(links_of("http://h/a/b", &format!("{head}<a href=x>")), [link], "{head}");
        }
        // Relative to these nothing is of http; what says so itself is.
        for head in ["<base href=ftp://h/>", "<base href=mailto:a@b>", "<base href=file:///x/>"] {
            let html = format!("{head}<a href=x><a href=?q><a href=http://h/y>");
            assert_eq!(links_of("http://h/a/b", &html), ["http://h/y"], "{head}");
        }
    }

    /// HTML standard §4.2.5.3, "shared declarative refresh steps"; several rows are those of its
    /// tests in web-platform-tests (`meta-refresh/parsing`).
    #[test]
    fn every_form_of_refresh_that_the_grammar_takes() {
        for (value, target) in [
            ("0;url=x", Some("x")),
            ("5; URL=x", Some("x")),
            ("5 , uRl = x", Some("x")),
            ("5 x", Some("x")),
            ("5;x", Some("x")),
            ("5\turl=x", Some("x")),
            ("5;'x'y", Some("x")),
            ("5; url=\"x'y\"z", Some("x'y")),
            ("5; url='x", Some("x")),
            ("5; url=x'", Some("x'")),
            ("\n 1.5.7 ; url=x", Some("x")),
            (".5;url=x", Some("x")),
            ("0;;url=x", Some(";url=x")),
            ("0;url x", Some("url x")),
            ("0;urn:x", Some("urn:x")),
            ("0;u", Some("u")),
            ("0;url=url=x", Some("url=x")),
            ("0;é", Some("é")),
            ("5", Some("")),
            ("5;", Some("")),
            ("5; url=", Some("")),
            ("5; url=''", Some("")),
            ("", None),
            ("url=x", None),
            (";url=x", None),
            ("-1;url=x", None),
            ("+1;url=x", None),
            ("x;url=x", None),
            ("5x;url=x", None),
            ("5\u{a0}url=x", None),
        ] {
            assert_eq!(refresh_target(value), target, "{value:?}");
        }
    }

    #[test]
    fn one_refresh_counts_and_the_field_before_all() {
        let at = Url::parse("http://h/a/b").expect("a URL");
        let meta = |value: &str| format!("<meta http-equiv=refresh content='{value}'>");
        let two = read(&format!("{}{}{}", meta("nonsense"), meta("0;url=/1"), meta("0;url=/2")));
        assert_eq!(shown(links(&two, &page(&at))), ["http://h/1"]);
        for (field, expected) in [
            ("0; url=/f", "http://h/f"),
            ("7, 'f#x'", "http://h/a/f"),
            ("0;http://other/", "http://other/"),
            ("nonsense", "http://h/1"),
        ] {
            let context = Context { refresh: Some(field), ..page(&at) };
            assert_eq!(shown(links(&two, &context)), [expected], "{field}");
        }
        // It reloads itself: no other refresh counts, and there is no link.
        let context = Context { refresh: Some("30"), ..page(&at) };
        assert_eq!(links(&two, &context), Links::default());
        let script = Context { refresh: Some("0; url=javascript:x"), ..page(&at) };
        assert_eq!(links(&two, &script), Links::default());
    }

    /// HTML standard §4.12.2: without scripts, what is in `noscript` is content; §4.12.3: what is in
    /// a `template` is not.
    #[test]
    fn it_is_read_as_by_one_without_scripts() {
        for (html, expected) in [
            ("<noscript><a href=x></noscript>", vec!["http://h/x"]),
            ("<head><noscript><link rel=next href=x></noscript>", vec!["http://h/x"]),
            (
                "<noscript><meta http-equiv=refresh content='0;url=x'></noscript>",
                vec!["http://h/x"],
            ),
            (
                "<p><noscript><div><p><a href=x></noscript><a href=y>",
                vec!["http://h/x", "http://h/y"],
            ),
            ("<noscript><noscript></noscript><iframe src=x></iframe>", vec!["http://h/x"]),
            ("<template><a href=x></template><a href=y>", vec!["http://h/y"]),
            ("<template><template></template><a href=x></template>", vec![]),
            ("<div><template shadowrootmode=open><a href=x></template></div>", vec!["http://h/x"]),
            ("<script>'<a href=x>'</script><textarea><a href=x></textarea>", vec![]),
            ("<!-- <a href=x> --><style><a href=x></style>", vec![]),
        ] {
            assert_eq!(links_of("http://h/", html), expected, "{html}");
        }
        let html = read("<noscript><img src=i.png></noscript>");
        let at = Url::parse("http://h/").expect("a URL");
        assert_eq!(shown(assets(&html, &page(&at))), ["http://h/i.png"]);
    }

    /// URL standard §4.4 "query state" and §1.3 "percent-encode after encoding"; bytes by Python's
    /// codecs.
    #[test]
    fn a_query_is_in_the_encoding_of_its_page() {
        for (encoding, reference, expected) in [
            (GBK, "?q=中文", "http://h/?q=%D6%D0%CE%C4"),
            (GBK, "/中?q=中#中", "http://h/%E4%B8%AD?q=%D6%D0"),
            (GBK, "http://other/?中&a=b+c d", "http://other/?%D6%D0&a=b+c%20d"),
            (BIG5, "?q=中文", "http://h/?q=%A4%A4%A4%E5"),
            (SHIFT_JIS, "?q=日本", "http://h/?q=%93%FA%96{"),
            (EUC_JP, "?q=日本", "http://h/?q=%C6%FC%CB%DC"),
            (EUC_KR, "?q=한", "http://h/?q=%C7%D1"),
            (WINDOWS_1251, "?q=да", "http://h/?q=%E4%E0"),
            (mainspring_http::encoding_rs::WINDOWS_1252, "?q=é€", "http://h/?q=%E9%80"),
            (mainspring_http::encoding_rs::WINDOWS_1252, "?q=中é", "http://h/?q=%26%2320013%3B%E9"),
            (ISO_2022_JP, "?q=日x", "http://h/?q=%1B$BF|%1B(Bx"),
            (UTF_16LE, "?q=é", "http://h/?q=%C3%A9"),
            (mainspring_http::encoding_rs::REPLACEMENT, "?q=é", "http://h/?q=%C3%A9"),
            (UTF_8, "?q=中", "http://h/?q=%E4%B8%AD"),
            (GBK, "?q=%E4%B8", "http://h/?q=%E4%B8"),
        ] {
            let at = Url::parse("http://h/").expect("a URL");
            let html = read(&format!("<a href='{reference}'>"));
            let context = Context { encoding, ..page(&at) };
            assert_eq!(shown(links(&html, &context)), [expected], "{}", encoding.name());
            let html = read(&format!("<meta http-equiv=refresh content='0;{reference}'>"));
            assert_eq!(shown(links(&html, &context)), [expected], "{}", encoding.name());
        }
    }

    #[test]
    fn nofollow_is_of_a_page_or_of_a_link() {
        let at = Url::parse("http://h/").expect("a URL");
        let count = |html: &str, nofollow, asks_nofollow| {
            let context = Context { nofollow, asks_nofollow, ..page(&at) };
            let links = links(&read(html), &context);
            (links.urls.len(), links.nofollow)
        };
        let body = "<a href=1></a><a rel='x NoFollow' href=2></a><area rel=nofollow href=3>";
        for (head, asks) in [
            ("<meta name=robots content=nofollow>", true),
            ("<meta name=Robots content='NOINDEX , NoFollow'>", true),
            ("<meta content=none name=robots>", true),
            ("<meta name=mainspring-crawl content=nofollow>", true),
            ("<noscript><meta name=robots content=nofollow></noscript>", true),
            ("<meta name=googlebot content=nofollow>", false),
            ("<meta name=robots content='noindex, follow'>", false),
            ("<meta name=description content=nofollow>", false),
            ("<template><meta name=robots content=nofollow></template>", false),
            ("", false),
        ] {
            let html = format!("{head}{body}");
            let (all, ugc) = ((3, 0), (1, 2));
            let none = (0, 3);
            assert_eq!(count(&html, Nofollow::Pages, false), if asks { none } else { all });
            assert_eq!(count(&html, Nofollow::Links, false), if asks { none } else { ugc });
            assert_eq!(count(&html, Nofollow::Ignore, false), all);
            assert_eq!(count(&html, Nofollow::Pages, true), none);
            assert_eq!(count(&html, Nofollow::Ignore, true), all);
        }
        for (field, asks) in [
            ("nofollow", true),
            ("noindex, NoFollow", true),
            ("none", true),
            ("mainspring-crawl: nofollow", true),
            ("max-snippet: 5, nofollow", true),
            ("nofollow, max-image-preview: large", true),
            ("unavailable_after: 25 Jun 2010 15:00:00 PST, nofollow", true),
            ("otherbot: nofollow", false),
            ("noindex", false),
            ("", false),
        ] {
            assert_eq!(field_asks_nofollow(field), asks, "{field}");
        }
    }

    #[test]
    fn assets_are_all_that_a_page_shows() {
        let html = read(
            "<link rel='stylesheet' href=s.css><link rel='shortcut ICON' href=i.ico>
            <script src=j.js></script><script>inline</script>
            <img src=a.png srcset='a,1.png 1x, b.png 2x,c.png,, d.png'><img src=''>
            <picture><source srcset='e.webp 100w'></picture><img src='data:x'><video poster=p>",
        );
        let at = Url::parse("http://h/x/").expect("a URL");
        let assets = assets(&html, &page(&at));
        assert_eq!(
            assets.urls.iter().map(|url| url.path()).collect::<Vec<_>>(),
            [
                "/x/s.css",
                "/x/i.ico",
                "/x/j.js",
                "/x/a.png",
                "/x/a,1.png",
                "/x/b.png",
                "/x/c.png",
                "/x/d.png",
                "/x/e.webp",
                "/x/p",
            ]
        );
    }

    #[test]
    fn a_page_that_never_ends_its_links_is_cut() {
        let html: String = (0..=MAX_LINKS).map(|n| format!("<a href={n}>")).collect();
        let at = Url::parse("http://h/").expect("a URL");
        let count = |html: &str| {
            let links = links(&read(html), &page(&at));
            (links.urls.len(), links.left_out)
        };
        assert_eq!(count(&html), (MAX_LINKS, 1));
        assert_eq!(count(&format!("<a href={}>", "x".repeat(MAX_URL))), (0, 1));
        assert_eq!(count(&"<img src=a srcset=b>".repeat(3)), (0, 0));
    }
}
