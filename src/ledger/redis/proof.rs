//! Whether servers can prove what an acknowledgement promises.
//!
//! Disk is the append-only file, synced before each answer (`appendfsync always`): what WAITAOF says of a server's own file is not asked for,
//! because Valkey 9 with `everysec` says at once that it is on disk where it is not. Replicas are asked for by WAIT on the connection that
//! wrote, and for their disks by WAITAOF: a replica tells how far its own file is synced, which held on Redis 8 and Valkey 9 with each
//! `appendfsync`.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, Value};

use super::RedisOptions;
use super::keys::StoreKeys;
use super::nodes::Nodes;
use super::sending::{Proof, Wait};
use super::server_check::field;
use platform::durability::Durability;

impl RedisOptions {
    /// Replicas that must have a write before it is acknowledged.
    pub(super) fn proof(&self) -> Wait {
        let is_on_disk = self.durability.is_on_disk();
        self.durability.replicas().map(|replicas| Proof { replicas, is_on_disk, time: self.durability_timeout })
    }
}

/// What a server is asked.
#[derive(Clone, Copy, Debug)]
enum Question {
    /// Whether it syncs its append-only file before each answer.
    Disk,
    /// How many replicas it has.
    Replicas(u32),
    /// Whether the server can tell what is on its replicas' disks.
    ReplicasDisk,
}

/// The questions to servers before anything is begun.
fn questions(durability: Durability) -> Vec<Question> {
    match durability {
        Durability::Engine => Vec::new(),
        Durability::Disk => vec![Question::Disk],
        Durability::Replicas(count) => vec![Question::Replicas(count)],
        Durability::ReplicasDisk(count) => vec![Question::ReplicasDisk, Question::Disk, Question::Replicas(count)],
    }
}

impl Question {
    fn command(self) -> Cmd {
        match self {
            Self::Disk => redis::cmd("CONFIG").arg("GET").arg("append*").clone(),
            Self::Replicas(_) => redis::cmd("INFO").arg("replication").clone(),
            // None need have anything: it returns at once.
            Self::ReplicasDisk => redis::cmd("WAITAOF").arg(0).arg(0).arg(1).clone(),
        }
    }

    fn check(self, answer: Value) -> anyhow::Result<()> {
        match self {
            Self::Disk => {
                let settings = HashMap::<String, String>::from_redis_value(answer)?;
                let is = |name: &str, value: &str| settings.get(name).is_some_and(|found| found == value);
                ensure!(
                    is("appendonly", "yes") && is("appendfsync", "always"),
                    "it needs appendonly yes and appendfsync always, and Redis has appendonly {} and appendfsync {}",
                    settings.get("appendonly").map_or("unknown", String::as_str),
                    settings.get("appendfsync").map_or("unknown", String::as_str),
                );
            }
            Self::Replicas(needed) => {
                let info = String::from_redis_value(answer)?;
                let connected = field(&info, "connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0);
                ensure!(needed <= connected, "the server has {connected} replicas");
            }
            Self::ReplicasDisk => {}
        }
        Ok(())
    }

    /// What a refusal says, for people.
    fn refused(self, error: anyhow::Error) -> anyhow::Error {
        match self {
            Self::ReplicasDisk if is_unknown(&error) => {
                anyhow::anyhow!("the server does not know WAITAOF, which Redis has from 7.2 on, and Valkey has")
            }
            _ => error,
        }
    }
}

/// Refuses servers that cannot prove it, before anything is begun. In a cluster, of those that are away nothing is said.
pub(super) async fn check_all(nodes: &mut Nodes, store: &StoreKeys, durability: Durability) -> anyhow::Result<()> {
    for question in questions(durability) {
        for partition in &store.partitions {
            let answer = nodes.query::<Value>(partition.slot, &question.command()).await;
            let is_away = matches!(&answer, Err(error) if nodes.is_cluster() && !is_unknown(error));
            if !is_away {
                answer
                    .and_then(|answer| question.check(answer))
                    .map_err(|error| question.refused(error))
                    .with_context(|| unproved(durability))?;
            }
        }
    }
    Ok(())
}

/// Whether a server does not know the command.
fn is_unknown(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RedisError>().is_some_and(|error| error.to_string().contains("unknown command"))
}

/// Refuses a server that a partition has moved to and that does not write to disk. Its replicas are not checked here: a command that they
/// lack is not acknowledged.
pub(super) async fn check_new(connection: &mut MultiplexedConnection, durability: Durability) -> anyhow::Result<()> {
    if !durability.is_on_disk() {
        return Ok(());
    }
    let answer = Question::Disk.command().query_async(connection).await;
    answer.map_err(Into::into).and_then(|answer| Question::Disk.check(answer)).with_context(|| unproved(durability))
}

fn unproved(durability: Durability) -> String {
    format!("--durability {durability} cannot be proved")
}
