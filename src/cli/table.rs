//! Tables as all commands print them. Colours are for terminals only.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Row, Table};

/// A table with a header; columns from `right_from` on are numbers.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS], right_from: usize) -> Table {
    table_of(&header, right_from..COLUMNS)
}

/// A table with a header; the columns of `numbers` are numbers.
pub fn table_of(header: &[&str], numbers: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    let header: Row = header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)).collect::<Vec<_>>().into();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table.column_iter_mut().skip(numbers.start).take(numbers.len()).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
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
