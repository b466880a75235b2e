//! One step: a run of records, their totals, their accounts, the bills that they cut, and the new position, in one transaction.
//!
//! Its first statement moves the position, under the fence that the partition was claimed with: a process that has lost the partition
//! writes nothing, and a step that was committed, though nobody heard of it, is not done twice.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe};

use crate::audit::{self, Act, of_entries};
use crate::partitions::Claim;
use crate::position::{Position, hex};
use crate::projection::rows;
use crate::projection::{JournalFault, Projection, TotalKey};
use crate::record::{ENTRIES, Record, number};
use crate::sending::low_credit;
use crate::store::{Dialect, Store};
use crate::{BillingError, bills, search, traces};
use domain::time::Millis;
use platform::telemetry::traces::{Span, SpanKind};

/// Why a step was not done.
#[derive(Debug)]
pub enum StepError {
    /// The partition is somebody else's by now, or the position is another one.
    Lost,
    /// The records do not follow from what is known.
    Broken(JournalFault),
    /// The store.
    Billing(BillingError),
}

impl From<BillingError> for StepError {
    fn from(error: BillingError) -> Self {
        Self::Billing(error)
    }
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        Self::Billing(error.into())
    }
}

/// Commits a run of records, which leads from one position to the next. However long that takes, the lease runs from its end on:
/// a worker that renews leases meanwhile passes over this one.
pub async fn commit(store: &Store, claim: &Claim, to: &Position, lease: Millis, records: &mut [Record]) -> Result<(), StepError> {
    let dialect = store.dialect();
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    advance(connection, claim.partition, claim.fence, &claim.position, to).await?;
    take_in(connection, dialect, records).await?;
    let renew = format!("UPDATE partitions SET lease_until = {} + $1 WHERE partition = $2 AND owner <> ''", store.now_sql());
    sqlx::query(AssertSqlSafe(renew)).bind(lease).bind(i64::from(claim.partition)).execute(&mut *connection).await?;
    let span = Span::child("COMMIT", SpanKind::Client);
    if let Some(span) = &span {
        span.set("db.system.name", if dialect == Dialect::Postgres { "postgresql" } else { "sqlite" });
        span.set("db.operation.name", "COMMIT");
    }
    transaction.commit().await?;
    Ok(())
}

/// Writes records, and what follows from them.
pub async fn take_in(connection: &mut AnyConnection, dialect: Dialect, records: &mut [Record]) -> Result<(), StepError> {
    let mut projection = rows::load(connection, dialect, records).await?;
    let (changed, acts) = take(&mut projection, records).map_err(StepError::Broken)?;
    ENTRIES.insert(connection, dialect, records.iter().map(Record::to_row)).await?;
    projection.totals.retain(|key, _| changed.contains(key));
    rows::write(connection, dialect, &projection).await?;
    let is_named = |record: &&Record| record.entry.data.settings().is_some_and(|settings| settings.name.is_some());
    let named: BTreeSet<&str> = records.iter().filter(is_named).map(|record| record.entry.account.as_str()).collect();
    let names = named.into_iter().filter_map(|id| Some((id, projection.accounts.get(id)?.name.as_str())));
    search::write_names(connection, dialect, names).await?;
    bills::apply(connection, records).await?;
    if let Some(last) = records.last() {
        low_credit::look(connection, dialect, &projection.accounts, last.entry.time).await?;
    }
    traces::keep(connection, dialect, records).await?;
    if let Some(record) = records.first() {
        audit::write(connection, dialect, record.partition.into(), &acts).await?;
    }
    Ok(())
}

/// Folds records; returns the totals that changed, and the acts that the records tell of.
fn take(projection: &mut Projection, records: &mut [Record]) -> Result<(BTreeSet<TotalKey>, Vec<Act>), JournalFault> {
    let (mut changed, mut acts) = (BTreeSet::new(), Vec::new());
    for record in records {
        let is_act = of_entries::is_act(record.entry.kind());
        let before = if is_act { projection.accounts.get(&record.entry.account).cloned() } else { None };
        changed.extend(projection.take(std::slice::from_mut(record))?);
        if let Some(after) = projection.accounts.get(&record.entry.account).filter(|_| is_act) {
            acts.push(of_entries::act(record, before.as_ref(), after));
        }
    }
    Ok((changed, acts))
}

async fn advance(connection: &mut AnyConnection, partition: u16, fence: i64, from: &Position, to: &Position) -> Result<(), StepError> {
    let done = sqlx::query(
        "UPDATE partitions SET next_sequence = $1, last_block = $2, last_time = $3 \
         WHERE partition = $4 AND fence = $5 AND next_sequence = $6 AND last_block = $7 AND state = 'RUNNING'",
    )
    .bind(number(to.next_sequence))
    .bind(hex(&to.last_block))
    .bind(to.last_time.get())
    .bind(i64::from(partition))
    .bind(fence)
    .bind(number(from.next_sequence))
    .bind(hex(&from.last_block))
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StepError::Lost) }
}
