//! Payments: looked at, allocated by hand, on receipts and on statements of account.

use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic_types::StatusExt;

use crate::command::Operator;
use crate::service::{Client, PATIENCE, Service, debit, money};
use crate::support::temporary_folder;

/// A service by a clock that stands, with an issuer, and who calls it.
struct Fixture {
    folder: tempfile::TempDir,
    service: Service,
    operator: Operator,
}

impl Fixture {
    fn at(time: &str) -> Self {
        let folder = temporary_folder();
        std::fs::write(folder.path().join("clock"), time).unwrap();
        let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
        let service = Service::start(&["--store", &store, "--test-clock", &clock], &[]);
        let operator = Operator::of(&service);
        let fixture = Self { folder, service, operator };
        fixture.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
        fixture.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        fixture
    }

    fn go_to(&self, time: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, self.folder.path().join("clock")).unwrap();
    }

    fn run(&self, words: &[&str]) -> String {
        let ended = self.operator.run_words(words);
        assert!(ended.status.success(), "{words:?}: {ended:?}");
        ended.output
    }

    /// Asks until the answer is as it is to be: the billing store follows within moments.
    fn until(&self, line: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.operator.json(line);
            if is_there(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{line}: {found:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The numbers of the issued invoices, the oldest first, when there are so many.
    fn invoices(&self, count: usize) -> Vec<String> {
        let found = self.until("invoice list --state issued --kind invoice", |found| count_of(&found["invoices"]) == count);
        found["invoices"].as_array().unwrap().iter().rev().map(|invoice| invoice["number"].as_str().unwrap().to_owned()).collect()
    }
}

/// The fields of a value, as texts; what is empty is left out of JSON.
fn fields<const COUNT: usize>(value: &Value, names: [&str; COUNT]) -> [String; COUNT] {
    names.map(|name| value[name].as_str().unwrap_or_default().to_owned())
}

fn count_of(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

async fn charge(client: &mut Client, account: &str, request_id: &str, amount: &str) {
    client.charging.debit(debit(account, request_id, amount)).await.unwrap();
}

fn reason<T: std::fmt::Debug>(answer: &Result<T, tonic::Status>) -> String {
    answer.as_ref().err().and_then(StatusExt::get_details_error_info).map_or("accepted".into(), |info| info.reason)
}

fn operator() -> Option<v1::Operator> {
    Some(v1::Operator { actor: "eve".into(), reason: "a misread reference".into() })
}

/// An account with an invoice of 100.00 of July, to which 60.00 are paid; in August.
async fn with_a_payment(fixture: &Fixture) -> (Client, String) {
    let mut client = fixture.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "july", "100").await;
    let number = tokio::task::block_in_place(|| {
        fixture.go_to("2026-08-05T12:00:00Z");
        fixture.invoices(1).remove(0)
    });
    let payment = v1::RecordPaymentRequest {
        account_id: "acme".into(),
        request_id: "bank-1".into(),
        amount: money("60"),
        details: Some(v1::PaymentDetails {
            received_on: "2026-08-03".into(),
            method: "sepa".into(),
            reference: "RF18 5390 0754 7034".into(),
            remark: "for July".into(),
        }),
        ..Default::default()
    };
    client.billing.record_payment(payment.clone()).await.unwrap();
    assert!(client.billing.record_payment(payment.clone()).await.unwrap().into_inner().replayed);
    let other = v1::PaymentDetails { method: "card".into(), ..payment.details.clone().unwrap() };
    let reused = client.billing.record_payment(v1::RecordPaymentRequest { details: Some(other), ..payment }).await;
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
    (client, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_listed_and_shown_with_all_that_was_said_of_it_and_what_it_pays() {
    let fixture = Fixture::at("2026-07-10T12:00:00Z");
    let (mut client, number) = with_a_payment(&fixture).await;
    client.open("other", PaymentMode::Prepaid, "0", "20").await;
    tokio::task::block_in_place(|| {
        let found = fixture.until("payment list", |found| count_of(&found["payments"]) == 2);
        // Those received last first: the top-up is of the fifth.
        assert_eq!(fields(&found["payments"][0], ["accountId", "paymentId", "kind"]), ["other", "top-up", "ENTRY_KIND_TOPPED_UP"]);
        assert_eq!(found["payments"][0]["details"]["receivedOn"], "2026-08-05");
        let bank = &found["payments"][1];
        assert_eq!(fields(bank, ["paymentId", "amount", "allocated", "unallocated"]), ["bank-1", "60.00", "60.00", "0.00"]);
        assert_eq!(
            fields(&bank["details"], ["receivedOn", "method", "reference", "remark"]),
            ["2026-08-03", "sepa", "RF18 5390 0754 7034", "for July"]
        );
        let listed = |filter: &str| {
            let found = fixture.operator.list(&format!("payment list {filter}"));
            found.iter().map(|one| one["paymentId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed("--account acme"), ["bank-1"]);
        assert_eq!(listed("--method sepa"), ["bank-1"]);
        assert_eq!(listed("--method card"), [""; 0]);
        assert_eq!(listed("--from 2026-08-04"), ["top-up"]);
        assert_eq!(listed("--to 2026-08-04"), ["bank-1"]);
        assert_eq!(listed("--from 2026-08-03 --to 2026-08-03"), ["bank-1"]);
        assert_eq!(listed("--unallocated"), ["top-up"]);
        let shown = fixture.operator.json("payment show acme bank-1");
        assert_eq!(fields(&shown["parts"][0], ["invoiceNumber", "amount"]), [number.as_str(), "60.00"]);
        assert_eq!(shown["parts"][0]["operator"], Value::Null);
        // What list shows is what a reversal takes.
        fixture.run(&["payment", "reverse", "acme", "bank-1", "--amount", "10", "--reason", "bounced"]);
        let shown = fixture.until("payment show acme bank-1", |shown| count_of(&shown["reversals"]) == 1);
        assert_eq!(fields(&shown["reversals"][0], ["amount"]), ["10.00"]);
        assert_eq!(fields(&shown["payment"], ["allocated", "reversed"]), ["50.00", "10.00"]);
        assert_eq!(fields(&shown["parts"][1], ["invoiceNumber", "amount"]), [number.as_str(), "-10.00"]);
        let table = fixture.run(&["payment", "list"]);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    });
    // Pages go on where they ended.
    let mut request = v1::ListPaymentsRequest { page_size: 1, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.billing.list_payments(request.clone()).await.unwrap().into_inner();
        found.extend(page.payments.into_iter().map(|payment| payment.payment_id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["top-up", "bank-1"]);
    let missing = client.billing.get_payment(v1::GetPaymentRequest { account_id: "acme".into(), payment_id: "no".into() }).await;
    assert_eq!(reason(&missing), "PAYMENT_NOT_FOUND");
    let future = v1::PaymentDetails { received_on: "2026-08-06".into(), ..Default::default() };
    let future = v1::TopUpRequest {
        account_id: "other".into(),
        request_id: "t".into(),
        amount: money("1"),
        details: Some(future),
        ..Default::default()
    };
    let refused = client.accounts.top_up(future).await.unwrap_err();
    assert!(refused.message().starts_with("details.received_on must not be after today"), "{refused:?}");
    assert!(fixture.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_takes_off_an_invoice_is_set_aside_until_an_operator_allocates_it() {
    let fixture = Fixture::at("2026-07-10T12:00:00Z");
    let (mut client, july) = with_a_payment(&fixture).await;
    let take_off = |request_id: &str, amount: Option<&str>| v1::UnallocatePaymentRequest {
        account_id: "acme".into(),
        request_id: request_id.into(),
        payment_id: "bank-1".into(),
        invoice_number: july.clone(),
        amount: amount.and_then(money),
        operator: operator(),
        first_sent_at: None,
    };
    tokio::task::block_in_place(|| fixture.until("payment list", |found| count_of(&found["payments"]) == 1));
    for (amount, refused) in [("60.01", "EXCEEDS_ALLOCATED"), ("0.001", "NOT_IN_MINOR_UNITS")] {
        assert_eq!(reason(&client.billing.unallocate_payment(take_off("u0", Some(amount))).await), refused, "{amount}");
    }
    let taken_off = client.billing.unallocate_payment(take_off("u1", Some("25"))).await.unwrap().into_inner();
    assert_eq!(taken_off.unallocated.unwrap().amount, "25.00");
    assert!(client.billing.unallocate_payment(take_off("u1", Some("25"))).await.unwrap().into_inner().replayed);
    assert_eq!(reason(&client.billing.unallocate_payment(take_off("u1", Some("24"))).await), "REQUEST_ID_REUSED");
    // 100 - 60 due in the ledger, before and after: 65 open, 25 paid in and paying nothing.
    assert_eq!(client.credit("acme").await.amount_due, "40.00");
    charge(&mut client, "acme", "august", "30").await;
    let august = tokio::task::block_in_place(|| {
        let receivables = &fixture.operator.list("receivables acme")[0];
        assert_eq!(fields(receivables, ["current", "notInvoiced", "unallocated", "total"]), ["65.00", "0.00", "25.00", "40.00"]);
        assert_eq!(count_of(&receivables["reopened"]), 0, "it is due when it was");
        fixture.go_to("2026-09-05T12:00:00Z");
        let august = fixture.invoices(2).remove(1);
        // No automatic allocation uses what is set aside.
        let shown = fixture.operator.json(&format!("invoice show {august}"));
        assert_eq!(fields(&shown["invoice"], ["creditApplied", "amountToPay", "openAmount"]), ["0.00", "30.00", "30.00"]);
        august
    });
    // Of what is left, as much as there is, however many ask at once.
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (mut client, invoice_number) = (fixture.service.client().await, august.clone());
        waiting.spawn(async move {
            let request = v1::AllocatePaymentRequest {
                account_id: "acme".into(),
                request_id: format!("a{number}"),
                payment_id: "bank-1".into(),
                invoice_number,
                amount: money("10"),
                operator: operator(),
                first_sent_at: None,
            };
            reason(&client.billing.allocate_payment(request).await)
        });
    }
    let mut reasons = waiting.join_all().await;
    reasons.sort();
    assert_eq!(reasons[..6], ["EXCEEDS_UNALLOCATED"; 6]);
    assert_eq!(reasons[6..], ["accepted"; 2]);
    tokio::task::block_in_place(|| {
        let shown = fixture.operator.json("payment show acme bank-1");
        assert_eq!(fields(&shown["payment"], ["allocated", "unallocated", "setAside"]), ["55.00", "5.00", "5.00"]);
        assert_eq!(fields(&shown["parts"][1]["operator"], ["actor", "reason"]), ["eve", "a misread reference"]);
        // What is freed pays the oldest.
        fixture.run(&["payment", "allocate", "acme", "bank-1", "--reason", "as the rules say"]);
        let open = |number: &str| fields(&fixture.operator.json(&format!("invoice show {number}"))["invoice"], ["openAmount"])[0].clone();
        assert_eq!((open(&july), open(&august)), ("60.00".to_owned(), "10.00".to_owned()));
        let unknown = fixture.operator.run("payment allocate acme bank-1 INV-999999 --reason x");
        assert!(!unknown.status.success() && unknown.error.contains("INVOICE_NOT_FOUND"), "{unknown:?}");
        let clock = fixture.folder.path().join("clock").display().to_string();
        let store = fixture.folder.path().join("ledger.db").display().to_string();
        (clock, store)
    });
    assert_eq!(client.credit("acme").await.amount_due, "70.00");
    assert!(fixture.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_of_before_a_conversion_is_receivable_at_once_and_not_when_the_month_ends() {
    let fixture = Fixture::at("2026-07-10T12:00:00Z");
    let mut client = fixture.service.client().await;
    client.open("acme", PaymentMode::Prepaid, "500", "0").await;
    charge(&mut client, "acme", "before", "150").await;
    let request = v1::ConvertRequest {
        account_id: "acme".into(),
        request_id: "convert".into(),
        mode: PaymentMode::Postpaid.into(),
        operator: operator(),
        ..Default::default()
    };
    client.charging.convert(request).await.unwrap();
    let due = client.credit("acme").await.amount_due;
    tokio::task::block_in_place(|| {
        let found = fixture.until("receivables", |found| found["receivables"][0]["total"] == due.as_str());
        assert_eq!(
            fields(&found["receivables"][0], ["current", "notInvoiced", "unallocated", "total"]),
            ["0.00", "150.00", "0.00", "150.00"]
        );
        let table = fixture.run(&["receivables"]);
        assert!(table.contains("due, on no document yet") && table.contains("As of the journal's entries 0-"), "{table}");
        fixture.run(&["payment", "record", "acme", "50", "--method", "cash"]);
        let found = fixture.until("receivables", |found| found["receivables"][0]["total"] == "100.00");
        assert_eq!(fields(&found["receivables"][0], ["notInvoiced"]), ["100.00"]);
        fixture.go_to("2026-08-05T12:00:00Z");
        let found = fixture.until("receivables", |found| found["receivables"][0]["notInvoiced"] == "0.00");
        assert_eq!(fields(&found["receivables"][0], ["current", "total"]), ["100.00", "100.00"]);
        // As it was: due on no document until the month ended, and on one from then on.
        for (day, current, not_invoiced) in [("07-10", "0.00", "100.00"), ("07-31", "0.00", "100.00"), ("08-01", "100.00", "0.00")] {
            let then = &fixture.operator.list(&format!("receivables --as-of 2026-{day}"))[0];
            assert_eq!(fields(then, ["current", "notInvoiced", "total"]), [current, not_invoiced, "100.00"], "{day}");
        }
    });
    assert!(fixture.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn receivables_of_an_earlier_day_are_what_was_open_when_it_ended() {
    let fixture = Fixture::at("2026-07-10T12:00:00Z");
    let mut client = fixture.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "500", "0").await;
    charge(&mut client, "acme", "july", "100").await;
    tokio::task::block_in_place(|| {
        // Issued on 2 August, due on the 16th; paid in part on the 20th, taken back on 30 September.
        fixture.go_to("2026-08-02T12:00:00Z");
        fixture.invoices(1);
        fixture.go_to("2026-08-20T12:00:00Z");
        fixture.until("receivables", |found| found["receivables"][0]["overdue1To30"] == "100.00");
        fixture.run(&["payment", "record", "acme", "60", "--request-id", "bank-1"]);
        fixture.go_to("2026-09-30T12:00:00Z");
        fixture.until("receivables", |found| found["receivables"][0]["overdue31To60"] == "40.00");
        fixture.run(&["payment", "reverse", "acme", "bank-1", "--reason", "bounced"]);
        let now = fixture.until("receivables", |found| found["receivables"][0]["total"] == "100.00");

        let buckets = ["current", "overdue1To30", "overdue31To60", "total"];
        for (day, expected) in [
            ("07-31", None),
            ("08-01", Some(["100.00", "0.00", "0.00", "100.00"])),
            ("08-16", Some(["100.00", "0.00", "0.00", "100.00"])),
            ("08-17", Some(["0.00", "100.00", "0.00", "100.00"])),
            ("08-20", Some(["0.00", "40.00", "0.00", "40.00"])),
            ("09-15", Some(["0.00", "40.00", "0.00", "40.00"])),
            ("09-16", Some(["0.00", "0.00", "40.00", "40.00"])),
            ("09-29", Some(["0.00", "0.00", "40.00", "40.00"])),
            ("09-30", Some(["60.00", "0.00", "40.00", "100.00"])),
        ] {
            for account in ["", "acme"] {
                let then = fixture.operator.list(&format!("receivables {account} --as-of 2026-{day}"));
                assert_eq!(then.first().map(|one| fields(one, buckets)), expected.map(|amounts| amounts.map(str::to_owned)), "{day}");
            }
        }
        assert_eq!(fixture.operator.json("receivables --as-of 2026-09-30"), now, "today is now");
        let table = fixture.run(&["receivables", "--as-of", "2026-08-20"]);
        assert!(table.contains("What was open when 2026-08-20 ended."), "{table}");
        for (day, problem) in [
            ("2026-10-01", "as_of_day must not be after today, 2026-09-30"),
            ("2026-07-09", "as_of_day must not be before 2026-07-10, the day of the first entry on record"),
            ("yesterday", "as_of_day must be a day such as 2026-07-01"),
        ] {
            let refused = fixture.operator.run(&format!("receivables --as-of {day}"));
            assert!(!refused.status.success() && refused.error.contains(problem), "{refused:?}");
        }
    });
    assert!(fixture.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_statements_of_account_and_previews_are_written_in_all_forms() {
    let fixture = Fixture::at("2026-07-10T12:00:00Z");
    let (mut client, july) = with_a_payment(&fixture).await;
    charge(&mut client, "acme", "august", "30.005").await;
    client.open("prepaid", PaymentMode::Prepaid, "0", "20").await;
    for number in 0..3 {
        charge(&mut client, "prepaid", &format!("c{number}"), "1.5").await;
    }
    tokio::task::block_in_place(|| {
        fixture.run(&["account", "details", "acme", "--language", "de"]);
        fixture.until("payment list --account acme", |found| count_of(&found["payments"]) == 1);
        let preview = fixture.until("invoice preview acme", |found| found["invoice"]["amountToPay"] == "30.01")["invoice"].clone();
        assert_eq!(
            fields(&preview, ["number", "state", "itemsTotal", "rounding", "total"]),
            ["", "INVOICE_STATE_DRAFT", "30.005", "0.005", "30.01"]
        );
        let text = fixture.run(&["invoice", "preview", "acme"]);
        assert!(text.starts_with("PREVIEW") && text.contains("As of the journal's entries"), "{text}");
        let form = |words: &[&str], form: &str| fixture.run(&[words, &["--form", form, "--file", "-"]].concat());
        let page = form(&["invoice", "preview", "acme"], "html");
        assert!(page.contains("Entwurf") && page.contains("30,01"), "{page}");
        assert_eq!(serde_json::from_str::<Value>(&form(&["invoice", "preview", "acme"], "json")).unwrap()["number"], Value::Null);
        assert!(form(&["invoice", "preview", "acme"], "csv").contains(",august,"));
        let summary = fixture.until("invoice preview prepaid", |found| count_of(&found["invoice"]["deducted"]) > 0);
        assert_eq!(fields(&summary["invoice"], ["kind"]), ["INVOICE_KIND_STATEMENT"]);

        let receipt = serde_json::from_str::<Value>(&form(&["payment", "receipt", "acme", "bank-1"], "json")).unwrap();
        assert_eq!(fields(&receipt, ["amount", "method", "reference", "unallocated"]), ["60.00", "sepa", "RF18 5390 0754 7034", "0.00"]);
        assert_eq!(fields(&receipt["pays"][0], ["invoice", "amount"]), [july.as_str(), "60.00"]);
        let page = form(&["payment", "receipt", "acme", "bank-1"], "html");
        assert!(
            page.contains("Zahlungsbeleg") && page.contains("3. August 2026") && page.contains(&july) && !page.contains("Entwurf"),
            "{page}"
        );
        let refused = fixture.operator.run("payment receipt acme bank-1 --form csv --file -");
        assert!(refused.error.contains("a receipt has none"), "{refused:?}");

        // July's invoice at the first instant of August; the payment on the fifth.
        let statement = fixture.operator.json("account statement acme --from 2026-08-01");
        assert_eq!(fields(&statement, ["opening", "closing", "openInvoices", "unallocated"]), ["0.00", "-40.00", "40.00", "0.00"]);
        let lines: Vec<_> = statement["lines"].as_array().unwrap().iter().map(|line| fields(line, ["kind", "amount", "balance"])).collect();
        assert_eq!(lines, [["STATEMENT_LINE_KIND_INVOICE", "-100.00", "-100.00"], ["STATEMENT_LINE_KIND_PAYMENT", "60.00", "-40.00"]]);
        let before = fixture.operator.json("account statement acme --to 2026-07-31");
        assert_eq!(fields(&before, ["opening", "closing"]), ["0.00", "0.00"]);
        let prepaid = fixture.operator.json("account statement prepaid");
        assert_eq!(
            fields(&prepaid["lines"][1], ["kind", "count", "amount", "balance"]),
            ["STATEMENT_LINE_KIND_CHARGES", "3", "-4.50", "15.50"]
        );
        let rows = form(&["account", "statement", "acme"], "csv");
        assert!(rows.lines().count() == 5 && rows.contains(",invoice,INV-000001,") && rows.contains("RF18 5390 0754 7034"), "{rows}");
        let page = form(&["account", "statement", "acme"], "html");
        assert!(page.contains("Kontoauszug") && page.contains(&july), "{page}");
        let table = fixture.run(&["account", "statement", "acme"]);
        assert!(table.lines().take_while(|line| !line.starts_with("Open")).all(|line| line.chars().count() <= 80), "{table}");
        for (words, name) in [
            (&["invoice", "preview", "acme"][..], "preview"),
            (&["payment", "receipt", "acme", "bank-1"], "receipt"),
            (&["account", "statement", "acme"], "statement"),
            (&["account", "statement", "prepaid"], "prepaid"),
        ] {
            // To be looked at.
            let folder = std::env::var_os("TOLLGATE_TEST_FORMS").map_or_else(|| fixture.folder.path().to_owned(), Into::into);
            for form in ["pdf", "html"] {
                let path = folder.join(format!("{name}.{form}"));
                fixture.run(&[words, &["--form", form, "--file", path.to_str().unwrap()]].concat());
                let written = std::fs::read(&path).unwrap();
                assert!(written.starts_with(if form == "pdf" { b"%PDF" } else { b"<!DO" }), "{name}");
            }
        }
        let wrong = fixture.operator.run("account statement acme --from 2026-08-02 --to 2026-08-01");
        assert!(wrong.error.contains("must not be before from_day"), "{wrong:?}");
    });
    assert!(fixture.service.stopped().await.success());
}
