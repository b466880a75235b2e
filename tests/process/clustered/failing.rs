//! What fails: its partitions say so at once and are exact afterwards, and the others do not notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tonic_types::StatusExt;

use super::{IMPATIENCE, PARTITIONS, accounts, assert_charged, charge, metric, serve_impatient, slot};
use crate::cluster::Cluster;
use crate::identity::http;
use crate::service::{Client, PATIENCE, Service, debit, until};

/// The partitions of a node, and all others.
fn shares(cluster: &Cluster, node: usize) -> (Vec<u16>, Vec<u16>) {
    (0..PARTITIONS).partition(|partition| cluster.owner(slot(*partition)) == node)
}

/// Charges accounts in turn for so long; each must be charged at once.
async fn unaffected(client: &mut Client, accounts: &BTreeMap<u16, String>, partitions: &[u16], round: &str, time: Duration) -> usize {
    let until = Instant::now() + time;
    let mut rounds = 0;
    while Instant::now() < until {
        rounds += 1;
        for partition in partitions {
            let account = &accounts[partition];
            let begun = Instant::now();
            let charged = client.charging.debit(debit(account, &format!("{round}-{rounds}"), "1")).await;
            charged.unwrap_or_else(|status| panic!("{account}: {status:?}"));
            assert!(begun.elapsed() < IMPATIENCE, "{account} took {:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rounds
}

#[tokio::test]
async fn a_primary_that_is_killed_takes_only_its_partitions_with_it_until_its_replica_has_taken_over() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 1)).await.unwrap();
    let service = serve_impatient(&cluster.url());
    let mut client = service.client().await;
    let accounts = accounts(&mut client).await;
    let killed = cluster.owner(slot(0));
    let (lost, others) = shares(&cluster, killed);
    for account in accounts.values() {
        assert_eq!(charge(&mut client, account, "before").await, 0);
    }
    // What a replica does not have yet would be lost with the primary: that is another test's.
    until("the replica has all", async || {
        let info = cluster.command(killed, &["INFO", "replication"]);
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned();
        let offset = field("master_repl_offset:");
        field("slave0:").contains(&format!("offset={offset},")).then_some(())
    })
    .await;
    cluster.kill(killed);
    // At once, not after a time-out: nothing waits for a server that is away.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let begun = Instant::now();
        let refused = client.charging.debit(debit(&accounts[&lost[0]], "during", "1")).await;
        let reason = refused.map_or_else(|status| status.get_details_error_info().unwrap().reason, |_| "done".into());
        if reason == "STORE_UNAVAILABLE" && begun.elapsed() < Duration::from_millis(500) {
            break;
        }
        assert!(Instant::now() < deadline, "{reason}");
    }
    let rounds = unaffected(&mut client, &accounts, &others, "during", Duration::from_secs(2)).await;
    until("the metrics say so", async || {
        metric(&service, &format!("tollgate_partition_up{{partition=\"{}\"}} 0", lost[0])).await.then_some(())
    })
    .await;
    assert!(metric(&service, &format!("tollgate_partition_up{{partition=\"{}\"}} 1", others[0])).await);
    assert!(metric(&service, "tollgate_store_up 1").await);
    for partition in &lost {
        let account = &accounts[partition];
        charge(&mut client, account, "before").await;
        charge(&mut client, account, "during").await;
        assert_charged(&mut client, account, 2).await;
    }
    for partition in &others {
        assert_charged(&mut client, &accounts[partition], 1 + rounds).await;
    }
}

#[tokio::test]
async fn a_primary_that_stands_still_holds_up_nobody_elses_partitions() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::valkey(3, 0)).await.unwrap();
    let service = serve_impatient(&cluster.url());
    let mut client = service.client().await;
    let accounts = accounts(&mut client).await;
    let still = cluster.owner(slot(0));
    let (lost, others) = shares(&cluster, still);
    cluster.signal(still, "STOP");
    let mut waiting = service.client().await;
    let asked = debit(&accounts[&lost[0]], "during", "1");
    let told = tokio::spawn(async move { waiting.charging.debit(asked).await });
    unaffected(&mut client, &accounts, &others, "during", IMPATIENCE + Duration::from_secs(1)).await;
    let told = told.await.unwrap().unwrap_err();
    assert!(["OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"].contains(&told.get_details_error_info().unwrap().reason.as_str()), "{told:?}");
    cluster.signal(still, "CONT");
    charge(&mut client, &accounts[&lost[0]], "during").await;
    assert_charged(&mut client, &accounts[&lost[0]], 1).await;
}

#[tokio::test]
async fn a_service_starts_while_a_primary_is_away_and_serves_what_is_there() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 0)).await.unwrap();
    let service = serve_impatient(&cluster.url());
    let accounts = accounts(&mut service.client().await).await;
    assert!(service.stopped().await.success());
    // The one that has the store's own key: the partitions' copies say what it says.
    let away = cluster.owner(cluster.slot_of("tollgate:settings"));
    let (lost, others) = shares(&cluster, away);
    cluster.kill(away);
    let service = serve_impatient(&cluster.url());
    let mut client = service.client().await;
    for partition in &others {
        assert_eq!(charge(&mut client, &accounts[partition], "without").await, 0);
    }
    let refused = client.charging.debit(debit(&accounts[&lost[0]], "none", "1")).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().reason, "STORE_UNAVAILABLE");
}

#[tokio::test]
async fn a_start_waits_for_a_silent_server_once_and_not_for_each_of_its_partitions() {
    let cluster = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::valkey(3, 0);
        // The server that has the first partitions has the store's own key, too.
        cluster.migrate_slot(cluster.slot_of("tollgate:settings"), 0);
        cluster
    })
    .await
    .unwrap();
    let url = cluster.url();
    let start = || Service::start(&["--redis", &url, "--partitions", "64", "--redis-timeout", "2s"], &[]);
    assert!(start().stopped().await.success());
    cluster.signal(0, "STOP");
    let service = start();
    // Of 64 equal shares of the slots, 22 begin in the first third.
    until("the others' partitions are up", async || {
        let shown = http(service.metrics, "/metrics").await;
        let up = shown.lines().filter(|line| line.starts_with("tollgate_partition_up{") && line.ends_with(" 1")).count();
        (up >= 42).then_some(())
    })
    .await;
    cluster.signal(0, "CONT");
}
