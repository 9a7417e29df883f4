//! Where pages, sitemaps and feeds lead: to addresses that can be asked for and mean the same when
//! they are read again, no more of them than there may be, whatever was sent.

use mainspring_examples::answer::Answer;
use mainspring_examples::extract::MAX_STEPS;
use mainspring_examples::links::{MAX_LINKS, MAX_URL, Nofollow, field_asks_nofollow};
use mainspring_examples::reader::Reader;
use mainspring_examples::xml::{Part, Parts};
use roxmltree::{Document, NodeType};
use url::Url;

const TYPES: [&str; 8] = [
    "text/html",
    "text/html;charset=gbk",
    "text/html charset=iso-2022-jp",
    "",
    "application/xhtml+xml",
    "application/rss+xml",
    "text/xml;charset=utf-16",
    "application/xml",
];

/// The first byte says as what the rest came, and how it is to be read.
pub fn links(data: &[u8]) {
    let [choice, body @ ..] = data else { return };
    let field = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
    let answer = Answer {
        url: Url::parse("http://a.test/x/y?q").expect("a URL"),
        status: http::StatusCode::OK,
        content_type: TYPES[usize::from(choice % 8)].to_owned(),
        asks_nofollow: field_asks_nofollow(&field),
        refresh: (choice & 8 > 0).then_some(field),
        body: body.to_vec().into(),
    };
    let nofollow = [Nofollow::Pages, Nofollow::Links, Nofollow::Ignore];
    let reader = Reader {
        assets: choice & 16 > 0,
        nofollow: nofollow[usize::from(choice / 32) % 3],
        ..Reader::default()
    };
    let read = reader.read(&answer, MAX_STEPS);
    assert!(read.links.len() <= 2 * MAX_LINKS);
    for link in &read.links {
        assert!(matches!(link.scheme(), "http" | "https"), "{link}");
        assert!(link.host_str().is_some_and(|host| !host.is_empty()), "{link}");
        assert!(link.as_str().len() <= MAX_URL, "{link}");
        assert_eq!((link.username(), link.password()), ("", None), "{link}");
        assert_eq!(
            Url::parse(link.as_str()).as_ref(),
            Ok(link),
            "it means the same when read again"
        );
    }
    // With fewer steps, it gives a part of this, and says so.
    let part = reader.read(&answer, 10);
    assert!(part.left <= body.len() * 3, "no more is left than there was");
    assert!(part.left == 0 || part.cut.is_some());
    if let Ok(text) = std::str::from_utf8(body) {
        check_xml(text);
    }
}

/// What another parser takes for XML is read to its end, and says the same.
fn check_xml(text: &str) {
    let Ok(document) = Document::parse(text) else { return };
    let mut parts = Parts::of(text);
    let (mut ours, mut open) = (Vec::new(), 0);
    loop {
        match parts.next_part() {
            Ok(Some(Part::Open(name, attributes))) => {
                open += 1;
                ours.push(format!("<{{{}}}{}", name.ns, name.local));
                for attribute in attributes {
                    let (name, value) = (attribute.name, attribute.value);
                    ours.push(format!("{{{}}}{}={value}", name.ns, name.local));
                }
            }
            Ok(Some(Part::Text(text))) if open > 0 => match ours.last_mut() {
                Some(last) if last.starts_with('"') => last.push_str(&text),
                _ => ours.push(format!("\"{text}")),
            },
            Ok(Some(Part::Text(_))) => {}
            Ok(Some(Part::Close)) => {
                open -= 1;
                ours.push(">".to_owned());
            }
            Ok(None) => break,
            Err(error) => panic!("{error}: {text:?}"),
        }
    }
    let mut theirs = Vec::new();
    tell(document.root(), &mut theirs);
    ours.retain(|part| part != "\"");
    assert_eq!(ours, theirs, "{text:?}");
}

fn tell(node: roxmltree::Node<'_, '_>, told: &mut Vec<String>) {
    match node.node_type() {
        NodeType::Root => node.children().for_each(|child| tell(child, told)),
        NodeType::Element => {
            let name = node.tag_name();
            told.push(format!("<{{{}}}{}", name.namespace().unwrap_or_default(), name.name()));
            for attribute in node.attributes() {
                let namespace = attribute.namespace().unwrap_or_default();
                told.push(format!("{{{namespace}}}{}={}", attribute.name(), attribute.value()));
            }
            node.children().for_each(|child| tell(child, told));
            told.push(">".to_owned());
        }
        // Comments part a text in two for them.
        NodeType::Text => match told.last_mut() {
            Some(last) if last.starts_with('"') => last.push_str(node.text().unwrap_or_default()),
            _ => told.push(format!("\"{}", node.text().unwrap_or_default())),
        },
        NodeType::Comment | NodeType::PI => {}
    }
}
