//! The ledger has lost its last entries, and operators had done something with credits before and since.

use serde_json::Value;
use tollgate::grpc::v1::{PaymentMode, RecordPaymentRequest};

use super::{Place, charge};
use crate::command::Operator;
use crate::identity::until_billed;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, money, until};

async fn pay(client: &mut Client, account: &str, request_id: &str, amount: &str) {
    let (account_id, request_id) = (account.to_owned(), request_id.to_owned());
    let payment = RecordPaymentRequest { account_id, request_id, amount: money(amount), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
}

fn run(service: &Service, line: &str) -> Value {
    tokio::task::block_in_place(|| Operator::of(service).json(line))
}

/// Allocated, reversed, not allocated, and what of that is set aside.
fn payment(service: &Service, account: &str, id: &str) -> [String; 4] {
    let shown = run(service, &format!("payment show {account} {id}"));
    ["allocated", "reversed", "unallocated", "setAside"].map(|field| shown["payment"][field].as_str().unwrap_or_default().to_owned())
}

fn open(service: &Service, number: &str) -> String {
    run(service, &format!("invoice show {number}"))["invoice"]["openAmount"].as_str().unwrap().to_owned()
}

fn issuer(service: &Service) {
    tokio::task::block_in_place(|| {
        let operator = Operator::of(service);
        operator.run_words(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
        operator.run("tax set 19 --from 2026-01-01");
    });
}

async fn invoices(service: &Service, count: usize) {
    until("the documents are issued", async || {
        let found = run(service, "invoice list --state issued");
        (found["invoices"].as_array().is_some_and(|found| found.len() == count)).then_some(())
    })
    .await;
}

async fn what_was_set_aside_is_so_again(place: &Place) {
    place.go_to("2026-03-10T12:00:00Z");
    let service = place.serve();
    issuer(&service);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    client.open("beta", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "march", 20).await;
    charge(&mut client, "beta", "march", 10).await;
    place.go_to("2026-04-02T12:00:00Z");
    invoices(&service, 2).await;
    let number = |account: &str| {
        let found = run(&service, &format!("invoice list --account {account}"));
        found["invoices"][0]["number"].as_str().unwrap().to_owned()
    };
    let [acme, beta] = ["acme", "beta"].map(number);
    // 18.00 of the 30.00 are paid, and 8.00 of it taken off; of beta's 15.00, more than all, so that what is free pays for what was taken off.
    pay(&mut client, "acme", "bank-1", "18").await;
    pay(&mut client, "beta", "bank-2", "24").await;
    until_billed(&service).await;
    run(&service, &format!("payment unallocate acme bank-1 {acme} --amount 8 --reason misread"));
    run(&service, &format!("payment unallocate beta bank-2 {beta} --amount 6 --reason misread"));
    assert_eq!(payment(&service, "acme", "bank-1"), ["10.00", "0.00", "8.00", "8.00"]);
    assert_eq!(payment(&service, "beta", "bank-2"), ["15.00", "0.00", "9.00", "6.00"]);
    drop(client);
    assert!(service.stopped().await.success());
    place.copy("ledger.db", "before.db");

    // What the ledger loses: a reversal and a withdrawal, which take of what is set aside, and a payment; and what operators do with them.
    let service = place.serve();
    let mut client = service.client().await;
    run(&service, "payment reverse acme bank-1 --amount 15 --reason bounced --request-id reversed");
    run(&service, "account withdraw beta 7 --reason asked --request-id paid-out");
    pay(&mut client, "acme", "bank-3", "9").await;
    until_billed(&service).await;
    assert_eq!(payment(&service, "acme", "bank-1"), ["3.00", "15.00", "0.00", "0.00"]);
    assert_eq!(payment(&service, "beta", "bank-2"), ["15.00", "0.00", "9.00", "2.00"]);
    assert_eq!(open(&service, &acme), "18.00");
    let taken_off = format!("payment unallocate acme bank-1 {acme} --amount 2 --reason misread --request-id taken-off");
    assert_eq!(run(&service, &taken_off)["replayed"], Value::Null);
    run(&service, &format!("payment unallocate acme bank-3 {acme} --amount 4 --reason misread"));
    assert_eq!(payment(&service, "acme", "bank-3"), ["5.00", "0.00", "4.00", "4.00"]);
    drop(client);
    assert!(service.stopped().await.success());
    place.verify();
    place.copy("before.db", "ledger.db");

    let looked = place.run(&["reconcile"]);
    assert_eq!(looked.status.code(), Some(1), "{looked:?}");
    let accepted = place.run(&["reconcile", "--accept-loss", "--actor", "eve", "--reason", "a file of yesterday"]);
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(accepted.output.contains("3 entries were taken out"), "{accepted:?}");
    assert!(accepted.output.contains("2 acts of operators are undone"), "{accepted:?}");
    assert!(place.verify().contains("all agree"));

    let service = place.serve();
    assert_eq!(payment(&service, "acme", "bank-1"), ["10.00", "0.00", "8.00", "8.00"]);
    assert_eq!(payment(&service, "beta", "bank-2"), ["15.00", "0.00", "9.00", "6.00"]);
    assert_eq!([open(&service, &acme), open(&service, &beta)], ["20.00", "0.00"]);
    // What was undone can be asked for again under its name, and is done again.
    assert_eq!(run(&service, &taken_off)["replayed"], Value::Null);
    assert_eq!(run(&service, &taken_off)["replayed"], true);
    assert_eq!(payment(&service, "acme", "bank-1"), ["8.00", "0.00", "10.00", "10.00"]);
    run(&service, "payment reverse acme bank-1 --amount 15 --reason bounced --request-id reversed");
    until_billed(&service).await;
    assert_eq!(payment(&service, "acme", "bank-1"), ["3.00", "15.00", "0.00", "0.00"]);
    assert!(service.stopped().await.success());
    assert!(place.verify().contains("all agree"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_of_a_payment_is_so_again_when_the_ledger_has_lost_its_reversal() {
    what_was_set_aside_is_so_again(&Place::new(None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_of_a_payment_is_so_again_when_the_ledger_has_lost_its_reversal_on_postgresql() {
    let postgres = PostgresServer::shared();
    let mut place = Place::new(None);
    *place.store.last_mut().unwrap() = postgres.database();
    what_was_set_aside_is_so_again(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_aside_stays_so_though_nobody_knows_of_the_reversal_within_a_gap_and_an_operator_frees_it() {
    let place = Place::new(None);
    place.go_to("2026-03-10T12:00:00Z");
    let service = place.serve();
    issuer(&service);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "acme", "march", 20).await;
    place.go_to("2026-04-02T12:00:00Z");
    invoices(&service, 1).await;
    pay(&mut client, "acme", "bank-1", "18").await;
    until_billed(&service).await;
    run(&service, "payment unallocate acme bank-1 INV-000001 --amount 8 --reason misread");
    drop(client);
    let service = place.trim(service).await;
    assert!(service.stopped().await.success());
    place.copy("billing.db", "backup.db");

    let service = place.serve();
    run(&service, "payment reverse acme bank-1 --amount 15 --reason bounced");
    let mut client = service.client().await;
    charge(&mut client, "acme", "april", 20).await;
    drop(client);
    let service = place.trim(service).await;
    assert!(service.stopped().await.success());
    place.copy("backup.db", "billing.db");
    let accepted = place.run(&["reconcile", "--accept-gap", "--actor", "eve", "--reason", "restored from a backup"]);
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(place.verify().contains("all agree"));

    // 15.00 less are in the ledger, and nobody knows why: they are owed, and on no document; what is set aside is not taken for them.
    let service = place.serve();
    until_billed(&service).await;
    let owed = || {
        let owed = &run(&service, "receivables acme")["receivables"][0];
        ["current", "notInvoiced", "unallocated", "total"].map(|field| owed[field].as_str().unwrap().to_owned())
    };
    assert_eq!(owed(), ["20.00", "15.00", "8.00", "27.00"]);
    assert_eq!(payment(&service, "acme", "bank-1"), ["10.00", "0.00", "8.00", "8.00"]);
    run(&service, "payment allocate acme bank-1 --reason freed");
    assert_eq!(owed(), ["12.00", "15.00", "0.00", "27.00"]);
    assert!(service.stopped().await.success());
    assert!(place.verify().contains("all agree"));
}
