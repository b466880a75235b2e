//! The fold of a run of blocks: whether it goes on where the last one ended, and what follows from its entries. No I/O.
//!
//! [`rows`] keeps it in SQL; [`super::aggregate`] commits it with the entries and the new position, in one transaction.

pub mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rust_decimal::Decimal;

use super::position::Position;
use super::record::Record;
use domain::account::{Account, NonUsageBilling};
use domain::command::Metadata;
use domain::entry::{Entry, EntryKind};
use domain::fold::EntryContext;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;
use ledger::Block;
use ledger::snapshot::Snapshot;

/// Why a partition's journal cannot be read on. Nothing is skipped: it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalFault {
    /// Entries are missing.
    Gap {
        /// What was to come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Entries that were committed came again.
    Repeat {
        /// What was to come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The journal goes on from another block than the one that was committed.
    Fork {
        /// Where.
        sequence: u64,
    },
    /// The journal ends before what was committed.
    LostTail {
        /// What was to come.
        expected: u64,
        /// What the journal says comes next.
        found: u64,
    },
    /// An entry does not follow from its account's last one.
    Account {
        account: AccountId,
        /// The entry.
        sequence: u64,
        /// What differs.
        problem: String,
    },
}

impl JournalFault {
    /// Its name, in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "gap",
            Self::Repeat { .. } => "repeat",
            Self::Fork { .. } => "fork",
            Self::LostTail { .. } => "lost_tail",
            Self::Account { .. } => "account",
        }
    }
}

impl fmt::Display for JournalFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found } => write!(formatter, "gap: entry {expected} was to come, and {found} came"),
            Self::Repeat { expected, found } => write!(formatter, "repeat: entry {expected} was to come, and {found} came again"),
            Self::Fork { sequence } => {
                write!(formatter, "fork: entry {sequence} follows on another block than the one that was committed before it")
            }
            Self::LostTail { expected, found } => write!(
                formatter,
                "lost tail: entry {expected} was to come, and the ledger goes on with {found}: it has lost entries that are committed here"
            ),
            Self::Account { account, sequence, problem } => write!(formatter, "entry {sequence} of account {account}: {problem}"),
        }
    }
}

/// The records of blocks that go on from the position, and the position after them.
pub fn follow(partition: u16, mut position: Position, blocks: Vec<Block>) -> Result<(Vec<Record>, Position), JournalFault> {
    let mut records = Vec::with_capacity(blocks.iter().map(|block| block.entries.len()).sum());
    for block in blocks {
        let (expected, found) = (position.next_sequence, block.first_sequence);
        if found > expected {
            return Err(JournalFault::Gap { expected, found });
        }
        if found < expected {
            return Err(JournalFault::Repeat { expected, found });
        }
        if block.previous != position.last_block {
            return Err(JournalFault::Fork { sequence: expected });
        }
        position = Position { next_sequence: block.end(), last_block: block.id, last_time: block.time };
        records.extend((found..).zip(block.entries).map(|(sequence, entry)| Record { partition, sequence, previous: None, entry }));
    }
    Ok((records, position))
}

/// An account as it was after the last entry seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    pub partition: u16,
    /// Of it, the journal does not tell which reservations expired, so `reserved` is what the last entry says; how many are open, and when
    /// the period ends, is not kept.
    pub account: Account,
    pub name: String,
    pub low_credit_threshold: Option<Units>,
    pub created_at: UnixMillis,
    /// The partition's sequence of its last entry.
    pub last_sequence: u64,
}

impl AccountState {
    /// The account that an entry creates, before the entry is applied to it. Other entries create none.
    fn created(record: &Record) -> Option<Self> {
        let entry = &record.entry;
        let snapshot = Snapshot::of(entry).filter(|_| entry.kind().is_of_gap());
        if entry.kind() != EntryKind::Created && snapshot.is_none() {
            return None;
        }
        let denomination = entry.data.settings()?.denomination?;
        Some(Self {
            partition: record.partition,
            account: Account::opened(entry.mode, NonUsageBilling::Consolidated, denomination),
            name: String::new(),
            low_credit_threshold: None,
            created_at: snapshot.map_or(entry.time, |snapshot| snapshot.created_at),
            last_sequence: 0,
        })
    }

    /// Applies the next entry, and has it name the one before it; returns an error if it does not follow.
    fn take(&mut self, record: &mut Record) -> Result<(), String> {
        if *record.previous.get_or_insert(self.last_sequence) != self.last_sequence {
            return Err(format!("it follows on entry {}, and does not say so", self.last_sequence));
        }
        let entry = &record.entry;
        let mut after = self.account;
        // What is left of a reservation is not known here, nor when its period ends.
        after.apply(&entry.data, &EntryContext { bill: entry.bill, ..EntryContext::default() });
        let Account { balance, unbilled, sequence, .. } = after;
        if (entry.balance, entry.unbilled) != (balance, unbilled) {
            return Err(format!(
                "balance {balance} and unbilled amount {unbilled} were to come after it, and it says {} and {}",
                entry.balance, entry.unbilled
            ));
        }
        if entry.kind().is_of_gap() {
            let snapshot = Snapshot::of(entry).ok_or("it does not say how the account was behind the gap")?;
            after = snapshot.account(entry).ok_or("it does not say which settings the account had behind the gap")?;
        } else if entry.kind().moves_money() && entry.account_sequence != sequence {
            return Err(format!("the account's entry {sequence} was to come, and {} came", entry.account_sequence));
        }
        self.account = Account { mode: entry.mode, reserved: entry.reserved, open_reservations: 0, period_end: UnixMillis::NONE, ..after };
        self.last_sequence = record.sequence;
        let Some(settings) = entry.data.settings() else { return Ok(()) };
        if let Some(name) = &settings.name {
            self.name.clone_from(name);
        }
        if let Some(threshold) = settings.low_credit_threshold {
            let units = threshold.map(|decimal| decimal.to_units(self.account.decimals)).transpose();
            self.low_credit_threshold = units.map_err(|_| "the low-credit threshold is no amount of the account".to_owned())?;
        }
        Ok(())
    }
}

/// What a total sums up: entries of a bill that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalKey {
    pub account: AccountId,
    pub bill: u32,
    pub kind: EntryKind,
    /// The category's number; 0 for none.
    pub category: u8,
    pub item: String,
    pub unit: String,
}

impl TotalKey {
    /// The total that an entry belongs to; `None` if it moves no money.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let Metadata { category, item, unit, .. } = &entry.metadata;
        entry.kind().moves_money().then(|| Self {
            account: entry.account.clone(),
            bill: entry.bill,
            kind: entry.kind(),
            category: category.map_or(0, |category| category as u8),
            item: item.clone(),
            unit: unit.clone(),
        })
    }
}

/// A running total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// The sum of the amounts.
    pub amount: Units,
    /// The sum of the quantities; `None` if none was given.
    pub quantity: Option<Decimal>,
    /// How many entries.
    pub count: i64,
    /// When the first was accepted.
    pub first_at: UnixMillis,
    /// When the last was accepted.
    pub last_at: UnixMillis,
    /// What the last of them that had a description said; empty if none had.
    pub description: String,
    /// What each of them costs for a unit of quantity (without quantities: each of them), if that is the same for all.
    pub unit_price: Option<Decimal>,
}

impl Total {
    /// Whether another one says the same; descriptions and prices were not always kept.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let description = if other.description.is_empty() { String::new() } else { self.description.clone() };
        let unit_price = other.unit_price.and(self.unit_price);
        Self { description, unit_price, ..self.clone() } == *other
    }

    /// The total of one entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        // What the edge let pass as a quantity is one.
        let quantity: Option<Decimal> = entry.metadata.quantity.parse().ok();
        Self {
            amount: entry.amount(),
            quantity,
            count: 1,
            first_at: entry.time,
            last_at: entry.time,
            description: entry.metadata.description.clone(),
            unit_price: if entry.kind().is_charge() { unit_price(entry.amount(), quantity) } else { None },
        }
    }

    /// Takes in an entry that was accepted before all that are in it.
    pub fn add_earlier(&mut self, entry: &Entry) {
        let description = std::mem::take(&mut self.description);
        self.add(entry);
        if !description.is_empty() {
            self.description = description;
        }
    }

    fn add(&mut self, entry: &Entry) {
        let one = Self::of(entry);
        let is_alike = self.quantity.is_some() == one.quantity.is_some() && self.unit_price == one.unit_price;
        self.unit_price = self.unit_price.filter(|_| is_alike);
        // A sum that cannot be kept is held back with its document: it does not add up.
        self.amount = self.amount.saturating_add(one.amount);
        self.quantity = match (self.quantity, one.quantity) {
            (Some(sum), Some(quantity)) => Some(sum.checked_add(quantity).unwrap_or(sum)),
            (sum, quantity) => sum.or(quantity),
        };
        self.count += 1;
        self.first_at = self.first_at.min(one.first_at);
        self.last_at = self.last_at.max(one.last_at);
        if !one.description.is_empty() {
            self.description = one.description;
        }
    }
}

/// What a unit costs of a charge, if that is an amount of the account: what is finer was hardly anybody's price.
#[must_use]
pub fn unit_price(amount: Units, quantity: Option<Decimal>) -> Option<Decimal> {
    let amount = Decimal::from(amount.get());
    let Some(quantity) = quantity else { return Some(amount) };
    let price = amount.checked_div(quantity)?.normalize();
    (price.scale() == 0 && price.checked_mul(quantity) == Some(amount)).then_some(price)
}

/// Accounts and totals, as they are becoming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// By id.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// Those that these records belong to.
    pub totals: BTreeMap<TotalKey, Total>,
}

/// What records touch, to be loaded before they are taken in.
#[must_use]
pub fn touched(records: &[Record]) -> (BTreeSet<&str>, BTreeSet<TotalKey>) {
    let accounts = records.iter().map(|record| record.entry.account.as_str()).collect();
    (accounts, records.iter().filter_map(|record| TotalKey::of(&record.entry)).collect())
}

impl Projection {
    /// Takes in records, in journal order, and has each name the one before it of its account; returns the totals that changed.
    pub fn take(&mut self, records: &mut [Record]) -> Result<BTreeSet<TotalKey>, JournalFault> {
        let mut changed = BTreeSet::new();
        for record in records {
            if let Err(problem) = self.account_of(record).and_then(|account| account.take(record)) {
                return Err(JournalFault::Account { account: record.entry.account.clone(), sequence: record.sequence, problem });
            }
            let entry = &record.entry;
            let Some(key) = TotalKey::of(entry) else { continue };
            match self.totals.get_mut(&key) {
                Some(total) => total.add(entry),
                None => drop(self.totals.insert(key.clone(), Total::of(entry))),
            }
            changed.insert(key);
        }
        Ok(changed)
    }

    /// Says in which partition all of the accounts are now: their first entries may be from another.
    pub fn place_all(&mut self, partition: u16) {
        self.accounts.values_mut().for_each(|account| account.partition = partition);
    }

    /// The account of a record, which may create it.
    fn account_of(&mut self, record: &Record) -> Result<&mut AccountState, String> {
        let id = &record.entry.account;
        let created = if self.accounts.contains_key(id) { None } else { AccountState::created(record) };
        if let Some(created) = created {
            self.accounts.insert(id.clone(), created);
        }
        self.accounts.get_mut(id).ok_or_else(|| "the account was never created".to_owned())
    }
}

#[cfg(test)]
mod tests;
