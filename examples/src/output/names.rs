//! File names for pages: readable, safe on every file system, one for each page.

use url::Url;

use crate::canonical::canonical;
use crate::media_type::MediaType;

/// The longest readable part of a name, in bytes.
const READABLE: usize = 80;

/// A name for the body of a page: a readable part made of host and path, a hash of the canonical
/// URL that keeps two pages apart, and an extension after the content type.
///
/// Letters, digits, `.`, `-` and `_` are all that it consists of, and it never begins with a dot:
/// nothing a server says can climb out of a directory, hide a file or name a device.
pub fn file_name(url: &Url, content_type: &str) -> String {
    let key = canonical(url);
    let address = key.split_once("://").map_or(key.as_str(), |(_, address)| address);
    let path = address.split('?').next().unwrap_or_default();
    let readable = plain(path);
    format!("page-{readable}-{:016x}.{}", hash(&key), extension(content_type))
}

/// The last part of a URL's path, made plain; `index` where there is none.
pub fn last_part(url: &Url) -> String {
    let last = url.path_segments().into_iter().flatten().rfind(|part| !part.is_empty());
    let plain = plain(last.unwrap_or_default());
    if plain.is_empty() { "index".to_owned() } else { plain }
}

/// The beginning of a text, with everything but letters, digits, `.`, `-` and `_` made `_`, and no
/// dot at either end.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let text: String = text.chars().map(plain).take(READABLE).collect();
    text.trim_matches(['.', '_']).to_owned()
}

/// FNV-1a: the same in every run and every build, which the standard library's hashers are not, so
/// that a page fetched again replaces its own file.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An extension for a content type; `bin` for one that is not in the list.
fn extension(content_type: &str) -> &'static str {
    /// Types that are called by their extension.
    const ALIKE: [&str; 8] = ["css", "csv", "gif", "html", "json", "pdf", "png", "webp"];
    let kind = MediaType::parse(content_type);
    let (_, name) = kind.essence.split_once('/').unwrap_or_default();
    match name {
        "xhtml+xml" => "html",
        "plain" => "txt",
        "javascript" => "js",
        "jpeg" => "jpg",
        "svg+xml" => "svg",
        _ if kind.is_xml() => "xml",
        name => ALIKE.into_iter().find(|known| *known == name).unwrap_or("bin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str, content_type: &str) -> String {
        file_name(&Url::parse(url).expect(url), content_type)
    }

    /// The name without its hash, which is pinned apart.
    fn readable(url: &str, content_type: &str) -> String {
        let name = name(url, content_type);
        let (readable, rest) = name.rsplit_once('-').expect("a hash");
        format!("{readable} {}", &rest[16..])
    }

    #[test]
    fn whatever_the_url_says_the_name_is_plain() {
        for (url, expected) in [
            ("http://h/a/b.html?x=1", "page-h_a_b.html .html"),
            ("http://h/../../etc/passwd", "page-h_etc_passwd .html"),
            ("http://h/%2e%2e%2f%00", "page-h_.._2F_00 .html"),
            ("http://h/con:\\\"<>|é", "page-h_con___22_3C_3E__C3_A9 .html"),
            ("http://h/.", "page-h .html"),
        ] {
            assert_eq!(readable(url, "text/html; charset=x"), expected, "{url}");
        }
        let long = name(&format!("http://h/{}", "x".repeat(9_999)), "IMAGE/PNG");
        assert!(long.len() < 120 && long.ends_with(".png"), "{long}");
    }

    #[test]
    fn the_last_part_of_an_address_is_a_plain_name_too() {
        for (url, expected) in [
            ("http://h/api/movie/7", "7"),
            ("http://h/a/b.html/?x", "b.html"),
            ("http://h/", "index"),
            ("http://h/%2e%2e%2f", "2e_2e_2f"),
            ("http://h/...", "index"),
        ] {
            assert_eq!(last_part(&Url::parse(url).expect(url)), expected, "{url}");
        }
    }

    #[test]
    fn two_pages_have_two_names_and_one_page_has_one() {
        assert_ne!(name("http://h/a?x=1", ""), name("http://h/a?x=2", ""));
        assert_eq!(name("http://h/a#x", ""), name("HTTP://H:80/%61", ""));
        assert_eq!(name("http://h/a", "x/y"), "page-h_a-493acee766f869f9.bin");
    }
}
