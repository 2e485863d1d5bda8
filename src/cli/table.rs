//! Tables as the docker client prints them: a line of headings, columns as wide as their widest cell and three blanks
//! between them, nothing after the last one.

use std::fmt::Write;

/// A table that is being filled.
#[derive(Debug, Clone)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table {
            headings: headings.iter().map(|&text| text.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a column.
    pub fn heading(&mut self, text: &str) {
        self.headings.push(text.to_owned());
    }

    /// Adds a row; cells beyond the headings are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, with a final line break.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(String::len).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in [&self.headings].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                let _ = write!(line, "{cell:<width$}   ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "STATUS", "PORTS"]);
        table.row(["lab-web-1".to_owned(), "running".to_owned(), String::new()]);
        table.row(["x".to_owned(), "up".to_owned(), "80/tcp".to_owned()]);
        assert_eq!(
            table.text(),
            "NAME        STATUS    PORTS\n\
             lab-web-1   running\n\
             x           up        80/tcp\n"
        );
    }
}
