//! `tollgate init`: creates a ledger, once. Everything else opens one that is there.
//!
//! Exit codes: 0, it was created; 1, it was refused: there is one, or one was lost; 3, a store was unavailable.

use std::process::ExitCode;

use clap::Args;

use super::failure::stores_failure;
use crate::app;
use crate::config::{Purpose, StoresOptions};

/// Where, and what for.
#[derive(Args, Debug)]
pub struct InitOptions {
    /// Where the ledger is to be, and the billing store, which must not know another one.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Its purpose. `tollgate bench` uses only ledgers that were created for it, or are named to it.
    #[arg(long = "for", value_enum, default_value = "charging", value_name = "PURPOSE")]
    pub purpose: Purpose,
}

impl InitOptions {
    /// Refuses conflicting settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.stores.store.validate()?;
        self.stores.billing.check_is_said(&self.stores.store)
    }
}

/// Creates it, and prints its id.
pub async fn run(options: InitOptions) -> anyhow::Result<ExitCode> {
    let ledger = app::create(&options.stores, options.purpose).await.map_err(stores_failure)?;
    eprintln!("created a ledger in {}", ledger.place);
    println!("{}", ledger.id);
    Ok(ExitCode::SUCCESS)
}
