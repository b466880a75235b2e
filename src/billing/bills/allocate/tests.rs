//! The allocation on its own: by example, and by random histories of an account.
#![allow(clippy::indexing_slicing, reason = "a test may fail")]

use proptest::prelude::*;

use super::by_hand::NotAllocated;
use super::*;

fn credit(sequence: i64, amount: Units) -> Credit {
    Credit { sequence, request_id: format!("p{sequence}").into(), amount, ..Credit::default() }
}

/// Two open invoices: 1 of 100, 2 of 50, numbered "A" and "B".
fn two_invoices() -> Receivables {
    let mut receivables = Receivables::default();
    assert!(receivables.invoice(1, UnixMillis::new(10), Units::new(100), Units::ZERO).is_empty());
    assert!(receivables.invoice(2, UnixMillis::new(20), Units::new(50), Units::ZERO).is_empty());
    receivables.invoices[0].number = "A".to_owned();
    receivables.invoices[1].number = "B".to_owned();
    receivables
}

fn allocation(credit: i64, document: i64, amount: Units) -> Allocation {
    Allocation { credit, document, amount }
}

#[test]
fn a_credit_pays_the_oldest_first() {
    let mut receivables = two_invoices();
    assert_eq!(
        receivables.credit(credit(1, Units::new(120)), None, &[]),
        [allocation(1, 1, Units::new(100)), allocation(1, 2, Units::new(20))]
    );
    assert_eq!(receivables.open(), Units::new(30));
}

#[test]
fn a_payment_pays_the_invoices_it_names_and_the_others_with_what_is_left() {
    let mut receivables = two_invoices();
    assert_eq!(
        receivables.credit(credit(1, Units::new(120)), None, &["B".to_owned(), "no such".to_owned()]),
        [allocation(1, 2, Units::new(50)), allocation(1, 1, Units::new(70))]
    );
}

#[test]
fn what_is_given_back_of_a_bill_pays_that_bill_first() {
    let mut receivables = two_invoices();
    assert_eq!(
        receivables.credit(credit(1, Units::new(70)), Some(2), &[]),
        [allocation(1, 2, Units::new(50)), allocation(1, 1, Units::new(20))]
    );
}

#[test]
fn an_overpayment_pays_the_next_invoice() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(574)), None, &[]);
    assert_eq!((receivables.open(), receivables.credits[0].rest()), (Units::ZERO, Units::new(424)));
    assert_eq!(receivables.invoice(3, UnixMillis::new(30), Units::new(500), Units::new(424)), [allocation(1, 3, Units::new(424))]);
    assert_eq!(receivables.open(), Units::new(76));
}

#[test]
fn a_bounced_payment_reopens_what_it_paid_newest_first() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(160)), None, &[]);
    // 10 of it had paid nothing; then the newest invoice, then a part of the oldest.
    assert_eq!(receivables.reverse(&"p1".into(), Units::new(10), Units::ZERO), []);
    assert_eq!(
        receivables.reverse(&"p1".into(), Units::new(70), Units::new(-70)),
        [allocation(1, 2, Units::new(-50)), allocation(1, 1, Units::new(-20))]
    );
    assert_eq!(receivables.open(), Units::new(70));
    assert_eq!(receivables.reverse(&"p1".into(), Units::new(80), Units::new(-150)), [allocation(1, 1, Units::new(-80))]);
    assert_eq!(receivables.open(), Units::new(150));
    assert_eq!(
        receivables.credits[0],
        Credit { allocated: Units::ZERO, reversed: Units::new(160), is_changed: true, ..credit(1, Units::new(160)) }
    );
}

#[test]
fn what_another_payment_left_over_pays_what_was_reopened() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(150)), None, &[]);
    receivables.credit(credit(2, Units::new(60)), None, &[]);
    assert_eq!(
        receivables.reverse(&"p1".into(), Units::new(150), Units::new(-90)),
        [allocation(1, 2, Units::new(-50)), allocation(1, 1, Units::new(-100)), allocation(2, 1, Units::new(60))]
    );
    assert_eq!(receivables.open(), Units::new(90));
}

#[test]
fn credits_pay_and_reversals_reopen_whole_minor_units() {
    let mut receivables = Receivables { minor_unit: Units::new(10), ..Receivables::default() };
    receivables.invoice(1, UnixMillis::new(10), Units::new(100), Units::ZERO);
    assert_eq!(receivables.credit(credit(1, Units::new(38)), None, &[]), [allocation(1, 1, Units::new(30))]);
    assert_eq!((receivables.open(), receivables.credits[0].rest()), (Units::new(70), Units::new(8)));
    assert_eq!(receivables.reverse(&"p1".into(), Units::new(19), Units::new(-81)), [allocation(1, 1, Units::new(-20))]);
    assert_eq!((receivables.open(), receivables.credits[0].rest()), (Units::new(90), Units::new(9)));
    // Two overpayments share a minor unit of an invoice, and one of them bounces.
    let mut receivables = Receivables { minor_unit: Units::new(10), ..Receivables::default() };
    receivables.credit(credit(1, Units::new(15)), None, &[]);
    receivables.credit(credit(2, Units::new(15)), None, &[]);
    assert_eq!(
        receivables.invoice(1, UnixMillis::new(10), Units::new(30), Units::new(30)),
        [allocation(2, 1, Units::new(15)), allocation(1, 1, Units::new(15))]
    );
    assert_eq!(
        receivables.reverse(&"p2".into(), Units::new(15), Units::new(-15)),
        [allocation(2, 1, Units::new(-15)), allocation(UNKNOWN_CREDIT, 1, Units::new(-5))]
    );
    assert_eq!(receivables.open(), Units::new(20));
}

#[test]
fn what_is_taken_off_an_invoice_is_set_aside_until_an_operator_allocates_or_frees_it() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(120)), None, &[]);
    // Of 120, 100 pay A and 20 pay B; the balance is -30.
    assert_eq!(receivables.take_off(1, 1, Some(Units::new(60)), Units::new(-30)), Ok(vec![allocation(1, 1, Units::new(-60))]));
    assert_eq!(
        (receivables.open(), receivables.set_aside(), receivables.free(Units::new(-30))),
        (Units::new(90), Units::new(60), Units::ZERO)
    );
    // Another credit pays what is open; what is set aside pays nothing, neither now nor of the next invoice.
    assert_eq!(
        receivables.credit(credit(2, Units::new(100)), None, &[]),
        [allocation(2, 1, Units::new(60)), allocation(2, 2, Units::new(30))]
    );
    assert_eq!((receivables.open(), receivables.free(Units::new(70))), (Units::ZERO, Units::new(10)));
    assert_eq!(receivables.invoice(3, UnixMillis::new(30), Units::new(50), Units::new(10)), [allocation(2, 3, Units::new(10))]);
    let [balance, open] = [20, 40];
    assert_eq!((receivables.open(), receivables.free(Units::new(balance))), (Units::new(open), Units::ZERO));
    assert_eq!(
        receivables.allocate(1, 3, Some(Units::new(41)), Units::new(balance)),
        Err(NotAllocated::ExceedsOpen { open: Units::new(40) })
    );
    assert_eq!(receivables.allocate(1, 3, Some(Units::new(15)), Units::new(balance)), Ok(vec![allocation(1, 3, Units::new(15))]));
    assert_eq!(receivables.set_free(1, Units::new(balance)), Ok(vec![allocation(1, 3, Units::new(25))]));
    assert_eq!(
        (receivables.open(), receivables.set_aside(), receivables.free(Units::new(balance))),
        (Units::ZERO, Units::ZERO, Units::new(20))
    );
    assert_eq!(
        receivables.take_off(1, 2, Some(Units::new(21)), Units::new(balance)),
        Err(NotAllocated::ExceedsAllocated { allocated: Units::new(20) })
    );
    assert_eq!(receivables.take_off(2, 9, None, Units::new(balance)), Err(NotAllocated::NoSuchInvoice));
}

#[test]
fn by_hand_whole_minor_units_are_allocated_and_never_what_charges_have_used_up() {
    let mut receivables = Receivables { minor_unit: Units::new(10), ..Receivables::default() };
    receivables.invoice(1, UnixMillis::new(10), Units::new(100), Units::ZERO);
    receivables.credit(credit(1, Units::new(38)), None, &[]);
    assert_eq!(receivables.take_off(1, 1, Some(Units::new(5)), Units::new(-62)), Err(NotAllocated::NotInMinorUnits));
    assert_eq!(receivables.take_off(1, 1, None, Units::new(-62)), Ok(vec![allocation(1, 1, Units::new(-30))]));
    assert_eq!(receivables.unallocated(1, Units::new(-62)), Units::new(38));
    assert_eq!(
        receivables.allocate(1, 1, Some(Units::new(40)), Units::new(-62)),
        Err(NotAllocated::ExceedsUnallocated { unallocated: Units::new(38) })
    );
    assert_eq!(receivables.allocate(1, 1, None, Units::new(-62)), Ok(vec![allocation(1, 1, Units::new(30))]));
    // A top-up that charges have used up pays nothing more.
    let mut receivables = two_invoices();
    receivables.credits.push(credit(1, Units::new(70)));
    assert_eq!(receivables.allocate(1, 1, None, Units::new(-150)), Err(NotAllocated::ExceedsUnallocated { unallocated: Units::ZERO }));
}

#[test]
fn a_reversal_and_a_withdrawal_take_what_was_set_aside_last() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(150)), None, &[]);
    receivables.take_off(1, 1, None, Units::ZERO).unwrap();
    assert_eq!(receivables.reverse(&"p1".into(), Units::new(70), Units::new(-70)), []);
    assert_eq!(
        (receivables.set_aside(), receivables.open(), receivables.free(Units::new(-70))),
        (Units::new(30), Units::new(100), Units::ZERO)
    );
    receivables.credit(credit(2, Units::new(100)), None, &[]);
    // 30 are left, and all of it is set aside; 20 of it are paid out.
    receivables.pay_out(Units::new(20), Units::new(10));
    assert_eq!((receivables.set_aside(), receivables.free(Units::new(10))), (Units::new(10), Units::ZERO));
}

#[test]
fn what_is_freed_pays_invoices_before_a_debt_that_none_holds() {
    let mut receivables = two_invoices();
    receivables.credit(credit(1, Units::new(120)), None, &[]);
    receivables.take_off(1, 1, Some(Units::new(60)), Units::new(-30)).unwrap();
    // 25 more are owed, on no invoice.
    let balance = -55;
    assert_eq!((receivables.open(), receivables.free(Units::new(balance))), (Units::new(90), Units::new(-25)));
    assert_eq!(receivables.set_free(1, Units::new(balance)), Ok(vec![allocation(1, 1, Units::new(60))]));
    assert_eq!((receivables.open(), receivables.free(Units::new(balance))), (Units::new(30), Units::new(-25)));
}

#[test]
fn what_a_reversal_opens_again_and_the_rest_of_the_same_credit_pays_is_one_allocation() {
    let mut receivables = Receivables { minor_unit: Units::new(10), ..Receivables::default() };
    receivables.invoice(1, UnixMillis::new(10), Units::new(100), Units::ZERO);
    assert_eq!(receivables.credit(credit(1, Units::new(38)), None, &[]), [allocation(1, 1, Units::new(30))]);
    assert_eq!(receivables.credit(credit(2, Units::new(6)), None, &[]), []);
    // 8 of the 9 had paid nothing; 10 are opened again. 9 and 6 are left: they pay 10 of it, 6 and 4.
    assert_eq!(
        receivables.reverse(&"p1".into(), Units::new(9), Units::new(38 + 6 - 9 - 100)),
        [allocation(1, 1, Units::new(-6)), allocation(2, 1, Units::new(6))]
    );
    assert_eq!(receivables.open(), Units::new(70));
}

#[test]
fn no_reversal_opens_more_than_the_invoice_though_another_took_a_part_with_it() {
    let mut receivables = Receivables { minor_unit: Units::new(10), ..Receivables::default() };
    receivables.credits = vec![credit(1, Units::new(26)), credit(2, Units::new(4))];
    // 4 of the second and 6 of the first pay one minor unit together; when the second is reversed, the first pays all of it.
    assert_eq!(
        receivables.invoice(1, UnixMillis::new(10), Units::new(10), Units::new(10)),
        [allocation(2, 1, Units::new(4)), allocation(1, 1, Units::new(6))]
    );
    receivables.reverse(&"p2".into(), Units::new(4), Units::new(16));
    assert_eq!(receivables.open(), Units::ZERO);
    receivables.reverse(&"p1".into(), Units::new(26), Units::new(-10));
    assert_eq!(receivables.open(), Units::new(10));
}

/// What may happen to an account.
#[derive(Clone, Debug)]
enum Event {
    Credit(Units, Option<usize>),
    Debit(Units),
    Bill(Units),
    Reverse(usize, Units),
    TakeOff(usize, usize),
    Allocate(usize, usize, Option<Units>),
    SetFree(usize),
}

fn amount(range: std::ops::Range<i64>) -> impl Strategy<Value = Units> {
    range.prop_map(Units::new)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (amount(1..200), proptest::option::of(0_usize..8)).prop_map(|(amount, named)| Event::Credit(amount, named)),
        amount(1..100).prop_map(Event::Debit),
        amount(0..150).prop_map(Event::Bill),
        (0_usize..8, amount(1..200)).prop_map(|(payment, amount)| Event::Reverse(payment, amount)),
        (0_usize..8, 0_usize..4).prop_map(|(payment, invoice)| Event::TakeOff(payment, invoice)),
        (0_usize..8, 0_usize..8, proptest::option::of(amount(1..80)))
            .prop_map(|(payment, invoice, amount)| Event::Allocate(payment, invoice, amount)),
        (0_usize..8).prop_map(Event::SetFree),
    ]
}

proptest! {
    #[test]
    fn the_balance_is_what_is_unallocated_less_what_is_open(events in proptest::collection::vec(event(), 1..60)) {
        let mut receivables = Receivables::default();
        // The account, and what is unallocated, kept apart from what is under test.
        let (mut balance, mut unallocated, mut number) = (Units::ZERO, Units::ZERO, 0_i64);
        let mut all = Vec::new();
        for event in events {
            number += 1;
            let made = match event {
                Event::Credit(amount, named) => {
                    balance += amount;
                    unallocated += amount;
                    let named: Vec<String> = named.and_then(|place| receivables.invoices.get(place)).map(|one| one.number.clone()).into_iter().collect();
                    receivables.credit(credit(number, amount), None, &named)
                }
                Event::Debit(amount) => {
                    balance -= amount;
                    unallocated -= amount;
                    Vec::new()
                }
                Event::Bill(amount) => {
                    prop_assert_eq!(unallocated, balance + receivables.open());
                    let set_aside = receivables.set_aside();
                    let unallocated_before = unallocated;
                    unallocated = receivables.free(balance);
                    let brought_forward = (-unallocated).or_zero();
                    let total = amount + brought_forward;
                    let applied = unallocated.clamp(Units::ZERO, total);
                    balance -= amount;
                    unallocated = unallocated_before + brought_forward;
                    let made = receivables.invoice(number, UnixMillis::new(number), total, applied);
                    receivables.invoices.last_mut().unwrap().number = format!("N{number}");
                    prop_assert_eq!(made.iter().map(|one| one.amount).sum::<Units>(), applied);
                    prop_assert_eq!(receivables.set_aside(), set_aside, "no automatic allocation uses what is set aside");
                    made
                }
                Event::TakeOff(place, invoice) => {
                    let (Some(credit), Some(invoice)) = (receivables.credits.get(place), receivables.invoices.get(invoice)) else { continue };
                    let (credit, document) = (credit.sequence, invoice.document);
                    receivables.take_off(credit, document, None, balance).unwrap_or_default()
                }
                Event::Allocate(place, invoice, amount) => {
                    let (Some(credit), Some(invoice)) = (receivables.credits.get(place), receivables.invoices.get(invoice)) else { continue };
                    let (credit, document) = (credit.sequence, invoice.document);
                    receivables.allocate(credit, document, amount, balance).unwrap_or_default()
                }
                Event::SetFree(place) => {
                    let Some(credit) = receivables.credits.get(place).map(|credit| credit.sequence) else { continue };
                    receivables.set_free(credit, balance).unwrap_or_default()
                }
                Event::Reverse(place, amount) => {
                    let Some(original) = receivables.credits.get(place).cloned() else { continue };
                    let amount = amount.min(original.amount - original.reversed);
                    if amount.is_zero() {
                        continue;
                    }
                    balance -= amount;
                    unallocated -= amount;
                    receivables.reverse(&original.request_id, amount, balance)
                }
            };
            unallocated -= made.iter().map(|one| one.amount).sum::<Units>();
            all.extend(made);
            prop_assert_eq!(balance, unallocated - receivables.open());
            prop_assert!(receivables.free(balance) <= Units::ZERO || receivables.open().is_zero(), "nothing is free while an invoice is open");
            for invoice in &receivables.invoices {
                let paid: Units = all.iter().filter(|one| one.document == invoice.document).map(|one| one.amount).sum();
                prop_assert_eq!(invoice.open, invoice.total - paid);
                prop_assert!((Units::ZERO..=invoice.total).contains(&invoice.open));
            }
            for credit in &receivables.credits {
                let paid: Units = all.iter().filter(|one| one.credit == credit.sequence).map(|one| one.amount).sum();
                prop_assert_eq!(credit.allocated, paid);
                prop_assert!(credit.rest() >= Units::ZERO && paid >= Units::ZERO && (Units::ZERO..=credit.rest()).contains(&credit.set_aside));
            }
            prop_assert!(all.iter().all(|one| one.credit != UNKNOWN_CREDIT));
        }
    }
}
