//! The entries of a partition's accounts from the times when the ledger had other numbers of partitions: in the order in which they were
//! accepted.

use std::collections::VecDeque;

use sqlx::{AnyConnection, AssertSqlSafe};

use super::BillingError;
use super::layouts::Layouts;
use super::record::{COLUMNS, Record, number};
use domain::time::UnixMillis;
use ledger::rebuild::Renumbering;

/// How many entries are in memory at once.
const PAGE: usize = 5_000;

/// The fewest that are read at once.
const LEAST: usize = 100;

/// The table that says which partition an account belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// That it is in.
    Now,
    /// That it will be in.
    Then,
}

impl Placed {
    fn table(self) -> &'static str {
        match self {
            Self::Now => "accounts",
            Self::Then => "moving_accounts",
        }
    }
}

/// An entry, and how the numbers of its partition are made.
#[derive(Clone, Debug)]
pub(super) struct FormerEntry {
    pub record: Record,
    pub renumbering: Renumbering,
}

/// All of them, layout by layout.
pub(super) struct FormerEntries {
    layouts: VecDeque<Vec<Stream>>,
    sql: String,
    partition: u16,
}

/// What comes of one former partition.
struct Stream {
    partition: u16,
    after: u64,
    last: u64,
    renumbering: Renumbering,
    at_once: usize,
    read: VecDeque<Record>,
    /// The latest time so far: a close bears that of its boundary.
    time: UnixMillis,
}

impl FormerEntries {
    /// Those of the accounts that are placed in a partition.
    pub fn of(layouts: &Layouts, placed: Placed, partition: u16) -> Self {
        let columns = COLUMNS.split(", ").map(|column| format!("entries.{column}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns} FROM entries JOIN {table} AS placed ON placed.account = entries.account AND placed.partition = $1 \
             WHERE entries.partition = $2 AND entries.sequence > $3 AND entries.sequence <= $4 ORDER BY entries.sequence LIMIT $5",
            table = placed.table()
        );
        let streams = |layout: &super::layouts::Layout| {
            let at_once = (PAGE / layout.last.len().max(1)).max(LEAST);
            let stream = |(partition, last): (u16, &u64)| {
                let renumbering = layout.renumbering(partition);
                Stream { partition, after: layout.behind, last: *last, renumbering, at_once, read: VecDeque::new(), time: UnixMillis::MIN }
            };
            (0..).zip(&layout.last).map(stream).collect()
        };
        Self { layouts: layouts.former().iter().map(streams).collect(), sql, partition }
    }

    /// The next ones; empty at the end.
    pub async fn next(&mut self, connection: &mut AnyConnection) -> Result<Vec<FormerEntry>, BillingError> {
        let mut found = Vec::new();
        while let Some(streams) = self.layouts.front_mut() {
            for stream in &mut *streams {
                stream.fill(connection, &self.sql, self.partition).await?;
            }
            // The first is known as long as something of each is read that has not ended.
            let is_whole = |stream: &Stream| !stream.read.is_empty() || stream.after >= stream.last;
            while streams.iter().all(is_whole)
                && let Some(first) = streams.iter_mut().filter(|stream| !stream.read.is_empty()).min_by_key(|stream| stream.next_time())
                && let Some(record) = first.take()
            {
                found.push(FormerEntry { record, renumbering: first.renumbering });
            }
            if streams.iter().all(|stream| stream.read.is_empty() && stream.after >= stream.last) {
                self.layouts.pop_front();
            }
            if found.len() >= PAGE {
                break;
            }
        }
        Ok(found)
    }
}

impl Stream {
    async fn fill(&mut self, connection: &mut AnyConnection, sql: &str, of: u16) -> Result<(), BillingError> {
        if !self.read.is_empty() || self.after >= self.last {
            return Ok(());
        }
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(i64::from(of)).bind(i64::from(self.partition));
        let query = query.bind(number(self.after)).bind(number(self.last)).bind(i64::try_from(self.at_once).unwrap_or(i64::MAX));
        self.read = query.fetch_all(connection).await?.iter().map(Record::from_row).collect::<Result<_, _>>()?;
        self.after = if self.read.len() < self.at_once { self.last } else { self.read.back().map_or(self.last, |last| last.sequence) };
        Ok(())
    }

    fn next_time(&self) -> UnixMillis {
        self.read.front().map_or(UnixMillis::MAX, |record| record.entry.time.max(self.time))
    }

    fn take(&mut self) -> Option<Record> {
        self.time = self.next_time();
        self.read.pop_front()
    }
}
