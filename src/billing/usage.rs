//! Usage records as they leave: charges and refunds, read by the key of the entries.
//!
//! Within a partition the ledger's time never goes back, so what was accepted in a span of time is a span of sequences, whose ends are
//! found by halving. An index by time would serve as well, and cost each entry that is taken in. (Only a period's close is dated back, to
//! its boundary.)

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::layouts::Layouts;
use super::partitions::Partition;
use super::record::number;
use super::store::rows::{Table, Type};
use super::{Billing, BillingError, Places};
use crate::kinds::{DATED_BACK, USAGE};
use crate::store::Columns;
use domain::account::{Category, Mode};
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;
use ledger::codec;

/// A charge or a refund, with what its account's amounts are written by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// Its place in the journal.
    pub partition: u16,
    /// Its place in the partition.
    pub sequence: u64,
    pub account: AccountId,
    /// A charge or a refund, and of what kind.
    pub kind: EntryKind,
    /// When it was accepted.
    pub time: UnixMillis,
    /// The mode that it was accepted in.
    pub mode: Mode,
    /// The bill that it falls into.
    pub bill: u32,
    /// What was charged; of a refund: what was credited.
    pub amount: Units,
    /// Of a refund: what was credited beyond what was taken off the charge.
    pub credit_rounding: Units,
    /// What it was for.
    pub category: Option<Category>,
    /// What was used, for machines.
    pub item: String,
    /// What was used, for people.
    pub description: String,
    /// How much of it was used.
    pub quantity: String,
    /// In what it is measured.
    pub unit: String,
    /// When it was used.
    pub occurred_at: Option<UnixMillis>,
    /// Metadata from the caller.
    pub attributes: Vec<(String, String)>,
    /// The command's name.
    pub request_id: RequestId,
    pub refers_to: RequestId,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
}

/// Entries of a partition that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub partition: u16,
    /// The sequence before the first.
    pub after: i64,
    /// The sequence behind the last.
    pub before: i64,
}

/// Read by their places, see [`read`].
const COLUMNS: &str = "entries.partition, entries.sequence, entries.account, entries.kind, entries.time, entries.mode, entries.bill, \
                       entries.amount, entries.category, entries.item, entries.description, entries.quantity, entries.unit, \
                       entries.occurred_at, entries.attributes, entries.request_id, entries.refers_to, accounts.currency, \
                       accounts.decimals, accounts.minor_digits, entries.credit_rounding";

/// A usage record has an account; if not, that shows as a broken row, instead of a missing one.
const ENTRIES: Table = Table {
    name: "entries LEFT JOIN accounts ON accounts.account = entries.account",
    columns: &[("entries.partition", Type::Number), ("entries.sequence", Type::Number)],
    on_conflict: "",
};

/// The statement that reads the records of a span: partition, after, before, from, to. A span of few sequences is few rows, whatever the
/// planner thinks of it; with a LIMIT on a long one it has sorted all of that for each page.
fn of_span() -> String {
    format!(
        "SELECT {COLUMNS} FROM {} WHERE entries.partition = $1 AND entries.sequence > $2 AND entries.sequence < $3 \
         AND entries.time >= $4 AND entries.time < $5 AND entries.kind IN ({USAGE}) ORDER BY entries.sequence",
        ENTRIES.name
    )
}

/// The statement that looks at the first entry of a part of a partition: partition, from, before. What is dated back says nothing.
fn first_of_part() -> String {
    format!(
        "SELECT sequence, time FROM entries WHERE partition = $1 AND sequence >= $2 AND sequence < $3 \
         AND kind NOT IN ({DATED_BACK}) ORDER BY sequence LIMIT 1"
    )
}

impl Span {
    /// All entries of a partition behind a sequence, up to another.
    fn all(partition: u16, behind: u64, last: u64) -> Self {
        Self { partition, after: number(behind), before: number(last) + 1 }
    }

    /// Takes the first sequences off, at most `count`. `None` if none are left.
    pub fn take(&mut self, count: i64) -> Option<Self> {
        let page = Self { before: self.before.min(self.after.saturating_add(count + 1)), ..*self };
        self.after = page.before - 1;
        (page.after < page.before - 1).then_some(page)
    }
}

impl Billing {
    /// Where the entries are that were accepted in `from..to`, by partition, those of one in the order of their sequences.
    pub async fn spans(&self, from: UnixMillis, to: UnixMillis) -> Result<Vec<Span>, BillingError> {
        let (partitions, layouts) = (self.partitions().await?, Layouts::read(self.store.pool()).await?);
        let mut all = Vec::new();
        for layout in layouts.former() {
            let last = (0..).zip(&layout.last);
            all.extend(last.map(|(partition, last)| (Span::all(partition, layout.behind, *last), UnixMillis::MAX)));
        }
        for Partition { partition, position, .. } in partitions {
            all.push((Span::all(partition, layouts.behind(), position.next_sequence - 1), position.last_time));
        }
        let mut spans = Vec::new();
        for (all, last_time) in all.into_iter().filter(|(all, _)| all.after + 1 < all.before) {
            let first = if from > last_time { all.before } else { self.first_since(&all, from).await? };
            let before = if first == all.before || to > last_time { all.before } else { self.first_since(&all, to).await? };
            spans.push(Span { after: first - 1, before, ..all });
        }
        spans.sort_by_key(|span| (span.partition, span.after));
        Ok(spans)
    }

    /// A sequence behind all entries of a span that were accepted before an instant, and not behind any other; if all were, the span's end.
    async fn first_since(&self, span: &Span, time: UnixMillis) -> Result<i64, BillingError> {
        let (mut old, mut young) = (span.after + 1, span.before);
        while old < young && time > UnixMillis::NONE {
            let middle = old + (young - old) / 2;
            let query = sqlx::query(AssertSqlSafe(first_of_part())).bind(i64::from(span.partition)).bind(middle).bind(young);
            match query.fetch_optional(self.store.pool()).await? {
                Some(row) if row.instant("time")? < time => old = row.try_get::<i64, _>("sequence")? + 1,
                _ => young = middle,
            }
        }
        Ok(if time > UnixMillis::NONE { young } else { old })
    }

    /// The records of a span that were accepted in `from..to`.
    pub async fn usage(&self, span: Span, (from, to): (UnixMillis, UnixMillis)) -> Result<Vec<UsageRecord>, BillingError> {
        let query = sqlx::query(AssertSqlSafe(of_span())).bind(i64::from(span.partition)).bind(span.after).bind(span.before);
        // A row is many times as large as its record: all rows of a page at once would not stay in the processor's cache.
        let mut rows = query.bind(from.get()).bind(to.get()).fetch(self.store.pool());
        let mut records = Vec::new();
        while let Some(row) = rows.try_next().await? {
            records.push(read(&row)?);
        }
        Ok(records)
    }

    /// The records at the next places.
    pub async fn usage_at(&self, places: &mut Places, count: usize) -> Result<Vec<UsageRecord>, BillingError> {
        let key = |(partition, sequence): (u16, i64)| vec![i64::from(partition).into(), sequence.into()];
        let keys: Vec<_> = places.take(count).map(key).collect();
        let mut connection = self.store.pool().acquire().await?;
        let rows = ENTRIES.find(&mut connection, self.store.dialect(), COLUMNS, &keys).await?;
        let mut records = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        records.sort_unstable_by_key(|record| record.sequence);
        Ok(records)
    }
}

/// Reads a row of [`COLUMNS`].
fn read(row: &AnyRow) -> Result<UsageRecord, BillingError> {
    let attributes: String = row.try_get(14)?;
    Ok(UsageRecord {
        partition: narrow(row, 0)?,
        sequence: narrow(row, 1)?,
        account: row.account_id(2)?,
        kind: coded(row, 3, EntryKind::from_number)?,
        time: row.instant(4)?,
        mode: coded(row, 5, codec::mode)?,
        bill: narrow(row, 6)?,
        amount: row.units(7)?,
        category: codec::category(narrow(row, 8)?),
        item: row.try_get(9)?,
        description: row.try_get(10)?,
        quantity: row.try_get(11)?,
        unit: row.try_get(12)?,
        occurred_at: row.try_get::<Option<i64>, _>(13)?.map(UnixMillis::new),
        attributes: match attributes.as_str() {
            "" => Vec::new(),
            text => serde_json::from_str(text).map_err(|_| BillingError::corrupt(format!("attributes {text:?}")))?,
        },
        request_id: row.request_id(15)?,
        refers_to: row.request_id(16)?,
        currency: row.try_get(17)?,
        decimals: narrow(row, 18)?,
        minor_digits: narrow(row, 19)?,
        credit_rounding: row.units(20)?,
    })
}

/// A number that is never negative. Columns are read by their places here: to look for each by its name takes as long as all else.
fn narrow<T: TryFrom<i64>>(row: &AnyRow, place: usize) -> Result<T, BillingError> {
    let number: i64 = row.try_get(place)?;
    T::try_from(number).map_err(|_| BillingError::corrupt(format!("column {place}: {number}")))
}

/// A value that is kept by its number.
fn coded<T>(row: &AnyRow, place: usize, decode: impl Fn(u8) -> Option<T>) -> Result<T, BillingError> {
    let number: u8 = narrow(row, place)?;
    decode(number).ok_or_else(|| BillingError::corrupt(format!("column {place}: {number}")))
}
