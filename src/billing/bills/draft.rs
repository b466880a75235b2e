//! Works a document out of what the ledger closed. Pure: no store, no settings; what depends on those is added when it is issued.
//!
//! Two things must agree, or the draft is held back with the difference named: the items with what the ledger closed, and what moved
//! the balance since the bill before with the balance that the ledger closed at.

mod lines;

pub use lines::{CATEGORIES, add_quantities, category_name};
use lines::{merge, place};
use rust_decimal::Decimal;

use crate::denomination::Denomination;
use crate::document::{Adjustment, Cause, Document, DocumentKind, Item, Wallet};
use crate::projection;
use domain::account::{Category, Mode};
use domain::entry::EntryKind;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// A running total of a bill: all its entries of one kind and one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// The kind of the entries.
    pub kind: EntryKind,
    /// What was charged.
    pub subject: Subject,
    /// The sum of their amounts.
    pub amount: Units,
    /// How many they are.
    pub count: i64,
    /// What each costs for a unit, if that is the same, in units of the account; `None` if it is not.
    pub unit_price: Option<Decimal>,
    /// When the first was accepted.
    pub first_at: UnixMillis,
    /// When the last was accepted.
    pub last_at: UnixMillis,
}

/// The item that is charged or refunded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// What for; `None` if not said.
    pub category: Option<Category>,
    /// What was sold; empty if not said.
    pub item: String,
    /// The unit of the quantity; empty if not said.
    pub unit: String,
    /// How much, as a decimal; empty if not said.
    pub quantity: String,
    /// For people.
    pub description: String,
}

/// A refund, with what is known of the charge that it gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// To the balance, or off the unbilled amount.
    pub kind: EntryKind,
    /// How the charge was made; `None` if the charge is not known.
    pub charge: Option<EntryKind>,
    /// What had been charged, and how much of it is given back.
    pub subject: Subject,
    /// How much is given back.
    pub amount: Units,
    /// When.
    pub time: UnixMillis,
}

/// A bill that a period's end or a conversion has cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutBill {
    pub account: AccountId,
    /// In what it is kept.
    pub denomination: Denomination,
    /// The bill's number.
    pub bill: u32,
    /// What cut it.
    pub cause: Cause,
    /// The mode that it was cut in.
    pub mode: Mode,
    /// When.
    pub cut_at: UnixMillis,
    /// What moved from unbilled to the balance: what there is to buy.
    pub closed: Units,
    /// What rounding to the minor unit adds to the total; the balance moves the other way.
    pub rounding: Units,
    /// What rounding the amount due adds to the balance. It belongs to what is brought forward, or to the credit that is applied.
    pub due_rounding: Units,
    /// The balance before it was cut.
    pub balance: Units,
    /// The balance after the bill before.
    pub opening: Units,
    /// What bills of single charges have moved since then: charges (zero or negative), rounding.
    pub single: [Units; 2],
    /// Whether the account was converted to postpaid within it.
    pub was_converted: bool,
    /// What is open of earlier invoices, less what operators have set aside: with the balance, what may pay this one.
    pub open: Units,
    /// The totals of its entries.
    pub totals: Vec<Total>,
    pub refunds: Vec<Refund>,
    /// Corrections by hand within it.
    pub adjustments: Vec<Adjustment>,
}

/// A document without number, date and parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub document: Document,
    /// Why it is held back; empty if it is not.
    pub held_reason: String,
}

/// Sums an invoice up. What is paid in and belongs to no invoice pays it at once; a debt that no invoice holds is added to it. Both are
/// whole minor units of the currency.
fn sum_up(document: &mut Document, closed: Units, rounding: Units, unallocated: Units) {
    document.items_total = closed;
    document.rounding = rounding;
    document.brought_forward = (-unallocated).or_zero();
    document.total = closed + rounding + document.brought_forward;
    document.credit_applied = unallocated.clamp(Units::ZERO, document.total.or_zero());
    document.amount_to_pay = document.total - document.credit_applied;
}

impl CutBill {
    /// The document of the bill: an invoice of a postpaid account, a statement of a prepaid one.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let first = self.totals.iter().map(|total| total.first_at).min().unwrap_or(self.cut_at);
        let kind = if self.mode == Mode::Postpaid { DocumentKind::Invoice } else { DocumentKind::Statement };
        let mut document = self.denomination.blank(kind, self.cause, &self.account, self.bill, [first.min(self.cut_at), self.cut_at]);
        document.items = self.lines(EntryKind::ChargedUnbilled, EntryKind::RefundedUnbilled);
        let decimals = self.denomination.decimals;
        let not_itemized = self.totals.iter().filter(|total| total.kind == EntryKind::NotItemizedUnbilled && !total.amount.is_zero());
        document.items.extend(not_itemized.map(|total| Item { description: "not itemized".to_owned(), ..total.line(decimals) }));
        document.deducted = self.lines(EntryKind::ChargedBalance, EntryKind::RefundedBalance);
        document.adjustments.clone_from(&self.adjustments);
        let wallet = self.wallet();
        if kind == DocumentKind::Statement || self.has_prepaid_part(&document, &wallet) {
            document.wallet = Some(wallet);
        }
        if kind == DocumentKind::Invoice {
            sum_up(&mut document, self.closed, self.rounding, self.balance + self.due_rounding + self.open);
        } else {
            document.items_total = self.closed;
        }
        let held_reason = self.differences(&document, &wallet);
        Draft { document, held_reason }
    }

    /// After a conversion within the bill, or when a prepaid charge or its refund fell into it, the customer sees the wallet too.
    fn has_prepaid_part(&self, document: &Document, wallet: &Wallet) -> bool {
        let has_moved = [wallet.opening, wallet.closing, wallet.paid_in, wallet.adjusted, wallet.written_off, wallet.refunded]
            .iter()
            .any(|amount| !amount.is_zero());
        !document.deducted.is_empty() || !wallet.not_itemized.is_zero() || (self.was_converted && has_moved)
    }

    /// The charges of a kind by item, and behind each what was refunded of it.
    fn lines(&self, charged: EntryKind, refunded: EntryKind) -> Vec<Item> {
        let decimals = self.denomination.decimals;
        let charges = self.totals.iter().filter(|total| total.kind == charged).map(|total| total.line(decimals));
        let mut lines: Vec<Item> = charges.collect();
        let is_of_charge = |refund: &&Refund| refund.kind == refunded && refund.charge.is_none_or(|kind| kind == charged);
        for refund in self.refunds.iter().filter(is_of_charge) {
            merge(&mut lines, refund.line());
        }
        lines.sort_by(|left, right| place(left).cmp(&place(right)));
        lines
    }

    fn wallet(&self) -> Wallet {
        let sum = |kinds: &[EntryKind]| added(self.totals.iter().filter(|total| kinds.contains(&total.kind)).map(|total| total.amount));
        Wallet {
            opening: self.opening,
            paid_in: sum(&[EntryKind::ToppedUp, EntryKind::PaymentRecorded]),
            reversed: -sum(&[EntryKind::PaymentReversed]),
            charged: -sum(&[EntryKind::ChargedBalance]),
            refunded: sum(&[EntryKind::RefundedBalance]),
            withdrawn: -sum(&[EntryKind::Withdrawn]),
            // The bill's own rounding of the amount due comes behind its balance; another is what a closing rounded off.
            adjusted: sum(&[EntryKind::Adjusted, EntryKind::AmountDueRounded]).saturating_sub(self.due_rounding),
            written_off: sum(&[EntryKind::WrittenOff]).saturating_sub(sum(&[EntryKind::WriteOffReversed])),
            not_itemized: sum(&[EntryKind::NotItemized]),
            invoiced: self.single[0],
            rounded: self.single[1],
            closing: self.balance,
        }
    }

    /// The differences; empty means everything adds up.
    fn differences(&self, document: &Document, wallet: &Wallet) -> String {
        let show = |units| self.denomination.show(units);
        let mut differences = Vec::new();
        let items = added(document.items.iter().map(|item| item.amount));
        if items != self.closed {
            let (sum, closed, difference) = (show(items), show(self.closed), show(items.saturating_sub(self.closed)));
            differences.push(format!("the items add up to {sum}, but the ledger closed {closed}: a difference of {difference}"));
        }
        let Wallet {
            opening,
            paid_in,
            reversed,
            charged,
            refunded,
            withdrawn,
            adjusted,
            written_off,
            not_itemized,
            invoiced,
            rounded,
            closing,
        } = *wallet;
        let moves = [opening, paid_in, reversed, charged, refunded, withdrawn, adjusted, written_off, not_itemized, invoiced, rounded];
        let moved = added(moves.into_iter());
        if moved != closing {
            let (sum, closed, difference) = (show(moved), show(closing), show(moved.saturating_sub(closing)));
            differences.push(format!("the balance adds up to {sum}, but the ledger closed at {closed}: a difference of {difference}"));
        }
        differences.join("; ")
    }
}

/// A sum. One that cannot be kept does not add up, so that its document is held back.
fn added(amounts: impl Iterator<Item = Units>) -> Units {
    amounts.fold(Units::ZERO, Units::saturating_add)
}

/// A charge that is a bill of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleCharge {
    pub account: AccountId,
    /// In what it is kept.
    pub denomination: Denomination,
    /// The bill's number.
    pub bill: u32,
    /// When it was charged.
    pub time: UnixMillis,
    /// What was charged.
    pub subject: Subject,
    /// How much.
    pub amount: Units,
    /// What rounding to the minor unit adds to the total; the balance moves the other way.
    pub rounding: Units,
    /// The balance before it.
    pub balance: Units,
    /// What is open of earlier invoices, less what operators have set aside: with the balance, what may pay this one.
    pub open: Units,
}

impl SingleCharge {
    /// Its invoice.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let Self { denomination, account, bill, time, amount, .. } = self;
        let mut document = denomination.blank(DocumentKind::Invoice, Cause::SingleCharge, account, *bill, [*time, *time]);
        let subject = self.subject.clone();
        let unit_price = projection::unit_price(*amount, self.subject.quantity.parse().ok());
        let kind = EntryKind::ChargedOwnBill;
        let total = Total { kind, subject, amount: *amount, count: 1, unit_price, first_at: *time, last_at: *time };
        document.items = vec![total.line(denomination.decimals)];
        // A debt of before stays for the monthly bill: a single charge is billed for itself.
        // Credits pay in whole minor units.
        let unallocated = (self.balance + self.open).or_zero();
        sum_up(&mut document, *amount, self.rounding, unallocated - unallocated % denomination.minor_unit());
        Draft { document, held_reason: String::new() }
    }
}

/// A refund of what an earlier invoice billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditNote {
    pub account: AccountId,
    /// In what it is kept.
    pub denomination: Denomination,
    /// The bill that holds the charge.
    pub bill: u32,
    /// The refund: what was taken off the charge.
    pub refund: Refund,
    /// Earlier refunds of the bill that nothing was credited for, and that stand on no note yet.
    pub uncredited: Vec<Refund>,
    /// What is credited, in minor units.
    pub credited: Units,
    /// Why.
    pub reason: String,
}

impl CreditNote {
    /// Its document: what is given back, and nothing to pay.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let Self { denomination, account, bill, refund, .. } = self;
        let period = [refund.time, refund.time];
        let mut document = denomination.blank(DocumentKind::CreditNote, Cause::Refund, account, *bill, period);
        document.items = std::iter::once(refund).chain(&self.uncredited).map(Refund::line_of_note).collect();
        document.items_total = added(document.items.iter().map(|item| item.amount));
        document.rounding = self.credited - document.items_total;
        document.total = self.credited;
        document.reason.clone_from(&self.reason);
        Draft { document, held_reason: String::new() }
    }
}

#[cfg(test)]
mod tests;
