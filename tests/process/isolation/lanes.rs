//! A3: nothing of unknown length runs on a lane. A2: a stream leaves room for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, InvoiceForm, PaymentMode};
use tonic::Code;

use super::metric;
use crate::command::Operator;
use crate::service::{Client, PATIENCE, Service, debit, money, until};
use crate::support::temporary_folder;

/// The most processor time that a lane may be held up by one piece of its work.
const LONGEST_POLL_SECONDS: f64 = 0.020;

/// How many lines the document has.
fn lines() -> usize {
    std::env::var_os("TOLLGATE_TEST_LINES").map_or(20_000, |count| count.to_str().unwrap().parse().unwrap())
}

/// Charges for as many different things as the document is to have lines.
async fn charge_for_many_things(client: &mut Client, account: &str, count: usize) {
    let command = move |number: usize, account: String| {
        let usage = v1::Usage { item: format!("item-{number}"), description: format!("Thing {number}"), ..Default::default() };
        let debit = v1::DebitRequest { usage: Some(usage), ..debit(&account, &format!("d{number}"), "0.01") };
        v1::ChargeCommand { command: Some(Command::Debit(debit)) }
    };
    let owner = account.to_owned();
    let batches = (0..count.div_ceil(20)).map(move |batch| v1::ChargeRequest {
        commands: (batch * 20..count.min(batch * 20 + 20)).map(|number| command(number, owner.clone())).collect(),
    });
    let mut answers = client.charging.charge(tokio_stream::iter(batches)).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        for outcome in answer.outcomes {
            let Some(v1::charge_outcome::Outcome::Debit(debit)) = outcome.outcome else { panic!("not charged: {outcome:?}") };
            let Some(v1::debit_response::Outcome::Charged(_)) = debit.outcome else { panic!("declined: {debit:?}") };
        }
    }
}

async fn convert(client: &mut Client, account: &str, request_id: &str, mode: PaymentMode) {
    let request = v1::ConvertRequest {
        account_id: account.into(),
        request_id: request_id.into(),
        mode: mode.into(),
        allow_unusable: true,
        ..Default::default()
    };
    client.charging.convert(request).await.unwrap();
}

#[tokio::test]
async fn no_request_holds_up_a_lane_and_charging_goes_on_beside_all_of_them() {
    let mut longest = longest_poll_beside_nasty_requests().await;
    if longest > LONGEST_POLL_SECONDS {
        // What is of unknown length takes long each time; what a neighbour on the same core has slowed down does not.
        longest = longest.min(longest_poll_beside_nasty_requests().await);
    }
    assert!(longest <= LONGEST_POLL_SECONDS, "a lane was held up for {longest} s");
}

/// Seconds of processor time.
async fn longest_poll_beside_nasty_requests() -> f64 {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--lanes", "1"], &[]);
    // Documents wait for them; an earlier binary knows no such commands.
    let operator = Operator::of(&service);
    operator.run_words(&["issuer", "set", "--name", "Tollgate Telecom", "--address", "Street 1", "--city", "Berlin", "--country", "DE"]);
    operator.run_words(&["tax", "set", "19", "--from", "2020-01-01"]);
    let mut client = service.client().await;
    client.open("large", PaymentMode::Postpaid, "1000000", "0").await;
    client.open("other", PaymentMode::Prepaid, "0", "100000").await;
    charge_for_many_things(&mut client, "large", lines()).await;
    convert(&mut client, "large", "c1", PaymentMode::Prepaid).await;
    let number = until("the large document", async || {
        let request = v1::ListInvoicesRequest { account_id: "large".into(), ..Default::default() };
        let invoices = service.client().await.billing.list_invoices(request).await.unwrap().into_inner().invoices;
        invoices.first().map(|invoice| invoice.number.clone()).filter(|number| !number.is_empty())
    })
    .await;

    let (is_over, charged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let others = {
        let (is_over, charged, mut client) = (Arc::clone(&is_over), Arc::clone(&charged), service.client().await);
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let number = charged.fetch_add(1, Ordering::Relaxed);
                client.charging.debit(debit("other", &format!("d{number}"), "1")).await.unwrap();
                // As fast as it goes, charging leaves two cores nothing to write a document with.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    for form in [InvoiceForm::Pdf, InvoiceForm::Html, InvoiceForm::Csv, InvoiceForm::Json] {
        let charged_before = charged.load(Ordering::Relaxed);
        let request = v1::GetInvoiceFileRequest { number: number.clone(), form: form.into(), ..Default::default() };
        let mut file = timeout(20 * PATIENCE, client.billing.get_invoice_file(request)).await.unwrap().unwrap().into_inner();
        let charged_meanwhile = charged.load(Ordering::Relaxed) - charged_before;
        while file.message().await.unwrap().is_some() {}
        if form == InvoiceForm::Pdf {
            assert!(charged_meanwhile >= 10, "while a PDF of {} lines was written, {charged_meanwhile} debits were answered", lines());
        }
    }
    // What a client takes is limited to 4 MiB by itself.
    let mut billing = client.billing.clone().max_decoding_message_size(1 << 30);
    billing.get_invoice(v1::GetInvoiceRequest { number: number.clone(), ..Default::default() }).await.unwrap();
    let request = v1::ListInvoicesRequest { page_size: 1000, ..Default::default() };
    billing.list_invoices(request).await.unwrap();
    client.journal("large").await;
    client.accounts.list_accounts(v1::ListAccountsRequest { page_size: 1000, ..Default::default() }).await.unwrap();
    let request = v1::ExportUsageRequest { account_id: "large".into(), ..Default::default() };
    let mut export = billing.export_usage(request).await.unwrap().into_inner();
    while export.message().await.unwrap().is_some() {}
    let (account_id, request_id, charge_id) = ("large".into(), "r1".into(), "never-was".into());
    let refund = v1::RefundRequest { account_id, request_id, charge_id, amount: money("1"), ..Default::default() };
    assert_eq!(client.charging.refund(refund).await.unwrap_err().code(), Code::NotFound);
    let request = v1::RecordPaymentRequest {
        account_id: "large".into(),
        request_id: "p1".into(),
        amount: money("0.01"),
        invoice_numbers: vec![number.clone()],
        ..Default::default()
    };
    billing.record_payment(request).await.unwrap();
    convert(&mut client, "large", "c2", PaymentMode::Postpaid).await;
    convert(&mut client, "large", "c3", PaymentMode::Prepaid).await;

    is_over.store(true, Ordering::Relaxed);
    others.await.unwrap();
    metric(&service, "tollgate_lane_longest_poll_seconds").await.expect("the longest poll is not measured")
}

/// Batches of looks at an account, as fast as the service takes them.
fn flood(account: &str) -> impl Iterator<Item = v1::ChargeRequest> + use<> {
    let request = v1::GetUsableCreditRequest { account_id: account.to_owned() };
    let command = v1::ChargeCommand { command: Some(Command::GetUsableCredit(request)) };
    std::iter::repeat_n(v1::ChargeRequest { commands: vec![command; 512] }, 60)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beside_three_full_streams_another_customer_is_served_and_never_refused() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--lanes", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100000").await;
    client.open("other", PaymentMode::Prepaid, "0", "100000").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let streams: Vec<_> = (0..3)
        .map(|_| {
            let address = service.address;
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut answers = client.charging.charge(tokio_stream::iter(flood("acme"))).await.unwrap().into_inner();
                let mut batches = 0;
                while let Some(answer) = answers.message().await.unwrap() {
                    batches += 1;
                    for outcome in answer.outcomes {
                        let v1::charge_outcome::Outcome::GetUsableCredit(_) = outcome.outcome.unwrap() else {
                            panic!("a stream was refused")
                        };
                    }
                }
                batches
            })
        })
        .collect();
    let others = {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let mut served = 0;
            while !is_over.load(Ordering::Relaxed) {
                client.charging.debit(debit("other", &format!("d{served}"), "1")).await.unwrap();
                served += 1;
            }
            served
        })
    };
    let mut batches = 0;
    for stream in streams {
        batches += stream.await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    let served = others.await.unwrap();
    // Served in turn, it is in every second step of at most 128 commands at worst, whatever the streams have waiting.
    assert_eq!(batches, 180);
    assert!(served >= 30, "beside {batches} batches of 512, {served} calls of another customer were served");
}
