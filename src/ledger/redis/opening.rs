//! The ledger in a Redis is found, and opened; opening is not creating.
//!
//! A ledger is created by [`create`] alone (and by a restoration, see [`super::restore`]). It is whole when its settings say so, which is
//! written last; a creation that was interrupted is simply done again.

use std::sync::Arc;

use anyhow::{Context, bail};
use redis::Value;

use super::RedisOptions;
use super::keys::StoreKeys;
use super::nodes::Nodes;
use super::proof;
use super::script::{FORMAT_VERSION, INITIALIZE, MIGRATE, OWN};
use super::stored::Stored;
use super::topology::Topology;
use crate::{Found, Identity, LedgerId, Opening, Purpose, StoreSettings};
use domain::time::UnixMillis;

/// How many partitions a new store on one server has, unless told otherwise: each takes a batch of its own, so that more of them cost more.
const ON_ONE_SERVER: u16 = 4;

/// How many one in a cluster has: as many primaries can share it, and slots that are moved are smaller.
const IN_CLUSTER: u16 = 8;

/// How many partitions the store has; where there is none, how many a new one has.
pub async fn partitions(options: &RedisOptions) -> anyhow::Result<u16> {
    let topology = Topology::find(options).await?;
    let new = if topology.is_cluster() { IN_CLUSTER } else { ON_ONE_SERVER };
    let mut failed = None;
    // While the server of the store's own key is away, a copy says it, whose place depends on the number.
    for count in [new, ON_ONE_SERVER] {
        let store = StoreKeys::new(&options.store_name, count);
        let mut nodes = Nodes::new(options, Arc::clone(&topology), &store, 1);
        nodes.reach_all().await;
        match store.read(&mut nodes).await {
            Ok(stored) => return Ok(stored.map_or(new, |stored| stored.settings.partitions)),
            Err(error) => failed = Some(error),
        }
        if !topology.is_cluster() {
            break;
        }
    }
    let unknown = "it is not known how many partitions the store has: --partitions says it";
    failed.map_or(Ok(new), |error| Err(error.context(unknown)))
}

/// The ledger that a Redis holds under the store's name, whatever its settings; `None` if the store is empty. One that is being created is
/// none yet.
pub async fn find(options: &RedisOptions, partitions: u16) -> anyhow::Result<Option<Found>> {
    let store = StoreKeys::new(&options.store_name, partitions);
    let mut nodes = Nodes::new(options, Topology::find(options).await?, &store, 1);
    nodes.reach_all().await;
    let stored = store.read(&mut nodes).await?;
    Ok(stored.filter(|stored| !stored.is_being_created).map(|stored| Found { id: stored.ledger, purpose: stored.purpose }))
}

/// The ledger in a Redis, created only if `opening` says so. Its partitions are checked by each connection, see [`super::preflight`].
pub async fn open(
    options: &RedisOptions,
    topology: &Arc<Topology>,
    settings: &StoreSettings,
    opening: Opening,
) -> anyhow::Result<Identity> {
    let store = StoreKeys::new(&options.store_name, settings.partitions);
    let mut nodes = Nodes::new(options, Arc::clone(topology), &store, 1);
    nodes.reach_all().await;
    proof::check_all(&mut nodes, &store, options.durability).await?;
    let stored = match store.read(&mut nodes).await? {
        Some(stored) if !stored.is_being_created => stored,
        found => match opening.purpose() {
            Some(purpose) => create(&mut nodes, &store, settings, purpose).await?,
            None if found.is_some() => {
                bail!("the store is being created; if no process is doing so, it was interrupted: run tollgate init again")
            }
            None => bail!("the store is empty: there is no {} in {}", store.head, options.place()),
        },
    };
    let stored = if (stored.format_version == 2 || stored.is_being_migrated) && !matches!(opening, Opening::Existing) {
        migrate(&mut nodes, &store, stored).await?
    } else {
        stored
    };
    stored.check(settings)?;
    let id = match stored.ledger {
        Some(id) => id,
        None => give_id(&mut nodes, &store, &stored, opening.new_id()?).await?,
    };
    Ok(Identity { id, purpose: stored.purpose, place: options.place() })
}

/// Creates the ledger. Two processes that do so at the same time create the same.
async fn create(nodes: &mut Nodes, store: &StoreKeys, settings: &StoreSettings, purpose: Purpose) -> anyhow::Result<Stored> {
    let beginning = Stored { is_being_created: true, ..Stored::whole(LedgerId::random(), purpose, settings) };
    let claimed = store.claim(nodes, &beginning).await?;
    if !claimed.is_being_created {
        return Ok(claimed);
    }
    Stored { is_being_created: false, ..claimed.clone() }.check(settings)?;
    let mark = claimed.ledger.context("the store that is being created names no ledger")?.mark();
    for partition in &store.partitions {
        let accounts: usize = nodes.query(partition.slot, redis::cmd("HLEN").arg(partition.accounts())).await?;
        if accounts > 1 {
            bail!("{} holds accounts, though the store's settings are gone: it is not created anew", partition.accounts());
        }
        let mut command = redis::cmd("EVAL");
        command.arg(&INITIALIZE.text).arg(partition.all.len()).arg(&partition.all).arg(mark.as_slice());
        nodes.query::<Value>(partition.slot, &command).await.context("cannot initialize the store")?;
    }
    let whole = Stored { is_being_created: false, ..claimed };
    store.write_copies(nodes, &whole).await?;
    store.write_head(nodes, &whole).await?;
    tracing::info!(ledger = whole.ledger.map(tracing::field::display), settings = ?whole.settings, "created a ledger in Redis");
    Ok(whole)
}

/// Brings a store of format version 2 to this one. Its settings say so first, so that an older tollgate refuses it; one that was
/// interrupted is gone on with.
async fn migrate(nodes: &mut Nodes, store: &StoreKeys, stored: Stored) -> anyhow::Result<Stored> {
    // For as long as an id of then is remembered at most.
    let (seconds, _): (i64, i64) = nodes.query(store.head_slot(), &redis::cmd("TIME")).await?;
    let state: Vec<u8> = match store.partitions.first() {
        Some(partition) => nodes.query(partition.slot, redis::cmd("HGET").arg(partition.accounts()).arg("")).await?,
        None => Vec::new(),
    };
    // A ledger whose time stands ahead of the clock goes by its own.
    let ledger_now = state.get(12..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes);
    let now = UnixMillis::new(ledger_now.max(seconds * 1000));
    let legacy_until = if stored.legacy_until.is_some() { stored.legacy_until } else { now + 2 * stored.settings.window };
    let beginning = Stored { format_version: FORMAT_VERSION, is_being_migrated: true, legacy_until, ..stored };
    store.write_head(nodes, &beginning).await?;
    for partition in &store.partitions {
        let keys: Vec<String> = partition.all.iter().cloned().chain(partition.legacy()).collect();
        let (mut phase, mut cursor) = ("keys".to_owned(), "0".to_owned());
        while phase != "done" {
            let mut command = redis::cmd("EVAL");
            command.arg(&MIGRATE.text).arg(keys.len()).arg(&keys).arg(&phase).arg(&cursor).arg(legacy_until.get());
            (phase, cursor) = nodes.query(partition.slot, &command).await.context("cannot bring the store to this version")?;
        }
    }
    let whole = Stored { is_being_migrated: false, ..beginning };
    store.write_head(nodes, &whole).await?;
    tracing::info!(version = FORMAT_VERSION, "the store was brought to this format version");
    Ok(whole)
}

/// Gives a ledger of an earlier version its id. The first partition's copy decides whose id it gets, should several processes do so.
async fn give_id(nodes: &mut Nodes, store: &StoreKeys, stored: &Stored, id: LedgerId) -> anyhow::Result<LedgerId> {
    let [first, ..] = store.partitions.as_slice() else { bail!("the store has no partitions") };
    let offered = serde_json::to_string(&Stored { ledger: Some(id), ..stored.clone() })?;
    nodes.query::<Value>(first.slot, redis::cmd("SET").arg(&first.settings).arg(offered).arg("NX")).await?;
    let copy: Option<String> = nodes.query(first.slot, redis::cmd("GET").arg(&first.settings)).await?;
    let id = Stored::id_in_copy(&first.settings, copy.as_deref())?;
    for partition in &store.partitions {
        let mut command = redis::cmd("EVAL");
        command.arg(&OWN.text).arg(partition.all.len()).arg(&partition.all).arg(id.mark().as_slice());
        nodes.query::<Value>(partition.slot, &command).await?;
    }
    let whole = Stored { ledger: Some(id), ..stored.clone() };
    store.write_copies(nodes, &whole).await?;
    store.write_head(nodes, &whole).await?;
    tracing::info!(ledger = %id, "the ledger was given an id");
    Ok(id)
}
