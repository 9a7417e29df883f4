//! Where a redirect leads, and what of the request goes with it (RFC 9110 §15.4).

use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::ResponseHead;
use crate::proto::is_secret;
use crate::request::Request;
use crate::secret::for_person;
use http::{Method, StatusCode, header};
use percent_encoding::NON_ALPHANUMERIC;
use url::{Origin, Url};

/// Fields that describe a body, and go with it.
const BODY_FIELDS: [header::HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// Bytes of a target that an error repeats.
const LOCATION_BYTES: usize = 512;

/// Whether a field is meant for one origin alone: a credential (WHATWG Fetch §4.4 names `Authorization`,
/// curl also `Cookie`), or the name of its host.
pub(crate) fn is_private(name: &header::HeaderName, value: &header::HeaderValue) -> bool {
    value.is_sensitive() || *name == header::HOST || is_secret(name.as_str())
}

/// Where a response redirects to, if it is a redirect that a client follows by itself. An empty
/// `Location` leads nowhere.
pub(crate) fn location(head: &ResponseHead) -> Option<&[u8]> {
    let redirects = matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = head.values("location").next().filter(|_| redirects)?.trim_ascii();
    (!location.is_empty()).then_some(location)
}

/// The URL that a redirect from `from` to `location` leads to.
pub fn target(from: &Url, location: &[u8]) -> Result<Url> {
    // Bytes that are no text travel as they are: `/caf\xE9` is `/caf%E9`, as in browsers.
    let mut text = String::with_capacity(location.len());
    for chunk in location.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(percent_encoding::percent_encode(chunk.invalid(), NON_ALPHANUMERIC));
    }
    let refuse = |reason| {
        let location = for_person(&text, LOCATION_BYTES);
        Err(Error::new(ErrorKind::Redirect { location, reason }))
    };
    let Ok(mut target) = from.join(&text) else { return refuse("it is no URL") };
    if !matches!(target.scheme(), "http" | "https") {
        return refuse("its scheme is neither http nor https");
    }
    if target.host_str().is_none_or(str::is_empty) {
        return refuse("it has no host");
    }
    // RFC 9110 §10.2.2: a target without a fragment inherits that of the request.
    if target.fragment().is_none() {
        target.set_fragment(from.fragment());
    }
    if same_origin(from, &target) && target.username().is_empty() && target.password().is_none() {
        // Within one origin, credentials of the URL hold for a target that names none.
        let (user, password) = (from.username(), from.password());
        if target.set_username(user).and(target.set_password(password)).is_err() {
            return refuse("it cannot carry credentials");
        }
    }
    Ok(target)
}

/// Turns `request` into the one that follows a redirect to `target`. Says whether it can be followed at
/// all: `false` if it would need a body that cannot be sent again; then the redirect is the response.
pub fn follow(request: &mut Request, status: StatusCode, target: Url) -> bool {
    let becomes_get = match status.as_u16() {
        303 => request.method != Method::HEAD && request.method != Method::GET,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body = Body::empty();
        BODY_FIELDS.iter().for_each(|name| drop(request.headers.remove(name)));
    } else if request.body.bytes().is_none() {
        return false;
    }
    if !same_origin(&request.url, &target) {
        request.left_origin = true;
        let private = request.headers.iter().filter(|(name, value)| is_private(name, value));
        let private: Vec<_> = private.map(|(name, _)| name.clone()).collect();
        private.iter().for_each(|name| drop(request.headers.remove(name)));
    }
    request.url = target;
    true
}

fn same_origin(from: &Url, to: &Url) -> bool {
    matches!((from.origin(), to.origin()), (Origin::Tuple(..), Origin::Tuple(..)))
        && from.origin() == to.origin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Event, Limits, RequestKind, ResponseDecoder};

    fn followed(request: &mut Request, status: StatusCode, location: &[u8]) -> Result<bool> {
        let target = target(&request.url, location)?;
        Ok(follow(request, status, target))
    }

    /// `METHOD url` before, status, location, `METHOD url` after, fields kept.
    #[test]
    fn method_target_and_fields_of_the_next_request() {
        let all = "authorization content-type cookie x-own";
        let rows = [
            ("GET http://a/x/y?q", 301, "z", "GET http://a/x/z", all),
            ("GET http://a/x/y?q#f", 302, "/z?r", "GET http://a/z?r#f", all),
            ("GET http://a/x#f", 302, "/z#g", "GET http://a/z#g", all),
            ("GET http://a/", 307, "//b/z", "GET http://b/z", "content-type x-own"),
            ("GET http://a/", 307, "http://a:81/", "GET http://a:81/", "content-type x-own"),
            ("GET http://a/", 307, "https://a/", "GET https://a/", "content-type x-own"),
            ("GET http://a/", 301, "http://a:80/z", "GET http://a/z", all),
            ("GET http://u:p@a/", 301, "/z", "GET http://u:p@a/z", all),
            ("GET http://u:p@a/", 301, "http://b/z", "GET http://b/z", "content-type x-own"),
            ("GET http://u:p@a/", 301, "http://v@a/z", "GET http://v@a/z", all),
            ("POST http://a/", 301, "/z", "GET http://a/z", "authorization cookie x-own"),
            ("POST http://a/", 302, "/z", "GET http://a/z", "authorization cookie x-own"),
            ("POST http://a/", 303, "/z", "GET http://a/z", "authorization cookie x-own"),
            ("POST http://a/", 307, "/z", "POST http://a/z", all),
            ("POST http://a/", 308, "/z", "POST http://a/z", all),
            ("PUT http://a/", 301, "/z", "PUT http://a/z", all),
            ("PUT http://a/", 303, "/z", "GET http://a/z", "authorization cookie x-own"),
            ("HEAD http://a/", 303, "/z", "HEAD http://a/z", all),
            ("DELETE http://a/", 302, "/z", "DELETE http://a/z", all),
            ("GET http://a/", 302, "http://a/\u{e9}?\u{e9}", "GET http://a/%C3%A9?%C3%A9", all),
        ];
        for (before, status, location, after, fields) in rows {
            let (method, url) = before.split_once(' ').unwrap();
            let mut request = Request::new(method.parse().unwrap(), Url::parse(url).unwrap());
            for name in all.split(' ') {
                let name: header::HeaderName = name.parse().unwrap();
                request.headers.insert(name, header::HeaderValue::from_static("v"));
            }
            let status = StatusCode::from_u16(status).unwrap();
            request.body = Body::from("again");
            assert!(followed(&mut request, status, location.as_bytes()).unwrap(), "{before}");
            assert_eq!(format!("{} {}", request.method, request.url), after);
            let mut kept: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
            kept.sort_unstable();
            assert_eq!(kept.join(" "), fields, "{before} {status} {location}");
            assert_eq!(request.body.is_empty(), becomes_bodiless(before, after), "{before}");
        }
    }

    fn becomes_bodiless(before: &str, after: &str) -> bool {
        after.starts_with("GET") && !before.starts_with("GET")
    }

    /// As Chromium and Firefox: a `Location` travels byte by byte (RFC 9110 §5.5, obs-text).
    #[test]
    fn bytes_that_are_no_text_lead_where_they_say() {
        for (location, expected) in [
            (&b"/caf\xe9"[..], "http://a/caf%E9"),
            (b"/?q=caf\xe9&x=%E9", "http://a/?q=caf%E9&x=%E9"),
            (b"/\xc3\xa9/\xe9", "http://a/%C3%A9/%E9"),
            (b"/\xc4\xe3\xba\xc3#\xff", "http://a/%C4%E3%BA%C3#%FF"),
            (b"//b\xc3\xbccher.test/\x80", "http://xn--bcher-kva.test/%80"),
            (b"caf\xe9/../\xe2\x82", "http://a/%E2%82"),
        ] {
            let target = target(&Url::parse("http://a/").unwrap(), location).unwrap();
            assert_eq!(target.as_str(), expected);
        }
        let error = target(&Url::parse("http://a/").unwrap(), b"http://b\xfccher.test/");
        let expected = "cannot follow the redirect to \"http://b%FCcher.test/\": it is no URL";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_cannot_be_followed() {
        let rows = [
            (
                "ftp://a/",
                "cannot follow the redirect to \"ftp://a/\": its scheme is neither http nor https",
            ),
            (
                "javascript:x",
                "cannot follow the redirect to \"javascript:x\": its scheme is neither http nor https",
            ),
            (
                "file:///etc/passwd",
                "cannot follow the redirect to \"file:///etc/passwd\": its scheme is neither http nor https",
            ),
            (
                "ftp://me:secret@a/",
                "cannot follow the redirect to \"ftp://me:***@a/\": its scheme is neither http nor https",
            ),
            ("http://[", "cannot follow the redirect to \"http://[\": it is no URL"),
            (
                "http://\u{1b}[2J/",
                "cannot follow the redirect to \"http://\\u{1b}[2J/\": it is no URL",
            ),
        ];
        for (location, text) in rows {
            let mut request = Request::new(Method::GET, Url::parse("http://a/").unwrap());
            let error = followed(&mut request, StatusCode::FOUND, location.as_bytes());
            assert_eq!(error.unwrap_err().to_string(), text);
        }
        // However long the target is, it is not all repeated.
        let long = format!("http://[{}", "x".repeat(30_000));
        let error = target(&Url::parse("http://a/").unwrap(), long.as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 700, "{}", error.to_string().len());
        assert!(format!("{:?}", error.kind()).len() < 700);
    }

    #[test]
    fn a_body_that_is_gone_ends_the_chase_where_it_would_be_needed() {
        let mut request = Request::new(Method::POST, Url::parse("http://a/").unwrap());
        request.body = Body::stream(futures::stream::empty());
        drop(request.body.for_sending());
        assert!(!followed(&mut request, StatusCode::TEMPORARY_REDIRECT, b"/z").unwrap());
        assert!(followed(&mut request, StatusCode::SEE_OTHER, b"/z").unwrap());
        assert_eq!(request.method, Method::GET);
    }

    /// RFC 9110 §15.4; curl and aiohttp take an empty `Location` for none.
    #[test]
    fn only_five_statuses_with_a_location_are_redirects() {
        let leads = |status: u16, field: &str| {
            let wire = format!("HTTP/1.1 {status} X\r\n{field}\r\n\r\n");
            let mut decoder = ResponseDecoder::new(RequestKind::default(), Limits::default());
            let Ok((_, Event::Head(head))) = decoder.decode(wire.as_bytes()) else {
                panic!("a head: {wire}")
            };
            location(&head).map(|location| String::from_utf8_lossy(location).into_owned())
        };
        let redirects: Vec<u16> =
            (200..600).filter(|status| leads(*status, "location: /z").is_some()).collect();
        assert_eq!(redirects, [301, 302, 303, 307, 308]);
        for empty in
            ["a: b", "location:", "location: ", "Location: \t ", "LOCATION:\r\nlocation: /z"]
        {
            assert_eq!(leads(302, empty), None, "{empty}");
        }
        for some in ["Location: /z ", "LOCATION:/z", "location: /z\r\nlocation: /y"] {
            assert_eq!(leads(302, some).as_deref(), Some("/z"), "{some}");
        }
    }
}
