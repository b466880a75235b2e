//! What is open, for how long, and what paid what.

use std::collections::HashMap;

use sqlx::Row;

use crate::billing::record::narrow;
use crate::billing::store::rows::{Table, Type};
use crate::billing::{Billing, BillingError};
use crate::domain::account::Millis;

const DAY: Millis = 86_400_000;

/// What was opened again of open invoices, by what took it back: more than that paid at once.
const REOPENED: Table = Table {
    name: "(SELECT payables.account, payables.document, payables.open_amount, COALESCE(issued.number, '') AS number, \
           COALESCE(issued.due_at, 0) AS due_at, allocations.sequence, MAX(allocations.time) AS time, \
           CAST(-SUM(allocations.amount) AS BIGINT) AS amount \
           FROM payables JOIN allocations ON allocations.document = payables.document \
           LEFT JOIN issued ON issued.document = payables.document WHERE payables.open_amount > 0 \
           GROUP BY payables.account, payables.document, payables.open_amount, issued.number, issued.due_at, allocations.sequence \
           HAVING SUM(allocations.amount) < 0) AS reopened",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

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
    /// Parts of it that had been paid, and are due again since the payment was taken back.
    pub reopened: Vec<Reopened>,
}

/// A part of an invoice that is due again, because what had paid it was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    /// The invoice's number; empty: it has none yet.
    pub invoice: String,
    /// When what had paid it was taken back.
    pub reopened_at: Millis,
    /// By when it is to be paid: the invoice's day, or that of the reversal, if later.
    pub due_at: Millis,
    /// How much of it is open.
    pub open: i64,
}

impl AccountReceivables {
    fn bucket(&mut self, due_at: Millis, now: Millis) -> Option<&mut i64> {
        let overdue = (now - due_at).max(0);
        // Up to 30 days, up to 60, up to 90, each end included; a moment more is a day more.
        let place = if overdue == 0 { 0 } else { 1 + usize::try_from((overdue - 1) / (30 * DAY)).unwrap_or(3).min(3) };
        self.buckets.get_mut(place)
    }
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
                reopened: Vec::new(),
            })
        };
        let mut found = rows.iter().map(read).collect::<Result<Vec<AccountReceivables>, BillingError>>()?;
        self.reopen(&mut found, now).await?;
        Ok(found)
    }

    /// Moves the parts that are due again to where they belong. What pays an invoice pays what was due first; so what was reopened last is
    /// open for longest.
    async fn reopen(&self, found: &mut [AccountReceivables], now: Millis) -> Result<(), BillingError> {
        let keys: Vec<_> = found.iter().map(|one| vec![one.account.as_str().into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        let mut rows = REOPENED.find(&mut connection, self.store().dialect(), "*", &keys).await?;
        drop(keys);
        let mut left: HashMap<i64, i64> = HashMap::new();
        rows.sort_by_key(|row| std::cmp::Reverse(row.try_get::<i64, _>("sequence").unwrap_or_default()));
        for row in &rows {
            let account: String = row.try_get("account")?;
            let Some(of) = found.iter_mut().find(|of| of.account == account) else { continue };
            let open = left.entry(row.try_get("document")?).or_insert(row.try_get("open_amount")?);
            let part = row.try_get::<i64, _>("amount")?.min(*open);
            *open -= part;
            let (due_at, reopened_at): (Millis, Millis) = (row.try_get("due_at")?, row.try_get("time")?);
            // One that is not issued yet is not due.
            let due_at = if due_at == 0 { now } else { due_at };
            let again = due_at.max(self.settings().end_of_day(reopened_at, 0)?);
            if part > 0 {
                for (due_at, change) in [(due_at, -part), (again, part)] {
                    if let Some(bucket) = of.bucket(due_at, now) {
                        *bucket += change;
                    }
                }
                of.reopened.push(Reopened { invoice: row.try_get("number")?, reopened_at, due_at: again, open: part });
            }
        }
        Ok(())
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
