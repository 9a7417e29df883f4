//! What a jar makes of `Set-Cookie`: never more than was said, never to another host, and always
//! something that can be sent.

use mainspring_http::http::HeaderValue;
use mainspring_http::{CookieJar, Url};

/// Lines, each the value of a `Set-Cookie`, from one host.
pub fn cookies(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parse = |url| Url::parse(url).expect("a URL");
    let (setter, other) = (parse("https://a.b.test/x/y"), parse("https://other.example/x/y"));
    let jar = CookieJar::new();
    for line in text.split('\n') {
        alone(&setter, line);
        jar.set(&setter, line);
    }
    assert_eq!(jar.get(&other), None, "nothing for a host of another domain");
    let Some(all) = jar.get(&setter) else { return };
    sendable(&all);
    let pairs = all.split("; ").count();
    assert!(pairs <= jar.len(), "{pairs} of {}: {all}", jar.len());
    for line in text.split('\n') {
        jar.set(&setter, line);
    }
    let mut again: Vec<String> = jar.get(&setter).iter().flat_map(|all| split(all)).collect();
    let mut before = split(&all);
    again.sort_unstable();
    before.sort_unstable();
    assert_eq!(again, before, "said twice is said once");
}

/// One cookie in a jar of its own is what RFC 6265 §5.2 makes of the line.
fn alone(url: &Url, line: &str) {
    let jar = CookieJar::new();
    let taken = jar.set(url, line);
    let Some(sent) = jar.get(url) else { return };
    assert!(taken && jar.len() == 1);
    sendable(&sent);
    let pair = line.split(';').next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let blank = |char| char == ' ' || char == '\t';
    let (name, value) = (name.trim_matches(blank), value.trim_matches(blank));
    // One without a name is sent as browsers send it: the value alone.
    let expected = if name.is_empty() { value.to_owned() } else { format!("{name}={value}") };
    assert_eq!(sent, expected);
}

fn sendable(cookies: &str) {
    assert!(HeaderValue::try_from(cookies).is_ok(), "{}", cookies.escape_debug());
}

fn split(cookies: &str) -> Vec<String> {
    cookies.split("; ").map(str::to_owned).collect()
}
