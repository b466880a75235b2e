//! The writes that are left of a torn step, and the arguments of the script that makes them.

use super::stored_state::StoredState;
use super::{AT_ONCE, Torn, only_restore};
use crate::codec::records::Expiry;
use crate::codec::{
    encode_account, encode_idempotency_record, encode_place, encode_profile, encode_refund_key, encode_refunded, encode_reservation,
    encode_reservation_place,
};
use crate::model::PartitionState;
use crate::redis::keys::PartitionKeys;
use crate::redis::script::NEVER;
use crate::{LedgerError, NamePlace, ReservationPlace, fold_name};
use domain::account::Account;
use domain::entry::{Entry, EntryData};
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// The writes that are left.
pub(super) struct Writes<'a> {
    stored: &'a StoredState,
    torn: &'a Torn,
    partition_state: PartitionState,
    /// A command, the place of its key, and its arguments.
    list: Vec<(&'static str, usize, Vec<Vec<u8>>)>,
}

impl<'a> Writes<'a> {
    pub(super) fn new(torn: &'a Torn, stored: &'a StoredState, partition_state: PartitionState) -> Self {
        Self { stored, torn, partition_state, list: Vec::new() }
    }

    /// The accounts' records.
    fn accounts(&self) -> Result<Vec<(AccountId, Vec<u8>)>, LedgerError> {
        let time = self.torn.block.time;
        let mut records = Vec::new();
        for (id, places) in &self.stored.places {
            let Some(account) = self.partition_state.accounts.get(id) else { continue };
            let is_held = |place: &&ReservationPlace| self.stored.held.iter().any(|(_, key)| *key == place.key);
            let others = places.iter().filter(|place| !is_held(place)).copied();
            let held = self.stored.held.iter().filter(|(account, _)| account == id).map(|(_, key)| *key);
            let held = held.filter_map(|key| Some(ReservationPlace::of(key, self.partition_state.reservations.get(&key)?)));
            let open: Vec<_> = others.chain(held).filter(|place| place.expires_at > time).collect();
            let reserved = self.torn.block.entries.iter().rfind(|entry| entry.account == *id).map_or(Units::ZERO, |entry| entry.reserved);
            let amounts = open.iter().map(|place| self.partition_state.reservations.get(&place.key).map(|reservation| reservation.amount));
            if let Some(sum) = amounts.sum::<Option<Units>>()
                && sum != reserved
            {
                return Err(only_restore(format!(
                    "{} is reserved by reservations of account {id:?}, and {} by its entries",
                    sum.get(),
                    reserved.get()
                )));
            }
            let open_reservations = u32::try_from(open.len()).unwrap_or(u32::MAX);
            let next_expiry = open.iter().map(|place| place.expires_at).min().unwrap_or(NEVER);
            let mut record = encode_account(&Account { reserved, open_reservations, ..*account });
            Expiry { next_expiry }.put(&mut record);
            records.push((id.clone(), record));
        }
        Ok(records)
    }

    fn requests(&mut self) {
        if self.stored.has_requests_of(&self.torn.block) {
            return;
        }
        let all = self.partition_state.requests.iter().map(|(key, remembered)| (key, remembered.whole()));
        let changed = all.filter(|(key, remembered)| self.stored.requests.get(*key) != Some(remembered));
        let fields: Vec<_> = changed.map(|(key, remembered)| (key.0.to_vec(), encode_idempotency_record(&remembered))).collect();
        self.put(if self.torn.generation.is_multiple_of(2) { "requests:0" } else { "requests:1" }, fields);
    }

    fn reservations(&mut self) {
        let (mut put, mut expiries, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gone, mut no_expiries, mut no_places) = (Vec::new(), Vec::new(), Vec::new());
        for (account, key) in &self.stored.held {
            let stored = self.stored.reservations.get(key);
            let after = self.partition_state.reservations.get(key);
            // One that was due is the sweep's.
            if after.is_none() && stored.is_some_and(|stored| stored.expires_at <= self.torn.block.time) {
                continue;
            }
            let listed = self.stored.places.get(account).into_iter().flatten().filter(|place| place.key == *key);
            let place = after.map(|reservation| ReservationPlace::of(*key, reservation));
            no_places.extend(listed.filter(|listed| Some(**listed) != place).map(|listed| encode_reservation_place(account, listed)));
            let name = key.0.to_vec();
            match (after, place) {
                (Some(reservation), Some(place)) => {
                    put.push((name.clone(), encode_reservation(reservation)));
                    expiries.push((reservation.expires_at.get().to_string().into_bytes(), name));
                    places.push((b"0".to_vec(), encode_reservation_place(account, &place)));
                }
                _ => {
                    gone.push(name.clone());
                    no_expiries.push(name);
                }
            }
        }
        self.put("reservations", put);
        self.pairs("ZADD", "expiries", expiries);
        self.pairs("ZADD", "reservations-by-account", places);
        self.list("HDEL", "reservations", gone);
        self.list("ZREM", "expiries", no_expiries);
        self.list("ZREM", "reservations-by-account", no_places);
    }

    fn refunds(&mut self) {
        let changed = self.partition_state.refunds.iter().filter(|(key, refunded)| self.stored.refunds.get(*key) != Some(*refunded));
        let fields: Vec<_> = changed.map(|(key, refunded)| (encode_refund_key(key), encode_refunded(refunded))).collect();
        self.put("refunds", fields);
    }

    /// Of a renamed account, the former place is known until the profile is written, which comes last.
    fn profiles(&mut self) {
        let (mut gone, mut places, mut put) = (Vec::new(), Vec::new(), Vec::new());
        for (id, profile) in self.partition_state.profiles.iter() {
            let place = |name: &str| encode_place(&NamePlace { folded_name: fold_name(name), account: id.clone() }).into_bytes();
            let former = self.stored.profiles.get(id).map(|former| place(&former.name));
            gone.extend(former.filter(|former| *former != place(&profile.name)));
            places.push((b"0".to_vec(), place(&profile.name)));
            put.push((id.as_bytes().to_vec(), encode_profile(id, profile)));
        }
        self.list("ZREM", "names", gone);
        self.pairs("ZADD", "names", places);
        self.put("profiles", put);
    }

    fn put(&mut self, hash: &str, fields: Vec<(Vec<u8>, Vec<u8>)>) {
        self.pairs("HSET", hash, fields);
    }

    fn pairs(&mut self, command: &'static str, key: &str, pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        self.list(command, key, pairs.into_iter().flat_map(|(first, second)| [first, second]).collect());
    }

    fn list(&mut self, command: &'static str, key: &str, arguments: Vec<Vec<u8>>) {
        let place = PartitionKeys::place_of(key);
        self.list.extend(arguments.chunks(AT_ONCE).map(|some| (command, place, some.to_vec())));
    }

    pub(super) fn into_arguments(mut self, ledger: &[u8]) -> Result<Vec<Vec<u8>>, LedgerError> {
        let accounts = self.accounts()?;
        self.requests();
        self.reservations();
        self.refunds();
        self.profiles();
        let block = &self.torn.block;
        let expiry = |entry: &Entry| match entry.data {
            EntryData::Reserved { expires_at, .. } | EntryData::ReservationExtended { expires_at, .. } => Some(expires_at),
            _ => None,
        };
        let last_expiry = block.entries.iter().filter_map(expiry).max().unwrap_or(UnixMillis::NONE);
        let first_expiry =
            self.stored.held.iter().filter_map(|(_, key)| Some(self.partition_state.reservations.get(key)?.expires_at)).min();
        let number = |at: UnixMillis| at.get().to_le_bytes().to_vec();
        let state = [
            self.torn.sequence.to_le_bytes().to_vec(),
            self.torn.last_block.to_vec(),
            ledger.to_vec(),
            (block.end() - 1).to_le_bytes().to_vec(),
            block.id.to_vec(),
            number(block.time),
            number(first_expiry.unwrap_or(NEVER)),
            number(last_expiry),
        ];
        let counts = [2 * accounts.len(), self.list.len()].map(|count| count.to_string().into_bytes());
        let mut arguments: Vec<_> = std::iter::once(state.concat()).chain(counts).collect();
        arguments.extend(accounts.into_iter().flat_map(|(id, record)| [id.into_string().into_bytes(), record]));
        for (command, place, of_command) in self.list {
            let head = [command.to_owned(), place.to_string(), of_command.len().to_string()];
            arguments.extend(head.map(String::into_bytes).into_iter().chain(of_command));
        }
        Ok(arguments)
    }
}
