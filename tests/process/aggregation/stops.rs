//! What does not go on as it must stops its partition, and only that, so that everybody sees it; and a full journal refuses what is new.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tollgate::billing::partitions;
use tollgate::billing::{Billing, BillingSettings};

use crate::aggregation::check::until_caught_up;
use crate::aggregation::load::{Load, PARTITIONS, ledger};
use crate::aggregation::process::Aggregator;
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

pub fn start(redis: &RedisServer, billing: &str, load: &Load) -> Aggregator {
    Aggregator::start(&redis.url(), billing, &["--test-clock", load.clock_file()])
}

/// The key of a partition's journal.
fn journals(redis: &RedisServer) -> Vec<String> {
    let mut keys: Vec<String> = redis.command(&["KEYS", "*:journal"]).lines().map(str::to_owned).collect();
    keys.sort();
    keys
}

/// Waits until a partition is stopped, and returns which, and why.
pub async fn stopped(store: &Billing) -> Vec<(u16, String)> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let all = partitions::all(store.store()).await.unwrap();
        let stopped: Vec<_> = all.into_iter().filter_map(|partition| Some((partition.partition, partition.stopped?.reason))).collect();
        if !stopped.is_empty() {
            return stopped;
        }
        assert!(Instant::now() < deadline, "no partition is stopped");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_gap_stops_its_partition_visibly_and_the_others_go_on() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let mut load = Load::open(ledger(&redis.url()).await, 40, seed(), folder.path()).await;
    for _ in 0..10 {
        load.send(50).await;
    }
    // Somebody deletes a block in the middle of one journal.
    let journal = journals(&redis).swap_remove(2);
    let ids = redis.command(&["XRANGE", &journal, "1-0", "+", "COUNT", "5"]);
    let id = ids.lines().filter(|line| line.ends_with("-0") && line.len() < 20).nth(3).unwrap().to_owned();
    assert_eq!(redis.command(&["XDEL", &journal, &id]).trim(), "1");

    let aggregator = start(&redis, &billing, &load);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    let broken = stopped(&store).await;
    assert_eq!(broken.len(), 1);
    assert!(broken[0].1.starts_with("gap: entry "), "{broken:?}");
    let number = broken[0].0;
    // Others go on.
    load.send(200).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut behind = Vec::new();
        for partition in partitions::all(store.store()).await.unwrap() {
            let span = load.ledger.engine().journal_span(partition.partition).await.unwrap();
            if span.next != partition.position.next_sequence {
                behind.push(partition.partition);
            }
        }
        if behind == [number] {
            break;
        }
        assert!(Instant::now() < deadline, "{behind:?}");
        sleep(Duration::from_millis(20)).await;
    }
    // Log, metric, health.
    let event = aggregator.wait_for("the aggregation of a partition is stopped");
    assert_eq!((event["partition"].as_u64(), event["what"].as_str()), (Some(u64::from(number)), Some("gap")));
    let metric = format!("tollgate_aggregation_stopped{{partition=\"{number}\"}} 1");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !(aggregator.get("/metrics").contains(&metric) && aggregator.get("/healthz").starts_with("HTTP/1.1 503")) {
        assert!(Instant::now() < deadline, "{}", aggregator.get("/metrics"));
        sleep(Duration::from_millis(50)).await;
    }
    // It stays so, whoever comes: nothing is skipped.
    aggregator.kill();
    let another = start(&redis, &billing, &load);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stopped(&store).await, broken);
    drop(another);
}

#[tokio::test]
async fn a_ledger_that_lost_its_tail_is_found_out_before_it_has_grown_again_and_after() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let mut redis = redis;
    for has_grown in [false, true] {
        redis.command(&["FLUSHALL"]);
        let billing = postgres.database();
        let mut load = Load::open(ledger(&redis.url()).await, 40, seed(), folder.path()).await;
        load.send(400).await;
        redis.command(&["SAVE"]);
        load.send(200).await;
        let aggregator = start(&redis, &billing, &load);
        let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
        until_caught_up(&store, &load.ledger).await;
        if has_grown {
            aggregator.kill();
        }
        // The last part is gone, as after a failover to a replica that was behind.
        redis.kill();
        redis.start_again();
        load.ledger = ledger(&redis.url()).await;
        load.set_clock(load.ledger.clock().now() + 10_000);
        let again = has_grown.then(|| start(&redis, &billing, &load));
        if has_grown {
            load.send(1_500).await;
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let stopped = stopped(&store).await;
            if stopped.len() == usize::from(PARTITIONS) {
                let known = ["lost tail: ", "fork: ", "gap: "];
                assert!(stopped.iter().all(|(_, reason)| known.iter().any(|name| reason.starts_with(name))), "{stopped:?}");
                break;
            }
            assert!(Instant::now() < deadline, "{stopped:?}");
            sleep(Duration::from_millis(20)).await;
        }
        drop(again);
    }
}
