//! How large the crate is, and which of its files import which: the rooms that `src/lib.rs` names.
//!
//! A line of code is one that is neither blank, nor a comment, nor of a test module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

struct Source {
    /// Relative to `src`, with slashes.
    path: String,
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut open) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let relative = path.strip_prefix(&root).unwrap().display().to_string();
            if path.is_dir() {
                open.push(path);
            } else if !relative.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().take_while(|line| !line.contains("cfg(all(test"));
                let lines = lines.take_while(|line| !line.starts_with("#[cfg(test)]"));
                let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
                let code = lines.map(str::trim).filter(is_code).map(str::to_owned).collect();
                found.push(Source { path: relative.replace('\\', "/"), code });
            }
        }
    }
    found
}

#[test]
fn the_core_can_be_read_at_once_and_the_whole_stays_small() {
    let sources = sources();
    let lines = |core: bool| -> usize {
        let which = |source: &&Source| !core || !source.path.starts_with("extras/");
        sources.iter().filter(which).map(|source| source.code.len()).sum()
    };
    let features = sources.iter().flat_map(|source| &source.code);
    let features = features.filter(|line| line.contains("cfg") && line.contains("feature = "));
    let (core, all, features) = (lines(true), lines(false), features.count());
    assert!(core <= 2830, "the core has {core} lines of code");
    assert!(all <= 6500, "the crate has {all} lines of code");
    assert!(features <= 30, "{features} lines depend on a feature");
}

/// The file, or the directory with a `mod.rs`, that a path stands for.
fn unit(path: &str) -> String {
    let path = path.strip_prefix("extras/").unwrap_or(path);
    path.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let units: BTreeSet<String> = sources.iter().map(|source| unit(&source.path)).collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let from = unit(&source.path);
        // These only say which files there are.
        if from == "lib" || source.path == "extras/mod.rs" {
            continue;
        }
        for line in &source.code {
            let named = line.split("crate::").skip(1);
            for name in named.map(|rest| rest.strip_prefix("extras::").unwrap_or(rest)) {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = name[..end.unwrap_or(name.len())].to_owned();
                assert!(units.contains(&name), "{}: names crate::{name}", source.path);
                if name != from {
                    imports.entry(from.clone()).or_default().insert(name);
                }
            }
        }
    }
    // Takes away what imports nothing that is left, until nothing can be taken away.
    while let Some(leaf) = imports
        .iter()
        .find(|(_, named)| named.iter().all(|name| !imports.contains_key(name)))
        .map(|(name, _)| name.clone())
    {
        imports.remove(&leaf);
    }
    assert!(imports.is_empty(), "a circle is among: {imports:#?}");
}
