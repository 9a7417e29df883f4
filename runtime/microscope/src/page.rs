//! The page: one HTML file that shows up to three runs, loads nothing and needs no server.
//!
//! Its code is written by hand in `page/*.js` and `page/style.css`, as modules that a reader can
//! follow and Node can import. Here they are put into one script, in the order of their imports:
//! lines that import or only comment are dropped, the word `export` and the indentation too, and
//! that is all the build there is.
//!
//! Texts of the observed program reach the page as JSON strings in which `<` is escaped, and its
//! code puts them into the document as text, never as markup. Should that ever fail, the content
//! security policy forbids whatever would load or send something.

use std::io;
use std::path::Path;

use crate::file::write_whole;
use crate::trace::Trace;

/// Runs on one page, at most.
pub const MAX_RUNS: usize = 3;

const STYLE: &str = include_str!("../page/style.css");

/// The modules, each after those that it imports.
const MODULES: &[(&str, &str)] = &[
    ("trace.js", include_str!("../page/trace.js")),
    ("text.js", include_str!("../page/text.js")),
    ("why.js", include_str!("../page/why.js")),
    ("model.js", include_str!("../page/model.js")),
    ("history.js", include_str!("../page/history.js")),
    ("dom.js", include_str!("../page/dom.js")),
    ("timeline.js", include_str!("../page/timeline.js")),
    ("stepper.js", include_str!("../page/stepper.js")),
    ("inspector.js", include_str!("../page/inspector.js")),
    ("tables.js", include_str!("../page/tables.js")),
    ("compare.js", include_str!("../page/compare.js")),
    ("help.js", include_str!("../page/help.js")),
    ("app.js", include_str!("../page/app.js")),
];

/// The page as a string.
///
/// # Panics
/// If there is no trace, or more than [`MAX_RUNS`].
pub fn html(traces: &[&Trace]) -> String {
    assert!(
        (1..=MAX_RUNS).contains(&traces.len()),
        "a page shows 1 to {MAX_RUNS} runs, not {}",
        traces.len()
    );
    let runs: Vec<String> = traces.iter().map(|trace| trace.to_json()).collect();
    let title = escaped(&traces[0].title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · mainspring microscope</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <noscript>This page draws a recorded run with a script of its own; it loads nothing. \
         Allow scripts to see it.</noscript>\n\
         <script type=\"application/json\" id=\"runs\">[{}]</script>\n\
         <script type=\"module\">\n{}</script>\n</body>\n</html>\n",
        runs.join(",\n"),
        script(),
    )
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

/// All modules as one.
fn script() -> String {
    let mut out = String::new();
    for (name, module) in MODULES {
        out += &format!("// --- {name}\n");
        let mut in_comment = false;
        for line in module.lines().filter(|line| !line.starts_with("import ")) {
            let line = line.trim_start();
            let comments = in_comment || line.starts_with("/**") || line.starts_with("//");
            in_comment = (in_comment || line.starts_with("/**")) && !line.contains("*/");
            if !comments {
                out += line.strip_prefix("export ").unwrap_or(line);
                out.push('\n');
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
        assert!(script.len() + STYLE.len() <= 140 * 1024, "{} bytes", script.len() + STYLE.len());
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
}
