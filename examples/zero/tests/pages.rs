//! All that the pages say is so: their diffs lead from step to step, their programs print what they say, and
//! each bug, planted in a copy, is seen as they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, thread};

#[path = "../src/patch.rs"]
mod patch;

/// How long a program has to say its next line, and how long one that hangs is watched. A slow machine can
/// only make a planted bug pass unseen, and fail nothing.
const PATIENCE: Duration = Duration::from_secs(60);
const HANGS: Duration = Duration::from_secs(1);

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page(step: usize) -> String {
    read(&format!("text/step{step}.md"))
}

fn source(step: usize) -> String {
    read(&format!("src/step{step}.rs"))
}

/// The one block of that kind in a step's page.
fn block(step: usize, opening: &str) -> String {
    let mut blocks = patch::blocks(&page(step), opening);
    assert_eq!(blocks.len(), 1, "step {step}: {opening}");
    blocks.remove(0)
}

/// Lines that are neither empty nor comments.
fn code_lines(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count()
}

/// The lines that a diff adds, without their sign.
fn added(diff: &str) -> String {
    diff.lines()
        .filter_map(|line| line.strip_prefix('+'))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

// --- the text ---------------------------------------------------------------------------------

#[test]
fn every_line_of_the_programs_stands_in_the_text() {
    assert_eq!(block(1, "```rust program"), source(1));
    for step in 2..=8 {
        let diff = patch::blocks(&page(step), "```diff").concat();
        let new = patch::apply(&source(step - 1), &diff);
        let hunks = format!("`diff -U1 src/step{}.rs src/step{step}.rs` prints them", step - 1);
        let new = new.unwrap_or_else(|error| panic!("step {step}: {error}; {hunks}"));
        assert!(new == source(step), "text/step{step}.md leads elsewhere; {hunks}");
    }
    assert_eq!(added(&block(7, "```diff net")), read("src/net.rs"));
    for step in 1..=8 {
        assert_eq!(block(step, "```rust demo"), read(&format!("examples/step{step}.rs")));
    }
}

#[test]
fn each_step_is_as_small_as_it_is_said_to_be() {
    let readme = read("README.md");
    for step in 1..=8 {
        let (page, lines) = (page(step), code_lines(&source(step)));
        let new = match step {
            1 => lines,
            _ => code_lines(&added(&patch::blocks(&page, "```diff").concat())),
        };
        assert!(new <= 90, "step {step}: {new} new code lines");
        assert!(lines <= 500, "step {step}: {lines} code lines");
        let row = format!("| [{step}](text/step{step}.md) |");
        let row = readme.lines().find(|line| line.starts_with(&row)).expect("a row for each step");
        assert!(row.contains(&format!("| {lines} |")), "it has {lines} code lines: {row}");
        let demo = read(&format!("examples/step{step}.rs")).lines().count();
        assert!((20..=60).contains(&demo), "step {step}'s demo: {demo} lines");
    }
    assert!(code_lines(&read("src/net.rs")) <= 50);
    let trace = code_lines(&added(&patch::blocks(&read("text/trace.md"), "```diff").concat()));
    assert!(trace <= 50, "the trace: {trace} code lines");
    let others = ["README.md", "text/trace.md", "text/refine.md"].map(read);
    let pages: String = (1..=8).map(page).chain(others).collect();
    let diffs = ["```diff", "```diff net", "```diff break"];
    let diffs = diffs.iter().flat_map(|opening| patch::blocks(&pages, opening));
    let diffs: usize = diffs.map(|diff| diff.lines().count() + 2).sum();
    let text = pages.lines().count() - diffs;
    assert!(text <= 1_500, "{text} lines of text");
}

// --- running programs -------------------------------------------------------------------------

/// A program that runs: what it says, line by line as it comes.
struct Running {
    child: Child,
    said: Receiver<String>,
    complained: Receiver<String>,
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.for_each(|line| drop(sender.send(line)));
    });
    lines
}

impl Running {
    fn start(program: &Path, step: usize) -> Running {
        let mut command = Command::new(program);
        if step == 7 {
            command.arg(slow_site());
        }
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = lines_of(child.stdout.take().unwrap());
        let complained = lines_of(child.stderr.take().unwrap());
        Running { child, said, complained }
    }

    /// The next line on stdout, then those on stderr; nothing if it has ended.
    fn line(&self) -> Option<String> {
        [&self.said, &self.complained].into_iter().find_map(|lines| {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => panic!("it says nothing and does not end"),
            }
        })
    }

    fn hangs(&self) -> bool {
        self.said.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A site that is slow in a way that needs no clock: it answers when ten have asked. Gives its address.
fn slow_site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let asked: Vec<TcpStream> = listener.incoming().flatten().take(10).map(hear).collect();
        for mut stream in asked {
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            // One that waits for ever has gone by now.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

/// Reads a request to its end.
fn hear(stream: TcpStream) -> TcpStream {
    let request = BufReader::new(&stream).lines().map_while(Result::ok);
    request.take_while(|line| !line.is_empty()).for_each(drop);
    stream
}

/// Where cargo puts what it builds for this test: `target/debug/deps`.
fn built() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

#[test]
fn every_demo_prints_what_its_page_says() {
    for step in 1..=8 {
        let examples = built().parent().unwrap().join("examples");
        let demo = examples.join(format!("step{step}")).with_extension(env::consts::EXE_EXTENSION);
        assert!(demo.exists(), "{demo:?} is missing: `cargo build --examples` makes it");
        let running = Running::start(&demo, step);
        let lines: String = std::iter::from_fn(|| running.line()).map(|line| line + "\n").collect();
        assert_eq!(lines, block(step, "```text output"), "step {step}");
    }
}

// --- planted bugs -----------------------------------------------------------------------------

fn rustc(arguments: &[&str]) -> Result<(), String> {
    let deps = format!("dependency={}", built().display());
    let output = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["--edition", "2024", "--cap-lints", "allow", "-L", &deps])
        .args(arguments)
        .output()
        .expect("the compiler starts");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The arguments that bring in the poller's crate as cargo has built it, perhaps several times: for other
/// features, or by another compiler. The newest is first.
fn mio() -> Vec<Vec<String>> {
    let files = fs::read_dir(built()).unwrap().map(|entry| entry.unwrap().path());
    let named = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("libmio-") && name.ends_with(".rlib")
    };
    let mut found: Vec<PathBuf> = files.filter(named).collect();
    found.sort_by_key(|file| fs::metadata(file).and_then(|data| data.modified()).ok());
    let arguments = |file: &PathBuf| vec!["--extern".into(), format!("mio={}", file.display())];
    found.iter().rev().map(arguments).collect()
}

/// Builds the demo of one step on a copy of another, in which a bug is planted.
fn with_bug(step: usize, demo: usize) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken{step}"));
    fs::create_dir_all(place.join("examples")).unwrap();
    let file = |name: &str| place.join(name).display().to_string();
    let broken = patch::apply(&source(step), &block(step, "```diff break")).unwrap();
    let program = read(&format!("examples/step{demo}.rs"));
    let program = program.replace(&format!("zero::step{demo}"), &format!("zero::step{step}"));
    for (name, text) in [
        ("lib.rs", format!("pub mod step{step};\n")),
        (&format!("step{step}.rs"), broken),
        ("net.rs", read("src/net.rs")),
        (&format!("examples/step{demo}.rs"), program),
    ] {
        fs::write(file(name), text).unwrap();
    }
    let (library, built) = (file("libzero.rlib"), file("demo"));
    let compile = |more: &[&str]| {
        let arguments = ["--crate-name", "zero", "--crate-type", "rlib", "-o", &library];
        rustc(&[&arguments, more, &[&file("lib.rs")]].concat())
    };
    let mut compiled = Err(String::from("the poller's crate is not built"));
    let externs = if step <= 5 { vec![vec![]] } else { mio() };
    for externs in externs {
        let externs: Vec<&str> = externs.iter().map(String::as_str).collect();
        compiled = compile(&externs);
        if compiled.is_ok() {
            break;
        }
    }
    compiled.unwrap_or_else(|error| panic!("step {step} with its bug: {error}"));
    let zero = format!("zero={library}");
    let here = format!("{}=examples/zero", place.display());
    let demo = file(&format!("examples/step{demo}.rs"));
    rustc(&["--extern", &zero, "--remap-path-prefix", &here, "-o", &built, &demo]).unwrap();
    PathBuf::from(built)
}

/// Numbers of four digits and more as `#`: they are never the same.
fn without_large_numbers(line: &str) -> String {
    let parts = line.split_inclusive(|c: char| !c.is_ascii_digit());
    let mut clean = String::new();
    for part in parts {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        let large = digits.len() >= 4;
        clean += if large { "#" } else { digits };
        clean += &part[digits.len()..];
    }
    clean
}

/// What the page says one sees is seen, line by line and in that order; and it is not what the demo says
/// without the bug.
fn check_bug(step: usize, demo: usize) {
    let program = with_bug(step, demo);
    let running = Running::start(&program, step);
    let mut heard = String::new();
    for wanted in block(step, "```text broken").lines().map(without_large_numbers) {
        if wanted == "(it hangs)" {
            assert!(running.hangs(), "step {step}: it goes on after\n{heard}");
            return;
        }
        loop {
            let line = running.line();
            let line = line.unwrap_or_else(|| panic!("step {step}: no {wanted:?} in\n{heard}"));
            heard += &(line.clone() + "\n");
            if without_large_numbers(&line).contains(&wanted) {
                break;
            }
        }
    }
    while let Some(line) = running.line() {
        heard += &(line + "\n");
    }
    assert_ne!(heard, block(demo, "```text output"), "step {step}");
}

#[test]
fn bug_1_a_loop_that_spins() {
    check_bug(1, 1);
}

#[test]
fn bug_2_a_table_borrowed_while_a_task_runs() {
    check_bug(2, 2);
}

#[test]
fn bug_3_a_wake_amid_a_poll_is_lost() {
    check_bug(3, 3);
}

#[test]
fn bug_4_a_panic_goes_through() {
    check_bug(4, 4);
}

#[test]
fn bug_5_a_sleep_without_an_end() {
    check_bug(5, 5);
}

#[test]
fn bug_6_a_wake_that_is_slept_through() {
    check_bug(6, 6);
}

#[test]
fn bug_7_waiting_before_trying() {
    check_bug(7, 7);
}

/// The bug of step 3 with the program of step 3, on a loop that says what it sees.
#[test]
fn bug_8_the_lost_wake_has_a_name() {
    let diff = |step| block(step, "```diff break");
    assert_eq!(diff(8), diff(3));
    check_bug(8, 3);
}
