//! One partition in memory: the pure rules, maps, and nothing else.
//!
//! It is what the other engines are measured by, what the embedded engine decides with, and, as [`ModelEngine`], an engine of its own
//! for tests. One step: expire what its accounts have due, then decide command by command. What nobody asks about is left to the sweep, which
//! goes in slices: it expires the rest, and rotates the request ids if their window is over.

mod engine;
mod kept_record;
mod refunds;
mod split_map;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashSet};

pub use engine::ModelEngine;
pub(crate) use kept_record::KeptRecord;
pub use refunds::{REFUND_SLICE, REFUND_WINDOWS};
pub(crate) use split_map::{DigestMap, SplitMap};
use undo::Before;

#[cfg(doc)]
use super::Engine;
use super::codec::{decode_place, encode_place};
use super::{BatchAnswer, Block, DuePage, IdempotencyKey, NamePlace, PreparedCommand, ReservationPlace, Sizes, fold_name};
use domain::account::{Account, Profile, Reservation};
use domain::command::{Action, Kind};
use domain::ids::AccountId;
use domain::outcome::Refusal;
use domain::rules::{
    Fingerprint, IdempotencyRecord, LoadedState, RefundKey, Refunded, ReservationChange, ReservationEnd, StepTime, decide, is_close_due,
    refund_keys,
};
use domain::time::{Millis, UnixMillis};
use platform::clock::Clock;

/// The most reservations that one slice of the sweep expires.
pub const MAX_EXPIRIES: usize = 500;

/// Once a step has taken this many due reservations off its accounts, the commands of further ones that have some wait for a later step.
pub const MAX_STEP_EXPIRIES: usize = 2_000;

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    pub(super) accounts: SplitMap<AccountId, Account>,
    pub(super) profiles: SplitMap<AccountId, Profile>,
    pub(super) reservations: DigestMap<IdempotencyKey, Reservation>,
    pub(super) expiries: BTreeSet<(UnixMillis, IdempotencyKey)>,
    pub(super) by_account: BTreeSet<(AccountId, ReservationPlace)>,
    pub(super) requests: DigestMap<IdempotencyKey, KeptRecord>,
    pub(super) older_requests: DigestMap<IdempotencyKey, KeptRecord>,
    pub(super) refunds: BTreeMap<RefundKey, Refunded>,
    pub(super) names: BTreeSet<NamePlace>,
    pub(super) state: State,
}

/// What a partition knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The number of the last journal entry.
    pub sequence: u64,
    /// The id of the last block.
    pub last_block: [u8; 16],
    /// The latest time at which something was written.
    pub now: UnixMillis,
    /// When the request ids were rotated last.
    pub rotated_at: UnixMillis,
    /// Sums that were given back may have been dropped if their last entry has at most this sequence.
    pub refunds_dropped_until: u64,
    /// Until then, ids may be remembered with the fingerprint of format version 2; 0 if there are none.
    pub legacy_until: UnixMillis,
    /// The latest expiry of a reservation that a younger id is needed for.
    pub reserved_until: UnixMillis,
    /// The latest expiry of a reservation that an older id is needed for.
    pub older_reserved_until: UnixMillis,
}

impl State {
    /// When the older ids may be forgotten: what was consumed of a reservation is charged until a window after it has expired.
    pub(super) fn rotation_due(&self, window: Millis) -> UnixMillis {
        self.rotated_at.max(self.older_reserved_until) + window
    }

    /// The younger ids become the older ones.
    pub(super) fn rotate(&mut self, now: UnixMillis) {
        self.rotated_at = now;
        self.older_reserved_until = std::mem::take(&mut self.reserved_until);
    }
}

/// What a step changed, for the engine that has to store it. What changed more than once is named more than once: that costs less than a set.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Accounts to write again.
    pub accounts: Vec<AccountId>,
    /// Profiles to write again, and the places in the list of names that they had before.
    pub profiles: Vec<AccountId>,
    /// Reservations to write again, or to remove.
    pub reservations: Vec<IdempotencyKey>,
    /// Requests to write again.
    pub requests: Vec<IdempotencyKey>,
    /// Whether the younger requests became the older ones, and the older ones went.
    pub is_rotated: bool,
    /// Sums of what was given back, to write again, or to remove.
    pub refunds: Vec<RefundKey>,
    /// How many reservations expired.
    pub expired: u64,
    /// The block to append.
    pub block: Option<Block>,
    /// What was replaced, in the order in which it was.
    pub(super) before: Vec<Before>,
}

impl Changes {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.requests.is_empty() && self.refunds.is_empty() && !self.is_rotated
    }
}

/// When a step happens.
#[derive(Clone, Copy, Debug)]
pub struct BatchTime {
    /// The clock's time.
    pub now: UnixMillis,
    /// The next two ends of billing periods after it.
    pub period_ends: [UnixMillis; 2],
    /// How long request ids are remembered at least.
    pub window: Millis,
}

impl BatchTime {
    /// The time that a clock tells.
    #[must_use]
    pub fn of(clock: &Clock, window: Millis) -> Self {
        let now = clock.now();
        Self { now, period_ends: clock.period_ends(now), window }
    }
}

impl PartitionState {
    /// Decides on a batch.
    pub fn apply(&mut self, commands: &[PreparedCommand], time: &BatchTime, block_id: [u8; 16]) -> (BatchAnswer, Changes) {
        let now = time.now.max(self.state.now);
        let [this_end, next_end] = time.period_ends;
        let step_time = StepTime { now, period_end: if this_end > now { this_end } else { next_end }, window: time.window };
        let mut changes = Changes { before: vec![Before::State(self.state)], ..Changes::default() };
        let deferred = if self.is_any_due(now) { self.expire_of_all(commands, now, &mut changes) } else { HashSet::new() };
        let mut entries = Vec::with_capacity(commands.len());
        let decide = |prepared: &PreparedCommand| match deferred.contains(&prepared.command.account) {
            true => Err(Refusal::Deferred),
            false => self.decide(prepared, &step_time, &mut entries, &mut changes),
        };
        let answers: Vec<_> = commands.iter().map(decide).collect();
        if !changes.is_empty() {
            self.state.now = now;
        }
        if !entries.is_empty() {
            changes.block =
                Some(Block { first_sequence: self.state.sequence + 1, id: block_id, previous: self.state.last_block, time: now, entries });
            let count = changes.block.as_ref().map_or(0, |block| block.entries.len());
            self.state.sequence += count as u64;
            self.state.last_block = block_id;
        }
        (BatchAnswer { answers: answers.into(), has_deferred: !deferred.is_empty() }, changes)
    }

    /// Processes some of the due events, and returns whether there are more.
    pub fn sweep(&mut self, time: &BatchTime) -> (bool, Changes) {
        let now = time.now.max(self.state.now);
        let mut changes = Changes { before: vec![Before::State(self.state)], ..Changes::default() };
        if now >= self.state.rotation_due(time.window) {
            let younger = std::mem::take(&mut self.requests);
            changes.before.push(Before::Rotated(std::mem::replace(&mut self.older_requests, younger)));
            self.state.rotate(now);
            changes.is_rotated = true;
        }
        let is_more = self.expire(now, &mut changes);
        if !changes.is_empty() {
            self.state.now = now;
        }
        (is_more, changes)
    }

    fn is_any_due(&self, now: UnixMillis) -> bool {
        self.expiries.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Takes off a slice of what has expired; returns whether there is more.
    pub(super) fn expire(&mut self, now: UnixMillis, changes: &mut Changes) -> bool {
        let due: Vec<_> = self.expiries.iter().take_while(|(at, _)| *at <= now).take(MAX_EXPIRIES).map(|(_, key)| *key).collect();
        due.into_iter().for_each(|key| self.expire_one(key, changes));
        self.is_any_due(now)
    }

    /// Takes off all that the accounts of a step have due. Of accounts with much of it, few have their turn; returns the others.
    fn expire_of_all<'a>(&mut self, commands: &'a [PreparedCommand], now: UnixMillis, changes: &mut Changes) -> HashSet<&'a AccountId> {
        let (mut deferred, mut count) = (HashSet::new(), 0);
        let [first, last] =
            [ReservationPlace { expires_at: UnixMillis::MIN, key: IdempotencyKey([0; 16]) }, ReservationPlace::behind_expired(now)];
        for account in commands.iter().map(|prepared| &prepared.command.account) {
            let mut due = self.by_account.range((account.to_owned(), first)..=(account.to_owned(), last)).map(|(_, place)| place.key);
            if count >= MAX_STEP_EXPIRIES {
                if due.next().is_some() {
                    deferred.insert(account);
                }
                continue;
            }
            let due: Vec<_> = due.collect();
            count += due.len();
            due.into_iter().for_each(|key| self.expire_one(key, changes));
        }
        deferred
    }

    fn expire_one(&mut self, key: IdempotencyKey, changes: &mut Changes) {
        if let Some(reservation) = self.remove_reservation(key) {
            if let Some(account) = self.accounts.get_mut(&reservation.account) {
                changes.before.push(Before::Account(reservation.account.clone(), Some(*account)));
                account.reserved -= reservation.amount;
                account.open_reservations -= 1;
            }
            changes.accounts.push(reservation.account.clone());
            changes.before.push(Before::Reservation(key, Some(reservation)));
            changes.reservations.push(key);
            changes.expired += 1;
        }
    }

    fn decide(
        &mut self,
        prepared: &PreparedCommand,
        step_time: &StepTime,
        entries: &mut Vec<domain::entry::Entry>,
        changes: &mut Changes,
    ) -> domain::outcome::Answer {
        let id = &prepared.command.account;
        let reservation_key = if matches!(prepared.command.action, Action::Authorize(_)) { Some(prepared.key) } else { prepared.original };
        let original = prepared.original.and_then(|key| self.remembered(key));
        let request = self.remembered(prepared.key);
        let [given_back, of_bill] = refund_keys(&prepared.command, original.as_ref());
        let refunded = |key: Option<RefundKey>| key.and_then(|key| self.refunds.get(&key)).copied();
        let loaded = LoadedState {
            account: self.accounts.get(id).copied(),
            profile: if prepared.command.action.kind() == Kind::Update { self.profiles.get(id) } else { None },
            request: request.as_ref(),
            reservation: reservation_key.and_then(|key| self.reservations.get(&key)),
            original: original.as_ref(),
            given_back: refunded(given_back),
            of_bill: refunded(of_bill),
            refunds_dropped_until: self.state.refunds_dropped_until,
            next_sequence: self.state.sequence + entries.len() as u64 + 1,
        };
        let fingerprint = self.fingerprint_of(prepared, loaded.request, step_time.now);
        let step = decide(&loaded, &prepared.command, &fingerprint, step_time);
        let Some(change) = step.writes else { return step.answer };
        if let Some(account) = change.account {
            let before = match self.accounts.get_mut(id) {
                Some(place) => Some(std::mem::replace(place, account)),
                None => self.accounts.insert(id.clone(), account),
            };
            changes.before.push(Before::Account(id.clone(), before));
            changes.accounts.push(id.clone());
        }
        if let Some(profile) = change.profile {
            changes.before.push(Before::Profile(id.clone(), self.put_profile(id, profile)));
            changes.profiles.push(id.clone());
        }
        if let Some(key) = reservation_key {
            self.change_reservation(key, change.reservation, changes);
        }
        for (key, refunded) in change.refunds {
            changes.before.push(Before::Refunded(key.clone(), self.refunds.insert(key.clone(), refunded)));
            changes.refunds.push(key);
        }
        entries.extend(change.entries);
        if let Some(decision) = change.decision {
            self.remember(
                prepared.key,
                IdempotencyRecord { fingerprint: prepared.fingerprint, decision, ended: ReservationEnd::Not },
                changes,
            );
        }
        step.answer
    }

    /// The fingerprint to compare with what is remembered: after a migration, for a while, what version 2 made of the same command.
    fn fingerprint_of(&self, prepared: &PreparedCommand, remembered: Option<&IdempotencyRecord>, now: UnixMillis) -> Fingerprint {
        match remembered {
            Some(remembered) if remembered.fingerprint != prepared.fingerprint && now < self.state.legacy_until => {
                let legacy = prepared.legacy_fingerprint();
                if remembered.fingerprint == legacy { legacy } else { prepared.fingerprint }
            }
            _ => prepared.fingerprint,
        }
    }

    /// The idempotency record of a request id.
    #[must_use]
    pub fn remembered(&self, key: IdempotencyKey) -> Option<IdempotencyRecord> {
        self.requests.get(&key).or_else(|| self.older_requests.get(&key)).map(KeptRecord::whole)
    }

    /// Returns the profile that it replaces.
    pub(super) fn put_profile(&mut self, id: &str, profile: Profile) -> Option<Profile> {
        let place = |profile: &Profile| NamePlace { folded_name: fold_name(&profile.name), account: id.into() };
        let before = self.profiles.get(id).map(place);
        if let Some(before) = before {
            self.names.remove(&before);
        }
        self.names.insert(place(&profile));
        self.profiles.insert(id.into(), profile)
    }

    pub(super) fn change_reservation(&mut self, key: IdempotencyKey, change: ReservationChange, changes: &mut Changes) {
        let (ended, is_extended) = match change {
            ReservationChange::Keep => return,
            ReservationChange::Put(reservation) => {
                let before = self.remove_reservation(key);
                let is_extended = before.as_ref().is_none_or(|before| before.expires_at != reservation.expires_at);
                changes.before.push(Before::Reservation(key, before));
                if is_extended {
                    self.state.reserved_until = self.state.reserved_until.max(reservation.expires_at);
                }
                self.expiries.insert((reservation.expires_at, key));
                self.by_account.insert((reservation.account.clone(), ReservationPlace::of(key, &reservation)));
                self.reservations.insert(key, reservation);
                (ReservationEnd::Not, is_extended)
            }
            ReservationChange::End(ended) => {
                let before = self.remove_reservation(key);
                changes.before.push(Before::Reservation(key, before));
                (ended, false)
            }
        };
        changes.reservations.push(key);
        // The request that made it remembers how it ended. Marking it also makes it young again, and so does an extension: what is consumed
        // of the reservation can be charged for a while after it has expired.
        if let Some(remembered) = self.remembered(key)
            && (is_extended || remembered.ended != ended)
        {
            self.remember(key, IdempotencyRecord { ended, ..remembered }, changes);
        }
    }

    fn remember(&mut self, key: IdempotencyKey, remembered: IdempotencyRecord, changes: &mut Changes) {
        changes.before.push(Before::Request(key, self.requests.insert(key, remembered.into())));
        changes.requests.push(key);
    }

    fn remove_reservation(&mut self, key: IdempotencyKey) -> Option<Reservation> {
        let before = self.reservations.remove(&key)?;
        self.expiries.remove(&(before.expires_at, key));
        self.by_account.remove(&(before.account.clone(), ReservationPlace::of(key, &before)));
        Some(before)
    }

    /// The latest time at which something was written: no later step happens before it.
    #[must_use]
    pub fn last_written_at(&self) -> UnixMillis {
        self.state.now
    }

    /// Accounts and profiles.
    #[must_use]
    pub fn load(&self, accounts: &[AccountId]) -> Vec<Option<(Account, Profile)>> {
        accounts.iter().map(|id| Some((*self.accounts.get(id)?, self.profiles.get(id)?.clone()))).collect()
    }

    /// All of it, as changes to an empty partition. Of two generations of requests, the older becomes young again: it is kept longer, which
    /// harms nobody.
    #[must_use]
    pub fn everything(&self) -> Changes {
        Changes {
            accounts: self.accounts.keys().cloned().collect(),
            profiles: self.profiles.keys().cloned().collect(),
            reservations: self.reservations.keys().copied().collect(),
            requests: self.requests.keys().chain(self.older_requests.keys()).copied().collect(),
            refunds: self.refunds.keys().cloned().collect(),
            ..Changes::default()
        }
    }

    /// How much it holds.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let request_ids = (self.requests.len() + self.older_requests.len()) as u64;
        Sizes { accounts: self.accounts.len() as u64, reservations: self.reservations.len() as u64, request_ids }
    }

    /// The ids of all accounts, in no order.
    #[must_use]
    pub fn account_ids(&self) -> Vec<AccountId> {
        self.accounts.keys().cloned().collect()
    }

    /// Places in the list of names; see [`Engine::names`].
    #[must_use]
    pub fn names(&self, prefix: &str, after: Option<&NamePlace>, count: usize) -> Vec<NamePlace> {
        let start = NamePlace { folded_name: prefix.to_owned(), account: AccountId::default() };
        self.names
            .range(after.map_or(&start, |after| after.max(&start))..)
            .filter(|place| Some(*place) != after)
            .take_while(|place| place.folded_name.starts_with(prefix))
            .take(count)
            .cloned()
            .collect()
    }

    /// Accounts whose close is due, in the order of the list of names; see [`Engine::due_accounts`].
    ///
    /// An account that is renamed meanwhile changes its place; but then the command that renamed it has written the close.
    #[must_use]
    pub fn due_page(&self, cursor: Option<&str>, count: usize, now: UnixMillis) -> DuePage {
        let after = cursor.and_then(|cursor| decode_place(cursor.as_bytes()).ok());
        let places = self.names("", after.as_ref(), count);
        let next = if places.len() < count { None } else { places.last().map(encode_place) };
        let is_due = |id: &AccountId| self.accounts.get(id).is_some_and(|account| is_close_due(account, now));
        DuePage { accounts: places.into_iter().map(|place| place.account).filter(is_due).collect(), next }
    }

    /// The number that the next journal entry will have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.state.sequence + 1
    }

    /// Open reservations of an account; see [`Engine::reservations`].
    #[must_use]
    pub fn reservations(&self, account: &AccountId, after: Option<ReservationPlace>, count: usize) -> Vec<(IdempotencyKey, Reservation)> {
        let start = after.unwrap_or(ReservationPlace { expires_at: UnixMillis::MIN, key: IdempotencyKey([0; 16]) });
        self.by_account
            .range((account.to_owned(), start)..)
            .take_while(|(owner, _)| owner == account)
            .filter(|(_, place)| Some(*place) != after)
            .filter_map(|(_, ReservationPlace { key, .. })| Some((*key, self.reservations.get(key)?.clone())))
            .take(count)
            .collect()
    }
}
