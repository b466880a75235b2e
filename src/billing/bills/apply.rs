//! The step that takes in a run of records: what they cut is drafted, what they credit is allocated. Within the aggregator's
//! transaction, so exactly once.
//!
//! Most records are charges and reservations, which need nothing here. What the others need is loaded for all of them at once
//! ([`load`]), worked out in memory, in journal order, here, and written for all at once ([`write`]).

pub mod by_hand;
mod load;
mod load_plan;
pub mod preview;
pub mod retry;
mod rounding;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use load_plan::LoadPlan;
use rounding::Rounding;
use sqlx::AnyConnection;

use super::allocate::{Allocation, Credit, Receivables};
use super::draft::{CreditNote, CutBill, Draft, Refund, SingleCharge, Subject, Total};
use crate::BillingError;
use crate::denomination::Denomination;
use crate::document::{Adjustment, Cause, DocumentKind};
use crate::document_id::document_id;
use crate::record::{Record, number};
use crate::store::Dialect;
use domain::account::Mode;
use domain::entry::{Entry, EntryKind};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::payment::PaymentDetails;
use domain::time::UnixMillis;

/// Takes in records, in journal order, after their entries, totals and accounts were written in the same transaction. The records of
/// one command must come together: a cut and the rounding that belongs to it.
pub async fn apply(connection: &mut AnyConnection, records: &[Record]) -> Result<(), BillingError> {
    let load_plan = LoadPlan::of(records);
    if load_plan.accounts.is_empty() {
        return Ok(());
    }
    let dialect = if connection.backend_name() == "PostgreSQL" { Dialect::Postgres } else { Dialect::Sqlite };
    let mut loaded_bills = load::load(connection, dialect, &load_plan).await?;
    for (place, record) in records.iter().enumerate() {
        loaded_bills.take(record, Rounding::behind(records, place))?;
    }
    write::write(connection, dialect, &loaded_bills).await
}

/// The bill that the charge fell into that a refund gives back.
fn bill_of_charge(entry: &Entry) -> u32 {
    entry.data.given_back().map_or(0, |given_back| given_back.bill)
}

/// Facts of a charge that is refunded.
#[derive(Clone, Debug)]
struct Charge {
    kind: EntryKind,
    subject: Subject,
}

/// The end of an account's last bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BillEnd {
    /// The balance after the last bill that a period's end or a conversion cut.
    balance: Units,
    /// The bill within which the account was converted to postpaid; 0 for none.
    converted_bill: u32,
    /// What bills of single charges have moved since: charges, rounding.
    single: [Units; 2],
    is_changed: bool,
}

/// The loaded rows of one account.
#[derive(Debug, Default)]
struct LoadedAccount {
    denomination: Denomination,
    /// As it is after all that is taken in now.
    mode: Option<Mode>,
    /// As it is after all that is taken in now.
    balance: Units,
    end: BillEnd,
    receivables: Receivables,
    /// How many invoices were open, and how much of them in all.
    stored_open: (i64, Units),
    /// How many of these are not loaded.
    open_elsewhere: i64,
}

impl LoadedAccount {
    /// How many invoices are open, and how much of them in all.
    fn open(&self) -> (i64, Units) {
        let loaded = self.receivables.invoices.iter().filter(|invoice| invoice.open > Units::ZERO).count();
        (self.open_elsewhere + i64::try_from(loaded).unwrap_or(i64::MAX), self.receivables.open())
    }
}

/// A document to be written.
#[derive(Debug)]
struct NewDocument {
    id: i64,
    /// The document that it refers to; 0 for none.
    refers_to: i64,
    draft: Draft,
}

/// A refund to be written: its account, bill and number there, and itself.
#[derive(Debug)]
struct NewRefund {
    account: AccountId,
    bill: u32,
    sequence: i64,
    refund: Refund,
}

/// A refund of a billed charge that nothing was credited for: its account and the charge's bill, its number and place, and itself.
#[derive(Debug)]
struct Uncredited {
    account: AccountId,
    bill: u32,
    sequence: i64,
    place: i64,
    refund: Refund,
    /// The credit note that it stands on; 0 for none yet.
    note: i64,
    is_changed: bool,
}

/// An allocation to be written: its account, the number of the entry that led to it, when, and itself.
#[derive(Debug)]
struct NewAllocation {
    account: AccountId,
    sequence: i64,
    time: UnixMillis,
    allocation: Allocation,
}

/// A change of what is set aside of a credit, to be written: the account, the number of what led to it, the credit, and by how much.
#[derive(Debug)]
struct NewSetAside {
    account: AccountId,
    sequence: i64,
    credit: i64,
    amount: Units,
}

/// Details of a credit.
#[derive(Clone, Debug)]
struct CreditDetails {
    kind: EntryKind,
    /// The place of its entry in the journal.
    entry: i64,
    details: PaymentDetails,
    received_at: UnixMillis,
    /// When it was accepted.
    time: UnixMillis,
    actor: String,
    reason: String,
}

/// The loaded rows of all accounts of a run.
#[derive(Debug, Default)]
struct LoadedBills {
    accounts: HashMap<AccountId, LoadedAccount>,
    totals: HashMap<(AccountId, u32), Vec<Total>>,
    refunds: HashMap<(AccountId, u32), Vec<Refund>>,
    /// By account, request id and bill.
    charges: HashMap<(AccountId, RequestId, u32), Charge>,
    /// The documents of bills.
    documents: HashMap<(AccountId, u32), i64>,
    made: Vec<NewDocument>,
    made_refunds: Vec<NewRefund>,
    /// Those that stand on no note yet, and those of these records.
    uncredited: Vec<Uncredited>,
    adjustments: HashMap<(AccountId, u32), Vec<Adjustment>>,
    /// Account, bill, number there, and itself.
    made_adjustments: Vec<(AccountId, u32, i64, Adjustment)>,
    made_allocations: Vec<NewAllocation>,
    made_set_asides: Vec<NewSetAside>,
    /// Details of new credits, by account and number.
    made_credits: HashMap<(AccountId, i64), CreditDetails>,
    /// Whether there are bills that are not known.
    has_gap: bool,
    /// The invoices that are loaded.
    loaded: HashSet<i64>,
}

impl LoadedBills {
    /// Takes in one record, with what the entries behind it round.
    fn take(&mut self, record: &Record, rounding: Rounding) -> Result<(), BillingError> {
        let entry = &record.entry;
        match entry.kind() {
            EntryKind::ToppedUp | EntryKind::PaymentRecorded | EntryKind::WrittenOff => self.credit(record),
            EntryKind::Adjusted => {
                self.adjustment(entry);
                if entry.amount() > Units::ZERO {
                    self.credit(record);
                }
            }
            EntryKind::RefundedBalance => {
                self.refund(record)?;
                self.credit(record);
            }
            EntryKind::Withdrawn => {
                let receivables = &mut self.account(entry).receivables;
                let before = receivables.set_asides();
                receivables.pay_out(entry.amount(), entry.balance);
                self.set_aside_since(&entry.account, number(entry.account_sequence), &before);
            }
            EntryKind::RefundedUnbilled => self.refund(record)?,
            EntryKind::PaymentReversed | EntryKind::WriteOffReversed => {
                let receivables = &mut self.account(entry).receivables;
                let before = receivables.set_asides();
                let allocations = receivables.reverse(&entry.refers_to, entry.amount(), entry.balance);
                self.allocated(entry, allocations);
                self.set_aside_since(&entry.account, number(entry.account_sequence), &before);
            }
            EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => self.pass_gap(record),
            EntryKind::Converted if entry.mode == Mode::Postpaid => {
                let end = &mut self.account(entry).end;
                (end.converted_bill, end.is_changed) = (entry.bill, true);
            }
            EntryKind::PeriodClosed | EntryKind::FinalBilled => self.cut(record, rounding),
            EntryKind::ChargedOwnBill => self.single_charge(record, rounding.bill),
            _ => {}
        }
        Ok(())
    }

    /// Takes in how an account changed within a gap: money that came in pays invoices, and a bill that was cut is not known.
    fn pass_gap(&mut self, record: &Record) {
        let entry = &record.entry;
        let moved = entry.data.movement().balance;
        if entry.data.cut_within_gap() {
            self.account(entry).end = BillEnd { balance: entry.balance - moved, is_changed: true, ..BillEnd::default() };
        }
        if moved > Units::ZERO {
            self.credit(record);
        }
    }

    fn account(&mut self, entry: &Entry) -> &mut LoadedAccount {
        self.accounts.entry(entry.account.clone()).or_default()
    }

    fn allocated(&mut self, entry: &Entry, allocations: Vec<Allocation>) {
        let (sequence, time) = (number(entry.account_sequence), entry.time);
        let made = allocations.into_iter().map(|allocation| NewAllocation { account: entry.account.clone(), sequence, time, allocation });
        self.made_allocations.extend(made);
    }

    /// Keeps what has changed of what is set aside of credits, so that it can be undone if its cause is lost.
    fn set_aside_since(&mut self, account: &AccountId, sequence: i64, before: &BTreeMap<i64, Units>) {
        let after = self.accounts.get(account).map(|ledger| ledger.receivables.set_asides()).unwrap_or_default();
        let of = |set_asides: &BTreeMap<i64, Units>, credit: i64| set_asides.get(&credit).copied().unwrap_or_default();
        let credits: BTreeSet<i64> = before.keys().chain(after.keys()).copied().collect();
        let moved =
            credits.into_iter().map(|credit| (credit, of(&after, credit) - of(before, credit))).filter(|(_, amount)| !amount.is_zero());
        let made = moved.map(|(credit, amount)| NewSetAside { account: account.to_owned(), sequence, credit, amount });
        self.made_set_asides.extend(made);
    }

    fn credit(&mut self, record: &Record) {
        let entry = &record.entry;
        let credited = CreditDetails {
            kind: entry.kind(),
            entry: document_id(record),
            details: PaymentDetails::of(&entry.metadata),
            received_at: entry.metadata.occurred_at.unwrap_or(entry.time),
            time: entry.time,
            actor: entry.metadata.actor.clone(),
            reason: entry.metadata.reason.clone(),
        };
        self.made_credits.insert((entry.account.clone(), number(entry.account_sequence)), credited);
        let credit = Credit {
            sequence: number(entry.account_sequence),
            request_id: entry.request_id.clone(),
            time: entry.time,
            amount: entry.amount(),
            ..Credit::default()
        };
        // What is given back of a billed charge pays the invoice that billed it first. What was deducted as prepaid was billed by none.
        let own =
            if self.gives_back_billed(entry) { self.documents.get(&(entry.account.clone(), bill_of_charge(entry))).copied() } else { None };
        let allocations = self.account(entry).receivables.credit(credit, own, &entry.metadata.invoices);
        self.allocated(entry, allocations);
    }

    /// Whether an entry is the refund of a charge that a bill holds as an item to buy.
    fn gives_back_billed(&self, entry: &Entry) -> bool {
        let charge = (entry.account.clone(), entry.refers_to.clone(), bill_of_charge(entry));
        entry.kind() == EntryKind::RefundedBalance
            && self.charges.get(&charge).is_some_and(|charge| charge.kind != EntryKind::ChargedBalance)
    }

    /// Keeps a correction, with its reason, for its bill.
    fn adjustment(&mut self, entry: &Entry) {
        let adjustment = Adjustment { time: entry.time, amount: entry.amount(), reason: entry.metadata.reason.clone() };
        self.adjustments.entry((entry.account.clone(), entry.bill)).or_default().push(adjustment.clone());
        self.made_adjustments.push((entry.account.clone(), entry.bill, number(entry.account_sequence), adjustment));
    }

    /// Keeps a refund for the lines of its bill; of what an earlier invoice billed, drafts a credit note.
    fn refund(&mut self, record: &Record) -> Result<(), BillingError> {
        let entry = &record.entry;
        let bill = bill_of_charge(entry);
        let charge = self.charges.get(&(entry.account.clone(), entry.refers_to.clone(), bill)).cloned();
        let subject = match &charge {
            Some(charge) => Subject { quantity: entry.metadata.quantity.clone(), ..charge.subject.clone() },
            None => subject_of(entry),
        };
        let kind = charge.as_ref().map(|charge| charge.kind);
        let refund = Refund { kind: entry.kind(), charge: kind, subject, amount: entry.data.taken_off(), time: entry.time };
        let key = (entry.account.clone(), entry.bill);
        self.refunds.entry(key).or_default().push(refund.clone());
        let (account, sequence) = (entry.account.clone(), number(entry.account_sequence));
        self.made_refunds.push(NewRefund { account, bill: entry.bill, sequence, refund: refund.clone() });
        if !self.gives_back_billed(entry) {
            return Ok(());
        }
        // A credit note of nothing is none: what was given back stands on the bill's next one.
        let (account, place) = (entry.account.clone(), document_id(record));
        if entry.amount().is_zero() {
            self.uncredited.push(Uncredited { account, bill, sequence, place, refund, note: 0, is_changed: true });
            return Ok(());
        }
        let Some(refers_to) = self.documents.get(&(entry.account.clone(), bill)).copied() else {
            if self.has_gap {
                // The bill was cut within a gap, and its document is not known.
                return Ok(());
            }
            let account = &entry.account;
            return Err(BillingError::corrupt(format!(
                "bill {bill} of account {account} has no document, though a charge of it was refunded"
            )));
        };
        let mut uncredited = Vec::new();
        let of_bill = |one: &&mut Uncredited| one.note == 0 && one.bill == bill && one.account == account;
        for earlier in self.uncredited.iter_mut().filter(of_bill) {
            (earlier.note, earlier.is_changed) = (place, true);
            uncredited.push(earlier.refund.clone());
        }
        let note = CreditNote {
            account,
            denomination: self.account(entry).denomination.clone(),
            bill,
            refund,
            uncredited,
            credited: entry.amount(),
            reason: entry.metadata.reason.clone(),
        };
        self.made.push(NewDocument { id: place, refers_to, draft: note.draft() });
        Ok(())
    }

    /// Drafts the bill that an entry has cut.
    fn cut(&mut self, record: &Record, rounding: Rounding) {
        let entry = &record.entry;
        let key = (entry.account.clone(), entry.bill);
        let (totals, refunds) = (self.totals.get(&key).cloned().unwrap_or_default(), self.refunds.get(&key).cloned().unwrap_or_default());
        let adjustments = self.adjustments.get(&key).cloned().unwrap_or_default();
        let account = self.account(entry);
        let cut = CutBill {
            account: entry.account.clone(),
            denomination: account.denomination.clone(),
            bill: entry.bill,
            cause: if entry.kind() == EntryKind::FinalBilled { Cause::Conversion } else { Cause::PeriodEnd },
            mode: entry.mode,
            cut_at: entry.time,
            closed: entry.amount(),
            rounding: (-rounding.bill),
            due_rounding: rounding.due,
            balance: entry.balance + entry.amount(),
            opening: account.end.balance,
            single: account.end.single,
            was_converted: account.end.converted_bill == entry.bill,
            open: account.receivables.open() - account.receivables.set_aside(),
            totals,
            refunds,
            adjustments,
        };
        account.end = BillEnd { balance: entry.balance + rounding.bill + rounding.due, is_changed: true, ..BillEnd::default() };
        self.draft(record, cut.draft());
    }

    fn single_charge(&mut self, record: &Record, rounding: Units) {
        let entry = &record.entry;
        let account = self.account(entry);
        account.end.single = [account.end.single[0] - entry.amount(), account.end.single[1] + rounding];
        account.end.is_changed = true;
        let charge = SingleCharge {
            account: entry.account.clone(),
            denomination: account.denomination.clone(),
            bill: entry.bill,
            time: entry.time,
            subject: subject_of(entry),
            amount: entry.amount(),
            rounding: -rounding,
            balance: entry.balance + entry.amount(),
            open: account.receivables.open() - account.receivables.set_aside(),
        };
        self.draft(record, charge.draft());
    }

    /// Keeps a draft, and what is to be paid of it.
    fn draft(&mut self, record: &Record, draft: Draft) {
        let entry = &record.entry;
        let id = document_id(record);
        let document = &draft.document;
        if draft.held_reason.is_empty() && !document.has_something_to_say() {
            return;
        }
        if document.kind == DocumentKind::Invoice && document.total > Units::ZERO {
            let (total, applied) = (document.total, document.credit_applied);
            let allocations = self.account(entry).receivables.invoice(id, entry.time, total, applied);
            self.allocated(entry, allocations);
        }
        self.documents.insert((entry.account.clone(), entry.bill), id);
        self.made.push(NewDocument { id, refers_to: 0, draft });
    }
}

/// What an entry says of its subject.
fn subject_of(entry: &Entry) -> Subject {
    let metadata = &entry.metadata;
    Subject {
        category: metadata.category,
        item: metadata.item.clone(),
        unit: metadata.unit.clone(),
        quantity: metadata.quantity.clone(),
        description: metadata.description.clone(),
    }
}
