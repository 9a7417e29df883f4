//! From rounds to a table: median, minimum and spread of each cell, and whether the goals of each
//! row were reached.

use crate::scenario::{FLOOR, Goal, IO_URING, OURS, Scenario, Unit};
use std::fmt::Write;

/// The figures of one contestant for one row.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Who.
    pub name: &'static str,
    /// Which row of the scenario.
    pub row: usize,
    /// One figure for each round.
    pub figures: Vec<f64>,
}

impl Cell {
    /// An empty one.
    pub fn new(name: &'static str, row: usize) -> Self {
        Self { name, row, figures: Vec::new() }
    }

    /// The figure that `share` of the rounds stay below.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.figures.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share).round() as usize]
    }

    /// The median round.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The best round.
    pub fn minimum(&self) -> f64 {
        self.quantile(0.0)
    }
}

/// One line: all contestants in one row.
#[derive(Debug)]
pub struct Line {
    /// The scenario's short name.
    pub id: &'static str,
    /// What was measured.
    pub title: &'static str,
    /// What explains it.
    pub note: &'static str,
    /// The unit.
    pub unit: Unit,
    /// What was to be reached.
    pub goals: Vec<Goal>,
    /// The contestants, floor first.
    pub cells: Vec<Cell>,
}

impl Line {
    /// The median of the contestant called `name`.
    pub fn median(&self, name: &str) -> Option<f64> {
        self.cells.iter().find(|cell| cell.name == name).map(Cell::median)
    }

    /// The best peer and its median.
    pub fn best_peer(&self) -> Option<(&'static str, f64)> {
        self.best_of(|_| true)
    }

    fn best_of(&self, counts: impl Fn(&str) -> bool) -> Option<(&'static str, f64)> {
        self.cells
            .iter()
            .filter(|cell| cell.name != FLOOR && cell.name != OURS && counts(cell.name))
            .map(|cell| (cell.name, cell.median()))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Whether mainspring has no figure, missed a goal, or has a peer that is better.
    pub fn is_lost(&self) -> bool {
        let beaten = |ours| self.best_peer().is_some_and(|(_, peer)| peer < ours);
        let missed = |&goal| self.judge(goal).is_some_and(|(_, _, reached)| !reached);
        self.median(OURS).is_none_or(beaten) || self.goals.iter().any(missed)
    }

    /// What became of the goals, a line for each.
    fn verdicts(&self) -> String {
        let mut text = String::new();
        for (words, ratio, reached) in self.goals.iter().filter_map(|&goal| self.judge(goal)) {
            let verdict = if reached { "reached" } else { "NOT REACHED" };
            text += &format!("  goal {words}: {ratio:.2}, {verdict}\n");
        }
        text
    }

    /// A goal, what was reached of it, and whether that is enough.
    pub fn judge(&self, goal: Goal) -> Option<(String, f64, bool)> {
        let ours = self.median(OURS)?;
        let (limit, base, of) = match goal {
            Goal::OfFloor(limit) => (limit, self.median(FLOOR)?, "× floor"),
            Goal::OfBestPeer(limit) => (limit, self.best_peer()?.1, "× best peer"),
            Goal::OfBestEpollPeer(limit) => {
                let (_, base) = self.best_of(|name| !IO_URING.contains(&name))?;
                (limit, base, "× best epoll peer")
            }
            Goal::OfTokio(limit) => {
                (limit, self.best_of(|name| name.starts_with("tokio"))?.1, "× tokio")
            }
            Goal::AtMost(limit) => (limit, 1.0, self.unit.symbol()),
        };
        let ratio = ours / base;
        Some((format!("≤ {limit:.2} {of}"), ratio, ratio <= limit))
    }
}

/// Everything measured.
#[derive(Debug, Default)]
pub struct Table {
    /// The lines in order.
    pub lines: Vec<Line>,
}

impl Table {
    /// Adds the rows of a scenario.
    pub fn add(&mut self, scenario: &Scenario, cells: &[Cell]) {
        for (index, row) in scenario.rows.iter().enumerate() {
            self.lines.push(Line {
                id: scenario.id,
                title: row.title,
                note: row.note,
                unit: row.unit,
                goals: row.goals.clone(),
                cells: cells.iter().filter(|cell| cell.row == index).cloned().collect(),
            });
        }
    }

    /// The last `count` lines as text.
    pub fn last(&self, count: usize) -> String {
        let mut text = String::new();
        for line in self.lines.iter().rev().take(count).rev() {
            text += &describe(line);
        }
        text
    }

    /// All lines with their verdicts, those that are lost first.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (heading, lines) in self.lost_first() {
            text += &format!("\n== {heading}\n");
            for line in lines {
                let ours = line.median(OURS).map_or("no figure".into(), figure);
                text += &format!("{} ({}): {ours}", line.title, line.unit.symbol());
                if let Some((peer, median)) = line.best_peer() {
                    text += &format!("; best peer {} ({peer})", figure(median));
                }
                text += "\n";
                text += &line.verdicts();
            }
        }
        text
    }

    /// The lines in two groups with a heading each, of which one may be missing: those that are lost first.
    pub fn lost_first(&self) -> impl Iterator<Item = (&'static str, Vec<&Line>)> {
        let (lost, others) = self.lines.iter().partition(|line| line.is_lost());
        let lost = ("Where mainspring loses: a goal missed, or a peer that is better", lost);
        let groups: [(_, Vec<_>); 2] = [lost, ("All others", others)];
        groups.into_iter().filter(|(_, lines)| !lines.is_empty())
    }
}

fn describe(line: &Line) -> String {
    let mut text = String::new();
    let mut push = |part: &str| text.push_str(part);
    push(&format!("\n{} ({}), median / minimum\n", line.title, line.unit.symbol()));
    for cell in &line.cells {
        let (median, minimum) = (figure(cell.median()), figure(cell.minimum()));
        push(&format!("  {:<16}{median:>10} / {minimum:>8}\n", cell.name));
    }
    push(&line.verdicts());
    text
}

/// A figure with three significant digits.
pub fn figure(value: f64) -> String {
    let mut text = String::new();
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    write!(text, "{value:.digits$}").expect("writing to a string does not fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(unit: Unit, goals: &[Goal], medians: &[(&'static str, f64)]) -> Line {
        let cells = medians
            .iter()
            .map(|&(name, median)| Cell { name, row: 0, figures: vec![median] })
            .collect();
        Line { id: "test", title: "work", note: "", unit, goals: goals.to_vec(), cells }
    }

    #[test]
    fn a_quantile_is_a_round_that_was_measured() {
        let cell = Cell { name: FLOOR, row: 0, figures: vec![3.0, 1.0, 2.0, 5.0, 4.0] };
        let quantiles = [0.0, 0.1, 0.5, 0.9, 1.0].map(|share| cell.quantile(share));
        assert_eq!(quantiles, [1.0, 1.0, 3.0, 5.0, 5.0]);
        assert_eq!((cell.minimum(), cell.median()), (1.0, 3.0));
    }

    #[test]
    fn goals_are_judged_against_the_same_run() {
        let goals = [Goal::OfFloor(1.5), Goal::OfBestPeer(0.5), Goal::OfBestEpollPeer(0.5)];
        let medians = [(FLOOR, 10.0), (OURS, 15.0), ("tokio", 40.0), ("glommio", 20.0)];
        let line = line(Unit::Nanos, &goals, &medians);
        let judged: Vec<_> = goals.iter().filter_map(|&goal| line.judge(goal)).collect();
        assert_eq!(
            judged,
            [
                ("≤ 1.50 × floor".to_owned(), 1.5, true),
                ("≤ 0.50 × best peer".to_owned(), 0.75, false),
                ("≤ 0.50 × best epoll peer".to_owned(), 0.375, true),
            ]
        );
    }

    #[test]
    fn a_peer_counts_in_the_better_of_its_forms() {
        let medians = [(OURS, 9.0), ("smol", 1.0), ("tokio", 12.0), ("tokio (LocalSet)", 10.0)];
        let judged = line(Unit::Micros, &[], &medians).judge(Goal::OfTokio(0.95));
        assert_eq!(judged, Some(("≤ 0.95 × tokio".to_owned(), 0.9, true)));
    }

    #[test]
    fn what_is_lost_comes_first() {
        let goal = [Goal::AtMost(3.0)];
        let lines = vec![
            line(Unit::Millis, &goal, &[(FLOOR, 1.0), (OURS, 2.0), ("tokio", 4.0)]),
            line(Unit::Millis, &goal, &[(FLOOR, 1.0), (OURS, 4.0), ("tokio", 8.0)]),
            line(Unit::Millis, &goal, &[(FLOOR, 1.0), (OURS, 2.0), ("tokio", 1.0)]),
            line(Unit::Millis, &[], &[(FLOOR, 1.0), (OURS, 2.0)]),
            line(Unit::Millis, &goal, &[(FLOOR, 1.0), ("tokio", 4.0)]),
        ];
        let table = Table { lines };
        let ours = |(_, lines): (_, Vec<&Line>)| -> Vec<_> {
            lines.iter().map(|line| line.median(OURS)).collect()
        };
        let groups: Vec<_> = table.lost_first().map(ours).collect();
        assert_eq!(groups, [vec![Some(4.0), Some(2.0), None], vec![Some(2.0), Some(2.0)]]);
    }

    #[test]
    fn a_goal_without_its_base_is_not_judged() {
        let line = line(Unit::Nanos, &[], &[(FLOOR, 10.0), (OURS, 15.0)]);
        assert_eq!(line.judge(Goal::OfBestPeer(0.5)), None);
    }

    #[test]
    fn bytes_are_judged_by_themselves() {
        let line = line(Unit::Bytes, &[], &[(OURS, 177.0)]);
        assert_eq!(line.judge(Goal::AtMost(176.0)), Some(("≤ 176.00 B".to_owned(), 177.0, false)));
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([0.054, 1.234, 12.34, 1234.5].map(figure), ["0.05", "1.23", "12.3", "1234"]);
    }
}
