//! The house rules that a machine can check, over the whole workspace: what may depend on what, how long a
//! file and a line may be, that nothing is unsafe, and that every file says what it is for.
//!
//! It reads text, not syntax: comments are cut off, and so are test modules where a rule is not for
//! tests. That is enough for code which rustfmt has laid out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, its tests left out.
const MAX_FILE_LINES: usize = 400;
/// Columns of a line of code.
const MAX_COLUMNS: usize = 100;

/// What one must read to know the loop. The rest of the crate stands on it.
const BOOK: [&str; 4] = ["event_loop/", "reactor/", "task/", "time/"];
/// Files of the numbered path, and their lines of code: without tests, comments and blank lines.
const MAX_PATH_FILES: usize = 14;
const MAX_PATH_LINES: usize = 2400;
/// Lines of code of all four folders, and of the whole crate.
const MAX_BOOK_LINES: usize = 3050;
const MAX_CRATE_LINES: usize = 5300;
/// Places in the book that tell the observer something.
const MAX_EMIT_SITES: usize = 45;

/// What the book names outside of itself: what the core owns for others (the pool, the remote's guard, the
/// counters) and what it tells (the events, the observer's slot).
const DOORS: [&str; 5] =
    ["blocking.rs", "observe/event.rs", "observe/slot.rs", "remote.rs", "stats.rs"];

/// What a file outside of the book may name, beside the book: the first entry that fits counts.
const ROOMS: &[(&str, &[&str])] = &[
    ("blocking.rs", &["observe/"]),
    ("builder.rs", &["blocking.rs", "observe/", "runtime.rs", "stats.rs"]),
    ("future/", &["future/", "observe/"]),
    ("net/", &["net/", "observe/"]),
    ("observe/", &["observe/"]),
    ("remote.rs", &["observe/"]),
    ("runtime.rs", &["observe/", "remote.rs", "stalled.rs", "stats.rs"]),
    ("stalled.rs", &[]),
    ("stats.rs", &[]),
];

/// Files that know of the standard library alone: they can be tested without socket, sleep or loop.
const STD_ONLY: &[&str] = &[
    "event_loop/panics.rs",
    "event_loop/ready.rs",
    "observe/event.rs",
    "task/state.rs",
    "time/clock.rs",
    "time/queue.rs",
];

/// Where the operating system's poller may be named: nothing waits for it behind the runtime's back, but the
/// benches measure the runtime against the bare poller, and the steps from nothing have a loop of their own.
const NAMES_MIO: &[&str] =
    &["runtime/src/reactor/", "runtime/src/net/", "benches/", "examples/zero/"];

struct Source {
    /// Relative to the workspace, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The lines of code, without comments; and without the test module, which stands at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all_code().take_while(|(_, line)| !opens_tests(line))
    }

    /// The lines of code, numbered from 1, without comments.
    fn all_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(n, line)| (n + 1, without_comment(line))).filter(|(_, line)| !line.is_empty())
    }

    fn header(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().skip_while(|line| line.starts_with("#!["));
        lines.take_while(|line| line.starts_with("//!"))
    }
}

fn opens_tests(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

fn without_comment(line: &str) -> &str {
    // A slash pair inside of a string literal is taken for one too if it follows a blank; what is lost
    // then is the end of a line, for rules that look at its beginning.
    let end = line.find(" //").unwrap_or(line.len());
    if line.trim_start().starts_with("//") { "" } else { &line[..end] }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file of the workspace that a person writes, of one of these kinds.
fn files(extensions: &[&str]) -> Vec<Source> {
    let (root, mut found) = (root(), Vec::new());
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if path.is_dir() {
                if name != "target" && (name == ".ci" || !name.starts_with('.')) {
                    open.push(path);
                }
            } else if extensions
                .contains(&path.extension().map_or("", |e| e.to_str().unwrap_or("")))
            {
                let relative = path.strip_prefix(&root).expect("inside").components();
                let names: Vec<_> = relative.map(|c| c.as_os_str().to_string_lossy()).collect();
                let text = fs::read_to_string(&path).expect("text");
                found.push(Source { path: names.join("/"), text });
            }
        }
    }
    assert!(!found.is_empty());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn sources() -> Vec<Source> {
    files(&["rs"])
}

/// Fails with every offence at once.
fn none(rule: &str, offences: Vec<String>) {
    let list = offences.iter().fold(String::new(), |mut list, offence| {
        writeln!(list, "  {offence}").expect("a String takes everything");
        list
    });
    assert!(offences.is_empty(), "{rule}\n{list}");
}

/// The places in `line` where the word stands by itself.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// The files of the runtime that a file of it imports. `crate::a::b::C` is in `a/b.rs` if there is such a file,
/// else in `a/mod.rs` or `a.rs`; a name at the crate's root is its public interface.
fn imports(file: &str, source: &Source, files: &BTreeSet<&str>) -> BTreeSet<String> {
    let code: Vec<_> = source.code().map(|(_, line)| line.trim()).collect();
    let code = code.join(" ");
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = BTreeSet::new();
    for (prefix, base) in [("crate::", ""), ("super::", folder), ("self::", folder)] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
            let rest = &code[at + prefix.len()..];
            for part in rest.split("::") {
                let name = part.trim_end_matches(|c: char| !c.is_alphanumeric());
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                parts.push(&name[..end.unwrap_or(name.len())]);
                if end.is_some() || part.starts_with('{') {
                    break;
                }
            }
            let candidates = (1..=parts.len()).rev().flat_map(|n| {
                let path = parts[..n].join("/");
                [format!("{path}.rs"), format!("{path}/mod.rs")]
            });
            found.extend(candidates.into_iter().find(|path| files.contains(path.as_str())));
            // A list: `crate::a::{b::C, D}`.
            if let Some((before, list)) = rest.split_once('{')
                && before.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
            {
                let base = before.trim_end_matches("::").replace("::", "/");
                for item in list.split('}').next().unwrap_or(list).split(',') {
                    let module = item.trim().split("::").next().unwrap_or("");
                    let path = format!("{base}/{module}.rs");
                    found.extend(files.contains(path.as_str()).then_some(path));
                }
            }
        }
    }
    found
}

fn in_book(file: &str) -> bool {
    BOOK.iter().any(|folder| file.starts_with(folder))
}

/// The sources of the runtime, tests left out, by their path below its `src`.
fn runtime(sources: &[Source]) -> Vec<(&str, &Source)> {
    let below = sources.iter().filter_map(|source| {
        let file = source.path.strip_prefix("runtime/src/")?;
        (!file.ends_with("tests.rs")).then_some((file, source))
    });
    below.collect()
}

fn lines_of_code<'a>(sources: impl IntoIterator<Item = &'a Source>) -> usize {
    sources.into_iter().map(|source| source.code().count()).sum()
}

/// The numbered files of the book, by number: "3 of 14. What happens …? Next: `task/state.rs`, …".
fn path<'a>(files: &[(&'a str, &'a Source)]) -> Vec<(usize, usize, &'a str, &'a Source)> {
    let mut path: Vec<_> = files
        .iter()
        .filter_map(|(file, source)| {
            let first = source.header().next()?.strip_prefix("//! ")?;
            let (number, rest) = first.split_once(" of ")?;
            let (of, _) = rest.split_once('.')?;
            Some((number.parse().ok()?, of.parse().ok()?, *file, *source))
        })
        .collect();
    path.sort_by_key(|(number, ..)| *number);
    path
}

#[test]
fn the_book_is_numbered_and_short() {
    let sources = sources();
    let files = runtime(&sources);
    let path = path(&files);
    let (mut offences, count) = (Vec::new(), path.len());
    for (place, (number, of, file, source)) in path.iter().enumerate() {
        let first = source.header().next().unwrap_or_default();
        if (*number, *of) != (place + 1, count) || !in_book(file) {
            offences.push(format!(
                "{file}: is {number} of {of}, and should be {} of {count}",
                place + 1
            ));
        }
        let next = path.get(place + 1).map(|(_, _, next, _)| {
            let name = next.rsplit('/').next().unwrap_or(next);
            [format!("Next: `{next}`"), format!("Next: `{name}`")]
        });
        if !first.contains('?') || next.is_some_and(|next| !next.iter().any(|n| first.contains(n)))
        {
            offences.push(format!("{file}: does not ask its question, or names another next file"));
        }
    }
    let book = files.iter().filter(|(file, _)| in_book(file)).map(|(_, source)| *source);
    let emits = book.clone().flat_map(Source::code).filter(|(_, line)| {
        !line.contains("fn ") && [".emit(", ".emit_running("].iter().any(|call| line.contains(call))
    });
    for (what, is, max) in [
        ("numbered files", count, MAX_PATH_FILES),
        ("lines of the path", lines_of_code(path.iter().map(|entry| entry.3)), MAX_PATH_LINES),
        ("lines of the book", lines_of_code(book), MAX_BOOK_LINES),
        ("lines of the crate", lines_of_code(files.iter().map(|entry| entry.1)), MAX_CRATE_LINES),
        ("places that emit", emits.count(), MAX_EMIT_SITES),
    ] {
        println!("{what}: {is} of at most {max}");
        if is > max {
            offences.push(format!("{is} {what}, more than {max}"));
        }
    }
    none("the book is what one can read in an evening:", offences);
}

#[test]
fn what_is_said_of_the_books_size_is_true() {
    let number =
        |n: usize| if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) };
    let mut offences = Vec::new();
    for page in files(&["md"]) {
        if !["README.md", "ARCHITECTURE.md"].contains(&page.path.as_str()) {
            continue;
        }
        for cap in [MAX_PATH_FILES, MAX_PATH_LINES] {
            if !page.text.contains(&number(cap)) {
                offences.push(format!("{}: does not say {}", page.path, number(cap)));
            }
        }
    }
    none("a page that tells how much there is to read quotes the caps:", offences);
}

#[test]
fn every_room_of_the_runtime_knows_only_what_it_may() {
    let (mut offences, sources) = (Vec::new(), sources());
    let files = runtime(&sources);
    let names = files.iter().map(|(file, _)| *file).collect();
    for (file, source) in &files {
        if *file == "lib.rs" {
            continue;
        }
        let room = ROOMS.iter().find(|(room, _)| file.starts_with(room)).map(|(_, may)| *may);
        for named in imports(file, source, &names) {
            let fits = |place: &&str| named.starts_with(place);
            let fine = in_book(&named)
                || if in_book(file) {
                    DOORS.iter().any(fits)
                } else {
                    room.unwrap_or(&[]).iter().any(fits)
                };
            if !fine {
                offences.push(format!("runtime/src/{file}: names {named}"));
            }
        }
    }
    none("a room imports from one that it must not know:", offences);
}

#[test]
fn what_is_pure_imports_the_standard_library_alone() {
    let mut offences = Vec::new();
    let sources = sources();
    for file in STD_ONLY {
        let path = format!("runtime/src/{file}");
        let source = sources.iter().find(|source| source.path == path).expect("the file");
        for (n, line) in source.code() {
            let foreign = line.strip_prefix("use ").is_some_and(|what| !what.starts_with("std::"));
            if foreign || line.contains("crate::") || line.contains("super::") {
                offences.push(format!("{path}:{n}: {line}"));
            }
        }
    }
    none("only std may be imported here:", offences);
}

#[test]
fn only_the_reactor_and_the_sockets_name_the_poller() {
    let mut offences = Vec::new();
    for source in sources() {
        if NAMES_MIO.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        let lines = source.all_code().filter(|(_, line)| line.contains("mio::"));
        offences.extend(lines.map(|(n, _)| format!("{}:{n}", source.path)));
    }
    offences.retain(|offence| !offence.starts_with("runtime/tests/tidy.rs"));
    none("mio is named outside of the reactor and the sockets:", offences);
}

#[test]
fn the_microscope_knows_the_events_alone() {
    let mut offences = Vec::new();
    for source in sources() {
        // One line for any program is given its builder.
        let Some(file) = source.path.strip_prefix("runtime/microscope/src/") else { continue };
        if file == "env.rs" {
            continue;
        }
        for (n, line) in source.code() {
            let deeper = line
                .match_indices("mainspring::")
                .any(|(at, prefix)| !line[at + prefix.len()..].starts_with("observe"));
            if deeper {
                offences.push(format!("{}:{n}: {line}", source.path));
            }
        }
    }
    none("the microscope imports more than mainspring::observe:", offences);
}

#[test]
fn the_protocol_knows_neither_runtime_nor_socket() {
    let mut offences = Vec::new();
    for source in sources() {
        if !source.path.starts_with("http-client/src/proto/") {
            continue;
        }
        for (n, line) in source.code() {
            let forbidden = ["mainspring", "std::net", "std::io", "Instant", "crate::"];
            let named = forbidden.iter().any(|name| line.contains(name));
            if named && !line.contains("crate::proto") {
                offences.push(format!("{}:{n}: {line}", source.path));
            }
        }
    }
    none("the protocol is bytes in, events out, and imports nothing that does I/O:", offences);
}

#[test]
fn files_are_short() {
    let mut offences = Vec::new();
    for source in sources() {
        let lines = source.text.lines().take_while(|line| !opens_tests(line)).count();
        let is_test = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
        // A step of the loop from nothing is one file, of at most 500 code lines: a test of its own counts them.
        let is_step = source.path.starts_with("examples/zero/src/step");
        if lines > MAX_FILE_LINES && !is_test && !is_step {
            offences.push(format!("{}: {lines} lines", source.path));
        }
    }
    none("longer than 400 lines:", offences);
}

#[test]
fn every_file_says_what_it_is_for() {
    let sources = sources();
    let silent = sources.iter().filter(|source| source.header().next().is_none());
    none("no header:", silent.map(|source| source.path.clone()).collect());
}

/// Literals are not broken: rustfmt leaves a line that is too long only because of one as it is.
#[test]
fn lines_of_code_fit_into_a_hundred_columns() {
    let mut offences = Vec::new();
    for source in sources() {
        let mut in_literal = false;
        for (n, line) in source.all_code() {
            let escaped = line.matches("\\\"").count() + line.matches("'\"'").count();
            let quotes = line.matches('"').count() - escaped;
            if line.chars().count() > MAX_COLUMNS && !in_literal && quotes == 0 {
                offences.push(format!("{}:{n}", source.path));
            }
            in_literal ^= quotes % 2 == 1;
        }
    }
    none("longer than 100 columns:", offences);
}

#[test]
fn nothing_is_unsafe() {
    let mut offences = Vec::new();
    for source in sources() {
        let is_root = source.path.ends_with("src/lib.rs")
            || source.path.ends_with("src/main.rs")
            || source.path.contains("/src/bin/");
        if is_root && !source.text.contains("#![forbid(unsafe_code)]") {
            offences.push(format!("{}: does not forbid unsafe code", source.path));
        }
        // In two parts, so that this line is none.
        let keyword = ["un", "safe"].concat();
        for (n, line) in source.all_code() {
            if has_word(line, &keyword) && !line.contains('"') {
                offences.push(format!("{}:{n}: {line}", source.path));
            }
        }
    }
    for manifest in files(&["toml"]) {
        // The fuzz targets are outside of the workspace: their macro brings code that is not ours.
        let is_member = manifest.path.ends_with("/Cargo.toml") && !manifest.path.contains("/fuzz/");
        if is_member && !manifest.text.contains("[lints]\nworkspace = true") {
            offences.push(format!("{}: does without the workspace's lints", manifest.path));
        }
    }
    none("no code of ours is unsafe, and every crate says so:", offences);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let mut offences = Vec::new();
    for source in sources() {
        if source.path == "runtime/tests/tidy.rs" {
            continue;
        }
        let is_test = source.path.contains("/tests/");
        for (n, line) in source.all_code() {
            if line.trim_start().starts_with("#[ignore") {
                offences.push(format!("{}:{n}: an ignored test", source.path));
            }
            if is_test && line.contains("thread::sleep") {
                offences.push(format!("{}:{n}: a test that sleeps", source.path));
            }
        }
    }
    none("a test proves something, every time and at once:", offences);
}

#[test]
fn nothing_tells_of_the_machine_it_was_written_on() {
    let homes = [["/ro", "ot/"], ["/ho", "me/"], ["/wo", "rk/"]].map(|parts| parts.concat());
    let kinds = ["rs", "toml", "md", "yml", "sh", "js", "html", "css", "json", "stderr", "svg"];
    let mut offences = Vec::new();
    for source in files(&kinds) {
        for (n, line) in source.text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home)) {
                offences.push(format!("{}:{}: {line}", source.path, n + 1));
            }
        }
    }
    none("a path of somebody's machine:", offences);
}
