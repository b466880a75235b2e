//! What the billing store knows of earlier charges, payments and bills, however long ago they were: what late refunds and reversals need.

use sqlx::{AssertSqlSafe, Row};

use super::record::{coded, narrow, request_key};
use super::{Billing, BillingError};
use crate::domain::command::{BillFacts, Facts};
use crate::domain::entry::EntryKind;

impl Billing {
    /// Up to which entry a partition's journal was taken in. What is read afterwards knows at least these.
    pub async fn known_until(&self, partition: u16) -> Result<u64, BillingError> {
        let query = sqlx::query("SELECT next_sequence FROM partitions WHERE partition = $1").bind(i64::from(partition));
        let row = query.fetch_optional(self.store().pool()).await?;
        Ok(row.as_ref().map(|row| narrow::<u64>(row, "next_sequence")).transpose()?.unwrap_or(1).saturating_sub(1))
    }

    /// The last charge (payment, write-off) of that request id, and what was given back of it.
    pub async fn original(
        &self,
        account: &str,
        request_id: &str,
        is_wanted: fn(EntryKind) -> bool,
        known_until: u64,
    ) -> Result<Option<Facts>, BillingError> {
        // The kinds of the indexes stand beside those that are wanted: SQLite uses an index only if its condition is repeated.
        let sql = format!(
            "SELECT sequence, kind, amount, bill, COALESCE((SELECT later.detail_1 FROM entries AS later \
             WHERE later.account = $2 AND later.refers_to = $3 AND later.kind IN (6, 7, 9, 25) AND later.kind IN ({given_back}) \
             AND later.sequence > entries.sequence ORDER BY later.sequence DESC LIMIT 1), 0) AS given_back \
             FROM entries WHERE request_key = $1 AND account = $2 AND request_id = $3 \
             AND kind IN (3, 4, 5, 8, 23, 24) AND kind IN ({wanted}) ORDER BY sequence DESC LIMIT 1",
            wanted = kinds(is_wanted),
            given_back = kinds(|kind| match kind {
                EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => is_wanted(EntryKind::ChargedBalance),
                EntryKind::PaymentReversed => is_wanted(EntryKind::ToppedUp),
                EntryKind::WriteOffReversed => is_wanted(EntryKind::WrittenOff),
                _ => false,
            }),
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(request_key(account, request_id));
        let query = query.bind(account.to_owned()).bind(request_id.to_owned());
        let Some(row) = query.fetch_optional(self.store().pool()).await? else { return Ok(None) };
        Ok(Some(Facts {
            sequence: narrow(&row, "sequence")?,
            kind: coded(&row, "kind", EntryKind::from_number)?,
            amount: row.try_get("amount")?,
            bill: narrow(&row, "bill")?,
            given_back: row.try_get("given_back")?,
            known_until,
        }))
    }

    /// The sums of a bill; none: it is not cut, as far as is known here.
    pub async fn bill_sums(&self, account: &str, bill: u32, known_until: u64) -> Result<Option<BillFacts>, BillingError> {
        let cut = "SELECT amount FROM totals WHERE account = $1 AND bill = $2 AND kind IN (14, 15)";
        let query = sqlx::query(cut).bind(account.to_owned()).bind(i64::from(bill));
        let Some(row) = query.fetch_optional(self.store().pool()).await? else { return Ok(None) };
        let billed = row.try_get(0)?;
        // What was refunded so far grows with each refund. Entries of format version 2 do not say it.
        let sums = "SELECT CAST(COALESCE(MAX(refunded_of_bill), 0) AS BIGINT) AS refunded, \
                    CAST(COALESCE(SUM(CASE WHEN original = 0 THEN amount ELSE 0 END), 0) AS BIGINT) AS of_version_2 \
                    FROM entries WHERE account = $1 AND detail_2 = $2 AND kind = 6";
        let row = sqlx::query(sums).bind(account.to_owned()).bind(i64::from(bill)).fetch_one(self.store().pool()).await?;
        let (refunded, of_version_2): (i64, i64) = (row.try_get("refunded")?, row.try_get("of_version_2")?);
        let refunded = if refunded > 0 { refunded } else { of_version_2 };
        Ok(Some(BillFacts { bill, billed, refunded, known_until }))
    }
}

/// The numbers of kinds, for a list in SQL.
fn kinds(are_wanted: impl Fn(EntryKind) -> bool) -> String {
    let wanted = EntryKind::ALL.into_iter().filter(|kind| are_wanted(*kind));
    wanted.map(|kind| (kind as u8).to_string()).collect::<Vec<_>>().join(", ")
}
