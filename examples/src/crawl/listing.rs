//! What a sitemap or a feed lists: sitemaps in XML and as plain text (the protocol of sitemaps.org),
//! RSS of every version, and Atom (RFC 4287).

use std::rc::Rc;

use html5ever::{Attribute, Namespace, QualName, ns};
use url::Url;

use crate::links::MAX_URL;
use crate::text::shortened;
use crate::xml::{Part, Parts};

/// The namespace of Atom, some of whose elements other feeds use.
const ATOM: &str = "http://www.w3.org/2005/Atom";

/// What a sitemap or a feed lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Pages.
    pub pages: Vec<Url>,
    /// Further lists: those that an index names, and the next part of a feed (RFC 5005 §3).
    pub sitemaps: Vec<Url>,
    /// How many of them were left out since they are no address of http or https, or too long.
    pub left_out: usize,
    /// What is missing of it, and why.
    pub cut: Option<String>,
}

/// Reads a list that was found at this address, and tells by what it holds which kind it is. Of one
/// that is not well-formed, all in front of the mistake counts.
///
/// Images, videos and translations that belong to a page are no pages of the list.
///
/// # Errors
/// Half a sentence: it is no list.
pub fn parse(text: &str, at: &Url) -> Result<Listing, String> {
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        return Reader::default().read(text, at);
    }
    let mut listing = Listing::default();
    let lines = text.split(['\n', '\r']).map(|line| line.trim_start_matches('\u{feff}').trim());
    for line in lines {
        if line.contains("://") {
            listing.add(Kind::Page, Url::parse(line).ok());
        }
    }
    Ok(listing)
}

/// What an entry of a list is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Sitemap,
}

impl Listing {
    fn add(&mut self, kind: Kind, url: Option<Url>) {
        match (url.filter(is_web), kind) {
            (Some(url), Kind::Page) => self.pages.push(url),
            (Some(url), Kind::Sitemap) => self.sitemaps.push(url),
            (None, _) => self.left_out += 1,
        }
    }
}

/// Reads a list in XML.
#[derive(Default)]
struct Reader {
    listing: Listing,
    /// The elements that are open, and what relative addresses in each are relative to.
    open: Vec<(QualName, Rc<Url>)>,
    /// The text of the innermost one, as far as it can be an address.
    text: String,
    /// Whether the `guid` that is open may be the address of its item.
    is_permalink: bool,
    /// The address of the item that is open, if it has no link, and whether it has one.
    guid: Option<Url>,
    has_link: bool,
}

impl Reader {
    fn read(mut self, text: &str, at: &Url) -> Result<Listing, String> {
        let at = Rc::new(at.clone());
        let mut parts = Parts::of(text);
        loop {
            match parts.next_part() {
                Ok(Some(Part::Open(name, _))) if self.open.is_empty() && !is_list(&name) => {
                    let name = shortened(&name.local, 40);
                    return Err(format!("it is no sitemap and no feed: it begins with <{name}>"));
                }
                Ok(Some(Part::Open(name, attributes))) => self.begin(name, &attributes, &at),
                Ok(Some(Part::Text(text))) if self.text.len() <= MAX_URL => {
                    self.text.push_str(&text);
                }
                Ok(Some(Part::Text(_))) => {}
                Ok(Some(Part::Close)) => self.end(),
                Ok(None) => return Ok(self.listing),
                Err(reason) if self.open.is_empty() => return Err(reason),
                Err(reason) => return Ok(Listing { cut: Some(reason), ..self.listing }),
            }
        }
    }

    fn begin(&mut self, name: QualName, attributes: &[Attribute], at: &Rc<Url>) {
        let get = |of: Namespace, local: &str| {
            let found = attributes.iter().find(|a| a.name.ns == of && &*a.name.local == local);
            found.map(|attribute| &*attribute.value)
        };
        let outer = self.open.last().map_or(at, |(_, base)| base);
        let base = get(ns!(xml), "base").and_then(|base| outer.join(base).ok());
        let base = base.map_or_else(|| outer.clone(), Rc::new);
        let parent = self.open.last().map(|(parent, _)| parent);
        if let Some(parent) = parent.filter(|_| &*name.local == "link")
            && (parent.ns == name.ns || &*name.ns == ATOM)
            && let Some(href) = get(ns!(), "href")
        {
            let rel = get(ns!(), "rel").unwrap_or("alternate").trim();
            let kind = match (&*parent.local, rel.rsplit('/').next()) {
                ("entry" | "item", Some("alternate")) => Some(Kind::Page),
                ("feed" | "channel", Some("next")) => Some(Kind::Sitemap),
                _ => None,
            };
            if let Some(kind) = kind {
                self.listing.add(kind, base.join(href).ok());
                self.has_link |= kind == Kind::Page;
            }
        }
        self.is_permalink = get(ns!(), "isPermaLink").is_none_or(|is| is.trim() != "false");
        self.text.clear();
        self.open.push((name, base));
    }

    fn end(&mut self) {
        let Some((name, base)) = self.open.pop() else { return };
        let text = std::mem::take(&mut self.text);
        let (text, parent) = (text.trim(), self.open.last().map(|(parent, _)| parent));
        let kind = match (parent.filter(|parent| parent.ns == name.ns), &*name.local) {
            (Some(parent), "loc") if &*parent.local == "url" => Kind::Page,
            (Some(parent), "loc") if &*parent.local == "sitemap" => Kind::Sitemap,
            (Some(parent), "link") if &*parent.local == "item" && !text.is_empty() => {
                self.has_link = true;
                Kind::Page
            }
            (Some(parent), "guid") if &*parent.local == "item" && self.is_permalink => {
                self.guid = Url::parse(text).ok();
                return;
            }
            (_, "item") => {
                let guid = self.guid.take().filter(|_| !self.has_link);
                self.listing.pages.extend(guid.filter(is_web));
                self.has_link = false;
                return;
            }
            _ => return,
        };
        let url = (!text.is_empty()).then(|| base.join(text).ok()).flatten();
        self.listing.add(kind, url);
    }
}

/// Whether a document that begins like this is a list.
fn is_list(name: &QualName) -> bool {
    matches!(&*name.local, "urlset" | "sitemapindex" | "rss" | "RDF" | "feed")
}

/// Whether an address can be followed.
fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.as_str().len() <= MAX_URL
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITEMAP: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

    fn parsed(text: &str) -> Listing {
        let at = Url::parse("http://h/d/sitemap.xml").expect("a URL");
        parse(text, &at).expect("it is a list")
    }

    fn pages(text: &str) -> Vec<String> {
        let listing = parsed(text);
        assert_eq!((listing.sitemaps.len(), &listing.cut), (0, &None), "{text}");
        listing.pages.iter().map(Url::to_string).collect()
    }

    fn sitemaps(text: &str) -> Vec<String> {
        let listing = parsed(text);
        assert_eq!((listing.pages.len(), &listing.cut), (0, &None), "{text}");
        listing.sitemaps.iter().map(Url::to_string).collect()
    }

    /// The protocol of sitemaps.org; XML 1.0 and Namespaces in XML 1.0.
    #[test]
    fn a_sitemap_is_xml() {
        for (inner, expected) in [
            ("<url><loc>http://h/a</loc></url>", "http://h/a"),
            ("<url><loc> \n http://h/a\t</loc></url>", "http://h/a"),
            ("<url><loc>http://h/?x=1&amp;y=2</loc></url>", "http://h/?x=1&y=2"),
            ("<url><loc>http://h/?x=1&#38;y=&#x32;</loc></url>", "http://h/?x=1&y=2"),
            ("<url><loc>http://h/?&lt;&gt;&apos;&quot;</loc></url>", "http://h/?%3C%3E%27%22"),
            ("<url><loc>http://h/?x=1&y=2</loc></url>", "http://h/?x=1&y=2"),
            ("<url><loc>http://h/?x=1&y;=2</loc></url>", "http://h/?x=1&y;=2"),
            ("<url><loc><![CDATA[http://h/?x=1&y=2]]></loc></url>", "http://h/?x=1&y=2"),
            ("<url><loc>http://<![CDATA[h/]]>a&amp;<![CDATA[b]]></loc></url>", "http://h/a&b"),
            ("<url><loc>http://h/<!-- no -->a<?pi?></loc></url>", "http://h/a"),
            ("<url><loc>http://h/日本</loc></url>", "http://h/%E6%97%A5%E6%9C%AC"),
            ("<url><lastmod>2026</lastmod><loc>/a</loc></url>", "http://h/a"),
            ("<!-- <url><loc>http://no/</loc></url> --><url><loc>a</loc></url>", "http://h/d/a"),
            (
                "<url><image:image xmlns:image='i'><image:loc>http://h/i.png</image:loc>\
                 </image:image><loc>a</loc></url>",
                "http://h/d/a",
            ),
            (
                // A prefix that was never declared is common, and tells the same.
                "<url><loc>a</loc><video:video><video:loc>http://h/v</video:loc>\
                 <video:player_loc>http://h/p</video:player_loc></video:video></url>",
                "http://h/d/a",
            ),
            ("<url><loc>a</loc><image:loc xmlns:image='i'>b</image:loc></url>", "http://h/d/a"),
            (
                "<url><loc>a</loc><xhtml:link rel='alternate' hreflang='de' href='http://h/de'/></url>",
                "http://h/d/a",
            ),
            ("<url><loc>a</loc><url xmlns='x'><loc xmlns='y'>b</loc></url></url>", "http://h/d/a"),
        ] {
            for (head, root) in [
                ("", "<urlset>"),
                ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<urlset>"),
                ("\u{feff}<?xml version='1.0'?>", "<urlset>"),
                (" \r\n\n<?xml version='1.0'?>\n<!-- by hand -->", "<urlset>"),
                ("<!DOCTYPE urlset>", "<urlset >"),
            ] {
                for namespace in ["", SITEMAP, "http://www.google.com/schemas/sitemap/0.84"] {
                    let root = match namespace {
                        "" => root.to_owned(),
                        of => root.replace("urlset", &format!("urlset xmlns='{of}'")),
                    };
                    let text = format!("{head}{root}{inner}</urlset>\n");
                    assert_eq!(pages(&text), [expected], "{text}");
                }
            }
        }
    }

    #[test]
    fn names_are_told_apart_by_namespace_and_not_by_prefix() {
        let prefixed = format!(
            "<s:urlset xmlns:s='{SITEMAP}' xmlns='http://other/'><s:url><loc>no</loc>\
             <s:loc>a</s:loc></s:url><url><loc>/of/another</loc></url></s:urlset>"
        );
        assert_eq!(pages(&prefixed), ["http://h/d/a", "http://h/of/another"]);
        let two = format!(
            "<urlset xmlns='{SITEMAP}' xmlns:x='{SITEMAP}'><x:url><loc>a</loc></x:url></urlset>"
        );
        assert_eq!(pages(&two), ["http://h/d/a"]);
        assert_eq!(pages("<x:urlset><x:url><x:loc>a</x:loc></x:url></x:urlset>"), ["http://h/d/a"]);
        let images = format!(
            "<urlset xmlns='{SITEMAP}' xmlns:i='http://www.google.com/schemas/sitemap-image/1.1'>\
             <url><i:image><i:loc>x.png</i:loc></i:image><loc>a</loc></url></urlset>"
        );
        assert_eq!(pages(&images), ["http://h/d/a"]);
    }

    #[test]
    fn an_index_may_list_indexes() {
        let of = |inner: &str| format!("<sitemapindex xmlns='{SITEMAP}'>{inner}</sitemapindex>");
        for (inner, expected) in [
            ("<sitemap><loc>http://h/1.xml</loc></sitemap>", vec!["http://h/1.xml"]),
            (
                "<sitemap><lastmod/><loc><![CDATA[1.xml.gz]]></loc></sitemap>\
                 <sitemap><loc>//g/index.xml</loc></sitemap>",
                vec!["http://h/d/1.xml.gz", "http://g/index.xml"],
            ),
            ("", vec![]),
        ] {
            assert_eq!(sitemaps(&of(inner)), expected);
        }
    }

    /// RSS 2.0, RSS 1.0 and 0.9x, Atom (RFC 4287) with its paging (RFC 5005), and Atom in RSS.
    #[test]
    fn a_feed_lists_what_its_items_link_to() {
        for (feed, expected) in [
            (
                "<rss><channel><link>http://h/home</link><item><link>/a</link></item></channel></rss>",
                "http://h/a",
            ),
            (
                "<rss version='2.0'><channel><item><link>\n<![CDATA[/a?x&y]]>\n</link></item></channel></rss>",
                "http://h/a?x&y",
            ),
            (
                "<rss><channel><image><link>/i</link></image><item><link>/a</link><guid>http://h/g</guid></item></channel></rss>",
                "http://h/a",
            ),
            ("<rss><channel><item><guid>http://h/g</guid></item></channel></rss>", "http://h/g"),
            (
                "<rss><channel><item><guid isPermaLink='true'>http://h/g</guid><link/></item></channel></rss>",
                "http://h/g",
            ),
            (
                "<rss><channel><item><guid isPermaLink='false'>http://h/g</guid><link>/a</link></item></channel></rss>",
                "http://h/a",
            ),
            (
                "<rss xmlns:a='http://www.w3.org/2005/Atom'><channel><a:link rel='self' href='/f'/><item><a:link href='/a'/></item></channel></rss>",
                "http://h/a",
            ),
            (
                "<rss xmlns:m='http://search.yahoo.com/mrss/'><channel><item><m:content url='/m'/><m:link>/n</m:link><link>/a</link><enclosure url='/e.mp3'/></item></channel></rss>",
                "http://h/a",
            ),
            (
                "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'><channel rdf:about='/x'><link>/home</link></channel><item rdf:about='/a'><link>/a</link></item></rdf:RDF>",
                "http://h/a",
            ),
            (
                "<feed xmlns='http://www.w3.org/2005/Atom'><link href='/home'/><entry><link href='/a'/></entry></feed>",
                "http://h/a",
            ),
            (
                "<feed xmlns='http://www.w3.org/2005/Atom'><entry><link rel='edit' href='/e'/><link rel='enclosure' href='/f'/><link rel='alternate' href='/a?x=1&amp;y'/></entry></feed>",
                "http://h/a?x=1&y",
            ),
            (
                "<a:feed xmlns:a='http://www.w3.org/2005/Atom'><a:entry><a:link href='/a'/><a:source><a:link href='/s'/></a:source></a:entry></a:feed>",
                "http://h/a",
            ),
            (
                "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='http://b/x/'><entry xml:base='y/'><link href='a'/></entry></feed>",
                "http://b/x/y/a",
            ),
            (
                "<feed xmlns='http://purl.org/atom/ns#'><entry><link rel='alternate' type='text/html' href='a'/></entry></feed>",
                "http://h/d/a",
            ),
            (
                "<feed xmlns='http://www.w3.org/2005/Atom'><entry><content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><link href='/no'/></div></content><link href='/a'/></entry></feed>",
                "http://h/a",
            ),
        ] {
            assert_eq!(pages(feed), [expected], "{feed}");
        }
        let paged = "<feed xmlns='http://www.w3.org/2005/Atom'><link rel='next' href='?p=2'/>\
            <entry><link href='/a'/></entry></feed>";
        let listing = parsed(paged);
        let shown = |urls: &[Url]| urls.iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&listing.pages), ["http://h/a"]);
        assert_eq!(shown(&listing.sitemaps), ["http://h/d/sitemap.xml?p=2"]);
    }

    /// XML 1.0 §4: what a document defines is replaced, what stands elsewhere is not fetched, and
    /// neither time nor memory are for the document to spend.
    #[test]
    fn entities_are_replaced_within_bounds() {
        let of = |dtd: &str, loc: &str| {
            format!("<!DOCTYPE urlset [{dtd}]><urlset><url><loc>{loc}</loc></url></urlset>")
        };
        for (dtd, loc, expected) in [
            ("<!ENTITY h 'http://h/e'>", "&h;/a", "http://h/e/a"),
            ("<!ENTITY h \"http://h\"><!ENTITY p '&h;/p'>", "&p;?a&amp;b", "http://h/p?a&b"),
            ("<!ENTITY a '1'><!ENTITY a '2'>", "/&a;", "http://h/1"),
            ("<!ENTITY % p 'x'><!ENTITY e '&#x41;&#38;'>", "/&e;", "http://h/A&"),
            ("<!ENTITY e SYSTEM 'file:///etc/passwd'>", "/&e;", "http://h/&e;"),
            ("<!ENTITY e '&e;'>", "/&e;", "http://h/&e;"),
            ("", "/&eacute;", "http://h/%C3%A9"),
        ] {
            assert_eq!(pages(&of(dtd, loc)), [expected], "{dtd}");
        }
        let mut laughs = "<!ENTITY a0 'ha'>".to_owned();
        for n in 1..99 {
            laughs += &format!("<!ENTITY a{n} '{}'>", format!("&a{};", n - 1).repeat(10));
        }
        let listing = parsed(&of(&laughs, "http://h/&a98;"));
        assert_eq!(listing.pages.len() + listing.left_out, 1);
        let long = "x".repeat(1_000);
        let text = of(&format!("<!ENTITY x '{long}'>"), &"&x;".repeat(100_000));
        let cut = parsed(&text).cut.expect("it is cut");
        assert!(cut.ends_with("its entities expand to more than 1048576 bytes"), "{cut}");
    }

    #[test]
    fn what_is_not_well_formed_counts_as_far_as_it_is() {
        let whole = "<urlset><url><loc>/a</loc></url><url><loc>/b</loc></url></urlset>";
        let (first, second) =
            (whole.find("/a</loc>").expect("it") + 8, whole.find("/b</loc>").expect("it") + 8);
        for end in 0..whole.len() {
            match parse(&whole[..end], &Url::parse("http://h/").expect("a URL")) {
                Err(reason) => assert!(end <= first && !reason.is_empty(), "{reason}"),
                Ok(listing) => {
                    let expected = usize::from(end >= first) + usize::from(end >= second);
                    assert_eq!(listing.pages.len(), expected, "cut at {end}");
                    assert_eq!(listing.cut.is_none(), end == 0, "cut at {end}");
                }
            }
        }
        for (inner, why) in [
            ("</url>", "byte 38 of 47 on: "),
            ("<url><loc>/b</url>", "byte"),
            ("<url a=b/>", "byte"),
            ("<url a/>", "byte"),
            ("&#0;", "byte"),
            ("&#xFFFFFFFF;", "byte"),
            ("<url", "byte"),
            ("<![CDATA[", "byte"),
            ("<!-- ", "byte"),
            ("<url xmlns:xml='x'>", "byte"),
        ] {
            let listing = parsed(&format!("<urlset><url><loc>/a</loc></url>{inner}</urlset>"));
            assert_eq!(listing.pages.len(), 1, "{inner}");
            let cut = listing.cut.expect("it is cut");
            assert!(cut.starts_with("it is no XML from about ") && cut.contains(why), "{cut}");
        }
    }

    #[test]
    fn what_lists_nothing_is_no_list() {
        let at = Url::parse("http://h/").expect("a URL");
        for (text, begins) in [
            ("<html><body>404</body></html>", "html"),
            ("<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
            ("<x:opml/>", "opml"),
            ("<URLSET/>", "URLSET"),
        ] {
            let reason = parse(text, &at).expect_err("it is none");
            assert_eq!(reason, format!("it is no sitemap and no feed: it begins with <{begins}>"));
        }
        for text in
            ["<", "<!-- x -->", "<?xml version='1.0'?>", "<>", "<!doctype html><html lang=en>"]
        {
            parse(text, &at).expect_err("it is none");
        }
    }

    #[test]
    fn what_is_no_address_is_counted() {
        let listing = parsed(&format!(
            "<urlset><url><loc>ftp://h/</loc></url><url><loc>http://[</loc></url><url><loc/></url>\
             <url><loc>/{}</loc></url><url><loc>/a</loc></url></urlset>",
            "x".repeat(9_000)
        ));
        assert_eq!((listing.pages.len(), listing.left_out), (1, 4));
    }

    #[test]
    fn plain_text_is_a_list_of_addresses() {
        for (text, expected) in [
            ("http://h/a\r\n\r\nhttp://h/b\nnonsense", vec!["http://h/a", "http://h/b"]),
            ("\u{feff}http://h/a", vec!["http://h/a"]),
            ("  http://h/a \t\r\rhttps://h/b?x=1&y=2", vec!["http://h/a", "https://h/b?x=1&y=2"]),
            ("\u{feff}\nhttp://h/日\n\u{feff}http://h/b", vec!["http://h/%E6%97%A5", "http://h/b"]),
            ("ftp://h/x\nhttp://h/a", vec!["http://h/a"]),
            ("", vec![]),
        ] {
            assert_eq!(pages(text), expected, "{text:?}");
        }
    }

    #[test]
    fn hostile_depth_and_names_cost_no_more_than_their_size() {
        for text in [
            "<urlset>".to_owned() + &"<a>".repeat(200_000),
            "<urlset>".to_owned() + &"<a xmlns:b='c'>".repeat(50_000),
            format!(
                "<urlset {}/>",
                (0..9_000).map(|n| format!("xmlns:a{n}='b' ")).collect::<String>()
            ),
            format!("<urlset {}/>", (0..200_000).map(|n| format!("a{n}='b' ")).collect::<String>()),
        ] {
            let listing = parse(&text, &Url::parse("http://h/").expect("a URL"));
            assert!(listing.map_or(true, |listing| listing.pages.is_empty()));
        }
    }
}
