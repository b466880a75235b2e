//! Builds what search needs: a row for each account from before there was search, and the indices for parts of names and numbers.
//!
//! Accounts are taken in some at a time, so that it can be interrupted. The index is made when all are in: until then nothing is found by
//! parts. PostgreSQL's needs the extension pg_trgm. Where the role may not create that, search finds how names begin, and the log says
//! what an administrator can do; it is tried again at each start.

use sqlx::{AssertSqlSafe, Executor, Row};

use super::documents;
use super::fold::{fold, fold_tax_id};
use super::index::has_index;
use crate::BillingError;
use crate::store::rows::{Table, Type, Value};
use crate::store::{Dialect, Store};

/// How many accounts are taken in at once.
const ACCOUNTS_AT_ONCE: i64 = 4_096;

/// What is empty was not said by someone who came before.
const FILLED: Table = Table {
    name: "account_search",
    columns: &[
        ("account", Type::Text),
        ("folded_id", Type::Text),
        ("name", Type::Text),
        ("billing_name", Type::Text),
        ("tax_ids", Type::Text),
    ],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET \
                  name = CASE account_search.name WHEN '' THEN excluded.name ELSE account_search.name END, \
                  billing_name = CASE account_search.billing_name WHEN '' THEN excluded.billing_name ELSE account_search.billing_name END, \
                  tax_ids = CASE account_search.tax_ids WHEN '' THEN excluded.tax_ids ELSE account_search.tax_ids END",
};

/// An index for parts of texts: of the column "folded" of a table.
struct Parts {
    name: &'static str,
    table: &'static str,
    /// What SQLite's knows a row by.
    number: &'static str,
}

const INDICES: [Parts; 2] = [
    Parts { name: "account_search_parts", table: "account_search", number: "number" },
    Parts { name: "issued_parts", table: "issued", number: "document" },
];

impl Parts {
    fn of_postgres(&self) -> String {
        format!("CREATE INDEX {} ON {} USING gin (folded gin_trgm_ops)", self.name, self.table)
    }

    /// SQLite's, and what keeps it up to date.
    fn of_sqlite(&self) -> String {
        let Self { name, table, number } = self;
        format!(
            "CREATE VIRTUAL TABLE {name}
                USING fts5(folded, content='{table}', content_rowid='{number}', tokenize='trigram case_sensitive 1');
            CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN
                INSERT INTO {name} (rowid, folded) VALUES (new.{number}, new.folded);
            END;
            CREATE TRIGGER {table}_removed AFTER DELETE ON {table} BEGIN
                INSERT INTO {name} ({name}, rowid, folded) VALUES ('delete', old.{number}, old.folded);
            END;
            CREATE TRIGGER {table}_changed AFTER UPDATE ON {table} BEGIN
                INSERT INTO {name} ({name}, rowid, folded) VALUES ('delete', old.{number}, old.folded);
                INSERT INTO {name} (rowid, folded) VALUES (new.{number}, new.folded);
            END;
            INSERT INTO {name} ({name}) VALUES ('rebuild');"
        )
    }
}

/// Creates it if it does not exist.
pub async fn prepare(store: &Store) -> Result<(), BillingError> {
    let mut count = 0;
    while let Some(filled @ 1..) = fill_some(store).await? {
        count += filled;
    }
    if count > 0 {
        tracing::info!(count, "accounts from before can be searched");
    }
    documents::fill(store).await?;
    let mut indexed = Ok(());
    for index in &INDICES {
        indexed = indexed.and(make_index(store, index).await);
    }
    match indexed {
        Err(sqlx::Error::Database(error)) if store.dialect() == Dialect::Postgres => {
            tracing::warn!(
                %error,
                "search finds only how names, ids and numbers begin: let a superuser run CREATE EXTENSION pg_trgm in the database of the billing \
                 store, and start an aggregator again"
            );
            Ok(())
        }
        indexed => Ok(indexed?),
    }
}

/// Takes in some accounts; returns how many. `None` if all are in.
pub(super) async fn fill_some(store: &Store) -> Result<Option<usize>, BillingError> {
    let sql = "SELECT filled_to FROM account_search_fill WHERE is_filled = 0";
    if sqlx::query(sql).fetch_optional(store.pool()).await?.is_none() {
        return Ok(None);
    }
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    store.lock_migrations(connection).await?;
    let Some(filled) = sqlx::query(sql).fetch_optional(&mut *connection).await? else { return Ok(None) };
    let rows = sqlx::query(
        "SELECT accounts.account, accounts.name, COALESCE(customers.name, '') AS billing_name, \
                COALESCE(customers.tax_id, '') AS tax_id \
         FROM accounts LEFT JOIN customers ON customers.account = accounts.account \
         WHERE accounts.account > $1 ORDER BY accounts.account LIMIT $2",
    )
    .bind(filled.try_get::<String, _>("filled_to")?)
    .bind(ACCOUNTS_AT_ONCE)
    .fetch_all(&mut *connection)
    .await?;
    let filled_to: String = rows.last().map_or(Ok(String::new()), |row| row.try_get("account"))?;
    let mut texts = Vec::with_capacity(rows.len());
    for row in &rows {
        let [id, name, billing_name, tax_id]: [String; 4] =
            [row.try_get("account")?, row.try_get("name")?, row.try_get("billing_name")?, row.try_get("tax_id")?];
        let folded_id = fold(&id);
        texts.push([id, folded_id, fold(&name), fold(&billing_name), fold_tax_id(&tax_id)]);
    }
    // In the order in which aggregation writes them, so that neither waits for the other in a circle.
    texts.sort();
    FILLED.insert(connection, store.dialect(), texts.into_iter().map(|texts| texts.map(Value::from).to_vec())).await?;
    sqlx::query("UPDATE account_search_fill SET filled_to = $1, is_filled = $2")
        .bind(filled_to)
        .bind(i64::from(rows.is_empty()))
        .execute(&mut *connection)
        .await?;
    transaction.commit().await?;
    Ok(Some(rows.len()))
}

async fn make_index(store: &Store, index: &Parts) -> Result<(), sqlx::Error> {
    let dialect = store.dialect();
    if has_index(&mut *store.pool().acquire().await?, dialect, index.name).await? {
        return Ok(());
    }
    let mut transaction = match store.begin().await {
        Ok(transaction) => transaction,
        Err(_) => return Err(sqlx::Error::PoolTimedOut),
    };
    let connection = &mut *transaction;
    if store.lock_migrations(connection).await.is_err() {
        return Err(sqlx::Error::PoolTimedOut);
    }
    if has_index(connection, dialect, index.name).await? {
        return Ok(());
    }
    match dialect {
        Dialect::Postgres => {
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm").await?;
            connection.execute(AssertSqlSafe(index.of_postgres())).await?;
        }
        Dialect::Sqlite => {
            sqlx::raw_sql(AssertSqlSafe(index.of_sqlite())).execute(&mut *connection).await?;
        }
    }
    transaction.commit().await
}
