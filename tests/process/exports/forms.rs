//! What `tollgate export` writes, read back by others.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::Request;

use crate::command::Operator;
use crate::service::{Client, Service, binary, debit, money, until};
use crate::support::temporary_folder;

pub(super) async fn all_is_aggregated(client: &Client) {
    until("all is aggregated", async || {
        let mut billing = client.billing.clone();
        let answer = billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner();
        let is_there =
            |partition: &v1::PartitionAggregation| partition.lag_entries == 0 && partition.state() == v1::AggregationState::Running;
        (!answer.partitions.is_empty() && answer.partitions.iter().all(is_there)).then_some(())
    })
    .await;
}

/// A file as pyarrow reads it.
fn by_pyarrow(file: &Path) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/.venv/bin/python")).arg(root.join("tests/python/parquet.py")).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn exported(service: &Service, words: &[&str]) -> Vec<u8> {
    let mut command = Command::new(binary());
    let server = format!("http://{}", service.address);
    let output = command.arg("export").args(words).env_clear().env("TOLLGATE_SERVER", server).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_says_what_the_other_forms_say_and_its_amounts_are_exact() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    client.open("beta", PaymentMode::Postpaid, "1000", "0").await;
    let usage = v1::Usage {
        item: "voice".into(),
        description: "Anruf nach Österreich, \"mobil\"".into(),
        quantity: "2.5".into(),
        unit: "minute".into(),
        category: v1::ChargeCategory::Usage.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 }),
        attributes: [("cell".to_owned(), "262-01".to_owned())].into(),
    };
    for number in 0..40 {
        let usage = (number % 2 == 0).then(|| usage.clone());
        let account = if number % 3 == 0 { "beta" } else { "acme" };
        client.charging.debit(v1::DebitRequest { usage, ..debit(account, &format!("d{number}"), "0.000001") }).await.unwrap();
    }
    let (account_id, request_id, charge_id) = ("acme".into(), "back".into(), "d1".into());
    client
        .charging
        .refund(v1::RefundRequest { account_id, request_id, charge_id, amount: money("0.000001"), ..Default::default() })
        .await
        .unwrap();
    all_is_aggregated(&client).await;

    tokio::task::block_in_place(|| {
        let lines = exported(&service, &[]);
        let expected: Vec<Value> =
            lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
        assert_eq!(expected.len(), 41);
        let file = folder.path().join("usage.parquet");
        std::fs::write(&file, exported(&service, &["--format", "parquet"])).unwrap();
        let read = by_pyarrow(&file);
        let schema = &read["schema"];
        assert_eq!(
            (&schema["amount"], &schema["accepted_at"], &schema["occurred_at"], &schema["bill_number"]),
            (&json!("decimal128(38, 6)"), &json!("timestamp[ms, tz=UTC]"), &json!("timestamp[ms, tz=UTC]"), &json!("int32"))
        );
        let rows = read["rows"].as_array().unwrap();
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(&expected) {
            for (name, value) in expected.as_object().unwrap() {
                let wanted = match (name.as_str(), value) {
                    // The one is a number, the other a text.
                    ("amount" | "credited", Value::String(_)) => continue,
                    ("attributes", Value::Object(pairs)) if !pairs.is_empty() => json!(value.to_string()),
                    ("attributes", _) => Value::Null,
                    ("category" | "item" | "description" | "quantity" | "unit" | "refers_to", Value::String(text)) if text.is_empty() => {
                        Value::Null
                    }
                    ("accepted_at" | "occurred_at", Value::String(text)) => {
                        let (read, wanted) = (row[name].as_str().unwrap(), text.as_str());
                        assert_eq!(read.parse::<jiff::Timestamp>().unwrap(), wanted.parse().unwrap());
                        continue;
                    }
                    _ => value.clone(),
                };
                assert_eq!(row[name], wanted, "{name} of {row}");
            }
        }
        let sum = |of: &str| rows.iter().filter(|row| row["type"] == of).map(|row| row["amount"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((sum("charge"), sum("refund")), (vec!["0.000001"; 40], vec!["-0.000001"]));
        // Also of nothing there is a file.
        std::fs::write(&file, exported(&service, &["--format", "parquet", "--to", "2001-01-01T00:00:00Z"])).unwrap();
        assert_eq!(by_pyarrow(&file)["rows"], json!([]));
        let refused = Operator::of(&service).run("export --format parquet --cloudevents");
        assert_eq!(refused.status.code(), Some(2));
    });
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_records_come_in_messages_that_any_client_takes() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000000", "0").await;
    let long = |characters: usize| "\u{10348}".repeat(characters);
    let usage = v1::Usage {
        item: "i".repeat(64),
        description: long(256),
        quantity: "1".repeat(32),
        unit: "u".repeat(32),
        category: v1::ChargeCategory::Usage.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        attributes: (0..16).map(|number| (format!("k{number}"), long(256))).collect(),
    };
    // 400 records of 17 kB are 7 MB.
    for batch in 0..20 {
        let command = |number: usize| {
            let debit = v1::DebitRequest { usage: Some(usage.clone()), ..debit("acme", &format!("d{batch}-{number}"), "0.01") };
            v1::ChargeCommand { command: Some(v1::charge_command::Command::Debit(debit)) }
        };
        let request = v1::ChargeRequest { commands: (0..20).map(command).collect() };
        let mut answers = client.charging.charge(Request::new(tokio_stream::iter([request]))).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
    }
    all_is_aggregated(&client).await;
    // A client takes 4 MiB, unless it is told otherwise.
    let mut records = 0;
    let mut export = client.billing.export_usage(v1::ExportUsageRequest::default()).await.unwrap().into_inner();
    while let Some(message) = export.message().await.unwrap() {
        records += message.records.len();
    }
    assert_eq!(records, 400);
    // The same of an account's entries, though it asks for as many as it may.
    let mut request = v1::ListEntriesRequest { account_id: "acme".into(), page_size: 1000, ..Default::default() };
    let mut entries = 0;
    loop {
        let page = client.accounts.list_entries(request.clone()).await.unwrap().into_inner();
        entries += page.entries.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(entries, 401);
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_lists_come_in_answers_that_any_client_takes_whatever_page_they_ask_for() {
    let folder = temporary_folder();
    std::fs::write(folder.path().join("clock"), "2026-10-20T12:00:00Z").unwrap();
    let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
    let service = Service::start(&["--store", &store, "--test-clock", &clock], &[]);
    tokio::task::block_in_place(|| {
        let operator = Operator::of(&service);
        let lines = ["f".repeat(200), "g".repeat(200)];
        let issuer =
            ["issuer", "set", "--name", "Nordlicht", "--city", "Hamburg", "--country", "DE", "--footer", &lines[0], "--footer", &lines[1]];
        assert!(operator.run_words(&issuer).status.success());
        assert!(operator.run("tax set 19 --from 2020-01-01").status.success());
    });
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000000", "0").await;
    let long = |characters: usize| "\u{10348}".repeat(characters);
    // 2,400 lines of 1.2 kB; 1,200 payments of 4.6 kB.
    let operator = Some(v1::Operator { actor: long(128), reason: long(512) });
    let details = Some(v1::PaymentDetails { reference: long(140), remark: long(200), method: "m".repeat(32), ..Default::default() });
    for batch in 0..60 {
        let charges = (0..40).map(|number| {
            let item = format!("{batch:0>32}-{number:0>31}");
            let usage =
                Some(v1::Usage { item, description: long(256), unit: "u".repeat(32), quantity: "1".repeat(32), ..Default::default() });
            v1::ChargeCommand {
                command: Some(v1::charge_command::Command::Debit(v1::DebitRequest {
                    usage,
                    ..debit("acme", &format!("d{batch}-{number}"), "0.01")
                })),
            }
        });
        let request = v1::ChargeRequest { commands: charges.collect() };
        let mut answers = client.charging.charge(Request::new(tokio_stream::iter([request]))).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
        let mut payments = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (account_id, request_id) = ("acme".into(), format!("p{batch}-{number:0>120}"));
            let (details, operator) = (details.clone(), operator.clone());
            let top_up = v1::TopUpRequest { account_id, request_id, amount: money("0.01"), details, operator, ..Default::default() };
            let mut client = client.clone();
            payments.spawn(async move { client.accounts.top_up(top_up).await.unwrap() });
        }
        payments.join_all().await;
    }
    std::fs::write(folder.path().join("next"), "2026-11-02T12:00:00Z").unwrap();
    std::fs::rename(folder.path().join("next"), folder.path().join("clock")).unwrap();
    let number = until("the month is billed", async || {
        let found = client.clone().billing.list_invoices(v1::ListInvoicesRequest::default()).await.ok()?.into_inner().invoices;
        found.first().map(|found| found.number.clone()).filter(|number| !number.is_empty())
    })
    .await;
    let (mut lines, mut request) = (0, v1::GetInvoiceRequest { number, page_size: 1000, ..Default::default() });
    loop {
        let page = client.billing.get_invoice(request.clone()).await.unwrap().into_inner();
        lines += page.invoice.unwrap().items.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let (mut payments, mut request) = (BTreeSet::new(), v1::ListPaymentsRequest { page_size: 1000, ..Default::default() });
    loop {
        let page = client.billing.list_payments(request.clone()).await.unwrap().into_inner();
        assert!(page.payments.len() < 1_000, "a thousand of them are more than a client takes");
        payments.extend(page.payments.into_iter().map(|payment| payment.payment_id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!((lines, payments.len()), (2_400, 1_200));
    let address = format!("http://{}", service.address);
    let mut audit = v1::audit_service_client::AuditServiceClient::connect(address).await.unwrap();
    let (mut records, mut request) = (0, v1::ListAuditRecordsRequest { page_size: 1000, ..Default::default() });
    loop {
        let page = audit.list_audit_records(request.clone()).await.unwrap().into_inner();
        records += page.records.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert!(records >= 1_200, "{records}");
    assert!(service.stopped().await.success());
}
