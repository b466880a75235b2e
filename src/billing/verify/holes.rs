//! Whether there are entries where the ledger never had any: between and behind those of the partitions that it had before it was restored
//! with another number of them, or in a partition that it never had. Nothing else that is verified looks there, and lists would show them.

use sqlx::{AnyConnection, Row};

use super::{Findings, Place, VerifyError};
use crate::layouts::{Hole, Layouts};

pub(super) async fn compare(
    connection: &mut AnyConnection,
    layouts: &Layouts,
    now: u16,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    for Hole { partition, after, last } in layouts.holes(now) {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MIN(sequence), 0) AS BIGINT) FROM entries \
                   WHERE partition = $1 AND sequence > $2 AND sequence <= $3";
        let row = sqlx::query(sql).bind(i64::from(partition)).bind(after).bind(last).fetch_one(&mut *connection).await?;
        add(findings, Some(partition), row.try_get(0)?, format!("from {} on", row.try_get::<i64, _>(1)?));
    }
    let sql =
        "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MIN(partition), 0) AS BIGINT) FROM entries WHERE partition < 0 OR partition >= $1";
    let row = sqlx::query(sql).bind(i64::from(layouts.most_partitions(now))).fetch_one(connection).await?;
    add(findings, None, row.try_get(0)?, format!("of partition {}", row.try_get::<i64, _>(1)?));
    Ok(())
}

fn add(findings: &mut Findings, partition: Option<u16>, count: i64, place: String) {
    if count > 0 {
        findings.add(
            Place::Journal,
            partition,
            "entries that never were",
            format!("there are {count}, {place}, where the ledger had none"),
        );
    }
}
