//! Tables of text, which need no terminal of any width.

use std::fmt;

/// Rows under a head; numbers go to the right.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// The head; a column whose title begins with `>` goes to the right.
    pub(crate) fn new(head: &[&str]) -> Self {
        let right = head.iter().map(|title| title.starts_with('>')).collect();
        let head = head.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![head], right }
    }

    /// A row; what it has beyond the head is left out.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.right.len()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&self.right) {
                let cell = if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str("  ");
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                let total: usize = widths.iter().map(|width| width + 2).sum();
                writeln!(f, "  {}", "-".repeat(total.saturating_sub(2)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["topic", ">records"]);
        table.row(["é".to_owned(), "1".to_owned()]);
        table.row(["orders-11".to_owned(), "1 234 567".to_owned(), "beyond".to_owned()]);
        let expected = "  topic        records\n  --------------------\n  é                  1\n  orders-11  1 234 567\n";
        assert_eq!(table.to_string(), expected);
    }
}
