//! The fold of a run of blocks: whether it goes on where the last one ended, and what follows from its entries. No I/O.
//!
//! [`step`] commits it: entries, totals, accounts and the new position, in one transaction.

pub mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rust_decimal::Decimal;

use super::record::Record;
use domain::account::{Currency, Millis, Mode, NonUsageBilling, Status};
use domain::command::Note;
use domain::entry::{Entry, EntryKind};
use ledger::Block;
use ledger::snapshot::Snapshot;

/// Up to where a partition's journal was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence that the next entry must have.
    pub next_sequence: u64,
    /// The id of the block before it.
    pub last_block: [u8; 16],
    /// When that was written.
    pub last_time: Millis,
}

impl Position {
    /// The beginning of a journal.
    pub const BEGINNING: Position = Position { next_sequence: 1, last_block: [0; 16], last_time: 0 };
}

/// Why a partition's journal cannot be read on. Nothing is skipped: it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
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
        /// The account.
        account: String,
        /// The entry.
        sequence: u64,
        /// What differs.
        problem: String,
    },
}

impl Break {
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

impl fmt::Display for Break {
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
pub fn follow(partition: u16, mut position: Position, blocks: Vec<Block>) -> Result<(Vec<Record>, Position), Break> {
    let mut records = Vec::with_capacity(blocks.iter().map(|block| block.entries.len()).sum());
    for block in blocks {
        let (expected, found) = (position.next_sequence, block.first_sequence);
        if found > expected {
            return Err(Break::Gap { expected, found });
        }
        if found < expected {
            return Err(Break::Repeat { expected, found });
        }
        if block.previous != position.last_block {
            return Err(Break::Fork { sequence: expected });
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
    pub name: String,
    pub currency: Currency,
    pub decimals: u8,
    pub minor_digits: u8,
    pub mode: Mode,
    pub status: Status,
    pub non_usage_billing: NonUsageBilling,
    pub permanent_limit: i64,
    pub temporary_limit: i64,
    pub temporary_until: Millis,
    pub balance: i64,
    pub unbilled: i64,
    pub reserved: i64,
    pub account_sequence: u64,
    /// The bill that is open.
    pub bill: u32,
    /// The highest number given to a bill.
    pub last_bill: u32,
    pub low_credit_threshold: Option<i64>,
    pub created_at: Millis,
    /// The partition's sequence of its last entry.
    pub last_sequence: u64,
}

impl AccountState {
    /// The account that an entry creates; None: it creates none.
    fn created(record: &Record) -> Option<Self> {
        let entry = &record.entry;
        let (currency, decimals, minor_digits) = entry.settings.denomination?;
        let snapshot = Snapshot::of(entry).filter(|_| entry.kind.is_of_gap());
        let is_creation = entry.kind == EntryKind::Created || snapshot.is_some();
        is_creation.then(|| Self {
            partition: record.partition,
            name: String::new(),
            currency,
            decimals,
            minor_digits,
            mode: entry.mode,
            status: Status::Active,
            non_usage_billing: NonUsageBilling::Consolidated,
            permanent_limit: 0,
            temporary_limit: 0,
            temporary_until: 0,
            balance: 0,
            unbilled: 0,
            reserved: 0,
            account_sequence: 0,
            bill: 1,
            last_bill: 1,
            low_credit_threshold: None,
            created_at: snapshot.map_or(entry.time, |snapshot| snapshot.created_at),
            last_sequence: 0,
        })
    }

    /// Takes in the next entry, and has it name the one before it; answers what does not follow.
    fn take(&mut self, record: &mut Record) -> Result<(), String> {
        if *record.previous.get_or_insert(self.last_sequence) != self.last_sequence {
            return Err(format!("it follows on entry {}, and does not say so", self.last_sequence));
        }
        let entry = &record.entry;
        let (balance_change, unbilled_change) = entry.effect();
        let (balance, unbilled) = (self.balance + balance_change, self.unbilled + unbilled_change);
        if (entry.balance, entry.unbilled) != (balance, unbilled) {
            return Err(format!(
                "balance {} and unbilled amount {} were to come after it, and it says {} and {}",
                balance, unbilled, entry.balance, entry.unbilled
            ));
        }
        let expected = self.account_sequence + 1;
        if entry.kind.is_of_gap() {
            self.account_sequence = entry.account_sequence;
        } else if entry.kind.moves_money() {
            if entry.account_sequence != expected {
                return Err(format!("the account's entry {expected} was to come, and {} came", entry.account_sequence));
            }
            self.account_sequence = expected;
        }
        (self.balance, self.unbilled, self.reserved) = (balance, unbilled, entry.reserved);
        self.mode = entry.mode;
        self.last_sequence = record.sequence;
        self.last_bill = self.last_bill.max(entry.bill);
        match entry.kind {
            EntryKind::Created | EntryKind::LimitSet => {
                self.permanent_limit = entry.amount;
                [self.temporary_limit, self.temporary_until] = entry.details;
            }
            EntryKind::PeriodClosed | EntryKind::FinalBilled => {
                self.last_bill += 1;
                self.bill = self.last_bill;
            }
            EntryKind::Suspended => self.status = Status::Suspended,
            EntryKind::Resumed | EntryKind::Reopened => self.status = Status::Active,
            EntryKind::Closed => self.status = Status::Closed,
            EntryKind::NotItemized | EntryKind::NotItemizedUnbilled => {
                let snapshot = Snapshot::of(entry).ok_or("it does not say how the account was behind the gap")?;
                (self.status, self.bill, self.last_bill) = (snapshot.status, entry.bill, snapshot.last_bill);
                self.permanent_limit = snapshot.permanent_limit;
                (self.temporary_limit, self.temporary_until) = (snapshot.temporary_limit, snapshot.temporary_until);
            }
            _ => {}
        }
        if let Some(name) = &entry.settings.name {
            self.name.clone_from(name);
        }
        if let Some(billing) = entry.settings.non_usage_billing {
            self.non_usage_billing = billing;
        }
        if let Some(threshold) = entry.settings.low_credit_threshold {
            let decimals = self.decimals;
            let units = threshold.map(|quote| quote.to_units(decimals)).transpose();
            self.low_credit_threshold = units.map_err(|_| "the low-credit threshold is no amount of the account".to_owned())?;
        }
        Ok(())
    }
}

/// What a total sums up: entries of a bill that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalKey {
    pub account: String,
    pub bill: u32,
    pub kind: EntryKind,
    /// The category's number; 0: none.
    pub category: u8,
    pub item: String,
    pub unit: String,
}

impl TotalKey {
    /// The total that an entry belongs to; None: it moves no money.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let Note { category, item, unit, .. } = &entry.note;
        entry.kind.moves_money().then(|| Self {
            account: entry.account.clone(),
            bill: entry.bill,
            kind: entry.kind,
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
    pub amount: i64,
    /// The sum of the quantities; None: none was given.
    pub quantity: Option<Decimal>,
    /// How many entries.
    pub count: i64,
    /// When the first was accepted.
    pub first_at: Millis,
    /// When the last was accepted.
    pub last_at: Millis,
    /// What the last of them that had a description said; empty: none had.
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
        let quantity: Option<Decimal> = entry.note.quantity.parse().ok();
        Self {
            amount: entry.amount,
            quantity,
            count: 1,
            first_at: entry.time,
            last_at: entry.time,
            description: entry.note.description.clone(),
            unit_price: if entry.kind.is_charge() { unit_price(entry.amount, quantity) } else { None },
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
pub fn unit_price(amount: i64, quantity: Option<Decimal>) -> Option<Decimal> {
    let amount = Decimal::from(amount);
    let Some(quantity) = quantity else { return Some(amount) };
    let price = amount.checked_div(quantity)?.normalize();
    (price.scale() == 0 && price.checked_mul(quantity) == Some(amount)).then_some(price)
}

/// Accounts and totals, as they are becoming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// By id.
    pub accounts: BTreeMap<String, AccountState>,
    /// Those that these records belong to.
    pub totals: BTreeMap<TotalKey, Total>,
}

/// What records touch, to be loaded before they are taken in.
#[must_use]
pub fn touched(records: &[Record]) -> (BTreeSet<&str>, BTreeSet<TotalKey>) {
    let accounts = records.iter().map(|record| record.entry.account.as_str()).collect();
    (accounts, records.iter().filter_map(|record| TotalKey::of(&record.entry)).collect())
}

impl Books {
    /// Takes in records, in journal order, and has each name the one before it of its account; answers the totals that changed.
    pub fn take(&mut self, records: &mut [Record]) -> Result<BTreeSet<TotalKey>, Break> {
        let mut changed = BTreeSet::new();
        for record in records {
            if let Err(problem) = self.account_of(record).and_then(|account| account.take(record)) {
                return Err(Break::Account { account: record.entry.account.clone(), sequence: record.sequence, problem });
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
