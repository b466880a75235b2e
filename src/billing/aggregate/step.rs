//! One step: a run of records, their totals, their accounts, the bills that they cut, and the new position, in one transaction.
//!
//! Its first statement moves the position, under the fence that the partition was claimed with: a process that has lost the partition
//! writes nothing, and a step that was committed, though nobody heard of it, is not done twice.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{AccountState, JournalFault, Position, Projection, Total, TotalKey, touched};
use crate::audit::{self, Act, of_entries};
use crate::partitions::Claim;
use crate::record::{ENTRIES, Record, coded, narrow, number};
use crate::store::rows::{Table, Type, Value};
use crate::store::{Dialect, Store};
use crate::{BillingError, bills, search};
use domain::account::{Account, Currency, Millis};
use domain::entry::EntryKind;
use ledger::codec;

/// Why a step was not done.
#[derive(Debug)]
pub enum StepError {
    /// The partition is somebody else's by now, or the position is another one.
    Lost,
    /// The records do not follow from what is known.
    Broken(JournalFault),
    /// The store.
    Billing(BillingError),
}

impl From<BillingError> for StepError {
    fn from(error: BillingError) -> Self {
        Self::Billing(error)
    }
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        Self::Billing(error.into())
    }
}

/// Commits a run of records, which leads from one position to the next. However long that takes, the lease runs from its end on:
/// a worker that renews leases meanwhile passes over this one.
pub async fn commit(store: &Store, claim: &Claim, to: &Position, lease: Millis, records: &mut [Record]) -> Result<(), StepError> {
    let dialect = store.dialect();
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    advance(connection, claim.partition, claim.fence, &claim.position, to).await?;
    take_in(connection, dialect, records).await?;
    let prolong = format!("UPDATE partitions SET lease_until = {} + $1 WHERE partition = $2 AND owner <> ''", store.now_sql());
    sqlx::query(AssertSqlSafe(prolong)).bind(lease).bind(i64::from(claim.partition)).execute(&mut *connection).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes records, and what follows from them.
pub async fn take_in(connection: &mut AnyConnection, dialect: Dialect, records: &mut [Record]) -> Result<(), StepError> {
    let mut projection = load(connection, dialect, records).await?;
    let (changed, acts) = take(&mut projection, records).map_err(StepError::Broken)?;
    ENTRIES.insert(connection, dialect, records.iter().map(Record::to_row)).await?;
    projection.totals.retain(|key, _| changed.contains(key));
    write_books(connection, dialect, &projection).await?;
    let is_named = |record: &&Record| record.entry.data.settings().is_some_and(|settings| settings.name.is_some());
    let named: BTreeSet<&str> = records.iter().filter(is_named).map(|record| record.entry.account.as_str()).collect();
    let names = named.into_iter().filter_map(|id| Some((id, projection.accounts.get(id)?.name.as_str())));
    search::write_names(connection, dialect, names).await?;
    bills::apply(connection, records).await?;
    if let Some(record) = records.first() {
        audit::write(connection, dialect, record.partition.into(), &acts).await?;
    }
    Ok(())
}

/// Takes records in; returns the totals that changed, and the acts that the records tell of.
fn take(projection: &mut Projection, records: &mut [Record]) -> Result<(BTreeSet<TotalKey>, Vec<Act>), JournalFault> {
    let (mut changed, mut acts) = (BTreeSet::new(), Vec::new());
    for record in records {
        let is_act = of_entries::is_act(record.entry.kind());
        let before = if is_act { projection.accounts.get(&record.entry.account).cloned() } else { None };
        changed.extend(projection.take(std::slice::from_mut(record))?);
        if let Some(after) = projection.accounts.get(&record.entry.account).filter(|_| is_act) {
            acts.push(of_entries::act(record, before.as_ref(), after));
        }
    }
    Ok((changed, acts))
}

/// All accounts of a partition.
pub async fn accounts_of(connection: &mut AnyConnection, partition: u16) -> Result<BTreeMap<String, AccountState>, BillingError> {
    let query = sqlx::query("SELECT * FROM accounts WHERE partition = $1").bind(i64::from(partition));
    query.fetch_all(connection).await?.iter().map(|row| Ok((row.try_get("account")?, read_account(row)?))).collect()
}

/// Writes accounts and totals.
pub async fn write_books(connection: &mut AnyConnection, dialect: Dialect, projection: &Projection) -> Result<(), BillingError> {
    TOTALS.insert(connection, dialect, projection.totals.iter().map(|(key, total)| total_row(key, total))).await?;
    ACCOUNTS.insert(connection, dialect, projection.accounts.iter().map(|(id, account)| account_row(id, account))).await
}

async fn advance(connection: &mut AnyConnection, partition: u16, fence: i64, from: &Position, to: &Position) -> Result<(), StepError> {
    let done = sqlx::query(
        "UPDATE partitions SET next_sequence = $1, last_block = $2, last_time = $3 \
         WHERE partition = $4 AND fence = $5 AND next_sequence = $6 AND last_block = $7 AND state = 'RUNNING'",
    )
    .bind(number(to.next_sequence))
    .bind(hex(&to.last_block))
    .bind(to.last_time)
    .bind(i64::from(partition))
    .bind(fence)
    .bind(number(from.next_sequence))
    .bind(hex(&from.last_block))
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StepError::Lost) }
}

/// Loads what the records touch.
async fn load(connection: &mut AnyConnection, dialect: Dialect, records: &[Record]) -> Result<Projection, BillingError> {
    let (accounts, totals) = touched(records);
    let mut projection = Projection::default();
    let keys: Vec<_> = accounts.into_iter().map(|account| vec![account.into()]).collect();
    for row in ACCOUNT_KEYS.find(connection, dialect, "*", &keys).await? {
        projection.accounts.insert(row.try_get("account")?, read_account(&row)?);
    }
    // Only these: a bill may have a total for each of many thousand items.
    let keys: Vec<_> = totals.iter().map(key_row).collect();
    for row in TOTAL_KEYS.find(connection, dialect, "*", &keys).await? {
        let (key, total) = read_total(&row)?;
        projection.totals.insert(key, total);
    }
    Ok(projection)
}

/// Writes the totals of a bill instead of those that are there.
pub async fn write_totals(
    connection: &mut AnyConnection,
    dialect: Dialect,
    account: &str,
    bill: u32,
    totals: &BTreeMap<TotalKey, Total>,
) -> Result<(), BillingError> {
    let sql = "DELETE FROM totals WHERE account = $1 AND bill = $2";
    sqlx::query(sql).bind(account.to_owned()).bind(i64::from(bill)).execute(&mut *connection).await?;
    TOTALS.insert(connection, dialect, totals.iter().map(|(key, total)| total_row(key, total))).await
}

/// The totals of bills.
pub async fn totals_of(
    connection: &mut AnyConnection,
    dialect: Dialect,
    bills: &BTreeSet<(&str, u32)>,
) -> Result<Vec<(TotalKey, Total)>, BillingError> {
    let keys: Vec<_> = bills.iter().map(|(account, bill)| vec![(*account).into(), i64::from(*bill).into()]).collect();
    BILL_KEYS.find(connection, dialect, "*", &keys).await?.iter().map(read_total).collect()
}

const TOTALS: Table = Table {
    name: "totals",
    columns: &[
        ("account", Type::Text),
        ("bill", Type::Number),
        ("kind", Type::Number),
        ("category", Type::Number),
        ("item", Type::Text),
        ("unit", Type::Text),
        ("amount", Type::Number),
        ("quantity", Type::Text),
        ("count", Type::Number),
        ("first_at", Type::Number),
        ("last_at", Type::Number),
        ("description", Type::Text),
        ("unit_price", Type::Text),
    ],
    on_conflict: "ON CONFLICT (account, bill, kind, category, item, unit) DO UPDATE SET amount = excluded.amount, \
                  quantity = excluded.quantity, count = excluded.count, first_at = excluded.first_at, last_at = excluded.last_at, \
                  description = excluded.description, unit_price = excluded.unit_price",
};

const TOTAL_KEYS: Table = Table {
    name: "totals",
    columns: &[
        ("account", Type::Text),
        ("bill", Type::Number),
        ("kind", Type::Number),
        ("category", Type::Number),
        ("item", Type::Text),
        ("unit", Type::Text),
    ],
    on_conflict: "",
};

const BILL_KEYS: Table = Table { name: "totals", columns: &[("account", Type::Text), ("bill", Type::Number)], on_conflict: "" };

fn key_row(key: &TotalKey) -> Vec<Value<'_>> {
    vec![
        key.account.as_str().into(),
        i64::from(key.bill).into(),
        (key.kind as i64).into(),
        i64::from(key.category).into(),
        key.item.as_str().into(),
        key.unit.as_str().into(),
    ]
}

fn total_row<'a>(key: &'a TotalKey, total: &'a Total) -> Vec<Value<'a>> {
    let mut row = key_row(key);
    row.extend([
        total.amount.into(),
        total.quantity.map_or_else(String::new, |quantity| quantity.normalize().to_string()).into(),
        total.count.into(),
        total.first_at.into(),
        total.last_at.into(),
        total.description.as_str().into(),
        total.unit_price.map_or_else(String::new, |price| price.normalize().to_string()).into(),
    ]);
    row
}

/// Reads a row of all columns of the totals.
pub fn read_total(row: &AnyRow) -> Result<(TotalKey, Total), BillingError> {
    let decimal = |column: &str| -> Result<Option<Decimal>, BillingError> {
        match row.try_get::<String, _>(column)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| BillingError::corrupt(format!("{column} {text:?}"))),
        }
    };
    let key = TotalKey {
        account: row.try_get("account")?,
        bill: narrow(row, "bill")?,
        kind: coded(row, "kind", EntryKind::from_number)?,
        category: narrow(row, "category")?,
        item: row.try_get("item")?,
        unit: row.try_get("unit")?,
    };
    let total = Total {
        amount: row.try_get("amount")?,
        quantity: decimal("quantity")?,
        count: row.try_get("count")?,
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
        description: row.try_get("description")?,
        unit_price: decimal("unit_price")?,
    };
    Ok((key, total))
}

const ACCOUNT_KEYS: Table = Table { name: "accounts", columns: &[("account", Type::Text)], on_conflict: "" };

const ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &[
        ("account", Type::Text),
        ("partition", Type::Number),
        ("name", Type::Text),
        ("currency", Type::Text),
        ("decimals", Type::Number),
        ("minor_digits", Type::Number),
        ("mode", Type::Number),
        ("status", Type::Number),
        ("non_usage_billing", Type::Number),
        ("permanent_limit", Type::Number),
        ("temporary_limit", Type::Number),
        ("temporary_until", Type::Number),
        ("balance", Type::Number),
        ("unbilled", Type::Number),
        ("reserved", Type::Number),
        ("account_sequence", Type::Number),
        ("bill", Type::Number),
        ("last_bill", Type::Number),
        ("low_credit_threshold", Type::Number),
        ("created_at", Type::Number),
        ("last_sequence", Type::Number),
    ],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET name = excluded.name, mode = excluded.mode, status = excluded.status, \
                  non_usage_billing = excluded.non_usage_billing, permanent_limit = excluded.permanent_limit, \
                  temporary_limit = excluded.temporary_limit, temporary_until = excluded.temporary_until, balance = excluded.balance, \
                  unbilled = excluded.unbilled, reserved = excluded.reserved, account_sequence = excluded.account_sequence, \
                  bill = excluded.bill, last_bill = excluded.last_bill, low_credit_threshold = excluded.low_credit_threshold, \
                  last_sequence = excluded.last_sequence",
};

fn account_row<'a>(id: &'a str, state: &'a AccountState) -> Vec<Value<'a>> {
    let account = &state.account;
    vec![
        id.into(),
        i64::from(state.partition).into(),
        state.name.as_str().into(),
        account.currency.code().into(),
        i64::from(account.decimals).into(),
        i64::from(account.minor_digits).into(),
        (account.mode as i64).into(),
        (account.status as i64).into(),
        (account.non_usage_billing as i64).into(),
        account.permanent_limit.into(),
        account.temporary_limit.into(),
        account.temporary_until.into(),
        account.balance.into(),
        account.unbilled.into(),
        account.reserved.into(),
        number(account.sequence).into(),
        i64::from(account.open_bill).into(),
        i64::from(account.last_bill).into(),
        state.low_credit_threshold.unwrap_or(-1).into(),
        state.created_at.into(),
        number(state.last_sequence).into(),
    ]
}

/// Reads a row of all columns of the accounts.
pub fn read_account(row: &AnyRow) -> Result<AccountState, BillingError> {
    let currency: String = row.try_get("currency")?;
    let code: [u8; 3] = currency.as_bytes().try_into().map_err(|_| BillingError::corrupt(format!("currency {currency:?}")))?;
    let threshold: i64 = row.try_get("low_credit_threshold")?;
    Ok(AccountState {
        partition: narrow(row, "partition")?,
        account: Account {
            currency: Currency(code),
            decimals: narrow(row, "decimals")?,
            minor_digits: narrow(row, "minor_digits")?,
            mode: coded(row, "mode", codec::mode)?,
            status: coded(row, "status", codec::status)?,
            non_usage_billing: coded(row, "non_usage_billing", codec::non_usage_billing)?,
            permanent_limit: row.try_get("permanent_limit")?,
            temporary_limit: row.try_get("temporary_limit")?,
            temporary_until: row.try_get("temporary_until")?,
            balance: row.try_get("balance")?,
            unbilled: row.try_get("unbilled")?,
            reserved: row.try_get("reserved")?,
            sequence: narrow(row, "account_sequence")?,
            open_bill: narrow(row, "bill")?,
            last_bill: narrow(row, "last_bill")?,
            period_end: 0,
            open_reservations: 0,
        },
        name: row.try_get("name")?,
        low_credit_threshold: (threshold >= 0).then_some(threshold),
        created_at: row.try_get("created_at")?,
        last_sequence: narrow(row, "last_sequence")?,
    })
}

/// A block's id, as text.
#[must_use]
pub fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`].
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}
