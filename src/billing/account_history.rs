//! The entries of one account: each names the account's entry before it, so they are read backwards, from the last one on.
//!
//! An index of accounts would serve as well, and cost a quarter of all that it costs to take an entry in.
//!
//! Where the ledger was restored with another number of partitions since, the chain goes on in the partition that the account was in before.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::BillingError;
use super::layouts::{Home, Layouts};
use super::record::{COLUMNS, Record, narrow, number};
use super::store::Dialect;
use super::store::rows::{Table, Type};
use crate::store::Columns;
use domain::entry::EntryKind;
use domain::ids::AccountId;
use domain::time::UnixMillis;

const PLACES: Table = Table { name: "entries", columns: &[("partition", Type::Number), ("sequence", Type::Number)], on_conflict: "" };

/// How many entries are walked past at once.
pub(super) const WALK: usize = 10_000;

/// Where the entries of an account are.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    account: AccountId,
    partition: u16,
    layouts: Layouts,
    /// The sequence of its last entry.
    pub last: i64,
}

impl Chain {
    /// That of an account. `None` if nothing is known of it.
    pub async fn of(connection: &mut AnyConnection, account: &AccountId) -> Result<Option<Self>, BillingError> {
        let sql = "SELECT partition, last_sequence FROM accounts WHERE account = $1";
        let Some(row) = sqlx::query(sql).bind(account.to_string()).fetch_optional(&mut *connection).await? else { return Ok(None) };
        Ok(Some(Self::behind(connection, account, narrow(&row, "partition")?, row.try_get("last_sequence")?).await?))
    }

    /// That of an account of a partition, from a sequence on.
    pub async fn behind(connection: &mut AnyConnection, account: &AccountId, partition: u16, last: i64) -> Result<Self, BillingError> {
        Ok(Self::new(account, partition, last, Layouts::read(connection).await?))
    }

    /// The same, where it is known which partitions there were.
    pub fn new(account: &AccountId, partition: u16, last: i64, layouts: Layouts) -> Self {
        Self { account: account.to_owned(), partition, layouts, last }
    }

    fn home(&self, sequence: i64) -> Home {
        self.layouts.home(&self.account, u64::try_from(sequence).unwrap_or(0), self.partition)
    }

    /// Where the account's entry of that sequence is.
    pub fn place(&self, sequence: i64) -> (u16, i64) {
        (self.home(sequence).partition, sequence)
    }

    /// The account's entry before one of its entries; 0 if it is its first. `None` if that is no entry of the account.
    async fn previous(&self, connection: &mut AnyConnection, sequence: i64) -> Result<Option<i64>, BillingError> {
        let sql = "SELECT previous FROM entries WHERE partition = $1 AND sequence = $2 AND account = $3";
        let query = sqlx::query(sql).bind(i64::from(self.home(sequence).partition)).bind(sequence).bind(self.account.to_string());
        Ok(query.fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()?)
    }

    /// Columns of the entries from a sequence on, backwards, newest first: at most `count`, and none of a partition that the account was in
    /// before. What comes next is the last one's `previous`, which is one of the columns.
    pub async fn walk(&self, connection: &mut AnyConnection, columns: &str, from: i64, count: usize) -> Result<Vec<AnyRow>, BillingError> {
        let Home { partition, behind } = self.home(from);
        let sql = of_walk(columns);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(partition)).bind(from);
        let query = query.bind(i64::try_from(count).unwrap_or(i64::MAX)).bind(number(behind));
        Ok(query.fetch_all(connection).await?)
    }

    /// The account's entries from one of them on, newest first.
    pub async fn back(&self, connection: &mut AnyConnection, mut from: i64, count: usize) -> Result<Vec<Record>, BillingError> {
        let mut found: Vec<Record> = Vec::new();
        while from > 0 && found.len() < count {
            let rows = self.walk(connection, COLUMNS, from, count - found.len()).await?;
            for row in &rows {
                found.push(Record::from_row(row)?);
            }
            from = if rows.is_empty() { 0 } else { number(found.last().and_then(|record| record.previous).unwrap_or(0)) };
        }
        Ok(found)
    }

    /// The sequences of the account's entries that were accepted in `since..until` and are of certain kinds: oldest first.
    pub async fn sequences(
        &self,
        connection: &mut AnyConnection,
        (since, until): (UnixMillis, UnixMillis),
        is_wanted: impl Fn(EntryKind) -> bool,
    ) -> Result<Vec<i64>, BillingError> {
        let (mut found, mut from) = (Vec::new(), self.last);
        while from > 0 {
            let rows = self.walk(connection, "sequence, previous, time, kind", from, WALK).await?;
            from = 0;
            for row in rows {
                let time = row.instant("time")?;
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

    /// The account's last entry below a sequence; 0 if there is none.
    pub async fn below(&self, connection: &mut AnyConnection, sequence: u64) -> Result<i64, BillingError> {
        let sequence = number(sequence);
        if self.last < sequence {
            return Ok(self.last);
        }
        if let Some(previous) = self.previous(connection, sequence).await? {
            return Ok(previous);
        }
        let mut from = self.last;
        while from >= sequence {
            let rows = self.walk(connection, "previous", from, WALK).await?;
            from = 0;
            for row in rows {
                from = row.try_get("previous")?;
                if from < sequence {
                    break;
                }
            }
        }
        Ok(from)
    }
}

/// The statement of a walk. SQLite, left to itself, reads all entries of a partition for each step; CROSS JOIN tells it the order.
fn of_walk(columns: &str) -> String {
    format!(
        "WITH RECURSIVE chain AS (SELECT entries.*, CAST(1 AS BIGINT) AS depth FROM entries WHERE partition = $1 AND sequence = $2 \
         UNION ALL SELECT earlier.*, depth + 1 FROM chain CROSS JOIN entries AS earlier WHERE earlier.partition = $1 \
         AND earlier.sequence = chain.previous AND depth < $3 AND chain.previous > $4) \
         SELECT {columns} FROM chain ORDER BY sequence DESC"
    )
}

/// The records at some places, in the order of their sequences.
pub(super) async fn at(connection: &mut AnyConnection, dialect: Dialect, places: &[(u16, i64)]) -> Result<Vec<Record>, BillingError> {
    let keys: Vec<_> = places.iter().map(|(partition, sequence)| vec![i64::from(*partition).into(), (*sequence).into()]).collect();
    let rows = PLACES.find(connection, dialect, COLUMNS, &keys).await?;
    let mut records = rows.iter().map(Record::from_row).collect::<Result<Vec<_>, _>>()?;
    records.sort_unstable_by_key(|record| record.sequence);
    Ok(records)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::store::{Store, sqlite_url};

    #[tokio::test]
    async fn a_chain_is_walked_along_the_key_of_the_entries_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
        let mut connection = store.pool().acquire().await.unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", of_walk("sequence"));
        let query = sqlx::query(AssertSqlSafe(sql)).bind(3_i64).bind(17_i64).bind(10_i64).bind(0_i64);
        let plan: Vec<String> = query.fetch_all(&mut *connection).await.unwrap().iter().map(|row| row.get("detail")).collect();
        let is_by_key = |step: &String| step.starts_with("SEARCH earlier") && step.contains("partition=? AND sequence=?");
        assert!(plan.iter().any(is_by_key), "{plan:#?}");
    }
}
