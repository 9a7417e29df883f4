//! `RESULTS.md`: the whole table, the machine, the versions, and why we lose where we lose.

use crate::scenario::{FLOOR, OURS};
use crate::stats::{Line, Table, figure};
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Command;

/// What a reader should know about rows in which a goal was not reached: the counts that explain
/// them. Kept in a file of its own, because it is written by a person.
const EXPLAINED: &str = "WHY.md";

/// Writes `RESULTS.md`.
///
/// # Errors
/// What the file system says.
pub fn write(directory: &Path, table: &Table, command: &str, rounds: usize) -> io::Result<()> {
    let mut text = String::from(
        "# Results\n\nWritten by `compare`; less is better in every row. Each cell is the median \
         of the rounds, and the fastest round in brackets. `bare` is the floor: the same work \
         without a runtime.\n\n",
    );
    let mut line = |key: &str, value: String| {
        writeln!(text, "- {key}: {value}").expect("writing to a string does not fail");
    };
    let command = format!("cargo run --release -p mainspring-benches --bin compare {command}");
    line("command", format!("`{}`", command.trim_end()));
    line("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    line("rounds", format!("{rounds} at least; everybody once in each, in a balanced order"));
    line("observed", "only in the rows that say so; no Observer was installed in any other".into());
    line("machine", machine());
    line("load", load());
    line("kernel", output("uname", &["-sr"]));
    line("compiler", output("rustc", &["--version"]));
    line("versions", versions(&directory.join("../Cargo.lock")));
    for (heading, lines) in table.lost_first() {
        text += &format!(
            "\n## {heading}\n\n| scenario | floor | mainspring | best peer | goals | reached |\n\
             |---|--:|--:|--:|---|---|\n"
        );
        text.extend(lines.into_iter().map(goal_row));
    }
    text += "\n## Everybody\n";
    for line in &table.lines {
        text += &everybody(line);
    }
    if let Ok(why) = std::fs::read_to_string(directory.join(EXPLAINED)) {
        text += "\n## Why\n\n";
        text += &why;
    }
    std::fs::write(directory.join("RESULTS.md"), text)
}

fn goal_row(line: &Line) -> String {
    let cell = |value: Option<f64>| value.map_or("–".into(), figure);
    let peer = line
        .best_peer()
        .map_or("–".into(), |(name, value)| format!("{} ({name})", figure(value)));
    let judged: Vec<_> = line.goals.iter().filter_map(|&goal| line.judge(goal)).collect();
    let goals: Vec<String> =
        judged.iter().map(|(words, ratio, _)| format!("{words}: {ratio:.2}")).collect();
    let reached = match judged.iter().all(|&(_, _, reached)| reached) {
        _ if line.goals.is_empty() => "no goal",
        _ if judged.is_empty() => "not measured",
        true => "yes",
        false => "**no**",
    };
    format!(
        "| {} ({}) | {} | {} | {peer} | {} | {reached} |\n",
        line.title,
        line.unit.symbol(),
        cell(line.median(FLOOR)),
        cell(line.median(OURS)),
        goals.join("; "),
    )
}

fn everybody(line: &Line) -> String {
    let rounds = line.cells.iter().map(|cell| cell.figures.len()).max().unwrap_or(0);
    let note = if line.note.is_empty() { String::new() } else { format!("{}; ", line.note) };
    let text = format!("\n**{}**, {} ({note}{rounds} rounds):\n", line.title, line.unit.symbol());
    let cells: Vec<String> = line
        .cells
        .iter()
        .map(|cell| format!("{} {} ({})", cell.name, figure(cell.median()), figure(cell.minimum())))
        .collect();
    text + &cells.join(", ") + "\n"
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    format!("{model}, {cpus} cores")
}

/// What else the machine was doing.
fn load() -> String {
    let averages = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let fifteen = averages.split(' ').nth(2).unwrap_or("unknown");
    format!("{fifteen} runnable on average over the last 15 minutes, this run included")
}

/// The peers' versions as the lock file has them.
fn versions(lock: &Path) -> String {
    const PEERS: [&str; 12] = [
        "async-executor",
        "async-io",
        "compio",
        "futures-executor",
        "glommio",
        "httparse",
        "hyper",
        "hyper-util",
        "mio",
        "monoio",
        "reqwest",
        "tokio",
    ];
    let lock = std::fs::read_to_string(lock).unwrap_or_default();
    let mut found = Vec::new();
    for package in lock.split("[[package]]") {
        let field = |key: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && PEERS.contains(&name)
        {
            found.push(format!("{name} {version}"));
        }
    }
    found.extend([output("nginx", &["-v"])].into_iter().filter(|text| !text.is_empty()));
    found.join(", ")
}

/// The first line a program prints, or nothing.
fn output(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
