//! Receivables: open amounts of invoices, their age, and what is on no document yet; and the allocations.
//!
//! At every position of the journal it ties to the ledger: the totals of postpaid accounts are their amounts due. [`as_of`] makes them of an
//! earlier day.

mod as_of;
pub mod ordered;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::position::{JournalPosition, position};
use crate::record::narrow;
use crate::scope::Scope;
use crate::settings::BillingSettings;
use crate::store::Columns;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;

/// What paid open invoices, and no longer does. It is summed up here and not by the store, which would do so for all accounts at once.
const PAID: Table = Table {
    name: "(SELECT payables.account, allocations.document, allocations.sequence, allocations.time, allocations.amount \
           FROM payables JOIN allocations ON allocations.document = payables.document \
           WHERE payables.open_amount > 0 AND allocations.sequence > 0) AS paid",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const OPEN: Table = Table {
    name: "(SELECT payables.account, payables.document, payables.open_amount, COALESCE(issued.number, '') AS number, \
           COALESCE(issued.due_at, 0) AS due_at FROM payables \
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
    /// When the oldest of its open invoices was to be paid; `None` if none of them is issued.
    pub oldest_due_at: Option<UnixMillis>,
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

    /// One that owes nothing yet, of a row of an account.
    fn of_row(row: &AnyRow) -> Result<Self, BillingError> {
        Ok(Self {
            account: row.account_id("account")?,
            name: row.try_get("name")?,
            currency: row.try_get("currency")?,
            decimals: narrow(row, "decimals")?,
            minor_digits: narrow(row, "minor_digits")?,
            buckets: [Units::ZERO; 5],
            not_invoiced: Units::ZERO,
            unallocated: Units::ZERO,
            oldest_due_at: None,
            reopened: Vec::new(),
        })
    }
}

/// Days, by which what is due is aged.
struct Ages {
    zone: TimeZone,
    now: UnixMillis,
    today: Date,
}

impl Ages {
    /// By an instant.
    fn at(now: UnixMillis, settings: &BillingSettings) -> Result<Self, BillingError> {
        let zone = settings.zone()?;
        Ok(Self { now, today: day(now, &zone), zone })
    }

    /// When it is due. What is not issued yet is not.
    fn due(&self, due_at: UnixMillis) -> UnixMillis {
        due_at.known().unwrap_or(self.now)
    }

    /// The place among the buckets of what is due at an instant: up to 30 days overdue, up to 60, up to 90, each end included.
    fn place(&self, due_at: UnixMillis) -> usize {
        let overdue = day(due_at, &self.zone).until(self.today).map_or(0, |span| span.get_days());
        usize::try_from(overdue).ok().and_then(|days| days.checked_sub(1)).map_or(0, |days| 1 + (days / 30).min(3))
    }
}

fn day(at: UnixMillis, zone: &TimeZone) -> Date {
    Timestamp::from_millisecond(at.get()).unwrap_or_default().to_zoned(zone.clone()).date()
}

/// An invoice that is not paid as a whole.
struct OpenInvoice {
    document: i64,
    number: String,
    due_at: UnixMillis,
    open: Units,
}

impl OpenInvoice {
    fn from_row(row: &AnyRow) -> Result<Self, BillingError> {
        Ok(Self {
            document: row.try_get("document")?,
            number: row.try_get("number")?,
            due_at: row.instant("due_at")?,
            open: row.units("open_amount")?,
        })
    }
}

/// What has paid a part of an invoice, or no longer does.
struct PaidPart {
    document: i64,
    /// The account's number of the entry that led to it.
    sequence: i64,
    time: UnixMillis,
    amount: Units,
}

impl PaidPart {
    fn from_row(row: &AnyRow) -> Result<Self, BillingError> {
        Ok(Self {
            document: row.try_get("document")?,
            sequence: row.try_get("sequence")?,
            time: row.instant("time")?,
            amount: row.units("amount")?,
        })
    }
}

/// What receivables of an account are made of.
struct Owing {
    /// What it is, and what it owes that is on no document yet.
    of: AccountReceivables,
    balance: Units,
    set_aside: Units,
    open: Vec<OpenInvoice>,
    paid: Vec<PaidPart>,
}

impl Owing {
    /// What it owes by age; `None` if it owes nothing.
    fn aged(self, ages: &Ages, settings: &BillingSettings) -> Result<Option<AccountReceivables>, BillingError> {
        let Self { mut of, balance, set_aside, open, paid } = self;
        let total: Units = open.iter().map(|invoice| invoice.open).sum();
        if total.is_zero() && of.not_invoiced.is_zero() {
            return Ok(None);
        }
        of.unallocated = set_aside.max(balance + total).min(total + of.not_invoiced);
        of.oldest_due_at = open.iter().filter_map(|invoice| invoice.due_at.known()).min();
        for invoice in &open {
            add(&mut of.buckets, ages.place(ages.due(invoice.due_at)), invoice.open);
        }
        reopen(&mut of, open, paid, ages, settings)?;
        Ok(Some(of))
    }
}

/// Moves the parts that are due again to where they belong. What pays an invoice pays what was due first; so what was reopened last is open
/// for longest.
fn reopen(
    of: &mut AccountReceivables,
    open: Vec<OpenInvoice>,
    paid: Vec<PaidPart>,
    ages: &Ages,
    settings: &BillingSettings,
) -> Result<(), BillingError> {
    let mut open: HashMap<i64, OpenInvoice> = open.into_iter().map(|invoice| (invoice.document, invoice)).collect();
    // By what took it back, newest first, and by invoice: where that is more than it paid at once, it reopened it.
    let mut sums: BTreeMap<(Reverse<i64>, i64), (UnixMillis, Units)> = BTreeMap::new();
    for part in paid {
        let (time, sum) = sums.entry((Reverse(part.sequence), part.document)).or_insert((UnixMillis::NONE, Units::ZERO));
        *time = (*time).max(part.time);
        *sum += part.amount;
    }
    for ((_, document), (reopened_at, sum)) in sums.into_iter().filter(|(_, (_, sum))| *sum < Units::ZERO) {
        let Some(invoice) = open.get_mut(&document) else { continue };
        let part = (-sum).min(invoice.open);
        invoice.open -= part;
        let due_at = ages.due(invoice.due_at);
        let again = due_at.max(settings.end_of_day(reopened_at, 0)?);
        if part > Units::ZERO {
            add(&mut of.buckets, ages.place(due_at), -part);
            add(&mut of.buckets, ages.place(again), part);
            of.reopened.push(Reopened { invoice: invoice.number.clone(), reopened_at, due_at: again, open: part });
        }
    }
    Ok(())
}

fn add(buckets: &mut [Units; 5], place: usize, amount: Units) {
    if let Some(bucket) = buckets.get_mut(place) {
        *bucket += amount;
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
        let found = self.of_accounts(connection, &accounts, &Ages::at(now, self.settings())?).await?;
        let position = position(connection).await?;
        transaction.commit().await?;
        Ok((found, position))
    }

    /// What these accounts owe, in their order, which is that of the store, by which the next page begins.
    async fn of_accounts(
        &self,
        connection: &mut AnyConnection,
        accounts: &[AccountId],
        ages: &Ages,
    ) -> Result<Vec<AccountReceivables>, BillingError> {
        let keys: Vec<_> = accounts.iter().map(|account| vec![account.as_str().into()]).collect();
        let dialect = self.store().dialect();
        let mut found: HashMap<AccountId, Owing> = HashMap::new();
        for row in ACCOUNTS.find(connection, dialect, "*", &keys).await? {
            let of = AccountReceivables { not_invoiced: row.units("due")?, ..AccountReceivables::of_row(&row)? };
            let owing = Owing { balance: row.units("balance")?, set_aside: Units::ZERO, open: Vec::new(), paid: Vec::new(), of };
            found.insert(owing.of.account.clone(), owing);
        }
        for row in OPEN.find(connection, dialect, "*", &keys).await? {
            if let Some(owing) = found.get_mut(&row.account_id("account")?) {
                owing.open.push(OpenInvoice::from_row(&row)?);
            }
        }
        for row in SET_ASIDE.find(connection, dialect, "*", &keys).await? {
            if let Some(owing) = found.get_mut(&row.account_id("account")?) {
                owing.set_aside += row.units("set_aside")?;
            }
        }
        for row in PAID.find(connection, dialect, "*", &keys).await? {
            if let Some(owing) = found.get_mut(&row.account_id("account")?) {
                owing.paid.push(PaidPart::from_row(&row)?);
            }
        }
        let owing = accounts.iter().filter_map(|account| found.remove(account));
        owing.map(|owing| owing.aged(ages, self.settings())).filter_map(Result::transpose).collect()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn overdue_days_are_those_of_the_calendar_whatever_the_clocks_do() {
        let settings = BillingSettings { time_zone: "Europe/Berlin".to_owned(), ..BillingSettings::default() };
        let at = |text: &str| UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond());
        // The end of 1 October, in summer time. Thirty days later, in winter time, are an hour more.
        let due_at = at("2026-10-01T21:59:59.999Z");
        let places = [
            ("2026-10-01T12:00:00Z", 0),
            ("2026-10-01T21:59:59.999Z", 0),
            ("2026-10-01T22:00:00Z", 1),
            ("2026-10-31T22:59:59.999Z", 1),
            ("2026-10-31T23:00:00Z", 2),
            ("2026-11-30T12:00:00Z", 2),
            ("2026-12-01T12:00:00Z", 3),
            ("2026-12-30T22:59:59.999Z", 3),
            ("2026-12-30T23:00:00Z", 4),
            ("2028-01-01T00:00:00Z", 4),
        ];
        for (now, place) in places {
            assert_eq!(Ages::at(at(now), &settings).unwrap().place(due_at), place, "{now}");
        }
    }
}
