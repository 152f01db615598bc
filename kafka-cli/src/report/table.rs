//! Tables of plain text.

use std::fmt;

/// Rows under a head, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing stay empty.
    pub(crate) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn width(&self, column: usize) -> usize {
        let head = self.columns.get(column).map_or(0, |(head, _)| head.chars().count());
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(head, usize::max)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let line = |cell: &dyn Fn(usize) -> String| -> String {
            let cells = self.columns.iter().zip(&widths).enumerate().map(|(at, ((_, align), &width))| {
                let cell = cell(at);
                match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            format!("  {}", line.trim_end())
        };
        writeln!(f, "{}", line(&|at| self.columns[at].0.to_owned()))?;
        writeln!(f, "{}", line(&|at| "-".repeat(widths[at])))?;
        for row in &self.rows {
            writeln!(f, "{}", line(&|at| row.get(at).cloned().unwrap_or_default()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new([("name", Align::Left), ("n", Align::Right), ("", Align::Left)]);
        table.row(["a", "1000", "x"]);
        table.row(["long one", "7"]);
        let expected = "  name         n\n  --------  ----  -\n  a         1000  x\n  long one     7\n";
        assert_eq!(table.to_string(), expected);
    }
}
