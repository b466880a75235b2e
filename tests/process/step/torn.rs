//! M2: a step that was torn behind its first write stops its partition and no other, until `tollgate reconcile` finishes it from its block.
//!
//! It is torn here by taking a right from Redis's user while the service runs: the block is written, and what follows is refused.

use std::process::Command;

use tollgate::grpc::v1::{self, PaymentMode};
use tollgate::ledger::prepared_command::partition_of;

use super::reason;
use crate::command::{Ended, Operator};
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

const BY: [&str; 4] = ["--actor", "eve", "--reason", "a right was missing"];

fn authorize(account: &str, request_id: &str) -> v1::AuthorizeRequest {
    let reserve = Some(v1::Reserve { amount: money("10"), ..Default::default() });
    v1::AuthorizeRequest { account_id: account.into(), request_id: request_id.into(), reserve, ..Default::default() }
}

fn reconcile(redis: &RedisServer, billing: &str, words: &[&str]) -> Ended {
    let url = redis.url();
    let words = [&["reconcile", "--redis", &url, "--billing", billing], words].concat();
    Operator::nowhere().run_words(&words)
}

/// Has a step torn: the authorization of this id is in the journal, and nowhere else.
async fn tear(redis: &RedisServer, client: &mut Client, right: &str) {
    assert_eq!(redis.command(&["ACL", "SETUSER", "default", &format!("-{right}")]).trim(), "OK");
    let torn = client.charging.authorize(authorize("acme", "torn")).await.unwrap_err();
    assert_eq!(reason(&torn), "OUTCOME_UNKNOWN", "{torn:?}");
    assert_eq!(redis.command(&["ACL", "SETUSER", "default", &format!("+{right}")]).trim(), "OK");
}

async fn torn_and_finished(redis: &RedisServer, billing: &str, arguments: &[&str]) {
    let service = Service::start(&[&["--redis", &redis.url()], arguments].concat(), &[]);
    let mut client = service.client().await;
    let elsewhere = (0..).map(|number| format!("other-{number}")).find(|id| partition_of(id, 4) != partition_of("acme", 4)).unwrap();
    for id in ["acme", &elsewhere] {
        client.open(id, PaymentMode::Prepaid, "0", "100").await;
    }
    client.charging.debit(debit("acme", "before", "1")).await.unwrap();
    let ended = until("the billing store is there", async || {
        let ended = reconcile(redis, billing, &["--finish", "--actor", "eve", "--reason", "none"]);
        ended.status.success().then_some(ended)
    })
    .await;
    assert!(ended.output.contains("no step was torn"), "{ended:?}");

    tear(redis, &mut client, "zadd").await;
    // What would change something, what was decided before, what is declined, and what is refused: nothing is decided here.
    let refused = client.charging.debit(debit("acme", "next", "1")).await.unwrap_err();
    assert_eq!(reason(&refused), "STORE_CORRUPT");
    for (id, amount) in [("before", "1"), ("broke", "1000")] {
        let refused = client.charging.debit(debit("acme", id, amount)).await.unwrap_err();
        assert_eq!(reason(&refused), "STORE_CORRUPT", "{id}");
    }
    let release =
        v1::ReleaseRequest { account_id: "acme".into(), request_id: "r1".into(), reservation_id: "none".into(), ..Default::default() };
    assert_eq!(reason(&client.charging.release(release).await.unwrap_err()), "STORE_CORRUPT");
    assert_eq!(reason(&client.charging.authorize(authorize("acme", "torn")).await.unwrap_err()), "STORE_CORRUPT");
    client.charging.debit(debit(&elsewhere, "next", "1")).await.unwrap();
    let is_told = |line: &String| line.contains("tollgate reconcile finishes it");
    until("it is in the log", async || service.log().iter().any(is_told).then_some(())).await;

    let shown = reconcile(redis, billing, &[]);
    assert!(shown.status.code() == Some(1) && shown.output.contains("a step was torn: entry "), "{shown:?}");
    assert!(shown.output.contains("--finish"), "{shown:?}");
    let finished = reconcile(redis, billing, &[&["--finish"], &BY[..]].concat());
    assert!(finished.status.success() && finished.output.contains("it goes on"), "{finished:?}");

    // The same service, which was not started again.
    let granted = client.charging.authorize(authorize("acme", "torn")).await.unwrap().into_inner();
    assert!(granted.replayed, "{granted:?}");
    let credit = client.credit("acme").await;
    assert_eq!((credit.balance, credit.reserved), ("99.00".into(), "10.00".into()));
    let report = v1::DebitRequest { reservation_id: "torn".into(), ..debit("acme", "report", "4") };
    client.charging.debit(report).await.unwrap();
    let credit = client.credit("acme").await;
    assert_eq!((credit.balance, credit.reserved), ("95.00".into(), "0.00".into()));
    let kinds: Vec<_> = client.journal("acme").await.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == v1::EntryKind::Reserved).count(), 1, "{kinds:?}");
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_step_is_finished_by_reconcile_and_put_on_record() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let billing = postgres.database();
    torn_and_finished(&redis, &billing, &["--billing", &billing, "--aggregate"]).await;
    let sql = "SELECT action, actor, reason, stopped_because, last_sequence - common_sequence FROM reconciliations";
    let rows = Command::new("psql").args(["-At", "-d", &billing, "-c", sql]).output().unwrap();
    let rows = String::from_utf8(rows.stdout).unwrap();
    assert_eq!(rows.trim(), "STEP_FINISHED|eve|a right was missing|a step was torn|1");
    let verified = Operator::nowhere().run_words(&["verify", "--redis", &redis.url(), "--billing", &billing]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_step_is_finished_without_a_billing_store_too() {
    let redis = RedisServer::redis();
    torn_and_finished(&redis, "off", &["--billing", "off"]).await;
    let unsaid = Operator::nowhere().run_words(&["reconcile", "--redis", &redis.url()]);
    assert!(unsaid.status.code() == Some(2) && unsaid.error.contains("--billing"), "{unsaid:?}");
    let ended = reconcile(&redis, "off", &[&["--resume"], &BY[..]].concat());
    assert!(ended.status.code() == Some(2) && ended.error.contains("there is no billing store"), "{ended:?}");
}
