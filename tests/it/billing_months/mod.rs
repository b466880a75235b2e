//! Three months pass, on both stores, and every document is the one that was worked out by hand. The figures are literal, with the
//! arithmetic beside them; nothing is computed by what is under test.
mod random;
mod stage;

mod bank;
mod numbers;
mod preview;

use stage::{Stage, decimal, lines, millis, sums, units};
use tollgate::billing::document::{Cause, DocumentKind, Wallet};
use tollgate::billing::{DocumentState, MonthOfCharges};
use tollgate::domain::account::{Mode, NonUsageBilling};
use tollgate::domain::command::{Action, LimitChange, Metadata, TemporaryChange, Until};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::Units;

const ACCOUNTS: [&str; 6] = ["prepaid", "postpaid", "to-postpaid", "to-prepaid", "one-by-one", "idle"];

/// Seven amounts, as `sums` has them.
fn amounts(texts: [&str; 7]) -> [Units; 7] {
    texts.map(units)
}

#[tokio::test]
async fn three_months_are_billed_as_worked_out_by_hand_on_the_embedded_store_and_sqlite() {
    three_months(Stage::embedded("2026-01-05T12:00:00Z").await).await;
}

#[tokio::test]
async fn three_months_are_billed_as_worked_out_by_hand_on_redis_and_postgresql() {
    three_months(Stage::redis_and_postgres("2026-01-05T12:00:00Z").await).await;
}

async fn three_months(stage: Stage) {
    january(&stage).await;
    stage.month_ends("2026-02-01T00:10:00Z", &ACCOUNTS).await;
    invoices_of_january(&stage).await;
    february(&stage).await;
    stage.month_ends("2026-03-01T00:10:00Z", &ACCOUNTS[..5]).await;
    invoices_of_february(&stage).await;
    march(&stage).await;
    stage.month_ends("2026-04-01T00:10:00Z", &ACCOUNTS[..4]).await;
    invoices_of_march(&stage).await;
    numbers::have_no_gaps(&stage, &["INV-", "STM-", "CRN-"]).await;
    stage.end().await;
}

async fn january(stage: &Stage) {
    let consolidated = NonUsageBilling::Consolidated;
    stage.open("prepaid", Mode::Prepaid, "2000", consolidated).await;
    stage.open("postpaid", Mode::Postpaid, "2400", consolidated).await;
    stage.open("to-postpaid", Mode::Prepaid, "100", consolidated).await;
    stage.open("to-prepaid", Mode::Postpaid, "500", consolidated).await;
    stage.open("one-by-one", Mode::Postpaid, "1000", NonUsageBilling::OneByOne).await;
    stage.open("idle", Mode::Postpaid, "100", consolidated).await;

    stage.top_up("prepaid", "t1", "100").await;
    stage.charge("prepaid", "c1", "13.89852", "call", "60", None).await;
    // Published: a balance of 86.10148 and a limit of 2000 are 2086.10148 to use.
    assert_eq!(stage.usable("prepaid").await, units("2086.10148"));
    stage.charge("prepaid", "c2", "9.99", "plan", "1", None).await;
    stage.refund("prepaid", "r1", "c1", "1").await;
    stage.act("prepaid", "w1", Action::Withdraw { amount: decimal("10"), is_paid_out: false }, Metadata::default()).await;

    // Published: overpaid by 424, limit 2400: 2824 to use; 500 used: 2324.
    stage.pay("postpaid", "p1", "424", &[]).await;
    assert_eq!(stage.usable("postpaid").await, units("2824"));
    stage.charge("postpaid", "c1", "500", "gb", "250", None).await;
    assert_eq!(stage.usable("postpaid").await, units("2324"));

    stage.top_up("to-postpaid", "t1", "50").await;
    stage.charge("to-postpaid", "c1", "20", "call", "3", None).await;
    stage.charge("to-prepaid", "c1", "80", "gb", "40", None).await;
    stage.charge("idle", "c1", "5", "call", "1", None).await;

    stage.charge("one-by-one", "c1", "10", "gb", "5", None).await;
    // 99.995 is a bill of its own, rounded half-up to 100.00.
    stage.charge("one-by-one", "c2", "99.995", "router", "1", None).await;
    stage.at("2026-01-06T12:00:00Z");
    stage.charge("one-by-one", "c3", "9.99", "plan", "1", None).await;
    assert_eq!(stage.account("one-by-one").await.balance, units("-109.99"));
}

async fn invoices_of_january(stage: &Stage) {
    let statement = stage.documents("prepaid").await[0].document.clone();
    assert_eq!((statement.kind, statement.cause, statement.due_at), (DocumentKind::Statement, Cause::PeriodEnd, None));
    assert_eq!(lines(&statement.deducted), [("call", "60", units("13.89852")), ("call", "", units("-1")), ("plan", "1", units("9.99"))]);
    let wallet = Wallet {
        paid_in: units("100"),
        // 13.89852 + 9.99
        charged: units("-23.88852"),
        refunded: units("1"),
        withdrawn: units("-10"),
        // 100 - 23.88852 + 1 - 10
        closing: units("67.11148"),
        ..Wallet::default()
    };
    assert_eq!(statement.wallet, Some(wallet));
    // The tax in 22.88852: x 19 / 119 = 3.6544...
    assert_eq!(sums(&statement), amounts(["0", "0", "0", "0", "0", "0", "3.65"]));

    // Published: 76 due, and 2400 to use again.
    let invoice = stage.documents("postpaid").await[0].clone();
    assert_eq!((invoice.state, invoice.open_amount), (DocumentState::Issued, units("76")));
    let invoice = invoice.document;
    assert_eq!(lines(&invoice.items), [("gb", "250", units("500"))]);
    // From the account's creation on; the next is of all February.
    assert_eq!((invoice.period_from, invoice.period_to), (millis("2026-01-05T12:00:00Z"), millis("2026-02-01T00:00:00Z")));
    // Issued on 1 February, 14 days to pay: to the end of the 15th.
    assert_eq!((invoice.issued_at, invoice.due_at), (millis("2026-02-01T00:10:00Z"), Some(millis("2026-02-15T23:59:59.999Z"))));
    // 500 x 19 / 119 = 79.8319...
    assert_eq!(sums(&invoice), amounts(["500", "0", "0", "500", "424", "76", "79.83"]));
    assert_eq!((invoice.issuer.name.as_str(), invoice.customer.name.as_str()), ("Tollgate Ltd", "Customer postpaid"));
    assert_eq!(stage.usable("postpaid").await, units("2400"));
    assert_eq!(stage.account("postpaid").await.amount_due(), units("76"));

    let statement = stage.documents("to-postpaid").await[0].document.clone();
    let wallet = Wallet { paid_in: units("50"), charged: units("-20"), closing: units("30"), ..Wallet::default() };
    assert_eq!((statement.kind, statement.wallet), (DocumentKind::Statement, Some(wallet)));
    // 80 x 19 / 119 = 12.7731..., 5 x 19 / 119 = 0.7983...
    let invoice = stage.documents("to-prepaid").await[0].document.clone();
    assert_eq!(sums(&invoice), amounts(["80", "0", "0", "80", "0", "80", "12.77"]));
    let invoice = stage.documents("idle").await[0].document.clone();
    assert_eq!(sums(&invoice), amounts(["5", "0", "0", "5", "0", "5", "0.8"]));

    let invoices = stage.documents("one-by-one").await;
    let [router, plan, usage] = [0, 1, 2].map(|place| invoices[place].document.clone());
    assert_eq!((router.cause, plan.cause, usage.cause), (Cause::SingleCharge, Cause::SingleCharge, Cause::PeriodEnd));
    // 100 x 19 / 119 = 15.9663..., 9.99 x 19 / 119 = 1.5950..., 10 x 19 / 119 = 1.5966...
    assert_eq!(sums(&router), amounts(["99.995", "0.005", "0", "100", "0", "100", "15.97"]));
    assert_eq!(sums(&plan), amounts(["9.99", "0", "0", "9.99", "0", "9.99", "1.6"]));
    assert_eq!(sums(&usage), amounts(["10", "0", "0", "10", "0", "10", "1.6"]));
    assert_eq!((lines(&router.items), lines(&usage.items)), (vec![("router", "1", units("99.995"))], vec![("gb", "5", units("10"))]));
}

async fn february(stage: &Stage) {
    stage.at("2026-02-03T09:00:00Z");
    // 67.11148 - 75.78148 = -8.67. Published: with a limit of 100, 91.33 is left.
    stage.charge("prepaid", "c3", "75.78148", "call", "300", None).await;
    let limit = LimitChange { permanent: Some(decimal("100")), ..LimitChange::default() };
    stage.act("prepaid", "l1", Action::SetCreditLimit { limit, allow_unusable: false }, Metadata::default()).await;
    assert_eq!(stage.usable("prepaid").await, units("91.33"));

    // For three days 3000 instead of 2400; the 76 that are due cost nothing.
    let temporary = TemporaryChange::Set { amount: decimal("3000"), until: Until::After(3 * 86_400_000) };
    let limit = LimitChange { permanent: None, temporary };
    stage.act("postpaid", "l1", Action::SetCreditLimit { limit, allow_unusable: false }, Metadata::default()).await;
    stage.charge("postpaid", "c2", "2700", "gb", "1350", None).await;
    assert_eq!(stage.usable("postpaid").await, units("300"));
    stage.charge("postpaid", "c3", "1.234567", "call", "7", None).await;
    stage.refund("postpaid", "r1", "c2", "0.5").await;

    // 30 - 38.67 = -8.67, living on the limit; 10 are reserved while it is converted.
    stage.charge("to-postpaid", "c2", "38.67", "call", "5", None).await;
    stage.authorize("to-postpaid", "hold", "10").await;
    stage.charge("to-prepaid", "c2", "25.555", "gb", "12", None).await;
    stage.authorize("to-prepaid", "hold", "40").await;

    stage.at("2026-02-10T09:00:00Z");
    // 2400 - 2700.734567 unbilled: the temporary limit is over.
    assert_eq!(stage.usable("postpaid").await, units("-300.734567"));
    stage.convert("to-postpaid", "convert", Mode::Postpaid, "1000").await;
    stage.charge("to-postpaid", "c3", "7", "call", "1", Some("hold")).await;
    stage.refund("to-postpaid", "r1", "c2", "5").await;
    stage.charge("to-postpaid", "c4", "30", "gb", "15", None).await;

    stage.convert("to-prepaid", "convert", Mode::Prepaid, "500").await;
    // -80 - 25.56
    assert_eq!(stage.account("to-prepaid").await.balance, units("-105.56"));
    stage.charge("to-prepaid", "c3", "15", "gb", "7", Some("hold")).await;
    assert_eq!(stage.open_amounts("to-prepaid").await, [units("80"), units("25.56")]);
    stage.top_up("to-prepaid", "t1", "200").await;
    // Both are paid; -105.56 - 15 + 200 = 79.44 are left.
    assert_eq!(stage.open_amounts("to-prepaid").await, [Units::ZERO, Units::ZERO]);
    assert_eq!(stage.account("to-prepaid").await.balance, units("79.44"));

    let plan = stage.documents("one-by-one").await[1].document.number.clone();
    stage.pay("one-by-one", "p1", "9.99", &[&plan]).await;
    assert_eq!(stage.open_amounts("one-by-one").await, [units("100"), Units::ZERO, units("10")], "the named one is paid, not the oldest");
    stage.refund("one-by-one", "r1", "c2", "50").await;
    assert_eq!(stage.open_amounts("one-by-one").await, [units("50"), Units::ZERO, units("10")]);
}

async fn invoices_of_february(stage: &Stage) {
    let statement = stage.documents("prepaid").await[1].document.clone();
    let wallet = Wallet { opening: units("67.11148"), charged: units("-75.78148"), closing: units("-8.67"), ..Wallet::default() };
    assert_eq!(statement.wallet, Some(wallet));

    let invoice = stage.documents("postpaid").await[1].document.clone();
    assert_eq!(lines(&invoice.items), [("call", "7", units("1.234567")), ("gb", "1350", units("2700")), ("gb", "", units("-0.5"))]);
    assert_eq!((invoice.period_from, invoice.period_to), (millis("2026-02-01T00:00:00Z"), millis("2026-03-01T00:00:00Z")));
    // 2700.734567 is 2700.73 half-up; x 19 / 119 = 431.2089...
    assert_eq!(sums(&invoice), amounts(["2700.734567", "-0.004567", "0", "2700.73", "0", "2700.73", "431.21"]));

    let invoice = stage.documents("to-postpaid").await[1].document.clone();
    assert_eq!((invoice.kind, invoice.cause), (DocumentKind::Invoice, Cause::PeriodEnd));
    assert_eq!(lines(&invoice.deducted), [("call", "5", units("38.67")), ("call", "", units("-5"))]);
    assert_eq!(lines(&invoice.items), [("call", "1", units("7")), ("gb", "15", units("30"))]);
    let wallet =
        Wallet { opening: units("30"), charged: units("-38.67"), refunded: units("5"), closing: units("-3.67"), ..Wallet::default() };
    assert_eq!(invoice.wallet, Some(wallet));
    // 7 + 30, and the 3.67 of before; the tax in 37: 5.9076..., in the 33.67 deducted: 5.3758...
    assert_eq!(sums(&invoice), amounts(["37", "0", "3.67", "40.67", "0", "40.67", "5.91"]));
    assert_eq!(invoice.tax_on_deducted(), units("5.38"));

    let documents = stage.documents("to-prepaid").await;
    let [last, statement] = [documents[1].document.clone(), documents[2].document.clone()];
    assert_eq!((last.kind, last.cause, last.wallet), (DocumentKind::Invoice, Cause::Conversion, None));
    // 25.555 is 25.56 half-up; x 19 / 119 = 4.0810...
    assert_eq!(sums(&last), amounts(["25.555", "0.005", "0", "25.56", "0", "25.56", "4.08"]));
    assert_eq!((last.period_to, last.due_at), (millis("2026-02-10T09:00:00Z"), Some(millis("2026-02-24T23:59:59.999Z"))));
    // The statement goes on where the final bill ended.
    assert_eq!((statement.period_from, statement.period_to), (last.period_to, millis("2026-03-01T00:00:00Z")));
    let wallet =
        Wallet { opening: units("-105.56"), paid_in: units("200"), charged: units("-15"), closing: units("79.44"), ..Wallet::default() };
    assert_eq!((statement.kind, statement.wallet), (DocumentKind::Statement, Some(wallet)));

    let documents = stage.documents("one-by-one").await;
    let note = documents[3].document.clone();
    // 25.555 was invoiced as 25.56; 25.00 of it is left: 25.56 - 25.00.
    assert_eq!((note.kind, &note.refers_to, note.reason.as_str()), (DocumentKind::CreditNote, &documents[0].document.number, "complaint"));
    // The tax falls from 15.97 to that of the 50 that are left: 7.9831...
    assert_eq!(sums(&note), amounts(["50", "0", "0", "50", "0", "0", "7.99"]));
    // Nothing was used, and nothing is brought forward; there was a payment and a refund, so the period was closed, without a document.
    assert_eq!(documents.len(), 4);
    assert_eq!(stage.documents("idle").await.len(), 1, "where nothing happened, nothing is billed");
}

async fn march(stage: &Stage) {
    stage.at("2026-03-03T12:00:00Z");
    // Due on 15 February: overdue for 16 days. The other is due on 15 March.
    let receivables = stage.billing.receivables(millis("2026-03-03T12:00:00Z"), Some(&"postpaid".into()), None, 10, None).await.unwrap().0;
    assert_eq!(receivables[0].buckets, [units("2700.73"), units("76"), Units::ZERO, Units::ZERO, Units::ZERO]);
    let later = stage.billing.receivables(millis("2026-06-14T00:00:00Z"), Some(&"postpaid".into()), None, 10, None).await.unwrap().0;
    // 119 and 91 days.
    assert_eq!(later[0].buckets, [Units::ZERO, Units::ZERO, Units::ZERO, Units::ZERO, units("2776.73")]);
    let all = stage.billing.receivables(millis("2026-03-03T12:00:00Z"), None, Some("idle"), 2, None).await.unwrap().0;
    assert_eq!(all.iter().map(|one| one.account.as_str()).collect::<Vec<_>>(), ["one-by-one", "postpaid"]);

    let second = stage.documents("postpaid").await[1].document.number.clone();
    stage.pay("postpaid", "p2", "2000", &[&second]).await;
    assert_eq!(stage.open_amounts("postpaid").await, [units("76"), units("700.73")]);
    stage.pay("postpaid", "p3", "100", &[]).await;
    assert_eq!(stage.open_amounts("postpaid").await, [Units::ZERO, units("676.73")]);
    stage.reverse("postpaid", "b1", "p3", "100").await;
    assert_eq!(stage.open_amounts("postpaid").await, [units("76"), units("700.73")], "what bounced is open again");
    // January's 76 had been due on 15 February, and are due again on the day on which their payment bounced; 24 of February's are due on
    // 15 March as before.
    let postpaid = AccountId::from("postpaid");
    let receivables = |time: &'static str| stage.billing.receivables(millis(time), Some(&postpaid), None, 10, None);
    let today = receivables("2026-03-03T18:00:00Z").await.unwrap().0;
    assert_eq!(today[0].buckets, [units("776.73"), Units::ZERO, Units::ZERO, Units::ZERO, Units::ZERO]);
    let reopened: Vec<_> = today[0].reopened.iter().map(|part| (part.open, part.due_at)).collect();
    let days = [millis("2026-03-15T23:59:59.999Z"), millis("2026-03-03T23:59:59.999Z")];
    assert!(reopened.contains(&(units("24"), days[0])) && reopened.contains(&(units("76"), days[1])), "{reopened:?}");
    assert_eq!(
        receivables("2026-03-04T18:00:00Z").await.unwrap().0[0].buckets,
        [units("700.73"), units("76"), Units::ZERO, Units::ZERO, Units::ZERO]
    );
    stage.adjust("postpaid", "a1", "76", "uncollectable").await;
    assert_eq!(stage.open_amounts("postpaid").await, [Units::ZERO, units("700.73")]);
    stage.pay("postpaid", "p4", "1000", &[]).await;
    assert_eq!(stage.open_amounts("postpaid").await, [Units::ZERO, Units::ZERO]);
    // -2776.73 + 2000 + 100 - 100 + 76 + 1000
    assert_eq!(stage.account("postpaid").await.balance, units("299.27"));
    stage.refund("postpaid", "r2", "c1", "10").await;
    stage.charge("postpaid", "c4", "300", "gb", "150", None).await;

    stage.top_up("prepaid", "t2", "20").await;
    stage.adjust("prepaid", "a1", "-1.33", "a fee").await;
    stage.reverse("prepaid", "b1", "t2", "5").await;
    stage.refund("prepaid", "r2", "c2", "9.99").await;
    stage.charge("to-postpaid", "c5", "12", "gb", "6", None).await;
    stage.refund("to-prepaid", "r1", "c2", "0.555").await;
}

async fn invoices_of_march(stage: &Stage) {
    let statement = stage.documents("prepaid").await[2].document.clone();
    let wallet = Wallet {
        opening: units("-8.67"),
        paid_in: units("20"),
        reversed: units("-5"),
        refunded: units("9.99"),
        adjusted: units("-1.33"),
        closing: units("14.99"),
        ..Wallet::default()
    };
    assert_eq!(statement.wallet, Some(wallet));
    let adjusted: Vec<_> = statement.adjustments.iter().map(|one| (one.amount, one.reason.as_str())).collect();
    assert_eq!(adjusted, [(units("-1.33"), "a fee")]);
    assert_eq!(lines(&statement.deducted), [("plan", "", units("-9.99"))]);
    // 9.99 x 19 / 119 = 1.5950...
    assert_eq!(sums(&statement), amounts(["0", "0", "0", "0", "0", "0", "-1.6"]));

    let documents = stage.documents("postpaid").await;
    let [note, invoice] = [documents[2].document.clone(), documents[3].document.clone()];
    assert_eq!((note.kind, &note.refers_to), (DocumentKind::CreditNote, &documents[0].document.number));
    assert_eq!((lines(&note.items), note.bill), (vec![("gb", "", units("10"))], documents[0].document.bill));
    // 299.27 + 10 have paid the 300; 9.27 are left.
    assert_eq!(sums(&invoice), amounts(["300", "0", "0", "300", "300", "0", "47.9"]));
    // Paid at once, and due all the same: on 15 April.
    assert_eq!((invoice.due_at, documents[3].open_amount), (Some(millis("2026-04-15T23:59:59.999Z")), Units::ZERO));
    assert_eq!(stage.account("postpaid").await.balance, units("9.27"));
    // The newest credits that had something left: 10 of the refund, then 290 of the payment.
    let allocations = stage.billing.allocations(&"postpaid".into(), 2).await.unwrap();
    let found: Vec<_> = allocations.iter().map(|one| (one.credit.as_str(), one.invoice.as_str(), one.amount)).collect();
    let number = invoice.number.as_str();
    assert_eq!(found, [("r2", number, units("10")), ("p4", number, units("290"))]);

    let invoice = stage.documents("to-postpaid").await[2].document.clone();
    // The debt of before is February's invoice's by now: nothing is brought forward. 12 x 19 / 119 = 1.9159...
    assert_eq!((sums(&invoice), invoice.wallet), (amounts(["12", "0", "0", "12", "0", "12", "1.92"]), None));
    assert_eq!(stage.open_amounts("to-postpaid").await, [units("40.67"), units("12")]);

    let documents = stage.documents("to-prepaid").await;
    let note = documents[3].document.clone();
    assert_eq!((note.kind, note.total, &note.refers_to), (DocumentKind::CreditNote, units("0.56"), &documents[1].document.number));
    assert_eq!(documents.len(), 4, "a refund that has its credit note needs no statement");

    let month = |from: &str, to: &str, usage: &str| MonthOfCharges {
        from: millis(from),
        to: millis(to),
        by_category: [units(usage), Units::ZERO, Units::ZERO, Units::ZERO],
    };
    let history = stage.billing.history(&"postpaid".into()).await.unwrap();
    let [january, february, march, april] = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"].map(|day| format!("{day}T00:00:00Z"));
    let expected = [month(&march, &april, "300"), month(&february, &march, "2700.734567"), month(&january, &february, "500")];
    assert_eq!(history, expected);
}
