//! Tables as all commands print them. Colours are for terminals only. Nothing in a table wraps: where it is wider than the terminal,
//! each row is printed as a block.

use std::fmt;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Row, Table};

/// A table with a header; columns from `right_from` on are numbers.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS], right_from: usize) -> Listing {
    table_of(&header, right_from..COLUMNS)
}

/// A table with a header; the columns of `numbers` are numbers.
pub fn table_of(header: &[&str], numbers: std::ops::Range<usize>) -> Listing {
    let mut table = Table::new();
    let titles = header.iter().map(|title| (*title).to_owned()).collect();
    let header: Row = header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)).collect::<Vec<_>>().into();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(header);
    table.column_iter_mut().skip(numbers.start).take(numbers.len()).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    Listing { titles, table }
}

/// Rows under a header.
pub struct Listing {
    titles: Vec<String>,
    table: Table,
}

impl Listing {
    /// Adds a row.
    pub fn add_row<R: Into<Row>>(&mut self, row: R) -> &mut Self {
        self.table.add_row(row);
        self
    }

    /// Adds rows.
    pub fn add_rows<R: Into<Row>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self {
        self.table.add_rows(rows);
        self
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.table.row_count() == 0
    }

    fn fits(&self, width: Option<u16>) -> bool {
        let needed: usize = self.table.column_max_content_widths().iter().map(|width| usize::from(*width) + 3).sum();
        width.is_none_or(|width| needed < usize::from(width))
    }

    /// Each row as lines of title and content.
    fn blocks(&self) -> String {
        let longest = self.titles.iter().map(|title| title.chars().count()).max().unwrap_or_default();
        let blocks = self.table.row_iter().map(|row| {
            let lines = self.titles.iter().zip(row.cell_iter()).filter(|(_, cell)| !cell.content().is_empty());
            lines.map(|(title, cell)| format!("{title:longest$}  {}", cell.content())).collect::<Vec<_>>().join("\n")
        });
        blocks.collect::<Vec<_>>().join("\n\n")
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A terminal of width 0 is one that does not say how wide it is.
        if self.fits(self.table.width().filter(|width| *width > 0)) {
            self.table.fmt(formatter)
        } else {
            formatter.write_str(&self.blocks())
        }
    }
}

/// An amount; red if it is negative.
pub fn amount(text: &str) -> Cell {
    let cell = Cell::new(text);
    if text.starts_with('-') { cell.fg(Color::Red) } else { cell }
}

/// A word that is only worth looking at if it is not the usual one.
pub fn unless(usual: &str, text: &str) -> Cell {
    let cell = Cell::new(text);
    if text == usual { cell } else { cell.fg(Color::Yellow) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(width: u16) -> Listing {
        let mut listing = table(["account", "balance", "usable"], 1);
        listing.add_row(["acme", "16.2475", "1016.2475"]).add_row(["beta", "1", ""]);
        listing.table.set_width(width);
        listing
    }

    #[test]
    fn what_is_wider_than_the_terminal_is_printed_as_blocks_and_nothing_is_split() {
        assert!(listing(80).to_string().contains("│ acme    ┆ 16.2475 ┆ 1016.2475 │"), "{}", listing(80));
        let narrow = listing(30).to_string();
        assert_eq!(narrow, "account  acme\nbalance  16.2475\nusable   1016.2475\n\naccount  beta\nbalance  1");
    }

    #[test]
    fn a_terminal_that_does_not_say_its_width_gets_the_table() {
        assert!(listing(0).to_string().contains("│ acme"));
    }
}
