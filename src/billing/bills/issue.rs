//! Gives good drafts their numbers: a step of its own, so that nothing that cuts a bill waits for it.
//!
//! A series' row is locked by the transaction's first statement, so one process numbers a series at a time, and is changed by its last:
//! numbers and documents are committed together, or not at all. So there is no gap and no number twice, whichever process is killed when.
//! Everything is frozen here that is not the ledger's: issuer, customer, tax, dates. Rows of `issued` never change.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::documents::{DocumentState, StoredDocument};
use super::ready::{self, Ready};
use super::taxes::{Taxes, Terms};
use crate::document::{Document, DocumentKind, OpenInvoice};
use crate::frozen::Frozen;
use crate::items::{self, ItemNames};
use crate::review::{self, Review};
use crate::search::documents;
use crate::sending::outbox::{self, IssuedDocument};
use crate::series::digest::{Covered, SealedCustomer};
use crate::series::{Series, backfill};
use crate::settings::BillingSettings;
use crate::store::Columns;
use crate::store::Store;
use crate::store::rows::{Table, Type, Value};
use crate::tax::TaxLine;
use crate::traces::IssuedSpans;
use crate::{Billing, BillingError, issuer};
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;
use platform::telemetry::metrics;

const ISSUED: Table = Table {
    name: "issued",
    columns: &[
        ("document", Type::Number),
        ("number", Type::Text),
        ("issued_at", Type::Number),
        ("due_at", Type::Number),
        ("tax_contained", Type::Number),
        ("tax_on_deducted", Type::Number),
        ("frozen", Type::Text),
        ("prefix", Type::Text),
        ("place", Type::Number),
        ("customer", Type::Text),
        ("customer_salt", Type::Text),
        ("customer_digest", Type::Text),
        ("digest", Type::Text),
        ("folded_name", Type::Text),
        ("folded", Type::Text),
    ],
    on_conflict: "",
};

const DUE: Table = Table { name: "payables", columns: &[("document", Type::Number), ("due_at", Type::Number)], on_conflict: "" };

/// Numbers all drafts that are good, each series in the order in which its bills were cut; returns how many it issued. Without an issuer
/// all of them wait; where a rate of tax is missing, those that need it do.
pub async fn issue(store: &Store, settings: &BillingSettings, now: UnixMillis) -> Result<usize, BillingError> {
    // What another version has issued meanwhile.
    backfill::chain(store).await?;
    documents::fill(store).await?;
    let review = review::review(&mut *store.pool().acquire().await?, issuer::MAIN).await?;
    let mut issued = 0;
    // Credit notes last: they name their invoices by number.
    for kind in DocumentKind::ALL {
        while is_any_ready(store, kind, review, now).await? {
            match issue_batch(store, settings, kind, review, now).await? {
                [0, 0] => break,
                [count, _] => {
                    metrics().drafts.count_issued(kind.name(), count);
                    issued += count;
                }
            }
        }
    }
    Ok(issued)
}

/// Whether there is anything to do: asked first, since a look locks nothing.
async fn is_any_ready(store: &Store, kind: DocumentKind, review: Review, now: UnixMillis) -> Result<bool, BillingError> {
    let sql = format!("SELECT document FROM drafts WHERE kind = $1 AND waits_for = '' AND {} LIMIT 1", review.allows(now));
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(kind.name()).fetch_optional(store.pool()).await?.is_some())
}

/// Returns how many it issued, and how many have to wait.
async fn issue_batch(
    store: &Store,
    settings: &BillingSettings,
    kind: DocumentKind,
    review: Review,
    now: UnixMillis,
) -> Result<[usize; 2], BillingError> {
    let prefix = settings.prefixes.of(kind);
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    let mut series = Series::lock(connection, prefix).await?;
    if series.is_held {
        return Ok([0, 0]);
    }
    let Some(terms) = Terms::load(connection, settings, now).await? else { return Ok([0, 0]) };
    let drafts = ready::next(connection, kind, &review.allows(now)).await?;
    let Some((cut_at, document)) = drafts.last().map(|draft| (draft.cut_at, draft.id)) else { return Ok([0, 0]) };
    let taxes = taxes_of(connection, store, &terms, kind, &drafts).await?;
    let names = items::names(connection, store, issuer::MAIN, &codes(&drafts)).await?;
    let mut open_invoices = if kind == DocumentKind::Statement { open(connection, store, &drafts).await? } else { HashMap::new() };
    let mut rows = Vec::with_capacity(drafts.len());
    let mut to_send = Vec::with_capacity(drafts.len());
    let mut waiting = 0;
    for (draft, taxes) in drafts.iter().zip(taxes) {
        match taxes {
            Ok(taxes) => {
                let open_invoices = open_invoices.remove(draft.document.account.as_str()).unwrap_or_default();
                let frozen = frozen(draft, &terms, taxes, open_invoices, &names)?;
                rows.push(issued_row(draft, settings, &frozen, &mut series, now)?);
                to_send.push(mailed(draft, series.head.clone()));
            }
            Err(waits_for) => {
                waiting += 1;
                let mark = "UPDATE drafts SET waits_for = $1 WHERE kind = $2 AND cut_at = $3 AND document = $4";
                let mark = sqlx::query(mark).bind(waits_for).bind(kind.name()).bind(draft.cut_at.get()).bind(draft.id);
                mark.execute(&mut *connection).await?;
            }
        }
    }
    let ids: HashSet<i64> = to_send.iter().map(|document| document.id).collect();
    let issued_drafts = drafts.iter().filter(|draft| ids.contains(&draft.id));
    let of_trace = issued_drafts.map(|draft| (draft.document.account.as_str(), draft.document.bill, draft.id, kind.name()));
    let spans = IssuedSpans::begin(connection, store.dialect(), of_trace).await?;
    spans.keep(connection, store.dialect()).await?;
    let issued = rows.len();
    let is_invoice = kind == DocumentKind::Invoice;
    // Document and due date are the first and the fourth column.
    let due: Vec<_> =
        rows.iter().filter(|_| is_invoice).map(|row| [0, 3].into_iter().filter_map(|place| row.get(place).cloned()).collect()).collect();
    ISSUED.insert(connection, store.dialect(), rows.into_iter()).await?;
    DUE.update(connection, store.dialect(), due.into_iter()).await?;
    outbox::put_documents(connection, store, &to_send, now).await?;
    sqlx::query(
        "DELETE FROM drafts WHERE kind = $1 AND (cut_at < $2 OR (cut_at = $2 AND document <= $3)) \
         AND EXISTS (SELECT 1 FROM issued WHERE issued.document = drafts.document)",
    )
    .bind(kind.name())
    .bind(cut_at.get())
    .bind(document)
    .execute(&mut *connection)
    .await?;
    series.save(connection).await?;
    transaction.commit().await?;
    Ok([issued, waiting])
}

/// What the outbox needs of a document that was issued.
fn mailed(draft: &Ready, digest: String) -> IssuedDocument<'_> {
    let document = &draft.document;
    let is_zero = document.total.is_zero() && document.deducted_total().is_zero();
    IssuedDocument { id: draft.id, digest, account: &document.account, kind: document.kind, email: &draft.customer.email, is_zero }
}

/// The taxes of documents of a kind, or what for they wait.
async fn taxes_of(
    connection: &mut AnyConnection,
    store: &Store,
    terms: &Terms<'_>,
    kind: DocumentKind,
    drafts: &[Ready],
) -> Result<Vec<Result<Taxes, String>>, BillingError> {
    match kind {
        DocumentKind::CreditNote => corrected(connection, store, drafts).await,
        DocumentKind::Invoice | DocumentKind::Statement => terms.of_documents(connection, store, drafts).await,
    }
}

impl Billing {
    /// Adds to a document that is not issued yet what it would be issued with now, but for number and dates. Its amounts are those of the cut.
    pub async fn complete(&self, mut stored: StoredDocument, now: UnixMillis) -> Result<StoredDocument, BillingError> {
        if stored.state == DocumentState::Issued {
            return Ok(stored);
        }
        self.complete_draft(&mut stored, now).await?;
        self.load_logo(&mut stored.document.issuer).await?;
        Ok(stored)
    }

    async fn complete_draft(&self, stored: &mut StoredDocument, now: UnixMillis) -> Result<(), BillingError> {
        let connection = &mut *self.store().pool().acquire().await?;
        let ready = ready::one(connection, stored.id).await?;
        let drafts = std::slice::from_ref(&ready);
        let Some(terms) = Terms::load(connection, self.settings(), now).await? else {
            let document = &mut stored.document;
            document.time_zone.clone_from(&self.settings().time_zone);
            document.refers_to.clone_from(&ready.refers_to);
            document.customer = ready.customer;
            return Ok(());
        };
        let kind = stored.document.kind;
        let taxes = taxes_of(connection, self.store(), &terms, kind, drafts).await?.pop().and_then(Result::ok).unwrap_or_default();
        let names = items::names(connection, self.store(), issuer::MAIN, &codes(drafts)).await?;
        let open_invoices = if kind == DocumentKind::Statement { open(connection, self.store(), drafts).await? } else { HashMap::new() };
        let open_invoices = open_invoices.into_values().next().unwrap_or_default();
        let customer = serde_json::to_string(&ready.customer).map_err(BillingError::corrupt)?;
        frozen(&ready, &terms, taxes, open_invoices, &names)?.thaw(&mut stored.document, Units::ZERO, Units::ZERO, &customer)
    }
}

const CORRECTED: Table = Table {
    name: "(SELECT documents.id, documents.content, issued.tax_contained, issued.tax_on_deducted, issued.frozen FROM documents \
           JOIN issued ON issued.document = documents.id) AS corrected",
    columns: &[("id", Type::Number)],
    on_conflict: "",
};

const NOTES: Table = Table {
    name: "(SELECT documents.refers_to, documents.content, issued.tax_contained, issued.tax_on_deducted, issued.frozen FROM documents \
           JOIN issued ON issued.document = documents.id WHERE documents.refers_to <> 0) AS notes",
    columns: &[("refers_to", Type::Number)],
    on_conflict: "",
};

/// The taxes of credit notes: each takes from what those before it have left of the document that it corrects.
async fn corrected(connection: &mut AnyConnection, store: &Store, notes: &[Ready]) -> Result<Vec<Result<Taxes, String>>, BillingError> {
    let mut ids: Vec<i64> = notes.iter().map(|note| note.corrects).collect();
    ids.sort_unstable();
    ids.dedup();
    let keys: Vec<_> = ids.into_iter().map(|id| vec![id.into()]).collect();
    let mut left = HashMap::new();
    let columns = "tax_contained, tax_on_deducted, content, frozen";
    for row in CORRECTED.find(connection, store.dialect(), &format!("id, {columns}"), &keys).await? {
        let document = thawed(&row)?;
        left.insert(row.try_get::<i64, _>("id")?, (document.taxes, document.exemption));
    }
    for row in NOTES.find(connection, store.dialect(), &format!("refers_to, {columns}"), &keys).await? {
        let taken = thawed(&row)?.taxes;
        if let Some((left, _)) = left.get_mut(&row.try_get::<i64, _>("refers_to")?) {
            give_back(left, &taken);
        }
    }
    let taxes = notes.iter().map(|note| {
        let (left, exemption) = left.entry(note.corrects).or_default();
        Ok(Taxes { charged: Taxes::of_note(&note.document, left), exemption: exemption.clone(), ..Taxes::default() })
    });
    Ok(taxes.collect())
}

/// Takes what an earlier note took.
fn give_back(left: &mut [TaxLine], taken: &[TaxLine]) {
    for line in taken {
        if let Some(left) = left.iter_mut().find(|left| left.rate == line.rate) {
            (left.gross, left.tax) = (left.gross - line.gross, left.tax - line.tax);
        }
    }
}

/// A document that was issued, with its taxes.
fn thawed(row: &AnyRow) -> Result<Document, BillingError> {
    let (content, frozen): (String, String) = (row.try_get("content")?, row.try_get("frozen")?);
    let mut document: Document = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
    Frozen::read(&frozen)?.thaw(&mut document, row.units("tax_contained")?, row.units("tax_on_deducted")?, "")?;
    Ok(document)
}

const OPEN: Table = Table {
    name: "(SELECT payables.account, payables.open_amount, issued.number, issued.due_at FROM payables \
           JOIN issued ON issued.document = payables.document WHERE payables.open_amount > 0) AS open_invoices",
    columns: &[("account", Type::Text)],
    on_conflict: "",
};

/// What is open of the invoices of these accounts, the earliest due date first.
async fn open(
    connection: &mut AnyConnection,
    store: &Store,
    drafts: &[Ready],
) -> Result<HashMap<AccountId, Vec<OpenInvoice>>, BillingError> {
    let mut accounts: Vec<&str> = drafts.iter().map(|draft| draft.document.account.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let keys: Vec<_> = accounts.into_iter().map(|account| vec![account.into()]).collect();
    let mut open: HashMap<AccountId, Vec<OpenInvoice>> = HashMap::new();
    for row in OPEN.find(connection, store.dialect(), "*", &keys).await? {
        let invoice = OpenInvoice { number: row.try_get("number")?, due_at: row.instant("due_at")?, open: row.units("open_amount")? };
        open.entry(row.account_id("account")?).or_default().push(invoice);
    }
    for invoices in open.values_mut() {
        invoices.sort_by(|left, right| (left.due_at, &left.number).cmp(&(right.due_at, &right.number)));
    }
    Ok(open)
}

/// The items of these documents.
fn codes(drafts: &[Ready]) -> BTreeSet<&str> {
    drafts.iter().flat_map(|draft| draft.document.all_items()).map(|item| item.item.as_str()).filter(|item| !item.is_empty()).collect()
}

fn frozen(
    draft: &Ready,
    terms: &Terms<'_>,
    taxes: Taxes,
    open_invoices: Vec<OpenInvoice>,
    names: &ItemNames,
) -> Result<Frozen, BillingError> {
    Ok(Frozen {
        names: names.of(&draft.customer.language, draft.document.all_items().map(|item| item.item.as_str())),
        issuer_id: issuer::MAIN.to_owned(),
        issuer: terms.issuer.clone(),
        customer: None,
        tax_rate: String::new(),
        taxes: taxes.charged,
        deducted_taxes: taxes.deducted,
        exemption: taxes.exemption,
        period_from: Some(terms.period_from(&draft.document, draft.begun_at)?),
        open_invoices,
        time_zone: terms.settings.time_zone.clone(),
        refers_to: draft.refers_to.clone(),
    })
}

fn issued_row<'a>(
    draft: &Ready,
    settings: &BillingSettings,
    frozen: &Frozen,
    series: &mut Series,
    now: UnixMillis,
) -> Result<Vec<Value<'a>>, BillingError> {
    // No document is issued before its bill was cut, though clocks may differ by a little.
    let issued_at = now.max(draft.cut_at);
    let sum = |lines: &[TaxLine]| lines.iter().map(|line| line.tax).sum::<Units>();
    let customer = SealedCustomer::of(serde_json::to_string(&draft.customer).map_err(BillingError::corrupt)?);
    let (place, number) = series.take_place();
    let covered = Covered {
        prefix: series.prefix.clone(),
        place,
        number,
        issued_at,
        due_at: if draft.document.kind == DocumentKind::Invoice {
            settings.end_of_day(issued_at, settings.due_days)?
        } else {
            UnixMillis::NONE
        },
        tax_contained: sum(&frozen.taxes),
        tax_on_deducted: sum(&frozen.deducted_taxes),
        frozen: serde_json::to_string(frozen).map_err(BillingError::corrupt)?,
        customer_digest: customer.digest,
        ..draft.covered.clone()
    };
    series.head = covered.digest(&series.head);
    let [folded_name, folded] = documents::folded(&covered.number, &draft.customer.name);
    Ok(vec![
        draft.id.into(),
        covered.number.into(),
        issued_at.into(),
        covered.due_at.into(),
        covered.tax_contained.into(),
        covered.tax_on_deducted.into(),
        covered.frozen.into(),
        covered.prefix.into(),
        place.into(),
        customer.text.into(),
        customer.salt.into(),
        covered.customer_digest.into(),
        series.head.clone().into(),
        folded_name.into(),
        folded.into(),
    ])
}
