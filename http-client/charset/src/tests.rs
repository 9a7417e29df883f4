//! Which encoding a text is in, by which of the words on it, and what becomes of it.

use super::*;

const HELLO: &str = "你好，世界";

fn encoded(label: &str, text: &str) -> Vec<u8> {
    Encoding::for_label(label.as_bytes()).unwrap().encode(text).0.into_owned()
}

/// What the text says of itself comes out of it unchanged.
#[test]
fn who_says_it_and_who_wins() {
    let page = |label: &str, head: &str| {
        (encoded(label, &format!("{head}{HELLO}")), format!("{head}{HELLO}"))
    };
    let rows = [
        (None, page("utf-8", "")),
        (Some("text/plain"), page("utf-8", "")),
        (Some("text/html; charset=gbk"), page("gbk", "")),
        (Some("text/html; Charset=\"GB18030\""), page("gb18030", "")),
        (Some("text/html;charset=gb2312"), page("gbk", "")),
        (Some("text/html; a=b; charset='gbk'"), page("gbk", "")),
        (Some("text/html; charset=nonsense"), page("utf-8", "")),
        (Some("text/html; charset=nonsense"), page("gbk", "<meta charset=gbk>")),
        // As servers have it: commas and blanks between, one field twice, bytes that are no text.
        (Some("text/html,text/html; charset=gbk"), page("gbk", "")),
        (Some("text/html; charset=gbk, text/html"), page("gbk", "")),
        (Some("text/html charset=gbk"), page("gbk", "")),
        (Some("text/html; title=\"a; charset=big5\"; charset = gbk"), page("gbk", "")),
        (Some("text/html; charset=; charset=gbk"), page("gbk", "")),
        (Some("text/html; xcharset=big5;charset=gbk"), page("gbk", "")),
        // The page itself, if the header does not say.
        (Some("text/html"), page("gbk", "<meta charset=gbk>")),
        (Some("Text/HTML"), page("gbk", "<meta charset=gbk>")),
        (None, page("gbk", "<META CHARSET = 'GBK' />")),
        (Some("text/html; charset=utf-8"), page("utf-8", "<meta charset=gbk>")),
        (Some("text/xml"), page("gbk", "<?xml version='1.0' encoding='gbk'?>")),
        (Some("application/rss+xml"), page("gbk", "<?xml version='1.0' encoding=\"GBK\" ?>")),
        (Some("text/xml"), page("gbk", "\n<?xml version='1.0' encoding='gbk'?>")),
        (Some("application/xhtml+xml"), page("gbk", "<?xml version='1.0'?><meta charset=gbk>")),
        (Some("application/xhtml+xml"), page("gbk", "<?xml encoding='gbk'?><meta charset=big5>")),
        // Only markup has a place to say it.
        (Some("text/plain"), page("utf-8", "<meta charset=gbk>")),
        (Some("application/json"), page("utf-8", "<meta charset=gbk>")),
        (Some("application/rss+xml"), page("utf-8", "<rss><meta charset=gbk>")),
    ];
    for (content_type, (body, expected)) in rows {
        assert_eq!(decode(&body, content_type), expected, "{content_type:?}");
    }
    let body = page("gbk", "");
    assert_eq!(to_text(body.0, b"text/html; name=caf\xe9; charset=gbk"), body.1);
    // A mark wins, and is taken off.
    for field in [None, Some("text/html; charset=gbk"), Some("application/json")] {
        assert_eq!(decode(format!("\u{feff}{HELLO}").as_bytes(), field), HELLO);
        assert_eq!(decode(b"\xff\xfeh\0i\0", field), "hi");
        assert_eq!(decode(b"\xfe\xff\0h\0i", field), "hi");
    }
}

/// "Prescan a byte stream to determine its encoding" and what a parser changes of it (WHATWG HTML
/// §13.2.3.2 to §13.2.3.4), case by case; the cases are those that html5lib's and the Web Platform's tests
/// have, and more. `-`: it says nothing.
#[test]
fn what_a_page_says_of_itself() {
    for (page, expected) in [
        ("<meta charset=iso8859-2>", "ISO-8859-2"),
        ("<meta charset=\"iso8859-2\">", "ISO-8859-2"),
        ("<meta charset='iso8859-2'>", "ISO-8859-2"),
        ("<meta\ncharset=iso8859-2>", "ISO-8859-2"),
        ("<meta/charset=iso8859-2>", "ISO-8859-2"),
        ("<meta charset = \x0ciso8859-2\n>", "ISO-8859-2"),
        ("<meta charset=' iso8859-2 '>", "ISO-8859-2"),
        ("<meta charset=latin2/>", "-"),
        ("<metacharset=iso8859-2>", "-"),
        ("<meta>charset=iso8859-2", "-"),
        ("</meta charset=iso8859-2>", "-"),
        ("<xmeta charset=iso8859-2>", "-"),
        ("<a <meta charset=iso8859-2>", "-"),
        ("< meta charset=iso8859-2>", "-"),
        // Unclosed, in every place.
        ("<meta charset=iso8859-2", "-"),
        ("<meta charset='iso8859-2", "-"),
        ("<meta charset='iso8859-2>\n<p>'</p>", "-"),
        ("<meta charset=", "-"),
        ("<meta charset", "-"),
        ("<meta", "-"),
        ("<", "-"),
        ("</", "-"),
        // Of attributes, the first of a name counts.
        ("<meta charset=iso8859-2 charset=gbk>", "ISO-8859-2"),
        ("<meta charset=bogus charset=gbk>", "-"),
        ("<meta charset=bogus><meta charset=gbk>", "GBK"),
        ("<meta charset=gbk><meta charset=big5>", "GBK"),
        ("<meta \" charset=gbk>", "GBK"),
        ("<meta test\" charset=gbk>", "GBK"),
        ("<meta test=\" charset=gbk>\n<p>\"", "-"),
        ("<meta test=\"\" charset=gbk>", "GBK"),
        ("<meta =charset=gbk charset=big5>", "Big5"),
        ("<meta a>b=\"charset=gbk\"", "-"),
        ("<p title=\"x>\n<meta charset=gbk>\n<p>\"</p>", "-"),
        ("<p title=\"x>\">\n<meta charset=gbk>", "GBK"),
        // `content` needs `http-equiv` beside it, wherever; a description does not count.
        ("<meta http-equiv=content-type content='text/html; charset=gbk'>", "GBK"),
        ("<meta content='text/html; charset=gbk' http-equiv=Content-Type>", "GBK"),
        ("<meta http-equiv=content-type content=text/html;charset=gbk>", "GBK"),
        ("<meta http-equiv=content-type content='charset = \"gbk\" x'>", "GBK"),
        ("<meta http-equiv=content-type content='charset=\"gbk'>", "-"),
        ("<meta http-equiv=content-type content='charset charset=gbk'>", "GBK"),
        ("<meta http-equiv=content-type content='xcharsetcharset=gbk'>", "GBK"),
        ("<meta http-equiv=content-type content='charset='>", "-"),
        ("<meta http-equiv=content-type content='text/html'>", "-"),
        ("<meta content='text/html; charset=gbk'>", "-"),
        ("<meta name=description content='about charset=gbk'>", "-"),
        ("<meta property=og:title content='charset=gbk'><meta charset=big5>", "Big5"),
        ("<meta http-equiv='content-type ' content='charset=gbk'>", "-"),
        ("<meta http-equiv=refresh content='charset=gbk'>", "-"),
        ("<meta http-equiv=content-type content='charset=gbk' charset=big5>", "Big5"),
        ("<meta charset=big5 content='charset=gbk'>", "Big5"),
        ("<meta charset=bogus http-equiv=content-type content='charset=gbk'>", "-"),
        // Comments, other markup, and what only looks like a tag.
        ("<!-- <meta charset=gbk> --><meta charset=big5>", "Big5"),
        ("<!--><meta charset=gbk>", "GBK"),
        ("<!---><meta charset=gbk>", "GBK"),
        ("<!-- > <meta charset=gbk>", "-"),
        ("<!- ><meta charset=gbk>", "GBK"),
        ("<!DOCTYPE html><meta charset=gbk>", "GBK"),
        ("<!x <meta charset=gbk>", "-"),
        ("</ <meta charset=gbk>", "-"),
        ("<?php <meta charset=gbk> ?><meta charset=big5>", "Big5"),
        ("1 < 2 <meta charset=gbk>", "GBK"),
        // Within a script, unless a parser finds another.
        ("<script><meta charset=gbk></script>", "GBK"),
        ("<script><meta charset=gbk></script><meta charset=big5>", "Big5"),
        ("<title><meta charset=gbk></TITLE ><meta charset=big5>", "Big5"),
        ("<style></styles><meta charset=gbk></style/><meta charset=big5>", "Big5"),
        ("<noscript><meta charset=gbk></noscript><meta charset=big5>", "GBK"),
        ("<plaintext><meta charset=gbk>", "GBK"),
        // An XML declaration comes last, and one that does not say it ends nothing.
        ("<?xml version='1.0'?><meta charset=gbk>", "GBK"),
        ("<?xml version='1.0' encoding='big5'?><meta charset=gbk>", "GBK"),
        ("<?xml version='1.0' encoding='gbk'?><p>", "GBK"),
        ("<?xml encoding = \"gbk\" ?>", "GBK"),
        ("<?xml encoding='gbk\"?>", "-"),
        ("<?xml encoding=gbk?>", "-"),
        ("<?xml encoding=' gbk'?>", "-"),
        ("<?xml encoding='utf-16'?>", "UTF-8"),
        ("<?xml encoding='gbk'", "-"),
        ("<?xml ?> encoding='gbk'", "-"),
        (" <?xml encoding='gbk'?>", "-"),
        ("<\0?\0x\0m\0l\0", "UTF-16LE"),
        ("\0<\0?\0x\0m\0l", "UTF-16BE"),
        // Of two bytes for each character it is not, if that can be read.
        ("<meta charset=utf-16>", "UTF-8"),
        ("<meta charset=utf-16be>", "UTF-8"),
        ("<meta charset=x-user-defined>", "windows-1252"),
        ("<meta charset=iso-8859-1>", "windows-1252"),
        ("<meta charset=iso-2022-kr>", "replacement"),
    ] {
        let found = prescan::html(page.as_bytes()).map_or("-", Encoding::name);
        assert_eq!(found, expected, "{page}");
        // Also behind the first kilobyte, but for what has to come first.
        if page.contains("xml") || page.contains('\0') {
            continue;
        }
        let late = format!("{}{page}", "<p>".repeat(500));
        // There it counts only where a parser would see it.
        let hidden = ["<script><meta charset=gbk></script>", "<plaintext><meta charset=gbk>"];
        let expected = if hidden.contains(&page) { "-" } else { expected };
        let found = prescan::html(late.as_bytes()).map_or("-", Encoding::name);
        assert_eq!(found, expected, "late: {page}");
    }
}

/// A `<meta>` that is cut by the end of the kilobyte, or comes later, counts as far as bytes are kept for it.
#[test]
fn a_late_meta_counts_within_what_is_kept() {
    let meta = b"<meta charset=gbk>";
    let at = |offset: usize| [&vec![b' '; offset][..], meta, b"\xc4\xe3"].concat();
    let last = ENCODING_BYTES - meta.len();
    for (offset, found) in [(0, true), (1020, true), (9000, true), (last, true), (last + 1, false)]
    {
        let text = decode(&at(offset), Some("text/html"));
        assert_eq!(text.ends_with('你'), found, "{offset}: {}", &text[text.len() - 9..]);
    }
    assert!(decode(&at(0), Some("application/json")).ends_with("\u{fffd}\u{fffd}"));
}

/// As Firefox does since version 73, and UTF-8 as well.
#[test]
fn where_nothing_is_said_the_text_is_looked_at() {
    let text = |name: &str, sample: &str| (name.to_owned(), encoded(name, &sample.repeat(3)));
    let chinese = "中华人民共和国的首都是北京，那里有很多人和很多的历史建筑。";
    let rows = [
        text("GBK", chinese),
        text("Big5", "中華民國的首都是臺北，那裡有很多人和很多的歷史建築。"),
        text("Shift_JIS", "日本の首都は東京です。そこには多くの人が住んでいます。"),
        text("EUC-JP", "日本の首都は東京です。そこには多くの人が住んでいます。"),
        text("ISO-2022-JP", "日本の首都は東京です。"),
        text("EUC-KR", "대한민국의 수도는 서울이며 많은 사람들이 살고 있습니다."),
        text("windows-1251", "Столица России находится в Москве, где живёт много людей."),
        text("windows-1252", "Le café est fermé à cette heure-là, mais l’hôtel est encore ouvert."),
        text("UTF-8", chinese),
        ("UTF-8".to_owned(), b"plain".to_vec()),
        ("UTF-8".to_owned(), b"".to_vec()),
        // Cut within a character.
        ("UTF-8".to_owned(), "你好".as_bytes()[..5].to_vec()),
        ("UTF-8".to_owned(), b"no escape \x1b[1m".to_vec()),
    ];
    for (name, body) in &rows {
        for kind in
            [None, Some(&b"text/html"[..]), Some(b"text/plain"), Some(b"text/csv; header=x")]
        {
            assert_eq!(text_encoding(body, kind).name(), name, "{kind:?}");
        }
        // What has a rule of its own is not guessed.
        for kind in ["application/json", "text/css", "text/javascript", "text/xml", "image/svg+xml"]
        {
            assert_eq!(text_encoding(body, Some(kind.as_bytes())).name(), "UTF-8", "{kind}");
        }
    }
    // Only the beginning counts, wherever the boundary falls within a character.
    for shift in 0..3 {
        let start =
            [&b"a".repeat(shift)[..], "世".repeat(ENCODING_BYTES / 3 + 1).as_bytes()].concat();
        assert_eq!(text_encoding(&[&start[..], b"\xff\xff"].concat(), None).name(), "UTF-8");
        let (gbk, _, _) = encoding_rs::GBK.encode(chinese);
        let ascii = [&b"a".repeat(ENCODING_BYTES)[..], &gbk].concat();
        assert_eq!(text_encoding(&ascii, None).name(), "UTF-8");
    }
}

#[test]
fn malformed_bytes_are_replaced() {
    assert_eq!(decode(b"a\xffb", Some("text/plain; charset=utf-8")), "a\u{fffd}b");
    assert_eq!(decode(b"a\xffb", Some("application/json")), "a\u{fffd}b");
    // Where nothing is said, it is what it can be.
    assert_eq!(decode(b"a\xffb", None), "aÿb");
    assert_eq!(decode(b"", None), "");
}

/// WHATWG URL §4.4 and §1.3; the values are what browsers ask for. The Web Platform Tests have them as
/// `html/infrastructure/urls/resolving-urls/query-encoding`.
#[test]
fn a_query_is_in_the_encoding_of_its_page() {
    use encoding_rs::*;
    let base = Url::parse("http://a.test/b?c").unwrap();
    for (encoding, link, expected) in [
        (GBK, "?q=中文", "http://a.test/b?q=%D6%D0%CE%C4"),
        (UTF_8, "?q=中文", "http://a.test/b?q=%E4%B8%AD%E6%96%87"),
        (SHIFT_JIS, "?q=日本", "http://a.test/b?q=%93%FA%96{"),
        (EUC_KR, "?q=한국", "http://a.test/b?q=%C7%D1%B1%B9"),
        (BIG5, "?q=中文", "http://a.test/b?q=%A4%A4%A4%E5"),
        (WINDOWS_1251, "?q=мир", "http://a.test/b?q=%EC%E8%F0"),
        (WINDOWS_1252, "?q=é%E9&x=y z", "http://a.test/b?q=%E9%E9&x=y%20z"),
        (ISO_2022_JP, "?q=日a", "http://a.test/b?q=%1B$BF|%1B(Ba"),
        // What the encoding does not have is a numeric reference.
        (WINDOWS_1252, "?q=中é", "http://a.test/b?q=%26%2320013%3B%E9"),
        (GBK, "?q=🦀中", "http://a.test/b?q=%26%23129408%3B%D6%D0"),
        // Only the query, and only of the schemes that have it so.
        (GBK, "/中?中#中", "http://a.test/%E4%B8%AD?%D6%D0#%E4%B8%AD"),
        (GBK, "http://中.test/?中", "http://xn--fiq.test/?%D6%D0"),
        (GBK, "ws://b.test/?中", "ws://b.test/?%E4%B8%AD"),
        (GBK, "mailto:a@b.test?subject=中", "mailto:a@b.test?subject=%E4%B8%AD"),
        (UTF_16LE, "?q=中", "http://a.test/b?q=%E4%B8%AD"),
        (REPLACEMENT, "?q=中", "http://a.test/b?q=%E4%B8%AD"),
    ] {
        let found = join_url(&base, link, encoding).unwrap();
        assert_eq!(found.as_str(), expected, "{} {link}", encoding.name());
    }
    assert!(join_url(&base, "http://[", GBK).is_err());
}
