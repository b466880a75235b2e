//! Accounts and totals as rows of SQL.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{AccountState, Projection, Total, TotalKey, touched};
use crate::BillingError;
use crate::record::{Record, coded, narrow, number};
use crate::store::Columns;
use crate::store::Dialect;
use crate::store::rows::{Table, Type, Value};
use domain::account::{Account, Currency};
use domain::entry::EntryKind;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;
use ledger::codec;

/// All accounts of a partition.
pub async fn accounts_of(connection: &mut AnyConnection, partition: u16) -> Result<BTreeMap<AccountId, AccountState>, BillingError> {
    let query = sqlx::query("SELECT * FROM accounts WHERE partition = $1").bind(i64::from(partition));
    query.fetch_all(connection).await?.iter().map(|row| Ok((row.account_id("account")?, read_account(row)?))).collect()
}

/// Writes accounts and totals.
pub async fn write(connection: &mut AnyConnection, dialect: Dialect, projection: &Projection) -> Result<(), BillingError> {
    TOTALS.insert(connection, dialect, projection.totals.iter().map(|(key, total)| total_row(key, total))).await?;
    ACCOUNTS.insert(connection, dialect, projection.accounts.iter().map(|(id, account)| account_row(id, account))).await
}

/// Loads what the records touch.
pub async fn load(connection: &mut AnyConnection, dialect: Dialect, records: &[Record]) -> Result<Projection, BillingError> {
    let (accounts, totals) = touched(records);
    let mut projection = Projection::default();
    let keys: Vec<_> = accounts.into_iter().map(|account| vec![account.into()]).collect();
    for row in ACCOUNT_KEYS.find(connection, dialect, "*", &keys).await? {
        projection.accounts.insert(row.account_id("account")?, read_account(&row)?);
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
    account: &AccountId,
    bill: u32,
    totals: &BTreeMap<TotalKey, Total>,
) -> Result<(), BillingError> {
    let sql = "DELETE FROM totals WHERE account = $1 AND bill = $2";
    sqlx::query(sql).bind(account.to_string()).bind(i64::from(bill)).execute(&mut *connection).await?;
    TOTALS.insert(connection, dialect, totals.iter().map(|(key, total)| total_row(key, total))).await
}

/// The totals of bills.
pub async fn totals_of(
    connection: &mut AnyConnection,
    dialect: Dialect,
    bills: &BTreeSet<(&AccountId, u32)>,
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
        account: row.account_id("account")?,
        bill: narrow(row, "bill")?,
        kind: coded(row, "kind", EntryKind::from_number)?,
        category: narrow(row, "category")?,
        item: row.try_get("item")?,
        unit: row.try_get("unit")?,
    };
    let total = Total {
        amount: row.units("amount")?,
        quantity: decimal("quantity")?,
        count: row.try_get("count")?,
        first_at: row.instant("first_at")?,
        last_at: row.instant("last_at")?,
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
        state.low_credit_threshold.unwrap_or(Units::new(-1)).into(),
        state.created_at.into(),
        number(state.last_sequence).into(),
    ]
}

/// Reads a row of all columns of the accounts.
pub fn read_account(row: &AnyRow) -> Result<AccountState, BillingError> {
    let currency: String = row.try_get("currency")?;
    let threshold: Units = row.units("low_credit_threshold")?;
    Ok(AccountState {
        partition: narrow(row, "partition")?,
        account: Account {
            currency: Currency::parse(&currency).ok_or_else(|| BillingError::corrupt(format!("currency {currency:?}")))?,
            decimals: narrow(row, "decimals")?,
            minor_digits: narrow(row, "minor_digits")?,
            mode: coded(row, "mode", codec::mode)?,
            status: coded(row, "status", codec::status)?,
            non_usage_billing: coded(row, "non_usage_billing", codec::non_usage_billing)?,
            permanent_limit: row.units("permanent_limit")?,
            temporary_limit: row.units("temporary_limit")?,
            temporary_until: row.instant("temporary_until")?,
            balance: row.units("balance")?,
            unbilled: row.units("unbilled")?,
            reserved: row.units("reserved")?,
            sequence: narrow(row, "account_sequence")?,
            open_bill: narrow(row, "bill")?,
            last_bill: narrow(row, "last_bill")?,
            period_end: UnixMillis::NONE,
            open_reservations: 0,
        },
        name: row.try_get("name")?,
        low_credit_threshold: (threshold >= Units::ZERO).then_some(threshold),
        created_at: row.instant("created_at")?,
        last_sequence: narrow(row, "last_sequence")?,
    })
}
