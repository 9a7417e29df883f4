//! What a page says: its links, what a CSS selector finds, and the movie on a detail page.

use std::sync::LazyLock;

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use scraper::{ElementRef, Html, HtmlTreeSink, Selector};
use url::Url;

use crate::site::movies::Movie;

/// The most links that are taken from one page; a page with more is a trap or a mistake.
pub const MAX_LINKS: usize = 10_000;

/// The longest URL that is followed, in bytes: a page that links to itself with an ever longer
/// query must end somewhere.
pub const MAX_URL: usize = 4 * 1024;

/// How many steps the reading of one page may take; what comes after them is not read.
///
/// For every element that begins, HTML has all open ones looked through, so that the steps are about
/// the elements times how deep they are nested. Nine thousand nested elements take most of them; a page
/// of a megabyte that is nothing but nested elements would keep a processor busy for hours.
pub const MAX_STEPS: usize = 50_000_000;

/// How much of a page is read between two looks at how deep it is, in bytes.
const PIECE: usize = 4 * 1024;

/// Reads a page of HTML; says whether that is all of it, or so many steps have cut it: see
/// [`MAX_STEPS`].
#[must_use]
pub fn html(text: &str, max_steps: usize) -> (Html, bool) {
    let (mut nodes, mut steps) = (0, 0);
    let sink = HtmlTreeSink::new(Html::new_document());
    let mut parser = parse_document(sink, ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        let end = (0..=PIECE.min(rest.len())).rev().find(|&end| rest.is_char_boundary(end));
        let (piece, after) = rest.split_at(end.unwrap_or_default());
        parser.process(StrTendril::from(piece));
        rest = after;
        // The latest node is inside of all the elements that are open, or nearly all.
        let tree = &parser.tokenizer.sink.sink.0.borrow().tree;
        let depth = tree.nodes().next_back().map_or(0, |node| node.ancestors().count());
        let now = tree.values().len();
        steps += (now - nodes) * depth;
        nodes = now;
        if steps > max_steps {
            break;
        }
    }
    (parser.finish(), rest.is_empty())
}

/// A selector of ours, which is known to be one.
fn ours(css: &str) -> Selector {
    Selector::parse(css).expect("a selector written here")
}

/// The pages that a document links to, in order, without repeating neighbours or fragments.
///
/// Taken are `a`, `area`, `iframe` and `frame`, `link` with `rel` next or prev, and where a page
/// says that it goes on by itself (`meta http-equiv=refresh`). Relative links
/// are resolved against `<base href>`, or else against the page's own address. Anything but http
/// and https is left out.
///
/// Also says how many links were left out because they are too long ([`MAX_URL`]) or too many
/// ([`MAX_LINKS`]).
#[must_use]
pub fn links(html: &Html, page: &Url) -> (Vec<Url>, usize) {
    static LINKS: LazyLock<Selector> = LazyLock::new(|| {
        ours(
            "a[href], area[href], iframe[src], frame[src], \
             link[rel~=next][href], link[rel~=prev][href], meta[http-equiv=refresh i][content]",
        )
    });
    let base = base(html, page);
    let (mut links, mut left_out): (Vec<Url>, usize) = (Vec::new(), 0);
    for element in html.select(&LINKS) {
        let refresh = || element.attr("content").and_then(refresh_target);
        let reference = element.attr("href").or_else(|| element.attr("src")).or_else(refresh);
        let Some(href) = reference else { continue };
        let Ok(mut link) = base.join(href.trim()) else {
            continue;
        };
        link.set_fragment(None);
        if !matches!(link.scheme(), "http" | "https") || links.last() == Some(&link) {
            continue;
        }
        if link.as_str().len() <= MAX_URL && links.len() < MAX_LINKS {
            links.push(link);
        } else {
            left_out += 1;
        }
    }
    (links, left_out)
}

/// Where `5; url=/next` leads: `None` for a page that only reloads itself.
fn refresh_target(content: &str) -> Option<&str> {
    let (_, target) = content.split_once([';', ','])?;
    let (name, target) = target.split_once('=')?;
    let target = target.trim().trim_matches(['\'', '"']);
    name.trim().eq_ignore_ascii_case("url").then_some(target)
}

/// What a document shows or runs: images, `srcset` candidates included, scripts, style sheets,
/// icons; and how many were left out, as with [`links`].
#[must_use]
pub fn assets(html: &Html, page: &Url) -> (Vec<Url>, usize) {
    static ASSETS: LazyLock<Selector> = LazyLock::new(|| {
        ours("img, source, video, audio, script[src], link[rel~=stylesheet], link[rel~=icon]")
    });
    let base = base(html, page);
    let (mut assets, mut left_out): (Vec<Url>, usize) = (Vec::new(), 0);
    for element in html.select(&ASSETS) {
        let srcset = element.attr("srcset").map(candidates).unwrap_or_default();
        let own = ["src", "href", "poster"].into_iter().filter_map(|name| element.attr(name));
        for reference in own.chain(srcset) {
            let Ok(asset) = base.join(reference.trim()) else { continue };
            if !matches!(asset.scheme(), "http" | "https") {
                continue;
            }
            if asset.as_str().len() <= MAX_URL && assets.len() < MAX_LINKS {
                assets.push(asset);
            } else {
                left_out += 1;
            }
        }
    }
    (assets, left_out)
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

/// What relative links of a document are relative to.
fn base(html: &Html, page: &Url) -> Url {
    static BASE: LazyLock<Selector> = LazyLock::new(|| ours("base[href]"));
    let href = html.select(&BASE).next().and_then(|base| base.attr("href"));
    href.and_then(|href| page.join(href.trim()).ok()).unwrap_or_else(|| page.clone())
}

/// What `selector` finds, in document order: the text of each element with runs of white space made
/// one space, or the value of an attribute where one is asked for and the element has it.
#[must_use]
pub fn select(html: &Html, selector: &Selector, attribute: Option<&str>) -> Vec<String> {
    let elements = html.select(selector);
    match attribute {
        None => elements.map(text).collect(),
        Some(name) => elements.filter_map(|e| e.attr(name)).map(str::to_owned).collect(),
    }
}

/// The text of an element as a reader sees it, on one line.
fn text(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    for piece in element.text() {
        for word in piece.split_inclusive(char::is_whitespace) {
            let (word, space) = match word.strip_suffix(char::is_whitespace) {
                Some(word) => (word, true),
                None => (word, false),
            };
            text.push_str(word);
            if space && !text.is_empty() && !text.ends_with(' ') {
                text.push(' ');
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The pages that the demo's crawl goes on to from a front or list page: movies first, then the
/// lists at its foot.
#[must_use]
pub fn demo_links(html: &Html, page: &Url) -> Vec<Url> {
    static LINKS: LazyLock<Selector> =
        LazyLock::new(|| ours("ol.movies a.title[href], nav.pages a[href]"));
    let hrefs = html.select(&LINKS).filter_map(|link| link.attr("href"));
    hrefs.filter_map(|href| page.join(href).ok()).collect()
}

/// The movie on a detail page of the demo site.
///
/// # Errors
/// Names what the page lacks.
pub fn movie(html: &Html) -> Result<Movie, String> {
    static PARTS: LazyLock<[Selector; 6]> = LazyLock::new(|| {
        ["article.movie", "h1.title", ".director", ".year", ".score", "p.inq"].map(ours)
    });
    let [article, title, director, year, score, inq] = &*PARTS;
    let article = html.select(article).next().ok_or("the page holds no movie")?;
    let find = |selector| article.select(selector).next().map(text);
    let need = |selector, what| find(selector).ok_or_else(|| format!("the movie has no {what}"));
    let bad = |what: &str| format!("the movie's {what} is not a number");
    Ok(Movie {
        id: article.attr("data-id").and_then(|id| id.parse().ok()).ok_or_else(|| bad("id"))?,
        title: need(title, "title")?,
        director: need(director, "director")?,
        year: need(year, "year")?.parse().map_err(|_| bad("year"))?,
        score: need(score, "score")?.parse().map_err(|_| bad("score"))?,
        description: find(inq),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::pages;

    fn links_of(page: &str, html: &str) -> Vec<String> {
        let page = Url::parse(page).expect("a URL");
        links(&Html::parse_document(html), &page).0.iter().map(Url::to_string).collect()
    }

    #[test]
    fn links_are_resolved_in_order() {
        let html = "<link rel='up next' href=n><link rel=stylesheet href=s.css>
            <a href=' b '>b</a><a href='b#x'>again</a><a href='?q=1'>q</a><a>none</a>
            <a href='//other/x'>o</a><a href='mailto:a@b'>m</a><a href='http://['>bad</a>
            <map><area href='/z'></map><iframe src=f></iframe>
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
                "http://h/a/r",
            ]
        );
    }

    #[test]
    fn a_base_changes_what_links_are_relative_to() {
        let html = "<base href='/deep/er/'><a href=x>x</a>";
        assert_eq!(links_of("http://h/a", html), ["http://h/deep/er/x"]);
    }

    #[test]
    fn assets_are_all_that_a_page_shows() {
        let html = "<link rel='stylesheet' href=s.css><link rel='shortcut icon' href=i.ico>
            <script src=j.js></script><script>inline</script>
            <img src=a.png srcset='a,1.png 1x, b.png 2x,c.png,, d.png'>
            <picture><source srcset='e.webp 100w'></picture><img src='data:x'><video poster=p>";
        let page = Url::parse("http://h/x/").expect("a URL");
        let assets = assets(&Html::parse_document(html), &page);
        assert_eq!(
            assets.0.iter().map(|url| url.path()).collect::<Vec<_>>(),
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
    fn a_page_of_any_real_depth_is_read_whole_and_a_cut_is_told() {
        let page = Url::parse("http://h/").expect("a URL");
        let count = |text: &str| {
            let (html, is_whole) = html(text, 10_000_000);
            (links(&html, &page).0.len(), is_whole)
        };
        let nested = |tag: &str, levels| format!("<a href=x>é</a>{}<a href=y>", tag.repeat(levels));
        // Answers to answers, quotes in quotes, lists in lists: what forums and mails are made of.
        for tag in ["<div class=reply>", "<blockquote>", "<ul><li>", "<div><p>", "<table><tr><td>"]
        {
            assert_eq!(count(&nested(tag, 600)), (2, true), "{tag}");
        }
        // A table is left by what does not belong into it: its last child is not the latest node.
        for text in [nested("<div>", 9_000), format!("<table>{}", nested("<div>", 9_000))] {
            assert_eq!(count(&text), (1, false));
        }
        let many = "<p>é</p>".repeat(10_000);
        assert_eq!(
            html(&many, MAX_STEPS).0.html(),
            Html::parse_document(&many).html(),
            "in pieces as whole"
        );
    }

    #[test]
    fn a_page_that_never_ends_its_links_is_cut() {
        let html: String = (0..=MAX_LINKS).map(|n| format!("<a href={n}>")).collect();
        let page = Url::parse("http://h/").expect("a URL");
        let count = |html: &str| {
            let (links, left_out) = links(&Html::parse_document(html), &page);
            (links.len(), left_out)
        };
        assert_eq!(count(&html), (MAX_LINKS, 1));
        assert_eq!(count(&format!("<a href={}>", "x".repeat(MAX_URL))), (0, 1));
        assert_eq!(count(&"<img src=a srcset=b>".repeat(3)), (0, 0));
    }

    #[test]
    fn a_selector_gives_text_or_an_attribute() {
        let html =
            Html::parse_document("<p class=a> one\n <b>two</b>three </p><p class=a id=i></p>");
        let selector = Selector::parse("p.a").expect("a selector");
        assert_eq!(select(&html, &selector, None), ["one twothree", ""]);
        assert_eq!(select(&html, &selector, Some("id")), ["i"]);
    }

    #[test]
    fn every_detail_page_gives_its_movie_back() {
        for id in 1..=100 {
            let page = pages::detail(id, 100).expect("a page");
            assert_eq!(movie(&Html::parse_document(&page)), Ok(Movie::with_id(id)));
        }
    }

    #[test]
    fn a_list_leads_to_its_movies_and_to_other_lists() {
        let page = Url::parse("http://h/list?start=25").expect("a URL");
        let html = pages::list(25, 27).expect("a page");
        let links = demo_links(&Html::parse_document(&html), &page);
        assert_eq!(
            links.iter().map(Url::as_str).collect::<Vec<_>>(),
            ["http://h/detail/26", "http://h/detail/27", "http://h/list?start=0"]
        );
    }

    #[test]
    fn a_page_without_a_movie_says_so() {
        let of = |html: &str| movie(&Html::parse_document(html));
        assert_eq!(of("<p>404"), Err("the page holds no movie".to_owned()));
        assert_eq!(
            of("<article class=movie data-id=7><h1 class=title>x</h1></article>"),
            Err("the movie has no director".to_owned())
        );
        assert_eq!(
            of("<article class=movie data-id=x></article>"),
            Err("the movie's id is not a number".to_owned())
        );
    }
}
