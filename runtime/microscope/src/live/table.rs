//! The list of tasks: which, in what order, and what stands in each column.

use std::collections::HashMap;

use mainspring::observe::CancelOrigin;
use ratatui::style::{Color, Modifier, Style};

use super::input::Input;
use super::screen::Picture;
use super::status::{coarse, short};
use crate::dump::tree;
use crate::model::{State, Task, Why};
use crate::text::harmless;

/// Ended tasks shown.
const ENDED: usize = 50;

/// For how long they are shown, while the loop goes on: 10 s.
const ENDED_FOR: u64 = 10_000_000_000;

/// Deepest indentation of the tree.
const MAX_DEPTH: usize = 16;

/// How a column's cells are written.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) width: u16,
    pub(super) right: bool,
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
    right("FOR", 7),
    right("POLLS", 6),
    right("BUSY", 7),
    right("LONGEST", 7),
    right("WAKES(SELF)", 11),
    right("WAKERS", 6),
    left("FROM", FROM),
];

impl Picture<'_> {
    /// The columns that fit, with what is left over given to name and reason.
    pub(super) fn columns(width: u16) -> Vec<Column> {
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
    pub(super) fn rows(&self, input: &Input) -> Vec<(usize, u64)> {
        let model = self.model();
        let tasks = model.tasks_in_order();
        let wanted = |task: &&&Task| {
            let text = self.follow.texts().tasks.get(&task.id);
            let name = text.and_then(|text| text.name.as_deref()).unwrap_or("");
            let place = self.follow.texts().place(task.id);
            let all = format!("{} {name} {} {place}", task.id, task.state.word());
            all.to_lowercase().contains(&input.filter.to_lowercase())
        };
        let filtered = !input.filter.is_empty();
        let mut alive: Vec<&Task> = Vec::new();
        let mut ended: Vec<&Task> = Vec::new();
        for task in tasks.iter().filter(|task| !filtered || wanted(task)) {
            if !task.state.is_ended() {
                alive.push(task);
            } else if self.follow.told().left || self.since(task) <= ENDED_FOR {
                ended.push(task);
            }
        }
        if input.tree {
            return tree(&alive);
        }
        ended.sort_by_key(|task| std::cmp::Reverse(task.since_event));
        ended.truncate(ENDED);
        // In the order of the ready queue, so that the next to run is on top.
        let place: HashMap<u64, usize> = model.ready.iter().copied().zip(0..).collect();
        alive.sort_by_key(|task| match task.state {
            State::Running | State::Ending { .. } => (0, 0),
            State::Scheduled => (1, place.get(&task.id).copied().unwrap_or(usize::MAX)),
            _ => (2, 0),
        });
        alive.iter().chain(&ended).map(|task| (0, task.id)).collect()
    }

    /// How long a task has been in its state, in nanoseconds.
    pub(super) fn since(&self, task: &Task) -> u64 {
        self.follow.now(self.now).saturating_sub(task.since)
    }

    pub(super) fn cells(&self, task: &Task, depth: usize) -> Vec<String> {
        let text = self.follow.texts().tasks.get(&task.id);
        let name = text.and_then(|text| text.name.as_deref()).map_or("-".into(), harmless);
        let state = match task.state {
            State::Running => "RUNNING",
            State::Scheduled => "ready",
            state => state.word(),
        };
        let running = if task.state == State::Running { self.since(task) } else { 0 };
        let place = text.map(|text| format!("{}:{}", text.place.file, text.place.line));
        vec![
            task.id.to_string(),
            format!("{:indent$}{name}", "", indent = 2 * depth.min(MAX_DEPTH)),
            state.to_owned(),
            self.reason(task),
            coarse(self.since(task)),
            short(task.polls),
            coarse(task.busy + running),
            coarse(task.longest_poll.max(running)),
            format!("{} ({})", short(task.wakes), short(task.self_wakes)),
            task.holders.to_string(),
            end_of(&place.unwrap_or_default(), usize::from(FROM)),
        ]
    }

    /// What a task waits for, in a few words.
    fn reason(&self, task: &Task) -> String {
        let model = self.model();
        match model.why(task.id).why {
            Why::Waiting(_) | Why::LostWaker => {
                model.briefly(task.id, self.follow.texts(), |deadline| self.due(deadline))
            }
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

    /// When a timer is due, seen from now.
    fn due(&self, deadline: u64) -> String {
        match deadline.checked_sub(self.follow.now(self.now)) {
            Some(due) if due > 1 << 53 => ", never".into(),
            Some(due) => format!(" in {}", coarse(due)),
            None => ", overdue".into(),
        }
    }
}

/// How the row of a task looks; the word for its state stands in it besides.
pub(super) fn style(task: &Task) -> Style {
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

/// A text with its middle left out if it is longer than `width`: names and places often differ at
/// their ends.
pub(super) fn cut(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    let tail = (width - 1) / 2;
    let head = text.chars().take(width - 1 - tail);
    head.chain(['…']).chain(text.chars().skip(long - tail)).collect()
}

/// The end of a text of which no more than `width` fits: what tells places apart.
pub(super) fn end_of(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    let rest = text.chars().skip((long + 1).saturating_sub(width));
    std::iter::once('…').chain(rest).collect()
}
