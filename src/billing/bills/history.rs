//! What an account was charged in the months that are closed, and whether the last one is billed: what advice is told from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::Row;

use crate::billing::record::{coded, narrow};
use crate::billing::{Billing, BillingError};
use crate::domain::account::Millis;
use crate::domain::entry::EntryKind;

/// The charges of a calendar month, refunds within their bills deducted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthOfCharges {
    /// Its first instant.
    pub from: Millis,
    /// Its end.
    pub to: Millis,
    /// Usage, subscriptions, hardware, services, in units of the account.
    pub by_category: [i64; 4],
}

/// How many closed months are told of.
const MONTHS: usize = 3;

/// How many of the last bills are looked at for them: three months of bills, and some more of single charges and conversions.
const BILLS: i64 = 400;

impl Billing {
    /// The last closed months in which the account was charged, or billed, the newest first.
    pub async fn history(&self, account: &str) -> Result<Vec<MonthOfCharges>, BillingError> {
        let zone = self.settings().zone()?;
        let rows = sqlx::query(
            "SELECT bills.cut_at, bills.cause, COALESCE(totals.kind, 0) AS kind, COALESCE(totals.category, 0) AS category, \
                    COALESCE(totals.amount, 0) AS amount, partitions.last_time \
             FROM (SELECT account, bill, cut_at, cause FROM documents WHERE account = $1 AND kind <> 'credit_note' \
                   ORDER BY cut_at DESC, id DESC LIMIT $2) AS bills \
             JOIN accounts ON accounts.account = bills.account JOIN partitions ON partitions.partition = accounts.partition \
             LEFT JOIN totals ON totals.account = bills.account AND totals.bill = bills.bill AND totals.kind IN (3, 4, 5, 7)",
        )
        .bind(account.to_owned())
        .bind(BILLS)
        .fetch_all(self.store().pool())
        .await?;
        let mut months: BTreeMap<Millis, MonthOfCharges> = BTreeMap::new();
        for row in &rows {
            let (cut_at, last_time): (Millis, Millis) = (row.try_get("cut_at")?, row.try_get("last_time")?);
            let cause: String = row.try_get("cause")?;
            // A period ends where the next one begins.
            let at = if cause == "period_end" { cut_at - 1 } else { cut_at };
            let (from, to) = month_of(at, &zone)?;
            if to > last_time.max(cut_at) {
                continue;
            }
            let month = months.entry(from).or_insert(MonthOfCharges { from, to, by_category: [0; 4] });
            let category: usize = narrow(row, "category")?;
            let amount: i64 = row.try_get("amount")?;
            let amount = match row.try_get::<i64, _>("kind")? {
                0 => continue,
                _ if coded(row, "kind", EntryKind::from_number)? == EntryKind::RefundedUnbilled => -amount,
                _ => amount,
            };
            // What has no category is usage.
            if let Some(sum) = month.by_category.get_mut(category.max(1) - 1) {
                *sum += amount;
            }
        }
        Ok(months.into_values().rev().take(MONTHS).collect())
    }

    /// Whether the document of the month before `now` was issued. None: there is nothing to bill.
    pub async fn month_is_billed(&self, account: &str, now: Millis) -> Result<Option<bool>, BillingError> {
        let (boundary, _) = month_of(now, &self.settings().zone()?)?;
        let billed = sqlx::query(
            "SELECT CASE WHEN issued.document IS NULL THEN 0 ELSE 1 END AS is_issued FROM documents \
             LEFT JOIN issued ON issued.document = documents.id \
             WHERE documents.account = $1 AND documents.cut_at = $2 AND documents.cause = 'period_end'",
        )
        .bind(account.to_owned())
        .bind(boundary)
        .fetch_optional(self.store().pool())
        .await?;
        if let Some(row) = billed {
            return Ok(Some(narrow::<i64>(&row, "is_issued")? == 1));
        }
        // An open bill from before the boundary is due to be closed.
        let open = sqlx::query(
            "SELECT totals.bill FROM accounts JOIN totals ON totals.account = accounts.account AND totals.bill = accounts.bill \
             WHERE accounts.account = $1 AND totals.first_at < $2 LIMIT 1",
        )
        .bind(account.to_owned())
        .bind(boundary)
        .fetch_optional(self.store().pool())
        .await?;
        Ok(open.map(|_| false))
    }
}

/// The calendar month that an instant lies in.
fn month_of(at: Millis, zone: &TimeZone) -> Result<(Millis, Millis), BillingError> {
    let month = || {
        let first = Timestamp::from_millisecond(at)?.to_zoned(zone.clone()).date().first_of_month();
        let next = first.checked_add(jiff::Span::new().months(1))?;
        let start = |date: Date| Ok::<_, jiff::Error>(date.to_zoned(zone.clone())?.timestamp().as_millisecond());
        Ok::<_, jiff::Error>((start(first)?, start(next)?))
    };
    month().map_err(BillingError::corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_one_of_the_calendar_of_the_zone() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let march = (at("2026-02-28T23:00:00Z"), at("2026-03-31T22:00:00Z"));
        assert_eq!(month_of(at("2026-02-28T23:00:00Z"), &berlin).unwrap(), march);
        assert_eq!(month_of(at("2026-03-31T21:59:59.999Z"), &berlin).unwrap(), march);
    }
}
