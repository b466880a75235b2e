//! The journal: whole sequences, sums that follow from each other, no approval beyond the credit, no reservation that is left behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;

use super::evidence::{Ask, Credit, Entry, Evidence, Kind, What};
use super::model::Model;
use super::{Fault, Findings};

/// What an account was, after each of its entries.
#[derive(Debug, Default)]
pub struct History {
    /// The credit after each entry; the first is before any.
    pub after: Vec<Credit>,
    /// Request -> the places of its entries.
    pub places: HashMap<String, Vec<usize>>,
}

pub fn check(evidence: &Evidence, findings: &mut Findings) -> BTreeMap<String, History> {
    let asks: HashMap<(&str, &str), &Ask> =
        evidence.asks.iter().filter(|ask| ask.what != What::Look).map(|ask| ((&*ask.account, &*ask.request), ask)).collect();
    let mut histories = BTreeMap::new();
    for (account, entries) in &evidence.journal {
        let history = follow(account, entries, &asks, evidence, findings);
        once(account, entries, &history, findings);
        histories.insert(account.clone(), history);
    }
    partitions_are_whole(evidence, findings);
    histories
}

fn follow(account: &str, entries: &[Entry], asks: &HashMap<(&str, &str), &Ask>, evidence: &Evidence, findings: &mut Findings) -> History {
    let (mut model, mut history, mut sequence) = (Model::default(), History::default(), 0);
    let mut given_back: HashMap<&str, Decimal> = HashMap::new();
    let charges: HashMap<&str, Decimal> =
        entries.iter().filter(|entry| entry.kind.is_charge()).map(|entry| (&*entry.request, entry.amount)).collect();
    history.after.push(model.credit());
    for (place, entry) in entries.iter().enumerate() {
        let name = format!("{account}: {} ({:?} {})", entry.sequence, entry.kind, entry.request);
        let ask = asks.get(&(account, &*entry.request)).copied();
        if !entry.request.is_empty() && !ask.is_some_and(|ask| is_of(entry, ask)) {
            findings.add(Fault::Foreign, format!("{name}: asked for was {:?}", ask.map(|ask| &ask.what)));
        }
        if entry.account_sequence > 0 {
            sequence += 1;
            if entry.account_sequence != sequence {
                findings.add(Fault::Sequence, format!("{name}: number {} of the account, not {sequence}", entry.account_sequence));
                sequence = entry.account_sequence;
            }
        }
        model.pass_to(entry.at);
        if [model.balance, model.unbilled] != [entry.balance[0], entry.unbilled[0]] {
            let before = (entry.balance[0], entry.unbilled[0]);
            findings.add(Fault::Sum, format!("{name}: before it {before:?}, not {:?}", (model.balance, model.unbilled)));
        }
        if let Some(what) = ask.and_then(|ask| model.objection(entry, ask)) {
            findings.add(Fault::OverCredit, format!("{name}: {what}"));
        }
        model.apply(entry, ask);
        if [model.balance, model.unbilled] != [entry.balance[1], entry.unbilled[1]] {
            let after = (entry.balance[1], entry.unbilled[1]);
            findings.add(Fault::Sum, format!("{name}: after it {after:?}, not {:?}", (model.balance, model.unbilled)));
            [model.balance, model.unbilled] = [entry.balance[1], entry.unbilled[1]];
        }
        if model.reserved() != entry.reserved_after {
            let open = &model.reservations;
            findings.add(Fault::ReservationLeaked, format!("{name}: {} is reserved, open are {open:?}", entry.reserved_after));
        }
        if let (Some(taken), true) = (entry.taken_off, !entry.refers_to.is_empty()) {
            let sum = given_back.entry(&*entry.refers_to).or_default();
            *sum += taken;
            if charges.get(&*entry.refers_to).is_none_or(|charged| *sum > *charged) {
                findings.add(Fault::OverCredit, format!("{name}: {sum} was given back of {:?}", charges.get(&*entry.refers_to)));
            }
        }
        history.places.entry(entry.request.clone()).or_default().push(place + 1);
        history.after.push(model.credit());
    }
    let Some(end) = evidence.accounts.get(account) else {
        findings.add(Fault::Lost, format!("{account}: the account is gone"));
        return history;
    };
    model.pass_to(end.read_at);
    let open: BTreeMap<String, Decimal> =
        model.reservations.iter().filter(|(_, (left, _))| !left.is_zero()).map(|(name, (left, _))| (name.clone(), *left)).collect();
    let found: BTreeMap<String, Decimal> =
        end.reservations.iter().filter(|(_, left)| !left.is_zero()).map(|(name, left)| (name.clone(), *left)).collect();
    if open != found || end.credit.reserved != model.reserved() {
        findings
            .add(Fault::ReservationLeaked, format!("{account}: at the end {} in {found:?}, expected were {open:?}", end.credit.reserved));
    }
    let expected = model.credit();
    if (expected.balance, expected.unbilled, expected.limit) != (end.credit.balance, end.credit.unbilled, end.credit.limit)
        || expected.is_postpaid != end.credit.is_postpaid
    {
        findings.add(Fault::Sum, format!("{account}: at the end {:?}, expected was {expected:?}", end.credit));
    }
    history
}

/// Whether an entry is what a request may write.
fn is_of(entry: &Entry, ask: &Ask) -> bool {
    let amount = entry.amount;
    match (&ask.what, entry.kind) {
        (What::Create { limit, .. }, Kind::Created) => amount == *limit,
        (What::TopUp(asked), Kind::ToppedUp) | (What::RecordPayment(asked), Kind::PaymentRecorded) => amount == *asked,
        (What::Adjust(asked), Kind::Adjusted) | (What::Withdraw(asked), Kind::Withdrawn) => amount == *asked,
        (What::SetLimit(asked), Kind::LimitSet) => amount == *asked,
        (What::Convert { .. }, Kind::Converted | Kind::FinalBilled | Kind::Rounded | Kind::AmountDueRounded) => true,
        (What::Suspend, Kind::Suspended) | (What::Resume, Kind::Resumed) => true,
        (What::Authorize { amount: asked, minimum, .. }, Kind::Reserved) => {
            amount == *asked || minimum.is_some_and(|minimum| amount >= minimum && amount < *asked)
        }
        (What::Debit(debit), kind) if kind.is_charge() => {
            amount == debit.amount && entry.refers_to == debit.against.clone().unwrap_or_default()
        }
        (What::Debit(debit), Kind::ReservationExtended) => {
            matches!(&debit.then, super::evidence::Then::Reserve { amount: asked, .. } if *asked == amount)
        }
        (What::Debit(debit), Kind::Rounded) => debit.is_hardware,
        (What::Release { reservation }, Kind::Released) => entry.refers_to == *reservation,
        (What::Refund { charge, amount: asked }, Kind::RefundedBalance | Kind::RefundedUnbilled) => {
            entry.refers_to == *charge && asked.is_none_or(|asked| entry.taken_off == Some(asked))
        }
        _ => false,
    }
}

/// No request wrote an entry of one kind twice.
fn once(account: &str, entries: &[Entry], history: &History, findings: &mut Findings) {
    for (request, places) in history.places.iter().filter(|(request, _)| !request.is_empty()) {
        let mut kinds = BTreeSet::new();
        for place in places {
            let Some(entry) = entries.get(place - 1) else { continue };
            let kind = if entry.kind.is_charge() { Kind::ChargedBalance } else { entry.kind };
            if !kinds.insert(kind) {
                findings.add(Fault::Doubled, format!("{account}: {request} wrote {:?} twice", entry.kind));
            }
        }
    }
}

/// The entries of all accounts together leave no number out, and use none twice.
fn partitions_are_whole(evidence: &Evidence, findings: &mut Findings) {
    let mut partitions: BTreeMap<u32, BTreeMap<u64, usize>> = BTreeMap::new();
    for entry in evidence.journal.values().flatten() {
        *partitions.entry(entry.partition).or_default().entry(entry.sequence).or_default() += 1;
    }
    for (partition, sequences) in partitions {
        let mut expected = 1;
        for (sequence, times) in sequences {
            if sequence != expected || times != 1 {
                findings.add(Fault::Sequence, format!("partition {partition}: {sequence}, {times} times, after {}", expected - 1));
            }
            expected = sequence + 1;
        }
    }
}
