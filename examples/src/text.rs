//! Text from the network, made safe to show on a terminal.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::sync::LazyLock;

/// Shows text with every character that could steer a terminal made visible instead.
///
/// Control characters (among them escape, which starts a terminal's commands) and the invisible
/// characters that turn the direction of writing around are shown as `\u{1b}`; any run of line
/// breaks and tabs becomes one space, so that one line stays one line.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut after_break = false;
        for c in self.0.chars() {
            let is_break = matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}');
            match c {
                _ if is_break && after_break => {}
                _ if is_break => f.write_char(' ')?,
                _ if c.is_control() || turns_direction(c) => write!(f, "{}", c.escape_unicode())?,
                _ => f.write_char(c)?,
            }
            after_break = is_break;
        }
        Ok(())
    }
}

/// Text as one of the standard streams takes it: [`Printable`] on a terminal, itself in a pipe or a
/// file, whose reader wants what was found.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str, pub Stream);

/// A standard stream; whether it is a terminal is looked up once.
pub type Stream = &'static LazyLock<bool>;

/// Standard output.
pub static STDOUT: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());

/// Standard error.
pub static STDERR: LazyLock<bool> = LazyLock::new(|| io::stderr().is_terminal());

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if **self.1 { Printable(self.0).fmt(f) } else { f.write_str(self.0) }
    }
}

/// A text of many lines, each of them made [`Printable`]; tabs stay.
pub fn printable_lines(text: &str) -> String {
    let printable = |cell: &str| Printable(cell).to_string();
    let line = |line: &str| {
        let cells = line.trim_end_matches('\r').split('\t').map(printable);
        cells.collect::<Vec<_>>().join("\t")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn turns_direction(c: char) -> bool {
    matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The first `limit` characters of a text, with `…` where it was cut.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_page_says_reaches_the_terminal_as_a_command() {
        for (text, shown) in [
            ("plain, Zoë 漢字", "plain, Zoë 漢字"),
            ("\x1b]0;owned\x07\x1b[2J", "\\u{1b}]0;owned\\u{7}\\u{1b}[2J"),
            ("a\r\n\tb\u{2028}c", "a b c"),
            ("\u{9b}31m\x7f", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }

    #[test]
    fn lines_and_columns_survive() {
        assert_eq!(printable_lines("a\tb\r\n\x1b[2J\n\nc\n"), "a\tb\n\\u{1b}[2J\n\nc\n");
        assert_eq!(printable_lines("no end"), "no end");
        assert_eq!(printable_lines(""), "");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(shortened("åbcde", 5), "åbcde");
        assert_eq!(shortened("åbcdef", 5), "åbcd…");
    }
}
