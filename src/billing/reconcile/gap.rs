//! The third way: entries that neither the journal nor the billing store has any more are given up, and the ledger is believed.
//!
//! That happens where the billing store was restored from a backup that is older than what the journal still has. What became of each
//! account meanwhile is the difference between what the billing store knows of it and what the ledger, less what the journal still tells,
//! says that it was: one "not itemized" amount of its balance, and one of its open bill.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{Decision, Difference, ReconcileError};
use crate::aggregate::{self, StepError};
use crate::position::Position;
use crate::projection::AccountState;
use crate::projection::rows;
use crate::record::{Record, number};
use crate::store::Store;
use crate::{Billing, BillingError, audit};
use domain::account::{Account, Mode, Profile, Status};
use domain::command::Metadata;
use domain::entry::{Entry, EntryData, EntryKind, Settings};
use domain::ids::{AccountId, RequestId};
use domain::money::{DecimalAmount, Units};
use domain::time::UnixMillis;
use ledger::snapshot::Snapshot;
use ledger::{Block, Ledger, LedgerError};

/// How often the ledger is read anew because it moved meanwhile.
const LOOKS: usize = 5;

/// How many accounts, or blocks, are read at once.
const PAGE: usize = 500;

/// What a partition's ledger says.
struct Seen {
    /// All accounts.
    accounts: BTreeMap<AccountId, (Account, Profile)>,
    /// What the journal still has.
    tail: Vec<Block>,
}

impl Billing {
    /// Whether a partition's journal begins behind what the billing store has, and so how many entries nobody has.
    pub async fn gap(&self, ledger: &Ledger, difference: &Difference) -> Result<Option<u64>, ReconcileError> {
        let span = ledger.engine().journal_span(difference.partition).await?;
        let is_gap = difference.common.is_none() && span.first > difference.next_in_sql;
        Ok(is_gap.then(|| span.first - difference.next_in_sql))
    }

    /// Accepts a gap, has the partition go on behind it, and records it. Nothing may be charged meanwhile. Returns how many accounts have
    /// amounts that are not itemized.
    pub async fn accept_gap(&self, ledger: &Ledger, difference: &Difference, decision: &Decision) -> Result<usize, ReconcileError> {
        let partition = difference.partition;
        let seen = look(ledger, partition, difference.next_in_sql).await?;
        let Some(first) = seen.tail.first() else { return Err(ReconcileError::Changed(partition)) };
        let to = Position { next_sequence: first.first_sequence, last_block: first.previous, last_time: first.time };
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        super::go_on_from(connection, difference, to).await?;
        let known = rows::accounts_of(connection, partition).await?;
        let mut entries = unknown(&seen, &known, decision);
        let accounts = entries.iter().filter(|entry| entry.account_sequence > 0).map(|entry| &entry.account);
        let accounts = accounts.collect::<std::collections::BTreeSet<_>>().len();
        let missing = to.next_sequence - difference.next_in_sql;
        if entries.len() as u64 > missing {
            return Err(BillingError::corrupt(format!("{} accounts differ, and only {missing} entries are missing", entries.len())).into());
        }
        let first = to.next_sequence - entries.len() as u64;
        let mut records: Vec<Record> =
            (first..).zip(entries.drain(..)).map(|(sequence, entry)| Record { partition, sequence, previous: None, entry }).collect();
        aggregate::take_in(connection, self.store().dialect(), &mut records).await.map_err(|error| match error {
            StepError::Billing(error) => error,
            StepError::Broken(broken) => BillingError::corrupt(broken.to_string()),
            StepError::Lost => BillingError::unavailable("the partition is another process's"),
        })?;
        let id =
            super::record_as(connection, difference, "GAP_ACCEPTED", (difference.next_in_sql - 1, to.next_sequence - 1), decision).await?;
        sqlx::query("INSERT INTO gaps (partition, first_sequence, last_sequence, reconciliation) VALUES ($1, $2, $3, $4)")
            .bind(i64::from(partition))
            .bind(number(difference.next_in_sql))
            .bind(number(to.next_sequence - 1))
            .bind(id)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE series SET is_held = 1").execute(&mut *connection).await?;
        let prefixes = &self.settings().prefixes;
        for prefix in [&prefixes.invoice, &prefixes.statement, &prefixes.credit_note] {
            let sql = "INSERT INTO series (prefix, last_place, is_held) VALUES ($1, 0, 1) ON CONFLICT (prefix) DO NOTHING";
            sqlx::query(sql).bind(prefix.to_owned()).execute(&mut *connection).await?;
        }
        let act = decision.act("GAP_ACCEPTED", Some(partition)).with("first_entry", difference.next_in_sql);
        let act = act.with("last_entry", to.next_sequence - 1).with("accounts", accounts);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(accounts)
    }
}

/// The gaps that were accepted, for people: "partition 0: entries 3 to 7 are not known (accepted by eve: restored from a backup)".
pub async fn accepted(store: &Store) -> Result<Vec<String>, BillingError> {
    let sql = "SELECT gaps.partition, first_sequence, gaps.last_sequence, actor, reconciliations.reason FROM gaps \
               JOIN reconciliations ON reconciliations.id = gaps.reconciliation ORDER BY gaps.partition, first_sequence";
    let rows = sqlx::query(sql).fetch_all(store.pool()).await?;
    let told = rows.iter().map(|row| {
        let [partition, first, last] = [row.try_get::<i64, _>(0)?, row.try_get(1)?, row.try_get(2)?];
        let (actor, reason): (String, String) = (row.try_get(3)?, row.try_get(4)?);
        Ok(format!("partition {partition}: entries {first} to {last} are not known (accepted by {actor}: {reason})"))
    });
    told.collect()
}

/// Reads a stopped partition.
async fn look(ledger: &Ledger, partition: u16, after: u64) -> Result<Seen, ReconcileError> {
    let engine = ledger.engine();
    for _ in 0..LOOKS {
        let before = engine.journal_span(partition).await?;
        let (mut accounts, mut place) = (BTreeMap::new(), None);
        loop {
            let places = engine.names(partition, String::new(), place.take(), PAGE).await?;
            let Some(last) = places.last() else { break };
            place = Some(last.clone());
            let ids: Vec<AccountId> = places.into_iter().map(|place| place.account).collect();
            let loaded = engine.load(partition, ids.clone()).await?;
            for (id, account) in ids.into_iter().zip(loaded) {
                let missing = || LedgerError::corrupt(format!("the record of account {id} is missing or damaged"));
                let account = account.ok_or_else(missing)?;
                accounts.insert(id, account);
            }
        }
        let mut tail: Vec<Block> = Vec::new();
        loop {
            let blocks = engine.blocks_after(partition, tail.last().map_or(after, |block| block.end() - 1), PAGE).await?;
            if blocks.is_empty() {
                break;
            }
            tail.extend(blocks);
        }
        if engine.journal_span(partition).await? == before {
            return Ok(Seen { accounts, tail });
        }
    }
    Err(ReconcileError::Moving(partition))
}

/// What has to be said of each account of which the gap has something.
fn unknown(seen: &Seen, known: &BTreeMap<AccountId, AccountState>, decision: &Decision) -> Vec<Entry> {
    let mut tails: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in seen.tail.iter().flat_map(|block| &block.entries) {
        tails.entry(&entry.account).or_default().push(entry);
    }
    let time = seen.tail.first().map_or(UnixMillis::NONE, |block| block.time);
    let mut entries = Vec::new();
    for (id, (account, profile)) in &seen.accounts {
        let tail = tails.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        if tail.iter().any(|entry| entry.kind() == EntryKind::Created) {
            continue;
        }
        let before = Before { account, profile, tail, known: known.get(id) };
        entries.extend(before.entries(id, time, decision));
    }
    // The gap is reported, though it held nothing but reservations.
    if entries.is_empty()
        && let Some((id, known)) = known.iter().next()
        && let Some((account, profile)) = seen.accounts.get(id)
    {
        let tail = tails.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let before = Before { account, profile, tail, known: Some(known) };
        let nothing =
            EntryData::NotItemized { to_balance: Units::ZERO, to_unbilled: Units::ZERO, was_cut: false, settings: before.settings() };
        entries.push(before.entry(id, time, decision, nothing));
    }
    entries
}

/// An account as it was where the journal begins.
struct Before<'a> {
    /// As it is now.
    account: &'a Account,
    profile: &'a Profile,
    /// Its entries that are still in the journal.
    tail: &'a [&'a Entry],
    /// What the billing store knows of it.
    known: Option<&'a AccountState>,
}

impl Before<'_> {
    fn amounts(&self) -> (Units, Units) {
        self.tail.iter().fold((self.account.balance, self.account.unbilled), |(balance, unbilled), entry| {
            let moved = entry.data.movement();
            (balance - moved.balance, unbilled - moved.unbilled)
        })
    }

    fn sequence(&self) -> u64 {
        self.account.sequence - self.tail.iter().filter(|entry| entry.kind().moves_money()).count() as u64
    }

    fn mode(&self) -> Mode {
        match self.tail.first() {
            Some(entry) if entry.kind() == EntryKind::Converted => match entry.mode {
                Mode::Prepaid => Mode::Postpaid,
                Mode::Postpaid => Mode::Prepaid,
            },
            Some(entry) => entry.mode,
            None => self.account.mode,
        }
    }

    /// The open bill, and the highest number given to one.
    fn bills(&self) -> (u32, u32) {
        let is_cut = |entry: &&&Entry| matches!(entry.kind(), EntryKind::PeriodClosed | EntryKind::FinalBilled);
        let made = self.tail.iter().filter(|entry| is_cut(entry) || entry.kind() == EntryKind::ChargedOwnBill).count();
        let open = self.tail.iter().find(is_cut).map_or(self.account.open_bill, |cut| cut.bill);
        (open, self.account.last_bill - u32::try_from(made).unwrap_or(0))
    }

    fn status(&self) -> Status {
        let changed = self.tail.iter().find_map(|entry| match entry.kind() {
            EntryKind::Suspended | EntryKind::Closed => Some(Status::Active),
            EntryKind::Resumed => Some(Status::Suspended),
            EntryKind::Reopened => Some(Status::Closed),
            _ => None,
        });
        changed.unwrap_or(self.account.status)
    }

    fn snapshot(&self) -> Snapshot {
        let Account { permanent_limit, temporary_limit, temporary_until, .. } = *self.account;
        let was_set = self.tail.iter().any(|entry| entry.kind() == EntryKind::LimitSet);
        // What is set again behind the gap does not matter before it.
        let known = self.known.filter(|_| was_set);
        let limits = (permanent_limit, temporary_limit, temporary_until);
        let (permanent_limit, temporary_limit, temporary_until) =
            known.map_or(limits, |known| (known.account.permanent_limit, known.account.temporary_limit, known.account.temporary_until));
        let cut = self.tail.iter().find(|entry| matches!(entry.kind(), EntryKind::PeriodClosed | EntryKind::FinalBilled));
        Snapshot {
            status: self.status(),
            permanent_limit,
            temporary_limit,
            temporary_until,
            last_bill: self.bills().1,
            period_end: cut.map_or(self.account.period_end, |cut| cut.time),
            created_at: self.profile.created_at,
        }
    }

    fn settings(&self) -> Settings {
        let Account { currency, decimals, minor_digits, non_usage_billing, .. } = *self.account;
        let was_set = self.tail.iter().any(|entry| entry.kind() == EntryKind::Updated);
        let threshold = |units: Option<Units>| Some(units.map(|units| DecimalAmount::new(units.get(), decimals)));
        let denomination = Some((currency, decimals, minor_digits));
        match self.known.filter(|_| was_set) {
            Some(known) => Settings {
                name: Some(known.name.clone()),
                low_credit_threshold: threshold(known.low_credit_threshold),
                non_usage_billing: Some(known.account.non_usage_billing),
                denomination,
            },
            None => Settings {
                name: Some(self.profile.name.clone()),
                low_credit_threshold: threshold(self.profile.low_credit_threshold),
                non_usage_billing: Some(non_usage_billing),
                denomination,
            },
        }
    }

    /// Whether the billing store knows all of it.
    fn is_known(&self) -> bool {
        let (Snapshot { status, permanent_limit, temporary_limit, temporary_until, last_bill, .. }, settings) =
            (self.snapshot(), self.settings());
        self.known.is_some_and(|known| {
            (known.account.balance, known.account.unbilled) == self.amounts()
                && known.account.sequence == self.sequence()
                && known.account.mode == self.mode()
                && (known.account.open_bill, known.account.last_bill) == (self.bills().0, last_bill)
                && known.account.status == status
                && (known.account.permanent_limit, known.account.temporary_limit, known.account.temporary_until)
                    == (permanent_limit, temporary_limit, temporary_until)
                && Some(&known.name) == settings.name.as_ref()
                && Some(known.account.non_usage_billing) == settings.non_usage_billing
        })
    }

    /// What to record of it: how its balance and its open bill changed.
    fn entries(&self, id: &AccountId, time: UnixMillis, decision: &Decision) -> Vec<Entry> {
        if self.is_known() {
            return Vec::new();
        }
        let ((balance, unbilled), (open_bill, _)) = (self.amounts(), self.bills());
        let (known_balance, known_unbilled) =
            self.known.map_or((0, 0), |known| (known.account.balance.get(), known.account.unbilled.get()));
        let is_same_bill = self.known.is_some_and(|known| known.account.open_bill == open_bill);
        let was_cut = self.known.is_some() && !is_same_bill;
        let not_itemized = if is_same_bill { unbilled - Units::new(known_unbilled) } else { unbilled };
        let (to_balance, to_unbilled) = (balance - Units::new(known_balance), unbilled - Units::new(known_unbilled));
        let of_balance = |to_unbilled| EntryData::NotItemized { to_balance, to_unbilled, was_cut, settings: self.settings() };
        let of_bill = |was_cut| EntryData::NotItemizedUnbilled { amount: not_itemized, to_unbilled, was_cut, settings: self.settings() };
        let entry = |data| self.entry(id, time, decision, data);
        match (to_balance, not_itemized) {
            (_, Units::ZERO) => vec![entry(of_balance(to_unbilled))],
            (Units::ZERO, _) => vec![entry(of_bill(was_cut))],
            _ => vec![Entry { unbilled: Units::new(known_unbilled), ..entry(of_balance(Units::ZERO)) }, entry(of_bill(false))],
        }
    }

    /// The entry that says how the account is behind the gap.
    fn entry(&self, id: &AccountId, time: UnixMillis, decision: &Decision, data: EntryData) -> Entry {
        let ((balance, unbilled), (bill, _)) = (self.amounts(), self.bills());
        Entry {
            data,
            account: id.to_owned(),
            request_id: RequestId::default(),
            account_sequence: self.sequence(),
            time,
            mode: self.mode(),
            bill,
            balance,
            unbilled,
            reserved: Units::ZERO,
            fingerprint: [0; 8],
            metadata: Metadata {
                attributes: self.snapshot().to_attributes(),
                actor: decision.actor.clone(),
                reason: decision.reason.clone(),
                ..Metadata::default()
            },
            refers_to: RequestId::default(),
        }
    }
}
