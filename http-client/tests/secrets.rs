//! Secrets go to the origin that they are for, and stand in no text that the client makes.

mod support {
    pub mod server;
}

use mainspring_http::http::{HeaderMap, HeaderName, HeaderValue, header};
use mainspring_http::proto::{
    BodyLength, Event, Limits, RequestHead, RequestKind, ResponseDecoder,
};
use mainspring_http::{
    Body, Client, ClientBuilder, Error, ErrorKind, Form, Hook, Method, Redirect, Request, Signal,
    SignalKind, Url, redact,
};
use std::cell::RefCell;
use std::rc::Rc;
use support::server::{Seen, Server, ok, say};

const FIELDS: [&str; 6] =
    ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-marked", "x-harmless"];

/// Two servers, of two origins: both redirect as the path says, `/1/http://…` to what follows.
fn servers() -> [Server; 2] {
    std::array::from_fn(|_| {
        Server::new(|seen| match seen.line().split_once("/to/") {
            Some((_, target)) => {
                say(format!("HTTP/1.1 307 X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"))
            }
            None => ok("here"),
        })
    })
}

/// Which of the fields a request had.
fn had(seen: &Seen) -> String {
    let fields = FIELDS.iter().filter(|name| seen.field(name).is_some());
    fields.copied().collect::<Vec<_>>().join(" ")
}

/// Marked as sensitive, so that it is a secret whatever its name.
fn marked() -> HeaderValue {
    let mut value = HeaderValue::from_static("secret");
    value.set_sensitive(true);
    value
}

fn with_defaults(mut builder: ClientBuilder) -> ClientBuilder {
    for name in FIELDS {
        let value = HeaderValue::from_static("secret");
        builder = builder.default_header(
            HeaderName::from_static(name),
            if name == "x-marked" { marked() } else { value },
        );
    }
    builder
}

const ALL: &str = "authorization cookie proxy-authorization x-api-key x-marked x-harmless";

/// WHATWG Fetch §4.4 (HTTP-redirect fetch, step 13) for `Authorization`, curl for `Cookie`: another
/// scheme, host or port is another origin, and who has left his own does not get it back.
#[test]
fn credentials_stay_with_the_origin_that_a_request_begins_with() {
    let [one, other] = servers();
    let (here, there) = (one.url(""), other.url(""));
    // The same server by another name is another origin as well.
    let alias = format!("http://localhost:{}", one.address.port());
    let rows = [
        (format!("{here}/to//here"), vec![ALL, ALL]),
        (format!("{here}/to/{here}/to/{here}/"), vec![ALL, ALL, ALL]),
        (format!("{here}/to/{there}/"), vec![ALL, "x-harmless"]),
        (format!("{here}/to/{alias}/"), vec![ALL, "x-harmless"]),
        (format!("{here}/to/{there}/to/{here}/"), vec![ALL, "x-harmless", "x-harmless"]),
        (format!("{here}/to//to/{there}/to/{there}/"), vec![ALL, ALL, "x-harmless", "x-harmless"]),
        (format!("{here}/to///{}/", &there[7..]), vec![ALL, "x-harmless"]),
    ];
    let mut expected = Vec::new();
    mainspring::run(async {
        let plain = Client::new();
        let client = with_defaults(Client::builder()).build();
        for (url, fields) in &rows {
            client.get(url).send().await.unwrap().discard().await.unwrap();
            let mut request = plain.get(url);
            for name in FIELDS {
                let value = if name == "x-marked" { marked() } else { "secret".parse().unwrap() };
                request = request.header(name, value);
            }
            request.send().await.unwrap().discard().await.unwrap();
            expected.extend_from_slice(fields);
            expected.extend_from_slice(fields);
        }
    });
    let count = |fields: &str, of: &[&str]| of.iter().filter(|had| **had == fields).count();
    let seen: Vec<String> = [one.seen(), other.seen()].concat().iter().map(had).collect();
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    for fields in [ALL, "x-harmless"] {
        assert_eq!(count(fields, &seen), count(fields, &expected), "{fields}");
    }
    assert_eq!(seen.len(), expected.len());
    assert!(other.seen().iter().all(|seen| had(seen) == "x-harmless"));
}

#[test]
fn named_origins_get_them_and_no_others() {
    let [one, other] = servers();
    let [third, _] = servers();
    let url = |server: &Server| Url::parse(&server.url("/")).unwrap();
    let mut own = url(&third);
    own.set_username("me").unwrap();
    own.set_password(Some("se:cr@t")).unwrap();
    mainspring::run(async {
        let client = with_defaults(Client::builder()).credentials_for(&url(&one)).unwrap();
        let client = client.credentials_for(&own).unwrap().build();
        let get =
            async |url: String| client.get(url).send().await.unwrap().discard().await.unwrap();
        // There and back: it is the origin that counts, not the way.
        get(one.url(&format!("/to/{}", other.url(&format!("/to/{}", one.url("/")))))).await;
        get(other.url("/")).await;
        get(third.url("/")).await;
        // What the request itself says wins.
        let request = client.get(third.url("/")).bearer_auth("mine");
        request.send().await.unwrap().discard().await.unwrap();
    });
    assert_eq!(one.seen().iter().map(had).collect::<Vec<_>>(), [ALL, ALL]);
    assert_eq!(other.seen().iter().map(had).collect::<Vec<_>>(), ["x-harmless", "x-harmless"]);
    let third = third.seen();
    // "me:se:cr@t" in Base64.
    assert_eq!(third[0].field("authorization"), Some("Basic bWU6c2U6Y3JAdA=="));
    assert_eq!(third[1].field("authorization"), Some("Bearer mine"));
    assert_eq!(third[0].field("x-api-key"), Some("secret"));
    let bad = Url::parse("http://a%3Ab:c@a.test/").unwrap();
    assert!(Client::builder().credentials_for(&bad).is_err(), "RFC 7617 §2");
}

/// As with curl's `-H 'Host: …'`: for the first host alone, and once in a head.
#[test]
fn the_name_of_a_host_is_for_that_host() {
    let [one, other] = servers();
    mainspring::run(async {
        let name = HeaderValue::from_static("virtual.test");
        let client = Client::builder().default_header(header::HOST, name).build();
        let url = one.url(&format!("/to/{}", other.url("/")));
        client.get(&url).send().await.unwrap().discard().await.unwrap();
        client.get(&url).header("x-own", "1").send().await.unwrap().discard().await.unwrap();
    });
    for seen in one.seen() {
        assert_eq!(seen.field("host"), Some("virtual.test"));
        assert_eq!(seen.head.matches("host: ").count(), 1, "{}", seen.head);
    }
    for seen in other.seen() {
        assert_eq!(seen.field("host"), Some(&*other.address.to_string()));
        assert_eq!(seen.head.matches("host: ").count(), 1, "{}", seen.head);
    }
}

/// Keeps what it is told as text.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<String>>);

impl Hook for Log {
    fn signal(&self, signal: &Signal<'_>) {
        self.0.borrow_mut().push_str(&format!("{signal:?}\n"));
        if let SignalKind::RequestEnd { response } = signal.kind {
            self.0.borrow_mut().push_str(&format!("{response:?}\n"));
        }
    }
}

/// Texts of everything that can be printed, made where every secret is the word that no text may hold.
#[test]
fn no_text_holds_a_secret() {
    const SECRET: &str = "hunter2";
    let server = Server::new(|seen| match seen.line() {
        line if line.starts_with("GET /from") => say(format!(
            "HTTP/1.1 302 X\r\nlocation: /to?token={SECRET}#id_token={SECRET}\r\n\
             set-cookie: sid={SECRET}\r\ncontent-length: 0\r\n\r\n"
        )),
        line if line.starts_with("GET /wrong") => say(format!(
            "HTTP/1.1 302 X\r\nlocation: ftp://me:{SECRET}@a.test/\r\ncontent-length: 0\r\n\r\n"
        )),
        line if line.starts_with("GET /broken") => say(format!(
            "HTTP/1.1 302 X\r\nlocation: http://me:{SECRET}@[/?sig={SECRET}\r\n\
             content-length: 0\r\n\r\n"
        )),
        line if line.starts_with("GET /malformed") => {
            say(format!("HTTP/1.1 200 X\r\nset-cookie : sid={SECRET}\r\n\r\n"))
        }
        line if line.starts_with("GET /folded") => {
            say(format!("HTTP/1.1 200 X\r\nset-cookie: a\r\n sid={SECRET}\u{1}\r\n\r\n"))
        }
        _ => say(format!(
            "HTTP/1.1 200 OK\r\nset-cookie: sid={SECRET}\r\nx-auth-token: {SECRET}\r\n\
             refresh: 1; url=http://me:{SECRET}@a.test/\r\ncontent-length: 1\r\n\r\nx"
        )),
    });
    let mut texts: Vec<String> = Vec::new();
    let log = Log::default();
    #[cfg(feature = "json")]
    let archive = mainspring_http::HarRecorder::new();
    let url = |path: &str| {
        format!("http://me:{SECRET}@{}{path}?access_token={SECRET}#{SECRET}", server.address)
    };
    let secret: HeaderValue = SECRET.parse().unwrap();
    let builder = || {
        let builder = Client::builder().default_header(header::COOKIE, secret.clone());
        builder.default_header(HeaderName::from_static("x-api-key"), secret.clone())
    };
    mainspring::run(async {
        let client = builder().hook(log.clone()).redirect_policy({
            let log = log.clone();
            move |redirect: &Redirect<'_>| {
                log.0.borrow_mut().push_str(&format!("{redirect:?}\n"));
                true
            }
        });
        let client = client.build();
        for path in ["/from", "/wrong", "/broken", "/malformed", "/folded", "/"] {
            let request = client.get(url(path)).bearer_auth(SECRET).header("x-my-secret", SECRET);
            texts.push(format!("{request:?}"));
            match request.send().await {
                Ok(response) => {
                    texts.push(format!("{response:?} {client:?}"));
                    texts.push(response.text().await.unwrap());
                }
                Err(error) => {
                    texts.push(format!("{error} {error:?} {:?} {}", error.kind(), error.kind()));
                }
            }
        }
        #[cfg(feature = "json")]
        {
            let client = builder().hook(archive.clone()).build();
            for path in ["/from", "/wrong", "/malformed", "/"] {
                let request = client.get(url(path)).bearer_auth(SECRET);
                if let Ok(response) = request.send().await {
                    response.discard().await.unwrap();
                }
            }
            texts.push(archive.to_json());
        }
        // What is at fault before anything is sent.
        let early = [
            client.get(format!("http://me:{SECRET}@[/")).send().await.unwrap_err(),
            client.get(format!("ftp://me:{SECRET}@a/")).send().await.unwrap_err(),
            client.get(url("/")).header("x-own", format!("{SECRET}\n")).send().await.unwrap_err(),
            client.get("http://a/").bearer_auth(&format!("{SECRET}\n")).send().await.unwrap_err(),
            client.get("http://a/").basic_auth("a:b", SECRET).send().await.unwrap_err(),
        ];
        texts.extend(
            early.iter().map(|error: &Error| format!("{error} {error:?} {:?}", error.kind())),
        );
    });
    texts.push(log.0.borrow().clone());
    texts.extend(of_parts(SECRET));
    #[cfg(feature = "proxy")]
    texts.extend(of_proxies(SECRET));
    #[cfg(feature = "cookies")]
    {
        let jar = mainspring_http::CookieJar::new();
        assert!(jar.set(&Url::parse("http://a.test/").unwrap(), format!("a={SECRET}")));
        texts.push(format!("{jar:?}"));
    }
    for text in &texts {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("aHVudGVyMg"), "in Base64: {text}");
    }
    // The walk is worth something only if there was something to hide.
    assert!(texts.iter().filter(|text| text.contains("***")).count() > 12, "{texts:#?}");
}

/// What can be printed without a server.
fn of_parts(secret: &str) -> Vec<String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::SET_COOKIE, secret.parse().unwrap());
    headers.insert("x-own", marked());
    headers.insert(header::REFERER, format!("http://me:{secret}@a.test/").parse().unwrap());
    let head = RequestHead {
        method: &Method::GET,
        target: &format!("http://me:{secret}@a.test/?sig={secret}"),
        host: "a.test",
        headers: &headers,
        defaults: &headers,
        body: BodyLength::Empty,
    };
    let wire = format!("HTTP/1.1 200 OK\r\nset-cookie: {secret}\r\n\r\n");
    let mut decoder = ResponseDecoder::new(RequestKind::default(), Limits::default());
    let (_, event) = decoder.decode(wire.as_bytes()).unwrap();
    assert!(matches!(event, Event::Head(_)));
    let mut request =
        Request::new(Method::GET, Url::parse(&format!("http://{secret}@a.test/")).unwrap());
    request.headers = headers.clone();
    request.body = Body::from(secret.to_owned());
    let form = Form::new().text("password", secret);
    let mut texts = vec![
        format!("{head:?}"),
        format!("{event:?}"),
        format!("{request:?}"),
        format!("{form:?}"),
    ];
    // Also where it is another's error, and where kinds are made by hand.
    let other = || std::io::Error::other(format!("at http://me:{secret}@a.test/?token={secret}"));
    for kind in [
        ErrorKind::Resolve(other()),
        ErrorKind::RequestBody(other()),
        ErrorKind::InvalidUrl(format!("http://me:{secret}@[")),
        ErrorKind::Json(format!("?token={secret}")),
        ErrorKind::Decode(format!("http://{secret}@a.test")),
    ] {
        texts.push(kind.to_string());
    }
    texts.push(redact(&format!("https://{secret}@a.test/?client_secret={secret}")));
    texts
}

#[cfg(feature = "proxy")]
fn of_proxies(secret: &str) -> Vec<String> {
    use mainspring_http::Proxy;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut texts = Vec::new();
    for scheme in ["http", "socks5", "socks5h"] {
        let proxy = Proxy::new(format!("{scheme}://me:{secret}@{closed}")).unwrap();
        texts.push(format!("{proxy} {proxy:?}"));
        let client = Client::builder().proxy(proxy).build();
        for url in ["http://10.0.0.1/", "ftp://10.0.0.1/"] {
            let error = mainspring::run(client.get(url).send()).unwrap_err();
            texts.push(format!("{error} {error:?} {:?} {:?}", error.kind(), error.proxy()));
        }
    }
    let error = Proxy::new(format!("me:{secret}@[")).unwrap_err();
    texts.push(format!("{error} {error:?}"));
    texts
}
