//! What the billing store knows of earlier charges, payments and bills, however long ago they were: what late refunds and reversals need.

use sqlx::{AssertSqlSafe, Row};

use super::kinds::{self, CUTS, GIVING_BACK, ORIGINALS, REFUNDED_BALANCE};
use super::layouts::Layouts;
use super::record::{coded, narrow, request_key};
use super::{Billing, BillingError};
use crate::store::Columns;
use domain::command::{OriginalBill, OriginalEntry};
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;

impl Billing {
    /// Up to which entry a partition's journal was taken in. What is read afterwards knows at least these.
    pub async fn known_until(&self, partition: u16) -> Result<u64, BillingError> {
        let query = sqlx::query("SELECT next_sequence FROM partitions WHERE partition = $1").bind(i64::from(partition));
        let row = query.fetch_optional(self.store().pool()).await?;
        Ok(row.as_ref().map(|row| narrow::<u64>(row, "next_sequence")).transpose()?.unwrap_or(1).saturating_sub(1))
    }

    /// Whether a part of a partition's journal is not known: what is not found may have been there.
    pub async fn has_gap(&self, partition: u16) -> Result<bool, BillingError> {
        let query = sqlx::query("SELECT partition FROM gaps WHERE partition = $1 LIMIT 1").bind(i64::from(partition));
        Ok(query.fetch_optional(self.store().pool()).await?.is_some())
    }

    /// Up to which entry what follows on an entry is known: at most up to the first gap behind it.
    async fn known_behind(&self, partition: u16, sequence: i64, known_until: u64) -> Result<u64, BillingError> {
        let sql = "SELECT CAST(COALESCE(MIN(first_sequence), 0) AS BIGINT) FROM gaps WHERE partition = $1 AND last_sequence > $2";
        let row = sqlx::query(sql).bind(i64::from(partition)).bind(sequence).fetch_one(self.store().pool()).await?;
        Ok(match u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0) {
            0 => known_until,
            first => known_until.min(first - 1),
        })
    }

    /// The last charge (payment, write-off) of that request id, and what was given back of it.
    pub async fn original(
        &self,
        partition: u16,
        account: &AccountId,
        request_id: &RequestId,
        is_wanted: fn(EntryKind) -> bool,
        known_until: u64,
    ) -> Result<Option<OriginalEntry>, BillingError> {
        // The kinds of the indexes stand beside those that are wanted: SQLite uses an index only if its condition is repeated.
        let sql = format!(
            "SELECT partition, sequence, kind, amount, bill, COALESCE((SELECT later.detail_1 FROM entries AS later \
             WHERE later.account = $2 AND later.refers_to = $3 AND later.kind IN ({GIVING_BACK}) AND later.kind IN ({given_back}) \
             AND later.sequence > entries.sequence ORDER BY later.sequence DESC LIMIT 1), 0) AS given_back, \
             COALESCE((SELECT MAX(later.sequence) FROM entries AS later \
             WHERE later.account = $2 AND later.refers_to = $3 AND later.kind IN ({GIVING_BACK}) AND later.kind IN ({given_back}) \
             AND later.sequence > entries.sequence), sequence) AS last_told \
             FROM entries WHERE request_key = $1 AND account = $2 AND request_id = $3 \
             AND kind IN ({ORIGINALS}) AND kind IN ({wanted}) ORDER BY sequence DESC LIMIT 1",
            wanted = of_kinds(is_wanted),
            given_back = of_kinds(|kind| match kind {
                EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => is_wanted(EntryKind::ChargedBalance),
                EntryKind::PaymentReversed => is_wanted(EntryKind::ToppedUp),
                EntryKind::WriteOffReversed => is_wanted(EntryKind::WrittenOff),
                _ => false,
            }),
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(request_key(account, request_id));
        let query = query.bind(account.to_string()).bind(request_id.to_string());
        let Some(row) = query.fetch_optional(self.store().pool()).await? else { return Ok(None) };
        // Each entry that gives something back says how much it was in all. What was given back within a gap is known if another followed.
        let known_until = self.known_behind(partition, row.try_get("last_told")?, known_until).await?;
        let layouts = self.layouts().await?;
        Ok(Some(OriginalEntry {
            sequence: layouts.number(narrow(&row, "partition")?, narrow(&row, "sequence")?),
            kind: coded(&row, "kind", EntryKind::from_number)?,
            amount: row.units("amount")?,
            bill: narrow(&row, "bill")?,
            given_back: row.units("given_back")?,
            known_until,
        }))
    }

    /// How the partitions were laid out before: by this, the number of an entry is found.
    pub async fn layouts(&self) -> Result<Layouts, BillingError> {
        Layouts::read(self.store().pool()).await
    }

    /// The sums of a bill; `None` if it is not cut, as far as is known here.
    pub async fn bill_sums(
        &self,
        partition: u16,
        account: &AccountId,
        bill: u32,
        known_until: u64,
    ) -> Result<Option<OriginalBill>, BillingError> {
        let cut = format!("SELECT amount FROM totals WHERE account = $1 AND bill = $2 AND kind IN ({CUTS})");
        let query = sqlx::query(AssertSqlSafe(cut)).bind(account.to_string()).bind(i64::from(bill));
        let Some(row) = query.fetch_optional(self.store().pool()).await? else { return Ok(None) };
        let billed = row.units(0)?;
        // What was refunded so far grows with each refund. Entries of format version 2 do not say it.
        let sums = format!(
            "SELECT CAST(COALESCE(MAX(refunded_of_bill), 0) AS BIGINT) AS refunded, \
             CAST(COALESCE(SUM(CASE WHEN original = 0 THEN amount ELSE 0 END), 0) AS BIGINT) AS of_version_2, \
             CAST(COALESCE(MAX(sequence), 0) AS BIGINT) AS last_told \
             FROM entries WHERE account = $1 AND detail_2 = $2 AND kind = {REFUNDED_BALANCE}"
        );
        let row = sqlx::query(AssertSqlSafe(sums)).bind(account.to_string()).bind(i64::from(bill)).fetch_one(self.store().pool()).await?;
        let (refunded, of_version_2): (i64, i64) = (row.units("refunded")?.get(), row.try_get("of_version_2")?);
        let refunded = if refunded > 0 { refunded } else { of_version_2 };
        let last_told = row.try_get::<i64, _>("last_told")?.max(self.cut_behind_gaps(partition, account, bill).await?);
        let known_until = self.known_behind(partition, last_told, known_until).await?;
        Ok(Some(OriginalBill { bill, billed, refunded: Units::new(refunded), known_until }))
    }

    /// The sequence of a bill's cut, if there are gaps and it lies behind the last of them; else 0.
    async fn cut_behind_gaps(&self, partition: u16, account: &AccountId, bill: u32) -> Result<i64, BillingError> {
        let pool = self.store().pool();
        let last = sqlx::query("SELECT CAST(COALESCE(MAX(last_sequence), 0) AS BIGINT) FROM gaps WHERE partition = $1");
        let last: i64 = last.bind(i64::from(partition)).fetch_one(pool).await?.try_get(0)?;
        if last == 0 {
            return Ok(0);
        }
        let sql = format!(
            "SELECT CAST(COALESCE(MAX(sequence), 0) AS BIGINT) FROM entries \
             WHERE partition = $1 AND sequence > $2 AND account = $3 AND bill = $4 AND kind IN ({CUTS})"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(partition)).bind(last).bind(account.to_string()).bind(i64::from(bill));
        Ok(query.fetch_one(pool).await?.try_get(0)?)
    }
}

/// The numbers of the wanted kinds.
fn of_kinds(are_wanted: impl Fn(EntryKind) -> bool) -> String {
    kinds::list(EntryKind::ALL.into_iter().filter(|kind| are_wanted(*kind)))
}
