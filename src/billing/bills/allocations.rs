//! The rows that say what paid what, and the sum of their digests for each account.
//!
//! A chain would have an order, and what the ledger has lost is taken out again. A sum has none, and still shows that a row was changed,
//! removed or added by someone else. All that writes allocations does so here.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::allocate::Allocation;
use crate::BillingError;
use crate::digest::{DigestSum, Fields};
use crate::store::Columns;
use crate::store::rows::{Table, Type};
use crate::store::{Dialect, Store};
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

const ALLOCATIONS: Table = Table {
    name: "allocations",
    columns: &[
        ("account", Type::Text),
        ("sequence", Type::Number),
        ("credit", Type::Number),
        ("document", Type::Number),
        ("time", Type::Number),
        ("amount", Type::Number),
    ],
    on_conflict: "",
};

const OF_ACCOUNTS: Table = Table { name: "allocations", columns: &[("account", Type::Text)], on_conflict: "" };

const SUMS: Table = Table {
    name: "allocation_sums",
    columns: &[("account", Type::Text), ("count", Type::Number), ("digest", Type::Text)],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET count = excluded.count, digest = excluded.digest",
};

const SUM_KEYS: Table = Table { name: "allocation_sums", columns: &[("account", Type::Text)], on_conflict: "" };

/// How many accounts are summed up at once.
const ACCOUNTS_AT_ONCE: i64 = 200;

/// An allocation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationRow {
    pub account: AccountId,
    /// The account's number of the entry that led to it.
    pub sequence: i64,
    /// When.
    pub time: UnixMillis,
    /// What pays what.
    pub allocation: Allocation,
}

impl AllocationRow {
    /// Reads a row of all columns.
    pub fn from_row(row: &AnyRow) -> Result<Self, BillingError> {
        let allocation = Allocation { credit: row.try_get("credit")?, document: row.try_get("document")?, amount: row.units("amount")? };
        Ok(Self { account: row.account_id("account")?, sequence: row.try_get("sequence")?, time: row.instant("time")?, allocation })
    }

    /// What its account's sum has of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let Allocation { credit, document, amount } = self.allocation;
        let mut fields = Fields::of("tollgate allocation 1");
        fields.text(&self.account).number(self.sequence).number(credit).number(document).number(self.time.get()).number(amount.get());
        fields.bytes()
    }
}

/// Whether an entry brings in a credit, which can pay invoices.
#[must_use]
pub fn is_credit(entry: &Entry) -> bool {
    match entry.kind() {
        EntryKind::ToppedUp | EntryKind::PaymentRecorded | EntryKind::WrittenOff | EntryKind::RefundedBalance => true,
        EntryKind::Adjusted => entry.amount() > Units::ZERO,
        EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => entry.data.movement().balance > Units::ZERO,
        _ => false,
    }
}

/// Writes allocations, and sums them up.
pub async fn add(connection: &mut AnyConnection, dialect: Dialect, rows: &[AllocationRow]) -> Result<(), BillingError> {
    let accounts = rows.iter().map(|row| &row.account).collect();
    let mut sums = sums_of(connection, dialect, &accounts).await?;
    for row in rows {
        sums.entry(row.account.clone()).or_default().add(row.digest());
    }
    let values = rows.iter().map(|row| {
        let Allocation { credit, document, amount } = row.allocation;
        vec![row.account.as_str().into(), row.sequence.into(), credit.into(), document.into(), row.time.into(), amount.into()]
    });
    ALLOCATIONS.insert(connection, dialect, values).await?;
    write(connection, dialect, &sums).await
}

/// Takes the allocations of an entry out again.
pub async fn remove(connection: &mut AnyConnection, account: &AccountId, sequence: i64) -> Result<(), BillingError> {
    let dialect = if connection.backend_name() == "PostgreSQL" { Dialect::Postgres } else { Dialect::Sqlite };
    let sql = "SELECT * FROM allocations WHERE account = $1 AND sequence = $2";
    let rows = sqlx::query(sql).bind(account.to_string()).bind(sequence).fetch_all(&mut *connection).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut sums = sums_of(connection, dialect, &BTreeSet::from([account])).await?;
    for row in &rows {
        sums.entry(account.to_owned()).or_default().remove(AllocationRow::from_row(row)?.digest());
    }
    let sql = "DELETE FROM allocations WHERE account = $1 AND sequence = $2";
    sqlx::query(sql).bind(account.to_string()).bind(sequence).execute(&mut *connection).await?;
    write(connection, dialect, &sums).await
}

/// Sums up what an earlier version has allocated, some accounts at a time; goes on where it was interrupted.
pub async fn sum_up_earlier(store: &Store) -> Result<(), BillingError> {
    let mut after = AccountId::default();
    loop {
        let mut transaction = store.begin().await?;
        let connection = &mut *transaction;
        store.lock_migrations(connection).await?;
        let rows = sqlx::query(
            "SELECT DISTINCT account FROM allocations WHERE account > $1 \
             AND NOT EXISTS (SELECT 1 FROM allocation_sums WHERE allocation_sums.account = allocations.account) ORDER BY account LIMIT $2",
        )
        .bind(after.into_string())
        .bind(ACCOUNTS_AT_ONCE)
        .fetch_all(&mut *connection)
        .await?;
        let accounts = rows.iter().map(|row| row.account_id(0)).collect::<Result<Vec<AccountId>, _>>()?;
        let Some(last) = accounts.last().cloned() else { return Ok(()) };
        let sums = sums_of(connection, store.dialect(), &accounts.iter().collect()).await?;
        write(connection, store.dialect(), &sums).await?;
        transaction.commit().await?;
        after = last;
    }
}

/// The sums of accounts. Of one that has none yet, it is made of its rows.
async fn sums_of(
    connection: &mut AnyConnection,
    dialect: Dialect,
    accounts: &BTreeSet<&AccountId>,
) -> Result<BTreeMap<AccountId, DigestSum>, BillingError> {
    let keys: Vec<_> = accounts.iter().map(|account| vec![(*account).into()]).collect();
    let mut sums = BTreeMap::new();
    for row in SUM_KEYS.find(connection, dialect, "*", &keys).await? {
        let digest: String = row.try_get("digest")?;
        sums.insert(row.account_id("account")?, DigestSum::read(row.try_get("count")?, &digest)?);
    }
    let missing: Vec<_> = accounts.iter().filter(|account| !sums.contains_key(**account)).map(|account| vec![(*account).into()]).collect();
    for row in OF_ACCOUNTS.find(connection, dialect, "*", &missing).await? {
        let row = AllocationRow::from_row(&row)?;
        sums.entry(row.account.clone()).or_default().add(row.digest());
    }
    Ok(sums)
}

async fn write(connection: &mut AnyConnection, dialect: Dialect, sums: &BTreeMap<AccountId, DigestSum>) -> Result<(), BillingError> {
    let rows = sums.iter().map(|(account, sum)| vec![account.as_str().into(), sum.count.into(), sum.hex().into()]);
    SUMS.insert(connection, dialect, rows).await
}
