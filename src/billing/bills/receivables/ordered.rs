//! Receivables in an order other than that of ids, and what all of them sum up to, by currency.

use std::collections::{BTreeMap, HashMap};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{AccountReceivables, Ages, OpenInvoice, PaidPart, add, reopen};
use crate::position::{JournalPosition, position};
use crate::record::narrow;
use crate::scope::Scope;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::money::{MAX_DECIMALS, Units};
use domain::time::UnixMillis;

/// What receivables are ordered by; what is alike, by the account's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceivablesOrder {
    /// What should have been paid first, first; at the end, what has no day yet.
    #[default]
    OldestFirst,
    /// The largest total first, in units of its currency.
    LargestFirst,
}

/// A place in an order: what an account is ordered by, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceivablesPlace {
    pub key: i64,
    pub account: String,
}

/// What receivables of a currency sum up to, in units of [`MAX_DECIMALS`] digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivablesTotal {
    /// How many accounts owe anything.
    pub accounts: usize,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    pub buckets: [Units; 5],
    pub not_invoiced: Units,
    pub unallocated: Units,
}

/// Receivables of some accounts, with what all sum up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedReceivables {
    pub receivables: Vec<AccountReceivables>,
    /// By currency.
    pub totals: BTreeMap<String, ReceivablesTotal>,
    pub position: JournalPosition,
}

/// Accounts that owe anything, with the total. A postpaid account owes what its balance lacks. One that has become prepaid may have used more
/// since, which is no debt: it owes no more than what is open, less what is set aside.
const OWED: &str = "SELECT account, currency, decimals, minor_digits, CASE WHEN lacking > 0 THEN lacking ELSE 0 END AS total FROM (\
     SELECT account, currency, decimals, minor_digits, \
     CASE WHEN mode = 1 AND open_in_prepaid < -balance THEN open_in_prepaid ELSE -balance END AS lacking FROM (\
     SELECT accounts.account, accounts.currency, accounts.decimals, accounts.minor_digits, accounts.mode, accounts.balance, \
     CASE WHEN accounts.mode = 1 THEN COALESCE((SELECT open_amount FROM open_sums WHERE open_sums.account = accounts.account), 0) \
     - CAST(COALESCE((SELECT SUM(set_aside) FROM credits WHERE credits.account = accounts.account AND set_aside > 0), 0) AS BIGINT) \
     ELSE 0 END AS open_in_prepaid \
     FROM (SELECT account FROM payables WHERE open_amount > 0 UNION SELECT account FROM dues) AS owing \
     JOIN accounts ON accounts.account = owing.account) AS compared) AS lacking_ones";

/// A total in thousandths of its currency's unit, as accounts are ordered by amounts elsewhere.
const IN_THOUSANDTHS: &str = "total * CASE decimals WHEN 0 THEN 1000 WHEN 1 THEN 100 WHEN 2 THEN 10 ELSE 1 END \
     / CASE decimals WHEN 4 THEN 10 WHEN 5 THEN 100 WHEN 6 THEN 1000 ELSE 1 END";

impl ReceivablesOrder {
    /// What stands first has the least key.
    fn sql(self) -> String {
        match self {
            Self::OldestFirst => format!(
                "COALESCE((SELECT MIN(due_at) FROM payables WHERE payables.account = owed.account AND open_amount > 0 AND due_at > 0), {})",
                i64::MAX
            ),
            Self::LargestFirst => format!("-({IN_THOUSANDTHS})"),
        }
    }

    /// The place of an account in this order.
    #[must_use]
    pub fn place(self, of: &AccountReceivables) -> ReceivablesPlace {
        let key = match self {
            Self::OldestFirst => of.oldest_due_at.map_or(i64::MAX, UnixMillis::get),
            Self::LargestFirst => {
                let power = |exponent: u8| 10_i64.pow(u32::from(exponent));
                let thousandths = of.total().saturating_mul(power(3_u8.saturating_sub(of.decimals)));
                -(thousandths.get() / power(of.decimals.saturating_sub(3)))
            }
        };
        ReceivablesPlace { key, account: of.account.to_string() }
    }
}

impl ReceivablesTotal {
    /// What all of a currency sums up to. Accounts of one currency may have different decimals.
    #[must_use]
    pub fn by_currency(receivables: &[AccountReceivables]) -> BTreeMap<String, Self> {
        let mut totals: BTreeMap<String, Self> = BTreeMap::new();
        for of in receivables {
            let total = totals.entry(of.currency.clone()).or_default();
            (total.accounts, total.minor_digits) = (total.accounts + 1, of.minor_digits);
            for (place, units) in of.buckets.iter().enumerate() {
                add(&mut total.buckets, place, finest(*units, of.decimals));
            }
            total.not_invoiced += finest(of.not_invoiced, of.decimals);
            total.unallocated += finest(of.unallocated, of.decimals);
        }
        totals
    }

    /// What is due in all.
    #[must_use]
    pub fn total(&self) -> Units {
        self.buckets.iter().sum::<Units>() + self.not_invoiced - self.unallocated
    }
}

/// In units of the most digits.
fn finest(units: Units, decimals: u8) -> Units {
    units.saturating_mul(10_i64.pow(u32::from(MAX_DECIMALS.saturating_sub(decimals))))
}

/// A condition of a scope on a column, behind so many other parameters; and its values.
fn bounds(scope: Option<&Scope>, column: &str, others: usize) -> (String, Vec<String>) {
    let mut values = Vec::new();
    let condition = scope.map_or("1 = 1".to_owned(), |scope| {
        scope.condition(column, |value| {
            values.push(value);
            format!("${}", values.len() + others)
        })
    });
    (condition, values)
}

impl Billing {
    /// What is due by age, of accounts behind a place in an order, of one currency or of all; and what all sum up to, unless only rows are
    /// asked for. All of it is of one position of the journal.
    pub async fn receivables_in_order(
        &self,
        now: UnixMillis,
        (order, after): (ReceivablesOrder, Option<&ReceivablesPlace>),
        currency: &str,
        count: usize,
        with_totals: bool,
        scope: Option<&Scope>,
    ) -> Result<OrderedReceivables, BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let ages = Ages::at(now, self.settings())?;
        let accounts = accounts(connection, order, after, currency, count, scope).await?;
        let receivables = self.of_accounts(connection, &accounts, &ages).await?;
        let totals = if with_totals { self.totals(connection, &ages, scope).await? } else { BTreeMap::new() };
        let position = position(connection).await?;
        transaction.commit().await?;
        Ok(OrderedReceivables { receivables, totals, position })
    }

    async fn totals(
        &self,
        connection: &mut AnyConnection,
        ages: &Ages,
        scope: Option<&Scope>,
    ) -> Result<BTreeMap<String, ReceivablesTotal>, BillingError> {
        let mut totals: BTreeMap<String, ReceivablesTotal> = BTreeMap::new();
        let (is_meant, values) = bounds(scope, "account", 0);
        let sql = format!(
            "SELECT currency, decimals, minor_digits, CAST(COUNT(*) AS BIGINT) AS accounts, \
             CAST(SUM(total) AS BIGINT) AS total FROM ({OWED}) AS owed WHERE {is_meant} GROUP BY currency, decimals, minor_digits"
        );
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| query.bind(value));
        for row in query.fetch_all(&mut *connection).await? {
            let decimals = narrow(&row, "decimals")?;
            let total = totals.entry(row.try_get("currency")?).or_default();
            total.accounts += narrow::<usize>(&row, "accounts")?;
            total.minor_digits = narrow(&row, "minor_digits")?;
            // What is open and due is added below.
            total.unallocated += -finest(row.units("total")?, decimals);
        }
        let (is_meant, values) = bounds(scope, "dues.account", 0);
        let sql = format!(
            "SELECT accounts.currency, accounts.decimals, CAST(SUM(dues.amount) AS BIGINT) AS due \
             FROM dues JOIN accounts ON accounts.account = dues.account WHERE {is_meant} GROUP BY accounts.currency, accounts.decimals"
        );
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| query.bind(value));
        for row in query.fetch_all(&mut *connection).await? {
            let due = finest(row.units("due")?, narrow(&row, "decimals")?);
            let total = totals.entry(row.try_get("currency")?).or_default();
            (total.not_invoiced, total.unallocated) = (total.not_invoiced + due, total.unallocated + due);
        }
        let (is_meant, values) = bounds(scope, "payables.account", 0);
        let sql = format!(
            "SELECT accounts.currency, accounts.decimals, payables.due_at, CAST(SUM(payables.open_amount) AS BIGINT) AS open_amount \
             FROM payables JOIN accounts ON accounts.account = payables.account WHERE payables.open_amount > 0 AND {is_meant} \
             GROUP BY accounts.currency, accounts.decimals, payables.due_at"
        );
        let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| query.bind(value));
        for row in query.fetch_all(&mut *connection).await? {
            let open = finest(row.units("open_amount")?, narrow(&row, "decimals")?);
            let total = totals.entry(row.try_get("currency")?).or_default();
            add(&mut total.buckets, ages.place(ages.due(row.instant("due_at")?)), open);
            total.unallocated += open;
        }
        for (of, open, paid) in reopened(connection, scope).await?.into_values() {
            let mut moved = of;
            reopen(&mut moved, open, paid, ages, self.settings())?;
            let total = totals.entry(moved.currency).or_default();
            for (place, units) in moved.buckets.into_iter().enumerate() {
                add(&mut total.buckets, place, finest(units, moved.decimals));
            }
        }
        Ok(totals)
    }
}

/// The next accounts in an order.
async fn accounts(
    connection: &mut AnyConnection,
    order: ReceivablesOrder,
    after: Option<&ReceivablesPlace>,
    currency: &str,
    count: usize,
    scope: Option<&Scope>,
) -> Result<Vec<AccountId>, BillingError> {
    let (is_meant, values) = bounds(scope, "account", 4);
    let sql = format!(
        "SELECT account FROM (SELECT account, {} AS place FROM ({OWED}) AS owed WHERE ($1 = '' OR currency = $1) AND {is_meant}) AS ordered \
         WHERE (place, account) > ($2, $3) ORDER BY place, account LIMIT $4",
        order.sql()
    );
    let (key, account) = after.map_or((i64::MIN, ""), |after| (after.key, after.account.as_str()));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(currency.to_owned()).bind(key).bind(account.to_owned());
    let query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
    let query = values.into_iter().fold(query, |query, value| query.bind(value));
    query.fetch_all(connection).await?.iter().map(|row| Ok(row.account_id("account")?)).collect()
}

type Reopened = HashMap<AccountId, (AccountReceivables, Vec<OpenInvoice>, Vec<PaidPart>)>;

/// Open invoices of which something was taken back, and what has paid them, by account.
async fn reopened(connection: &mut AnyConnection, scope: Option<&Scope>) -> Result<Reopened, BillingError> {
    let (is_meant, values) = bounds(scope, "payables.account", 0);
    let sql = format!(
        "SELECT payables.account, accounts.name, accounts.currency, accounts.decimals, accounts.minor_digits, payables.document, \
         payables.open_amount, payables.due_at, '' AS number, allocations.sequence, allocations.time, allocations.amount \
         FROM payables JOIN accounts ON accounts.account = payables.account \
         JOIN allocations ON allocations.document = payables.document WHERE payables.open_amount > 0 AND allocations.sequence > 0 \
         AND {is_meant} AND EXISTS (SELECT 1 FROM allocations AS taken WHERE taken.document = payables.document AND taken.amount < 0)"
    );
    let query = values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| query.bind(value));
    let mut found = Reopened::new();
    for row in query.fetch_all(connection).await? {
        let of = AccountReceivables::of_row(&row)?;
        let (_, open, paid) = found.entry(of.account.clone()).or_insert_with(|| (of, Vec::new(), Vec::new()));
        take(&row, open, paid)?;
    }
    Ok(found)
}

fn take(row: &AnyRow, open: &mut Vec<OpenInvoice>, paid: &mut Vec<PaidPart>) -> Result<(), BillingError> {
    let invoice = OpenInvoice::from_row(row)?;
    if open.iter().all(|known| known.document != invoice.document) {
        open.push(invoice);
    }
    paid.push(PaidPart::from_row(row)?);
    Ok(())
}
