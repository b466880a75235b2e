//! What is asked of entries and partitions.

use sqlx::AssertSqlSafe;

use super::partitions::{self, Partition};
use super::record::{COLUMNS, Record, number, request_key};
use super::{Billing, BillingError};
use crate::domain::account::Millis;

impl Billing {
    /// How far the aggregation of each partition has come, and who works on it.
    pub async fn partitions(&self) -> Result<Vec<Partition>, BillingError> {
        partitions::all(&self.store).await
    }

    /// Charges and refunds, in journal order, accepted in `from..to`, after the given place; of one account, or of all.
    pub async fn usage(
        &self,
        account: Option<&str>,
        from: Millis,
        to: Millis,
        after: Option<(u16, u64)>,
        count: usize,
    ) -> Result<Vec<Record>, BillingError> {
        let (partition, sequence) = after.map_or((-1, 0), |(partition, sequence)| (i64::from(partition), number(sequence)));
        let kinds = "kind IN (3, 4, 5, 6, 7)";
        let place = "(partition > $1 OR (partition = $1 AND sequence > $2))";
        let of_account = if account.is_some() { "AND account = $6" } else { "" };
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE {place} AND time >= $3 AND time < $4 AND {kinds} {of_account} \
             ORDER BY partition, sequence LIMIT $5"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(partition).bind(sequence).bind(from).bind(to);
        query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
        if let Some(account) = account {
            query = query.bind(account.to_owned());
        }
        query.fetch_all(self.store.pool()).await?.iter().map(Record::from_row).collect()
    }

    /// The charge or payment of that request id, however long ago it was: what a late refund or reversal refers to.
    pub async fn entry_of_request(&self, account: &str, request_id: &str) -> Result<Option<Record>, BillingError> {
        // An id may be used again when it was forgotten; the last one is meant.
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE request_key = $1 AND account = $2 AND request_id = $3 \
             AND kind IN (3, 4, 5, 8, 23) ORDER BY sequence DESC LIMIT 1"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(request_key(account, request_id));
        let query = query.bind(account.to_owned()).bind(request_id.to_owned());
        query.fetch_optional(self.store.pool()).await?.as_ref().map(Record::from_row).transpose()
    }

    /// An account's entries below a sequence, newest first.
    pub async fn entries(&self, account: &str, before: Option<u64>, count: usize) -> Result<Vec<Record>, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE account = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_owned()).bind(before.map_or(i64::MAX, number));
        let query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
        query.fetch_all(self.store.pool()).await?.iter().map(Record::from_row).collect()
    }
}
