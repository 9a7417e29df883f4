//! The picture: a header, the tasks, one of them closely, the latest events, the keys.
//!
//! Eighty columns and twenty-four lines are enough for all of it; a wider terminal gets the columns
//! that the close look at the selected task shows otherwise. No state is told by colour alone.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::follow::Follow;
use super::input::{Input, Prompt};
use super::status::{coarse, halves, held};
use super::table::{Column, cut, end_of, style};
use crate::model::{Model, Why};
use crate::text::{Nanos, count};

/// Lines other than those of tasks: header 2, state 2, column heads, close look, events, message, keys.
const OTHER_LINES: u16 = 7 + CLOSELY + EVENTS;

/// Lines of the close look at the selected task.
const CLOSELY: u16 = 3;

/// Latest events shown.
const EVENTS: u16 = 4;

/// Keys, and what they do.
const KEYS: [(&str, &str); 10] = [
    ("space", "hold"),
    ("s", "turn"),
    ("p", "poll"),
    ("c", "go on"),
    ("b", "break"),
    ("t", "tree"),
    ("/", "filter"),
    ("d", "dump"),
    ("w", "page"),
    ("q", "quit"),
];

/// One look at the loop, drawn.
pub(super) struct Picture<'a> {
    pub(super) follow: &'a Follow,
    /// Time since the watching began.
    pub(super) now: Duration,
}

impl Picture<'_> {
    /// Draws the whole screen. Notes in `input` what the list consists of.
    pub(super) fn draw(&self, input: &mut Input, area: Rect, to: &mut Buffer) {
        let mut line = Line { area, to };
        let (loop_itself, things) = halves(self.follow, self.now);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        line.put(0, &format!("mainspring  {loop_itself}"), bold);
        line.put(1, things.as_str(), Style::new());
        self.draw_state(&mut line);
        let tasks = area.height.saturating_sub(OTHER_LINES).max(1);
        self.draw_tasks(input, tasks, &mut line);
        let below = 5 + tasks;
        self.draw_closely(input, below, &mut line);
        let dim = Style::new().add_modifier(Modifier::DIM);
        for (y, sentence) in (below + CLOSELY..).zip(self.follow.latest(usize::from(EVENTS))) {
            line.put(y, &format!("· {sentence}"), dim);
        }
        let below = below + CLOSELY + EVENTS;
        let filter = match input.filter.as_str() {
            "" => String::new(),
            filter => format!("filter: {filter} (Esc shows all)"),
        };
        let message = if input.message.is_empty() { &filter } else { &input.message };
        line.put(below, message, Style::new());
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        match &input.prompt {
            None => keys(below + 1, &mut line),
            Some(Prompt::Filter(text)) => {
                line.put(below + 1, &format!("filter by name, state or place: {text}▏"), reversed);
            }
            Some(Prompt::Break(text)) => {
                let what = "break on 7, idle, timer_fired, slow 10ms";
                line.put(below + 1, &format!("{what}: {text}▏"), reversed);
            }
        }
    }

    /// Two lines on whether the loop goes on as it should.
    fn draw_state(&self, line: &mut Line<'_>) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if let Some(slow) = self.follow.slow_poll(self.now) {
            let words = format!("!! {}", self.follow.slow_words(&slow));
            let (first, second) = fold(&words, usize::from(line.area.width));
            line.put(2, first, bold.fg(Color::Red));
            line.put(3, second, bold.fg(Color::Red));
        } else {
            let (first, second) = held(self.follow);
            line.put(2, &first, bold.fg(Color::Yellow));
            line.put(3, &second, bold.fg(Color::Yellow));
        }
    }

    fn draw_tasks(&self, input: &mut Input, height: u16, line: &mut Line<'_>) {
        let columns = Picture::columns(line.area.width);
        let heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        line.row(4, &columns, &heads, reversed);
        let rows = self.rows(input);
        input.rows = rows.iter().map(|(_, id)| *id).collect();
        let selected = input.position();
        // Where not all rows fit, the last line says how many are below.
        let fits = rows.len() <= usize::from(height) || height < 2;
        let room = if fits { usize::from(height) } else { usize::from(height) - 1 };
        input.page = room;
        let first = (selected + 1).saturating_sub(room);
        if !fits {
            let below = rows.len().saturating_sub(first + room);
            let words = match below {
                0 => "    the last of them".into(),
                below => format!("    {} below", count(below, "more task")),
            };
            line.put(4 + height, &words, Style::new().add_modifier(Modifier::DIM));
        }
        for (y, (depth, id)) in (5..).zip(rows.iter().skip(first).take(room)) {
            let Some(task) = self.model().task(*id) else { continue };
            let style = style(task);
            let at_it = *id == rows[selected].1;
            let style = if at_it { style.add_modifier(Modifier::UNDERLINED) } else { style };
            line.row(y, &columns, &self.cells(task, *depth), style);
        }
    }

    /// The selected task in two lines.
    fn draw_closely(&self, input: &Input, y: u16, line: &mut Line<'_>) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let Some(task) = input.rows.get(input.position()).and_then(|id| self.model().task(*id))
        else {
            return line.put(y, "no task is shown", bold);
        };
        let texts = self.follow.texts();
        let place = texts.place(task.id);
        let title = format!("{} from ", texts.task(task.id));
        let room = usize::from(line.area.width).saturating_sub(title.chars().count());
        line.put(y, &format!("{title}{}", end_of(&place, room)), bold);
        let why = match self.model().why(task.id).why {
            Why::Waiting(_) | Why::LostWaker => {
                self.model().why_at(task.id, texts, self.follow.now(self.now))
            }
            _ => format!("{} for {}", task.state.word(), coarse(self.since(task))),
        };
        line.put(y + 1, &format!("  {why}"), Style::new());
        let times = |n: u64, noun| count(usize::try_from(n).unwrap_or(usize::MAX), noun);
        let text = format!(
            "  {}, busy {}, longest {}; {}, {} by itself; {} of {} held",
            times(task.polls, "poll"),
            Nanos(task.busy),
            Nanos(task.longest_poll),
            times(task.wakes, "wake"),
            task.self_wakes,
            task.holders,
            times(task.waker_clones, "waker"),
        );
        line.put(y + 2, &text, Style::new());
    }

    pub(super) fn model(&self) -> &Model {
        self.follow.model()
    }
}

/// As many of the parts of a text, which ` · ` separates, as fit into `width` columns; and the rest.
fn fold(text: &str, width: usize) -> (&str, &str) {
    if text.chars().count() <= width {
        return (text, "");
    }
    let fits = |(at, _): &(usize, &str)| text[..*at].chars().count() <= width;
    match text.match_indices(" · ").filter(fits).last() {
        Some((at, separator)) => (&text[..at], &text[at + separator.len()..]),
        None => (text, ""),
    }
}

/// The bottom line.
fn keys(y: u16, line: &mut Line<'_>) {
    let mut x = 0;
    for (key, what) in KEYS {
        if x > 0 {
            line.put_at(x, y, 1, "·", Style::new().add_modifier(Modifier::DIM));
            x += 1;
        }
        let (key_long, long) = (key.len() as u16, what.len() as u16);
        line.put_at(x, y, key_long, key, Style::new().add_modifier(Modifier::BOLD));
        line.put_at(x + key_long + 1, y, long, what, Style::new());
        x += key_long + 1 + long;
    }
}

/// Writes lines into a buffer, cut at its edges.
struct Line<'a> {
    area: Rect,
    to: &'a mut Buffer,
}

impl Line<'_> {
    fn put(&mut self, y: u16, text: &str, style: Style) {
        self.put_at(0, y, self.area.width, text, style);
    }

    fn put_at(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        if y < self.area.height && x < self.area.width {
            let width = usize::from(width.min(self.area.width - x));
            self.to.set_stringn(self.area.x + x, self.area.y + y, text, width, style);
        }
    }

    fn row(&mut self, y: u16, columns: &[Column], cells: &[String], style: Style) {
        let blank = " ".repeat(usize::from(self.area.width));
        self.put(y, &blank, style);
        let mut x = 0;
        for (column, cell) in columns.iter().zip(cells) {
            let width = usize::from(column.width);
            let shown = cut(cell, width);
            let indent = if column.right { width - shown.chars().count() } else { 0 };
            let indent = u16::try_from(indent).unwrap_or(0);
            self.put_at(x + indent, y, column.width - indent, &shown, style);
            x += column.width + 1;
        }
    }
}

#[cfg(test)]
mod tests;
