//! Tables as all commands print them.

use comfy_table::{CellAlignment, ContentArrangement, Table};

/// A table with a header; columns from `right_from` on are numbers.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS], right_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table.column_iter_mut().skip(right_from).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
