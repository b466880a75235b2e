//! Restorations into one Redis that know nothing of each other, because each has its own copy of the billing store: the one that began
//! later goes on, and nothing of the other is in its ledger.

use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate::clock::Clock;
use tollgate::domain::money::Units;
use tollgate::ledger::model::PartitionState;
use tollgate::ledger::rebuild::Rebuild;
use tollgate::ledger::redis::restore::Installation;
use tollgate::ledger::redis::{RedisLedger, RedisOptions};
use tollgate::ledger::{Ledger, Opening};

use crate::redis_store::{create, debit, ledger, options, settings, top_up};
use crate::support::RedisServer;

const ACCOUNTS: usize = 20;

fn account(number: usize) -> String {
    format!("account-{number}")
}

/// What a billing store knows of a ledger: all partitions, rebuilt from its entries so far.
async fn rebuilt(ledger: &Ledger) -> Vec<PartitionState> {
    let mut states = Vec::new();
    for partition in 0..ledger.partitions() {
        let mut rebuild = Rebuild::new(ledger.clock().clone(), settings().window);
        let blocks = ledger.engine().blocks_after(partition, 0, 1_000_000).await.unwrap();
        for (sequence, entry) in (1..).zip(blocks.iter().flat_map(|block| &block.entries)) {
            assert_eq!(rebuild.replay(sequence, entry), []);
        }
        states.push(rebuild.finish(ledger.clock().now(), [7; 16]));
    }
    states
}

async fn balances(ledger: &Ledger) -> Vec<Units> {
    let mut balances = Vec::new();
    for number in 0..ACCOUNTS {
        let id = account(number).as_str().into();
        let loaded = ledger.engine().load(ledger.partition_of(&id), vec![id]).await.unwrap();
        balances.push(loaded[0].as_ref().expect("the account is there").0.balance);
    }
    balances
}

#[tokio::test]
async fn of_two_restorations_of_one_ledger_the_later_goes_on_and_the_other_writes_nothing_more() {
    let (servers, patience) = ([RedisServer::redis(), RedisServer::redis()], Duration::from_secs(10));
    let [of_old, of_new] = [0, 1].map(|place| RedisOptions { response_timeout: patience, ..options(&servers[place]) });
    let old = ledger(&of_old).await;
    for number in 0..ACCOUNTS {
        old.submit(create(&account(number))).await.unwrap().unwrap();
        old.submit(top_up(&account(number), "top-up", 10)).await.unwrap().unwrap();
    }
    // Of two copies of the billing store, one is older.
    let (older, expected) = (rebuilt(&old).await, balances(&old).await);
    for number in 0..ACCOUNTS {
        old.submit(debit(&account(number), "debit", 1)).await.unwrap().unwrap();
    }
    let newer = rebuilt(&old).await;
    let id = old.identity().id;
    let begin = async || Installation::begin(&of_new, &settings(), id, None).await;
    let is_taken_over = |done: anyhow::Result<()>| format!("{:#}", done.unwrap_err()).contains("another restoration");

    let mut first = begin().await.unwrap();
    first.install(0, &newer[0]).await.unwrap();
    first.install(1, &newer[1]).await.unwrap();
    let mut second = begin().await.unwrap();
    second.install(0, &older[0]).await.unwrap();
    // Neither before the other has come to a partition, nor afterwards.
    for partition in [2, 0] {
        assert!(is_taken_over(first.install(partition, &newer[usize::from(partition)]).await));
    }
    for (partition, state) in (1..).zip(&older[1..]) {
        second.install(partition, state).await.unwrap();
    }
    let open = || RedisLedger::open(of_new.clone(), settings(), Opening::Existing);
    let refused = open().await.unwrap_err();
    assert!(format!("{refused:#}").contains("being restored"), "{refused:#}");
    second.finish().await.unwrap();
    assert!(is_taken_over(first.install(3, &newer[3]).await));
    assert!(is_taken_over(first.finish().await));

    open().await.unwrap().connect(Clock::running(TimeZone::UTC)).await.unwrap();
    let new = ledger(&of_new).await;
    assert_eq!(new.identity().id, id);
    assert_eq!(balances(&new).await, expected);
    assert!(new.submit(top_up(&account(0), "top-up", 10)).await.unwrap().unwrap().replayed);
    let refused = format!("{:#}", begin().await.err().unwrap());
    assert!(refused.contains("only restored into an empty store"), "{refused}");
}
