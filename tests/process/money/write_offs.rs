//! A debt is given up once, and what was given up can be due again.

use tollgate::grpc::v1::{self, AdviceTopic, ChargeCategory, EntryKind, NonUsageBilling, PaymentMode};
use tonic_types::StatusExt;

use super::{debtor, operator, reason, stages};
use crate::command::Operator;
use crate::service::{Client, Service, debit, money, until};
use crate::support::temporary_folder;

fn write_off(request_id: &str, amount: Option<&str>) -> v1::WriteOffRequest {
    let (account_id, request_id) = ("acme".into(), request_id.into());
    v1::WriteOffRequest { account_id, request_id, amount: amount.and_then(money), operator: operator(), first_sent_at: None }
}

fn reversal(request_id: &str, write_off: &str, amount: Option<&str>) -> v1::ReverseWriteOffRequest {
    v1::ReverseWriteOffRequest {
        account_id: "acme".into(),
        request_id: request_id.into(),
        write_off_id: write_off.into(),
        amount: amount.and_then(money),
        operator: operator(),
        first_sent_at: None,
    }
}

#[tokio::test]
async fn of_eight_write_offs_at_once_one_gives_the_debt_up() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        debtor(&mut client, "100").await;
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..8 {
            let mut client = stage.service.client().await;
            waiting.spawn(async move { reason(&client.billing.write_off(write_off(&format!("w{number}"), Some("100"))).await) });
        }
        let mut reasons = waiting.join_all().await;
        reasons.sort();
        assert_eq!(client.credit("acme").await.balance, "0.00", "{}: {reasons:?}", stage.engine);
        assert_eq!(reasons[..7], ["EXCEEDS_AMOUNT_DUE"; 7], "{}", stage.engine);
        assert_eq!(reasons[7], "accepted", "{}", stage.engine);
    }
}

#[tokio::test]
async fn a_write_off_gives_up_what_is_due_and_not_more_and_says_what_is_due() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        debtor(&mut client, "8.67148").await;
        let refused = client.billing.write_off(write_off("w1", Some("8.68"))).await;
        assert_eq!(reason(&refused), "EXCEEDS_AMOUNT_DUE", "{}", stage.engine);
        let details = refused.unwrap_err().get_details_error_info().unwrap();
        assert_eq!(details.metadata["amount_due"], "8.67148 EUR", "{}", stage.engine);
        // A refusal leaves its id free.
        let given_up = client.billing.write_off(write_off("w1", Some("5"))).await.unwrap().into_inner();
        assert_eq!(given_up.credit.unwrap().balance, "-3.67148", "{}", stage.engine);
        assert_eq!(given_up.written_off, money("5.00").map(|money| v1::Money { currency_code: "EUR".into(), ..money }), "{}", stage.engine);
        // Without an amount, to the last decimal.
        let given_up = client.billing.write_off(write_off("w2", None)).await.unwrap().into_inner();
        assert_eq!(given_up.credit.unwrap().balance, "0.00", "{}", stage.engine);
        assert!(client.billing.write_off(write_off("w2", None)).await.unwrap().into_inner().replayed, "{}", stage.engine);
        assert_eq!(reason(&client.billing.write_off(write_off("w3", None)).await), "EXCEEDS_AMOUNT_DUE", "{}", stage.engine);
        let kinds: Vec<_> = client.journal("acme").await.iter().map(v1::Entry::kind).collect();
        assert_eq!(kinds[2..], [EntryKind::WrittenOff; 2], "{}: it is not a correction", stage.engine);
    }
}

#[tokio::test]
async fn of_a_write_off_no_more_is_taken_back_than_it_gave_up() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        debtor(&mut client, "10").await;
        client.billing.write_off(write_off("w1", Some("10"))).await.unwrap();
        let back = client.billing.reverse_write_off(reversal("b1", "w1", Some("4"))).await.unwrap().into_inner();
        assert_eq!((back.reversed.unwrap().amount.as_str(), back.credit.unwrap().balance.as_str()), ("4.00", "-4.00"), "{}", stage.engine);
        let refused = client.billing.reverse_write_off(reversal("b2", "w1", Some("6.01"))).await;
        assert_eq!(reason(&refused), "EXCEEDS_ORIGINAL", "{}", stage.engine);
        let back = client.billing.reverse_write_off(reversal("b3", "w1", None)).await.unwrap().into_inner();
        assert_eq!((back.reversed.unwrap().amount.as_str(), back.credit.unwrap().balance.as_str()), ("6.00", "-10.00"), "{}", stage.engine);
        assert_eq!(reason(&client.billing.reverse_write_off(reversal("b4", "w1", None)).await), "EXCEEDS_ORIGINAL", "{}", stage.engine);
        // Only a write-off is one.
        let refused = client.billing.reverse_write_off(reversal("b5", "debt", None)).await;
        assert_eq!(reason(&refused), "WRITE_OFF_NOT_FOUND", "{}", stage.engine);
    }
}

#[tokio::test]
async fn a_refund_says_how_much_of_the_customers_debts_was_written_off() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "100", "0").await;
    client.charging.debit(debit("acme", "d1", "30")).await.unwrap();
    let refund = |request_id: &str, amount: &str| {
        let (account_id, request_id, charge_id) = ("acme".into(), request_id.into(), "d1".into());
        v1::RefundRequest { account_id, request_id, charge_id, amount: money(amount), ..Default::default() }
    };
    let refunded = client.charging.refund(refund("r1", "10")).await.unwrap().into_inner();
    assert_eq!(refunded.advice, []);
    client.billing.write_off(write_off("w1", None)).await.unwrap();
    client.billing.reverse_write_off(reversal("b1", "w1", Some("5"))).await.unwrap();
    // As soon as the billing store has it.
    let advice = until("the write-off is known", || async {
        let refunded = client.clone().charging.refund(refund("r2", "1")).await.unwrap().into_inner();
        refunded.advice.into_iter().find(|advice| advice.topic() == AdviceTopic::WrittenOff && advice.text.starts_with("15.00 EUR "))
    })
    .await;
    assert!(advice.text.contains("Reverse the write-off first"), "{advice:?}");
    client.billing.reverse_write_off(reversal("b2", "w1", None)).await.unwrap();
    until("it is taken back", || async {
        client.clone().charging.refund(refund("r2", "1")).await.unwrap().into_inner().advice.is_empty().then_some(())
    })
    .await;
}

async fn open_amounts(client: &Client) -> Option<Vec<String>> {
    let request = v1::ListInvoicesRequest { account_id: "acme".into(), ..Default::default() };
    let found = client.clone().billing.list_invoices(request).await.ok()?.into_inner().invoices;
    Some(found.into_iter().map(|invoice| invoice.open_amount).collect())
}

#[tokio::test]
async fn a_write_off_settles_the_oldest_invoices_and_its_reversal_opens_them_again() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    let account = v1::CreateAccountRequest {
        account_id: "acme".into(),
        request_id: "create".into(),
        name: "Acme".into(),
        currency_code: "EUR".into(),
        mode: PaymentMode::Postpaid.into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: money("100"), temporary: None }),
        non_usage_billing: NonUsageBilling::OneByOne.into(),
        ..Default::default()
    };
    client.accounts.create_account(account).await.unwrap();
    let usage = Some(v1::Usage { item: "router".into(), category: ChargeCategory::Hardware.into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit("acme", "d1", "19.995") }).await.unwrap();
    until("the invoice is there", || async { (open_amounts(&client).await? == ["20.00"]).then_some(()) }).await;

    let operator = Operator::of(&service);
    let done = operator.json("payment write-off acme --reason insolvent --request-id w1");
    assert_eq!(done["writtenOff"]["amount"], "20.00");
    until("it is settled", || async { (open_amounts(&client).await? == ["0.00"]).then_some(()) }).await;
    let done = operator.json("payment reverse-write-off acme w1 --amount 5 --reason paid");
    assert_eq!(done["reversed"]["amount"], "5.00");
    until("a part of it is open again", || async { (open_amounts(&client).await? == ["5.00"]).then_some(()) }).await;
    // What the customer pays after all settles it.
    let payment = v1::RecordPaymentRequest { account_id: "acme".into(), request_id: "p1".into(), amount: money("5"), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
    until("it is paid", || async { (open_amounts(&client).await? == ["0.00"]).then_some(()) }).await;
    assert_eq!(client.credit("acme").await.balance, "0.00");
    assert!(service.stopped().await.success());
    let store = folder.path().join("ledger.db");
    let verified = Operator::nowhere().run_words(&["verify", "--store", store.to_str().unwrap()]);
    assert!(verified.status.success(), "{verified:?}");
}
