//! robots.txt: what a site asks crawlers to leave alone (RFC 9309), and how long to wait between
//! two pages (`Crawl-delay`, which is not in the RFC and widely meant).

use std::time::Duration;

use url::Url;

use crate::canonical::normal_encoding;

/// The product token that groups for us are written for (RFC 9309 §2.2.1).
pub const PRODUCT: &str = "mainspring-crawl";

/// How much of a robots.txt is read, in bytes (RFC 9309 §2.5 asks for at least this).
pub const MAX_BYTES: usize = 500 * 1024;

/// The longest crawl delay that is obeyed; a site that asks for more is crawled at this pace.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// What one site asks of us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Robots {
    rules: Vec<Rule>,
    /// How long to wait between two pages of the site.
    pub delay: Option<Duration>,
}

/// One `Allow` or `Disallow` line.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    allow: bool,
    pattern: String,
}

impl Robots {
    /// Everything is allowed: what a site without a robots.txt asks (RFC 9309 §2.3.1.3).
    pub fn allow_all() -> Robots {
        Robots::default()
    }

    /// Reads a robots.txt. There is no wrong one: lines that say nothing to us are passed over.
    ///
    /// The groups for our product count, all of them together; without one, those for `*`.
    pub fn parse(text: &str) -> Robots {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut ours, mut anyones) = (Robots::default(), Robots::default());
        let mut named = false;
        // Whether the group that is being read is for us, for anyone, and whether it has begun.
        let (mut for_us, mut for_anyone, mut in_agents) = (false, false, false);
        for line in text.split(['\n', '\r']) {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if !in_agents {
                    (for_us, for_anyone, in_agents) = (false, false, true);
                }
                for_us |= product(value).eq_ignore_ascii_case(PRODUCT);
                for_anyone |= value == "*";
                named |= for_us;
            } else if ["allow", "disallow", "crawl-delay"].contains(&&*key) {
                in_agents = false;
                for (is_meant, group) in [(for_us, &mut ours), (for_anyone, &mut anyones)] {
                    if is_meant {
                        group.take(&key, value);
                    }
                }
            }
        }
        if named { ours } else { anyones }
    }

    fn take(&mut self, key: &str, value: &str) {
        if key == "crawl-delay" {
            let seconds = value.parse().ok().filter(|s: &f64| *s >= 0.0 && s.is_finite());
            let delay = seconds.map(|s| Duration::from_secs_f64(s.min(MAX_DELAY.as_secs_f64())));
            self.delay = self.delay.max(delay);
        } else if !value.is_empty() {
            // An empty pattern matches nothing: `Disallow:` is how a site says that all is allowed.
            let (value, end) = value.strip_suffix('$').map_or((value, ""), |value| (value, "$"));
            let pattern = comparable(value).replace('$', "%24") + end;
            self.rules.push(Rule { allow: key == "allow", pattern });
        }
    }

    /// Whether the site lets us fetch a page of it.
    ///
    /// The rule with the longest pattern that matches decides; of two as long, the one that allows
    /// (RFC 9309 §2.2.2). The robots.txt itself is always allowed.
    pub fn allows(&self, url: &Url) -> bool {
        if url.path() == "/robots.txt" {
            return true;
        }
        let path = match url.query() {
            Some(query) => comparable(&format!("{}?{query}", url.path())),
            None => comparable(url.path()),
        };
        // These two are signs in a pattern, which names them by their codes (§2.2.3).
        let path = path.replace('*', "%2A").replace('$', "%24");
        let matching = self.rules.iter().filter(|rule| matches(&rule.pattern, &path));
        matching.max_by_key(|rule| (rule.pattern.len(), rule.allow)).is_none_or(|rule| rule.allow)
    }
}

/// The one form in which patterns and paths are compared (§2.2.2), where a query may hold a URL that is
/// encoded or not.
fn comparable(text: &str) -> String {
    let normal = normal_encoding(text);
    match normal.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query.replace("%2F", "/").replace("%3A", ":")),
        None => normal,
    }
}

/// The product token at the start of a `User-agent` value: letters, `_` and `-` (§2.2.1).
fn product(name: &str) -> &str {
    let end = name.find(|c: char| !(c.is_ascii_alphabetic() || c == '_' || c == '-'));
    &name[..end.unwrap_or(name.len())]
}

/// Whether `path` begins as `pattern` says, where `*` is any run of characters and `$` at the end
/// of the pattern is the end of the path (§2.2.3).
///
/// Each piece between stars is taken where it is found first, which is never worse than later: the
/// time is bounded by the product of the two lengths, whatever a site writes.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, to_the_end) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return !to_the_end || rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if to_the_end && pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, path: &str) -> bool {
        let url = Url::parse("http://h").and_then(|base| base.join(path)).expect(path);
        Robots::parse(text).allows(&url)
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 9309 §5.1, with our token in place of foobot.
        let text = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\n\
                    Allow: /publications/\n\n\
                    User-Agent: mainspring-crawl\nDisallow:/\nAllow:/example/page.html\n\
                    Allow:/example/allowed.gif\n\n\
                    User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\n\
                    User-Agent: quxbot\n\nEOF\n";
        assert!(allows(text, "/example/page.html"));
        assert!(allows(text, "/example/allowed.gif"));
        assert!(!allows(text, "/"));
        assert!(!allows(text, "/publications/"));
    }

    #[test]
    fn the_longest_match_decides_and_allow_wins_a_tie() {
        let text = "user-agent: *\nallow: /p\ndisallow: /\nallow: /example/p/\n\
                    disallow: /example/p/disallowed.gif\nallow: /same\ndisallow: /same";
        for (path, expected) in [
            ("/page", true),
            ("/other", false),
            ("/example/p/x", true),
            ("/example/p/disallowed.gif", false),
            ("/same", true),
            ("/robots.txt", true),
        ] {
            assert_eq!(allows(text, path), expected, "{path}");
        }
    }

    #[test]
    fn stars_and_dollars() {
        for (pattern, path, expected) in [
            ("/fish", "/fish.html", true),
            ("/fish", "/Fish", false),
            ("/fish*", "/fishheads", true),
            ("/fish/", "/fish", false),
            ("/*.php", "/a/b.php?x", true),
            ("/*.php$", "/a.php5", false),
            ("/*.php$", "/a.php.php", true),
            ("/fish*.php", "/fishy/x.php", true),
            ("/fish*.php", "/x/fish.php", false),
            ("/$", "/", true),
            ("/$", "/a", false),
            ("/a*b*c$", "/abcbc", true),
            ("/a*b*c$", "/acb", false),
            ("/a*", "/a", true),
            ("/**a", "/xa", true),
            ("*", "/x", true),
            ("/ab*b$", "/ab", false),
            ("/a%2Ab", "/axb", false),
            ("/a%24", "/ab", false),
            ("/a%2Fb", "/a/b", false),
        ] {
            let text = format!("user-agent: *\ndisallow: {pattern}");
            assert_eq!(!allows(&text, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn encodings_are_compared_in_one_form() {
        for (pattern, path) in [
            ("/foo/bar?baz=http://foo.bar", "/foo/bar?baz=http://foo.bar"),
            ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
            ("/foo/bar/%e3%83%84", "/foo/bar/ツ"),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
            // RFC 9309 §2.2.2 and §2.2.3.
            ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
            ("/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https://foo.bar"),
            ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html"),
            ("/path/file-with-a-%2a.html", "/path/file-with-a-%2A.html"),
            ("/path/foo-%24", "/path/foo-$"),
            ("/path/foo-%24", "/path/foo-%24"),
            ("/a$b*c$", "/a$b%24c"),
            ("/*$", "/*"),
        ] {
            assert!(!allows(&format!("user-agent: *\ndisallow: {pattern}"), path), "{pattern}");
        }
    }

    #[test]
    fn groups_are_chosen_by_product_and_merged() {
        let ours = "user-agent: other\ndisallow: /\n\nUSER-AGENT: Mainspring-Crawl/1.0 # us\n\
                    user-agent: more\nsitemap: http://h/s.xml\ndisallow: /a\n\nuser-agent: *\n\
                    disallow: /\n\nuser-agent: mainspring-crawl\ndisallow: /b\ncrawl-delay: 1.5";
        assert!(allows(ours, "/c") && !allows(ours, "/a") && !allows(ours, "/b"));
        let robots = Robots::parse(ours);
        assert_eq!(robots.delay, Some(Duration::from_millis(1_500)));
        assert!(allows("user-agent: mainspring-crawler\ndisallow: /", "/"), "another product");
        assert!(allows("user-agent: mainspring-crawl\n\nuser-agent: x\nuser-agent: *", "/"));
    }

    #[test]
    fn lines_that_say_nothing_are_passed_over() {
        let text = "\u{feff}disallow: /before\n<html>\nuser-agent: *\r\ndisallow:\r\
                    disallow: /x #c\n\
                    crawl-delay: soon\ncrawl-delay: -1\ncrawl-delay: NaN\nunknown: 1\ndisallow: /y";
        assert!(allows(text, "/before") && !allows(text, "/x") && !allows(text, "/y"));
        assert_eq!(Robots::parse(text).delay, None);
        assert_eq!(Robots::parse("user-agent: *\ncrawl-delay: 1e300").delay, Some(MAX_DELAY));
    }

    #[test]
    fn without_rules_all_is_allowed() {
        let url = Url::parse("http://h/x").expect("a URL");
        assert!(Robots::allow_all().allows(&url));
    }

    #[test]
    fn a_hostile_pattern_takes_no_hostile_time() {
        let pattern = format!("/{}b$", "*a".repeat(2_000));
        assert!(!matches(&pattern, &format!("/{}", "a".repeat(10_000))));
    }
}
