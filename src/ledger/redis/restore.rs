//! Rebuilt partitions put into an empty store: what `restore` does.
//!
//! While it lasts, the store's settings say that it is being restored, and no service uses it. Each partition is made anew as a whole, so
//! a restoration that was interrupted is simply done again.

use anyhow::{Context, bail, ensure};
use redis::{Pipeline, Value};

use super::RedisOptions;
use super::keys::{PartitionKeys, StoreKeys, slot_of_key};
use super::nodes::Nodes;
use super::script::{FORMAT_VERSION, INITIALIZE, NEVER};
use super::stored::Stored;
use super::topology::Topology;
use crate::codec::records::{Expiry, RareState, StepState};
use crate::codec::{
    encode_account, encode_idempotency_record, encode_place, encode_profile, encode_refund_key, encode_refunded, encode_reservation,
    encode_reservation_place,
};
use crate::model::{PartitionState, State};
use crate::{LedgerId, Purpose, ReservationPlace, StoreSettings};
use domain::account::Account;
use domain::time::UnixMillis;

/// How many records go to Redis at once.
const AT_ONCE: usize = 1_000;

/// A store that is being restored.
pub struct Installation {
    nodes: Nodes,
    store: StoreKeys,
    stored: Stored,
}

impl Installation {
    /// Claims an empty store for this ledger, or goes on with one whose restoration was interrupted. One that holds anything is refused. `had`
    /// is how many partitions the ledger had, if it gets another number of them.
    pub async fn begin(options: &RedisOptions, settings: &StoreSettings, id: LedgerId, had: Option<u16>) -> anyhow::Result<Self> {
        // Writing a thousand records may take longer than deciding on a batch.
        let store = StoreKeys::new(&options.store_name, settings.partitions);
        let mut nodes = Nodes::new(options, Topology::find(options).await?, &store, 30);
        if let Some(had) = had {
            refuse_lost(&mut nodes, &store, &PartitionKeys::of_store(&options.store_name, had)).await?;
        }
        let found = store.read(&mut nodes).await?;
        if let Some(found) = &found {
            found.settings.check(settings)?;
        }
        let unfinished = found.as_ref().filter(|found| found.is_being_restored);
        if let Some(other) = unfinished.and_then(|found| found.ledger).filter(|other| *other != id) {
            bail!(
                "ledger {other} is being restored into {}, and this is ledger {id}: run that restoration again, by its own billing store, or \
                 restore into an empty store",
                options.place()
            );
        }
        if unfinished.is_none() {
            for keys in &store.partitions {
                let accounts: usize = nodes.query(keys.slot, redis::cmd("HLEN").arg(keys.accounts())).await?;
                if accounts > 1 {
                    let of = found.and_then(|found| found.ledger).map_or_else(String::new, |id| format!(" holds ledger {id} and"));
                    bail!("{}{of} is not empty: a ledger is only restored into an empty store", options.place());
                }
            }
        }
        let purpose = found.map_or(Purpose::default(), |found| found.purpose);
        let stored = Stored { is_being_restored: true, ..Stored::whole(id, purpose, settings) };
        store.write_head(&mut nodes, &stored).await?;
        store.drop_copies(&mut nodes).await?;
        Ok(Self { nodes, store, stored })
    }

    /// Overwrites a partition with a state.
    pub async fn install(&mut self, partition: u16, partition_state: &PartitionState) -> anyhow::Result<()> {
        let keys = self.store.partitions.get(usize::from(partition)).cloned().context("there is no such partition")?;
        self.nodes.query::<Value>(keys.slot, redis::cmd("UNLINK").arg(&keys.all)).await?;
        let mark = self.stored.ledger.context("a store that is restored has a ledger")?.mark();
        let mut initialize = redis::cmd("EVAL");
        initialize.arg(&INITIALIZE.text).arg(keys.all.len()).arg(&keys.all).arg(mark.as_slice());
        self.nodes.query::<Value>(keys.slot, &initialize).await?;
        let [younger, older] = keys.requests();
        let packed = |account: &Account| [encode_account(account).as_slice(), &[0; Expiry::BYTES]].concat();
        let accounts = partition_state.accounts.iter().map(|(id, account)| (id.as_bytes().to_vec(), packed(account)));
        self.put(keys.accounts(), accounts).await?;
        let profiles = partition_state.profiles.iter().map(|(id, profile)| (id.as_bytes().to_vec(), encode_profile(id, profile)));
        self.put(keys.profiles(), profiles).await?;
        let reservations = partition_state.reservations.iter().map(|(key, reservation)| (key.0.to_vec(), encode_reservation(reservation)));
        self.put(keys.reservations(), reservations).await?;
        for (key, requests) in [(younger, &partition_state.requests), (older, &partition_state.older_requests)] {
            self.put(key, requests.iter().map(|(key, remembered)| (key.0.to_vec(), encode_idempotency_record(remembered)))).await?;
        }
        self.put(keys.refunds(), partition_state.refunds.iter().map(|(key, refunded)| (encode_refund_key(key), encode_refunded(refunded))))
            .await?;
        self.rank(keys.expiries(), partition_state.expiries.iter().map(|(at, key)| (at.get(), key.0.to_vec()))).await?;
        let by_account = partition_state.reservations.iter().map(|(key, reservation)| {
            let place = ReservationPlace::of(*key, reservation);
            (0, encode_reservation_place(&reservation.account, &place))
        });
        self.rank(keys.reservations_by_account(), by_account).await?;
        self.rank(keys.names(), partition_state.names.iter().map(|place| (0, encode_place(place).into_bytes()))).await?;
        let state = encode_state(partition_state, mark);
        self.nodes.query::<Value>(keys.slot, redis::cmd("HSET").arg(keys.accounts()).arg("").arg(state)).await?;
        Ok(())
    }

    /// Marks the store as complete: services may use it.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let whole = Stored { is_being_restored: false, ..self.stored };
        self.store.write_copies(&mut self.nodes, &whole).await?;
        self.store.write_head(&mut self.nodes, &whole).await
    }

    /// Writes fields of a hash.
    async fn put(&mut self, key: &str, fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> anyhow::Result<()> {
        self.in_chunks(key, fields, |pipeline, (field, value)| {
            pipeline.cmd("HSET").arg(key).arg(field).arg(value).ignore();
        })
        .await
    }

    /// Writes members of a sorted set.
    async fn rank(&mut self, key: &str, members: impl Iterator<Item = (i64, Vec<u8>)>) -> anyhow::Result<()> {
        self.in_chunks(key, members, |pipeline, (score, member)| {
            pipeline.cmd("ZADD").arg(key).arg(score).arg(member).ignore();
        })
        .await
    }

    async fn in_chunks<T>(&mut self, key: &str, mut items: impl Iterator<Item = T>, add: impl Fn(&mut Pipeline, T)) -> anyhow::Result<()> {
        loop {
            let mut pipeline = Pipeline::new();
            items.by_ref().take(AT_ONCE).for_each(|item| add(&mut pipeline, item));
            if pipeline.is_empty() {
                return Ok(());
            }
            self.nodes.send(slot_of_key(key), &pipeline).await?;
        }
    }
}

/// Refuses to leave behind what was acknowledged and lost: with another number of partitions, nobody looks for it where it is, and its
/// accounts are elsewhere.
async fn refuse_lost(nodes: &mut Nodes, store: &StoreKeys, had: &[PartitionKeys]) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for partition in had.iter().chain(&store.partitions) {
        let blocks: usize = nodes.query(partition.slot, redis::cmd("HLEN").arg(partition.lost())).await?;
        if blocks > 0 {
            kept.push(partition.lost());
        }
    }
    ensure!(
        kept.is_empty(),
        "what was acknowledged and lost waits for a decision in {}: with another number of partitions nobody would find it. Restore with as \
         many as there were and have `tollgate reconcile` decide, or give it up by deleting that",
        kept.join(", ")
    );
    Ok(())
}

/// The script's `STATE_FORMAT`: the state of a partition, which is the field of the accounts that has no name. What was restored from a
/// billing store is read by one.
fn encode_state(partition_state: &PartitionState, ledger: [u8; 8]) -> Vec<u8> {
    let State { sequence, last_block, now, rotated_at, refunds_dropped_until, legacy_until, reserved_until, older_reserved_until } =
        partition_state.state;
    let step = StepState {
        version: FORMAT_VERSION,
        sequence,
        now,
        checked_at: UnixMillis::NONE,
        next_expiry: partition_state.expiries.first().map_or(NEVER, |(at, _)| *at),
        rotated_at,
        has_older: u8::from(!partition_state.older_requests.is_empty()),
        watched_until: UnixMillis::NONE,
        last_block,
        generation: 0,
    };
    let rare = RareState { legacy_until, refunds_dropped_until, reserved_until, older_reserved_until, ledger, is_read: 1 };
    let mut bytes = Vec::with_capacity(StepState::BYTES + RareState::BYTES);
    step.put(&mut bytes);
    rare.put(&mut bytes);
    bytes
}
