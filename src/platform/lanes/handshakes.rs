//! Handshakes, on a thread of their own: their arithmetic takes a millisecond, for which a lane would charge nobody.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::socket::{AcceptedSocket, Stream};
use crate::telemetry::logs::Repeated;
use crate::telemetry::metrics;
use crate::tls::{Portable, Protocol, Tls};

/// How long a handshake may take.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

static FAILED: Repeated = Repeated::new();
static NOT_TAKEN: Repeated = Repeated::new();

/// Shakes hands with the peers of the sockets that come, and deals them to the lanes in turn. Ends when no more sockets come. How many
/// handshakes are under way is bounded by the places for connections: each socket has one.
pub async fn handshakes(
    tls: Arc<Tls>,
    protocol: Protocol,
    mut sockets: Receiver<AcceptedSocket>,
    lanes: Vec<Sender<AcceptedSocket>>,
) -> anyhow::Result<()> {
    let mut under_way = JoinSet::new();
    let mut lanes = lanes.iter().cycle();
    loop {
        tokio::select! {
            socket = sockets.recv() => match socket {
                Some(socket) => drop(under_way.spawn(shake(TlsAcceptor::from(tls.config(protocol)), socket))),
                None => return Ok(()),
            },
            Some(done) = under_way.join_next() => {
                let Some(accepted) = done.ok().flatten() else { continue };
                let Some(lane) = lanes.next() else { return Ok(()) };
                if lane.try_send(accepted).is_err() && let Some(times) = NOT_TAKEN.times() {
                    tracing::warn!(times, "a connection was dropped: its lane does not take any");
                }
            }
        }
    }
}

async fn shake(acceptor: TlsAcceptor, accepted: AcceptedSocket) -> Option<AcceptedSocket> {
    let AcceptedSocket { stream, address, is_local, place, flooders } = accepted;
    let handshake = async {
        let Stream::Plain(socket) = stream else { return Err(io::Error::from(ErrorKind::InvalidInput)) };
        let mut portable = Portable::Detached(socket);
        portable.attach()?;
        let mut stream = acceptor.accept(portable).await?;
        stream.get_mut().0.detach()?;
        Ok(stream)
    };
    let shaken = timeout(HANDSHAKE_LIMIT, handshake).await.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut)));
    match shaken {
        Ok(stream) => Some(AcceptedSocket { stream: Stream::Tls(Box::new(stream)), address, is_local, place, flooders }),
        Err(error) => {
            metrics().connections.count_failed_handshake();
            if let Some(times) = FAILED.times() {
                tracing::info!(%error, times, "a TLS handshake failed");
            }
            None
        }
    }
}
