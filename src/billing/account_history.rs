//! The entries of one account: each names the account's entry before it, so they are read backwards, from the last one on.
//!
//! An index of accounts would serve as well, and cost a quarter of all that it costs to take an entry in.

use sqlx::{Any, AnyConnection, AssertSqlSafe, Executor, Row};

use super::BillingError;
use super::record::{COLUMNS, Record, narrow, number};
use super::store::Dialect;
use super::store::rows::{Table, Type};
use domain::account::Millis;
use domain::entry::EntryKind;

const PLACES: Table = Table { name: "entries", columns: &[("partition", Type::Number), ("sequence", Type::Number)], on_conflict: "" };

/// How many entries are walked past at once.
pub(super) const WALK: i64 = 10_000;

/// The partition of an account, and the sequence of its last entry. `None` for nothing is known of it.
pub(super) async fn end(executor: impl Executor<'_, Database = Any>, account: &str) -> Result<Option<(u16, i64)>, BillingError> {
    let sql = "SELECT partition, last_sequence FROM accounts WHERE account = $1";
    let row = sqlx::query(sql).bind(account.to_owned()).fetch_optional(executor).await?;
    row.map(|row| Ok((narrow(&row, "partition")?, row.try_get("last_sequence")?))).transpose()
}

/// The account's entry before one of its entries; 0 if it is its first. `None` if that is no entry of the account.
pub(super) async fn previous(
    executor: impl Executor<'_, Database = Any>,
    account: &str,
    partition: u16,
    sequence: i64,
) -> Result<Option<i64>, BillingError> {
    let sql = "SELECT previous FROM entries WHERE partition = $1 AND sequence = $2 AND account = $3";
    let query = sqlx::query(sql).bind(i64::from(partition)).bind(sequence).bind(account.to_owned());
    Ok(query.fetch_optional(executor).await?.map(|row| row.try_get(0)).transpose()?)
}

/// A statement for the entries from sequence $2 of partition $1 on, backwards, $3 of them at most.
pub(super) fn walk(columns: &str) -> String {
    format!(
        "WITH RECURSIVE chain AS (SELECT entries.*, CAST(1 AS BIGINT) AS depth FROM entries WHERE partition = $1 AND sequence = $2 \
         UNION ALL SELECT earlier.*, depth + 1 FROM chain JOIN entries AS earlier \
         ON earlier.partition = $1 AND earlier.sequence = chain.previous WHERE depth < $3) \
         SELECT {columns} FROM chain ORDER BY sequence DESC"
    )
}

/// An account's entries from one of them on, newest first.
pub(super) async fn back(
    executor: impl Executor<'_, Database = Any>,
    partition: u16,
    from: i64,
    count: usize,
) -> Result<Vec<Record>, BillingError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let query = sqlx::query(AssertSqlSafe(walk(COLUMNS))).bind(i64::from(partition)).bind(from).bind(count);
    query.fetch_all(executor).await?.iter().map(Record::from_row).collect()
}

/// The sequences of an account's entries from one of them on that were accepted in `since..until` and are of certain kinds: oldest first.
pub(super) async fn sequences(
    connection: &mut AnyConnection,
    partition: u16,
    mut from: i64,
    (since, until): (Millis, Millis),
    is_wanted: impl Fn(EntryKind) -> bool,
) -> Result<Vec<i64>, BillingError> {
    let (sql, mut found) = (walk("sequence, previous, time, kind"), Vec::new());
    while from > 0 {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(i64::from(partition)).bind(from).bind(WALK);
        from = 0;
        for row in query.fetch_all(&mut *connection).await? {
            let time: Millis = row.try_get("time")?;
            if time < since {
                // What an account did before is older still.
                from = 0;
                break;
            }
            from = row.try_get("previous")?;
            let kind = EntryKind::from_number(narrow(&row, "kind")?);
            if time < until && kind.is_some_and(&is_wanted) {
                found.push(row.try_get("sequence")?);
            }
        }
    }
    found.reverse();
    Ok(found)
}

/// The records at some places of a partition, in their order.
pub(super) async fn at(
    connection: &mut AnyConnection,
    dialect: Dialect,
    partition: u16,
    sequences: &[i64],
) -> Result<Vec<Record>, BillingError> {
    let keys: Vec<_> = sequences.iter().map(|sequence| vec![i64::from(partition).into(), (*sequence).into()]).collect();
    let rows = PLACES.find(connection, dialect, COLUMNS, &keys).await?;
    let mut records = rows.iter().map(Record::from_row).collect::<Result<Vec<_>, _>>()?;
    records.sort_unstable_by_key(|record| record.sequence);
    Ok(records)
}

/// The account's last entry below a sequence; 0 if there is none.
pub(super) async fn below(
    connection: &mut AnyConnection,
    account: &str,
    (partition, last): (u16, i64),
    sequence: u64,
) -> Result<i64, BillingError> {
    let sequence = number(sequence);
    if last < sequence {
        return Ok(last);
    }
    if let Some(previous) = previous(&mut *connection, account, partition, sequence).await? {
        return Ok(previous);
    }
    let (sql, mut from) = (walk("previous"), last);
    while from >= sequence {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(i64::from(partition)).bind(from).bind(WALK);
        from = 0;
        for row in query.fetch_all(&mut *connection).await? {
            from = row.try_get("previous")?;
            if from < sequence {
                break;
            }
        }
    }
    Ok(from)
}
