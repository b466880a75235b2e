//! The engines are one: random commands have the same answers, accounts, reservations and journal on the pure rules, on SQLite, on
//! Redis and on Valkey, one by one and in batches of every size; and the invariants hold after every step.
//!
//! A failing sequence is shrunk, printed, and kept in `regressions.txt`.

mod bounds;
mod commands;
mod finished;
mod invariants;
mod migrated;
mod reference;
mod tables;
mod torn;

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use tollgate::clock::Clock;
use tollgate::ledger::embedded::EmbeddedEngine;
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Block, Engine, MAX_BATCH, Opening, PreparedCommand, Purpose, StoreSettings, Trimmer};

use crate::support::{RedisServer, temporary_folder, unique_name};
use commands::{Event, START, events};
use reference::{Instant, Reference, Snapshot};

/// How long request ids are remembered in these tests: short, so that they are forgotten within a sequence.
pub const WINDOW: i64 = 3_600_000;

fn settings() -> StoreSettings {
    StoreSettings { partitions: 1, billing_time_zone: "UTC".into(), window: WINDOW }
}

fn runner(name: &'static str, cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        max_shrink_iters: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(name))),
        ..Config::default()
    })
}

/// Runs the same instants on an engine, in batches of the given sizes, and compares everything. Returns what was dropped of its journal.
async fn compare(engine: &dyn Engine, clock: &Clock, reference: &[Instant], sizes: &[usize], name: &str) -> Vec<Block> {
    let (mut sizes, mut dropped) = (sizes.iter().copied().cycle(), Vec::new());
    for (number, instant) in reference.iter().enumerate() {
        clock.set(instant.now);
        if instant.is_swept {
            assert!(!engine.sweep(0).await.unwrap_or_else(|error| panic!("{name}, instant {number}: {error}")));
        }
        if let Some(below) = instant.trimmed_below {
            let before = engine.blocks_after(0, 0, 1_000_000).await.unwrap();
            while engine.trim(0, below, Trimmer::Reader).await.unwrap_or_else(|error| panic!("{name}, instant {number}: {error}")) {}
            let after = engine.blocks_after(0, 0, 1_000_000).await.unwrap();
            dropped.extend_from_slice(&before[..before.len() - after.len()]);
        }
        let mut rest = &instant.commands[..];
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(sizes.next().unwrap()).min(MAX_BATCH));
            rest = after;
            let batch: Arc<[PreparedCommand]> = batch.into();
            let answer = engine.apply(0, batch).await.unwrap_or_else(|error| panic!("{name}, instant {number}: {error}"));
            answers.extend(answer.answers.read().unwrap_or_else(|error| panic!("{name}, instant {number}: {error}")));
        }
        for (at, (answer, expected)) in answers.iter().zip(&instant.answers).enumerate() {
            assert_eq!(answer, expected, "{name}: the answer to {:#?}", instant.commands[at]);
        }
        assert_eq!(answers.len(), instant.answers.len());
    }
    engine.sweep(0).await.unwrap();
    let expected = &reference.last().unwrap().snapshot;
    assert_eq!(&Snapshot::of(engine, &dropped).await, expected.as_ref().unwrap(), "{name}");
    dropped
}

fn run_everywhere(server: &RedisServer, name: &str, events: &[Event], sizes: &[usize]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reference = Reference::run(events).await;
        if reference.is_empty() {
            return;
        }
        let clock = || Clock::manual(START, TimeZone::UTC);

        let folder = temporary_folder();
        let (path, embedded_clock) = (folder.path().join("ledger.db"), clock());
        let embedded =
            EmbeddedEngine::open(&path, &settings(), Opening::Creating(Purpose::Charging), embedded_clock.clone(), Watchers::default())
                .unwrap();
        let dropped = compare(&embedded, &embedded_clock, &reference, sizes, "embedded").await;
        drop(embedded);
        // What was stored is what was answered: read again from disk, everything is the same.
        let opening = Opening::Creating(Purpose::Charging);
        let reopened = EmbeddedEngine::open(&path, &settings(), opening, embedded_clock.clone(), Watchers::default()).unwrap();
        assert_eq!(&Snapshot::of(&reopened, &dropped).await, reference.last().unwrap().snapshot.as_ref().unwrap(), "embedded, reopened");
        trim_keeps_what_it_should(&reopened).await;

        let redis_clock = clock();
        let options = RedisOptions {
            url: server.url(),
            tls: Default::default(),
            store_name: unique_name(),
            response_timeout: std::time::Duration::from_secs(30),
            busy_poll: Default::default(),
            durability: platform::durability::Durability::Engine,
            durability_timeout: std::time::Duration::from_millis(300),
        };
        let engine = crate::support::connect(options, settings(), redis_clock.clone()).await.unwrap();
        let work = tokio::spawn(engine.work());
        compare(&engine, &redis_clock, &reference, sizes, name).await;
        trim_keeps_what_it_should(&engine).await;
        work.abort();
        server.command(&["FLUSHALL"]);
    });
}

/// Trimming drops nothing at or above the sequence, and keeps one block below it.
async fn trim_keeps_what_it_should(engine: &dyn Engine) {
    let blocks = engine.blocks_after(0, 0, 1_000_000).await.unwrap();
    let Some(middle) = blocks.get(blocks.len() / 2).map(|block| block.first_sequence + 1) else { return };
    engine.trim(0, middle, Trimmer::Stranger).await.unwrap();
    let expected = blocks.get(blocks.len() / 2..).unwrap();
    assert_eq!(engine.blocks_after(0, 0, 1_000_000).await.unwrap(), expected);
    let span = engine.journal_span(0).await.unwrap();
    assert_eq!((span.first, span.next), (expected[0].first_sequence, blocks.last().unwrap().end()));
    engine.trim(0, span.next, Trimmer::Stranger).await.unwrap();
    assert_eq!(engine.blocks_after(0, 0, 1_000_000).await.unwrap(), blocks[blocks.len() - 1..]);
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        Just(vec![MAX_BATCH]),
        proptest::collection::vec(1_usize..8, 1..6),
        proptest::collection::vec(1_usize..200, 1..6),
    ]
}

#[allow(clippy::disallowed_methods, reason = "how long to search is the environment's to say")]
fn cases(default: u32) -> u32 {
    std::env::var("TOLLGATE_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

#[test]
fn a_hundred_thousand_commands_are_decided_alike_on_the_rules_on_sqlite_and_on_redis() {
    let server = RedisServer::redis();
    runner(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/engines/regressions.txt"), cases(400))
        .run(&(events(250..400), sizes()), |(events, sizes)| {
            run_everywhere(&server, "Redis", &events, &sizes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{}", reference::statistics());
    if cases(400) >= 400 {
        assert_eq!(reference::refusals_not_met(), [""; 0], "the sequences are wide enough to meet every refusal");
        assert!(reference::dropped() > 1_000, "and to refund what was refunded so long ago that it was dropped");
    }
}

#[test]
fn commands_are_decided_alike_on_the_rules_and_on_valkey() {
    let server = RedisServer::valkey();
    runner(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/engines/regressions.txt"), cases(40))
        .run(&(events(250..400), sizes()), |(events, sizes)| {
            run_everywhere(&server, "Valkey", &events, &sizes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
