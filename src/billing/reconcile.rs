//! Where ledger and billing store have come to differ: what differs, and what an operator can do about it.
//!
//! A partition stops when its journal does not go on as it must, which happens when the ledger has lost its end (a failover to a replica
//! that was behind, a file system that lied). [`Billing::inspect`] finds the last entry that both have. [`Billing::accept`] takes out of SQL
//! what only SQL has, and goes on from there; [`reapply`](reapply::reapply) asks the ledger for the same again, by the same request ids.
//! Each is recorded, with who did it and why.

pub mod gap;
mod later_writes;
pub mod lost;
pub mod numbering;
pub mod reapply;
pub mod torn;
mod undo;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::audit::{self, Act};
use super::erase::is_same;
use super::layouts::Layouts;
use super::lookup::LookUpError;
use super::partitions::{self, Partition};
use super::position::Position;
use super::position::hex;
use super::record::{COLUMNS, Record, behind, number};
use super::{Billing, BillingError};
use domain::origin::Origin;
use domain::time::UnixMillis;
use ledger::{Block, Ledger, LedgerError};

/// How many blocks are compared at once.
const BLOCKS: usize = 64;

/// What differs in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub partition: u16,
    /// Why it is stopped; `None` if it is not.
    pub stopped: Option<String>,
    /// The fence that it was claimed by last.
    fence: i64,
    /// The sequence that SQL waits for.
    pub next_in_sql: u64,
    /// The sequence that the ledger's next entry will have.
    pub next_in_ledger: u64,
    /// The last entry that both have, and the block that it ends; `None` if the journal does not reach back so far.
    pub common: Option<Common>,
    /// Whether the journal goes on from what SQL has, block by block.
    pub goes_on: bool,
}

/// Up to where ledger and SQL are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Common {
    /// The last entry.
    pub sequence: u64,
    /// The block that it ends.
    pub block: [u8; 16],
    /// When that was written.
    pub time: UnixMillis,
}

impl Difference {
    /// How many entries only SQL has; `None` if nobody can say.
    #[must_use]
    pub fn only_in_sql(&self) -> Option<u64> {
        self.common.map(|common| self.next_in_sql - 1 - common.sequence)
    }

    /// Whether it is stopped for a cause that is gone.
    #[must_use]
    pub fn is_mended(&self) -> bool {
        self.stopped.is_some() && self.goes_on
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.stopped.is_none() && self.only_in_sql() == Some(0)
    }
}

/// A decision to reconcile: who, why, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
    /// Whether what only SQL has is to be applied again.
    pub reapply: bool,
}

/// What was removed from SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedRecords {
    /// How many entries.
    pub entries: u64,
    /// How many allocations by hand are undone with them.
    pub by_hand: u64,
}

/// Why it cannot be reconciled so.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The billing store.
    #[error(transparent)]
    Billing(#[from] BillingError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no way on from here, but restoring the ledger.
    #[error("{0}; the way on is an empty ledger, made whole by tollgate restore")]
    OnlyRestore(String),
    /// The ledger goes on charging, so that it cannot be read as a whole.
    #[error("partition {0} goes on charging: stop the services for as long as this takes")]
    Moving(u16),
    /// Somebody else has done something meanwhile.
    #[error("partition {0} has changed meanwhile: look again")]
    Changed(u16),
}

impl From<LookUpError> for ReconcileError {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Ledger(error) => Self::Ledger(error),
            LookUpError::Billing(error) => Self::Billing(error),
        }
    }
}

impl From<sqlx::Error> for ReconcileError {
    fn from(error: sqlx::Error) -> Self {
        Self::Billing(error.into())
    }
}

impl Billing {
    /// Compares each partition.
    pub async fn inspect(&self, ledger: &Ledger) -> Result<Vec<Difference>, ReconcileError> {
        let mut differences = Vec::new();
        for partition in partitions::all(self.store()).await? {
            differences.push(self.inspect_partition(ledger, partition).await?);
        }
        Ok(differences)
    }

    async fn inspect_partition(&self, ledger: &Ledger, stored: Partition) -> Result<Difference, ReconcileError> {
        let engine = ledger.engine();
        let Partition { partition, position, .. } = stored;
        let span = engine.journal_span(partition).await?;
        let mut difference = Difference {
            partition,
            stopped: stored.stopped.map(|stopped| stopped.reason),
            fence: stored.fence,
            next_in_sql: position.next_sequence,
            next_in_ledger: span.next,
            common: None,
            goes_on: goes_on(ledger, partition, position).await?,
        };
        let beginning = Common { sequence: 0, block: [0; 16], time: UnixMillis::NONE };
        let former_end = Layouts::read(self.store().pool()).await?.behind();
        let (mut before, mut oldest) = (Some(position.next_sequence), None);
        loop {
            let blocks = engine.blocks_before(partition, before, BLOCKS).await?;
            if blocks.is_empty() {
                break;
            }
            for block in blocks {
                // What lies behind is of accounts that may be in other partitions now.
                if block.end() - 1 < former_end {
                    return Ok(difference);
                }
                if block.end() <= position.next_sequence && self.has(partition, &block).await? {
                    difference.common = Some(Common { sequence: block.end() - 1, block: block.id, time: block.time });
                    return Ok(difference);
                }
                before = Some(block.first_sequence);
                oldest = Some(block);
            }
        }
        // A journal that is there from its first block on differs from the first on; one that was restored has no block yet.
        difference.common = match oldest {
            Some(first) if first.first_sequence == 1 && former_end == 0 => Some(beginning),
            Some(first) if first.first_sequence == position.next_sequence && first.previous == position.last_block => {
                Some(Common { sequence: position.next_sequence - 1, block: position.last_block, time: position.last_time })
            }
            None if span.next == 1 && former_end == 0 => Some(beginning),
            None if span.next == position.next_sequence => {
                Some(Common { sequence: span.next - 1, block: position.last_block, time: position.last_time })
            }
            _ => None,
        };
        Ok(difference)
    }

    /// Whether SQL has a block's entries, as they are.
    async fn has(&self, partition: u16, block: &Block) -> Result<bool, BillingError> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE partition = $1 AND sequence >= $2 AND sequence < $3 ORDER BY sequence");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(partition)).bind(number(block.first_sequence)).bind(number(block.end()));
        let rows = query.fetch_all(self.store().pool()).await?;
        let stored = rows.iter().map(Record::from_row).collect::<Result<Vec<_>, _>>()?;
        Ok(stored.len() == block.entries.len() && stored.iter().zip(&block.entries).all(|(record, entry)| is_same(&record.entry, entry)))
    }

    /// The first entries that only SQL has.
    pub async fn entries_only_in_sql(&self, difference: &Difference, count: usize) -> Result<Vec<Record>, BillingError> {
        let Some(common) = difference.common else { return Ok(Vec::new()) };
        behind(self.store().pool(), difference.partition, common.sequence, i64::try_from(count).unwrap_or(i64::MAX)).await
    }

    /// Removes from SQL what only SQL has, lets the partition go on, and records it.
    pub async fn accept(&self, difference: &Difference, decision: &Decision) -> Result<RemovedRecords, ReconcileError> {
        let partition = difference.partition;
        let Some(common) = difference.common else {
            let next = difference.next_in_sql;
            return Err(ReconcileError::OnlyRestore(format!("the journal of partition {partition} no longer has entry {next}")));
        };
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let to = Position { next_sequence: common.sequence + 1, last_block: common.block, last_time: common.time };
        go_on_from(connection, difference, to).await?;
        let id = record(connection, difference, common, decision).await?;
        let lost = difference.next_in_sql - 1 - common.sequence;
        let by_hand = match lost {
            0 => 0,
            _ => undo::take_out(connection, self.store().dialect(), partition, common.sequence, id, decision.reapply).await?,
        };
        let action = action_of(difference, decision);
        let act = decision.act(action, Some(partition)).with("after_entry", common.sequence).with("entries_taken_out", lost);
        let act = act.with("allocations_undone", by_hand);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(RemovedRecords { entries: lost, by_hand })
    }
}

/// Lets a partition go on from a position of its journal, unless it was changed since the difference was found.
async fn go_on_from(connection: &mut AnyConnection, difference: &Difference, to: Position) -> Result<(), ReconcileError> {
    let done = sqlx::query(
        "UPDATE partitions SET fence = fence + 1, next_sequence = $1, last_block = $2, last_time = $3, state = 'RUNNING', reason = '', \
         stopped_at = 0, owner = '', lease_until = 0 WHERE partition = $4 AND fence = $5 AND next_sequence = $6",
    )
    .bind(number(to.next_sequence))
    .bind(hex(&to.last_block))
    .bind(to.last_time.get())
    .bind(i64::from(difference.partition))
    .bind(difference.fence)
    .bind(number(difference.next_in_sql))
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(ReconcileError::Changed(difference.partition)) }
}

/// Whether a partition's journal holds the block that SQL has last, and what follows it follows on that block.
async fn goes_on(ledger: &Ledger, partition: u16, position: Position) -> Result<bool, LedgerError> {
    let (engine, next) = (ledger.engine(), position.next_sequence);
    if let Some(last) = engine.blocks_before(partition, Some(next), 1).await?.first()
        && (last.end(), last.id) != (next, position.last_block)
    {
        return Ok(false);
    }
    Ok(match engine.blocks_after(partition, next - 1, 1).await?.first() {
        Some(following) => (following.first_sequence, following.previous) == (next, position.last_block),
        None => engine.journal_span(partition).await?.next == next,
    })
}

fn action_of(difference: &Difference, decision: &Decision) -> &'static str {
    match difference.only_in_sql() {
        Some(0) => "RESUMED",
        _ if decision.reapply => "REAPPLIED",
        _ => "LOSS_ACCEPTED",
    }
}

impl Decision {
    /// What was decided, for its audit record.
    fn act(&self, action: &str, partition: Option<u16>) -> Act {
        let act = Act {
            at: self.at,
            actor: self.actor.clone(),
            action: format!("reconcile.{}", action.to_lowercase()),
            origin: Origin::local(),
            ..Act::default()
        };
        act.with("partition", partition).with_reason(&self.reason)
    }
}

async fn record(
    connection: &mut AnyConnection,
    difference: &Difference,
    common: Common,
    decision: &Decision,
) -> Result<i64, ReconcileError> {
    record_as(connection, difference, action_of(difference, decision), (common.sequence, difference.next_in_sql - 1), decision).await
}

/// Records what was done about the entries between two sequences; returns the record's id.
async fn record_as(
    connection: &mut AnyConnection,
    difference: &Difference,
    action: &'static str,
    sequences: (u64, u64),
    decision: &Decision,
) -> Result<i64, ReconcileError> {
    let stopped = difference.stopped.as_deref().unwrap_or_default();
    insert(connection, (difference.partition, stopped), action, sequences, decision).await
}

async fn insert(
    connection: &mut AnyConnection,
    (partition, stopped): (u16, &str),
    action: &'static str,
    (common_sequence, last_sequence): (u64, u64),
    decision: &Decision,
) -> Result<i64, ReconcileError> {
    let row = sqlx::query("SELECT CAST(COALESCE(MAX(id), 0) + 1 AS BIGINT) FROM reconciliations").fetch_one(&mut *connection).await?;
    let id: i64 = row.try_get(0)?;
    sqlx::query("INSERT INTO reconciliations VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(id)
        .bind(i64::from(partition))
        .bind(decision.at.get())
        .bind(decision.actor.clone())
        .bind(decision.reason.clone())
        .bind(stopped.to_owned())
        .bind(action)
        .bind(number(common_sequence))
        .bind(number(last_sequence))
        .execute(connection)
        .await?;
    Ok(id)
}
