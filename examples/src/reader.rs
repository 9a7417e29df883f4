//! Reads what was fetched: where it leads, and what was selected from it.

use mainspring_http::encoding_rs::UTF_8;
use mainspring_http::take_userinfo;
use scraper::{Html, Selector};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::Answer;
use crate::crawl::listing::{self, Listing};
use crate::extract;
use crate::links::{self, Context, Links, MAX_LINKS, Nofollow};
use crate::xml;

/// How to read pages: on the loop or off it.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// What to select.
    pub select: Option<Selector>,
    /// Which attribute of that, if not its text.
    pub attribute: Option<String>,
    /// Whether images, scripts and style sheets are links too.
    pub assets: bool,
    /// Which `nofollow` is obeyed.
    pub nofollow: Nofollow,
}

/// What was read from a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Read {
    /// How many bytes of its text are left unread.
    #[serde(skip)]
    pub left: usize,
    /// Where it leads.
    pub links: Vec<Url>,
    /// How many links are not to be followed since it asks for that.
    pub nofollow: usize,
    /// What was selected from it.
    pub selected: Vec<String>,
    /// What limits have cut.
    pub cut: Option<String>,
}

impl Reader {
    /// Whether a linked body of this type is of use: it may hold links, is a text, or is of the kind
    /// that pages show and the command line asks for.
    pub fn is_for(&self, content_type: &str) -> bool {
        let kind = content_type.trim_start().to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| kind.contains(part));
        !kind.contains('/')
            || has(&["text/", "html", "xml", "json", "javascript"])
            || (self.assets && has(&["image/", "audio/", "video/", "font"]))
    }

    /// The links of a page, and what was selected from it, in at most so many steps (see
    /// [`extract::MAX_STEPS`]).
    ///
    /// XHTML is read by the rules of XML where it is well-formed, and otherwise as HTML. Sitemaps
    /// and feeds lead to what they list. Whatever it is, it leads where its `Refresh` field says.
    pub fn read(&self, answer: &Answer, max_steps: usize) -> Read {
        let kind = answer.media_type();
        let may_be_html = kind.is_html() || kind.is_xhtml();
        let (mut text, mut encoding) = match kind.is_xml() {
            true => xml::decode(&answer.body, kind.charset.as_deref()),
            false if may_be_html => answer.decoded(),
            false => (String::new(), UTF_8),
        };
        let (mut listing, mut page) = (None, None);
        if (kind.is_xml() && !may_be_html) || text.trim_start().starts_with("<?xml") {
            listing = listing::parse(&text, &answer.url).ok();
        }
        if kind.is_xml() && listing.is_none() {
            page = xml::xhtml(&text, max_steps);
        }
        if page.is_none() && listing.is_none() && may_be_html {
            if kind.is_xml() {
                (text, encoding) = answer.decoded();
            }
            page = Some(extract::html(&text, max_steps));
        }
        let (html, left) = page.unwrap_or_else(|| (Html::new_document(), 0));
        let context = Context {
            page: &answer.url,
            encoding,
            nofollow: self.nofollow,
            refresh: answer.refresh.as_deref(),
            asks_nofollow: answer.asks_nofollow,
        };
        let Links { mut urls, mut left_out, nofollow } = links::links(&html, &context);
        if self.assets {
            let mut assets = links::assets(&html, &context);
            urls.append(&mut assets.urls);
            left_out += assets.left_out;
        }
        let mut cuts = Vec::new();
        if left > 0 {
            let length = text.len();
            cuts.push(format!(
                "its last {left} of {length} bytes are not read: its elements are nested too deep"
            ));
        }
        if let Some(Listing { pages, sitemaps, left_out: more, cut }) = listing {
            urls.extend(pages.into_iter().chain(sitemaps));
            left_out += more + urls.len().saturating_sub(MAX_LINKS);
            urls.truncate(MAX_LINKS);
            cuts.extend(cut);
        }
        if left_out > 0 {
            cuts.push(format!("{left_out} links are too many or too long"));
        }
        // Credentials in a link are the page's, not ours: they are neither sent nor kept.
        urls.iter_mut().for_each(|link| drop(take_userinfo(link)));
        let select = |selector| extract::select(&html, selector, self.attribute.as_deref());
        Read {
            left,
            links: urls,
            nofollow,
            selected: self.select.as_ref().map(select).unwrap_or_default(),
            cut: (!cuts.is_empty()).then(|| cuts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::MAX_STEPS;

    fn answer(content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            url: Url::parse("http://h/d/page").expect("a URL"),
            status: http::StatusCode::OK,
            content_type: content_type.to_owned(),
            refresh: None,
            asks_nofollow: false,
            body: body.into().into(),
        }
    }

    fn links(answer: &Answer) -> Vec<String> {
        let read = Reader::default().read(answer, MAX_STEPS);
        assert_eq!(read.cut, None);
        read.links.iter().map(Url::to_string).collect()
    }

    fn encoded(label: &str, text: &str) -> Vec<u8> {
        let encoding =
            mainspring_http::encoding_rs::Encoding::for_label(label.as_bytes()).expect("a label");
        encoding.encode(text).0.into_owned()
    }

    /// HTML standard, "encoding-parsing a URL": the encoding is that of the document, however it
    /// became known.
    #[test]
    fn links_are_built_in_the_encoding_of_their_page() {
        let link = "<a href='?q=中文'>中文</a>";
        let gbk = "http://h/d/page?q=%D6%D0%CE%C4";
        let utf_8 = "http://h/d/page?q=%E4%B8%AD%E6%96%87";
        let meta = |label: &str| format!("<meta charset={label}>{link}");
        let xml = |label: &str| {
            format!(
                "<?xml version='1.0' encoding='{label}'?>\
                 <html xmlns='http://www.w3.org/1999/xhtml'>{link}</html>"
            )
        };
        for (content_type, body, expected) in [
            ("text/html;charset=gbk", encoded("gbk", link), gbk),
            ("text/html charset=gbk", encoded("gbk", link), gbk),
            ("text/html,text/html;charset=gb2312", encoded("gbk", link), gbk),
            ("text/html", encoded("gbk", &meta("gbk")), gbk),
            ("", encoded("gbk", &meta("'GB2312'")), gbk),
            ("application/xhtml+xml", encoded("gbk", &xml("gbk")), gbk),
            ("application/xhtml+xml;charset=gbk", encoded("gbk", &xml("utf-8")), gbk),
            ("application/xhtml+xml;charset=gbk", encoded("gbk", &meta("gbk")), gbk),
            ("text/html", meta("utf-8").into_bytes(), utf_8),
            ("text/html;charset=utf-8", meta("gbk").into_bytes(), utf_8),
            ("application/xhtml+xml", xml("utf-8").into_bytes(), utf_8),
            ("text/html", link.as_bytes().to_vec(), utf_8),
            ("text/html;charset=big5", encoded("big5", link), "http://h/d/page?q=%A4%A4%A4%E5"),
            (
                "text/html;charset=utf-16le",
                link.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                utf_8,
            ),
        ] {
            assert_eq!(links(&answer(content_type, body)), [expected], "{content_type}");
        }
    }

    #[test]
    fn the_type_says_by_which_rules_a_page_is_read() {
        let html = "<p><a href=x>x<br></p>";
        let xhtml = "<html xmlns='http://www.w3.org/1999/xhtml'><title/><a href='x'/></html>";
        let feed = "<rss><channel><item><link>x</link></item></channel></rss>";
        let declared = format!("<?xml version='1.0'?>{feed}");
        let sitemap = "<urlset><url><loc>x</loc></url></urlset>";
        for (content_type, body, is_read) in [
            ("text/html", html, true),
            ("", html, true),
            ("text/html,text/html", html, true),
            ("Text/HTML charset=utf-8", html, true),
            ("unknown/unknown", html, true),
            ("text/plain", html, false),
            ("text/html, text/plain", html, false),
            ("application/json", html, false),
            ("application/xhtml+xml", xhtml, true),
            ("application/xhtml+xml", html, true),
            // By the rules of HTML, a title goes on until it ends.
            ("text/html", xhtml, false),
            ("text/xml", xhtml, true),
            ("text/xml", html, false),
            ("application/rss+xml", feed, true),
            ("application/xml; charset=utf-8", feed, true),
            ("text/html", &declared, true),
            ("text/xml", sitemap, true),
            ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'><a href='x'/></svg>", false),
        ] {
            let found = links(&answer(content_type, body));
            let expected: &[&str] = if is_read { &["http://h/d/x"] } else { &[] };
            assert_eq!(found, expected, "{content_type}: {body}");
        }
    }

    #[test]
    fn a_refresh_field_leads_on_from_whatever_it_comes_with() {
        for content_type in ["text/html", "text/plain", "application/xhtml+xml", "image/png"] {
            let answer = Answer {
                refresh: Some("0; url=/next".to_owned()),
                ..answer(content_type, "<a href=x>")
            };
            assert_eq!(links(&answer)[0], "http://h/next", "{content_type}");
        }
    }

    #[test]
    fn what_is_cut_is_told_with_how_much() {
        let cut = |content_type: &str, body: String, max_steps| {
            let read = Reader::default().read(&answer(content_type, body), max_steps);
            (read.links.len(), read.left, read.cut.unwrap_or_default())
        };
        let deep = format!("<a href=x>{}<a href=y>", "<div>".repeat(5_000));
        assert_eq!(cut("text/html", deep.clone(), MAX_STEPS), (2, 0, String::new()));
        let (found, left, told) = cut("text/html", deep.clone(), 1_000_000);
        let expected = format!(
            "its last {left} of {} bytes are not read: its elements are nested too deep",
            deep.len()
        );
        assert_eq!((found, told), (1, expected));
        let many: String = (0..10_007).map(|n| format!("<a href={n}>")).collect();
        let told = "7 links are too many or too long".to_owned();
        assert_eq!(cut("text/html", many, MAX_STEPS), (10_000, 0, told.clone()));
        let many: String = (0..10_007).map(|n| format!("<url><loc>/{n}</loc></url>")).collect();
        let many = format!("<urlset>{many}</urlset>");
        assert_eq!(cut("text/xml", many, MAX_STEPS), (10_000, 0, told));
        let (found, _, told) =
            cut("text/xml", "<urlset><url><loc>/x</loc></url>".into(), MAX_STEPS);
        let broken = "it is no XML from about byte 32 of 32 on: it ends too early";
        assert_eq!((found, &*told), (1, broken));
    }
}
