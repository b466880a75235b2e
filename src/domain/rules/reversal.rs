//! Giving back what an earlier entry took or gave: refunds, and reversals of payments and write-offs.
//!
//! What is known of the earlier entry (the original) never changes: the step remembers it, or is given it. How much was given back of it
//! is kept by the step, and by the sequence of its entry, because an id may be used again. What was kept may have been dropped, up to a
//! sequence that the step knows; who looks the original up then looks up this sum, too, and says up to which entry it is known.

use super::{Decided, IdempotencyRecord, Transition, Writes};
use crate::command::{Action, Command, Kind, OriginalEntry, Reversal};
use crate::entry::{EntryData, EntryKind, GivenBack, RefundedTo};
use crate::ids::AccountId;
use crate::money::{Units, round_half_up};
use crate::outcome::{Refusal, Verdict};
use crate::time::UnixMillis;

/// The key of a sum of refunds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefundKey {
    /// A charge, a payment or a write-off: the partition's sequence of its entry.
    Original(u64),
    /// A bill that was cut: its account, its number.
    Bill(AccountId, u32),
}

/// What was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// How much, measured by the charges.
    pub sum: Units,
    /// Of a bill: what the cut had moved from unbilled to the balance, before it was rounded. `None` if it is not known here.
    pub billed: Option<Units>,
    /// The partition's sequence of the last entry that gave something back.
    pub sequence: u64,
    /// When that was.
    pub time: UnixMillis,
}

/// Whether an entry of a kind is meant.
pub type KindPredicate = fn(EntryKind) -> bool;

/// Which kinds of entry a command can give back; `None` if it gives nothing back.
#[must_use]
pub fn originals_of(action: &Action) -> Option<(&Reversal, KindPredicate)> {
    match action {
        Action::Refund(reversal) => Some((reversal, EntryKind::is_charge)),
        Action::ReversePayment(reversal) => Some((reversal, EntryKind::is_payment)),
        Action::ReverseWriteOff(reversal) => Some((reversal, EntryKind::is_write_off)),
        _ => None,
    }
}

/// What sums a command needs: that of the original, and that of the bill of a charge.
#[must_use]
pub fn refund_keys(command: &Command, original: Option<&IdempotencyRecord>) -> [Option<RefundKey>; 2] {
    let facts = originals_of(&command.action).and_then(|(reversal, is_wanted)| facts(reversal, original, is_wanted).ok());
    let bill = facts.filter(|facts| facts.kind == EntryKind::ChargedUnbilled);
    [facts.map(|facts| RefundKey::Original(facts.sequence)), bill.map(|facts| RefundKey::Bill(command.account.clone(), facts.bill))]
}

/// What is known of the original: it is remembered, or was looked up.
fn facts(reversal: &Reversal, original: Option<&IdempotencyRecord>, is_wanted: KindPredicate) -> Result<OriginalEntry, Refusal> {
    let looked_up = reversal.facts.filter(|facts| is_wanted(facts.kind)).ok_or(Refusal::OriginalNeeded);
    let Some(IdempotencyRecord { decision, .. }) = original else { return looked_up };
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
    Ok(OriginalEntry { sequence, kind, amount, bill, given_back: Units::ZERO, known_until: sequence })
}

/// A reversal being worked out.
struct PendingReversal {
    facts: OriginalEntry,
    /// What was given back before.
    before: Units,
    /// What is given back now, measured by the original: never more than is left of it.
    amount: Units,
}

impl PendingReversal {
    fn of(transition: &Transition<'_>) -> Result<Self, Refusal> {
        let (reversal, is_wanted) = originals_of(&transition.command.action).ok_or(Refusal::ChargeNotFound)?;
        let asked = reversal.amount.map(|amount| transition.units(amount)).transpose()?;
        transition.refuse_closed()?;
        let facts = facts(reversal, transition.loaded.original, is_wanted)?;
        let before = given_back(transition, &facts, reversal)?;
        let left = facts.amount - before;
        let amount = asked.unwrap_or(left);
        if amount > left || !amount.is_positive() { Err(Refusal::ExceedsOriginal) } else { Ok(Self { facts, before, amount }) }
    }

    /// What the entry says of the original, if that much is credited.
    fn given_back(&self, credited: Units, of_bill: Option<Units>) -> GivenBack {
        let OriginalEntry { sequence, bill, .. } = self.facts;
        let (total, rounding) = (self.before + self.amount, credited - self.amount);
        GivenBack { original: Some(sequence), total, rounding, bill, of_bill }
    }

    fn accept(self, mut transition: Transition<'_>, data: EntryData, bill: Option<BillSums>) -> Result<Decided, Refusal> {
        let GivenBack { total, rounding, of_bill, .. } = data.given_back().copied().unwrap_or_default();
        transition.record(data);
        transition.refuse_out_of_range()?;
        let mut decision = transition.decision(Verdict::Done, self.amount);
        decision.credit_rounding = rounding;
        let (sequence, time) = (transition.sequence, transition.now());
        let mut refunds = vec![(RefundKey::Original(self.facts.sequence), Refunded { sum: total, billed: None, sequence, time })];
        refunds.extend(bill.zip(of_bill).map(|(bill, sum)| {
            let key = RefundKey::Bill(transition.command.account.clone(), self.facts.bill);
            (key, Refunded { sum, billed: Some(bill.billed), sequence, time })
        }));
        Ok(transition.accept(decision).with(|writes: &mut Writes| writes.refunds = refunds))
    }
}

/// What was given back of the original before.
fn given_back(transition: &Transition<'_>, facts: &OriginalEntry, reversal: &Reversal) -> Result<Units, Refusal> {
    let dropped_until = transition.loaded.refunds_dropped_until;
    match (transition.loaded.given_back, reversal.facts) {
        (Some(kept), _) => Ok(kept.sum),
        (None, _) if facts.sequence > dropped_until => Ok(Units::ZERO),
        (None, Some(known)) if known.sequence == facts.sequence && known.known_until >= dropped_until => Ok(known.given_back),
        (None, _) => Err(Refusal::OriginalNeeded),
    }
}

/// The sums of a bill that was cut.
#[derive(Clone, Copy)]
struct BillSums {
    billed: Units,
    refunded: Units,
}

/// What was billed, and what was refunded of it since it was cut.
fn bill_sums(transition: &Transition<'_>, facts: &OriginalEntry, reversal: &Reversal) -> Result<BillSums, Refusal> {
    let looked_up = reversal.bill.filter(|known| known.bill == facts.bill);
    // The step itself may have closed it.
    if let Some(closed) = transition.closed.filter(|closed| closed.bill == facts.bill) {
        return Ok(BillSums { billed: closed.billed, refunded: Units::ZERO });
    }
    let sums = match transition.loaded.of_bill {
        Some(kept) => kept.billed.or(looked_up.map(|known| known.billed)).map(|billed| BillSums { billed, refunded: kept.sum }),
        None => looked_up
            .filter(|known| known.known_until >= transition.loaded.refunds_dropped_until)
            .map(|known| BillSums { billed: known.billed, refunded: known.refunded }),
    };
    sums.ok_or(Refusal::BillNeeded)
}

/// Gives a charge back: off the unbilled amount while its bill is open, else to the balance. How much may be given back is measured by the
/// charge; what is credited of a charge that was billed is the growth of `total - round_half_up(billed - refunded)` of its bill: in minor
/// units, and in all exactly what the bill comes to.
pub(super) fn refund(transition: Transition<'_>, reversal: &Reversal) -> Result<Decided, Refusal> {
    let undoing = PendingReversal::of(&transition)?;
    let PendingReversal { facts, before, amount } = undoing;
    if facts.kind == EntryKind::ChargedUnbilled && facts.bill == transition.account.open_bill {
        let data = EntryData::Refunded { to: RefundedTo::Unbilled, amount, given_back: undoing.given_back(amount, None) };
        return undoing.accept(transition, data, None);
    }
    let (left, bill) = match facts.kind {
        EntryKind::ChargedUnbilled => {
            let bill = bill_sums(&transition, &facts, reversal)?;
            (Some(bill.billed - bill.refunded), Some(bill))
        }
        EntryKind::ChargedOwnBill => (Some(facts.amount - before), None),
        _ => (None, None),
    };
    let rounded = |units: Units| round_half_up(units, transition.account.decimals, transition.account.minor_digits);
    let credited = left.map_or(amount, |left| rounded(left) - rounded(left - amount));
    let given_back = undoing.given_back(credited, bill.map(|bill| bill.refunded + amount));
    undoing.accept(transition, EntryData::Refunded { to: RefundedTo::Balance, amount: credited, given_back }, bill)
}

/// Takes back a payment that bounced or was charged back, or a write-off; the balance may fall below zero.
pub(super) fn reverse(transition: Transition<'_>, data: fn(Units, GivenBack) -> EntryData) -> Result<Decided, Refusal> {
    let undoing = PendingReversal::of(&transition)?;
    let data = data(undoing.amount, undoing.given_back(undoing.amount, None));
    undoing.accept(transition, data, None)
}
