//! Sitemaps: lists of pages that a site publishes for crawlers (the protocol of sitemaps.org).

use std::io::Read;

use flate2::read::MultiGzDecoder;
use mainspring::spawn_blocking;
use url::Url;

use super::account::Told;
use super::listing::{self, Listing};
use super::redirect::{MAX_REDIRECTS, shown};
use super::scope::Scope;
use crate::answer::Answer;
use crate::web::Web;
use crate::xml;

/// How many sitemaps one index may lead to; the protocol's own bound is higher and never reached.
pub const MAX_SITEMAPS: usize = 500;

/// The longest sitemap that is unpacked, in bytes: what the protocol allows one to have.
pub const MAX_UNPACKED: usize = 50 * 1024 * 1024;

/// What sitemaps list, as far as they could be had.
#[derive(Debug, Default)]
pub struct Listed {
    /// Their pages.
    pub pages: Vec<Url>,
    /// What a person is told of them.
    pub told: Told,
}

/// Fetches a sitemap and, if it is an index, those it names, and adds what they list until there are
/// `most` pages. One that cannot be had costs its own pages only. Dropping it midway leaves what has
/// been read until then.
pub async fn read(web: &Web, url: &Url, most: usize, scope: &Scope, listed: &mut Listed) {
    let mut to_read = vec![url.clone()];
    let (mut next, mut past_limit) = (0, 0);
    while let Some(url) = to_read.get(next).cloned()
        && listed.pages.len() < most
    {
        next += 1;
        let at = shown(&url);
        let sitemap = match fetch(web, &url, scope).await {
            Ok(sitemap) => sitemap,
            Err(reason) => {
                listed.told.failures.push(format!("cannot read the sitemap {at}: {reason}"));
                continue;
            }
        };
        if sitemap == Listing::default() {
            listed.told.notes.push(format!("the sitemap {at} lists nothing"));
        }
        let missing = (sitemap.left_out > 0)
            .then(|| format!("{} addresses that are too long or none", sitemap.left_out));
        for what in sitemap.cut.into_iter().chain(missing) {
            listed.told.cuts.push(format!("of the sitemap {at}, {what}"));
        }
        listed.pages.extend(sitemap.pages);
        for url in sitemap.sitemaps {
            match to_read.contains(&url) {
                true => {}
                false if to_read.len() < MAX_SITEMAPS => to_read.push(url),
                false => past_limit += 1,
            }
        }
    }
    let (unread, pages) = (to_read.len() - next + past_limit, listed.pages.len());
    if pages > most || unread > 0 {
        let (at, past) = (shown(url), pages.saturating_sub(most));
        listed.told.cuts.push(format!(
            "of the sitemap {at}, {past} pages past the limit of {most} and {unread} further \
             sitemaps were not taken"
        ));
    }
    listed.pages.truncate(most);
}

async fn fetch(web: &Web, url: &Url, scope: &Scope) -> Result<Listing, String> {
    let asked = web.get_beside(url, MAX_UNPACKED, MAX_REDIRECTS, scope).await;
    let (answer, is_whole) = asked.map_err(|error| error.to_string())?;
    if !is_whole {
        return Err(format!("it is longer than {MAX_UNPACKED} bytes"));
    }
    // A list of fifty thousand addresses takes longer than a loop should be held.
    spawn_blocking(move || open(&answer)).await.map_err(|error| error.to_string())?
}

/// Reads a sitemap that may be packed: a file by the name of `sitemap.xml.gz` is packed in itself,
/// whatever the coding of the answer, which the client has undone.
fn open(answer: &Answer) -> Result<Listing, String> {
    // The first bytes tell better than names and types do (RFC 1952 §2.3.1).
    let body = match answer.body.starts_with(&[0x1f, 0x8b]) {
        true => unpack(MultiGzDecoder::new(&*answer.body), MAX_UNPACKED)?.into(),
        false => answer.body.clone(),
    };
    let (text, _) = xml::decode(&body, answer.media_type().charset.as_deref());
    let listing = listing::parse(&text, &answer.url)?;
    match listing.cut {
        Some(reason) if listing.pages.is_empty() && listing.sitemaps.is_empty() => Err(reason),
        None if listing == Listing::default() && !text.trim_start().starts_with('<') => {
            Err("it is no sitemap: neither XML nor a list of addresses".to_owned())
        }
        _ => Ok(listing),
    }
}

/// What a decoder makes of something packed, if that is whole and comes to at most `limit` bytes.
///
/// # Errors
/// Half a sentence on why there is no such content.
pub(crate) fn unpack(decoder: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if unpacked.len() > limit {
        return Err(format!("unpacked it is longer than {limit} bytes"));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("a Vec takes any bytes");
        encoder.finish().expect("a Vec takes any bytes")
    }

    fn opened(body: Vec<u8>) -> Result<Vec<String>, String> {
        let answer = Answer {
            url: Url::parse("http://h/sitemap.xml.gz").expect("a URL"),
            status: http::StatusCode::OK,
            content_type: "application/gzip".to_owned(),
            refresh: None,
            asks_nofollow: false,
            body: body.into(),
        };
        open(&answer).map(|sitemap| sitemap.pages.iter().map(Url::to_string).collect())
    }

    #[test]
    fn a_packed_list_is_unpacked_in_full_or_refused() {
        let list = b"<urlset><url><loc>http://h/a</loc></url>";
        let packed = gzipped(list);
        assert_eq!(opened(packed.clone()), Ok(vec!["http://h/a".to_owned()]));
        // Two members, one after the other, are one file.
        let more = gzipped(b"<url><loc>http://h/b</loc></url></urlset>");
        let both = Ok(vec!["http://h/a".to_owned(), "http://h/b".to_owned()]);
        assert_eq!(opened([packed.clone(), more].concat()), both);
        for end in 2..packed.len() {
            let cut = opened(packed[..end].to_vec()).expect_err("it is not whole");
            assert!(cut.starts_with("it cannot be unpacked: "), "cut at {end}: {cut}");
        }
        let bomb = gzipped(&[b' '; 1_001]);
        let unpack = |limit| unpack(MultiGzDecoder::new(&*bomb), limit);
        assert_eq!(unpack(1_001).map(|unpacked| unpacked.len()), Ok(1_001));
        assert_eq!(unpack(1_000), Err("unpacked it is longer than 1000 bytes".to_owned()));
    }

    #[test]
    fn a_list_is_read_in_its_encoding_packed_or_not() {
        let utf_16 = |text: &str, of: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(of).collect()
        };
        let xml = |label: &str| {
            format!(
                "<?xml version='1.0' encoding='{label}'?><urlset><url><loc>http://h/д</loc></url></urlset>"
            )
        };
        let windows_1251 =
            |text: &str| mainspring_http::encoding_rs::WINDOWS_1251.encode(text).0.into_owned();
        for body in [
            xml("utf-8").into_bytes(),
            windows_1251(&xml("windows-1251")),
            windows_1251(&format!("\r\n{}", xml("cp1251"))),
            utf_16(&xml("utf-16"), u16::to_le_bytes),
            utf_16(&format!("\u{feff}{}", xml("utf-8")), u16::to_be_bytes),
            "\u{feff}http://h/д\r\n".into(),
            utf_16("\u{feff}\nhttp://h/д\n", u16::to_le_bytes),
        ] {
            let expected = Ok(vec!["http://h/%D0%B4".to_owned()]);
            assert_eq!(opened(gzipped(&body)), expected, "{}", body.escape_ascii());
            assert_eq!(opened(body), expected);
        }
    }
}
