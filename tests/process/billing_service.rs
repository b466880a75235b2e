//! BillingService, and the commands that call it: the real binary over real gRPC, on SQLite beside the embedded engine, and on PostgreSQL
//! beside Redis.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};
use serde_json::Value;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Waits until the billing store has all that the ledger has journaled.
async fn all_is_aggregated(client: &Client) {
    until("all is aggregated", || {
        let mut client = client.clone();
        async move {
            let answer = client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner();
            let is_level =
                |partition: &v1::PartitionAggregation| partition.lag_entries == 0 && partition.state() == v1::AggregationState::Running;
            (!answer.partitions.is_empty() && answer.partitions.iter().all(is_level)).then_some(())
        }
    })
    .await;
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn after(error: &str) -> String {
    error.lines().last().unwrap().strip_prefix("--after ").unwrap().to_owned()
}

async fn usage_goes_out_with_its_ids(service: Service) {
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    client.open("beta", PaymentMode::Postpaid, "1000", "0").await;
    let usage = |item: &str| Some(v1::Usage { item: item.into(), quantity: "3".into(), unit: "message".into(), ..Default::default() });
    let charge = |account: &str, id: &str, amount: &str| v1::DebitRequest { usage: usage("sms"), ..debit(account, id, amount) };
    for request in [charge("acme", "a-1", "1.5"), charge("beta", "b-1", "2"), charge("acme", "a-2", "0.000001")] {
        client.charging.debit(request).await.unwrap();
    }
    let refund = v1::RefundRequest {
        account_id: "acme".into(),
        request_id: "back".into(),
        charge_id: "a-1".into(),
        amount: money("0.5"),
        ..Default::default()
    };
    client.charging.refund(refund).await.unwrap();
    all_is_aggregated(&client).await;

    let operator = Operator::of(&service);
    let place = on_a_thread(move || {
        let ended = operator.run("export");
        assert!(ended.status.success(), "{ended:?}");
        let records = lines(&ended.output);
        let of = |name: &str| records.iter().map(|record| record[name].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(of("record_id").len(), 4);
        assert_eq!(of("request_id"), ["a-1", "a-2", "b-1", "back"].map(str::to_owned).into());
        let back = records.iter().find(|record| record["request_id"] == "back").unwrap();
        assert_eq!(
            (back["type"].as_str(), back["amount"].as_str(), back["refers_to"].as_str()),
            (Some("refund"), Some("-0.50"), Some("a-1"))
        );
        let small = records.iter().find(|record| record["request_id"] == "a-2").unwrap();
        assert_eq!(
            (small["amount"].as_str(), small["item"].as_str(), small["quantity"].as_str()),
            (Some("0.000001"), Some("sms"), Some("3"))
        );

        // Of one account, as CloudEvents: id and source tell each from all others.
        let events = lines(&operator.run("export --account beta --cloudevents --source /billing/eu").output);
        assert_eq!(events.len(), 1);
        assert_eq!((events[0]["specversion"].as_str(), events[0]["type"].as_str()), (Some("1.0"), Some("tollgate.usage.charge")));
        assert_eq!((events[0]["subject"].as_str(), events[0]["source"].as_str()), (Some("beta"), Some("/billing/eu")));
        assert_eq!(events[0]["id"], events[0]["data"]["record_id"]);

        let table = operator.run("export --format csv");
        let mut rows = csv::Reader::from_reader(table.output.as_bytes());
        assert_eq!(rows.headers().unwrap().get(0), Some("record_id"));
        assert_eq!(rows.records().map(Result::unwrap).count(), 4);
        assert!(operator.run("export --to 2001-01-01T00:00:00Z").output.is_empty());
        assert_eq!(lines(&operator.run("export --from 2001-01-01T00:00:00Z").output).len(), 4);
        assert_eq!(operator.run("export --format csv --cloudevents").status.code(), Some(2));
        assert_eq!(operator.run("export --after 0123").status.code(), Some(1));
        after(&ended.error)
    })
    .await;

    // What came later, and nothing else, follows the place where the export ended.
    client.charging.debit(charge("acme", "a-3", "1")).await.unwrap();
    client.charging.debit(charge("beta", "b-2", "1")).await.unwrap();
    all_is_aggregated(&client).await;
    let operator = Operator::of(&service);
    let later = on_a_thread(move || operator.run(&format!("export --account acme --after {place}"))).await;
    let later = lines(&later.output);
    // Partitions are exported one after the other: a record of an earlier one is not seen by whoever went past it.
    assert!(later.iter().all(|record| record["request_id"] == "a-3"), "{later:?}");
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn usage_goes_out_with_its_ids_from_sqlite() {
    let folder = temporary_folder();
    usage_goes_out_with_its_ids(Service::embedded(folder.path())).await;
}

#[tokio::test]
async fn usage_goes_out_with_its_ids_from_postgresql() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let database = postgres.database();
    usage_goes_out_with_its_ids(Service::start(&["--redis", &redis.url(), "--aggregate", "--billing", &database], &[])).await;
}

#[tokio::test]
async fn a_payment_is_recorded_once_and_can_be_taken_back() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    let payment =
        v1::RecordPaymentRequest { account_id: "acme".into(), request_id: "bank-1".into(), amount: money("424"), ..Default::default() };
    let first = client.billing.record_payment(payment.clone()).await.unwrap().into_inner();
    assert_eq!((first.credit.as_ref().unwrap().usable.as_str(), first.replayed), ("1424.00", false));
    assert!(first.allocations.is_empty());
    let again = client.billing.record_payment(payment.clone()).await.unwrap().into_inner();
    assert_eq!((again.credit.unwrap().usable.as_str(), again.replayed), ("1424.00", true));
    all_is_aggregated(&client).await;
    let other = v1::RecordPaymentRequest { amount: money("425"), ..payment.clone() };
    assert_eq!(reason(&client.billing.record_payment(other).await.unwrap_err()), "REQUEST_ID_REUSED");
    let named = v1::RecordPaymentRequest { request_id: "bank-2".into(), invoice_numbers: vec!["INV-999999".into()], ..payment.clone() };
    let unknown = client.billing.record_payment(named).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "INVOICE_NOT_FOUND"));

    let operator = Some(v1::Operator { actor: "eve".into(), reason: "bounced".into() });
    let reverse = v1::ReversePaymentRequest {
        account_id: "acme".into(),
        request_id: "bounce".into(),
        payment_id: "bank-1".into(),
        amount: None,
        operator: operator.clone(),
        first_sent_at: None,
    };
    let reversed = client.accounts.reverse_payment(reverse).await.unwrap().into_inner();
    assert_eq!((reversed.reversed.unwrap().amount.as_str(), reversed.credit.unwrap().usable.as_str()), ("424.00", "1000.00"));

    // Nothing is due, so nothing can be given up.
    let write_off = |id: &str, amount: &str| v1::WriteOffRequest {
        account_id: "acme".into(),
        request_id: id.into(),
        amount: money(amount),
        operator: operator.clone(),
        first_sent_at: None,
    };
    let refused = client.billing.write_off(write_off("w-1", "1")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "EXCEEDS_AMOUNT_DUE"));
    let owe = v1::AdjustBalanceRequest {
        account_id: "acme".into(),
        request_id: "owe".into(),
        amount: money("-10"),
        operator: operator.clone(),
        first_sent_at: None,
    };
    client.accounts.adjust_balance(owe).await.unwrap();
    let given_up = client.billing.write_off(write_off("w-2", "10")).await.unwrap().into_inner();
    assert_eq!(given_up.credit.unwrap().amount_due, "0.00");
    // Though nothing is due any more, the repetition is told what the first was.
    assert!(client.billing.write_off(write_off("w-2", "10")).await.unwrap().into_inner().replayed);
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn many_accounts_are_converted_and_repeating_changes_nothing() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    for number in 0..25 {
        client.open(&format!("c-{number:02}"), PaymentMode::Prepaid, "0", "7").await;
    }
    client.open("d", PaymentMode::Postpaid, "1", "0").await;
    let list = folder.path().join("accounts.csv");
    std::fs::write(&list, "c-00,500\nc-01\nnobody\n").unwrap();
    let operator = Operator::of(&service);
    let converted = on_a_thread(move || {
        let run = |line: &str| operator.run(&format!("convert-all {line} --reason migration --output json"));
        let outcomes = |output: &str, outcome: &str| lines(output).iter().filter(|line| line.get(outcome).is_some()).count();
        let list = list.to_str().unwrap();

        // A dry run changes nothing; what it tells is what happens then.
        let line = format!("postpaid --file {list} --limit 100 --batch-id move-1");
        let dry = run(&format!("{line} --dry-run"));
        assert_eq!(dry.status.code(), Some(1), "{dry:?}");
        let told = lines(&dry.output);
        let limits =
            |line: &Value| ["creditLimit", "usableAfter"].map(|field| line["converted"][field]["amount"].as_str().unwrap().to_owned());
        assert_eq!((limits(&told[0]), limits(&told[1])), (["500.00".into(), "507.00".into()], ["100.00".into(), "107.00".into()]));
        assert_eq!(told[2]["error"]["details"][0]["reason"], "ACCOUNT_NOT_FOUND");
        assert_eq!(operator.json("account show c-00")["account"]["credit"]["mode"], "PAYMENT_MODE_PREPAID");
        let real = run(&line);
        assert_eq!(lines(&real.output)[..2].iter().map(|line| limits(line)[1].clone()).collect::<Vec<_>>(), ["507.00", "107.00"]);
        assert_eq!(operator.json("account show c-00")["account"]["permanentLimit"]["amount"], "500.00");
        assert_eq!(outcomes(&run(&line).output, "unchanged"), 2);

        // All that match; an account that has the mode gets the limit only if that is asked for.
        let all = run("postpaid --all --currency EUR --limit 250 --batch-id move-2");
        assert!(all.status.success(), "{all:?}");
        assert_eq!((outcomes(&all.output, "converted"), outcomes(&all.output, "unchanged")), (23, 3));
        assert_eq!(operator.json("account show d")["account"]["permanentLimit"]["amount"], "1.00");
        let again = run("postpaid --all --currency EUR --limit 250 --batch-id move-2");
        assert_eq!((outcomes(&again.output, "converted"), outcomes(&again.output, "unchanged")), (0, 26));
        let limited = run("postpaid --all --currency EUR --limit 250 --limit-if-unchanged --batch-id move-3");
        assert_eq!((outcomes(&limited.output, "converted"), outcomes(&limited.output, "unchanged")), (3, 23));
        assert_eq!(operator.json("account show d")["account"]["permanentLimit"]["amount"], "250.00");

        // Without a currency an amount means nothing; without accounts, a batch does not.
        assert_eq!(run("postpaid --all --limit 250").status.code(), Some(1));
        assert_eq!(run("postpaid --limit 250").status.code(), Some(2));
        let table = operator.run("convert-all prepaid --name nobody --reason none");
        assert!(table.status.success() && table.output.contains("0 converted"), "{table:?}");
        outcomes(&all.output, "converted")
    })
    .await;
    assert_eq!(converted, 23);
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn a_batch_that_broke_goes_on_where_it_was() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    for number in 0..6 {
        client.open(&format!("c-{number}"), PaymentMode::Prepaid, "0", "0").await;
    }
    let mut request = v1::BatchConvertRequest {
        batch_id: "move".into(),
        mode: PaymentMode::Postpaid.into(),
        accounts: Some(v1::batch_convert_request::Accounts::Filter(v1::BatchAccountFilter::default())),
        allow_unusable: true,
        dry_run: true,
        operator: Some(v1::Operator { actor: "eve".into(), reason: "migration".into() }),
        ..Default::default()
    };
    let mut answers = client.billing.batch_convert(request.clone()).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = answers.message().await.unwrap().unwrap();
        seen.push(answer.account_id);
        request.resume_token = answer.resume_token;
    }
    drop(answers);
    let mut answers = client.billing.batch_convert(request.clone()).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        seen.push(answer.account_id);
        assert_eq!(answer.done, seen.len() as i64);
    }
    assert_eq!(seen, ["c-0", "c-1", "c-2", "c-3", "c-4", "c-5"]);
    // A place in one batch is none in another.
    request.allow_unusable = false;
    assert_eq!(reason(&client.billing.batch_convert(request).await.unwrap_err()), "INVALID_REQUEST");
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn without_a_billing_store_charging_payments_and_conversions_go_on() {
    let folder = temporary_folder();
    let [store, known] = ["ledger.db", "known.db"].map(|name| folder.path().join(name).display().to_string());
    // Once a billing store was there, it is known without it who may call.
    assert!(Service::start(&["--store", &known], &[]).stopped().await.success());
    let none = ["--store", &store, "--billing", "off"];
    let away = ["--store", &known, "--billing", "postgres://nobody@127.0.0.1:1/nothing"];
    for (arguments, expected, code, id) in
        [(none, "BILLING_NOT_CONFIGURED", Code::FailedPrecondition, "one"), (away, "BILLING_UNAVAILABLE", Code::Unavailable, "two")]
    {
        let service = Service::start(&arguments, &[]);
        let mut client = service.client().await;
        client.open(id, PaymentMode::Prepaid, "0", "10").await;
        client.charging.debit(debit(id, "d-1", "1")).await.unwrap();
        let payment = v1::RecordPaymentRequest { account_id: id.into(), request_id: "p".into(), amount: money("5"), ..Default::default() };
        let paid = client.billing.record_payment(payment).await.unwrap().into_inner();
        assert_eq!((paid.credit.unwrap().balance.as_str(), paid.allocations_known), ("14.00", false));
        let convert = v1::ConvertRequest {
            account_id: id.into(),
            request_id: "c".into(),
            mode: PaymentMode::Postpaid.into(),
            credit_limit: Some(v1::CreditLimitChange { permanent: money("100"), temporary: None }),
            ..Default::default()
        };
        let asked = Instant::now();
        let converted = client.charging.convert(convert).await.unwrap().into_inner();
        assert!(converted.converted && asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        assert!(converted.advice.iter().any(|advice| advice.topic() == v1::AdviceTopic::Timing));
        assert!(converted.advice.iter().all(|advice| advice.topic() != v1::AdviceTopic::EstimatedLimit));
        let status = client.billing.list_invoices(v1::ListInvoicesRequest::default()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected));
        let status = client.billing.export_usage(v1::ExportUsageRequest::default()).await;
        let status = match status {
            Err(status) => status,
            Ok(answers) => answers.into_inner().message().await.unwrap_err(),
        };
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected));
        let exit_code = if code == Code::Unavailable { 3 } else { 1 };
        let operator = Operator::of(&service);
        assert_eq!(on_a_thread(move || operator.run("receivables")).await.status.code(), Some(exit_code));
        assert!(service.stopped().await.success());
    }
}

#[tokio::test]
async fn a_conversion_to_prepaid_tells_of_the_final_bill() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Postpaid, "100", "0").await;
    client.charging.debit(debit("acme", "d-1", "12.3449")).await.unwrap();
    let convert =
        v1::ConvertRequest { account_id: "acme".into(), request_id: "c".into(), mode: PaymentMode::Prepaid.into(), ..Default::default() };
    // Advice is left out where it would come too late; a repetition is told it, too.
    let patience = std::time::Instant::now() + crate::service::PATIENCE;
    let told = loop {
        let converted = client.charging.convert(convert.clone()).await.unwrap().into_inner();
        match converted.advice.into_iter().find(|advice| advice.topic() == v1::AdviceTopic::FinalBill) {
            Some(told) => break told,
            None => assert!(std::time::Instant::now() < patience, "no advice on the final bill"),
        }
    };
    assert!(told.text.contains("an invoice of 12.34 EUR"), "{}", told.text);
    assert!(service.stopped().await.success());
}

/// One document of each kind, paid, bounced, and overdue: by commands alone.
async fn a_month_is_billed_and_paid(store: &[&str]) {
    let folder = temporary_folder();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "2026-11-20T12:00:00Z").unwrap();
    let service = Service::start(&[store, &["--test-clock", clock.to_str().unwrap()]].concat(), &[]);
    let mut client = service.client().await;
    client.open("cedar", PaymentMode::Postpaid, "1200", "0").await;
    client.open("elm", PaymentMode::Prepaid, "0", "10").await;
    client.open("zeta", PaymentMode::Prepaid, "0", "0").await;
    let usage = Some(v1::Usage { item: "call".into(), quantity: "60".into(), unit: "second".into(), ..Default::default() });
    for number in 1..=3 {
        let request = v1::DebitRequest { usage: usage.clone(), ..debit("cedar", &format!("call-{number}"), "400") };
        client.charging.debit(request).await.unwrap();
    }
    client.charging.debit(v1::DebitRequest { usage, ..debit("elm", "call-1", "3") }).await.unwrap();
    let operator = Operator::of(&service);
    let (address, files) = (service.address, folder.path().to_owned());
    on_a_thread(move || {
        // Asked before the aggregator may have made the tables.
        let set = operator.run_words(&["issuer", "set", "--name", "Tollgate Telecom", "--country", "DE"]);
        assert!(set.status.success(), "{set:?}");
        let set = operator.run_words(&["tax", "set", "19", "--from", "2000-01-01"]);
        assert!(set.status.success(), "{set:?}");
        let details = ["account", "details", "cedar", "--name", "Cedar Clinics Ltd", "--address", "1 Main Street", "--tax-id", "DE1"];
        let set = operator.run_words(&details);
        assert!(set.status.success(), "{set:?}");
        assert_eq!(operator.json("account details cedar")["customer"]["address"][0], "1 Main Street");
        std::fs::write(&clock, "2026-12-02T09:00:00Z").unwrap();
        let wait = |line: &str, count: usize| {
            let deadline = Instant::now() + crate::service::PATIENCE;
            loop {
                let found = operator.list(line);
                if found.len() == count {
                    return found;
                }
                assert!(Instant::now() < deadline, "{line}: {found:#?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        // Nobody touched the accounts in the new month: they are closed all the same.
        let issued = wait("invoice list --state issued", 2);
        let of_kind = |kind: &str| issued.iter().find(|invoice| invoice["kind"] == kind).unwrap().clone();
        let number = of_kind("INVOICE_KIND_INVOICE")["number"].as_str().unwrap().to_owned();
        let invoice = operator.json(&format!("invoice show {number}"))["invoice"].clone();
        assert_eq!((invoice["accountId"].as_str(), invoice["amountToPay"].as_str()), (Some("cedar"), Some("1200.00")));
        assert_eq!(
            (invoice["customer"]["name"].as_str(), invoice["issuer"]["name"].as_str()),
            (Some("Cedar Clinics Ltd"), Some("Tollgate Telecom"))
        );
        let line = &invoice["items"][0];
        assert_eq!((line["item"].as_str(), line["count"].as_str(), line["quantity"].as_str()), (Some("call"), Some("3"), Some("180")));
        assert!(invoice["dueAt"].is_string());
        let statement =
            operator.json(&format!("invoice show {}", of_kind("INVOICE_KIND_STATEMENT")["number"].as_str().unwrap()))["invoice"].clone();
        assert_eq!((statement["wallet"]["charged"].as_str(), statement["wallet"]["closing"].as_str()), (Some("-3.00"), Some("7.00")));
        assert_eq!(statement["amountToPay"], "0.00");
        let page = operator.run(&format!("invoice show {number}"));
        assert!(page.status.success() && page.output.contains("Cedar Clinics Ltd") && page.output.contains("1200.00"), "{}", page.output);

        for (form, begins) in [("pdf", "%PDF-1."), ("html", "<!doctype html"), ("csv", "id,account,")] {
            let path = files.join(format!("invoice.{form}"));
            let written = operator.run_words(&["invoice", form, &number, "--file", path.to_str().unwrap()]);
            assert!(written.status.success(), "{written:?}");
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.to_ascii_lowercase().starts_with(begins.to_ascii_lowercase().as_bytes()), "{form}");
        }
        let billed = operator.run(&format!("invoice csv {number} --file -")).output;
        assert_eq!(billed.lines().count(), 4, "{billed}");

        // A refund of what was invoiced is a credit note, and pays.
        let refund = v1::RefundRequest {
            account_id: "cedar".into(),
            request_id: "back".into(),
            charge_id: "call-1".into(),
            amount: money("25"),
            reason: "bad line".into(),
            ..Default::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Client::connect(address).await.charging.refund(refund).await.unwrap() });
        let notes = wait("invoice list --kind credit-note --state issued", 1);
        assert_eq!((notes[0]["refersTo"].as_str(), notes[0]["accountId"].as_str()), (Some(number.as_str()), Some("cedar")));
        let owed = operator.list("receivables");
        assert_eq!((owed[0]["current"].as_str(), owed[0]["total"].as_str()), (Some("1175.00"), Some("1175.00")));

        // A payment is allocated to the invoice, bounces, and is open again.
        let paid = operator.json(&format!("payment record cedar 1175 --invoice {number} --request-id bank-1"));
        assert_eq!(paid["credit"]["amountDue"], "0.00");
        wait("receivables", 0);
        let again = operator.json(&format!("payment record cedar 1175 --invoice {number} --request-id bank-1"));
        assert_eq!((again["replayed"].as_bool(), again["allocationsKnown"].as_bool()), (Some(true), Some(true)));
        assert_eq!(
            (again["allocations"][0]["invoiceNumber"].as_str(), again["allocations"][0]["amount"]["amount"].as_str()),
            (Some(number.as_str()), Some("1175.00"))
        );
        assert!(operator.list("invoice list --unpaid").is_empty());
        operator.json("payment reverse cedar bank-1 --reason bounced");
        let open = wait("invoice list --unpaid", 1);
        assert_eq!(open[0]["openAmount"], "1175.00");

        // The history suggests a limit, and the advice on a conversion knows it.
        let suggested = operator.json("suggest-limit cedar");
        assert_eq!(
            (suggested["suggestedLimit"]["amount"].as_str(), suggested["basis"].as_str()),
            (Some("1200.00"), Some("SUGGESTION_BASIS_ALL_TRANSACTIONS"))
        );
        let batch = operator.run("convert-all postpaid --all --suggested --limit-if-unchanged --dry-run --reason try --output json");
        let told = lines(&batch.output);
        assert_eq!((told[0]["accountId"].as_str(), told[0].get("unchanged").is_some()), (Some("cedar"), true));
        assert_eq!(
            (told[1]["converted"]["creditLimit"]["amount"].as_str(), told[1]["converted"]["usableAfter"]["amount"].as_str()),
            (Some("3.00"), Some("10.00"))
        );
        assert!(told[2]["error"]["details"][0]["reason"] == "NO_HISTORY" && batch.status.code() == Some(1), "{batch:?}");
        let converted = operator.json("account convert elm postpaid --limit 1");
        let advice = converted["advice"].as_array().unwrap();
        let of_topic = |topic: &str| {
            advice.iter().find(|advice| advice["topic"] == format!("ADVICE_TOPIC_{topic}")).unwrap()["text"].as_str().unwrap().to_owned()
        };
        assert!(of_topic("LOW_LIMIT").contains("suggest 3.00 EUR"), "{advice:?}");
        assert!(of_topic("TIMING").contains("last month's was generated, and today lies within"), "{advice:?}");

        // Seven weeks later it is overdue, and being unpaid costs nothing.
        std::fs::write(&clock, "2027-01-20T12:00:00Z").unwrap();
        let deadline = Instant::now() + crate::service::PATIENCE;
        while operator.list("receivables cedar")[0]["overdue31To60"] != "1175.00" {
            assert!(Instant::now() < deadline, "{:#?}", operator.list("receivables cedar"));
        }
        assert_eq!(operator.json("credit cedar")["credit"]["usable"], "1200.00");
        assert!(operator.run("receivables").output.contains("31-60 days"));
        operator.json("payment write-off cedar 1175 --reason insolvent");
        wait("receivables cedar", 0);
    })
    .await;
    assert!(service.stopped().await.success());
}

#[tokio::test]
async fn a_month_is_billed_and_paid_on_sqlite() {
    let folder = temporary_folder();
    a_month_is_billed_and_paid(&["--store", folder.path().join("ledger.db").to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_month_is_billed_and_paid_on_postgresql() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    a_month_is_billed_and_paid(&["--redis", &redis.url(), "--aggregate", "--billing", &postgres.database()]).await;
}
