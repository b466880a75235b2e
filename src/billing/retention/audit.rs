//! Cuts chains of audit records off behind a place. The chain's row keeps the digest of the last record that went, which the next one covers,
//! and the sum of what those that went had in common with the journal's entries: so `verify` proves the rest as before.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::evidence::{self, DroppedRecords, Evidence};
use super::{RetainedKind, note_dropped};
use crate::BillingError;
use crate::audit::{COLUMNS, SERVICE, Stored, lock, of_entries, personal_digest, write};
use crate::digest::DigestSum;
use crate::store::Store;
use domain::time::UnixMillis;

/// How many records go in one transaction, which holds up what else writes to their chain.
const SLICE: i64 = 1_000;

/// The result of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// This many went; there may be more.
    Dropped(u64),
    /// There is nothing that is old enough.
    Done,
    /// The record at this place does not prove itself, or is not there, or (the last one that went) was not dropped on record: nothing goes from there on.
    Broken(i64),
}

pub async fn chains(store: &Store) -> Result<Vec<i64>, BillingError> {
    let rows = sqlx::query("SELECT chain FROM audit_chains ORDER BY chain").fetch_all(store.pool()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Drops the oldest records of a chain that were written before an instant.
pub async fn drop_slice(store: &Store, chain: i64, before: UnixMillis, now: UnixMillis) -> Result<Slice, BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    super::lock(connection, RetainedKind::AuditRecords).await?;
    // Against who writes to the chain, who else drops, and who erases what is personal, which also locks the service's first.
    for chain in [SERVICE, chain] {
        lock(connection, chain).await?;
    }
    let sql = "SELECT dropped_to, dropped_digest, dropped_sum FROM audit_chains WHERE chain = $1";
    let row = sqlx::query(sql).bind(chain).fetch_one(&mut *connection).await?;
    let (from, mut head, stated): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let mut sum = DigestSum::default();
    if from != 0 {
        let Ok(read) = DigestSum::read(from, &stated) else { return Ok(Slice::Broken(from)) };
        // What somebody else has cut off is not covered up by cutting off more.
        if !evidence::is_recorded(connection, chain, (from, &head, &stated)).await? {
            return Ok(Slice::Broken(from));
        }
        sum = read;
    }
    let last_entry = last_entry(connection, chain).await?;
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE chain = $1 AND place > $2 ORDER BY place LIMIT $3");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(chain).bind(from).bind(SLICE);
    let (mut to, mut broken, mut evidence) = (from, None, Evidence::default());
    for row in query.fetch_all(&mut *connection).await? {
        let stored = Stored::from_row(&row)?;
        if stored.place != to + 1 || !proves_itself(&stored, &head) {
            broken = Some(to + 1);
            break;
        }
        // Nor is a record whose entry was removed and has not been read again yet compared with it.
        if stored.at >= before || last_entry.is_some_and(|last| stored.sequence > last) {
            break;
        }
        let texts = [stored.account.as_str(), &stored.request_id, &stored.actor, &stored.on_behalf_of, &stored.origin];
        sum.add(of_entries::in_common(stored.sequence, stored.at, &stored.action, texts));
        if chain == SERVICE {
            evidence.take(&stored);
        }
        (to, head) = (stored.place, stored.digest);
    }
    if to == from {
        return Ok(broken.map_or(Slice::Done, Slice::Broken));
    }
    sqlx::query("DELETE FROM audit WHERE chain = $1 AND place <= $2").bind(chain).bind(to).execute(&mut *connection).await?;
    let keep = "UPDATE audit_chains SET dropped_to = $1, dropped_digest = $2, dropped_sum = $3 WHERE chain = $4";
    sqlx::query(keep).bind(to).bind(head.clone()).bind(sum.hex()).bind(chain).execute(&mut *connection).await?;
    let mut acts = evidence.carried_over(connection, to, now).await?;
    acts.push(DroppedRecords { chain, to, digest: head, sum: sum.hex(), before, at: now }.act(now).with("from", from + 1));
    note_dropped(connection, RetainedKind::AuditRecords, to - from, now).await?;
    write(connection, store.dialect(), SERVICE, &acts).await?;
    transaction.commit().await?;
    Ok(Slice::Dropped(u64::try_from(to - from).unwrap_or(0)))
}

/// The last entry of a partition that is here; `None` for the chain of what no journal tells.
async fn last_entry(connection: &mut AnyConnection, chain: i64) -> Result<Option<i64>, BillingError> {
    let query = sqlx::query("SELECT next_sequence FROM partitions WHERE partition = $1").bind(chain);
    let row = query.fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get::<i64, _>(0)).transpose()?.map(|next| next - 1))
}

/// Whether a record is what its digests say, behind the one before it.
fn proves_itself(stored: &Stored, head: &str) -> bool {
    let is_personal = !stored.personal_digest.is_empty() && !stored.is_erased();
    stored.covered(head) == stored.digest && (!is_personal || personal_digest(&stored.salt, &stored.personal) == stored.personal_digest)
}

/// How many would go, how many of these are needed (none ever is), how many there are, and how many have gone.
pub(super) async fn preview(store: &Store, before: Option<UnixMillis>) -> Result<[i64; 4], BillingError> {
    let mut due = 0;
    for chain in chains(store).await? {
        let Some(before) = before else { break };
        // A chain is cut off in front of its first record that is to be kept.
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM audit WHERE chain = $1 AND place < \
                   COALESCE((SELECT MIN(place) FROM audit WHERE chain = $1 AND at >= $2), $3)";
        let row = sqlx::query(sql).bind(chain).bind(before.get()).bind(i64::MAX).fetch_one(store.pool()).await?;
        due += row.try_get::<i64, _>(0)?;
    }
    let kept = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM audit").fetch_one(store.pool()).await?.try_get(0)?;
    let sql = "SELECT CAST(COALESCE(SUM(dropped_to), 0) AS BIGINT) FROM audit_chains";
    Ok([due, 0, kept, sqlx::query(sql).fetch_one(store.pool()).await?.try_get(0)?])
}
