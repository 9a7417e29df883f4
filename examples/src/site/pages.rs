//! What the site says: its pages in HTML and JSON.
//!
//! The markup keeps the shape of the list sites that crawling tutorials practise on: a numbered
//! list of items with title, one-line description and link, and links to further pages at the foot.
//! Links are relative on list pages and absolute paths elsewhere, so that a crawler has to resolve
//! both kinds.

use super::movies::Movie;

/// Movies on one list page.
pub const PER_LIST: u32 = 25;

/// How many list pages either side of the present one the foot of a list page links to.
const WINDOW: u32 = 2;

/// The front page: what the site is, and a link to every list page at its foot.
pub fn front(count: u32) -> String {
    let link = |list| format!("<a href=\"/list?start={}\">{}</a>\n", list * PER_LIST, list + 1);
    let links: String = (0..count.div_ceil(PER_LIST)).map(link).collect();
    let body = format!(
        "<h1>The Unwound Reel</h1>\n<p>{count} movies that nobody ever shot, slowly.</p>\n\
         <nav class=\"pages\">\n{links}</nav>\n"
    );
    page("The Unwound Reel", &body)
}

/// The list page that begins after `start` movies, or `None` if there is none.
pub fn list(start: u32, count: u32) -> Option<String> {
    if start >= count {
        return None;
    }
    let first = start + 1;
    let items: String = (first..=count.min(start.saturating_add(PER_LIST))).map(item).collect();
    let (here, last) = (start / PER_LIST, (count - 1) / PER_LIST);
    let shown = |list: &u32| *list == 0 || *list == last || list.abs_diff(here) <= WINDOW;
    let link = |list: u32| {
        let (number, start) = (list + 1, list * PER_LIST);
        let rel = match list {
            list if list == here => return format!("<b>{number}</b>\n"),
            list if list + 1 == here => " rel=\"prev\"",
            list if list == here + 1 => " rel=\"next\"",
            _ => "",
        };
        format!("<a{rel} href=\"?start={start}\">{number}</a>\n")
    };
    let links: String = (0..=last).filter(shown).map(link).collect();
    let body = format!(
        "<ol class=\"movies\" start=\"{first}\">\n{items}</ol>\n\
         <nav class=\"pages\">\n{links}</nav>\n"
    );
    Some(page("Movies", &body))
}

/// A movie on a list page.
fn item(id: u32) -> String {
    let movie = Movie::with_id(id);
    let (title, inq) = (escaped(&movie.title), inq(&movie));
    format!("<li><a class=\"title\" href=\"/detail/{id}\">{title}</a>{inq}</li>\n")
}

/// The one line on what a movie is about, if it has one.
fn inq(movie: &Movie) -> String {
    let line = |text: &String| format!("<p class=\"inq\">{}</p>", escaped(text));
    movie.description.as_ref().map(line).unwrap_or_default()
}

/// The page of one movie, or `None` if the catalogue has no such number.
pub fn detail(id: u32, count: u32) -> Option<String> {
    let movie = lookup(id, count)?;
    let [title, director] = [&movie.title, &movie.director].map(|text| escaped(text));
    let (year, score, list) = (movie.year, movie.score, (id - 1) / PER_LIST * PER_LIST);
    let inq = match inq(&movie) {
        line if line.is_empty() => line,
        line => line + "\n",
    };
    let related = |other| {
        let title = escaped(&Movie::with_id(other).title);
        format!("<a href=\"/detail/{other}\">{title}</a>\n")
    };
    let related: String = movie.related(count).into_iter().map(related).collect();
    let body = format!(
        "<article class=\"movie\" data-id=\"{id}\">\n\
         <h1 class=\"title\">{title}</h1>\n\
         <dl>\n<dt>Director</dt><dd class=\"director\">{director}</dd>\n\
         <dt>Year</dt><dd class=\"year\">{year}</dd>\n\
         <dt>Score</dt><dd class=\"score\">{score:.1}</dd>\n</dl>\n\
         {inq}</article>\n<nav class=\"related\">\n{related}\
         <a class=\"up\" href=\"/list?start={list}\">All movies</a>\n</nav>\n"
    );
    Some(page(&movie.title, &body))
}

/// One movie as JSON, or `None` if the catalogue has no such number.
pub fn api(id: u32, count: u32) -> Option<String> {
    let movie = lookup(id, count)?;
    Some(serde_json::to_string(&movie).expect("a movie is strings and numbers"))
}

/// What the site asks of crawlers: to leave its API to programs.
pub fn robots(host: &str) -> String {
    format!("User-agent: *\nDisallow: /api/\n\nSitemap: http://{host}/sitemap.xml\n")
}

/// All movies, for crawlers that would rather not look for them.
pub fn sitemap(host: &str, count: u32) -> String {
    let host = escaped(host);
    let entry = |id| format!("<url><loc>http://{host}/detail/{id}</loc></url>\n");
    let entries: String = (1..=count).map(entry).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{entries}</urlset>\n"
    )
}

fn lookup(id: u32, count: u32) -> Option<Movie> {
    (1..=count).contains(&id).then(|| Movie::with_id(id))
}

fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>{title}</title></head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// Text between tags or in a quoted attribute, with what HTML reserves escaped.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
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
        assert_eq!(escaped("a & <b> \"c\""), "a &amp; &lt;b&gt; &quot;c&quot;");
    }

    #[test]
    fn the_api_answers_with_the_movie_itself() {
        let movie: Movie = serde_json::from_str(&api(42, 100).expect("movie 42")).expect("JSON");
        assert_eq!(movie, Movie::with_id(42));
        assert!(api(0, 100).is_none() && api(101, 100).is_none());
    }
}
