//! Loads open invoices, no more of them than a run of records may pay: an account may have many thousands.
//!
//! How many there are, and what they lack in all, is a row of its own. A charge needs no more; what comes in needs the oldest, up to its
//! amount, and those that it names.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::super::{LoadPlan, LoadedBills};
use super::{named, names};
use crate::BillingError;
use crate::bills::allocate::Payable;
use crate::store::Columns;
use crate::store::Dialect;
use crate::store::rows::{Table, Type};
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// Up to this many of an account are loaded at once; of more, this many at a time.
const FEW: i64 = if cfg!(test) { 4 } else { 256 };

const OPEN_SUMS: Table = Table { name: "open_sums", columns: &[("account", Type::Text)], on_conflict: "" };

const OPEN_PAYABLES: Table = Table {
    name: "(SELECT payables.*, COALESCE(issued.number, '') AS number FROM payables \
           LEFT JOIN issued ON issued.document = payables.document WHERE open_amount > 0) AS open_ones",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const NAMED_PAYABLES: Table = Table {
    name: "(SELECT payables.*, issued.number FROM issued JOIN payables ON payables.document = issued.document \
           WHERE open_amount > 0) AS named_ones",
    columns: &[("account", Type::Text), ("number", Type::Text)],
    on_conflict: "",
};

const PAYABLES: Table = Table {
    name: "(SELECT payables.*, COALESCE(issued.number, '') AS number FROM payables \
           LEFT JOIN issued ON issued.document = payables.document) AS payable_ones",
    columns: &[("document", Type::Number)],
    on_conflict: "",
};

/// Loads how much is open of accounts, and those invoices that may be paid.
pub(super) async fn load(
    connection: &mut AnyConnection,
    dialect: Dialect,
    load_plan: &LoadPlan<'_>,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    for row in OPEN_SUMS.find(connection, dialect, "*", &names(&load_plan.accounts)).await? {
        let (count, amount): (i64, Units) = (row.try_get("open_count")?, row.units("open_amount")?);
        let ledger = loaded_bills.accounts.entry(row.account_id("account")?).or_default();
        ledger.stored_open = (count, amount);
        (ledger.open_elsewhere, ledger.receivables.open_elsewhere) = (count, amount);
    }
    let count = |account: &AccountId| loaded_bills.accounts.get(account).map_or(0, |ledger| ledger.stored_open.0);
    let may_be_paid = load_plan.coming_in.keys().chain(&load_plan.all_open).filter(|account| count(account) > 0);
    let (few, many): (BTreeSet<&AccountId>, BTreeSet<&AccountId>) =
        may_be_paid.partition(|account| count(account) <= FEW || load_plan.all_open.contains(*account));
    for row in OPEN_PAYABLES.find(connection, dialect, "*", &names(&few)).await? {
        take(&row, loaded_bills)?;
    }
    if many.is_empty() {
        return Ok(());
    }
    for account in &many {
        let coming_in = load_plan.coming_in.get(account).copied().unwrap_or_default();
        oldest(connection, account, coming_in, loaded_bills).await?;
    }
    let of_many = load_plan.named.iter().filter(|(account, _)| many.contains(account)).copied().collect();
    for row in NAMED_PAYABLES.find(connection, dialect, "*", &named(&of_many)).await? {
        take(&row, loaded_bills)?;
    }
    Ok(())
}

/// The oldest of an account, up to an amount.
async fn oldest(
    connection: &mut AnyConnection,
    account: &AccountId,
    amount: Units,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    let sql = "SELECT payables.*, COALESCE(issued.number, '') AS number FROM payables \
               LEFT JOIN issued ON issued.document = payables.document \
               WHERE payables.account = $1 AND open_amount > 0 AND (payables.cut_at, payables.document) > ($2, $3) \
               ORDER BY payables.cut_at, payables.document LIMIT $4";
    let (mut after, mut left) = ((UnixMillis::MIN, i64::MIN), amount);
    while left > Units::ZERO {
        let query = sqlx::query(sql).bind(account.to_string()).bind(after.0.get()).bind(after.1).bind(FEW);
        let rows = query.fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { break };
        after = (last.instant("cut_at")?, last.try_get("document")?);
        for row in &rows {
            left -= row.units("open_amount")?;
            take(row, loaded_bills)?;
        }
    }
    Ok(())
}

/// The invoices whose charges are refunded: what is given back pays them first.
pub(super) async fn load_own(connection: &mut AnyConnection, dialect: Dialect, loaded_bills: &mut LoadedBills) -> Result<(), BillingError> {
    let own: Vec<i64> = loaded_bills.documents.values().copied().collect();
    load_documents(connection, dialect, own.into_iter(), loaded_bills).await
}

/// These invoices, open or not.
pub(super) async fn load_documents(
    connection: &mut AnyConnection,
    dialect: Dialect,
    documents: impl Iterator<Item = i64>,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    let keys: Vec<_> = documents.map(|document| vec![document.into()]).collect();
    for row in PAYABLES.find(connection, dialect, "*", &keys).await? {
        take(&row, loaded_bills)?;
    }
    Ok(())
}

/// Takes an invoice in, once.
fn take(row: &AnyRow, loaded_bills: &mut LoadedBills) -> Result<(), BillingError> {
    let (document, open): (i64, i64) = (row.try_get("document")?, row.units("open_amount")?.get());
    if !loaded_bills.loaded.insert(document) {
        return Ok(());
    }
    let ledger = loaded_bills.accounts.entry(row.account_id("account")?).or_default();
    if open > 0 {
        ledger.open_elsewhere -= 1;
        ledger.receivables.open_elsewhere -= Units::new(open);
    }
    let (number, cut_at, total) = (row.try_get("number")?, row.instant("cut_at")?, row.units("total")?);
    ledger.receivables.invoices.push(Payable { document, number, cut_at, total, open: Units::new(open), stored: Some(Units::new(open)) });
    Ok(())
}

#[cfg(test)]
mod tests;
