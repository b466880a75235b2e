//! `tollgate restore`: makes an empty ledger what the billing store says it was, and verifies the result.

use std::cell::Cell;
use std::process::ExitCode;

use clap::Args;

use super::failure::stores_failure;
use super::operator::user;
use super::output::Output;
use super::pipe::say;
use super::table::table;
use super::verify::{self, VerifyOptions, progress};
use crate::app;
use crate::config::StoresOptions;

/// What to restore.
#[derive(Args, Debug)]
pub struct RestoreOptions {
    /// Where the empty ledger and the billing store are.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Restore though a gap ended less than a request window ago: what was asked within it, and is asked again, is charged twice.
    #[arg(long)]
    pub accept_repeats: bool,
}

/// Restores, and verifies.
pub async fn run(mut options: RestoreOptions) -> anyhow::Result<ExitCode> {
    let bar = progress("entries read");
    let (current, before) = (Cell::new((0, 0)), Cell::new(0));
    let restored = app::restore(&options.stores, options.accept_repeats, &user(), |partition, entries| {
        let (last_partition, last_entries) = current.replace((partition, entries));
        if last_partition != partition {
            before.set(before.get() + last_entries);
        }
        bar.set_length(before.get() + entries);
        bar.set_position(before.get() + entries);
    })
    .await
    .map_err(stores_failure)?;
    bar.finish_and_clear();
    let mut shown = table(["partition", "entries", "accounts", "open reservations", "request ids"], 0);
    for row in &restored {
        let cells = [u64::from(row.partition), row.entries, row.accounts, row.reservations, row.request_ids];
        shown.add_row(cells.map(|cell| cell.to_string()));
    }
    say!("{shown}");
    if options.stores.store.redis.is_some() {
        // Unless told otherwise, it has as many as it had.
        options.stores.store.partitions = u16::try_from(restored.len()).ok();
    }
    verify::run(VerifyOptions { stores: options.stores, output: Output::Table, head: Vec::new(), heads: None }).await
}
