//! The house rules that a machine can check, over the whole workspace: who may know whom, how long a
//! file and a line may be, that nothing is unsafe, and that every file says what it is for.
//!
//! It reads text, not syntax: comments are cut off, and so are test modules where a rule is not for
//! tests. That is enough for code which rustfmt has laid out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, its tests left out. A longer one argues for its length in its header.
const FILE_LINES: usize = 400;
/// Columns of a line of code.
const COLUMNS: usize = 100;

/// Which rooms of the runtime a room may import from. The first entry that fits a file counts; a file
/// that fits none (the loop itself, and what it is built from) may import from all but `runtime.rs`.
const ROOMS: &[(&str, &[&str])] = &[
    ("inbox.rs", &[]),
    ("ready.rs", &[]),
    ("observe/event.rs", &[]),
    ("task/state.rs", &[]),
    ("time/clock.rs", &[]),
    ("time/queue", &[]),
    ("blocking.rs", &["context", "observe", "task", "time"]),
    ("future/", &["future", "task", "time"]),
    ("net/", &["context", "net", "observe", "reactor", "task", "time"]),
    ("observe/", &["context", "observe", "task"]),
    ("reactor/", &["inbox", "observe", "reactor"]),
    ("stall.rs", &["context", "task"]),
    ("stats.rs", &["context"]),
    ("task/", &["context", "inbox", "observe", "ready", "task"]),
    ("time/", &["context", "observe", "task", "time"]),
];

/// Files that know of the standard library alone: they can be tested without socket, sleep or loop.
const STD_ONLY: &[&str] = &["observe/event.rs", "task/state.rs", "time/clock.rs", "time/queue.rs"];

/// Where the operating system's poller may be named: behind the runtime's back nobody waits for it,
/// but the benches measure the runtime against the bare poller.
const NAMES_MIO: &[&str] = &["runtime/src/reactor/", "runtime/src/net/", "benches/"];

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

/// The modules of this crate that a line names: `crate::a::b` and `crate::{a, b::c}` name `a` and `b`.
/// Names that begin with a capital are the crate's own public interface.
fn modules_named(line: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for (at, prefix) in line.match_indices("crate::") {
        let rest = &line[at + prefix.len()..];
        let items = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or(list),
            None => rest.split(',').next().unwrap_or(rest),
        };
        for item in items.split(',').map(str::trim) {
            let end = item.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(item.len());
            if item[..end].starts_with(|c: char| c.is_ascii_lowercase()) {
                named.insert(&item[..end]);
            }
        }
    }
    named
}

#[test]
fn every_room_of_the_runtime_knows_only_whom_it_may() {
    let mut offences = Vec::new();
    for source in sources() {
        let Some(file) = source.path.strip_prefix("runtime/src/") else { continue };
        let allowed = ROOMS.iter().find(|(room, _)| file.starts_with(room)).map(|(_, may)| *may);
        for (n, line) in source.code() {
            for module in modules_named(line) {
                let knows_the_loop = ["lib.rs", "builder.rs"].contains(&file);
                let fine = match allowed {
                    Some(allowed) => allowed.contains(&module),
                    None => module != "runtime" || knows_the_loop,
                };
                if !fine {
                    offences.push(format!("{}:{n}: names crate::{module}", source.path));
                }
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
        // The experiments are programs; what draws them is not.
        let experiments = source.path.starts_with("runtime/microscope/src/experiments/");
        if experiments || !source.path.starts_with("runtime/microscope/src/") {
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
            // What is a secret is told from bytes alone, too.
            if named && !line.contains("crate::proto") && !line.contains("crate::secret") {
                offences.push(format!("{}:{n}: {line}", source.path));
            }
        }
    }
    none("the protocol is bytes in, events out, and imports nothing that does I/O:", offences);
}

#[test]
fn files_are_short_or_say_why_not() {
    let mut offences = Vec::new();
    for source in sources() {
        let tests = source.text.lines().position(opens_tests);
        let lines = tests.unwrap_or(source.text.lines().count());
        let is_test = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
        let argues = source.header().any(|line| line.contains("lines"));
        if lines > FILE_LINES && !is_test && !argues {
            offences.push(format!("{}: {lines} lines", source.path));
        }
    }
    none("longer than 400 lines, and the header does not say why (in lines):", offences);
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
            if line.chars().count() > COLUMNS && !in_literal && quotes == 0 {
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
