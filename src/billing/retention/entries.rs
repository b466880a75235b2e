//! Empties what callers sent along in entries: descriptions, attributes and reasons. Ids, kinds, amounts, times, items and quantities stay,
//! so that entries prove what they proved. What a document is still to be made of is kept.
//!
//! Each partition's entries are walked once, in their order, from where the last slice ended. Those that are still needed are noted, and
//! looked at again.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{ACTOR, RetainedKind, instant, lock, note_dropped};
use crate::BillingError;
use crate::audit::{Act, SERVICE, write};
use crate::store::Columns;
use crate::store::Store;
use domain::ids::AccountId;
use domain::origin::Origin;
use domain::time::UnixMillis;

/// How many entries are looked at in one transaction.
const SLICE: i64 = 200;

/// What has details. An entry's payment has some of its own.
const HAS_DETAILS: &str = "description <> '' OR attributes <> '' OR reason <> ''";
const HAS_PAYMENT_DETAILS: &str = "EXISTS (SELECT 1 FROM credits WHERE credits.account = entries.account \
                                   AND credits.sequence = entries.account_sequence AND (reference <> '' OR remark <> '' OR credits.reason <> ''))";

/// Whether nothing of an entry's bill is still to be put on paper.
fn is_settled(table: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM accounts WHERE accounts.account = {table}.account AND accounts.bill > {table}.bill) \
         AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.account = {table}.account AND documents.bill = {table}.bill \
         AND NOT EXISTS (SELECT 1 FROM issued WHERE issued.document = documents.id))"
    )
}

/// The next entries of a partition behind a place.
fn next_sql() -> String {
    format!(
        "SELECT sequence, account, account_sequence, bill, time, \
         CASE WHEN {HAS_DETAILS} OR {HAS_PAYMENT_DETAILS} THEN CASE WHEN {} THEN 2 ELSE 1 END ELSE 0 END AS state \
         FROM entries WHERE partition = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        is_settled("entries")
    )
}

/// The next entries that were needed, and are no more.
fn no_longer_needed_sql() -> String {
    format!(
        "SELECT account, bill, sequence, partition, account_sequence FROM entry_details_needed \
         WHERE (account, bill, sequence) > ($1, $2, $3) AND {} ORDER BY account, bill, sequence LIMIT $4",
        is_settled("entry_details_needed")
    )
}

/// The next entries that a failover lost, and reasons of allocations by hand.
fn lost_sql() -> String {
    format!(
        "SELECT reconciliation, partition, sequence FROM lost_entries WHERE time < $1 AND ({HAS_DETAILS}) AND outcome <> 'WAITING' \
         ORDER BY time LIMIT $2"
    )
}
const BY_HAND: &str = "SELECT account, number FROM allocations_by_hand WHERE at < $1 AND reason <> '' ORDER BY at LIMIT $2";

/// What is emptied of an entry, by its place.
const ENTRY: &str = "UPDATE entries SET description = '', attributes = '', reason = '' WHERE partition = $1 AND sequence = $2";
const CREDIT: &str = "UPDATE credits SET reference = '', remark = '', reason = '' WHERE account = $1 AND sequence = $2";

/// What is emptied of what was made of a bill's entries. A total's description is that of any of them.
const OF_BILL: [&str; 4] = [
    "UPDATE totals SET description = '' WHERE account = $1 AND bill = $2 AND first_at < $3 AND description <> ''",
    "UPDATE refunds SET description = '' WHERE account = $1 AND bill = $2 AND time < $3 AND description <> ''",
    "UPDATE uncredited_refunds SET description = '' WHERE account = $1 AND bill = $2 AND time < $3 AND note <> 0 AND description <> ''",
    "UPDATE adjustments SET reason = '' WHERE account = $1 AND bill = $2 AND time < $3 AND reason <> ''",
];

/// An entry that has details.
struct Detailed {
    partition: i64,
    sequence: i64,
    account: AccountId,
    account_sequence: i64,
    bill: i64,
}

impl Detailed {
    fn from_row(row: &sqlx::any::AnyRow, partition: i64) -> Result<Self, BillingError> {
        Ok(Self {
            partition,
            sequence: row.try_get("sequence")?,
            account: row.account_id("account")?,
            account_sequence: row.try_get("account_sequence")?,
            bill: row.try_get("bill")?,
        })
    }
}

/// Behind which entry the next slice of those begins that were needed: its account, bill and sequence.
pub type Place = (AccountId, i64, i64);

/// All partitions that there ever were.
pub async fn partitions(store: &Store) -> Result<Vec<i64>, BillingError> {
    let rows = sqlx::query("SELECT partition FROM partitions UNION SELECT partition FROM former_partitions ORDER BY partition")
        .fetch_all(store.pool())
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Goes on through a partition's entries up to an instant. Returns how many were emptied, `None` if there is no entry that is old enough.
pub async fn drop_slice(store: &Store, partition: i64, before: UnixMillis, now: UnixMillis) -> Result<Option<u64>, BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    lock(connection, RetainedKind::EntryDetails).await?;
    let touch = "INSERT INTO entry_details (partition, position) VALUES ($1, 0) \
                 ON CONFLICT (partition) DO UPDATE SET position = entry_details.position";
    sqlx::query(touch).bind(partition).execute(&mut *connection).await?;
    let sql = "SELECT position FROM entry_details WHERE partition = $1";
    let from: i64 = sqlx::query(sql).bind(partition).fetch_one(&mut *connection).await?.try_get(0)?;
    let (mut to, mut due) = (from, Vec::new());
    let query = sqlx::query(AssertSqlSafe(next_sql())).bind(partition).bind(from).bind(SLICE);
    for row in query.fetch_all(&mut *connection).await? {
        if row.instant("time")? >= before {
            break;
        }
        let entry = Detailed::from_row(&row, partition)?;
        to = entry.sequence;
        // PostgreSQL's CASE of literals is an INT4.
        match row.try_get::<i64, _>("state").or_else(|_| row.try_get::<i32, _>("state").map(i64::from))? {
            0 => {}
            1 => need(connection, &entry).await?,
            _ => due.push(entry),
        }
    }
    if to == from {
        return Ok(None);
    }
    let sql = "UPDATE entry_details SET position = $1 WHERE partition = $2";
    sqlx::query(sql).bind(to).bind(partition).execute(&mut *connection).await?;
    empty(connection, &due, before).await?;
    note(store, connection, due.len(), before, now).await?;
    transaction.commit().await?;
    Ok(Some(due.len() as u64))
}

/// Empties entries that were needed, and are no more. Returns how many, and where it goes on; `None` if there is no more.
pub async fn drop_no_longer_needed(
    store: &Store,
    before: UnixMillis,
    after: &Place,
    now: UnixMillis,
) -> Result<(u64, Option<Place>), BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    lock(connection, RetainedKind::EntryDetails).await?;
    let query = sqlx::query(AssertSqlSafe(no_longer_needed_sql())).bind(after.0.to_string()).bind(after.1).bind(after.2).bind(SLICE);
    let mut due = Vec::new();
    for row in query.fetch_all(&mut *connection).await? {
        let entry = Detailed::from_row(&row, row.try_get("partition")?)?;
        let sql = "DELETE FROM entry_details_needed WHERE account = $1 AND bill = $2 AND sequence = $3";
        let query = sqlx::query(sql).bind(entry.account.to_string()).bind(entry.bill).bind(entry.sequence);
        // Another process may have been faster.
        if query.execute(&mut *connection).await?.rows_affected() > 0 {
            due.push(entry);
        }
    }
    empty(connection, &due, before).await?;
    note(store, connection, due.len(), before, now).await?;
    transaction.commit().await?;
    Ok((due.len() as u64, due.pop().map(|last| (last.account, last.bill, last.sequence))))
}

/// Empties what is old enough of entries that were lost, and of allocations by hand. Returns how many.
pub async fn drop_others(store: &Store, before: UnixMillis, now: UnixMillis) -> Result<u64, BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    lock(connection, RetainedKind::EntryDetails).await?;
    let mut dropped = 0;
    for row in sqlx::query(AssertSqlSafe(lost_sql())).bind(before.get()).bind(SLICE).fetch_all(&mut *connection).await? {
        let (reconciliation, partition, sequence): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let sql = "UPDATE lost_entries SET description = '', attributes = '', reason = '' \
                   WHERE reconciliation = $1 AND partition = $2 AND sequence = $3";
        sqlx::query(sql).bind(reconciliation).bind(partition).bind(sequence).execute(&mut *connection).await?;
        dropped += 1;
    }
    for row in sqlx::query(BY_HAND).bind(before.get()).bind(SLICE).fetch_all(&mut *connection).await? {
        let (account, number): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let sql = "UPDATE allocations_by_hand SET reason = '' WHERE account = $1 AND number = $2";
        sqlx::query(sql).bind(account).bind(number).execute(&mut *connection).await?;
        dropped += 1;
    }
    note(store, connection, dropped, before, now).await?;
    transaction.commit().await?;
    Ok(dropped as u64)
}

async fn need(connection: &mut AnyConnection, entry: &Detailed) -> Result<(), BillingError> {
    let sql = "INSERT INTO entry_details_needed (account, bill, sequence, partition, account_sequence) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (account, bill, sequence) DO NOTHING";
    let query = sqlx::query(sql).bind(entry.account.to_string()).bind(entry.bill).bind(entry.sequence);
    query.bind(entry.partition).bind(entry.account_sequence).execute(connection).await?;
    Ok(())
}

async fn empty(connection: &mut AnyConnection, entries: &[Detailed], before: UnixMillis) -> Result<(), BillingError> {
    for entry in entries {
        sqlx::query(ENTRY).bind(entry.partition).bind(entry.sequence).execute(&mut *connection).await?;
        sqlx::query(CREDIT).bind(entry.account.to_string()).bind(entry.account_sequence).execute(&mut *connection).await?;
    }
    let mut bills: Vec<(&str, i64)> = entries.iter().map(|entry| (entry.account.as_str(), entry.bill)).collect();
    bills.sort_unstable();
    bills.dedup();
    for (account, bill) in bills {
        for sql in OF_BILL {
            sqlx::query(sql).bind(account.to_string()).bind(bill).bind(before.get()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Notes how many were emptied, on record.
async fn note(
    store: &Store,
    connection: &mut AnyConnection,
    dropped: usize,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<(), BillingError> {
    if dropped == 0 {
        return Ok(());
    }
    note_dropped(connection, RetainedKind::EntryDetails, i64::try_from(dropped).unwrap_or(i64::MAX), now).await?;
    let action = "retention.entry_details_dropped".to_owned();
    let act = Act { at: now, actor: ACTOR.to_owned(), action, origin: Origin::local(), ..Act::default() };
    write(connection, store.dialect(), SERVICE, &[act.with("count", dropped).with("before", instant(before))]).await
}

/// How many would be emptied, how many are as old and needed, how many have details, and how many were emptied.
pub(super) async fn preview(store: &Store, before: Option<UnixMillis>) -> Result<[i64; 4], BillingError> {
    let (before, settled) = (before.unwrap_or(UnixMillis::MIN), is_settled("entries"));
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(CASE WHEN time >= $1 THEN 0 WHEN {settled} THEN 1 ELSE 0 END), 0) AS BIGINT), \
         CAST(COALESCE(SUM(CASE WHEN time >= $1 THEN 0 WHEN {settled} THEN 0 ELSE 1 END), 0) AS BIGINT), CAST(COUNT(*) AS BIGINT) \
         FROM entries WHERE {HAS_DETAILS} OR {HAS_PAYMENT_DETAILS}"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(before.get()).fetch_one(store.pool()).await?;
    let sql = "SELECT CAST(COALESCE(SUM(dropped), 0) AS BIGINT) FROM retention WHERE what = $1";
    let dropped = sqlx::query(sql).bind(RetainedKind::EntryDetails.name()).fetch_one(store.pool()).await?.try_get(0)?;
    Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, dropped])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Billing, BillingSettings};

    #[tokio::test]
    async fn no_slice_reads_a_table_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let url = crate::store::sqlite_url(&folder.path().join("billing.db"));
        let billing = Billing::open(&url, BillingSettings::default()).await.unwrap();
        let fixed = OF_BILL.into_iter().chain([ENTRY, CREDIT, BY_HAND]).map(str::to_owned);
        for sql in fixed.chain([next_sql(), no_longer_needed_sql(), lost_sql()]) {
            let explained = format!("EXPLAIN QUERY PLAN {sql}");
            let rows = sqlx::query(AssertSqlSafe(explained)).fetch_all(billing.store().pool()).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
        }
    }
}
