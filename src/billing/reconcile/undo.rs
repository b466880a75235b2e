//! Takes entries out of SQL as if they had never come: themselves, what they paid, the drafts that they cut, the totals.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::ReconcileError;
use crate::billing::aggregate::Books;
use crate::billing::aggregate::step::write_books;
use crate::billing::record::{COLUMNS, Record, behind, number};
use crate::billing::store::Dialect;
use crate::billing::{BillingError, bills};

/// How many entries are read at once.
const PAGE: i64 = 5_000;

/// Takes out the entries of a partition behind a sequence.
pub(super) async fn take_out(
    connection: &mut AnyConnection,
    dialect: Dialect,
    partition: u16,
    after: u64,
    reconciliation: i64,
    reapply: bool,
) -> Result<(), ReconcileError> {
    let lost = behind(&mut *connection, partition, after, i64::MAX).await?;
    let issued = bills::issued_of(connection, &lost).await?;
    if !issued.is_empty() {
        let numbers = issued.join(", ");
        return Err(ReconcileError::OnlyRestore(format!(
            "of what only SQL has, documents were issued, which cannot be undone ({numbers})"
        )));
    }
    for record in lost.iter().rev() {
        bills::forget(connection, record).await?;
    }
    let sql = format!(
        "INSERT INTO lost_entries (reconciliation, {COLUMNS}, outcome) SELECT $1, {COLUMNS}, $2 FROM entries WHERE partition = $3 AND sequence > $4"
    );
    let outcome = if reapply { "WAITING" } else { "" };
    let query = sqlx::query(AssertSqlSafe(sql)).bind(reconciliation).bind(outcome).bind(i64::from(partition)).bind(number(after));
    query.execute(&mut *connection).await?;
    let sql = "DELETE FROM entries WHERE partition = $1 AND sequence > $2";
    sqlx::query(sql).bind(i64::from(partition)).bind(number(after)).execute(&mut *connection).await?;
    let accounts: BTreeSet<&str> = lost.iter().map(|record| record.entry.account.as_str()).collect();
    for account in accounts {
        fold_again(connection, dialect, partition, account).await?;
    }
    Ok(())
}

/// Works an account's row and totals out again, from the entries that it still has.
async fn fold_again(connection: &mut AnyConnection, dialect: Dialect, partition: u16, account: &str) -> Result<(), ReconcileError> {
    for table in ["totals", "accounts"] {
        let sql = format!("DELETE FROM {table} WHERE account = $1");
        sqlx::query(AssertSqlSafe(sql)).bind(account.to_owned()).execute(&mut *connection).await?;
    }
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE account = $1 AND sequence > $2 AND partition = $3 ORDER BY sequence LIMIT $4");
    let (mut books, mut after) = (Books::default(), 0_i64);
    loop {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(account.to_owned()).bind(after).bind(i64::from(partition)).bind(PAGE);
        let rows = query.fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("sequence")?;
        let records = rows.iter().map(Record::from_row).collect::<Result<Vec<_>, _>>()?;
        books.take(&records).map_err(|broken| BillingError::corrupt(broken.to_string()))?;
    }
    bills::end_again(connection, account).await?;
    write_books(connection, dialect, &books).await?;
    Ok(())
}
