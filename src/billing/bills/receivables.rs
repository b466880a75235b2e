//! Receivables: open amounts of invoices, their age, and what is on no document yet; and the allocations.
//!
//! At every position of the journal it ties to the ledger: the totals of postpaid accounts are their amounts due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::position::{JournalPosition, position};
use crate::record::narrow;
use crate::scope::Scope;
use crate::store::Columns;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::{Millis, UnixMillis};

const DAY: Millis = 86_400_000;

/// What paid open invoices, and no longer does. It is summed up here and not by the store, which would do so for all accounts at once.
const REOPENED: Table = Table {
    name: "(SELECT payables.account, payables.document, payables.open_amount, COALESCE(issued.number, '') AS number, \
           COALESCE(issued.due_at, 0) AS due_at, allocations.sequence, allocations.time, allocations.amount \
           FROM payables JOIN allocations ON allocations.document = payables.document \
           LEFT JOIN issued ON issued.document = payables.document \
           WHERE payables.open_amount > 0 AND allocations.sequence > 0) AS reopened",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const OPEN: Table = Table {
    name: "(SELECT payables.account, payables.open_amount, COALESCE(issued.due_at, 0) AS due_at FROM payables \
           LEFT JOIN issued ON issued.document = payables.document WHERE payables.open_amount > 0) AS open_ones",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const ACCOUNTS: Table = Table {
    name: "(SELECT accounts.account, accounts.name, accounts.currency, accounts.decimals, accounts.minor_digits, accounts.balance, \
           COALESCE(dues.amount, 0) AS due FROM accounts LEFT JOIN dues ON dues.account = accounts.account) AS owing",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const SET_ASIDE: Table = Table {
    name: "(SELECT account, set_aside FROM credits WHERE set_aside > 0) AS set_aside_ones",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

/// What an account owes, by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountReceivables {
    pub account: AccountId,
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// Not due yet; overdue for up to 30 days, up to 60, up to 90, and for longer.
    pub buckets: [Units; 5],
    /// What is due and on no document yet, of a postpaid account: the debt of a conversion, until the period ends.
    pub not_invoiced: Units,
    /// What the account has paid in that pays none of it: what an operator has set aside, or what is below one minor unit.
    pub unallocated: Units,
    /// Parts of it that had been paid, and are due again since the payment was taken back.
    pub reopened: Vec<Reopened>,
}

/// A part of an invoice that is due again, because what had paid it was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    /// The invoice's number; empty if it has none yet.
    pub invoice: String,
    /// When what had paid it was taken back.
    pub reopened_at: UnixMillis,
    /// By when it is to be paid: the invoice's day, or that of the reversal, if later.
    pub due_at: UnixMillis,
    /// How much of it is open.
    pub open: Units,
}

impl AccountReceivables {
    /// What is due in all: of a postpaid account, what the ledger says.
    #[must_use]
    pub fn total(&self) -> Units {
        self.buckets.iter().sum::<Units>() + self.not_invoiced - self.unallocated
    }

    fn bucket(&mut self, due_at: UnixMillis, now: UnixMillis) -> Option<&mut Units> {
        let overdue = (now - due_at).max(0);
        // Up to 30 days, up to 60, up to 90, each end included; a moment more is a day more.
        let place = if overdue == 0 { 0 } else { 1 + usize::try_from((overdue - 1) / (30 * DAY)).unwrap_or(3).min(3) };
        self.buckets.get_mut(place)
    }
}

/// A part of a credit that pays an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The request id of the payment (or refund, or correction); empty means paid in before anything was known of credits.
    pub credit: RequestId,
    /// The invoice's number; empty if it has none yet.
    pub invoice: String,
    /// The invoice's id.
    pub document: i64,
    /// When it was allocated, or taken back.
    pub time: UnixMillis,
    /// How much; negative: it no longer pays it, since it bounced.
    pub amount: Units,
}

impl Billing {
    /// What is due by age, of accounts that owe anything, in the order of their ids, after the given one; of one account, or of all
    /// in a scope. And the journal position that this reflects.
    pub async fn receivables(
        &self,
        now: UnixMillis,
        account: Option<&AccountId>,
        after: Option<&str>,
        count: usize,
        scope: Option<&Scope>,
    ) -> Result<(Vec<AccountReceivables>, JournalPosition), BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let accounts = match account {
            Some(account) => vec![account.to_owned()],
            None => owing(connection, after.unwrap_or_default(), count, scope).await?,
        };
        let keys: Vec<_> = accounts.iter().map(|account| vec![account.as_str().into()]).collect();
        let dialect = self.store().dialect();
        let mut found = BTreeMap::new();
        let mut balances = HashMap::new();
        for row in ACCOUNTS.find(connection, dialect, "*", &keys).await? {
            let account = row.account_id("account")?;
            balances.insert(account.clone(), row.units("balance")?);
            let of = AccountReceivables {
                account: account.clone(),
                name: row.try_get("name")?,
                currency: row.try_get("currency")?,
                decimals: narrow(&row, "decimals")?,
                minor_digits: narrow(&row, "minor_digits")?,
                buckets: [Units::ZERO; 5],
                not_invoiced: row.units("due")?,
                unallocated: Units::ZERO,
                reopened: Vec::new(),
            };
            found.insert(account, of);
        }
        for row in OPEN.find(connection, dialect, "*", &keys).await? {
            let due_at: UnixMillis = row.instant("due_at")?;
            // One that is not issued yet is not due.
            let due_at = if due_at.is_none() { now } else { due_at };
            if let Some(bucket) = found.get_mut(&row.account_id("account")?).and_then(|of| of.bucket(due_at, now)) {
                *bucket += row.units("open_amount")?;
            }
        }
        let mut set_aside: HashMap<AccountId, Units> = HashMap::new();
        for row in SET_ASIDE.find(connection, dialect, "*", &keys).await? {
            *set_aside.entry(row.account_id("account")?).or_default() += row.units("set_aside")?;
        }
        let mut found: Vec<_> = found.into_values().collect();
        for of in &mut found {
            let open: Units = of.buckets.iter().sum();
            let set_aside = set_aside.get(&of.account).copied().unwrap_or_default();
            let balance = balances.get(&of.account).copied().unwrap_or_default();
            of.unallocated = set_aside.max(balance + open).min(open + of.not_invoiced);
        }
        found.retain(|of| !of.not_invoiced.is_zero() || of.buckets.iter().any(|bucket| !bucket.is_zero()));
        self.reopen(connection, &mut found, now).await?;
        let position = position(connection).await?;
        transaction.commit().await?;
        Ok((found, position))
    }

    /// Moves the parts that are due again to where they belong. What pays an invoice pays what was due first; so what was reopened last is
    /// open for longest.
    async fn reopen(&self, connection: &mut AnyConnection, found: &mut [AccountReceivables], now: UnixMillis) -> Result<(), BillingError> {
        let keys: Vec<_> = found.iter().map(|one| vec![one.account.as_str().into()]).collect();
        let rows = REOPENED.find(connection, self.store().dialect(), "*", &keys).await?;
        drop(keys);
        // By what took it back, newest first, and by invoice: where that is more than it paid at once, it reopened it.
        let mut sums: BTreeMap<(Reverse<i64>, i64), (UnixMillis, Units, &AnyRow)> = BTreeMap::new();
        for row in &rows {
            let place = (Reverse(row.try_get("sequence")?), row.try_get("document")?);
            let (time, sum, _) = sums.entry(place).or_insert((UnixMillis::NONE, Units::ZERO, row));
            *time = (*time).max(row.instant("time")?);
            *sum += row.units("amount")?;
        }
        let mut left: HashMap<i64, Units> = HashMap::new();
        for ((_, document), (reopened_at, sum, row)) in sums.into_iter().filter(|(_, (_, sum, _))| *sum < Units::ZERO) {
            let account = row.account_id("account")?;
            let Some(of) = found.iter_mut().find(|of| of.account == account) else { continue };
            let open = left.entry(document).or_insert(row.units("open_amount")?);
            let part = (-sum).min(*open);
            *open -= part;
            let due_at: UnixMillis = row.instant("due_at")?;
            // One that is not issued yet is not due.
            let due_at = if due_at.is_none() { now } else { due_at };
            let again = due_at.max(self.settings().end_of_day(reopened_at, 0)?);
            if part > Units::ZERO {
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

    /// What paid what of an account's invoices, newest first.
    pub async fn allocations(&self, account: &AccountId, count: usize) -> Result<Vec<Allocation>, BillingError> {
        let rows = sqlx::query(
            "SELECT COALESCE(credits.request_id, '') AS credit, COALESCE(issued.number, '') AS invoice, allocations.document, \
                    allocations.time, allocations.amount \
             FROM allocations LEFT JOIN issued ON issued.document = allocations.document \
             LEFT JOIN credits ON credits.account = allocations.account AND credits.sequence = allocations.credit \
             WHERE allocations.account = $1 ORDER BY allocations.sequence DESC, allocations.document DESC, allocations.credit DESC LIMIT $2",
        )
        .bind(account.to_string())
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(self.store().pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Allocation {
                credit: row.request_id("credit")?,
                invoice: row.try_get("invoice")?,
                document: row.try_get("document")?,
                time: row.instant("time")?,
                amount: row.units("amount")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Accounts behind one that owe anything.
async fn owing(connection: &mut AnyConnection, after: &str, count: usize, scope: Option<&Scope>) -> Result<Vec<AccountId>, BillingError> {
    let mut accounts = Vec::new();
    let is_meant = scope.map_or("1 = 1".to_owned(), |scope| {
        scope.condition("account", |account| {
            accounts.push(account);
            format!("${}", accounts.len() + 2)
        })
    });
    let sql = format!(
        "SELECT account FROM (\
         SELECT account FROM (SELECT DISTINCT account FROM payables WHERE open_amount > 0 AND account > $1 AND {is_meant} \
         ORDER BY account LIMIT $2) AS with_invoices UNION \
         SELECT account FROM (SELECT account FROM dues WHERE account > $1 AND {is_meant} ORDER BY account LIMIT $2) AS with_dues) AS owing \
         ORDER BY account LIMIT $2"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(after.to_owned()).bind(i64::try_from(count).unwrap_or(i64::MAX));
    let query = accounts.into_iter().fold(query, |query, account| query.bind(account));
    query.fetch_all(connection).await?.iter().map(|row| Ok(row.account_id("account")?)).collect()
}
