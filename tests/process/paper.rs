//! What is printed: who issues it, and with which tax.

mod items;
mod scripts;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::grpc::v1::{self, PaymentMode};

use crate::command::Operator;
use crate::service::{Client, PATIENCE, Service, binary, debit, money};
use crate::support::temporary_folder;

/// A service by a clock that stands, and who calls it.
struct Paper {
    folder: tempfile::TempDir,
    service: Service,
    operator: Operator,
}

impl Paper {
    fn at(time: &str) -> Self {
        Self::with(&[], time)
    }

    fn with(options: &[&str], time: &str) -> Self {
        let folder = temporary_folder();
        std::fs::write(folder.path().join("clock"), time).unwrap();
        let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
        let service = Service::start(&[&["--store", &store, "--test-clock", &clock], options].concat(), &[]);
        let operator = Operator::of(&service);
        Self { folder, service, operator }
    }

    fn go_to(&self, time: &str) {
        // In one step: the service reads it at any time.
        let next = self.folder.path().join("next");
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, self.folder.path().join("clock")).unwrap();
    }

    fn run(&self, words: &[&str]) {
        let ended = self.operator.run_words(words);
        assert!(ended.status.success(), "{words:?}: {ended:?}");
    }

    fn issuer(&self) {
        self.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
    }

    /// The coming document of an account, once its charges are in the billing store.
    fn preview(&self, account: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.operator.json(&format!("invoice preview {account}"));
            if !found["invoice"].is_null() {
                return found;
            }
            assert!(Instant::now() < deadline, "there is nothing to bill: {found:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The documents of a state, the oldest first, when there are so many.
    fn documents(&self, state: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.operator.list(&format!("invoice list --state {state}"));
            if found.len() == count {
                return found.iter().rev().cloned().collect();
            }
            assert!(Instant::now() < deadline, "not {count} documents {state}: {found:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

async fn charge(client: &mut Client, account: &str, request_id: &str, amount: &str, category: v1::ChargeCategory) {
    let usage = Some(v1::Usage { item: "x".into(), category: category.into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit(account, request_id, amount) }).await.unwrap();
}

/// "19 %: 8.40 + 1.60 = 10.00" of each rate: net, tax, gross.
fn taxes(document: &Value) -> Vec<String> {
    let line = |tax: &Value| {
        let text = |field: &str| tax[field].as_str().unwrap().to_owned();
        format!("{} %: {} + {} = {}", text("percent"), text("net"), text("tax"), text("gross"))
    };
    document["taxes"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_wait_for_an_issuer_and_a_rate_of_tax_and_say_so() {
    let paper = Paper::at("2026-07-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "100", "0").await;
    charge(&mut client, "acme", "c-1", "10", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.go_to("2026-08-02T09:00:00Z");
        let draft = &paper.documents("draft", 1)[0];
        assert_eq!(draft["waitsFor"], "no issuer is set: tollgate issuer set");
        let shown = paper.operator.run("issuer show");
        assert!(shown.output.contains("1 drafts are not issued yet: no issuer is set"), "{shown:?}");
        paper.issuer();
        let deadline = Instant::now() + PATIENCE;
        while paper.operator.json("issuer show")["waitsFor"] != "no tax rate of usage is set for 2026-07-31: tollgate tax set" {
            assert!(Instant::now() < deadline, "{}", paper.operator.json("issuer show"));
            std::thread::sleep(Duration::from_millis(20));
        }
        // One that begins later is no help.
        paper.run(&["tax", "set", "16", "--from", "2026-08-01"]);
        paper.run(&["tax", "set", "19", "--from", "2026-01-01"]);
        let issued = &paper.documents("issued", 1)[0];
        // 10 x 19 / 119 = 1.5966...
        assert_eq!(taxes(issued), ["19 %: 8.40 + 1.60 = 10.00"]);
        assert_eq!((&issued["issuer"]["name"], &issued["issuer"]["countryCode"]), (&"Nordlicht GmbH".into(), &"DE".into()));
        assert_eq!(paper.operator.json("issuer show").get("waitingDrafts"), None);
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_the_issuer_of_the_day_on_which_it_is_issued_and_keeps_it() {
    let paper = Paper::at("2026-07-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "july", "10", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--country", "DE", "--from", "2020-01-01"]);
        paper.run(&["issuer", "set", "--name", "Nordlicht AG", "--country", "AT", "--from", "2026-09-01"]);
        paper.go_to("2026-08-31T21:00:00Z");
        paper.documents("issued", 1);
    });
    charge(&mut client, "acme", "august", "20", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.go_to("2026-09-02T12:00:00Z");
        let issued = paper.documents("issued", 2);
        let of = |document: &Value| (document["issuer"]["name"].as_str().unwrap().to_owned(), document["issuer"]["countryCode"].clone());
        assert_eq!(of(&issued[0]), ("Nordlicht GmbH".to_owned(), "DE".into()));
        assert_eq!(of(&issued[1]), ("Nordlicht AG".to_owned(), "AT".into()));
        let page = paper.operator.run("invoice html INV-000001 --file -").output;
        assert!(page.contains("Nordlicht GmbH") && !page.contains("Nordlicht AG"), "{page}");
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_the_tax_of_the_period_that_it_covers() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    for account in ["both", "exempt", "reverse"] {
        client.open(account, PaymentMode::Postpaid, "1000", "0").await;
    }
    for account in ["both", "exempt", "reverse"] {
        charge(&mut client, account, "june", "10.005", v1::ChargeCategory::Usage).await;
    }
    charge(&mut client, "both", "router", "10.005", v1::ChargeCategory::Hardware).await;
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "exempt", "exempt", "--text", "Section 4 no. 11", "--from", "2026-01-01"]);
        paper.run(&["tax", "exempt", "reverse", "--text", "Article 196", "--reverse-charge", "--from", "2026-06-30"]);
        paper.go_to("2026-07-05T12:00:00Z");
        paper.run(&["tax", "set", "16", "--from", "2026-07-01"]);
        // June is closed, and waits for its rates; who is exempt needs none.
        paper.documents("issued", 2);
        paper.documents("draft", 1);
    });
    charge(&mut client, "both", "july", "10", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.run(&["tax", "set", "7", "--category", "hardware", "--from", "2020-01-01"]);
        paper.go_to("2026-08-05T12:00:00Z");
        let issued = paper.documents("issued", 4);
        let of = |account: &str| issued.iter().filter(|document| document["accountId"] == account).collect::<Vec<_>>();
        let [june, july] = of("both")[..] else { panic!("{issued:#?}") };
        // 20.01 = 10.01 + 10.00; 10.01 x 19 / 119 = 1.5982..., 10 x 7 / 107 = 0.6542..., 10 x 16 / 116 = 1.3793...
        assert_eq!(
            (&june["total"], taxes(june)),
            (&"20.01".into(), vec!["19 %: 8.41 + 1.60 = 10.01".into(), "7 %: 9.35 + 0.65 = 10.00".into()])
        );
        assert_eq!(taxes(july), ["16 %: 8.62 + 1.38 = 10.00"]);
        // 10.005 is 10.01 half-up.
        for (account, treatment, text) in
            [("exempt", "TAX_TREATMENT_EXEMPT", "Section 4 no. 11"), ("reverse", "TAX_TREATMENT_REVERSE_CHARGE", "Article 196")]
        {
            let document = of(account)[0];
            assert_eq!(taxes(document), ["0 %: 10.01 + 0.00 = 10.01"], "{account}");
            assert_eq!((&document["taxTreatment"], &document["taxTreatmentReason"]), (&treatment.into(), &text.into()));
            let number = document["number"].as_str().unwrap();
            let page = paper.operator.run(&format!("invoice html {number} --file -")).output;
            assert!(page.contains(text), "{page}");
        }
    });
    // What is refunded has the rates of its document, whatever holds by then; the other rate is left alone.
    let refund = v1::RefundRequest {
        account_id: "both".into(),
        request_id: "r-1".into(),
        charge_id: "router".into(),
        amount: money("4"),
        reason: "returned".into(),
        ..Default::default()
    };
    client.charging.refund(refund).await.unwrap();
    tokio::task::block_in_place(|| {
        let issued = paper.documents("issued", 5);
        let note = issued.iter().find(|document| document["kind"] == "INVOICE_KIND_CREDIT_NOTE").unwrap();
        // 10.00 had 0.65; of 6.00 it is 0.3925...
        assert_eq!(taxes(note), ["7 %: 3.74 + 0.26 = 4.00"]);
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_made_once_under_its_request_id_whoever_repeats_it() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    let request = |percent: &str, actor: &str| v1::SetTaxRateRequest {
        request_id: "law-1".into(),
        rate: Some(v1::TaxRate { valid_from: "2026-01-01".into(), percent: percent.into(), ..Default::default() }),
        operator: Some(v1::Operator { actor: actor.into(), reason: actor.into() }),
        ..Default::default()
    };
    assert!(!client.billing.set_tax_rate(request("19", "eve")).await.unwrap().into_inner().replayed);
    assert!(client.billing.set_tax_rate(request("19", "bob")).await.unwrap().into_inner().replayed);
    let reused = client.billing.set_tax_rate(request("7", "eve")).await.unwrap_err();
    assert!(reused.message().contains("used for something else"), "{reused:?}");
    let rates = client.billing.list_tax_rates(v1::ListTaxRatesRequest::default()).await.unwrap().into_inner().rates;
    assert_eq!(rates.iter().map(|rate| rate.percent.as_str()).collect::<Vec<_>>(), ["19"]);
    let wrong = client.billing.set_tax_rate(request("190", "eve")).await.unwrap_err();
    assert!(wrong.message().starts_with("rate.percent must be a percentage from 0 to 100"), "{wrong:?}");
    assert!(paper.service.stopped().await.success());
}

#[test]
fn a_start_that_sets_issuer_or_tax_names_the_command_to_use() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    let refused = |option: &[&str], variable: Option<&str>, command: &str| {
        for role in ["serve", "aggregate", "verify"] {
            let mut start = std::process::Command::new(binary());
            start.env_clear().args([role, "--store", &store]).args(option).envs(variable.map(|name| (name, "x")));
            let ended = start.output().unwrap();
            let error = String::from_utf8(ended.stderr).unwrap();
            assert!(ended.status.code() == Some(2) && error.contains(command), "{role} {option:?} {variable:?}: {error}");
        }
    };
    refused(&["--tax-rate", "19"], None, "tollgate tax set");
    refused(&[], Some("TOLLGATE_TAX_RATE"), "tollgate tax set");
    for name in ["NAME", "ADDRESS", "TAX_ID", "EMAIL"] {
        refused(&[], Some(&format!("TOLLGATE_ISSUER_{name}")), "tollgate issuer set");
        refused(&[&format!("--issuer-{}", name.to_lowercase().replace('_', "-")), "x"], None, "tollgate issuer set");
    }
    assert!(!Path::new(&store).exists());
}

fn refund(account: &str, request_id: &str, charge_id: &str, amount: &str) -> v1::RefundRequest {
    v1::RefundRequest {
        account_id: account.into(),
        request_id: request_id.into(),
        charge_id: charge_id.into(),
        amount: money(amount),
        reason: "returned".into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_note_is_about_its_refund_and_pays_its_own_invoice_first() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
    });
    charge(&mut client, "acme", "june", "40", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.go_to("2026-07-05T12:00:00Z");
        paper.documents("issued", 1);
    });
    charge(&mut client, "acme", "july", "60", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.go_to("2026-08-05T12:00:00Z");
        paper.documents("issued", 2);
    });
    client.charging.refund(refund("acme", "r-1", "july", "10")).await.unwrap();
    tokio::task::block_in_place(|| {
        let issued = paper.documents("issued", 3);
        let [june, july, note] = [0, 1, 2].map(|place| &issued[place]);
        assert_eq!((&june["openAmount"], &july["openAmount"]), (&"40.00".into(), &"50.00".into()));
        assert_eq!((&note["refersTo"], &note["periodFrom"]), (&july["number"], &note["periodTo"]));
        let number = note["number"].as_str().unwrap();
        let rows = paper.operator.run(&format!("invoice csv {number} --file -")).output;
        let rows: Vec<&str> = rows.lines().collect();
        assert!(
            rows.len() == 2 && rows[1].contains(",refund,") && rows[1].contains(",-10.00,") && rows[1].ends_with(",july,-10.00"),
            "{rows:?}"
        );
        let page = paper.operator.run(&format!("invoice html {number} --file -")).output;
        assert!(
            page.contains("<dt>Date of the refund</dt><dd><bdi>5 August 2026</bdi>") && !page.contains("nothing for you to do"),
            "{page}"
        );
        // Everywhere charges are positive, and refunds negative.
        let exported = paper.operator.run("export --format csv --for-spreadsheets").output;
        assert!(exported.lines().any(|row| row.contains(",refund,r-1,") && row.contains(",-10.00,")), "{exported}");
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_issued_only_if_it_has_something_to_say_and_covers_the_calendar_month() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("quiet", PaymentMode::Prepaid, "0", "20").await;
    client.open("busy", PaymentMode::Prepaid, "0", "20").await;
    client.open("other", PaymentMode::Prepaid, "0", "20").await;
    charge(&mut client, "other", "june", "1", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.go_to("2026-07-05T12:00:00Z");
        // Of all that were topped up in June one was charged.
        assert_eq!(paper.documents("issued", 1)[0]["accountId"], "other");
    });
    let usage = Some(v1::Usage { item: "voice".into(), description: "Calls to Germany".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit("busy", "c-1", "3") }).await.unwrap();
    client.charging.refund(refund("busy", "r-1", "c-1", "1")).await.unwrap();
    let adjust = v1::AdjustBalanceRequest {
        account_id: "busy".into(),
        request_id: "a-1".into(),
        amount: money("-0.5"),
        operator: Some(v1::Operator { actor: "eve".into(), reason: "A reminder's fee".into() }),
        ..Default::default()
    };
    client.accounts.adjust_balance(adjust).await.unwrap();
    let top_up = v1::TopUpRequest { account_id: "quiet".into(), request_id: "t-2".into(), amount: money("5"), ..Default::default() };
    client.accounts.top_up(top_up).await.unwrap();
    tokio::task::block_in_place(|| {
        paper.go_to("2026-08-05T12:00:00Z");
        let issued = paper.documents("issued", 2);
        let statement = &issued[1];
        assert_eq!((&statement["accountId"], &statement["periodFrom"]), (&"busy".into(), &"2026-07-01T00:00:00Z".into()));
        let shown = paper.operator.json(&format!("invoice show {}", statement["number"].as_str().unwrap()))["invoice"].clone();
        let lines: Vec<_> = shown["deducted"].as_array().unwrap().iter().map(|line| (&line["description"], &line["amount"])).collect();
        assert_eq!(lines, [(&"Calls to Germany".into(), &"3.00".into()), (&"Calls to Germany".into(), &"-1.00".into())]);
        assert_eq!((&shown["adjustments"][0]["amount"], &shown["adjustments"][0]["reason"]), (&"-0.50".into(), &"A reminder's fee".into()));
        // 3.00 were charged, and 1.00 was given back.
        assert_eq!(paper.operator.json("suggest-limit busy")["suggestedLimit"]["amount"], "2.00");
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_lists_what_is_open_and_speaks_of_no_limit_that_is_not_there() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "june", "70", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.go_to("2026-07-05T12:00:00Z");
        paper.documents("issued", 1);
        paper.run(&["account", "convert", "acme", "prepaid", "--limit", "100"]);
    });
    charge(&mut client, "acme", "july", "5", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.run(&["account", "limit", "acme", "--permanent", "0", "--reason", "asked"]);
        paper.go_to("2026-08-05T12:00:00Z");
        let statement = &paper.documents("issued", 2)[1];
        assert_eq!((&statement["kind"], &statement["amountToPay"]), (&"INVOICE_KIND_STATEMENT".into(), &"0.00".into()));
        let number = statement["number"].as_str().unwrap();
        let shown = &paper.operator.json(&format!("invoice show {number}"))["invoice"]["openInvoices"][0];
        assert_eq!((&shown["number"], &shown["openAmount"]), (&"INV-000001".into(), &"70.00".into()));
        let page = paper.operator.run(&format!("invoice html {number} --file -")).output;
        assert!(page.contains("INV-000001") && page.contains("70.00"), "{page}");
        assert!(page.contains("Earlier invoices are open, and to be paid") && !page.contains("credit limit"), "{page}");
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_keeps_the_language_that_the_customer_had_when_it_was_issued() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "june", "40", v1::ChargeCategory::Usage).await;
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.run(&["account", "details", "acme", "--language", "de"]);
        let refused = paper.operator.run("account details acme --language fr");
        assert!(refused.error.contains("must be empty, or one of en, de"), "{refused:?}");
        paper.go_to("2026-07-05T12:00:00Z");
        let number = paper.documents("issued", 1)[0]["number"].as_str().unwrap().to_owned();
        let page = || paper.operator.run(&format!("invoice html {number} --file -")).output;
        let german = page();
        assert!(
            german.contains("<html lang=\"de\">") && german.contains("Zu zahlender Betrag") && german.contains("EUR 40,00"),
            "{german}"
        );
        paper.run(&["account", "details", "acme", "--language", "en"]);
        assert_eq!(page(), german);
    });
    assert!(paper.service.stopped().await.success());
}
