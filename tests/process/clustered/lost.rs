//! A failover, or a server that returns with an older file, loses what was acknowledged: that is found, counted, and applied again once.

use std::path::Path;
use std::time::Duration;

use tollgate::grpc::v1::{DebitRequest, PaymentMode, Usage};
use tollgate::ledger::prepared_command::partition_of;
use tollgate::ledger::redis::keys::PartitionKeys;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{PARTITIONS, accounts, assert_charged, charge, is_to_be_repeated, metric, serve_with, slot};
use crate::cluster::Cluster;
use crate::command::{Ended, Operator};
use crate::identity::http;
use crate::service::{Client, Service, debit, until};
use crate::support::valkey;

/// How many charges are lost.
const LOST: usize = 20;

/// How many of them their client repeats before an operator does.
const REPEATED: usize = 5;

fn lost(number: usize) -> String {
    format!("lost-{number}")
}

/// Looks at the ledger alone: there is no billing store that could know of anything.
fn reconcile(url: &str, words: &[&str]) -> Ended {
    let partitions = PARTITIONS.to_string();
    Operator::nowhere().run_words(&[&["reconcile", "--redis", url, "--partitions", &partitions, "--billing", "off"], words].concat())
}

/// Whether commands are decided in all partitions, and nothing is lost.
async fn are_partitions_well(service: &Service) -> bool {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: "tollgate.partitions".into() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status == 1
}

async fn get_credit(client: &Client, account: &str) -> Result<(), tonic::Status> {
    let request = tollgate::grpc::v1::GetUsableCreditRequest { account_id: account.into() };
    client.charging.clone().get_usable_credit(request).await.map(drop)
}

async fn replayed(client: &mut Client, request: DebitRequest) -> bool {
    client.charging.debit(request).await.unwrap().into_inner().replayed
}

/// What must follow once the store has lost [`LOST`] charges of an account of partition 0, which had one charge before.
async fn assert_found_and_applied_again(service: &Service, url: &str, client: &mut Client, account: &str) {
    let counted = format!("tollgate_acknowledged_lost_entries_total{{partition=\"0\"}} {LOST}");
    until("the loss is counted", async || metric(service, &counted).await.then_some(())).await;
    assert!(metric(service, "tollgate_partition_lost{partition=\"0\"} 1").await);
    let told = || service.log().iter().filter(|line| line.contains("the store has lost entries that were acknowledged")).count();
    until("the log tells of it", async || (told() > 0).then_some(())).await;
    assert_eq!(told(), 1, "{:#?}", service.log());
    let warning = "partition 0 has lost entries ";
    until("health tells of it", async || http(service.metrics, "/healthz").await.contains(warning).then_some(())).await;
    until("a partition is not well", async || (!are_partitions_well(service).await).then_some(())).await;
    until("it is connected again", async || get_credit(client, account).await.is_ok().then_some(())).await;
    assert_charged(client, account, 1).await;

    // Charging goes on; a client that repeats what is lost is charged, once.
    for number in 0..REPEATED {
        let repeated = until("it is charged", async || client.charging.clone().debit(debit(account, &lost(number), "1")).await.ok()).await;
        assert!(!repeated.into_inner().replayed);
    }
    // Others learn of it, too.
    let other = serve_with(url, &[]);
    until("another process tells of it", async || http(other.metrics, "/healthz").await.contains("partition 0 has lost").then_some(()))
        .await;

    let shown = reconcile(url, &[]);
    let text = format!("partition 0: {LOST} entries were acknowledged, and the ledger has lost them");
    assert!(shown.status.code() == Some(1) && shown.output.contains(&text) && shown.output.contains(&lost(0)), "{shown:?}");
    let done = reconcile(url, &["--reapply", "--actor", "eve", "--reason", "failover"]);
    assert!(done.status.success(), "{done:?}");
    let lines = |outcome: &str| done.output.lines().filter(|line| line.trim_end_matches([' ', '│']).ends_with(outcome)).count();
    assert_eq!((lines(" applied already"), lines(" applied")), (REPEATED, LOST - REPEATED), "{done:?}");
    assert_charged(client, account, 1 + LOST).await;
    // A repetition that comes later is known as one.
    for number in 0..LOST {
        assert!(replayed(client, debit(account, &lost(number), "1")).await, "{number}");
    }
    assert_charged(client, account, 1 + LOST).await;
    until("all is well again", async || {
        let is_well = are_partitions_well(service).await && are_partitions_well(&other).await;
        (is_well && metric(service, "tollgate_partition_lost{partition=\"0\"} 0").await).then_some(())
    })
    .await;
    let again = reconcile(url, &[]);
    assert!(again.status.success() && !again.output.contains("lost"), "{again:?}");
}

/// Has a primary lose [`LOST`] charges by a failover to its replica, which is what that takes over with.
async fn fail_over(cluster: &mut Cluster, client: &mut Client, account: &str, settings: &[&str]) -> usize {
    charge(client, account, "kept").await;
    let primary = cluster.owner(slot(0));
    let replica = cluster.replicas_of(primary)[0];
    if !settings.is_empty() {
        cluster.command(replica, &[&["CONFIG", "SET"], settings].concat());
    }
    cluster.wait_until_replicated(primary);
    // What is written from now on stays with the primary.
    cluster.signal(replica, "STOP");
    cluster.command(primary, &["CLIENT", "KILL", "TYPE", "replica"]);
    for number in 0..LOST {
        assert_eq!(charge(client, account, &lost(number)).await, 0);
    }
    assert_charged(client, account, 1 + LOST).await;
    cluster.kill(primary);
    cluster.signal(replica, "CONT");
    until("the replica has taken over", async || cluster.is_primary(replica).then_some(())).await;
    replica
}

async fn assert_failover_found(start: fn(usize, usize) -> Cluster) {
    let mut cluster = tokio::task::spawn_blocking(move || start(3, 1)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    fail_over(&mut cluster, &mut client, &account, &[]).await;
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_primary_without_replicas_refuses_to_keep_aside_is_told_and_kept_once_it_writes_again() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 1)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    let primary = fail_over(&mut cluster, &mut client, &account, &["min-replicas-to-write", "1"]).await;
    let refused = || service.log().iter().any(|line| line.contains("what was lost cannot be kept aside yet"));
    until("it is refused", async || refused().then_some(())).await;
    let counted = format!("tollgate_acknowledged_lost_entries_total{{partition=\"0\"}} {LOST}");
    until("the loss is counted", async || metric(&service, &counted).await.then_some(())).await;
    assert!(metric(&service, "tollgate_partition_lost{partition=\"0\"} 1").await);
    cluster.command(primary, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_of_a_cluster_has_lost_that_returns_with_an_older_file_is_found_counted_and_applied_again_once() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 0)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    let primary = cluster.owner(slot(0));
    cluster.command(primary, &["SAVE"]);
    for number in 0..LOST {
        assert_eq!(charge(&mut client, &account, &lost(number)).await, 0);
    }
    cluster.kill(primary);
    cluster.start_again(primary);
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_aside_is_proved_as_what_is_acknowledged() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 1)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s", "--durability", "replicas:1", "--durability-timeout", "1s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    let primary = cluster.owner(slot(0));
    let replica = cluster.replicas_of(primary)[0];
    cluster.command(primary, &["SAVE"]);
    for number in 0..LOST {
        charge(&mut client, &account, &lost(number)).await;
    }
    // Both are gone, and the one that returns has an older file.
    cluster.kill(replica);
    cluster.kill(primary);
    cluster.start_again(primary);
    let line = "what was lost cannot be kept aside yet";
    until("it is not kept", async || service.log().iter().any(|told| told.contains(line)).then_some(())).await;
    let told: Vec<_> = service.log().into_iter().filter(|told| told.contains(line)).collect();
    assert!(told.len() == 1 && told[0].contains("0 of 1 replicas have it"), "{told:#?}");
    assert!(metric(&service, "tollgate_partition_lost{partition=\"0\"} 1").await);
    cluster.start_again(replica);
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slot_has_lost_that_comes_to_a_server_which_is_connected_to_already_is_found_counted_and_applied_again_once() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    // Both servers have partitions, so both are connected to.
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    let to = 1 - cluster.owner(slot(0));
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.copy_slot(slot(0), to);
        cluster
    })
    .await
    .unwrap();
    for number in 0..LOST {
        assert_eq!(charge(&mut client, &account, &lost(number)).await, 0);
    }
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.take_slot_over(slot(0), to);
        cluster
    })
    .await
    .unwrap();
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_has_lost_that_a_slot_is_on_its_way_to_is_found_before_anything_is_written_there() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap();
    let url = cluster.url();
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    let to = 1 - cluster.owner(slot(0));
    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.move_keys(slot(0), to, Duration::ZERO);
        cluster.command(to, &["SAVE"]);
        cluster
    })
    .await
    .unwrap();
    // Each of them is asked of the server that the slot is on its way to.
    for number in 0..LOST {
        charge(&mut client, &account, &lost(number)).await;
    }
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.kill(to);
        cluster.start_again(to);
        cluster
    })
    .await
    .unwrap();
    // A write would hide what is lost.
    let counted = format!("tollgate_acknowledged_lost_entries_total{{partition=\"0\"}} {LOST}");
    until("the loss is counted", async || {
        let refused = client.charging.clone().debit(debit(&account, "refused", "1")).await.expect_err("it was written");
        assert!(is_to_be_repeated(&refused), "{refused:?}");
        metric(&service, &counted).await.then_some(())
    })
    .await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.take_slot_over(slot(0), to);
        cluster
    })
    .await
    .unwrap();
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_of_redis_has_lost_is_found_counted_and_applied_again_once() {
    assert_failover_found(Cluster::redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_of_valkey_has_lost_is_found_counted_and_applied_again_once() {
    assert_failover_found(Cluster::valkey).await;
}

async fn assert_older_file_found(binary: &Path) {
    let binary = binary.to_owned();
    let mut server = tokio::task::spawn_blocking(move || Cluster::alone_on(&binary)).await.unwrap();
    let url = server.url_of(0);
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    server.command(0, &["SAVE"]);
    for number in 0..LOST {
        assert_eq!(charge(&mut client, &account, &lost(number)).await, 0);
    }
    server.kill(0);
    server.start_again(0);
    assert_found_and_applied_again(&service, &url, &mut client, &account).await;
}

/// As many partitions as a store may have: the fewest blocks are kept of each.
const MOST_PARTITIONS: u16 = 1_024;

/// Of so many partitions, a thread knows this many acknowledged blocks of each, and has 32 KiB of their contents.
const KNOWN: usize = 128;

#[tokio::test(flavor = "multi_thread")]
async fn of_more_than_a_thread_keeps_what_it_has_is_applied_again_and_the_rest_stays_told_until_it_is_given_up() {
    const CHARGES: usize = KNOWN + 40;
    let partitions = MOST_PARTITIONS.to_string();
    let mut server = tokio::task::spawn_blocking(|| Cluster::alone_on(Path::new("redis-server"))).await.unwrap();
    let url = server.url_of(0);
    let settings = ["--redis", &url, "--partitions", &partitions, "--lanes", "1", "--redis-timeout", "10s"];
    let service = Service::start(&settings, &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000000").await;
    let partition = partition_of("acme", MOST_PARTITIONS);
    // Of such a size that contents are kept of more blocks than are put aside at once, and not of all.
    let charge = |number: usize| {
        let usage = Usage { description: "x".repeat(250), ..Default::default() };
        DebitRequest { usage: Some(usage), ..debit("acme", &lost(number), "1") }
    };
    server.command(0, &["SAVE"]);
    for number in 0..CHARGES {
        client.charging.debit(charge(number)).await.unwrap();
    }
    server.kill(0);
    server.start_again(0);
    let counted = format!("tollgate_acknowledged_lost_entries_total{{partition=\"{partition}\"}} {KNOWN}");
    until("what is known to be lost is counted", async || metric(&service, &counted).await.then_some(())).await;
    let key = PartitionKeys::new("tollgate", partition, MOST_PARTITIONS).lost();
    let aside = until("it is kept aside", async || {
        let aside: usize = server.command(0, &["HLEN", &key]).trim().parse().unwrap();
        (aside > 0).then_some(aside)
    })
    .await;
    // One stands for all whose contents are gone.
    let (kept, gone) = (aside - 1, KNOWN + 1 - aside);
    assert!((65..KNOWN - 10).contains(&kept), "{kept} are kept");

    let reconcile = |words: &[&str]| {
        let all = [&["reconcile", "--redis", &url, "--partitions", &partitions, "--billing", "off"], words].concat();
        Operator::nowhere().run_words(&all)
    };
    let by = ["--actor", "eve", "--reason", "older file"];
    let done = reconcile(&[&["--reapply"], &by[..]].concat());
    assert_eq!(done.status.code(), Some(1), "{gone} are known by their callers only: {done:?}");
    assert!((client.credit("acme").await.balance, kept) == (format!("{}.00", 1_000_000 - kept), kept), "{kept} are applied");
    assert_eq!(server.command(0, &["HLEN", &key]).trim(), "1");
    assert!(metric(&service, &format!("tollgate_partition_lost{{partition=\"{partition}\"}} 1")).await);
    // Whatever is repeated is done once.
    for number in 0..CHARGES {
        let replayed = client.charging.debit(charge(number)).await.unwrap().into_inner().replayed;
        assert_eq!(replayed, number >= CHARGES - kept, "{number}");
    }
    assert_eq!(client.credit("acme").await.balance, format!("{}.00", 1_000_000 - CHARGES));
    let done = reconcile(&[&["--accept-loss"], &by[..]].concat());
    assert!(done.status.success(), "{done:?}");
    let well = format!("tollgate_partition_lost{{partition=\"{partition}\"}} 0");
    until("the alarm is off", async || metric(&service, &well).await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_redis_has_lost_that_returns_with_an_older_file_is_found_counted_and_applied_again_once() {
    assert_older_file_found(Path::new("redis-server")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_valkey_has_lost_that_returns_with_an_older_file_is_found_counted_and_applied_again_once() {
    assert_older_file_found(&valkey()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_returns_with_all_has_lost_nothing_and_what_is_given_up_is_shown_no_more() {
    let mut server = tokio::task::spawn_blocking(|| Cluster::alone_on(Path::new("redis-server"))).await.unwrap();
    let url = server.url_of(0);
    let service = serve_with(&url, &["--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "kept").await;
    // Another process has written behind it, too.
    let other = serve_with(&url, &["--redis-timeout", "5s"]);
    charge(&mut other.client().await, &account, "other").await;
    server.command(0, &["SAVE"]);
    server.kill(0);
    server.start_again(0);
    charge(&mut client, &account, "behind").await;
    assert!(metric(&service, "tollgate_acknowledged_lost_entries_total{partition=\"0\"} 0").await);
    assert!(reconcile(&url, &[]).status.success());

    server.kill(0);
    server.start_again(0);
    until("the loss is counted", async || {
        metric(&service, "tollgate_acknowledged_lost_entries_total{partition=\"0\"} 1").await.then_some(())
    })
    .await;
    let done = reconcile(&url, &["--accept-loss", "--actor", "eve", "--reason", "refunded"]);
    assert!(done.status.success() && done.output.contains("partition 0: what was lost is given up"), "{done:?}");
    assert!(reconcile(&url, &[]).status.success());
    assert_charged(&mut client, &account, 2).await;
}
