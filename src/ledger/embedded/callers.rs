//! The copy of who may call, in the ledger's file.

use rusqlite::{OptionalExtension, params};

use super::store::Store;
use crate::CopiedCallers;

/// Made when it is first needed: a file without it is one of the same format.
const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS callers (id INTEGER PRIMARY KEY CHECK (id = 0), version INTEGER NOT NULL, content TEXT NOT NULL)";

impl Store {
    /// See [`crate::Engine::callers`].
    pub(super) fn callers(&self, known: Option<i64>) -> rusqlite::Result<Option<CopiedCallers>> {
        let is_there = "SELECT 1 FROM sqlite_schema WHERE name = 'callers'";
        if self.connection().prepare_cached(is_there)?.query_row([], |_| Ok(())).optional()?.is_none() {
            return Ok(None);
        }
        let sql = "SELECT version, content FROM callers WHERE version <> ?1";
        let read = |row: &rusqlite::Row<'_>| Ok(CopiedCallers { version: row.get(0)?, content: row.get(1)? });
        self.connection().prepare_cached(sql)?.query_row([known.unwrap_or(i64::MIN)], read).optional()
    }

    /// See [`crate::Engine::copy_callers`].
    pub(super) fn copy_callers(&self, callers: &CopiedCallers) -> rusqlite::Result<()> {
        self.connection().execute(TABLE, [])?;
        let sql = "INSERT INTO callers (id, version, content) VALUES (0, ?1, ?2) ON CONFLICT (id) DO UPDATE \
                   SET version = excluded.version, content = excluded.content WHERE excluded.version > callers.version";
        self.connection().execute(sql, params![callers.version, callers.content])?;
        Ok(())
    }
}
