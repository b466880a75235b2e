//! Works a document that was held back out again, from the entry that led to it and those of its bill: the journal is what is right. The
//! amounts are those of the cut, whatever was paid since; only the lines, and whether they add up, can differ.

use crate::store::Columns;
use platform::telemetry::personal::LoggedAccount;
use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use super::super::draft::{CutBill, Draft, SingleCharge, Total};
use super::super::unissue::{End, is_of_end};
use super::{LoadPlan, LoadedBills, Rounding, load, subject_of};
use crate::account_history::Chain;
use crate::audit::{self, Act};
use crate::change::Change;
use crate::denomination::Denomination;
use crate::document::{Cause, Document};
use crate::projection;
use crate::projection::TotalKey;
use crate::projection::rows::write_totals;
use crate::record::{Record, behind};
use crate::store::Dialect;
use crate::{Billing, BillingError, name_of};
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::format_units;

/// How many entries are read at once.
const PAGE: usize = 5_000;

/// How many entries behind a cut may belong to it.
const BEHIND: i64 = 8;

/// What came of a document that was held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The document.
    pub id: i64,
    pub account: AccountId,
    /// Why it is still held back; empty if it is good, and waits for its number.
    pub held_reason: String,
}

/// What the entries of a bill say of it.
#[derive(Default)]
struct Folded {
    totals: BTreeMap<TotalKey, projection::Total>,
    /// What says where the bills before have come to, the latest first.
    ends: Vec<Entry>,
}

impl Billing {
    /// The documents that are held back, after one of them, in the order of their ids.
    pub async fn held(&self, after: i64, count: i64) -> Result<Vec<i64>, BillingError> {
        let sql = "SELECT id FROM documents WHERE held_reason <> '' AND id > $1 ORDER BY id LIMIT $2";
        let rows = sqlx::query(sql).bind(after).bind(count).fetch_all(self.store().pool()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Works a document out again that is held back. If it is good now, it waits for its number, as do its credit notes.
    pub async fn retry_held(&self, id: i64, change: &Change) -> Result<Retried, BillingError> {
        let dialect = self.store().dialect();
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let lock = "UPDATE documents SET held_reason = held_reason WHERE id = $1 AND held_reason <> ''";
        if sqlx::query(lock).bind(id).execute(&mut *connection).await?.rows_affected() == 0 {
            return Err(BillingError::NotFound("held document"));
        }
        let row = sqlx::query("SELECT account, content FROM documents WHERE id = $1").bind(id).fetch_one(&mut *connection).await?;
        let (account, content): (AccountId, String) = (row.account_id(0)?, row.try_get(1)?);
        let held: Document = serde_json::from_str(&content).map_err(BillingError::corrupt)?;
        let partition = u16::try_from(id & 0xffff).map_err(BillingError::corrupt)?;
        let sequence = u64::try_from(id >> 16).map_err(BillingError::corrupt)?;
        let records = behind(&mut *connection, partition, sequence.saturating_sub(1), BEHIND).await?;
        let Some(cut) = records.first().filter(|record| record.sequence == sequence && record.entry.account == account) else {
            return Err(BillingError::corrupt(format!("the entry that cut the bill of document {id} is not there")));
        };
        let rounding = Rounding::behind(&records, 0);
        let mut draft = match cut.entry.kind() {
            EntryKind::PeriodClosed | EntryKind::FinalBilled => {
                let folded = Folded::of(connection, &records).await?;
                write_totals(connection, dialect, &account, cut.entry.bill, &folded.totals).await?;
                folded.draft(connection, dialect, cut, rounding, &held).await?
            }
            EntryKind::ChargedOwnBill => single_charge(&cut.entry, rounding, &held),
            EntryKind::RefundedBalance => credit_note(connection, dialect, cut, id).await?,
            other => return Err(BillingError::corrupt(format!("document {id} follows from an entry of kind {other:?}, which has none"))),
        };
        hold_to_the_cut(&mut draft, &held);
        let content = serde_json::to_string(&draft.document).map_err(BillingError::corrupt)?;
        let write = "UPDATE documents SET content = $1, summary = '', held_reason = $2 WHERE id = $3";
        sqlx::query(write).bind(content).bind(draft.held_reason.clone()).bind(id).execute(&mut *connection).await?;
        if draft.held_reason.is_empty() {
            let queue = "INSERT INTO drafts (kind, cut_at, document) VALUES ($1, $2, $3)";
            let query = sqlx::query(queue).bind(draft.document.kind.name()).bind(draft.document.period_to.get()).bind(id);
            query.execute(&mut *connection).await?;
        }
        let still = (!draft.held_reason.is_empty()).then(|| draft.held_reason.clone());
        let act = Act::of("invoice.retried", change).on(&account).with("document", name_of(id)).with("held_reason", still);
        audit::write(connection, dialect, audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        tracing::info!(account = %LoggedAccount(&account), id, held_reason = draft.held_reason, "a document that was held back was worked out again");
        Ok(Retried { id, account, held_reason: draft.held_reason })
    }
}

impl Folded {
    /// Folds the bill that the first of these records cut, from the cut backwards: no more of it is in memory than a page.
    async fn of(connection: &mut AnyConnection, records: &[Record]) -> Result<Self, BillingError> {
        let mut folded = Self::default();
        let Some(cut) = records.first() else { return Ok(folded) };
        let (account, bill) = (&cut.entry.account, cut.entry.bill);
        // The cut itself, and what it rounds.
        let own = records.iter().take_while(|record| record.entry.account == *account && record.entry.bill == bill);
        own.for_each(|record| folded.add(&record.entry, bill));
        let mut from = cut.previous.unwrap_or(0);
        let chain = Chain::behind(connection, account, cut.partition, 0).await?;
        while from > 0 {
            let sequence = i64::try_from(from).map_err(BillingError::corrupt)?;
            let page = chain.back(connection, sequence, PAGE).await?;
            from = page.last().and_then(|record| record.previous).unwrap_or(0);
            for Record { entry, .. } in &page {
                folded.add(entry, bill);
                if is_of_end(entry.kind()) {
                    folded.ends.push(entry.clone());
                }
                if matches!(entry.kind(), EntryKind::PeriodClosed | EntryKind::FinalBilled) {
                    return Ok(folded);
                }
            }
        }
        Ok(folded)
    }

    fn add(&mut self, entry: &Entry, bill: u32) {
        let Some(key) = TotalKey::of(entry).filter(|key| key.bill == bill) else { return };
        match self.totals.get_mut(&key) {
            Some(total) => total.add_earlier(entry),
            None => drop(self.totals.insert(key, projection::Total::of(entry))),
        }
    }

    async fn draft(
        &self,
        connection: &mut AnyConnection,
        dialect: Dialect,
        cut: &Record,
        rounding: Rounding,
        held: &Document,
    ) -> Result<Draft, BillingError> {
        let entry = &cut.entry;
        let totals: Vec<Total> = self.totals.iter().map(|(key, total)| load::total_of(key.clone(), total.clone())).collect();
        let mut loaded_bills = LoadedBills::default();
        loaded_bills.totals.insert((entry.account.clone(), entry.bill), totals.clone());
        load::load_given_back(connection, dialect, &mut loaded_bills).await?;
        let mut ends = self.ends.clone();
        ends.reverse();
        let end = End::of(&ends).unwrap_or_default();
        let balance = entry.balance + entry.amount();
        // What was unallocated then is in the sums that the document was cut with.
        let unallocated = if !held.brought_forward.is_zero() { -held.brought_forward } else { held.credit_applied };
        let bill = CutBill {
            account: entry.account.clone(),
            denomination: denomination_of(held),
            bill: entry.bill,
            cause: if entry.kind() == EntryKind::FinalBilled { Cause::Conversion } else { Cause::PeriodEnd },
            mode: entry.mode,
            cut_at: entry.time,
            closed: entry.amount(),
            rounding: (-rounding.bill),
            due_rounding: rounding.due,
            balance,
            opening: end.balance,
            single: [end.single_charged, end.single_rounded],
            was_converted: end.converted_bill == entry.bill,
            open: unallocated - balance - rounding.due,
            totals,
            refunds: loaded_bills.refunds.remove(&(entry.account.clone(), entry.bill)).unwrap_or_default(),
            adjustments: loaded_bills.adjustments.remove(&(entry.account.clone(), entry.bill)).unwrap_or_default(),
        };
        Ok(bill.draft())
    }
}

fn denomination_of(held: &Document) -> Denomination {
    Denomination { currency: held.currency.clone(), decimals: held.decimals, minor_digits: held.minor_digits }
}

/// The invoice of a charge that is a bill of its own.
fn single_charge(entry: &Entry, rounding: Rounding, held: &Document) -> Draft {
    let balance = entry.balance + entry.amount();
    let charge = SingleCharge {
        account: entry.account.clone(),
        denomination: denomination_of(held),
        bill: entry.bill,
        time: entry.time,
        subject: subject_of(entry),
        amount: entry.amount(),
        rounding: (-rounding.bill),
        balance,
        open: held.credit_applied - balance,
    };
    charge.draft()
}

/// The credit note of a refund, drawn up as when the refund was taken in; nothing of it is written but the note.
async fn credit_note(connection: &mut AnyConnection, dialect: Dialect, refund: &Record, id: i64) -> Result<Draft, BillingError> {
    let load_plan = LoadPlan::of(std::slice::from_ref(refund));
    let mut loaded_bills = load::load(connection, dialect, &load_plan).await?;
    // Those that wait now came later.
    loaded_bills.uncredited = load::uncredited_of(connection, id).await?;
    loaded_bills.take(refund, Rounding::default())?;
    let made = loaded_bills.made.pop().map(|made| made.draft);
    made.ok_or_else(|| BillingError::corrupt(format!("the charge that document {id} gives back is on no document")))
}

/// Holds a draft back whose sums are not those that were cut.
fn hold_to_the_cut(draft: &mut Draft, held: &Document) {
    let sums = |document: &Document| [document.total, document.brought_forward, document.credit_applied, document.amount_to_pay];
    if draft.held_reason.is_empty() && sums(&draft.document) != sums(held) {
        let show = |document: &Document| sums(document).map(|units| format_units(units, held.decimals, held.minor_digits)).join(", ");
        draft.held_reason = format!(
            "its total, what is brought forward, the credit applied and the amount to pay would be {}, and those of the cut are {}",
            show(&draft.document),
            show(held)
        );
    }
}
