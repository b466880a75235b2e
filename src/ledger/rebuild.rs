//! A partition rebuilt from its journal: what its entries, read from the first on, say that it must hold.
//!
//! It is the opposite of the rules, and their witness: what does not follow from what came before is a [`Inconsistency`]. `verify` holds
//! the result against the ledger, `restore` makes a new ledger of it.
//!
//! What entries do not tell is not rebuilt: requests that were declined or changed nothing (their ids are free again), whether a grant
//! was the final unit, and why a report's new reservation was refused (nor that such a report settled one that had ended before).

mod mismatches;

pub use mismatches::Inconsistency;
use mismatches::Mismatches;

use crate::IdempotencyKey;
use crate::model::{Changes, KeptRecord, PartitionState};
use crate::snapshot::Snapshot;
use domain::account::{Account, Profile, Reservation};
use domain::command::Kind;
use domain::entry::{ChargedFrom, Entry, EntryData, EntryKind, GivenBack, Settings};
use domain::fold::EntryContext;
use domain::ids::RequestId;
use domain::money::Units;
use domain::outcome::{Charged, Decision, Grant, ReserveVerdict, Verdict};
use domain::rules::{IdempotencyRecord, RefundKey, Refunded, ReservationChange, ReservationEnd};
use domain::time::{Millis, UnixMillis};
use platform::clock::Clock;

/// Maps sequences of former partitions to the numbers by which this ledger knows their entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renumbering {
    /// Numbers up to this one are taken.
    pub behind: u64,
    /// By how much the others are raised.
    pub by: u64,
}

impl Renumbering {
    /// The number of an entry.
    #[must_use]
    pub fn of(self, sequence: u64) -> u64 {
        if sequence > self.behind { sequence + self.by } else { sequence }
    }
}

/// A partition that is being rebuilt.
#[derive(Debug)]
pub struct Rebuild {
    partition_state: PartitionState,
    clock: Clock,
    window: Millis,
    /// The command whose entries are being read: it may have written several.
    command: Option<IdempotencyKey>,
    /// Whether a part of the journal is not known: which reservations are open, and what is reserved, is not known then either.
    has_gap: bool,
    /// When the last such part ended; `None` if there is none.
    gap_ended_at: Option<UnixMillis>,
    /// Whether it is one step: within it, no events are due.
    is_step: bool,
    /// Whether it is only compared with accounts and reservations: then no request ids and no sums that were given back are kept, which
    /// would take most of the memory.
    is_for_comparison: bool,
    /// Of the entry that is being read.
    renumbering: Renumbering,
}

impl Rebuild {
    /// An empty partition. Of the clock, only the calendar is asked; the window is the store's.
    #[must_use]
    pub fn new(clock: Clock, window: Millis) -> Self {
        Self {
            partition_state: PartitionState::default(),
            clock,
            window,
            command: None,
            has_gap: false,
            gap_ended_at: None,
            is_step: false,
            is_for_comparison: false,
            renumbering: Renumbering::default(),
        }
    }

    /// An empty partition that is to be compared with the accounts and open reservations of a ledger: it keeps nothing else.
    #[must_use]
    pub fn for_comparison(clock: Clock) -> Self {
        Self { is_for_comparison: true, ..Self::new(clock, 0) }
    }

    /// Goes on from a partition with the entries of one step at that time, before which what was due has happened. What the step has
    /// changed of reservations may be in the partition already.
    pub(super) fn of_step(mut partition_state: PartitionState, time: UnixMillis, clock: Clock, window: Millis) -> Self {
        partition_state.state.now = partition_state.state.now.max(time);
        Self { partition_state, is_step: true, ..Self::new(clock, window) }
    }

    /// Applies the partition's next entry. Returns what it contradicts, and believes the entry, so that reading can go on.
    pub fn replay(&mut self, sequence: u64, entry: &Entry) -> Vec<Inconsistency> {
        let mut mismatches = Mismatches { sequence, account: &entry.account, found: Vec::new() };
        if entry.kind().is_of_gap() {
            if !self.skip(sequence, entry) {
                mismatches.add("it does not say how the account was behind the gap");
            }
            return mismatches.found;
        }
        mismatches.unless_equal("the sequence", self.partition_state.state.sequence + 1, sequence);
        self.renumbering = Renumbering::default();
        self.take(sequence, entry, mismatches)
    }

    /// Takes an entry of one of the partition's accounts from when the ledger had another number of partitions.
    pub fn replay_former(&mut self, sequence: u64, entry: &Entry, renumbering: Renumbering) -> Vec<Inconsistency> {
        self.renumbering = renumbering;
        self.take(renumbering.of(sequence), entry, Mismatches { sequence, account: &entry.account, found: Vec::new() })
    }

    /// Records that the partition's own entries lie behind a sequence.
    pub fn begin_behind(&mut self, sequence: u64) {
        self.partition_state.state.sequence = sequence;
    }

    fn take(&mut self, sequence: u64, entry: &Entry, mut mismatches: Mismatches<'_>) -> Vec<Inconsistency> {
        self.partition_state.state.sequence = sequence;
        // A close bears the time of its boundary, which may lie before what was written already.
        let is_of_boundary = entry.request_id.is_empty();
        if !is_of_boundary {
            self.advance(entry.time);
        }
        let before = match (&entry.data, self.partition_state.accounts.get(&entry.account)) {
            (EntryData::Created { settings, .. }, None) => created(entry, settings),
            (EntryData::Created { .. }, Some(_)) => None,
            (_, account) => account.copied(),
        };
        let Some(before) = before else {
            mismatches.add("the account was created twice, or never");
            return mismatches.found;
        };
        let after = self.follow(before, entry);
        let moves_money = entry.kind().moves_money();
        mismatches.unless_equal("the account's sequence", if moves_money { after.sequence } else { 0 }, entry.account_sequence);
        match entry.data {
            EntryData::Rounded { .. } | EntryData::AmountDueRounded { .. } => {}
            EntryData::PeriodClosed { .. } | EntryData::FinalBilled { .. } => {
                mismatches.unless_equal("the bill", before.open_bill, entry.bill)
            }
            EntryData::Charged { from: ChargedFrom::OwnBill, .. } => mismatches.unless_equal("the bill", after.last_bill, entry.bill),
            _ => mismatches.unless_equal("the bill", after.open_bill, entry.bill),
        }
        mismatches.unless_equal("the balance", after.balance.get(), entry.balance.get());
        mismatches.unless_equal("the unbilled amount", after.unbilled.get(), entry.unbilled.get());
        if !is_of_boundary && !self.has_gap && !self.is_step {
            mismatches.unless_equal("what is reserved", after.reserved.get(), entry.reserved.get());
        }
        let Entry { balance, unbilled, .. } = *entry;
        self.partition_state.accounts.insert(entry.account.clone(), Account { balance, unbilled, ..after });
        if !is_of_boundary && !self.is_for_comparison {
            self.remember(sequence, entry, before.usable_credit(entry.time));
        }
        mismatches.found
    }

    /// Takes an account as an entry says that it was behind a gap; returns whether it says so.
    fn skip(&mut self, sequence: u64, entry: &Entry) -> bool {
        self.partition_state.state.sequence = sequence;
        self.advance(entry.time);
        // What was given back within it is not known, and so not how much is left of what came before.
        self.partition_state.state.refunds_dropped_until = sequence;
        self.gap_ended_at = Some(entry.time);
        if !std::mem::replace(&mut self.has_gap, true) {
            // Which of them are still open is not known.
            self.partition_state.forget_reservations();
        }
        let Some(snapshot) = Snapshot::of(entry) else { return false };
        let (Some(account), Some(settings)) = (snapshot.account(entry), entry.data.settings()) else { return false };
        self.take_settings(account.decimals, entry, settings);
        self.partition_state.set_created_at(&entry.account, snapshot.created_at);
        self.partition_state.accounts.insert(entry.account.clone(), account);
        true
    }

    /// Whether a part of the journal is not known.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// When the last part of the journal ended that is not known: of what was asked until then, no request id is remembered.
    #[must_use]
    pub fn gap_ended_at(&self) -> Option<UnixMillis> {
        self.gap_ended_at
    }

    /// The rebuilt partition at a time: what had expired by then is gone, and so are request ids whose window is over.
    #[must_use]
    pub fn finish(mut self, now: UnixMillis, last_block: [u8; 16]) -> PartitionState {
        let written_at = self.partition_state.state.now;
        self.advance(now);
        self.partition_state.state.now = written_at;
        self.partition_state.state.last_block = last_block;
        self.partition_state
    }

    /// The result so far.
    #[must_use]
    pub fn partition_state(&self) -> &PartitionState {
        &self.partition_state
    }

    /// The same, to be changed.
    #[must_use]
    pub(super) fn into_partition_state(self) -> PartitionState {
        self.partition_state
    }

    /// How far it has come.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.partition_state.state.sequence
    }

    /// The time that it stands at.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.partition_state.state.now
    }

    /// Processes the events that are due at a time: forgets request ids, and expires reservations.
    pub fn advance(&mut self, time: UnixMillis) {
        if self.is_step {
            return;
        }
        let state = &mut self.partition_state.state;
        state.now = state.now.max(time);
        let now = state.now;
        let due = state.rotation_due(self.window);
        if now >= due && !self.is_for_comparison {
            // The younger ids, too, would have become the older ones, and been forgotten.
            let is_forgotten = now >= due.max(state.reserved_until) + self.window;
            state.rotate(now);
            self.partition_state.older_requests = std::mem::take(&mut self.partition_state.requests);
            if is_forgotten {
                self.partition_state.older_requests.clear();
            }
        }
        while self.partition_state.expire(now, &mut Changes::default()) {}
    }

    /// The account as the entry leaves it, by the rules; and the reservation, the profile and the sums of what was given back.
    fn follow(&mut self, mut account: Account, entry: &Entry) -> Account {
        let open = self.open(entry);
        // The calendar is asked for the first entry of a bill only.
        let period_end =
            if account.period_end.is_none() { self.clock.period_ends(self.partition_state.state.now)[0] } else { UnixMillis::NONE };
        let reservation = open.as_ref().map(|open| open.amount);
        account.apply(&entry.data, &EntryContext { bill: entry.bill, reservation, period_end });
        match &entry.data {
            EntryData::Created { settings, .. } | EntryData::Updated { settings } => self.take_settings(account.decimals, entry, settings),
            EntryData::Charged { reservation: None, .. } => self.end(entry, open, ReservationEnd::Settled),
            EntryData::Charged { reservation: Some(left), .. } => {
                if let Some(open) = open {
                    self.put(&entry.refers_to, Reservation { amount: *left, ..open });
                }
            }
            EntryData::Reserved { amount, report_by, expires_at } => {
                self.reserve(entry, &entry.request_id, *amount, [*report_by, *expires_at]);
            }
            EntryData::ReservationExtended { amount, report_by, expires_at } => {
                self.reserve(entry, &entry.refers_to, *amount, [*report_by, *expires_at]);
            }
            EntryData::Released { .. } => self.end(entry, open, ReservationEnd::Released),
            data => data.given_back().into_iter().for_each(|given_back| self.give_back(entry, given_back)),
        }
        account
    }

    fn take_settings(&mut self, decimals: u8, entry: &Entry, settings: &Settings) {
        let before = self.partition_state.profiles.get(&entry.account);
        let threshold = match settings.low_credit_threshold {
            Some(threshold) => threshold.and_then(|threshold| threshold.to_units(decimals).ok()),
            None => before.and_then(|before| before.low_credit_threshold),
        };
        let profile = Profile {
            name: settings.name.clone().or_else(|| before.map(|before| before.name.clone())).unwrap_or_default(),
            low_credit_threshold: threshold,
            created_at: before.map_or(entry.time, |before| before.created_at),
        };
        self.partition_state.put_profile(&entry.account, profile);
    }

    /// Keeps what was given back of the original, and of the bill of a charge. Entries of format version 2 do not say of which.
    fn give_back(&mut self, entry: &Entry, given_back: &GivenBack) {
        let GivenBack { original, total, bill, of_bill, .. } = *given_back;
        let sequence = self.partition_state.state.sequence;
        if self.is_for_comparison {
            return;
        }
        let Some(original) = original.map(|sequence| self.renumbering.of(sequence)) else {
            self.partition_state.state.refunds_dropped_until = self.partition_state.state.refunds_dropped_until.max(sequence);
            return;
        };
        let of_bill = of_bill.map(|sum| (RefundKey::Bill(entry.account.clone(), bill), sum));
        for (key, sum) in [Some((RefundKey::Original(original), total)), of_bill].into_iter().flatten() {
            let billed = self.partition_state.refunds.get(&key).and_then(|before| before.billed);
            self.partition_state.refunds.insert(key, Refunded { sum, billed, sequence, time: entry.time });
        }
    }

    fn reserve(&mut self, entry: &Entry, name: &RequestId, amount: Units, [report_by, expires_at]: [UnixMillis; 2]) {
        let (account, request_id) = (entry.account.clone(), name.clone());
        self.put(name, Reservation { account, request_id, amount, report_by, expires_at });
    }

    fn end(&mut self, entry: &Entry, open: Option<Reservation>, ended: ReservationEnd) {
        if open.is_some() {
            let key = IdempotencyKey::of(&entry.account, &entry.refers_to);
            self.partition_state.change_reservation(key, ReservationChange::End(ended), &mut Changes::default());
        }
    }

    /// The open reservation that the entry charges, or releases.
    fn open(&self, entry: &Entry) -> Option<Reservation> {
        let refers = matches!(entry.data, EntryData::Charged { .. } | EntryData::Released { .. }) && !entry.refers_to.is_empty();
        if refers { self.partition_state.reservations.get(&IdempotencyKey::of(&entry.account, &entry.refers_to)).cloned() } else { None }
    }

    fn put(&mut self, name: &RequestId, reservation: Reservation) {
        let key = IdempotencyKey::of(&reservation.account, name);
        self.partition_state.change_reservation(key, ReservationChange::Put(reservation), &mut Changes::default());
    }

    /// Remembers the decision that the entry tells of. Of a command's several entries, the first makes it and the others add to it.
    fn remember(&mut self, sequence: u64, entry: &Entry, usable_before: Units) {
        let key = IdempotencyKey::of(&entry.account, &entry.request_id);
        if self.command == Some(key)
            && let Some(mut remembered) = self.partition_state.requests.get(&key).map(KeptRecord::whole)
            && remembered.fingerprint == entry.fingerprint
        {
            if let EntryData::ReservationExtended { amount, report_by, expires_at } = entry.data {
                remembered.decision.reserve = ReserveVerdict::Granted;
                remembered.decision.reservation = Some(Grant { amount, report_by, expires_at, is_final_unit: false });
                self.partition_state.requests.insert(key, remembered.into());
            }
            return;
        }
        self.command = Some(key);
        let Some(kind) = command_of(entry.kind()) else { return };
        let decision = Decision {
            kind,
            verdict: Verdict::Done,
            amount: match kind {
                Kind::Convert => usable_before,
                Kind::Create | Kind::Update | Kind::SetCreditLimit | Kind::Close => Units::ZERO,
                Kind::Refund => entry.data.taken_off(),
                _ => entry.amount(),
            },
            overdraft: if let EntryData::Charged { overdraft, .. } = entry.data { overdraft } else { Units::ZERO },
            reservation: match entry.data {
                EntryData::Reserved { amount, report_by, expires_at } => {
                    Some(Grant { amount, report_by, expires_at, is_final_unit: false })
                }
                EntryData::Charged { reservation: Some(_), .. } => self.open(entry).map(|open| Grant {
                    amount: open.amount,
                    report_by: open.report_by,
                    expires_at: open.expires_at,
                    is_final_unit: false,
                }),
                _ => None,
            },
            reserve: ReserveVerdict::NotAsked,
            credit_rounding: entry.data.given_back().map_or(Units::ZERO, |given_back| given_back.rounding),
            charged: entry.kind().is_charge().then(|| Charged { kind: entry.kind(), bill: entry.bill }),
            sequence,
        };
        self.partition_state
            .requests
            .insert(key, IdempotencyRecord { fingerprint: entry.fingerprint, decision, ended: ReservationEnd::Not }.into());
    }
}

/// The account that an entry creates, before the entry is applied to it.
fn created(entry: &Entry, settings: &Settings) -> Option<Account> {
    Some(Account::opened(entry.mode, settings.non_usage_billing?, settings.denomination?))
}

/// The kind of the command whose first entry is of this kind.
fn command_of(kind: EntryKind) -> Option<Kind> {
    Some(match kind {
        EntryKind::Created => Kind::Create,
        EntryKind::Updated => Kind::Update,
        EntryKind::ChargedBalance | EntryKind::ChargedUnbilled | EntryKind::ChargedOwnBill => Kind::Debit,
        EntryKind::RefundedBalance | EntryKind::RefundedUnbilled => Kind::Refund,
        EntryKind::ToppedUp => Kind::TopUp,
        EntryKind::PaymentRecorded => Kind::RecordPayment,
        EntryKind::PaymentReversed => Kind::ReversePayment,
        EntryKind::Withdrawn => Kind::Withdraw,
        EntryKind::Adjusted => Kind::Adjust,
        EntryKind::LimitSet => Kind::SetCreditLimit,
        EntryKind::Converted | EntryKind::FinalBilled => Kind::Convert,
        EntryKind::Suspended => Kind::Suspend,
        EntryKind::Resumed => Kind::Resume,
        // What is rounded off comes first.
        EntryKind::Closed | EntryKind::AmountDueRounded => Kind::Close,
        EntryKind::Reopened => Kind::Reopen,
        EntryKind::WrittenOff => Kind::WriteOff,
        EntryKind::WriteOffReversed => Kind::ReverseWriteOff,
        EntryKind::Reserved => Kind::Authorize,
        EntryKind::Released => Kind::Release,
        EntryKind::PeriodClosed | EntryKind::Rounded | EntryKind::ReservationExtended => return None,
        EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => return None,
    })
}
