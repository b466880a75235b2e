//! Whether an index for searching is there.

use sqlx::{AnyConnection, Row};

use crate::store::Dialect;

/// Whether there is the index for parts of that name.
pub(super) async fn has_index(connection: &mut AnyConnection, dialect: Dialect, name: &str) -> Result<bool, sqlx::Error> {
    let sql = match dialect {
        Dialect::Postgres => "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid",
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_schema WHERE name = $1",
    };
    Ok(sqlx::query(sql).bind(name.to_owned()).fetch_one(connection).await?.try_get::<i64, _>(0)? > 0)
}
