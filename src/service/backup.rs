//! A backup: copies of the ledger's file and of the billing store's that belong together, taken while charging goes on.
//!
//! The billing store comes first. So the ledger's copy has at least what the billing store's has taken in; and since nothing is dropped
//! from the journal meanwhile, it still has what that has not. Both are copied beside the ledger's file, under names that they lose at
//! once: nothing is left of them when they were read, or when the process ends.

use std::fs::{File, remove_file};
use std::io;
use std::path::Path;

use super::error::Error;
use crate::billing::Billing;
use crate::billing::store::Dialect;
use crate::ledger::Ledger;

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The billing store.
    Billing,
    /// The ledger.
    Ledger,
}

/// Takes a backup: each store, and its copy, to be read from its beginning.
pub async fn take(ledger: &Ledger, billing: Option<&Billing>) -> Result<Vec<(Stored, File)>, Error> {
    let engine = ledger.engine();
    let Some(path) = engine.file() else {
        return Err(not_supported(
            "the ledger is in Redis: take a backup of the billing store first (pg_dump), then a snapshot of Redis (BGSAVE). They belong \
             together as long as the journal reaches back to the first (--journal-keep)",
        ));
    };
    if billing.is_some_and(|billing| billing.store().dialect() == Dialect::Postgres) {
        return Err(not_supported(
            "the billing store is in PostgreSQL: take its backup first (pg_dump), then one of the ledger only (--ledger-only). They belong \
             together as long as the journal reaches back to the first (--journal-keep)",
        ));
    }
    let Some(_hold) = engine.hold_journal() else { return Err(Error::overloaded("another backup is under way")) };
    let mut copies = Vec::new();
    if let Some(billing) = billing {
        let copy = path.with_extension("billing.backup");
        clear(&copy).map_err(|error| failed(&error))?;
        let copied = billing.store().copy_to(&copy).await;
        let file = take_over(&copy);
        copied.map_err(|error| Error::from(&error))?;
        copies.push((Stored::Billing, file.map_err(|error| failed(&error))?));
    }
    let copy = path.with_extension("backup");
    clear(&copy).map_err(|error| failed(&error))?;
    let copied = engine.copy_to(copy.clone()).await;
    let file = take_over(&copy);
    copied.map_err(|error| Error::from(&error))?;
    copies.push((Stored::Ledger, file.map_err(|error| failed(&error))?));
    Ok(copies)
}

fn not_supported(text: &str) -> Error {
    Error::precondition("BACKUP_NOT_SUPPORTED", "stores", text)
}

/// Removes what an earlier process left.
fn clear(path: &Path) -> io::Result<()> {
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file, and takes its name away.
fn take_over(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    remove_file(path)?;
    Ok(file)
}

fn failed(error: &io::Error) -> Error {
    tracing::error!(%error, "a backup cannot be written beside the ledger");
    Error::store_unavailable()
}
