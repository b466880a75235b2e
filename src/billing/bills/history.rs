//! What an account was charged in the months that are closed, and whether the last one is billed: what advice is made from.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::{AssertSqlSafe, Row};

use crate::kinds::{CHARGED_BALANCE, ITEMS, REFUNDED_BALANCE, WRITE_OFFS, WRITTEN_OFF};
use crate::record::{coded, narrow};
use crate::sending::mail_queries::DocumentSending;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::entry::EntryKind;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// The charges of a calendar month, refunds within their bills deducted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthOfCharges {
    /// Its first instant.
    pub from: UnixMillis,
    /// Its end.
    pub to: UnixMillis,
    /// Usage, subscriptions, hardware, services, in units of the account.
    pub by_category: [Units; 4],
}

/// How far the document of a month is: generated, then sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonthBill {
    /// There was nothing to bill.
    NothingToBill,
    /// There is something to bill, and no document with a number yet.
    NotYetGenerated,
    /// It has its number, and its mail is so far; `None` if it was never to be sent.
    Generated(Option<DocumentSending>),
}

/// How many closed months are returned.
const MONTHS: usize = 3;

/// Which documents are of a month: a period ends where the next one begins.
const OF_MONTH: &str = "documents.account = $1 AND documents.kind <> 'credit_note' AND \
                        ((documents.cause = 'period_end' AND documents.cut_at > $2 AND documents.cut_at <= $3) \
                         OR (documents.cause <> 'period_end' AND documents.cut_at >= $2 AND documents.cut_at < $3))";

impl Billing {
    /// The last closed months in which the account was charged, the newest first.
    pub async fn history(&self, account: &AccountId) -> Result<Vec<MonthOfCharges>, BillingError> {
        let zone = self.settings().zone()?;
        let mut months = Vec::new();
        let mut before = UnixMillis::MAX;
        while months.len() < MONTHS {
            let newest = sqlx::query(
                "SELECT documents.cut_at, documents.cause, partitions.last_time FROM documents \
                 JOIN accounts ON accounts.account = documents.account JOIN partitions ON partitions.partition = accounts.partition \
                 WHERE documents.account = $1 AND documents.kind <> 'credit_note' \
                 AND (documents.cut_at < $2 OR (documents.cut_at = $2 AND documents.cause = 'period_end')) \
                 ORDER BY documents.cut_at DESC, documents.id DESC LIMIT 1",
            )
            .bind(account.to_string())
            .bind(before.get())
            .fetch_optional(self.store().pool())
            .await?;
            let Some(row) = newest else { break };
            let (cut_at, last_time): (UnixMillis, UnixMillis) = (row.instant("cut_at")?, row.instant("last_time")?);
            let is_period = row.try_get::<String, _>("cause")? == "period_end";
            let (from, to) = month_of(if is_period { cut_at - 1 } else { cut_at }, &zone)?;
            before = from;
            if to <= last_time.max(cut_at) {
                months.push(self.month(account, from, to).await?);
            }
        }
        Ok(months)
    }

    /// The charges of a month, without what was given back within their bills, or of prepaid charges.
    async fn month(&self, account: &AccountId, from: UnixMillis, to: UnixMillis) -> Result<MonthOfCharges, BillingError> {
        let totals = format!(
            "SELECT totals.kind, totals.category, CAST(SUM(totals.amount) AS BIGINT) AS amount FROM documents \
             JOIN totals ON totals.account = documents.account AND totals.bill = documents.bill \
             WHERE {OF_MONTH} AND totals.kind IN ({ITEMS}) GROUP BY totals.kind, totals.category"
        );
        let refunds = format!(
            "SELECT refunds.kind, refunds.category, CAST(SUM(refunds.amount) AS BIGINT) AS amount FROM documents \
             JOIN refunds ON refunds.account = documents.account AND refunds.bill = documents.bill \
             WHERE {OF_MONTH} AND refunds.kind = {REFUNDED_BALANCE} AND refunds.charge_kind = {CHARGED_BALANCE} GROUP BY refunds.kind, refunds.category"
        );
        let mut month = MonthOfCharges { from, to, by_category: [Units::ZERO; 4] };
        for sql in [totals, refunds] {
            let rows =
                sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(from.get()).bind(to.get()).fetch_all(self.store().pool());
            for row in rows.await? {
                let category: usize = narrow(&row, "category")?;
                let kind: EntryKind = coded(&row, "kind", EntryKind::from_number)?;
                let amount: Units = row.units("amount")?;
                // What has no category is usage.
                if let Some(sum) = month.by_category.get_mut(category.max(1) - 1) {
                    *sum += if kind.is_charge() { amount } else { -amount };
                }
            }
        }
        Ok(month)
    }

    /// What was written off of an account's debts, less what was taken back of that.
    pub async fn written_off(&self, account: &AccountId) -> Result<i64, BillingError> {
        let sql = format!(
            "SELECT CAST(COALESCE(SUM(CASE kind WHEN {WRITTEN_OFF} THEN amount ELSE -amount END), 0) AS BIGINT) AS amount FROM totals \
             WHERE account = $1 AND kind IN ({WRITE_OFFS})"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).fetch_one(self.store().pool()).await?;
        Ok(row.units("amount")?.get())
    }

    /// How far the document of the month before `now` is.
    pub async fn last_month(&self, account: &AccountId, now: UnixMillis) -> Result<MonthBill, BillingError> {
        let (boundary, _) = month_of(now, &self.settings().zone()?)?;
        let billed = sqlx::query(
            "SELECT documents.id, CASE WHEN issued.document IS NULL THEN 0 ELSE 1 END AS is_issued FROM documents \
             LEFT JOIN issued ON issued.document = documents.id \
             WHERE documents.account = $1 AND documents.cut_at = $2 AND documents.cause = 'period_end'",
        )
        .bind(account.to_string())
        .bind(boundary.get())
        .fetch_optional(self.store().pool())
        .await?;
        if let Some(row) = billed {
            if narrow::<i64>(&row, "is_issued")? != 1 {
                return Ok(MonthBill::NotYetGenerated);
            }
            let id: i64 = row.try_get("id")?;
            return Ok(MonthBill::Generated(self.sending_of(&[id]).await?.remove(&id)));
        }
        // An open bill from before the boundary is due to be closed.
        let open = sqlx::query(
            "SELECT totals.bill FROM accounts JOIN totals ON totals.account = accounts.account AND totals.bill = accounts.bill \
             WHERE accounts.account = $1 AND totals.first_at < $2 LIMIT 1",
        )
        .bind(account.to_string())
        .bind(boundary.get())
        .fetch_optional(self.store().pool())
        .await?;
        Ok(open.map_or(MonthBill::NothingToBill, |_| MonthBill::NotYetGenerated))
    }
}

/// The calendar month that an instant lies in.
fn month_of(at: UnixMillis, zone: &TimeZone) -> Result<(UnixMillis, UnixMillis), BillingError> {
    let month = || {
        let first = Timestamp::from_millisecond(at.get())?.to_zoned(zone.clone()).date().first_of_month();
        let next = first.checked_add(jiff::Span::new().months(1))?;
        let start = |date: Date| Ok::<_, jiff::Error>(UnixMillis::new(date.to_zoned(zone.clone())?.timestamp().as_millisecond()));
        Ok::<_, jiff::Error>((start(first)?, start(next)?))
    };
    month().map_err(BillingError::corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_of_the_calendar_of_the_zone() {
        let at = |text: &str| UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond());
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let march = (at("2026-02-28T23:00:00Z"), at("2026-03-31T22:00:00Z"));
        assert_eq!(month_of(at("2026-02-28T23:00:00Z"), &berlin).unwrap(), march);
        assert_eq!(month_of(at("2026-03-31T21:59:59.999Z"), &berlin).unwrap(), march);
    }
}
