//! Changes of accounts, made known by the script on a sharded channel of each partition while somebody watches.
//!
//! Announcements are hints, and some are lost with a connection; so a new connection announces everything once.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind};
use tokio::sync::mpsc;

use super::keys::PartitionKeys;
use super::{RedisOptions, bytes_of};
use crate::ledger::watch::Watchers;

/// Passes announcements on to the watchers of this process, for ever.
pub async fn listen(options: RedisOptions, partitions: u16, watchers: Watchers) {
    let channels: Vec<String> =
        (0..partitions).map(|partition| PartitionKeys::new(&options.store_name, partition, partitions).channel).collect();
    loop {
        if let Err(error) = listen_once(&options, &channels, &watchers).await {
            tracing::debug!(%error, "no announcements of changes");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn listen_once(options: &RedisOptions, channels: &[String], watchers: &Watchers) -> anyhow::Result<()> {
    let info = options.connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(options.response_timeout)).set_push_sender(sender);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    for channel in channels {
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(channel).set_no_response(true);
        subscribe.exec_async(&mut connection).await?;
    }
    watchers.announce_all();
    while let Some(PushInfo { kind, data }) = pushes.recv().await {
        match kind {
            PushKind::SMessage => match data.get(1).and_then(bytes_of) {
                Some(payload) => announce(payload, watchers),
                None => watchers.announce_all(),
            },
            PushKind::Disconnection => break,
            _ => {}
        }
    }
    watchers.announce_all();
    Ok(())
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
