//! A copy of the ledger's file while it is in use, page by page, by SQLite's backup.
//!
//! Nobody else can read the file, so the ledger's thread copies it: a slice, then whatever waits for it, then the next slice. What is
//! written meanwhile goes into the copy, too, so it is the file as it is when the copy ends.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tokio::sync::oneshot;

use super::store::Store;
use crate::LedgerError;

/// How many pages of 4 KiB are copied while others wait.
const SLICE_PAGES: i32 = 64;

/// A copy that is asked for.
pub(super) struct Copy {
    pub path: PathBuf,
    pub caller: oneshot::Sender<Result<(), LedgerError>>,
}

/// Copies the file. `between` does what waits, and returns whether to go on.
pub(super) fn copy(store: &Store, path: &Path, mut between: impl FnMut() -> bool) -> Result<(), LedgerError> {
    let mut target = Connection::open(path).map_err(LedgerError::not_done)?;
    // It is not the copy here that must outlast a crash.
    target.pragma_update(None, "synchronous", "OFF").map_err(LedgerError::not_done)?;
    let backup = Backup::new(store.connection(), &mut target).map_err(LedgerError::not_done)?;
    loop {
        match backup.step(SLICE_PAGES).map_err(LedgerError::not_done)? {
            StepResult::Done => return Ok(()),
            _ if !between() => return Err(LedgerError::not_done("the service is shutting down")),
            _ => {}
        }
    }
}
