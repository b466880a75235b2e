//! Rebuilt partitions put into an empty store: what `restore` does.
//!
//! While it lasts, the store's settings say that it is being restored, and by which restoration, and no service uses it. Each partition is
//! made anew as a whole, so a restoration that was interrupted is simply done again. One that goes on while another has begun (two copies of
//! one billing store know the same ledger) writes nothing more: each write asks, in the same step, whether the partition is still its own.

use anyhow::{Context, bail, ensure};
use redis::Value;

use super::RedisOptions;
use super::keys::{PartitionKeys, StoreKeys, slot_of_key};
use super::nodes::Nodes;
use super::script::{CLAIM, FORMAT_VERSION, INITIALIZE, NEVER, PUT, SWAP};
use super::stored::{Restoration, Stored};
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
    /// What the store says of itself meanwhile.
    stored: Stored,
    /// What each partition says of itself meanwhile: no reader takes it for one of the ledger.
    claim: String,
    place: String,
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
        let text: Option<String> = nodes.query(store.head_slot(), redis::cmd("GET").arg(&store.head)).await?;
        let found = text.as_deref().map(|text| Stored::parse(&store.head, text)).transpose()?;
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
        let purpose = found.as_ref().map_or(Purpose::default(), |found| found.purpose);
        let mut before: Vec<Restoration> = found.and_then(|found| found.restoration).into_iter().collect();
        for keys in &store.partitions {
            let copy: Option<String> = nodes.query(keys.slot, redis::cmd("GET").arg(&keys.settings)).await?;
            before.extend(copy.map(|copy| Stored::parse(&keys.settings, &copy)).transpose()?.and_then(|copy| copy.restoration));
        }
        let number = before.iter().map(|last| last.number).max().unwrap_or(0).saturating_add(1);
        let restoration = Some(Restoration { number, id: format!("{:032x}", rand::random::<u128>()) });
        let stored = Stored { is_being_restored: true, restoration, ..Stored::whole(id, purpose, settings) };
        let claim = Stored { ledger: None, ..stored.clone() }.to_text()?;
        let mut installation = Self { nodes, store, stored, claim, place: options.place().to_string() };
        let beginning = installation.stored.to_text()?;
        if !installation.swap(&installation.store.head.clone(), text.as_deref().unwrap_or_default(), &beginning).await? {
            bail!("{} has changed meanwhile: another process creates or restores a ledger there", options.place());
        }
        for keys in installation.store.partitions.clone() {
            let mut command = redis::cmd("EVAL");
            command.arg(&CLAIM.text).arg(1 + keys.all.len()).arg(&keys.settings).arg(&keys.all).arg(&installation.claim).arg(number);
            ensure!(installation.nodes.query::<bool>(keys.slot, &command).await?, installation.taken_over());
        }
        Ok(installation)
    }

    /// Fills a partition with a state.
    pub async fn install(&mut self, partition: u16, partition_state: &PartitionState) -> anyhow::Result<()> {
        let keys = self.store.partitions.get(usize::from(partition)).cloned().context("there is no such partition")?;
        let mark = self.stored.ledger.context("a store that is restored has a ledger")?.mark();
        let mut initialize = redis::cmd("EVAL");
        initialize.arg(&INITIALIZE.text).arg(keys.all.len()).arg(&keys.all).arg(mark.as_slice());
        self.nodes.query::<Value>(keys.slot, &initialize).await?;
        let [younger, older] = keys.requests();
        let packed = |account: &Account| [encode_account(account).as_slice(), &[0; Expiry::BYTES]].concat();
        let accounts = partition_state.accounts.iter().map(|(id, account)| (id.as_bytes().to_vec(), packed(account)));
        self.put(&keys, keys.accounts(), accounts).await?;
        let profiles = partition_state.profiles.iter().map(|(id, profile)| (id.as_bytes().to_vec(), encode_profile(id, profile)));
        self.put(&keys, keys.profiles(), profiles).await?;
        let reservations = partition_state.reservations.iter().map(|(key, reservation)| (key.0.to_vec(), encode_reservation(reservation)));
        self.put(&keys, keys.reservations(), reservations).await?;
        for (key, requests) in [(younger, &partition_state.requests), (older, &partition_state.older_requests)] {
            self.put(&keys, key, requests.iter().map(|(key, remembered)| (key.0.to_vec(), encode_idempotency_record(&remembered.whole()))))
                .await?;
        }
        self.put(
            &keys,
            keys.refunds(),
            partition_state.refunds.iter().map(|(key, refunded)| (encode_refund_key(key), encode_refunded(refunded))),
        )
        .await?;
        self.rank(&keys, keys.expiries(), partition_state.expiries.iter().map(|(at, key)| (at.get(), key.0.to_vec()))).await?;
        let by_account = partition_state.reservations.iter().map(|(key, reservation)| {
            let place = ReservationPlace::of(*key, reservation);
            (0, encode_reservation_place(&reservation.account, &place))
        });
        self.rank(&keys, keys.reservations_by_account(), by_account).await?;
        self.rank(&keys, keys.names(), partition_state.names.iter().map(|place| (0, encode_place(place).into_bytes()))).await?;
        let state = encode_state(partition_state, mark);
        self.put(&keys, keys.accounts(), std::iter::once((Vec::new(), state))).await
    }

    /// Marks the store as complete: services may use it.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let (beginning, claim) = (self.stored.to_text()?, self.claim.clone());
        let whole = Stored { is_being_restored: false, ..self.stored.clone() }.to_text()?;
        let copies = self.store.partitions.iter().map(|keys| (keys.settings.clone(), claim.as_str()));
        for (key, from) in copies.chain([(self.store.head.clone(), beginning.as_str())]).collect::<Vec<_>>() {
            ensure!(self.swap(&key, from, &whole).await?, self.taken_over());
        }
        Ok(())
    }

    /// Puts one text in the place of another, unless there is a third; returns whether it is there now.
    async fn swap(&mut self, key: &str, from: &str, to: &str) -> anyhow::Result<bool> {
        self.nodes.query(slot_of_key(key), redis::cmd("EVAL").arg(&SWAP.text).arg(1).arg(key).arg(from).arg(to)).await
    }

    /// Why this restoration does not go on.
    fn taken_over(&self) -> String {
        format!("another restoration into {} has begun, and goes on there: this one has ended", self.place)
    }

    /// Writes fields of a hash.
    async fn put(&mut self, keys: &PartitionKeys, key: &str, fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> anyhow::Result<()> {
        self.write(keys, key, "HSET", fields).await
    }

    /// Writes members of a sorted set.
    async fn rank(&mut self, keys: &PartitionKeys, key: &str, members: impl Iterator<Item = (i64, Vec<u8>)>) -> anyhow::Result<()> {
        self.write(keys, key, "ZADD", members.map(|(score, member)| (score.to_string().into_bytes(), member))).await
    }

    /// Writes pairs to a key of a partition, which must still be this restoration's.
    async fn write(
        &mut self,
        keys: &PartitionKeys,
        key: &str,
        command: &str,
        mut pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        loop {
            let mut script = redis::cmd("EVAL");
            script.arg(&PUT.text).arg(2).arg(&keys.settings).arg(key).arg(&self.claim).arg(command);
            let mut is_any = false;
            for (first, second) in pairs.by_ref().take(AT_ONCE) {
                script.arg(first).arg(second);
                is_any = true;
            }
            if !is_any {
                return Ok(());
            }
            ensure!(self.nodes.query::<bool>(keys.slot, &script).await?, self.taken_over());
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
        has_older: u8::from(partition_state.older_requests.len() > 0),
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
