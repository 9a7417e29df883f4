//! Lines of source for a page, where the source lies beside the program; and texts without their secrets.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::text::{Place, cut};
use crate::trace::Trace;

/// Bytes kept of a line.
const MAX_LINE: usize = 200;

/// Files that are read, at most.
const MAX_FILES: usize = 256;

/// Words in the name of what is kept from others: of a header, of a parameter of a URL, of a variable.
const SECRET: &str = "authorization cookie credential passwd password secret session signature token bearer \
                      api-key api_key apikey";

/// The lines in which the tasks of these traces were spawned and their labels written: by place
/// (`src/main.rs:4`), without secrets. Files outside of `root` are not read.
pub(crate) fn lines(traces: &[&Trace], root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut files: HashMap<&str, Option<String>> = HashMap::new();
    let tasks = traces.iter().flat_map(|trace| trace.texts.tasks.values());
    let labels = traces.iter().flat_map(|trace| trace.texts.labels.values());
    let places = tasks.map(|task| &task.place).chain(labels.map(|label| &label.place));
    for Place { file, line, .. } in places {
        let file = &**file;
        if !files.contains_key(file) {
            let text = if files.len() < MAX_FILES { read(root, file) } else { None };
            files.insert(file, text);
        }
        let text = files.get(file).and_then(Option::as_deref).unwrap_or_default();
        let number = usize::try_from(*line).unwrap_or(usize::MAX);
        let Some(line_text) = number.checked_sub(1).and_then(|n| text.lines().nth(n)) else {
            continue;
        };
        let short = without_secrets(cut(line_text, MAX_LINE).trim()).into_owned();
        found.insert(format!("{file}:{line}"), short);
    }
    found
}

/// A file of Rust below `root`: whatever a trace says, nothing else is read.
fn read(root: &Path, file: &str) -> Option<String> {
    let root = root.canonicalize().ok()?;
    let path = root.join(file).canonicalize().ok()?;
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    if rust && path.starts_with(&root) { std::fs::read_to_string(path).ok() } else { None }
}

/// A text in which `…` stands for what looks like a secret of a URL or a header: who logs in, the value of a
/// parameter or header with a telling name.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    let open = without_logins(text);
    let mut out = String::new();
    let mut rest: &str = &open;
    while let Some((at, word)) = first_word(rest) {
        let (before, after) = rest.split_at(at + word);
        out += before;
        // The rest of the name: `token_2`, `X-Session-Id`.
        let name = after
            .find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
            .unwrap_or(after.len());
        let (name, after) = after.split_at(name);
        out += name;
        let name = &rest[at..at + word + name.len()];
        let quoted = out.matches('"').count() % 2 == 1;
        rest = masked(name, after, quoted, &mut out);
    }
    out += rest;
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Writes what follows the name of a secret without its value, and gives what comes after that.
fn masked<'a>(name: &str, after: &'a str, quoted: bool, out: &mut String) -> &'a str {
    let gap = after.len() - after.trim_start_matches([' ', ':', '=', ',', '(', '"', '\'']).len();
    let (gap, value) = after.split_at(gap);
    *out += gap;
    let bearer = name.eq_ignore_ascii_case("bearer") && gap == " ";
    // A literal of its own; or the rest of the one that the name is in.
    let literal = gap.ends_with('"');
    let inside = quoted && !gap.contains('"');
    let assigned = gap.contains([':', '=', ',']) && !gap.contains("::");
    // In code what follows a name is code, unless it is quoted.
    let plain = bearer || assigned && !gap.starts_with(' ');
    if value.is_empty() || !(literal || plain) {
        return value;
    }
    let header = !bearer && gap.contains(':') && !gap.contains('=');
    let ends = |c: char| match c {
        '"' => true,
        '&' | '#' | ' ' => !literal && !header,
        ')' | ';' => !literal && !header && !inside,
        _ => c.is_whitespace() && !literal && !header,
    };
    out.push('…');
    let mut before = ' ';
    let end = value.find(|c| {
        let over = ends(c) && before != '\\';
        before = c;
        over
    });
    &value[end.unwrap_or(value.len())..]
}

/// Where the first word of a secret begins in a text, and how long it is.
fn first_word(text: &str) -> Option<(usize, usize)> {
    let low = text.to_ascii_lowercase();
    SECRET.split(' ').filter_map(|word| Some((low.find(word)?, word.len()))).min()
}

/// `https://ann:key@host/` without `ann:key`.
fn without_logins(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|c: char| "/?#\"'<>".contains(c) || c.is_whitespace()).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(part, |at| &part[at..]);
        out += if host.len() == part.len() { "://" } else { "://…" };
        out += host;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_of_a_url_or_a_header_is_left_out() {
        for (text, open) in [
            ("fetch /a?page=2", "fetch /a?page=2"),
            ("GET https://ann:k3y@example.org/a?b=c", "GET https://…@example.org/a?b=c"),
            ("/a?access_token=k3y&page=2", "/a?access_token=…&page=2"),
            ("/a?page=2&X-Amz-Signature=k3y#top", "/a?page=2&X-Amz-Signature=…#top"),
            ("Authorization: Bearer k3y", "Authorization: …"),
            ("set-cookie:sid=k3y; Path=/", "set-cookie:…"),
            (
                "spawn(get(\"https://ann@h/?api_key=k3y\", 7));",
                "spawn(get(\"https://…@h/?api_key=…\", 7));",
            ),
            (".header(\"authorization\", \"Bearer k3y\")", ".header(\"authorization\", \"…\")"),
            (".header(\"Cookie: a=k3y; b=k3y\")", ".header(\"Cookie: …\")"),
            ("let password = \"k3y\";", "let password = \"…\";"),
            ("let key = Secret(\"k3\\\"y\"); go()", "let key = Secret(\"…\"); go()"),
            ("request.bearer_auth(\"k3y\")", "request.bearer_auth(\"…\")"),
            ("sent Bearer k3y twice", "sent Bearer … twice"),
            ("{\"token\":\"k3y\",\"page\":\"2\"}", "{\"token\":\"…\",\"page\":\"2\"}"),
            ("let token = token.clone();", "let token = token.clone();"),
            ("refresh the token", "refresh the token"),
            ("token::next(a, b)", "token::next(a, b)"),
            ("password=k3y", "password=…"),
            ("SECRET_2=k3y PATH=/bin", "SECRET_2=… PATH=/bin"),
        ] {
            assert_eq!(without_secrets(text), open);
        }
    }

    #[test]
    fn nothing_but_rust_below_the_root_is_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            read(root, "src/source.rs").is_some_and(|text| text.starts_with("//! Lines of source"))
        );
        for file in
            ["Cargo.toml", "../src/lib.rs", "/etc/passwd", "src", "src/../../src/lib.rs", ""]
        {
            assert_eq!(read(root, file), None, "{file}");
        }
    }
}
