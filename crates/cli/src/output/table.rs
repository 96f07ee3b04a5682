//! [`Table`]: rows for people, which fit the terminal.

use biped::provider::wire::escaped;
use clap::builder::styling::Style;
use comfy_table::{Attribute, Cell, ContentArrangement, presets};

/// A table for people. A row is one line. On a terminal that is too narrow for that, each cell is a line,
/// so that the terminal neither hides a column nor breaks a word of more than one column.
pub(crate) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// The space between two columns, and before the lines of a row.
const GAP: usize = 2;

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            titles: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn titles(&mut self, titles: impl IntoIterator<Item = &'static str>) {
        self.titles = titles.into_iter().collect();
    }

    pub(crate) fn row<'c>(&mut self, cells: impl IntoIterator<Item = &'c str>) {
        let cells = cells.into_iter().map(|cell| escaped(cell).into_owned());
        self.rows.push(cells.collect());
    }

    /// Returns its lines, for stdout.
    pub(crate) fn lines(&self) -> String {
        self.lines_within(width_of_terminal())
    }

    fn lines_within(&self, width: Option<usize>) -> String {
        match width {
            Some(width) if self.width() > width => self.stacked(width),
            _ => self.wide(),
        }
    }

    /// The width of a row on one line.
    fn width(&self) -> usize {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let cells = cells.map(|cell| cell.chars().count());
            let title = self.titles.get(column).map(|title| title.len());
            cells.chain(title).max().unwrap_or_default()
        };
        let gaps = columns.saturating_sub(1) * GAP;
        (0..columns).map(of).sum::<usize>() + gaps
    }

    fn wide(&self) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if super::is_colorful() {
            table.enforce_styling();
        }
        if !self.titles.is_empty() {
            let titles = self.titles.iter();
            table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
        }
        for row in &self.rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines = table.lines();
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// The first cell of a row on a line of its own, and the others below it, after their titles.
    fn stacked(&self, width: usize) -> String {
        let bold = Style::new().bold();
        let titles = self.titles.iter().skip(1).map(|title| title.len() + GAP);
        let beside = titles.max().unwrap_or_default();
        let cells = self.rows.iter().flat_map(|row| row.iter().skip(1));
        let words = cells
            .flat_map(|cell| cell.split(' '))
            .map(|word| word.chars().count());
        let is_aligned = GAP + beside + words.max().unwrap_or_default() <= width;
        let mut out = String::new();
        for row in &self.rows {
            let [first, others @ ..] = &row[..] else {
                continue;
            };
            out += &format!("{bold}{first}{bold:#}\n");
            for (at, cell) in others
                .iter()
                .enumerate()
                .filter(|(_, cell)| !cell.is_empty())
            {
                let title = self.titles.get(at + 1).map(|title| title.to_lowercase());
                let title = title.unwrap_or_default();
                let lines: Vec<_> = match is_aligned {
                    true => {
                        let lines = wrapped(cell, width - GAP - beside).into_iter();
                        let starts = [title.as_str()].into_iter().chain(std::iter::repeat(""));
                        let lines = lines.zip(starts);
                        lines
                            .map(|(line, start)| format!("{start:<beside$}{line}"))
                            .collect()
                    }
                    // A long word gets as much room as there is.
                    false => wrapped(&format!("{title} {cell}"), width.saturating_sub(GAP)),
                };
                for line in lines {
                    out += &format!("{:GAP$}{line}\n", "");
                }
            }
        }
        out
    }
}

/// The width of the terminal that stdout is.
fn width_of_terminal() -> Option<usize> {
    // Some terminals don't tell their width, and say 0.
    let width = comfy_table::Table::new().width().filter(|width| *width > 0);
    width.map(usize::from)
}

/// Returns a text that follows `start`, wrapped below itself if stdout is a terminal.
pub(crate) fn hanging(start: &str, text: &str) -> String {
    let indent = start.chars().count();
    let Some(width) = width_of_terminal() else {
        return format!("{start}{text}\n");
    };
    let starts = [start].into_iter().chain(std::iter::repeat(""));
    let lines = wrapped(text, width.saturating_sub(indent))
        .into_iter()
        .zip(starts);
    lines
        .map(|(line, start)| format!("{start:<indent$}{line}\n"))
        .collect()
}

/// The words of a text, on as many lines as they need. A word is never broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_a_line_break_in_it_is_one_line() {
        let mut table = Table::new();
        table.row(["shop\nforged", "\u{1b}[2J"]);
        assert_eq!(table.lines_within(None), "shop\\nforged  \\u{1b}[2J\n");
    }

    const URL: &str = "https://vendor.example/v1/auth/token";

    fn table() -> Table {
        let mut table = Table::new();
        table.titles(["NAME", "TOKEN ENDPOINT", "FOR", "STATE", "LEFT"]);
        table.row(["shop", URL, "read write delete", "fresh", "59 min 3 s"]);
        table.row(["other", URL, "", "missing", "-"]);
        table
    }

    #[test]
    fn a_row_is_a_line_where_there_is_room_for_it() {
        for width in [None, Some(table().width()), Some(300)] {
            let lines = table().lines_within(width);
            assert_eq!(lines.lines().count(), 3, "{lines}");
        }
    }

    #[test]
    fn no_width_hides_a_column_or_breaks_a_word() {
        for width in 1..300 {
            let lines = table().lines_within(Some(width));
            let lines = lines.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
            for word in ["shop", "other", "fresh", "missing", "59", "delete"] {
                let found = lines.split_whitespace().filter(|it| *it == word).count();
                assert_eq!(found, 1, "{word}: {lines}");
            }
            assert_eq!(lines.matches(URL).count(), 2, "{lines}");
            for line in lines.lines() {
                let fits = line.chars().count() <= width;
                assert!(
                    fits || line.split_whitespace().count() == 1,
                    "{width}: {line:?}"
                );
            }
        }
    }
}
