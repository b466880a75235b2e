//! The same with PostgreSQL and several partitions; and what keeps a gap from being one: a journal that is kept for a time.

use std::collections::BTreeMap;

use tollgate::grpc::v1::{GetAggregationRequest, PaymentMode, RefundRequest};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use super::charge;
use crate::command::{Ended, Operator};
use crate::identity::until_billed;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, money, until};
use crate::support::{RedisServer, temporary_folder};

const ACCOUNTS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

fn start(redis: &RedisServer, billing: &str, clock: &str, more: &[&str]) -> Service {
    let store = ["--redis", &redis.url(), "--partitions", "4", "--billing", billing, "--aggregate", "--test-clock", clock];
    Service::start(&[&store[..], &["--journal-tail", "5"], more].concat(), &[])
}

fn run(redis: &RedisServer, billing: &str, clock: &str, words: &[&str]) -> Ended {
    let store = ["--redis", &redis.url(), "--partitions", "4", "--billing", billing, "--test-clock", clock];
    Operator::nowhere().run_words(&[words, &store].concat())
}

async fn metrics(service: &Service) -> BTreeMap<String, f64> {
    let url = format!("http://{}/metrics", service.metrics);
    let text = tokio::task::spawn_blocking(move || std::process::Command::new("curl").args(["-s", &url]).output().unwrap().stdout);
    let text = String::from_utf8(text.await.unwrap()).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Waits until all is taken in, and each journal is trimmed to its tail and the block before it.
async fn trimmed(service: &Service, most: f64) {
    // The figures may be those of before.
    until_billed(service).await;
    until("the journals are trimmed", async || {
        let found = metrics(service).await;
        let of = |name: &str| found.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| *value).collect::<Vec<_>>();
        let (entries, lags) = (of("tollgate_journal_entries{"), of("tollgate_aggregation_lag_entries{"));
        (entries.len() == 4 && entries.iter().all(|entries| *entries <= most) && lags.iter().all(|lag| *lag == 0.0)).then_some(())
    })
    .await;
}

async fn balances(client: &mut Client) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for account in ACCOUNTS {
        let credit = client.credit(account).await;
        found.push((credit.balance, credit.unbilled));
    }
    found
}

async fn refund(client: &mut Client, request_id: &str, charge: &str) -> String {
    let request = RefundRequest {
        account_id: "one".into(),
        request_id: request_id.into(),
        charge_id: charge.into(),
        amount: money("0.50"),
        ..Default::default()
    };
    match client.charging.refund(request).await {
        Ok(_) => "accepted".into(),
        Err(status) => status.get_details_error_info().unwrap().reason,
    }
}

/// What health says of the aggregation; none: nothing yet.
async fn is_aggregating(service: &Service) -> Option<bool> {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: "tollgate.aggregation".into() };
    HealthClient::new(channel).check(request).await.ok().map(|answer| answer.into_inner().status == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_of_several_partitions_on_postgresql_are_accepted_told_and_kept_in_mind_by_a_restoration() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let clock_file = folder.path().join("clock");
    let clock = clock_file.to_str().unwrap();
    std::fs::write(clock, "2026-03-10T12:00:00Z").unwrap();
    let (billing, by) = (postgres.database(), ["--actor", "eve", "--reason", "an old backup"]);
    let service = start(&redis, &billing, clock, &[]);
    let mut client = service.client().await;
    for account in ACCOUNTS {
        let mode = if account.len() == 3 { PaymentMode::Prepaid } else { PaymentMode::Postpaid };
        client.open(account, mode, "1000", "100").await;
        charge(&mut client, account, "before", 3).await;
    }
    trimmed(&service, 100.0).await;
    assert!(service.stopped().await.success());
    let backup = postgres.copy_of(&billing);

    let service = start(&redis, &billing, clock, &[]);
    let mut client = service.client().await;
    for account in ACCOUNTS {
        charge(&mut client, account, "lost", 12).await;
    }
    assert_eq!(refund(&mut client, "r-lost", "before-0").await, "accepted");
    for account in ACCOUNTS {
        charge(&mut client, account, "tail", 7).await;
    }
    drop(client);
    // A service that has just begun tells no figures of before.
    assert!(service.stopped().await.success());
    let service = start(&redis, &billing, clock, &[]);
    trimmed(&service, 6.0).await;
    let before = balances(&mut service.client().await).await;
    assert!(service.stopped().await.success());

    let accepted = run(&redis, &backup, clock, &[&["reconcile", "--accept-gap"][..], &by].concat());
    assert!(accepted.status.success() && accepted.output.matches("it goes on").count() >= 2, "{accepted:?}");
    let service = start(&redis, &backup, clock, &[]);
    let mut client = service.client().await;
    assert_eq!(balances(&mut client).await, before);
    charge(&mut client, "one", "after", 1).await;
    let before = balances(&mut client).await;
    // The series that wait are told of everywhere.
    until("the held series are told of", async || (metrics(&service).await.get("tollgate_held_series") == Some(&3.0)).then_some(())).await;
    until("health", async || (is_aggregating(&service).await == Some(false)).then_some(())).await;
    let held = client.billing.get_aggregation(GetAggregationRequest {}).await.unwrap().into_inner().held_series;
    assert_eq!(held.iter().map(|series| series.prefix.as_str()).collect::<Vec<_>>(), ["CRN-", "INV-", "STM-"]);
    let shown = tokio::task::block_in_place(|| Operator::of(&service).run("aggregation"));
    assert!(shown.error.contains("reconcile --next-number INV-="), "{shown:?}");
    trimmed(&service, 100.0).await;
    drop(client);
    assert!(service.stopped().await.success());
    let numbers = ["--next-number", "INV-=1", "--next-number", "STM-=1", "--next-number", "CRN-=1"];
    let said = run(&redis, &backup, clock, &[&["reconcile"][..], &numbers, &by].concat());
    assert!(said.status.success(), "{said:?}");
    let service = start(&redis, &backup, clock, &[]);
    until("health", async || (is_aggregating(&service).await == Some(true)).then_some(())).await;
    assert!(service.stopped().await.success());

    // Who asks again within a window might have asked within the gap.
    let new = RedisServer::redis();
    let refused = run(&new, &backup, clock, &["restore"]);
    assert!(!refused.status.success() && refused.error.contains("--accept-repeats"), "{refused:?}");
    std::fs::write(clock, "2026-03-11T12:00:01Z").unwrap();
    let restored = run(&new, &backup, clock, &["restore"]);
    assert!(restored.status.success(), "{restored:?}");
    let service = start(&new, &backup, clock, &[]);
    let mut client = service.client().await;
    assert_eq!(balances(&mut client).await, before);
    // Within the gap it may have been given back, or have been charged at all; what came after is known.
    assert_eq!(refund(&mut client, "r0", "lost-0").await, "CHARGE_NO_LONGER_KNOWN");
    assert_eq!(refund(&mut client, "r1", "before-0").await, "CHARGE_NO_LONGER_KNOWN");
    assert_eq!(refund(&mut client, "r2", "before-1").await, "CHARGE_NO_LONGER_KNOWN");
    assert_eq!(refund(&mut client, "r3", "after-0").await, "accepted");
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_younger_than_the_journal_is_kept_for_leaves_no_gap() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let clock_file = folder.path().join("clock");
    let clock = clock_file.to_str().unwrap();
    std::fs::write(clock, "2026-03-10T12:00:00Z").unwrap();
    let (billing, keep) = (postgres.database(), ["--journal-keep", "1h"]);
    let service = start(&redis, &billing, clock, &keep);
    let mut client = service.client().await;
    client.open("one", PaymentMode::Prepaid, "0", "1000").await;
    charge(&mut client, "one", "old", 30).await;
    drop(client);
    until_billed(&service).await;
    assert!(service.stopped().await.success());
    std::fs::write(clock, "2026-03-10T13:30:00Z").unwrap();
    let backup = postgres.copy_of(&billing);

    let service = start(&redis, &billing, clock, &keep);
    let mut client = service.client().await;
    charge(&mut client, "one", "young", 20).await;
    // What is older than an hour goes; what is younger stays, though it is more than the tail.
    trimmed(&service, 21.0).await;
    let most = metrics(&service).await.into_iter().filter(|(series, _)| series.starts_with("tollgate_journal_entries{"));
    assert!(most.map(|(_, entries)| entries).fold(0.0, f64::max) >= 20.0);
    let before = client.credit("one").await.balance;
    drop(client);
    assert!(service.stopped().await.success());

    let looked = run(&redis, &backup, clock, &["reconcile"]);
    assert!(looked.status.success() && looked.output.contains("nothing differs"), "{looked:?}");
    let service = start(&redis, &backup, clock, &keep);
    trimmed(&service, 21.0).await;
    assert!(service.stopped().await.success());
    let verified = run(&redis, &backup, clock, &["verify"]);
    assert!(verified.status.success(), "{verified:?}");
    // Fifty charges of 1.50.
    assert_eq!(before, "925.00");
}
