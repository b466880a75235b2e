//! Refuses a file that is no billing store: one that is not a SQLite database, and a database of something else.

use std::fs::File;
use std::io::Read;

use sqlx::{AnyConnection, Row};

use super::{Dialect, Store};
use crate::BillingError;

/// How each SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How many tables of something else are named.
const MOST_NAMED: i64 = 3;

/// Refuses a file that is there, and is not a SQLite database. An empty one is taken for a new one, as SQLite does.
pub(super) fn check_file(path: &str) -> Result<(), BillingError> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut begin = Vec::new();
    match file.take(MAGIC.len() as u64).read_to_end(&mut begin) {
        Ok(count) if count > 0 && begin != MAGIC => {
            Err(BillingError::Invalid { field: "--billing", problem: format!("names {path}, which is not a SQLite database") })
        }
        _ => Ok(()),
    }
}

/// Refuses a SQLite database that has tables, and not those of a billing store. One in PostgreSQL may be shared.
pub(super) async fn check(connection: &mut AnyConnection, store: &Store) -> Result<(), BillingError> {
    if store.dialect == Dialect::Postgres {
        return Ok(());
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' \
               AND NOT EXISTS (SELECT 1 FROM pragma_table_info('migrations') WHERE name = 'version') ORDER BY name LIMIT $1";
    let rows = sqlx::query(sql).bind(MOST_NAMED).fetch_all(connection).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let tables = names.join(", ");
    let problem = format!("names a database that is no billing store: {}, with tables such as {tables}", store.place());
    Err(BillingError::Invalid { field: "--billing", problem })
}
