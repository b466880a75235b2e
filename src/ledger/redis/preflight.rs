//! What a store must be like before a command is sent to it.
//!
//! Checked at each start, on each new connection, and where a partition comes to one that was there: a Redis that came back empty, or was replaced by another, is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{bail, ensure};
use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, Value};

use super::acknowledged::Acknowledged;
use super::keys::{PartitionKeys, StoreKeys};
use super::reply_failure::{ReplyFailure, of_read};
use super::routes::{OnItsWayCheck, PartitionsCheck};
use super::script::KEY_TYPES;
use super::server_check::{agreement, check_server};
use super::stored::Stored;
use super::{RedisLedger, proof};
use crate::{Identity, LedgerId, StoreSettings};
use domain::time::UnixMillis;
use platform::clock::Clock;

/// What a store must hold.
#[derive(Debug)]
pub struct Expected {
    keys: StoreKeys,
    settings: StoreSettings,
    identity: Identity,
    /// Until when ids may be remembered with fingerprints of format version 2, as the store said last.
    legacy_until: AtomicI64,
}

impl Expected {
    /// This ledger, in a store of that name.
    #[must_use]
    pub fn new(store_name: &str, settings: &StoreSettings, identity: Identity) -> Self {
        Self {
            keys: StoreKeys::new(store_name, settings.partitions),
            settings: settings.clone(),
            identity,
            legacy_until: AtomicI64::new(0),
        }
    }

    /// The ledger.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The keys of each partition.
    #[must_use]
    pub fn keys(&self) -> &[PartitionKeys] {
        &self.keys.partitions
    }

    /// Until when ids may be remembered with fingerprints of format version 2.
    #[must_use]
    pub fn legacy_until(&self) -> UnixMillis {
        UnixMillis::new(self.legacy_until.load(Ordering::Relaxed))
    }

    /// The commands whose answers [`Self::check_quickly`] reads, for these partitions, and for the store's own key if it is there.
    #[must_use]
    pub fn quick_commands(&self, has_head: bool, partitions: &[u16]) -> Pipeline {
        let mut commands = Pipeline::with_capacity(1 + partitions.len());
        if has_head {
            commands.cmd("GET").arg(&self.keys.head);
        }
        self.keys_of(partitions).for_each(|keys| {
            commands.cmd("GET").arg(&keys.settings);
        });
        commands
    }

    fn keys_of(&self, partitions: &[u16]) -> impl Iterator<Item = &PartitionKeys> {
        partitions.iter().filter_map(|partition| self.keys.partitions.get(usize::from(*partition)))
    }

    /// The slot of the store's own key in a cluster.
    #[must_use]
    pub fn head_slot(&self) -> u16 {
        self.keys.head_slot()
    }

    /// Refuses a store that is empty, or another ledger's, or not whole. One result for each partition; what a server refuses to answer
    /// because the partition is elsewhere says nothing of it.
    pub fn check_quickly(
        &self,
        has_head: bool,
        partitions: &[u16],
        found: Vec<Value>,
    ) -> anyhow::Result<Vec<anyhow::Result<PreflightOutcome>>> {
        let mut found =
            found.into_iter().map(|value| value.extract_error().and_then(|value| Ok(Option::<String>::from_redis_value(value)?)));
        if has_head {
            match found.next() {
                Some(Ok(head)) => self.check_head(head.as_deref())?,
                Some(Err(error)) if is_about_the_place(&error) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the server leaves out an answer"),
            }
        }
        let keys = self.keys_of(partitions);
        Ok(keys
            .zip(found)
            .map(|(keys, copy)| match copy {
                Ok(copy) => self.check_copy(&keys.settings, copy.as_deref()).map(|()| PreflightOutcome::Present),
                Err(error) if is_about_the_place(&error) => Ok(PreflightOutcome::Elsewhere(of_read(&error))),
                Err(error) => Err(error.into()),
            })
            .collect())
    }

    fn check_head(&self, head: Option<&str>) -> anyhow::Result<()> {
        let Some(head) = head else { bail!("the store is empty: there is no {} in {}", self.keys.head, self.identity.place) };
        let stored = Stored::parse(&self.keys.head, head)?;
        stored.check(&self.settings)?;
        self.legacy_until.store(stored.legacy_until.get(), Ordering::Relaxed);
        self.check_id(&self.keys.head, stored.ledger)
    }

    /// Refuses a partition that is gone, or another ledger's, by the copy of the settings under its tag.
    pub fn check_copy(&self, key: &str, copy: Option<&str>) -> anyhow::Result<()> {
        match copy {
            Some(copy) => self.check_id(key, Some(Stored::id_in_copy(key, Some(copy))?)),
            None => bail!("the store is empty, or has lost a part: there is no {key} in {}", self.identity.place),
        }
    }

    fn check_id(&self, key: &str, found: Option<LedgerId>) -> anyhow::Result<()> {
        let Identity { id, place, .. } = &self.identity;
        let text = found.map_or_else(|| "no ledger".to_owned(), |found| format!("ledger {found}"));
        ensure!(found == Some(*id), "{key} in {place} is of {text}, and this tollgate was started on ledger {id}");
        Ok(())
    }
}

/// What a look at a partition has found, if nothing is wrong.
#[derive(Clone, Debug)]
pub enum PreflightOutcome {
    /// It is there.
    Present,
    /// The server says that another has it, or part of it.
    Elsewhere(ReplyFailure),
}

/// Whether a server only says where something is, or that it cannot say now.
fn is_about_the_place(error: &RedisError) -> bool {
    matches!(of_read(error), ReplyFailure::Moved(_) | ReplyFailure::Asked(_) | ReplyFailure::Later(_))
}

/// Refuses a server that is not as it must be, or one that has the store's own key in another state than it must be; and each partition
/// that is not as it must be, by one result for each.
pub async fn check(
    mut connection: MultiplexedConnection,
    expected: Arc<Expected>,
    has_head: bool,
    partitions: Vec<u16>,
) -> anyhow::Result<Vec<anyhow::Result<()>>> {
    check_server(&mut connection, &expected.keys).await?;
    let commands = expected.quick_commands(has_head, &partitions);
    let found = if commands.is_empty() { Vec::new() } else { connection.send_packed_commands(&commands, 0, commands.len()).await? };
    let mut checked = Vec::with_capacity(partitions.len());
    for (partition, outcome) in partitions.iter().zip(expected.check_quickly(has_head, &partitions, found)?) {
        checked.push(match outcome {
            Ok(PreflightOutcome::Present) => expected.check_keys(&mut connection, *partition).await,
            Ok(PreflightOutcome::Elsewhere(_)) => Ok(()),
            Err(error) => Err(error),
        });
    }
    Ok(checked)
}

impl RedisLedger {
    /// What each new connection must pass. In a cluster, a partition that does not is refused alone.
    pub(super) fn preflight(&self, clock: &Clock, acknowledged: &Arc<Acknowledged>) -> PartitionsCheck {
        let Self { topology, expected, checks, losses, options, .. } = self.clone();
        let (clock, durability, acknowledged) = (clock.clone(), options.durability, Arc::clone(acknowledged));
        Arc::new(move |mut connection, address, partitions| {
            let (topology, expected, checks, clock) = (Arc::clone(&topology), Arc::clone(&expected), checks.clone(), clock.clone());
            let (acknowledged, losses) = (Arc::clone(&acknowledged), losses.clone());
            async move {
                let has_head = topology.primary_of(expected.head_slot()).as_ref() == Some(&address);
                proof::check_new(&mut connection, durability).await?;
                let found = check(connection.clone(), Arc::clone(&expected), has_head, partitions.clone()).await?;
                if !topology.is_cluster() {
                    found.into_iter().collect::<anyhow::Result<()>>()?;
                    let left = acknowledged.look_for(&mut connection, expected.keys(), &partitions, &losses).await?;
                    if !left.is_empty() {
                        bail!("what partitions {left:?} have lost cannot be looked for, or be kept aside, yet");
                    }
                    return Ok(left);
                }
                let there: Vec<u16> =
                    partitions.iter().zip(&found).filter(|(_, found)| found.is_ok()).map(|(partition, _)| *partition).collect();
                let left = acknowledged.look_for(&mut connection, expected.keys(), &there, &losses).await?;
                for (partition, found) in partitions.into_iter().zip(found) {
                    if let Some(store) = checks.stores.get(usize::from(partition)) {
                        store.set(&found.map_err(|error| format!("{error:#}")));
                    }
                }
                if !clock.is_manual() {
                    let time = redis::cmd("TIME").query_async(&mut connection).await?;
                    if let Err(reason) = agreement(time) {
                        bail!("{reason}");
                    }
                }
                Ok(left)
            }
            .boxed()
        })
    }
}

impl RedisLedger {
    /// What must hold of a partition at a server that its slot is on its way to. Of which ledger it is, each script looks at by itself.
    pub(super) fn on_its_way(&self, acknowledged: &Arc<Acknowledged>) -> OnItsWayCheck {
        let (expected, losses, acknowledged) = (Arc::clone(&self.expected), self.losses.clone(), Arc::clone(acknowledged));
        Arc::new(move |connection, partition| {
            let (expected, losses, acknowledged) = (Arc::clone(&expected), losses.clone(), Arc::clone(&acknowledged));
            async move {
                let Some(keys) = expected.keys().get(usize::from(partition)) else { return Ok(false) };
                Ok(acknowledged.is_all_on_its_way(connection, keys, &losses).await?)
            }
            .boxed()
        })
    }
}

impl Expected {
    /// The command whose answer [`Self::check_key_types`] reads.
    #[must_use]
    pub fn key_types(&self, partition: u16) -> Option<redis::Cmd> {
        let keys = self.keys.partitions.get(usize::from(partition))?;
        let mut command = redis::cmd("EVAL");
        command.arg(&KEY_TYPES.text).arg(keys.all.len()).arg(&keys.all);
        Some(command)
    }

    /// Refuses a partition of which a key is missing, or holds something else than it must.
    pub fn check_key_types(&self, found: Value) -> anyhow::Result<()> {
        let (missing, strange): (Vec<String>, Vec<String>) = FromRedisValue::from_redis_value(found)?;
        let place = &self.identity.place;
        ensure!(missing.is_empty(), "the store has lost a part: there is no {} in {place}", missing.join(", "));
        ensure!(strange.is_empty(), "not tollgate's: {} in {place} is not of the type that it must be of", strange.join(", "));
        Ok(())
    }

    async fn check_keys(&self, connection: &mut MultiplexedConnection, partition: u16) -> anyhow::Result<()> {
        let Some(command) = self.key_types(partition) else { return Ok(()) };
        match command.query_async(connection).await {
            Err(error) if is_about_the_place(&error) => Ok(()),
            answer => self.check_key_types(answer?),
        }
    }
}
