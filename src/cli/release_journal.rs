//! `tollgate release-journal`: says that no billing store reads a ledger's journal any more.
//!
//! Exit codes: 0, nobody is to read it; 1, it was refused; 3, a store was unavailable.

use std::process::ExitCode;

use clap::Args;

use super::failure::stores_failure;
use crate::app;
use crate::config::StoreOptions;

/// The ledger.
#[derive(Args, Debug)]
pub struct ReleaseJournalOptions {
    /// Where the ledger is kept.
    #[command(flatten)]
    pub store: StoreOptions,
}

impl ReleaseJournalOptions {
    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.store.redis.is_some(), "a journal on disk is never deleted unread: give --redis");
        self.store.validate()
    }
}

/// Releases it.
pub async fn run(options: ReleaseJournalOptions) -> anyhow::Result<ExitCode> {
    match app::release_journal(&options.store).await.map_err(stores_failure)? {
        Some(ledger) => println!("{ledger}: no billing store reads its journal any more; `serve --billing off` may delete it unread"),
        None => println!("no billing store has read the journal"),
    }
    Ok(ExitCode::SUCCESS)
}
