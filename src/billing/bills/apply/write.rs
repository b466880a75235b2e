//! Writes what a run of records has led to, for all of them at once.

use platform::telemetry::personal::LoggedAccount;
use sqlx::{AnyConnection, Row};

use super::super::allocations::{self, AllocationRow};
use super::{CreditDetails, LoadedAccount, LoadedBills, NewDocument};
use crate::BillingError;
use crate::document::{Document, DocumentKind};
use crate::sending::outbox::{self, TakenPayment};
use crate::store::Dialect;
use crate::store::rows::{Table, Type, Value};
use domain::account::Mode;
use domain::ids::AccountId;
use domain::money::Units;

const DOCUMENTS: Table = Table {
    name: "documents",
    columns: &[
        ("id", Type::Number),
        ("account", Type::Text),
        ("bill", Type::Number),
        ("kind", Type::Text),
        ("cause", Type::Text),
        ("cut_at", Type::Number),
        ("held_reason", Type::Text),
        ("total", Type::Number),
        ("amount_to_pay", Type::Number),
        ("refers_to", Type::Number),
        ("content", Type::Text),
        ("summary", Type::Text),
    ],
    on_conflict: "",
};

const DRAFTS: Table =
    Table { name: "drafts", columns: &[("kind", Type::Text), ("cut_at", Type::Number), ("document", Type::Number)], on_conflict: "" };

const PAYABLES: Table = Table {
    name: "payables",
    columns: &[
        ("document", Type::Number),
        ("account", Type::Text),
        ("cut_at", Type::Number),
        ("total", Type::Number),
        ("open_amount", Type::Number),
    ],
    on_conflict: "ON CONFLICT (document) DO UPDATE SET open_amount = excluded.open_amount",
};

const CREDITS: Table = Table {
    name: "credits",
    columns: &[
        ("account", Type::Text),
        ("sequence", Type::Number),
        ("request_id", Type::Text),
        ("time", Type::Number),
        ("amount", Type::Number),
        ("allocated", Type::Number),
        ("reversed", Type::Number),
        ("set_aside", Type::Number),
        ("kind", Type::Number),
        ("entry", Type::Number),
        ("received_at", Type::Number),
        ("method", Type::Text),
        ("reference", Type::Text),
        ("remark", Type::Text),
        ("actor", Type::Text),
        ("reason", Type::Text),
    ],
    on_conflict: "ON CONFLICT (account, sequence) DO UPDATE SET allocated = excluded.allocated, reversed = excluded.reversed, \
                  set_aside = excluded.set_aside",
};

const SET_ASIDES: Table = Table {
    name: "set_asides",
    columns: &[("account", Type::Text), ("sequence", Type::Number), ("credit", Type::Number), ("amount", Type::Number)],
    on_conflict: "",
};

const OPEN_SUMS: Table = Table {
    name: "open_sums",
    columns: &[("account", Type::Text), ("open_count", Type::Number), ("open_amount", Type::Number)],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET open_count = excluded.open_count, open_amount = excluded.open_amount",
};

const DUES: Table = Table {
    name: "dues",
    columns: &[("account", Type::Text), ("amount", Type::Number)],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET amount = excluded.amount",
};

const DUE: Table = Table { name: "dues", columns: &[("account", Type::Text)], on_conflict: "" };

const REFUNDS: Table = Table {
    name: "refunds",
    columns: &[
        ("account", Type::Text),
        ("bill", Type::Number),
        ("sequence", Type::Number),
        ("kind", Type::Number),
        ("charge_kind", Type::Number),
        ("category", Type::Number),
        ("item", Type::Text),
        ("unit", Type::Text),
        ("quantity", Type::Text),
        ("description", Type::Text),
        ("amount", Type::Number),
        ("time", Type::Number),
    ],
    on_conflict: "",
};

const UNCREDITED: Table = Table {
    name: "uncredited_refunds",
    columns: &[
        ("account", Type::Text),
        ("bill", Type::Number),
        ("sequence", Type::Number),
        ("place", Type::Number),
        ("note", Type::Number),
        ("category", Type::Number),
        ("item", Type::Text),
        ("unit", Type::Text),
        ("quantity", Type::Text),
        ("description", Type::Text),
        ("amount", Type::Number),
        ("time", Type::Number),
    ],
    on_conflict: "ON CONFLICT (account, bill, sequence) DO UPDATE SET note = excluded.note",
};

const ADJUSTMENTS: Table = Table {
    name: "adjustments",
    columns: &[
        ("account", Type::Text),
        ("bill", Type::Number),
        ("sequence", Type::Number),
        ("amount", Type::Number),
        ("reason", Type::Text),
        ("time", Type::Number),
    ],
    on_conflict: "",
};

const BILL_ENDS: Table = Table {
    name: "bill_ends",
    columns: &[
        ("account", Type::Text),
        ("balance", Type::Number),
        ("converted_bill", Type::Number),
        ("single_charged", Type::Number),
        ("single_rounded", Type::Number),
    ],
    on_conflict: "ON CONFLICT (account) DO UPDATE SET balance = excluded.balance, converted_bill = excluded.converted_bill, \
                  single_charged = excluded.single_charged, single_rounded = excluded.single_rounded",
};

pub(super) async fn write(connection: &mut AnyConnection, dialect: Dialect, loaded_bills: &LoadedBills) -> Result<(), BillingError> {
    let rows = loaded_bills.made.iter().map(document_row).collect::<Result<Vec<_>, _>>()?;
    DOCUMENTS.insert(connection, dialect, rows.into_iter()).await?;
    let drafts = loaded_bills.made.iter().filter(|made| made.draft.held_reason.is_empty()).map(draft_row);
    DRAFTS.insert(connection, dialect, drafts).await?;
    for made in loaded_bills.made.iter().filter(|made| !made.draft.held_reason.is_empty()) {
        let Document { account, bill, .. } = &made.draft.document;
        tracing::error!(account = %LoggedAccount(account), bill, reason = %made.draft.held_reason, "a document is held back: it does not add up");
    }
    write_receivables(connection, dialect, loaded_bills).await?;
    put_receipts(connection, dialect, loaded_bills).await?;
    write_dues(connection, dialect, loaded_bills).await?;
    let refunds = loaded_bills.made_refunds.iter().map(|made| {
        let subject = &made.refund.subject;
        vec![
            made.account.as_str().into(),
            i64::from(made.bill).into(),
            made.sequence.into(),
            (made.refund.kind as i64).into(),
            made.refund.charge.map_or(0, |kind| kind as i64).into(),
            subject.category.map_or(0, |category| category as i64).into(),
            subject.item.as_str().into(),
            subject.unit.as_str().into(),
            subject.quantity.as_str().into(),
            subject.description.as_str().into(),
            made.refund.amount.into(),
            made.refund.time.into(),
        ]
    });
    REFUNDS.insert(connection, dialect, refunds).await?;
    let uncredited = loaded_bills.uncredited.iter().filter(|one| one.is_changed).map(|one| {
        let subject = &one.refund.subject;
        vec![
            one.account.as_str().into(),
            i64::from(one.bill).into(),
            one.sequence.into(),
            one.place.into(),
            one.note.into(),
            subject.category.map_or(0, |category| category as i64).into(),
            subject.item.as_str().into(),
            subject.unit.as_str().into(),
            subject.quantity.as_str().into(),
            subject.description.as_str().into(),
            one.refund.amount.into(),
            one.refund.time.into(),
        ]
    });
    UNCREDITED.insert(connection, dialect, uncredited).await?;
    let adjustments = loaded_bills.made_adjustments.iter().map(|(account, bill, sequence, adjustment)| {
        vec![
            account.as_str().into(),
            i64::from(*bill).into(),
            (*sequence).into(),
            adjustment.amount.into(),
            adjustment.reason.as_str().into(),
            adjustment.time.into(),
        ]
    });
    ADJUSTMENTS.insert(connection, dialect, adjustments).await?;
    let ends = loaded_bills.accounts.iter().filter(|(_, ledger)| ledger.end.is_changed).map(|(account, ledger)| {
        vec![
            account.as_str().into(),
            ledger.end.balance.into(),
            i64::from(ledger.end.converted_bill).into(),
            ledger.end.single[0].into(),
            ledger.end.single[1].into(),
        ]
    });
    BILL_ENDS.insert(connection, dialect, ends).await
}

async fn write_receivables(connection: &mut AnyConnection, dialect: Dialect, loaded_bills: &LoadedBills) -> Result<(), BillingError> {
    let (mut payables, mut credits, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for (account, ledger) in &loaded_bills.accounts {
        let (count, amount) = ledger.open();
        if (count, amount) != ledger.stored_open {
            sums.push(vec![account.as_str().into(), count.into(), amount.into()]);
        }
        for invoice in ledger.receivables.invoices.iter().filter(|invoice| invoice.stored != Some(invoice.open)) {
            payables.push(vec![
                invoice.document.into(),
                account.as_str().into(),
                invoice.cut_at.into(),
                invoice.total.into(),
                invoice.open.into(),
            ]);
        }
        for credit in ledger.receivables.credits.iter().filter(|credit| credit.is_changed) {
            credits.push(vec![
                account.as_str().into(),
                credit.sequence.into(),
                credit.request_id.as_str().into(),
                credit.time.into(),
                credit.amount.into(),
                credit.allocated.into(),
                credit.reversed.into(),
                credit.set_aside.into(),
            ]);
            credits.last_mut().into_iter().for_each(|row| row.extend(said(loaded_bills, account, credit.sequence)));
        }
    }
    PAYABLES.insert(connection, dialect, payables.into_iter()).await?;
    CREDITS.insert(connection, dialect, credits.into_iter()).await?;
    OPEN_SUMS.insert(connection, dialect, sums.into_iter()).await?;
    let set_asides = loaded_bills.made_set_asides.iter();
    let set_asides =
        set_asides.map(|made| vec![made.account.as_str().into(), made.sequence.into(), made.credit.into(), made.amount.into()]);
    SET_ASIDES.insert(connection, dialect, set_asides).await?;
    let rows = loaded_bills.made_allocations.iter().map(|made| AllocationRow {
        account: made.account.clone(),
        sequence: made.sequence,
        time: made.time,
        allocation: made.allocation,
    });
    allocations::add(connection, dialect, &rows.collect::<Vec<_>>()).await
}

/// Puts the receipts of new payments into the outbox.
async fn put_receipts(connection: &mut AnyConnection, dialect: Dialect, bills: &LoadedBills) -> Result<(), BillingError> {
    let new = bills.made_credits.iter().filter(|(_, credited)| credited.kind.is_payment());
    let mut payments: Vec<_> = new
        .map(|((account, sequence), credited)| TakenPayment { account, sequence: *sequence, entry: credited.entry, at: credited.time })
        .collect();
    payments.sort_by_key(|payment| payment.entry);
    outbox::put_receipts(connection, dialect, &payments).await
}

/// What a new credit says of itself; of one that is there it is left as it is.
fn said<'a>(loaded_bills: &'a LoadedBills, account: &AccountId, sequence: i64) -> [Value<'a>; 8] {
    let Some(credited) = loaded_bills.made_credits.get(&(account.to_owned(), sequence)) else {
        return [0.into(), 0.into(), 0.into(), "".into(), "".into(), "".into(), "".into(), "".into()];
    };
    let CreditDetails { kind, entry, details, received_at, actor, reason, time: _ } = credited;
    [
        (*kind as i64).into(),
        (*entry).into(),
        (*received_at).into(),
        details.method.as_str().into(),
        details.reference.as_str().into(),
        details.remark.as_str().into(),
        actor.as_str().into(),
        reason.as_str().into(),
    ]
}

/// What postpaid accounts owe that is on no document yet.
async fn write_dues(connection: &mut AnyConnection, dialect: Dialect, loaded_bills: &LoadedBills) -> Result<(), BillingError> {
    let due = |ledger: &LoadedAccount| match ledger.mode {
        Some(Mode::Postpaid) => (-ledger.receivables.free(ledger.balance)).or_zero(),
        _ => Units::ZERO,
    };
    let (mut dues, mut none) = (Vec::new(), Vec::new());
    for (account, ledger) in &loaded_bills.accounts {
        match due(ledger) {
            Units::ZERO => none.push(account),
            due => dues.push(vec![account.as_str().into(), due.into()]),
        }
    }
    DUES.insert(connection, dialect, dues.into_iter()).await?;
    let keys: Vec<_> = none.into_iter().map(|account| vec![account.as_str().into()]).collect();
    for row in DUE.find(connection, dialect, "account", &keys).await? {
        let paid: String = row.try_get("account")?;
        sqlx::query("DELETE FROM dues WHERE account = $1").bind(paid).execute(&mut *connection).await?;
    }
    Ok(())
}

fn document_row(made: &NewDocument) -> Result<Vec<Value<'_>>, BillingError> {
    let document = &made.draft.document;
    let content = serde_json::to_string(document).map_err(BillingError::corrupt)?;
    let mut summary = document.clone();
    summary.drop_lines();
    let summary = serde_json::to_string(&summary).map_err(BillingError::corrupt)?;
    Ok(vec![
        made.id.into(),
        document.account.as_str().into(),
        i64::from(document.bill).into(),
        document.kind.name().into(),
        document.cause.name().into(),
        document.period_to.into(),
        made.draft.held_reason.as_str().into(),
        document.total.into(),
        document.amount_to_pay.into(),
        made.refers_to.into(),
        content.into(),
        summary.into(),
    ])
}

/// A place in the queue of those that wait for a number. A credit note's comes behind that of its invoice.
fn draft_row(made: &NewDocument) -> Vec<Value<'_>> {
    let kind: DocumentKind = made.draft.document.kind;
    vec![kind.name().into(), made.draft.document.period_to.into(), made.id.into()]
}
