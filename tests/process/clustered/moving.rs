//! What is moved in good order: nobody who charges learns of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tollgate::grpc::v1::{GetAccountRequest, ListEntriesRequest, RefundRequest, WatchUsableCreditRequest};
use tollgate::ledger::redis::keys::PartitionKeys;
use tonic::Status;

use super::{PARTITIONS, accounts, assert_charged, charge, is_to_be_repeated, metric, serve, serve_with, slot};
use crate::cluster::Cluster;
use crate::command::Operator;
use crate::service::{Client, PATIENCE, Service, until};
use crate::support::temporary_folder;

/// A client that charges an account of a partition all the time.
struct Charging {
    is_over: Arc<AtomicBool>,
    repeated: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<usize>,
}

impl Charging {
    async fn of(service: &Service, account: &str) -> Self {
        let (is_over, repeated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (client, account, over, count) = (service.client().await, account.to_owned(), Arc::clone(&is_over), Arc::clone(&repeated));
        let task = tokio::spawn(async move {
            let (mut client, mut charges): (Client, usize) = (client, 0);
            while !over.load(Ordering::Relaxed) {
                charges += 1;
                count.fetch_add(charge(&mut client, &account, &format!("c{charges}")).await, Ordering::Relaxed);
            }
            charges
        });
        Self { is_over, repeated, task }
    }

    /// How many charges there were, and how many had to be repeated.
    async fn end(self) -> (usize, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        (self.task.await.unwrap(), self.repeated.load(Ordering::Relaxed))
    }
}

/// Does something that blocks while clients go on.
async fn blocking<T: Send + 'static>(cluster: &Arc<Cluster>, act: impl FnOnce(&Cluster) -> T + Send + 'static) -> T {
    let cluster = Arc::clone(cluster);
    tokio::task::spawn_blocking(move || act(&cluster)).await.unwrap()
}

#[tokio::test]
async fn a_failover_in_good_order_is_seen_by_nobody() {
    let cluster = Arc::new(tokio::task::spawn_blocking(|| Cluster::redis(3, 1)).await.unwrap());
    let service = serve(&cluster.url());
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    let charging = Charging::of(&service, &account).await;
    let (left, moved) = blocking(&cluster, |cluster| {
        let primary = cluster.owner(slot(0));
        let replica = cluster.replicas_of(primary)[0];
        cluster.fail_over_to(replica);
        (primary, replica)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (charges, repeated) = charging.end().await;
    assert_eq!(repeated, 0);
    assert_charged(&mut client, &account, charges).await;
    assert_eq!(blocking(&cluster, |cluster| cluster.owner(slot(0))).await, moved);
    // The server that has lost its partitions is not one that is down.
    let [left, moved] =
        [left, moved].map(|number| format!("tollgate_redis_up{{node=\"{}\"}}", cluster.url_of(number).trim_start_matches("redis://")));
    until("metrics show the servers that have partitions", async || {
        let is_left_shown = metric(&service, &format!("{left} 0")).await || metric(&service, &format!("{left} 1")).await;
        (metric(&service, &format!("{moved} 1")).await && !is_left_shown).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_slot_that_moves_key_by_key_holds_its_partition_up_and_loses_nothing() {
    let cluster = Arc::new(tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap());
    let service = serve(&cluster.url());
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    let mut watch = {
        let request = WatchUsableCreditRequest { account_id: account.clone() };
        client.charging.watch_usable_credit(request).await.unwrap().into_inner()
    };
    assert!(watch.next().await.unwrap().is_ok());
    let charging = Charging::of(&service, &account).await;
    blocking(&cluster, |cluster| cluster.move_slot(slot(0), 1 - cluster.owner(slot(0)))).await;
    let (charges, _) = charging.end().await;
    assert_charged(&mut client, &account, charges).await;
    // Another process's changes are heard of at the new place, too.
    let other = serve(&cluster.url());
    let mut other = other.client().await;
    assert_eq!(charge(&mut other, &account, "last").await, 0);
    let expected = format!("{}", 1_000_000 - charges - 1);
    let seen = tokio::time::timeout(crate::service::PATIENCE, async {
        while let Some(Ok(update)) = watch.next().await {
            let amount = update.credit.unwrap().usable;
            if amount.split('.').next() == Some(expected.as_str()) {
                return true;
            }
        }
        false
    });
    assert!(seen.await.unwrap());
}

#[tokio::test]
async fn valkey_moves_a_slot_at_once_and_nobody_sees_it() {
    let cluster = Arc::new(tokio::task::spawn_blocking(|| Cluster::valkey(2, 0)).await.unwrap());
    let service = serve(&cluster.url());
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    let charging = Charging::of(&service, &account).await;
    blocking(&cluster, |cluster| cluster.migrate_slot(slot(0), 1 - cluster.owner(slot(0)))).await;
    let (charges, repeated) = charging.end().await;
    assert_eq!(repeated, 0);
    assert_charged(&mut client, &account, charges).await;
}

#[tokio::test]
async fn one_redis_becomes_a_cluster_by_a_restart_and_its_slots_move_to_others() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::alone).await.unwrap();
    let service = serve(&cluster.url_of(0));
    let mut client = service.client().await;
    let accounts = accounts(&mut client).await;
    assert_eq!(charge(&mut client, &accounts[&0], "before").await, 0);
    assert!(service.stopped().await.success());
    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.become_cluster();
        cluster
    })
    .await
    .unwrap();
    let service = serve(&cluster.url_of(0));
    let mut client = service.client().await;
    assert_charged(&mut client, &accounts[&0], 1).await;
    let cluster = tokio::task::spawn_blocking(move || {
        let added = cluster.add_primary();
        (0..PARTITIONS / 2).for_each(|partition| cluster.move_slot(slot(partition), added));
        cluster
    })
    .await
    .unwrap();
    for account in accounts.values() {
        charge(&mut client, account, "after").await;
    }
    assert_charged(&mut client, &accounts[&0], 2).await;
    assert_charged(&mut client, &accounts[&(PARTITIONS - 1)], 1).await;
    drop(cluster);
}

/// Asks until there is an answer. That nothing was found is one, and is wrong.
async fn answered<T>(mut ask: impl AsyncFnMut() -> Result<tonic::Response<T>, Status>) -> T {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) => assert!(is_to_be_repeated(&status) && Instant::now() < deadline, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_read_and_refunded_while_a_slot_moves_key_by_key_is_what_it_was_before() {
    const CHARGES: usize = 12;
    let cluster = Arc::new(tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap());
    let service = serve(&cluster.url());
    let mut client = service.client().await;
    let account_id = accounts(&mut client).await.remove(&0).unwrap();
    for number in 0..CHARGES {
        charge(&mut client, &account_id, &format!("charge-{number}")).await;
    }
    let is_moved = AtomicBool::new(false);
    let reading = async {
        // Once more after the move.
        let mut is_last = false;
        while !std::mem::replace(&mut is_last, is_moved.load(Ordering::Relaxed)) {
            let request = GetAccountRequest { account_id: account_id.clone() };
            let found = answered(async || client.accounts.clone().get_account(request.clone()).await).await;
            assert_eq!(found.account.unwrap().name, format!("Customer {account_id}"));
            let request = ListEntriesRequest { account_id: account_id.clone(), page_size: 1_000, ..Default::default() };
            let listed = answered(async || client.accounts.clone().list_entries(request.clone()).await).await;
            assert_eq!(listed.entries.iter().filter(|entry| entry.request_id.starts_with("charge-")).count(), CHARGES);
        }
    };
    let refunding = async {
        for number in 0..CHARGES {
            let (request_id, charge_id) = (format!("refund-{number}"), format!("charge-{number}"));
            let request = RefundRequest { account_id: account_id.clone(), request_id, charge_id, ..Default::default() };
            let refunded = answered(async || client.charging.clone().refund(request.clone()).await).await;
            assert!(refunded.refunded.unwrap().amount.starts_with("1"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let moving = async {
        blocking(&cluster, |cluster| cluster.move_slot_slowly(slot(0), 1 - cluster.owner(slot(0)), Duration::from_millis(100))).await;
        is_moved.store(true, Ordering::Relaxed);
    };
    tokio::join!(reading, refunding, moving);
    assert_charged(&mut client, &account_id, 0).await;
}

#[tokio::test]
async fn a_copy_of_who_may_call_is_not_put_in_the_way_of_a_slot_that_moves() {
    let cluster = Arc::new(tokio::task::spawn_blocking(|| Cluster::redis(2, 0)).await.unwrap());
    let folder = temporary_folder();
    let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
    let service = serve_with(&cluster.url(), &["--billing", &billing, "--aggregate"]);
    let key = PartitionKeys::new("tollgate", 0, PARTITIONS).callers();
    let is_at = |node: usize, key: &str| cluster.command(node, &["EXISTS", key]).trim() == "1";
    let from = cluster.owner(slot(0));
    until("there is a copy", async || is_at(from, &key).then_some(())).await;
    cluster.begin_to_move(slot(0), 1 - from);
    cluster.command(from, &["DEL", &key]);
    let make = || Operator::of(&service).run("access --in-store create-key root --role admin").status.success();
    until("the billing store is there, and a key is made", async || make().then_some(())).await;
    assert_eq!(cluster.command(1 - from, &["CLUSTER", "COUNTKEYSINSLOT", &slot(0).to_string()]).trim(), "0");
    blocking(&cluster, move |cluster| cluster.move_slot(slot(0), 1 - from)).await;
    until("the copy is beside the partition", async || is_at(1 - from, &key).then_some(())).await;
}
