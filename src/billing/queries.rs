//! What is asked of entries and partitions.

use std::collections::{HashSet, VecDeque};

use sqlx::{AssertSqlSafe, Row};

use super::account_history::{self, Chain};
use super::partitions::{self, Partition};
use super::record::{COLUMNS, Record, narrow, number, request_key};
use super::{Billing, BillingError};
use crate::kinds::{CHARGES_TO_PAY, ORIGINALS, REFUNDED_BALANCE};
use crate::store::Columns;
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::time::UnixMillis;

impl Billing {
    /// How far the aggregation of each partition has come, and who works on it.
    pub async fn partitions(&self) -> Result<Vec<Partition>, BillingError> {
        partitions::all(&self.store).await
    }

    /// The sequence of the first entry of a partition that is not here yet; 1: none is.
    pub async fn next_sequence(&self, partition: u16) -> Result<u64, BillingError> {
        let query = sqlx::query("SELECT next_sequence FROM partitions WHERE partition = $1").bind(i64::from(partition));
        query.fetch_optional(self.store.pool()).await?.map_or(Ok(1), |row| narrow(&row, "next_sequence"))
    }

    /// When the last entry of a partition that is here was accepted; [`UnixMillis::NONE`] if none is.
    pub async fn last_time(&self, partition: u16) -> Result<UnixMillis, BillingError> {
        let query = sqlx::query("SELECT last_time FROM partitions WHERE partition = $1").bind(i64::from(partition));
        Ok(query.fetch_optional(self.store.pool()).await?.map_or(Ok(UnixMillis::NONE), |row| row.instant(0))?)
    }

    /// Where the charges and refunds of one account are that were accepted in `from..to`, in journal order.
    pub async fn usage_of(&self, account: &AccountId, from: UnixMillis, to: UnixMillis) -> Result<Places, BillingError> {
        let mut connection = self.store.pool().acquire().await?;
        let Some(chain) = Chain::of(&mut connection, account).await? else { return Ok(Places::default()) };
        let is_usage = |kind: EntryKind| kind.is_charge() || kind.is_refund();
        let sequences = chain.sequences(&mut connection, (from, to), is_usage).await?;
        Ok(Places(sequences.into_iter().map(|sequence| chain.place(sequence)).collect()))
    }

    /// Where the refunds are that a credit note stands for, in journal order: the one that it was drafted for is the last.
    pub async fn refunds_of_note(&self, note: i64) -> Result<Places, BillingError> {
        let sql = "SELECT place FROM uncredited_refunds WHERE note = $1 AND note <> 0 ORDER BY sequence";
        let rows = sqlx::query(sql).bind(note).fetch_all(self.store.pool()).await?;
        let place = |id: i64| (u16::try_from(id & 0xffff).unwrap_or_default(), id >> 16);
        let mut places = rows.iter().map(|row| Ok(place(row.try_get(0)?))).collect::<Result<VecDeque<_>, sqlx::Error>>()?;
        places.push_back(place(note));
        Ok(Places(places))
    }

    /// The refunds within a bill whose charges an earlier document billed, by the account's numbers of them: they stand on credit notes.
    pub async fn refunds_on_notes(&self, account: &AccountId, bill: u32) -> Result<HashSet<u64>, BillingError> {
        let sql = format!(
            "SELECT sequence FROM refunds WHERE account = $1 AND bill = $2 AND kind = {REFUNDED_BALANCE} \
             AND charge_kind IN ({CHARGES_TO_PAY})"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(i64::from(bill));
        query.fetch_all(self.store.pool()).await?.iter().map(|row| narrow(row, "sequence")).collect()
    }

    /// The records at the next places.
    pub async fn records(&self, places: &mut Places, count: usize) -> Result<Vec<Record>, BillingError> {
        let next: Vec<_> = places.take(count).collect();
        let mut connection = self.store.pool().acquire().await?;
        account_history::at(&mut connection, self.store.dialect(), &next).await
    }

    /// The charge or payment of that request id, however long ago it was: what a late refund or reversal refers to.
    pub async fn entry_of_request(&self, account: &AccountId, request_id: &RequestId) -> Result<Option<Record>, BillingError> {
        // An id may be used again when it was forgotten; the last one is meant.
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE request_key = $1 AND account = $2 AND request_id = $3 \
             AND kind IN ({ORIGINALS}) ORDER BY sequence DESC LIMIT 1"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(request_key(account, request_id));
        let query = query.bind(account.to_string()).bind(request_id.to_string());
        query.fetch_optional(self.store.pool()).await?.as_ref().map(Record::from_row).transpose()
    }

    /// An account's entries below a sequence, newest first.
    pub async fn entries(&self, account: &AccountId, before: Option<u64>, count: usize) -> Result<Vec<Record>, BillingError> {
        let mut connection = self.store.pool().acquire().await?;
        let Some(chain) = Chain::of(&mut connection, account).await? else { return Ok(Vec::new()) };
        let from = match before {
            None => chain.last,
            Some(before) => chain.below(&mut connection, before).await?,
        };
        chain.back(&mut connection, from, count).await
    }
}

/// Places in the journal of one account's records: partition and sequence, in the order of their sequences.
#[derive(Clone, Debug, Default)]
pub struct Places(VecDeque<(u16, i64)>);

impl Places {
    /// Takes the first ones off.
    pub fn take(&mut self, count: usize) -> impl Iterator<Item = (u16, i64)> {
        self.0.drain(..count.min(self.0.len()))
    }

    /// Leaves out entries up to a place. The sequences of an account's entries only grow, whatever partition it is in.
    pub fn skip_to(&mut self, (_, sequence): (u16, u64)) {
        let behind = self.0.partition_point(|(_, place)| *place <= number(sequence));
        self.0.drain(..behind);
    }
}
