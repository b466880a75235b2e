//! Lanes: threads that serve side by side, each with a runtime, sockets and tasks of its own, so that nothing is shared between them.
//!
//! One listener accepts for all and deals sockets in turn, so lanes are loaded evenly (SO_REUSEPORT is not even). What a lane does with
//! its sockets is its caller's concern. Bounds: at most [`WAITING_SOCKETS`] sockets wait for a lane that does not come to take them; one
//! that finds no place among all connections is closed at once; one that never speaks is closed after [`socket::PREFACE_LIMIT`].
//!
//! A lane does only what is short: [`watchdog`] looks whether it does. [`offload`] has threads for the rest; [`fair`] queues work by its
//! [`source`], and connections take [`turn`]s.

pub mod fair;
mod flooders;
pub mod handshakes;
mod last_words;
pub mod offload;
pub mod proxies;
pub mod socket;
pub mod source;
pub mod turn;
pub mod watchdog;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use crate::network::{Network, network_of};
use crate::telemetry::logs::Repeated;
use crate::telemetry::metrics;
use flooders::Flooders;
use socket::{AcceptedSocket, Socket, Stream as Bytes};

/// How many accepted sockets may wait for one lane.
pub const WAITING_SOCKETS: usize = 256;

/// After how much silence a peer is asked whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);

/// The most connections of one network that are held back.
const MOST_HELD_BACK: usize = 256;

/// How long to wait when no socket can be accepted, for instance because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A lane that runs.
pub struct Lane {
    /// Its name, in logs.
    pub name: String,
    sockets: mpsc::Sender<AcceptedSocket>,
    thread: JoinHandle<anyhow::Result<()>>,
    ended: oneshot::Receiver<()>,
}

impl Lane {
    /// Starts a lane. It ends when `serve`, given its sockets, does.
    pub fn start<Served>(
        name: String,
        serve: impl FnOnce(mpsc::Receiver<AcceptedSocket>) -> Served + Send + 'static,
    ) -> anyhow::Result<Self>
    where
        Served: Future<Output = anyhow::Result<()>>,
    {
        let (sockets, accepted) = mpsc::channel(WAITING_SOCKETS);
        let (is_running, ended) = oneshot::channel();
        let thread = start_thread(&name, move || async move {
            // Dropped at the end, however that comes.
            let _is_running: oneshot::Sender<()> = is_running;
            serve(accepted).await
        })?;
        Ok(Self { name, sockets, thread, ended })
    }

    /// Waits until the lane's thread ends.
    pub async fn ended(&mut self) {
        if self.ended.is_terminated() {
            return;
        }
        let _ = (&mut self.ended).await;
    }

    /// The end that sockets are dealt to.
    #[must_use]
    pub fn sockets(&self) -> mpsc::Sender<AcceptedSocket> {
        self.sockets.clone()
    }

    /// The lane's result. Blocks until it has ended.
    pub fn join(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(result) => result.with_context(|| format!("{} failed", self.name)),
            Err(_) => Err(anyhow::anyhow!("{} panicked", self.name)),
        }
    }
}

/// Starts a thread that runs one future on a runtime of its own, and drops what the future left behind without waiting.
pub fn start_thread<Work>(name: &str, work: impl FnOnce() -> Work + Send + 'static) -> anyhow::Result<JoinHandle<anyhow::Result<()>>>
where
    Work: Future<Output = anyhow::Result<()>>,
{
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let run = move || {
        let result = runtime.block_on(async move { work().await });
        runtime.shutdown_background();
        result
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).with_context(|| format!("cannot start the thread {name}"))
}

/// The sockets dealt to a lane, registered with the runtime that polls this.
pub fn sockets(accepted: mpsc::Receiver<AcceptedSocket>) -> impl Stream<Item = io::Result<Socket>> {
    ReceiverStream::new(accepted).map(Socket::new)
}

/// Splits what is dealt to a lane among its servers, in turn. Needs the runtime of the lane.
#[must_use]
pub fn split(mut accepted: mpsc::Receiver<AcceptedSocket>, count: usize) -> Vec<mpsc::Receiver<AcceptedSocket>> {
    if count <= 1 {
        return vec![accepted];
    }
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(WAITING_SOCKETS)).unzip();
    tokio::spawn(async move {
        for sender in senders.iter().cycle() {
            let Some(socket) = accepted.recv().await else { return };
            // A server that has ended takes no more.
            let _ = sender.send(socket).await;
        }
    });
    receivers
}

/// The places for connections, of several listeners together, and the peers that are held back. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionSlots {
    free: Arc<Semaphore>,
    count: usize,
    flooders: Option<Arc<Flooders>>,
}

impl ConnectionSlots {
    /// As many places as there may be connections.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(count)), count, flooders: None }
    }

    /// The same, where the next connections of peers wait that flood one of theirs, unless they are in these networks: of proxies.
    #[must_use]
    pub fn holding_back_flooders(self, proxies: &[Network]) -> Self {
        Self { flooders: Some(Arc::new(Flooders::except(proxies))), ..self }
    }
}

/// Accepts sockets while there are places, and deals them to the lanes in turn. Runs until dropped.
pub async fn deal(listener: &TcpListener, lanes: &[mpsc::Sender<AcceptedSocket>], places: &ConnectionSlots) {
    let (mut held_back, mut held_back_of) = (FuturesUnordered::new(), HashMap::<IpAddr, usize>::new());
    for lane in lanes.iter().cycle() {
        let socket = loop {
            let accepted = tokio::select! {
                Some((network, socket)) = held_back.next() => {
                    held_back_of.entry(network).and_modify(|count| *count -= 1);
                    held_back_of.retain(|_, count| *count > 0);
                    break socket;
                }
                accepted = accept(listener) => accepted,
            };
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(times) = NOT_ACCEPTED.times() {
                        tracing::warn!(%error, times, "cannot accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places.free).try_acquire_owned() else {
                metrics().connections.count_refused();
                if let Some(times) = NO_PLACE.times() {
                    let max_connections = places.count;
                    tracing::warn!(times, max_connections, "a connection was closed at once: there are as many as there may be");
                }
                continue;
            };
            let (is_local, flooders) = (is_local(&socket, address), places.flooders.clone());
            let is_held_back = flooders.as_ref().is_some_and(|flooders| flooders.has(address.ip()));
            let socket = AcceptedSocket { is_local, stream: Bytes::Plain(socket), address, place, flooders };
            if !is_held_back {
                break socket;
            }
            let network = network_of(address.ip());
            let count = held_back_of.entry(network).or_default();
            if *count == MOST_HELD_BACK {
                metrics().connections.count_refused();
                if let Some(times) = TOO_MANY_HELD_BACK.times() {
                    tracing::warn!(%network, times, "a connection was closed at once: too many of its network are held back");
                }
                continue;
            }
            *count += 1;
            metrics().connections.count_held_back();
            held_back.push(sleep(flooders::PAUSE).map(move |()| (network, socket)));
        };
        metrics().connections.set_count(places.count - places.free.available_permits());
        if lane.try_send(socket).is_err()
            && let Some(times) = NOT_TAKEN.times()
        {
            tracing::warn!(times, "a connection was dropped: its lane does not take any");
        }
    }
}

/// The lanes' ends that sockets are dealt to.
#[must_use]
pub fn senders_of(lanes: &[Lane]) -> Vec<mpsc::Sender<AcceptedSocket>> {
    lanes.iter().map(Lane::sockets).collect()
}

static NOT_ACCEPTED: Repeated = Repeated::new();
static NO_PLACE: Repeated = Repeated::new();
static NOT_TAKEN: Repeated = Repeated::new();
static TOO_MANY_HELD_BACK: Repeated = Repeated::new();

async fn accept(listener: &TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (socket, address) = listener.accept().await?;
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    // A socket belongs to the runtime that accepted it until it is taken out of it.
    Ok((socket.into_std()?, address))
}

/// Whether a peer is on this machine: it then comes from an address that this machine has, and by which it was called. No packet from
/// another machine gets in with such an address.
fn is_local(socket: &std::net::TcpStream, address: SocketAddr) -> bool {
    let peer = address.ip().to_canonical();
    peer.is_loopback() || socket.local_addr().is_ok_and(|own| own.ip().to_canonical() == peer)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn sockets_are_dealt_in_turn() {
        let lanes: Vec<Lane> = (0..3_u8)
            .map(|number| {
                let serve = move |accepted| async move {
                    let mut sockets = std::pin::pin!(sockets(accepted));
                    while let Some(socket) = sockets.next().await {
                        socket?.write_all(&[number]).await?;
                    }
                    Ok(())
                };
                Lane::start(format!("lane-{number}"), serve).unwrap()
            })
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ends = senders_of(&lanes);
        let dealing = tokio::spawn(async move { deal(&listener, &ends, &ConnectionSlots::new(6)).await });
        let mut served_by = Vec::new();
        for _ in 0..6 {
            served_by.push(TcpStream::connect(address).await.unwrap().read_u8().await.unwrap());
        }
        assert_eq!(served_by, [0, 1, 2, 0, 1, 2]);
        dealing.abort();
        let _ = dealing.await;
        for lane in lanes {
            let Lane { sockets, thread, .. } = lane;
            drop(sockets);
            thread.join().unwrap().unwrap();
        }
    }
}
