//! Takes entries out of SQL as if they had never come: themselves, what they paid, the drafts that they cut, the totals.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AnyConnection, AssertSqlSafe};

use super::ReconcileError;
use crate::account_history::{self, Chain};
use crate::projection::Projection;
use crate::projection::rows;
use crate::record::{COLUMNS, behind, number};
use crate::store::Dialect;
use crate::{BillingError, bills, search};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// How many entries are read at once.
const PAGE: usize = 5_000;

/// Takes out the entries of a partition behind a sequence. Returns how many acts by hand are undone with them.
pub(super) async fn take_out(
    connection: &mut AnyConnection,
    dialect: Dialect,
    partition: u16,
    after: u64,
    reconciliation: i64,
    reapply: bool,
) -> Result<u64, ReconcileError> {
    let lost = behind(&mut *connection, partition, after, i64::MAX).await?;
    let issued = bills::issued_of(connection, &lost).await?;
    if !issued.is_empty() {
        let numbers = issued.join(", ");
        return Err(ReconcileError::OnlyRestore(format!(
            "of what only SQL has, documents were issued, which cannot be undone ({numbers})"
        )));
    }
    let paid: BTreeSet<&AccountId> =
        lost.iter().filter(|record| record.entry.kind().moves_money()).map(|record| &record.entry.account).collect();
    let mut by_hand = 0;
    for account in paid {
        by_hand += bills::forget_by_hand(connection, account, number(after)).await?;
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
    // What is left of each account's entries ends before the first that is taken out.
    let mut left = BTreeMap::new();
    for record in &lost {
        left.entry(&record.entry.account).or_insert(record.previous.unwrap_or(0));
    }
    for (account, last) in left {
        fold_again(connection, dialect, (partition, number(last)), account).await?;
    }
    Ok(by_hand)
}

/// Works an account's row and totals out again, from the entries that it still has, up to the last of them.
async fn fold_again(
    connection: &mut AnyConnection,
    dialect: Dialect,
    (partition, last): (u16, i64),
    account: &AccountId,
) -> Result<(), ReconcileError> {
    for table in ["totals", "accounts"] {
        let sql = format!("DELETE FROM {table} WHERE account = $1");
        sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).execute(&mut *connection).await?;
    }
    let (mut projection, mut ends) = (Projection::default(), Vec::new());
    let chain = Chain::behind(connection, account, partition, last).await?;
    let left = chain.sequences(connection, (UnixMillis::MIN, UnixMillis::MAX), |_| true).await?;
    for page in left.chunks(PAGE) {
        let places: Vec<_> = page.iter().map(|sequence| chain.place(*sequence)).collect();
        let mut records = account_history::at(connection, dialect, &places).await?;
        projection.take(&mut records).map_err(|broken| BillingError::corrupt(broken.to_string()))?;
        ends.extend(records.into_iter().map(|record| record.entry).filter(|entry| bills::is_of_end(entry.kind())));
    }
    projection.place_all(partition);
    bills::end_again(connection, account, &ends).await?;
    rows::write(connection, dialect, &projection).await?;
    bills::due_again(connection, account).await?;
    let names = projection.accounts.iter().map(|(id, account)| (id.as_str(), account.name.as_str()));
    search::write_names(connection, dialect, names).await?;
    Ok(())
}
