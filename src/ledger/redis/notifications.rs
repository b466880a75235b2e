//! Changes of accounts, made known by the script on a sharded channel of each partition while somebody watches.
//!
//! Announcements are hints, and some are lost with a connection; so a new connection announces everything, at once and again when every
//! other process must have noticed it ([`Watchers::may_be_heard`]). A connection is asked every [`PING`] whether it is still there: one
//! that is half open says nothing of it by itself. What this process changes it announces itself, by [`changed`].

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::keys::PartitionKeys;
use super::{RedisOptions, bytes_of};
use crate::watch::{UNHEARD, Watchers};
use crate::{LedgerError, PreparedCommand};
use domain::outcome::{Answer, Verdict};

/// How often the connection is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(1);

/// How long to wait before the next attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// Passes announcements on to the watchers of this process, for ever.
pub async fn listen(options: RedisOptions, partitions: u16, watchers: Watchers) {
    let channels: Vec<String> =
        (0..partitions).map(|partition| PartitionKeys::new(&options.store_name, partition, partitions).channel).collect();
    loop {
        if let Err(error) = listen_once(&options, &channels, &watchers).await {
            tracing::debug!(%error, "no announcements of changes");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(options: &RedisOptions, channels: &[String], watchers: &Watchers) -> anyhow::Result<()> {
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender);
    let connecting = options.connect(config, |settings| settings.set_protocol(ProtocolVersion::RESP3));
    let (mut connection, work) = timeout(options.response_timeout, connecting).await??;
    tokio::spawn(work);
    for channel in channels {
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(channel).set_no_response(true);
        subscribe.exec_async(&mut connection).await?;
    }
    watchers.announce_all();
    let listening = async {
        let mut confirmed = 0;
        while let Some(PushInfo { kind, data }) = pushes.recv().await {
            match kind {
                PushKind::SSubscribe => {
                    confirmed += 1;
                    if confirmed == channels.len() {
                        watchers.set_listening(true);
                        watchers.announce_all();
                    }
                }
                PushKind::SMessage => match data.get(1).and_then(bytes_of) {
                    Some(payload) => announce(payload, watchers),
                    None => watchers.announce_all(),
                },
                PushKind::Disconnection => break,
                _ => {}
            }
        }
    };
    let noticed = async {
        tokio::time::sleep(2 * UNHEARD).await;
        watchers.announce_all();
        std::future::pending().await
    };
    let ended = tokio::select! {
        () = listening => Ok(()),
        () = noticed => Ok(()),
        error = silent(connection) => Err(error),
    };
    watchers.set_listening(false);
    watchers.announce_all();
    ended
}

/// Waits until the connection does not answer any more.
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

/// Announces what these commands may have changed, if nobody knows what became of them.
pub fn failed(error: &LedgerError, commands: &[PreparedCommand], watchers: &Watchers) {
    if matches!(error, LedgerError::Unknown(_)) {
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
