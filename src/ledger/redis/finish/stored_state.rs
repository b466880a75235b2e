//! Reads the stored state of all that a torn step may have touched: from before it, or as it has written it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use super::{AT_ONCE, Torn, only_restore};
use crate::codec::{
    Undecodable, decode_account, decode_idempotency_record, decode_profile, decode_refunded, decode_reservation, decode_reservation_place,
    encode_refund_key,
};
use crate::model::{PartitionState, State};
use crate::redis::keys::PartitionKeys;
use crate::redis::{Bytes, RedisEngine};
use crate::{Block, IdempotencyKey, LedgerError, ReservationPlace};
use domain::account::{Account, Profile, Reservation};
use domain::entry::{Entry, EntryData};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::rules::{IdempotencyRecord, RefundKey, Refunded};

/// The stored state.
#[derive(Default)]
pub(super) struct StoredState {
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) profiles: HashMap<AccountId, Profile>,
    /// The places of the accounts' reservations in the set of them by account.
    pub(super) places: BTreeMap<AccountId, Vec<ReservationPlace>>,
    /// The reservations that the step was about, by account.
    pub(super) held: Vec<(AccountId, IdempotencyKey)>,
    /// All reservations of the accounts.
    pub(super) reservations: HashMap<IdempotencyKey, Reservation>,
    pub(super) requests: HashMap<IdempotencyKey, IdempotencyRecord>,
    pub(super) older_requests: HashMap<IdempotencyKey, IdempotencyRecord>,
    pub(super) refunds: BTreeMap<RefundKey, Refunded>,
}

impl StoredState {
    /// What the step began with: what its accounts had due is off.
    pub(super) fn partition_state(&self, torn: &Torn) -> PartitionState {
        let mut partition_state = PartitionState {
            accounts: self.accounts.clone().into_iter().collect(),
            requests: self.requests.iter().map(|(key, remembered)| (*key, (*remembered).into())).collect(),
            older_requests: self.older_requests.iter().map(|(key, remembered)| (*key, (*remembered).into())).collect(),
            refunds: self.refunds.clone(),
            state: State { sequence: torn.sequence, ..State::default() },
            ..PartitionState::default()
        };
        self.profiles.iter().for_each(|(id, profile)| drop(partition_state.put_profile(id, profile.clone())));
        partition_state.accounts.values_mut().for_each(|account| (account.reserved, account.open_reservations) = (Units::ZERO, 0));
        for (key, reservation) in self.reservations.iter().filter(|(_, reservation)| reservation.expires_at > torn.block.time) {
            if let Some(account) = partition_state.accounts.get_mut(&reservation.account) {
                account.reserved += reservation.amount;
                account.open_reservations += 1;
            }
            partition_state.expiries.insert((reservation.expires_at, *key));
            partition_state.by_account.insert((reservation.account.clone(), ReservationPlace::of(*key, reservation)));
            partition_state.reservations.insert(*key, reservation.clone());
        }
        partition_state
    }

    /// Whether what is remembered was written: it is one write, the first behind the block.
    pub(super) fn has_requests_of(&self, block: &Block) -> bool {
        let of_step = block.first_sequence..block.end();
        self.requests.values().any(|remembered| of_step.contains(&remembered.decision.sequence))
    }
}

impl RedisEngine {
    /// Reads what the step may have touched.
    pub(super) async fn stored_of(&self, keys: &PartitionKeys, torn: &Torn) -> Result<StoredState, LedgerError> {
        let entries = &torn.block.entries;
        let mut stored_state = StoredState::default();
        let accounts: Vec<&str> = distinct(entries.iter().map(|entry| entry.account.as_str()));
        for (id, stored) in accounts.iter().zip(self.fields(keys, keys.accounts(), &accounts).await?) {
            if let Some(stored) = stored {
                stored_state.accounts.insert((*id).into(), decode_account(&stored).map_err(|error| damaged(id, error))?);
            }
            let command =
                redis::cmd("ZRANGEBYLEX").arg(keys.reservations_by_account()).arg(format!("[{id}\0")).arg(format!("({id}\u{1}")).clone();
            let members: Vec<Vec<u8>> = self.read(keys, &command).await?;
            let places = members.iter().map(|member| decode_reservation_place(id, member).map_err(|error| damaged(id, error)));
            stored_state.places.insert((*id).into(), places.collect::<Result<_, _>>()?);
        }
        let changed = entries.iter().filter(|entry| matches!(entry.data, EntryData::Created { .. } | EntryData::Updated { .. }));
        let changed: Vec<&str> = distinct(changed.map(|entry| entry.account.as_str()));
        for (id, stored) in changed.iter().zip(self.fields(keys, keys.profiles(), &changed).await?) {
            if let Some(stored) = stored {
                stored_state.profiles.insert((*id).into(), decode_profile(&stored).map_err(|error| damaged(id, error))?);
            }
        }

        stored_state.held = distinct(entries.iter().filter_map(held_by));
        let listed = stored_state.places.values().flatten().map(|place| place.key);
        let reservations: Vec<IdempotencyKey> = distinct(stored_state.held.iter().map(|(_, key)| *key).chain(listed));
        for (key, stored) in reservations.iter().zip(self.fields(keys, keys.reservations(), &reservations).await?) {
            // One that is damaged is nobody's but those who need it; the step did not.
            if let Some(Ok(reservation)) = stored.as_deref().map(decode_reservation) {
                stored_state.reservations.insert(*key, reservation);
            }
        }

        let named = |name: fn(&Entry) -> &RequestId| {
            let named = entries.iter().filter(move |entry| !name(entry).is_empty());
            named.map(move |entry| (IdempotencyKey::of(&entry.account, name(entry)), entry.account.as_str()))
        };
        let requests = distinct(named(|entry| &entry.request_id).chain(named(|entry| &entry.refers_to)));
        let request_keys: Vec<IdempotencyKey> = requests.iter().map(|(key, _)| *key).collect();
        for (generation, key) in keys.requests().into_iter().enumerate() {
            let is_younger = generation as u64 == torn.generation % 2;
            for ((request, account), stored) in requests.iter().zip(self.fields(keys, key, &request_keys).await?) {
                let Some(stored) = stored else { continue };
                let remembered = decode_idempotency_record(&stored).map_err(|error| damaged(account, error))?;
                if is_younger { &mut stored_state.requests } else { &mut stored_state.older_requests }.insert(*request, remembered);
            }
        }

        let refunds: Vec<RefundKey> = distinct(entries.iter().flat_map(refund_keys));
        let fields: Vec<Vec<u8>> = refunds.iter().map(encode_refund_key).collect();
        for (key, stored) in refunds.into_iter().zip(self.fields(keys, keys.refunds(), &fields).await?) {
            if let Some(stored) = stored {
                stored_state.refunds.insert(key, decode_refunded(&stored).map_err(LedgerError::corrupt)?);
            }
        }
        Ok(stored_state)
    }

    async fn fields<T: AsRef<[u8]>>(&self, keys: &PartitionKeys, hash: &str, fields: &[T]) -> Result<Vec<Bytes>, LedgerError> {
        let mut found = Vec::with_capacity(fields.len());
        for some in fields.chunks(AT_ONCE) {
            let mut command = redis::cmd("HMGET");
            command.arg(hash);
            some.iter().for_each(|field| {
                command.arg(field.as_ref());
            });
            found.extend(self.read::<Vec<Bytes>>(keys, &command).await?);
        }
        Ok(found)
    }
}

/// The reservation that an entry is about, and its account.
fn held_by(entry: &Entry) -> Option<(AccountId, IdempotencyKey)> {
    let name = match entry.data {
        EntryData::Reserved { .. } => &entry.request_id,
        EntryData::ReservationExtended { .. } | EntryData::Released { .. } => &entry.refers_to,
        EntryData::Charged { .. } if !entry.refers_to.is_empty() => &entry.refers_to,
        _ => return None,
    };
    Some((entry.account.clone(), IdempotencyKey::of(&entry.account, name)))
}

/// Under which keys sums are kept of what an entry gives back.
fn refund_keys(entry: &Entry) -> Vec<RefundKey> {
    let Some(given_back) = entry.data.given_back() else { return Vec::new() };
    let bill = given_back.of_bill.map(|_| RefundKey::Bill(entry.account.clone(), given_back.bill));
    given_back.original.map(RefundKey::Original).into_iter().chain(bill).collect()
}

fn distinct<T: Clone + Eq + Hash>(things: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    things.filter(|thing| seen.insert(thing.clone())).collect()
}

fn damaged(account: &str, error: Undecodable) -> LedgerError {
    only_restore(format!("a torn step has touched account {account:?}, of which a record is damaged: {error}"))
}
