//! What health says of partitions in trouble: of each by itself, and the same at every look.

use std::path::Path;
use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{PARTITIONS, accounts, charge, serve, slot};
use crate::cluster::Cluster;
use crate::identity::http;
use crate::service::{Service, until};
use crate::support::RedisServer;
use tollgate::ledger::redis::keys::PartitionKeys;

async fn is_serving(service: &Service) -> bool {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap().into_inner().status == 1
}

/// How many partitions are up, by the metrics.
async fn up(service: &Service) -> usize {
    let shown = http(service.metrics, "/metrics").await;
    shown.lines().filter(|line| line.starts_with("tollgate_partition_up{") && line.ends_with(" 1")).count()
}

async fn until_up(service: &Service, partitions: usize) {
    until("partitions are up", async || (up(service).await == partitions && is_serving(service).await).then_some(())).await;
}

/// Waits until all are down, and sees that this is said at each look.
async fn assert_down(service: &Service) {
    until("all partitions are down", async || (up(service).await == 0 && !is_serving(service).await).then_some(())).await;
    let said_before = said_up(service);
    // Several turns of sweeps.
    for _ in 0..30 {
        assert_eq!((up(service).await, is_serving(service).await), (0, false));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(said_up(service), said_before);
}

/// How often the log says that partitions are up again.
fn said_up(service: &Service) -> usize {
    service.log().iter().filter(|line| line.contains("partitions are up again")).count()
}

#[tokio::test]
async fn trouble_that_only_sweeps_meet_stands_until_they_succeed_however_many_partitions_there_are() {
    let server = RedisServer::redis();
    let service = Service::start(&["--redis", &server.url(), "--partitions", "64"], &[]);
    until_up(&service, 64).await;
    // Reads go on, writes are refused: it has no replica.
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_down(&service).await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    until_up(&service, 64).await;
}

#[tokio::test]
async fn a_cluster_that_is_down_for_want_of_a_primary_is_said_to_be_down_until_that_is_back() {
    let whole = ["--cluster-require-full-coverage", "yes"];
    let mut cluster = tokio::task::spawn_blocking(move || Cluster::start(Path::new("redis-server"), 2, 0, &whole)).await.unwrap();
    let service = Service::start(&["--redis", &cluster.url(), "--partitions", "64"], &[]);
    until_up(&service, 64).await;
    cluster.kill(1);
    assert_down(&service).await;
    let _cluster = tokio::task::spawn_blocking(move || {
        cluster.start_again(1);
        cluster
    })
    .await
    .unwrap();
    // It has kept nothing: only the other's partitions are there again.
    until_up(&service, 32).await;
}

#[tokio::test]
async fn a_partition_of_a_cluster_that_is_ahead_of_the_clock_holds_up_no_other_nor_when_it_has_died() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap();
    let service = serve(&cluster.url());
    let accounts = accounts(&mut service.client().await).await;
    assert!(service.stopped().await.success());
    let owner = cluster.owner(slot(0));
    let keys = PartitionKeys::new("tollgate", 0, PARTITIONS);
    // The partition's time is behind version and sequence in its state.
    let ahead = "local state = redis.call('HGET', KEYS[1], '') local now = struct.unpack('<i8', string.sub(state, 13, 20)) + 3600000 \
                 redis.call('HSET', KEYS[1], '', string.sub(state, 1, 12) .. struct.pack('<i8', now) .. string.sub(state, 21)) return 'done'";
    assert_eq!(cluster.command(owner, &["EVAL", ahead, "1", keys.accounts()]).trim(), "done");
    let service = serve(&cluster.url());
    let health = async || http(service.metrics, "/healthz").await;
    until("the warning", async || health().await.contains("warning: the time of partition 0 is 3").then_some(())).await;
    assert!(health().await.starts_with("HTTP/1.1 200"));
    assert!(is_serving(&service).await);
    let mut client = service.client().await;
    for account in accounts.values() {
        charge(&mut client, account, "on").await;
    }
    cluster.kill(owner);
    until("it is down", async || health().await.contains("partition 0 is down").then_some(())).await;
    assert!(health().await.starts_with("HTTP/1.1 200"));
    assert!(is_serving(&service).await);
    let other = (0..PARTITIONS).find(|partition| cluster.owner_seen_by(1 - owner, slot(*partition)) == Some(1 - owner)).unwrap();
    charge(&mut client, &accounts[&other], "after").await;
}
