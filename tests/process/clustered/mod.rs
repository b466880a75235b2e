//! The service on a Redis Cluster of real nodes: partitions are served where they are, move without a trace, and fail alone.

mod announced;
mod durable;
mod failing;
mod idle;
mod lost;
mod moving;
mod sentinels;
mod tls;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tollgate::grpc::v1::PaymentMode;
use tollgate::ledger::prepared_command::partition_of;
use tonic::Status;
use tonic_types::StatusExt;

use crate::cluster::Cluster;
use crate::command::Operator;
use crate::identity::http;
use crate::service::{Client, PATIENCE, Service, debit, until};

/// How many partitions the tests' stores have.
pub const PARTITIONS: u16 = 8;

/// Starts a service on these servers, which creates its ledger where there is none. It waits for a server for longer than a failover in
/// good order holds writes up (`cluster-manual-failover-timeout`, 5 s).
pub fn serve(url: &str) -> Service {
    serve_with(url, &["--redis-timeout", "15s"])
}

/// How long a service of [`serve_impatient`] waits for a server.
pub const IMPATIENCE: Duration = Duration::from_secs(3);

/// The same, for tests in which servers are away.
pub fn serve_impatient(url: &str) -> Service {
    serve_with(url, &["--redis-timeout", "3s"])
}

/// The same with settings of one's own.
pub fn serve_with(url: &str, settings: &[&str]) -> Service {
    let partitions = PARTITIONS.to_string();
    Service::start(&[&["--redis", url, "--partitions", &partitions], settings].concat(), &[])
}

/// An account of each partition, with money in it.
pub async fn accounts(client: &mut Client) -> BTreeMap<u16, String> {
    let mut accounts = BTreeMap::new();
    let mut number = 0;
    while accounts.len() < usize::from(PARTITIONS) {
        number += 1;
        let id = format!("account-{number}");
        accounts.entry(partition_of(&id, PARTITIONS)).or_insert(id);
    }
    for id in accounts.values() {
        client.open(id, PaymentMode::Prepaid, "0", "1000000").await;
    }
    accounts
}

/// The slot of a partition.
pub fn slot(partition: u16) -> u16 {
    tollgate::ledger::redis::keys::PartitionKeys::new("tollgate", partition, PARTITIONS).slot
}

/// Whether a service's metrics have this line.
pub async fn metric(service: &Service, line: &str) -> bool {
    http(service.metrics, "/metrics").await.lines().any(|found| found == line)
}

/// Charges 1, and repeats it with the same id until it is done; returns how often that was needed.
pub async fn charge(client: &mut Client, account: &str, id: &str) -> usize {
    let deadline = Instant::now() + 2 * PATIENCE;
    for repeated in 0.. {
        match client.charging.debit(debit(account, id, "1")).await {
            Ok(_) => return repeated,
            Err(status) => assert!(is_to_be_repeated(&status) && Instant::now() < deadline, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!()
}

/// Whether a client that is told this repeats its request.
fn is_to_be_repeated(status: &Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason);
    reason.is_some_and(|reason| ["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN", "DURABILITY_UNKNOWN"].contains(&reason.as_str()))
}

/// Asserts that an account has paid for this many charges of 1.
pub async fn assert_charged(client: &mut Client, account: &str, charges: usize) {
    let credit = client.credit(account).await;
    let expected = format!("{}", 1_000_000 - charges);
    assert_eq!(credit.usable.split('.').next(), Some(expected.as_str()), "{account}");
}

#[tokio::test]
async fn a_cluster_is_found_by_one_of_its_nodes_and_charges_go_to_all_of_its_primaries() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 0)).await.unwrap();
    let service = serve(&cluster.url_of(1));
    let mut client = service.client().await;
    let accounts = accounts(&mut client).await;
    for id in accounts.values() {
        assert_eq!(charge(&mut client, id, "one").await, 0);
        assert_charged(&mut client, id, 1).await;
    }
    let owners: BTreeSet<_> = (0..PARTITIONS).map(|partition| cluster.owner(slot(partition))).collect();
    assert_eq!(owners.len(), 3, "{owners:?}");
    // Another process finds the ledger there, and all of it.
    let again = serve(&cluster.url());
    let mut client = again.client().await;
    let listed = client.accounts.list_accounts(tollgate::grpc::v1::ListAccountsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.accounts.len(), accounts.len());
    assert_charged(&mut client, &accounts[&0], 1).await;
}

#[test]
fn a_cluster_has_no_other_database() {
    let cluster = Cluster::redis(1, 0);
    let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --billing off --create --redis {}/1", cluster.url_of(0)));
    assert!(!ended.status.success() && ended.error.contains("cluster mode"), "{ended:?}");
}

/// How many partitions a service says that it has.
async fn count(service: &Service) -> usize {
    let shown = until("it says so", async || {
        let shown = http(service.metrics, "/metrics").await;
        shown.contains("tollgate_partition_up{").then_some(shown)
    });
    shown.await.lines().filter(|line| line.starts_with("tollgate_partition_up{")).count()
}

#[tokio::test]
async fn a_new_store_in_a_cluster_has_eight_partitions_and_one_that_is_there_keeps_its_own() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::redis(1, 0)).await.unwrap();
    let url = cluster.url();
    let new = Service::start(&["--redis", &url], &[]);
    assert_eq!(count(&new).await, 8);
    new.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let old = Service::start(&["--redis", &url, "--store-name", "old", "--partitions", "4"], &[]);
    assert_eq!(count(&old).await, 4);
    assert!(old.stopped().await.success());
    let again = Service::start(&["--redis", &url, "--store-name", "old"], &[]);
    assert_eq!(count(&again).await, 4);
    // So does every command.
    for (name, partitions) in [("tollgate", 8), ("old", 4)] {
        let given = Operator::nowhere().run(&format!("reconcile --redis {url} --store-name {name} --billing off"));
        assert!(given.status.success(), "{name}, {partitions}: {given:?}");
    }
}
