//! Tables: plain text, columns as wide as they need to be.

use std::fmt;

/// Rows of cells under a head.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table with these column heads; the first `left` columns and the last one are set flush
    /// left, those in between, which hold numbers, flush right.
    pub fn new<const N: usize>(head: [&str; N], left: usize) -> Table {
        Table { head: head.map(str::to_owned).to_vec(), rows: Vec::new(), left }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [&dyn fmt::Display; N]) {
        debug_assert_eq!(N, self.head.len(), "as many cells as heads");
        self.rows.push(cells.map(ToString::to_string).to_vec());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_head = self.head.iter().any(|cell| !cell.is_empty());
        let lines = || has_head.then_some(&self.head).into_iter().chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).filter_map(width).collect();
        for row in lines() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let flush_left = column < self.left || column + 1 == row.len();
                let cell =
                    if flush_left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                line.push_str("  ");
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["mode", "time", ""], 1);
        table.row([&"sequential", &"10.1 s", &"one by one"]);
        table.row([&"µ", &"9 s", &""]);
        assert_eq!(
            table.to_string(),
            "  mode          time\n  sequential  10.1 s  one by one\n  µ              9 s\n"
        );
    }

    #[test]
    fn without_heads_there_is_no_head_line() {
        let mut table = Table::new(["", "", ""], 1);
        table.row([&"a", &1, &"x"]);
        assert_eq!(table.to_string(), "  a  1  x\n");
    }
}
