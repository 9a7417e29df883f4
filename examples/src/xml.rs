//! XML as its standard has it: the encoding of a document, what it consists of, and XHTML as a tree.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, Namespace, Prefix, QualName, expanded_name, local_name, ns};
use mainspring_http::encoding_rs::{Encoding, UTF_8};
use mainspring_http::xml_encoding;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, escape};
use regex_lite::Regex;
use scraper::node::{Element, Text};
use scraper::{Html, Node};

use crate::text::shortened;

/// How much a document's own entities may expand to in all, in bytes; beyond that it is taken for an
/// attack on memory.
const MAX_EXPANDED: usize = 1024 * 1024;

/// The longest entity that a document may define, in bytes.
const MAX_ENTITY: usize = 1024;

/// How many entities a document may define.
const MAX_ENTITIES: usize = 256;

/// The text of an XML document, and the encoding that it was in: the one that [`xml_encoding`] finds.
/// `charset` is what came with it. What is no text of the encoding becomes U+FFFD.
pub fn decode(body: &[u8], charset: Option<&str>) -> (String, &'static Encoding) {
    let charset = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = xml_encoding(body, charset).unwrap_or(UTF_8);
    (encoding.decode(body).0.into_owned(), encoding)
}

/// One thing that a document consists of.
#[derive(Debug)]
pub enum Part<'a> {
    /// An element begins.
    Open(QualName, Vec<Attribute>),
    /// Text, entities replaced; what a reader sees as one may come in several.
    Text(Cow<'a, str>),
    /// The latest element that is open ends.
    Close,
}

/// What a document consists of, one after the other.
///
/// Blank lines in front are passed over, and a bare `&` is taken for one, since both are common.
/// Nothing outside of the document is ever asked for.
pub struct Parts<'a> {
    text: &'a str,
    reader: NsReader<&'a [u8]>,
    entities: Entities,
    depth: usize,
    is_empty: bool,
}

impl<'a> Parts<'a> {
    /// The parts of this text.
    pub fn of(text: &'a str) -> Parts<'a> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        (config.expand_empty_elements, config.allow_dangling_amp) = (true, true);
        Parts { text, reader, entities: Entities::default(), depth: 0, is_empty: true }
    }

    /// The next part; `None` once the document is over.
    ///
    /// # Errors
    /// Half a sentence: where it is not well-formed, and why. What comes after is not to be read.
    pub fn next_part(&mut self) -> Result<Option<Part<'a>>, String> {
        self.read().map_err(|error| {
            let (at, length) = (self.text.len() - self.left(), self.text.len());
            let error = shortened(&error, 200);
            format!("it is no XML from about byte {at} of {length} on: {error}")
        })
    }

    /// How many bytes are yet to be read.
    fn left(&self) -> usize {
        self.text.len().saturating_sub(self.reader.buffer_position() as usize)
    }

    fn read(&mut self) -> Result<Option<Part<'a>>, String> {
        loop {
            let event = self.reader.read_event().map_err(|error| error.to_string())?;
            return Ok(Some(match event {
                Event::Start(start) => {
                    (self.depth, self.is_empty) = (self.depth + 1, false);
                    let namespace = self.reader.resolver().resolve_element(start.name()).0;
                    let name = name(start.name().0, namespace);
                    Part::Open(name, self.attributes(&start)?)
                }
                Event::End(_) => {
                    self.depth -= 1;
                    Part::Close
                }
                Event::Text(text) => Part::Text(text.xml10_content()),
                Event::CData(text) => Part::Text(text.xml10_content()),
                Event::GeneralRef(reference) => Part::Text(self.entities.spend(&reference)?.into()),
                Event::DocType(doctype) => {
                    self.entities.define(&doctype);
                    continue;
                }
                Event::Eof if self.is_empty => return Err("it holds no element".to_owned()),
                Event::Eof if self.depth > 0 => return Err("it ends too early".to_owned()),
                Event::Eof => return Ok(None),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Empty(_) => continue,
            }));
        }
    }

    /// The attributes of an element, without the declarations of namespaces.
    fn attributes(&mut self, start: &BytesStart<'_>) -> Result<Vec<Attribute>, String> {
        let mut attributes = Vec::new();
        // To look for one that comes twice takes too long where there are many.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let namespace = self.reader.resolver().resolve_attribute(attribute.key).0;
            let name = name(attribute.key.0, namespace);
            let value = self.entities.replaced(&attribute.value)?;
            attributes.push(Attribute { name, value: StrTendril::from(&*value) });
        }
        Ok(attributes)
    }
}

/// A name in its namespace. Where a prefix was never declared, it stands for itself.
fn name(name: &str, namespace: ResolveResult<'_>) -> QualName {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (Some(Prefix::from(prefix)), local),
        None => (None, name),
    };
    let namespace = match &namespace {
        ResolveResult::Bound(namespace) => Namespace::from(namespace.0),
        ResolveResult::Unbound => ns!(),
        ResolveResult::Unknown(prefix) => Namespace::from(&**prefix),
    };
    QualName::new(prefix, namespace, LocalName::from(local))
}

/// The definition of an entity, with its name and its value.
static ENTITY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<!ENTITY\s+(\S+)\s+(?:"([^"]*)"|'([^']*)')"#).expect("an expression written here")
});

/// What references to entities stand for: those of XML, of HTML, and what the document defines.
#[derive(Default)]
struct Entities {
    defined: HashMap<String, String>,
    /// How many bytes the document's own ones have come to.
    spent: usize,
}

impl Entities {
    /// Notes what a document type declaration defines within itself. A definition may use those
    /// before it; what stands elsewhere is not fetched.
    fn define(&mut self, doctype: &str) {
        for definition in ENTITY.captures_iter(doctype).take(MAX_ENTITIES) {
            let value = definition.get(2).or_else(|| definition.get(3));
            let value = value.map_or("", |value| value.as_str());
            if value.len() <= MAX_ENTITY
                && let Ok(value) = escape::unescape_with(value, |name| self.value(name))
                && value.len() <= MAX_ENTITY
            {
                let value = value.into_owned();
                // The first definition counts (XML 1.0 §4.2).
                self.defined.entry(definition[1].to_owned()).or_insert(value);
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let of_xml = escape::resolve_xml_entity(name);
        of_xml.or_else(|| self.defined.get(name).map(String::as_str))
    }

    /// What a reference stands for; itself where that is unknown.
    fn spend(&mut self, reference: &BytesRef<'_>) -> Result<String, String> {
        if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
            return Ok(character.to_string());
        }
        let name: &str = reference;
        if let Some(value) = self.value(name).map(str::to_owned) {
            // Those of XML are shorter than their names.
            self.spent += value.len().saturating_sub(name.len());
            if self.spent > MAX_EXPANDED {
                return Err(format!("its entities expand to more than {MAX_EXPANDED} bytes"));
            }
            return Ok(value);
        }
        // XHTML may use those of HTML, which browsers know without a definition.
        let of_html = html5ever::data::NAMED_ENTITIES.get(&*format!("{name};"));
        let of_html = of_html.into_iter().flat_map(|&(first, second)| [first, second]);
        let of_html: String = of_html.filter(|c| *c != 0).filter_map(char::from_u32).collect();
        Ok(if of_html.is_empty() { format!("&{name};") } else { of_html })
    }

    /// The value of an attribute, normalized (XML 1.0 §3.3.3).
    fn replaced<'v>(&mut self, value: &'v str) -> Result<Cow<'v, str>, String> {
        if !value.contains(['&', '\t', '\r', '\n']) {
            return Ok(Cow::Borrowed(value));
        }
        let mut replaced = String::with_capacity(value.len());
        let value = value.replace("\r\n", " ").replace(['\t', '\r', '\n'], " ");
        let mut pieces = value.split('&');
        replaced.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            match piece.split_once(';') {
                Some((name, rest)) => {
                    replaced.push_str(&self.spend(&BytesRef::new(name))?);
                    replaced.push_str(rest);
                }
                None => replaced.extend(["&", piece]),
            }
        }
        Ok(replaced.into())
    }
}

/// Reads a document in XHTML by the rules of XML, in at most so many steps (an element takes as many
/// as it is deep); says how many bytes it has left unread. `None` if it is not well-formed or no
/// XHTML: it is to be read as HTML.
pub fn xhtml(text: &str, max_steps: usize) -> Option<(Html, usize)> {
    let mut html = Html::new_document();
    let mut open = vec![html.tree.root().id()];
    let (mut parts, mut steps) = (Parts::of(text), 0);
    while let Some(part) = parts.next_part().ok()? {
        let node = match part {
            Part::Open(name, _)
                if open.len() == 1 && name.expanded() != expanded_name!(html "html") =>
            {
                return None;
            }
            Part::Open(name, attributes) => Node::Element(Element::new(name, attributes)),
            Part::Text(text) => Node::Text(Text { text: StrTendril::from(&*text) }),
            Part::Close => {
                open.pop();
                continue;
            }
        };
        let is_element = node.is_element();
        let parent = open.last().and_then(|id| html.tree.get_mut(*id));
        let child = parent.expect("its end is yet to come").append(node).id();
        if is_element {
            open.push(child);
        }
        steps += open.len();
        if steps > max_steps {
            return Some((html, parts.left()));
        }
    }
    Some((html, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring_http::encoding_rs::{BIG5, GBK, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1252};

    fn utf_16(text: &str, of: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(of).collect()
    }

    /// RFC 7303 §3 and §8; XML 1.0 §4.3.3 and appendix F.
    #[test]
    fn a_document_is_in_the_encoding_that_it_says() {
        let text = "<a>é日</a>";
        let declared = |label: &str| format!("<?xml version=\"1.0\" encoding=\"{label}\"?>{text}");
        let mark = |bytes: &[u8]| [b"\xef\xbb\xbf", bytes].concat();
        for (body, charset, encoding) in [
            (text.as_bytes().to_vec(), None, UTF_8),
            (declared("utf-8").into_bytes(), None, UTF_8),
            (mark(declared("gbk").as_bytes()), Some("big5"), UTF_8),
            (GBK.encode(&declared("gbk")).0.into(), None, GBK),
            (GBK.encode(&declared("big5")).0.into(), Some("gbk"), GBK),
            (GBK.encode(&declared("gb2312")).0.into(), Some("nonsense"), GBK),
            (GBK.encode(&format!("\n\n{}", declared("GBK"))).0.into(), None, GBK),
            (
                GBK.encode(&declared("gbk").replace('"', "'").replace(" e", "\n e")).0.into(),
                None,
                GBK,
            ),
            (SHIFT_JIS.encode(&declared("Shift_JIS").replace('é', "")).0.into(), None, SHIFT_JIS),
            (BIG5.encode(&declared("big5").replace('é', "")).0.into(), None, BIG5),
            (utf_16(text, u16::to_le_bytes), None, UTF_16LE),
            (utf_16(text, u16::to_be_bytes), None, UTF_16BE),
            (utf_16(&declared("utf-16"), u16::to_be_bytes), Some("utf-16"), UTF_16BE),
            (utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes), Some("utf-8"), UTF_16LE),
            (utf_16(&format!("\u{feff}{text}"), u16::to_be_bytes), None, UTF_16BE),
            // It could not be read so far if it were.
            (declared("utf-16").into_bytes(), None, UTF_8),
            (declared("nonsense").into_bytes(), None, UTF_8),
            (WINDOWS_1252.encode("<a>é</a>").0.into(), Some("iso-8859-1"), WINDOWS_1252),
        ] {
            let (decoded, found) = decode(&body, charset);
            assert_eq!(found, encoding, "{}", body.escape_ascii());
            assert!(decoded.contains('é') || decoded.contains('日'), "{decoded}");
            assert!(!decoded.contains(['\u{feff}', '\u{fffd}']), "{decoded}");
        }
        assert_eq!(decode(b"<a>\xff", None).0, "<a>\u{fffd}");
        assert_eq!(decode(b"", None).0, "");
    }

    fn of(inner: &str) -> String {
        format!("<html xmlns='http://www.w3.org/1999/xhtml'>{inner}</html>")
    }

    fn texts(text: &str, css: &str) -> Option<Vec<String>> {
        let selector = scraper::Selector::parse(css).expect("a selector");
        let (html, left) = xhtml(text, usize::MAX)?;
        assert_eq!(left, 0);
        Some(crate::extract::select(&html, &selector, None))
    }

    /// XML 1.0; HTML standard §14 "the XML syntax".
    #[test]
    fn xhtml_is_read_by_the_rules_of_xml() {
        for (inner, expected) in [
            ("<p>a</p>", vec!["a"]),
            ("<script/><p>a</p><title/><p>b</p>", vec!["a", "b"]),
            ("<p><![CDATA[<p>a</p>]]></p>", vec!["<p>a</p>"]),
            ("<p>a<p>b</p>c</p>", vec!["abc", "b"]),
            ("<script><p>a</p></script>", vec!["a"]),
            ("<noscript><p>a</p></noscript>", vec!["a"]),
            ("<table><p>a</p></table>", vec!["a"]),
            ("<P>a</P><p>b</p>", vec!["b"]),
            ("<p>&lt;&#65;&#x42;&nbsp;&eacute;&unknown;</p>", vec!["<AB &eacute;&unknown;"]),
            ("<h:p xmlns:h='http://www.w3.org/1999/xhtml'>a</h:p>", vec!["a"]),
        ] {
            let expected: Vec<String> =
                expected.into_iter().map(|text| text.replace("&eacute;", "é")).collect();
            assert_eq!(texts(&of(inner), "p"), Some(expected), "{inner}");
        }
        assert!(texts(&format!("\n<?xml version='1.0'?><!DOCTYPE html>{}", of("")), "p").is_some());
    }

    #[test]
    fn what_is_no_xhtml_is_left_to_the_rules_of_html() {
        for text in [
            of("<br>"),
            of("<p>a</div>"),
            of("<p class=x>a</p>"),
            of("<input checked/>"),
            of("<p>&#0;</p>"),
            of("<p").replace("</html>", ""),
            "<html><p>a</p></html>".to_owned(),
            "<svg xmlns='http://www.w3.org/2000/svg'/>".to_owned(),
            String::new(),
            "text".to_owned(),
        ] {
            assert_eq!(texts(&text, "p"), None, "{text}");
        }
    }

    #[test]
    fn a_document_that_is_nested_too_deep_is_cut() {
        let text = of(&format!("{}{}", "<p>".repeat(5_000), "</p>".repeat(5_000)));
        let (_, left) = xhtml(&text, usize::MAX).expect("XHTML");
        assert_eq!(left, 0);
        let (html, left) = xhtml(&text, 1_000_000).expect("XHTML");
        assert!((1..text.len()).contains(&left), "{left}");
        assert!(html.tree.values().len() < 2_000);
    }

    #[test]
    fn an_attribute_is_normalized() {
        let value = |text: &str| match Parts::of(text).next_part() {
            Ok(Some(Part::Open(_, attributes))) => Ok(attributes[0].value.to_string()),
            Err(error) => Err(error),
            part => panic!("{part:?}"),
        };
        for (text, expected) in [
            ("<a b='c'/>", "c"),
            ("<a b='c\td\r\ne\nf'/>", "c d e f"),
            ("<a b='&amp;&#38;&lt;&#x26;'/>", "&&<&"),
            ("<a b='x&y=z&&amp;'/>", "x&y=z&&"),
            ("<a b='x&unknown;y'/>", "x&unknown;y"),
            ("<a xmlns='x' xmlns:y='z' b='c'/>", "c"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
        value("<a b='&#0;'/>").expect_err("no character");
        value("<a b='&#xD800;'/>").expect_err("no character");
    }
}
