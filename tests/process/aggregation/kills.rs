//! Killed at random instants: the aggregator, PostgreSQL; stalled; several at once.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tollgate::billing::Billing;
use tollgate::billing::BillingSettings;
use tollgate::billing::aggregator::{Aggregator as Runner, AggregatorOptions};
use tollgate::billing::partitions;
use tollgate::billing::store::sqlite_url;

use crate::aggregation::check::{everything_agrees, until_caught_up};
use crate::aggregation::load::{Load, ledger};
use crate::aggregation::process::Aggregator;
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

/// Nothing is trimmed, so that all can be compared afterwards.
const KEEP: [&str; 2] = ["--journal-tail", "1000000000"];

fn start(redis: &RedisServer, billing: &str, load: &Load) -> Aggregator {
    Aggregator::start(&redis.url(), billing, &[KEEP[0], KEEP[1], "--test-clock", load.clock_file()])
}

#[tokio::test]
async fn totals_are_exact_though_the_aggregator_is_killed_two_hundred_times_while_charges_flow() {
    let (redis, postgres, folder, seed) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder(), seed());
    let (billing, mut random) = (postgres.database(), StdRng::seed_from_u64(seed));
    let mut load = Load::open(ledger(&redis.url()).await, 40, seed, folder.path()).await;
    // Two at once, so that one goes on where the other was killed; each is killed at any instant of its life, the first ones included.
    let mut running = [start(&redis, &billing, &load), start(&redis, &billing, &load)];
    for kill in 0..200 {
        let until = Instant::now() + Duration::from_millis(random.random_range(0..400));
        while Instant::now() < until {
            load.pass_time();
            load.send(20).await;
            sleep(Duration::from_millis(10)).await;
        }
        std::mem::replace(&mut running[kill % 2], start(&redis, &billing, &load)).kill();
    }
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    until_caught_up(&store, &load.ledger).await;
    let entries = everything_agrees(&store, &load.ledger).await;
    println!("{entries} entries");
    assert!(entries > 5_000);
}

#[tokio::test]
async fn totals_are_exact_though_postgresql_is_killed_thirty_times_while_charges_flow() {
    let (redis, postgres, folder, seed) = (RedisServer::redis(), PostgresServer::start(), temporary_folder(), seed());
    let (billing, mut random) = (postgres.database(), StdRng::seed_from_u64(seed));
    let mut load = Load::open(ledger(&redis.url()).await, 40, seed, folder.path()).await;
    let aggregator = start(&redis, &billing, &load);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    for _ in 0..30 {
        let until = Instant::now() + Duration::from_millis(random.random_range(0..600));
        while Instant::now() < until {
            load.pass_time();
            load.send(20).await;
            sleep(Duration::from_millis(5)).await;
        }
        postgres.kill();
        load.send(20).await;
        postgres.start_again();
    }
    until_caught_up(&store, &load.ledger).await;
    assert!(everything_agrees(&store, &load.ledger).await > 2_000);
    assert!(aggregator.get("/metrics").contains("tollgate_billing_store_up 1"));
    assert!(aggregator.stop().success());
}

#[tokio::test]
async fn a_lease_is_renewed_while_a_step_is_under_way_and_nobody_else_gets_its_partition() {
    let postgres = PostgresServer::shared();
    let billing = Billing::open(&postgres.database(), BillingSettings::default()).await.unwrap();
    let store = billing.store();
    partitions::initialize(store, 2).await.unwrap();
    let mut fences = Vec::new();
    for _ in 0..2 {
        let claim = partitions::claim(store, "one", 60_000, 2).await.unwrap().unwrap();
        fences.push((claim.partition, claim.fence));
    }
    // The first statement of a step locks its partition's row, until the step ends.
    let mut step = store.begin().await.unwrap();
    sqlx::query("UPDATE partitions SET next_sequence = next_sequence WHERE partition = 0").execute(&mut *step).await.unwrap();
    let renewed = timeout(Duration::from_secs(10), partitions::renew(store, "one", 60_000)).await.expect("it waits for the step");
    assert_eq!(renewed.unwrap(), fences, "both are still its own");
    let other = timeout(Duration::from_secs(10), partitions::claim(store, "two", 60_000, 2)).await.expect("it waits for the step");
    assert!(other.unwrap().is_none());
    step.commit().await.unwrap();
}

#[tokio::test]
async fn a_stalled_aggregator_that_wakes_up_cannot_write() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let mut load = Load::open(ledger(&redis.url()).await, 20, seed(), folder.path()).await;
    let first = start(&redis, &billing, &load);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    for round in 0..4 {
        load.send(200).await;
        until_caught_up(&store, &load.ledger).await;
        // Stalled in the middle of work.
        load.send(400).await;
        first.signal("STOP");
        load.send(200).await;
        let second = start(&redis, &billing, &load);
        until_caught_up(&store, &load.ledger).await;
        load.send(400).await;
        first.signal("CONT");
        load.pass_time();
        load.send(400).await;
        until_caught_up(&store, &load.ledger).await;
        everything_agrees(&store, &load.ledger).await;
        // One goes in good order, and the other takes over at once.
        if round % 2 == 0 { assert!(second.stop().success()) } else { second.kill() }
    }
    assert!(first.stop().success());
}

#[tokio::test]
async fn several_aggregators_share_the_partitions_and_take_over_from_the_dead() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let mut load = Load::open(ledger(&redis.url()).await, 20, seed(), folder.path()).await;
    let owners = async |count: i64, most: i64| {
        let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let sql = "SELECT owner, COUNT(*) FROM partitions WHERE owner <> '' GROUP BY owner";
            let rows = sqlx::query_as::<_, (String, i64)>(sql).fetch_all(store.store().pool()).await.unwrap();
            let shares: Vec<i64> = rows.iter().map(|(_, count)| *count).collect();
            if shares.len() as i64 == count && shares.iter().sum::<i64>() == 4 && shares.iter().all(|share| *share <= most) {
                return;
            }
            assert!(Instant::now() < deadline, "{rows:?}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let first = start(&redis, &billing, &load);
    owners(1, 4).await;
    let second = start(&redis, &billing, &load);
    owners(2, 2).await;
    let third = start(&redis, &billing, &load);
    owners(3, 2).await;
    first.kill();
    owners(2, 2).await;
    assert!(second.stop().success());
    owners(1, 4).await;
    load.send(500).await;
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    until_caught_up(&store, &load.ledger).await;
    everything_agrees(&store, &load.ledger).await;
    drop(third);
}

#[tokio::test]
async fn on_sqlite_an_aggregator_may_be_dropped_at_any_instant() {
    let (redis, folder, seed) = (RedisServer::redis(), temporary_folder(), seed());
    let mut random = StdRng::seed_from_u64(seed);
    let mut load = Load::open(ledger(&redis.url()).await, 20, seed, folder.path()).await;
    let url = sqlite_url(&folder.path().join("billing.db"));
    let store = Billing::open(&url, BillingSettings::default()).await.unwrap();
    let options = AggregatorOptions { lease: Duration::from_millis(10), journal_tail: u64::MAX, ..AggregatorOptions::default() };
    for _ in 0..300 {
        let billing = Billing::open(&url, BillingSettings::default()).await.unwrap();
        let (_stop, stopped) = watch::channel(false);
        // A runtime of its own, so that all its tasks are dropped with it, wherever they are.
        let (ledger, life) = (redis.url(), Duration::from_micros(random.random_range(0..60_000)));
        let aborted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(async {
                let ledger = crate::aggregation::load::ledger(&ledger).await;
                tokio::time::timeout(life, Runner::new(ledger, billing, options).run(stopped)).await
            });
            runtime.shutdown_background();
        });
        load.pass_time();
        load.send(20).await;
        tokio::task::spawn_blocking(move || aborted.join().unwrap()).await.unwrap();
    }
    let (stop, stopped) = watch::channel(false);
    let billing = Billing::open(&url, BillingSettings::default()).await.unwrap();
    let last = tokio::spawn(Runner::new(load.ledger.clone(), billing, options).run(stopped));
    until_caught_up(&store, &load.ledger).await;
    stop.send_replace(true);
    last.await.unwrap().unwrap();
    let entries = everything_agrees(&store, &load.ledger).await;
    println!("{entries} entries");
}
