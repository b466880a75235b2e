//! The billing store of another ledger, a stop whose cause is gone, and a journal that nobody reads.

use std::path::PathBuf;
use std::time::Duration;

use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, AggregationState, PaymentMode};
use tollgate::ledger::prepared_command::partition_of;
use tonic::Code;

use super::{http, id_in, run_in, serve_in_vain};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, until};
use crate::support::{RedisServer, temporary_folder};

async fn partitions(client: &Client) -> Option<Vec<v1::PartitionAggregation>> {
    let mut client = client.clone();
    Some(client.billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions)
}

/// Waits until all that was journaled is in the billing store.
async fn aggregated(client: &Client) {
    until("the billing store has followed", || async {
        let found = partitions(client).await?;
        (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
    })
    .await;
}

fn stopped(found: &[v1::PartitionAggregation]) -> usize {
    found.iter().filter(|partition| partition.state() == AggregationState::Stopped).count()
}

#[tokio::test]
async fn an_aggregator_of_another_ledger_is_refused_before_it_claims_anything() {
    let (production, staging) = (RedisServer::redis(), RedisServer::redis());
    let (postgres, folder) = (PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let service = Service::start(&["--redis", &production.url(), "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    for number in 0..8 {
        client.open(&format!("acme-{number}"), PaymentMode::Prepaid, "0", "10").await;
    }
    aggregated(&client).await;
    assert!(Service::redis(&staging.url()).stopped().await.success());

    let words = ["aggregate", "--redis", &staging.url(), "--billing", &billing, "--metrics-listen", "off", "--aggregation-lease", "500ms"];
    let ended = run_in(folder.path(), &words);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for id in [id_in(&production), id_in(&staging)] {
        assert!(ended.error.contains(&id), "{id}: {ended:?}");
    }
    let found = partitions(&client).await.unwrap();
    assert_eq!(stopped(&found), 0, "{found:?}");
    client.charging.debit(debit("acme-1", "d1", "1")).await.unwrap();
    aggregated(&client).await;
    // A service is refused, too: it would show the invoices of others.
    serve_in_vain(folder.path(), &["--redis", &staging.url(), "--billing", &billing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_billing_store_comes_back_as_another_ledgers_ends_and_says_why() {
    let (mine, theirs) = (RedisServer::redis(), RedisServer::redis());
    let postgres = PostgresServer::start();
    let billing = postgres.database();
    let service = Service::start(&["--redis", &theirs.url(), "--aggregate", "--billing", &billing], &[]);
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    aggregated(&service.client().await).await;
    assert!(service.stopped().await.success());

    let service = Service::redis(&mine.url());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    assert!(service.stopped().await.success());
    postgres.kill();
    let service = Service::open(&["--redis", &mine.url(), "--billing", &billing], &[]);
    postgres.start_again();
    let says = |text: &str| service.log().iter().any(|line| line.contains(text));
    until("it says why", async || says("do not belong together").then_some(())).await;
    assert!([id_in(&mine), id_in(&theirs)].iter().all(|id| says(id)), "{:#?}", service.log());
    assert_eq!(service.ended().await.code(), Some(1));
}

#[tokio::test]
async fn a_billing_store_without_an_id_takes_only_the_ledger_whose_journal_it_knows() {
    let (mine, theirs) = (RedisServer::redis(), RedisServer::redis());
    let (postgres, folder) = (PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let service = Service::start(&["--redis", &mine.url(), "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    aggregated(&client).await;
    assert!(service.stopped().await.success());
    // As an earlier version left it.
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    sqlx::query("DELETE FROM ledger").execute(store.store().pool()).await.unwrap();

    // The other ledger has as many entries, of the same account.
    let service = Service::redis(&theirs.url());
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    assert!(service.stopped().await.success());
    let words = ["aggregate", "--redis", &theirs.url(), "--billing", &billing, "--metrics-listen", "off"];
    let ended = run_in(folder.path(), &words);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.error.contains(&id_in(&theirs)) && ended.error.contains("do not belong together"), "{ended:?}");
    assert_eq!(store.ledger_id().await.unwrap(), None);

    let service = Service::start(&["--redis", &mine.url(), "--aggregate", "--billing", &billing], &[]);
    let mut client = service.client().await;
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    aggregated(&client).await;
    assert_eq!(store.ledger_id().await.unwrap().unwrap().to_string(), id_in(&mine));
}

/// Keeps what a Redis holds, to be put back.
fn keep(redis: &RedisServer, name: &str) -> PathBuf {
    redis.command(&["SAVE"]);
    let folder = PathBuf::from(redis.command(&["CONFIG", "GET", "dir"]).lines().nth(1).unwrap());
    std::fs::copy(folder.join("dump.rdb"), folder.join(name)).unwrap();
    folder
}

#[tokio::test]
async fn a_partition_is_resumed_when_the_cause_of_its_stop_is_gone_and_only_then() {
    let (mut redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--aggregate", "--billing", &billing, "--aggregation-lease", "500ms"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    aggregated(&client).await;
    keep(&redis, "early");
    client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    aggregated(&client).await;
    let dumps = keep(&redis, "late");

    // A snapshot from before is put back, and then the right one.
    redis.kill();
    std::fs::copy(dumps.join("early"), dumps.join("dump.rdb")).unwrap();
    redis.start_again();
    until("the partition is stopped", || async { (stopped(&partitions(&client).await?) == 1).then_some(()) }).await;
    let resume = ["reconcile", "--resume", "--actor", "eve", "--reason", "the right Redis is back", "--redis", &url, "--billing", &billing];
    let ended = run_in(folder.path(), &resume);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.output.contains("still differ"), "{ended:?}");
    redis.kill();
    std::fs::copy(dumps.join("late"), dumps.join("dump.rdb")).unwrap();
    redis.start_again();
    let ended = run_in(folder.path(), &["reconcile", "--redis", &url, "--billing", &billing]);
    assert!(ended.status.code() == Some(1) && ended.output.contains("--resume"), "{ended:?}");
    let ended = run_in(folder.path(), &resume);
    assert!(ended.status.success() && ended.output.contains("it goes on"), "{ended:?}");
    until("charges are taken again", || {
        let mut client = client.clone();
        async move { client.charging.debit(debit("acme", "d2", "1")).await.ok() }
    })
    .await;
    aggregated(&client).await;
    let ended = run_in(folder.path(), &["verify", "--redis", &url, "--billing", &billing]);
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn on_redis_it_must_be_said_where_usage_records_go() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let ended = run_in(folder.path(), &["serve", "--redis", &redis.url(), "--listen", "127.0.0.1:0", "--metrics-listen", "off"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.error.contains("--billing") && ended.error.contains("deleted unread"), "{ended:?}");
}

/// The value of a metric of all partitions together.
async fn metric(service: &Service, name: &str) -> f64 {
    let text = http(service.metrics, "/metrics").await;
    let of_series = |line: &str| line.strip_prefix(name)?.rsplit(' ').next()?.parse::<f64>().ok();
    text.lines().filter_map(of_series).sum()
}

#[tokio::test]
async fn without_a_billing_store_the_journal_keeps_its_tail_only_and_that_is_said() {
    let redis = RedisServer::redis();
    let words = ["--redis", &redis.url(), "--billing", "off", "--journal-tail", "20", "--journal-high-water", "60"];
    let service = Service::start(&words, &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    for round in 0..3 {
        for number in 0..100 {
            client.charging.debit(debit("acme", &format!("d-{round}-{number}"), "0.01")).await.unwrap();
        }
        // Each look trims to the tail, and the newest block before it.
        let discarded = 100.0 * f64::from(round + 1) - 20.0;
        until("the journal is trimmed", || async {
            let is_trimmed = metric(&service, "tollgate_discarded_entries_total{").await >= discarded;
            (is_trimmed && metric(&service, "tollgate_journal_entries{").await <= 21.0).then_some(())
        })
        .await;
    }
    assert!(metric(&service, "tollgate_usage_discarded ").await == 1.0);
    assert!(service.log().iter().any(|line| line.contains("usage records are discarded without billing")), "{:#?}", service.log());
    let shown = Operator::of(&service).run("aggregation");
    assert!(shown.status.success() && shown.output.contains("discarded without billing"), "{shown:?}");
}

#[tokio::test]
async fn a_full_journal_is_warned_of_and_its_refusals_are_counted() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let words = ["--redis", &redis.url(), "--billing", &postgres.database(), "--journal-tail", "10", "--journal-high-water", "60"];
    let service = Service::start(&words, &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    for number in 0..45 {
        client.charging.debit(debit("acme", &format!("first-{number}"), "0.01")).await.unwrap();
    }
    until("the log warns", || async { service.log().iter().any(|line| line.contains("the journal is filling")).then_some(()) }).await;
    let refused = async {
        for number in 0.. {
            if let Err(status) = client.charging.debit(debit("acme", &format!("then-{number}"), "0.01")).await {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    let partition = partition_of("acme", 4);
    let text = http(service.metrics, "/metrics").await;
    for line in [
        format!("tollgate_journal_full_refusals_total{{partition=\"{partition}\"}} 1"),
        format!("tollgate_journal_high_water_entries{{partition=\"{partition}\"}} 60"),
    ] {
        assert!(text.contains(&line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_journal_that_a_billing_store_reads_is_not_deleted_unread_unless_an_operator_says_that_it_may_be() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
    let service = Service::start(&["--redis", &redis.url(), "--billing", &billing, "--aggregate"], &[]);
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    aggregated(&service.client().await).await;
    assert!(service.stopped().await.success());

    let url = redis.url();
    let off = ["--redis", &url, "--billing", "off"];
    let refused = serve_in_vain(folder.path(), &off);
    assert!(
        refused.error.contains("a billing store reads the journal") && refused.error.contains("tollgate release-journal"),
        "{refused:?}"
    );
    let released = run_in(folder.path(), &["release-journal", "--redis", &url]);
    assert!(released.status.success() && released.output.contains("no billing store reads its journal any more"), "{released:?}");
    let released = run_in(folder.path(), &["release-journal", "--redis", &url]);
    assert!(released.status.success() && released.output.contains("no billing store has read the journal"), "{released:?}");
    let service = Service::open(&off, &[]);
    assert!(service.stopped().await.success());
    // An aggregator that comes back is its reader again.
    let service = Service::start(&["--redis", &url, "--billing", &billing, "--aggregate"], &[]);
    aggregated(&service.client().await).await;
    assert!(service.stopped().await.success());
    assert!(serve_in_vain(folder.path(), &off).error.contains("release-journal"));
}

#[tokio::test]
async fn a_redis_that_is_swapped_for_another_ledgers_is_not_charged_not_even_for_a_moment() {
    let (redis, folder) = (RedisServer::redis(), temporary_folder());
    let other = format!("{}?db=1", redis.url());
    let service = Service::start(&["--redis", &other, "--partitions", "1"], &[]);
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    assert!(service.stopped().await.success());
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let journal = redis.command(&["KEYS", "*:journal"]).trim().to_owned();
    let blocks_of_other = redis.command(&["-n", "1", "XLEN", &journal]);

    // The looks at the store come four times a second; these come at once.
    redis.command(&["SWAPDB", "0", "1"]);
    for number in 0..200 {
        let refused = client.charging.debit(debit("acme", &format!("d{number}"), "1")).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    }
    assert_eq!(redis.command(&["XLEN", &journal]), blocks_of_other);
    redis.command(&["SWAPDB", "0", "1"]);
    until("it is charged again", async || {
        let mut charging = client.charging.clone();
        charging.debit(debit("acme", "after", "1")).await.ok().map(|_| ())
    })
    .await;
    assert_eq!(client.credit("acme").await.balance, "999.00");
    drop(folder);
}
