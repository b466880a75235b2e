//! Who works on which partition: claims, leases, and what stands in the way.
//!
//! Leases are measured by the database's time, and only say who may be asked to work; it is the fence, which each claim raises, that
//! keeps a process from writing that has lost its claim without knowing.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Executor, Row};

use super::BillingError;
use super::position::Position;
use super::position::{hex, unhex};
use super::record::{narrow, number};
use super::store::{Dialect, Store};
use crate::store::Columns;
use domain::time::{Millis, UnixMillis};

/// A partition as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub partition: u16,
    /// How often it was claimed.
    pub fence: i64,
    /// Up to where its journal is committed.
    pub position: Position,
    /// Why it does not go on; `None` if it does.
    pub stopped: Option<Stopped>,
    /// Why its step fails again and again, and since when; `None` if it does not.
    pub failing: Option<Stopped>,
    /// The owner of the lease; empty for none.
    pub owner: String,
    /// Whether the owner's lease runs.
    pub is_leased: bool,
    /// Up to this end of a billing period, closes of idle accounts were asked for.
    pub closed_until: UnixMillis,
}

/// Why a partition's aggregation is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What differs.
    pub reason: String,
    /// Since when.
    pub at: UnixMillis,
}

/// A claimed partition: the fence to write under, and where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub partition: u16,
    pub fence: i64,
    /// Where to go on.
    pub position: Position,
    /// See [`Partition::closed_until`].
    pub closed_until: UnixMillis,
}

/// Makes the rows of the partitions, if there are none at all.
pub async fn initialize(store: &Store, partitions: u16) -> Result<(), BillingError> {
    let mut transaction = store.begin().await?;
    // Looked at before anything is written: what the ledger had before it was restored with fewer must not come back.
    if count(&mut *transaction).await? == 0 {
        for partition in 0..partitions {
            sqlx::query(
                "INSERT INTO partitions (partition, fence, next_sequence, last_block, last_time, state, reason, stopped_at, owner, \
                 lease_until, closed_until) VALUES ($1, 0, 1, $2, 0, 'RUNNING', '', 0, '', 0, 0) ON CONFLICT (partition) DO NOTHING",
            )
            .bind(i64::from(partition))
            .bind(hex(&[0; 16]))
            .execute(&mut *transaction)
            .await?;
        }
    }
    let found = count(&mut *transaction).await?;
    if found != i64::from(partitions) {
        return Err(other_number(found, partitions));
    }
    transaction.commit().await?;
    Ok(())
}

async fn count(executor: impl Executor<'_, Database = Any>) -> Result<i64, BillingError> {
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM partitions";
    Ok(sqlx::query(sql).fetch_one(executor).await?.try_get(0)?)
}

/// Refuses a ledger of another number of partitions than the billing store has: it is not this store's, or from before it was restored.
pub async fn check_number(store: &Store, partitions: u16) -> Result<(), BillingError> {
    match count(store.pool()).await? {
        found if found == 0 || found == i64::from(partitions) => Ok(()),
        found => Err(other_number(found, partitions)),
    }
}

fn other_number(found: i64, partitions: u16) -> BillingError {
    let problem = format!(
        "was filled from a ledger of {found} partitions, and this one has {partitions}: it is another ledger's, or this is the ledger as it \
         was before it was restored with --partitions {found}"
    );
    BillingError::Invalid { field: "--billing", problem }
}

/// All partitions.
pub async fn all(store: &Store) -> Result<Vec<Partition>, BillingError> {
    let sql = format!("SELECT partitions.*, {} AS now FROM partitions ORDER BY partition", store.now_sql());
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(store.pool()).await?;
    rows.iter().map(read).collect()
}

/// Writes down why a partition's step fails again and again; empty if it does not any more.
pub async fn set_failing(store: &Store, partition: u16, reason: &str, now: UnixMillis) -> Result<(), BillingError> {
    // One that stays like that has no version written each time.
    let sql = "UPDATE partitions SET failing_because = $1, failing_since = $2 WHERE partition = $3 AND failing_because <> $1";
    let at = if reason.is_empty() { UnixMillis::NONE } else { now };
    let query = sqlx::query(sql).bind(reason.to_owned()).bind(at.get()).bind(i64::from(partition));
    query.execute(store.pool()).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Partition, BillingError> {
    let state: String = row.try_get("state")?;
    let (lease_until, now): (UnixMillis, UnixMillis) = (row.instant("lease_until")?, row.instant("now")?);
    let owner: String = row.try_get("owner")?;
    Ok(Partition {
        partition: narrow(row, "partition")?,
        fence: row.try_get("fence")?,
        position: read_position(row)?,
        stopped: match state.as_str() {
            "RUNNING" => None,
            _ => Some(Stopped { reason: row.try_get("reason")?, at: row.instant("stopped_at")? }),
        },
        failing: match row.try_get::<String, _>("failing_because")? {
            reason if reason.is_empty() => None,
            reason => Some(Stopped { reason, at: row.instant("failing_since")? }),
        },
        is_leased: !owner.is_empty() && lease_until > now,
        owner,
        closed_until: row.instant("closed_until")?,
    })
}

pub(super) fn read_position(row: &AnyRow) -> Result<Position, BillingError> {
    let last_block: String = row.try_get("last_block")?;
    Ok(Position {
        next_sequence: narrow(row, "next_sequence")?,
        last_block: unhex(&last_block).ok_or_else(|| BillingError::corrupt(format!("last_block {last_block:?}")))?,
        last_time: row.instant("last_time")?,
    })
}

/// Renews the lease of a process, and returns all live processes, in an order that is the same for all.
pub async fn be_alive(store: &Store, owner: &str, lease: Millis) -> Result<Vec<String>, BillingError> {
    let now = store.now_sql();
    let mut transaction = store.begin().await?;
    let sql = format!(
        "INSERT INTO workers (owner, alive_until) VALUES ($1, {now} + $2) ON CONFLICT (owner) DO UPDATE SET alive_until = excluded.alive_until"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(lease).execute(&mut *transaction).await?;
    sqlx::query(AssertSqlSafe(format!("DELETE FROM workers WHERE alive_until < {now}"))).execute(&mut *transaction).await?;
    let rows = sqlx::query("SELECT owner FROM workers ORDER BY owner").fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Ends the lease of a process: its partitions are free at once.
pub async fn leave(store: &Store, owner: &str) -> Result<(), BillingError> {
    let mut transaction = store.begin().await?;
    sqlx::query("DELETE FROM workers WHERE owner = $1").bind(owner).execute(&mut *transaction).await?;
    sqlx::query("UPDATE partitions SET owner = '', lease_until = 0 WHERE owner = $1").bind(owner).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes all partitions from their owners, and forgets all processes: for one that knows that there are no others any more.
pub async fn free_all(store: &Store) -> Result<(), BillingError> {
    let mut transaction = store.begin().await?;
    sqlx::query("DELETE FROM workers").execute(&mut *transaction).await?;
    sqlx::query("UPDATE partitions SET owner = '', lease_until = 0 WHERE owner <> ''").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Finds the first partitions that are `wanted`: on PostgreSQL without those that a step has locked, so that nobody waits for its end. On
/// SQLite nobody writes beside a step: a renewal waits for it, and so does a claim of what has run out meanwhile. A step
/// renews its own lease as it ends, so the one process that the embedded store has loses nothing; of several that share a file, one may
/// take an idle partition over from another, which the fence makes harmless.
fn unlocked(store: &Store, wanted: &str, count: u16) -> String {
    let lock = if store.dialect() == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    format!("SELECT partition FROM partitions WHERE {wanted} ORDER BY partition LIMIT {count} {lock}")
}

/// Renews a process's leases; returns the partitions and fences that are still its own. One that a step is under way in is renewed by
/// that step: until it has ended, nobody can claim it.
pub async fn renew(store: &Store, owner: &str, lease: Millis) -> Result<Vec<(u16, i64)>, BillingError> {
    let own = unlocked(store, "owner = $2", u16::MAX);
    let sql = format!("UPDATE partitions SET lease_until = {} + $1 WHERE partition IN ({own})", store.now_sql());
    sqlx::query(AssertSqlSafe(sql)).bind(lease).bind(owner).execute(store.pool()).await?;
    let sql = "SELECT partition, fence FROM partitions WHERE owner = $1";
    let rows = sqlx::query(sql).bind(owner).fetch_all(store.pool()).await?;
    rows.iter().map(|row| Ok((narrow(row, "partition")?, row.try_get("fence")?))).collect()
}

/// Claims a partition that is nobody's any more, and not stopped; `None` if there is none, others were faster, or the ledger has another
/// number of partitions by now: the process reads one from before.
pub async fn claim(store: &Store, owner: &str, lease: Millis, partitions: u16) -> Result<Option<Claim>, BillingError> {
    let now = store.now_sql();
    let count = "(SELECT COUNT(*) FROM partitions)";
    let free = format!("state = 'RUNNING' AND (owner = '' OR lease_until < {now}) AND {count} = {partitions}");
    let first = unlocked(store, &free, 1);
    let sql = format!(
        "UPDATE partitions SET fence = fence + 1, owner = $1, lease_until = {now} + $2 \
         WHERE partition = ({first}) AND {free} \
         RETURNING partition, fence, next_sequence, last_block, last_time, closed_until"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(lease).fetch_optional(store.pool()).await?;
    let claim = |row: &AnyRow| -> Result<Claim, BillingError> {
        Ok(Claim {
            partition: narrow(row, "partition")?,
            fence: row.try_get("fence")?,
            position: read_position(row)?,
            closed_until: row.instant("closed_until")?,
        })
    };
    row.as_ref().map(claim).transpose()
}

/// Releases a partition.
pub async fn release(store: &Store, partition: u16, fence: i64) -> Result<(), BillingError> {
    let sql = "UPDATE partitions SET owner = '', lease_until = 0 WHERE partition = $1 AND fence = $2";
    sqlx::query(sql).bind(i64::from(partition)).bind(fence).execute(store.pool()).await?;
    Ok(())
}

/// Up to where a claimed partition is committed; `None` if the claim is lost.
pub async fn position(store: &Store, claim: &Claim) -> Result<Option<Position>, BillingError> {
    let sql = "SELECT next_sequence, last_block, last_time FROM partitions WHERE partition = $1 AND fence = $2 AND state = 'RUNNING'";
    let row = sqlx::query(sql).bind(i64::from(claim.partition)).bind(claim.fence).fetch_optional(store.pool()).await?;
    row.as_ref().map(read_position).transpose()
}

/// Stops a partition, for all processes, until an operator resumes it. Returns whether it was the claimant's to stop.
pub async fn stop(store: &Store, claim: &Claim, reason: &str, now: UnixMillis) -> Result<bool, BillingError> {
    let done = sqlx::query(
        "UPDATE partitions SET state = 'STOPPED', reason = $1, stopped_at = $2 WHERE partition = $3 AND fence = $4 AND next_sequence = $5",
    )
    .bind(reason)
    .bind(now.get())
    .bind(i64::from(claim.partition))
    .bind(claim.fence)
    .bind(number(claim.position.next_sequence))
    .execute(store.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Remembers that the closes up to the end of a billing period were asked for.
pub async fn set_closed_until(store: &Store, claim: &Claim, boundary: UnixMillis) -> Result<(), BillingError> {
    let sql = "UPDATE partitions SET closed_until = $1 WHERE partition = $2 AND fence = $3";
    sqlx::query(sql).bind(boundary.get()).bind(i64::from(claim.partition)).bind(claim.fence).execute(store.pool()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::store::sqlite_url;
    use super::*;

    #[tokio::test]
    async fn who_has_more_partitions_than_there_are_is_refused_and_adds_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&sqlite_url(&folder.path().join("billing.db"))).await.unwrap();
        initialize(&store, 8).await.unwrap();
        for other in [16, 4] {
            let refused = initialize(&store, other).await.unwrap_err().to_string();
            assert!(refused.contains("a ledger of 8 partitions") && refused.contains(&format!("has {other}")), "{refused}");
            assert_eq!(all(&store).await.unwrap().len(), 8);
        }
        initialize(&store, 8).await.unwrap();
    }
}
