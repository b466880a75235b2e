//! Everything is broken on purpose, and nothing may be lost or done twice: servers, an aggregator, Redis, PostgreSQL and a mail server as
//! real processes, callers that keep a record, a checker that decides from records and stores.
//!
//! `TOLLGATE_FAULTS_MINUTES` has primaries with two replicas each die one after another, for so long.
//!
//! A seed decides what goes wrong and when; it is printed, with the script that was made from it. `TOLLGATE_FAULTS_SEED` repeats one,
//! `TOLLGATE_FAULTS_SCRIPT` names a file with a script to run, `TOLLGATE_FAULTS_SECONDS` makes it last so long, run after run, with new seeds,
//! and `TOLLGATE_FAULTS_SHRINK=1` has a script that fails made shorter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;

mod checker;
mod client;
mod cluster_faults;
mod collect;
mod inject;
mod load;
mod network;
mod process;
mod proxy;
mod run;
mod script;
mod wire;
mod world;

use std::io::Write;
use std::time::{Duration, Instant};

use run::{Report, run};
use script::{Script, shortest};
use support::{temporary_folder, unique_name};
use world::Store;

/// How long one run of the long form takes, in milliseconds.
const RUN: u64 = 60_000;

fn given(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.into_string().unwrap())
}

fn number(name: &str) -> Option<u64> {
    given(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// For how long primaries of a cluster die one after another, in minutes.
fn minutes() -> Option<u64> {
    number("TOLLGATE_FAULTS_MINUTES")
}

/// Prints the summary of a long run straight to stderr: the test harness hides the output of tests that pass.
fn tell(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Runs a script; if it fails, says so, and makes it shorter if that is wanted.
async fn run_and_shrink(store: Store, script: &Script) -> Report {
    let report = run(store, script).await;
    if !report.findings.is_empty() && given("TOLLGATE_FAULTS_SHRINK").is_some() {
        let events = shortest(&script.events, async |events: &[script::Event]| {
            let shorter = Script { seed: script.seed, events: events.to_vec() };
            !run(store, &shorter).await.findings.is_empty()
        })
        .await;
        println!("this is enough to fail:\n{}", Script { seed: script.seed, events });
    }
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_each_acknowledged_effect_is_there_once() {
    everything_breaks(Store::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_each_acknowledged_effect_is_there_once_on_valkey() {
    everything_breaks(Store::Valkey).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_of_a_cluster_each_acknowledged_effect_is_there_once() {
    everything_breaks(Store::RedisCluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_of_a_cluster_of_valkey_each_acknowledged_effect_is_there_once() {
    everything_breaks(Store::ValkeyCluster).await;
}

async fn everything_breaks(store: Store) {
    if let Some(path) = given("TOLLGATE_FAULTS_SCRIPT") {
        let script = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let report = run_and_shrink(store, &script).await;
        assert!(report.findings.is_empty(), "{report}");
        return;
    }
    let seed = number("TOLLGATE_FAULTS_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    if let Some(minutes) = minutes() {
        assert!(store.is_cluster(), "TOLLGATE_FAULTS_MINUTES is for a cluster: say which tests are to run");
        let report = run_and_shrink(store, &Script::primaries_die(seed, minutes)).await;
        tell(format_args!("seed {seed}: {report}"));
        assert!(report.findings.is_empty(), "seed {seed}: {report}");
        assert!(report.elsewhere.is_empty(), "seed {seed}: callers of partitions that lost no primary were told of it");
        return;
    }
    let Some(seconds) = number("TOLLGATE_FAULTS_SECONDS") else {
        // The short form: each kind once, and some more.
        let script = Script::each_kind_once(seed, &store.kinds());
        let report = run_and_shrink(store, &script).await;
        let missing: Vec<_> = store.kinds().into_iter().filter(|kind| !report.injected.contains_key(kind)).collect();
        assert!(missing.is_empty(), "these kinds of fault did not occur: {missing:?}");
        assert!(report.findings.is_empty(), "seed {seed}: {report}");
        assert!(report.acknowledged > 500 && report.declined > 10 && report.unclear > 10, "too little was done: {report}");
        return;
    };
    let (until, mut total, mut failed) = (Instant::now() + Duration::from_secs(seconds), Report::default(), Vec::new());
    for seed in seed.. {
        if Instant::now() > until {
            break;
        }
        let report = run_and_shrink(store, &Script::from_seed(seed, &store.kinds(), RUN)).await;
        if !report.findings.is_empty() {
            failed.push(seed);
        }
        total.add(report);
        tell(format_args!("up to seed {seed}, all together:\n{total}"));
    }
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}
