//! Cookies (RFC 6265, with the prefixes and the order of its successor's drafts).
//!
//! A jar keeps what servers set and gives back what a request may carry. It is off unless asked
//! for: most programs that fetch pages want none. Domains that are registries (`co.uk`) get no
//! cookies for all below them, by Mozilla's public suffix list.

mod date;

use crate::request_head::CookieStore;
use http::HeaderValue;
use mainspring_suffix::is_public_suffix;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use url::{Host, Url};

/// Bytes of the name and value of a cookie; a longer one is not kept (RFC 6265 §6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// Cookies of one domain; the oldest make room (RFC 6265 §6.1 asks for at least 50).
const MAX_PER_DOMAIN: usize = 180;

/// Cookies in all; beyond it, the domain that set the most loses its oldest.
const MAX_COOKIES: usize = 10_000;

/// The cookies of one or more clients. Clones share them.
// Values are secrets.
#[derive(Clone, Default, derive_more::Debug)]
#[debug("CookieJar({} cookies)", self.len())]
pub struct CookieJar {
    store: Rc<RefCell<Store>>,
}

#[derive(Default)]
struct Store {
    domains: HashMap<String, Vec<Cookie>>,
    count: usize,
    /// Numbers cookies in the order of their creation.
    next: u64,
}

/// Its texts have a letter for each byte that came.
#[derive(Default)]
struct Cookie {
    name: String,
    value: String,
    /// Without it, the cookie goes to all hosts below its domain as well.
    host_only: bool,
    path: String,
    secure: bool,
    expires: Option<SystemTime>,
    number: u64,
}

impl CookieStore for CookieJar {
    fn keep(&self, url: &Url, set_cookie: &[u8]) {
        self.set(url, set_cookie);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        HeaderValue::try_from(self.bytes(url)?).ok()
    }
}

impl CookieJar {
    /// An empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the value of a `Set-Cookie` field in the response to a request for `url`. Whether it
    /// was accepted: a malformed cookie, or one for another host, is not (RFC 6265 §5.3).
    ///
    /// Bytes above 127 are kept as they are, whether they are UTF-8 or not.
    pub fn set(&self, url: &Url, set_cookie: impl AsRef<[u8]>) -> bool {
        let letters: String = set_cookie.as_ref().iter().map(|byte| char::from(*byte)).collect();
        self.set_at(url, &letters, SystemTime::now())
    }

    /// The value of the `Cookie` field for a request to `url`, if there is any (RFC 6265 §5.4). What is
    /// no UTF-8 in it becomes U+FFFD here, but not in what is sent.
    #[must_use]
    pub fn get(&self, url: &Url) -> Option<String> {
        self.bytes(url).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same as it is sent.
    pub(crate) fn bytes(&self, url: &Url) -> Option<Vec<u8>> {
        let letters = self.get_at(url, SystemTime::now())?;
        // Each letter is a byte that came.
        Some(letters.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect())
    }

    /// How many cookies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.borrow().count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all cookies.
    pub fn clear(&self) {
        *self.store.borrow_mut() = Store::default();
    }

    fn set_at(&self, url: &Url, set_cookie: &str, now: SystemTime) -> bool {
        let Some(host) = url.host_str() else { return false };
        let Some((mut cookie, domain)) = parse(set_cookie, now) else { return false };
        let is_secure = url.scheme() == "https";
        let domain = match domain {
            Some(domain) if domain != host => {
                if is_public_suffix(&domain) || !is_below(url, &domain) {
                    return false;
                }
                domain
            }
            named => {
                cookie.host_only = named.is_none_or(|domain| is_public_suffix(&domain));
                host.to_owned()
            }
        };
        if cookie.path.is_empty() {
            cookie.path = default_path(url);
        }
        if cookie.secure && !is_secure {
            return false;
        }
        // Cookies of these names promise how they were set.
        let lower = cookie.name.to_ascii_lowercase();
        let host_prefix = lower.starts_with("__host-");
        if (lower.starts_with("__secure-") || host_prefix) && !cookie.secure {
            return false;
        }
        if host_prefix && (!cookie.host_only || cookie.path != "/") {
            return false;
        }
        self.store.borrow_mut().insert(domain, cookie, is_secure, now)
    }

    fn get_at(&self, url: &Url, now: SystemTime) -> Option<String> {
        let host = url.host_str()?;
        let is_address = !matches!(url.host(), Some(Host::Domain(_)));
        let mut store = self.store.borrow_mut();
        // Longer paths first, and among equals the older ones (RFC 6265 §5.4, step 2).
        let mut found = BTreeMap::new();
        let mut domain = host;
        loop {
            if let Some(cookies) = store.domains.get_mut(domain) {
                let before = cookies.len();
                cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
                let expired = before - cookies.len();
                let fits = |cookie: &&Cookie| {
                    (!cookie.host_only || domain == host)
                        && (!cookie.secure || url.scheme() == "https")
                        && path_matches(url.path(), &cookie.path)
                };
                found.extend(cookies.iter().filter(fits).map(|cookie| {
                    let pair = match cookie.name.as_str() {
                        "" => cookie.value.clone(),
                        name => format!("{name}={}", cookie.value),
                    };
                    ((Reverse(cookie.path.len()), cookie.number), pair)
                }));
                store.count -= expired;
            }
            match domain.split_once('.') {
                Some((_, parent)) if !is_address => domain = parent,
                _ => break,
            }
        }
        let pairs: Vec<String> = found.into_values().collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl Store {
    fn insert(
        &mut self,
        domain: String,
        mut cookie: Cookie,
        is_secure: bool,
        now: SystemTime,
    ) -> bool {
        let cookies = self.domains.entry(domain).or_default();
        let same = |old: &Cookie| {
            old.name == cookie.name && old.path == cookie.path && old.host_only == cookie.host_only
        };
        cookie.number = self.next;
        self.next += 1;
        if let Some(at) = cookies.iter().position(same) {
            // What was set over TLS is not replaced by who is in between without it.
            if cookies[at].secure && !is_secure {
                return false;
            }
            // A cookie that is set again keeps its age.
            cookie.number = cookies[at].number;
            cookies.remove(at);
            self.count -= 1;
        }
        if cookie.expires.is_none_or(|expires| expires > now) {
            if cookies.len() == MAX_PER_DOMAIN {
                cookies.remove(0);
                self.count -= 1;
            }
            cookies.push(cookie);
            self.count += 1;
        }
        if self.count > MAX_COOKIES
            && let Some(largest) = self.domains.values_mut().max_by_key(|cookies| cookies.len())
        {
            largest.remove(0);
            self.count -= 1;
        }
        true
    }
}

/// A cookie, and the domain that it names (RFC 6265 §5.2). Its path is empty if it names none.
fn parse(set_cookie: &str, now: SystemTime) -> Option<(Cookie, Option<String>)> {
    let forbidden = |c: char| c.is_ascii_control() && c != '\t';
    if set_cookie.contains(forbidden) {
        return None;
    }
    // Blanks alone, not all that Unicode takes for one (RFC 6265 §5.2).
    let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
    let mut parts = set_cookie.split(';');
    let pair = parts.next()?;
    // A cookie without an equals sign is a value without a name.
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let mut cookie = Cookie { name: trim(name), value: trim(value), ..Cookie::default() };
    let bytes = cookie.name.chars().count() + cookie.value.chars().count();
    if bytes == 0 || bytes > MAX_COOKIE_BYTES {
        return None;
    }
    let (mut named, mut ends) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = trim(value);
        match trim(key).to_ascii_lowercase().as_str() {
            "expires" => cookie.expires = date::parse(&value).or(cookie.expires),
            "max-age" => ends = max_age(&value, now).or(ends),
            "domain" => {
                let domain = value.strip_prefix('.').unwrap_or(&value).to_ascii_lowercase();
                named = (!domain.is_empty()).then_some(domain);
            }
            "path" if value.starts_with('/') => cookie.path = value,
            "path" => cookie.path.clear(),
            "secure" => cookie.secure = true,
            _ => {}
        }
    }
    // An age counts more than a date (RFC 6265 §5.3, step 3).
    cookie.expires = ends.or(cookie.expires);
    Some((cookie, named))
}

/// When an age of so many seconds is over; one too large for a number is very large (RFC 6265 §5.2.2).
fn max_age(value: &str, now: SystemTime) -> Option<SystemTime> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < value.len() {
        return Some(SystemTime::UNIX_EPOCH);
    }
    let seconds = digits.parse().unwrap_or(u32::MAX);
    Some(if seconds == 0 {
        SystemTime::UNIX_EPOCH
    } else {
        now + Duration::from_secs(seconds.into())
    })
}

/// `domain-match` (RFC 6265 §5.1.3) for a domain that is not the host itself.
fn is_below(url: &Url, domain: &str) -> bool {
    let Some(Host::Domain(host)) = url.host() else { return false };
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// RFC 6265 §5.1.4: the path up to, but without, its last slash.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(last) => url.path()[..last].to_owned(),
    }
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
