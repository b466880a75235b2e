//! Drafts by example. Amounts in cents of an account with two decimals, unless it says otherwise.
#![allow(clippy::indexing_slicing, reason = "a test may fail")]

use super::*;

fn denomination() -> Denomination {
    Denomination { currency: "EUR".to_owned(), decimals: 2, minor_digits: 2 }
}

fn bill(mode: Mode) -> CutBill {
    CutBill {
        account: "acme".to_owned(),
        denomination: denomination(),
        bill: 3,
        cause: Cause::PeriodEnd,
        mode,
        cut_at: UnixMillis::new(1_000),
        closed: 0,
        rounding: 0,
        due_rounding: 0,
        balance: 0,
        opening: 0,
        single: [0, 0],
        was_converted: false,
        open: 0,
        totals: Vec::new(),
        refunds: Vec::new(),
        adjustments: Vec::new(),
    }
}

fn subject(category: Category, item: &str, quantity: &str) -> Subject {
    Subject { category: Some(category), item: item.to_owned(), quantity: quantity.to_owned(), ..Subject::default() }
}

fn total(kind: EntryKind, item: &str, amount: i64) -> Total {
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

fn refund(kind: EntryKind, charge: EntryKind, item: &str, amount: i64) -> Refund {
    Refund { kind, charge: Some(charge), subject: subject(Category::Usage, item, "1"), amount, time: UnixMillis::new(30) }
}

#[test]
fn an_overpayment_has_already_paid_a_part_of_the_invoice() {
    // Published: overpaid by 424, then 500 used, then the period closes: 76 due.
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", 50_000)];
    let cut = CutBill { closed: 50_000, balance: 42_400, opening: 42_400, totals, ..bill(Mode::Postpaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!(
        (document.kind, document.total, document.credit_applied, document.amount_to_pay),
        (DocumentKind::Invoice, 50_000, 42_400, 7_600)
    );
    assert_eq!(
        (document.wallet, document.brought_forward, document.period_from, document.period_to),
        (None, 0, UnixMillis::new(10), UnixMillis::new(1_000))
    );
}

#[test]
fn a_debt_that_no_invoice_holds_is_brought_forward() {
    // 8.67 were owed as prepaid; 12.00 of the balance are an open invoice's.
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", 1_000)];
    let cut = CutBill { closed: 1_000, balance: -2_067, opening: -2_067, open: 1_200, was_converted: true, totals, ..bill(Mode::Postpaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!((document.brought_forward, document.total, document.credit_applied, document.amount_to_pay), (867, 1_867, 0, 1_867));
    assert_eq!(document.wallet, Some(Wallet { opening: -2_067, closing: -2_067, ..Wallet::default() }));
}

#[test]
fn a_statement_shows_the_wallet_and_what_was_deducted_and_asks_for_nothing() {
    let totals = vec![
        total(EntryKind::ToppedUp, "", 5_000),
        total(EntryKind::ChargedBalance, "sms", 700),
        total(EntryKind::ChargedBalance, "call", 300),
        total(EntryKind::RefundedBalance, "", 100),
        total(EntryKind::Withdrawn, "", 50),
        total(EntryKind::PaymentReversed, "", 1_000),
        total(EntryKind::Adjusted, "", -5),
        total(EntryKind::PeriodClosed, "", 0),
    ];
    let refunds = vec![refund(EntryKind::RefundedBalance, EntryKind::ChargedBalance, "call", 100)];
    // 20.00 + 50.00 - 10.00 - 10.00 + 1.00 - 0.50 - 0.05 = 50.45.
    let cut = CutBill { opening: 2_000, balance: 5_045, totals, refunds, ..bill(Mode::Prepaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    assert_eq!((document.kind, document.total, document.amount_to_pay, document.items.len()), (DocumentKind::Statement, 0, 0, 0));
    let lines: Vec<_> = document.deducted.iter().map(|line| (line.item.as_str(), line.quantity.as_str(), line.amount)).collect();
    assert_eq!(lines, [("call", "2", 300), ("call", "-1", -100), ("sms", "2", 700)]);
    let wallet = Wallet {
        opening: 2_000,
        paid_in: 5_000,
        reversed: -1_000,
        charged: -1_000,
        refunded: 100,
        withdrawn: -50,
        adjusted: -5,
        written_off: 0,
        not_itemized: 0,
        invoiced: 0,
        rounded: 0,
        closing: 5_045,
    };
    assert_eq!(document.wallet, Some(wallet));
}

#[test]
fn lines_are_by_category_and_item_and_refunds_stand_behind_what_they_refund() {
    let mut subscription = total(EntryKind::ChargedUnbilled, "plan", 900);
    subscription.subject.category = Some(Category::Subscription);
    let totals = vec![subscription, total(EntryKind::ChargedUnbilled, "sms", 40), total(EntryKind::ChargedUnbilled, "call", 60)];
    let refunds = vec![
        refund(EntryKind::RefundedUnbilled, EntryKind::ChargedUnbilled, "sms", 20),
        refund(EntryKind::RefundedUnbilled, EntryKind::ChargedUnbilled, "sms", 5),
        // A refund of what an earlier invoice billed has a credit note, and is no line here.
        refund(EntryKind::RefundedBalance, EntryKind::ChargedUnbilled, "sms", 7),
    ];
    let mut totals = totals;
    totals.push(total(EntryKind::RefundedBalance, "", 7));
    let cut = CutBill { closed: 975, balance: 7, totals, refunds, ..bill(Mode::Postpaid) };
    let Draft { document, held_reason } = cut.draft();
    assert_eq!(held_reason, "");
    let lines: Vec<_> = document.items.iter().map(|line| (line.item.as_str(), line.count, line.quantity.as_str(), line.amount)).collect();
    assert_eq!(lines, [("call", 2, "2", 60), ("sms", 2, "2", 40), ("sms", 2, "-2", -25), ("plan", 2, "2", 900)]);
    assert_eq!((document.deducted.len(), document.wallet, document.amount_to_pay), (0, None, 968));
}

#[test]
fn rounding_is_a_part_of_the_total() {
    // Six decimals: 1.234567 closed, rounded half-up to 1.23: the balance gets 0.004567 back.
    let totals = vec![total(EntryKind::ChargedUnbilled, "byte", 1_234_567)];
    let denomination = Denomination { decimals: 6, ..denomination() };
    let document = CutBill { closed: 1_234_567, rounding: -4_567, denomination, totals, ..bill(Mode::Postpaid) }.draft().document;
    assert_eq!(
        (document.items_total, document.rounding, document.total, document.amount_to_pay),
        (1_234_567, -4_567, 1_230_000, 1_230_000)
    );
}

/// Six decimals; total, brought forward, credit applied, to pay, when so much was closed at a balance that is rounded so.
fn cut_of(closed: i64, rounding: i64, due_rounding: i64, balance: i64, open: i64) -> [i64; 4] {
    let denomination = Denomination { decimals: 6, ..denomination() };
    let document = CutBill { closed, rounding, due_rounding, balance, open, denomination, ..bill(Mode::Postpaid) }.draft().document;
    [document.items_total + document.rounding, document.brought_forward, document.credit_applied, document.amount_to_pay]
}

#[test]
fn an_amount_to_pay_is_in_minor_units_and_what_is_rounded_beside_the_bill_is_brought_forward_or_credit() {
    assert_eq!(cut_of(200_000_000, 0, -1_480, 86_101_480, 0), [200_000_000, 0, 86_100_000, 113_900_000]);
    assert_eq!(cut_of(10_000_000, 0, 1_480, -8_671_480, 0), [10_000_000, 8_670_000, 0, 18_670_000]);
    assert_eq!(cut_of(86_105_480, 4_520, 4_520, 86_105_480, 0), [86_110_000, 0, 86_110_000, 0]);
    // An old invoice is open by 100.01, and 0.004 of a top-up is unallocated.
    assert_eq!(cut_of(10_000_000, 0, -4_000, -100_006_000, 100_010_000), [10_000_000, 0, 0, 10_000_000]);
}

#[test]
fn what_does_not_add_up_is_held_back_and_the_difference_is_named() {
    let totals = vec![total(EntryKind::ChargedUnbilled, "call", 900)];
    let held = CutBill { closed: 1_000, totals: totals.clone(), ..bill(Mode::Postpaid) }.draft();
    assert_eq!(held.held_reason, "the items add up to 9.00 EUR, but the ledger closed 10.00 EUR: a difference of -1.00 EUR");
    assert_eq!(held.document.amount_to_pay, 1_000, "what is owed is what the ledger says");
    let held = CutBill { closed: 900, balance: 50, opening: 20, totals, ..bill(Mode::Postpaid) }.draft();
    assert_eq!(held.held_reason, "the balance adds up to 0.20 EUR, but the ledger closed at 0.50 EUR: a difference of -0.30 EUR");
}

#[test]
fn a_single_charge_is_an_invoice_of_one_line() {
    let charge = SingleCharge {
        account: "acme".to_owned(),
        denomination: denomination(),
        bill: 4,
        time: UnixMillis::new(50),
        subject: subject(Category::Hardware, "router", "1"),
        amount: 9_900,
        rounding: 0,
        balance: 2_000,
        open: 0,
    };
    let document = charge.draft().document;
    assert_eq!(
        (document.cause, document.items[0].item.as_str(), document.items[0].category.as_str()),
        (Cause::SingleCharge, "router", "hardware")
    );
    assert_eq!((document.total, document.credit_applied, document.amount_to_pay), (9_900, 2_000, 7_900));
    // A debt that no invoice holds waits for the monthly bill.
    let document = SingleCharge { balance: -500, ..charge }.draft().document;
    assert_eq!((document.total, document.brought_forward, document.amount_to_pay), (9_900, 0, 9_900));
}

#[test]
fn quantities_are_added_as_decimals() {
    assert_eq!(add_quantities("0.1", "0.2"), "0.3");
    assert_eq!(add_quantities("", "2"), "2");
    assert_eq!(add_quantities("-1.50", "-1.5"), "-3");
    assert_eq!(add_quantities("1", "many"), "");
}
