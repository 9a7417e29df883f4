//! The picture: a header, the tasks, one of them closely, the latest events, the keys.
//!
//! Eighty columns and twenty-four lines are enough for all of it; a wider terminal gets the columns
//! that the close look at the selected task shows otherwise. No state is told by colour alone.

use std::collections::HashMap;
use std::time::Duration;

use mainspring::observe::{CancelOrigin, Direction};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::follow::Follow;
use super::input::{Input, Prompt};
use super::status::{coarse, halves, short};
use crate::model::{Model, Phase, Reason, State, Task, Why};
use crate::text::{Nanos, count, harmless};

/// Lines other than those of tasks: header 2, state 2, column heads, close look, events, message, keys.
const OTHER_LINES: u16 = 7 + CLOSELY + EVENTS;

/// Lines of the close look at the selected task.
const CLOSELY: u16 = 3;

/// Latest events shown.
const EVENTS: u16 = 4;

/// Ended tasks shown.
const ENDED: usize = 50;

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

/// How a column's cells are written.
#[derive(Clone, Copy)]
struct Column {
    head: &'static str,
    width: u16,
    right: bool,
}

const fn left(head: &'static str, width: u16) -> Column {
    Column { head, width, right: false }
}

const fn right(head: &'static str, width: u16) -> Column {
    Column { head, width, right: true }
}

/// Columns for the place where a task was spawned.
const FROM: u16 = 28;

/// Columns in the order in which room is given to them. Of the first, the second and the fourth take
/// what is left over.
const COLUMNS: [Column; 11] = [
    right("ID", 5),
    left("NAME", 16),
    left("STATE", 9),
    left("WAITING FOR", 20),
    right("SINCE", 7),
    right("POLLS", 6),
    right("BUSY", 7),
    right("LONGEST", 7),
    right("WAKES(SELF)", 11),
    right("WAKERS", 6),
    left("FROM", FROM),
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
        let told = self.follow.told();
        let alarm = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let held = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
        if let Some(slow) = self.follow.slow_poll(self.now) {
            let words = format!("!! {}", self.follow.slow_words(&slow));
            // The words fall into parts; what does not fit into the first line goes into the second.
            let (first, second) = fold(&words, usize::from(line.area.width));
            line.put(2, first, alarm);
            line.put(3, second, alarm);
            return;
        }
        let breakpoint = told.breakpoint.map(|on| format!("breaks when {on}")).unwrap_or_default();
        let first = match told.held {
            Some(since) => {
                let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
                let text = format!("HELD for {}, the world went on", coarse(since));
                line.put(2, &text, held);
                told.hit.map_or(breakpoint, |hit| {
                    format!("broke because {}", self.follow.texts().sentence(&hit))
                })
            }
            None if told.left => "the loop is gone".into(),
            None if told.stopping => {
                let asleep = matches!(self.model().phase, Phase::Parked { .. });
                let when = if asleep { ", when it wakes up" } else { "" };
                line.put(2, &format!("to be held at the next step{when}"), held);
                breakpoint
            }
            None => breakpoint,
        };
        line.put(3, &first, held);
    }

    fn draw_tasks(&self, input: &mut Input, height: u16, line: &mut Line<'_>) {
        let columns = self.columns(line.area.width);
        let heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        line.row(4, &columns, &heads, reversed);
        let rows = self.rows(input);
        input.rows = rows.iter().map(|(_, id)| *id).collect();
        input.page = usize::from(height);
        let selected = input.position();
        let first = (selected + 1).saturating_sub(usize::from(height));
        for (y, (depth, id)) in (5..5 + height).zip(rows.iter().skip(first)) {
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
        let place = texts.tasks.get(&task.id).map(|text| text.place()).unwrap_or_default();
        let title = format!("{} from ", texts.task(task.id));
        let room = usize::from(line.area.width).saturating_sub(title.chars().count());
        line.put(y, &format!("{title}{}", end_of(&place, room)), bold);
        let why = match self.model().why(task.id).why {
            Why::Waiting(reasons) => {
                let reasons: Vec<_> = reasons.iter().map(|one| self.one_reason(one)).collect();
                format!("waiting for {}", reasons.join(" or "))
            }
            why @ (Why::HeldElsewhere { .. } | Why::LostWaker) => why.to_string(),
            _ => format!("{} for {}", task.state.word(), coarse(self.since(task))),
        };
        line.put(y + 1, &format!("  {why}"), Style::new());
        let times = |n: u64, noun| count(usize::try_from(n).unwrap_or(usize::MAX), noun);
        let text = format!(
            "  {}, busy {}, longest {}; {}, {} by itself; {} held",
            times(task.polls, "poll"),
            Nanos(task.busy),
            Nanos(task.longest_poll),
            times(task.wakes, "wake"),
            task.self_wakes,
            times(u64::from(task.holders), "waker"),
        );
        line.put(y + 2, &text, Style::new());
    }

    fn model(&self) -> &Model {
        self.follow.model()
    }

    fn since(&self, task: &Task) -> u64 {
        self.follow.now(self.now).saturating_sub(task.since)
    }

    /// The columns that fit, with what is left over given to name and reason.
    fn columns(&self, width: u16) -> Vec<Column> {
        let mut room = width;
        let mut columns: Vec<Column> = Vec::new();
        for column in COLUMNS {
            let needs = column.width + u16::from(!columns.is_empty());
            let Some(rest) = room.checked_sub(needs) else { break };
            room = rest;
            columns.push(column);
        }
        if let Some(reason) = columns.get_mut(3) {
            reason.width += room.div_ceil(2).min(24);
        }
        if let Some(name) = columns.get_mut(1) {
            name.width += (room / 2).min(24);
        }
        columns
    }

    /// The tasks to list and how deep they stand: who runs, who is ready, who waits, who has ended.
    fn rows(&self, input: &Input) -> Vec<(usize, u64)> {
        let model = self.model();
        let tasks = model.tasks_in_order();
        let wanted = |task: &&&Task| {
            let text = self.follow.texts().tasks.get(&task.id);
            let name = text.and_then(|text| text.name.as_deref()).unwrap_or("");
            let place = text.map(|text| text.place()).unwrap_or_default();
            let all = format!("{} {name} {} {place}", task.id, task.state.word());
            all.to_lowercase().contains(&input.filter.to_lowercase())
        };
        let filtered = !input.filter.is_empty();
        let mut alive: Vec<&Task> = Vec::new();
        let mut ended: Vec<&Task> = Vec::new();
        for task in tasks.iter().filter(|task| !filtered || wanted(task)) {
            if task.state.is_ended() { &mut ended } else { &mut alive }.push(task);
        }
        if input.tree {
            return tree(model, &alive);
        }
        // In the order of the ready queue, so that the next to run is on top.
        let place: HashMap<u64, usize> = model.ready.iter().copied().zip(0..).collect();
        alive.sort_by_key(|task| match task.state {
            State::Running | State::Ending { .. } => (0, 0),
            State::Scheduled => (1, place.get(&task.id).copied().unwrap_or(usize::MAX)),
            _ => (2, 0),
        });
        ended.sort_by_key(|task| std::cmp::Reverse(task.since_event));
        ended.truncate(ENDED);
        alive.iter().chain(&ended).map(|task| (0, task.id)).collect()
    }

    fn cells(&self, task: &Task, depth: usize) -> Vec<String> {
        let text = self.follow.texts().tasks.get(&task.id);
        let name = text.and_then(|text| text.name.as_deref()).map_or("-".into(), harmless);
        let state = match task.state {
            State::Running => "RUNNING",
            State::Scheduled => "ready",
            state => state.word(),
        };
        let running = if task.state == State::Running { self.since(task) } else { 0 };
        let place = text.map(|text| format!("{}:{}", text.file, text.line)).unwrap_or_default();
        vec![
            task.id.to_string(),
            format!("{:indent$}{name}", "", indent = 2 * depth),
            state.to_owned(),
            self.reason(task),
            coarse(self.since(task)),
            short(task.polls),
            coarse(task.busy + running),
            coarse(task.longest_poll.max(running)),
            format!("{} ({})", short(task.wakes), short(task.self_wakes)),
            task.holders.to_string(),
            end_of(&place, usize::from(FROM)),
        ]
    }

    /// What a task waits for, in a few words.
    fn reason(&self, task: &Task) -> String {
        let model = self.model();
        match model.why(task.id).why {
            Why::Waiting(reasons) => {
                // A timer beside something else is mostly that thing's time limit.
                let is_timer = |reason: &&Reason| matches!(reason, Reason::Timer { .. });
                let first = reasons.iter().find(|reason| !is_timer(reason)).or(reasons.first());
                let first = first.map(|reason| self.one_reason(reason));
                let more = match reasons.len() - 1 {
                    0 => String::new(),
                    more => format!(" +{more}"),
                };
                first.unwrap_or_default() + &more
            }
            Why::HeldElsewhere { .. } => "a thread or future".into(),
            Why::LostWaker => "NOBODY: lost waker".into(),
            Why::Queued { behind: 0, .. } => "next".into(),
            Why::Queued { behind, .. } => format!("{behind} before it"),
            Why::CancelPending { .. } => "its cancel".into(),
            Why::Ended(State::Cancelled { origin, by }) => match (origin, by) {
                (CancelOrigin::Shutdown, _) => "by shutdown".into(),
                (_, 0) => "by request".into(),
                (_, by) => format!("by task {by}"),
            },
            Why::Unknown | Why::Ended(_) | Why::Running { .. } => String::new(),
        }
    }

    fn one_reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::Timer { id, due_in } => {
                let ahead = self.follow.now(self.now).saturating_sub(self.model().now);
                match u64::try_from(due_in - i128::from(ahead)) {
                    Ok(due) if due > 1 << 53 => format!("timer #{id}, never"),
                    Ok(due) => format!("timer #{id} in {}", coarse(due)),
                    Err(_) => format!("timer #{id}, overdue"),
                }
            }
            Reason::Source { id, direction } => {
                let what = match direction {
                    Direction::Read => "readable",
                    Direction::Write => "writable",
                };
                match self.model().sources.get(id) {
                    Some(source) if source.fd >= 0 => format!("fd {} {what}", source.fd),
                    _ => format!("source {id} {what}"),
                }
            }
            Reason::Task { id } => format!("task {id}"),
            Reason::Job { id } => format!("blocking job {id}"),
        }
    }
}

/// Tasks below whoever spawned them, and how deep.
fn tree(model: &Model, alive: &[&Task]) -> Vec<(usize, u64)> {
    let shown: HashMap<u64, ()> = alive.iter().map(|task| (task.id, ())).collect();
    let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
    for task in alive {
        // A child outlives its parent as a root, and so does one whose parent is filtered out.
        let parent = if shown.contains_key(&task.parent) { task.parent } else { 0 };
        children.entry(parent).or_default().push(task.id);
    }
    let mut rows = Vec::new();
    let below = |id: u64| children.get(&id).into_iter().flatten().rev().copied();
    let mut stack: Vec<(usize, u64)> = below(0).map(|id| (0, id)).collect();
    while let Some((depth, id)) = stack.pop() {
        debug_assert!(model.task(id).is_some());
        rows.push((depth, id));
        stack.extend(below(id).map(|id| (depth + 1, id)));
    }
    rows
}

fn style(task: &Task) -> Style {
    match task.state {
        State::Running | State::Ending { .. } => {
            Style::new().fg(Color::Green).add_modifier(Modifier::BOLD)
        }
        State::Scheduled => Style::new().fg(Color::Cyan),
        State::Done { panicked: true, .. } => Style::new().fg(Color::Red),
        State::Done { .. } | State::Cancelled { .. } => Style::new().add_modifier(Modifier::DIM),
        State::Idle => Style::new(),
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

/// A text with its middle left out if it is longer than `width`: names and places often differ at
/// their ends.
fn cut(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    let tail = (width - 1) / 2;
    let head = text.chars().take(width - 1 - tail);
    head.chain(['…']).chain(text.chars().skip(long - tail)).collect()
}

/// The end of a text of which no more than `width` fits: what tells places apart.
fn end_of(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    let rest = text.chars().skip((long + 1).saturating_sub(width));
    std::iter::once('…').chain(rest).collect()
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
