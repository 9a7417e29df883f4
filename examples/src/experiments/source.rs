//! The source of an experiment's programs, cut out of the files of this module, for its page.

const FILES: [&str; 4] = [
    include_str!("wakes.rs"),
    include_str!("fairness.rs"),
    include_str!("ends.rs"),
    include_str!("load.rs"),
];

/// What all of them may use.
const TOOLS: &str = include_str!("tools.rs");

/// What a page shows of an experiment's source.
pub(super) struct Source {
    /// The program that has the wrong idea.
    pub(super) broken: String,
    /// The one that does not.
    pub(super) mended: String,
    /// What either of them uses.
    pub(super) shared: String,
}

/// The source of the experiment with that number.
///
/// # Panics
/// If there is none, or it is not written as the others are.
pub(super) fn of(number: u32) -> Source {
    let head = format!("    number: {number},\n");
    let file =
        FILES.iter().find(|file| file.contains(&head)).expect("an experiment of that number");
    let items = [items(file), items(TOOLS)].concat();
    let own = items.iter().find(|item| item.contains(&head)).expect("its item");
    let (_, programs) = own.split_once("    broken: ").expect("a broken program");
    let (broken, mended) = programs.split_once("    mended: ").expect("a mended program");
    // What the programs name, what that names, and so on.
    let mut text = programs.to_owned();
    let mut used = vec![false; items.len()];
    loop {
        let more = items.iter().enumerate().find(|(k, item)| {
            !used[*k]
                && !item.contains(": Programs = ")
                && name(item).is_some_and(|name| names(&text, name))
        });
        let Some((k, item)) = more else { break };
        used[k] = true;
        text += item;
    }
    let shared = items.iter().zip(used).filter(|(_, used)| *used).map(|(item, _)| item.as_str());
    let mended = mended.trim_end().trim_end_matches("};");
    let [broken, mended] = [broken, mended].map(|program| {
        let program = program.trim_end().trim_end_matches(',');
        // As it would be without our macro.
        dedented(&program.replacen("program!({", "|runtime| runtime.block_on(async {", 1))
    });
    Source { broken, mended, shared: shared.collect::<Vec<_>>().join("\n\n") }
}

/// The functions, types and constants of a file, each with its comments.
fn items(file: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut open = 0_usize;
    for part in file.split("\n\n") {
        match items.last_mut() {
            Some(item) if open > 0 => *item += &format!("\n\n{part}"),
            _ => items.push(part.trim_end().to_owned()),
        }
        open = (open + part.matches('{').count()).saturating_sub(part.matches('}').count());
    }
    items
}

/// The name of a function or type, or the type that an `impl` is for.
fn name(item: &str) -> Option<&str> {
    let line = item.lines().find(|line| !line.starts_with("//") && !line.starts_with('#'))?;
    if line.starts_with("impl") {
        return line.trim_end_matches(" {").split(' ').next_back();
    }
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find(|word| matches!(*word, "fn" | "struct"))?;
    words.next()
}

/// Whether a text has that word.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// A text without the indentation of a field.
fn dedented(text: &str) -> String {
    let lines: Vec<_> =
        text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    lines.join("\n")
}
