//! Tells a ledger's file from others: from what is no SQLite database, and from databases of something else.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rusqlite::{Connection, ErrorCode};

/// A table that every ledger has.
const SETTINGS: &str = "settings";

/// Tables by which a billing store is known.
const OF_BILLING: [&str; 2] = ["migrations", "entries"];

/// How many tables of something else are named.
const MOST_NAMED: usize = 3;

/// The format version of a file, 0 of one that was just made. What is no ledger is refused.
pub(super) fn version(connection: &Connection, path: &Path, is_new: bool) -> anyhow::Result<i64> {
    let path = path.display();
    let version: i64 = match connection.pragma_query_value(None, "user_version", |row| row.get(0)) {
        Ok(version) => version,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            bail!("{path} is no ledger: it is not a SQLite database")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot use {path}: is another tollgate running on it?")),
    };
    if is_new {
        return Ok(version);
    }
    let tables = tables(connection).with_context(|| format!("cannot read {path}"))?;
    ensure!(!OF_BILLING.iter().all(|name| tables.contains(*name)), "{path} is no ledger: it is a billing store of tollgate (--billing)");
    if version == 0 || !tables.contains(SETTINGS) {
        ensure!(!tables.is_empty(), "the store is empty: {path} holds no ledger");
        let named: Vec<_> = tables.into_iter().take(MOST_NAMED).collect();
        bail!("{path} is no ledger: it is another SQLite database, with tables such as {}", named.join(", "));
    }
    Ok(version)
}

fn tables(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}
