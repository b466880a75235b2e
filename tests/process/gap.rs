//! The billing store was restored from a backup that is older than what the journal still has.

mod lost;
mod partitions;

use std::path::{Path, PathBuf};

use tollgate::grpc::v1::{PaymentMode, RecordPaymentRequest, RefundRequest, TopUpRequest};
use tonic_types::StatusExt;

use crate::command::{Ended, Operator};
use crate::identity::until_billed;
use crate::service::{Client, Service, debit, money, until};
use crate::support::{RedisServer, temporary_folder};

/// A ledger of one partition, its billing store in a file, and a clock that stands.
struct Place {
    folder: tempfile::TempDir,
    store: Vec<String>,
}

impl Place {
    fn new(redis: Option<&RedisServer>) -> Self {
        let folder = temporary_folder();
        let store = match redis {
            Some(redis) => vec!["--redis".into(), redis.url(), "--partitions".into(), "1".into()],
            None => vec!["--store".into(), folder.path().join("ledger.db").display().to_string()],
        };
        let clock = folder.path().join("clock").display().to_string();
        let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
        let store = [store, vec!["--test-clock".into(), clock, "--billing".into(), billing]].concat();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn go_to(&self, time: &str) {
        std::fs::write(self.path("next"), time).unwrap();
        std::fs::rename(self.path("next"), self.path("clock")).unwrap();
    }

    fn serve(&self) -> Service {
        let mut arguments: Vec<&str> = self.store.iter().map(String::as_str).collect();
        arguments.extend(["--journal-tail", "5"]);
        if arguments[0] == "--redis" {
            arguments.push("--aggregate");
        }
        Service::start(&arguments, &[])
    }

    /// Runs a command that opens the stores.
    fn run(&self, words: &[&str]) -> Ended {
        let mut words = words.to_vec();
        words.extend(self.store.iter().map(String::as_str));
        Operator::nowhere().run_words(&words)
    }

    /// Copies a billing store that nobody uses.
    fn copy(&self, from: &str, to: &str) {
        for ending in ["", "-wal", "-shm"] {
            let (from, to) = (self.path(&format!("{from}{ending}")), self.path(&format!("{to}{ending}")));
            let _ = std::fs::remove_file(&to);
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
    }

    /// Waits until the journal was taken in, and dropped but for its end. A service that has just begun tells no figures of before.
    async fn trim(&self, service: Service) -> Service {
        assert!(service.stopped().await.success());
        let service = self.serve();
        trimmed(&service).await;
        service
    }

    fn verify(&self) -> String {
        let verified = self.run(&["verify"]);
        assert!(verified.status.success(), "{verified:?}");
        verified.output
    }
}

async fn charge(client: &mut Client, account: &str, name: &str, count: usize) {
    for number in 0..count {
        client.charging.debit(debit(account, &format!("{name}-{number}"), "1.50")).await.unwrap();
    }
}

async fn trimmed(service: &Service) {
    // The figures may be those of before.
    until_billed(service).await;
    let metrics = format!("http://{}/metrics", service.metrics);
    until("the journal is trimmed", async || {
        let text = tokio::task::spawn_blocking({
            let metrics = metrics.clone();
            move || std::process::Command::new("curl").args(["-s", &metrics]).output().unwrap().stdout
        });
        let text = String::from_utf8(text.await.unwrap()).unwrap();
        let value = |name: &str| -> Option<f64> {
            text.lines().find(|line| line.starts_with(name) && line.contains('}'))?.rsplit(' ').next()?.parse().ok()
        };
        (value("tollgate_journal_entries")? <= 12.0 && value("tollgate_aggregation_lag_entries")? == 0.0).then_some(())
    })
    .await;
}

fn numbers(service: &Service) -> Vec<String> {
    let documents = Operator::of(service).list("invoice list");
    let mut numbers: Vec<_> = documents.iter().filter_map(|document| Some(document["number"].as_str()?.to_owned())).collect();
    numbers.sort();
    numbers
}

async fn issued(service: &Service, expected: &[&str]) {
    until("the documents are issued", async || {
        let service = &service;
        (tokio::task::block_in_place(|| numbers(service)) == expected).then_some(())
    })
    .await;
}

async fn a_gap_is_accepted(redis: Option<&RedisServer>) {
    let place = Place::new(redis);
    place.go_to("2026-03-10T12:00:00Z");
    let service = place.serve();
    let operator = Operator::of(&service);
    tokio::task::block_in_place(|| {
        operator.run_words(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
        operator.run("tax set 19 --from 2026-01-01");
    });
    let mut client = service.client().await;
    client.open("prepaid", PaymentMode::Prepaid, "0", "100").await;
    client.open("postpaid", PaymentMode::Postpaid, "1000", "0").await;
    client.open("still", PaymentMode::Postpaid, "1000", "0").await;
    charge(&mut client, "postpaid", "march", 4).await;
    charge(&mut client, "prepaid", "march", 4).await;
    place.go_to("2026-04-02T12:00:00Z");
    issued(&service, &["INV-000001", "STM-000001"]).await;
    charge(&mut client, "postpaid", "early-april", 2).await;
    drop(client);
    let service = place.trim(service).await;
    assert!(service.stopped().await.success());
    place.copy("billing.db", "backup.db");

    // What the backup does not have: charges, payments, an account, a month's end with its documents.
    let service = place.serve();
    let mut client = service.client().await;
    charge(&mut client, "postpaid", "april", 10).await;
    charge(&mut client, "prepaid", "april", 10).await;
    client.open("new", PaymentMode::Postpaid, "1000", "0").await;
    let payment =
        RecordPaymentRequest { account_id: "postpaid".into(), request_id: "paid".into(), amount: money("6"), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
    place.go_to("2026-05-02T12:00:00Z");
    issued(&service, &["INV-000001", "INV-000002", "STM-000001", "STM-000002"]).await;
    charge(&mut client, "postpaid", "may", 10).await;
    charge(&mut client, "new", "may", 10).await;
    let top_up = TopUpRequest { account_id: "prepaid".into(), request_id: "more".into(), amount: money("50"), ..Default::default() };
    client.accounts.top_up(top_up).await.unwrap();
    charge(&mut client, "postpaid", "tail", 12).await;
    drop(client);
    let service = place.trim(service).await;
    let mut client = service.client().await;
    let mut before = Vec::new();
    for account in ["prepaid", "postpaid", "still", "new"] {
        let credit = client.credit(account).await;
        before.push((credit.balance, credit.unbilled));
    }
    assert!(service.stopped().await.success());

    place.copy("backup.db", "billing.db");
    let looked = place.run(&["reconcile"]);
    assert_eq!(looked.status.code(), Some(1), "{looked:?}");
    let by = ["--actor", "eve", "--reason", "restored from a backup"];
    for way in ["--reapply", "--accept-loss"] {
        assert!(!place.run(&[&["reconcile", way][..], &by].concat()).status.success());
    }
    let accepted = place.run(&[&["reconcile", "--accept-gap"][..], &by].concat());
    assert!(accepted.status.success(), "{accepted:?}");
    assert!(accepted.output.contains("not itemized") && accepted.output.contains("--next-number INV-="), "{accepted:?}");
    let verified = place.verify();
    assert!(verified.contains("are not known (accepted by eve: restored from a backup)"), "{verified}");

    // The ledger is believed, and charging goes on; what is not known cannot be given back.
    let service = place.serve();
    let mut client = service.client().await;
    for (account, before) in ["prepaid", "postpaid", "still", "new"].into_iter().zip(&before) {
        let credit = client.credit(account).await;
        assert_eq!((credit.balance, credit.unbilled), *before, "{account}");
    }
    charge(&mut client, "postpaid", "after", 2).await;
    let refund = |charge: &str| RefundRequest {
        account_id: "postpaid".into(),
        request_id: format!("refund-{charge}"),
        charge_id: charge.into(),
        amount: money("1"),
        ..Default::default()
    };
    let refused = client.charging.refund(refund("april-3")).await.unwrap_err();
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "CHARGE_NO_LONGER_KNOWN", "{refused:?}");
    client.charging.refund(refund("tail-10")).await.unwrap();

    // No document is issued until it was said how the numbers go on.
    place.go_to("2026-06-02T12:00:00Z");
    until("the bill of May is drafted", async || {
        let found = tokio::task::block_in_place(|| Operator::of(&service).list("invoice list --account postpaid"));
        found.into_iter().find(|document| document.get("number").is_none() && document["kind"] == "INVOICE_KIND_INVOICE")
    })
    .await;
    assert_eq!(tokio::task::block_in_place(|| numbers(&service)), ["INV-000001", "STM-000001"]);
    assert!(service.stopped().await.success());
    let wrong = place.run(&[&["reconcile", "--next-number", "INV-=1"][..], &by].concat());
    assert!(!wrong.status.success() && wrong.error.contains("given already"), "{wrong:?}");
    let said = place.run(&[&["reconcile", "--next-number", "INV-=3", "--next-number", "STM-=7"][..], &by].concat());
    assert!(said.status.success(), "{said:?}");
    let service = place.serve();
    until("the documents of May are issued", async || {
        let numbers = tokio::task::block_in_place(|| numbers(&service));
        (numbers.contains(&"INV-000003".to_owned()) && numbers.contains(&"STM-000007".to_owned())).then_some(())
    })
    .await;
    let numbers = tokio::task::block_in_place(|| numbers(&service));
    assert!(!numbers.contains(&"INV-000002".to_owned()), "{numbers:?}");
    // The bill that was open lists what is known, and one line for what is not.
    let invoices = tokio::task::block_in_place(|| Operator::of(&service).list("invoice list --account postpaid"));
    let number = invoices[0]["number"].as_str().unwrap().to_owned();
    let shown = tokio::task::block_in_place(|| Operator::of(&service).run(&format!("invoice show {number} --output json")));
    assert!(shown.output.contains("not itemized"), "{shown:?}");
    assert!(service.stopped().await.success());
    let verified = place.verify();
    assert!(verified.contains("are not known"), "{verified}");
    let _: &Path = place.folder.path();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_is_accepted_keeps_the_balances_on_the_embedded_engine() {
    a_gap_is_accepted(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_is_accepted_keeps_the_balances_on_redis() {
    a_gap_is_accepted(Some(&RedisServer::redis())).await;
}
