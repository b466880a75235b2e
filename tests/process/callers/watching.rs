//! C6: a watcher hears of changes soon, whatever becomes of the connection that announces them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tollgate::grpc::v1::{self, PaymentMode};

use super::soon;
use crate::service::{Client, Service, debit};
use crate::support::RedisServer;

/// A way to Redis on which the connections that listen to announcements can become silent, without being closed.
struct Way {
    address: SocketAddr,
    silence: watch::Sender<u32>,
}

impl Way {
    async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silence, silenced) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let (listens, mut silenced, mut also_silenced) = (Arc::new(AtomicBool::new(false)), silenced.clone(), silenced.clone());
                // Silences before this connection are not its own.
                silenced.mark_unchanged();
                also_silenced.mark_unchanged();
                let is_listening = Arc::clone(&listens);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        let count = tokio::select! {
                            count = from_client.read(&mut buffer) => count.unwrap_or(0),
                            _ = silenced.changed(), if is_listening.load(Ordering::Relaxed) => std::future::pending().await,
                        };
                        let sent = &buffer[..count];
                        if sent.windows(14).any(|window| window == b"\r\nSSUBSCRIBE\r\n") {
                            is_listening.store(true, Ordering::Relaxed);
                        }
                        if count == 0 || to_server.write_all(sent).await.is_err() {
                            return;
                        }
                    }
                });
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        let count = from_server.read(&mut buffer).await.unwrap_or(0);
                        if listens.load(Ordering::Relaxed) && also_silenced.has_changed().unwrap_or(true) {
                            std::future::pending::<()>().await;
                        }
                        if count == 0 || to_client.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, silence }
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn silence(&self) {
        self.silence.send_modify(|count| *count += 1);
    }
}

async fn watch_acme(client: &mut Client) -> tonic::Streaming<v1::WatchUsableCreditResponse> {
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let mut watch = client.charging.watch_usable_credit(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    watch
}

/// The next balance that a watcher is told, which must come in time.
async fn next_balance(limit: Duration, watch: &mut tonic::Streaming<v1::WatchUsableCreditResponse>) -> String {
    soon(limit, "a change", watch.message()).await.unwrap().unwrap().credit.unwrap().balance
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_announcement_connection_is_found_within_seconds() {
    let redis = RedisServer::redis();
    let way = Way::to(redis.socket()).await;
    let (near, far) = (Service::redis(&redis.url()), Service::start(&["--redis", &way.url()], &[]));
    let (mut charging, mut watching) = (near.client().await, far.client().await);
    charging.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let mut watch = watch_acme(&mut watching).await;
    charging.charging.debit(debit("acme", "d1", "1")).await.unwrap();
    assert_eq!(next_balance(Duration::from_secs(5), &mut watch).await, "99.00");
    way.silence();
    charging.charging.debit(debit("acme", "d2", "1")).await.unwrap();
    assert_eq!(next_balance(Duration::from_secs(6), &mut watch).await, "98.00");
    charging.charging.debit(debit("acme", "d3", "1")).await.unwrap();
    assert_eq!(next_balance(Duration::from_secs(2), &mut watch).await, "97.00");
}

#[tokio::test]
async fn a_watcher_hears_at_once_of_what_its_own_process_changes() {
    let redis = RedisServer::start(std::path::Path::new("redis-server"), &[]);
    // Nobody may listen: this user has no channels.
    redis.command(&["ACL", "SETUSER", "deaf", "on", ">secret", "allkeys", "+@all", "resetchannels"]);
    let url = format!("redis+unix://{}?user=deaf&pass=secret", redis.socket().display());
    let service = Service::redis(&url);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let mut watch = watch_acme(&mut client).await;
    for (id, balance) in [("d1", "99.00"), ("d2", "98.00")] {
        // Where a step that may not announce ends with an error, its outcome is unknown, and it is announced all the same.
        let _ = client.charging.debit(debit("acme", id, "1")).await;
        assert_eq!(next_balance(Duration::from_secs(2), &mut watch).await, balance);
    }
}
