//! Changes that are announced to other processes: of each partition to who hears it, over connections that end with their use.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use tollgate::grpc::v1::{PaymentMode, WatchUsableCreditRequest};
use tollgate::ledger::prepared_command::partition_of;
use tollgate::ledger::redis::keys::PartitionKeys;

use super::{accounts, charge, serve};
use crate::cluster::Cluster;
use crate::service::{Service, until};
use crate::support::RedisServer;

/// Counts what is announced on a channel, from now on.
fn count(server: &RedisServer, channel: &str) -> Arc<AtomicUsize> {
    let mut socket = UnixStream::connect(server.socket()).unwrap();
    socket.write_all(format!("SSUBSCRIBE {channel}\r\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(socket).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == channel), "it is subscribed to");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        // What is announced may be no text.
        while let Some(Ok(line)) = lines.next().map(|line| line.or_else(|_| Ok::<_, ()>(String::new()))) {
            counted.fetch_add(usize::from(line == "smessage"), Ordering::Relaxed);
        }
    });
    count
}

#[tokio::test]
async fn changes_are_announced_to_who_hears_one_partition_while_nobody_hears_another() {
    let server = RedisServer::redis();
    let service = Service::start(&["--redis", &server.url(), "--partitions", "2"], &[]);
    let mut client = service.client().await;
    let ids: BTreeMap<_, _> = (0..20).map(|number| format!("account-{number}")).map(|id| (partition_of(&id, 2), id)).collect();
    let [unheard, heard] = [&ids[&0], &ids[&1]];
    for id in ids.values() {
        client.open(id, PaymentMode::Prepaid, "0", "1000").await;
    }
    // Only what is watched is announced; this process itself hears both.
    let mut watches = Vec::new();
    for id in ids.values() {
        let request = WatchUsableCreditRequest { account_id: id.clone() };
        let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
        assert!(watch.next().await.unwrap().is_ok());
        watches.push(watch);
    }
    let count = count(&server, &PartitionKeys::new("tollgate", 1, 2).channel);
    let first = AtomicUsize::new(0);
    until("it is heard that somebody listens", async || {
        let id = format!("first-{}", first.fetch_add(1, Ordering::Relaxed));
        charge(&mut client.clone(), heard, &id).await;
        (count.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    for round in 0..20 {
        let before = count.load(Ordering::Relaxed);
        charge(&mut client, unheard, &format!("unheard-{round}")).await;
        charge(&mut client, heard, &format!("heard-{round}")).await;
        until("it is announced", async || (count.load(Ordering::Relaxed) > before).then_some(())).await;
    }
}

/// The local port of a connection on which somebody hears announcements.
fn listener(cluster: &Cluster) -> Option<u16> {
    let clients = cluster.command(0, &["CLIENT", "LIST"]);
    let listener = clients.lines().find(|line| line.contains(" ssub=") && !line.contains(" ssub=0 "))?;
    let address = listener.split(' ').find_map(|field| field.strip_prefix("addr="))?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// Whether the process that connects from this port has the socket open.
fn is_open(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| {
        let field = |place: usize| fields.get(place).copied().unwrap_or_default();
        field(1).ends_with(&local) && field(3) == "01" && field(9) != "0"
    })
}

#[tokio::test]
async fn a_listener_that_hears_no_more_of_its_server_closes_its_socket() {
    let cluster = tokio::task::spawn_blocking(Cluster::alone).await.unwrap();
    let service = serve(&cluster.url_of(0));
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    let request = WatchUsableCreditRequest { account_id: account };
    let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
    assert!(watch.next().await.unwrap().is_ok());
    let port = until("it listens", async || listener(&cluster)).await;
    assert!(is_open(port));
    // It stands still, and owes an answer for ever.
    cluster.signal(0, "STOP");
    until("the socket is closed", async || (!is_open(port)).then_some(())).await;
    cluster.signal(0, "CONT");
}
