//! Whether servers can prove what an acknowledgement promises.
//!
//! Disk is the append-only file, synced before each answer (`appendfsync always`). WAITAOF is not used: Valkey 9 says at once that it is
//! on disk where it is not. Replicas are asked for by WAIT on the connection that wrote.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Value};

use super::RedisOptions;
use super::keys::StoreKeys;
use super::nodes::Nodes;
use super::server_check::field;
use platform::durability::Durability;

impl RedisOptions {
    /// How many replicas must have what is acknowledged, and how long they may take.
    pub(super) fn proof(&self) -> Option<(u32, Duration)> {
        self.durability.replicas().map(|count| (count, self.durability_timeout))
    }
}

/// Refuses servers that cannot prove it, before anything is begun. In a cluster, of those that are away nothing is said.
pub(super) async fn check_all(nodes: &mut Nodes, store: &StoreKeys, durability: Durability) -> anyhow::Result<()> {
    let Some(question) = question(durability) else { return Ok(()) };
    for partition in &store.partitions {
        match nodes.query::<Value>(partition.slot, &question).await {
            Err(_) if nodes.is_cluster() => {}
            answer => check_answer(durability, answer.with_context(|| unproved(durability))?)?,
        }
    }
    Ok(())
}

/// Refuses a server that a partition has moved to and that does not write to disk. Its replicas are not checked here: a command that they
/// lack is not acknowledged.
pub(super) async fn check_new(connection: &mut MultiplexedConnection, durability: Durability) -> anyhow::Result<()> {
    match question(durability).filter(|_| durability == Durability::Disk) {
        None => Ok(()),
        Some(question) => check_answer(durability, question.query_async(connection).await.with_context(|| unproved(durability))?),
    }
}

/// What a server is asked.
fn question(durability: Durability) -> Option<Cmd> {
    match durability {
        Durability::Engine => None,
        Durability::Disk => Some(redis::cmd("CONFIG").arg("GET").arg("append*").clone()),
        Durability::Replicas(_) => Some(redis::cmd("INFO").arg("replication").clone()),
    }
}

fn check_answer(durability: Durability, answer: Value) -> anyhow::Result<()> {
    match durability {
        Durability::Engine => {}
        Durability::Disk => {
            let settings = HashMap::<String, String>::from_redis_value(answer)?;
            let is = |name: &str, value: &str| settings.get(name).is_some_and(|found| found == value);
            ensure!(
                is("appendonly", "yes") && is("appendfsync", "always"),
                "{}: it needs appendonly yes and appendfsync always, and Redis has appendonly {} and appendfsync {}",
                unproved(durability),
                settings.get("appendonly").map_or("unknown", String::as_str),
                settings.get("appendfsync").map_or("unknown", String::as_str),
            );
        }
        Durability::Replicas(needed) => {
            let info = String::from_redis_value(answer)?;
            let connected = field(&info, "connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0);
            ensure!(needed <= connected, "{}: the server has {connected} replicas", unproved(durability));
        }
    }
    Ok(())
}

fn unproved(durability: Durability) -> String {
    format!("--durability {durability} cannot be proved")
}
