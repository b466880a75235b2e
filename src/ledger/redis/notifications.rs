//! Changes of accounts, made known by the script on a sharded channel of each partition while somebody watches.
//!
//! Announcements are hints, and some are lost with a connection; so a new connection announces everything, at once and again when every
//! other process must have noticed it ([`Watchers::may_be_heard`]). A connection is asked every [`PING`] whether it is still there: one
//! that is half open does not report that. What this process changes it announces itself, by [`changed`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, ProtocolVersion, PushInfo, PushKind};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use super::keys::PartitionKeys;
use super::topology::Topology;
use super::{RedisOptions, bytes_of};
use crate::watch::{UNHEARD, Watchers};
use crate::{LedgerError, PreparedCommand};
use domain::outcome::{Answer, Verdict};

/// How often the connection is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(1);

/// How long to wait before the next attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// How long subscriptions may take: those at a server that has lost a partition are never confirmed.
const CONFIRMED: Duration = Duration::from_secs(2);

/// Passes announcements on to the watchers of this process, for ever; while there are none, other processes need not announce anything.
pub async fn listen(options: RedisOptions, topology: Arc<Topology>, partitions: u16, watchers: Watchers) {
    let keys = PartitionKeys::of_store(&options.store_name, partitions);
    loop {
        watchers.begun().await;
        tokio::select! {
            () = listen_everywhere(&options, &topology, &keys, &watchers) => {}
            () = watchers.ended() => {}
        }
        hear_nothing(&watchers, &keys);
    }
}

fn hear_nothing<'a>(watchers: &Watchers, partitions: impl IntoIterator<Item = &'a PartitionKeys>) {
    partitions.into_iter().for_each(|keys| watchers.set_listening(keys.number, false));
}

/// There is a listener at each server that has partitions.
async fn listen_everywhere(options: &RedisOptions, topology: &Topology, keys: &[PartitionKeys], watchers: &Watchers) {
    let mut changes = topology.subscribe();
    loop {
        let places = places(topology, keys);
        let listening = places.iter().map(|(address, partitions)| {
            let listener = Listener { options, topology, address, partitions, watchers };
            async move { listener.listen().await }
        });
        let is_other = async { while changes.changed().await.is_ok() && self::places(topology, keys) == places {} };
        tokio::select! {
            _ = join_all(listening) => {}
            () = is_other => {}
        }
        hear_nothing(watchers, keys);
        watchers.announce_all();
        if places.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The servers that have partitions, and which.
fn places<'a>(topology: &Topology, keys: &'a [PartitionKeys]) -> Vec<(ConnectionAddr, Vec<&'a PartitionKeys>)> {
    let mut places: Vec<(ConnectionAddr, Vec<&PartitionKeys>)> = Vec::new();
    for keys in keys {
        let Some(address) = topology.primary_of(keys.slot) else { continue };
        match places.iter_mut().find(|(known, _)| *known == address) {
            Some((_, partitions)) => partitions.push(keys),
            None => places.push((address, vec![keys])),
        }
    }
    places
}

/// A listener to one server.
struct Listener<'a> {
    options: &'a RedisOptions,
    topology: &'a Topology,
    address: &'a ConnectionAddr,
    partitions: &'a [&'a PartitionKeys],
    watchers: &'a Watchers,
}

impl Listener<'_> {
    async fn listen(&self) {
        loop {
            if let Err(error) = self.listen_once().await {
                tracing::debug!(server = %self.address, %error, "no announcements of changes");
            }
            hear_nothing(self.watchers, self.partitions.iter().copied());
            self.watchers.announce_all();
            tokio::time::sleep(PAUSE).await;
            // Listen to the servers that have the partitions now.
            let _ = self.topology.refresh().await;
        }
    }

    async fn listen_once(&self) -> anyhow::Result<()> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let connecting = self.options.connect(self.address, config, |settings| settings.set_protocol(ProtocolVersion::RESP3));
        let (connection, work) = timeout(self.options.response_timeout, connecting).await??;
        // The connection is closed with what drives it, whatever the server still owes it.
        tokio::select! {
            ended = self.listen_to(connection, pushes) => ended,
            () = work => Ok(()),
        }
    }

    async fn listen_to(&self, mut connection: MultiplexedConnection, mut pushes: UnboundedReceiver<PushInfo>) -> anyhow::Result<()> {
        for keys in self.partitions {
            let mut subscribe = redis::cmd("SSUBSCRIBE");
            subscribe.arg(&keys.channel).set_no_response(true);
            subscribe.exec_async(&mut connection).await?;
        }
        self.watchers.announce_all();
        let are_confirmed = AtomicBool::new(false);
        let listening = async {
            let mut confirmed = 0;
            while let Some(PushInfo { kind, data }) = pushes.recv().await {
                match kind {
                    PushKind::SSubscribe => {
                        confirmed += 1;
                        if confirmed == self.partitions.len() {
                            are_confirmed.store(true, Ordering::Relaxed);
                            self.partitions.iter().for_each(|keys| self.watchers.set_listening(keys.number, true));
                            self.watchers.announce_all();
                        }
                    }
                    PushKind::SMessage => match data.get(1).and_then(bytes_of) {
                        Some(payload) => announce(payload, self.watchers),
                        None => self.watchers.announce_all(),
                    },
                    // The partition is elsewhere now.
                    PushKind::Disconnection | PushKind::SUnsubscribe => break,
                    _ => {}
                }
            }
        };
        let noticed = async {
            // Who has heard of nobody for a moment announced nothing in it.
            tokio::time::sleep(2 * UNHEARD).await;
            self.watchers.announce_all();
            tokio::time::sleep(CONFIRMED.saturating_sub(2 * UNHEARD)).await;
            if are_confirmed.load(Ordering::Relaxed) || !self.topology.is_cluster() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = listening => Ok(()),
            () = noticed => Ok(()),
            error = silent(connection.clone()) => Err(error),
        }
    }
}

/// Waits until the connection no longer replies.
async fn silent(mut connection: MultiplexedConnection) -> anyhow::Error {
    loop {
        tokio::time::sleep(PING).await;
        match timeout(PING, redis::cmd("PING").exec_async(&mut connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return anyhow::anyhow!("the connection is silent"),
        }
    }
}

/// Announces what these commands have changed, to the watchers of this process.
pub fn changed(commands: &[PreparedCommand], answers: &[Answer], watchers: &Watchers) {
    let is_change = |answer: &Answer| {
        let outcome = answer.as_ref().ok().filter(|outcome| !outcome.replayed);
        outcome.and_then(|outcome| outcome.decision).is_some_and(|decision| decision.verdict == Verdict::Done)
    };
    let changed = commands.iter().zip(answers).filter(|(_, answer)| is_change(answer));
    watchers.announce_each(changed.map(|(prepared, _)| prepared.command.account.as_str()));
}

/// Announces what these commands may have changed, if their outcome is unknown.
pub fn failed(error: &LedgerError, commands: &[PreparedCommand], watchers: &Watchers) {
    if matches!(error, LedgerError::Unknown(_) | LedgerError::NotDurable(_)) {
        watchers.announce_each(commands.iter().map(|prepared| prepared.command.account.as_str()));
    }
}

/// The payload is a MessagePack array of account ids.
fn announce(payload: &[u8], watchers: &Watchers) {
    let mut reader = payload;
    let Ok(count) = rmp::decode::read_array_len(&mut reader) else { return watchers.announce_all() };
    for _ in 0..count {
        let id = rmp::decode::read_str_len(&mut reader).ok().and_then(|length| {
            let (id, rest) = reader.split_at_checked(length as usize)?;
            reader = rest;
            std::str::from_utf8(id).ok()
        });
        match id {
            Some(id) => watchers.announce(id),
            None => return watchers.announce_all(),
        }
    }
}
