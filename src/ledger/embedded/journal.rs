//! The journal of the embedded ledger: a row for each block.

use rusqlite::params;

use super::store::Store;
use crate::Block;
use crate::codec::journal::decode_block;

impl Store {
    /// See [`crate::Engine::blocks_before`].
    pub(super) fn blocks_before(&self, before: Option<u64>, count: usize) -> anyhow::Result<Vec<Block>> {
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let mut statement = self
            .connection()
            .prepare_cached("SELECT block FROM journal WHERE first_sequence < ?1 ORDER BY first_sequence DESC LIMIT ?2")?;
        let mut rows = statement.query(params![before, i64::try_from(count).unwrap_or(i64::MAX)])?;
        let mut blocks = Vec::new();
        while let Some(row) = rows.next()? {
            blocks.push(decode_block(row.get_ref(0)?.as_blob()?)?);
        }
        Ok(blocks)
    }

    /// See [`crate::Engine::blocks_after`].
    /// The blocks are as stored: reading them is left to the caller, because this thread decides on charges.
    pub(super) fn blocks_after(&self, after: u64, count: usize) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement =
            self.connection().prepare_cached("SELECT block FROM journal WHERE first_sequence > ?1 ORDER BY first_sequence LIMIT ?2")?;
        statement.query_map(params![after, i64::try_from(count).unwrap_or(i64::MAX)], |row| row.get(0))?.collect()
    }

    /// See [`crate::Engine::trim`].
    pub(super) fn trim(&self, below: u64) -> rusqlite::Result<()> {
        let keep = "SELECT first_sequence FROM journal WHERE first_sequence < ?1 ORDER BY first_sequence DESC LIMIT 1";
        let trim = format!("DELETE FROM journal WHERE first_sequence < ({keep})");
        self.connection().prepare_cached(&trim)?.execute([below])?;
        Ok(())
    }

    /// The sequence with which the journal begins.
    pub(super) fn first_sequence(&self) -> rusqlite::Result<Option<u64>> {
        self.connection().prepare_cached("SELECT min(first_sequence) FROM journal")?.query_row([], |row| row.get(0))
    }
}
