//! Giving back what an earlier entry took or gave: refunds, and reversals of payments and write-offs.
//!
//! What is known of the earlier entry (the original) never changes: the step remembers it, or is given it. How much was given back of it
//! is kept by the step, and by the sequence of its entry, because an id may be used again. What was kept may have been dropped, up to a
//! sequence that the step knows; who looks the original up then looks up this sum, too, and says up to which entry it is known.

use super::{Change, Desk, Remembered, Step};
use crate::account::Millis;
use crate::command::{Action, Command, Facts, Kind, Undo};
use crate::entry::{EntryData, EntryKind, GivenBack, RefundedTo};
use crate::money::round_half_up;
use crate::outcome::{Refusal, Verdict};

/// Of what a sum is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefundKey {
    /// A charge, a payment or a write-off: the partition's sequence of its entry.
    Original(u64),
    /// A bill that was cut: its account, its number.
    Bill(String, u32),
}

/// What was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// How much, measured by the charges.
    pub sum: i64,
    /// Of a bill: what the cut had moved from unbilled to the balance, before it was rounded. None: it is not known here.
    pub billed: Option<i64>,
    /// The partition's sequence of the last entry that gave something back.
    pub sequence: u64,
    /// When that was.
    pub time: Millis,
}

/// Whether an entry of a kind is meant.
pub type IsWanted = fn(EntryKind) -> bool;

/// Which kinds of entry a command can give back; None: it gives nothing back.
#[must_use]
pub fn originals_of(action: &Action) -> Option<(&Undo, IsWanted)> {
    match action {
        Action::Refund(undo) => Some((undo, EntryKind::is_charge)),
        Action::ReversePayment(undo) => Some((undo, EntryKind::is_payment)),
        Action::ReverseWriteOff(undo) => Some((undo, EntryKind::is_write_off)),
        _ => None,
    }
}

/// What sums a command needs: that of the original, and that of the bill of a charge.
#[must_use]
pub fn refund_keys(command: &Command, original: Option<&Remembered>) -> [Option<RefundKey>; 2] {
    let facts = originals_of(&command.action).and_then(|(undo, is_wanted)| facts(undo, original, is_wanted).ok());
    let bill = facts.filter(|facts| facts.kind == EntryKind::ChargedUnbilled);
    [facts.map(|facts| RefundKey::Original(facts.sequence)), bill.map(|facts| RefundKey::Bill(command.account.clone(), facts.bill))]
}

/// What is known of the original: it is remembered, or was looked up.
fn facts(undo: &Undo, original: Option<&Remembered>, is_wanted: IsWanted) -> Result<Facts, Refusal> {
    let looked_up = undo.facts.filter(|facts| is_wanted(facts.kind)).ok_or(Refusal::OriginalNeeded);
    let Some(Remembered { decision, .. }) = original else { return looked_up };
    let (kind, bill) = match (decision.verdict, decision.kind, decision.charged) {
        (Verdict::Done, Kind::Debit, Some(charged)) => (charged.kind, charged.bill),
        // It was remembered by format version 2, which does not say how it was charged.
        (Verdict::Done, Kind::Debit, None) => return looked_up,
        (Verdict::Done, Kind::TopUp, _) => (EntryKind::ToppedUp, 0),
        (Verdict::Done, Kind::RecordPayment, _) => (EntryKind::PaymentRecorded, 0),
        (Verdict::Done, Kind::WriteOff, _) => (EntryKind::WrittenOff, 0),
        _ => return Err(Refusal::ChargeNotFound),
    };
    if !is_wanted(kind) {
        return Err(Refusal::ChargeNotFound);
    }
    let (sequence, amount) = (decision.sequence, decision.amount);
    Ok(Facts { sequence, kind, amount, bill, given_back: 0, known_until: sequence })
}

/// What is given back now.
struct Undoing {
    facts: Facts,
    /// What was given back before.
    before: i64,
    /// What is given back now, measured by the original: never more than is left of it.
    amount: i64,
}

impl Undoing {
    fn of(desk: &Desk<'_>) -> Result<Self, Refusal> {
        let (undo, is_wanted) = originals_of(&desk.command.action).ok_or(Refusal::ChargeNotFound)?;
        let asked = undo.amount.map(|amount| desk.units(amount)).transpose()?;
        desk.refuse_closed()?;
        let facts = facts(undo, desk.touched.original, is_wanted)?;
        let before = given_back(desk, &facts, undo)?;
        let left = facts.amount - before;
        let amount = asked.unwrap_or(left);
        if amount > left || amount <= 0 { Err(Refusal::ExceedsOriginal) } else { Ok(Self { facts, before, amount }) }
    }

    /// What the entry says of the original, if that much is credited.
    fn given_back(&self, credited: i64, of_bill: Option<i64>) -> GivenBack {
        let Facts { sequence, bill, .. } = self.facts;
        let (total, rounding) = (self.before + self.amount, credited - self.amount);
        GivenBack { original: Some(sequence), total, rounding, bill, of_bill }
    }

    fn accept(self, mut desk: Desk<'_>, data: EntryData, bill: Option<BillSums>) -> Result<Step, Refusal> {
        let GivenBack { total, rounding, of_bill, .. } = data.given_back().copied().unwrap_or_default();
        desk.record(data);
        desk.refuse_out_of_range()?;
        let mut decision = desk.decision(Verdict::Done, self.amount);
        decision.credit_rounding = rounding;
        let (sequence, time) = (desk.sequence, desk.now());
        let mut refunds = vec![(RefundKey::Original(self.facts.sequence), Refunded { sum: total, billed: None, sequence, time })];
        refunds.extend(bill.zip(of_bill).map(|(bill, sum)| {
            let key = RefundKey::Bill(desk.command.account.clone(), self.facts.bill);
            (key, Refunded { sum, billed: Some(bill.billed), sequence, time })
        }));
        Ok(desk.accept(decision).with(|change: &mut Change| change.refunds = refunds))
    }
}

/// What was given back of the original before.
fn given_back(desk: &Desk<'_>, facts: &Facts, undo: &Undo) -> Result<i64, Refusal> {
    let dropped_until = desk.touched.refunds_dropped_until;
    match (desk.touched.given_back, undo.facts) {
        (Some(kept), _) => Ok(kept.sum),
        (None, _) if facts.sequence > dropped_until => Ok(0),
        (None, Some(known)) if known.sequence == facts.sequence && known.known_until >= dropped_until => Ok(known.given_back),
        (None, _) => Err(Refusal::OriginalNeeded),
    }
}

/// The sums of a bill that was cut.
#[derive(Clone, Copy)]
struct BillSums {
    billed: i64,
    refunded: i64,
}

/// What was billed, and what was refunded of it since it was cut.
fn bill_sums(desk: &Desk<'_>, facts: &Facts, undo: &Undo) -> Result<BillSums, Refusal> {
    let looked_up = undo.bill.filter(|known| known.bill == facts.bill);
    // The step itself may have closed it.
    if let Some(closed) = desk.closed.filter(|closed| closed.bill == facts.bill) {
        return Ok(BillSums { billed: closed.billed, refunded: 0 });
    }
    let sums = match desk.touched.of_bill {
        Some(kept) => kept.billed.or(looked_up.map(|known| known.billed)).map(|billed| BillSums { billed, refunded: kept.sum }),
        None => looked_up
            .filter(|known| known.known_until >= desk.touched.refunds_dropped_until)
            .map(|known| BillSums { billed: known.billed, refunded: known.refunded }),
    };
    sums.ok_or(Refusal::BillNeeded)
}

/// Gives a charge back: off the unbilled amount while its bill is open, else to the balance. How much may be given back is measured by the
/// charge; what is credited of a charge that was billed is the growth of `total - round_half_up(billed - refunded)` of its bill: in minor
/// units, and in all exactly what the bill comes to.
pub(super) fn refund(desk: Desk<'_>, undo: &Undo) -> Result<Step, Refusal> {
    let undoing = Undoing::of(&desk)?;
    let Undoing { facts, before, amount } = undoing;
    if facts.kind == EntryKind::ChargedUnbilled && facts.bill == desk.account.open_bill {
        let data = EntryData::Refunded { to: RefundedTo::Unbilled, amount, given_back: undoing.given_back(amount, None) };
        return undoing.accept(desk, data, None);
    }
    let (left, bill) = match facts.kind {
        EntryKind::ChargedUnbilled => {
            let bill = bill_sums(&desk, &facts, undo)?;
            (Some(bill.billed - bill.refunded), Some(bill))
        }
        EntryKind::ChargedOwnBill => (Some(facts.amount - before), None),
        _ => (None, None),
    };
    let rounded = |units: i64| round_half_up(units, desk.account.decimals, desk.account.minor_digits);
    let credited = left.map_or(amount, |left| rounded(left) - rounded(left - amount));
    let given_back = undoing.given_back(credited, bill.map(|bill| bill.refunded + amount));
    undoing.accept(desk, EntryData::Refunded { to: RefundedTo::Balance, amount: credited, given_back }, bill)
}

/// Takes back a payment that bounced or was charged back, or a write-off; the balance may fall below zero.
pub(super) fn reverse(desk: Desk<'_>, data: fn(i64, GivenBack) -> EntryData) -> Result<Step, Refusal> {
    let undoing = Undoing::of(&desk)?;
    let data = data(undoing.amount, undoing.given_back(undoing.amount, None));
    undoing.accept(desk, data, None)
}
