//! What a page says: its elements, what a CSS selector finds, and the movie on a detail page.

use std::sync::LazyLock;

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use scraper::{ElementRef, Html, HtmlTreeSink, Selector};
use url::Url;

use crate::site::movies::Movie;

/// How many steps the reading of one page may take; what comes after them is not read.
///
/// For every tag, HTML may have all open elements looked through, so that the steps are about the
/// tags times how deep they are nested. Seven thousand nested elements take half of them; a page
/// of a megabyte that is nothing but nested elements would keep a processor busy for hours.
pub const MAX_STEPS: usize = 50_000_000;

/// How much of a page is read between two looks at how deep it is, in bytes.
const PIECE: usize = 256;

/// How deep real pages are nested at most. Elements that are left open deeper than that may cost
/// tags that come after, wherever these are, and may be made again for each of them.
const REAL_DEPTH: usize = 1_024;

/// Reads a page of HTML as a browser without scripts does, in at most so many steps (see
/// [`MAX_STEPS`]); says how many bytes of it are left unread.
pub fn html(text: &str, max_steps: usize) -> (Html, usize) {
    let (mut nodes, mut deepest, mut steps) = (0, 0, 0_usize);
    let mut options = ParseOpts::default();
    options.tree_builder.scripting_enabled = false;
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), options);
    let mut rest = text;
    while !rest.is_empty() && steps <= max_steps {
        let end = (0..=PIECE.min(rest.len())).rev().find(|&end| rest.is_char_boundary(end));
        let (piece, after) = rest.split_at(end.unwrap_or_default());
        parser.process(StrTendril::from(piece));
        rest = after;
        // The latest node is inside of all the elements that are open, or nearly all.
        let tree = &parser.tokenizer.sink.sink.0.borrow().tree;
        let depth = tree.nodes().next_back().map_or(0, |node| node.ancestors().count());
        deepest = deepest.max(depth);
        let added = tree.values().len() - nodes;
        nodes += added;
        let tags = piece.bytes().filter(|byte| *byte == b'<').count();
        steps += tags * depth.max(deepest.saturating_sub(REAL_DEPTH));
        // A page says each of its nodes itself, in a byte at least; others are made again.
        steps += added.saturating_sub(piece.len()) * REAL_DEPTH;
    }
    (parser.finish(), rest.len())
}

/// A selector of ours, which is known to be one.
fn ours(css: &str) -> Selector {
    Selector::parse(css).expect("a selector written here")
}

/// What `selector` finds, in document order: the text of each element with runs of white space made
/// one space, or the value of an attribute where one is asked for and the element has it.
pub fn select(html: &Html, selector: &Selector, attribute: Option<&str>) -> Vec<String> {
    let elements = html.select(selector);
    match attribute {
        None => elements.map(text).collect(),
        Some(name) => elements.filter_map(|e| e.attr(name)).map(str::to_owned).collect(),
    }
}

/// The text of an element as a reader sees it, on one line.
fn text(element: ElementRef<'_>) -> String {
    let text: String = element.text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The pages that the demo's crawl goes on to from a front or list page: movies first, then the
/// lists at its foot.
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

    #[test]
    fn a_page_of_any_real_depth_is_read_whole_and_a_cut_is_told() {
        let links = Selector::parse("a").expect("a selector");
        let count = |text: &str| {
            let (html, left) = html(text, 10_000_000);
            (html.select(&links).count(), left)
        };
        let nested = |tag: &str, levels| format!("<a href=x>é</a>{}<a href=y>", tag.repeat(levels));
        // Answers to answers, quotes in quotes, lists in lists: what forums and mails are made of.
        for tag in ["<div class=reply>", "<blockquote>", "<ul><li>", "<div><p>", "<table><tr><td>"]
        {
            assert_eq!(count(&nested(tag, 600)), (2, 0), "{tag}");
        }
        // A table is left by what does not belong into it: its last child is not the latest node.
        for text in [nested("<div>", 9_000), format!("<table>{}", nested("<div>", 9_000))] {
            let (found, left) = count(&text);
            assert_eq!(found, 1);
            assert!((1..text.len()).contains(&left), "{left}");
        }
        let many = "<p>é</p>".repeat(10_000);
        assert_eq!(
            html(&many, MAX_STEPS).0.html(),
            Html::parse_document(&many).html(),
            "in pieces as whole"
        );
    }

    /// What is small and yet costs much, each in its own way, is left before it has cost much.
    #[test]
    fn no_page_takes_more_time_or_memory_than_its_size_allows() {
        let bold: String = (0..2_000).map(|n| format!("<b id={n}>")).collect();
        for (name, text) in [
            ("nested", "<div>".repeat(100_000)),
            (
                "nested and closed again",
                format!("{}{}", "<i>".repeat(9_000), "</x>".repeat(99_999)),
            ),
            ("made again", format!("<p>{bold}{}", "</p><p>x".repeat(50_000))),
            ("made again, with a comment after", {
                format!("<p>{bold}{}", "</p><p>x</p><!---->".repeat(50_000))
            }),
            ("left open, and out of sight", {
                format!("<div>{}{}", "<div>".repeat(9_000), "</body><!--x--><p>".repeat(50_000))
            }),
            ("tables", "<table><tr><td>".repeat(50_000)),
            ("in a picture", format!("<svg>{}", "<g>".repeat(100_000))),
        ] {
            let (html, left) = html(&text, 1_000_000);
            assert!(left > text.len() / 2, "{name}: {left} of {}", text.len());
            let nodes = html.tree.values().len();
            assert!(nodes < text.len() + 100_000, "{name}: {nodes} nodes of {}", text.len());
        }
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
