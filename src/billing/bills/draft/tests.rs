//! Drafts by example. Amounts in cents of an account with two decimals, unless it says otherwise.
#![allow(clippy::indexing_slicing, reason = "a test may fail")]

use super::*;

fn denomination() -> Denomination {
    Denomination { currency: "EUR".to_owned(), decimals: 2, minor_digits: 2 }
}

fn bill(mode: Mode) -> CutBill {
    CutBill {
        account: "acme".into(),
        denomination: denomination(),
        bill: 3,
        cause: Cause::PeriodEnd,
        mode,
        cut_at: UnixMillis::new(1_000),
        closed: Units::ZERO,
        rounding: Units::ZERO,
        due_rounding: Units::ZERO,
        balance: Units::ZERO,
        opening: Units::ZERO,
        single: [Units::ZERO, Units::ZERO],
        was_converted: false,
        open: Units::ZERO,
        totals: Vec::new(),
        refunds: Vec::new(),
        adjustments: Vec::new(),
    }
}

fn subject(category: Category, item: &str, quantity: &str) -> Subject {
    Subject { category: Some(category), item: item.to_owned(), quantity: quantity.to_owned(), ..Subject::default() }
}

fn total(kind: EntryKind, item: &str, amount: Units) -> Total {
    Total {
        kind,
        subject: subject(Category::Usage, item, "2"),
        amount,
        count: 2,
        unit_price: None,
        first_at: UnixMillis::new(10),
        last_at: UnixMillis::new(20),
    }
}

fn refund(kind: EntryKind, charge: EntryKind, item: &str, amount: Units) -> Refund {
    Refund { kind, charge: Some(charge), subject: subject(Category::Usage, item, "1"), amount, time: UnixMillis::new(30) }
}

#[test]
fn an_overpayment_has_already_paid_a_part_of_the_invoice() {
    // Published: overpaid by 424, then 500 used, then the period closes: 76 due.
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", Units::new(50_000))];
    let cut =
        CutBill { closed: Units::new(50_000), balance: Units::new(42_400), opening: Units::new(42_400), totals, ..bill(Mode::Postpaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!(
        (document.kind, document.total, document.credit_applied, document.amount_to_pay),
        (DocumentKind::Invoice, Units::new(50_000), Units::new(42_400), Units::new(7_600))
    );
    assert_eq!(
        (document.wallet, document.brought_forward, document.period_from, document.period_to),
        (None, Units::ZERO, UnixMillis::new(10), UnixMillis::new(1_000))
    );
}

#[test]
fn a_debt_that_no_invoice_holds_is_brought_forward() {
    // 8.67 were owed as prepaid; 12.00 of the balance are an open invoice's.
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", Units::new(1_000))];
    let cut = CutBill {
        closed: Units::new(1_000),
        balance: Units::new(-2_067),
        opening: Units::new(-2_067),
        open: Units::new(1_200),
        was_converted: true,
        totals,
        ..bill(Mode::Postpaid)
    };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!(
        (document.brought_forward, document.total, document.credit_applied, document.amount_to_pay),
        (Units::new(867), Units::new(1_867), Units::ZERO, Units::new(1_867))
    );
    assert_eq!(document.wallet, Some(Wallet { opening: Units::new(-2_067), closing: Units::new(-2_067), ..Wallet::default() }));
}

#[test]
fn a_statement_shows_the_wallet_and_what_was_deducted_and_asks_for_nothing() {
    let totals = vec![
        total(EntryKind::ToppedUp, "", Units::new(5_000)),
        total(EntryKind::ChargedBalance, "sms", Units::new(700)),
        total(EntryKind::ChargedBalance, "call", Units::new(300)),
        total(EntryKind::RefundedBalance, "", Units::new(100)),
        total(EntryKind::Withdrawn, "", Units::new(50)),
        total(EntryKind::PaymentReversed, "", Units::new(1_000)),
        total(EntryKind::Adjusted, "", Units::new(-5)),
        total(EntryKind::PeriodClosed, "", Units::ZERO),
    ];
    let refunds = vec![refund(EntryKind::RefundedBalance, EntryKind::ChargedBalance, "call", Units::new(100))];
    // 20.00 + 50.00 - 10.00 - 10.00 + 1.00 - 0.50 - 0.05 = 50.45.
    let cut = CutBill { opening: Units::new(2_000), balance: Units::new(5_045), totals, refunds, ..bill(Mode::Prepaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!(
        (document.kind, document.total, document.amount_to_pay, document.items.len()),
        (DocumentKind::Statement, Units::ZERO, Units::ZERO, 0)
    );
    let lines: Vec<_> = document.deducted.iter().map(|line| (line.item.as_str(), line.quantity.as_str(), line.amount)).collect();
    assert_eq!(lines, [("call", "2", Units::new(300)), ("call", "-1", Units::new(-100)), ("sms", "2", Units::new(700))]);
    let wallet = Wallet {
        opening: Units::new(2_000),
        paid_in: Units::new(5_000),
        reversed: Units::new(-1_000),
        charged: Units::new(-1_000),
        refunded: Units::new(100),
        withdrawn: Units::new(-50),
        adjusted: Units::new(-5),
        written_off: Units::ZERO,
        not_itemized: Units::ZERO,
        invoiced: Units::ZERO,
        rounded: Units::ZERO,
        closing: Units::new(5_045),
    };
    assert_eq!(document.wallet, Some(wallet));
}

#[test]
fn lines_are_by_category_and_item_and_refunds_stand_behind_what_they_refund() {
    let mut subscription = total(EntryKind::ChargedUnbilled, "plan", Units::new(900));
    subscription.subject.category = Some(Category::Subscription);
    let totals = vec![
        subscription,
        total(EntryKind::ChargedUnbilled, "sms", Units::new(40)),
        total(EntryKind::ChargedUnbilled, "call", Units::new(60)),
    ];
    let refunds = vec![
        refund(EntryKind::RefundedUnbilled, EntryKind::ChargedUnbilled, "sms", Units::new(20)),
        refund(EntryKind::RefundedUnbilled, EntryKind::ChargedUnbilled, "sms", Units::new(5)),
        // A refund of what an earlier invoice billed has a credit note, and is no line here.
        refund(EntryKind::RefundedBalance, EntryKind::ChargedUnbilled, "sms", Units::new(7)),
    ];
    let mut totals = totals;
    totals.push(total(EntryKind::RefundedBalance, "", Units::new(7)));
    let cut = CutBill { closed: Units::new(975), balance: Units::new(7), totals, refunds, ..bill(Mode::Postpaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    let lines: Vec<_> = document.items.iter().map(|line| (line.item.as_str(), line.count, line.quantity.as_str(), line.amount)).collect();
    assert_eq!(
        lines,
        [
            ("call", 2, "2", Units::new(60)),
            ("sms", 2, "2", Units::new(40)),
            ("sms", 2, "-2", Units::new(-25)),
            ("plan", 2, "2", Units::new(900))
        ]
    );
    assert_eq!((document.deducted.len(), document.wallet, document.amount_to_pay), (0, None, Units::new(968)));
}

#[test]
fn rounding_is_a_part_of_the_total() {
    // Six decimals: 1.234567 closed, rounded half-up to 1.23: the balance gets 0.004567 back.
    let totals = vec![total(EntryKind::ChargedUnbilled, "byte", Units::new(1_234_567))];
    let denomination = Denomination { decimals: 6, ..denomination() };
    let document = CutBill { closed: Units::new(1_234_567), rounding: Units::new(-4_567), denomination, totals, ..bill(Mode::Postpaid) }
        .draft()
        .document;
    assert_eq!(
        (document.items_total, document.rounding, document.total, document.amount_to_pay),
        (Units::new(1_234_567), Units::new(-4_567), Units::new(1_230_000), Units::new(1_230_000))
    );
}

/// Six decimals; total, brought forward, credit applied, to pay, when so much was closed at a balance that is rounded so.
fn cut_of(closed: Units, rounding: Units, due_rounding: Units, balance: Units, open: Units) -> [Units; 4] {
    let denomination = Denomination { decimals: 6, ..denomination() };
    let document = CutBill { closed, rounding, due_rounding, balance, open, denomination, ..bill(Mode::Postpaid) }.draft().document;
    [(document.items_total + document.rounding), document.brought_forward, document.credit_applied, document.amount_to_pay]
}

#[test]
fn an_amount_to_pay_is_in_minor_units_and_what_is_rounded_beside_the_bill_is_brought_forward_or_credit() {
    assert_eq!(
        cut_of(Units::new(200_000_000), Units::ZERO, Units::new(-1_480), Units::new(86_101_480), Units::ZERO),
        [Units::new(200_000_000), Units::ZERO, Units::new(86_100_000), Units::new(113_900_000)]
    );
    assert_eq!(
        cut_of(Units::new(10_000_000), Units::ZERO, Units::new(1_480), Units::new(-8_671_480), Units::ZERO),
        [Units::new(10_000_000), Units::new(8_670_000), Units::ZERO, Units::new(18_670_000)]
    );
    assert_eq!(
        cut_of(Units::new(86_105_480), Units::new(4_520), Units::new(4_520), Units::new(86_105_480), Units::ZERO),
        [Units::new(86_110_000), Units::ZERO, Units::new(86_110_000), Units::ZERO]
    );
    // An old invoice is open by 100.01, and 0.004 of a top-up is unallocated.
    assert_eq!(
        cut_of(Units::new(10_000_000), Units::ZERO, Units::new(-4_000), Units::new(-100_006_000), Units::new(100_010_000)),
        [Units::new(10_000_000), Units::ZERO, Units::ZERO, Units::new(10_000_000)]
    );
}

#[test]
fn what_does_not_add_up_is_held_back_and_the_difference_is_named() {
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", Units::new(900))];
    let held = CutBill { closed: Units::new(1_000), totals: totals.clone(), ..bill(Mode::Postpaid) }.draft();
    assert_eq!(held.held_reason, "the items add up to 9.00 EUR, but the ledger closed 10.00 EUR: a difference of -1.00 EUR");
    assert_eq!(held.document.amount_to_pay, Units::new(1_000), "what is owed is what the ledger says");
    let held =
        CutBill { closed: Units::new(900), balance: Units::new(50), opening: Units::new(20), totals, ..bill(Mode::Postpaid) }.draft();
    assert_eq!(held.held_reason, "the balance adds up to 0.20 EUR, but the ledger closed at 0.50 EUR: a difference of -0.30 EUR");
}

#[test]
fn a_single_charge_is_an_invoice_of_one_line() {
    let charge = SingleCharge {
        account: "acme".into(),
        denomination: denomination(),
        bill: 4,
        time: UnixMillis::new(50),
        subject: subject(Category::Hardware, "router", "1"),
        amount: Units::new(9_900),
        rounding: Units::ZERO,
        balance: Units::new(2_000),
        open: Units::ZERO,
    };
    let document = charge.draft().document;
    assert_eq!(
        (document.cause, document.items[0].item.as_str(), document.items[0].category.as_str()),
        (Cause::SingleCharge, "router", "hardware")
    );
    assert_eq!(
        (document.total, document.credit_applied, document.amount_to_pay),
        (Units::new(9_900), Units::new(2_000), Units::new(7_900))
    );
    // A debt that no invoice holds waits for the monthly bill.
    let document = SingleCharge { balance: Units::new(-500), ..charge }.draft().document;
    assert_eq!((document.total, document.brought_forward, document.amount_to_pay), (Units::new(9_900), Units::ZERO, Units::new(9_900)));
}

#[test]
fn quantities_are_added_as_decimals() {
    assert_eq!(add_quantities("0.1", "0.2"), "0.3");
    assert_eq!(add_quantities("", "2"), "2");
    assert_eq!(add_quantities("-1.50", "-1.5"), "-3");
    assert_eq!(add_quantities("1", "many"), "");
}
