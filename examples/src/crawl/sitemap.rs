//! Sitemaps: lists of pages that a site publishes for crawlers (the protocol of sitemaps.org).

use scraper::{Html, Selector};
use url::Url;

use crate::text::Printable;
use crate::web::Web;

/// How many sitemaps one index may lead to; the protocol's own bound is higher and never reached.
pub const MAX_SITEMAPS: usize = 500;

/// What one sitemap lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<Url>,
    /// Further sitemaps, if it is an index.
    pub sitemaps: Vec<Url>,
}

/// Fetches a sitemap and, if it is an index, those it names, up to `most` pages.
///
/// # Errors
/// One sentence: which sitemap could not be had, and why.
pub async fn read(web: &Web, url: &Url, most: usize) -> Result<Vec<Url>, String> {
    let mut pages = Vec::new();
    let mut to_read = vec![url.clone()];
    let mut next = 0;
    while let Some(url) = to_read.get(next).cloned()
        && pages.len() < most
    {
        next += 1;
        let answer = web.get(&url).await.map_err(|miss| {
            format!("cannot read the sitemap {}: {miss}", Printable(url.as_str()))
        })?;
        let sitemap = parse(&answer.text(), &answer.url);
        pages.extend(sitemap.pages);
        for url in sitemap.sitemaps {
            if to_read.len() < MAX_SITEMAPS && !to_read.contains(&url) {
                to_read.push(url);
            }
        }
    }
    pages.truncate(most);
    Ok(pages)
}

/// Reads a sitemap in XML, or one that is plain text with an address in each line.
///
/// The XML is read by the HTML parser, which takes any: of all that a sitemap may say, only `loc`
/// matters, and an element by that name means the same to both.
#[must_use]
pub fn parse(text: &str, base: &Url) -> Sitemap {
    let address = |text: &str| base.join(text.trim()).ok().filter(|url| url.has_host());
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        let pages = text.lines().filter(|line| line.contains("://")).filter_map(address).collect();
        return Sitemap { pages, sitemaps: Vec::new() };
    }
    let html = Html::parse_document(text);
    let all = |css: &str| -> Vec<Url> {
        let selector = Selector::parse(css).expect("a selector written here");
        let texts = html.select(&selector).map(|element| element.text().collect::<String>());
        texts.filter_map(|text| address(&text)).collect()
    };
    Sitemap { pages: all("url loc"), sitemaps: all("sitemap loc") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let sitemap = parse(text, &Url::parse("http://h/sitemap.xml").expect("a URL"));
        let texts = |urls: Vec<Url>| urls.iter().map(Url::to_string).collect();
        (texts(sitemap.pages), texts(sitemap.sitemaps))
    }

    #[test]
    fn pages_and_further_sitemaps_are_told_apart() {
        let list = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n\
            <url><loc> http://h/a?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod></url>\n\
            <url><xhtml:link rel=\"alternate\" href=\"http://h/de\"/><loc>http://h/b</loc>\
            <image:image><image:loc>http://h/i.png</image:loc></image:image></url>\n</urlset>";
        assert_eq!(parsed(list), (vec!["http://h/a?x=1&y=2".into(), "http://h/b".into()], vec![]));
        let index = "<sitemapindex><sitemap><loc>http://h/1.xml</loc></sitemap></sitemapindex>";
        assert_eq!(parsed(index), (vec![], vec!["http://h/1.xml".into()]));
    }

    #[test]
    fn plain_text_is_a_list_of_addresses() {
        assert_eq!(
            parsed("http://h/a\r\n\r\nhttp://h/b\nnonsense"),
            (vec!["http://h/a".into(), "http://h/b".into()], vec![])
        );
        assert_eq!(parsed(""), (vec![], vec![]));
    }
}
