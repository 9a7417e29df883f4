//! What a `Content-Type` says, as browsers read it.

use std::sync::LazyLock;

use regex_lite::Regex;

/// The type and the charset that a `Content-Type` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaType {
    /// The type in small letters, such as `text/html`; empty if none can be made out.
    pub essence: String,
    /// Its `charset`, if it names one.
    pub charset: Option<String>,
}

impl MediaType {
    /// Reads the value of the field. Where it came more than once, the values are joined by commas.
    ///
    /// The last type that is one counts, and keeps the charset of the same type before it (Fetch,
    /// "extract a MIME type"). A blank does for a semicolon.
    pub fn parse(field: &str) -> MediaType {
        let mut found = MediaType::default();
        for value in split(field, |c| c == ',') {
            let mut parts = split(value, |c| c == ';' || c.is_ascii_whitespace());
            let essence = parts.find(|part| !part.is_empty()).unwrap_or_default();
            let essence = essence.to_ascii_lowercase();
            let is_name = |part: &str| !part.is_empty() && !part.contains(['/', '*', '"', '=']);
            if !essence.split_once('/').is_some_and(|(kind, rest)| is_name(kind) && is_name(rest)) {
                continue;
            }
            let charset = charset(&value[value.find(['/']).unwrap_or_default()..]);
            if charset.is_some() || essence != found.essence {
                found.charset = charset;
            }
            found.essence = essence;
        }
        found
    }

    /// Whether it is a page of HTML. What has no type, or one that says that there is none, may well
    /// be (MIME Sniffing §7).
    pub fn is_html(&self) -> bool {
        let unknown = ["", "unknown/unknown", "application/unknown"];
        self.essence == "text/html" || unknown.contains(&&*self.essence)
    }

    /// Whether it is a page that is XML.
    pub fn is_xhtml(&self) -> bool {
        self.essence == "application/xhtml+xml"
    }

    /// Whether it is XML of any kind (MIME Sniffing §4.6).
    pub fn is_xml(&self) -> bool {
        self.essence.ends_with("+xml") || matches!(&*self.essence, "text/xml" | "application/xml")
    }
}

/// The parts of a text between separators that are not quoted.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        !quoted && is_separator(c)
    })
}

/// The first `charset` among parameters.
fn charset(parameters: &str) -> Option<String> {
    static CHARSET: LazyLock<Regex> = LazyLock::new(|| {
        let parameter = r#"(?i)[;\s]charset\s*=\s*(?:"([^"]*)|([^;\s"]*))"#;
        Regex::new(parameter).expect("an expression written here")
    });
    let found = CHARSET.captures(parameters)?;
    let value = found.get(1).or_else(|| found.get(2))?.as_str().trim_matches(['\'', ' ']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fetch, "extract a MIME type", and MIME Sniffing, "parse a MIME type"; blanks as browsers in
    /// practice meet them.
    #[test]
    fn a_type_is_made_out_of_odd_fields() {
        for (field, essence, charset) in [
            ("text/html", "text/html", None),
            ("text/html,text/html", "text/html", None),
            ("text/html, text/html; charset=gbk", "text/html", Some("gbk")),
            ("text/html;charset=gbk, text/html", "text/html", Some("gbk")),
            ("text/html;charset=gbk, text/plain", "text/plain", None),
            ("text/html;charset=gbk, x", "text/html", Some("gbk")),
            ("text/html;charset=gbk, */*", "text/html", Some("gbk")),
            ("text/html;charset=\"gbk,x\", text/html", "text/html", Some("gbk,x")),
            ("text/html charset=gbk", "text/html", Some("gbk")),
            ("text/html  Charset = \"gbk\"", "text/html", Some("gbk")),
            (" TEXT/HTML ;; charset='gbk'; x=y", "text/html", Some("gbk")),
            ("text/html; x-charset=a; charset=b", "text/html", Some("b")),
            ("text/html; charset=a; charset=b", "text/html", Some("a")),
            ("text/html; charset=", "text/html", None),
            ("text/html;", "text/html", None),
            ("; charset=gbk", "", None),
            ("text", "", None),
            ("/html", "", None),
            ("", "", None),
            (",", "", None),
            ("\"text/html\"", "", None),
        ] {
            let found = MediaType::parse(field);
            assert_eq!((&*found.essence, found.charset.as_deref()), (essence, charset), "{field}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let kind = |field| {
            let kind = MediaType::parse(field);
            (kind.is_html(), kind.is_xhtml(), kind.is_xml())
        };
        assert_eq!(kind(""), (true, false, false));
        assert_eq!(kind("unknown/unknown"), (true, false, false));
        assert_eq!(kind("text/html; charset=x"), (true, false, false));
        assert_eq!(kind("application/xhtml+xml"), (false, true, true));
        assert_eq!(kind("application/rss+xml"), (false, false, true));
        assert_eq!(kind("Text/XML;charset=x"), (false, false, true));
        assert_eq!(kind("text/plain"), (false, false, false));
        assert_eq!(kind("application/octet-stream"), (false, false, false));
    }
}
