//! Loads what a run of records needs, for all of them at once.

mod open;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::super::allocate::{Allocation, Credit};
use super::super::draft::{Refund, Subject, Total};
use super::{BillEnd, Charge, LoadPlan, LoadedBills, Uncredited};
use crate::BillingError;
use crate::denomination::Denomination;
use crate::document::Adjustment;
use crate::kinds::ORIGINALS;
use crate::projection;
use crate::projection::TotalKey;
use crate::projection::rows::totals_of;
use crate::record::{coded, narrow, request_key};
use crate::store::Columns;
use crate::store::Dialect;
use crate::store::rows::{Table, Type, Value};
use domain::account::Category;
use domain::entry::EntryKind;
use domain::ids::AccountId;
use ledger::codec;

const ACCOUNTS: Table = Table { name: "accounts", columns: &[("account", Type::Text)], on_conflict: "" };

const BILL_ENDS: Table = Table { name: "bill_ends", columns: &[("account", Type::Text)], on_conflict: "" };

const CREDITS_LEFT: Table = Table {
    name: "(SELECT * FROM credits WHERE amount > allocated + reversed) AS credits_left",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const CREDITS_SET_ASIDE: Table = Table {
    name: "(SELECT * FROM credits WHERE set_aside > 0) AS credits_set_aside",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

const CREDITS_BY_REQUEST: Table =
    Table { name: "credits", columns: &[("account", Type::Text), ("request_id", Type::Text)], on_conflict: "" };

const ALLOCATIONS: Table = Table { name: "allocations", columns: &[("account", Type::Text), ("credit", Type::Number)], on_conflict: "" };

const REFUNDS: Table = Table { name: "refunds", columns: &[("account", Type::Text), ("bill", Type::Number)], on_conflict: "" };

const UNCREDITED: Table = Table {
    name: "(SELECT * FROM uncredited_refunds WHERE note = 0) AS waiting",
    columns: &[("account", Type::Text), ("bill", Type::Number)],
    on_conflict: "",
};

const ADJUSTMENTS: Table = Table { name: "adjustments", columns: &[("account", Type::Text), ("bill", Type::Number)], on_conflict: "" };

static CHARGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "(SELECT account, request_id, request_key, bill, kind, category, item, unit, description FROM entries \
         WHERE kind IN ({ORIGINALS})) AS charges"
    )
});

const DOCUMENTS: Table = Table {
    name: "(SELECT id, account, bill FROM documents WHERE kind <> 'credit_note') AS bill_documents",
    columns: &[("account", Type::Text), ("bill", Type::Number)],
    on_conflict: "",
};

fn names<'a>(accounts: &BTreeSet<&'a AccountId>) -> Vec<Vec<Value<'a>>> {
    accounts.iter().map(|account| vec![(*account).into()]).collect()
}

fn pairs<'a>(bills: &BTreeSet<(&'a AccountId, u32)>) -> Vec<Vec<Value<'a>>> {
    bills.iter().map(|(account, bill)| vec![(*account).into(), i64::from(*bill).into()]).collect()
}

fn named<'a, T: Copy + Into<Value<'a>>>(requests: &BTreeSet<(&'a AccountId, T)>) -> Vec<Vec<Value<'a>>> {
    requests.iter().map(|(account, request_id)| vec![(*account).into(), (*request_id).into()]).collect()
}

pub(super) async fn load(connection: &mut AnyConnection, dialect: Dialect, load_plan: &LoadPlan<'_>) -> Result<LoadedBills, BillingError> {
    let mut loaded_bills = LoadedBills::default();
    load_accounts(connection, dialect, load_plan, &mut loaded_bills).await?;
    load_receivables(connection, dialect, load_plan, &mut loaded_bills).await?;
    for (key, total) in totals_of(connection, dialect, &load_plan.bills).await? {
        loaded_bills.totals.entry((key.account.clone(), key.bill)).or_default().push(total_of(key, total));
    }
    load_refunds(connection, dialect, load_plan, &mut loaded_bills).await?;
    load_adjustments(connection, dialect, &mut loaded_bills).await?;
    open::load_own(connection, dialect, &mut loaded_bills).await?;
    Ok(loaded_bills)
}

/// A total, as the draft of its bill needs it.
pub(super) fn total_of(key: TotalKey, total: projection::Total) -> Total {
    let subject = Subject {
        category: codec::category(key.category),
        item: key.item,
        unit: key.unit,
        quantity: total.quantity.map(|quantity| quantity.normalize().to_string()).unwrap_or_default(),
        description: total.description,
    };
    Total {
        kind: key.kind,
        subject,
        amount: total.amount,
        count: total.count,
        unit_price: total.unit_price,
        first_at: total.first_at,
        last_at: total.last_at,
    }
}

/// The refunds of the bills whose totals are loaded, and the corrections by hand.
pub(super) async fn load_given_back(
    connection: &mut AnyConnection,
    dialect: Dialect,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    load_refunds(connection, dialect, &LoadPlan::default(), loaded_bills).await?;
    load_adjustments(connection, dialect, loaded_bills).await
}

async fn load_accounts(
    connection: &mut AnyConnection,
    dialect: Dialect,
    load_plan: &LoadPlan<'_>,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    let accounts = names(&load_plan.accounts);
    for row in ACCOUNTS.find(connection, dialect, "account, currency, decimals, minor_digits, mode, balance", &accounts).await? {
        let account = row.account_id("account")?;
        let ledger = loaded_bills.accounts.entry(account).or_default();
        ledger.denomination = Denomination {
            currency: row.try_get("currency")?,
            decimals: narrow(&row, "decimals")?,
            minor_digits: narrow(&row, "minor_digits")?,
        };
        (ledger.mode, ledger.balance) = (Some(coded(&row, "mode", codec::mode)?), row.units("balance")?);
        ledger.receivables.minor_unit = ledger.denomination.minor_unit();
    }
    // A conversion changes its row, too.
    for row in BILL_ENDS.find(connection, dialect, "*", &accounts).await? {
        let account = row.account_id("account")?;
        loaded_bills.accounts.entry(account).or_default().end = BillEnd {
            balance: row.units("balance")?,
            converted_bill: narrow(&row, "converted_bill")?,
            single: [row.units("single_charged")?, row.units("single_rounded")?],
            is_changed: false,
        };
    }
    Ok(())
}

async fn load_receivables(
    connection: &mut AnyConnection,
    dialect: Dialect,
    load_plan: &LoadPlan<'_>,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    open::load(connection, dialect, load_plan, loaded_bills).await?;
    let reversed = CREDITS_BY_REQUEST.find(connection, dialect, "*", &named(&load_plan.reversed)).await?;
    let keys = reversed.iter().map(|row| Ok(vec![row.try_get::<String, _>("account")?.into(), row.try_get::<i64, _>("sequence")?.into()]));
    let keys: Vec<Vec<Value<'_>>> = keys.collect::<Result<_, sqlx::Error>>()?;
    let mut credits = CREDITS_LEFT.find(connection, dialect, "*", &names(&load_plan.payers)).await?;
    credits.extend(reversed);
    credits.extend(CREDITS_SET_ASIDE.find(connection, dialect, "*", &names(&load_plan.accounts)).await?);
    for row in credits {
        let account = row.account_id("account")?;
        let credits = &mut loaded_bills.accounts.entry(account).or_default().receivables.credits;
        credits.push(credit(&row)?);
    }
    for ledger in loaded_bills.accounts.values_mut() {
        ledger.receivables.credits.sort_by_key(|credit| credit.sequence);
        ledger.receivables.credits.dedup_by_key(|credit| credit.sequence);
    }
    load_paid(connection, dialect, &keys, loaded_bills).await
}

/// What the payments have paid that are reversed, and those invoices.
async fn load_paid(
    connection: &mut AnyConnection,
    dialect: Dialect,
    credits: &[Vec<Value<'_>>],
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    let mut documents = BTreeSet::new();
    for row in ALLOCATIONS.find(connection, dialect, "*", credits).await? {
        let account = row.account_id("account")?;
        let allocation = Allocation { credit: row.try_get("credit")?, document: row.try_get("document")?, amount: row.units("amount")? };
        documents.insert(allocation.document);
        loaded_bills.accounts.entry(account).or_default().receivables.paid.push(allocation);
    }
    open::load_documents(connection, dialect, documents.into_iter(), loaded_bills).await
}

fn credit(row: &AnyRow) -> Result<Credit, BillingError> {
    Ok(Credit {
        sequence: row.try_get("sequence")?,
        request_id: row.request_id("request_id")?,
        time: row.instant("time")?,
        amount: row.units("amount")?,
        allocated: row.units("allocated")?,
        reversed: row.units("reversed")?,
        set_aside: row.units("set_aside")?,
        is_changed: false,
    })
}

/// Corrections by hand of the bills that are cut.
async fn load_adjustments(connection: &mut AnyConnection, dialect: Dialect, loaded_bills: &mut LoadedBills) -> Result<(), BillingError> {
    let adjusted = loaded_bills.totals.iter().filter(|(_, totals)| totals.iter().any(|total| total.kind == EntryKind::Adjusted));
    let keys: Vec<Vec<Value<'_>>> =
        adjusted.map(|((account, bill), _)| vec![account.to_string().into(), i64::from(*bill).into()]).collect();
    for row in ADJUSTMENTS.find(connection, dialect, "*", &keys).await? {
        let key = (row.account_id("account")?, narrow(&row, "bill")?);
        let adjustment = Adjustment { time: row.instant("time")?, amount: row.units("amount")?, reason: row.try_get("reason")? };
        loaded_bills.adjustments.entry(key).or_default().push(adjustment);
    }
    for adjustments in loaded_bills.adjustments.values_mut() {
        adjustments.sort_by_key(|adjustment| adjustment.time);
    }
    Ok(())
}

async fn load_refunds(
    connection: &mut AnyConnection,
    dialect: Dialect,
    load_plan: &LoadPlan<'_>,
    loaded_bills: &mut LoadedBills,
) -> Result<(), BillingError> {
    let is_refund = |total: &Total| total.kind.is_refund();
    let with_refunds = loaded_bills.totals.iter().filter(|(_, totals)| totals.iter().any(is_refund));
    let keys: Vec<Vec<Value<'_>>> =
        with_refunds.map(|((account, bill), _)| vec![account.to_string().into(), i64::from(*bill).into()]).collect();
    for row in REFUNDS.find(connection, dialect, "*", &keys).await? {
        let key = (row.account_id("account")?, narrow(&row, "bill")?);
        loaded_bills.refunds.entry(key).or_default().push(refund(&row)?);
    }
    let keys: Vec<_> = load_plan.refunded.iter().map(|(account, request_id)| vec![request_key(account, request_id).into()]).collect();
    let charges = Table { name: &CHARGES, columns: &[("request_key", Type::Number)], on_conflict: "" };
    for row in charges.find(connection, dialect, "*", &keys).await? {
        let kind: EntryKind = coded(&row, "kind", EntryKind::from_number)?;
        if kind.is_charge() {
            let key = (row.account_id("account")?, row.request_id("request_id")?, narrow(&row, "bill")?);
            let subject = Subject {
                category: category(&row)?,
                item: row.try_get("item")?,
                unit: row.try_get("unit")?,
                quantity: String::new(),
                description: row.try_get("description")?,
            };
            loaded_bills.charges.insert(key, Charge { kind, subject });
        }
    }
    if !load_plan.credited.is_empty() {
        loaded_bills.has_gap = sqlx::query("SELECT partition FROM gaps LIMIT 1").fetch_optional(&mut *connection).await?.is_some();
    }
    for row in DOCUMENTS.find(connection, dialect, "*", &pairs(&load_plan.credited)).await? {
        loaded_bills.documents.insert((row.account_id("account")?, narrow(&row, "bill")?), row.try_get("id")?);
    }
    for row in UNCREDITED.find(connection, dialect, "*", &pairs(&load_plan.credited)).await? {
        loaded_bills.uncredited.push(uncredited(&row)?);
    }
    loaded_bills.uncredited.sort_by_key(|one| one.sequence);
    Ok(())
}

/// Those that stand on a credit note, as they were before it was drafted.
pub(super) async fn uncredited_of(connection: &mut AnyConnection, note: i64) -> Result<Vec<Uncredited>, BillingError> {
    let sql = "SELECT * FROM uncredited_refunds WHERE note = $1 AND note <> 0 ORDER BY sequence";
    sqlx::query(sql).bind(note).fetch_all(connection).await?.iter().map(uncredited).collect()
}

fn uncredited(row: &AnyRow) -> Result<Uncredited, BillingError> {
    let refund = Refund {
        kind: EntryKind::RefundedBalance,
        charge: None,
        subject: subject(row)?,
        amount: row.units("amount")?,
        time: row.instant("time")?,
    };
    let (account, bill) = (row.account_id("account")?, narrow(row, "bill")?);
    Ok(Uncredited { account, bill, sequence: row.try_get("sequence")?, place: row.try_get("place")?, refund, note: 0, is_changed: false })
}

fn category(row: &AnyRow) -> Result<Option<Category>, BillingError> {
    Ok(codec::category(narrow(row, "category")?))
}

fn refund(row: &AnyRow) -> Result<Refund, BillingError> {
    let charge: u8 = narrow(row, "charge_kind")?;
    Ok(Refund {
        kind: coded(row, "kind", EntryKind::from_number)?,
        charge: EntryKind::from_number(charge),
        subject: subject(row)?,
        amount: row.units("amount")?,
        time: row.instant("time")?,
    })
}

fn subject(row: &AnyRow) -> Result<Subject, BillingError> {
    Ok(Subject {
        category: category(row)?,
        item: row.try_get("item")?,
        unit: row.try_get("unit")?,
        quantity: row.try_get("quantity")?,
        description: row.try_get("description")?,
    })
}
