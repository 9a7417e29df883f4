//! The page: one HTML file that shows up to three runs, loads nothing and needs no server.
//!
//! Its code is written by hand in `page/*.js` and `page/style.css`, as modules that a reader can
//! follow and Node can import. Here they are put into one script, in the order of their imports:
//! lines that import or only comment are dropped, the word `export` and needless white space too, and
//! that is all the build there is.
//!
//! Texts of the observed program reach the page as JSON strings in which `<` is escaped, and its
//! code puts them into the document as text, never as markup. Should that ever fail, the content
//! security policy forbids whatever would load or send something.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::file::write_whole;
use crate::json::in_script;
use crate::source;
use crate::text::Texts;
use crate::trace::Trace;

/// Runs on one page, at most.
pub const MAX_RUNS: usize = 3;

const STYLE: &str = include_str!("../page/style.css");

/// The modules by name, each after those that it imports.
const MODULES: &[(&str, &str)] = &[
    ("trace.js", include_str!("../page/trace.js")),
    ("text.js", include_str!("../page/text.js")),
    ("why.js", include_str!("../page/why.js")),
    ("model.js", include_str!("../page/model.js")),
    ("history.js", include_str!("../page/history.js")),
    ("dom.js", include_str!("../page/dom.js")),
    ("story.js", include_str!("../page/story.js")),
    ("range.js", include_str!("../page/range.js")),
    ("timeline.js", include_str!("../page/timeline.js")),
    ("stepper.js", include_str!("../page/stepper.js")),
    ("inspector.js", include_str!("../page/inspector.js")),
    ("tables.js", include_str!("../page/tables.js")),
    ("compare.js", include_str!("../page/compare.js")),
    ("lesson.js", include_str!("../page/lesson.js")),
    ("help.js", include_str!("../page/help.js")),
    ("app.js", include_str!("../page/app.js")),
];

/// A question that a page asks before it shows what happened, and what it says once it is answered.
///
/// Until then what comes after the cursor is hidden; then the cursor is put on the event to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lesson {
    /// What it is about.
    pub idea: String,
    /// What the program does, in words.
    pub program: String,
    /// What the reader is asked to predict.
    pub question: String,
    /// What may be answered.
    pub answers: Vec<String>,
    /// Which of them is right, from 0.
    pub right: usize,
    /// Why.
    pub because: String,
    /// What happened in each run, as text in lines.
    pub told: Vec<String>,
    /// The source of the program.
    pub source: String,
    /// The source of the program that does better.
    pub mended: String,
    /// The source of what both use.
    pub shared: String,
    /// The event of the first run to look at, if there is one.
    pub event: Option<u64>,
    /// The task to look at, or 0.
    pub task: u64,
    /// On the axis of time; otherwise on that of events.
    pub time: bool,
}

/// The page as a string.
///
/// What looks like a secret of a URL or a header in a name or label of the program is left out.
///
/// # Panics
/// If there is no trace, or more than [`MAX_RUNS`].
pub fn html(traces: &[&Trace]) -> String {
    with(traces, &[])
}

/// A page with these parts, each JSON for the element of that name.
fn with(traces: &[&Trace], parts: &[(&str, String)]) -> String {
    assert!(
        (1..=MAX_RUNS).contains(&traces.len()),
        "a page shows 1 to {MAX_RUNS} runs, not {}",
        traces.len()
    );
    let runs: Vec<String> = traces.iter().map(|trace| open(trace).to_json()).collect();
    let title = escaped(&source::without_secrets(&traces[0].title));
    let element = |(name, json): &(&str, String)| {
        format!("<script type=\"application/json\" id=\"{name}\">{}</script>\n", in_script(json))
    };
    let parts: String = parts.iter().map(element).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · mainspring microscope</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <noscript>This page draws a recorded run with a script of its own; it loads nothing. \
         Allow scripts to see it.</noscript>\n\
         <script type=\"application/json\" id=\"runs\">[{}]</script>\n\
         {parts}\
         <script type=\"module\">\n{}</script>\n</body>\n</html>\n",
        runs.join(",\n"),
        script(),
        style = style(),
    )
}

/// A trace whose texts tell no secret of a URL or a header: a page is made to be shown.
fn open(trace: &Trace) -> Cow<'_, Trace> {
    let hides = |text: &str| matches!(source::without_secrets(text), Cow::Owned(_));
    let Texts { tasks, labels } = &trace.texts;
    let names = || tasks.values().filter_map(|task| task.name.as_deref());
    let mut texts = names().chain(labels.values().map(|label| &*label.text)).chain([&*trace.title]);
    if !texts.any(hides) {
        return Cow::Borrowed(trace);
    }
    let mut trace = trace.clone();
    let clean = |text: &mut String| *text = source::without_secrets(text).into_owned();
    clean(&mut trace.title);
    trace.texts.tasks.values_mut().filter_map(|task| task.name.as_mut()).for_each(clean);
    trace.texts.labels.values_mut().for_each(|label| clean(&mut label.text));
    Cow::Owned(trace)
}

/// Writes a page that compares up to three runs on one scale. The file is whole or not there.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If there is no trace, or more than [`MAX_RUNS`].
pub fn write(path: impl AsRef<Path>, traces: &[&Trace]) -> io::Result<()> {
    write_whole(path.as_ref(), html(traces).as_bytes())
}

/// Writes a page that asks the question of a lesson before it shows the runs. The file is whole or not
/// there.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If there is no trace, or more than [`MAX_RUNS`].
pub fn write_lesson(path: impl AsRef<Path>, traces: &[&Trace], lesson: &Lesson) -> io::Result<()> {
    write_whole(path.as_ref(), with(traces, &[("lesson", json(lesson))]).as_bytes())
}

/// Writes a page that also quotes the line of source in which each task was spawned and each span and mark
/// was written, of files below `root`. What looks like a secret in such a line is left out.
///
/// # Errors
/// If the file cannot be written. A source that cannot be read is left out.
///
/// # Panics
/// If there is no trace, or more than [`MAX_RUNS`].
pub fn write_with_source(
    path: impl AsRef<Path>,
    traces: &[&Trace],
    root: impl AsRef<Path>,
) -> io::Result<()> {
    let lines = source::lines(traces, root.as_ref());
    write_whole(path.as_ref(), with(traces, &[("sources", json(&lines))]).as_bytes())
}

/// Texts and numbers as JSON, of which no writing fails.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Trace {
    /// Writes a page that shows the run: one file that opens in any browser and loads nothing. The
    /// file is whole or not there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> io::Result<()> {
        write(path, &[self])
    }
}

/// A line without the white space that it can do without. One with a quote in it, or what could begin a
/// regular expression, is left as it is.
fn slim(line: &str) -> String {
    const OPERATORS: &[&str] =
        &["=>", "===", "!==", ">=", "<=", "&&", "||", "=", "?", ":", "{", "}", "*", "+", "<", ">"];
    const GAPS: &[&str] = &[", ", "; ", ": ", " {", "{ ", " }", "if (", "for ("];
    if line.contains(['"', '\'', '`', '/']) {
        return line.to_owned();
    }
    let tight = |line: String, sign: &&str| line.replace(&format!(" {sign} "), sign);
    let line = OPERATORS.iter().fold(line.to_owned(), tight);
    GAPS.iter().fold(line, |line, gap| line.replace(gap, &gap.replace(' ', "")))
}

/// Adds a line; the next one goes on with it where a line that ends so cannot be over.
fn add(out: &mut String, line: &str) {
    *out += &slim(line);
    if !line.ends_with(['{', '(', '[', ',', ';']) {
        out.push('\n');
    }
}

/// The style sheet without comments.
fn style() -> String {
    let mut out = String::new();
    let mut in_comment = false;
    for line in STYLE.lines().map(str::trim) {
        let comments = in_comment || line.starts_with("/*");
        in_comment = comments && !line.ends_with("*/");
        if !comments {
            add(&mut out, line);
        }
    }
    out
}

/// All modules as one.
fn script() -> String {
    let mut out = String::new();
    for (_, module) in MODULES {
        let mut in_comment = false;
        for line in module.lines().filter(|line| !line.starts_with("import ")) {
            let line = line.trim_start();
            let comments = in_comment || line.starts_with("/**") || line.starts_with("//");
            in_comment = (in_comment || line.starts_with("/**")) && !line.contains("*/");
            if !comments && !line.is_empty() {
                add(&mut out, line.strip_prefix("export ").unwrap_or(line));
            }
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_the_page_stays_small_and_can_stand_inside_a_script_element() {
        let script = script();
        let bytes = script.len() + style().len();
        assert!(bytes <= 140_000, "{bytes} bytes");
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
}
