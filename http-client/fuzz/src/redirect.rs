//! Where a redirect leads: to a URL that can be asked for, that means the same when it is read
//! again, and that is told nothing meant for another origin.

use mainspring_http::http::header;
use mainspring_http::proto::{BodyLength, RequestHead};
use mainspring_http::url::Position;
use mainspring_http::{HeaderMap, Method, Request, StatusCode, Url, fuzzing};

const FROM: [&str; 4] = [
    "http://a.test/x/y?q#f",
    "https://u:p@a.test:81/",
    "http://[::1]/é/../b",
    "http://a.test/%2e/",
];
const STATUS: [u16; 5] = [301, 302, 303, 307, 308];

/// The first byte says what redirects, and how; the rest is the `Location`.
pub fn redirect(data: &[u8]) {
    let [choice, location @ ..] = data else { return };
    let choice = usize::from(*choice);
    let from = Url::parse(FROM[choice % FROM.len()]).expect("a URL");
    let status = StatusCode::from_u16(STATUS[choice / 4 % STATUS.len()]).expect("a status");
    let method = if choice > 127 { Method::POST } else { Method::GET };
    let mut request = Request::new(method, from.clone());
    let secret = header::HeaderValue::from_static("secret");
    request.headers.insert(header::AUTHORIZATION, secret.clone());
    request.headers.insert(header::COOKIE, secret);
    let Ok(target) = fuzzing::target(&from, location) else { return };
    assert!(fuzzing::follow(&mut request, status, target), "a body of no bytes can be sent again");
    let to = &request.url;
    assert!(matches!(to.scheme(), "http" | "https"), "{to}");
    assert!(to.host_str().is_some_and(|host| !host.is_empty()), "{to}");
    assert_eq!(Url::parse(to.as_str()).as_ref(), Ok(to), "it means the same when read again");
    let same = from.origin() == to.origin();
    assert_eq!(request.headers.contains_key(header::AUTHORIZATION), same, "{from} to {to}");
    assert_eq!(request.headers.contains_key(header::COOKIE), same, "{from} to {to}");
    if !same {
        assert!(to.password() != Some("p") || location.contains(&b'@'), "{from} to {to}");
    }
    check_head(&request);
}

/// What goes out is one request, for the target that was meant.
fn check_head(request: &Request) {
    let url = &request.url;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let head = RequestHead {
        method: &request.method,
        target,
        host,
        headers: &request.headers,
        defaults: &HeaderMap::new(),
        body: BodyLength::Empty,
    };
    let mut out = Vec::new();
    head.write(&mut out);
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut read = httparse::Request::new(&mut fields);
    let parsed = read.parse(&out);
    assert_eq!(parsed, Ok(httparse::Status::Complete(out.len())), "{}", out.escape_ascii());
    assert_eq!(read.path, Some(target));
    let hosts = read.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let hosts: Vec<&[u8]> = hosts.map(|field| field.value).collect();
    assert_eq!(hosts, [host.as_bytes()]);
}
