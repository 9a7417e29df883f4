//! What is kept, what is given back, to which hosts, and in which order.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// Sets one cookie and asks for it.
fn given(set_at: &str, set_cookie: &str, asked_at: &str) -> Option<String> {
    let jar = CookieJar::new();
    jar.set_at(&url(set_at), set_cookie, at(0));
    jar.get_at(&url(asked_at), at(0))
}

#[test]
fn one_cookie_and_whom_it_goes_to() {
    let rows: [(&str, &str, &str, Option<&str>); 43] = [
        ("http://a.com/", "k=v", "http://a.com/", Some("k=v")),
        ("http://a.com/", "k=v", "http://a.com:81/x?y", Some("k=v")),
        ("http://a.com/", "k=v", "http://b.a.com/", None),
        ("http://a.com/", "k=v", "http://b.com/", None),
        ("http://a.com/", " k = v w ; x", "http://a.com/", Some("k=v w")),
        ("http://a.com/", "k=\"v\"", "http://a.com/", Some("k=\"v\"")),
        ("http://a.com/", "k=a=b", "http://a.com/", Some("k=a=b")),
        ("http://a.com/", "v", "http://a.com/", Some("v")),
        ("http://a.com/", "=v", "http://a.com/", Some("v")),
        ("http://a.com/", "k=", "http://a.com/", Some("k=")),
        ("http://a.com/", "", "http://a.com/", None),
        ("http://a.com/", "=", "http://a.com/", None),
        ("http://a.com/", "k=a\0b", "http://a.com/", None),
        ("http://a.com/", "k=a\x1bb", "http://a.com/", None),
        // Domain
        ("http://a.com/", "k=v; Domain=a.com", "http://b.a.com/", Some("k=v")),
        ("http://a.com/", "k=v; domain=.A.com", "http://b.a.com/", Some("k=v")),
        ("http://b.a.com/", "k=v; Domain=a.com", "http://a.com/", Some("k=v")),
        ("http://b.a.com/", "k=v; Domain=a.com", "http://c.a.com/", Some("k=v")),
        ("http://a.com/", "k=v; Domain=b.a.com", "http://b.a.com/", None),
        ("http://a.com/", "k=v; Domain=b.com", "http://b.com/", None),
        ("http://xa.com/", "k=v; Domain=a.com", "http://a.com/", None),
        ("http://a.com/", "k=v; Domain=com", "http://b.com/", None),
        ("http://a.co.uk/", "k=v; Domain=co.uk", "http://b.co.uk/", None),
        ("http://a.com/", "k=v; Domain=", "http://a.com/", Some("k=v")),
        ("http://127.0.0.1/", "k=v", "http://127.0.0.1/", Some("k=v")),
        ("http://127.0.0.1/", "k=v; Domain=0.0.1", "http://127.0.0.1/", None),
        // Path
        ("http://a.com/x/y", "k=v", "http://a.com/x/z", Some("k=v")),
        ("http://a.com/x/y", "k=v", "http://a.com/x", Some("k=v")),
        ("http://a.com/x/y", "k=v", "http://a.com/xy", None),
        ("http://a.com/x/y", "k=v", "http://a.com/", None),
        ("http://a.com/x", "k=v; Path=/", "http://a.com/", Some("k=v")),
        ("http://a.com/", "k=v; Path=/x/", "http://a.com/x/y", Some("k=v")),
        ("http://a.com/", "k=v; Path=/x/", "http://a.com/x", None),
        ("http://a.com/y", "k=v; Path=x", "http://a.com/z", Some("k=v")),
        // Secure, and the prefixes that promise it
        ("https://a.com/", "k=v; Secure", "https://a.com/", Some("k=v")),
        ("https://a.com/", "k=v; secure", "http://a.com/", None),
        ("http://a.com/", "k=v; Secure", "https://a.com/", None),
        ("https://a.com/", "__Secure-k=v", "https://a.com/", None),
        ("https://a.com/", "__Secure-k=v; Secure", "https://a.com/", Some("__Secure-k=v")),
        ("https://a.com/", "__Host-k=v; Secure; Path=/", "https://a.com/", Some("__Host-k=v")),
        ("https://a.com/", "__Host-k=v; Secure; Path=/x", "https://a.com/x", None),
        ("https://a.com/", "__Host-k=v; Secure; Path=/; Domain=a.com", "https://a.com/", None),
        ("http://a.com/", "k=v; HttpOnly; SameSite=Strict; x=y", "http://a.com/", Some("k=v")),
    ];
    for (set_at, set_cookie, asked_at, expected) in rows {
        let given = given(set_at, set_cookie, asked_at);
        assert_eq!(given.as_deref(), expected, "{set_at} {set_cookie} {asked_at}");
    }
}

#[test]
fn how_long_it_lasts() {
    let rows = [
        ("k=v", u64::from(u32::MAX), true),
        ("k=v; Max-Age=10", 9, true),
        ("k=v; Max-Age=10", 10, false),
        ("k=v; Max-Age=0", 0, false),
        ("k=v; Max-Age=-1", 0, false),
        ("k=v; Max-Age=x", 10, true),
        ("k=v; Max-Age=99999999999999999999", 10, true),
        ("k=v; Max-Age=-99999999999999999999", 0, false),
        ("k=v; Expires=Sun, 09 Sep 2001 01:46:50 GMT", 9, true),
        ("k=v; Expires=Sun, 09 Sep 2001 01:46:50 GMT", 10, false),
        ("k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0, false),
        ("k=v; Expires=whenever", 10, true),
        ("k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10", 9, true),
    ];
    for (set_cookie, later, there) in rows {
        let jar = CookieJar::new();
        jar.set_at(&url("http://a.com/"), set_cookie, at(0));
        assert_eq!(jar.get_at(&url("http://a.com/"), at(later)).is_some(), there, "{set_cookie}");
        assert_eq!(jar.is_empty(), !there, "what is over is forgotten: {set_cookie}");
    }
}

#[test]
fn order_replacement_and_removal() {
    let jar = CookieJar::new();
    let page = url("https://b.a.com/x/y");
    for set in ["1=a", "2=b; Path=/", "3=c; Domain=a.com; Path=/", "4=d; Path=/x/y", "2=B; Path=/"]
    {
        assert!(jar.set_at(&page, set, at(0)), "{set}");
    }
    assert_eq!(jar.get_at(&page, at(0)).unwrap(), "4=d; 1=a; 2=B; 3=c");
    assert!(jar.set_at(&page, "1=; Max-Age=0", at(0)));
    assert_eq!(jar.get_at(&page, at(0)).unwrap(), "4=d; 2=B; 3=c");
    // What was set over TLS is not replaced without it.
    assert!(jar.set_at(&page, "2=S; Path=/; Secure", at(0)));
    assert!(!jar.set_at(&url("http://b.a.com/"), "2=x; Path=/", at(0)));
    assert_eq!(jar.get_at(&page, at(0)).unwrap(), "4=d; 2=S; 3=c");
    jar.clear();
    assert_eq!(jar.get_at(&page, at(0)), None);
}

#[test]
fn there_is_room_for_so_many() {
    let jar = CookieJar::new();
    let page = url("http://a.com/");
    assert!(!jar.set(&page, format!("k={}", "v".repeat(MAX_COOKIE_BYTES))));
    for number in 0..MAX_PER_DOMAIN + 10 {
        assert!(jar.set(&page, format!("{number}=v")));
    }
    assert_eq!(jar.len(), MAX_PER_DOMAIN);
    let kept = jar.get(&page).unwrap();
    assert!(kept.starts_with("10=v; 11=v; "), "the oldest have made room");
    for host in 0..MAX_COOKIES {
        jar.set(&url(&format!("http://h{host}.com/")), "k=v");
    }
    assert_eq!(jar.len(), MAX_COOKIES);
    assert_eq!(format!("{jar:?}"), "CookieJar(10000 cookies)");
}

/// RFC 6265 §5.2 and §5.4 work on octets; curl and browsers send back those that came.
#[test]
fn bytes_come_back_as_they_came() {
    let url = Url::parse("http://a.test/x/").unwrap();
    let rows: [(&[u8], &[u8]); 6] = [
        (b"a=caf\xe9", b"a=caf\xe9"),
        (b"a=caf\xc3\xa9; Path=/x", b"a=caf\xc3\xa9"),
        (b"\xe9=1;Path=/x;X=\xff", b"\xe9=1"),
        (b"a=\xa0b\xa0", b"a=\xa0b\xa0"),
        (b"\xc4\xe3\xba\xc3", b"\xc4\xe3\xba\xc3"),
        (b"a=b; Expires=\xe9; Max-Age=9", b"a=b"),
    ];
    for (set, sent) in rows {
        let jar = CookieJar::new();
        assert!(jar.set(&url, set), "{}", set.escape_ascii());
        assert_eq!(jar.bytes(&url).unwrap(), sent, "{}", set.escape_ascii());
        assert_eq!(jar.get(&url).unwrap(), String::from_utf8_lossy(sent));
    }
    // A part that is no text does not void the others.
    let jar = CookieJar::new();
    assert!(jar.set(&url, b"a=\xe9; Path=/y; Comment=\xe9"));
    assert_eq!(jar.get(&url), None);
    // Bytes are what is counted.
    let most = "\u{e9}".repeat(MAX_COOKIE_BYTES / 2 - 1);
    assert!(jar.set(&url, format!("a={most}b")) && !jar.set(&url, format!("a={most}bcd")));
}
