//! What the site says: its pages in HTML and JSON.
//!
//! The markup keeps the shape of the list sites that crawling tutorials practise on: a numbered
//! list of items with title, one-line description and link, and links to further pages at the foot.
//! Links are relative on list pages and absolute paths elsewhere, so that a crawler has to resolve
//! both kinds.

use std::fmt::Write as _;

use super::movies::Movie;

/// Movies on one list page.
pub const PER_LIST: u32 = 25;

/// How many list pages either side of the present one the foot of a list page links to.
const WINDOW: u32 = 2;

/// The front page: what the site is, and a link to every list page at its foot.
#[must_use]
pub fn front(count: u32) -> String {
    let lists = count.div_ceil(PER_LIST);
    let mut html = head("The Unwound Reel");
    write(
        &mut html,
        format_args!(
            "<h1>The Unwound Reel</h1>\n<p>{count} movies that nobody ever shot, slowly.</p>\n"
        ),
    );
    html.push_str("<nav class=\"pages\">\n");
    for list in 0..lists {
        write(
            &mut html,
            format_args!("<a href=\"/list?start={}\">{}</a>\n", list * PER_LIST, list + 1),
        );
    }
    html.push_str("</nav>\n");
    foot(html)
}

/// The list page that begins after `start` movies, or `None` if there is none.
#[must_use]
pub fn list(start: u32, count: u32) -> Option<String> {
    if start >= count {
        return None;
    }
    let mut html = head("Movies");
    write(&mut html, format_args!("<ol class=\"movies\" start=\"{}\">\n", start + 1));
    for id in start + 1..=count.min(start.saturating_add(PER_LIST)) {
        let movie = Movie::with_id(id);
        write(
            &mut html,
            format_args!("<li><a class=\"title\" href=\"/detail/{id}\">{}</a>", Text(&movie.title)),
        );
        if let Some(description) = &movie.description {
            write(&mut html, format_args!("<p class=\"inq\">{}</p>", Text(description)));
        }
        html.push_str("</li>\n");
    }
    html.push_str("</ol>\n<nav class=\"pages\">\n");
    let (here, last) = (start / PER_LIST, (count - 1) / PER_LIST);
    for list in 0..=last {
        let shown = list == 0 || list == last || list.abs_diff(here) <= WINDOW;
        if !shown {
            continue;
        }
        let rel = match (list + 1 == here, list == here + 1) {
            (true, _) => " rel=\"prev\"",
            (_, true) => " rel=\"next\"",
            _ => "",
        };
        if list == here {
            write(&mut html, format_args!("<b>{}</b>\n", list + 1));
        } else {
            write(
                &mut html,
                format_args!("<a{rel} href=\"?start={}\">{}</a>\n", list * PER_LIST, list + 1),
            );
        }
    }
    html.push_str("</nav>\n");
    Some(foot(html))
}

/// The page of one movie, or `None` if the catalogue has no such number.
#[must_use]
pub fn detail(id: u32, count: u32) -> Option<String> {
    let movie = lookup(id, count)?;
    let mut html = head(&movie.title);
    write(
        &mut html,
        format_args!(
            "<article class=\"movie\" data-id=\"{id}\">\n\
         <h1 class=\"title\">{}</h1>\n\
         <dl>\n<dt>Director</dt><dd class=\"director\">{}</dd>\n\
         <dt>Year</dt><dd class=\"year\">{}</dd>\n\
         <dt>Score</dt><dd class=\"score\">{:.1}</dd>\n</dl>\n",
            Text(&movie.title),
            Text(&movie.director),
            movie.year,
            movie.score
        ),
    );
    if let Some(description) = &movie.description {
        write(&mut html, format_args!("<p class=\"inq\">{}</p>\n", Text(description)));
    }
    html.push_str("</article>\n<nav class=\"related\">\n");
    for other in movie.related(count) {
        let title = Movie::with_id(other).title;
        write(&mut html, format_args!("<a href=\"/detail/{other}\">{}</a>\n", Text(&title)));
    }
    write(
        &mut html,
        format_args!(
            "<a class=\"up\" href=\"/list?start={}\">All movies</a>\n</nav>\n",
            (id - 1) / PER_LIST * PER_LIST
        ),
    );
    Some(foot(html))
}

/// One movie as JSON, or `None` if the catalogue has no such number.
#[must_use]
pub fn api(id: u32, count: u32) -> Option<String> {
    let movie = lookup(id, count)?;
    Some(serde_json::to_string(&movie).expect("a movie is strings and numbers"))
}

/// What the site asks of crawlers: to leave its API to programs.
#[must_use]
pub fn robots(host: &str) -> String {
    format!("User-agent: *\nDisallow: /api/\n\nSitemap: http://{host}/sitemap.xml\n")
}

/// All movies, for crawlers that would rather not look for them.
#[must_use]
pub fn sitemap(host: &str, count: u32) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    for id in 1..=count {
        let host = Text(host);
        write(&mut xml, format_args!("<url><loc>http://{host}/detail/{id}</loc></url>\n"));
    }
    xml.push_str("</urlset>\n");
    xml
}

fn lookup(id: u32, count: u32) -> Option<Movie> {
    (1..=count).contains(&id).then(|| Movie::with_id(id))
}

fn head(title: &str) -> String {
    let mut html = String::with_capacity(2_048);
    write(
        &mut html,
        format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>{}</title></head>\n<body>\n",
            Text(title)
        ),
    );
    html
}

fn foot(mut html: String) -> String {
    html.push_str("</body>\n</html>\n");
    html
}

/// `write!` into a `String` cannot fail; this says so once.
fn write(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a String takes any text");
}

/// Text between tags or in a quoted attribute, with what HTML reserves escaped.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_catalogue_whole() {
        assert_eq!(
            front(26),
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <title>The Unwound Reel</title></head>\n<body>\n\
             <h1>The Unwound Reel</h1>\n<p>26 movies that nobody ever shot, slowly.</p>\n\
             <nav class=\"pages\">\n<a href=\"/list?start=0\">1</a>\n\
             <a href=\"/list?start=25\">2</a>\n</nav>\n</body>\n</html>\n"
        );
    }

    #[test]
    fn the_foot_of_a_list_links_its_neighbours_and_both_ends() {
        let html = list(125, 300).expect("page 6 of 12");
        let foot = &html[html.find("<nav").expect("a foot")..];
        assert_eq!(
            foot,
            "<nav class=\"pages\">\n<a href=\"?start=0\">1</a>\n<a href=\"?start=75\">4</a>\n\
             <a rel=\"prev\" href=\"?start=100\">5</a>\n<b>6</b>\n\
             <a rel=\"next\" href=\"?start=150\">7</a>\n<a href=\"?start=175\">8</a>\n\
             <a href=\"?start=275\">12</a>\n</nav>\n</body>\n</html>\n"
        );
    }

    #[test]
    fn the_last_list_may_be_short_and_there_is_none_after_it() {
        let html = list(25, 27).expect("page 2");
        assert_eq!(html.matches("<li>").count(), 2);
        assert!(list(27, 27).is_none());
        assert!(list(u32::MAX, 27).is_none());
    }

    #[test]
    fn what_html_reserves_is_escaped() {
        assert_eq!(Text("a & <b> \"c\"").to_string(), "a &amp; &lt;b&gt; &quot;c&quot;");
    }

    #[test]
    fn the_api_answers_with_the_movie_itself() {
        let movie: Movie = serde_json::from_str(&api(42, 100).expect("movie 42")).expect("JSON");
        assert_eq!(movie, Movie::with_id(42));
        assert!(api(0, 100).is_none() && api(101, 100).is_none());
    }
}
