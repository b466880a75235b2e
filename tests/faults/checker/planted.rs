//! The checker, checked: it accepts what is right, and finds each fault that is planted.

use rust_decimal::Decimal;

use super::evidence::{Answer, Attempt, Evidence, Kind, Outcome, Then};
use super::sample::{debit, decimal, honest};
use super::{Fault, check};

/// Plants a fault in a run in which nothing went wrong, and expects it to be found.
fn finds(fault: Fault, plant: impl FnOnce(&mut Evidence)) {
    let mut evidence = honest().end();
    plant(&mut evidence);
    let findings = check(&evidence);
    assert!(findings.by_fault().contains_key(&fault), "{fault:?} was planted, found was {:#?}", findings.0);
}

/// Plants a fault that looks right in the journal, by doing it.
fn finds_done(fault: Fault, request: &str, what: super::evidence::What, outcome: Outcome, writes: &[(Kind, &str)]) {
    let mut run = honest();
    run.ask("acme", request, what, outcome, writes);
    let findings = check(&run.end());
    assert!(findings.by_fault().contains_key(&fault), "{:#?}", findings.0);
}

fn answer_of<'a>(evidence: &'a mut Evidence, account: &str, request: &str) -> &'a mut Answer {
    let ask = evidence.asks.iter_mut().find(|ask| (&*ask.account, &*ask.request) == (account, request)).unwrap();
    &mut ask.attempts.last_mut().unwrap().answer
}

#[test]
fn what_went_well_is_accepted() {
    let findings = check(&honest().end());
    assert!(findings.0.is_empty(), "{:#?}", findings.0);
}

#[test]
fn an_acknowledged_write_that_is_dropped_is_found() {
    finds(Fault::Lost, |evidence| {
        let charge = evidence.journal.get_mut("acme").unwrap().pop().unwrap();
        assert_eq!(charge.request, "d2");
        let end = evidence.accounts.get_mut("acme").unwrap();
        end.credit.balance += charge.amount;
        evidence.exported.retain(|id| *id != format!("0-{}", charge.sequence));
    });
}

#[test]
fn a_write_that_is_doubled_is_found() {
    finds_done(Fault::Doubled, "d2", debit("1", None, Then::Settle), Outcome::Amount(decimal("1")), &[(Kind::ChargedBalance, "1")]);
}

#[test]
fn a_reservation_that_is_leaked_is_found() {
    finds(Fault::ReservationLeaked, |evidence| {
        evidence.accounts.get_mut("mona").unwrap().reservations.insert("gone".into(), decimal("1"));
    });
    finds(Fault::ReservationLeaked, |evidence| {
        evidence.journal.get_mut("acme").unwrap().last_mut().unwrap().reserved_after += decimal("2")
    });
}

#[test]
fn an_approval_over_the_credit_is_found() {
    // There are 14.50, of which 4 are reserved for the call, beyond a limit of 5.
    let over = "10.500001";
    let what = debit(over, None, Then::Settle);
    finds_done(Fault::OverCredit, "over", what, Outcome::Amount(decimal(over)), &[(Kind::ChargedBalance, over)]);
}

#[test]
fn more_given_back_than_was_charged_is_found() {
    let what = super::evidence::What::Refund { charge: "d1".into(), amount: Some(decimal("7.51")) };
    finds_done(Fault::OverCredit, "back", what, Outcome::Amount(decimal("7.51")), &[(Kind::RefundedBalance, "7.51")]);
}

#[test]
fn a_block_that_is_swallowed_is_found() {
    finds(Fault::Sequence, |evidence| {
        evidence.journal.values_mut().for_each(|entries| entries.retain(|entry| !(6..=8).contains(&entry.sequence)))
    });
}

#[test]
fn a_replay_answered_from_a_stale_node_is_found() {
    finds(Fault::Stale, |evidence| {
        let before = evidence.asks.iter().find(|ask| ask.request == "paid").unwrap().attempts.first().unwrap().answer.clone();
        let Answer::Done { credit: stale, .. } = before else { unreachable!() };
        let Answer::Done { credit, .. } = answer_of(evidence, "acme", "part") else { unreachable!() };
        *credit = stale;
    });
}

#[test]
fn a_look_at_a_stale_node_is_found() {
    finds(Fault::Stale, |evidence| {
        let Answer::Done { credit: Some(credit), .. } = answer_of(evidence, "acme", "look") else { unreachable!() };
        credit.balance += Decimal::ONE;
    });
}

#[test]
fn nothing_was_done_said_of_what_was_is_found() {
    finds(Fault::ToldNothing, |evidence| *answer_of(evidence, "acme", "d2") = Answer::NotDone("STORE_UNAVAILABLE".into()));
}

#[test]
fn a_decline_that_becomes_a_charge_is_found() {
    finds(Fault::Contradiction, |evidence| {
        let ask = evidence.asks.iter_mut().find(|ask| ask.request == "d2" && ask.account == "acme").unwrap();
        let mut declined = ask.attempts.first().unwrap().clone();
        if let Answer::Done { outcome, .. } = &mut declined.answer {
            *outcome = Outcome::Declined { shortfall: decimal("1") };
        }
        ask.attempts.insert(0, declined);
    });
}

#[test]
fn a_request_that_is_decided_anew_is_found() {
    finds(Fault::Doubled, |evidence| {
        let Answer::Done { replayed, .. } = answer_of(evidence, "acme", "part") else { unreachable!() };
        *replayed = false;
    });
}

#[test]
fn an_entry_that_nobody_asked_for_is_found() {
    finds(Fault::Foreign, |evidence| evidence.asks.retain(|ask| ask.request != "d2"));
}

#[test]
fn an_entry_before_what_was_acknowledged_earlier_is_found() {
    finds(Fault::OutOfOrder, |evidence| {
        let journal = evidence.journal.get_mut("acme").unwrap();
        let last = journal.pop().unwrap();
        journal.insert(journal.len() - 1, last);
    });
}

#[test]
fn a_sum_that_does_not_follow_is_found() {
    finds(Fault::Sum, |evidence| {
        let entry = evidence.journal.get_mut("mona").unwrap().iter_mut().find(|entry| entry.request == "d2").unwrap();
        entry.unbilled[1] += decimal("0.000001");
    });
}

#[test]
fn a_charge_on_two_documents_or_on_none_is_found() {
    finds(Fault::Line, |evidence| {
        let record = evidence.documents.first().unwrap().records.first().unwrap().clone();
        evidence.documents.first_mut().unwrap().records.push(record);
    });
    finds(Fault::Line, |evidence| evidence.documents.clear());
}

#[test]
fn a_charge_that_billing_misses_or_has_twice_is_found() {
    finds(Fault::Billing, |evidence| drop(evidence.exported.pop()));
    finds(Fault::Billing, |evidence| evidence.exported.push(evidence.exported.first().unwrap().clone()));
}

#[test]
fn a_number_that_is_skipped_is_found() {
    finds(Fault::Sequence, |evidence| evidence.documents.first_mut().unwrap().number = "INV-000002".into());
}

#[test]
fn a_mail_that_arrived_twice_or_never_is_found() {
    finds(Fault::Mail, |evidence| evidence.mails.values_mut().for_each(|(_, times)| *times = 2));
    finds(Fault::Mail, |evidence| evidence.mails.values_mut().for_each(|(_, times)| *times = 0));
}

#[test]
fn a_request_without_a_last_word_is_found() {
    finds(Fault::NeverAnswered, |evidence| *answer_of(evidence, "acme", "d2") = Answer::Unclear("cut".into()));
}

/// A charge of which it was said at first that it was declined, and nothing when it was asked for again, after the ledger had been restored.
fn declined_and_charged(evidence: &mut Evidence, request: &str) {
    let end = evidence.asks.iter().flat_map(|ask| &ask.attempts).map(|attempt| attempt.told).max().unwrap();
    evidence.restored = vec![end + 1];
    let ask = evidence.asks.iter_mut().find(|ask| (&*ask.account, &*ask.request) == ("acme", request)).unwrap();
    let declined = Answer::Done { replayed: false, outcome: Outcome::Declined { shortfall: decimal("1") }, credit: None };
    let sent = ask.attempts.first().unwrap().sent;
    ask.attempts = vec![
        Attempt { sent, told: end, answer: declined },
        Attempt { sent: end + 2, told: end + 3, answer: Answer::Unclear("cut".into()) },
    ];
}

#[test]
fn a_decline_that_a_restoration_forgot_may_become_a_charge_whose_answer_is_lost() {
    let mut evidence = honest().end();
    declined_and_charged(&mut evidence, "d2");
    let findings = check(&evidence);
    assert!(findings.0.is_empty(), "{:#?}", findings.0);
}

#[test]
fn a_charge_that_was_there_before_it_was_declined_is_found() {
    finds(Fault::Contradiction, |evidence| declined_and_charged(evidence, "d1"));
    // Nothing was forgotten.
    finds(Fault::Contradiction, |evidence| {
        declined_and_charged(evidence, "d2");
        evidence.restored.clear();
    });
}
