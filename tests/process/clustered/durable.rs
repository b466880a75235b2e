//! What an acknowledgement promises is proved, again for each repetition; and servers that cannot prove it are refused.

use tonic_types::StatusExt;

use super::{accounts, assert_charged, charge, serve_with, slot};
use crate::cluster::Cluster;
use crate::command::Operator;
use crate::identity::http;
use crate::service::{Client, Service, debit, until};
use crate::support::valkey;

const PROVED: [&str; 6] = ["--durability", "replicas:1", "--durability-timeout", "1s", "--redis-timeout", "5s"];

/// Why a charge of 1 is not acknowledged; empty if it is.
async fn refusal(client: &Client, account: &str, id: &str) -> String {
    let charged = client.charging.clone().debit(debit(account, id, "1")).await;
    charged.map_or_else(|status| status.get_details_error_info().unwrap().reason, |_| String::new())
}

/// What was decided and not proved: a repetition proves nothing new, on this connection or on a new one.
async fn assert_repetitions_prove_nothing(cluster: &Cluster, client: &Client, account: &str) {
    assert_eq!(refusal(client, account, "short").await, "DURABILITY_UNKNOWN");
    assert_eq!(refusal(client, account, "proved").await, "DURABILITY_UNKNOWN");
    cluster.command(0, &["CLIENT", "KILL", "TYPE", "normal"]);
    until("a new connection does not prove it either", async || {
        let reason = refusal(client, account, "short").await;
        assert!(["DURABILITY_UNKNOWN", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&reason.as_str()), "{reason:?}");
        (reason == "DURABILITY_UNKNOWN").then_some(())
    })
    .await;
}

async fn assert_proved(start: fn(usize, usize) -> Cluster) {
    let cluster = tokio::task::spawn_blocking(move || start(1, 1)).await.unwrap();
    let service = serve_with(&cluster.url(), &PROVED);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "proved").await;
    cluster.signal(1, "STOP");
    assert_eq!(refusal(&client, &account, "short").await, "DURABILITY_UNKNOWN");
    assert_repetitions_prove_nothing(&cluster, &client, &account).await;
    // A reader is shown what is there.
    assert_charged(&mut client, &account, 2).await;
    let shown = http(service.metrics, "/metrics").await;
    let short: f64 = shown.lines().find_map(|line| line.strip_prefix("tollgate_durability_short_total ")).unwrap().parse().unwrap();
    assert!(short >= 4.0, "{short}");
    cluster.signal(1, "CONT");
    charge(&mut client, &account, "short").await;
    assert_charged(&mut client, &account, 2).await;
}

#[tokio::test]
async fn what_the_replica_of_redis_does_not_have_is_not_acknowledged_however_often_it_is_repeated() {
    assert_proved(Cluster::redis).await;
}

#[tokio::test]
async fn what_the_replica_of_valkey_does_not_have_is_not_acknowledged_however_often_it_is_repeated() {
    assert_proved(Cluster::valkey).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_primary_that_dies_with_what_its_replica_has_not() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 1)).await.unwrap();
    let service = serve_with(&cluster.url(), &PROVED);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    for number in 0..20 {
        charge(&mut client, &account, &format!("kept-{number}")).await;
    }
    let primary = cluster.owner(slot(0));
    let replica = cluster.replicas_of(primary)[0];
    cluster.signal(replica, "STOP");
    assert_eq!(refusal(&client, &account, "lost").await, "DURABILITY_UNKNOWN");
    // The kernel of the replica's machine has what was sent; a link that is cut would not have brought it.
    cluster.kill(primary);
    cluster.signal(replica, "CONT");
    until("the replica has taken over", async || cluster.is_primary(replica).then_some(())).await;
    // It has no replica, so that nothing can be proved until one is back; what was acknowledged is there.
    until("the new primary answers", async || (refusal(&client, &account, "lost").await == "DURABILITY_UNKNOWN").then_some(())).await;
    assert_charged(&mut client, &account, 21).await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.start_again(primary);
        cluster
    })
    .await
    .unwrap();
    charge(&mut client, &account, "lost").await;
    assert_charged(&mut client, &account, 21).await;
    drop(cluster);
}

/// Each promises what is on the disks of the primary and of one replica, which WAITAOF says of the replica's.
const ON_DISK: [&str; 6] = ["--durability", "replicas-disk:1", "--durability-timeout", "3s", "--redis-timeout", "10s"];

fn valkey_on_disk(primaries: usize) -> Cluster {
    Cluster::start(&valkey(), primaries, 1, &["--appendonly", "yes", "--appendfsync", "always"])
}

#[tokio::test]
async fn what_is_not_on_the_disk_of_a_replica_is_not_acknowledged_however_often_it_is_repeated() {
    let cluster = tokio::task::spawn_blocking(|| valkey_on_disk(1)).await.unwrap();
    let service = serve_with(&cluster.url(), &ON_DISK);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "proved").await;
    // The replica has all, and syncs nothing.
    cluster.command(1, &["CONFIG", "SET", "appendfsync", "no"]);
    assert_eq!(refusal(&client, &account, "short").await, "DURABILITY_UNKNOWN");
    cluster.wait_until_replicated(0);
    assert_repetitions_prove_nothing(&cluster, &client, &account).await;
    assert_charged(&mut client, &account, 2).await;
    cluster.command(1, &["CONFIG", "SET", "appendfsync", "always"]);
    charge(&mut client, &account, "short").await;
    assert_charged(&mut client, &account, 2).await;
    // The primary's own disk is looked at on each new connection.
    cluster.command(0, &["CONFIG", "SET", "appendfsync", "everysec"]);
    cluster.command(0, &["CLIENT", "KILL", "TYPE", "normal"]);
    until("it is refused", async || (refusal(&client, &account, "late").await == "STORE_UNAVAILABLE").then_some(())).await;
    cluster.command(0, &["CONFIG", "SET", "appendfsync", "always"]);
    charge(&mut client, &account, "late").await;
    assert_charged(&mut client, &account, 3).await;
}

#[tokio::test]
async fn what_is_on_the_disks_of_a_primary_and_its_replica_survives_that_both_are_killed() {
    let mut cluster = tokio::task::spawn_blocking(|| valkey_on_disk(1)).await.unwrap();
    let service = serve_with(&cluster.url(), &ON_DISK);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    for number in 0..20 {
        charge(&mut client, &account, &format!("kept-{number}")).await;
    }
    cluster.kill(0);
    cluster.kill(1);
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.start_again(0);
        cluster.start_again(1);
        cluster
    })
    .await
    .unwrap();
    // Each repetition is answered by what was decided, and proved anew.
    for number in 0..20 {
        charge(&mut client, &account, &format!("kept-{number}")).await;
    }
    charge(&mut client, &account, "after").await;
    assert_charged(&mut client, &account, 21).await;
    drop(cluster);
}

#[tokio::test]
async fn servers_that_cannot_prove_what_is_to_be_promised_are_refused() {
    let server = tokio::task::spawn_blocking(Cluster::alone).await.unwrap();
    let url = server.url_of(0);
    let refused = |arguments: &str| {
        let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --metrics-listen off --billing off --create {arguments}"));
        assert!(!ended.status.success(), "{arguments}");
        ended.error
    };
    let said = refused(&format!("--redis {url} --durability replicas:1"));
    assert!(said.contains("--durability replicas:1 cannot be proved: the server has 0 replicas"), "{said}");
    let said = refused(&format!("--redis {url} --durability disk"));
    assert!(said.contains("Redis has appendonly no and appendfsync everysec"), "{said}");
    let said = refused("--durability replicas:1");
    assert!(said.contains("the embedded engine has no replicas"), "{said}");
    let said = refused(&format!("--redis {url} --durability replicas:1 --durability-timeout 1s"));
    assert!(said.contains("--durability-timeout must be below --redis-timeout"), "{said}");
    let said = refused(&format!("--redis {url} --durability replicas-disk:1"));
    assert!(said.contains("--durability replicas-disk:1 cannot be proved: the server does not know WAITAOF"), "{said}");
    assert_eq!(server.command(0, &["EXISTS", "tollgate:settings"]).trim(), "0");
    let newer = tokio::task::spawn_blocking(|| Cluster::alone_on(&valkey())).await.unwrap();
    let newer_url = newer.url_of(0);
    let said = refused(&format!("--redis {newer_url} --durability replicas-disk:1"));
    assert!(said.contains("Redis has appendonly no and appendfsync everysec"), "{said}");
    newer.command(0, &["CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"]);
    let said = refused(&format!("--redis {newer_url} --durability replicas-disk:1"));
    assert!(said.contains("--durability replicas-disk:1 cannot be proved: the server has 0 replicas"), "{said}");
    assert_eq!(newer.command(0, &["EXISTS", "tollgate:settings"]).trim(), "0");

    server.command(0, &["CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"]);
    let service = Service::start(&["--redis", &url, "--durability", "disk"], &[]);
    let mut client = service.client().await;
    client.open("acme", tollgate::grpc::v1::PaymentMode::Prepaid, "0", "10").await;
    assert_eq!(refusal(&client, "acme", "one").await, "");
    // Each new connection looks again.
    server.command(0, &["CONFIG", "SET", "appendfsync", "everysec"]);
    server.command(0, &["CLIENT", "KILL", "TYPE", "normal"]);
    until("it is refused", async || (refusal(&client, "acme", "two").await == "STORE_UNAVAILABLE").then_some(())).await;
    server.command(0, &["CONFIG", "SET", "appendfsync", "always"]);
    until("it is served again", async || refusal(&client, "acme", "two").await.is_empty().then_some(())).await;
}
