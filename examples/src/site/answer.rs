//! What the site answers to which request, and how an answer looks on the wire. No I/O.

use std::borrow::Cow;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::pages;
use super::request::Request;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const XML: &str = "application/xml";
const PLAIN: &str = "text/plain; charset=utf-8";

/// One answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// An answer whose body says no more than its status.
    pub fn plain(status: StatusCode) -> Answer {
        Answer { status, content_type: PLAIN, body: format!("{status}\n") }
    }

    /// The bytes to send. A `HEAD` gets the head of what a `GET` would have got.
    ///
    /// There is no `Date`: RFC 9110 §6.6.1 asks it of servers that keep a clock, and this one's
    /// answers are to be the same on every run.
    pub fn to_bytes(&self, method: &Method, keep_alive: bool) -> Vec<u8> {
        let allow = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let close = if keep_alive { "" } else { "Connection: close\r\n" };
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}{close}\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        )
        .into_bytes();
        if method != Method::HEAD {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

/// Answers a request to a site with a catalogue of `count` movies.
pub fn answer(request: &Request, count: u32) -> Answer {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (content_type, body) = match path {
        "/" => (HTML, Some(pages::front(count))),
        "/list" => (HTML, start(query).and_then(|start| pages::list(start, count))),
        "/robots.txt" => (PLAIN, Some(pages::robots(&request.host))),
        "/sitemap.xml" => (XML, Some(pages::sitemap(&request.host, count))),
        "/hello" => (PLAIN, Some("Hello\n".to_owned())),
        _ => match path.strip_prefix('/').and_then(|path| path.split_once('/')) {
            Some(("detail", id)) => (HTML, number(id).and_then(|id| pages::detail(id, count))),
            Some(("api", path)) => {
                let id = path.strip_prefix("movie/").and_then(number);
                (JSON, id.and_then(|id| pages::api(id, count)))
            }
            Some(("hello", name)) => (PLAIN, greeting(name)),
            _ => (PLAIN, None),
        },
    };
    match body {
        Some(body) => Answer { status: StatusCode::OK, content_type, body },
        None => Answer::plain(StatusCode::NOT_FOUND),
    }
}

/// `start=50` of a list's query; none means the beginning.
fn start(query: &str) -> Option<u32> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    match pairs.find(|(key, _)| *key == "start") {
        Some((_, value)) => number(value),
        None => Some(0),
    }
}

/// A number written the one way the site writes it, so that every page has one address.
fn number(digits: &str) -> Option<u32> {
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn greeting(name: &str) -> Option<String> {
    let name: Cow<'_, str> = percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty()).then(|| format!("Hello, {name}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Answer {
        let (target, host) = (target.to_owned(), "h:1".to_owned());
        answer(&Request { method: Method::GET, target, host, keep_alive: true, body: 0 }, 100)
    }

    #[test]
    fn every_kind_of_page_has_its_address() {
        for (target, content_type, body) in [
            ("/", HTML, pages::front(100)),
            ("/list", HTML, pages::list(0, 100).expect("a list")),
            ("/list?start=75", HTML, pages::list(75, 100).expect("a list")),
            ("/detail/100", HTML, pages::detail(100, 100).expect("a movie")),
            ("/api/movie/1", JSON, pages::api(1, 100).expect("a movie")),
            ("/robots.txt", PLAIN, pages::robots("h:1")),
            ("/sitemap.xml", XML, pages::sitemap("h:1", 100)),
            ("/hello", PLAIN, "Hello\n".to_owned()),
            ("/hello/Zo%C3%AB", PLAIN, "Hello, Zoë\n".to_owned()),
        ] {
            assert_eq!(get(target), Answer { status: StatusCode::OK, content_type, body });
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for target in [
            "/nope",
            "/detail/0",
            "/detail/101",
            "/detail/007",
            "/detail/+7",
            "/detail/",
            "/hello/",
            "/list?start=100",
            "/list?start=x",
            "/api/movie/x",
            "/hello/%FF",
            "*",
        ] {
            assert_eq!(get(target), Answer::plain(StatusCode::NOT_FOUND), "{target}");
        }
    }

    #[test]
    fn the_wire_form_whole() {
        let hello = get("/hello");
        assert_eq!(
            String::from_utf8(hello.to_bytes(&Method::GET, true)).expect("text"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 6\r\n\r\nHello\n"
        );
        assert_eq!(
            String::from_utf8(hello.to_bytes(&Method::HEAD, false)).expect("text"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 6\r\nConnection: close\r\n\r\n"
        );
        let post = Request {
            method: Method::POST,
            target: "/".to_owned(),
            host: "h".to_owned(),
            keep_alive: true,
            body: 0,
        };
        let refused = answer(&post, 100).to_bytes(&Method::POST, true);
        assert_eq!(
            String::from_utf8(refused).expect("text"),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 23\r\nAllow: GET, HEAD\r\n\r\n405 Method Not Allowed\n"
        );
    }
}
