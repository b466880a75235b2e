//! What is open, for how long, and what paid what.

use sqlx::Row;

use crate::billing::record::narrow;
use crate::billing::{Billing, BillingError};
use crate::domain::account::Millis;

const DAY: Millis = 86_400_000;

/// What an account owes, by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountReceivables {
    /// The account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// Not due yet; overdue for up to 30 days, up to 60, up to 90, and for longer.
    pub buckets: [i64; 5],
}

/// A part of a credit that pays an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The request id of the payment (or refund, or correction); empty: paid in before anything was known of credits.
    pub credit: String,
    /// The invoice's number; empty: it has none yet.
    pub invoice: String,
    /// The invoice's id.
    pub document: i64,
    /// When it was allocated, or taken back.
    pub time: Millis,
    /// How much; negative: it no longer pays it, since it bounced.
    pub amount: i64,
}

impl Billing {
    /// What is open by age, of accounts that owe anything, in the order of their ids, after the given one; of one account, or of all.
    pub async fn receivables(
        &self,
        now: Millis,
        account: Option<&str>,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<AccountReceivables>, BillingError> {
        let rows = sqlx::query(
            "SELECT aged.account, COALESCE(MAX(accounts.name), '') AS name, COALESCE(MAX(accounts.currency), '') AS currency, \
                    COALESCE(MAX(accounts.decimals), 0) AS decimals, COALESCE(MAX(accounts.minor_digits), 0) AS minor_digits, \
                    CAST(SUM(CASE WHEN due_at >= $1 THEN open_amount ELSE 0 END) AS BIGINT) AS not_due, \
                    CAST(SUM(CASE WHEN due_at < $1 AND due_at >= $2 THEN open_amount ELSE 0 END) AS BIGINT) AS to_30, \
                    CAST(SUM(CASE WHEN due_at < $2 AND due_at >= $3 THEN open_amount ELSE 0 END) AS BIGINT) AS to_60, \
                    CAST(SUM(CASE WHEN due_at < $3 AND due_at >= $4 THEN open_amount ELSE 0 END) AS BIGINT) AS to_90, \
                    CAST(SUM(CASE WHEN due_at < $4 THEN open_amount ELSE 0 END) AS BIGINT) AS over_90 \
             FROM (SELECT payables.account, payables.open_amount, COALESCE(issued.due_at, $1) AS due_at FROM payables \
                   LEFT JOIN issued ON issued.document = payables.document \
                   WHERE open_amount > 0 AND payables.account > $5 AND ($6 = '' OR payables.account = $6)) AS aged \
             LEFT JOIN accounts ON accounts.account = aged.account \
             GROUP BY aged.account ORDER BY aged.account LIMIT $7",
        )
        .bind(now)
        .bind(now - 30 * DAY)
        .bind(now - 60 * DAY)
        .bind(now - 90 * DAY)
        .bind(after.unwrap_or_default().to_owned())
        .bind(account.unwrap_or_default().to_owned())
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(self.store().pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(AccountReceivables {
                account: row.try_get("account")?,
                name: row.try_get("name")?,
                currency: row.try_get("currency")?,
                decimals: narrow(row, "decimals")?,
                minor_digits: narrow(row, "minor_digits")?,
                buckets: [
                    row.try_get("not_due")?,
                    row.try_get("to_30")?,
                    row.try_get("to_60")?,
                    row.try_get("to_90")?,
                    row.try_get("over_90")?,
                ],
            })
        };
        rows.iter().map(read).collect()
    }

    /// What paid what of an account's invoices, the last first.
    pub async fn allocations(&self, account: &str, count: usize) -> Result<Vec<Allocation>, BillingError> {
        let rows = sqlx::query(
            "SELECT COALESCE(credits.request_id, '') AS credit, COALESCE(issued.number, '') AS invoice, allocations.document, \
                    allocations.time, allocations.amount \
             FROM allocations LEFT JOIN issued ON issued.document = allocations.document \
             LEFT JOIN credits ON credits.account = allocations.account AND credits.sequence = allocations.credit \
             WHERE allocations.account = $1 ORDER BY allocations.sequence DESC, allocations.document DESC, allocations.credit DESC LIMIT $2",
        )
        .bind(account.to_owned())
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(self.store().pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Allocation {
                credit: row.try_get("credit")?,
                invoice: row.try_get("invoice")?,
                document: row.try_get("document")?,
                time: row.try_get("time")?,
                amount: row.try_get("amount")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
